// SPDX-License-Identifier: MIT
/*
 * A backend's life: one for each process, counted, replaced when its engine has died, dead in the child of a fork. What it
 * consists of is in the other files of this folder.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/host/backend_private.h"
#include "engine/host/query.h"
#include "pager/pager.h"
#include "support/config.h"
#include "support/report.h"

static pthread_mutex_t open_lock = PTHREAD_MUTEX_INITIALIZER;
static struct mcl_backend *current; /* the one that mcl_backend_open() hands out */
static struct mcl_backend *all; /* with those that are dead but still referenced */

/* ---- fork ---- */

static void before_fork(void)
{
	pthread_mutex_lock(&open_lock);
}

static void after_fork_in_parent(void)
{
	pthread_mutex_unlock(&open_lock);
}

/* The engine is the parent's; the window is not mapped here, and none of our threads exists. */
static void after_fork_in_child(void)
{
	for (struct mcl_backend *b = all; b; b = b->next) {
		if (mcl_backend_state(b) != MCL_BACKEND_FORKED) {
			close(b->window.memfd);
			if (b->ops->forked)
				b->ops->forked(b->mirror);
		}
		atomic_store(&b->state, MCL_BACKEND_FORKED);
	}
	current = NULL;
	pthread_mutex_unlock(&open_lock);
}

static void watch_forks(void)
{
	pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/* ---- counters ---- */

static const char *const cause_names[MCL_CAUSE_COUNT] = {
	[MCL_CAUSE_DEVICE_READ] = "device-read", [MCL_CAUSE_DEVICE_WRITE] = "device-write",
	[MCL_CAUSE_CPU_FAULT] = "cpu-fault",	 [MCL_CAUSE_PREFETCH] = "prefetch",
	[MCL_CAUSE_EVICTION] = "eviction",	 [MCL_CAUSE_REQUEST] = "request",
	[MCL_CAUSE_PROMOTION] = "promotion",
};

const char *mcl_cause_name(enum mcl_counter_cause cause)
{
	return (unsigned int)cause < MCL_CAUSE_COUNT ? cause_names[cause] : "unknown";
}

void mcl_backend_counters(const struct mcl_backend *backend, struct mcl_counters *out)
{
	struct mcl_backend *b = (struct mcl_backend *)backend;

	memset(out, 0, sizeof(*out));
	if (mcl_backend_state(b) == MCL_BACKEND_FORKED)
		return;
	pthread_rwlock_rdlock(&b->pager_lock);
	if (b->pager)
		mcl_pager_counters(b->pager, out);
	else
		*out = b->final;
	pthread_rwlock_unlock(&b->pager_lock);
	out->kernels = 0;
	out->groups = 0;
	out->aborts = 0;
	for (uint32_t i = 0; i < b->cu_count; i++) {
		out->kernels += atomic_load_explicit(&b->cus[i].kernels, memory_order_relaxed);
		out->groups += atomic_load_explicit(&b->cus[i].groups, memory_order_relaxed);
		out->aborts += atomic_load_explicit(&b->cus[i].aborts, memory_order_relaxed);
	}
}

void mcl_backend_mirror(const struct mcl_backend *b, struct mcl_backend_mirror *out)
{
	*out = (struct mcl_backend_mirror){
		.name = b->ops->name,
		.faults = b->ops->faults,
		.vram_size = b->params.vram_size,
	};
}

static void write_report(struct mcl_backend *b)
{
	struct mcl_report_cause causes[MCL_CAUSE_COUNT];
	struct mcl_report report = {
		.mirror = b->ops->name,
		.compute_units = b->cu_count,
		.causes = causes,
		.cause_count = MCL_CAUSE_COUNT,
	};
	struct mcl_counters c;
	int err;

	if (!*mcl_config()->report || mcl_backend_state(b) == MCL_BACKEND_FORKED)
		return;
	mcl_backend_counters(b, &c);
	for (int i = 0; i < MCL_CAUSE_COUNT; i++)
		causes[i] = (struct mcl_report_cause){
			.name = cause_names[i],
			.count = c.cause[i].count,
			.pages = c.cause[i].pages,
			.ns = c.cause[i].ns,
		};
	report.kernels = c.kernels;
	report.groups = c.groups;
	report.aborts = c.aborts;
	report.vram_used = c.vram_used;
	report.vram_peak = c.vram_peak;
	report.system_pages = c.system_pages;
	err = mcl_report_write(mcl_config()->report, &report);
	if (err)
		mcl_log_error("cannot write the report to '%s': %s", mcl_config()->report, strerror(-err));
}

/* A program that ends without releasing its context still gets its report; the engine ends with the process. */
__attribute__((destructor)) static void report_at_exit(void)
{
	if (current)
		write_report(current);
}

/* ---- making and unmaking ---- */

static void destroy(struct mcl_backend *b)
{
	const bool forked = mcl_backend_state(b) == MCL_BACKEND_FORKED;

	if (!forked) {
		mcl_ring_destroy(b->own);
		mcl_threads_stop(b);
		write_report(b);
	} else {
		free(b->own);
	}
	mcl_svm_destroy(b);
	mcl_rings_free(b);
	if (!forked) {
		b->ops->destroy(b->mirror);
		mcl_window_destroy(&b->window);
	}
	mcl_range_destroy(&b->heap);
	mcl_range_destroy(&b->code);
	mcl_aborts_free(b);
	pthread_rwlock_destroy(&b->pager_lock);
	pthread_mutex_destroy(&b->aborts_lock);
	pthread_mutex_destroy(&b->kill_lock);
	pthread_mutex_destroy(&b->rings_lock);
	pthread_mutex_destroy(&b->own_lock);
	pthread_mutex_destroy(&b->programs_lock);
	free(b);
}

static int create(struct mcl_backend **out, struct mcl_reason *why)
{
	const struct mcl_mirror_ops *ops = mcl_mirror_choose(why);
	struct mcl_backend *b;
	int err;

	if (!ops)
		return -ENODEV;
	b = calloc(1, sizeof(*b));
	if (!b)
		return mcl_reason(why, -ENOMEM, "out of memory");
	b->ops = ops;
	b->cu_count = mcl_query_compute_units();
	pthread_rwlock_init(&b->pager_lock, NULL);
	pthread_mutex_init(&b->aborts_lock, NULL);
	pthread_mutex_init(&b->kill_lock, NULL);
	pthread_mutex_init(&b->rings_lock, NULL);
	pthread_mutex_init(&b->own_lock, NULL);
	pthread_mutex_init(&b->programs_lock, NULL);
	err = mcl_layout_create(b, why);
	if (err)
		goto err_free;
	b->params.vram_size =
		mcl_query_vram_size(ops, (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE));
	err = ops->create(&b->params, &b->mirror, why);
	if (err)
		goto err_layout;
	err = mcl_svm_init(b);
	if (err) {
		mcl_reason(why, err, "out of memory");
		goto err_mirror;
	}
	err = mcl_threads_start(b, why);
	if (err)
		goto err_svm;
	err = mcl_ring_create(b, &b->own);
	if (err) {
		mcl_reason(why, err, "cannot make the device's first ring: %s", strerror(-err));
		goto err_threads;
	}
	*out = b;
	return 0;

err_threads:
	mcl_threads_stop(b);
	mcl_rings_free(b);
err_svm:
	mcl_svm_destroy(b);
err_mirror:
	ops->destroy(b->mirror);
err_layout:
	mcl_range_destroy(&b->heap);
	mcl_range_destroy(&b->code);
	mcl_window_destroy(&b->window);
err_free:
	free(b);
	return err;
}

int mcl_backend_open(struct mcl_backend **out, struct mcl_reason *why)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	int err = 0;

	pthread_once(&once, watch_forks);
	pthread_mutex_lock(&open_lock);
	if (current)
		mcl_threads_settle(current);
	if (!current || mcl_backend_state(current) != MCL_BACKEND_ALIVE) {
		struct mcl_backend *b = NULL;

		err = create(&b, why);
		if (!err) {
			b->next = all;
			all = b;
			current = b;
		}
	}
	if (!err) {
		current->refs++;
		*out = current;
	}
	pthread_mutex_unlock(&open_lock);
	return err;
}

struct mcl_backend *mcl_backend_get(struct mcl_backend *b)
{
	pthread_mutex_lock(&open_lock);
	b->refs++;
	pthread_mutex_unlock(&open_lock);
	return b;
}

void mcl_backend_put(struct mcl_backend *b)
{
	if (!b)
		return;
	pthread_mutex_lock(&open_lock);
	if (--b->refs) {
		pthread_mutex_unlock(&open_lock);
		return;
	}
	if (current == b)
		current = NULL;
	for (struct mcl_backend **link = &all; *link; link = &(*link)->next)
		if (*link == b) {
			*link = b->next;
			break;
		}
	pthread_mutex_unlock(&open_lock);
	destroy(b);
}

bool mcl_backend_alive(const struct mcl_backend *b)
{
	return mcl_backend_state(b) == MCL_BACKEND_ALIVE;
}

void mcl_backend_set_notify(struct mcl_backend *b, void (*fn)(void *ctx), void *ctx)
{
	atomic_store(&b->notify_ctx, ctx);
	atomic_store(&b->notify_fn, fn);
}
