/* SPDX-License-Identifier: MIT */
/*
 * The fake backend of the runtime's unit tests: see fake_backend.h. Simple on purpose: one lock, one condition variable,
 * a thread for each ring and one service thread for each backend. Not a model of the engine's speed.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "runtime/tests/fake_backend.h"

enum fake_kind {
	FAKE_LAUNCH,
	FAKE_COPY,
	FAKE_FILL,
	FAKE_NOP,
};

struct fake_packet {
	enum fake_kind kind;
	struct mcl_packet_result result;
	bool notify;
	struct mcl_fake_launch launch;
	struct mcl_copy copy;
	struct {
		uint8_t *dst;
		uint64_t size;
		uint8_t pattern[128];
		uint32_t pattern_size;
	} fill;
};

struct mcl_ring {
	struct mcl_backend *backend;
	struct mcl_ring *next;
	pthread_t thread;
	bool stop;
	uint32_t size;
	uint64_t retired, done, submitted; /* sequence numbers; packets (retired, submitted] occupy slots */
	struct fake_packet *slots;
};

struct mcl_backend {
	uint32_t refs;
	bool dead;
	pid_t pid;
	struct mcl_ring *rings;
	pthread_t service;
	bool stop, kicked;
	void (*notify)(void *ctx);
	void *notify_ctx;
};

struct mcl_program_code {
	struct mcl_code_object *co;
	struct mcl_backend *backend;
};

/* One lock for everything; fork() takes it, so that a child never finds it held. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct mcl_backend *current;
static mcl_fake_kernel_fn kernel_fn;
static void *kernel_ctx;
static bool held;
static uint32_t ring_size = 256;
static uint64_t memory_limit;
static int open_error;
static struct mcl_fake_counts counts;
static struct mcl_counters fake_counters;
static struct mcl_backend_mirror fake_mirror = { .name = "fake" };
static const struct mcl_abort *fake_abort;
static const char *fake_abort_kernel;

/* ---- knobs ---- */

void mcl_fake_set_kernel(mcl_fake_kernel_fn fn, void *ctx)
{
	pthread_mutex_lock(&lock);
	kernel_fn = fn;
	kernel_ctx = ctx;
	pthread_mutex_unlock(&lock);
}

void mcl_fake_hold(bool hold)
{
	pthread_mutex_lock(&lock);
	held = hold;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

void mcl_fake_kill(void)
{
	pthread_mutex_lock(&lock);
	if (current) {
		current->dead = true;
		current->kicked = true;
		current = NULL;
	}
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

void mcl_fake_set_ring_size(uint32_t packets)
{
	pthread_mutex_lock(&lock);
	ring_size = packets;
	pthread_mutex_unlock(&lock);
}

void mcl_fake_set_memory_limit(uint64_t limit)
{
	pthread_mutex_lock(&lock);
	memory_limit = limit;
	pthread_mutex_unlock(&lock);
}

void mcl_fake_set_open_error(int err)
{
	pthread_mutex_lock(&lock);
	open_error = err;
	pthread_mutex_unlock(&lock);
}

void mcl_fake_set_counters(const struct mcl_counters *counters, const struct mcl_backend_mirror *mirror)
{
	pthread_mutex_lock(&lock);
	fake_counters = counters ? *counters : (struct mcl_counters){ 0 };
	fake_mirror = mirror ? *mirror : (struct mcl_backend_mirror){ .name = "fake" };
	pthread_mutex_unlock(&lock);
}

void mcl_fake_set_abort(const struct mcl_abort *abort, const char *kernel)
{
	pthread_mutex_lock(&lock);
	fake_abort = abort;
	fake_abort_kernel = kernel;
	pthread_mutex_unlock(&lock);
}

void mcl_fake_counts(struct mcl_fake_counts *out)
{
	pthread_mutex_lock(&lock);
	*out = counts;
	pthread_mutex_unlock(&lock);
}

/* ---- backend ---- */

void mcl_backend_query(struct mcl_backend_caps *caps)
{
	*caps = (struct mcl_backend_caps){
		.mirror = "fake",
		.available = true,
		.system_svm = true,
		.svm_atomics = true,
		.compute_units = 2,
		.global_mem_size = 1ull << 32,
		.local_mem_size = 64 << 10,
		.max_alloc_size = 1ull << 30,
		.max_param_size = 4096,
		.max_work_group_size = 4096,
		.printf_buffer_size = 1 << 20,
		.max_global_variable_size = 1 << 20,
		.cacheline_size = 64,
		.cache_size = 1 << 20,
		.clock_mhz = 1000,
	};
}

static void *service_thread(void *arg)
{
	struct mcl_backend *b = arg;

	pthread_mutex_lock(&lock);
	while (!b->stop) {
		if (b->kicked) {
			void (*fn)(void *ctx) = b->notify;
			void *ctx = b->notify_ctx;

			b->kicked = false;
			pthread_mutex_unlock(&lock);
			if (fn)
				fn(ctx);
			pthread_mutex_lock(&lock);
			continue;
		}
		pthread_cond_wait(&changed, &lock);
	}
	pthread_mutex_unlock(&lock);
	return NULL;
}

static void prepare_fork(void)
{
	pthread_mutex_lock(&lock);
}

static void parent_after_fork(void)
{
	pthread_mutex_unlock(&lock);
}

static void child_after_fork(void)
{
	current = NULL;
	pthread_mutex_unlock(&lock);
}

static void install_fork_handlers(void)
{
	pthread_atfork(prepare_fork, parent_after_fork, child_after_fork);
}

int mcl_backend_open(struct mcl_backend **out, struct mcl_reason *why)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct mcl_backend *b;
	int err = 0;

	pthread_once(&once, install_fork_handlers);
	pthread_mutex_lock(&lock);
	if (open_error) {
		err = mcl_reason(why, open_error, "the test asked for this failure");
		goto out_unlock;
	}
	if (current) {
		current->refs++;
		*out = current;
		goto out_unlock;
	}
	b = calloc(1, sizeof(*b));
	if (!b) {
		err = mcl_reason(why, -ENOMEM, "out of memory");
		goto out_unlock;
	}
	b->refs = 1;
	b->pid = getpid();
	if (pthread_create(&b->service, NULL, service_thread, b)) {
		free(b);
		err = mcl_reason(why, -EAGAIN, "cannot start a thread");
		goto out_unlock;
	}
	current = b;
	counts.backends++;
	*out = b;
out_unlock:
	pthread_mutex_unlock(&lock);
	return err;
}

struct mcl_backend *mcl_backend_get(struct mcl_backend *b)
{
	pthread_mutex_lock(&lock);
	b->refs++;
	pthread_mutex_unlock(&lock);
	return b;
}

void mcl_backend_put(struct mcl_backend *b)
{
	bool foreign;

	if (!b)
		return;
	foreign = b->pid != getpid();
	pthread_mutex_lock(&lock);
	if (--b->refs) {
		pthread_mutex_unlock(&lock);
		return;
	}
	if (!foreign && pthread_equal(pthread_self(), b->service))
		abort(); /* the contract forbids it: make the test fail loudly */
	if (current == b)
		current = NULL;
	b->stop = true;
	counts.backends--;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	if (!foreign)
		pthread_join(b->service, NULL);
	free(b);
}

bool mcl_backend_alive(const struct mcl_backend *b)
{
	bool dead;

	if (b->pid != getpid())
		return false;
	pthread_mutex_lock(&lock);
	dead = b->dead;
	pthread_mutex_unlock(&lock);
	return !dead;
}

void mcl_backend_set_notify(struct mcl_backend *b, void (*fn)(void *ctx), void *ctx)
{
	pthread_mutex_lock(&lock);
	b->notify = fn;
	b->notify_ctx = ctx;
	pthread_mutex_unlock(&lock);
}

void mcl_backend_kick(struct mcl_backend *b)
{
	pthread_mutex_lock(&lock);
	b->kicked = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

uint64_t mcl_backend_clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void mcl_backend_counters(const struct mcl_backend *b, struct mcl_counters *out)
{
	(void)b;
	pthread_mutex_lock(&lock);
	*out = fake_counters;
	out->kernels += counts.launches;
	pthread_mutex_unlock(&lock);
}

void mcl_backend_mirror(const struct mcl_backend *b, struct mcl_backend_mirror *out)
{
	(void)b;
	pthread_mutex_lock(&lock);
	*out = fake_mirror;
	pthread_mutex_unlock(&lock);
}

const char *mcl_cause_name(enum mcl_counter_cause cause)
{
	(void)cause;
	return "fake";
}

/* ---- memory ---- */

void *mcl_svm_alloc(struct mcl_backend *b, size_t size, size_t align)
{
	void *ptr = NULL;
	int err = ENOMEM;

	(void)b;
	if (align < 128)
		align = 128;
	pthread_mutex_lock(&lock);
	if (!memory_limit || counts.svm_bytes + size <= memory_limit)
		err = posix_memalign(&ptr, align, size ? size : 1);
	if (!err) {
		counts.svm_blocks++;
		counts.svm_bytes += size;
	}
	pthread_mutex_unlock(&lock);
	if (err) {
		errno = err;
		return NULL;
	}
	return memset(ptr, 0, size);
}

void mcl_svm_free(struct mcl_backend *b, void *ptr, size_t size)
{
	(void)b;
	pthread_mutex_lock(&lock);
	counts.svm_blocks--;
	counts.svm_bytes -= size;
	pthread_mutex_unlock(&lock);
	free(ptr);
}

void mcl_svm_migrate(struct mcl_backend *b, const void *ptr, size_t size, bool to_host)
{
	(void)b, (void)ptr, (void)size, (void)to_host;
	pthread_mutex_lock(&lock);
	counts.migrations++;
	pthread_mutex_unlock(&lock);
}

/* ---- code ---- */

int mcl_program_load(struct mcl_backend *b, struct mcl_code_object *co, struct mcl_program_code **out,
		     struct mcl_reason *why)
{
	struct mcl_program_code *code;

	if (!mcl_backend_alive(b))
		return mcl_reason(why, -ENODEV, "the engine is dead");
	code = calloc(1, sizeof(*code));
	if (!code)
		return mcl_reason(why, -ENOMEM, "out of memory");
	code->co = mcl_code_object_get(co);
	code->backend = b;
	pthread_mutex_lock(&lock);
	counts.programs++;
	pthread_mutex_unlock(&lock);
	*out = code;
	return 0;
}

void mcl_program_unload(struct mcl_program_code *code)
{
	if (!code)
		return;
	pthread_mutex_lock(&lock);
	counts.programs--;
	pthread_mutex_unlock(&lock);
	mcl_code_object_put(code->co);
	free(code);
}

int mcl_program_add_variants(struct mcl_program_code *code, struct mcl_code_object *co, struct mcl_reason *why)
{
	(void)co;
	if (!mcl_backend_alive(code->backend))
		return mcl_reason(why, -ENODEV, "the engine is dead");
	pthread_mutex_lock(&lock);
	counts.variants++;
	pthread_mutex_unlock(&lock);
	return 0;
}

/* ---- rings ---- */

/* Copy within this process; a bad address gives FAULT instead of a signal. */
static enum mcl_status safe_copy(void *dst, const void *src, uint64_t size)
{
	struct iovec local = { .iov_base = dst, .iov_len = size };
	struct iovec remote = { .iov_base = (void *)(uintptr_t)src, .iov_len = size };

	if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) != (ssize_t)size)
		return MCL_STATUS_FAULT;
	return MCL_STATUS_OK;
}

static enum mcl_status run_copy(const struct mcl_copy *c)
{
	for (uint64_t z = 0; z < c->region[2]; z++) {
		for (uint64_t y = 0; y < c->region[1]; y++) {
			enum mcl_status status = safe_copy((uint8_t *)c->dst + z * c->dst_slice + y * c->dst_row,
							   (const uint8_t *)c->src + z * c->src_slice + y * c->src_row,
							   c->region[0]);
			if (status)
				return status;
		}
	}
	return MCL_STATUS_OK;
}

static enum mcl_status run_fill(const struct fake_packet *p)
{
	for (uint64_t at = 0; at < p->fill.size; at += p->fill.pattern_size) {
		enum mcl_status status = safe_copy(p->fill.dst + at, p->fill.pattern, p->fill.pattern_size);

		if (status)
			return status;
	}
	return MCL_STATUS_OK;
}

/* Called without the lock: the slot belongs to the ring's thread until it is marked complete. */
static enum mcl_status run_packet(struct fake_packet *p, mcl_fake_kernel_fn fn, void *ctx)
{
	switch (p->kind) {
	case FAKE_LAUNCH:
		return fn ? fn(&p->launch, ctx) : MCL_STATUS_OK;
	case FAKE_COPY:
		return run_copy(&p->copy);
	case FAKE_FILL:
		return run_fill(p);
	case FAKE_NOP:
		break;
	}
	return MCL_STATUS_OK;
}

static void free_launch(struct mcl_fake_launch *launch)
{
	for (uint32_t i = 0; i < launch->arg_count; i++)
		free((void *)(uintptr_t)launch->launch.args[i].value);
	free((void *)(uintptr_t)launch->launch.args);
	launch->launch.args = NULL;
	launch->arg_count = 0;
}

static void *ring_thread(void *arg)
{
	struct mcl_ring *r = arg;

	pthread_mutex_lock(&lock);
	for (;;) {
		struct fake_packet *p;
		enum mcl_status status;

		if (r->stop)
			break;
		if (r->done == r->submitted || (held && !r->backend->dead)) {
			pthread_cond_wait(&changed, &lock);
			continue;
		}
		p = &r->slots[(r->done + 1) % r->size];
		if (r->backend->dead) {
			status = MCL_STATUS_LOST;
		} else {
			mcl_fake_kernel_fn fn = kernel_fn;
			void *ctx = kernel_ctx;

			p->result.state = MCL_PACKET_RUNNING;
			p->result.start_ns = mcl_backend_clock_ns();
			pthread_mutex_unlock(&lock);
			status = run_packet(p, fn, ctx);
			pthread_mutex_lock(&lock);
			if (r->backend->dead)
				status = MCL_STATUS_LOST;
		}
		if (status != MCL_STATUS_LOST) {
			p->result.end_ns = mcl_backend_clock_ns();
			*(p->kind == FAKE_LAUNCH ? &counts.launches :
			  p->kind == FAKE_COPY	 ? &counts.copies :
			  p->kind == FAKE_FILL	 ? &counts.fills :
						   &counts.nops) += 1;
		}
		if (p->kind == FAKE_LAUNCH)
			free_launch(&p->launch);
		p->result.status = status;
		p->result.state = MCL_PACKET_COMPLETE;
		r->done++;
		if (p->notify)
			r->backend->kicked = true;
		pthread_cond_broadcast(&changed);
	}
	pthread_mutex_unlock(&lock);
	return NULL;
}

int mcl_ring_create(struct mcl_backend *b, struct mcl_ring **out)
{
	struct mcl_ring *r;

	if (!mcl_backend_alive(b))
		return -ENODEV;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->backend = b;
	pthread_mutex_lock(&lock);
	r->size = ring_size;
	r->slots = calloc(r->size, sizeof(*r->slots));
	if (!r->slots || pthread_create(&r->thread, NULL, ring_thread, r)) {
		pthread_mutex_unlock(&lock);
		free(r->slots);
		free(r);
		return -ENOMEM;
	}
	r->next = b->rings;
	b->rings = r;
	counts.rings++;
	pthread_mutex_unlock(&lock);
	*out = r;
	return 0;
}

void mcl_ring_destroy(struct mcl_ring *ring)
{
	bool foreign;

	if (!ring)
		return;
	foreign = ring->backend->pid != getpid();
	pthread_mutex_lock(&lock);
	if (!foreign && !ring->backend->dead && ring->done != ring->submitted)
		abort(); /* the contract: every packet was seen complete */
	for (struct mcl_ring **at = &ring->backend->rings; *at; at = &(*at)->next) {
		if (*at == ring) {
			*at = ring->next;
			break;
		}
	}
	ring->stop = true;
	counts.rings--;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	if (!foreign)
		pthread_join(ring->thread, NULL);
	/* What was lost with a backend that died never ran, so nobody has freed it. */
	for (uint64_t seq = ring->done + 1; seq <= ring->submitted; seq++)
		if (ring->slots[seq % ring->size].kind == FAKE_LAUNCH)
			free_launch(&ring->slots[seq % ring->size].launch);
	free(ring->slots);
	free(ring);
}

/* Lock held. A slot for the next packet, or NULL with the error. */
static struct fake_packet *next_slot(struct mcl_ring *r, int *err)
{
	struct fake_packet *p;

	if (r->backend->dead || r->backend->pid != getpid()) {
		*err = -ENODEV;
		return NULL;
	}
	if (r->submitted - r->retired == r->size) {
		*err = -EAGAIN;
		return NULL;
	}
	p = &r->slots[(r->submitted + 1) % r->size];
	*p = (struct fake_packet){ 0 };
	return p;
}

static void publish(struct mcl_ring *r, uint64_t *seq)
{
	*seq = ++r->submitted;
	pthread_cond_broadcast(&changed);
}

static int copy_launch(struct mcl_fake_launch *out, const struct mcl_launch *launch, struct mcl_ring *ring)
{
	const struct mcl_code_object *co = launch->code->co;
	uint32_t count = co->kernels[launch->kernel].arg_count;
	struct mcl_arg *args = calloc(count ? count : 1, sizeof(*args));

	if (!args)
		return -ENOMEM;
	*out = (struct mcl_fake_launch){ .launch = *launch, .co = co, .arg_count = count, .ring = ring };
	out->launch.args = args;
	for (uint32_t i = 0; i < count; i++) {
		args[i].size = launch->args[i].size;
		if (!launch->args[i].value)
			continue;
		args[i].value = malloc(args[i].size ? args[i].size : 1);
		if (!args[i].value) {
			free_launch(out);
			return -ENOMEM;
		}
		memcpy((void *)(uintptr_t)args[i].value, launch->args[i].value, args[i].size);
	}
	return 0;
}

int mcl_ring_launch(struct mcl_ring *ring, const struct mcl_launch *launch, uint32_t flags, uint64_t *seq,
		    struct mcl_reason *why)
{
	const struct mcl_co_kernel *k = &launch->code->co->kernels[launch->kernel];
	uint64_t local = k->local_bytes, param = 0;
	struct fake_packet *p;
	int err = 0;

	(void)flags; /* packets of a ring run one after the other anyway */
	for (uint32_t i = 0; i < k->arg_count; i++)
		*(launch->args[i].value ? &param : &local) += launch->args[i].size;
	if (local > 64 << 10)
		return mcl_reason(why, -ENOSPC, "%llu bytes of local memory", (unsigned long long)local);
	if (param > 4096)
		return mcl_reason(why, -E2BIG, "%llu bytes of arguments", (unsigned long long)param);
	pthread_mutex_lock(&lock);
	p = next_slot(ring, &err);
	if (p) {
		p->kind = FAKE_LAUNCH;
		err = copy_launch(&p->launch, launch, ring);
		if (!err)
			publish(ring, seq);
	}
	pthread_mutex_unlock(&lock);
	return err ? mcl_reason(why, err, "fake launch failed") : 0;
}

int mcl_ring_copy(struct mcl_ring *ring, const struct mcl_copy *copy, uint32_t flags, uint64_t *seq)
{
	struct fake_packet *p;
	int err = 0;

	(void)flags;
	pthread_mutex_lock(&lock);
	p = next_slot(ring, &err);
	if (p) {
		p->kind = FAKE_COPY;
		p->copy = *copy;
		publish(ring, seq);
	}
	pthread_mutex_unlock(&lock);
	return err;
}

int mcl_ring_fill(struct mcl_ring *ring, void *dst, uint64_t size, const void *pattern, uint32_t pattern_size,
		  uint32_t flags, uint64_t *seq)
{
	struct fake_packet *p;
	int err = 0;

	(void)flags;
	if (!pattern_size || pattern_size > 128 || (pattern_size & (pattern_size - 1)) || size % pattern_size)
		abort(); /* the caller checks */
	pthread_mutex_lock(&lock);
	p = next_slot(ring, &err);
	if (p) {
		p->kind = FAKE_FILL;
		p->fill.dst = dst;
		p->fill.size = size;
		p->fill.pattern_size = pattern_size;
		memcpy(p->fill.pattern, pattern, pattern_size);
		publish(ring, seq);
	}
	pthread_mutex_unlock(&lock);
	return err;
}

int mcl_ring_nop(struct mcl_ring *ring, uint32_t flags, uint64_t *seq)
{
	struct fake_packet *p;
	int err = 0;

	(void)flags;
	pthread_mutex_lock(&lock);
	p = next_slot(ring, &err);
	if (p) {
		p->kind = FAKE_NOP;
		publish(ring, seq);
	}
	pthread_mutex_unlock(&lock);
	return err;
}

void mcl_ring_state(struct mcl_ring *ring, uint64_t seq, struct mcl_packet_result *out)
{
	pthread_mutex_lock(&lock);
	if (seq <= ring->retired || seq > ring->submitted)
		abort(); /* the contract: submitted and not yet retired */
	*out = ring->slots[seq % ring->size].result;
	if (ring->backend->dead && out->state != MCL_PACKET_COMPLETE)
		*out = (struct mcl_packet_result){ .state = MCL_PACKET_COMPLETE, .status = MCL_STATUS_LOST };
	pthread_mutex_unlock(&lock);
}

struct mcl_abort *mcl_ring_abort(struct mcl_ring *ring, uint64_t seq)
{
	struct mcl_abort *copy = NULL;
	struct mcl_packet_result result;

	mcl_ring_state(ring, seq, &result);
	pthread_mutex_lock(&lock);
	if (result.state != MCL_PACKET_COMPLETE || result.status == MCL_STATUS_OK || result.status == MCL_STATUS_LOST)
		abort(); /* the contract: it has failed */
	if (fake_abort)
		copy = malloc(sizeof(*copy) + strlen(fake_abort_kernel) + 1);
	if (copy) {
		*copy = *fake_abort;
		copy->status = result.status;
		strcpy(copy->kernel, fake_abort_kernel);
	}
	pthread_mutex_unlock(&lock);
	return copy;
}

void mcl_ring_hurry(struct mcl_ring *ring)
{
	(void)ring;
}

void mcl_ring_status(struct mcl_ring *ring, uint64_t seq, struct mcl_packet_result *out)
{
	mcl_ring_state(ring, seq, out);
	out->start_ns = out->end_ns = 0;
}

int mcl_ring_wait(struct mcl_ring *ring, uint64_t seq, uint64_t timeout_ns)
{
	struct timespec until;
	int err = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	if (timeout_ns != UINT64_MAX) {
		uint64_t ns = (uint64_t)until.tv_nsec + timeout_ns % 1000000000u;

		until.tv_sec += (time_t)(timeout_ns / 1000000000u + ns / 1000000000u);
		until.tv_nsec = (long)(ns % 1000000000u);
	}
	pthread_mutex_lock(&lock);
	while (ring->done < seq && !ring->backend->dead && !err) {
		if (timeout_ns == UINT64_MAX)
			pthread_cond_wait(&changed, &lock);
		else
			err = pthread_cond_timedwait(&changed, &lock, &until);
	}
	pthread_mutex_unlock(&lock);
	return err ? -ETIMEDOUT : 0;
}

bool mcl_ring_notify(struct mcl_ring *ring, uint64_t seq)
{
	bool complete;

	pthread_mutex_lock(&lock);
	complete = seq <= ring->done || ring->backend->dead;
	if (!complete)
		ring->slots[seq % ring->size].notify = true;
	pthread_mutex_unlock(&lock);
	return complete;
}

void mcl_ring_retire(struct mcl_ring *ring, uint64_t seq)
{
	pthread_mutex_lock(&lock);
	if ((seq > ring->done && !ring->backend->dead) || seq < ring->retired)
		abort(); /* the contract: seen complete, in order */
	ring->retired = seq;
	pthread_mutex_unlock(&lock);
}
