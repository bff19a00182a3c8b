/* SPDX-License-Identifier: MIT */

/* Group i waits for group i-1: ends only if groups start in increasing order. The result is their chain of sums. */
kernel void relay(global atomic_uint *turn, global uint *order, global ulong *value)
{
	uint group = get_group_id(0);

	if (get_local_id(0) == 0) {
		while (atomic_load_explicit(turn, memory_order_acquire, memory_scope_device) != group)
			;
		order[group] = group;
		*value = *value * 7 + group;
		atomic_store_explicit(turn, group + 1, memory_order_release, memory_scope_device);
	}
}

/* The same in two dimensions: the order is that of the linear group number. */
kernel void relay_2d(global atomic_uint *turn, global ulong *value)
{
	uint group = get_group_id(1) * get_num_groups(0) + get_group_id(0);

	while (atomic_load_explicit(turn, memory_order_acquire, memory_scope_device) != group)
		;
	*value = *value * 7 + group;
	atomic_store_explicit(turn, group + 1, memory_order_release, memory_scope_device);
}

/* As many groups as compute units meet at a barrier of their own, again and again. */
kernel void grid_barrier(global atomic_uint *arrived, global uint *cells, uint rounds, global uint *wrong)
{
	uint group = get_group_id(0), groups = get_num_groups(0);

	for (uint r = 1; r <= rounds; r++) {
		if (get_local_id(0) == 0)
			cells[group * 16] = r;
		barrier(CLK_GLOBAL_MEM_FENCE);
		if (get_local_id(0) == 0) {
			atomic_fetch_add_explicit(arrived, 1, memory_order_acq_rel, memory_scope_device);
			while (atomic_load_explicit(arrived, memory_order_acquire, memory_scope_device) <
			       (2 * r - 1) * groups)
				;
			/* Everybody has written round r and nobody has gone on. */
			for (uint g = 0; g < groups; g++)
				if (cells[g * 16] != r)
					atomic_inc((global volatile int *)wrong);
			atomic_fetch_add_explicit(arrived, 1, memory_order_acq_rel, memory_scope_device);
			while (atomic_load_explicit(arrived, memory_order_acquire, memory_scope_device) < 2 * r * groups)
				;
		}
		barrier(CLK_GLOBAL_MEM_FENCE);
	}
}

/* Decoupled look-back: an inclusive prefix sum in one pass, in which each group waits for its predecessors' sums. */
kernel void prefix_sum(global const uint *in, global uint *out, global atomic_uint *state, global uint *partial)
{
	size_t l = get_local_id(0), g = get_group_id(0), n = get_local_size(0);
	local uint scan[64];
	local uint before;

	scan[l] = in[get_global_id(0)];
	barrier(CLK_LOCAL_MEM_FENCE);
	if (l == 0) {
		for (size_t i = 1; i < n; i++)
			scan[i] += scan[i - 1];
		before = 0;
		if (g) {
			while (!atomic_load_explicit(&state[g - 1], memory_order_acquire, memory_scope_device))
				;
			before = partial[g - 1];
		}
		partial[g] = before + scan[n - 1];
		atomic_store_explicit(&state[g], 1, memory_order_release, memory_scope_device);
	}
	barrier(CLK_LOCAL_MEM_FENCE);
	out[get_global_id(0)] = before + scan[l];
}
