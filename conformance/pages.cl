/* SPDX-License-Identifier: MIT */
/* Kernels of the tests that count which pages move (touch), or ask what ended a kernel (the others). */

/* Touch each page of p once. */
kernel void touch(global uchar *p, ulong pages, uint write, global uint *sum)
{
	uint total = 0;

	for (ulong i = 0; i < pages; i++) {
		if (write)
			p[i * 4096] = (uchar)(i + 1);
		else
			total += p[i * 4096];
	}
	*sum = total;
}

/* The work-group numbered victim goes wrong, all others do nothing. */
kernel void wrong(global int *p, uint victim, uint write, global int *sink)
{
	if (get_group_id(0) + get_group_id(1) * get_num_groups(0) != victim)
		return;
	if (write)
		*(volatile global int *)p = 1;
	else
		*sink = *(volatile global int *)p;
}

kernel void divide(global int *p, int by)
{
	p[0] = p[0] / by;
}
