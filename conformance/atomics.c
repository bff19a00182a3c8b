// SPDX-License-Identifier: MIT
/*
 * Atomics of host threads and work-items on the same words while both run: every operation, every order, 32 and 64
 * bits, on malloc'd, clSVMAlloc'd, static and stack memory. All totals are exact: one lost update fails.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "atomics.cl.h"
#include "harness.h"

enum { ROUNDS = 20000 };

/* As in atomics.cl. */
struct shared {
	_Atomic(cl_uint) running;
	char pad0[60];
	_Atomic(cl_uint) add32[4];
	char pad1[48];
	_Atomic(cl_ulong) add64[4];
	char pad2[32];
	_Atomic(cl_int) cas32;
	char pad3[60];
	_Atomic(cl_ulong) cas64;
	char pad4[56];
	_Atomic(cl_uint) bits;
	char pad5[60];
	_Atomic(cl_int) lowest, highest;
	char pad6[56];
	_Atomic(cl_uint) lock;
	cl_uint plain;
	cl_ulong plain64;
	char pad7[48];
	_Atomic(cl_ulong) token;
	char pad8[56];
	_Atomic(cl_ulong) tokens_seen[2];
};
_Static_assert(offsetof(struct shared, tokens_seen) == 576, "the kernel's structure has the same layout");

struct fight {
	struct shared *s;
	cl_uint sides;
};

/* The host's side, the mirror image of the kernel's. */
static void *host_side(void *arg)
{
	struct fight *fight = arg;
	struct shared *s = fight->s;
	cl_ulong tokens = 0;

	atomic_fetch_add_explicit(&s->running, 1, memory_order_relaxed);
	while (atomic_load_explicit(&s->running, memory_order_acquire) < fight->sides)
		sched_yield();
	for (cl_uint i = 0; i < ROUNDS; i++) {
		cl_int seen;
		cl_ulong seen64;

		atomic_fetch_add_explicit(&s->add32[0], 1, memory_order_relaxed);
		atomic_fetch_add_explicit(&s->add32[1], 2, memory_order_acquire);
		atomic_fetch_add_explicit(&s->add32[2], 3, memory_order_release);
		atomic_fetch_sub_explicit(&s->add32[3], 1, memory_order_seq_cst);
		atomic_fetch_add_explicit(&s->add64[0], 1ull << 32, memory_order_relaxed);
		atomic_fetch_add_explicit(&s->add64[1], 3, memory_order_acquire);
		atomic_fetch_add_explicit(&s->add64[2], 5, memory_order_release);
		atomic_fetch_sub_explicit(&s->add64[3], 7, memory_order_acq_rel);

		seen = atomic_load_explicit(&s->cas32, memory_order_relaxed);
		while (!atomic_compare_exchange_weak_explicit(&s->cas32, &seen, seen + 3, memory_order_acq_rel,
							      memory_order_relaxed))
			;
		seen64 = atomic_load_explicit(&s->cas64, memory_order_seq_cst);
		while (!atomic_compare_exchange_strong_explicit(&s->cas64, &seen64, seen64 + (1ull << 33) + 1,
								memory_order_seq_cst, memory_order_seq_cst))
			;
		atomic_fetch_xor_explicit(&s->bits, 1u << (i % 32), memory_order_relaxed);

		while (atomic_exchange_explicit(&s->lock, 1, memory_order_acquire))
			sched_yield();
		s->plain++;
		s->plain64 += 3;
		atomic_store_explicit(&s->lock, 0, memory_order_release);

		tokens += atomic_exchange_explicit(&s->token, i + 1, memory_order_acq_rel);
	}
	atomic_fetch_add_explicit(&s->tokens_seen[0], tokens, memory_order_relaxed);
	return NULL;
}

/* @threads host threads against @groups work-groups over one structure. */
static void fight_over(struct shared *s, cl_uint threads, cl_uint groups)
{
	struct fight fight = { .s = s, .sides = threads + groups };
	cl_ulong n = (cl_ulong)fight.sides * ROUNDS, token_sum;
	cl_kernel kernel = conf_kernel("fight");
	pthread_t ids[8];
	cl_event event;

	memset(s, 0, sizeof(*s));
	set_ptr(kernel, 0, s);
	set_arg(kernel, 1, (cl_uint)ROUNDS);
	set_arg(kernel, 2, fight.sides);
	event = conf_start(kernel, groups, 1);
	for (cl_uint i = 0; i < threads; i++)
		assert_int_equal(pthread_create(&ids[i], NULL, host_side, &fight), 0);
	for (cl_uint i = 0; i < threads; i++)
		assert_int_equal(pthread_join(ids[i], NULL), 0);
	assert_int_equal(conf_end(event), CL_COMPLETE);

	assert_int_equal(s->running, fight.sides);
	assert_int_equal(s->add32[0], n);
	assert_int_equal(s->add32[1], 2 * n);
	assert_int_equal(s->add32[2], 3 * n);
	assert_int_equal(s->add32[3], (cl_uint)-n);
	assert_int_equal(s->add64[0], n << 32);
	assert_int_equal(s->add64[1], 3 * n);
	assert_int_equal(s->add64[2], 5 * n);
	assert_int_equal(s->add64[3], 0 - 7 * n);
	assert_int_equal(s->cas32, 3 * n);
	assert_int_equal(s->cas64, ((1ull << 33) + 1) * n);
	/* Each bit was flipped by each side ROUNDS / 32 = 625 times. */
	assert_int_equal(s->bits, fight.sides % 2 ? UINT32_MAX : 0);
	assert_int_equal(s->lowest, -(ROUNDS - 1));
	assert_int_equal(s->highest, ROUNDS - 1);
	assert_int_equal(s->lock, 0);
	assert_int_equal(s->plain, n);
	assert_int_equal(s->plain64, 3 * n);
	/* Every token put in was taken out once, but for the one that is still there. */
	token_sum = s->tokens_seen[0] + s->tokens_seen[1] + s->token;
	assert_int_equal(token_sum, (cl_ulong)fight.sides * ROUNDS * (ROUNDS + 1) / 2);
	assert_cl(clReleaseKernel(kernel));
}

static cl_uint groups_in_flight(void)
{
	return conf.compute_units < 2 ? conf.compute_units : 2;
}

static void on_malloc(void **state)
{
	struct shared *s = conf_malloc(sizeof(*s));

	(void)state;
	fight_over(s, 1, 1);
	fight_over(s, 2, groups_in_flight());
	free(s);
}

static void on_svm_alloc(void **state)
{
	struct shared *s = clSVMAlloc(
		conf.context, CL_MEM_READ_WRITE | CL_MEM_SVM_FINE_GRAIN_BUFFER | CL_MEM_SVM_ATOMICS, sizeof(*s), 0);

	(void)state;
	assert_non_null(s);
	fight_over(s, 1, 1);
	fight_over(s, 2, groups_in_flight());
	clSVMFree(conf.context, s);
}

/* Two pages at once: the structure straddles a page boundary. */
static void across_pages(void **state)
{
	char *p = conf_map(2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	(void)state;
	for (int offset = 4096 - 512; offset < 4096; offset += 192)
		fight_over((struct shared *)(p + offset), 1, 1);
	conf_unmap(p, 2 * 4096);
}

static void on_static_and_stack(void **state)
{
	static struct shared in_bss;
	struct shared on_stack;

	(void)state;
	fight_over(&in_bss, 1, 1);
	fight_over(&on_stack, 1, 1);
}

static void on_shared_mapping(void **state)
{
	struct shared *s = conf_map(4096, PROT_READ | PROT_WRITE, MAP_SHARED);

	(void)state;
	fight_over(s, 1, groups_in_flight());
	conf_unmap(s, 4096);
}

struct counting {
	_Atomic(cl_uint) *counters;
	cl_uint size;
};

static void *count_on_host(void *arg)
{
	struct counting *c = arg;

	for (cl_uint i = 0; i < 100000; i++)
		atomic_fetch_add_explicit(&c->counters[i % c->size], 1, memory_order_relaxed);
	return NULL;
}

/* A histogram of many cells, from 1 to several pages: host threads and 64 work-items at the same time. */
static void histogram(void **state)
{
	cl_kernel kernel = conf_kernel("histogram");

	(void)state;
	for (cl_uint size = 1; size <= 100000; size *= 10) {
		_Atomic(cl_uint) *counters = calloc(size, sizeof(*counters));
		struct counting c = { counters, size };
		pthread_t threads[2];
		cl_event event;

		assert_non_null(counters);
		set_ptr(kernel, 0, counters);
		set_arg(kernel, 1, size);
		set_arg(kernel, 2, (cl_uint)3125);
		/* 64 * 3125 = 200,000 increments; with stride 1 they hit all cells evenly only if size divides them. */
		event = conf_start(kernel, 64, 8);
		for (int i = 0; i < 2; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, count_on_host, &c), 0);
		for (int i = 0; i < 2; i++)
			assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(conf_end(event), CL_COMPLETE);
		for (cl_uint cell = 0; cell < size; cell++) {
			cl_uint expected = 2 * (100000 / size);

			for (cl_uint item = 0; item < 64; item++) {
				/* i in [0, 3125) with (item + i) % size == cell */
				cl_uint first = (cell + size - item % size) % size;

				if (first < 3125)
					expected += (3125 - first - 1) / size + 1;
			}
			assert_int_equal(counters[cell], expected);
		}
		free(counters);
	}
	assert_cl(clReleaseKernel(kernel));
}

/* atomic_add and its family from OpenCL 1.x. */
static void old_atomics(void **state)
{
	enum { ITEMS = 3100 };
	cl_kernel kernel = conf_kernel("old_atomics");
	int *p = calloc(10, sizeof(*p));

	(void)state;
	assert_non_null(p);
	set_ptr(kernel, 0, p);
	conf_run(kernel, ITEMS, 1);
	assert_int_equal(p[0], 2 * ITEMS);
	assert_int_equal(p[1], -ITEMS);
	assert_int_equal(p[2], ITEMS);
	assert_int_equal(p[3], -ITEMS);
	assert_int_equal(p[4], -(ITEMS - 1));
	assert_int_equal(p[5], ITEMS - 1);
	assert_int_equal(p[6], 0x7fffffff);
	assert_int_equal(p[7], 0);
	assert_int_equal(p[8], 0);
	assert_int_equal(p[9], ITEMS);
	free(p);
	assert_cl(clReleaseKernel(kernel));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_malloc),	     cmocka_unit_test(on_svm_alloc),
		cmocka_unit_test(across_pages),	     cmocka_unit_test(on_static_and_stack),
		cmocka_unit_test(on_shared_mapping), cmocka_unit_test(histogram),
		cmocka_unit_test(old_atomics),
	};
	int failed;

	conf_open(atomics_cl);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	conf_close();
	return failed;
}
