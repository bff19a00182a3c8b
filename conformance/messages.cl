/* SPDX-License-Identifier: MIT */

#define ALL memory_scope_all_svm_devices

/* messages.c has the same. */
struct mailbox {
	atomic_uint to_device, to_host; /* number of the last message */
	uint data_to_device[15];
	uint data_to_host[15];
};

/* Answer every message with its words plus one; messages are numbered from 1. */
kernel void echo(global struct mailbox *box, uint messages, global uint *wrong)
{
	for (uint n = 1; n <= messages; n++) {
		while (atomic_load_explicit(&box->to_device, memory_order_acquire, ALL) != n)
			;
		for (uint i = 0; i < 15; i++) {
			if (box->data_to_device[i] != n * 100 + i)
				++*wrong;
			box->data_to_host[i] = box->data_to_device[i] + 1;
		}
		atomic_store_explicit(&box->to_host, n, memory_order_release, ALL);
	}
}

/* The device speaks first: the same roles the other way round. */
kernel void ask(global struct mailbox *box, uint messages, global uint *wrong)
{
	for (uint n = 1; n <= messages; n++) {
		for (uint i = 0; i < 15; i++)
			box->data_to_host[i] = n * 100 + i;
		atomic_store_explicit(&box->to_host, n, memory_order_release, ALL);
		while (atomic_load_explicit(&box->to_device, memory_order_acquire, ALL) != n)
			;
		for (uint i = 0; i < 15; i++)
			if (box->data_to_device[i] != n * 100 + i + 1)
				++*wrong;
	}
}

/* A fence instead of an ordered store and load. */
kernel void fences(global uint *data, global atomic_uint *flag, uint messages, global uint *wrong)
{
	for (uint n = 1; n <= messages; n++) {
		while (atomic_load_explicit(&flag[0], memory_order_relaxed, ALL) != n)
			;
		atomic_work_item_fence(CLK_GLOBAL_MEM_FENCE, memory_order_acquire, ALL);
		if (data[0] != n * 3)
			++*wrong;
		data[64] = n * 5;
		atomic_work_item_fence(CLK_GLOBAL_MEM_FENCE, memory_order_release, ALL);
		atomic_store_explicit(&flag[16], n, memory_order_relaxed, ALL);
	}
}

struct node {
	global struct node *next;
	ulong value;
};

/* Consume a list that the host goes on building: node after node as next becomes visible, until a node of value 0. */
kernel void consume(global struct node *first, global ulong *sum, global atomic_ulong *progress)
{
	global struct node *n = first;

	*sum = 0;
	while (n->value) {
		ulong next;

		*sum += n->value;
		atomic_fetch_add_explicit(progress, 1ul, memory_order_release, ALL);
		do
			next = atomic_load_explicit((global atomic_ulong *)&n->next, memory_order_acquire, ALL);
		while (!next);
		n = (global struct node *)next;
	}
}

/* Dekker's question, asked with seq_cst: x = 1; r = y. Both sides reading 0 is forbidden. */
kernel void store_buffering(global atomic_uint *x, global atomic_uint *y, global atomic_uint *turn, global uint *read,
			    uint rounds)
{
	for (uint n = 1; n <= rounds; n++) {
		while (atomic_load_explicit(&turn[0], memory_order_acquire, ALL) != n)
			;
		atomic_store_explicit(x, 1, memory_order_seq_cst, ALL);
		*read = atomic_load_explicit(y, memory_order_seq_cst, ALL);
		atomic_store_explicit(&turn[16], n, memory_order_release, ALL);
	}
}

/* Spin until the host says stop, counting; the host watches the count grow. */
kernel void spin(global atomic_uint *stop, global atomic_ulong *count)
{
	while (!atomic_load_explicit(stop, memory_order_relaxed, ALL))
		atomic_fetch_add_explicit(count, 1ul, memory_order_relaxed, ALL);
}
