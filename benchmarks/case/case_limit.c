// SPDX-License-Identifier: MIT
/*
 * Limits that are measured for themselves: the same work in plain C on the host, with as many threads as there are
 * processors. Compiled for this very processor (-O3 -march=native), as OpenCL kernels are. No OpenCL is called.
 */
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "case/case.h"

#define PASSES 9u

struct sgemm {
	float *a, *b, *c;
};

/* Rows of C; the loops in the order that lets the compiler use vectors, as the kernel's work-items do. */
static void sgemm_part(void *arg, unsigned int part, unsigned int parts)
{
	const struct sgemm *m = arg;
	size_t from = SGEMM_SIZE * part / parts, to = SGEMM_SIZE * (part + 1) / parts;

	for (size_t y = from; y < to; y++) {
		float *restrict c = m->c + y * SGEMM_SIZE;

		memset(c, 0, SGEMM_SIZE * sizeof(*c));
		for (size_t k = 0; k < SGEMM_SIZE; k++) {
			const float *restrict b = m->b + k * SGEMM_SIZE;
			float a = m->a[y * SGEMM_SIZE + k];

			for (size_t x = 0; x < SGEMM_SIZE; x++)
				c[x] += a * b[x];
		}
	}
}

static unsigned int processors(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) ? 1 : (unsigned int)CPU_COUNT(&set);
}

static double run_sgemm(const struct bench_options *opt)
{
	const size_t count = SGEMM_SIZE * SGEMM_SIZE, bytes = count * sizeof(float);
	struct sgemm m = { must_alloc(bytes), must_alloc(bytes), must_alloc(bytes) };
	double times[PASSES];

	(void)opt;
	for (size_t i = 0; i < count; i++) {
		m.a[i] = (float)(i % 13);
		m.b[i] = (float)(i % 7);
	}
	host_threads(processors());
	host_parallel(sgemm_part, &m);
	for (unsigned int i = 0; i < PASSES; i++) {
		uint64_t start = now_ns();

		host_parallel(sgemm_part, &m);
		times[i] = (double)(now_ns() - start);
	}
	if (!isfinite(m.c[count - 1]))
		die("sgemm: the result is not a number");
	return median(times, PASSES);
}

/* One thread's memcpy of 256 MiB into memory that was mapped just before and never touched. */
static double run_memcpy(const struct bench_options *opt)
{
	char *from = must_alloc(PASS_BYTES), *to = must_alloc(PASS_BYTES);
	uint64_t start;

	(void)opt;
	for (uint64_t i = 0; i < PASS_BYTES; i += 64)
		from[i] = (char)(i >> 6);
	start = now_ns();
	memcpy(to, from, PASS_BYTES);
	start = now_ns() - start;
	if (memcmp(to, from, PASS_BYTES) != 0)
		die("memcpy: the copy differs");
	return (double)start;
}

static _Atomic uint32_t flag __attribute__((aligned(4096)));

static void *pong_main(void *unused)
{
	for (uint32_t i = 0; i < TRIPS * TRIP_BATCHES; i++) {
		while (atomic_load_explicit(&flag, memory_order_acquire) != 2 * i + 1)
			;
		atomic_store_explicit(&flag, 2 * i + 2, memory_order_release);
	}
	return unused;
}

/* Two host threads in place of host and kernel. */
static double run_pong(const struct bench_options *opt)
{
	pthread_t thread;
	double trip;

	(void)opt;
	if (pthread_create(&thread, NULL, pong_main, NULL))
		die("cannot start a thread");
	trip = round_trips(&flag);
	pthread_join(thread, NULL);
	return trip;
}

/* Process start to main(), the OpenCL loader linked but no driver loaded. */
static double run_start(const struct bench_options *opt)
{
	return (double)(now_ns() - opt->start_ns);
}

const struct bench_case bench_limit_cases[] = {
	{ "limit-sgemm", run_sgemm, NULL },
	{ "limit-memcpy", run_memcpy, NULL },
	{ "limit-round-trip", run_pong, NULL },
	{ "limit-start", run_start, NULL },
	{ 0 },
};
