// SPDX-License-Identifier: MIT
/*
 * The device's clock. Units stamp packets with the TSC where it runs at one rate on all processors, because the engine has no
 * vdso; here it becomes nanoseconds of CLOCK_MONOTONIC. Conversions start from a recent pair of readings of both clocks, so
 * that errors of the rate only count for a short time.
 */
#include <cpuid.h>
#include <time.h>
#include <x86intrin.h>

#include "engine/host/backend_private.h"

#define CALIBRATION_NS 200000u
#define RECENT_NS 1000000u

struct pair {
	uint64_t ns, ticks;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool invariant;
static struct pair origin;
static double first_rate; /* ns for each tick, roughly */

uint64_t mcl_backend_clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Both clocks at one moment: the reading with the least time between is the best. */
static struct pair read_pair(int tries)
{
	struct pair best = { 0 };
	uint64_t least = UINT64_MAX;

	while (tries--) {
		const uint64_t before = __rdtsc(), ns = mcl_backend_clock_ns(), after = __rdtsc();

		if (after - before < least) {
			least = after - before;
			best.ns = ns;
			best.ticks = before + least / 2;
		}
	}
	return best;
}

static double rate_since(const struct pair *now)
{
	if (now->ns - origin.ns < CALIBRATION_NS || now->ticks <= origin.ticks)
		return first_rate;
	return (double)(now->ns - origin.ns) / (double)(now->ticks - origin.ticks);
}

static void calibrate(void)
{
	unsigned int a, b, c, d = 0;
	struct pair now;

	invariant = __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & 1u << 8);
	origin = read_pair(3);
	do
		now = read_pair(1);
	while (now.ns - origin.ns < CALIBRATION_NS);
	now = read_pair(3);
	first_rate = rate_since(&now);
}

void mcl_clock_init(void)
{
	pthread_once(&once, calibrate);
}

bool mcl_clock_use_tsc(void)
{
	mcl_clock_init();
	return invariant;
}

uint64_t mcl_clock_ticks_per_us(void)
{
	mcl_clock_init();
	return first_rate > 0 ? (uint64_t)(1000 / first_rate) + 1 : 1000;
}

/* The pair last read, for all threads: .version is odd while one of them writes. */
static struct {
	_Atomic uint32_t version;
	_Atomic uint64_t ns, ticks;
} recent;

static struct pair recent_pair(void)
{
	uint32_t version = atomic_load_explicit(&recent.version, memory_order_acquire);
	struct pair p = {
		.ns = atomic_load_explicit(&recent.ns, memory_order_acquire),
		.ticks = atomic_load_explicit(&recent.ticks, memory_order_acquire),
	};
	const uint64_t age = __rdtsc() - p.ticks;

	if (!(version & 1) && atomic_load_explicit(&recent.version, memory_order_relaxed) == version && p.ticks &&
	    (double)age * first_rate < RECENT_NS)
		return p;
	p = read_pair(3);
	if (!(version & 1) && atomic_compare_exchange_strong(&recent.version, &version, version + 1)) {
		atomic_store_explicit(&recent.ns, p.ns, memory_order_relaxed);
		atomic_store_explicit(&recent.ticks, p.ticks, memory_order_relaxed);
		atomic_store_explicit(&recent.version, version + 2, memory_order_release);
	}
	return p;
}

uint64_t mcl_clock_ns(uint64_t ticks)
{
	struct pair near;
	int64_t distance;

	if (!ticks || !mcl_clock_use_tsc())
		return ticks;
	near = recent_pair();
	distance = (int64_t)(ticks - near.ticks);
	return near.ns + (uint64_t)(int64_t)((double)distance * rate_since(&near));
}
