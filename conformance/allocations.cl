/* SPDX-License-Identifier: MIT */

/* Each work-item follows one pointer of a table into a block of its own. */
kernel void visit(global ulong *global *blocks, ulong add)
{
	size_t i = get_global_id(0);

	*blocks[i] += add + i;
}

kernel void increment(global uint *p)
{
	++*p;
}
