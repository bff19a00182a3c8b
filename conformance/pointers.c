// SPDX-License-Identifier: MIT
/*
 * Any pointer of the host is a pointer of the device: every kind of memory that a process has, read and (where the host may
 * write) written by a kernel, with nothing but the pointer as its argument.
 *
 * Each test fills memory with a pattern on the host, has the device check it and write the next one, and checks that on
 * the host, twice over. What must not be written is in adversity/bad_access.c.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "harness.h"
#include "pointers.cl.h"

enum { PAGE = 4096, ITEMS = 64, GROUP = 8 };

/* As in pointers.cl. */
static uint32_t expected(size_t i, uint32_t round)
{
	return (uint32_t)i * 2654435761u + round * 40503u + 1;
}

static void fill(uint32_t *p, size_t words, uint32_t round)
{
	for (size_t i = 0; i < words; i++)
		p[i] = expected(i, round);
}

static void check_host(const uint32_t *p, size_t words, uint32_t round)
{
	for (size_t i = 0; i < words; i++)
		if (p[i] != expected(i, round))
			fail_msg("word %zu of %zu is %#x instead of %#x (round %u)", i, words, p[i], expected(i, round),
				 round);
}

/* Run check or rewrite over the words; none may be bad. The counter lives on this function's stack. */
static void run_device(const char *name, const void *p, size_t words, uint32_t round)
{
	cl_kernel kernel = conf_kernel(name);
	cl_uint bad = 0;

	set_ptr(kernel, 0, p);
	set_arg(kernel, 1, (cl_ulong)words);
	set_arg(kernel, 2, (cl_uint)round);
	set_ptr(kernel, 3, &bad);
	conf_run(kernel, ITEMS, GROUP);
	assert_int_equal(bad, 0);
	assert_cl(clReleaseKernel(kernel));
}

static void check_device(const void *p, size_t bytes, uint32_t round)
{
	run_device("check", p, bytes / 4, round);
}

/* The device reads @round and writes @round + 1. */
static void rewrite_device(void *p, size_t bytes, uint32_t round)
{
	run_device("rewrite", p, bytes / 4, round);
}

/* The usual life of a piece of memory: host, device, host, device, host, host, device. */
static void exercise(void *p, size_t bytes)
{
	uint32_t *words = p;

	fill(words, bytes / 4, 1);
	rewrite_device(p, bytes, 1);
	check_host(words, bytes / 4, 2);
	rewrite_device(p, bytes, 2);
	rewrite_device(p, bytes, 3);
	check_host(words, bytes / 4, 4);
	fill(words, bytes / 4, 9);
	check_device(p, bytes, 9);
	check_host(words, bytes / 4, 9);
}

/* malloc, from blocks of a few bytes in the brk heap to blocks with a mapping of their own. */
static void malloced(void **state)
{
	(void)state;
	for (size_t size = 4; size <= 16 << 20; size *= 8) {
		void *p = conf_malloc(size);

		exercise(p, size);
		free(p);
	}
}

/* A block keeps its content, whoever wrote it, when realloc moves or grows it. */
static void realloced(void **state)
{
	size_t size = 1000 * 4;
	uint32_t *p = conf_malloc(size), round = 1;

	(void)state;
	fill(p, size / 4, round);
	for (int i = 0; i < 6; i++) {
		rewrite_device(p, size, round++);
		p = realloc(p, size * 4);
		assert_non_null(p);
		check_host(p, size / 4, round);
		check_device(p, size, round);
		size *= 4;
		fill(p, size / 4, round);
	}
	free(p);
}

/* Zeroes of calloc and of fresh mappings are zeroes on the device, first touch or not. */
static void fresh_zeroes(void **state)
{
	size_t size = 3 << 20;
	cl_kernel kernel = conf_kernel("strings");
	cl_ulong count = 99, sum = 99;
	char **empty = conf_map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	unsigned char *zero = calloc(1, size);

	(void)state;
	set_ptr(kernel, 0, empty);
	set_ptr(kernel, 1, &count);
	set_ptr(kernel, 2, &sum);
	conf_run(kernel, 1, 1);
	assert_int_equal(count, 0);
	assert_int_equal(sum, 0);
	for (size_t i = 0; i < size / sizeof(*empty); i++)
		assert_null(empty[i]);
	exercise(empty, size);
	assert_non_null(zero);
	exercise(zero, size);
	free(zero);
	conf_unmap(empty, size);
	assert_cl(clReleaseKernel(kernel));
}

/* A function's own array, deep in the main thread's stack. */
static __attribute__((noinline)) void on_stack(void **state)
{
	uint32_t array[40000];

	(void)state;
	exercise(array, sizeof(array));
}

static void *on_thread_stack(void *arg)
{
	uint32_t array[10000];
	static __thread uint32_t thread_local_array[500];

	(void)arg;
	exercise(array, sizeof(array));
	exercise(thread_local_array, sizeof(thread_local_array));
	return NULL;
}

/* The stacks and thread-local variables of other threads, which come and go. */
static void thread_stacks(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, on_thread_stack, NULL), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
	}
}

static uint32_t in_bss[50000];
static uint32_t in_data[5000] = { 1, 2, 3 };
static __thread uint32_t in_tls[1000];
static __thread uint32_t in_tdata[1000] = { 1, 2, 3 };

static void static_variables(void **state)
{
	(void)state;
	exercise(in_bss, sizeof(in_bss));
	exercise(in_data, sizeof(in_data));
	exercise(in_tls, sizeof(in_tls));
	exercise(in_tdata, sizeof(in_tdata));
}

/* .rodata, read only: the pattern is written by the compiler. */
#define R(i) ((uint32_t)(i) * 2654435761u + 40503u + 1)
#define R8(i) R(i), R(i + 1), R(i + 2), R(i + 3), R(i + 4), R(i + 5), R(i + 6), R(i + 7)
static const uint32_t in_rodata[32] = { R8(0), R8(8), R8(16), R8(24) };

static void constants(void **state)
{
	(void)state;
	check_device(in_rodata, sizeof(in_rodata), 1);
}

/* argv and environ: pointers to pointers to bytes that the kernel put there before main(). */
static char **program_arguments;

static void strings_of(char **list)
{
	cl_kernel kernel = conf_kernel("strings");
	cl_ulong count = 0, sum = 0, host_count = 0, host_sum = 0;

	for (char **s = list; *s; s++, host_count++)
		for (char *p = *s; *p; p++)
			host_sum += (unsigned char)*p;
	set_ptr(kernel, 0, list);
	set_ptr(kernel, 1, &count);
	set_ptr(kernel, 2, &sum);
	conf_run(kernel, 1, 1);
	assert_int_equal(count, host_count);
	assert_int_equal(sum, host_sum);
	assert_true(host_count > 0);
	assert_cl(clReleaseKernel(kernel));
}

static void arguments_and_environment(void **state)
{
	(void)state;
	strings_of(program_arguments);
	strings_of(environ);
}

/* brk memory, taken directly. */
static void brk_heap(void **state)
{
	uint32_t *p = sbrk(20 * PAGE);

	(void)state;
	assert_ptr_not_equal(p, (void *)-1);
	exercise(p, 20 * PAGE);
	/* Give it back and take it again: zeroes, not what the device left. */
	assert_ptr_equal(sbrk(0), (char *)p + 20 * PAGE);
	assert_ptr_not_equal(sbrk(-20 * PAGE), (void *)-1);
	assert_ptr_equal(sbrk(20 * PAGE), p);
	for (size_t i = 0; i < 20 * PAGE / 4; i++)
		assert_int_equal(p[i], 0);
	exercise(p, 20 * PAGE);
	assert_ptr_not_equal(sbrk(-20 * PAGE), (void *)-1);
}

static void anonymous_mappings(void **state)
{
	static const int kinds[] = { MAP_PRIVATE, MAP_SHARED, MAP_PRIVATE | MAP_POPULATE, MAP_PRIVATE | MAP_NORESERVE };

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		for (size_t pages = 1; pages <= 1024; pages *= 32) {
			char *p = conf_map(pages * PAGE, PROT_READ | PROT_WRITE, kinds[i]);

			exercise(p, pages * PAGE);
			conf_unmap(p, pages * PAGE);
		}
	}
}

/* Executable or not, it is memory. */
static void executable_mapping(void **state)
{
	char *p = conf_map(8 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE);

	(void)state;
	exercise(p, 8 * PAGE);
	conf_unmap(p, 8 * PAGE);
}

/* A buffer that starts and ends in the middle of pages, right up to a hole. */
static void unaligned_edges(void **state)
{
	char *p = conf_map(4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	(void)state;
	conf_unmap(p + 3 * PAGE, PAGE);
	memset(p, 0x5a, 3 * PAGE);
	exercise(p + 1236, 3 * PAGE - 1236);
	for (int i = 0; i < 1236; i++)
		assert_int_equal(p[i], 0x5a);
	conf_unmap(p, 3 * PAGE);
}

static int temporary_file(size_t size)
{
	char path[] = "/tmp/mirrorcl-test-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

/* A private file mapping: the device sees the file, what it writes stays in this process. */
static void file_private(void **state)
{
	size_t size = 40 * PAGE;
	uint32_t *content = conf_malloc(size), *p;
	int fd = temporary_file(size);

	(void)state;
	fill(content, size / 4, 1);
	assert_int_equal(pwrite(fd, content, size, 0), size);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	rewrite_device(p, size, 1);
	check_host(p, size / 4, 2);
	exercise(p, size);
	assert_int_equal(pread(fd, content, size, 0), size);
	check_host(content, size / 4, 1);
	conf_unmap(p, size);

	p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	check_device(p, size, 1);
	conf_unmap(p, size);
	close(fd);
	free(content);
}

/* A shared file mapping: the device's writes reach the file and every other mapping, and the file's changes reach the device. */
static void file_shared(void **state)
{
	size_t size = 40 * PAGE;
	uint32_t *content = conf_malloc(size), *p, *other;
	int fd = temporary_file(size);

	(void)state;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	other = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	assert_ptr_not_equal(other, MAP_FAILED);
	exercise(p, size);
	check_host(other, size / 4, 9);
	rewrite_device(p, size, 9);
	assert_int_equal(pread(fd, content, size, 0), size);
	check_host(content, size / 4, 10);
	fill(content, size / 4, 20);
	assert_int_equal(pwrite(fd, content, size, 0), size);
	check_device(p, size, 20);
	/* Two mappings of the same bytes, both known to the device. */
	rewrite_device(other, size, 20);
	check_device(p, size, 21);
	rewrite_device(p, size, 21);
	check_device(other, size, 22);
	check_host(p, size / 4, 22);
	conf_unmap(other, size);
	conf_unmap(p, size);
	close(fd);
	free(content);
}

static void memfd_shared(void **state)
{
	size_t size = 600 * PAGE;
	int fd = memfd_create("test", MFD_CLOEXEC);
	uint32_t *p;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	exercise(p, size);
	conf_unmap(p, size);
	close(fd);
}

/* Memory that did not exist when the kernel was enqueued, only when it started. */
static void mapped_after_enqueue(void **state)
{
	size_t size = 100 * PAGE, global = ITEMS, local = GROUP;
	uint32_t *p = conf_map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE), *again;
	cl_kernel kernel = conf_kernel("rewrite");
	cl_uint bad = 0;
	cl_event gate, done;
	cl_int err;

	(void)state;
	exercise(p, size);
	conf_unmap(p, size);
	gate = clCreateUserEvent(conf.context, &err);
	assert_cl(err);
	set_ptr(kernel, 0, p);
	set_arg(kernel, 1, (cl_ulong)(size / 4));
	set_arg(kernel, 2, (cl_uint)5);
	set_ptr(kernel, 3, &bad);
	assert_cl(clEnqueueNDRangeKernel(conf.queue, kernel, 1, NULL, &global, &local, 1, &gate, &done));
	again = mmap(p, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	assert_ptr_equal(again, p);
	fill(p, size / 4, 5);
	assert_cl(clSetUserEventStatus(gate, CL_COMPLETE));
	assert_int_equal(conf_end(done), CL_COMPLETE);
	assert_int_equal(bad, 0);
	check_host(p, size / 4, 6);
	assert_cl(clReleaseEvent(gate));
	assert_cl(clReleaseKernel(kernel));
	conf_unmap(p, size);
}

/* The same address again and again, other memory each time: nothing of the old may be left on the device. */
static void remapped_at_same_address(void **state)
{
	size_t size = 64 * PAGE;
	char *p = conf_map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	(void)state;
	for (uint32_t round = 10; round < 30; round += 2) {
		int shared = round % 4 ? MAP_SHARED : MAP_PRIVATE;

		if (round % 3)
			conf_unmap(p, size);
		assert_ptr_equal(mmap(p, size, PROT_READ | PROT_WRITE, shared | MAP_ANONYMOUS | MAP_FIXED, -1, 0), p);
		fill((uint32_t *)p, size / 4, round);
		rewrite_device(p, size, round);
		check_host((uint32_t *)p, size / 4, round + 1);
	}
	conf_unmap(p, size);
}

/* mremap moves what the device wrote. */
static void moved_by_mremap(void **state)
{
	size_t size = 200 * PAGE;
	uint32_t *p = conf_map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE), *q;

	(void)state;
	fill(p, size / 4, 1);
	rewrite_device(p, size, 1);
	q = conf_map(2 * size, PROT_NONE, MAP_PRIVATE);
	assert_ptr_equal(mremap(p, size, 2 * size, MREMAP_MAYMOVE | MREMAP_FIXED, q), q);
	check_device(q, size, 2);
	rewrite_device(q, size, 2);
	check_host(q, size / 4, 3);
	for (size_t i = size / 4; i < 2 * size / 4; i++)
		assert_int_equal(q[i], 0);
	exercise(q, 2 * size);
	conf_unmap(q, 2 * size);
}

/* MADV_DONTNEED gives zeroes, on both sides, whoever wrote last. */
static void dropped_by_madvise(void **state)
{
	size_t size = 100 * PAGE;
	uint32_t *p = conf_map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	uint32_t *copy = conf_malloc(size);

	(void)state;
	for (int i = 0; i < 4; i++) {
		exercise(p, size);
		if (i % 2)
			rewrite_device(p, size, 9);
		assert_int_equal(madvise(p, size, MADV_DONTNEED), 0);
		assert_cl(clEnqueueSVMMemcpy(conf.queue, CL_TRUE, copy, p, size, 0, NULL, NULL));
		for (size_t w = 0; w < size / 4; w++) {
			assert_int_equal(copy[w], 0);
			assert_int_equal(p[w], 0);
		}
	}
	free(copy);
	conf_unmap(p, size);
}

/* Rights that come and go on the host: what was read-only is writable for the device after mprotect. */
static void mprotect_back_and_forth(void **state)
{
	size_t size = 50 * PAGE;
	uint32_t *p = conf_map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	(void)state;
	fill(p, size / 4, 1);
	for (uint32_t round = 1; round < 9; round++) {
		assert_int_equal(mprotect(p, size, PROT_READ), 0);
		check_device(p, size, round);
		assert_int_equal(mprotect(p, size, PROT_READ | PROT_WRITE), 0);
		rewrite_device(p, size, round);
		if (round == 4) {
			assert_int_equal(mprotect(p, size, PROT_NONE), 0);
			assert_int_equal(mprotect(p, size, PROT_READ | PROT_WRITE), 0);
		}
		check_host(p, size / 4, round + 1);
	}
	conf_unmap(p, size);
}

/* System calls read and write what the device touched last. */
static void system_calls(void **state)
{
	size_t size = 50 * PAGE, half = size / 2;
	uint32_t *p = conf_map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	uint32_t *q = conf_map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	int fd = temporary_file(size);
	struct iovec parts[2];

	(void)state;
	for (uint32_t round = 1; round < 20; round += 2) {
		fill(p, size / 4, round);
		rewrite_device(p, size, round);
		assert_int_equal(pwrite(fd, p, size, 0), size);
		/* Let the device have the target pages too before the system call writes them. */
		fill(q, size / 4, 7);
		rewrite_device(q, size, 7);
		parts[0] = (struct iovec){ q, half };
		parts[1] = (struct iovec){ (char *)q + half, half };
		assert_int_equal(preadv(fd, parts, 2, 0), size);
		check_device(q, size, round + 1);
		check_host(q, size / 4, round + 1);
	}
	close(fd);
	conf_unmap(p, size);
	conf_unmap(q, size);
}

/* Host and device take turns on the same pages many times. */
static void ping_pong(void **state)
{
	size_t size = 32 * PAGE;
	uint32_t *p = conf_malloc(size);

	(void)state;
	fill(p, size / 4, 0);
	for (uint32_t round = 0; round < 200; round += 2) {
		rewrite_device(p, size, round);
		check_host(p, size / 4, round + 1);
		fill(p, size / 4, round + 2);
	}
	free(p);
}

struct node {
	struct node *next;
	struct node *back;
	int *payload;
	int value;
};

/* A list over memory of many kinds: nodes on heap, stack, in .bss and mappings, each pointing to yet another. */
static void list_from_host(void **state)
{
	enum { NODES = 3000 };
	static struct node bss_nodes[NODES / 4];
	static int data_payload[NODES] = { 7 };
	struct node stack_nodes[NODES / 4], *mapped, *nodes[NODES], *tail = NULL, *p;
	cl_kernel kernel = conf_kernel("walk");
	size_t map_size = (sizeof(struct node) * NODES / 4 + PAGE - 1) / PAGE * PAGE;
	int count = 0;

	(void)state;
	mapped = conf_map(map_size, PROT_READ | PROT_WRITE, MAP_SHARED);
	data_payload[0] = 0;
	for (int i = 0; i < NODES; i++) {
		switch (i % 4) {
		case 0:
			nodes[i] = &bss_nodes[i / 4];
			break;
		case 1:
			nodes[i] = &stack_nodes[i / 4];
			break;
		case 2:
			nodes[i] = &mapped[i / 4];
			break;
		default:
			nodes[i] = conf_malloc(sizeof(struct node));
		}
		nodes[i]->next = NULL;
		nodes[i]->back = (struct node *)1;
		nodes[i]->value = i;
		nodes[i]->payload = &data_payload[(i * 7) % NODES];
		if (i)
			nodes[i - 1]->next = nodes[i];
	}
	set_ptr(kernel, 0, nodes[0]);
	set_ptr(kernel, 1, &tail);
	for (int pass = 1; pass <= 3; pass++) {
		conf_run(kernel, 1, 1);
		assert_ptr_equal(tail, nodes[NODES - 1]);
		for (int i = 0; i < NODES; i++)
			assert_int_equal(*nodes[i]->payload, i * pass);
	}
	for (p = tail, count = 0; p; p = p->back)
		assert_ptr_equal(p, nodes[NODES - ++count]);
	assert_int_equal(count, NODES);
	for (int i = 3; i < NODES; i += 4)
		free(nodes[i]);
	conf_unmap(mapped, map_size);
	assert_cl(clReleaseKernel(kernel));
}

/* The other way round: the device links, the host walks. */
static void list_from_device(void **state)
{
	enum { NODES = 2000 };
	struct node *pool[NODES], *head = NULL, *p;
	cl_kernel kernel = conf_kernel("build");
	int i = NODES;

	(void)state;
	for (int n = 0; n < NODES; n++)
		pool[n] = conf_malloc(sizeof(struct node) + n);
	set_ptr(kernel, 0, pool);
	set_arg(kernel, 1, (cl_uint)NODES);
	set_ptr(kernel, 2, &head);
	conf_run(kernel, 1, 1);
	for (p = head; p; p = p->next) {
		i--;
		assert_ptr_equal(p, pool[i]);
		assert_int_equal(p->value, i);
	}
	assert_int_equal(i, 0);
	for (int n = 0; n < NODES; n++)
		free(pool[n]);
	assert_cl(clReleaseKernel(kernel));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(malloced),
		cmocka_unit_test(realloced),
		cmocka_unit_test(fresh_zeroes),
		cmocka_unit_test(on_stack),
		cmocka_unit_test(thread_stacks),
		cmocka_unit_test(static_variables),
		cmocka_unit_test(constants),
		cmocka_unit_test(arguments_and_environment),
		cmocka_unit_test(brk_heap),
		cmocka_unit_test(anonymous_mappings),
		cmocka_unit_test(executable_mapping),
		cmocka_unit_test(unaligned_edges),
		cmocka_unit_test(file_private),
		cmocka_unit_test(file_shared),
		cmocka_unit_test(memfd_shared),
		cmocka_unit_test(mapped_after_enqueue),
		cmocka_unit_test(remapped_at_same_address),
		cmocka_unit_test(moved_by_mremap),
		cmocka_unit_test(dropped_by_madvise),
		cmocka_unit_test(mprotect_back_and_forth),
		cmocka_unit_test(system_calls),
		cmocka_unit_test(ping_pong),
		cmocka_unit_test(list_from_host),
		cmocka_unit_test(list_from_device),
	};
	int failed;

	(void)argc;
	program_arguments = argv;
	conf_open(pointers_cl);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	conf_close();
	return failed;
}
