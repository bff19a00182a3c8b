// SPDX-License-Identifier: MIT
/*
 * The work of some kernels in plain C: what a case compares the device with. Compiled for this very processor (-O3
 * -march=native), as OpenCL kernels are. The threads stay, and wait for the next pass as the device's do: spinning for a
 * while, then asleep; to start some for each pass would cost as much as a hundredth of it. No OpenCL is called.
 */
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "case/case.h"

#define MAX_THREADS 256u
#define SPIN_NS 100000u

static struct {
	unsigned int count, started; /* threads that are wanted; those there are, beside the first */
	void (*fn)(void *arg, unsigned int part, unsigned int parts);
	void *arg;
	_Atomic uint32_t pass, sleepers, working;
} team = { .count = 1 };

static void futex(_Atomic uint32_t *word, int op, uint32_t value)
{
	syscall(SYS_futex, word, op, value, NULL, NULL, 0);
}

static void relax(void)
{
	__builtin_ia32_pause();
}

static uint32_t next_pass(uint32_t last)
{
	const uint64_t began = now_ns();
	uint32_t pass;

	while ((pass = atomic_load(&team.pass)) == last) {
		if (now_ns() - began < SPIN_NS) {
			relax();
			continue;
		}
		atomic_fetch_add(&team.sleepers, 1);
		futex(&team.pass, FUTEX_WAIT_PRIVATE, last);
		atomic_fetch_sub(&team.sleepers, 1);
	}
	return pass;
}

static void *worker(void *index)
{
	const unsigned int part = (unsigned int)(uintptr_t)index;

	for (uint32_t pass = 0;;) {
		pass = next_pass(pass);
		if (part < team.count)
			team.fn(team.arg, part, team.count);
		atomic_fetch_sub(&team.working, 1);
	}
	return NULL;
}

void host_threads(unsigned int count)
{
	pthread_t thread;

	team.count = count < 1 ? 1 : count > MAX_THREADS ? MAX_THREADS : count;
	for (; team.started + 1 < team.count; team.started++) {
		/* The first pass is number 1, whenever a thread gets to look. */
		if (atomic_load(&team.pass))
			die("all threads of the host must be there before the first pass");
		if (pthread_create(&thread, NULL, worker, (void *)(uintptr_t)(team.started + 1)))
			die("cannot start a thread");
		pthread_detach(thread);
	}
}

void host_parallel(void (*fn)(void *, unsigned int, unsigned int), void *arg)
{
	team.fn = fn;
	team.arg = arg;
	atomic_store(&team.working, team.started);
	atomic_fetch_add(&team.pass, 1);
	if (atomic_load(&team.sleepers))
		futex(&team.pass, FUTEX_WAKE_PRIVATE, INT_MAX);
	fn(arg, 0, team.count);
	while (atomic_load(&team.working))
		relax();
}

struct triad {
	float *a;
	const float *b, *c;
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

void host_triad(float *a, const float *b, const float *c)
{
	struct triad t = { a, b, c };

	host_parallel(triad_part, &t);
}

uint64_t host_chase(const struct node **n, uint64_t steps)
{
	const struct node *at = *n;
	uint64_t sum = 0;

	for (uint64_t i = 0; i < steps; i++) {
		sum += at->value;
		at = at->next;
	}
	*n = at;
	return sum;
}
