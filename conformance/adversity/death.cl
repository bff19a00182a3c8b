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

/* Writes over its stack, and what called it. */
kernel void smash(global uint *out, ulong words)
{
	volatile uint private_words[8];

	for (ulong i = 0; i < words; i++)
		private_words[i] = 0x41414141;
	*out = private_words[words % 8];
}
