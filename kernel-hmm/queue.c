// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device faults that wait for the pager's answer.
 *
 * The number of records is fixed at registration, and so is everything that
 * queueing a fault needs: it cannot fail for lack of memory. Faults on one page
 * share a record. When all records are taken, further threads wait until some
 * record is answered and try again.
 *
 * An answer does not carry the page: the threads it wakes repeat the access. A
 * failure has to meet the thread once more on that way, because it is only while
 * handling a fault that a thread can be sent SIGSEGV: such *verdicts* wait for
 * their threads in a list.
 */
#include <linux/hash.h>
#include <linux/ktime.h>
#include <linux/pid.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "internal.h"
#include "trace.h"

struct hm_fault {
	struct list_head list;		/* queue.free, .unread or .given */
	struct hlist_node hash;
	unsigned long index;
	u64 id;
	u64 time;
	struct pid *unit;
	unsigned int users;		/* threads that look at it */
	int result;			/* once answered: 0 or -errno */
	bool write;
	bool given;			/* to the pager */
	bool answered;
};

struct hm_verdict {
	struct list_head list;
	struct task_struct *task;	/* only compared */
	u64 start_time;			/* ... together with this */
	unsigned long index;
};

int hm_queue_init(struct hm_queue *queue, unsigned int size)
{
	unsigned int i;

	if (hm_inject(HM_INJECT_QUEUE))
		return -ENOMEM;
	queue->size = size;
	spin_lock_init(&queue->lock);
	INIT_LIST_HEAD(&queue->free);
	INIT_LIST_HEAD(&queue->unread);
	INIT_LIST_HEAD(&queue->given);
	INIT_LIST_HEAD(&queue->verdicts);
	init_waitqueue_head(&queue->readers);
	init_waitqueue_head(&queue->waiters);
	atomic_set(&queue->generation, 0);
	queue->hash_bits = max(1, ilog2(roundup_pow_of_two(size)));
	queue->hash = kvcalloc(1u << queue->hash_bits, sizeof(*queue->hash), GFP_KERNEL_ACCOUNT);
	queue->slots = kvcalloc(size, sizeof(*queue->slots), GFP_KERNEL_ACCOUNT);
	if (!queue->hash || !queue->slots) {
		kvfree(queue->hash);
		kvfree(queue->slots);
		return -ENOMEM;
	}
	for (i = 0; i < size; i++)
		list_add_tail(&queue->slots[i].list, &queue->free);
	return 0;
}

/* No thread waits any more. */
void hm_queue_destroy(struct hm_queue *queue)
{
	struct hm_verdict *verdict, *next;
	struct hm_fault *fault;

	list_for_each_entry_safe(verdict, next, &queue->verdicts, list)
		kfree(verdict);
	list_for_each_entry(fault, &queue->unread, list)
		put_pid(fault->unit);
	list_for_each_entry(fault, &queue->given, list)
		put_pid(fault->unit);
	kvfree(queue->hash);
	kvfree(queue->slots);
}

static struct hlist_head *hm_queue_bucket(struct hm_queue *queue, unsigned long index)
{
	return &queue->hash[hash_long(index, queue->hash_bits)];
}

static struct hm_fault *hm_queue_find(struct hm_queue *queue, unsigned long index)
{
	struct hm_fault *fault;

	hlist_for_each_entry(fault, hm_queue_bucket(queue, index), hash)
		if (fault->index == index)
			return fault;
	return NULL;
}

/* A record is free again: for threads that found none. */
static void hm_fault_free(struct hm_queue *queue, struct hm_fault *fault)
{
	put_pid(fault->unit);
	fault->unit = NULL;
	list_move(&fault->list, &queue->free);
	if (queue->starved)
		wake_up_all(&queue->waiters);
}

/*
 * A thread looks no longer. With the last one goes a record that was answered, and
 * one that nobody has read. One that the pager knows stays until it is answered.
 */
static void hm_fault_leave(struct hm_queue *queue, struct hm_fault *fault)
{
	if (--fault->users || (fault->given && !fault->answered))
		return;
	if (!fault->answered)
		hlist_del(&fault->hash);
	hm_fault_free(queue, fault);
}

/* Wait until there is a free record, or there might be. */
static int hm_queue_wait_room(struct hm_context *ctx, bool interruptible)
{
	struct hm_queue *queue = &ctx->queue;
	int ret;

	if (interruptible)
		ret = wait_event_interruptible(queue->waiters, READ_ONCE(ctx->dead) ||
					       !list_empty_careful(&queue->free));
	else
		ret = wait_event_killable(queue->waiters, READ_ONCE(ctx->dead) ||
					  !list_empty_careful(&queue->free));
	spin_lock(&queue->lock);
	queue->starved--;
	spin_unlock(&queue->lock);
	return ret;
}

/*
 * Queue a fault and wait for its answer. @generation was read before the device
 * page table was looked at: if there was an answer since, it may have been this
 * one, and the access is repeated at once. @interruptible: by any signal, not only
 * by fatal ones.
 *
 * No lock is held; the caller keeps the context. Returns when the access is to be
 * repeated.
 */
int hm_queue_wait(struct hm_context *ctx, unsigned long index, bool write, int generation,
		  bool interruptible)
{
	struct hm_queue *queue = &ctx->queue;
	struct hm_verdict *verdict = NULL;
	struct hm_fault *fault;
	bool news = false, fresh = false;
	int ret, result;

	spin_lock(&queue->lock);
	if (atomic_read(&queue->generation) != generation) {
		spin_unlock(&queue->lock);
		return 0;
	}
	fault = hm_queue_find(queue, index);
	if (fault) {
		hm_count(ctx->account, HMM_MIRROR_COUNT_MERGED, 1);
		if (write && !fault->write) {
			fault->write = true;
			fault->given = false;
			list_move_tail(&fault->list, &queue->unread);
			news = true;
		}
	} else if (!list_empty(&queue->free)) {
		fault = list_first_entry(&queue->free, struct hm_fault, list);
		fault->index = index;
		fault->id = ++queue->next_id;
		fault->time = ktime_get_ns();
		fault->unit = get_pid(task_pid(current));
		fault->users = 0;
		fault->write = write;
		fault->given = false;
		fault->answered = false;
		fresh = true;
		list_move_tail(&fault->list, &queue->unread);
		hlist_add_head(&fault->hash, hm_queue_bucket(queue, index));
		hm_count(ctx->account, HMM_MIRROR_COUNT_FAULTS, 1);
		news = true;
	}
	if (fault)
		fault->users++;
	else
		queue->starved++;
	spin_unlock(&queue->lock);
	trace_hmm_mirror_fault(ctx->mm, index, write, fault && !fresh);

	if (!fault) {
		hm_count(ctx->account, HMM_MIRROR_COUNT_OVERFLOW, 1);
		return hm_queue_wait_room(ctx, interruptible);
	}
	if (news)
		wake_up_interruptible_poll(&queue->readers, EPOLLIN | EPOLLRDNORM);

	if (interruptible)
		ret = wait_event_interruptible(queue->waiters, READ_ONCE(ctx->dead) ||
					       READ_ONCE(fault->answered));
	else
		ret = wait_event_killable(queue->waiters, READ_ONCE(ctx->dead) ||
					  READ_ONCE(fault->answered));

	spin_lock(&queue->lock);
	result = fault->answered ? fault->result : 0;
	hm_fault_leave(queue, fault);
	spin_unlock(&queue->lock);

	/*
	 * Without memory for it, or after a signal, the access that is repeated,
	 * if it is, asks the pager again.
	 */
	if (result && !ret && !hm_inject(HM_INJECT_VERDICT))
		verdict = kmalloc_obj(*verdict, GFP_KERNEL_ACCOUNT);
	if (verdict) {
		verdict->task = current;
		verdict->start_time = current->start_time;
		verdict->index = index;
		spin_lock(&queue->lock);
		list_add(&verdict->list, &queue->verdicts);
		spin_unlock(&queue->lock);
	}
	return ret;
}

/*
 * Whether the calling thread was told that @index fails. That is said once. A
 * thread that went elsewhere meanwhile (a signal) has forgotten.
 */
bool hm_queue_take_verdict(struct hm_queue *queue, unsigned long index)
{
	struct hm_verdict *verdict, *next;
	bool failed = false;

	if (list_empty_careful(&queue->verdicts))
		return false;
	spin_lock(&queue->lock);
	list_for_each_entry_safe(verdict, next, &queue->verdicts, list) {
		if (verdict->task != current)
			continue;
		if (verdict->start_time == current->start_time && verdict->index == index)
			failed = true;
		list_del(&verdict->list);
		kfree(verdict);
	}
	spin_unlock(&queue->lock);
	return failed;
}

static void hm_queue_answer_list(struct hm_queue *queue, struct list_head *list,
				 unsigned long first, unsigned long last, int result)
{
	struct hm_fault *fault, *next;

	list_for_each_entry_safe(fault, next, list, list) {
		if (fault->index < first || fault->index > last)
			continue;
		fault->result = result;
		hlist_del(&fault->hash);
		if (fault->users) {
			/* The last of its threads puts it back. */
			list_del_init(&fault->list);
			WRITE_ONCE(fault->answered, true);
		} else {
			hm_fault_free(queue, fault);
		}
	}
}

/* Let the threads that wait for the pages @first to @last repeat, or fail. */
void hm_queue_answer(struct hm_context *ctx, unsigned long first, unsigned long last, int result)
{
	struct hm_queue *queue = &ctx->queue;

	spin_lock(&queue->lock);
	atomic_inc(&queue->generation);
	hm_queue_answer_list(queue, &queue->unread, first, last, result);
	hm_queue_answer_list(queue, &queue->given, first, last, result);
	spin_unlock(&queue->lock);
	if (wq_has_sleeper(&queue->waiters))
		wake_up_all(&queue->waiters);
}

/* Give out the next fault. False: there is none. */
static bool hm_queue_next(struct hm_queue *queue, struct hmm_mirror_event *record)
{
	struct hm_fault *fault;

	spin_lock(&queue->lock);
	fault = list_first_entry_or_null(&queue->unread, struct hm_fault, list);
	if (fault) {
		*record = (struct hmm_mirror_event) {
			.type = HMM_MIRROR_EVENT_FAULT,
			.access = fault->write ? HMM_MIRROR_ACCESS_WRITE : HMM_MIRROR_ACCESS_READ,
			.start = (u64)fault->index << PAGE_SHIFT,
			.size = PAGE_SIZE,
			.time = fault->time,
			.id = fault->id,
			.unit = pid_vnr(fault->unit),
			.count = 1,
		};
		fault->given = true;
		list_move_tail(&fault->list, &queue->given);
	}
	spin_unlock(&queue->lock);
	return fault;
}

/* Hand a record over, in the form that the reader knows. Returns its size or -EFAULT. */
static ssize_t hm_queue_copy(char __user *buffer, const struct hmm_mirror_event *record,
			     bool events)
{
	struct hmm_mirror_fault fault = {
		.address = record->start,
		.id = record->id,
		.time = record->time,
		.access = record->access,
		.unit = record->unit,
	};
	size_t size = events ? sizeof(*record) : sizeof(fault);

	return copy_to_user(buffer, events ? (const void *)record : &fault, size) ? -EFAULT : size;
}

ssize_t hm_queue_read(struct hm_context *ctx, char __user *buffer, size_t size, bool nonblock)
{
	struct hm_queue *queue = &ctx->queue;
	bool events = ctx->account->events.size;
	size_t each = events ? sizeof(struct hmm_mirror_event) : sizeof(struct hmm_mirror_fault);
	struct hmm_mirror_event record;
	size_t done = 0;

	if (size < each)
		return -EINVAL;
	while (size - done >= each) {
		ssize_t ret;

		if (READ_ONCE(ctx->dead))
			return done ?: -ENXIO;
		if (!hm_event_next(ctx->account, &record) && !hm_queue_next(queue, &record)) {
			if (done)
				break;
			if (nonblock)
				return -EAGAIN;
			ret = wait_event_interruptible(queue->readers, READ_ONCE(ctx->dead) ||
						       !list_empty_careful(&queue->unread));
			if (ret)
				return ret;
			continue;
		}
		/*
		 * What could not be handed over is lost to this reader, not to
		 * the threads: they can be answered by their addresses.
		 */
		ret = hm_queue_copy(buffer + done, &record, events);
		if (ret < 0)
			return done ?: ret;
		done += ret;
		cond_resched();
	}
	return done;
}
