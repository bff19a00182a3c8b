// SPDX-License-Identifier: MIT
/*
 * MirrorCL's own extensions through the loader, as a program uses them: the counters of a mirror tell exactly which pages a
 * kernel moved, and an aborted event tells what the kernel did.
 */
#include <CL/cl_ext_mirrorcl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pages.cl.h"
#include "pages.h"

enum { PAGES = 512, SLACK = 128, SKIPPED = 77 };

static clGetContextMirrorInfoMCL_fn mirror_info;
static clGetEventAbortInfoMCL_fn abort_info;
static bool faults, migrates; /* the mirror under test */

static cl_mirror_counter_mcl counter(cl_mirror_info_mcl query)
{
	cl_mirror_counter_mcl value;
	size_t size;

	assert_cl(mirror_info(conf.context, query, sizeof(value), &value, &size));
	assert_int_equal(size, sizeof(value));
	return value;
}

static cl_ulong number(cl_mirror_info_mcl query)
{
	cl_ulong value;

	assert_cl(mirror_info(conf.context, query, sizeof(value), &value, NULL));
	return value;
}

/* What happened between two looks. */
struct counts {
	cl_mirror_counter_mcl read, write, cpu, prefetch, eviction, request;
	cl_ulong kernels, groups, aborts;
};

static struct counts look(void)
{
	return (struct counts){
		.read = counter(CL_MIRROR_DEVICE_READ_MCL),
		.write = counter(CL_MIRROR_DEVICE_WRITE_MCL),
		.cpu = counter(CL_MIRROR_CPU_FAULT_MCL),
		.prefetch = counter(CL_MIRROR_PREFETCH_MCL),
		.eviction = counter(CL_MIRROR_EVICTION_MCL),
		.request = counter(CL_MIRROR_REQUEST_MCL),
		.kernels = number(CL_MIRROR_KERNELS_MCL),
		.groups = number(CL_MIRROR_WORK_GROUPS_MCL),
		.aborts = number(CL_MIRROR_ABORTS_MCL),
	};
}

static cl_mirror_counter_mcl less(cl_mirror_counter_mcl a, cl_mirror_counter_mcl b)
{
	return (cl_mirror_counter_mcl){ a.count - b.count, a.bytes - b.bytes, a.nanoseconds - b.nanoseconds };
}

static struct counts since(const struct counts *before)
{
	struct counts c = look();

	c.read = less(c.read, before->read);
	c.write = less(c.write, before->write);
	c.cpu = less(c.cpu, before->cpu);
	c.prefetch = less(c.prefetch, before->prefetch);
	c.eviction = less(c.eviction, before->eviction);
	c.request = less(c.request, before->request);
	c.kernels -= before->kernels;
	c.groups -= before->groups;
	c.aborts -= before->aborts;
	return c;
}

static void assert_nothing_moved(const struct counts *c)
{
	assert_int_equal(c->read.count + c->write.count + c->cpu.count + c->prefetch.count, 0);
	assert_int_equal(c->read.bytes + c->write.bytes + c->cpu.bytes + c->prefetch.bytes, 0);
	assert_int_equal(c->eviction.count + c->request.count, 0);
}

/* PAGES pages, and a few of others: the kernel's result, this test's stack. */
static void assert_pages(cl_ulong bytes)
{
	assert_int_equal(bytes % PAGE, 0);
	assert_in_range(bytes / PAGE, PAGES, PAGES + SLACK);
}

static void assert_few(cl_ulong bytes)
{
	assert_int_equal(bytes % PAGE, 0);
	assert_in_range(bytes / PAGE, 0, SLACK);
}

/* Filled by the host. */
static unsigned char *filled_pages(void)
{
	unsigned char *p = conf_lonely_pages(PAGES);

	memset(p, 1, PAGES * PAGE);
	return p;
}

/* The extensions are named by platform and device, with versions; their functions are found by name. */
static void announced(void **state)
{
	static const struct {
		const char *name;
		cl_version version;
	} all[] = {
		{ CL_MIRRORCL_COUNTERS_EXTENSION_NAME, CL_MIRRORCL_COUNTERS_EXTENSION_VERSION },
		{ CL_MIRRORCL_ABORT_EXTENSION_NAME, CL_MIRRORCL_ABORT_EXTENSION_VERSION },
	};
	char text[2][4096];
	cl_name_version versions[2][64];
	size_t size[2];

	(void)state;
	assert_int_equal(CL_MIRRORCL_COUNTERS_EXTENSION_VERSION, CL_MAKE_VERSION(1, 0, 0));
	assert_cl(clGetPlatformInfo(conf.platform, CL_PLATFORM_EXTENSIONS, sizeof(text[0]), text[0], NULL));
	assert_cl(clGetDeviceInfo(conf.device, CL_DEVICE_EXTENSIONS, sizeof(text[1]), text[1], NULL));
	assert_cl(clGetPlatformInfo(conf.platform, CL_PLATFORM_EXTENSIONS_WITH_VERSION, sizeof(versions[0]),
				    versions[0], &size[0]));
	assert_cl(clGetDeviceInfo(conf.device, CL_DEVICE_EXTENSIONS_WITH_VERSION, sizeof(versions[1]), versions[1],
				  &size[1]));
	for (int list = 0; list < 2; list++) {
		for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
			const size_t count = size[list] / sizeof(cl_name_version);
			size_t at = 0;

			assert_non_null(strstr(text[list], all[i].name));
			while (at < count && strcmp(versions[list][at].name, all[i].name) != 0)
				at++;
			assert_true(at < count);
			assert_int_equal(versions[list][at].version, all[i].version);
		}
	}
	assert_null(clGetExtensionFunctionAddressForPlatform(conf.platform, "clGetContextMirrorInfo"));
}

static void which_mirror(void **state)
{
	const char *asked = getenv("MIRRORCL_MIRROR");
	cl_bool unified;
	char name[16];

	(void)state;
	assert_cl(mirror_info(conf.context, CL_MIRROR_NAME_MCL, sizeof(name), name, NULL));
	if (asked && strcmp(asked, "auto") != 0)
		assert_string_equal(name, asked);
	assert_int_equal(faults, strcmp(name, "shared") != 0);
	assert_cl(clGetDeviceInfo(conf.device, CL_DEVICE_HOST_UNIFIED_MEMORY, sizeof(unified), &unified, NULL));
	assert_int_equal(migrates, !unified);
	assert_int_equal(number(CL_MIRROR_VRAM_SIZE_MCL) != 0, migrates);
}

/* The device reads pages that the host wrote. The second time they are there. */
static void reading(void **state)
{
	unsigned char *p = filled_pages();
	struct counts before = look(), c;

	(void)state;
	conf_touch(p, PAGES, false, PAGES);
	c = since(&before);
	assert_int_equal(c.kernels, 1);
	assert_int_equal(c.groups, 1);
	assert_int_equal(c.aborts, 0);
	if (!faults) {
		assert_nothing_moved(&c);
	} else {
		assert_pages(c.read.bytes + c.write.bytes);
		assert_in_range(c.read.count, 1, PAGES / 4);
		assert_true(c.read.nanoseconds > 0);
		before = look();
		conf_touch(p, PAGES, false, PAGES);
		c = since(&before);
		assert_few(c.read.bytes + c.write.bytes);
	}
	conf_unmap(p, PAGES * PAGE);
}

/* The device writes pages, and the host reads them: there and back, each page once. */
static void writing(void **state)
{
	unsigned char *p = filled_pages();
	struct counts before = look(), c;

	(void)state;
	conf_touch(p, PAGES, true, 0);
	c = since(&before);
	assert_int_equal(c.eviction.count + c.request.count, 0);
	if (!faults) {
		assert_nothing_moved(&c);
	} else {
		assert_pages(c.read.bytes + c.write.bytes);
		assert_in_range(c.write.count, 1, PAGES / 4);
	}
	if (migrates)
		assert_true(number(CL_MIRROR_VRAM_PEAK_MCL) >= PAGES * PAGE);
	before = look();
	for (int i = 0; i < PAGES; i++)
		assert_int_equal(p[i * PAGE], (unsigned char)(i + 1));
	c = since(&before);
	assert_int_equal(c.kernels, 0);
	if (!migrates)
		assert_int_equal(c.cpu.count, 0);
	else
		assert_pages(c.cpu.bytes);
	conf_unmap(p, PAGES * PAGE);
}

/* What the program asks for is told from what happens by itself. */
static void requests(void **state)
{
	unsigned char *p = filled_pages();
	const void *pointer = p;
	const size_t size = PAGES * PAGE;
	struct counts before = look(), c;

	(void)state;
	assert_cl(clEnqueueSVMMigrateMem(conf.queue, 1, &pointer, &size, 0, 0, NULL, NULL));
	assert_cl(clFinish(conf.queue));
	c = since(&before);
	if (!migrates) {
		assert_int_equal(c.request.count, 0);
	} else {
		assert_pages(c.request.bytes);
		before = look();
		conf_touch(p, PAGES, false, PAGES);
		c = since(&before);
		assert_few(c.read.bytes + c.write.bytes);
	}
	conf_unmap(p, PAGES * PAGE);
}

/* ---- aborts ---- */

static cl_uint word(cl_event event, cl_abort_info_mcl query)
{
	cl_uint value;

	assert_cl(abort_info(event, query, sizeof(value), &value, NULL));
	return value;
}

static char *text_of(cl_event event, cl_abort_info_mcl query)
{
	size_t size;
	char *text;

	assert_cl(abort_info(event, query, 0, NULL, &size));
	text = conf_malloc(size);
	assert_cl(abort_info(event, query, size, text, NULL));
	assert_int_equal(strlen(text), size - 1);
	return text;
}

/* Run 12 groups, of which the one at (2, 1) goes wrong at @p, and compare what the event tells. */
static void goes_wrong(int *p, bool write, const char *mapped)
{
	const size_t global[2] = { 4 * 4, 3 }, local[2] = { 4, 1 }, expected[3] = { 2, 1, 0 };
	cl_kernel kernel = conf_kernel("wrong");
	int *sink = conf_malloc(sizeof(*sink));
	struct counts before = look(), c;
	size_t group[3];
	cl_event event;
	void *address;
	char *report, *text, *name;

	set_ptr(kernel, 0, p);
	set_arg(kernel, 1, (cl_uint)(2 + 4 * 1));
	set_arg(kernel, 2, (cl_uint)write);
	set_ptr(kernel, 3, sink);
	conf_capture_begin(STDERR_FILENO);
	assert_cl(clEnqueueNDRangeKernel(conf.queue, kernel, 2, NULL, global, local, 0, NULL, &event));
	clWaitForEvents(1, &event);
	report = conf_capture_end(STDERR_FILENO);

	assert_int_equal(word(event, CL_ABORT_REASON_MCL), CL_ABORT_BAD_ADDRESS_MCL);
	assert_int_equal(word(event, CL_ABORT_ACCESS_MCL),
			 write ? CL_ABORT_ACCESS_WRITE_MCL : CL_ABORT_ACCESS_READ_MCL);
	assert_cl(abort_info(event, CL_ABORT_ADDRESS_MCL, sizeof(address), &address, NULL));
	assert_ptr_equal(address, p);
	assert_cl(abort_info(event, CL_ABORT_WORK_GROUP_MCL, sizeof(group), group, NULL));
	for (int i = 0; i < 3; i++)
		assert_int_equal(group[i], expected[i]);
	name = text_of(event, CL_ABORT_KERNEL_NAME_MCL);
	assert_string_equal(name, "wrong");
	text = text_of(event, CL_ABORT_TEXT_MCL);
	if (!strstr(report, text) || !strstr(text, mapped))
		fail_msg("told '%s', printed '%s', expected '%s'", text, report, mapped);
	c = since(&before);
	assert_int_equal(c.aborts, 1);
	free(report);
	free(text);
	free(name);
	free(sink);
	assert_cl(clReleaseEvent(event));
	assert_cl(clReleaseKernel(kernel));
}

static void bad_addresses(void **state)
{
	int *page = conf_map(PAGE, PROT_READ, MAP_PRIVATE);

	(void)state;
	goes_wrong(NULL, false, "null pointer");
	goes_wrong((int *)0x40, true, "null pointer");
	goes_wrong(page + 12, true, "may not be written");
	conf_unmap(page, PAGE);
}

/* An exception has a reason and a group, and no address. */
static void exception(void **state)
{
	cl_kernel kernel = conf_kernel("divide");
	int *p = conf_malloc(sizeof(*p));
	void *address = p;
	cl_event event;
	char *report, *name;

	(void)state;
	*p = 5;
	set_ptr(kernel, 0, p);
	set_arg(kernel, 1, 0);
	conf_capture_begin(STDERR_FILENO);
	event = conf_start(kernel, 1, 1);
	clWaitForEvents(1, &event);
	report = conf_capture_end(STDERR_FILENO);
	assert_int_equal(word(event, CL_ABORT_REASON_MCL), CL_ABORT_EXCEPTION_MCL);
	assert_int_equal(word(event, CL_ABORT_ACCESS_MCL), CL_ABORT_ACCESS_UNKNOWN_MCL);
	assert_cl(abort_info(event, CL_ABORT_ADDRESS_MCL, sizeof(address), &address, NULL));
	assert_null(address);
	name = text_of(event, CL_ABORT_KERNEL_NAME_MCL);
	assert_string_equal(name, "divide");
	free(name);
	free(report);
	free(p);
	assert_cl(clReleaseEvent(event));
	assert_cl(clReleaseKernel(kernel));
}

/* A command that is no kernel can be aborted, too. */
static void copy(void **state)
{
	const size_t size = 64;
	char *from = conf_malloc(size), *report, *name;
	cl_event event;
	void *address;

	(void)state;
	memset(from, 1, size);
	conf_capture_begin(STDERR_FILENO);
	assert_cl(clEnqueueSVMMemcpy(conf.queue, CL_FALSE, (void *)0x1000, from, size, 0, NULL, &event));
	clWaitForEvents(1, &event);
	report = conf_capture_end(STDERR_FILENO);
	free(report);
	assert_int_equal(word(event, CL_ABORT_REASON_MCL), CL_ABORT_BAD_ADDRESS_MCL);
	assert_int_equal(word(event, CL_ABORT_ACCESS_MCL), CL_ABORT_ACCESS_WRITE_MCL);
	assert_cl(abort_info(event, CL_ABORT_ADDRESS_MCL, sizeof(address), &address, NULL));
	assert_in_range((uintptr_t)address, 0x1000, 0x1000 + size - 1);
	name = text_of(event, CL_ABORT_KERNEL_NAME_MCL);
	assert_string_equal(name, "");
	free(name);
	free(from);
	assert_cl(clReleaseEvent(event));
}

/* Many at once, each with its own address. */
static void many(void **state)
{
	enum { COUNT = 40 };
	cl_event events[COUNT];
	cl_kernel kernel = conf_kernel("wrong");
	int *sink = conf_malloc(sizeof(*sink));
	const size_t one = 1;
	char *report;

	(void)state;
	set_arg(kernel, 1, 0u);
	set_arg(kernel, 2, 1u);
	set_ptr(kernel, 3, sink);
	conf_capture_begin(STDERR_FILENO);
	for (uintptr_t i = 0; i < COUNT; i++) {
		set_ptr(kernel, 0, (void *)(0x100 + 8 * i));
		assert_cl(clEnqueueNDRangeKernel(conf.queue, kernel, 1, NULL, &one, &one, 0, NULL, &events[i]));
	}
	clFinish(conf.queue);
	report = conf_capture_end(STDERR_FILENO);
	free(report);
	for (uintptr_t i = 0; i < COUNT; i++) {
		void *address;

		assert_cl(abort_info(events[i], CL_ABORT_ADDRESS_MCL, sizeof(address), &address, NULL));
		assert_ptr_equal(address, 0x100 + 8 * i);
		assert_cl(clReleaseEvent(events[i]));
	}
	free(sink);
	assert_cl(clReleaseKernel(kernel));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(announced), cmocka_unit_test(which_mirror), cmocka_unit_test(reading),
		cmocka_unit_test(writing),   cmocka_unit_test(requests),     cmocka_unit_test(bad_addresses),
		cmocka_unit_test(exception), cmocka_unit_test(copy),	     cmocka_unit_test(many),
	};
	cl_mirror_capabilities_mcl capabilities;
	int failed;

	conf_open(pages_cl);
	if (!conf.mirrorcl) {
		printf("skipped: the platform is not MirrorCL\n");
		return SKIPPED;
	}
	mirror_info = (clGetContextMirrorInfoMCL_fn)clGetExtensionFunctionAddressForPlatform(
		conf.platform, "clGetContextMirrorInfoMCL");
	abort_info = (clGetEventAbortInfoMCL_fn)clGetExtensionFunctionAddressForPlatform(conf.platform,
											 "clGetEventAbortInfoMCL");
	assert_non_null(mirror_info);
	assert_non_null(abort_info);
	assert_cl(mirror_info(conf.context, CL_MIRROR_CAPABILITIES_MCL, sizeof(capabilities), &capabilities, NULL));
	faults = capabilities & CL_MIRROR_FAULTS_MCL;
	migrates = capabilities & CL_MIRROR_MIGRATES_MCL;
	conf_touch(NULL, 0, false, 0); /* what every launch needs is there now */
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	conf_close();
	return failed;
}
