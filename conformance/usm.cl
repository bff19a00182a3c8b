// SPDX-License-Identifier: MIT

struct box {
	global int *data; /* of another allocation */
	int count;
};

/* Adds @x to what @box leads to, and says how much it was. */
kernel void add_indirect(global struct box *box, int x, global long *sum)
{
	long total = 0;

	for (int i = 0; i < box->count; i++) {
		box->data[i] += x;
		total += box->data[i];
	}
	*sum = total;
}

kernel void add(global int *data, int x)
{
	data[get_global_id(0)] += x;
}
