// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the host did with mirrored pages, for the books of the pager. Nobody waits
 * for these records; they are read together with faults.
 *
 * All memory is allocated at registration, so that an event can be noted anywhere:
 * while a page is on its way home, and in notifier callbacks under context.lock.
 * They belong to the account, because a touch of a page in VRAM knows only that.
 */
#include <linux/ktime.h>
#include <linux/slab.h>

#include "internal.h"

int hm_events_init(struct hm_events *events, struct mm_struct *mm, unsigned int size)
{
	events->ring = kvcalloc(size, sizeof(*events->ring), GFP_KERNEL_ACCOUNT);
	if (!events->ring)
		return -ENOMEM;
	events->size = size;
	events->mm = mm;
	return 0;
}

/*
 * The host's address space ends: what its children do is nobody's business. May sleep;
 * the account itself goes with the last page in VRAM, wherever that is freed.
 */
void hm_events_close(struct hm_events *events)
{
	struct hm_event *ring;

	spin_lock(&events->lock);
	ring = events->ring;
	events->mm = NULL;
	events->ring = NULL;
	events->count = 0;
	spin_unlock(&events->lock);
	kvfree(ring);
}

static bool hm_event_joins(const struct hm_event *event, u32 type, unsigned long first,
			   unsigned long last)
{
	return event->type == type && first <= event->last + 1 && last + 1 >= event->first;
}

static struct hm_event *hm_events_last(struct hm_events *events)
{
	return &events->ring[(events->head + events->count - 1) % events->size];
}

/*
 * Note that @mm, if it is the host, had the pages @first to @last touched or
 * unmapped. Any context that may take a spinlock.
 */
void hm_event_add(struct hm_account *account, const struct mm_struct *mm, u32 type,
		  unsigned long first, unsigned long last, u64 pages, u64 ns)
{
	struct hm_events *events = &account->events;
	struct hm_event *event;
	u64 now = ktime_get_ns();

	if (!events->size || READ_ONCE(events->mm) != mm)
		return;
	spin_lock(&events->lock);
	if (events->mm != mm) {
		spin_unlock(&events->lock);
		return;
	}
	if (events->count && hm_event_joins(hm_events_last(events), type, first, last)) {
		event = hm_events_last(events);
	} else if (events->count < events->size) {
		events->count++;
		event = hm_events_last(events);
		event->count = 0;
	} else {
		event = &events->more[type == HMM_MIRROR_EVENT_UNMAP];
	}
	if (!event->count)
		*event = (struct hm_event) { .type = type, .first = first, .last = last };
	event->first = min(event->first, first);
	event->last = max(event->last, last);
	event->count++;
	event->pages += pages;
	event->ns += ns;
	event->time = now;
	spin_unlock(&events->lock);
}

/* Take the oldest out. False: there is none. */
bool hm_event_next(struct hm_account *account, struct hmm_mirror_event *record)
{
	struct hm_events *events = &account->events;
	struct hm_event event = { .count = 0 };
	unsigned int i;

	if (!events->size)
		return false;
	spin_lock(&events->lock);
	if (events->count) {
		event = events->ring[events->head];
		events->head = (events->head + 1) % events->size;
		events->count--;
	}
	for (i = 0; !event.count && i < ARRAY_SIZE(events->more); i++)
		swap(event, events->more[i]);
	spin_unlock(&events->lock);
	if (!event.count)
		return false;
	*record = (struct hmm_mirror_event) {
		.type = event.type,
		.start = (u64)event.first << PAGE_SHIFT,
		.size = (u64)(event.last - event.first + 1) << PAGE_SHIFT,
		.time = event.time,
		.count = event.count,
		.pages = event.pages,
		.ns = event.ns,
	};
	return true;
}
