// SPDX-License-Identifier: MIT
/*
 * Eight host threads at once: each with its own queue, kernels, programs and contexts; all on one queue; all with memory that comes and
 * goes. Threads other than the main one do not use cmocka's assertions: they return what went wrong.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "harness.h"
#include "threads.cl.h"

enum { THREADS = 8, ITEMS = 512 };

#define TRY(condition)                                                                                                 \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			return #condition;                                                                             \
	} while (0)

struct task {
	const char *(*body)(unsigned int index);
	unsigned int index;
};

static void *run_task(void *arg)
{
	struct task *task = arg;

	return (void *)task->body(task->index);
}

static void run_threads(const char *(*body)(unsigned int index))
{
	struct task tasks[THREADS];
	pthread_t threads[THREADS];
	void *result;

	for (unsigned int i = 0; i < THREADS; i++) {
		tasks[i] = (struct task){ body, i };
		assert_int_equal(pthread_create(&threads[i], NULL, run_task, &tasks[i]), 0);
	}
	for (size_t i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], &result), 0);
		if (result)
			print_error("thread %zu: %s\n", i, (const char *)result);
		assert_null(result);
	}
}

static const char *use_queue(cl_context context, cl_program program, unsigned int index, int rounds)
{
	cl_int err;
	cl_command_queue queue = clCreateCommandQueueWithProperties(context, conf.device, NULL, &err);
	cl_kernel kernel = clCreateKernel(program, "scale", &err);
	size_t items = ITEMS, local = 64;

	TRY(queue && kernel);
	for (int round = 0; round < rounds; round++) {
		uint32_t *data = malloc(ITEMS * sizeof(*data)), expected[ITEMS];
		cl_event event;
		cl_uint factor = index * 2 + 3, add = (cl_uint)round;

		TRY(data);
		for (uint32_t i = 0; i < ITEMS; i++)
			expected[i] = data[i] = i + index;
		TRY(!clSetKernelArgSVMPointer(kernel, 0, data));
		TRY(!clSetKernelArg(kernel, 1, sizeof(factor), &factor));
		TRY(!clSetKernelArg(kernel, 2, sizeof(add), &add));
		for (int n = 0; n < 5; n++) {
			TRY(!clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &items, &local, 0, NULL,
						    n == 4 ? &event : NULL));
			for (int i = 0; i < ITEMS; i++)
				expected[i] = expected[i] * factor + add;
		}
		TRY(!(round % 2 ? clWaitForEvents(1, &event) : clFinish(queue)));
		TRY(!clReleaseEvent(event));
		TRY(!memcmp(data, expected, sizeof(expected)));
		free(data);
	}
	TRY(!clReleaseKernel(kernel));
	TRY(!clReleaseCommandQueue(queue));
	return NULL;
}

static const char *own_queue(unsigned int index)
{
	return use_queue(conf.context, conf.program, index, 200);
}

static void own_queues(void **state)
{
	(void)state;
	run_threads(own_queue);
}

static _Atomic(cl_uint) shared_counter;

static const char *one_queue(unsigned int index)
{
	cl_int err;
	cl_kernel kernel = clCreateKernel(conf.program, "count", &err);
	size_t items = 10;

	(void)index;
	TRY(kernel);
	TRY(!clSetKernelArgSVMPointer(kernel, 0, (void *)&shared_counter));
	for (int i = 0; i < 300; i++) {
		cl_event event;

		TRY(!clEnqueueNDRangeKernel(conf.queue, kernel, 1, NULL, &items, NULL, 0, NULL, i % 3 ? NULL : &event));
		if (i % 3 == 0) {
			TRY(i % 2 || !clWaitForEvents(1, &event));
			TRY(!clReleaseEvent(event));
		}
		TRY(i % 50 || !clFinish(conf.queue));
	}
	TRY(!clReleaseKernel(kernel));
	return NULL;
}

static void shared_queue(void **state)
{
	(void)state;
	atomic_store(&shared_counter, 0);
	run_threads(one_queue);
	assert_cl(clFinish(conf.queue));
	assert_int_equal(atomic_load(&shared_counter), THREADS * 300 * 10);
}

/* Contexts, programs and all come and go in every thread; the device starts and ends under their feet. */
static const char *own_context(unsigned int index)
{
	for (int round = 0; round < 8; round++) {
		const char *source = threads_cl, *wrong;
		cl_int err;
		cl_context context = clCreateContext(NULL, 1, &conf.device, NULL, NULL, &err);
		cl_program program;

		TRY(context);
		program = clCreateProgramWithSource(context, 1, &source, NULL, &err);
		TRY(program);
		TRY(!clBuildProgram(program, 1, &conf.device, "-cl-std=CL3.0", NULL, NULL));
		wrong = use_queue(context, program, index, 5);
		TRY(!clReleaseProgram(program));
		TRY(!clReleaseContext(context));
		if (wrong)
			return wrong;
	}
	return NULL;
}

static void own_contexts(void **state)
{
	(void)state;
	run_threads(own_context);
}

static void only_own_contexts(void **state)
{
	(void)state;
	conf_close();
	conf_open_device();
	run_threads(own_context);
	conf_close();
	conf_open(threads_cl);
}

/* Memory of all kinds is made, used by the device and given back by all threads at the same time. */
static const char *churn(unsigned int index)
{
	cl_int err;
	cl_command_queue queue = clCreateCommandQueueWithProperties(conf.context, conf.device, NULL, &err);
	unsigned int seed = index;

	TRY(queue);
	for (int round = 0; round < 150; round++) {
		size_t size = 4096 + (size_t)rand_r(&seed) % 300000;
		uint32_t pattern = (uint32_t)rand_r(&seed), *p;
		int kind = round % 4;

		switch (kind) {
		case 0:
			p = malloc(size);
			break;
		case 1:
			p = clSVMAlloc(conf.context, CL_MEM_READ_WRITE, size, 0);
			break;
		default:
			p = mmap(NULL, size, PROT_READ | PROT_WRITE,
				 MAP_ANONYMOUS | (kind == 2 ? MAP_PRIVATE : MAP_SHARED), -1, 0);
			TRY(p != MAP_FAILED);
		}
		TRY(p);
		size &= ~(size_t)3;
		memset(p, round, 64);
		TRY(!clEnqueueSVMMemFill(queue, p, &pattern, 4, size, 0, NULL, NULL));
		TRY(!clFinish(queue));
		for (size_t i = 0; i < size / 4; i += 101)
			TRY(p[i] == pattern);
		TRY(p[size / 4 - 1] == pattern);
		switch (kind) {
		case 0:
			free(p);
			break;
		case 1:
			clSVMFree(conf.context, p);
			break;
		default:
			munmap(p, size);
		}
	}
	TRY(!clReleaseCommandQueue(queue));
	return NULL;
}

static void memory_churn(void **state)
{
	(void)state;
	run_threads(churn);
}

/* Threads with data on their own stacks, which end while others work. */
static void *stack_thread(void *arg)
{
	return (void *)use_queue(conf.context, conf.program, (unsigned int)(size_t)arg, 2);
}

static void short_lived_threads(void **state)
{
	(void)state;
	for (size_t i = 0; i < 40; i++) {
		pthread_t a, b;
		void *result[2];

		assert_int_equal(pthread_create(&a, NULL, stack_thread, (void *)i), 0);
		assert_int_equal(pthread_create(&b, NULL, stack_thread, (void *)(i + 100)), 0);
		assert_int_equal(pthread_join(a, &result[0]), 0);
		assert_int_equal(pthread_join(b, &result[1]), 0);
		assert_null(result[0]);
		assert_null(result[1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_queues),	cmocka_unit_test(shared_queue),
		cmocka_unit_test(own_contexts), cmocka_unit_test(only_own_contexts),
		cmocka_unit_test(memory_churn), cmocka_unit_test(short_lived_threads),
	};
	int failed;

	conf_open(threads_cl);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	conf_close();
	return failed;
}
