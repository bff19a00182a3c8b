/* SPDX-License-Identifier: MIT */
/* Queues: creation, properties, information, references, flush and finish; what a fork leaves of them. */
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/tests/fixture.h"

static void properties(void **state)
{
	const cl_queue_properties ooo[] = { CL_QUEUE_PROPERTIES,
					    CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE | CL_QUEUE_PROFILING_ENABLE, 0 };
	const cl_queue_properties empty[] = { 0 };
	const cl_queue_properties unknown[] = { 0x1234, 1, 0 };
	const cl_queue_properties bits[] = { CL_QUEUE_PROPERTIES, 1u << 20, 0 };
	const cl_queue_properties twice[] = { CL_QUEUE_PROPERTIES, 0, CL_QUEUE_PROPERTIES, 0, 0 };
	const cl_queue_properties size[] = { CL_QUEUE_SIZE, 4096, 0 };
	const cl_queue_properties device[] = { CL_QUEUE_PROPERTIES,
					       CL_QUEUE_ON_DEVICE | CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE,
					       CL_QUEUE_SIZE, 4096, 0 };
	const cl_queue_properties not_ooo[] = { CL_QUEUE_PROPERTIES, CL_QUEUE_ON_DEVICE, 0 };
	const cl_queue_properties default_only[] = { CL_QUEUE_PROPERTIES, CL_QUEUE_ON_DEVICE_DEFAULT, 0 };
	const struct {
		const cl_queue_properties *list;
		cl_int err;
	} bad[] = {
		{ unknown, CL_INVALID_VALUE },
		{ bits, CL_INVALID_VALUE },
		{ twice, CL_INVALID_VALUE },
		{ size, CL_INVALID_VALUE },
		{ not_ooo, CL_INVALID_VALUE },
		{ default_only, CL_INVALID_VALUE },
		{ device, CL_INVALID_QUEUE_PROPERTIES },
	};
	cl_queue_properties list[8];
	cl_command_queue_properties value;
	cl_command_queue q;
	size_t bytes;
	cl_int err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err = CL_SUCCESS;
		assert_null(clCreateCommandQueueWithProperties(fx.context, fx.device, bad[i].list, &err));
		assert_cl(err, bad[i].err);
		assert_null(clCreateCommandQueueWithProperties(fx.context, fx.device, bad[i].list, NULL));
	}
	q = clCreateCommandQueueWithProperties(fx.context, fx.device, ooo, &err);
	assert_ok(err);
	assert_ok(clGetCommandQueueInfo(q, CL_QUEUE_PROPERTIES, sizeof(value), &value, NULL));
	assert_int_equal(value, ooo[1]);
	assert_ok(clGetCommandQueueInfo(q, CL_QUEUE_PROPERTIES_ARRAY, sizeof(list), list, &bytes));
	assert_int_equal(bytes, sizeof(ooo));
	assert_memory_equal(list, ooo, sizeof(ooo));
	assert_ok(clReleaseCommandQueue(q));

	q = clCreateCommandQueueWithProperties(fx.context, fx.device, empty, &err);
	assert_ok(err);
	assert_ok(clGetCommandQueueInfo(q, CL_QUEUE_PROPERTIES_ARRAY, 0, NULL, &bytes));
	assert_int_equal(bytes, sizeof(empty));
	assert_ok(clReleaseCommandQueue(q));

	q = clCreateCommandQueueWithProperties(fx.context, fx.device, NULL, &err);
	assert_ok(err);
	assert_ok(clGetCommandQueueInfo(q, CL_QUEUE_PROPERTIES_ARRAY, 0, NULL, &bytes));
	assert_int_equal(bytes, 0);
	assert_ok(clReleaseCommandQueue(q));

	assert_null(clCreateCommandQueue(fx.context, fx.device, 1u << 20, &err));
	assert_cl(err, CL_INVALID_VALUE);
	assert_null(clCreateCommandQueue(fx.context, (cl_device_id)fx.context, 0, &err));
	assert_cl(err, CL_INVALID_DEVICE);
	assert_null(clCreateCommandQueue((cl_context)fx.queue, fx.device, 0, &err));
	assert_cl(err, CL_INVALID_CONTEXT);
	assert_null(clCreateCommandQueue(NULL, fx.device, 0, &err));
	assert_cl(err, CL_INVALID_CONTEXT);
}

static void information(void **state)
{
	cl_command_queue queue = fx.queue;
	cl_context context;
	cl_device_id device;
	cl_uint count;
	cl_command_queue_properties old = 77;
	size_t size;

	(void)state;
	assert_ok(clGetCommandQueueInfo(fx.queue, CL_QUEUE_CONTEXT, sizeof(context), &context, &size));
	assert_ptr_equal(context, fx.context);
	assert_int_equal(size, sizeof(context));
	assert_ok(clGetCommandQueueInfo(fx.queue, CL_QUEUE_DEVICE, sizeof(device), &device, NULL));
	assert_ptr_equal(device, fx.device);
	assert_ok(clGetCommandQueueInfo(fx.queue, CL_QUEUE_REFERENCE_COUNT, sizeof(count), &count, NULL));
	assert_int_equal(count, 1);
	assert_ok(clRetainCommandQueue(fx.queue));
	assert_ok(clGetCommandQueueInfo(fx.queue, CL_QUEUE_REFERENCE_COUNT, sizeof(count), &count, NULL));
	assert_int_equal(count, 2);
	assert_ok(clReleaseCommandQueue(fx.queue));
	assert_ok(clGetCommandQueueInfo(fx.queue, CL_QUEUE_DEVICE_DEFAULT, sizeof(queue), &queue, NULL));
	assert_null(queue);
	assert_cl(clGetCommandQueueInfo(fx.queue, CL_QUEUE_SIZE, sizeof(count), &count, NULL),
		  CL_INVALID_COMMAND_QUEUE);
	assert_cl(clGetCommandQueueInfo(fx.queue, 0x9999, sizeof(count), &count, NULL), CL_INVALID_VALUE);
	assert_cl(clGetCommandQueueInfo(fx.queue, CL_QUEUE_CONTEXT, 1, &context, NULL), CL_INVALID_VALUE);
	assert_cl(clGetCommandQueueInfo(NULL, CL_QUEUE_CONTEXT, sizeof(context), &context, NULL),
		  CL_INVALID_COMMAND_QUEUE);
	assert_cl(clRetainCommandQueue(NULL), CL_INVALID_COMMAND_QUEUE);
	assert_cl(clReleaseCommandQueue((cl_command_queue)fx.context), CL_INVALID_COMMAND_QUEUE);
	assert_cl(clFlush(NULL), CL_INVALID_COMMAND_QUEUE);
	assert_cl(clFinish((cl_command_queue)fx.context), CL_INVALID_COMMAND_QUEUE);
	assert_cl(clSetCommandQueueProperty(fx.queue, CL_QUEUE_PROFILING_ENABLE, CL_TRUE, &old), CL_INVALID_OPERATION);
	assert_int_equal(old, 0);
	assert_cl(clSetCommandQueueProperty(NULL, 0, CL_TRUE, NULL), CL_INVALID_COMMAND_QUEUE);
	assert_cl(clSetDefaultDeviceCommandQueue(fx.context, fx.device, fx.queue), CL_INVALID_OPERATION);
	assert_cl(clSetDefaultDeviceCommandQueue(fx.context, fx.device, NULL), CL_INVALID_OPERATION);
	assert_cl(clSetDefaultDeviceCommandQueue(fx.context, NULL, fx.queue), CL_INVALID_DEVICE);
	assert_cl(clSetDefaultDeviceCommandQueue(NULL, fx.device, fx.queue), CL_INVALID_CONTEXT);
	assert_ok(clFlush(fx.queue));
	assert_ok(clFinish(fx.queue));
}

static _Atomic int runs;

static enum mcl_status count_runs(const struct mcl_fake_launch *launch, void *ctx)
{
	(void)launch, (void)ctx;
	runs++;
	return MCL_STATUS_OK;
}

/* Everything that was enqueued still runs after the queue, the context and the memory were released. */
static void release_with_work_under_way(void **state)
{
	cl_kernel kernel = fixture_kernel(KERNEL_ARGS);
	const size_t one = 1;
	cl_command_queue q;
	cl_event gate;
	cl_int err;
	cl_mem mem;

	(void)state;
	runs = 0;
	mcl_fake_set_kernel(count_runs, NULL);
	mcl_fake_hold(true);
	mem = clCreateBuffer(fx.context, 0, 4096, NULL, &err);
	assert_ok(err);
	fixture_set_mem(kernel, 0, mem);
	fixture_set_int(kernel, 1, 7);
	fixture_set_local(kernel, 2, 64);
	q = clCreateCommandQueue(fx.context, fx.device, 0, &err);
	assert_ok(err);
	for (int i = 0; i < 10; i++)
		assert_ok(clEnqueueNDRangeKernel(q, kernel, 1, NULL, &one, NULL, 0, NULL, NULL));
	gate = clCreateUserEvent(fx.context, &err);
	assert_ok(err);
	for (int i = 0; i < 10; i++)
		assert_ok(clEnqueueNDRangeKernel(q, kernel, 1, NULL, &one, NULL, 1, &gate, NULL));
	assert_ok(clReleaseCommandQueue(q));
	assert_cl(clFinish(q), CL_INVALID_COMMAND_QUEUE);
	assert_ok(clReleaseMemObject(mem));
	mcl_object_release_app(&kernel->obj);
	mcl_fake_hold(false);
	fixture_until(&runs, 10);
	assert_ok(clSetUserEventStatus(gate, CL_COMPLETE));
	assert_ok(clReleaseEvent(gate));
	fixture_until(&runs, 20);
}

static void *finish_thread(void *arg)
{
	return (void *)(intptr_t)clFinish(arg);
}

/* Many threads finish the same queue while others fill it. */
static void finish_from_threads(void **state)
{
	cl_kernel kernel = fixture_kernel(KERNEL_EMPTY);
	const size_t one = 1;
	pthread_t threads[4];
	void *ret;

	(void)state;
	runs = 0;
	mcl_fake_set_kernel(count_runs, NULL);
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 5; i++)
			assert_ok(clEnqueueNDRangeKernel(fx.queue, kernel, 1, NULL, &one, NULL, 0, NULL, NULL));
		for (int i = 0; i < 4; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, finish_thread, fx.queue), 0);
		for (int i = 0; i < 5; i++)
			assert_ok(clEnqueueNDRangeKernel(fx.queue, kernel, 1, NULL, &one, NULL, 0, NULL, NULL));
		for (int i = 0; i < 4; i++) {
			assert_int_equal(pthread_join(threads[i], &ret), 0);
			assert_null(ret);
		}
	}
	assert_ok(clFinish(fx.queue));
	assert_int_equal(runs, 200);
	mcl_object_release_app(&kernel->obj);
}

/* In the child of a fork nothing hangs and nothing crashes; the parent's queue is untouched. */
static void after_fork(void **state)
{
	cl_kernel kernel = fixture_kernel(KERNEL_EMPTY);
	const size_t one = 1;
	cl_event event, user;
	int status;
	cl_int err;
	pid_t pid;

	(void)state;
	mcl_fake_hold(true);
	assert_ok(clEnqueueNDRangeKernel(fx.queue, kernel, 1, NULL, &one, NULL, 0, NULL, &event));
	user = clCreateUserEvent(fx.context, &err);
	assert_ok(err);
	/* As if another thread had been inside at the time. */
	pthread_mutex_lock(&fx.queue->lock);
	pthread_mutex_lock(user->lock);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		bool ok = true;

		alarm(20);
		ok &= clFinish(fx.queue) == CL_DEVICE_NOT_AVAILABLE;
		ok &= clFlush(fx.queue) == CL_DEVICE_NOT_AVAILABLE;
		ok &= clEnqueueNDRangeKernel(fx.queue, kernel, 1, NULL, &one, NULL, 0, NULL, NULL) ==
		      CL_DEVICE_NOT_AVAILABLE;
		ok &= clEnqueueMarkerWithWaitList(fx.queue, 1, &event, NULL) == CL_DEVICE_NOT_AVAILABLE;
		ok &= clWaitForEvents(1, &event) == CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
		ok &= clWaitForEvents(1, &user) == CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
		ok &= clSetUserEventStatus(user, CL_COMPLETE) == CL_INVALID_OPERATION;
		ok &= fixture_status(event) == CL_DEVICE_NOT_AVAILABLE;
		ok &= clReleaseEvent(event) == CL_SUCCESS;
		ok &= clReleaseEvent(user) == CL_SUCCESS;
		ok &= !clCreateCommandQueue(fx.context, fx.device, 0, &err);
		ok &= !clCreateBuffer(fx.context, 0, 64, NULL, &err);
		ok &= !clSVMAlloc(fx.context, 0, 64, 0);
		ok &= clReleaseCommandQueue(fx.queue) == CL_SUCCESS;
		_exit(ok ? 0 : 1);
	}
	pthread_mutex_unlock(user->lock);
	pthread_mutex_unlock(&fx.queue->lock);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	mcl_fake_hold(false);
	assert_ok(clWaitForEvents(1, &event));
	assert_ok(clReleaseEvent(event));
	assert_ok(clReleaseEvent(user));
	mcl_object_release_app(&kernel->obj);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(properties),	   fixture_test(information), fixture_test(release_with_work_under_way),
		fixture_test(finish_from_threads), fixture_test(after_fork),
	};

	return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
