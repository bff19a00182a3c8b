/* SPDX-License-Identifier: MIT */

// fill_cache: -cl-std=CL3.0
// fill_cache: whole -cl-std=CL3.0

/* Kernels to be asked about. */
kernel __attribute__((reqd_work_group_size(8, 2, 1)))
void fixed(global int *p, local int *l, int v)
{
	l[get_local_id(0)] = v;
	p[0] = l[0];
}

kernel void plain(global const int *restrict p, constant float *c, float4 v)
{
}
