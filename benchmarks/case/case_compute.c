// SPDX-License-Identifier: MIT
/* How good the code of a kernel is: the naive matrix product. */
#include <math.h>

#include "case/case.h"

#define PASSES 9u
#define TILE 16u
/* Enough launches for a driver to notice the local size and finish a better version in the background. */
#define SETTLE_NS 500000000ull

static const char sgemm_source[] = "__kernel void sgemm(__global const float *a, __global const float *b,\n"
				   "                    __global float *c, ulong n)\n"
				   "{\n"
				   "	size_t x = get_global_id(0), y = get_global_id(1);\n"
				   "	float sum = 0.0f;\n"
				   "	for (ulong k = 0; k < n; k++)\n"
				   "		sum += a[y * n + k] * b[k * n + x];\n"
				   "	c[y * n + x] = sum;\n"
				   "}\n";

static void sgemm_once(struct device *dev, cl_kernel kernel)
{
	const size_t global[2] = { SGEMM_SIZE, SGEMM_SIZE }, local[2] = { TILE, TILE };

	check(clEnqueueNDRangeKernel(dev->queue, kernel, 2, NULL, global, local, 0, NULL, NULL),
	      "clEnqueueNDRangeKernel");
	finish(dev);
}

static double run_sgemm(const struct bench_options *opt)
{
	const size_t count = SGEMM_SIZE * SGEMM_SIZE, bytes = count * sizeof(float);
	uint64_t settle = opt->warm ? 10 * SETTLE_NS : SETTLE_NS, begin;
	double times[PASSES];
	struct device dev;
	cl_kernel kernel;
	float *m[3];

	device_open(&dev, opt);
	for (int i = 0; i < 3; i++) {
		m[i] = clSVMAlloc(dev.context, CL_MEM_READ_WRITE | CL_MEM_SVM_FINE_GRAIN_BUFFER, bytes, 0);
		if (!m[i])
			die("clSVMAlloc failed");
	}
	/* Small integers: every partial sum is exact, so any order of the additions gives the same floats. */
	for (size_t i = 0; i < count; i++) {
		m[0][i] = (float)(i % 13);
		m[1][i] = (float)(i % 7);
		m[2][i] = NAN;
	}
	kernel = device_kernel(&dev, sgemm_source, NULL, "sgemm");
	for (cl_uint i = 0; i < 3; i++)
		set_pointer(kernel, i, m[i]);
	set_ulong(kernel, 3, SGEMM_SIZE);
	begin = now_ns();
	do {
		sgemm_once(&dev, kernel);
	} while (now_ns() - begin < settle);
	for (unsigned int i = 0; i < PASSES; i++) {
		uint64_t start = now_ns();

		sgemm_once(&dev, kernel);
		times[i] = (double)(now_ns() - start);
	}
	for (size_t y = 0; y < SGEMM_SIZE; y++) {
		for (size_t x = 0; x < SGEMM_SIZE; x++) {
			float sum = 0;

			for (size_t k = 0; k < SGEMM_SIZE; k++)
				sum += m[0][y * SGEMM_SIZE + k] * m[1][k * SGEMM_SIZE + x];
			if (m[2][y * SGEMM_SIZE + x] != sum)
				die("sgemm: element %zu,%zu is %g, not %g", x, y, (double)m[2][y * SGEMM_SIZE + x],
				    (double)sum);
		}
	}
	return median(times, PASSES);
}

const struct bench_case bench_compute_cases[] = {
	{ "sgemm", run_sgemm, NULL },
	{ 0 },
};
