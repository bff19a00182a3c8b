/* SPDX-License-Identifier: MIT */
/* Kernel launches: sizes and their errors, chosen local sizes, arguments as captured at the call. */
#include "runtime/tests/fixture.h"

static struct {
	struct mcl_launch launch;
	uint64_t pointer;
	int value;
	size_t local;
	_Atomic int count;
} seen;

static enum mcl_status look(const struct mcl_fake_launch *launch, void *ctx)
{
	(void)ctx;
	seen.launch = launch->launch;
	if (launch->arg_count == 3) {
		memcpy(&seen.pointer, launch->launch.args[0].value, sizeof(seen.pointer));
		memcpy(&seen.value, launch->launch.args[1].value, sizeof(seen.value));
		assert_null(launch->launch.args[2].value);
		seen.local = launch->launch.args[2].size;
	}
	seen.count++;
	return MCL_STATUS_OK;
}

static cl_int run(cl_kernel kernel, cl_uint dim, const size_t *offset, const size_t *global, const size_t *local)
{
	cl_int err;

	mcl_fake_set_kernel(look, NULL);
	err = clEnqueueNDRangeKernel(fx.queue, kernel, dim, offset, global, local, 0, NULL, NULL);
	assert_ok(clFinish(fx.queue));
	return err;
}

static void sizes(void **state)
{
	cl_kernel kernel = fixture_kernel(KERNEL_EMPTY), reqd = fixture_kernel(KERNEL_REQD);
	const size_t global[3] = { 64, 32, 4 }, local[3] = { 8, 4, 2 }, offset[3] = { 5, 6, 7 };
	const size_t zero[3] = { 64, 0, 4 }, odd[3] = { 63, 32, 4 }, big[3] = { 4096, 2, 1 };
	const size_t many[3] = { 8192, 1, 1 }, zero_local[3] = { 8, 0, 1 }, far[3] = { SIZE_MAX - 10, 0, 0 };
	const size_t reqd_local[3] = { 8, 2, 1 };
	int before;

	(void)state;
	assert_ok(run(kernel, 3, offset, global, local));
	for (int i = 0; i < 3; i++) {
		assert_int_equal(seen.launch.global_offset[i], offset[i]);
		assert_int_equal(seen.launch.num_groups[i], global[i] / local[i]);
		assert_int_equal(seen.launch.local_size[i], local[i]);
	}
	assert_int_equal(seen.launch.work_dim, 3);
	assert_ok(run(kernel, 1, offset, global, local));
	assert_int_equal(seen.launch.work_dim, 1);
	assert_int_equal(seen.launch.num_groups[1] * seen.launch.num_groups[2], 1);
	assert_int_equal(seen.launch.local_size[1] * seen.launch.local_size[2], 1);
	assert_int_equal(seen.launch.global_offset[1], 0);

	before = seen.count;
	assert_cl(run(kernel, 0, NULL, global, local), CL_INVALID_WORK_DIMENSION);
	assert_cl(run(kernel, 4, NULL, global, local), CL_INVALID_WORK_DIMENSION);
	assert_cl(run(kernel, 3, NULL, odd, local), CL_INVALID_WORK_GROUP_SIZE);
	assert_cl(run(kernel, 3, NULL, global, zero_local), CL_INVALID_WORK_GROUP_SIZE);
	assert_cl(run(kernel, 2, NULL, big, big), CL_INVALID_WORK_GROUP_SIZE);
	assert_cl(run(kernel, 1, NULL, many, many), CL_INVALID_WORK_ITEM_SIZE);
	assert_cl(run(kernel, 1, far, global, NULL), CL_INVALID_GLOBAL_OFFSET);
	assert_cl(run(reqd, 3, NULL, global, local), CL_INVALID_WORK_GROUP_SIZE);
	assert_cl(run(reqd, 1, NULL, global, NULL), CL_INVALID_WORK_GROUP_SIZE);
	assert_cl(clEnqueueTask(fx.queue, reqd, 0, NULL, NULL), CL_INVALID_WORK_GROUP_SIZE);
	assert_cl(run(NULL, 1, NULL, global, NULL), CL_INVALID_KERNEL);
	assert_cl(run((cl_kernel)fx.queue, 1, NULL, global, NULL), CL_INVALID_KERNEL);
	assert_cl(clEnqueueNDRangeKernel(NULL, kernel, 1, NULL, global, NULL, 0, NULL, NULL), CL_INVALID_COMMAND_QUEUE);
	/* No work-items: succeeds, runs nothing. */
	assert_ok(run(kernel, 3, NULL, zero, NULL));
	assert_ok(run(kernel, 3, NULL, zero, local));
	assert_ok(run(kernel, 2, NULL, NULL, NULL));
	assert_int_equal(seen.count, before);

	assert_ok(run(reqd, 3, NULL, global, NULL));
	for (int i = 0; i < 3; i++)
		assert_int_equal(seen.launch.local_size[i], reqd_local[i]);
	assert_ok(run(reqd, 3, NULL, global, reqd_local));
	assert_ok(clEnqueueTask(fx.queue, kernel, 0, NULL, NULL));
	assert_ok(clFinish(fx.queue));
	assert_int_equal(seen.launch.num_groups[0], 1);
	mcl_object_release_app(&kernel->obj);
	mcl_object_release_app(&reqd->obj);
}

/* A chosen local size divides the global one, is not too large, and leaves work for every compute unit. */
static void chosen_local_size(void **state)
{
	const size_t globals[][3] = {
		{ 1, 1, 1 },	   { 2, 1, 1 },	  { 64, 1, 1 },	   { 100, 1, 1 },   { 1000, 1, 1 },
		{ 1 << 20, 1, 1 }, { 997, 1, 1 }, { 512, 512, 1 }, { 3, 5, 7 },	    { 1000, 1000, 10 },
		{ 1, 4096, 1 },	   { 1, 1, 333 }, { 9973, 2, 2 },  { 65536, 3, 1 }, { (size_t)1 << 40, 1, 1 },
	};
	cl_kernel kernel = fixture_kernel(KERNEL_EMPTY);

	(void)state;
	for (size_t i = 0; i < sizeof(globals) / sizeof(globals[0]); i++) {
		uint64_t items = 1, groups = 1, total = 1;

		assert_ok(run(kernel, 3, NULL, globals[i], NULL));
		for (int d = 0; d < 3; d++) {
			assert_int_equal(seen.launch.num_groups[d] * seen.launch.local_size[d], globals[i][d]);
			items *= seen.launch.local_size[d];
			groups *= seen.launch.num_groups[d];
			total *= globals[i][d];
		}
		assert_true(items <= 256);
		if (total >= 2)
			assert_true(groups >= 2);
	}
	assert_ok(run(kernel, 1, NULL, &(size_t){ 1 << 20 }, NULL));
	assert_int_equal(seen.launch.local_size[0], 256);
	assert_ok(run(kernel, 1, NULL, &(size_t){ 1000 }, NULL));
	assert_int_equal(seen.launch.local_size[0], 250);
	mcl_object_release_app(&kernel->obj);
}

static void arguments(void **state)
{
	cl_kernel kernel = fixture_kernel(KERNEL_ARGS), many = fixture_kernel(KERNEL_MANY);
	const size_t one = 1;
	cl_event gate, event;
	cl_mem mem;
	cl_int err;

	(void)state;
	mem = clCreateBuffer(fx.context, 0, 64, NULL, &err);
	assert_ok(err);
	assert_cl(run(kernel, 1, NULL, &one, NULL), CL_INVALID_KERNEL_ARGS);
	fixture_set_mem(kernel, 0, mem);
	fixture_set_int(kernel, 1, 42);
	assert_cl(run(kernel, 1, NULL, &one, NULL), CL_INVALID_KERNEL_ARGS);
	fixture_set_local(kernel, 2, 1 << 20);
	assert_cl(run(kernel, 1, NULL, &one, NULL), CL_OUT_OF_RESOURCES);
	fixture_set_local(kernel, 2, 100);
	/* What is set after the call does not matter, whether the command is held or not. */
	for (int held = 0; held < 2; held++) {
		gate = clCreateUserEvent(fx.context, &err);
		fixture_set_int(kernel, 1, 42);
		fixture_set_local(kernel, 2, 100);
		mcl_fake_hold(!held);
		assert_ok(clEnqueueNDRangeKernel(fx.queue, kernel, 1, NULL, &one, NULL, held, held ? &gate : NULL,
						 &event));
		fixture_set_int(kernel, 1, 43);
		fixture_set_local(kernel, 2, 101);
		mcl_fake_hold(false);
		assert_ok(clSetUserEventStatus(gate, CL_COMPLETE));
		assert_ok(clWaitForEvents(1, &event));
		assert_int_equal(seen.value, 42);
		assert_int_equal(seen.local, 100);
		assert_int_equal(seen.pointer, (uintptr_t)mem->data);
		assert_ok(clReleaseEvent(event));
		assert_ok(clReleaseEvent(gate));
	}
	/* More arguments than fit the stack's array, the command's own list of buffers. */
	for (unsigned int i = 0; i < 40; i++)
		fixture_set_mem(many, i, mem);
	assert_ok(run(many, 1, NULL, &one, NULL));
	assert_ok(clReleaseMemObject(mem));
	mcl_object_release_app(&kernel->obj);
	mcl_object_release_app(&many->obj);
}

static void CL_CALLBACK gone(cl_mem mem, void *data)
{
	(void)mem;
	++*(_Atomic int *)data;
}

/* A kernel does not keep what it is set to; a command does, until it is complete. */
static void released_arguments(void **state)
{
	cl_kernel kernel = fixture_kernel(KERNEL_ARGS);
	static _Atomic int destroyed;
	const size_t one = 1;
	cl_mem mem[2];

	(void)state;
	fixture_set_int(kernel, 1, 42);
	fixture_set_local(kernel, 2, 100);
	for (int i = 0; i < 2; i++) {
		mem[i] = clCreateBuffer(fx.context, 0, 64, NULL, NULL);
		assert_non_null(mem[i]);
		assert_ok(clSetMemObjectDestructorCallback(mem[i], gone, &destroyed));
	}
	destroyed = 0;
	fixture_set_mem(kernel, 0, mem[0]);
	mcl_fake_hold(true);
	assert_ok(clEnqueueNDRangeKernel(fx.queue, kernel, 1, NULL, &one, NULL, 0, NULL, NULL));
	assert_ok(clReleaseMemObject(mem[0]));
	assert_int_equal(destroyed, 0);
	assert_cl(clEnqueueNDRangeKernel(fx.queue, kernel, 1, NULL, &one, NULL, 0, NULL, NULL), CL_INVALID_KERNEL_ARGS);
	/* The command was the only one to hold it. Nobody waits for it, and yet the callback comes when it is complete. */
	mcl_fake_hold(false);
	fixture_until(&destroyed, 1);
	fixture_set_mem(kernel, 0, mem[1]);
	assert_ok(run(kernel, 1, NULL, &one, NULL));
	assert_ok(clReleaseMemObject(mem[1]));
	assert_int_equal(destroyed, 2);
	assert_cl(run(kernel, 1, NULL, &one, NULL), CL_INVALID_KERNEL_ARGS);
	/* The handle may come back as another buffer, which is not what the kernel was set to. */
	for (int i = 0; i < 2; i++) {
		cl_mem other[400];

		for (int j = 0; j < 400; j++) {
			other[j] = clCreateBuffer(fx.context, 0, 64, NULL, NULL);
			assert_non_null(other[j]);
			if (other[j] == mem[1] && other[j]->data != *(uint8_t **)kernel->args[0].value)
				assert_cl(run(kernel, 1, NULL, &one, NULL), CL_INVALID_KERNEL_ARGS);
		}
		for (int j = 0; j < 400; j++)
			assert_ok(clReleaseMemObject(other[j]));
	}
	mcl_object_release_app(&kernel->obj);
}

static void other_context(void **state)
{
	cl_kernel kernel = fixture_kernel(KERNEL_EMPTY);
	const size_t one = 1;
	cl_context other;
	cl_command_queue q;
	cl_int err;

	(void)state;
	other = clCreateContext(NULL, 1, &fx.device, NULL, NULL, &err);
	assert_ok(err);
	q = clCreateCommandQueue(other, fx.device, 0, &err);
	assert_ok(err);
	assert_cl(clEnqueueNDRangeKernel(q, kernel, 1, NULL, &one, NULL, 0, NULL, NULL), CL_INVALID_CONTEXT);
	assert_ok(clReleaseCommandQueue(q));
	assert_ok(clReleaseContext(other));
	mcl_object_release_app(&kernel->obj);
}

static void CL_CALLBACK native(void *arg)
{
	(void)arg;
}

static void native_kernels(void **state)
{
	int arg = 0;

	(void)state;
	assert_cl(clEnqueueNativeKernel(fx.queue, NULL, &arg, sizeof(arg), 0, NULL, NULL, 0, NULL, NULL),
		  CL_INVALID_VALUE);
	assert_cl(clEnqueueNativeKernel(fx.queue, native, NULL, 4, 0, NULL, NULL, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clEnqueueNativeKernel(fx.queue, native, &arg, 0, 0, NULL, NULL, 0, NULL, NULL), CL_INVALID_VALUE);
	assert_cl(clEnqueueNativeKernel(fx.queue, native, &arg, sizeof(arg), 1, NULL, NULL, 0, NULL, NULL),
		  CL_INVALID_VALUE);
	assert_cl(clEnqueueNativeKernel(NULL, native, &arg, sizeof(arg), 0, NULL, NULL, 0, NULL, NULL),
		  CL_INVALID_COMMAND_QUEUE);
	assert_cl(clEnqueueNativeKernel(fx.queue, native, &arg, sizeof(arg), 0, NULL, NULL, 0, NULL, NULL),
		  CL_INVALID_OPERATION);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(sizes),	     fixture_test(chosen_local_size),
		fixture_test(arguments),     fixture_test(released_arguments),
		fixture_test(other_context), fixture_test(native_kernels),
	};

	return cmocka_run_group_tests_name("ndrange", tests, NULL, NULL);
}
