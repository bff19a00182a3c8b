/* SPDX-License-Identifier: MIT */

/*
 * The same structure as in linked-list.c: a pointer is the same pointer on both sides. OpenCL C wants to know what memory it
 * points into; all of the host's is "global".
 */
struct node {
	global struct node *next;
	global struct node *back;
	long value;
};

/*
 * Each work-item walks one list from its head: squares every value, and writes into every node the way back.
 * tails[i] receives the last node of list i.
 */
kernel void walk(global struct node *global *heads, global struct node *global *tails)
{
	size_t list = get_global_id(0);
	global struct node *previous = 0;

	for (global struct node *n = heads[list]; n; n = n->next) {
		n->value *= n->value;
		n->back = previous;
		previous = n;
	}
	tails[list] = previous;
}
