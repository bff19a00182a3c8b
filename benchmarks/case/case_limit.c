// SPDX-License-Identifier: MIT
/*
 * The limits: the same work in plain C on the host, with as many threads as the device has compute units where the device
 * would use them all. Compiled for this very processor (-O3 -march=native), as OpenCL kernels are. No OpenCL is called.
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
#define MAX_THREADS 256

/* Call fn(arg, part, parts) on as many threads as this process may use processors; returns when all are done. */
struct part {
	pthread_t thread;
	void (*fn)(void *arg, unsigned int part, unsigned int parts);
	void *arg;
	unsigned int index, count;
};

static void *part_main(void *p)
{
	struct part *part = p;

	part->fn(part->arg, part->index, part->count);
	return NULL;
}

static void in_parallel(void (*fn)(void *, unsigned int, unsigned int), void *arg)
{
	static struct part parts[MAX_THREADS];
	unsigned int n = 1;
	cpu_set_t set;

	if (!sched_getaffinity(0, sizeof(set), &set))
		n = (unsigned int)CPU_COUNT(&set);
	if (n > MAX_THREADS)
		n = MAX_THREADS;
	for (unsigned int i = 0; i < n; i++) {
		parts[i] = (struct part){ .fn = fn, .arg = arg, .index = i, .count = n };
		/* The last part runs here. */
		if (i + 1 < n && pthread_create(&parts[i].thread, NULL, part_main, &parts[i]))
			die("cannot start a thread");
	}
	part_main(&parts[n - 1]);
	for (unsigned int i = 0; i + 1 < n; i++)
		pthread_join(parts[i].thread, NULL);
}

struct triad {
	float *a, *b, *c;
};

static void triad_part(void *arg, unsigned int part, unsigned int parts)
{
	const struct triad *t = arg;
	size_t from = (size_t)TRIAD_COUNT * part / parts, to = (size_t)TRIAD_COUNT * (part + 1) / parts;
	float *restrict a = t->a;
	const float *restrict b = t->b, *restrict c = t->c;

	for (size_t i = from; i < to; i++)
		a[i] = b[i] + TRIAD_SCALE * c[i];
}

static double run_triad(const struct bench_options *opt)
{
	const size_t bytes = TRIAD_COUNT * sizeof(float);
	struct triad t = { must_alloc(bytes), must_alloc(bytes), must_alloc(bytes) };
	double times[PASSES];

	(void)opt;
	for (uint32_t i = 0; i < TRIAD_COUNT; i++) {
		t.a[i] = 0;
		t.b[i] = (float)(i % 1000);
		t.c[i] = (float)(i % 77);
	}
	for (unsigned int i = 0; i < PASSES; i++) {
		uint64_t start = now_ns();

		in_parallel(triad_part, &t);
		times[i] = (double)(now_ns() - start);
	}
	return median(times, PASSES);
}

static double run_chase(const struct bench_options *opt)
{
	struct node *n;
	double times[3];
	uint64_t sum = 0;

	(void)opt;
	on_one_processor();
	n = chase_build();
	for (int pass = -1; pass < 3; pass++) {
		uint64_t start = now_ns();

		sum = 0;
		for (uint32_t i = 0; i < CHASE_COUNT; i++) {
			sum += n->value;
			n = n->next;
		}
		if (pass >= 0)
			times[pass] = (double)(now_ns() - start) / CHASE_COUNT;
		if (sum != (uint64_t)CHASE_COUNT * (CHASE_COUNT - 1) / 2)
			die("chase: the sum is %llu", (unsigned long long)sum);
	}
	return median(times, 3);
}

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
	in_parallel(sgemm_part, &m);
	for (unsigned int i = 0; i < PASSES; i++) {
		uint64_t start = now_ns();

		in_parallel(sgemm_part, &m);
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
	{ "limit-triad", run_triad },
	{ "limit-chase", run_chase },
	{ "limit-sgemm", run_sgemm },
	{ "limit-memcpy", run_memcpy },
	{ "limit-round-trip", run_pong },
	{ "limit-start", run_start },
	{ 0 },
};
