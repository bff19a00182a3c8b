// SPDX-License-Identifier: MIT
/*
 * Everything at once, at random: threads of the host and kernels store to and check pages of a few regions while these are
 * unmapped in part, dropped, moved, grown, cut, protected, migrated, bounced until they are mapped in place, evicted because
 * device memory is small, read into by system calls, and forked. A model knows what each page must hold.
 *
 * Each seed is a process of its own, with options that suit it. To repeat one: --seed N. MCL_STRESS_SEEDS is how many are tried,
 * MCL_STRESS_FIRST the first.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "stress.cl.h"

enum { THREADS = 2, REGIONS = 5, PAGES_MAX = 96, WORDS = 512 };
#define PAGE 4096ul

enum kind { ANONYMOUS, HEAP, SHARED_FILE, KINDS };

struct region {
	enum kind kind;
	char *base;
	unsigned int pages;
	uint64_t seeds[PAGES_MAX]; /* what each page holds */
};

struct worker {
	pthread_t thread;
	unsigned int index;
	uint64_t rng;
	cl_command_queue queue;
	cl_kernel fill, check;
	uint64_t *seeds; /* for the device */
	_Atomic(cl_uint) *wrong;
	struct region regions[REGIONS];
	uint64_t next_seed;
	/* pages that a running kernel writes: nobody else looks there */
	struct region *busy;
	unsigned int busy_first, busy_end;
	const char *doing;
	unsigned int step;
};

static unsigned long main_seed;

static uint32_t draw(struct worker *w, uint32_t below)
{
	w->rng = w->rng * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((w->rng >> 33) % below);
}

_Noreturn static void broken(const struct worker *w, const char *what)
{
	fprintf(stderr, "seed %lu, thread %u, step %u (%s): %s\n", main_seed, w->index, w->step, w->doing, what);
	fflush(stderr);
	_exit(1);
}

#define must(w, condition)                                                                                             \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			broken((w), #condition);                                                                       \
	} while (0)

/* ---- pages of the host ---- */

static uint64_t word_of(uint64_t seed, uint64_t i)
{
	return seed ? seed * WORDS + i : 0;
}

static void host_fill(struct region *r, unsigned int first, unsigned int end, uint64_t seed)
{
	for (unsigned int page = first; page < end; page++) {
		volatile uint64_t *p = (volatile uint64_t *)(r->base + page * PAGE);

		for (uint64_t i = 0; i < WORDS; i++)
			p[i] = word_of(seed, i);
		r->seeds[page] = seed;
	}
}

static bool is_busy(const struct worker *w, const struct region *r, unsigned int first, unsigned int end)
{
	return w->busy == r && first < w->busy_end && end > w->busy_first;
}

/* The first page that is wrong, or -1. */
static int host_check(const struct worker *w, const struct region *r, unsigned int first, unsigned int end)
{
	for (unsigned int page = first; page < end; page++) {
		const volatile uint64_t *p = (const volatile uint64_t *)(r->base + page * PAGE);

		if (is_busy(w, r, page, page + 1))
			continue;
		for (uint64_t i = 0; i < WORDS; i++)
			if (p[i] != word_of(r->seeds[page], i)) {
				fprintf(stderr, "page %u of %u at %p, kind %d: word %lu is %#lx, not %#lx\n", page,
					r->pages, (void *)p, r->kind, (unsigned long)i, (unsigned long)p[i],
					(unsigned long)word_of(r->seeds[page], i));
				return (int)page;
			}
	}
	return -1;
}

static void *map_file(unsigned int pages)
{
	int fd = memfd_create("stress", MFD_CLOEXEC);
	void *p;

	if (fd < 0 || ftruncate(fd, (off_t)(pages * PAGE)))
		return NULL;
	p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return p == MAP_FAILED ? NULL : p;
}

static void make(struct worker *w, struct region *r)
{
	r->kind = (enum kind)draw(w, KINDS + 2);
	if (r->kind >= KINDS)
		r->kind = ANONYMOUS;
	r->pages = 1 + draw(w, draw(w, 4) ? 24 : PAGES_MAX);
	memset(r->seeds, 0, sizeof(r->seeds));
	switch (r->kind) {
	case HEAP:
		r->base = calloc(r->pages, PAGE);
		break;
	case SHARED_FILE:
		r->base = map_file(r->pages);
		break;
	default:
		r->base = mmap(NULL, r->pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (r->base == MAP_FAILED)
			r->base = NULL;
		break;
	}
	must(w, r->base);
}

static void drop(struct worker *w, struct region *r)
{
	if (r->kind == HEAP)
		free(r->base);
	else
		must(w, !munmap(r->base, r->pages * PAGE));
	r->base = NULL;
}

/* ---- kernels ---- */

static cl_event start_fill(struct worker *w, struct region *r, unsigned int first, unsigned int end, uint64_t seed)
{
	const size_t global = end - first, local = 1;
	cl_ulong value = seed;
	cl_event event;

	must(w, !clSetKernelArgSVMPointer(w->fill, 0, r->base + first * PAGE));
	must(w, !clSetKernelArg(w->fill, 1, sizeof(value), &value));
	must(w, !clEnqueueNDRangeKernel(w->queue, w->fill, 1, NULL, &global, &local, 0, NULL, &event));
	must(w, !clFlush(w->queue));
	for (unsigned int page = first; page < end; page++)
		r->seeds[page] = seed;
	w->busy = r;
	w->busy_first = first;
	w->busy_end = end;
	return event;
}

static void end_fill(struct worker *w, cl_event event)
{
	must(w, !clWaitForEvents(1, &event));
	clReleaseEvent(event);
	w->busy = NULL;
}

static void device_check(struct worker *w, struct region *r, unsigned int first, unsigned int end)
{
	const size_t global = end - first, local = 1;
	cl_event event;

	if (is_busy(w, r, first, end))
		return;
	memcpy(w->seeds, &r->seeds[first], (end - first) * sizeof(w->seeds[0]));
	atomic_store(w->wrong, 0);
	must(w, !clSetKernelArgSVMPointer(w->check, 0, r->base + first * PAGE));
	must(w, !clSetKernelArgSVMPointer(w->check, 1, w->seeds));
	must(w, !clSetKernelArgSVMPointer(w->check, 2, (void *)w->wrong));
	must(w, !clEnqueueNDRangeKernel(w->queue, w->check, 1, NULL, &global, &local, 0, NULL, &event));
	must(w, !clWaitForEvents(1, &event));
	clReleaseEvent(event);
	if (atomic_load(w->wrong)) {
		host_check(w, r, first, end);
		broken(w, "the device sees other words");
	}
}

/* ---- what may happen to a region ---- */

typedef void change_fn(struct worker *w, struct region *r, unsigned int first, unsigned int end);

static void do_host_fill(struct worker *w, struct region *r, unsigned int first, unsigned int end)
{
	host_fill(r, first, end, ++w->next_seed);
}

static void do_host_check(struct worker *w, struct region *r, unsigned int first, unsigned int end)
{
	must(w, host_check(w, r, first, end) < 0);
}

static void do_map_over(struct worker *w, struct region *r, unsigned int first, unsigned int end)
{
	char *at = r->base + first * PAGE;

	if (r->kind != ANONYMOUS)
		return;
	must(w, mmap(at, (end - first) * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		     0) == at);
	memset(&r->seeds[first], 0, (end - first) * sizeof(r->seeds[0]));
}

/* The end of it goes; another thread may map something there at once. */
static void do_cut(struct worker *w, struct region *r, unsigned int first, unsigned int end)
{
	(void)end;
	if (r->kind == HEAP || !first)
		return;
	must(w, !munmap(r->base + first * PAGE, (r->pages - first) * PAGE));
	r->pages = first;
}

static void do_dontneed(struct worker *w, struct region *r, unsigned int first, unsigned int end)
{
	if (r->kind == HEAP)
		return;
	must(w, !madvise(r->base + first * PAGE, (end - first) * PAGE, MADV_DONTNEED));
	if (r->kind == ANONYMOUS)
		memset(&r->seeds[first], 0, (end - first) * sizeof(r->seeds[0]));
}

static void do_remove(struct worker *w, struct region *r, unsigned int first, unsigned int end)
{
	if (r->kind != SHARED_FILE)
		return;
	must(w, !madvise(r->base + first * PAGE, (end - first) * PAGE, MADV_REMOVE));
	memset(&r->seeds[first], 0, (end - first) * sizeof(r->seeds[0]));
}

/* Moved, grown or cut; EFAULT where it is several mappings by now. */
static void do_mremap(struct worker *w, struct region *r, unsigned int first, unsigned int end)
{
	unsigned int pages = draw(w, 3) ? r->pages : 1 + draw(w, PAGES_MAX);
	void *p;

	(void)first, (void)end;
	if (r->kind == HEAP) {
		p = realloc(r->base, pages * PAGE);
		must(w, p);
		r->base = p;
		for (unsigned int page = r->pages; page < pages; page++)
			host_fill(r, page, page + 1, 0);
		r->pages = pages;
		return;
	}
	if (r->kind == SHARED_FILE && pages > r->pages)
		pages = r->pages;
	if (pages == r->pages && r->kind == ANONYMOUS && draw(w, 2)) {
		p = mremap(r->base, pages * PAGE, pages * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
		must(w, p == MAP_FAILED || !munmap(r->base, pages * PAGE));
	} else {
		p = mremap(r->base, r->pages * PAGE, pages * PAGE, MREMAP_MAYMOVE);
	}
	if (p == MAP_FAILED) {
		must(w, errno == EFAULT);
		return;
	}
	r->base = p;
	for (unsigned int page = r->pages; page < pages; page++)
		r->seeds[page] = 0;
	r->pages = pages;
}

static void do_protect(struct worker *w, struct region *r, unsigned int first, unsigned int end)
{
	char *at = (char *)((uintptr_t)(r->base + first * PAGE) & ~(PAGE - 1));

	if (r->kind == HEAP)
		return;
	must(w, !mprotect(at, (end - first) * PAGE, PROT_READ));
	device_check(w, r, first, end);
	must(w, host_check(w, r, first, end) < 0);
	must(w, !mprotect(at, (end - first) * PAGE, PROT_READ | PROT_WRITE));
}

static void do_migrate(struct worker *w, struct region *r, unsigned int first, unsigned int end)
{
	const void *at = r->base + first * PAGE;
	size_t size = (end - first) * PAGE;

	must(w, !clEnqueueSVMMigrateMem(w->queue, 1, &at, &size, draw(w, 2) ? CL_MIGRATE_MEM_OBJECT_HOST : 0, 0, NULL,
					NULL));
}

/* Both write the same page by turns. */
static void do_bounce(struct worker *w, struct region *r, unsigned int first, unsigned int end)
{
	(void)end;
	if (w->busy)
		return;
	for (uint32_t n = 1 + draw(w, 8); n; n--) {
		end_fill(w, start_fill(w, r, first, first + 1, ++w->next_seed));
		must(w, host_check(w, r, first, first + 1) < 0);
		host_fill(r, first, first + 1, ++w->next_seed);
	}
}

static void do_read(struct worker *w, struct region *r, unsigned int first, unsigned int end)
{
	uint64_t words[WORDS], seed = ++w->next_seed;
	int fds[2];

	for (uint64_t i = 0; i < WORDS; i++)
		words[i] = word_of(seed, i);
	must(w, !pipe(fds));
	for (unsigned int page = first; page < end; page++) {
		must(w, write(fds[1], words, PAGE) == (ssize_t)PAGE);
		must(w, read(fds[0], r->base + page * PAGE, PAGE) == (ssize_t)PAGE);
		r->seeds[page] = seed;
	}
	close(fds[0]);
	close(fds[1]);
}

static void do_fork(struct worker *w, struct region *r, unsigned int first, unsigned int end)
{
	pid_t pid;
	int status;

	(void)r, (void)first, (void)end;
	if (draw(w, 4))
		return;
	pid = fork();
	must(w, pid >= 0);
	if (!pid) {
		for (unsigned int i = 0; i < REGIONS; i++)
			if (host_check(w, &w->regions[i], 0, w->regions[i].pages) >= 0)
				_exit(2);
		for (unsigned int i = 0; i < REGIONS; i++)
			if (w->regions[i].kind != SHARED_FILE)
				host_fill(&w->regions[i], 0, w->regions[i].pages, 1);
		_exit(0);
	}
	must(w, waitpid(pid, &status, 0) == pid);
	if (status) {
		fprintf(stderr, "child: status %#x\n", (unsigned int)status);
		broken(w, "the child has other words, or none");
	}
}

static void do_replace(struct worker *w, struct region *r, unsigned int first, unsigned int end)
{
	(void)first, (void)end;
	drop(w, r);
	make(w, r);
}

static const struct {
	const char *name;
	change_fn *fn;
	bool whole; /* concerns all of the region */
} changes[] = {
	{ "host fill", do_host_fill, false },
	{ "host fill", do_host_fill, false },
	{ "host check", do_host_check, false },
	{ "host check", do_host_check, false },
	{ "device check", device_check, false },
	{ "device check", device_check, false },
	{ "map over", do_map_over, false },
	{ "dontneed", do_dontneed, false },
	{ "cut", do_cut, true },
	{ "remove", do_remove, false },
	{ "mremap", do_mremap, true },
	{ "protect", do_protect, false },
	{ "migrate", do_migrate, false },
	{ "migrate", do_migrate, false },
	{ "bounce", do_bounce, false },
	{ "read", do_read, false },
	{ "fork", do_fork, false },
	{ "replace", do_replace, true },
};

static void step(struct worker *w)
{
	uint32_t what = draw(w, sizeof(changes) / sizeof(changes[0]));
	struct region *r = &w->regions[draw(w, REGIONS)];
	unsigned int first = draw(w, r->pages), end = first + 1 + draw(w, r->pages - first);

	w->doing = changes[what].name;
	if (changes[what].whole ? w->busy == r : is_busy(w, r, first, end))
		return;
	changes[what].fn(w, r, first, end);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	unsigned int steps = main_seed % 5 ? 150 : 600;

	w->seeds = malloc(PAGES_MAX * sizeof(w->seeds[0]));
	w->wrong = malloc(sizeof(*w->wrong));
	must(w, w->seeds && w->wrong);
	for (unsigned int i = 0; i < REGIONS; i++)
		make(w, &w->regions[i]);
	for (w->step = 0; w->step < steps; w->step++) {
		struct region *r = &w->regions[draw(w, REGIONS)];
		unsigned int first = draw(w, r->pages), end = first + 1 + draw(w, r->pages - first);
		cl_event event;

		if (draw(w, 3)) {
			step(w);
			continue;
		}
		/* A kernel, and the host beside it. */
		w->doing = "device fill";
		event = start_fill(w, r, first, end, ++w->next_seed);
		for (uint32_t n = draw(w, 4); n; n--)
			step(w);
		w->doing = "device fill";
		end_fill(w, event);
	}
	w->doing = "end";
	for (unsigned int i = 0; i < REGIONS; i++) {
		device_check(w, &w->regions[i], 0, w->regions[i].pages);
		must(w, host_check(w, &w->regions[i], 0, w->regions[i].pages) < 0);
		drop(w, &w->regions[i]);
	}
	free(w->seeds);
	free((void *)w->wrong);
	return NULL;
}

static struct worker workers[THREADS];

static int run_seed(unsigned long seed)
{
	cl_int err;

	main_seed = seed;
	conf_open(stress_cl);
	for (unsigned int i = 0; i < THREADS; i++) {
		struct worker *w = &workers[i];

		w->index = i;
		w->rng = seed * THREADS + i;
		w->next_seed = (uint64_t)(i + 1) << 32;
		w->doing = "start";
		w->queue = clCreateCommandQueueWithProperties(conf.context, conf.device, NULL, &err);
		must(w, !err);
		w->fill = conf_kernel("fill");
		w->check = conf_kernel("check");
	}
	for (unsigned int i = 0; i < THREADS; i++)
		must(&workers[i], !pthread_create(&workers[i].thread, NULL, work, &workers[i]));
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	for (unsigned int i = 0; i < THREADS; i++) {
		clReleaseKernel(workers[i].fill);
		clReleaseKernel(workers[i].check);
		clReleaseCommandQueue(workers[i].queue);
	}
	conf_close();
	return 0;
}

/* ---- the test ---- */

static int child(void)
{
	alarm(120); /* a hang is a failure with a core, not a mystery */
	return run_seed(strtoul(getenv("MCL_STRESS_SEED"), NULL, 0));
}

static const struct conf_child children[] = { { "stress", child }, { NULL, NULL } };

static unsigned long number(const char *name, unsigned long otherwise)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 0) : otherwise;
}

static void seeds(void **state)
{
	static const char *const vram[] = { "MIRRORCL_VRAM=64K", "MIRRORCL_VRAM=256K", "MIRRORCL_VRAM=1M", NULL };
	static const char *const promote[] = { "MIRRORCL_PROMOTE_AFTER=0", "MIRRORCL_PROMOTE_AFTER=1",
					       "MIRRORCL_PROMOTE_AFTER=3" };
	static const char *const chunk[] = { "MIRRORCL_CHUNK=4K", "MIRRORCL_CHUNK=64K", "MIRRORCL_CHUNK=2M", NULL };
	unsigned long first = number("MCL_STRESS_FIRST", 1), count = number("MCL_STRESS_SEEDS", 6), failed = 0;

	(void)state;
	for (unsigned long seed = first; seed < first + count; seed++) {
		const char *env[5] = { NULL };
		char text[64], output[8192];
		unsigned int n = 0;
		int status;

		snprintf(text, sizeof(text), "MCL_STRESS_SEED=%lu", seed);
		env[n++] = text;
		env[n++] = promote[seed % 3];
		if (vram[seed / 3 % 4])
			env[n++] = vram[seed / 3 % 4];
		if (chunk[seed / 2 % 4])
			env[n++] = chunk[seed / 2 % 4];
		status = conf_spawn_wait("stress", env, output, sizeof(output));
		if (status) {
			print_error("seed %lu ended with status %#x (%s %s %s)\n%s", seed, (unsigned int)status, env[1],
				    env[2] ? env[2] : "", env[2] && env[3] ? env[3] : "", output);
			failed++;
		}
	}
	assert_int_equal(failed, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(seeds) };

	conf_dispatch_child(argc, argv, children);
	if (argc == 3 && !strcmp(argv[1], "--seed"))
		return run_seed(strtoul(argv[2], NULL, 0));
	conf_open_device();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
