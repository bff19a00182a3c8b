// SPDX-License-Identifier: MIT
/* The fixture and helpers of all conformance tests; see harness.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

enum { EXIT_SKIPPED = 77 };

struct conf conf;

#ifdef __SANITIZE_ADDRESS__
static pid_t first_process;

__attribute__((constructor)) static void note_process(void)
{
	first_process = getpid();
}

/*
 * Asked by the leak checker when a process ends. In a child of fork() what the parent's other threads were working on is lost:
 * their stacks, which point to it, are nobody's there.
 */
int __lsan_is_turned_off(void);
__attribute__((visibility("default"))) int __lsan_is_turned_off(void)
{
	return getpid() != first_process;
}
#endif

void conf_assert_status(cl_int status, cl_int expected, const char *call, const char *file, int line)
{
	if (status == expected)
		return;
	print_error("%s returned %d instead of %d\n", call, status, expected);
	_fail(file, line);
}

/* For use before and outside of cmocka's tests. */
static void require(bool condition, const char *what, cl_int err)
{
	if (condition)
		return;
	fprintf(stderr, "%s failed (%d)\n", what, err);
	exit(EXIT_FAILURE);
}

/*
 * The only reason to skip: the machine does not let this process have a full userfaultfd, or has no device file of the
 * module. Asked of the machine, not of the runtime under test, so that a runtime that wrongly refuses fails.
 */
static void skip_if_mirror_cannot_run(void)
{
	const char *mirror = getenv("MIRRORCL_MIRROR");
	int fd;

	if (!mirror)
		return;
	if (!strcmp(mirror, "uffd")) {
		fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
		if (fd < 0)
			fd = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
		if (fd < 0) {
			printf("skipped: no full userfaultfd here: %s\n", strerror(errno));
			exit(EXIT_SKIPPED);
		}
		close(fd);
	} else if (!strcmp(mirror, "hmm") && access("/dev/hmm_mirror", R_OK | W_OK)) {
		printf("skipped: /dev/hmm_mirror: %s\n", strerror(errno));
		exit(EXIT_SKIPPED);
	}
}

void conf_open_device(void)
{
	const cl_device_svm_capabilities needed = CL_DEVICE_SVM_FINE_GRAIN_SYSTEM | CL_DEVICE_SVM_ATOMICS;
	cl_platform_id platforms[8];
	cl_uint count = 0;
	char name[128];

	setvbuf(stdout, NULL, _IOLBF, 0);
	skip_if_mirror_cannot_run();
	require(!clGetPlatformIDs(8, platforms, &count) && count, "clGetPlatformIDs", 0);
	for (cl_uint i = 0; i < count && i < 8; i++) {
		cl_device_svm_capabilities caps = 0;
		cl_device_id device;

		if (clGetDeviceIDs(platforms[i], CL_DEVICE_TYPE_ALL, 1, &device, NULL))
			continue;
		clGetDeviceInfo(device, CL_DEVICE_SVM_CAPABILITIES, sizeof(caps), &caps, NULL);
		if ((caps & needed) != needed)
			continue;
		conf.platform = platforms[i];
		conf.device = device;
		break;
	}
	require(conf.device != NULL, "finding a device with fine-grained system SVM and atomics", 0);
	require(!clGetPlatformInfo(conf.platform, CL_PLATFORM_NAME, sizeof(name), name, NULL), "clGetPlatformInfo", 0);
	conf.mirrorcl = !strcmp(name, "MirrorCL");
	require(!clGetDeviceInfo(conf.device, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof(conf.compute_units),
				 &conf.compute_units, NULL),
		"clGetDeviceInfo", 0);
}

void conf_open(const char *source)
{
	const cl_queue_properties properties[] = { CL_QUEUE_PROPERTIES, CL_QUEUE_PROFILING_ENABLE, 0 };
	cl_int err;

	conf_open_device();
	conf.context = clCreateContext(NULL, 1, &conf.device, NULL, NULL, &err);
	require(conf.context != NULL, "clCreateContext", err);
	conf.queue = clCreateCommandQueueWithProperties(conf.context, conf.device, properties, &err);
	require(conf.queue != NULL, "clCreateCommandQueueWithProperties", err);
	if (source)
		conf.program = conf_build(source);
}

void conf_close(void)
{
	if (conf.program)
		clReleaseProgram(conf.program);
	if (conf.queue)
		clReleaseCommandQueue(conf.queue);
	if (conf.context)
		clReleaseContext(conf.context);
	memset(&conf, 0, sizeof(conf));
}

cl_program conf_build(const char *source)
{
	cl_program program;
	cl_int err;

	program = clCreateProgramWithSource(conf.context, 1, &source, NULL, &err);
	require(program != NULL, "clCreateProgramWithSource", err);
	err = clBuildProgram(program, 1, &conf.device, "-cl-std=CL3.0", NULL, NULL);
	if (err) {
		static char log[65536];

		clGetProgramBuildInfo(program, conf.device, CL_PROGRAM_BUILD_LOG, sizeof(log) - 1, log, NULL);
		fprintf(stderr, "%s\n", log);
	}
	require(!err, "clBuildProgram", err);
	return program;
}

cl_kernel conf_kernel(const char *name)
{
	cl_int err;
	cl_kernel kernel = clCreateKernel(conf.program, name, &err);

	assert_cl(err);
	assert_non_null(kernel);
	return kernel;
}

cl_event conf_start(cl_kernel kernel, size_t global, size_t local)
{
	cl_event event;

	assert_cl(clEnqueueNDRangeKernel(conf.queue, kernel, 1, NULL, &global, &local, 0, NULL, &event));
	assert_cl(clFlush(conf.queue));
	return event;
}

cl_int conf_end(cl_event event)
{
	cl_int status = CL_QUEUED;
	cl_int err = clWaitForEvents(1, &event);

	assert_cl(clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof(status), &status, NULL));
	if (status < 0)
		assert_cl_error(err, CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST);
	else
		assert_cl(err);
	assert_cl(clReleaseEvent(event));
	return status;
}

void conf_run(cl_kernel kernel, size_t global, size_t local)
{
	assert_int_equal(conf_end(conf_start(kernel, global, local)), CL_COMPLETE);
}

void *conf_map(size_t size, int prot, int flags)
{
	void *p = mmap(NULL, size, prot, flags | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

void conf_unmap(void *p, size_t size)
{
	assert_int_equal(munmap(p, size), 0);
}

void *conf_malloc(size_t size)
{
	void *p = malloc(size);

	assert_non_null(p);
	return p;
}

bool conf_slow_machine(void)
{
	return getenv("CONFORMANCE_SLOW_MACHINE") != NULL;
}

double conf_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void conf_sleep_ms(unsigned int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000l };

	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

static struct {
	FILE *file;
	int saved;
} capture[3];

void conf_capture_begin(int fd)
{
	fflush(stdout);
	fflush(stderr);
	capture[fd].file = tmpfile();
	assert_non_null(capture[fd].file);
	capture[fd].saved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	assert_true(capture[fd].saved >= 0);
	assert_true(dup2(fileno(capture[fd].file), fd) >= 0);
}

char *conf_capture_end(int fd)
{
	FILE *file = capture[fd].file;
	char *text;
	long size;

	fflush(stdout);
	fflush(stderr);
	assert_true(dup2(capture[fd].saved, fd) >= 0);
	close(capture[fd].saved);
	assert_int_equal(fseek(file, 0, SEEK_END), 0);
	size = ftell(file);
	assert_int_equal(fseek(file, 0, SEEK_SET), 0);
	text = conf_malloc((size_t)size + 1);
	assert_int_equal(fread(text, 1, (size_t)size, file), size);
	text[size] = '\0';
	fclose(file);
	return text;
}

void conf_dispatch_child(int argc, char **argv, const struct conf_child *children)
{
	if (argc != 3 || strcmp(argv[1], "--child"))
		return;
	for (; children->name; children++)
		if (!strcmp(children->name, argv[2]))
			exit(children->run());
	fprintf(stderr, "no child is called %s\n", argv[2]);
	exit(EXIT_FAILURE);
}

/* The environment with @extra put over it; the array is the caller's, the strings are not. */
static char **merge_environment(const char *const *extra)
{
	size_t n = 0, m = 0, out = 0;
	char **merged;

	while (environ[n])
		n++;
	while (extra && extra[m])
		m++;
	merged = conf_malloc((n + m + 1) * sizeof(*merged));
	for (size_t i = 0; i < m; i++)
		merged[out++] = (char *)extra[i];
	for (size_t i = 0; i < n; i++) {
		size_t length = strcspn(environ[i], "=") + 1, j = 0;

		while (j < m && strncmp(environ[i], extra[j], length) != 0)
			j++;
		if (j == m)
			merged[out++] = environ[i];
	}
	merged[out] = NULL;
	return merged;
}

pid_t conf_spawn(const char *name, const char *const *env, int *out_fd)
{
	char self[4096], child_flag[] = "--child", *copy = strdup(name), **merged = merge_environment(env);
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *argv[] = { self, child_flag, copy, NULL };
	posix_spawn_file_actions_t actions;
	int fds[2];
	pid_t pid;

	assert_true(length > 0);
	self[length] = '\0';
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
	assert_int_equal(posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO), 0);
	assert_int_equal(posix_spawn_file_actions_adddup2(&actions, fds[1], STDERR_FILENO), 0);
	assert_int_equal(posix_spawn(&pid, self, &actions, NULL, argv, merged), 0);
	posix_spawn_file_actions_destroy(&actions);
	close(fds[1]);
	free(merged);
	free(copy);
	*out_fd = fds[0];
	return pid;
}

int conf_spawn_wait(const char *name, const char *const *env, char *output, size_t size)
{
	size_t used = 0;
	ssize_t got;
	char more[4096];
	int fd, status;
	pid_t pid = conf_spawn(name, env, &fd);

	while ((got = read(fd, more, sizeof(more))) > 0) {
		size_t room = size - 1 - used;

		memcpy(output + used, more, (size_t)got < room ? (size_t)got : room);
		used += (size_t)got < room ? (size_t)got : room;
	}
	output[used] = '\0';
	close(fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* Calls @visit for each living (not zombie) child process of @of. */
static void for_each_child(pid_t of, void (*visit)(pid_t pid, const char *comm, void *arg), void *arg)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	assert_non_null(proc);
	while ((entry = readdir(proc))) {
		char path[64], line[512], *open, *close;
		pid_t pid = atoi(entry->d_name), parent;
		FILE *stat;
		char state;

		if (pid <= 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/stat", pid);
		stat = fopen(path, "re");
		if (!stat)
			continue;
		if (fgets(line, sizeof(line), stat) && (open = strchr(line, '(')) && (close = strrchr(line, ')')) &&
		    sscanf(close + 1, " %c %d", &state, &parent) == 2 && parent == of && state != 'Z' && state != 'X') {
			*close = '\0';
			visit(pid, open + 1, arg);
		}
		fclose(stat);
	}
	closedir(proc);
}

static void note_engine(pid_t pid, const char *comm, void *arg)
{
	if (!strcmp(comm, "mirrorcl-engine"))
		*(pid_t *)arg = pid;
}

pid_t conf_engine_pid(void)
{
	pid_t pid = 0, next = getpid();

	/* Where a supervisor stands between us and the engine, its death is the engine's only a moment later. */
	while (next) {
		pid_t parent = next;

		next = 0;
		for_each_child(parent, note_engine, &next);
		pid = next ? next : pid;
	}
	return pid;
}

void conf_adopt_orphans(void)
{
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
}

static void kill_survivor(pid_t pid, const char *comm, void *arg)
{
	unsigned int *count = arg;

	print_error("left behind: process %d, %s\n", pid, comm);
	kill(pid, SIGKILL);
	(*count)++;
}

unsigned int conf_left_behind(double seconds)
{
	double end = conf_now() + seconds;
	unsigned int survivors = 0;

	for (;;) {
		pid_t pid = waitpid(-1, NULL, WNOHANG | __WALL);

		if (pid > 0)
			continue;
		if (pid < 0 && errno == ECHILD)
			return 0;
		if (conf_now() > end)
			break;
		conf_sleep_ms(2);
	}
	for_each_child(getpid(), kill_survivor, &survivors);
	while (waitpid(-1, NULL, __WALL) > 0)
		;
	return survivors;
}
