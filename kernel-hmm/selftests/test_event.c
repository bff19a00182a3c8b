// SPDX-License-Identifier: GPL-2.0-only
/* What the pager hears of the host, and what it may ask for its books. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "rig.h"

/* A rig that hears of everything. Its own pager must not read: it knows only faults. */
static void open_events(struct rig *rig, unsigned int records)
{
	const struct hmm_mirror_register reg = {
		.queue_size = records,
		.flags = HMM_MIRROR_REGISTER_EVENTS,
	};

	rig_open(rig, &reg);
}

static int read_events(struct rig *rig, struct hmm_mirror_event *events, int max)
{
	ssize_t got = read(rig->fd, events, max * sizeof(*events));

	if (got < 0)
		EXPECT_EQ(errno, EAGAIN);
	return got < 0 ? 0 : got / sizeof(*events);
}

static bool readable(struct rig *rig)
{
	struct pollfd fd = { .fd = rig->fd, .events = POLLIN };

	return poll(&fd, 1, 0) > 0;
}

/* A touch comes home with its neighbours: one record, and nobody is woken for it. */
TEST(event_touch)
{
	struct hmm_mirror_event e[4];
	struct rig rig;
	char *p;

	if (!rig_can_migrate())
		SKIP("no DEVICE_PRIVATE");
	open_events(&rig, 0);
	p = arena_small(0, 64 * PAGE);
	EXPECT_EQ(rig_migrate(&rig, p, 64 * PAGE), 64);
	while (read_events(&rig, e, 4))
		;
	EXPECT_EQ(*(volatile uint64_t *)(p + 20 * PAGE), 1 + 20 * PAGE / 8);
	EXPECT_EQ(readable(&rig), false);
	EXPECT_EQ(read_events(&rig, e, 4), 1);
	EXPECT_EQ(e[0].type, HMM_MIRROR_EVENT_TOUCH);
	EXPECT_EQ(e[0].start, (uint64_t)p + 16 * PAGE);
	EXPECT_EQ(e[0].size, 16 * PAGE);
	EXPECT_EQ(e[0].count, 1);
	EXPECT_EQ(e[0].pages, 16);
	EXPECT_NE(e[0].ns, 0);
	EXPECT_NE(e[0].time, 0);
	/* What follows each other is one. */
	EXPECT_NE(*(volatile uint64_t *)(p + 33 * PAGE), 0);
	EXPECT_NE(*(volatile uint64_t *)(p + 50 * PAGE), 0);
	EXPECT_EQ(read_events(&rig, e, 4), 1);
	EXPECT_EQ(e[0].start, (uint64_t)p + 32 * PAGE);
	EXPECT_EQ(e[0].size, 32 * PAGE);
	EXPECT_EQ(e[0].count, 2);
	EXPECT_EQ(e[0].pages, 32);
	rig_close(&rig);
}

/* Pages that go from under the engine are told, with munmap() all of its range. */
TEST(event_unmap)
{
	struct hmm_mirror_event e[4];
	struct rig rig;
	char *p;

	open_events(&rig, 0);
	p = arena_small(0, 64 * PAGE);
	EXPECT_EQ(rig_mirror(&rig, p + 8 * PAGE, 16 * PAGE, 0), 16);
	EXPECT_EQ(madvise(p, 12 * PAGE, MADV_DONTNEED), 0);
	EXPECT_EQ(read_events(&rig, e, 4), 1);
	EXPECT_EQ(e[0].type, HMM_MIRROR_EVENT_UNMAP);
	EXPECT_EQ(e[0].start, (uint64_t)p + 8 * PAGE);
	EXPECT_EQ(e[0].size, 4 * PAGE);
	EXPECT_EQ(munmap(p + 16 * PAGE, 48 * PAGE), 0);
	EXPECT_EQ(read_events(&rig, e, 4), 1);
	EXPECT_EQ(e[0].type, HMM_MIRROR_EVENT_UNMAP);
	EXPECT_EQ(e[0].start, (uint64_t)p + 16 * PAGE);
	EXPECT_EQ(e[0].size, 48 * PAGE);
	/* Nothing of this is mirrored. */
	EXPECT_EQ(munmap(p, 4 * PAGE), 0);
	EXPECT_EQ(read_events(&rig, e, 4), 0);
	/* But the kernel serves this: what comes there next is for the pager to judge. */
	p = arena_small(BLOCK, 8 * PAGE);
	rig_service(&rig, p, 8 * PAGE, HMM_MIRROR_SERVICE_KERNEL);
	EXPECT_EQ(munmap(p, 8 * PAGE), 0);
	EXPECT_EQ(read_events(&rig, e, 4), 1);
	EXPECT_EQ(e[0].start, (uint64_t)p);
	EXPECT_EQ(e[0].size, 8 * PAGE);
	rig_close(&rig);
}

/* When the records are used up nothing is lost but where exactly. */
TEST(event_overflow)
{
	struct hmm_mirror_event e[64];
	uint64_t pages = 0, count = 0;
	struct rig rig;
	int i, n;
	char *p;

	if (!rig_can_migrate())
		SKIP("no DEVICE_PRIVATE");
	open_events(&rig, 4);
	p = arena_small(0, 512 * PAGE);
	EXPECT_EQ(rig_migrate(&rig, p, 512 * PAGE), 512);
	while (read_events(&rig, e, 64))
		;
	/* Every other 64 KiB, so that none joins another. */
	for (i = 0; i < 512; i += 32)
		EXPECT_NE(*(volatile uint64_t *)(p + i * PAGE), 0);
	EXPECT_EQ(madvise(p + 16 * PAGE, PAGE, MADV_DONTNEED), 0);
	n = read_events(&rig, e, 64);
	EXPECT_EQ(n, 4 + 2);
	for (i = 0; i < 5; i++) {
		EXPECT_EQ(e[i].type, HMM_MIRROR_EVENT_TOUCH);
		count += e[i].count;
		pages += e[i].pages;
	}
	EXPECT_EQ(count, 16);
	EXPECT_EQ(pages, 256);
	EXPECT_EQ(e[4].start, (uint64_t)p + 4 * 32 * PAGE);
	EXPECT_EQ(e[4].size, (11 * 32 + 16) * PAGE);
	EXPECT_EQ(e[5].type, HMM_MIRROR_EVENT_UNMAP);
	EXPECT_EQ(e[5].start, (uint64_t)p + 16 * PAGE);
	rig_close(&rig);
}

/* Faults in the same form, after what has happened before; held ones wait for REPLAY. */
TEST(event_fault)
{
	struct hmm_mirror_range range;
	struct hmm_mirror_event e[4];
	struct rig rig;
	int i, n = 0;
	char *p;

	open_events(&rig, 0);
	p = arena_small(0, 16 * PAGE);
	EXPECT_EQ(rig_mirror(&rig, p, PAGE, 0), 1);
	EXPECT_EQ(madvise(p, PAGE, MADV_DONTNEED), 0);
	engine_start(&rig, 0, ENGINE_WRITE, (uint64_t)p + 9 * PAGE + 16, 8, 77);
	for (i = 0; i < 5000 && !readable(&rig); i++)
		usleep(1000);
	n = read_events(&rig, e, 4);
	EXPECT_EQ(n, 2);
	EXPECT_EQ(e[0].type, HMM_MIRROR_EVENT_UNMAP);
	EXPECT_EQ(e[1].type, HMM_MIRROR_EVENT_FAULT);
	EXPECT_EQ(e[1].start, (uint64_t)p + 9 * PAGE);
	EXPECT_EQ(e[1].size, PAGE);
	EXPECT_EQ(e[1].access, HMM_MIRROR_ACCESS_WRITE);
	EXPECT_EQ(e[1].id, 1);
	EXPECT_EQ(rig_range(&rig, HMM_MIRROR_IOC_MIRROR, p, 16 * PAGE,
			    HMM_MIRROR_WRITE | HMM_MIRROR_HOLD, &range), 0);
	EXPECT_EQ(range.done, 16);
	EXPECT_EQ(engine_poll(&rig, 0, 100), false);
	EXPECT_EQ(rig_range(&rig, HMM_MIRROR_IOC_REPLAY, p, 16 * PAGE, 0, &range), 0);
	EXPECT_EQ(engine_finish(&rig, 0).signal, 0);
	EXPECT_EQ(*(volatile uint64_t *)(p + 9 * PAGE + 16), 77);
	rig_close(&rig);
}

/* Pages in VRAM that the engine lost are found on request only. */
TEST(event_query_host)
{
	struct hmm_mirror_query query = { 0 };
	uint8_t pages[32];
	struct rig rig;
	int i, n;
	char *p;

	if (!rig_can_migrate())
		SKIP("no DEVICE_PRIVATE");
	open_events(&rig, 0);
	p = arena_small(0, 32 * PAGE);
	EXPECT_EQ(rig_migrate(&rig, p, 16 * PAGE), 16);
	EXPECT_EQ(mprotect(p, 16 * PAGE, PROT_READ), 0);
	query.start = (uint64_t)p;
	query.size = sizeof(pages) * PAGE;
	query.pages = (uint64_t)pages;
	EXPECT_EQ(ioctl(rig.fd, HMM_MIRROR_IOC_QUERY, &query), 0);
	for (i = 0; i < 32; i++)
		EXPECT_EQ(pages[i], 0);
	query.flags = HMM_MIRROR_QUERY_HOST;
	EXPECT_EQ(ioctl(rig.fd, HMM_MIRROR_IOC_QUERY, &query), 0);
	for (i = 0, n = 0; i < 32; i++)
		n += pages[i] == HMM_MIRROR_PAGE_VRAM;
	EXPECT_EQ(n, 16);
	query.flags = 2;
	EXPECT_ERRNO(ioctl(rig.fd, HMM_MIRROR_IOC_QUERY, &query), EINVAL);
	query.flags = 0;
	query.pad = 1;
	EXPECT_ERRNO(ioctl(rig.fd, HMM_MIRROR_IOC_QUERY, &query), EINVAL);
	rig_close(&rig);
}

/* What the kernel serves alone is counted by access. */
TEST(event_served)
{
	struct rig rig;
	char *p;

	open_events(&rig, 0);
	p = arena_small(0, 16 * PAGE);
	rig_service(&rig, p, 16 * PAGE, HMM_MIRROR_SERVICE_KERNEL);
	EXPECT_EQ(engine_read(&rig, p), 1);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_SERVED), 1);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_SERVED_WRITE), 0);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_SERVED_PAGES), 16);
	EXPECT_NE(rig_count(&rig, HMM_MIRROR_COUNT_NS_SERVED), 0);
	EXPECT_EQ(madvise(p, 16 * PAGE, MADV_DONTNEED), 0);
	engine_write(&rig, p + PAGE, 5);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_SERVED), 2);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_SERVED_WRITE), 1);
	EXPECT_EQ(rig_count(&rig, HMM_MIRROR_COUNT_SERVED_PAGES_WRITE), 1);
	EXPECT_NE(rig_count(&rig, HMM_MIRROR_COUNT_NS_SERVED_WRITE), 0);
	rig_close(&rig);
}

/* A child's touches are its own. */
TEST(event_child)
{
	struct hmm_mirror_event e[8];
	struct rig rig;
	int i, n, status;
	pid_t pid;
	char *p;

	if (!rig_can_migrate())
		SKIP("no DEVICE_PRIVATE");
	open_events(&rig, 0);
	p = arena_small(0, 16 * PAGE);
	EXPECT_EQ(rig_migrate(&rig, p, 16 * PAGE), 16);
	while (read_events(&rig, e, 8))
		;
	pid = fork();
	if (!pid)
		_exit(*(volatile uint64_t *)p != 1);
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	n = read_events(&rig, e, 8);
	for (i = 0; i < n; i++)
		EXPECT_NE(e[i].type, HMM_MIRROR_EVENT_TOUCH);
	rig_close(&rig);
}
