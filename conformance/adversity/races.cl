/* SPDX-License-Identifier: MIT */

/* Sweep over the words until told to stop (or stopped): each gets the number of the sweep. */
kernel void sweep_write(global ulong *p, ulong words, global atomic_uint *stop, global ulong *sweeps)
{
	ulong sweep = 0;

	while (!atomic_load_explicit(stop, memory_order_acquire, memory_scope_all_svm_devices)) {
		sweep++;
		for (ulong i = 0; i < words; i++)
			p[i] = sweep;
		*sweeps = sweep;
	}
}

/* Sweep and read: each word must hold its own number, or (if zeroes are allowed) zero. */
kernel void sweep_read(global const volatile ulong *p, ulong words, uint zeroes, global atomic_uint *stop,
		       global ulong *sweeps, global ulong *wrong)
{
	while (!atomic_load_explicit(stop, memory_order_acquire, memory_scope_all_svm_devices)) {
		for (ulong i = 0; i < words; i++) {
			ulong seen = p[i];

			if (seen != i && !(zeroes && !seen))
				++*wrong;
		}
		++*sweeps;
	}
}

/* One counter for each page, each increased by one in every sweep. */
kernel void sweep_count(global ulong *p, ulong words, ulong stride, global atomic_uint *stop, global ulong *sweeps)
{
	while (!atomic_load_explicit(stop, memory_order_acquire, memory_scope_all_svm_devices)) {
		for (ulong i = 0; i < words; i += stride)
			p[i]++;
		++*sweeps;
	}
}

kernel void copy_word(global const ulong *from, global ulong *to)
{
	*to = *from;
}
