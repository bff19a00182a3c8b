// SPDX-License-Identifier: MIT
/*
 * The host changes its address space under a running kernel: munmap, mmap over it, mprotect, madvise, mremap, fork. A kernel
 * that really meets a hole is aborted; one that never can is not disturbed; no byte is lost; nothing hangs.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "races.cl.h"

enum { PAGE = 4096, PAGES = 64, SIZE = PAGES * PAGE, WORDS = SIZE / 8 };

/* What a sweeping kernel and the host share. */
struct sweep {
	cl_kernel kernel;
	cl_event event;
	_Atomic(cl_uint) *stop;
	_Atomic(cl_ulong) *sweeps, *wrong;
	char *captured;
};

static void *new_pages(void)
{
	return conf_map(SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
}

/* Control words live in pages of their own, far from what is swept. */
static void sweep_init(struct sweep *s, const char *kernel)
{
	char *control = conf_map(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	s->kernel = conf_kernel(kernel);
	s->stop = (void *)control;
	s->sweeps = (void *)(control + 64);
	s->wrong = (void *)(control + 128);
}

static void sweep_start(struct sweep *s)
{
	atomic_store(s->stop, 0);
	atomic_store(s->sweeps, 0);
	atomic_store(s->wrong, 0);
	conf_capture_begin(STDERR_FILENO);
	s->event = conf_start(s->kernel, 1, 1);
}

/* Wait until the kernel has gone over everything @n more times. Returns false if it ended instead. */
static bool sweep_wait(struct sweep *s, cl_ulong n)
{
	cl_ulong goal = atomic_load(s->sweeps) + n;
	cl_int status;

	while (atomic_load(s->sweeps) < goal) {
		assert_cl(clGetEventInfo(s->event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof(status), &status, NULL));
		if (status <= CL_COMPLETE)
			return false;
		sched_yield();
	}
	return true;
}

static cl_int sweep_stop(struct sweep *s)
{
	cl_int status;

	atomic_store(s->stop, 1);
	status = conf_end(s->event);
	free(conf_capture_end(STDERR_FILENO));
	return status;
}

static void sweep_done(struct sweep *s)
{
	assert_cl(clReleaseKernel(s->kernel));
	conf_unmap((void *)s->stop, PAGE);
}

static void set_write_args(struct sweep *s, void *p)
{
	set_ptr(s->kernel, 0, p);
	set_arg(s->kernel, 1, (cl_ulong)WORDS);
	set_ptr(s->kernel, 2, (void *)s->stop);
	set_ptr(s->kernel, 3, (void *)s->sweeps);
}

static void set_read_args(struct sweep *s, void *p, bool zeroes)
{
	set_ptr(s->kernel, 0, p);
	set_arg(s->kernel, 1, (cl_ulong)WORDS);
	set_arg(s->kernel, 2, (cl_uint)zeroes);
	set_ptr(s->kernel, 3, (void *)s->stop);
	set_ptr(s->kernel, 4, (void *)s->sweeps);
	set_ptr(s->kernel, 5, (void *)s->wrong);
}

static void number(cl_ulong *p)
{
	for (cl_ulong i = 0; i < WORDS; i++)
		p[i] = i;
}

/* munmap at any moment: the kernel is aborted, every time, and the pages beside the hole keep what they had. */
static void unmapped_while_written(void **state)
{
	struct sweep s;

	(void)state;
	sweep_init(&s, "sweep_write");
	for (unsigned int i = 0; i < 60; i++) {
		cl_ulong *p = new_pages(), *beside = new_pages();

		number(beside);
		set_write_args(&s, p);
		sweep_start(&s);
		assert_true(sweep_wait(&s, i % 4));
		for (volatile unsigned int delay = 0; delay < i * 500; delay++)
			;
		if (i % 3)
			conf_unmap(p, SIZE);
		else
			conf_unmap((char *)p + i % PAGES * PAGE, PAGE);
		assert_false(sweep_wait(&s, 2));
		assert_int_equal(sweep_stop(&s), CL_OUT_OF_RESOURCES);
		for (cl_ulong w = 0; w < WORDS; w++)
			assert_int_equal(beside[w], w);
		if (i % 3 == 0)
			conf_unmap(p, SIZE);
		conf_unmap(beside, SIZE);
	}
	sweep_done(&s);
}

/* New memory over the old in one step: there never is a hole, so the kernel never stops, and the old writes do not show through. */
static void mapped_over(void **state)
{
	struct sweep s;
	cl_ulong *p = new_pages();

	(void)state;
	sweep_init(&s, "sweep_write");
	set_write_args(&s, p);
	sweep_start(&s);
	for (unsigned int i = 0; i < 100; i++) {
		assert_true(sweep_wait(&s, i % 3));
		assert_ptr_equal(mmap(p, SIZE, PROT_READ | PROT_WRITE,
				      MAP_FIXED | MAP_ANONYMOUS | (i % 4 ? MAP_PRIVATE : MAP_SHARED), -1, 0),
				 p);
	}
	assert_true(sweep_wait(&s, 2));
	assert_int_equal(sweep_stop(&s), CL_COMPLETE);
	for (cl_ulong w = 0; w < WORDS; w++)
		assert_int_equal(p[w], *s.sweeps);
	conf_unmap(p, SIZE);
	sweep_done(&s);
}

/* A thread that unmaps the same pages again and again, each time another number in .go. */
struct unmapper {
	pthread_t thread;
	void *p;
	_Atomic unsigned int go, gone;
};

enum { REPLACEMENTS = 200 };

static void *unmap_when_told(void *arg)
{
	struct unmapper *u = arg;

	for (unsigned int i = 1; i <= REPLACEMENTS; i++) {
		while (atomic_load(&u->go) < i)
			sched_yield();
		munmap(u->p, SIZE);
		atomic_store(&u->gone, i);
	}
	return NULL;
}

/*
 * A thread gets memory in the place of what another one has unmapped, whose munmap() may not have returned yet. A kernel that it
 * starts then sees what it has stored there, not what was there before.
 */
static void replaced_while_unmapped(void **state)
{
	cl_kernel kernel = conf_kernel("copy_word");
	cl_ulong *p = new_pages(), *out = new_pages();
	struct unmapper u = { .p = p };

	(void)state;
	set_ptr(kernel, 0, p);
	set_ptr(kernel, 1, out);
	assert_int_equal(pthread_create(&u.thread, NULL, unmap_when_told, &u), 0);
	for (unsigned int i = 1; i <= REPLACEMENTS; i++) {
		p[0] = i;
		conf_run(kernel, 1, 1);
		assert_int_equal(out[0], i);
		atomic_store(&u.go, i);
		while (mmap(p, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
			    0) != p)
			;
		p[0] = i + REPLACEMENTS;
		conf_run(kernel, 1, 1);
		assert_int_equal(out[0], i + REPLACEMENTS);
		assert_int_equal(p[0], i + REPLACEMENTS);
		while (atomic_load(&u.gone) < i)
			sched_yield();
	}
	pthread_join(u.thread, NULL);
	conf_unmap(p, SIZE);
	conf_unmap(out, SIZE);
	assert_cl(clReleaseKernel(kernel));
}

/* Read-only and back does not trouble a reader, nor change what it reads. */
static void protected_while_read(void **state)
{
	struct sweep s;
	cl_ulong *p = new_pages();

	(void)state;
	number(p);
	sweep_init(&s, "sweep_read");
	set_read_args(&s, p, false);
	sweep_start(&s);
	for (unsigned int i = 0; i < 200; i++) {
		assert_true(sweep_wait(&s, i % 2));
		assert_int_equal(mprotect((char *)p + i % 7 * PAGE, SIZE / 2, PROT_READ), 0);
		assert_true(sweep_wait(&s, i % 3 == 0));
		assert_int_equal(mprotect((char *)p + i % 7 * PAGE, SIZE / 2, PROT_READ | PROT_WRITE), 0);
		p[i * 131 % WORDS] = i * 131 % WORDS;
	}
	assert_true(sweep_wait(&s, 2));
	assert_int_equal(sweep_stop(&s), CL_COMPLETE);
	assert_int_equal(*s.wrong, 0);
	for (cl_ulong w = 0; w < WORDS; w++)
		assert_int_equal(p[w], w);
	conf_unmap(p, SIZE);
	sweep_done(&s);
}

/* Read-only under a writer: an abort. The page then holds what was there, and can be written again when the host may. */
static void protected_while_written(void **state)
{
	struct sweep s;
	cl_ulong *p = new_pages();

	(void)state;
	sweep_init(&s, "sweep_write");
	set_write_args(&s, p);
	for (unsigned int i = 0; i < 30; i++) {
		cl_ulong last;

		sweep_start(&s);
		assert_true(sweep_wait(&s, 1 + i % 3));
		assert_int_equal(mprotect((char *)p + i % PAGES * PAGE, PAGE, PROT_READ), 0);
		last = p[i % PAGES * PAGE / 8];
		assert_false(sweep_wait(&s, 2));
		assert_int_equal(sweep_stop(&s), CL_OUT_OF_RESOURCES);
		assert_int_equal(p[i % PAGES * PAGE / 8], last);
		assert_int_equal(mprotect(p, SIZE, PROT_READ | PROT_WRITE), 0);
	}
	conf_unmap(p, SIZE);
	sweep_done(&s);
}

/* MADV_DONTNEED under a reader: it sees the old words or zeroes, nothing else. */
static void dropped_while_read(void **state)
{
	struct sweep s;
	cl_ulong *p = new_pages();

	(void)state;
	number(p);
	sweep_init(&s, "sweep_read");
	set_read_args(&s, p, true);
	sweep_start(&s);
	for (unsigned int i = 0; i < 200; i++) {
		unsigned int page = i * 13 % PAGES;

		assert_true(sweep_wait(&s, i % 2));
		assert_int_equal(madvise((char *)p + page * PAGE, PAGE, MADV_DONTNEED), 0);
		assert_int_equal(*(volatile cl_ulong *)&p[page * PAGE / 8 + 5], 0);
		for (unsigned int w = page * PAGE / 8; w < (page + 1) * PAGE / 8; w++)
			p[w] = w;
	}
	assert_true(sweep_wait(&s, 2));
	assert_int_equal(sweep_stop(&s), CL_COMPLETE);
	assert_int_equal(*s.wrong, 0);
	for (cl_ulong w = 0; w < WORDS; w++)
		assert_int_equal(p[w], w);
	conf_unmap(p, SIZE);
	sweep_done(&s);
}

/* MADV_DONTNEED under a writer does not stop it; afterwards all is as the last sweep left it. */
static void dropped_while_written(void **state)
{
	struct sweep s;
	cl_ulong *p = new_pages();

	(void)state;
	sweep_init(&s, "sweep_write");
	set_write_args(&s, p);
	sweep_start(&s);
	for (unsigned int i = 0; i < 200; i++) {
		assert_true(sweep_wait(&s, i % 3 == 0));
		assert_int_equal(madvise((char *)p + i % (PAGES / 2) * PAGE, SIZE / 2, MADV_DONTNEED), 0);
	}
	assert_true(sweep_wait(&s, 2));
	assert_int_equal(sweep_stop(&s), CL_COMPLETE);
	for (cl_ulong w = 0; w < WORDS; w++)
		assert_int_equal(p[w], *s.sweeps);
	conf_unmap(p, SIZE);
	sweep_done(&s);
}

/* mremap takes the pages away from under the kernel: an abort, and not a word of what moved is lost. */
static void moved_while_written(void **state)
{
	struct sweep s;

	(void)state;
	sweep_init(&s, "sweep_write");
	for (unsigned int i = 0; i < 40; i++) {
		cl_ulong *p = new_pages(), *target = conf_map(SIZE, PROT_NONE, MAP_PRIVATE), sweeps;

		set_write_args(&s, p);
		sweep_start(&s);
		assert_true(sweep_wait(&s, 1 + i % 5));
		assert_ptr_equal(mremap(p, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, target), target);
		assert_false(sweep_wait(&s, 2));
		assert_int_equal(sweep_stop(&s), CL_OUT_OF_RESOURCES);
		sweeps = *s.sweeps;
		/* The sweep that was cut off got to some word; behind it are the words of the sweep before. */
		for (cl_ulong w = 0, changed = 0; w < WORDS; w++) {
			if (target[w] == sweeps)
				changed = 1;
			else
				assert_int_equal(target[w], sweeps + 1);
			if (changed)
				assert_int_equal(target[w], sweeps);
		}
		conf_unmap(target, SIZE);
	}
	sweep_done(&s);
}

/* The host writes in the same pages as the kernel, other words, all the time: neither loses one. */
static void both_write(void **state)
{
	enum { ROUNDS = 300 };
	struct sweep s;
	cl_ulong *p = new_pages();

	(void)state;
	sweep_init(&s, "sweep_count");
	set_ptr(s.kernel, 0, p);
	set_arg(s.kernel, 1, (cl_ulong)WORDS);
	set_arg(s.kernel, 2, (cl_ulong)2);
	set_ptr(s.kernel, 3, (void *)s.stop);
	set_ptr(s.kernel, 4, (void *)s.sweeps);
	sweep_start(&s);
	for (int round = 0; round < ROUNDS; round++)
		for (cl_ulong w = 1; w < WORDS; w += 2)
			p[w]++;
	assert_true(sweep_wait(&s, 2));
	assert_int_equal(sweep_stop(&s), CL_COMPLETE);
	for (cl_ulong w = 0; w < WORDS; w++)
		assert_int_equal(p[w], w % 2 ? ROUNDS : *s.sweeps);
	conf_unmap(p, SIZE);
	sweep_done(&s);
}

/*
 * fork under a writer: the child's copy holds, for each counter, a value it really had at that moment; it is the child's own from
 * then on, and the parent loses no increment.
 */
static void forked_while_written(void **state)
{
	struct sweep s;
	cl_ulong *p = new_pages();

	(void)state;
	sweep_init(&s, "sweep_count");
	set_ptr(s.kernel, 0, p);
	set_arg(s.kernel, 1, (cl_ulong)WORDS);
	set_arg(s.kernel, 2, (cl_ulong)32);
	set_ptr(s.kernel, 3, (void *)s.stop);
	set_ptr(s.kernel, 4, (void *)s.sweeps);
	sweep_start(&s);
	for (int i = 0; i < 20; i++) {
		cl_ulong before;
		int status;
		pid_t pid;

		assert_true(sweep_wait(&s, 1 + i % 3));
		before = atomic_load(s.sweeps);
		pid = fork();
		assert_true(pid >= 0);
		if (!pid) {
			cl_ulong lowest = UINT64_MAX, highest = 0, snapshot[PAGES];

			for (cl_ulong w = 0; w < WORDS; w += 32) {
				lowest = p[w] < lowest ? p[w] : lowest;
				highest = p[w] > highest ? p[w] : highest;
			}
			/* All within one sweep of each other would be a snapshot at one instant; allow a slow fork some. */
			if (lowest < before || highest < lowest)
				_exit(1);
			/* Nothing of what the parent's kernel goes on writing arrives here. */
			for (int page = 0; page < PAGES; page++)
				snapshot[page] = p[page * PAGE / 8];
			conf_sleep_ms(10);
			for (int page = 0; page < PAGES; page++)
				if (p[page * PAGE / 8] != snapshot[page])
					_exit(2);
			/* And what is written here does not arrive there. */
			for (cl_ulong w = 0; w < WORDS; w++)
				p[w] = 0;
			_exit(0);
		}
		assert_true(sweep_wait(&s, 1));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
	assert_int_equal(sweep_stop(&s), CL_COMPLETE);
	for (cl_ulong w = 0; w < WORDS; w++)
		assert_int_equal(p[w], w % 32 ? 0 : *s.sweeps);
	conf_unmap(p, SIZE);
	sweep_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unmapped_while_written), cmocka_unit_test(mapped_over),
		cmocka_unit_test(protected_while_read),	  cmocka_unit_test(protected_while_written),
		cmocka_unit_test(dropped_while_read),	  cmocka_unit_test(dropped_while_written),
		cmocka_unit_test(moved_while_written),	  cmocka_unit_test(both_write),
		cmocka_unit_test(forked_while_written),	  cmocka_unit_test(replaced_while_unmapped),
	};
	int failed;

	conf_open(races_cl);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	conf_close();
	return failed;
}
