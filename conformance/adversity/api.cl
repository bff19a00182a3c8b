/* SPDX-License-Identifier: MIT */

struct pair {
	int a;
	long b;
};

kernel void target(global int *p, int value, local int *scratch, constant int *table, struct pair pair)
{
	scratch[get_local_id(0)] = value + table[0] + (int)pair.b;
	barrier(CLK_LOCAL_MEM_FENCE);
	p[get_global_id(0)] = scratch[get_local_id(0)];
}

kernel __attribute__((reqd_work_group_size(8, 1, 1))) void eight(global int *p)
{
	p[get_global_id(0)] = 8;
}
