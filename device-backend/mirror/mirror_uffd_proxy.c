// SPDX-License-Identifier: MIT
/*
 * System calls that make the kernel report something about the host's address space wait until the report is read. The
 * pager's thread reads the reports, so it cannot make such calls itself. This thread makes them for it.
 */
#include <poll.h>
#include <sys/mman.h>

#include "mirror/mirror_uffd.h"
#include "mirror/uffd_sys.h"

/* About a microsecond each. */
#define STEADY_TRIES 4000u

enum { PROXY_IDLE, PROXY_CALL, PROXY_MAP, PROXY_MOVE, PROXY_END };

/*
 * Whether [start, start + size) is still what it was. While something changes, that cannot be told; whoever waits for this thread reads
 * about it meanwhile, and a moment comes in which nothing does.
 */
static bool steady(struct mcl_uffd *u, uint64_t start, uint64_t size)
{
	unsigned int tries = 0;
	int err;

	do {
		err = mcl_uffd_watched(u, start, start + size);
	} while (err == -EAGAIN && ++tries < STEADY_TRIES);
	return !err;
}

static void *proxy_main(void *arg)
{
	struct mcl_uffd *u = arg;
	struct mcl_uffd_proxy *p = &u->proxy;

	atomic_store(&p->tid, (int32_t)mcl_raw(SYS_gettid, 0, 0, 0, 0, 0, 0));
	for (;;) {
		uint32_t go = atomic_load(&p->go);

		if (go == PROXY_END)
			return NULL;
		if (go == PROXY_IDLE) {
			mcl_raw_futex_wait(&p->go, PROXY_IDLE);
			continue;
		}
		if ((go != PROXY_MAP || steady(u, p->args[0], p->args[1])) &&
		    (go != PROXY_MOVE || steady(u, p->args[4], p->args[2])))
			p->ret = mcl_raw(p->nr, p->args[0], p->args[1], p->args[2], p->args[3], p->args[4], p->args[5]);
		else
			p->ret = -EAGAIN;
		atomic_store(&p->go, PROXY_IDLE);
		mcl_uffd_ring(u);
	}
}

int mcl_uffd_proxy_start(struct mcl_uffd *u)
{
	struct mcl_uffd_proxy *p = &u->proxy;
	int err;

	err = mcl_private_thread(&u->memory, "mcl-proxy", proxy_main, u, &p->thread);
	if (err)
		return err;
	p->started = true;
	return 0;
}

void mcl_uffd_proxy_stop(struct mcl_uffd *u)
{
	struct mcl_uffd_proxy *p = &u->proxy;

	if (p->started) {
		atomic_store(&p->go, PROXY_END);
		mcl_raw_futex_wake(&p->go);
		pthread_join(p->thread, NULL);
		p->started = false;
	}
}

/* The call itself may touch a watched page that nobody has: give it one, or it never returns. */
static void serve_own_faults(struct mcl_uffd *u)
{
	int32_t tid = atomic_load(&u->proxy.tid);
	unsigned int kept = 0;

	for (unsigned int i = 0; i < u->queue.count; i++) {
		struct uffd_msg *m = &u->queue.msgs[i];
		int err;

		if (m->event == UFFD_EVENT_PAGEFAULT && (int32_t)m->arg.pagefault.feat.ptid == tid) {
			uint64_t page = mcl_page_down(m->arg.pagefault.address);

			if (mcl_uffd_state(u, page) == PAGE_VRAM) {
				mcl_uffd_bring(u, page, page + PAGE_SIZE);
				err = -EEXIST;
			} else if (m->arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP)
				err = mcl_uffd_protect(u->host_fd, page, PAGE_SIZE, 0);
			else if (m->arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_MINOR)
				mcl_uffd_continue(u->host_fd, page, PAGE_SIZE, 0, &err);
			else
				mcl_uffd_zero(u->host_fd, page, PAGE_SIZE, 0, &err);
			if (err)
				mcl_uffd_wake(u->host_fd, page, PAGE_SIZE);
			continue;
		}
		u->queue.msgs[kept++] = *m;
	}
	u->queue.count = kept;
}

static void post(struct mcl_uffd *u, uint32_t how, long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
		 uint64_t f)
{
	struct mcl_uffd_proxy *p = &u->proxy;

	p->nr = nr;
	p->args[0] = a;
	p->args[1] = b;
	p->args[2] = c;
	p->args[3] = d;
	p->args[4] = e;
	p->args[5] = f;
	atomic_store(&p->go, how);
	mcl_raw_futex_wake(&p->go);
}

static long call(struct mcl_uffd *u, uint32_t how, long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
		 uint64_t f)
{
	struct mcl_uffd_proxy *p = &u->proxy;
	struct pollfd fds[2] = { { .fd = u->again_fd, .events = POLLIN }, { .fd = u->host_fd, .events = POLLIN } };
	uint64_t count;

	post(u, how, nr, a, b, c, d, e, f);
	while (atomic_load(&p->go) != PROXY_IDLE) {
		mcl_raw(SYS_poll, (uint64_t)fds, 2, (uint64_t)-1, 0, 0, 0);
		mcl_raw(SYS_read, (uint64_t)u->again_fd, (uint64_t)&count, sizeof(count), 0, 0, 0);
		mcl_uffd_drain(u);
		serve_own_faults(u);
	}
	/* Somebody else may have rung it meanwhile. */
	mcl_uffd_ring(u);
	return p->ret;
}

long mcl_uffd_proxy_call(struct mcl_uffd *u, long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
			 uint64_t f)
{
	return call(u, PROXY_CALL, nr, a, b, c, d, e, f);
}

long mcl_uffd_proxy_map(struct mcl_uffd *u, uint64_t start, uint64_t size, int prot)
{
	return call(u, PROXY_MAP, SYS_mmap, start, size, (uint64_t)prot, MAP_SHARED | MAP_FIXED | MAP_NORESERVE,
		    (uint64_t)u->memfd, start);
}

long mcl_uffd_proxy_move(struct mcl_uffd *u, uint64_t from, uint64_t to, uint64_t size, bool always)
{
	return call(u, always ? PROXY_CALL : PROXY_MOVE, SYS_mremap, from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
		    to, 0);
}

void mcl_uffd_proxy_post(struct mcl_uffd *u, long nr, uint64_t a, uint64_t b, uint64_t c)
{
	post(u, PROXY_CALL, nr, a, b, c, 0, 0, 0);
}

long mcl_uffd_proxy_wait(struct mcl_uffd *u)
{
	struct mcl_uffd_proxy *p = &u->proxy;
	struct pollfd fd = { .fd = u->again_fd, .events = POLLIN };

	/* It does not wait for anybody, so nobody has to be read meanwhile; .again_fd stays rung, which does no harm. */
	while (atomic_load(&p->go) != PROXY_IDLE) {
		for (int i = 0; i < 2000 && atomic_load(&p->go) != PROXY_IDLE; i++)
			__builtin_ia32_pause();
		if (atomic_load(&p->go) != PROXY_IDLE)
			mcl_raw(SYS_poll, (uint64_t)&fd, 1, 1, 0, 0, 0);
	}
	return p->ret;
}
