// SPDX-License-Identifier: MIT
/*
 * Host and device talk while the kernel runs: what one side writes before a release is there for the other after the acquire, in both
 * directions, on every kind of memory, for memory that the host allocates meanwhile, and with sequential consistency where asked.
 */
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "harness.h"
#include "messages.cl.h"

enum { MESSAGES = 5000 }; /* each of which both sides wait for: where others have the processors, a time slice each */

/* As in messages.cl. */
struct mailbox {
	_Atomic(cl_uint) to_device, to_host;
	cl_uint data_to_device[15];
	cl_uint data_to_host[15];
};

static void wait_for(_Atomic(cl_uint) *flag, cl_uint value)
{
	while (atomic_load_explicit(flag, memory_order_acquire) != value)
		sched_yield();
}

static void echo_over(struct mailbox *box)
{
	cl_kernel kernel = conf_kernel("echo");
	cl_uint wrong = 0;
	cl_event event;

	memset(box, 0, sizeof(*box));
	set_ptr(kernel, 0, box);
	set_arg(kernel, 1, (cl_uint)MESSAGES);
	set_ptr(kernel, 2, &wrong);
	event = conf_start(kernel, 1, 1);
	for (cl_uint n = 1; n <= MESSAGES; n++) {
		for (cl_uint i = 0; i < 15; i++)
			box->data_to_device[i] = n * 100 + i;
		atomic_store_explicit(&box->to_device, n, memory_order_release);
		wait_for(&box->to_host, n);
		for (cl_uint i = 0; i < 15; i++)
			assert_int_equal(box->data_to_host[i], n * 100 + i + 1);
	}
	assert_int_equal(conf_end(event), CL_COMPLETE);
	assert_int_equal(wrong, 0);
	assert_cl(clReleaseKernel(kernel));
}

static void echo_malloc(void **state)
{
	struct mailbox *box = conf_malloc(sizeof(*box));

	(void)state;
	echo_over(box);
	free(box);
}

static void echo_svm(void **state)
{
	struct mailbox *box = clSVMAlloc(
		conf.context, CL_MEM_READ_WRITE | CL_MEM_SVM_FINE_GRAIN_BUFFER | CL_MEM_SVM_ATOMICS, sizeof(*box), 0);

	(void)state;
	assert_non_null(box);
	echo_over(box);
	clSVMFree(conf.context, box);
}

static void echo_stack_and_static(void **state)
{
	static struct mailbox in_bss;
	struct mailbox on_stack;

	(void)state;
	echo_over(&in_bss);
	echo_over(&on_stack);
}

/* Flags and data of the two directions in pages of their own. */
static void echo_across_pages(void **state)
{
	char *p = conf_map(3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	(void)state;
	echo_over((struct mailbox *)(p + 4096 - 8));
	echo_over((struct mailbox *)(p + 2 * 4096 - 8 - 60));
	conf_unmap(p, 3 * 4096);
}

static void device_asks(void **state)
{
	struct mailbox *box = calloc(1, sizeof(*box));
	cl_kernel kernel = conf_kernel("ask");
	cl_uint wrong = 0;
	cl_event event;

	(void)state;
	assert_non_null(box);
	set_ptr(kernel, 0, box);
	set_arg(kernel, 1, (cl_uint)MESSAGES);
	set_ptr(kernel, 2, &wrong);
	event = conf_start(kernel, 1, 1);
	for (cl_uint n = 1; n <= MESSAGES; n++) {
		wait_for(&box->to_host, n);
		for (cl_uint i = 0; i < 15; i++) {
			assert_int_equal(box->data_to_host[i], n * 100 + i);
			box->data_to_device[i] = box->data_to_host[i] + 1;
		}
		atomic_store_explicit(&box->to_device, n, memory_order_release);
	}
	assert_int_equal(conf_end(event), CL_COMPLETE);
	assert_int_equal(wrong, 0);
	free(box);
	assert_cl(clReleaseKernel(kernel));
}

static void fences(void **state)
{
	cl_uint *data = calloc(128, sizeof(*data)), wrong = 0;
	_Atomic(cl_uint) *flag = calloc(32, sizeof(*flag));
	cl_kernel kernel = conf_kernel("fences");
	cl_event event;

	(void)state;
	assert_non_null(data);
	assert_non_null(flag);
	set_ptr(kernel, 0, data);
	set_ptr(kernel, 1, flag);
	set_arg(kernel, 2, (cl_uint)MESSAGES);
	set_ptr(kernel, 3, &wrong);
	event = conf_start(kernel, 1, 1);
	for (cl_uint n = 1; n <= MESSAGES; n++) {
		data[0] = n * 3;
		atomic_thread_fence(memory_order_release);
		atomic_store_explicit(&flag[0], n, memory_order_relaxed);
		while (atomic_load_explicit(&flag[16], memory_order_relaxed) != n)
			sched_yield();
		atomic_thread_fence(memory_order_acquire);
		assert_int_equal(data[64], n * 5);
	}
	assert_int_equal(conf_end(event), CL_COMPLETE);
	assert_int_equal(wrong, 0);
	free(data);
	free(flag);
	assert_cl(clReleaseKernel(kernel));
}

struct node {
	_Atomic(struct node *) next;
	cl_ulong value;
};

static struct node *new_node(cl_ulong value)
{
	struct node *n = conf_malloc(sizeof(*n));

	atomic_init(&n->next, NULL);
	n->value = value;
	return n;
}

/* The device eats a list that does not exist yet when it starts: the host mallocs and links while it runs, and never runs far ahead. */
static void growing_list(void **state)
{
	struct node *first = new_node(1), *last = first;
	cl_ulong sum = 0, expected = 1;
	_Atomic(cl_ulong) progress = 0;
	cl_kernel kernel = conf_kernel("consume");
	cl_event event;

	(void)state;
	set_ptr(kernel, 0, first);
	set_ptr(kernel, 1, &sum);
	set_ptr(kernel, 2, &progress);
	event = conf_start(kernel, 1, 1);
	for (cl_ulong i = 2; i <= MESSAGES; i++) {
		struct node *n = new_node(i);

		expected += i;
		atomic_store_explicit(&last->next, n, memory_order_release);
		last = n;
		while (i - atomic_load_explicit(&progress, memory_order_acquire) > 100)
			sched_yield();
	}
	atomic_store_explicit(&last->next, new_node(0), memory_order_release);
	assert_int_equal(conf_end(event), CL_COMPLETE);
	assert_int_equal(sum, expected);
	assert_int_equal(progress, MESSAGES);
	for (struct node *n = first, *next; n; n = next) {
		next = n->next;
		free(n);
	}
	assert_cl(clReleaseKernel(kernel));
}

/* With sequential consistency at least one side sees the other's store. */
static void store_buffering(void **state)
{
	enum { ROUNDS = 20000 };
	_Atomic(cl_uint) *words = calloc(64, sizeof(*words));
	cl_kernel kernel = conf_kernel("store_buffering");
	cl_uint device_read = 0, host_read;
	cl_event event;

	(void)state;
	assert_non_null(words);
	set_ptr(kernel, 0, &words[0]);
	set_ptr(kernel, 1, &words[16]);
	set_ptr(kernel, 2, &words[32]);
	set_ptr(kernel, 3, &device_read);
	set_arg(kernel, 4, (cl_uint)ROUNDS);
	event = conf_start(kernel, 1, 1);
	for (cl_uint n = 1; n <= ROUNDS; n++) {
		atomic_store(&words[0], 0);
		atomic_store(&words[16], 0);
		atomic_store_explicit(&words[32], n, memory_order_release);
		for (volatile unsigned int delay = 0; delay < n % 64; delay++)
			;
		atomic_store_explicit(&words[16], 1, memory_order_seq_cst);
		host_read = atomic_load_explicit(&words[0], memory_order_seq_cst);
		wait_for(&words[48], n);
		if (!host_read && !*(volatile cl_uint *)&device_read)
			fail_msg("round %u: neither side saw the other's store", n);
	}
	assert_int_equal(conf_end(event), CL_COMPLETE);
	free(words);
	assert_cl(clReleaseKernel(kernel));
}

/* The host watches a running kernel's counter grow, then stops the kernel. */
static void watch_and_stop(void **state)
{
	_Atomic(cl_uint) *stop = calloc(1, sizeof(*stop));
	_Atomic(cl_ulong) *count = calloc(1, sizeof(*count));
	cl_kernel kernel = conf_kernel("spin");
	cl_event event;
	cl_ulong seen = 0;
	cl_int status;

	(void)state;
	assert_non_null(stop);
	assert_non_null(count);
	set_ptr(kernel, 0, stop);
	set_ptr(kernel, 1, count);
	event = conf_start(kernel, 1, 1);
	for (int i = 0; i < 100; i++) {
		cl_ulong now;

		while ((now = atomic_load(count)) == seen)
			sched_yield();
		assert_true(now > seen);
		seen = now;
	}
	assert_cl(clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof(status), &status, NULL));
	assert_int_equal(status, CL_RUNNING);
	atomic_store(stop, 1);
	assert_int_equal(conf_end(event), CL_COMPLETE);
	seen = atomic_load(count);
	conf_sleep_ms(5);
	assert_int_equal(atomic_load(count), seen);
	free(stop);
	free(count);
	assert_cl(clReleaseKernel(kernel));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(echo_malloc),		 cmocka_unit_test(echo_svm),
		cmocka_unit_test(echo_stack_and_static), cmocka_unit_test(echo_across_pages),
		cmocka_unit_test(device_asks),		 cmocka_unit_test(fences),
		cmocka_unit_test(growing_list),		 cmocka_unit_test(store_buffering),
		cmocka_unit_test(watch_and_stop),
	};
	int failed;

	conf_open(messages_cl);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	conf_close();
	return failed;
}
