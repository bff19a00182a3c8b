/* SPDX-License-Identifier: MIT */

/* Adds one to every word again and again, until told to stop. */
kernel void work(global uint *p, ulong words, global atomic_uint *stop, global uint *rounds)
{
	while (!atomic_load_explicit(stop, memory_order_acquire, memory_scope_all_svm_devices)) {
		for (ulong i = 0; i < words; i++)
			p[i]++;
		++*rounds;
	}
}

kernel void add(global uint *p, uint value)
{
	p[get_global_id(0)] += value;
}
