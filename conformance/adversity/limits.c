// SPDX-License-Identifier: MIT
/*
 * Tight places: resource limits, another user, no home, no temporary folder, closed standard descriptors. In each a child process runs
 * a kernel. Either it works, or a call says that it cannot; no crash, no hang, nothing left behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "limits.cl.h"

enum { REFUSED = 42 };

/* ---- the children ---- */

/* Run one kernel with every call checked. Returns 0 if all is right, REFUSED if a call failed, 1 for a wrong result. */
static int run_a_kernel(void)
{
	const char *source = limits_cl;
	uint32_t *data = calloc(256, sizeof(*data)), value = 7;
	size_t items = 256, local = 64;
	cl_command_queue queue;
	cl_platform_id platform;
	cl_device_id device;
	cl_context context;
	cl_program program;
	cl_kernel kernel;
	cl_int err;

	alarm(100);
	if (!data || clGetPlatformIDs(1, &platform, NULL) ||
	    clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL))
		return REFUSED;
	context = clCreateContext(NULL, 1, &device, NULL, NULL, &err);
	if (!context)
		return REFUSED;
	queue = clCreateCommandQueueWithProperties(context, device, NULL, &err);
	program = clCreateProgramWithSource(context, 1, &source, NULL, &err);
	if (!queue || !program)
		return REFUSED;
	err = clBuildProgram(program, 1, &device, "-cl-std=CL3.0", NULL, NULL);
	if (err) {
		char log[4096] = "";

		clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, sizeof(log), log, NULL);
		fprintf(stderr, "build: %d: %s\n", err, log);
		return REFUSED;
	}
	kernel = clCreateKernel(program, "add", &err);
	if (!kernel || clSetKernelArgSVMPointer(kernel, 0, data) || clSetKernelArg(kernel, 1, sizeof(value), &value) ||
	    clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &items, &local, 0, NULL, NULL) || clFinish(queue))
		return REFUSED;
	for (int i = 0; i < 256; i++)
		if (data[i] != 7)
			return 1;
	clReleaseKernel(kernel);
	clReleaseProgram(program);
	clReleaseCommandQueue(queue);
	clReleaseContext(context);
	free(data);
	return 0;
}

static void limit(int resource, rlim_t value)
{
	struct rlimit r = { value, value };

	if (setrlimit(resource, &r)) {
		perror("setrlimit");
		exit(1);
	}
}

static int no_file_size(void)
{
	signal(SIGXFSZ, SIG_IGN);
	limit(RLIMIT_FSIZE, 0);
	return run_a_kernel();
}

static int small_stack(void)
{
	limit(RLIMIT_STACK, 256 << 10);
	return run_a_kernel();
}

static int no_locked_memory(void)
{
	limit(RLIMIT_MEMLOCK, 0);
	return run_a_kernel();
}

static int no_core(void)
{
	limit(RLIMIT_CORE, 0);
	return run_a_kernel();
}

static int few_files(void)
{
	limit(RLIMIT_NOFILE, 48);
	return run_a_kernel();
}

static int no_files(void)
{
	limit(RLIMIT_NOFILE, 6);
	return run_a_kernel();
}

static int little_address_space(void)
{
	limit(RLIMIT_AS, 64ul << 20);
	return run_a_kernel();
}

static int some_address_space(void)
{
	limit(RLIMIT_AS, 1ul << 30);
	return run_a_kernel();
}

static int little_data(void)
{
	limit(RLIMIT_DATA, 32 << 20);
	return run_a_kernel();
}

static void become_nobody(void)
{
	if (getuid())
		return; /* nobody special already */
	if (setgroups(0, NULL) || setgid(65534) || setuid(65534)) {
		perror("setuid");
		exit(1);
	}
}

static int nobody(void)
{
	become_nobody();
	return run_a_kernel();
}

static int nobody_without_processes(void)
{
	become_nobody();
	limit(RLIMIT_NPROC, 0);
	return run_a_kernel();
}

static int closed_descriptors(void)
{
	int status;

	close(0);
	close(1);
	close(2);
	status = run_a_kernel();
	return status;
}

static int plain(void)
{
	return run_a_kernel();
}

static int blocked_signals(void)
{
	sigset_t all;

	sigfillset(&all);
	sigdelset(&all, SIGALRM);
	sigprocmask(SIG_BLOCK, &all, NULL);
	return run_a_kernel();
}

static int ignored_children(void)
{
	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	return run_a_kernel();
}

static const struct conf_child children[] = {
	{ "plain", plain },
	{ "no-file-size", no_file_size },
	{ "small-stack", small_stack },
	{ "no-locked-memory", no_locked_memory },
	{ "no-core", no_core },
	{ "few-files", few_files },
	{ "no-files", no_files },
	{ "little-address-space", little_address_space },
	{ "some-address-space", some_address_space },
	{ "little-data", little_data },
	{ "nobody", nobody },
	{ "nobody-without-processes", nobody_without_processes },
	{ "closed-descriptors", closed_descriptors },
	{ "blocked-signals", blocked_signals },
	{ "ignored-children", ignored_children },
	{ NULL, NULL },
};

/* ---- the test ---- */

static bool shared_mirror;

static void expect(const char *child, const char *const *env, bool may_refuse)
{
	static char output[16384];
	const char *whole_env[8] = { NULL };
	int status, n;

	for (n = 0; env && env[n]; n++)
		whole_env[n] = env[n];
	/* Each of them compiles, if @env does not say otherwise. */
	if (!conf_slow_machine())
		whole_env[n] = "MIRRORCL_CACHE_SIZE=0";
	status = conf_spawn_wait(child, whole_env, output, sizeof(output));

	if (status != 0 && !(may_refuse && WIFEXITED(status) && WEXITSTATUS(status) == REFUSED))
		fail_msg("%s ended with status %#x:\n%s", child, status, output);
	assert_int_equal(conf_left_behind(5), 0);
}

/* What limits neither memory nor processes in earnest must not matter. */
static void harmless_limits(void **state)
{
	(void)state;
	expect("plain", NULL, false);
	expect("small-stack", NULL, false);
	expect("no-locked-memory", NULL, !shared_mirror);
	expect("no-core", NULL, false);
	expect("few-files", NULL, false);
}

/* These may stop the device from starting, with an error; the mirror of last resort works under most of them. */
static void hard_limits(void **state)
{
	(void)state;
	expect("no-files", NULL, true);
	expect("no-file-size", NULL, true);
	expect("little-address-space", NULL, true);
	expect("some-address-space", NULL, true);
	expect("little-data", NULL, true);
	expect("nobody-without-processes", NULL, true);
}

/* As nobody: the shared mirror needs no privilege; the other may ask for one. */
static void unprivileged(void **state)
{
	(void)state;
	expect("nobody", NULL, !shared_mirror);
}

/* Environments that a program may be started in. */
static void odd_environments(void **state)
{
	const char *no_home[] = { "HOME=/proc/none", "XDG_CACHE_HOME=", "TMPDIR=/proc/none", "MIRRORCL_CACHE_SIZE=512M",
				  NULL };
	const char *empty[] = { "HOME=", "PATH=", "TMPDIR=", NULL };
	const char *no_cache[] = { "MIRRORCL_CACHE_DIR=/proc/none", "MIRRORCL_CACHE_SIZE=512M", NULL };
	const char *path[] = { "PATH=/proc/none", NULL };

	(void)state;
	expect("plain", no_home, false);
	expect("plain", empty, false);
	expect("plain", no_cache, false);
	expect("plain", path, false);
	expect("closed-descriptors", NULL, false);
	expect("blocked-signals", NULL, false);
	expect("ignored-children", NULL, false);
}

/* Options that are wrong, small or large. */
static void odd_options(void **state)
{
	static const struct {
		const char *variable;
		bool may_refuse;
	} options[] = {
		{ "MIRRORCL_COMPUTE_UNITS=1", false },
		{ "MIRRORCL_COMPUTE_UNITS=7", false },
		{ "MIRRORCL_COMPUTE_UNITS=100000", false },
		{ "MIRRORCL_COMPUTE_UNITS=many", false },
		{ "MIRRORCL_SPIN_US=0", false },
		{ "MIRRORCL_SPIN_US=1000000", false },
		{ "MIRRORCL_DEBUG=trace", false },
		{ "MIRRORCL_VRAM=1", true },
		{ "MIRRORCL_VRAM=16M", false },
		{ "MIRRORCL_MIRROR=nonsense", true },
		{ "MIRRORCL_MIRROR=", false },
		{ "MIRRORCL_SPECIALIZE=0", false },
		{ "MIRRORCL_CC=/nonexistent", true },
		{ "MIRRORCL_CC=/bin/true", true },
		{ "MIRRORCL_CC=/bin/cat", true },
		{ "MIRRORCL_DEVICE_TYPE=cpu", false },
		{ "MIRRORCL_DEVICE_TYPE=nonsense", false },
		{ "MIRRORCL_REPORT=/nonexistent/file", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
		const bool compiler = !strncmp(options[i].variable, "MIRRORCL_CC=", 12);
		/* Only options of the compiler need to compile. */
		const char *env[] = { options[i].variable, compiler ? NULL : "MIRRORCL_CACHE_SIZE=512M", NULL };

		expect("plain", env, options[i].may_refuse);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(harmless_limits),  cmocka_unit_test(hard_limits), cmocka_unit_test(unprivileged),
		cmocka_unit_test(odd_environments), cmocka_unit_test(odd_options),
	};
	const char *mirror = getenv("MIRRORCL_MIRROR");

	conf_dispatch_child(argc, argv, children);
	conf_open_device();
	shared_mirror = !mirror || !strcmp(mirror, "shared");
	conf_adopt_orphans();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
