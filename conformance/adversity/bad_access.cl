/* SPDX-License-Identifier: MIT */

kernel void read_word(global const int *p, global int *out)
{
	if (get_global_id(0) == get_global_size(0) / 2)
		*out = *p;
}

kernel void write_word(global int *p)
{
	if (get_global_id(0) == get_global_size(0) / 2)
		*p = 77;
}

/* Reads on until something stops it. */
kernel void run_off(global const int *p, global int *out)
{
	int sum = 0;

	while (1) {
		sum += *(global const volatile int *)p++;
		*out = sum;
	}
}

kernel void divide(global int *a, int b)
{
	*a = *a / b;
}

/* Past the caches: of these instructions there is none that does not mind how a vector lies. */
kernel void store_vector(global float4 *p)
{
	__builtin_nontemporal_store((float4)(1, 2, 3, 4), p);
}

kernel void modulo(global long *a, long b)
{
	*a = *a % b;
}

kernel void fault_at_barrier(global int *p, global int *out)
{
	local int l[64];

	l[get_local_id(0)] = (int)get_local_id(0);
	barrier(CLK_LOCAL_MEM_FENCE);
	if (get_global_id(0) == 37)
		*p = 1;
	barrier(CLK_LOCAL_MEM_FENCE);
	out[get_global_id(0)] = l[63 - get_local_id(0)];
}

/* An array of MIB megabytes on the stack, touched from both ends. */
#define STACK_EATER(MIB)                                                                                               \
	kernel void stack_##MIB(global int *out)                                                                       \
	{                                                                                                              \
		volatile int a[MIB * 262144];                                                                          \
		int last = MIB * 262144 - 1;                                                                           \
                                                                                                                       \
		for (int i = 0; i < last / 2; i += 256) {                                                              \
			a[i] = i;                                                                                      \
			a[last - i] = i + 1;                                                                           \
		}                                                                                                      \
		*out = 0;                                                                                              \
		for (int i = 0; i < last / 2; i += 256)                                                                \
			*out += (a[i] == i) + (a[last - i] == i + 1);                                                  \
	}
STACK_EATER(1)
STACK_EATER(8)
STACK_EATER(64)
STACK_EATER(512)

/* Goes on behind the end of an array, or before its beginning. */
kernel void overrun(global uint *out, long words, long step, uint value)
{
	volatile uint private_words[8];

	for (long i = 0; i < words; i++)
		private_words[i * step] = value;
	*out = private_words[0];
}

/* One word of what is behind an array; nothing is needed afterwards but to return. No loops over work-items, which might not end then. */
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void overrun_once(global uint *out, long word, long step, ulong value)
{
	volatile ulong private_words[4];

	private_words[word * step] = value;
}

kernel void overrun_local(global uint *out, long words, long step)
{
	local uint local_words[8];
	volatile local uint *p = local_words;

	for (long i = 0; i < words; i++)
		p[i * step] = 1;
	*out = p[0];
}

kernel void add(global int *p, int value)
{
	p[get_global_id(0)] += value;
}

kernel void wait_then_write(global atomic_uint *flag, global int *out)
{
	while (!atomic_load_explicit(flag, memory_order_acquire, memory_scope_all_svm_devices))
		;
	*out = 123;
}
