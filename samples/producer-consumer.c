// SPDX-License-Identifier: MIT
/*
 * producer-consumer: host threads and device work-groups work at the same time and pass each other jobs through queues in malloc'd
 * memory. One thread sends jobs, one kernel takes them and sends results, the main thread collects: the kernel
 * is launched once and runs until it is told to stop.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "common.h"
#include "producer-consumer.cl.h"

enum { JOBS = 10000, SLOTS = 64, MAX_WORKERS = 4 };

struct job {
	cl_ulong number;
	cl_ulong steps; /* the result: length of the number's Collatz sequence */
	cl_uint worker; /* who did it */
};

/*
 * A bounded queue for any number of senders and receivers, on either side. A fetch_add on tail or head gives out tickets; a slot's
 * turn says whose it is: even, a sender of that round; odd, a receiver.
 */
struct channel {
	atomic_uint head, tail;
	struct {
		atomic_uint turn;
		struct job *job;
	} slot[SLOTS];
};

static void wait_for_turn(atomic_uint *turn, unsigned int value)
{
	while (atomic_load_explicit(turn, memory_order_acquire) != value)
		sched_yield();
}

static void send(struct channel *c, struct job *job)
{
	unsigned int ticket = atomic_fetch_add_explicit(&c->tail, 1, memory_order_relaxed);
	unsigned int i = ticket % SLOTS, round = ticket / SLOTS;

	wait_for_turn(&c->slot[i].turn, 2 * round);
	c->slot[i].job = job;
	atomic_store_explicit(&c->slot[i].turn, 2 * round + 1, memory_order_release);
}

static struct job *receive(struct channel *c)
{
	unsigned int ticket = atomic_fetch_add_explicit(&c->head, 1, memory_order_relaxed);
	unsigned int i = ticket % SLOTS, round = ticket / SLOTS;
	struct job *job;

	wait_for_turn(&c->slot[i].turn, 2 * round + 1);
	job = c->slot[i].job;
	atomic_store_explicit(&c->slot[i].turn, 2 * round + 2, memory_order_release);
	return job;
}

static struct channel *new_channel(void)
{
	struct channel *c = calloc(1, sizeof(*c));

	if (!c)
		sample_fail("out of memory");
	return c;
}

struct producer {
	struct channel *jobs;
	unsigned int workers;
};

/* The sending thread: every job is a fresh malloc, made while the kernel runs. */
static void *produce(void *arg)
{
	struct producer *p = arg;

	for (cl_ulong i = 1; i <= JOBS; i++) {
		struct job *job = sample_malloc(sizeof(*job));

		job->number = i;
		job->steps = 0;
		job->worker = MAX_WORKERS;
		send(p->jobs, job);
	}
	for (unsigned int i = 0; i < p->workers; i++)
		send(p->jobs, NULL); /* one for each worker: stop */
	return NULL;
}

static cl_ulong collatz_steps(cl_ulong n)
{
	cl_ulong steps = 0;

	for (; n != 1; steps++)
		n = n % 2 ? 3 * n + 1 : n / 2;
	return steps;
}

int main(void)
{
	struct channel *jobs = new_channel(), *results = new_channel();
	unsigned char *seen = calloc(JOBS + 1, 1);
	unsigned int done_by[MAX_WORKERS] = { 0 };
	struct producer producer;
	struct sample s;
	pthread_t thread;
	cl_kernel kernel;
	cl_event event;

	if (!seen)
		sample_fail("out of memory");
	sample_open(&s, "producer-consumer");
	kernel = sample_kernel(&s, producer_consumer_cl, "work");

	/* One worker for each compute unit: that many work-groups really run at the same time. */
	producer.jobs = jobs;
	producer.workers = s.compute_units < MAX_WORKERS ? s.compute_units : MAX_WORKERS;
	CHECK(clSetKernelArgSVMPointer(kernel, 0, jobs));
	CHECK(clSetKernelArgSVMPointer(kernel, 1, results));
	event = sample_start(&s, kernel, producer.workers, 1);
	if (pthread_create(&thread, NULL, produce, &producer))
		sample_fail("cannot start a thread");

	for (int i = 0; i < JOBS; i++) {
		struct job *job = receive(results);

		if (job->number < 1 || job->number > JOBS || seen[job->number]++)
			sample_fail("job %llu came back twice, or was never sent", (unsigned long long)job->number);
		if (job->worker >= producer.workers)
			sample_fail("job %llu was done by nobody", (unsigned long long)job->number);
		if (job->steps != collatz_steps(job->number))
			sample_fail("%llu takes %llu steps, not %llu", (unsigned long long)job->number,
				    (unsigned long long)collatz_steps(job->number), (unsigned long long)job->steps);
		done_by[job->worker]++;
		free(job);
	}
	pthread_join(thread, NULL);
	CHECK(clWaitForEvents(1, &event));
	CHECK(clReleaseEvent(event));

	printf("%d jobs went to the device and came back while the kernel ran;", JOBS);
	for (unsigned int i = 0; i < producer.workers; i++)
		printf(" worker %u did %u%s", i, done_by[i], i + 1 < producer.workers ? "," : "\n");

	free(jobs);
	free(results);
	free(seen);
	CHECK(clReleaseKernel(kernel));
	sample_close(&s);
	printf("producer-consumer: ok\n");
	return EXIT_SUCCESS;
}
