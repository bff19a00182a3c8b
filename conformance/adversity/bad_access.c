// SPDX-License-Identifier: MIT
/*
 * Kernels that do what cannot be done: the event gets a negative status, a message names kernel and address, and everything
 * else (the context, the queue, other kernels, the host's memory) goes on as before.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bad_access.cl.h"
#include "harness.h"

enum { PAGE = 4096, ITEMS = 64, LOCAL = 8 };

/* The device is alive and right. */
static void assert_device_works(void)
{
	cl_kernel kernel = conf_kernel("add");
	int data[ITEMS] = { 0 };

	set_ptr(kernel, 0, data);
	set_arg(kernel, 1, 5);
	conf_run(kernel, ITEMS, LOCAL);
	for (int i = 0; i < ITEMS; i++)
		assert_int_equal(data[i], 5);
	assert_cl(clReleaseKernel(kernel));
}

/*
 * The kernel must fail, and say so: @address, if not zero, appears in the message on standard error in hexadecimal, the
 * kernel by name.
 */
static void assert_aborts(cl_kernel kernel, const char *name, size_t items, uint64_t address)
{
	char hex[32], *text;
	cl_int status;

	conf_capture_begin(STDERR_FILENO);
	status = conf_end(conf_start(kernel, items, items < LOCAL ? items : LOCAL));
	text = conf_capture_end(STDERR_FILENO);
	assert_int_equal(status, CL_OUT_OF_RESOURCES);
	if (!strstr(text, name))
		fail_msg("the report does not name the kernel %s: %s", name, text);
	snprintf(hex, sizeof(hex), "%llx", (unsigned long long)address);
	if (address && !strstr(text, hex))
		fail_msg("the report does not name the address %s: %s", hex, text);
	free(text);
	assert_device_works();
}

static void bad_read(const void *p)
{
	cl_kernel kernel = conf_kernel("read_word");
	int out = 5;

	set_ptr(kernel, 0, p);
	set_ptr(kernel, 1, &out);
	assert_aborts(kernel, "read_word", ITEMS, (uint64_t)p);
	assert_int_equal(out, 5);
	assert_cl(clReleaseKernel(kernel));
}

static void bad_write(const void *p)
{
	cl_kernel kernel = conf_kernel("write_word");

	set_ptr(kernel, 0, p);
	assert_aborts(kernel, "write_word", ITEMS, (uint64_t)p);
	assert_cl(clReleaseKernel(kernel));
}

static void null_pointers(void **state)
{
	(void)state;
	bad_read(NULL);
	bad_write(NULL);
	bad_read((void *)0x10);
	bad_write((void *)0xff8);
}

static void unmapped(void **state)
{
	/*
	 * Far from where the system places mappings by itself: another thread's new mapping (the stack of a process being
	 * spawned, say) must not take the hole before the kernel gets there. Nor may a sanitizer have its shadow there.
	 */
	char *p = mmap((void *)0x70000000, 4 * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	(void)state;
	assert_ptr_not_equal(p, MAP_FAILED);
	memset(p, 1, 4 * PAGE);
	conf_unmap(p, 4 * PAGE);
	bad_read(p + 2 * PAGE + 12);
	bad_write(p + 2 * PAGE + 12);
	/* Known to the device before it went. */
	assert_ptr_equal(mmap(p, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), p);
	for (int i = 0; i < 2; i++) {
		cl_kernel kernel = conf_kernel("add");

		set_ptr(kernel, 0, p);
		set_arg(kernel, 1, 1);
		conf_run(kernel, PAGE, 1);
		assert_cl(clReleaseKernel(kernel));
	}
	assert_int_equal(((int *)p)[17], 2);
	conf_unmap(p, 4 * PAGE);
	bad_read(p + 24);
	bad_write(p + 3 * PAGE);
}

/* What no process can have: the hole in the middle of the address space and the kernel's half. */
static void impossible_addresses(void **state)
{
	static const uint64_t addresses[] = { 0x0000800000000000, 0x8000000000000000, 0xffff800000000000,
					      0xffffffffffffff00, 0xdeadbeefdeadbee8 };
	cl_kernel kernel;

	(void)state;
	for (size_t i = 0; i < sizeof(addresses) / sizeof(*addresses); i++) {
		/* The processor reports no address for the hole, so only the kernel's name is certain. */
		kernel = conf_kernel("write_word");
		set_ptr(kernel, 0, (void *)addresses[i]);
		assert_aborts(kernel, "write_word", ITEMS, 0);
		assert_cl(clReleaseKernel(kernel));
	}
}

static const int constants[2048] = { 1, 2, 3 };

/* What the host may only read, the device may only read. */
static void read_only(void **state)
{
	cl_kernel kernel = conf_kernel("read_word");
	int *p = conf_map(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE), *file, out = 0;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	(void)state;
	p[3] = 33;
	assert_int_equal(mprotect(p, PAGE, PROT_READ), 0);
	bad_write(&p[3]);
	assert_int_equal(p[3], 33);
	set_ptr(kernel, 0, &p[3]);
	set_ptr(kernel, 1, &out);
	conf_run(kernel, ITEMS, LOCAL);
	assert_int_equal(out, 33);
	bad_write(&p[3]); /* now that the device has the page to read */
	assert_int_equal(p[3], 33);
	conf_unmap(p, PAGE);

	bad_write(&constants[1030]);
	assert_int_equal(*(const volatile int *)&constants[1030], 0);

	assert_true(fd >= 0);
	for (int shared = 0; shared < 2; shared++) {
		file = mmap(NULL, PAGE, PROT_READ, shared ? MAP_SHARED : MAP_PRIVATE, fd, 0);
		assert_ptr_not_equal(file, MAP_FAILED);
		bad_write(file);
		assert_memory_equal(file, "\177ELF", 4);
		conf_unmap(file, PAGE);
	}
	close(fd);
	assert_cl(clReleaseKernel(kernel));
}

static void no_access(void **state)
{
	int *p = conf_map(PAGE, PROT_NONE, MAP_PRIVATE);

	(void)state;
	bad_read(p + 5);
	bad_write(p + 6);
	assert_int_equal(mprotect(p, PAGE, PROT_READ | PROT_WRITE), 0);
	for (int i = 0; i < PAGE / 4; i++)
		assert_int_equal(p[i], 0);
	assert_int_equal(mprotect(p, PAGE, PROT_NONE), 0);
	bad_read(p + 5);
	conf_unmap(p, PAGE);
}

/* A file mapping beyond the end of its file: SIGBUS for the host, an abort for the device. */
static void beyond_end_of_file(void **state)
{
	int fd = memfd_create("short", MFD_CLOEXEC);
	char *p;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, PAGE), 0);
	p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	bad_read(p + 2 * PAGE);
	bad_write(p + 3 * PAGE);
	conf_unmap(p, 4 * PAGE);
	close(fd);
}

/* A loop that runs off the end of its mapping: everything up to there was read, the address is the first beyond. */
static void running_off(void **state)
{
	cl_kernel kernel = conf_kernel("run_off");
	int *p = conf_map(16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE), out = 0;

	(void)state;
	conf_unmap((char *)p + 10 * PAGE, 6 * PAGE);
	for (int i = 0; i < 10 * PAGE / 4; i++)
		p[i] = 1;
	set_ptr(kernel, 0, p);
	set_ptr(kernel, 1, &out);
	assert_aborts(kernel, "run_off", 1, (uint64_t)p + 10 * PAGE);
	assert_int_equal(out, 10 * PAGE / 4);
	conf_unmap(p, 10 * PAGE);
	assert_cl(clReleaseKernel(kernel));
}

static void division_by_zero(void **state)
{
	cl_kernel kernel = conf_kernel("divide");
	int a = 100;
	cl_long b = 100;

	(void)state;
	set_ptr(kernel, 0, &a);
	set_arg(kernel, 1, (cl_int)7);
	conf_run(kernel, 1, 1);
	assert_int_equal(a, 14);
	set_arg(kernel, 1, (cl_int)0);
	assert_aborts(kernel, "divide", 1, 0);
	assert_int_equal(a, 14);
	/* The other case that the processor traps: a quotient that does not fit. */
	a = INT32_MIN;
	set_arg(kernel, 1, (cl_int)-1);
	assert_aborts(kernel, "divide", 1, 0);
	assert_cl(clReleaseKernel(kernel));
	kernel = conf_kernel("modulo");
	set_ptr(kernel, 0, &b);
	set_arg(kernel, 1, (cl_long)0);
	assert_aborts(kernel, "modulo", 1, 0);
	assert_int_equal(b, 100);
	assert_cl(clReleaseKernel(kernel));
}

/* A vector that does not lie as it has to; the processor does not tell where. */
static void misaligned(void **state)
{
	float data[8] __attribute__((aligned(16))) = { 0 };
	cl_kernel kernel = conf_kernel("store_vector");

	(void)state;
	set_ptr(kernel, 0, data + 1);
	assert_aborts(kernel, "store_vector", 1, 0);
	for (int i = 0; i < 8; i++)
		assert_true(data[i] == 0);
	set_ptr(kernel, 0, data + 4);
	conf_run(kernel, 1, 1);
	for (int i = 0; i < 8; i++)
		assert_true(data[i] == (i < 4 ? 0 : i - 3));
	assert_cl(clReleaseKernel(kernel));
}

/* A private array that fits is right; one that does not is an error, not somebody else's memory. */
static void stack_overflow(void **state)
{
	static const struct {
		const char *name;
		int mib;
	} eaters[] = { { "stack_1", 1 }, { "stack_8", 8 }, { "stack_64", 64 }, { "stack_512", 512 } };

	(void)state;
	for (size_t i = 0; i < sizeof(eaters) / sizeof(*eaters); i++) {
		cl_kernel kernel = conf_kernel(eaters[i].name);
		cl_event event;
		cl_int status, expected = 0;
		size_t one = 1;
		int out = -1, last = eaters[i].mib * 262144 - 1;
		char *text;

		for (int n = 0; n < last / 2; n += 256)
			expected += 2;
		set_ptr(kernel, 0, &out);
		conf_capture_begin(STDERR_FILENO);
		/* The enqueue itself may refuse what can be known beforehand. */
		status = clEnqueueNDRangeKernel(conf.queue, kernel, 1, NULL, &one, &one, 0, NULL, &event);
		if (!status)
			status = conf_end(event);
		text = conf_capture_end(STDERR_FILENO);
		if (status == CL_COMPLETE)
			assert_int_equal(out, expected);
		else
			assert_int_equal(status, CL_OUT_OF_RESOURCES);
		if (eaters[i].mib >= 512)
			assert_int_equal(status, CL_OUT_OF_RESOURCES);
		free(text);
		assert_device_works();
		assert_cl(clReleaseKernel(kernel));
	}
}

/* Returns the status; *@text is the caller's. The engine that was there is there still. */
static cl_int run_overrun(cl_kernel kernel, cl_long words, cl_long step, char **text)
{
	const pid_t engine = conf_engine_pid();
	cl_uint out = 0;
	cl_int status;

	set_ptr(kernel, 0, &out);
	set_arg(kernel, 1, words);
	set_arg(kernel, 2, step);
	conf_capture_begin(STDERR_FILENO);
	status = conf_end(conf_start(kernel, 1, 1));
	*text = conf_capture_end(STDERR_FILENO);
	assert_device_works();
	assert_int_equal(conf_engine_pid(), engine);
	return status;
}

/*
 * A kernel that writes beyond its private arrays, over its own stack and what called it, up to what lies there: it is aborted, the
 * report says what it did, and nobody else is hurt.
 */
static void private_overrun(void **state)
{
	cl_kernel kernel = conf_kernel("overrun");
	char *text;

	(void)state;
	set_arg(kernel, 3, (cl_uint)0x41414141);
	assert_int_equal(run_overrun(kernel, 8, 1, &text), CL_COMPLETE);
	free(text);
	for (cl_long words = 2000; words < 10000000; words *= 8) {
		assert_int_equal(run_overrun(kernel, words, 1, &text), CL_OUT_OF_RESOURCES);
		if (!strstr(text, "'overrun'") || !strstr(text, "beyond the end of its private arrays"))
			fail_msg("the report does not tell: %s", text);
		free(text);
	}
	/* Downwards there is a stack's worth of memory that nobody uses. */
	assert_int_equal(run_overrun(kernel, 2200000, -1, &text), CL_OUT_OF_RESOURCES);
	if (!strstr(text, "before the beginning of its private arrays"))
		fail_msg("the report does not tell: %s", text);
	free(text);
	assert_cl(clReleaseKernel(kernel));
}

/* One word is overwritten, of the kernel's or of what called it. */
static void overwritten_return(void **state)
{
	cl_kernel kernel = conf_kernel("overrun_once");
	unsigned int told = 0;
	char *text;

	(void)state;
	set_arg(kernel, 3, (cl_ulong)1);
	for (cl_long word = 0; word < 100; word++) {
		cl_int status = run_overrun(kernel, word, 1, &text);

		assert_int_equal(status, text[0] ? CL_OUT_OF_RESOURCES : CL_COMPLETE);
		told += strstr(text, "over the address it was to return to: 0x1") != NULL;
		free(text);
	}
	assert_true(told >= 1);
	assert_cl(clReleaseKernel(kernel));
}

static void local_overrun(void **state)
{
	static const struct {
		cl_long words, step;
		const char *told;
	} cases[] = {
		{ 300000, 1, "beyond the end of its local memory" },
		{ 2, -1, "before the beginning of its local memory" },
	};
	cl_kernel kernel = conf_kernel("overrun_local");
	char *text;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(run_overrun(kernel, cases[i].words, cases[i].step, &text), CL_OUT_OF_RESOURCES);
		if (!strstr(text, "'overrun_local'") || !strstr(text, cases[i].told))
			fail_msg("the report does not tell: %s", text);
		free(text);
	}
	assert_int_equal(run_overrun(kernel, 8, 1, &text), CL_COMPLETE);
	free(text);
	assert_cl(clReleaseKernel(kernel));
}

/* One item of many, between two barriers of its group. */
static void at_barriers(void **state)
{
	cl_kernel kernel = conf_kernel("fault_at_barrier");
	int out[128], good = 0;

	(void)state;
	for (int i = 0; i < 20; i++) {
		cl_int status;
		char *text;

		set_ptr(kernel, 0, i % 2 ? &good : NULL);
		set_ptr(kernel, 1, out);
		memset(out, 0, sizeof(out));
		conf_capture_begin(STDERR_FILENO);
		status = conf_end(conf_start(kernel, 128, 64));
		text = conf_capture_end(STDERR_FILENO);
		free(text);
		assert_int_equal(status, i % 2 ? CL_COMPLETE : CL_OUT_OF_RESOURCES);
		if (status)
			continue;
		for (int n = 0; n < 128; n++)
			assert_int_equal(out[n], 63 - n % 64);
	}
	assert_int_equal(good, 1);
	assert_cl(clReleaseKernel(kernel));
}

/* The error reaches those who wait, in other queues too, and nobody else. */
static void dependents(void **state)
{
	cl_kernel bad = conf_kernel("write_word"), good = conf_kernel("add");
	cl_event failed, after, unrelated;
	cl_command_queue other;
	int data[ITEMS] = { 0 };
	size_t one = 1;
	cl_int err;
	char *text;

	(void)state;
	other = clCreateCommandQueueWithProperties(conf.context, conf.device, NULL, &err);
	assert_cl(err);
	conf_capture_begin(STDERR_FILENO);
	set_ptr(bad, 0, NULL);
	set_ptr(good, 0, data);
	set_arg(good, 1, 1);
	assert_cl(clEnqueueNDRangeKernel(conf.queue, bad, 1, NULL, &one, &one, 0, NULL, &failed));
	assert_cl(clFlush(conf.queue));
	assert_cl(clEnqueueNDRangeKernel(other, good, 1, NULL, &one, &one, 1, &failed, &after));
	assert_cl(clEnqueueMarkerWithWaitList(other, 0, NULL, &unrelated));
	assert_int_equal(conf_end(after), CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST);
	assert_int_equal(conf_end(failed), CL_OUT_OF_RESOURCES);
	clFinish(other);
	text = conf_capture_end(STDERR_FILENO);
	free(text);
	assert_int_equal(data[0], 0);
	conf_end(unrelated);
	set_arg(good, 1, 2);
	conf_run(good, 1, 1);
	assert_int_equal(data[0], 2);
	assert_cl(clReleaseCommandQueue(other));
	assert_cl(clReleaseKernel(bad));
	assert_cl(clReleaseKernel(good));
}

/* A kernel that runs in another queue when this one faults is not disturbed. */
static void neighbours(void **state)
{
	cl_kernel bad = conf_kernel("write_word"), waiting = conf_kernel("wait_then_write");
	_Atomic(cl_uint) *flag = calloc(1, sizeof(*flag));
	cl_command_queue other;
	cl_event running;
	size_t one = 1;
	cl_int err;
	int out = 0;

	(void)state;
	assert_non_null(flag);
	if (conf.compute_units > 1) {
		other = clCreateCommandQueueWithProperties(conf.context, conf.device, NULL, &err);
		assert_cl(err);
		set_ptr(waiting, 0, flag);
		set_ptr(waiting, 1, &out);
		assert_cl(clEnqueueNDRangeKernel(other, waiting, 1, NULL, &one, &one, 0, NULL, &running));
		assert_cl(clFlush(other));
		for (int i = 0; i < 10; i++) {
			set_ptr(bad, 0, (void *)8);
			assert_aborts(bad, "write_word", 1, 0);
		}
		assert_int_equal(out, 0);
		atomic_store(flag, 1);
		assert_int_equal(conf_end(running), CL_COMPLETE);
		assert_int_equal(out, 123);
		assert_cl(clReleaseCommandQueue(other));
	}
	free(flag);
	assert_cl(clReleaseKernel(bad));
	assert_cl(clReleaseKernel(waiting));
}

/* The SVM commands follow bad pointers no better than kernels do. */
static void bad_commands(void **state)
{
	char *hole = conf_map(PAGE, PROT_NONE, MAP_PRIVATE), good[64] = { 0 };
	cl_event event;
	char *text;

	(void)state;
	conf_capture_begin(STDERR_FILENO);
	assert_cl(clEnqueueSVMMemcpy(conf.queue, CL_FALSE, good, hole, 64, 0, NULL, &event));
	assert_true(conf_end(event) < 0);
	assert_cl(clEnqueueSVMMemcpy(conf.queue, CL_FALSE, hole, good, 64, 0, NULL, &event));
	assert_true(conf_end(event) < 0);
	assert_cl(clEnqueueSVMMemFill(conf.queue, hole, "x", 1, 64, 0, NULL, &event));
	assert_true(conf_end(event) < 0);
	text = conf_capture_end(STDERR_FILENO);
	free(text);
	conf_unmap(hole, PAGE);
	assert_device_works();
}

/* A thousand faults: no slower, no leak, no wear. */
static void again_and_again(void **state)
{
	cl_kernel kernel = conf_kernel("write_word");
	char *text;

	(void)state;
	conf_capture_begin(STDERR_FILENO);
	for (uintptr_t i = 0; i < 1000; i++) {
		set_ptr(kernel, 0, (void *)(i * 4));
		assert_int_equal(conf_end(conf_start(kernel, 1, 1)), CL_OUT_OF_RESOURCES);
	}
	text = conf_capture_end(STDERR_FILENO);
	assert_non_null(strstr(text, "write_word"));
	free(text);
	assert_device_works();
	assert_cl(clReleaseKernel(kernel));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(null_pointers),
		cmocka_unit_test(unmapped),
		cmocka_unit_test(impossible_addresses),
		cmocka_unit_test(read_only),
		cmocka_unit_test(no_access),
		cmocka_unit_test(beyond_end_of_file),
		cmocka_unit_test(running_off),
		cmocka_unit_test(division_by_zero),
		cmocka_unit_test(misaligned),
		cmocka_unit_test(stack_overflow),
		cmocka_unit_test(private_overrun),
		cmocka_unit_test(overwritten_return),
		cmocka_unit_test(local_overrun),
		cmocka_unit_test(at_barriers),
		cmocka_unit_test(dependents),
		cmocka_unit_test(neighbours),
		cmocka_unit_test(bad_commands),
		cmocka_unit_test(again_and_again),
	};
	int failed;

	conf_open(bad_access_cl);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	conf_close();
	return failed;
}
