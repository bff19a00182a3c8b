// SPDX-License-Identifier: MIT
/*
 * Ranges of every size, from one page to more than the machine has: what costs is what is touched. Sparse mappings of many
 * GiB, dense ones of some hundred MiB, pages that move and vanish inside them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"
#include "ranges.cl.h"

enum { PAGE = 4096 };
static const size_t MIB = 1 << 20, GIB = 1 << 30;

static void probe(char *base, size_t stride, size_t count, cl_ulong expected, cl_ulong next)
{
	cl_kernel kernel = conf_kernel("probe");
	cl_uint bad = 0;

	set_ptr(kernel, 0, base);
	set_arg(kernel, 1, (cl_ulong)stride);
	set_arg(kernel, 2, expected);
	set_arg(kernel, 3, next);
	set_ptr(kernel, 4, &bad);
	conf_run(kernel, count, 1);
	assert_int_equal(bad, 0);
	assert_cl(clReleaseKernel(kernel));
}

static void check(const char *base, size_t stride, size_t count, cl_ulong expected)
{
	for (size_t i = 0; i < count; i++) {
		cl_ulong seen = *(const volatile cl_ulong *)(base + i * stride);

		if (seen != expected + i)
			fail_msg("word %zu of %zu (stride %zu) is %#lx", i, count, stride, (unsigned long)seen);
	}
}

static void fill(char *base, size_t stride, size_t count, cl_ulong value)
{
	for (size_t i = 0; i < count; i++)
		*(volatile cl_ulong *)(base + i * stride) = value + i;
}

/* Resident memory of this process, in bytes. */
static size_t resident(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long size, pages;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%lu %lu", &size, &pages), 2);
	fclose(file);
	return pages * PAGE;
}

/* Every power of two from a page to 256 MiB: device first, host first, and both by turns on every page or every 64th. */
static void sizes(void **state)
{
	(void)state;
	for (size_t size = PAGE; size <= 256 * MIB; size *= 4) {
		size_t stride = size > 16 * MIB ? 64 * PAGE : PAGE, count = size / stride;
		char *p = conf_map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE);

		probe(p, stride, count, 0, 1000);
		check(p, stride, count, 1000);
		fill(p, stride, count, 2000);
		probe(p, stride, count, 2000, 3000);
		probe(p, stride, count, 3000, 4000);
		check(p, stride, count, 4000);
		conf_unmap(p, size);
	}
}

/* 64 GiB of addresses, 256 words: found where they belong, nothing in between, and memory for little more than them. */
static void sparse(void **state)
{
	size_t size = 64 * GIB, stride = 256 * MIB + 5 * PAGE, count = size / stride, before;
	char *p = conf_map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE);
	cl_kernel kernel = conf_kernel("only_zeroes");
	cl_uint bad = 0;

	(void)state;
	/* Huge pages would multiply what a touch costs, on either side. */
	madvise(p, size, MADV_NOHUGEPAGE);
	before = resident();
	fill(p, stride, count / 2, 100);
	probe(p, stride, count / 2, 100, 200);
	probe(p + count / 2 * stride, stride, count - count / 2, 0, 200 + count / 2);
	check(p, stride, count, 200);
	set_ptr(kernel, 0, p + 100 * MIB);
	set_arg(kernel, 1, (cl_ulong)stride);
	set_ptr(kernel, 2, &bad);
	conf_run(kernel, count - 1, 1);
	assert_int_equal(bad, 0);
	for (size_t i = 0; i < count - 1; i++)
		assert_int_equal(*(volatile cl_ulong *)(p + i * stride + 64 * PAGE * 3), 0);
	assert_in_range(resident(), 0, before + 600 * MIB);
	conf_unmap(p, size);
	assert_cl(clReleaseKernel(kernel));
}

/* A mapping that spans very distant addresses in the process. */
static void far_apart(void **state)
{
	static const uint64_t hints[] = { 0x10000,	  0x1000000000,	  0x100000000000,
					  0x200000000000, 0x555000000000, 0x7e0000000000 };
	enum { N = sizeof(hints) / sizeof(*hints) };
	char *p[N];

	(void)state;
	for (int i = 0; i < N; i++) {
		p[i] = mmap((void *)hints[i], 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		assert_ptr_not_equal(p[i], MAP_FAILED);
		fill(p[i], PAGE, 4, hints[i]);
	}
	for (int i = 0; i < N; i++) {
		probe(p[i], PAGE, 4, hints[i], hints[i] + 10);
		check(p[i], PAGE, 4, hints[i] + 10);
	}
	for (int i = 0; i < N; i++)
		conf_unmap(p[i], 4 * PAGE);
}

/* A mapping with a pattern of holes, protections and kinds, page by page; the device visits what is there. */
static void patchwork(void **state)
{
	enum { PAGES = 512 };
	char *p = conf_map(PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	(void)state;
	for (int i = 0; i < PAGES; i++) {
		char *page = p + i * PAGE;

		if (i % 4 == 1)
			conf_unmap(page, PAGE);
		else if (i % 4 == 2)
			assert_ptr_equal(mmap(page, PAGE, PROT_READ | PROT_WRITE,
					      MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
					 page);
		else if (i % 4 == 3)
			assert_int_equal(mprotect(page, PAGE, PROT_NONE), 0);
	}
	fill(p, 2 * PAGE, PAGES / 2, 50);
	for (cl_ulong round = 0; round < 3; round++) {
		probe(p, 2 * PAGE, PAGES / 2, 50 + round * 50, 100 + round * 50);
		check(p, 2 * PAGE, PAGES / 2, 100 + round * 50);
	}
	conf_unmap(p, PAGES * PAGE);
}

/* Big allocations of OpenCL's own, up to what the device allows here, touched sparsely. */
static void big_svm_and_buffers(void **state)
{
	cl_ulong max_size;
	size_t size, stride = 16 * MIB;
	cl_mem mem;
	cl_int err;
	char *p;

	(void)state;
	assert_cl(clGetDeviceInfo(conf.device, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof(max_size), &max_size, NULL));
	assert_true(max_size >= 128 * MIB);
	size = max_size < 2 * GIB ? (size_t)max_size : 2 * GIB;
	p = clSVMAlloc(conf.context, CL_MEM_READ_WRITE | CL_MEM_SVM_FINE_GRAIN_BUFFER, size, 0);
	assert_non_null(p);
	probe(p, stride, size / stride, 0, 500);
	check(p, stride, size / stride, 500);
	clSVMFree(conf.context, p);

	mem = clCreateBuffer(conf.context, 0, size, NULL, &err);
	assert_cl(err);
	p = clEnqueueMapBuffer(conf.queue, mem, CL_TRUE, CL_MAP_WRITE, size - 4096, 4096, 0, NULL, NULL, &err);
	assert_cl(err);
	memset(p, 1, 4096);
	assert_cl(clEnqueueUnmapMemObject(conf.queue, mem, p, 0, NULL, NULL));
	assert_cl(clFinish(conf.queue));
	assert_cl(clReleaseMemObject(mem));
}

/* What the program had mapped before there was a device: what came later may be the runtime's own and nobody's business. */
static char program_maps[65536];

static void note_maps(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");

	if (maps) {
		program_maps[fread(program_maps, 1, sizeof(program_maps) - 1, maps)] = '\0';
		fclose(maps);
	}
}

/* Everything of the program that is mapped and readable can be read by the device: the first and last page of each mapping. */
static void all_of_the_process(void **state)
{
	FILE *maps = fmemopen(program_maps, strlen(program_maps), "r");
	char line[512];
	int visited = 0;

	(void)state;
	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		unsigned long start, end, offset, inode;
		char rights[8], device[16], name[256] = "";

		assert_true(sscanf(line, "%lx-%lx %7s %lx %15s %lu %255s", &start, &end, rights, &offset, device,
				   &inode, name) >= 6);
		/* The vdso's pages belong to the kernel. */
		if (rights[0] != 'r' || !strncmp(name, "[v", 2))
			continue;
		for (int last = 0; last < 2; last++) {
			const cl_ulong *p = (const cl_ulong *)(last ? end - PAGE : start);
			cl_ulong out = 0;
			cl_int err = clEnqueueSVMMemcpy(conf.queue, CL_TRUE, &out, p, sizeof(out), 0, NULL, NULL);

			if (err)
				fail_msg("%d reading %p in %s", err, (const void *)p, line);
			/* Stacks and heaps move on while we look; what never changes must be the same. */
			if (rights[1] != 'w')
				assert_int_equal(out, *p);
			visited++;
		}
	}
	fclose(maps);
	assert_true(visited > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),
		cmocka_unit_test(sparse),
		cmocka_unit_test(far_apart),
		cmocka_unit_test(patchwork),
		cmocka_unit_test(big_svm_and_buffers),
		cmocka_unit_test(all_of_the_process),
	};
	int failed;

	note_maps();
	conf_open(ranges_cl);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	conf_close();
	return failed;
}
