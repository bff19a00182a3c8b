/* SPDX-License-Identifier: MIT */

enum { SLOTS = 64 };

/* The same structures as in producer-consumer.c. */
struct job {
	ulong number;
	ulong steps;
	uint worker;
};

struct channel {
	atomic_uint head, tail;
	struct {
		atomic_uint turn;
		struct job *job;
	} slot[SLOTS];
};

/* Word for word what the host does, with OpenCL's names: the scope says that the host takes part. */
static void wait_for_turn(atomic_uint *turn, uint value)
{
	while (atomic_load_explicit(turn, memory_order_acquire, memory_scope_all_svm_devices) != value)
		;
}

static void send(struct channel *c, struct job *job)
{
	uint ticket = atomic_fetch_add_explicit(&c->tail, 1, memory_order_relaxed, memory_scope_all_svm_devices);
	uint i = ticket % SLOTS, round = ticket / SLOTS;

	wait_for_turn(&c->slot[i].turn, 2 * round);
	c->slot[i].job = job;
	atomic_store_explicit(&c->slot[i].turn, 2 * round + 1, memory_order_release, memory_scope_all_svm_devices);
}

static struct job *receive(struct channel *c)
{
	uint ticket = atomic_fetch_add_explicit(&c->head, 1, memory_order_relaxed, memory_scope_all_svm_devices);
	uint i = ticket % SLOTS, round = ticket / SLOTS;
	struct job *job;

	wait_for_turn(&c->slot[i].turn, 2 * round + 1);
	job = c->slot[i].job;
	atomic_store_explicit(&c->slot[i].turn, 2 * round + 2, memory_order_release, memory_scope_all_svm_devices);
	return job;
}

/* A worker for each work-group: take a job, count the steps of its Collatz sequence, send it back, until a null job comes. */
kernel void work(global struct channel *jobs, global struct channel *results)
{
	struct job *job;

	while ((job = receive(jobs))) {
		ulong n = job->number, steps = 0;

		for (; n != 1; steps++)
			n = n % 2 ? 3 * n + 1 : n / 2;
		job->steps = steps;
		job->worker = get_group_id(0);
		send(results, job);
	}
}
