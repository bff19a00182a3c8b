/* SPDX-License-Identifier: MIT */

kernel void add(global int *p, int value)
{
	p[get_global_id(0)] += value;
}

/* Reaches its data only through a pointer that it finds in memory. */
struct box {
	global int *data;
	uint count;
};

kernel void add_indirect(global struct box *box, int value)
{
	for (uint i = get_global_id(0); i < box->count; i += get_global_size(0))
		box->data[i] += value;
}

/* Stores the address of the argument as the device sees it. */
kernel void address_of(global char *p, global ulong *address)
{
	*address = (ulong)p;
}

kernel void sum_bytes(global const uchar *p, ulong size, global ulong *sum)
{
	ulong total = 0;

	for (ulong i = 0; i < size; i++)
		total += p[i] * (i % 7 + 1);
	*sum = total;
}
