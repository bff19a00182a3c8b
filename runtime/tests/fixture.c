/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <time.h>

#include "runtime/tests/fixture.h"

struct fixture fx;

#define MANY 40

static struct mcl_co_kernel kernels[KERNEL_COUNT] = {
	[KERNEL_EMPTY] = { 0 },
	[KERNEL_ARGS] = { .first_arg = 0, .arg_count = 3 },
	[KERNEL_REQD] = { .reqd_local_size = { 8, 2, 1 } },
	[KERNEL_MANY] = { .first_arg = 3, .arg_count = MANY },
};
static struct mcl_co_arg args[3 + MANY] = {
	{ .kind = MCL_CO_ARG_POINTER, .size = 8 },
	{ .kind = MCL_CO_ARG_VALUE, .size = 4 },
	{ .kind = MCL_CO_ARG_LOCAL, .size = 8 },
};
static struct mcl_code_object code = { .kernels = kernels, .args = args, .refs = 1 };

struct hand_made_kernel {
	struct _cl_kernel kernel;
	struct _cl_program program;
	struct mcl_kernel_arg args[MANY];
	uint64_t values[MANY];
};

static void destroy_kernel(struct mcl_object *obj)
{
	struct hand_made_kernel *k = (struct hand_made_kernel *)obj;

	mcl_build_put(k->kernel.build);
	pthread_mutex_destroy(&k->kernel.lock);
	mcl_object_put(&k->program.context->obj);
	mcl_object_free(obj);
}

cl_kernel fixture_kernel(enum fixture_kernel which)
{
	struct hand_made_kernel *k = mcl_object_alloc(sizeof(*k));
	struct mcl_reason why;

	assert_non_null(k);
	for (unsigned int i = 3; i < 3 + MANY; i++)
		args[i] = (struct mcl_co_arg){ .kind = MCL_CO_ARG_POINTER, .size = 8 };
	mcl_object_init(&k->kernel.obj, MCL_TYPE_KERNEL, destroy_kernel);
	pthread_mutex_init(&k->kernel.lock, NULL);
	mcl_object_get(&fx.context->obj);
	k->program.context = fx.context;
	k->kernel.program = &k->program;
	assert_int_equal(mcl_build_create(fx.context, &code, NULL, &k->kernel.build, &why), 0);
	k->kernel.index = which;
	k->kernel.info = &kernels[which];
	k->kernel.arg_info = &args[kernels[which].first_arg];
	k->kernel.unset_args = kernels[which].arg_count;
	k->kernel.args = k->args;
	for (unsigned int i = 0; i < MANY; i++)
		k->args[i].value = &k->values[i];
	return &k->kernel;
}

static void mark_set(cl_kernel kernel, unsigned int index, size_t size)
{
	struct mcl_kernel_arg *arg = &kernel->args[index];

	if (!arg->set)
		kernel->unset_args--;
	arg->mem = NULL;
	arg->set = true;
	arg->size = size;
}

void fixture_set_mem(cl_kernel kernel, unsigned int index, cl_mem mem)
{
	fixture_set_pointer(kernel, index, mem->data);
	kernel->args[index].mem = mem;
}

void fixture_set_pointer(cl_kernel kernel, unsigned int index, void *ptr)
{
	mark_set(kernel, index, sizeof(ptr));
	memcpy(kernel->args[index].value, &ptr, sizeof(ptr));
}

void fixture_set_int(cl_kernel kernel, unsigned int index, int value)
{
	mark_set(kernel, index, sizeof(value));
	memcpy(kernel->args[index].value, &value, sizeof(value));
}

void fixture_set_local(cl_kernel kernel, unsigned int index, size_t size)
{
	mark_set(kernel, index, size);
}

static cl_command_queue create_queue(cl_command_queue_properties properties)
{
	cl_int err;
	cl_command_queue queue = clCreateCommandQueue(fx.context, fx.device, properties, &err);

	assert_ok(err);
	return queue;
}

int fixture_setup(void **state)
{
	cl_int err;

	(void)state;
	mcl_fake_set_kernel(NULL, NULL);
	mcl_fake_set_ring_size(256);
	mcl_fake_set_memory_limit(0);
	fx.device = &mcl_device;
	fx.context = clCreateContext(NULL, 1, &fx.device, NULL, NULL, &err);
	assert_ok(err);
	fx.queue = create_queue(0);
	fx.wild = create_queue(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
	fx.timed = create_queue(CL_QUEUE_PROFILING_ENABLE);
	return 0;
}

int fixture_teardown(void **state)
{
	struct mcl_fake_counts counts;

	(void)state;
	mcl_fake_hold(false);
	assert_ok(clReleaseCommandQueue(fx.queue));
	assert_ok(clReleaseCommandQueue(fx.wild));
	assert_ok(clReleaseCommandQueue(fx.timed));
	assert_ok(clReleaseContext(fx.context));
	/* What was still under way ends on other threads. */
	for (int i = 0; i < 5000; i++) {
		mcl_fake_counts(&counts);
		if (!counts.backends)
			break;
		fixture_sleep_us(1000);
	}
	assert_int_equal(counts.backends, 0);
	assert_int_equal(counts.rings, 0);
	assert_int_equal(counts.programs, 0);
	assert_int_equal(counts.svm_blocks, 0);
	assert_int_equal(counts.svm_bytes, 0);
	return 0;
}

void assert_cl_(cl_int got, cl_int expected, const char *expr, const char *file, int line)
{
	if (got == expected)
		return;
	print_error("%s: %s, expected %s\n", expr, mcl_cl_error_name(got), mcl_cl_error_name(expected));
	_assert_int_equal((uint64_t)(int64_t)got, (uint64_t)(int64_t)expected, file, line);
}

cl_int fixture_status(cl_event event)
{
	cl_int status;

	assert_ok(clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof(status), &status, NULL));
	return status;
}

void fixture_sleep_us(unsigned int us)
{
	const struct timespec ts = { us / 1000000, us % 1000000 * 1000L };

	nanosleep(&ts, NULL);
}

void fixture_until(_Atomic int *value, int wanted)
{
	for (int i = 0; i < 50000 && *value != wanted; i++)
		fixture_sleep_us(100);
	assert_int_equal(*value, wanted);
}
