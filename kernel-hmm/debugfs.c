// SPDX-License-Identifier: GPL-2.0-only
/*
 * What root can see in debugfs, folder hmm_mirror. It is no interface: names and
 * formats change as they like.
 *
 *   vramN       a device: its VRAM, and all moves by way, cause and size
 *   contexts/M  a registration: whose, its quota and queue, counters and moves
 *   inject      failures on purpose (inject.c)
 */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/seq_file.h>

#include "internal.h"

static struct dentry *hm_folder, *hm_folder_contexts;

static const char * const hm_count_names[HMM_MIRROR_COUNT_MAX] = {
	[HMM_MIRROR_COUNT_FAULTS] = "faults",
	[HMM_MIRROR_COUNT_MERGED] = "merged",
	[HMM_MIRROR_COUNT_OVERFLOW] = "overflow",
	[HMM_MIRROR_COUNT_FAILED] = "failed",
	[HMM_MIRROR_COUNT_SERVED] = "served",
	[HMM_MIRROR_COUNT_INSERTED_4K] = "inserted_4k",
	[HMM_MIRROR_COUNT_INSERTED_2M] = "inserted_2m",
	[HMM_MIRROR_COUNT_MIRRORED_4K] = "mirrored_4k",
	[HMM_MIRROR_COUNT_MIRRORED_2M] = "mirrored_2m",
	[HMM_MIRROR_COUNT_INVALIDATIONS] = "invalidations",
	[HMM_MIRROR_COUNT_INVALIDATED] = "invalidated",
	[HMM_MIRROR_COUNT_TO_VRAM_4K] = "to_vram_4k",
	[HMM_MIRROR_COUNT_TO_VRAM_2M] = "to_vram_2m",
	[HMM_MIRROR_COUNT_CPU_FAULTS] = "cpu_faults",
	[HMM_MIRROR_COUNT_CPU_4K] = "cpu_4k",
	[HMM_MIRROR_COUNT_CPU_2M] = "cpu_2m",
	[HMM_MIRROR_COUNT_EVICT_4K] = "evict_4k",
	[HMM_MIRROR_COUNT_EVICT_2M] = "evict_2m",
	[HMM_MIRROR_COUNT_STAYED] = "stayed",
	[HMM_MIRROR_COUNT_NO_VRAM] = "no_vram",
	[HMM_MIRROR_COUNT_NS_TO_VRAM] = "ns_to_vram",
	[HMM_MIRROR_COUNT_NS_CPU] = "ns_cpu",
	[HMM_MIRROR_COUNT_NS_EVICT] = "ns_evict",
	[HMM_MIRROR_COUNT_SERVED_WRITE] = "served_write",
	[HMM_MIRROR_COUNT_SERVED_PAGES] = "served_pages",
	[HMM_MIRROR_COUNT_SERVED_PAGES_WRITE] = "served_pages_write",
	[HMM_MIRROR_COUNT_NS_SERVED] = "ns_served",
	[HMM_MIRROR_COUNT_NS_SERVED_WRITE] = "ns_served_write",
};

static void hm_show_moves(struct seq_file *seq, struct hm_moves *moves)
{
	static const char * const sizes[] = { "4K", "64K", "2M" };
	unsigned int way, cause, size;

	seq_puts(seq, "way       cause        size count bytes ns\n");
	for (way = 0; way < HMM_MIRROR_WAY_MAX; way++) {
		for (cause = 0; cause < HMM_MIRROR_CAUSE_MAX; cause++) {
			for (size = 0; size < HMM_MIRROR_SIZE_MAX; size++) {
				struct hmm_mirror_move move;

				hm_moves_get(moves, way, cause, size, &move);
				if (!move.count)
					continue;
				seq_printf(seq, "%-9s %-12s %-4s %llu %llu %llu\n",
					   hm_way_name(way), hm_cause_name(cause), sizes[size],
					   move.count, move.bytes, move.ns);
			}
		}
	}
}

static int hm_context_show(struct seq_file *seq, void *unused)
{
	struct hm_context *ctx = seq->private;
	struct hm_account *account = ctx->account;
	unsigned int i;

	seq_printf(seq, "pid %d\ndevice %u\n", ctx->pid, ctx->device);
	seq_printf(seq, "vram_pages %ld\nquota_pages %ld\naround_pages %lu\nqueue %u\n",
		   atomic_long_read(&account->used), account->quota, account->around,
		   ctx->queue.size);
	for (i = 0; i < HMM_MIRROR_COUNT_MAX; i++)
		if (hm_count_names[i])
			seq_printf(seq, "%s %lld\n", hm_count_names[i],
				   atomic64_read(&account->count[i]));
	hm_show_moves(seq, &account->moves);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(hm_context);

static int hm_device_show(struct seq_file *seq, void *unused)
{
	unsigned int device = (unsigned long)seq->private;

	seq_printf(seq, "size %llu\nused %llu\n", hm_vram_size(), hm_vram_used(device));
	hm_show_moves(seq, hm_device_moves(device));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(hm_device);

/* A context's file, from now to hm_debugfs_remove(), which waits for its readers. */
void hm_debugfs_add(struct hm_context *ctx)
{
	static atomic_t number;
	char name[16];

	snprintf(name, sizeof(name), "%u", (u32)atomic_inc_return(&number));
	ctx->debugfs = debugfs_create_file(name, 0400, hm_folder_contexts, ctx,
					   &hm_context_fops);
}

void hm_debugfs_remove(struct hm_context *ctx)
{
	debugfs_remove(ctx->debugfs);
}

void hm_debugfs_init(unsigned int devices)
{
	unsigned long i;

	hm_folder = debugfs_create_dir("hmm_mirror", NULL);
	hm_folder_contexts = debugfs_create_dir("contexts", hm_folder);
	hm_inject_init(hm_folder);
	for (i = 0; i < devices; i++) {
		char name[16];

		snprintf(name, sizeof(name), "vram%lu", i);
		debugfs_create_file(name, 0400, hm_folder, (void *)i, &hm_device_fops);
	}
}

void hm_debugfs_exit(void)
{
	debugfs_remove(hm_folder);
}
