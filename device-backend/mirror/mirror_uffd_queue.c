// SPDX-License-Identifier: MIT
/*
 * The queue of what the host's userfaultfd has reported and nobody has handled yet: reading it, and asking it where something
 * is by now. What is done about an event is not said here (mirror_uffd_event.c).
 *
 * A thread that changes the address space waits only until its report is read, so everything that is read is kept in the order
 * of reading. Between the reading of a report and its handling the queue says what the books do not know yet.
 */
#include <string.h>

#include "engine/boot_uffd.h"
#include "mirror/mirror_uffd.h"
#include "mirror/uffd_sys.h"

#define READ_BATCH 32
/* How long to look out for the moment between two changes of a thread that makes one after the other. */
#define QUIET_NS 30000ull
#define WORD(name) (&u->words[MCL_BOOT_WORD_##name])

/*
 * Whether @m, just read, is of a MADV_FREE. That lets the kernel take pages some time, until they are stored to; what is in
 * VRAM is just kept, then. It is reported even where it is about to fail, as it does on what is mapped in place. If
 * MADV_DONTNEED of the same is under way, too, whichever of them this is of: the contents may go.
 */
static bool is_lazy(struct mcl_uffd *u, const struct uffd_msg *m)
{
	switch (mcl_uffd_reporter(u, m)) {
	case REPORTER_FREES:
		return true;
	case REPORTER_UNSEEN:
		return m->event == UFFD_EVENT_REMOVE && !mcl_uffd_emptied(u, m->arg.remove.start, m->arg.remove.end);
	default:
		return false;
	}
}

bool mcl_uffd_changing_now(struct mcl_uffd *u)
{
	return mcl_uffd_watched(u, u->probe, u->probe + PAGE_SIZE) == -EAGAIN;
}

void mcl_uffd_ring(struct mcl_uffd *u)
{
	const uint64_t one = 1;

	mcl_raw(SYS_write, (uint64_t)u->again_fd, (uint64_t)&one, sizeof(one), 0, 0, 0);
}

bool mcl_uffd_event_range(const struct uffd_msg *m, uint64_t *start, uint64_t *end)
{
	switch (m->event) {
	case UFFD_EVENT_UNMAP:
	case UFFD_EVENT_REMOVE:
		*start = m->arg.remove.start;
		*end = m->arg.remove.end;
		return true;
	case UFFD_EVENT_REMAP:
		*start = m->arg.remap.from;
		*end = m->arg.remap.from + m->arg.remap.len;
		return true;
	default:
		return false;
	}
}

/* Whether @m, just read, says what is in the queue already: nothing can have come to the range in between. */
static bool repeated(struct mcl_uffd *u, const struct uffd_msg *m)
{
	uint64_t start, end;

	if (m->event != UFFD_EVENT_REMOVE)
		return false;
	for (unsigned int i = u->queue.count; i-- > 0;) {
		const struct uffd_msg *before = &u->queue.msgs[i];

		if (before->event == UFFD_EVENT_REMAP && before->arg.remap.to < m->arg.remove.end &&
		    before->arg.remap.to + before->arg.remap.len > m->arg.remove.start)
			return false;
		if (mcl_uffd_event_range(before, &start, &end) && start < m->arg.remove.end &&
		    end > m->arg.remove.start)
			return before->event == UFFD_EVENT_REMOVE && start == m->arg.remove.start &&
			       end == m->arg.remove.end;
	}
	return false;
}

/* Put the @n messages behind the queue into it, and number those that are changes. Returns whether there are any. */
static bool append(struct mcl_uffd *u, unsigned int n)
{
	const struct uffd_msg *m = &u->queue.msgs[u->queue.count];
	bool change = false;

	for (; n--; m++) {
		struct uffd_msg msg = *m;

		if (msg.event != UFFD_EVENT_PAGEFAULT) {
			change = true;
			if (is_lazy(u, &msg) || repeated(u, &msg))
				continue;
			msg.SEQUENCE = ++u->changes_read;
		}
		u->queue.msgs[u->queue.count++] = msg;
	}
	return change;
}

/*
 * A change has just been read. The kernel counts it as being made until its thread has woken up, and that one may begin the next at
 * once: a tight loop of them leaves a moment of a few microseconds in which none is. If somebody waits for such a moment, look
 * out for it. @wanted: who has begun to wait before the change was read.
 */
static void note_quiet(struct mcl_uffd *u, uint32_t wanted)
{
	u->read_ns = mcl_raw_now_ns();
	if (wanted == atomic_load(WORD(DONE)))
		return;
	while (mcl_uffd_changing_now(u))
		if (mcl_raw_now_ns() - u->read_ns > QUIET_NS)
			return;
	u->quiet_after = u->changes_read;
	u->quiet_wanted = wanted;
}

void mcl_uffd_drain(struct mcl_uffd *u)
{
	const unsigned int before = u->queue.count;
	const uint32_t was_busy = atomic_load(WORD(BUSY));
	bool change = false, rung = false;

	/* Before anything is read, whatever it will be: the thread that it lets go may look at this next. */
	atomic_store(WORD(BUSY), 1);
	while (!change) {
		const bool changing = mcl_uffd_changing_now(u);
		const uint64_t room = mcl_min64(QUEUE_SIZE - u->queue.count, changing ? 1 : READ_BATCH);
		const uint32_t wanted = atomic_load(WORD(WANTED));
		long n;

		/* One at a time then, so that each is looked for before it is read. */
		if (!changing) {
			mcl_uffd_none_waits(u);
		} else {
			mcl_uffd_early(u);
			/* Most callers are in the middle of something; whoever polls next must not sleep over this. */
			mcl_uffd_ring(u);
			rung = true;
		}
		n = mcl_raw(SYS_read, (uint64_t)u->host_fd, (uint64_t)&u->queue.msgs[u->queue.count],
			    room * sizeof(struct uffd_msg), 0, 0, 0);
		if (n == -EINTR)
			continue;
		if (n <= 0)
			break;
		change = append(u, (unsigned int)n / sizeof(struct uffd_msg));
		if (u->queue.count == QUEUE_SIZE)
			mcl_uffd_fatal("too many threads touch memory of the userfaultfd mirror at once", 0, 0);
		if (change)
			note_quiet(u, wanted);
	}
	if (u->queue.count > before && !rung)
		mcl_uffd_ring(u);
	if (!mcl_uffd_changing(u))
		atomic_store(WORD(BUSY), was_busy);
}

bool mcl_uffd_again(struct mcl_uffd *u, uint64_t start, uint64_t end)
{
	/* See note_quiet(): the moment is caught by trying. */
	if (mcl_raw_now_ns() - u->read_ns > QUIET_NS)
		mcl_uffd_drain(u);
	return u->queue.count < QUEUE_LONG && !mcl_uffd_disturbed(u, start, end);
}

uint64_t mcl_uffd_translate(struct mcl_uffd *u, uint64_t address)
{
	for (unsigned int i = 0; i < u->queue.count; i++) {
		const struct uffd_msg *m = &u->queue.msgs[i];
		uint64_t start, end;

		if (!mcl_uffd_event_range(m, &start, &end) || address < start || address >= end)
			continue;
		if (m->event != UFFD_EVENT_REMAP)
			return 0;
		address += m->arg.remap.to - start;
	}
	return address;
}

bool mcl_uffd_disturbed(struct mcl_uffd *u, uint64_t from, uint64_t to)
{
	for (unsigned int i = 0; i < u->queue.count; i++) {
		const struct uffd_msg *m = &u->queue.msgs[i];
		uint64_t start, end;

		if (!mcl_uffd_event_range(m, &start, &end))
			continue;
		if (start < to && end > from)
			return true;
		if (m->event == UFFD_EVENT_REMAP && m->arg.remap.to < to && m->arg.remap.to + m->arg.remap.len > from)
			return true;
	}
	return false;
}

bool mcl_uffd_moving(struct mcl_uffd *u, uint64_t from, uint64_t to)
{
	if (u->moving.start < to && u->moving.end > from)
		return true;
	for (unsigned int i = 0; i < u->queue.count; i++) {
		const struct uffd_msg *m = &u->queue.msgs[i];

		if (m->event == UFFD_EVENT_REMAP && m->arg.remap.from < to &&
		    m->arg.remap.from + m->arg.remap.len > from)
			return true;
	}
	return false;
}

bool mcl_uffd_changing(struct mcl_uffd *u)
{
	for (unsigned int i = 0; i < u->queue.count; i++)
		if (u->queue.msgs[i].event != UFFD_EVENT_PAGEFAULT)
			return true;
	return false;
}

void mcl_uffd_event_forget(struct mcl_uffd *u, unsigned int i)
{
	u->queue.count--;
	memmove(&u->queue.msgs[i], &u->queue.msgs[i + 1], (u->queue.count - i) * sizeof(struct uffd_msg));
}

static bool unmap_within(const struct uffd_msg *m, uint64_t start, uint64_t end)
{
	return m->event == UFFD_EVENT_UNMAP && m->arg.remove.start >= start && m->arg.remove.end <= end;
}

bool mcl_uffd_own_unmap(struct mcl_uffd *u, uint64_t start, uint64_t end)
{
	uint64_t parts = 0;

	for (unsigned int i = u->queue.count; i-- > 0;) {
		const struct uffd_msg *m = &u->queue.msgs[i];

		if (m->event == UFFD_EVENT_UNMAP && m->arg.remove.start == start && m->arg.remove.end == end) {
			mcl_uffd_event_forget(u, i);
			return true;
		}
		if (unmap_within(m, start, end))
			parts += m->arg.remove.end - m->arg.remove.start;
	}
	/* There is one for each mapping, and mprotect() may have made several of what was one. */
	if (parts != end - start)
		return false;
	for (unsigned int i = u->queue.count; i-- > 0;)
		if (unmap_within(&u->queue.msgs[i], start, end))
			mcl_uffd_event_forget(u, i);
	return true;
}

bool mcl_uffd_own_remap(struct mcl_uffd *u, uint64_t from, uint64_t to, uint64_t size)
{
	for (unsigned int i = u->queue.count; i-- > 0;) {
		const struct uffd_msg *m = &u->queue.msgs[i];

		if (m->event == UFFD_EVENT_REMAP && m->arg.remap.from == from && m->arg.remap.to == to &&
		    m->arg.remap.len == size) {
			mcl_uffd_event_forget(u, i);
			return true;
		}
	}
	return false;
}
