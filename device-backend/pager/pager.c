// SPDX-License-Identifier: MIT
/* The pager's life and its thread; see pager.h. Decisions are in fault.c, the books in blocks.c. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "mirror/uffd_sys.h"
#include "pager/pager_private.h"

#define PRIVATE_SIZE (512ull << 20)
#define EVENT_ROUNDS 4

static void wait_for_something(struct mcl_pager *p)
{
	struct pollfd fds[2] = {
		{ .fd = p->wake_fd, .events = POLLIN },
		{ .fd = p->ops->event_fd(p->m), .events = POLLIN },
	};
	struct timespec timeout, *t = NULL;
	uint64_t ignored, now = 0, until = UINT64_MAX;

	for (unsigned int i = 0; i < p->deferred_count; i++) {
		if (p->frozen && p->deferred[i].event.type == MCL_MEV_DEVICE_FAULT)
			continue;
		if (p->deferred[i].not_before < until)
			until = p->deferred[i].not_before;
	}
	if (until != UINT64_MAX) {
		now = p->now_ns();
		timeout.tv_sec = 0;
		timeout.tv_nsec = until > now ? (long)(until - now) : 0;
		if (timeout.tv_nsec > 999999999l)
			timeout.tv_nsec = 999999999l;
		t = &timeout;
	}
	mcl_raw(SYS_ppoll, (uint64_t)fds, 2, (uint64_t)t, 0, 0, 0);
	mcl_raw(SYS_read, (uint64_t)p->wake_fd, (uint64_t)&ignored, sizeof(ignored), 0, 0, 0);
}

static void *pager_main(void *arg)
{
	struct mcl_pager *p = arg;

	while (!atomic_load(&p->stop)) {
		/* Events need not end: some thread may change the address space all the time. */
		for (int i = 0; i < EVENT_ROUNDS && mcl_pager_events(p) > 0; i++)
			;
		mcl_pager_serve_requests(p);
		wait_for_something(p);
	}
	p->ops->engine_gone(p->m);
	mcl_pager_account_all(p);
	mcl_pager_cancel_requests(p);
	return NULL;
}

static uint64_t default_vram(void)
{
	return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / 4;
}

static uint64_t now_ns(void)
{
	return mcl_raw_now_ns();
}

int mcl_pager_new(struct mcl_mirror *m, const struct mcl_mirror_params *params, const struct mcl_pager_policy *policy,
		  struct mcl_pager **out, struct mcl_reason *why)
{
	struct mcl_private memory;
	struct mcl_pager *p;
	int err = mcl_private_create(&memory, PRIVATE_SIZE);

	if (err)
		return mcl_reason(why, err, "no address space for the pager: %s", strerror(-err));
	p = mcl_private_alloc(&memory, sizeof(*p), 64);
	if (!p) {
		err = mcl_reason(why, -ENOMEM, "out of memory");
		goto err_memory;
	}
	p->m = m;
	p->ops = ((struct mcl_mirror_base *)m)->ops;
	p->policy = *policy;
	p->vram_limit = params->vram_size ? params->vram_size : default_vram();
	if (p->vram_limit < VRAM_LEAST)
		p->vram_limit = VRAM_LEAST;
	p->evict_hold_ns = EVICT_HOLD_NS;
	p->now_ns = now_ns;
	p->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->wake_fd < 0) {
		err = mcl_reason(why, -errno, "eventfd: %s", strerror(errno));
		goto err_memory;
	}
	err = p->ops->keep_out(m, memory.start, memory.end - memory.start);
	if (err) {
		mcl_reason(why, err, "the mirror has no room for the pager: %s", strerror(-err));
		goto err_fd;
	}
	p->memory = memory;
	*out = p;
	return 0;

err_fd:
	close(p->wake_fd);
err_memory:
	mcl_private_destroy(&memory);
	return err;
}

void mcl_pager_delete(struct mcl_pager *p)
{
	struct mcl_private memory = p->memory;

	close(p->wake_fd);
	mcl_private_destroy(&memory);
}

int mcl_pager_start_with(struct mcl_mirror *m, const struct mcl_mirror_params *params,
			 const struct mcl_pager_policy *policy, struct mcl_pager **out, struct mcl_reason *why)
{
	struct mcl_pager *p;
	int err = mcl_pager_new(m, params, policy, &p, why);

	if (err)
		return err;
	err = mcl_private_thread(&p->memory, "mcl-pager", pager_main, p, &p->thread);
	if (err) {
		mcl_reason(why, err, "cannot start the pager's thread: %s", strerror(-err));
		mcl_pager_delete(p);
		return err;
	}
	mcl_pager_watch_forks(p);
	*out = p;
	return 0;
}

struct mcl_pager_policy mcl_pager_policy_from(const struct mcl_config *c)
{
	struct mcl_pager_policy policy = {
		.chunk = c->chunk,
		.promote_after = c->promote_after,
		.hold_us = c->hold_us,
	};

	if (policy.chunk & (policy.chunk - 1) || (policy.chunk && policy.chunk < PAGE_SIZE) ||
	    policy.chunk > MCL_BLOCK_SIZE) {
		mcl_log_write(MCL_LOG_WARN, "MIRRORCL_CHUNK must be a power of two from 4K to 2M; it is ignored");
		policy.chunk = 0;
	}
	if (policy.promote_after > 255)
		policy.promote_after = 255;
	return policy;
}

int mcl_pager_start(struct mcl_mirror *m, const struct mcl_mirror_params *params, struct mcl_pager **out,
		    struct mcl_reason *why)
{
	const struct mcl_pager_policy policy = mcl_pager_policy_from(mcl_config());

	return mcl_pager_start_with(m, params, &policy, out, why);
}

void mcl_pager_stop(struct mcl_pager *p)
{
	uint64_t one = 1;

	if (!p)
		return;
	mcl_pager_unwatch_forks(p);
	atomic_store(&p->stop, true);
	mcl_raw(SYS_write, (uint64_t)p->wake_fd, (uint64_t)&one, sizeof(one), 0, 0, 0);
	pthread_join(p->thread, NULL);
	mcl_pager_delete(p);
}

void mcl_pager_counters(const struct mcl_pager *pager, struct mcl_counters *out)
{
	struct mcl_pager *p = (struct mcl_pager *)pager;

	for (int i = 0; i < MCL_CAUSE_COUNT; i++) {
		out->cause[i].count = atomic_load_explicit(&p->cause[i].count, memory_order_relaxed);
		out->cause[i].pages = atomic_load_explicit(&p->cause[i].pages, memory_order_relaxed);
		out->cause[i].ns = atomic_load_explicit(&p->cause[i].ns, memory_order_relaxed);
	}
	out->vram_used = atomic_load_explicit(&p->vram_pages, memory_order_relaxed) * PAGE_SIZE;
	out->vram_peak = atomic_load_explicit(&p->vram_peak_pages, memory_order_relaxed) * PAGE_SIZE;
	out->system_pages = atomic_load_explicit(&p->shared_pages, memory_order_relaxed);
	if (p->ops->counters)
		p->ops->counters(p->m, out);
}

void mcl_pager_migrate(struct mcl_pager *p, const void *ptr, size_t size, bool to_host)
{
	if (size)
		mcl_pager_ask(p, to_host ? REQUEST_TO_HOST : REQUEST_TO_DEVICE, (uint64_t)ptr, size);
}

void mcl_pager_sync(struct mcl_pager *p, bool ended)
{
	mcl_pager_ask(p, ended ? REQUEST_FLUSH : REQUEST_REFRESH, 0, 0);
}
