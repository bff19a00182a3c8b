// SPDX-License-Identifier: MIT
/*
 * graph: several host threads build a graph out of malloc'd vertices and edge lists; the device searches it breadth-first,
 * following the pointers, while a host thread keeps reading the vertices that the device is writing.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "common.h"
#include "graph.cl.h"

enum { THREADS = 4, VERTICES = 40000, MAX_EDGES = 6, GROUP_SIZE = 64 };

struct vertex {
	atomic_int level; /* distance from the start, found by the device; -1: not reached */
	int expected; /* the same, found by the host */
	cl_uint num_edges;
	struct vertex **edges;
};

static struct vertex *vertices[VERTICES]; /* .bss: host memory like any other */
static pthread_barrier_t all_allocated;

/* Each thread allocates its share of the vertices and then links them to random ones of all threads. */
static void *build_share(void *arg)
{
	unsigned int share = (unsigned int)(size_t)arg, seed = share + 1;
	int first = VERTICES / THREADS * share, last = first + VERTICES / THREADS;

	for (int i = first; i < last; i++) {
		vertices[i] = sample_malloc(sizeof(struct vertex));
		atomic_init(&vertices[i]->level, -1);
		vertices[i]->expected = -1;
	}
	pthread_barrier_wait(&all_allocated);
	for (int i = first; i < last; i++) {
		struct vertex *v = vertices[i];

		v->num_edges = rand_r(&seed) % (MAX_EDGES + 1);
		v->edges = sample_malloc((v->num_edges + 1) * sizeof(*v->edges));
		for (cl_uint e = 0; e < v->num_edges; e++)
			v->edges[e] = vertices[rand_r(&seed) % VERTICES];
	}
	return NULL;
}

static void build_graph(void)
{
	pthread_t threads[THREADS];

	pthread_barrier_init(&all_allocated, NULL, THREADS);
	for (size_t i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, build_share, (void *)i))
			sample_fail("cannot start a thread");
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&all_allocated);
}

/* The reading thread: levels appear under its eyes; a vertex that has one never changes it again. */
static atomic_bool stop_reading;
static unsigned long passes;

static void *keep_reading(void *arg)
{
	int *known = arg;

	do {
		for (int i = 0; i < VERTICES; i++) {
			int level = atomic_load_explicit(&vertices[i]->level, memory_order_relaxed);

			if (known[i] != -1 && level != known[i])
				sample_fail("vertex %d went from level %d to %d", i, known[i], level);
			known[i] = level;
		}
		passes++;
		sched_yield();
	} while (!atomic_load(&stop_reading));
	return NULL;
}

/* The same search on the host, into .expected. Returns how many vertices can be reached. */
static int search_on_host(struct vertex *start)
{
	struct vertex **queue = sample_malloc(VERTICES * sizeof(*queue));
	int head = 0, tail = 0;

	start->expected = 0;
	queue[tail++] = start;
	while (head < tail) {
		struct vertex *v = queue[head++];

		for (cl_uint e = 0; e < v->num_edges; e++) {
			if (v->edges[e]->expected != -1)
				continue;
			v->edges[e]->expected = v->expected + 1;
			queue[tail++] = v->edges[e];
		}
	}
	free(queue);
	return tail;
}

/* The search on the device, one kernel for each level. Returns the number of levels. */
static int search_on_device(const struct sample *s, cl_kernel kernel, struct vertex *start)
{
	struct vertex **frontier = sample_malloc(VERTICES * sizeof(*frontier));
	struct vertex **next = sample_malloc(VERTICES * sizeof(*next)), **swap;
	atomic_uint next_size;
	cl_uint frontier_size = 1;
	cl_int level = 0;

	atomic_store(&start->level, 0);
	frontier[0] = start;
	while (frontier_size) {
		level++;
		atomic_init(&next_size, 0);
		CHECK(clSetKernelArgSVMPointer(kernel, 0, frontier));
		CHECK(clSetKernelArg(kernel, 1, sizeof(frontier_size), &frontier_size));
		CHECK(clSetKernelArgSVMPointer(kernel, 2, next));
		CHECK(clSetKernelArgSVMPointer(kernel, 3, &next_size));
		CHECK(clSetKernelArg(kernel, 4, sizeof(level), &level));
		sample_run(s, kernel, (frontier_size + GROUP_SIZE - 1) / GROUP_SIZE * GROUP_SIZE, GROUP_SIZE);
		frontier_size = next_size;
		swap = frontier;
		frontier = next;
		next = swap;
	}
	free(frontier);
	free(next);
	return level;
}

int main(void)
{
	struct vertex *start = NULL;
	int reachable, levels;
	pthread_t reader;
	struct sample s;
	cl_kernel kernel;
	int *known;

	sample_open(&s, "graph");
	kernel = sample_kernel(&s, graph_cl, "expand");

	build_graph();
	for (int i = 0; i < VERTICES && !start; i++)
		if (vertices[i]->num_edges == MAX_EDGES)
			start = vertices[i];
	if (!start)
		sample_fail("no vertex has %d edges", MAX_EDGES);

	known = sample_malloc(VERTICES * sizeof(*known));
	for (int i = 0; i < VERTICES; i++)
		known[i] = -1;
	if (pthread_create(&reader, NULL, keep_reading, known))
		sample_fail("cannot start a thread");
	levels = search_on_device(&s, kernel, start);
	atomic_store(&stop_reading, true);
	pthread_join(reader, NULL);

	reachable = search_on_host(start);
	printf("%d of %d vertices reached in %d levels; the host read them all %lu times meanwhile\n", reachable,
	       VERTICES, levels, passes);
	for (int i = 0; i < VERTICES; i++)
		if (vertices[i]->level != vertices[i]->expected)
			sample_fail("vertex %d is at level %d, not %d", i, vertices[i]->level, vertices[i]->expected);

	for (int i = 0; i < VERTICES; i++) {
		free(vertices[i]->edges);
		free(vertices[i]);
	}
	free(known);
	CHECK(clReleaseKernel(kernel));
	sample_close(&s);
	printf("graph: ok\n");
	return EXIT_SUCCESS;
}
