// SPDX-License-Identifier: MIT
/*
 * Requests of other threads, one slot each. A slot goes FREE -> TAKEN (by the thread) -> POSTED -> DONE (by the pager)
 * -> FREE. The thread waits on the slot, which is never in VRAM; the pager never looks at the thread's own memory.
 */
#include <sched.h>

#include "mirror/uffd_sys.h"
#include "pager/pager_private.h"

enum { SLOT_FREE, SLOT_TAKEN, SLOT_POSTED, SLOT_DONE };

static struct mcl_pager_request *take_slot(struct mcl_pager *p)
{
	for (;;) {
		for (int i = 0; i < REQUESTS; i++) {
			uint32_t expected = SLOT_FREE;

			if (atomic_compare_exchange_strong(&p->requests[i].state, &expected, SLOT_TAKEN))
				return &p->requests[i];
		}
		sched_yield();
	}
}

void mcl_pager_ask(struct mcl_pager *p, enum mcl_request_kind kind, uint64_t start, uint64_t size)
{
	struct mcl_pager_request *r = take_slot(p);
	uint64_t one = 1;
	uint32_t state;

	r->kind = kind;
	r->start = start;
	r->size = size;
	atomic_store(&r->state, SLOT_POSTED);
	mcl_raw(SYS_write, (uint64_t)p->wake_fd, (uint64_t)&one, sizeof(one), 0, 0, 0);
	while ((state = atomic_load(&r->state)) != SLOT_DONE)
		mcl_raw_futex_wait(&r->state, state);
	atomic_store(&r->state, SLOT_FREE);
}

static void finish(struct mcl_pager_request *r)
{
	atomic_store(&r->state, SLOT_DONE);
	mcl_raw_futex_wake(&r->state);
}

void mcl_pager_serve_requests(struct mcl_pager *p)
{
	for (int i = 0; i < REQUESTS; i++) {
		struct mcl_pager_request *r = &p->requests[i];

		if (atomic_load(&r->state) != SLOT_POSTED)
			continue;
		switch (r->kind) {
		case REQUEST_TO_DEVICE:
		case REQUEST_TO_HOST:
			/* Between freeze and thaw a hint is dropped: that is allowed at any time. */
			if (!p->frozen || r->kind == REQUEST_TO_HOST)
				mcl_pager_move(p, r->start, r->size, r->kind == REQUEST_TO_HOST);
			break;
		case REQUEST_REFRESH:
			if (p->ops->refresh)
				p->ops->refresh(p->m);
			break;
		case REQUEST_FLUSH:
			if (p->ops->flush)
				p->ops->flush(p->m);
			break;
		case REQUEST_FREEZE:
			p->frozen++;
			p->ops->home(p->m);
			mcl_pager_account_all(p);
			break;
		case REQUEST_THAW:
			p->frozen--;
			break;
		case REQUEST_NONE:
			break;
		}
		finish(r);
	}
}

void mcl_pager_cancel_requests(struct mcl_pager *p)
{
	for (int i = 0; i < REQUESTS; i++)
		if (atomic_load(&p->requests[i].state) == SLOT_POSTED)
			finish(&p->requests[i]);
}
