/* SPDX-License-Identifier: MIT */

/* One step of a chain: only right if every earlier step is done. */
kernel void chain(global ulong *value, ulong number)
{
	*value = *value * 3 + number;
}

/* c = a + b, slowly, so that a missing dependency shows. */
kernel void add(global const ulong *a, global const ulong *b, global ulong *c, uint delay)
{
	volatile uint spin = 0;

	while (spin < delay)
		spin++;
	*c = *a + *b;
}

kernel void empty(void)
{
}

/* Fails to end until the host says so. */
kernel void wait_for(global atomic_uint *flag)
{
	while (!atomic_load_explicit(flag, memory_order_acquire, memory_scope_all_svm_devices))
		;
}
