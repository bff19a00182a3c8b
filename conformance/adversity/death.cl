/* SPDX-License-Identifier: MIT */

kernel void add(global uint *p, uint value)
{
	p[get_global_id(0)] += value;
}

/* Never ends by itself. */
kernel void spin(global atomic_uint *stop, global atomic_uint *started)
{
	atomic_store_explicit(started, 1, memory_order_release, memory_scope_all_svm_devices);
	while (!atomic_load_explicit(stop, memory_order_relaxed, memory_scope_all_svm_devices))
		;
}

kernel void sweep(global uint *p, ulong words, global atomic_uint *stop, global atomic_uint *started)
{
	while (!atomic_load_explicit(stop, memory_order_relaxed, memory_scope_all_svm_devices)) {
		for (ulong i = 0; i < words; i++)
			p[i]++;
		atomic_fetch_add_explicit(started, 1u, memory_order_release, memory_scope_all_svm_devices);
	}
}
