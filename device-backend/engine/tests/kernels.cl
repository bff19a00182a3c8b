/* SPDX-License-Identifier: MIT */
/* Kernels of the engine's unit tests. */

__kernel void add(__global const int *a, __global const int *b, __global int *out, int bias)
{
	size_t i = get_global_id(0);

	out[i] = a[i] + b[i] + bias;
}

__kernel void empty(void)
{
}

/* Every work-item writes where it is. */
__kernel void where(__global ulong *out)
{
	size_t x = get_global_id(0) - get_global_offset(0), y = get_global_id(1) - get_global_offset(1),
	       z = get_global_id(2) - get_global_offset(2);
	size_t linear = (z * get_global_size(1) + y) * get_global_size(0) + x;

	out[linear] = get_group_id(0) | get_group_id(1) << 12 | get_group_id(2) << 24 | get_global_id(0) << 36;
}

__kernel void sum_group(__global const int *in, __global int *out, __local int *shared)
{
	__local int total;
	size_t i = get_local_id(0);

	shared[i] = in[get_global_id(0)];
	if (i == 0)
		total = 0;
	barrier(CLK_LOCAL_MEM_FENCE);
	if (i == 0) {
		for (size_t k = 0; k < get_local_size(0); k++)
			total += shared[k];
		out[get_group_id(0)] = total;
	}
}

__kernel void poke(__global int *p, ulong only)
{
	if (get_group_id(0) == only)
		*p = 1;
}

__kernel void peek(__global const int *p, __global int *out)
{
	*out = *p;
}

/* All groups but one wait for a group that dies. */
__kernel void wait_for_the_dead(__global atomic_int *flag, __global int *bad)
{
	if (get_group_id(0) == 1)
		*bad = 1;
	while (atomic_load_explicit(flag, memory_order_acquire, memory_scope_all_svm_devices) == 0)
		;
}

__kernel void divide(__global int *p, int by, ulong only)
{
	if (get_group_id(0) == only)
		*p = *p / by;
}

/* Past the caches: of these instructions there is none that does not mind how a vector lies. */
__kernel void store_vector(__global float4 *p, ulong only)
{
	if (get_group_id(0) == only)
		__builtin_nontemporal_store((float4)(1, 2, 3, 4), p);
}

__kernel void deep(__global int *out, int depth)
{
	/* Private memory of many work-items: more than any stack. */
	int big[16384];

	for (int i = 0; i < 16384; i++)
		big[i] = i * depth;
	barrier(CLK_LOCAL_MEM_FENCE);
	out[get_global_id(0)] = big[(depth * 7 + get_local_id(0)) & 16383];
}

__kernel void barrier_of_groups(__global atomic_int *count, __global int *result)
{
	int groups = get_num_groups(0);

	atomic_fetch_add_explicit(count, 1, memory_order_acq_rel, memory_scope_all_svm_devices);
	while (atomic_load_explicit(count, memory_order_acquire, memory_scope_all_svm_devices) < groups)
		;
	result[get_group_id(0)] = groups;
}

/* Group n waits for group n - 1. */
__kernel void chain(__global atomic_int *turn)
{
	int me = get_group_id(0);

	while (atomic_load_explicit(turn, memory_order_acquire, memory_scope_all_svm_devices) != me)
		;
	atomic_store_explicit(turn, me + 1, memory_order_release, memory_scope_all_svm_devices);
}

__kernel void ping(__global atomic_int *ball, int rounds)
{
	for (int i = 0; i < rounds; i++) {
		while (atomic_load_explicit(ball, memory_order_acquire, memory_scope_all_svm_devices) != 2 * i + 1)
			;
		atomic_store_explicit(ball, 2 * i + 2, memory_order_release, memory_scope_all_svm_devices);
	}
}

__global int counter = 40;
__global int *where_counter = &counter;

__kernel void count(__global int *out)
{
	*out = ++*where_counter;
}

__kernel void say(int i, float f)
{
	printf("i=%d f=%.3f s=%s g=%lu\n", i, f, "text", get_group_id(0));
}

__kernel void spin(__global atomic_int *stop)
{
	while (atomic_load_explicit(stop, memory_order_acquire, memory_scope_all_svm_devices) == 0)
		;
}

__kernel void vectors(__global double16 *out, double16 a, char3 b, long c)
{
	*out = a + (double)(b.x + b.y + b.z) + (double)c;
}

/* Counts the visits of each work-item, without any means to notice the others. Takes a while, by @steps. */
__kernel void visit(__global uint *visits, ulong steps)
{
	ulong x = get_global_id(0);

	for (ulong i = 0; i < steps; i++)
		x = x * 6364136223846793005ul + 1442695040888963407ul;
	visits[get_global_id(0)] += x == 0x0123456789abcdeful ? 2 : 1;
}

/* The same, with one group that dies. */
__kernel void visit_or_die(__global uint *visits, ulong steps, __global uint *nowhere, ulong deadly)
{
	ulong x = get_global_id(0);

	for (ulong i = 0; i < steps; i++)
		x = x * 6364136223846793005ul + 1442695040888963407ul;
	if (get_group_id(0) == deadly)
		*nowhere = 1;
	visits[get_global_id(0)] += x == 0x0123456789abcdeful ? 2 : 1;
}

/* The same, and says so. */
__kernel void visit_and_tell(__global uint *visits, __global atomic_uint *all)
{
	visits[get_global_id(0)]++;
	atomic_fetch_add_explicit(all, 1, memory_order_relaxed, memory_scope_device);
}
