/* SPDX-License-Identifier: MIT */
/* Commands that copy and fill buffers: data, bounds, overlap, rectangles against a byte-by-byte model. */
#include "runtime/tests/fixture.h"
#include "runtime/transfer.h"

#define SIZE 4096

static cl_mem create(cl_mem_flags flags, size_t size)
{
	cl_int err;
	cl_mem mem = clCreateBuffer(fx.context, flags, size, NULL, &err);

	assert_ok(err);
	return mem;
}

static void randomise(uint8_t *bytes, size_t size, unsigned int seed)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)rand_r(&seed);
}

static void read_and_write(void **state)
{
	const size_t big = 1 << 20;
	cl_mem mem = create(0, big);
	uint8_t *out = malloc(big), *in = malloc(big);
	struct mcl_fake_counts before, after;
	cl_event event;

	(void)state;
	for (int blocking = 0; blocking < 2; blocking++) {
		randomise(out, big, (unsigned int)blocking);
		memset(in, 0, big);
		assert_ok(clEnqueueWriteBuffer(fx.queue, mem, blocking, 0, big, out, 0, NULL, NULL));
		assert_ok(clEnqueueReadBuffer(fx.queue, mem, blocking, 100, big - 100, in, 0, NULL, &event));
		assert_ok(clWaitForEvents(1, &event));
		assert_ok(clReleaseEvent(event));
		assert_memory_equal(in, out + 100, big - 100);
	}
	/* Small, blocking, nothing under way: no packet. */
	assert_ok(clFinish(fx.queue));
	mcl_fake_counts(&before);
	assert_ok(clEnqueueReadBuffer(fx.timed, mem, CL_TRUE, 5, 64, in, 0, NULL, &event));
	assert_memory_equal(in, out + 5, 64);
	assert_cl(fixture_status(event), CL_COMPLETE);
	assert_ok(clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_END, sizeof(cl_ulong), &(cl_ulong){ 0 }, NULL));
	assert_ok(clReleaseEvent(event));
	mcl_fake_counts(&after);
	assert_int_equal(before.copies, after.copies);
	/* But it waits its turn when there is something. */
	mcl_fake_hold(true);
	assert_ok(clEnqueueFillBuffer(fx.queue, mem, "z", 1, 0, 64, 0, NULL, NULL));
	assert_ok(clEnqueueReadBuffer(fx.queue, mem, CL_FALSE, 0, 64, in, 0, NULL, &event));
	mcl_fake_hold(false);
	assert_ok(clEnqueueReadBuffer(fx.queue, mem, CL_TRUE, 63, 1, in + 64, 1, &event, NULL));
	assert_int_equal(in[0], 'z');
	assert_int_equal(in[64], 'z');
	assert_ok(clReleaseEvent(event));
	/* No bytes are fine, onto itself too. */
	assert_ok(clEnqueueReadBuffer(fx.queue, mem, CL_TRUE, big, 0, in, 0, NULL, NULL));
	assert_ok(clEnqueueReadBuffer(fx.queue, mem, CL_TRUE, 0, big, mem->data, 0, NULL, NULL));
	assert_ok(clReleaseMemObject(mem));
	free(in);
	free(out);
}

static void linear_errors(void **state)
{
	cl_mem mem = create(0, SIZE), ro = create(CL_MEM_HOST_READ_ONLY, SIZE);
	cl_mem wo = create(CL_MEM_HOST_WRITE_ONLY, SIZE), no = create(CL_MEM_HOST_NO_ACCESS, SIZE), foreign;
	cl_context other;
	char host[16] = "";
	char pattern[256] = "";
	cl_int err;

	(void)state;
	other = clCreateContext(NULL, 1, &fx.device, NULL, NULL, &err);
	assert_ok(err);
	foreign = clCreateBuffer(other, 0, SIZE, NULL, &err);
	assert_ok(err);
#define READ(m, off, n, p) clEnqueueReadBuffer(fx.queue, m, CL_TRUE, off, n, p, 0, NULL, NULL)
#define WRITE(m, off, n, p) clEnqueueWriteBuffer(fx.queue, m, CL_TRUE, off, n, p, 0, NULL, NULL)
#define COPY(a, b, ao, bo, n) clEnqueueCopyBuffer(fx.queue, a, b, ao, bo, n, 0, NULL, NULL)
#define FILL(m, p, ps, off, n) clEnqueueFillBuffer(fx.queue, m, p, ps, off, n, 0, NULL, NULL)
	assert_cl(READ(NULL, 0, 1, host), CL_INVALID_MEM_OBJECT);
	assert_cl(READ(foreign, 0, 1, host), CL_INVALID_CONTEXT);
	assert_cl(READ(mem, 0, 1, NULL), CL_INVALID_VALUE);
	assert_cl(READ(mem, SIZE, 1, host), CL_INVALID_VALUE);
	assert_cl(READ(mem, 0, SIZE + 1, host), CL_INVALID_VALUE);
	assert_cl(READ(mem, SIZE_MAX, 2, host), CL_INVALID_VALUE);
	assert_cl(READ(mem, 2, SIZE_MAX, host), CL_INVALID_VALUE);
	assert_cl(READ(wo, 0, 1, host), CL_INVALID_OPERATION);
	assert_cl(READ(no, 0, 1, host), CL_INVALID_OPERATION);
	assert_ok(READ(ro, 0, 1, host));
	assert_cl(WRITE(ro, 0, 1, host), CL_INVALID_OPERATION);
	assert_cl(WRITE(no, 0, 1, host), CL_INVALID_OPERATION);
	assert_ok(WRITE(wo, 0, 1, host));
	assert_cl(WRITE(mem, SIZE - 1, 2, host), CL_INVALID_VALUE);
	assert_cl(clEnqueueReadBuffer(NULL, mem, CL_TRUE, 0, 1, host, 0, NULL, NULL), CL_INVALID_COMMAND_QUEUE);
	/* A bad host pointer: an error, whoever copies. */
	assert_cl(READ(mem, 0, 16, (void *)64), CL_OUT_OF_RESOURCES);
	assert_cl(WRITE(mem, 0, 16, (void *)64), CL_OUT_OF_RESOURCES);
	assert_cl(clEnqueueReadBuffer(fx.queue, NULL, CL_FALSE, 0, 1, host, 0, NULL, NULL), CL_INVALID_MEM_OBJECT);

	assert_cl(COPY(NULL, mem, 0, 0, 1), CL_INVALID_MEM_OBJECT);
	assert_cl(COPY(mem, NULL, 0, 0, 1), CL_INVALID_MEM_OBJECT);
	assert_cl(COPY(mem, foreign, 0, 0, 1), CL_INVALID_CONTEXT);
	assert_cl(COPY(mem, ro, SIZE, 0, 1), CL_INVALID_VALUE);
	assert_cl(COPY(mem, ro, 0, SIZE, 1), CL_INVALID_VALUE);
	assert_cl(COPY(mem, mem, 0, 10, 11), CL_MEM_COPY_OVERLAP);
	assert_cl(COPY(mem, mem, 10, 0, 11), CL_MEM_COPY_OVERLAP);
	assert_cl(COPY(mem, mem, 0, 0, 1), CL_MEM_COPY_OVERLAP);
	assert_ok(COPY(mem, mem, 0, 10, 10));
	assert_ok(COPY(no, mem, 0, 0, SIZE));

	assert_cl(FILL(NULL, pattern, 1, 0, 1), CL_INVALID_MEM_OBJECT);
	assert_cl(FILL(mem, NULL, 1, 0, 1), CL_INVALID_VALUE);
	assert_cl(FILL(mem, pattern, 0, 0, 1), CL_INVALID_VALUE);
	assert_cl(FILL(mem, pattern, 3, 0, 3), CL_INVALID_VALUE);
	assert_cl(FILL(mem, pattern, 256, 0, 256), CL_INVALID_VALUE);
	assert_cl(FILL(mem, pattern, 4, 2, 4), CL_INVALID_VALUE);
	assert_cl(FILL(mem, pattern, 4, 0, 6), CL_INVALID_VALUE);
	assert_cl(FILL(mem, pattern, 4, SIZE, 4), CL_INVALID_VALUE);
	assert_ok(FILL(mem, pattern, 128, SIZE - 128, 128));
	assert_ok(FILL(mem, pattern, 4, 0, 0));

	assert_cl(clEnqueueMigrateMemObjects(fx.queue, 0, &mem, 0, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clEnqueueMigrateMemObjects(fx.queue, 1, NULL, 0, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clEnqueueMigrateMemObjects(fx.queue, 1, &mem, 1 << 8, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clEnqueueMigrateMemObjects(fx.queue, 1, &(cl_mem){ NULL }, 0, 0, NULL, NULL), CL_INVALID_MEM_OBJECT);
	assert_cl(clEnqueueMigrateMemObjects(fx.queue, 1, &foreign, 0, 0, NULL, NULL), CL_INVALID_CONTEXT);
	assert_ok(clEnqueueMigrateMemObjects(fx.queue, 2, (cl_mem[]){ mem, ro }, CL_MIGRATE_MEM_OBJECT_HOST, 0, NULL,
					     NULL));
	assert_ok(clFinish(fx.queue));
	for (int i = 0; i < 5; i++)
		assert_ok(clReleaseMemObject((cl_mem[]){ mem, ro, wo, no, foreign }[i]));
	assert_ok(clReleaseContext(other));
}

/* The pattern may change after the call, held or not. */
static void fills(void **state)
{
	cl_mem mem = create(0, SIZE);
	uint8_t pattern[128], in[SIZE];
	cl_event gate;
	cl_int err;

	(void)state;
	for (size_t size = 1; size <= 128; size *= 2) {
		randomise(pattern, sizeof(pattern), (unsigned int)size);
		memset(mem->data, 0, SIZE);
		gate = clCreateUserEvent(fx.context, &err);
		assert_ok(clEnqueueFillBuffer(fx.queue, mem, pattern, size, size, SIZE - 2 * size, 1, &gate, NULL));
		memset(pattern, 0xff, sizeof(pattern));
		randomise(pattern, sizeof(pattern), (unsigned int)size + 1000);
		assert_ok(clEnqueueFillBuffer(fx.queue, mem, pattern, size, SIZE - size, size, 0, NULL, NULL));
		assert_ok(clSetUserEventStatus(gate, CL_COMPLETE));
		assert_ok(clReleaseEvent(gate));
		assert_ok(clEnqueueReadBuffer(fx.queue, mem, CL_TRUE, 0, SIZE, in, 0, NULL, NULL));
		for (size_t i = 0; i < size; i++)
			assert_int_equal(in[i], 0);
		assert_memory_equal(in + SIZE - size, pattern, size);
		randomise(pattern, sizeof(pattern), (unsigned int)size);
		for (size_t i = size; i < SIZE - size; i++)
			assert_int_equal(in[i], pattern[i % size]);
	}
	assert_ok(clReleaseMemObject(mem));
}

struct rect {
	size_t origin[3], row, slice;
};

static size_t at(const struct rect *r, const size_t region[3], size_t x, size_t y, size_t z)
{
	size_t row = r->row ? r->row : region[0], slice = r->slice ? r->slice : region[1] * row;

	return (r->origin[2] + z) * slice + (r->origin[1] + y) * row + r->origin[0] + x;
}

static void model(uint8_t *dst, const struct rect *d, const uint8_t *src, const struct rect *s, const size_t region[3])
{
	for (size_t z = 0; z < region[2]; z++)
		for (size_t y = 0; y < region[1]; y++)
			for (size_t x = 0; x < region[0]; x++)
				dst[at(d, region, x, y, z)] = src[at(s, region, x, y, z)];
}

static bool fits(const struct rect *r, const size_t region[3])
{
	return at(r, region, region[0] - 1, region[1] - 1, region[2] - 1) < SIZE;
}

static struct rect random_rect(unsigned int *seed, const size_t region[3])
{
	struct rect r = { { rand_r(seed) % 8, rand_r(seed) % 4, rand_r(seed) % 3 }, 0, 0 };

	if (rand_r(seed) % 2)
		r.row = region[0] + rand_r(seed) % 9;
	if (rand_r(seed) % 2)
		r.slice = (r.row ? r.row : region[0]) * (region[1] + rand_r(seed) % 3);
	return r;
}

/* Random rectangles: bytes against the model, CL_MEM_COPY_OVERLAP exactly when a byte is in both. */
static void rectangles(void **state)
{
	cl_mem a = create(0, SIZE), b = create(0, SIZE);
	uint8_t host[SIZE], want[SIZE], init_a[SIZE], init_b[SIZE];
	unsigned int seed = 1, done = 0, overlaps = 0;

	(void)state;
	randomise(init_a, SIZE, 1);
	randomise(init_b, SIZE, 2);
	while (done < 400) {
		const size_t region[3] = { 1 + rand_r(&seed) % 20, 1 + rand_r(&seed) % 6, 1 + rand_r(&seed) % 5 };
		struct rect s = random_rect(&seed, region), d = random_rect(&seed, region);
		bool in_both = false, used[SIZE] = { false };
		cl_int err;

		if (!fits(&s, region) || !fits(&d, region))
			continue;
		done++;
		memcpy(a->data, init_a, SIZE);
		memcpy(b->data, init_b, SIZE);
		memcpy(host, init_b, SIZE);
		memcpy(want, init_b, SIZE);
		model(want, &d, init_a, &s, region);

		assert_ok(clEnqueueCopyBufferRect(fx.queue, a, b, s.origin, d.origin, region, s.row, s.slice, d.row,
						  d.slice, 0, NULL, NULL));
		assert_ok(clFinish(fx.queue));
		assert_memory_equal(b->data, want, SIZE);
		assert_ok(clEnqueueReadBufferRect(fx.queue, a, done % 2, s.origin, d.origin, region, s.row, s.slice,
						  d.row, d.slice, host, 0, NULL, NULL));
		assert_ok(clFinish(fx.queue));
		assert_memory_equal(host, want, SIZE);
		memcpy(b->data, init_b, SIZE);
		assert_ok(clEnqueueWriteBufferRect(fx.queue, b, done % 2, d.origin, s.origin, region, d.row, d.slice,
						   s.row, s.slice, a->data, 0, NULL, NULL));
		assert_ok(clFinish(fx.queue));
		assert_memory_equal(b->data, want, SIZE);

		/* Within one buffer, where pitches must agree. */
		d.row = s.row;
		d.slice = s.slice;
		if (!fits(&d, region))
			continue;
		for (size_t z = 0; z < region[2]; z++)
			for (size_t y = 0; y < region[1]; y++)
				for (size_t x = 0; x < region[0]; x++)
					used[at(&s, region, x, y, z)] = true;
		for (size_t z = 0; z < region[2]; z++)
			for (size_t y = 0; y < region[1]; y++)
				for (size_t x = 0; x < region[0]; x++)
					in_both |= used[at(&d, region, x, y, z)];
		memcpy(want, init_a, SIZE);
		model(want, &d, init_a, &s, region);
		err = clEnqueueCopyBufferRect(fx.queue, a, a, s.origin, d.origin, region, s.row, s.slice, d.row,
					      d.slice, 0, NULL, NULL);
		assert_cl(err, in_both ? CL_MEM_COPY_OVERLAP : CL_SUCCESS);
		overlaps += in_both;
		assert_ok(clFinish(fx.queue));
		assert_memory_equal(a->data, in_both ? init_a : want, SIZE);
	}
	assert_true(overlaps > 20 && overlaps < 380);
	assert_ok(clReleaseMemObject(a));
	assert_ok(clReleaseMemObject(b));
}

static void rectangle_errors(void **state)
{
	cl_mem a = create(0, SIZE), b = create(0, SIZE), no = create(CL_MEM_HOST_NO_ACCESS, SIZE);
	const size_t zero[3] = { 0 }, r[3] = { 16, 4, 2 }, flat[3] = { 16, 0, 1 }, huge[3] = { 16, SIZE_MAX / 8, 2 };
	const size_t far[3] = { 0, 0, SIZE_MAX / 2 }, last[3] = { SIZE - 127, 0, 0 };
	const size_t behind[3] = { 0, 0, 16 };
	char host[SIZE];

	(void)state;
#define RECT_COPY(x, y, so, d_o, reg, sr, ss, dr, ds)                                                                  \
	clEnqueueCopyBufferRect(fx.queue, x, y, so, d_o, reg, sr, ss, dr, ds, 0, NULL, NULL)
#define RECT_READ(x, bo, ho, reg, br, bs, hr, hs, p)                                                                   \
	clEnqueueReadBufferRect(fx.queue, x, CL_TRUE, bo, ho, reg, br, bs, hr, hs, p, 0, NULL, NULL)
	assert_cl(RECT_COPY(a, b, NULL, zero, r, 0, 0, 0, 0), CL_INVALID_VALUE);
	assert_cl(RECT_COPY(a, b, zero, NULL, r, 0, 0, 0, 0), CL_INVALID_VALUE);
	assert_cl(RECT_COPY(a, b, zero, zero, NULL, 0, 0, 0, 0), CL_INVALID_VALUE);
	assert_cl(RECT_COPY(a, b, zero, zero, flat, 0, 0, 0, 0), CL_INVALID_VALUE);
	assert_cl(RECT_COPY(a, b, zero, zero, huge, 0, 0, 0, 0), CL_INVALID_VALUE);
	assert_cl(RECT_COPY(a, b, far, zero, r, 0, 0, 0, 0), CL_INVALID_VALUE);
	assert_cl(RECT_COPY(a, b, zero, last, r, 0, 0, 0, 0), CL_INVALID_VALUE);
	assert_cl(RECT_COPY(a, b, zero, zero, r, 15, 0, 0, 0), CL_INVALID_VALUE);
	assert_cl(RECT_COPY(a, b, zero, zero, r, 0, 63, 0, 0), CL_INVALID_VALUE);
	assert_cl(RECT_COPY(a, b, zero, zero, r, 0, 72, 0, 0), CL_INVALID_VALUE);
	assert_cl(RECT_COPY(a, b, zero, zero, r, 0, 0, 15, 0), CL_INVALID_VALUE);
	assert_cl(RECT_COPY(a, b, zero, zero, r, 0, 0, 0, 72), CL_INVALID_VALUE);
	assert_cl(RECT_COPY(a, a, zero, behind, r, 16, 64, 32, 128), CL_INVALID_VALUE);
	assert_cl(RECT_COPY(NULL, b, zero, zero, r, 0, 0, 0, 0), CL_INVALID_MEM_OBJECT);
	assert_cl(RECT_COPY(a, NULL, zero, zero, r, 0, 0, 0, 0), CL_INVALID_MEM_OBJECT);
	assert_cl(RECT_READ(a, zero, zero, r, 0, 0, 0, 0, NULL), CL_INVALID_VALUE);
	assert_cl(RECT_READ(a, zero, far, r, 0, 0, 0, 0, host), CL_INVALID_VALUE);
	assert_cl(RECT_READ(a, zero, zero, r, 0, 0, 15, 0, host), CL_INVALID_VALUE);
	assert_cl(RECT_READ(no, zero, zero, r, 0, 0, 0, 0, host), CL_INVALID_OPERATION);
	assert_cl(RECT_READ(NULL, zero, zero, r, 0, 0, 0, 0, host), CL_INVALID_MEM_OBJECT);
	assert_cl(clEnqueueWriteBufferRect(fx.queue, no, CL_TRUE, zero, zero, r, 0, 0, 0, 0, host, 0, NULL, NULL),
		  CL_INVALID_OPERATION);
	assert_cl(RECT_READ(a, zero, zero, r, 0, 0, 0, 0, (void *)64), CL_OUT_OF_RESOURCES);
	assert_ok(RECT_COPY(a, b, zero, zero, r, 0, 0, 0, 0));
	assert_ok(clFinish(fx.queue));
	for (int i = 0; i < 3; i++)
		assert_ok(clReleaseMemObject((cl_mem[]){ a, b, no }[i]));
}

/* Sub-buffers of one buffer overlap in its bytes. */
static void sub_buffer_overlap(void **state)
{
	const cl_buffer_region low = { 0, 512 }, high = { 256, 512 };
	cl_mem mem = create(0, SIZE), a, b;
	const size_t zero[3] = { 0 }, row[3] = { 256, 1, 1 }, second[3] = { 256, 0, 0 };
	cl_int err;

	(void)state;
	a = clCreateSubBuffer(mem, 0, CL_BUFFER_CREATE_TYPE_REGION, &low, &err);
	assert_ok(err);
	b = clCreateSubBuffer(mem, 0, CL_BUFFER_CREATE_TYPE_REGION, &high, &err);
	assert_ok(err);
	assert_cl(clEnqueueCopyBuffer(fx.queue, a, b, 0, 0, 257, 0, NULL, NULL), CL_MEM_COPY_OVERLAP);
	assert_ok(clEnqueueCopyBuffer(fx.queue, a, b, 0, 0, 256, 0, NULL, NULL));
	assert_cl(clEnqueueCopyBuffer(fx.queue, a, b, 256, 0, 1, 0, NULL, NULL), CL_MEM_COPY_OVERLAP);
	assert_cl(clEnqueueCopyBufferRect(fx.queue, a, b, second, zero, row, 0, 0, 0, 0, 0, NULL, NULL),
		  CL_MEM_COPY_OVERLAP);
	assert_ok(clEnqueueCopyBufferRect(fx.queue, a, b, zero, zero, row, 0, 0, 0, 0, 0, NULL, NULL));
	assert_ok(clFinish(fx.queue));
	for (int i = 0; i < 3; i++)
		assert_ok(clReleaseMemObject((cl_mem[]){ a, b, mem }[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(read_and_write), fixture_test(linear_errors),    fixture_test(fills),
		fixture_test(rectangles),     fixture_test(rectangle_errors), fixture_test(sub_buffer_overlap),
	};

	return cmocka_run_group_tests_name("transfer", tests, NULL, NULL);
}
