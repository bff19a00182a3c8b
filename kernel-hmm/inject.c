// SPDX-License-Identifier: GPL-2.0-only
/*
 * Failures on purpose (inject.h lists them), through the file inject in debugfs:
 *
 *   echo "SEED PERIOD [MASK]" > inject    fail at one of PERIOD passages on average,
 *                                         at the points whose bits are set in MASK
 *   echo 0 > inject                       stop
 *   cat inject                            passages and failures of each point since
 *
 * Which passages fail follows from the seed and their number alone, so that a test of
 * one thread can be repeated.
 */
#include <linux/debugfs.h>
#include <linux/hash.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "internal.h"

DEFINE_STATIC_KEY_FALSE(hm_inject_on);

static DEFINE_MUTEX(hm_inject_lock);	/* changing the settings */
static u64 hm_inject_seed;
static u64 hm_inject_period = 1;
static u64 hm_inject_mask;

static struct {
	atomic64_t passed, failed;
} hm_inject_counts[HM_INJECT_MAX];

static const char * const hm_inject_names[] = {
	[HM_INJECT_CONTEXT] = "context",
	[HM_INJECT_ACCOUNT] = "account",
	[HM_INJECT_QUEUE] = "queue",
	[HM_INJECT_ENGINE] = "engine",
	[HM_INJECT_NOTIFIER] = "notifier",
	[HM_INJECT_PFNS] = "pfns",
	[HM_INJECT_TABLE] = "table",
	[HM_INJECT_CHANGED] = "changed",
	[HM_INJECT_STORE] = "store",
	[HM_INJECT_EXCLUSIVE] = "exclusive",
	[HM_INJECT_PAGE_TABLE] = "page_table",
	[HM_INJECT_VERDICT] = "verdict",
	[HM_INJECT_SERVICE] = "service",
	[HM_INJECT_WINDOW] = "window",
	[HM_INJECT_SETUP] = "setup",
	[HM_INJECT_VRAM_2M] = "vram_2m",
	[HM_INJECT_VRAM_4K] = "vram_4k",
	[HM_INJECT_BACKING] = "backing",
	[HM_INJECT_RAM_2M] = "ram_2m",
	[HM_INJECT_RAM_4K] = "ram_4k",
	[HM_INJECT_LINGER] = "linger",
	[HM_INJECT_TARRY] = "tarry",
};

bool hm_inject_now(enum hm_inject_point point)
{
	u64 number = atomic64_inc_return(&hm_inject_counts[point].passed);

	if (!(READ_ONCE(hm_inject_mask) & BIT_ULL(point)))
		return false;
	number = hash_64(number + hash_64(READ_ONCE(hm_inject_seed) + point, 64), 32);
	if (number % READ_ONCE(hm_inject_period))
		return false;
	atomic64_inc(&hm_inject_counts[point].failed);
	return true;
}

static int hm_inject_show(struct seq_file *seq, void *unused)
{
	unsigned int i;

	for (i = 0; i < HM_INJECT_MAX; i++)
		seq_printf(seq, "%2u %-10s %lld %lld\n", i, hm_inject_names[i],
			   atomic64_read(&hm_inject_counts[i].passed),
			   atomic64_read(&hm_inject_counts[i].failed));
	return 0;
}

static int hm_inject_open(struct inode *inode, struct file *file)
{
	return single_open(file, hm_inject_show, NULL);
}

static ssize_t hm_inject_write(struct file *file, const char __user *buffer, size_t size,
			       loff_t *offset)
{
	u64 seed, period = 0, mask = U64_MAX;
	char text[80];
	unsigned int i;
	int words;

	if (size >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, buffer, size))
		return -EFAULT;
	text[size] = '\0';
	words = sscanf(text, "%llu %llu %lli", &seed, &period, &mask);
	if (words < 1 || (words == 1 && seed) || (words > 1 && !period))
		return -EINVAL;

	mutex_lock(&hm_inject_lock);
	if (!period) {
		static_branch_disable(&hm_inject_on);
		WRITE_ONCE(hm_inject_mask, 0);
	} else {
		for (i = 0; i < HM_INJECT_MAX; i++) {
			atomic64_set(&hm_inject_counts[i].passed, 0);
			atomic64_set(&hm_inject_counts[i].failed, 0);
		}
		WRITE_ONCE(hm_inject_seed, seed);
		WRITE_ONCE(hm_inject_period, period);
		WRITE_ONCE(hm_inject_mask, mask);
		static_branch_enable(&hm_inject_on);
	}
	mutex_unlock(&hm_inject_lock);
	return size;
}

static const struct file_operations hm_inject_fops = {
	.owner = THIS_MODULE,
	.open = hm_inject_open,
	.read = seq_read,
	.write = hm_inject_write,
	.llseek = seq_lseek,
	.release = single_release,
};

void hm_inject_init(struct dentry *folder)
{
	debugfs_create_file("inject", 0600, folder, NULL, &hm_inject_fops);
}
