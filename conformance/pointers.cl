/* SPDX-License-Identifier: MIT */

/* What word i of a buffer holds in round r; pointers.c has the same. */
static uint expected(ulong i, uint round)
{
	return (uint)i * 2654435761u + round * 40503u + 1;
}

/* Count in *bad the words that do not hold round's pattern. */
kernel void check(global const uint *p, ulong words, uint round, global atomic_uint *bad)
{
	for (ulong i = get_global_id(0); i < words; i += get_global_size(0))
		if (p[i] != expected(i, round))
			atomic_fetch_add_explicit(bad, 1, memory_order_relaxed, memory_scope_device);
}

/* The same, and write the next round's pattern. */
kernel void rewrite(global uint *p, ulong words, uint round, global atomic_uint *bad)
{
	for (ulong i = get_global_id(0); i < words; i += get_global_size(0)) {
		if (p[i] != expected(i, round))
			atomic_fetch_add_explicit(bad, 1, memory_order_relaxed, memory_scope_device);
		p[i] = expected(i, round + 1);
	}
}

struct node {
	global struct node *next;
	global struct node *back;
	global int *payload; /* in memory of another kind */
	int value;
};

/* Walk a list, adding into every payload; write the way back. Returns the tail in *tail. */
kernel void walk(global struct node *head, global struct node *global *tail)
{
	global struct node *previous = 0;

	for (global struct node *n = head; n; n = n->next) {
		*n->payload += n->value;
		n->back = previous;
		previous = n;
	}
	*tail = previous;
}

/* Build a list out of the nodes that pool points at, last one first: pointers made on the device. */
kernel void build(global struct node *global *pool, uint count, global struct node *global *head)
{
	global struct node *next = 0;

	for (uint i = 0; i < count; i++) {
		pool[i]->next = next;
		pool[i]->value = (int)i;
		next = pool[i];
	}
	*head = next;
}

/* Length and sum of the characters of each string of a null-terminated array of them, argv or environ. */
kernel void strings(global char *global *list, global ulong *count, global ulong *sum)
{
	for (*count = 0, *sum = 0; *list; list++, ++*count)
		for (global char *p = *list; *p; p++)
			*sum += (uchar)*p;
}
