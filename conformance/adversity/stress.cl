/* SPDX-License-Identifier: MIT */

#define WORDS 512

/* Each page gets the words of one seed; seed 0 is a page of zeros. One work-item for each page. */
kernel void fill(global ulong *p, ulong seed)
{
	size_t page = get_global_id(0);

	for (ulong i = 0; i < WORDS; i++)
		p[page * WORDS + i] = seed ? seed * WORDS + i : 0;
}

/* Each page must have the words of its seed. */
kernel void check(global const ulong *p, global const ulong *seeds, global atomic_uint *wrong)
{
	size_t page = get_global_id(0);

	for (ulong i = 0; i < WORDS; i++)
		if (p[page * WORDS + i] != (seeds[page] ? seeds[page] * WORDS + i : 0))
			atomic_fetch_add_explicit(wrong, 1u, memory_order_relaxed, memory_scope_all_svm_devices);
}
