/* SPDX-License-Identifier: MIT */

kernel void add(global uint *p, uint value)
{
	local uint l[64];

	l[get_local_id(0)] = p[get_global_id(0)];
	barrier(CLK_LOCAL_MEM_FENCE);
	p[get_global_id(0)] = l[get_local_id(0)] + value;
}
