// SPDX-License-Identifier: MIT
/* Becomes a SPIR-V module when the tests are built. The numbers of __spirv_SpecConstant() are those of constants that a program sets. */

int __attribute__((overloadable)) __spirv_SpecConstant(int id, int value);
long __attribute__((overloadable)) __spirv_SpecConstant(int id, long value);
float __attribute__((overloadable)) __spirv_SpecConstant(int id, float value);
bool __attribute__((overloadable)) __spirv_SpecConstant(int id, bool value);

struct node {
	struct node *next;
	long value;
};

/* A list that the host has made with malloc(). */
kernel void list_sum(global struct node *head, global long *sum)
{
	long total = 0;

	for (struct node *node = (struct node *)head; node; node = node->next)
		total += node->value;
	*sum = total;
}

kernel void constants(global long *out)
{
	out[0] = __spirv_SpecConstant(10, 3);
	out[1] = __spirv_SpecConstant(11, 1L << 40);
	out[2] = (long)(__spirv_SpecConstant(12, 1.5f) * 1000);
	out[3] = __spirv_SpecConstant(13, true) ? 1 : 0;
}

/* Its name is that of a built-in function. */
kernel void max(global int *data, float factor, local int *turned)
{
	const int i = get_local_id(0), n = get_local_size(0);

	turned[i] = data[get_global_id(0)];
	barrier(CLK_LOCAL_MEM_FENCE);
	data[get_global_id(0)] = (int)(turned[n - 1 - i] * factor) + min(i, 1);
}

/* Work-group @k asks whether all, and whether any, of its items have a number that is not @k. */
kernel void votes(global int *all, global int *any, volatile global atomic_int *count)
{
	const int i = get_local_id(0), k = get_group_id(0);

	all[get_global_id(0)] = work_group_all(i != k);
	any[get_global_id(0)] = work_group_any(i == k);
	atomic_fetch_add_explicit(count, 1, memory_order_relaxed, memory_scope_device);
}

struct closure {
	char tag;
	long scale;
	global int *data;
	int offsets[5];
};

/* What a lambda of SYCL becomes: everything in one structure. */
kernel void run_closure(struct closure closure, char3 three)
{
	const int i = get_global_id(0);

	closure.data[i] = closure.data[i] * closure.scale + closure.offsets[i % 5] + closure.tag + three.z;
}

/* Without numbers of 64 bits: as compilers of other languages do it, they are printed as they are. */
kernel void print(float a, int b, float c)
{
	printf("%.2f %d %.3f\n", a, b, c);
}

/* For programs that are linked to this one. */
int triple(int x)
{
	return 3 * x;
}
