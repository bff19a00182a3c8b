// SPDX-License-Identifier: MIT
/* The mirror that tests of the pager give it; see fake_mirror.h. */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "pager/tests/fake_mirror.h"

struct fake fake;
struct mcl_pager *pager;
uint64_t fake_now_ns;

static uint64_t now_ns(void)
{
	return fake_now_ns;
}

/* ---- the mirror ---- */

/* Notes the call. True: it is to be refused, with *ret. */
static bool note(enum fake_op op, uint64_t start, uint64_t size, uint64_t address, enum mcl_access access, long *ret)
{
	if (fake.call_count < FAKE_CALLS)
		fake.calls[fake.call_count++] = (struct fake_call){ op, start, size, address, access };
	fake.ops[op]++;
	if (!fake.refuse[op].times)
		return false;
	fake.refuse[op].times--;
	*ret = fake.refuse[op].ret;
	return true;
}

/* Every page of the range that is @from, or anything but @to if @from is @to, becomes @to. Returns how many. */
static long change(uint64_t start, uint64_t size, enum mcl_residency from, enum mcl_residency to)
{
	long pages = 0;

	for (uint64_t at = start; at < start + size; at += PAGE_SIZE) {
		uint64_t i = (at - FAKE_BASE) / PAGE_SIZE;

		if (at < FAKE_BASE || i >= FAKE_SIZE / PAGE_SIZE)
			continue;
		if (fake.residency[i] != to && (from == to || fake.residency[i] == from)) {
			fake.residency[i] = (uint8_t)to;
			pages++;
		}
	}
	return pages;
}

static int keep_out(struct mcl_mirror *m, uint64_t start, uint64_t size)
{
	(void)m, (void)start, (void)size;
	return fake.keep_out_error;
}

static int event_fd(struct mcl_mirror *m)
{
	(void)m;
	return fake.event_fd;
}

static int next_events(struct mcl_mirror *m, struct mcl_mirror_event *events, unsigned int max)
{
	unsigned int n = 0;
	uint64_t ignored;

	(void)m;
	pthread_mutex_lock(&fake.lock);
	while (n < max && fake.event_next < fake.event_count)
		events[n++] = fake.events[fake.event_next++];
	if (fake.event_next == fake.event_count) {
		fake.event_next = fake.event_count = 0;
		/* It may not have been rung. */
		if (read(fake.event_fd, &ignored, sizeof(ignored)) < 0)
			ignored = 0;
	}
	pthread_mutex_unlock(&fake.lock);
	return (int)n;
}

static void extent(struct mcl_mirror *m, uint64_t address, struct mcl_extent *out)
{
	(void)m;
	for (unsigned int i = 0; i < fake.extent_count; i++) {
		if (address >= fake.extents[i].start && address < fake.extents[i].end) {
			*out = fake.extents[i];
			return;
		}
	}
	*out = (struct mcl_extent){ address, address + PAGE_SIZE, MCL_EXTENT_NONE, false, false, false };
	if (address >= FAKE_BASE && address < FAKE_BASE + FAKE_SIZE)
		*out = (struct mcl_extent){
			FAKE_BASE, FAKE_BASE + FAKE_SIZE, MCL_EXTENT_PAGEABLE, true, true, true,
		};
}

static long map(struct mcl_mirror *m, uint64_t start, uint64_t size, uint64_t address, enum mcl_access access)
{
	long ret;

	(void)m;
	if (note(FAKE_MAP, start, size, address, access, &ret))
		return ret;
	return change(start, size, MCL_RES_SYSTEM, MCL_RES_SYSTEM);
}

static long migrate(struct mcl_mirror *m, uint64_t start, uint64_t size, uint64_t address)
{
	long ret;

	(void)m;
	if (note(FAKE_MIGRATE, start, size, address, MCL_ACCESS_READ, &ret))
		return ret;
	return change(start, size, MCL_RES_NONE, MCL_RES_VRAM);
}

static long evict(struct mcl_mirror *m, uint64_t start, uint64_t size)
{
	long ret;

	(void)m;
	if (note(FAKE_EVICT, start, size, start, MCL_ACCESS_READ, &ret))
		return ret;
	return change(start, size, MCL_RES_VRAM, MCL_RES_NONE);
}

static void count(struct mcl_mirror *m, uint64_t base, uint64_t *vram, uint64_t *shared)
{
	(void)m;
	*vram = fake_pages(base, BLOCK, MCL_RES_VRAM);
	*shared = fake_pages(base, BLOCK, MCL_RES_SYSTEM);
}

static void replay(struct mcl_mirror *m, uint64_t start, uint64_t size)
{
	long ret;

	(void)m;
	note(FAKE_REPLAY, start, size, start, MCL_ACCESS_READ, &ret);
}

static void refresh(struct mcl_mirror *m)
{
	long ret;

	(void)m;
	note(FAKE_REFRESH, 0, 0, 0, MCL_ACCESS_READ, &ret);
}

static void flush(struct mcl_mirror *m)
{
	long ret;

	(void)m;
	note(FAKE_FLUSH, 0, 0, 0, MCL_ACCESS_READ, &ret);
}

static void home(struct mcl_mirror *m)
{
	long ret;

	(void)m;
	note(FAKE_HOME, 0, 0, 0, MCL_ACCESS_READ, &ret);
	memset(fake.residency, MCL_RES_NONE, sizeof(fake.residency));
}

static void engine_gone(struct mcl_mirror *m)
{
	long ret;

	(void)m;
	note(FAKE_GONE, 0, 0, 0, MCL_ACCESS_READ, &ret);
	memset(fake.residency, MCL_RES_NONE, sizeof(fake.residency));
}

static void fail_fault(struct mcl_mirror *m, const struct mcl_fault *f)
{
	long ret;

	(void)m;
	note(FAKE_FAIL, f->address, PAGE_SIZE, f->address, f->access, &ret);
}

static enum mcl_residency residency(struct mcl_mirror *m, uint64_t address)
{
	(void)m;
	return fake_residency(address);
}

static const struct mcl_mirror_ops ops = {
	.name = "fake",
	.faults = true,
	.keep_out = keep_out,
	.event_fd = event_fd,
	.next_events = next_events,
	.extent = extent,
	.map = map,
	.migrate = migrate,
	.evict = evict,
	.count = count,
	.replay = replay,
	.refresh = refresh,
	.flush = flush,
	.home = home,
	.engine_gone = engine_gone,
	.fail = fail_fault,
	.residency = residency,
};

/* ---- for tests ---- */

static void start(uint64_t chunk, uint32_t promote_after, uint32_t hold_us, uint64_t vram)
{
	const struct mcl_pager_policy policy = { chunk, promote_after, hold_us };
	const struct mcl_mirror_params params = { .vram_size = vram ? vram : 1ull << 30 };
	struct mcl_reason why;

	memset(&fake, 0, sizeof(fake));
	fake.base.ops = &ops;
	fake.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_true(fake.event_fd >= 0);
	fake_now_ns = 1000000000000ull;
	assert_int_equal(mcl_pager_new((struct mcl_mirror *)&fake, &params, &policy, &pager, &why), 0);
	pager->now_ns = now_ns;
}

int fake_setup(void **state)
{
	(void)state;
	start(0, 3, 50, 0);
	return 0;
}

int fake_teardown(void **state)
{
	(void)state;
	mcl_pager_delete(pager);
	close(fake.event_fd);
	return 0;
}

void fake_restart(uint64_t chunk, uint32_t promote_after, uint32_t hold_us, uint64_t vram)
{
	fake_teardown(NULL);
	start(chunk, promote_after, hold_us, vram);
}

void fake_report(enum mcl_mirror_event_type type, uint64_t address, uint64_t size, enum mcl_access access, bool waits)
{
	const uint64_t one = 1;

	pthread_mutex_lock(&fake.lock);
	assert_true(fake.event_count < FAKE_EVENTS);
	fake.events[fake.event_count++] = (struct mcl_mirror_event){
		.type = type,
		.fault = { .address = address, .access = access, .unit = UINT32_MAX },
		.start = address & ~(PAGE_SIZE - 1),
		.size = size,
		.waits = waits,
	};
	assert_int_equal(write(fake.event_fd, &one, sizeof(one)), sizeof(one));
	pthread_mutex_unlock(&fake.lock);
}

void fake_device(uint64_t address, enum mcl_access access)
{
	fake_report(MCL_MEV_DEVICE_FAULT, address, PAGE_SIZE, access, true);
	mcl_pager_events(pager);
}

void fake_host(uint64_t address)
{
	fake_report(MCL_MEV_CPU_FAULT, address, PAGE_SIZE, MCL_ACCESS_READ, true);
	mcl_pager_events(pager);
}

void fake_refuse(enum fake_op op, unsigned int times, long ret)
{
	fake.refuse[op].times = times;
	fake.refuse[op].ret = ret;
}

void fake_forget_calls(void)
{
	fake.call_count = 0;
	memset(fake.ops, 0, sizeof(fake.ops));
}

enum mcl_residency fake_residency(uint64_t address)
{
	uint64_t i = (address - FAKE_BASE) / PAGE_SIZE;

	return address >= FAKE_BASE && i < FAKE_SIZE / PAGE_SIZE ? fake.residency[i] : MCL_RES_NONE;
}

uint64_t fake_pages(uint64_t start_at, uint64_t size, enum mcl_residency where)
{
	uint64_t pages = 0;

	for (uint64_t at = start_at; at < start_at + size; at += PAGE_SIZE)
		pages += fake_residency(at) == where;
	return pages;
}

void fake_assert_last(enum fake_op op, uint64_t start_at, uint64_t size, const char *file, int line)
{
	for (unsigned int i = fake.call_count; i-- > 0;) {
		const struct fake_call *c = &fake.calls[i];

		if (c->op != op)
			continue;
		if (c->start == start_at && c->size == size)
			return;
		print_error("the last call was about %#lx + %#lx, not %#lx + %#lx\n", (unsigned long)c->start,
			    (unsigned long)c->size, (unsigned long)start_at, (unsigned long)size);
		_fail(file, line);
	}
	print_error("no such call\n");
	_fail(file, line);
}

static struct mcl_counters counters(void)
{
	struct mcl_counters c = { 0 };

	mcl_pager_counters(pager, &c);
	return c;
}

void fake_assert_cause(enum mcl_counter_cause cause, uint64_t count_wanted, uint64_t pages, const char *file, int line)
{
	struct mcl_counters c = counters();

	if (c.cause[cause].count == count_wanted && c.cause[cause].pages == pages)
		return;
	print_error("%s: counted %lu with %lu pages, not %lu with %lu\n", file, (unsigned long)c.cause[cause].count,
		    (unsigned long)c.cause[cause].pages, (unsigned long)count_wanted, (unsigned long)pages);
	_fail(file, line);
}

void fake_assert_counted(uint64_t wanted, const char *file, int line)
{
	struct mcl_counters c = counters();
	uint64_t all = 0;

	for (int i = 0; i < MCL_CAUSE_COUNT; i++)
		all += c.cause[i].count;
	if (all == wanted)
		return;
	print_error("%lu events were counted, not %lu\n", (unsigned long)all, (unsigned long)wanted);
	_fail(file, line);
}
