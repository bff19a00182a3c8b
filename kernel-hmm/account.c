// SPDX-License-Identifier: GPL-2.0-only
/*
 * An account: what a context's pages in VRAM are charged to, and what happened to
 * them. It outlives the context with the last of those pages.
 *
 * Counters are never locked together: each is right, a set of them is a blur.
 */
#include <linux/math64.h>
#include <linux/slab.h>

#include "internal.h"

/* Over all accounts of a device, since the module was loaded. */
static struct hm_moves hm_totals[HM_DEVICES_MAX];

/*
 * @quota in bytes, 0 for the device's most. @around in bytes, 0 for the module's
 * default; the caller has checked it.
 */
struct hm_account *hm_account_alloc(unsigned int device, u64 quota, u32 around)
{
	struct hm_account *account;

	account = hm_inject(HM_INJECT_ACCOUNT) ? NULL : kzalloc_obj(*account, GFP_KERNEL_ACCOUNT);
	if (!account)
		return NULL;
	kref_init(&account->ref);
	spin_lock_init(&account->events.lock);
	account->device = device;
	account->vram = hm_vram_get(device);
	account->quota = min(quota ?: U64_MAX, hm_vram_quota_max()) >> PAGE_SHIFT;
	account->around = (around ?: hm_around_default()) >> PAGE_SHIFT;
	return account;
}

static void hm_account_free(struct kref *ref)
{
	struct hm_account *account = container_of(ref, struct hm_account, ref);

	kfree(account);
}

/* Any context, atomic included. */
void hm_account_put(struct hm_account *account)
{
	kref_put(&account->ref, hm_account_free);
}

/* Whether @pages more are within the quota; if so, they are charged. */
bool hm_account_charge(struct hm_account *account, long pages)
{
	if (atomic_long_add_return(pages, &account->used) <= account->quota)
		return true;
	atomic_long_sub(pages, &account->used);
	return false;
}

/*
 * Another page, number @index, to what was done at a time. 16 of them, from one whose
 * number is a multiple of 16 on, are a unit of 64 KiB.
 */
void hm_tally_page(struct hm_tally *tally, unsigned long index)
{
	tally->units[HMM_MIRROR_SIZE_4K]++;
	if (!(index % HM_UNIT_PAGES))
		tally->run = 0;
	else if (index != tally->next)
		tally->run = HM_UNIT_PAGES;
	tally->next = index + 1;
	if (++tally->run != HM_UNIT_PAGES)
		return;
	tally->units[HMM_MIRROR_SIZE_4K] -= HM_UNIT_PAGES;
	tally->units[HMM_MIRROR_SIZE_64K]++;
}

/* The same for @n pages in a row. */
void hm_tally_run(struct hm_tally *tally, unsigned long index, unsigned long n)
{
	for (; n && (index % HM_UNIT_PAGES || n < HM_UNIT_PAGES); n--)
		hm_tally_page(tally, index++);
	for (; n >= HM_UNIT_PAGES; n -= HM_UNIT_PAGES, index += HM_UNIT_PAGES)
		tally->units[HMM_MIRROR_SIZE_64K]++;
	for (tally->next = index; n; n--)
		hm_tally_page(tally, index++);
}

u64 hm_tally_pages(const struct hm_tally *tally)
{
	return tally->units[HMM_MIRROR_SIZE_4K] +
	       tally->units[HMM_MIRROR_SIZE_64K] * HM_UNIT_PAGES +
	       tally->units[HMM_MIRROR_SIZE_2M] * HM_BLOCK_PAGES;
}

static void hm_moves_add(struct hm_moves *moves, enum hmm_mirror_way way,
			 enum hmm_mirror_cause cause, const struct hm_tally *tally, u64 ns)
{
	static const unsigned long pages[] = {
		[HMM_MIRROR_SIZE_4K] = 1,
		[HMM_MIRROR_SIZE_64K] = HM_UNIT_PAGES,
		[HMM_MIRROR_SIZE_2M] = HPAGE_PMD_NR,
	};
	u64 sum = hm_tally_pages(tally);
	unsigned int i;

	for (i = 0; i < HMM_MIRROR_SIZE_MAX; i++) {
		struct hm_move *move = &moves->move[way][cause][i];

		if (!tally->units[i])
			continue;
		atomic64_add(tally->units[i], &move->count);
		atomic64_add(div64_u64(ns * tally->units[i] * pages[i], sum), &move->ns);
	}
}

/* What one call did, and the time it took. */
void hm_account_moves(struct hm_account *account, enum hmm_mirror_way way,
		      enum hmm_mirror_cause cause, const struct hm_tally *tally, u64 ns)
{
	if (!hm_tally_pages(tally))
		return;
	hm_moves_add(&account->moves, way, cause, tally, ns);
	hm_moves_add(&hm_totals[account->device], way, cause, tally, ns);
}

struct hm_moves *hm_device_moves(unsigned int device)
{
	return &hm_totals[device];
}

void hm_moves_get(struct hm_moves *moves, enum hmm_mirror_way way, enum hmm_mirror_cause cause,
		  enum hmm_mirror_size size, struct hmm_mirror_move *out)
{
	static const unsigned long bytes[] = {
		[HMM_MIRROR_SIZE_4K] = PAGE_SIZE,
		[HMM_MIRROR_SIZE_64K] = HM_UNIT_PAGES * PAGE_SIZE,
		[HMM_MIRROR_SIZE_2M] = HPAGE_PMD_SIZE,
	};
	struct hm_move *move = &moves->move[way][cause][size];

	out->count = atomic64_read(&move->count);
	out->bytes = out->count * bytes[size];
	out->ns = atomic64_read(&move->ns);
}

const char *hm_way_name(enum hmm_mirror_way way)
{
	static const char * const names[] = {
		[HMM_MIRROR_WAY_TO_VRAM] = "to-vram",
		[HMM_MIRROR_WAY_HOME] = "home",
		[HMM_MIRROR_WAY_MAPPED] = "mapped",
		[HMM_MIRROR_WAY_EXCLUSIVE] = "exclusive",
	};

	return names[way];
}

const char *hm_cause_name(enum hmm_mirror_cause cause)
{
	static const char * const names[] = {
		[HMM_MIRROR_CAUSE_REQUEST] = "request",
		[HMM_MIRROR_CAUSE_FAULT] = "device-fault",
		[HMM_MIRROR_CAUSE_PREFETCH] = "prefetch",
		[HMM_MIRROR_CAUSE_THRASH] = "thrash",
		[HMM_MIRROR_CAUSE_ROOM] = "room",
		[HMM_MIRROR_CAUSE_CPU] = "cpu-fault",
		[HMM_MIRROR_CAUSE_TRIM] = "trim",
		[HMM_MIRROR_CAUSE_PEER] = "peer",
		[HMM_MIRROR_CAUSE_UNLOAD] = "unload",
		[HMM_MIRROR_CAUSE_SERVICE] = "service",
	};

	return names[cause];
}
