/* SPDX-License-Identifier: MIT */
/*
 * What the cases share: one run of mirrorcl-bench-case measures one thing in a fresh process and reports one number.
 * A case is an ordinary OpenCL application: it knows the loader only, and the environment decides whose driver it meets.
 * Nothing here chooses drivers, repeats runs or judges results: that is the driver program's (bench.c).
 */
#ifndef BENCH_CASE_H
#define BENCH_CASE_H

#include <CL/cl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench_options {
	const char *platform; /* part of the name of the platform to use; NULL: the first one */
	uint64_t start_ns; /* when the driver program started this process, now_ns() time; 0 if unknown */
	bool warm; /* a run that only fills caches: what is measured does not count */
	bool verbose; /* say on standard error what a number was chosen from */
};

/* What the device took and what plain C took for the same, in one process: see turns.c. */
struct bench_pair {
	double device, limit;
};

/* One way to measure: one of the two. Nanoseconds (or bytes, where the row says so); errors end the process. */
struct bench_case {
	const char *name;
	double (*run)(const struct bench_options *opt);
	struct bench_pair (*run_pair)(const struct bench_options *opt);
};

/* Tables with a NULL name at the end, one for each file case_*.c. */
extern const struct bench_case bench_launch_cases[];
extern const struct bench_case bench_memory_cases[];
extern const struct bench_case bench_compute_cases[];
extern const struct bench_case bench_start_cases[];
extern const struct bench_case bench_limit_cases[];

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t now_ns(void);

/* Print "mirrorcl-bench-case: ..." to standard error and exit with status 1. */
_Noreturn void die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* die() with @what unless @err is CL_SUCCESS. */
void check(cl_int err, const char *what);
/* malloc() that dies when there is no memory. */
void *must_alloc(size_t size);

/* The device under test with a context and an in-order queue, and the time it took to get the context. */
struct device {
	cl_platform_id platform;
	cl_device_id id;
	cl_context context;
	cl_command_queue queue;
	uint64_t init_ns;
};

void device_open(struct device *dev, const struct bench_options *opt);
void device_close(struct device *dev);
/* How many compute units it has. */
unsigned int device_units(const struct device *dev);

/* Build @source with @options (NULL: none) and make the kernel @name of it. Dies with the build log. */
cl_kernel device_kernel(struct device *dev, const char *source, const char *options, const char *name);
/* Set argument @index to a shared pointer: from clSVMAlloc, or plain host memory. */
void set_pointer(cl_kernel kernel, cl_uint index, const void *pointer);
/* Set argument @index to a 64-bit value. */
void set_ulong(cl_kernel kernel, cl_uint index, uint64_t value);
/* Enqueue a one-dimensional range; @local 0 leaves the choice to the driver. */
void enqueue(struct device *dev, cl_kernel kernel, size_t global, size_t local);
/* clFinish() that dies on errors. */
void finish(struct device *dev);

/* Sort @n values and return the middle one. */
double median(double *values, size_t n);

/* ---- device and host by turns (turns.c) ---- */

struct turns {
	void (*device)(void *ctx); /* one pass, complete when it returns */
	void (*host)(void *ctx); /* the same, on data of its own */
	void *ctx;
	unsigned int rounds; /* turns of each */
	unsigned int before; /* passes of a turn before the one that is timed */
	unsigned int settle; /* passes of each before the first turn, */
	uint64_t settle_ns; /* and for how long at least */
};

/* What a pass of the device took, and what one of the host took beside it. */
struct bench_pair take_turns(const struct turns *t, const struct bench_options *opt);

/* ---- plain C (host.c): what the compiler makes best of it for this very processor ---- */

/* Start so many threads. Called once, before the next ones. */
void host_threads(unsigned int count);
/* Call fn(arg, part, parts) on each of the threads, this one among them; returns when all are done. */
void host_parallel(void (*fn)(void *arg, unsigned int part, unsigned int parts), void *arg);
/* a = b + TRIAD_SCALE * c, TRIAD_COUNT elements, on all threads. */
void host_triad(float *a, const float *b, const float *c);

/* ---- inputs that the kernels and the host loops (limit) must share to be comparable ---- */

#define TRIAD_COUNT (16u << 20) /* floats in each of three arrays: 64 MiB each */
#define TRIAD_SCALE 3.0f
#define CHASE_COUNT (1u << 20) /* nodes */
#define SGEMM_SIZE 512u
#define PASS_BYTES (256ull << 20)
#define TRIPS 1000u /* in one batch */
#define TRIP_BATCHES 41u

/* A node of the pointer chase, one cache line. */
struct node {
	struct node *next;
	uint64_t value;
	char pad[48];
};

/*
 * The host's part of an atomic round trip: for TRIP_BATCHES batches of TRIPS trips, store 2 i + 1 and wait for the other side
 * to make it 2 i + 2. Returns the median over the batches of the time of one trip: the first ones, and those in which the
 * machine did something else, do not count.
 */
double round_trips(_Atomic uint32_t *flag);

/* Go on by @steps nodes from *@n. Returns the sum of their values. */
uint64_t host_chase(const struct node **n, uint64_t steps);

/* CHASE_COUNT nodes from malloc(), one each, linked in one random cycle (the same one every time). */
struct node *chase_build(void);

/*
 * This process, and all that it starts, on the first processor that it may use. How far memory is away differs between the
 * processors of a virtual machine, by a fifth or so; with one thread at work it would be chance who gets the better one.
 */
void on_one_processor(void);

#endif
