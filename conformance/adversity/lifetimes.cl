/* SPDX-License-Identifier: MIT */

kernel void add(global uint *p, global uint *count)
{
	p[get_global_id(0)]++;
	if (get_global_id(0) == 0)
		*count = get_global_size(0);
}
