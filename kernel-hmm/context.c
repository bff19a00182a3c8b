// SPDX-License-Identifier: GPL-2.0-only
/*
 * A context: a host process that is mirrored. It lives as long as the host's
 * descriptor or one of the engines' is open; it works until the host's address
 * space ends or the host's descriptor is closed (dead), whichever comes first.
 *
 * One interval notifier spans the whole address space. Its callback takes the
 * entries out of the device page table and shoots the engine's copies down, under
 * one hold of context.lock: a second, overlapping callback must not return before
 * the engine lost the pages.
 */
#include <linux/file.h>
#include <linux/lockdep.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "internal.h"
#include "trace.h"

/* Who is a host; and nobody becomes host and engine at once. */
DEFINE_MUTEX(hm_family);
LIST_HEAD(hm_hosts);

/*
 * The host's address space ends. The engine loses everything at once, in time
 * proportional to what it has mapped; the table's entries, which nobody will look
 * at again, are freed with the context.
 */
static void hm_context_die(struct hm_context *ctx)
{
	mutex_lock(&ctx->lock);
	WRITE_ONCE(ctx->dead, true);
	mutex_unlock(&ctx->lock);
	hm_events_close(&ctx->account->events);
	wake_up_all(&ctx->queue.waiters);
	wake_up_all(&ctx->queue.readers);

	hm_engine_shoot_down(ctx, 0, ULONG_MAX >> PAGE_SHIFT);
	WRITE_ONCE(ctx->zapped, true);
}

/* Tell the pager what it could not know. context.lock is held. */
static void hm_context_note(struct hm_context *ctx, const struct mmu_notifier_range *range,
			    unsigned long gone, unsigned long from, unsigned long to)
{
	unsigned long first = range->start >> PAGE_SHIFT, last = (range->end - 1) >> PAGE_SHIFT;

	if (range->event == MMU_NOTIFY_UNMAP &&
	    (gone || hm_service_covers(&ctx->service, first, last)))
		hm_event_add(ctx->account, ctx->mm, HMM_MIRROR_EVENT_UNMAP, first, last, 0, 0);
	else if (range->event == MMU_NOTIFY_CLEAR && gone)
		hm_event_add(ctx->account, ctx->mm, HMM_MIRROR_EVENT_UNMAP, from, to, 0, 0);
}

/*
 * Taking pages away from an engine calls the notifiers of the engine's process, from
 * within one of the host's. It ends there, as no process is both (hm_family); but lockdep
 * knows the notifiers of all processes as one lock and would call that a recursion. So the
 * outer level counts as a lock of its own for as long as it is in here. Returns it, for
 * hm_context_leave_notifier(), or NULL.
 */
static struct lockdep_map *hm_context_enter_notifier(void)
{
#ifdef CONFIG_LOCKDEP
	unsigned int i = debug_locks ? current->lockdep_depth : 0;

	/* The core does not export its name. */
	while (i--) {
		struct lockdep_map *map = current->held_locks[i].instance;

		if (map->name && !strcmp(map->name, "mmu_notifier_invalidate_range_start")) {
			lock_set_subclass(map, SINGLE_DEPTH_NESTING, _RET_IP_);
			return map;
		}
	}
#endif
	return NULL;
}

static void hm_context_leave_notifier(struct lockdep_map *map)
{
	if (map)
		lock_set_subclass(map, 0, _RET_IP_);
}

/*
 * The host's address space changes. Not blockable: the OOM reaper, which must not
 * wait; there is nothing to do if the engine has none of it, else it is told to
 * leave the range alone. Callers may hold mmap_lock, a VMA lock, or neither.
 */
static bool hm_context_changes(struct hm_context *ctx, const struct mmu_notifier_range *range,
			       unsigned long seq)
{
	struct mmu_interval_notifier *notifier = &ctx->notifier;
	unsigned long first = range->start >> PAGE_SHIFT, last = (range->end - 1) >> PAGE_SHIFT;
	unsigned long from, to, gone;

	/* Our own make_device_exclusive(): the page stays where it is. */
	if (range->event == MMU_NOTIFY_EXCLUSIVE && range->owner == ctx)
		return true;
	if (range->event == MMU_NOTIFY_RELEASE) {
		mutex_lock(&ctx->lock);
		mmu_interval_set_seq(notifier, seq);
		mutex_unlock(&ctx->lock);
		hm_context_die(ctx);
		return true;
	}

	if (mmu_notifier_range_blockable(range))
		mutex_lock(&ctx->lock);
	else if (!mutex_trylock(&ctx->lock))
		return false;

	if (ctx->dead) {
		bool zapped = READ_ONCE(ctx->zapped);

		if (!zapped && !mmu_notifier_range_blockable(range)) {
			mutex_unlock(&ctx->lock);
			return false;
		}
		mmu_interval_set_seq(notifier, seq);
		if (!zapped)
			hm_engine_shoot_down(ctx, first, last);
		mutex_unlock(&ctx->lock);
		return true;
	}
	if (!mmu_notifier_range_blockable(range) && hm_table_has(&ctx->table, first, last)) {
		mutex_unlock(&ctx->lock);
		return false;
	}

	mmu_interval_set_seq(notifier, seq);
	gone = hm_table_clear(&ctx->table, first, last, range->event == MMU_NOTIFY_UNMAP, &from,
			      &to);
	if (gone) {
		hm_engine_shoot_down(ctx, from, to);
		hm_count(ctx->account, HMM_MIRROR_COUNT_INVALIDATIONS, 1);
		hm_count(ctx->account, HMM_MIRROR_COUNT_INVALIDATED, gone);
		trace_hmm_mirror_invalidate(ctx->mm, range->event, from, to, gone);
	}
	hm_context_note(ctx, range, gone, from, to);
	mutex_unlock(&ctx->lock);
	return true;
}

static bool hm_context_invalidate(struct mmu_interval_notifier *notifier,
				  const struct mmu_notifier_range *range, unsigned long seq)
{
	struct hm_context *ctx = container_of(notifier, struct hm_context, notifier);
	struct lockdep_map *outer = NULL;
	bool done;

	/* Otherwise no engine is touched. */
	if (mmu_notifier_range_blockable(range))
		outer = hm_context_enter_notifier();
	done = hm_context_changes(ctx, range, seq);
	hm_context_leave_notifier(outer);
	return done;
}

static const struct mmu_interval_notifier_ops hm_context_notifier_ops = {
	.invalidate = hm_context_invalidate,
};

/* Whether @mm is a host. hm_family is held. */
bool hm_context_is_host(struct mm_struct *mm)
{
	struct hm_context *ctx;

	list_for_each_entry(ctx, &hm_hosts, family)
		if (ctx->mm == mm)
			return true;
	return false;
}

static bool hm_context_is_twin(struct hm_context *ctx)
{
	struct hm_context *other;

	list_for_each_entry(other, &hm_hosts, family)
		if (other->mm == ctx->mm && other->device == ctx->device)
			return true;
	return false;
}

/* Become a host, unless we are one for that device, or an engine. */
static int hm_context_join(struct hm_context *ctx)
{
	int ret = 0;

	mmap_read_lock(ctx->mm);
	mutex_lock(&hm_family);
	if (hm_context_is_twin(ctx))
		ret = -EBUSY;
	else if (hm_engine_is_mapped_by(ctx->mm))
		ret = -ELOOP;
	else
		list_add(&ctx->family, &hm_hosts);
	mutex_unlock(&hm_family);
	mmap_read_unlock(ctx->mm);
	return ret;
}

static void hm_context_leave(struct hm_context *ctx)
{
	mutex_lock(&hm_family);
	list_del(&ctx->family);
	mutex_unlock(&hm_family);
}

/* Tell lockdep in advance what reclaim will do. */
static void hm_context_prime(struct hm_context *ctx)
{
	fs_reclaim_acquire(GFP_KERNEL);
	mutex_lock(&ctx->lock);
	mutex_unlock(&ctx->lock);
	fs_reclaim_release(GFP_KERNEL);
}

/* Mirror the calling process. The caller has checked @reg. */
struct hm_context *hm_context_create(const struct hmm_mirror_register *reg)
{
	struct hm_context *ctx;
	int ret = -ENOMEM;

	ctx = hm_inject(HM_INJECT_CONTEXT) ? NULL : kzalloc_obj(*ctx, GFP_KERNEL_ACCOUNT);
	if (!ctx)
		return ERR_PTR(-ENOMEM);
	kref_init(&ctx->ref);
	mutex_init(&ctx->install);
	mutex_init(&ctx->lock);
	hm_table_init(&ctx->table);
	hm_service_init(&ctx->service);
	ctx->mm = current->mm;
	ctx->pid = task_tgid_nr(current);
	ctx->device = reg->device;
	ctx->account = hm_account_alloc(reg->device, reg->vram_quota, reg->around);
	if (!ctx->account)
		goto err_context;
	if (reg->flags & HMM_MIRROR_REGISTER_EVENTS) {
		ret = hm_events_init(&ctx->account->events, ctx->mm,
				     reg->queue_size ?: HM_QUEUE_DEFAULT);
		if (ret)
			goto err_account;
	}
	ret = hm_queue_init(&ctx->queue, reg->queue_size ?: HM_QUEUE_DEFAULT);
	if (ret)
		goto err_account;
	ret = hm_engine_create(ctx);
	if (ret)
		goto err_queue;
	hm_context_prime(ctx);
	ret = hm_context_join(ctx);
	if (ret)
		goto err_engine;
	/* Takes a reference to the mm's structure, not to its users. */
	ret = hm_inject(HM_INJECT_NOTIFIER) ? -ENOMEM :
	      mmu_interval_notifier_insert(&ctx->notifier, ctx->mm, 0, ULONG_MAX & PAGE_MASK,
					   &hm_context_notifier_ops);
	if (ret)
		goto err_family;
	hm_debugfs_add(ctx);
	return ctx;

err_family:
	hm_context_leave(ctx);
err_engine:
	hm_events_close(&ctx->account->events);
	/* The file has a reference of its own, which goes when the file goes. */
	fput(ctx->engine);
	hm_context_put(ctx);
	return ERR_PTR(ret);
err_queue:
	hm_queue_destroy(&ctx->queue);
err_account:
	hm_events_close(&ctx->account->events);
	hm_account_put(ctx->account);
err_context:
	kfree(ctx);
	return ERR_PTR(ret);
}

/* The host's descriptor is closed: engines, which live on, reach nothing more. */
void hm_context_detach(struct hm_context *ctx)
{
	hm_debugfs_remove(ctx);
	hm_context_die(ctx);
	hm_context_leave(ctx);
	mmu_interval_notifier_remove(&ctx->notifier);
	fput(ctx->engine);
	hm_context_put(ctx);
}

static void hm_context_free(struct kref *ref)
{
	struct hm_context *ctx = container_of(ref, struct hm_context, ref);

	hm_table_destroy(&ctx->table);
	hm_queue_destroy(&ctx->queue);
	hm_service_destroy(&ctx->service);
	hm_account_put(ctx->account);
	kfree(ctx);
}

void hm_context_put(struct hm_context *ctx)
{
	kref_put(&ctx->ref, hm_context_free);
}
