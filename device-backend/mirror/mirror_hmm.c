// SPDX-License-Identifier: MIT
/*
 * The hmm mirror: the kernel module keeps the device's page table in step with the host's (kernel-hmm/). The engine is a
 * process of its own that maps the module over its whole address space but the window; its faults are read here, and a page
 * that the host touches comes home from VRAM by itself. The host side of the module's descriptor belongs to this process
 * and is used by the pager's thread; others only say who serves faults in memory of clSVMAlloc.
 *
 *	mirror_hmm_probe.c	can it run here
 *	mirror_hmm_range.c	faults and ranges
 *	engine/boot_hmm.c	the engine's side
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend.h"
#include "engine/boot_hmm.h"
#include "engine/control.h"
#include "mirror/engine_process.h"
#include "mirror/fork_fds.h"
#include "mirror/host_mapping.h"
#include "mirror/mirror_hmm.h"
#include "mirror/uffd_sys.h"

#define PRIVATE_SIZE (256ull << 20)
#define FAULTS_MAX 1024u /* outstanding; there are fewer units than that */
#define BATCH 64u
#define BUSY_TRIES 100
#define BUSY_PAUSE_US 10000

static int fd_of(struct mcl_mirror *m)
{
	return atomic_load(&mcl_hmm_of(m)->device_fd);
}

/* ---- life ---- */

static void note_fds(struct mcl_hmm *h)
{
	const int fds[] = { atomic_load(&h->device_fd), h->maps_fd };

	mcl_fork_fds_note((struct mcl_mirror *)h, fds, sizeof(fds) / sizeof(fds[0]));
}

static void close_device(struct mcl_hmm *h)
{
	int fd;

	pthread_mutex_lock(&h->lock);
	fd = atomic_exchange(&h->device_fd, -1);
	pthread_mutex_unlock(&h->lock);
	if (fd >= 0)
		close(fd);
	note_fds(h);
}

static void destroy(struct mcl_mirror *m)
{
	struct mcl_hmm *h = mcl_hmm_of(m);
	struct mcl_private memory = h->memory;

	close_device(h);
	mcl_fork_fds_forget(m);
	if (h->maps_fd >= 0)
		close(h->maps_fd);
	pthread_mutex_destroy(&h->lock);
	mcl_private_destroy(&memory);
}

/* How much of @wanted bytes there is. */
static uint64_t vram_of(const struct hmm_mirror_info *info, uint64_t wanted)
{
	if (!(info->capabilities & HMM_MIRROR_CAP_MIGRATE))
		return 0;
	return wanted < info->vram_size ? wanted : info->vram_size;
}

static uint64_t vram_size(uint64_t wanted)
{
	struct hmm_mirror_info info;
	int fd = mcl_hmm_open(&info, NULL);

	if (fd < 0)
		return 0;
	close(fd);
	return vram_of(&info, wanted);
}

static int register_host(struct mcl_hmm *h, const struct hmm_mirror_info *info, struct mcl_reason *why)
{
	struct hmm_mirror_register r = {
		.queue_size = info->queue_max < FAULTS_MAX ? info->queue_max : FAULTS_MAX,
		.vram_quota = h->params.vram_size,
		.flags = HMM_MIRROR_REGISTER_EVENTS,
	};
	int err, tries = 0;

	/* A child that is just being spawned may hold a descriptor of the engine before, until it execs. */
	do {
		err = ioctl(fd_of((struct mcl_mirror *)h), HMM_MIRROR_IOC_REGISTER, &r) ? -errno : 0;
	} while (err == -EBUSY && tries++ < BUSY_TRIES && !usleep(BUSY_PAUSE_US));
	if (!err)
		return 0;
	if (err == -EBUSY)
		return mcl_reason(why, err,
				  "this process is registered with %s already, by another library or through a child "
				  "that has its descriptor",
				  HMM_MIRROR_DEVICE);
	return mcl_reason(why, err, "registering with %s: %s", HMM_MIRROR_DEVICE, strerror(-err));
}

static int create(const struct mcl_mirror_params *params, struct mcl_mirror **out, struct mcl_reason *why)
{
	struct hmm_mirror_info info;
	struct mcl_private memory;
	struct mcl_hmm *h;
	int err = mcl_hmm_probe(why), fd;

	if (err)
		return err;
	fd = mcl_hmm_open(&info, why);
	if (fd < 0)
		return fd;
	err = mcl_private_create(&memory, PRIVATE_SIZE);
	if (err) {
		close(fd);
		return mcl_reason(why, err, "no address space for the mirror: %s", strerror(-err));
	}
	h = mcl_private_alloc(&memory, sizeof(*h), 64);
	if (!h) {
		close(fd);
		mcl_private_destroy(&memory);
		return mcl_reason(why, -ENOMEM, "out of memory");
	}
	h->memory = memory;
	h->base.ops = &mcl_mirror_hmm;
	h->params = *params;
	h->params.vram_size = vram_of(&info, params->vram_size);
	h->migrates = info.capabilities & HMM_MIRROR_CAP_MIGRATE;
	pthread_mutex_init(&h->lock, NULL);
	atomic_store(&h->device_fd, fd);
	h->keep_out[h->keep_out_count++] = (struct mcl_hmm_span){ memory.start, memory.end };
	h->maps_fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	if (h->maps_fd < 0)
		err = mcl_reason(why, -errno, "/proc is not mounted, which the hmm mirror needs");
	if (!err)
		err = register_host(h, &info, why);
	/* Where nothing migrates the kernel needs nobody to ask. */
	if (!err && !h->migrates) {
		err = mcl_hmm_service(h, 0, 0, true);
		if (err)
			mcl_reason(why, err, "%s: %s", HMM_MIRROR_DEVICE, strerror(-err));
	}
	if (err) {
		destroy((struct mcl_mirror *)h);
		return err;
	}
	note_fds(h);
	*out = (struct mcl_mirror *)h;
	return 0;
}

static int start(struct mcl_mirror *m, pid_t *pid, struct mcl_reason *why)
{
	struct mcl_hmm *h = mcl_hmm_of(m);
	const struct mcl_window *w = h->params.window;
	struct mcl_engine_boot *boot = &((struct mcl_engine_control *)(w->base + w->layout.control_offset))->boot;
	const uint64_t parts[2][2] = { { mcl_host_lowest(), w->base },
				       { w->base + w->layout.total_size, HMM_USER_END } };
	int fd = ioctl(fd_of(m), HMM_MIRROR_IOC_ENGINE), err;
	const struct mcl_engine_process process = {
		.params = &h->params,
		.memory = &h->memory,
		.fds = &fd,
		.fd_count = MCL_BOOT_HMM_FDS,
	};

	if (fd < 0)
		return mcl_reason(why, -errno, "%s gives no descriptor for the engine: %s", HMM_MIRROR_DEVICE,
				  strerror(errno));
	memset(boot, 0, sizeof(*boot));
	boot->kind = MCL_BOOT_HMM;
	boot->fd_count = MCL_BOOT_HMM_FDS;
	boot->fds[MCL_BOOT_FD_DEVICE] = MCL_ENGINE_FIRST_FD;
	for (int i = 0; i < 2; i++) {
		if (parts[i][0] >= parts[i][1])
			continue;
		boot->ranges[boot->range_count].start = parts[i][0];
		boot->ranges[boot->range_count++].size = parts[i][1] - parts[i][0];
	}
	err = mcl_engine_process_start(&process, pid, why);
	close(fd);
	return err;
}

/* The kernel allows one registration for a process, and the next engine will need it. */
static void engine_gone(struct mcl_mirror *m)
{
	struct mcl_hmm *h = mcl_hmm_of(m);

	mcl_hmm_evict_all(h);
	close_device(h);
}

static int keep_out(struct mcl_mirror *m, uint64_t start, uint64_t size)
{
	struct mcl_hmm *h = mcl_hmm_of(m);

	if (h->keep_out_count == HMM_KEEP_OUT_MAX)
		return -ENOSPC;
	h->keep_out[h->keep_out_count++] = (struct mcl_hmm_span){ start, start + size };
	return 0;
}

/* ---- memory of clSVMAlloc: ordinary memory that stays where it is unless the program asks ---- */

static uint64_t round_up(size_t size)
{
	return ((uint64_t)size + HMM_PAGE - 1) & ~(HMM_PAGE - 1);
}

static void *svm_alloc(struct mcl_mirror *m, size_t size)
{
	struct mcl_hmm *h = mcl_hmm_of(m);
	void *p = MAP_FAILED;

	if (round_up(size) >= size)
		p = mmap(NULL, round_up(size), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED) {
		errno = ENOMEM;
		return NULL;
	}
	/* If that fails the pager serves it, which is slower at first. */
	pthread_mutex_lock(&h->lock);
	if (h->migrates && fd_of(m) >= 0)
		mcl_hmm_service(h, (uint64_t)p, round_up(size), true);
	pthread_mutex_unlock(&h->lock);
	return p;
}

static void svm_free(struct mcl_mirror *m, void *ptr, size_t size)
{
	struct mcl_hmm *h = mcl_hmm_of(m);

	pthread_mutex_lock(&h->lock);
	if (h->migrates && fd_of(m) >= 0)
		mcl_hmm_service(h, (uint64_t)ptr, round_up(size), false);
	pthread_mutex_unlock(&h->lock);
	munmap(ptr, round_up(size));
}

/* ---- events ---- */

static int event_fd(struct mcl_mirror *m)
{
	return fd_of(m);
}

static bool translate(struct mcl_hmm *h, const struct hmm_mirror_event *from, struct mcl_mirror_event *to)
{
	switch (from->type) {
	case HMM_MIRROR_EVENT_FAULT:
		*to = (struct mcl_mirror_event){
			.type = MCL_MEV_DEVICE_FAULT,
			.fault = {
				.address = from->start,
				.access = from->access == HMM_MIRROR_ACCESS_WRITE ? MCL_ACCESS_WRITE : MCL_ACCESS_READ,
				.unit = UINT32_MAX,
				.cookie = from->id,
			},
		};
		return true;
	case HMM_MIRROR_EVENT_TOUCH:
		*to = (struct mcl_mirror_event){
			.type = MCL_MEV_CPU_FAULT,
			.start = from->start,
			.size = from->size,
			.ns = from->ns,
			.time = from->time,
		};
		return true;
	case HMM_MIRROR_EVENT_UNMAP:
		mcl_hmm_unmapped(h, from->start, from->start + from->size);
		*to = (struct mcl_mirror_event){
			.type = MCL_MEV_UNMAP,
			.start = from->start,
			.size = from->size,
		};
		return true;
	default:
		return false;
	}
}

static int next_events(struct mcl_mirror *m, struct mcl_mirror_event *events, unsigned int max)
{
	struct hmm_mirror_event records[BATCH];
	long n = mcl_raw(SYS_read, (uint64_t)fd_of(m), (uint64_t)records,
			 (max < BATCH ? max : BATCH) * sizeof(*records), 0, 0, 0);
	int count = 0;

	for (long i = 0; i < n / (long)sizeof(*records); i++)
		count += translate(mcl_hmm_of(m), &records[i], &events[count]);
	return count;
}

/* ---- counters ---- */

static void add(struct mcl_counters *out, enum mcl_counter_cause cause, uint64_t count, uint64_t pages, uint64_t ns)
{
	out->cause[cause].count += count;
	out->cause[cause].pages += pages;
	out->cause[cause].ns += ns;
}

static void counters(struct mcl_mirror *m, struct mcl_counters *out)
{
	struct hmm_mirror_counters c;
	const __u64 *v = c.value;

	if (ioctl(fd_of(m), HMM_MIRROR_IOC_COUNTERS, &c))
		return;
	add(out, MCL_CAUSE_CPU_FAULT, v[HMM_MIRROR_COUNT_CPU_FAULTS],
	    v[HMM_MIRROR_COUNT_CPU_4K] + v[HMM_MIRROR_COUNT_CPU_2M] * HMM_BLOCK_PAGES, v[HMM_MIRROR_COUNT_NS_CPU]);
	add(out, MCL_CAUSE_DEVICE_WRITE, v[HMM_MIRROR_COUNT_SERVED_WRITE], v[HMM_MIRROR_COUNT_SERVED_PAGES_WRITE],
	    v[HMM_MIRROR_COUNT_NS_SERVED_WRITE]);
	add(out, MCL_CAUSE_DEVICE_READ, v[HMM_MIRROR_COUNT_SERVED] - v[HMM_MIRROR_COUNT_SERVED_WRITE],
	    v[HMM_MIRROR_COUNT_SERVED_PAGES] - v[HMM_MIRROR_COUNT_SERVED_PAGES_WRITE],
	    v[HMM_MIRROR_COUNT_NS_SERVED] - v[HMM_MIRROR_COUNT_NS_SERVED_WRITE]);
	out->vram_used = v[HMM_MIRROR_COUNT_VRAM_PAGES] * HMM_PAGE;
	if (out->vram_peak < out->vram_used)
		out->vram_peak = out->vram_used;
}

const struct mcl_mirror_ops mcl_mirror_hmm = {
	.name = "hmm",
	.faults = true,
	.probe = mcl_hmm_probe,
	.vram_size = vram_size,
	.create = create,
	.start = start,
	.engine_gone = engine_gone,
	.destroy = destroy,
	.alloc = svm_alloc,
	.free = svm_free,
	.keep_out = keep_out,
	.event_fd = event_fd,
	.next_events = next_events,
	.extent = mcl_hmm_extent,
	.map = mcl_hmm_map,
	.migrate = mcl_hmm_migrate,
	.evict = mcl_hmm_evict,
	.count = mcl_hmm_count,
	.replay = mcl_hmm_replay,
	.forked = mcl_fork_fds_close,
	.fail = mcl_hmm_fail,
	.residency = mcl_hmm_residency,
	.counters = counters,
};
