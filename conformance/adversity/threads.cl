/* SPDX-License-Identifier: MIT */

kernel void scale(global uint *p, uint factor, uint add)
{
	p[get_global_id(0)] = p[get_global_id(0)] * factor + add;
}

kernel void count(global atomic_uint *counter)
{
	atomic_fetch_add_explicit(counter, 1u, memory_order_relaxed, memory_scope_all_svm_devices);
}
