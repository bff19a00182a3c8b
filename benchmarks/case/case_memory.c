// SPDX-License-Identifier: MIT
/* Memory seen through the device: streaming, chasing pointers, and the first pass over memory it has never touched. */
#include <stdlib.h>
#include <string.h>

#include "case/case.h"

#define TRIAD_ROUNDS 40u
#define TRIAD_SETTLE_NS 100000000ull
#define TRIAD_PART (TRIAD_COUNT / 32) /* elements */
#define CHASE_PARTS 16u /* turns on one way round */
#define CHASE_ROUNDS (4 * CHASE_PARTS)
#define PASS_ITEMS 4096u

#define APART (4u << 20) /* more than any driver moves at once */
#define SMALL (64u << 10) /* comes from where single nodes do */

enum { CHASE_STEPS = CHASE_COUNT / CHASE_PARTS }; /* of one turn */
_Static_assert(CHASE_COUNT % CHASE_PARTS == 0, "the turns of one way round make a whole cycle");

/*
 * Memory that is never used, between the data of one side and whatever else there is. A driver that moves more than a page at a
 * time would take neighbours along, and the other side would get them back in its turn.
 */
static void keep_apart(size_t piece)
{
	for (size_t at = 0; at < APART; at += piece) {
		void *volatile unused = must_alloc(piece);

		(void)unused;
	}
}

static const char triad_source[] = "__kernel void triad(__global float *a, __global const float *b,\n"
				   "                    __global const float *c)\n"
				   "{\n"
				   "	size_t i = get_global_id(0);\n"
				   "	a[i] = b[i] + 3.0f * c[i];\n"
				   "}\n";

struct triad {
	struct device dev;
	cl_kernel kernel;
	float *device[3], *host[3];
};

static void triad_device(void *ctx)
{
	struct triad *t = ctx;

	enqueue(&t->dev, t->kernel, TRIAD_COUNT, 256);
	finish(&t->dev);
}

static void triad_host(void *ctx)
{
	struct triad *t = ctx;

	host_triad(t->host[0], t->host[1], t->host[2]);
}

static void triad_fill_part(float *const array[3], uint32_t from)
{
	for (int which = 0; which < 3; which++)
		for (uint32_t i = from; i < from + TRIAD_PART; i++)
			array[which][i] = which == 0 ? 0 : (float)(i % (which == 1 ? 1000 : 77));
}

/*
 * The system gives out memory when it is first written. Both sides get theirs by turns, a piece each: where one had all of its
 * own before the other, they lay in different parts of the machine, and were up to a tenth apart with the same code on both.
 */
static void triad_fill(const struct triad *t)
{
	for (uint32_t i = 0; i < TRIAD_COUNT; i += 2 * TRIAD_PART) {
		triad_fill_part(t->device, i);
		triad_fill_part(t->host, i);
		triad_fill_part(t->host, i + TRIAD_PART);
		triad_fill_part(t->device, i + TRIAD_PART);
	}
}

static void triad_check(const float *a, const char *who)
{
	for (uint32_t i = 0; i < TRIAD_COUNT; i++)
		if (a[i] != (float)(i % 1000) + TRIAD_SCALE * (float)(i % 77))
			die("triad of the %s: element %u is %g", who, i, (double)a[i]);
}

/* One a = b + 3 c over three arrays of 64 MiB, by as many threads of the host as the device has compute units. */
static struct bench_pair triad(struct triad *t, const struct bench_options *opt)
{
	const struct turns turns = {
		.device = triad_device,
		.host = triad_host,
		.ctx = t,
		.rounds = TRIAD_ROUNDS,
		.before = 1,
		.settle = 1,
		.settle_ns = TRIAD_SETTLE_NS,
	};
	struct bench_pair pair;

	t->kernel = device_kernel(&t->dev, triad_source, NULL, "triad");
	for (cl_uint i = 0; i < 3; i++)
		set_pointer(t->kernel, i, t->device[i]);
	host_threads(device_units(&t->dev));
	pair = take_turns(&turns, opt);
	triad_check(t->device[0], "device");
	triad_check(t->host[0], "host");
	return pair;
}

static float *svm_array(struct triad *t)
{
	float *array = clSVMAlloc(t->dev.context, CL_MEM_READ_WRITE | CL_MEM_SVM_FINE_GRAIN_BUFFER,
				  TRIAD_COUNT * sizeof(float), 0);

	if (!array)
		die("clSVMAlloc of %zu bytes failed", TRIAD_COUNT * sizeof(float));
	return array;
}

static struct bench_pair run_triad_svm(const struct bench_options *opt)
{
	struct triad t;

	device_open(&t.dev, opt);
	for (int i = 0; i < 3; i++) {
		t.device[i] = svm_array(&t);
		t.host[i] = svm_array(&t);
	}
	triad_fill(&t);
	return triad(&t, opt);
}

/* The data is there before the device is: it is a program's that turns to OpenCL when it has something to compute. */
static struct bench_pair run_triad_malloc(const struct bench_options *opt)
{
	struct triad t;

	keep_apart(APART);
	for (int i = 0; i < 3; i++)
		t.device[i] = must_alloc(TRIAD_COUNT * sizeof(float));
	keep_apart(APART);
	for (int i = 0; i < 3; i++)
		t.host[i] = must_alloc(TRIAD_COUNT * sizeof(float));
	keep_apart(APART);
	triad_fill(&t);
	device_open(&t.dev, opt);
	return triad(&t, opt);
}

static const char chase_source[] =
	"struct node { __global struct node *next; ulong value; char pad[48]; };\n"
	"__kernel void chase(__global struct node *__global *start, __global ulong *sum, ulong steps)\n"
	"{\n"
	"	__global struct node *n = *start;\n"
	"	ulong s = 0;\n"
	"	for (ulong i = 0; i < steps; i++) {\n"
	"		s += n->value;\n"
	"		n = n->next;\n"
	"	}\n"
	"	*start = n;\n"
	"	*sum += s;\n"
	"}\n";

/* Where a side is, and what it has added up. That of the device is touched by nobody else until the end. */
struct walk {
	const struct node *at;
	uint64_t sum;
};

struct chase {
	struct device dev;
	cl_kernel kernel;
	struct walk *device, *host;
	uint64_t device_passes, host_passes;
};

static void chase_device(void *ctx)
{
	struct chase *c = ctx;

	enqueue(&c->dev, c->kernel, 1, 1);
	finish(&c->dev);
	c->device_passes++;
}

static void chase_host(void *ctx)
{
	struct chase *c = ctx;

	c->host->sum += host_chase(&c->host->at, CHASE_STEPS);
	c->host_passes++;
}

static struct walk *walk_begin(void)
{
	struct walk *w = must_alloc(sizeof(*w));

	*w = (struct walk){ .at = chase_build() };
	return w;
}

static void walk_check(const struct walk *w, uint64_t passes, const char *who)
{
	const uint64_t ways = passes / CHASE_PARTS;

	/* A run that only fills caches ends somewhere on its way. */
	if (passes % CHASE_PARTS == 0 && w->sum != ways * CHASE_COUNT * (CHASE_COUNT - 1) / 2)
		die("chase of the %s: the sum is %llu", who, (unsigned long long)w->sum);
}

/* Time of one step along a random cycle of malloc'd nodes, by one work-item, everything on one processor. */
static struct bench_pair run_chase(const struct bench_options *opt)
{
	struct chase c = { 0 };
	const struct turns turns = {
		.device = chase_device,
		.host = chase_host,
		.ctx = &c,
		.rounds = CHASE_ROUNDS,
		.settle = CHASE_PARTS,
	};
	struct bench_pair pair;

	on_one_processor();
	keep_apart(SMALL);
	c.device = walk_begin();
	keep_apart(SMALL);
	c.host = walk_begin();
	keep_apart(SMALL);
	device_open(&c.dev, opt);
	c.kernel = device_kernel(&c.dev, chase_source, NULL, "chase");
	set_pointer(c.kernel, 0, &c.device->at);
	set_pointer(c.kernel, 1, &c.device->sum);
	set_ulong(c.kernel, 2, CHASE_STEPS);
	pair = take_turns(&turns, opt);
	walk_check(c.device, c.device_passes, "device");
	walk_check(c.host, c.host_passes, "host");
	pair.device /= (double)CHASE_STEPS;
	pair.limit /= (double)CHASE_STEPS;
	return pair;
}

/*
 * Each work-item takes one contiguous part, so that every work-group streams, as a program that was written for paging
 * devices would; the parts of neighbouring groups are neighbours.
 */
static const char pass_source[] = "__kernel void pass_read(__global ulong *data, ulong part, __global ulong *sums)\n"
				  "{\n"
				  "	__global const ulong *p = data + get_global_id(0) * part;\n"
				  "	ulong s = 0;\n"
				  "	for (ulong i = 0; i < part; i++)\n"
				  "		s += p[i];\n"
				  "	sums[get_global_id(0)] = s;\n"
				  "}\n"
				  "__kernel void pass_write(__global ulong *data, ulong part, __global ulong *sums)\n"
				  "{\n"
				  "	__global ulong *p = data + get_global_id(0) * part;\n"
				  "	ulong s = 0;\n"
				  "	for (ulong i = 0; i < part; i++)\n"
				  "		s += p[i]++;\n"
				  "	sums[get_global_id(0)] = s;\n"
				  "}\n";

/* The first pass of the device over 256 MiB that the host has just malloc'd and written. */
static double first_pass(const struct bench_options *opt, const char *name, unsigned int increment)
{
	const uint64_t words = PASS_BYTES / sizeof(uint64_t), part = words / PASS_ITEMS;
	uint64_t *data, *sums, *small, sum = 0, start, took;
	struct device dev;
	cl_kernel kernel;

	device_open(&dev, opt);
	kernel = device_kernel(&dev, pass_source, NULL, name);
	sums = must_alloc(PASS_ITEMS * sizeof(*sums));
	memset(sums, 0, PASS_ITEMS * sizeof(*sums));
	/* Code, sums and worker threads are warm; only the data is new. */
	small = must_alloc(PASS_ITEMS * sizeof(*small));
	memset(small, 0, PASS_ITEMS * sizeof(*small));
	set_pointer(kernel, 0, small);
	set_ulong(kernel, 1, 1);
	set_pointer(kernel, 2, sums);
	enqueue(&dev, kernel, PASS_ITEMS, 1);
	finish(&dev);

	data = must_alloc(PASS_BYTES);
	for (uint64_t i = 0; i < words; i++)
		data[i] = i;
	set_pointer(kernel, 0, data);
	set_ulong(kernel, 1, part);
	start = now_ns();
	enqueue(&dev, kernel, PASS_ITEMS, 1);
	finish(&dev);
	took = now_ns() - start;
	for (uint32_t i = 0; i < PASS_ITEMS; i++)
		sum += sums[i];
	if (sum != words * (words - 1) / 2)
		die("%s: the sum is %llu", name, (unsigned long long)sum);
	for (uint64_t i = 0; i < words; i++)
		if (data[i] != i + increment)
			die("%s: word %llu is %llu", name, (unsigned long long)i, (unsigned long long)data[i]);
	return (double)took;
}

static double run_pass_read(const struct bench_options *opt)
{
	return first_pass(opt, "pass_read", 0);
}

static double run_pass_write(const struct bench_options *opt)
{
	return first_pass(opt, "pass_write", 1);
}

const struct bench_case bench_memory_cases[] = {
	{ "triad-svm", NULL, run_triad_svm }, { "triad-malloc", NULL, run_triad_malloc }, { "chase", NULL, run_chase },
	{ "pass-read", run_pass_read, NULL }, { "pass-write", run_pass_write, NULL },	  { 0 },
};
