/* SPDX-License-Identifier: MIT */

/* One word at each stride from the start: check what it holds, write what follows. */
kernel void probe(global char *base, ulong stride, ulong expected, ulong next, global atomic_uint *bad)
{
	size_t i = get_global_id(0);
	global ulong *p = (global ulong *)(base + i * stride);

	if (*p != (expected ? expected + i : 0))
		atomic_fetch_add_explicit(bad, 1u, memory_order_relaxed, memory_scope_device);
	*p = next + i;
}

/* Look at words that nobody ever wrote. */
kernel void only_zeroes(global const char *base, ulong stride, global atomic_uint *bad)
{
	global const ulong *p = (global const ulong *)(base + get_global_id(0) * stride);

	if (*p)
		atomic_fetch_add_explicit(bad, 1u, memory_order_relaxed, memory_scope_device);
}
