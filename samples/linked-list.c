// SPDX-License-Identifier: MIT
/*
 * linked-list: the device walks lists that the host built with malloc, one node at a time, and leaves pointers of its own
 * in them for the host to follow. Nothing is copied, registered or translated.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common.h"
#include "linked-list.cl.h"

enum { LISTS = 64, NODES_PER_LIST = 5000 };

struct node {
	struct node *next;
	struct node *back; /* the device fills this in */
	long value;
};

/* One malloc for each node, dealt out to the lists in random order, so that neighbours lie far apart. */
static void build_lists(struct node **heads)
{
	srand(1);
	for (int i = 0; i < LISTS; i++)
		heads[i] = NULL;
	for (int i = 0; i < LISTS * NODES_PER_LIST; i++) {
		struct node *n = sample_malloc(sizeof(*n));
		int list = rand() % LISTS;

		n->value = i % 1000;
		n->back = NULL;
		n->next = heads[list];
		heads[list] = n;
	}
}

/* Follow the device's pointers from the tail; every step must match the host's own. Returns the number of nodes. */
static int check_list(const struct node *head, const struct node *tail, long long *sum)
{
	const struct node *previous = NULL;
	int nodes = 0;

	for (const struct node *n = head; n; n = n->next) {
		if (n->back != previous)
			sample_fail("node %p points back to %p instead of %p", (const void *)n, (void *)n->back,
				    (const void *)previous);
		previous = n;
	}
	if (tail != previous)
		sample_fail("the tail is %p instead of %p", (const void *)tail, (const void *)previous);
	for (const struct node *n = tail; n; n = n->back) {
		*sum += n->value;
		nodes++;
	}
	return nodes;
}

int main(void)
{
	struct node *heads[LISTS]; /* on the stack: that is host memory like any other */
	struct node **tails = sample_malloc(LISTS * sizeof(*tails));
	long long sum = 0, expected = 0;
	struct sample s;
	cl_kernel kernel;
	int nodes = 0;

	sample_open(&s, "linked-list");
	kernel = sample_kernel(&s, linked_list_cl, "walk");

	build_lists(heads);
	CHECK(clSetKernelArgSVMPointer(kernel, 0, heads));
	CHECK(clSetKernelArgSVMPointer(kernel, 1, tails));
	sample_run(&s, kernel, LISTS, 1);

	for (int i = 0; i < LISTS; i++)
		nodes += check_list(heads[i], tails[i], &sum);
	for (long i = 0; i < LISTS * NODES_PER_LIST; i++)
		expected += (i % 1000) * (i % 1000);
	printf("walked %d lists of %d nodes both ways; the sum of squares is %lld\n", LISTS, nodes, sum);
	if (nodes != LISTS * NODES_PER_LIST)
		sample_fail("there should be %d nodes", LISTS * NODES_PER_LIST);
	if (sum != expected)
		sample_fail("the sum should be %lld", expected);

	for (int i = 0; i < LISTS; i++) {
		for (struct node *n = heads[i], *next; n; n = next) {
			next = n->next;
			free(n);
		}
	}
	free(tails);
	CHECK(clReleaseKernel(kernel));
	sample_close(&s);
	printf("linked-list: ok\n");
	return EXIT_SUCCESS;
}
