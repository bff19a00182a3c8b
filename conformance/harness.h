/* SPDX-License-Identifier: MIT */
/*
 * What every conformance and adversity test shares: one device, context, in-order queue and built program for the test
 * program's life, short forms of the calls that each test makes, and child processes.
 *
 * The tests use OpenCL through the loader only, so that any implementation with fine-grained system SVM can be put in front of them.
 * ctest runs each program once for every mirror (MIRRORCL_MIRROR in the environment). Everything here asserts: a helper that
 * returns has succeeded.
 */
#ifndef CONFORMANCE_HARNESS_H
#define CONFORMANCE_HARNESS_H

/* cmocka.h wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <CL/cl.h>
#include <cmocka.h>
#include <sys/types.h>

struct conf {
	cl_platform_id platform;
	cl_device_id device;
	cl_context context;
	cl_command_queue queue; /* in order, with profiling */
	cl_program program;
	cl_uint compute_units;
	bool mirrorcl; /* the platform is MirrorCL, not one that the tests are compared with */
};
extern struct conf conf;

/*
 * Find the device, make the context and queue and build @source (NULL: no program). Ends the process with status 77 when
 * the mirror that was asked for cannot run on this machine, with 1 on any other failure.
 */
void conf_open(const char *source);
void conf_close(void);

/* Find the device only. */
void conf_open_device(void);

/* Build @source in conf.context; a build error fails with the log. */
cl_program conf_build(const char *source);

/* A new kernel of conf.program. */
cl_kernel conf_kernel(const char *name);

/* Start a kernel on conf.queue, one dimension. The event is the caller's. */
cl_event conf_start(cl_kernel kernel, size_t global, size_t local);

/* Wait for the event, release it and return how it ended: CL_COMPLETE or a negative error. */
cl_int conf_end(cl_event event);

/* Start, wait, and assert that it completed. */
void conf_run(cl_kernel kernel, size_t global, size_t local);

/* Assert that a call returned CL_SUCCESS, or a certain error. */
#define assert_cl(call) conf_assert_status((call), CL_SUCCESS, #call, __FILE__, __LINE__)
#define assert_cl_error(call, error) conf_assert_status((call), (error), #call, __FILE__, __LINE__)
void conf_assert_status(cl_int status, cl_int expected, const char *call, const char *file, int line);

/* Kernel arguments: any value, or a pointer that the device shall follow. */
#define set_arg(kernel, index, value)                                                                                  \
	do {                                                                                                           \
		__typeof__(value) arg_value_ = (value);                                                                \
		assert_cl(clSetKernelArg((kernel), (index), sizeof(arg_value_), &arg_value_));                         \
	} while (0)
#define set_ptr(kernel, index, ptr) assert_cl(clSetKernelArgSVMPointer((kernel), (index), (ptr)))

/* ---- memory ---- */

void *conf_map(size_t size, int prot, int flags); /* mmap of anonymous memory; asserts */
void conf_unmap(void *p, size_t size);
void *conf_malloc(size_t size);

/*
 * CONFORMANCE_SLOW_MACHINE is set: a compiler takes a minute, a switch of processes a millisecond. Whatever is only repeated
 * to make something more likely may be repeated less; every test still has to test what it says.
 */
bool conf_slow_machine(void);

/* Monotonic seconds. */
double conf_now(void);
void conf_sleep_ms(unsigned int ms);

/* From begin to end, what any process writes to descriptor @fd (1 or 2) goes to a file; end returns it, to be freed. */
void conf_capture_begin(int fd);
char *conf_capture_end(int fd);

/* ---- child processes ---- */

/* A test program that needs processes of its own runs itself again with "--child NAME"; main() passes its table here first. */
struct conf_child {
	const char *name;
	int (*run)(void); /* returns the exit status */
};
void conf_dispatch_child(int argc, char **argv, const struct conf_child *children);

/* Start a child with @env ("NAME=value", NULL ends it; may be NULL) added to the environment; its output comes through *@out_fd. */
pid_t conf_spawn(const char *name, const char *const *env, int *out_fd);

/* Run a child to its end. Returns its wait status; @output receives what it wrote to both outputs, cut at @size. */
int conf_spawn_wait(const char *name, const char *const *env, char *output, size_t size);

/* The pid of this process's engine: its child called mirrorcl-engine, or that one's. 0: there is none. */
pid_t conf_engine_pid(void);

/*
 * Make this process the parent of all descendants whose own parent dies, so that conf_left_behind() sees every one.
 */
void conf_adopt_orphans(void);

/* Wait for all children to end, up to @seconds, and reap them. Returns how many are still alive; those are then killed. */
unsigned int conf_left_behind(double seconds);

#endif
