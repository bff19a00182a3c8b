/* SPDX-License-Identifier: MIT */

// fill_cache: -cl-std=CL3.0
// fill_cache: whole -cl-std=CL3.0

/* ---- ids ---- */

/* Every work-item writes its ids at its own place. */
kernel void ids(global ulong *out)
{
	ulong w = get_global_size(0), h = get_global_size(1);
	ulong x = get_global_id(0) - get_global_offset(0), y = get_global_id(1) - get_global_offset(1);
	ulong z = get_global_id(2) - get_global_offset(2);
	global ulong *o = out + ((z * h + y) * w + x) * 12;

	for (uint d = 0; d < 3; d++) {
		o[d] = get_global_id(d);
		o[3 + d] = get_group_id(d) * get_local_size(d) + get_local_id(d) + get_global_offset(d);
		o[6 + d] = get_num_groups(d) * 100 + get_local_size(d);
	}
	o[9] = get_work_dim();
	o[10] = get_global_linear_id();
	o[11]++;
}

/* ---- arguments of all shapes ---- */

struct mixed {
	char c;
	double d;
	short s[3];
	ulong u;
};

kernel void arguments(char a, uchar b, short c, ushort d, int e, uint f, long g, ulong h, float i, double j, int4 k, double2 l,
		      char3 m, struct mixed n, global ulong *out)
{
	out[0] = (ulong)a;
	out[1] = b;
	out[2] = (ulong)c;
	out[3] = d;
	out[4] = (ulong)e;
	out[5] = f;
	out[6] = (ulong)g;
	out[7] = h;
	out[8] = (ulong)(long)(i * 4);
	out[9] = (ulong)(long)(j * 8);
	out[10] = (ulong)(k.x + 10 * k.y + 100 * k.z + 1000 * k.w);
	out[11] = (ulong)(long)(l.x + 10 * l.y);
	out[12] = (ulong)(m.x + 10 * m.y + 100 * m.z);
	out[13] = (ulong)n.c;
	out[14] = (ulong)(long)n.d;
	out[15] = (ulong)(n.s[0] + 10 * n.s[1] + 100 * n.s[2]);
	out[16] = n.u;
}

/* Null and dynamic local arguments. */
kernel void optional(global int *maybe, constant int *table, local int *scratch, global int *out)
{
	size_t l = get_local_id(0), n = get_local_size(0);

	scratch[l] = (int)l;
	barrier(CLK_LOCAL_MEM_FENCE);
	out[get_global_id(0)] = scratch[n - 1 - l] + table[l % 4] + (maybe ? 1000 : 0);
}

/* ---- program scope ---- */

global int scope_counter = 100;
global int *global scope_pointer;
global uint scope_array[256];
constant int scope_constant[4] = { 3, 1, 4, 1 };

/* Returns what the launch before left. */
kernel void remember(global int *out, global int *in)
{
	out[0] = scope_counter++;
	out[1] = scope_pointer ? *scope_pointer : -1;
	scope_pointer = in;
	for (int i = 0; i < 256; i++)
		scope_array[i] += i;
	out[2] = (int)scope_array[255];
	out[3] = scope_constant[out[0] % 4];
}

kernel void scope_address(global ulong *out)
{
	*out = (ulong)&scope_counter;
}

/* ---- local memory and barriers ---- */

/* Reverse within each group through local memory, many times, with a barrier at each step. */
kernel void reverse(global int *data, uint rounds)
{
	local int tile[256];
	size_t l = get_local_id(0), n = get_local_size(0);

	for (uint r = 0; r < rounds; r++) {
		tile[l] = data[get_global_id(0)];
		barrier(CLK_LOCAL_MEM_FENCE);
		data[get_global_id(0)] = tile[n - 1 - l] + 1;
		barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
	}
}

/* A tree reduction: log2(n) barriers, half of the items idle at each. */
kernel void reduce(global const int *in, global int *sums)
{
	local int part[256];
	size_t l = get_local_id(0);

	part[l] = in[get_global_id(0)];
	for (size_t step = get_local_size(0) / 2; step; step /= 2) {
		barrier(CLK_LOCAL_MEM_FENCE);
		if (l < step)
			part[l] += part[l + step];
	}
	if (!l)
		sums[get_group_id(0)] = part[0];
}

/* Local memory that is not cleared belongs to one group at a time: every group fills and checks it. */
kernel void private_to_group(global int *wrong)
{
	local uint mine[1024];
	uint tag = (uint)get_group_id(0) * 7919 + 1;

	for (uint i = get_local_id(0); i < 1024; i += get_local_size(0))
		mine[i] = tag + i;
	barrier(CLK_LOCAL_MEM_FENCE);
	for (uint i = get_local_size(0) - 1 - get_local_id(0); i < 1024; i += get_local_size(0))
		if (mine[i] != tag + i)
			atomic_inc((global volatile int *)wrong);
}

/* Local atomics. */
kernel void local_atomics(global uint *out)
{
	local atomic_uint sum;

	if (!get_local_id(0))
		atomic_init(&sum, 0);
	barrier(CLK_LOCAL_MEM_FENCE);
	for (int i = 0; i < 100; i++)
		atomic_fetch_add_explicit(&sum, (uint)get_local_id(0), memory_order_relaxed, memory_scope_work_group);
	barrier(CLK_LOCAL_MEM_FENCE);
	if (!get_local_id(0))
		out[get_group_id(0)] = atomic_load(&sum);
}

/* What a work-group finds out together: eight answers for each work-item. */
kernel void collectives(global const int *in, global int *out)
{
	const int value = in[get_global_id(0)];
	global int *answers = out + 8 * get_global_id(0);

	answers[0] = work_group_all(value >= 0) != 0;
	answers[1] = work_group_all(value != 3) != 0;
	answers[2] = work_group_any(value == 3) != 0;
	answers[3] = work_group_any(value < 0) != 0;
	answers[4] = work_group_broadcast(value, 5);
	answers[5] = work_group_reduce_add(value);
	answers[6] = work_group_reduce_min(value - 4) + 100 * work_group_reduce_max(-value - 1);
	answers[7] = work_group_scan_inclusive_add(value) - work_group_scan_exclusive_add(value);
}

/* ---- printf ---- */

kernel void print(int value, global const char *unused)
{
	if (get_global_id(0) == 0) {
		printf("int %d, hex %#x, char %c, percent %%\n", value, value, 'z');
		printf("float %.3f, string %s, long %ld, unsigned %u\n", 1.5f, "text", -5000000000l, 4000000000u);
		printf("vector %v4hld, padded |%5d|%-5d|\n", (int4)(1, 2, 3, 4), 42, 42);
	}
}

kernel void print_many(int lines)
{
	for (int i = 0; i < lines; i++)
		printf("line %d of item %d\n", i, (int)get_global_id(0));
}

/* ---- functions ---- */

kernel void vector_math(global float4 *v, global const float *scale)
{
	size_t i = get_global_id(0);

	v[i] = fma(v[i], (float4)(*scale), (float4)(1, 2, 3, 4));
	v[i].xy = v[i].yx;
}

kernel void mathematics(global const double *in, global double *out)
{
	size_t i = get_global_id(0);

	out[4 * i] = sqrt(in[i]);
	out[4 * i + 1] = sin(in[i]) * sin(in[i]) + cos(in[i]) * cos(in[i]);
	out[4 * i + 2] = exp(log(in[i]));
	out[4 * i + 3] = floor(in[i]) + fmin(in[i], 2.0) + pow(in[i], 2.0);
}

/* One generic function for pointers into all three address spaces. */
static int through_generic(const int *p)
{
	return *p * 2;
}

kernel void generic_pointers(global int *g, global int *out)
{
	local int l;
	int p = 5;

	if (!get_local_id(0))
		l = 7;
	barrier(CLK_LOCAL_MEM_FENCE);
	out[get_global_id(0)] = through_generic(g) + 10 * through_generic(&l) + 100 * through_generic(&p);
}

/* Each item has an array of its own on its stack. */
kernel void private_arrays(global uint *out)
{
	uint a[200];
	uint seed = (uint)get_global_id(0) + 1, sum = 0;

	for (int i = 0; i < 200; i++)
		a[i] = seed = seed * 1664525u + 1013904223u;
	for (int i = 0; i < 200; i++)
		sum += a[(i * 7) % 200] * (uint)i;
	out[get_global_id(0)] = sum;
}
