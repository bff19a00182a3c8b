// SPDX-License-Identifier: MIT
/* Kernels that fail: each ends with its status and one message, and the device goes on. */
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device.h"

static struct device d;

static int setup(void **state)
{
	(void)state;
	device_open(&d);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	device_close(&d);
	return 0;
}

/* ---- standard error of this process, while a kernel fails ---- */

static int saved_stderr, capture;

static void capture_begin(void)
{
	capture = memfd_create("stderr", 0);
	saved_stderr = dup(STDERR_FILENO);
	assert_true(capture >= 0 && saved_stderr >= 0);
	dup2(capture, STDERR_FILENO);
}

static const char *capture_end(void)
{
	static char text[4096];
	ssize_t n;

	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	n = pread(capture, text, sizeof(text) - 1, 0);
	close(capture);
	text[n > 0 ? n : 0] = 0;
	return text;
}

static unsigned int lines(const char *text)
{
	unsigned int n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

/* The device still works. */
static void check_alive(void)
{
	int a = 20, b = 22, out = 0, bias = 0, *pa = &a, *pb = &b, *pout = &out;
	const struct mcl_arg args[] = { ARG(pa), ARG(pb), ARG(pout), ARG(bias) };

	assert_true(mcl_backend_alive(d.b));
	assert_int_equal(device_run(&d, "add", 1, 1, args), MCL_STATUS_OK);
	assert_int_equal(out, 42);
}

/* Where nothing is, and where nobody who only asks for memory gets any. */
static void *hole(void)
{
	void *const wish = (void *)0x70000000ul;
	void *p = mmap(wish, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	assert_ptr_equal(p, wish);
	munmap(p, 4096);
	return p;
}

/* A write to nowhere: kernel, group, address and kind of access are named, once. */
static void write_to_unmapped(void **state)
{
	int *p = hole();
	uint64_t only = 37;
	const struct mcl_arg args[] = { ARG(p), ARG(only) };
	char address[32];
	const char *text;

	(void)state;
	capture_begin();
	assert_int_equal(device_run(&d, "poke", 100, 4, args), MCL_STATUS_FAULT);
	text = capture_end();
	snprintf(address, sizeof(address), "write to %p", (void *)p);
	assert_non_null(strstr(text, "'poke'"));
	assert_non_null(strstr(text, "(37, 0, 0)"));
	assert_non_null(strstr(text, address));
	assert_non_null(strstr(text, "nothing is mapped there"));
	assert_int_equal(lines(text), 1);
	check_alive();
}

static void read_from_unmapped(void **state)
{
	int *p = hole(), out, *pout = &out;
	const struct mcl_arg args[] = { ARG(p), ARG(pout) };
	const char *text;

	(void)state;
	capture_begin();
	assert_int_equal(device_run(&d, "peek", 1, 1, args), MCL_STATUS_FAULT);
	text = capture_end();
	assert_non_null(strstr(text, "read from"));
	check_alive();
}

static void null_pointer(void **state)
{
	int *p = NULL;
	uint64_t only = 0;
	const struct mcl_arg args[] = { ARG(p), ARG(only) };
	const char *text;

	(void)state;
	capture_begin();
	assert_int_equal(device_run(&d, "poke", 1, 1, args), MCL_STATUS_FAULT);
	text = capture_end();
	assert_non_null(strstr(text, "null pointer"));
	check_alive();
}

/* The processor reports no address that can be none; what is known of it is said. */
static void not_canonical(void **state)
{
	int *p = (int *)0xdeadbeefdeadbee8;
	uint64_t only = 0;
	const struct mcl_arg args[] = { ARG(p), ARG(only) };
	const char *text;

	(void)state;
	capture_begin();
	assert_int_equal(device_run(&d, "poke", 1, 1, args), MCL_STATUS_FAULT);
	text = capture_end();
	assert_non_null(strstr(text, "'poke'"));
	assert_non_null(strstr(text, "not canonical"));
	assert_non_null(strstr(text, "0xdeadbeefdeadbee8 in r"));
	assert_int_equal(lines(text), 1);
	check_alive();
}

/* Vectors have to be aligned, and the processor does not tell the address of one that is not. */
static void misaligned(void **state)
{
	float out[8] __attribute__((aligned(16))) = { 0 }, *p = out + 1;
	uint64_t only = 37;
	const struct mcl_arg args[] = { ARG(p), ARG(only) };
	struct mcl_counters before, after;
	const char *text;

	(void)state;
	mcl_backend_counters(d.b, &before);
	capture_begin();
	assert_int_equal(device_run(&d, "store_vector", 100, 4, args), MCL_STATUS_FAULT);
	text = capture_end();
	mcl_backend_counters(d.b, &after);
	assert_non_null(strstr(text, "kernel 'store_vector' aborted in work-group (37, 0, 0)"));
	assert_non_null(strstr(text, "a misaligned vector access"));
	assert_non_null(strstr(text, "the processor does not tell the address"));
	assert_int_equal(lines(text), 1);
	assert_int_equal(after.aborts - before.aborts, 1);
	for (int i = 0; i < 8; i++)
		assert_true(out[i] == 0);
	check_alive();
	p = out; /* the argument is what p holds */
	assert_int_equal(device_run(&d, "store_vector", 100, 4, args), MCL_STATUS_OK);
	for (int i = 0; i < 8; i++)
		assert_true(out[i] == (i < 4 ? i + 1 : 0));
}

/* What lies at the address is said, with its rights. */
static void write_to_read_only(void **state)
{
	int *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t only = 0;
	const struct mcl_arg args[] = { ARG(p), ARG(only) };
	const char *text;

	(void)state;
	assert_ptr_not_equal(p, MAP_FAILED);
	capture_begin();
	assert_int_equal(device_run(&d, "poke", 1, 1, args), MCL_STATUS_FAULT);
	text = capture_end();
	assert_non_null(strstr(text, "which may not be written (r--p"));
	munmap(p, 4096);
	check_alive();
}

/* How far it is to what is mapped. */
static void near_a_mapping(void **state)
{
	static const char *const words[] = { "; 1 byte after the end of anonymous memory (rw-p",
					     "; 5 bytes after the end of anonymous memory (rw-p" };
	char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int out, *pout = &out;

	(void)state;
	assert_ptr_not_equal(p, MAP_FAILED);
	munmap(p + 4096, 4096);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		int *beyond = (int *)(p + 4096) + i;
		const struct mcl_arg args[] = { ARG(beyond), ARG(pout) };

		capture_begin();
		assert_int_equal(device_run(&d, "peek", 1, 1, args), MCL_STATUS_FAULT);
		assert_non_null(strstr(capture_end(), words[i]));
	}
	munmap(p, 4096);
}

/* A file that was truncated under the mapping. */
static void bus_error(void **state)
{
	int fd = memfd_create("short", 0), out = 0, *pout = &out, *p;
	struct mcl_arg args[2];

	(void)state;
	assert_true(fd >= 0);
	p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	args[0] = ARG(p);
	args[1] = ARG(pout);
	capture_begin();
	assert_int_equal(device_run(&d, "peek", 1, 1, args), MCL_STATUS_FAULT);
	assert_non_null(strstr(capture_end(), "short (deleted), a file that ends before (r--s"));
	munmap(p, 4096);
	close(fd);
	check_alive();
}

static void division_by_zero(void **state)
{
	int x = 42, *p = &x, by = 0;
	uint64_t only = 7;
	const struct mcl_arg args[] = { ARG(p), ARG(by), ARG(only) };
	struct mcl_counters before, after;
	const char *text;

	(void)state;
	mcl_backend_counters(d.b, &before);
	capture_begin();
	assert_int_equal(device_run(&d, "divide", 16, 1, args), MCL_STATUS_TRAP);
	text = capture_end();
	mcl_backend_counters(d.b, &after);
	assert_non_null(strstr(text, "kernel 'divide' aborted in work-group (7, 0, 0)"));
	assert_non_null(strstr(text, "integer division by zero or overflow"));
	assert_int_equal(lines(text), 1);
	assert_int_equal(after.aborts - before.aborts, 1);
	assert_int_equal(x, 42);
	check_alive();
	by = 6;
	assert_int_equal(device_run(&d, "divide", 16, 1, args), MCL_STATUS_OK);
	assert_int_equal(x, 7);
}

/* Groups that wait for one that dies do not wait for ever. */
static void others_are_interrupted(void **state)
{
	int flag = 0, *pflag = &flag, *bad = hole();
	const struct mcl_arg args[] = { ARG(pflag), ARG(bad) };
	struct mcl_counters before, after;

	(void)state;
	mcl_backend_counters(d.b, &before);
	for (int i = 0; i < 20; i++) {
		capture_begin();
		assert_int_equal(device_run(&d, "wait_for_the_dead", 16, 1, args), MCL_STATUS_FAULT);
		assert_int_equal(lines(capture_end()), 1);
	}
	mcl_backend_counters(d.b, &after);
	assert_int_equal(after.aborts - before.aborts, 20);
	check_alive();
}

/* Private memory that does not fit on the stack. */
static void stack_overflow(void **state)
{
	int *out = calloc(4096, sizeof(int)), depth = 3;
	const struct mcl_arg args[] = { ARG(out), ARG(depth) };
	const char *text;

	(void)state;
	/* 256 work-items of 64 KiB each. */
	capture_begin();
	assert_int_equal(device_run(&d, "deep", 1, 256, args), MCL_STATUS_RESOURCES);
	text = capture_end();
	assert_non_null(strstr(text, "stack"));
	free(out);
	check_alive();
}

/* A copy is a packet like any other. */
static void copy_from_unmapped(void **state)
{
	char *dst = malloc(8 << 20);
	const struct mcl_copy copy = { .dst = dst, .src = hole(), .region = { 8 << 20, 1, 1 } };
	uint64_t seq;
	const char *text;

	(void)state;
	capture_begin();
	assert_int_equal(mcl_ring_copy(d.ring, &copy, MCL_PACKET_BARRIER, &seq), 0);
	assert_int_equal(device_finish(d.ring, seq), MCL_STATUS_FAULT);
	text = capture_end();
	assert_non_null(strstr(text, "a copy aborted"));
	free(dst);
	check_alive();
}

/* The packets behind a failed one run. */
static void later_packets_run(void **state)
{
	int *bad = hole(), turn = 0, *pturn = &turn;
	uint64_t only = 0, first, second;
	const struct mcl_arg poke[] = { ARG(bad), ARG(only) }, chain[] = { ARG(pturn) };

	(void)state;
	capture_begin();
	assert_int_equal(device_launch(&d, d.ring, "poke", 8, 1, poke, MCL_PACKET_BARRIER, &first), 0);
	assert_int_equal(device_launch(&d, d.ring, "chain", 8, 1, chain, MCL_PACKET_BARRIER, &second), 0);
	assert_int_equal(mcl_ring_wait(d.ring, second, 20000000000ull), 0);
	capture_end();
	assert_int_equal(device_finish(d.ring, first), MCL_STATUS_FAULT);
	assert_int_equal(device_finish(d.ring, second), MCL_STATUS_OK);
	assert_int_equal(turn, 8);
}

/* printf: numbers, strings and floats arrive on standard output, whole lines, before the packet is complete. */
static void printf_reaches_standard_output(void **state)
{
	enum { GROUPS = 50 };
	int i = -12, fd = memfd_create("stdout", 0), saved = dup(STDOUT_FILENO), count = 0;
	float f = 2.5f;
	const struct mcl_arg args[] = { ARG(i), ARG(f) };
	static char text[GROUPS * 64];
	ssize_t n;

	(void)state;
	fflush(stdout);
	dup2(fd, STDOUT_FILENO);
	assert_int_equal(device_run(&d, "say", GROUPS, 1, args), MCL_STATUS_OK);
	n = pread(fd, text, sizeof(text) - 1, 0);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	close(fd);
	assert_true(n > 0);
	text[n] = 0;
	for (int g = 0; g < GROUPS; g++) {
		char line[64];

		snprintf(line, sizeof(line), "i=-12 f=2.500 s=text g=%d\n", g);
		assert_non_null(strstr(text, line));
	}
	for (char *p = text; *p; p++)
		count += *p == '\n';
	assert_int_equal(count, GROUPS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(write_to_unmapped), cmocka_unit_test(read_from_unmapped),
		cmocka_unit_test(null_pointer),	     cmocka_unit_test(not_canonical),
		cmocka_unit_test(misaligned),	     cmocka_unit_test(write_to_read_only),
		cmocka_unit_test(near_a_mapping),    cmocka_unit_test(bus_error),
		cmocka_unit_test(division_by_zero),  cmocka_unit_test(others_are_interrupted),
		cmocka_unit_test(stack_overflow),    cmocka_unit_test(copy_from_unmapped),
		cmocka_unit_test(later_packets_run), cmocka_unit_test(printf_reaches_standard_output),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
