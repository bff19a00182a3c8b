// SPDX-License-Identifier: MIT
/* Threads whose stacks, control blocks, signal stacks and mutexes the device uses: they run, take signals, and end properly. */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "mirror/tests/uffd_fixture.h"
#include "mirror/uffd_sys.h"

static struct fixture f;

/* ---- threads that come and go ---- */

#define STACK (64ul << 10)
#define SEED 1000ul

static void *touch_and_end(void *arg)
{
	volatile uint64_t local[64];

	for (int i = 0; i < 64; i++)
		local[i] = (uint64_t)arg;
	for (int i = 0; i < 64; i++)
		if (local[i] != (uint64_t)arg)
			return (void *)(uint64_t)-1; /* its stack has lost something; 0: the control block has */
	return arg;
}

/*
 * The whole stack of a thread, its control block included, goes to the device again and again while the thread lives and ends:
 * every join returns, with the thread's result.
 */
static void stacks(void **state)
{
	char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	pthread_attr_t attr;

	(void)state;
	assert_int_equal(pthread_attr_init(&attr), 0);
	assert_int_equal(pthread_attr_setstack(&attr, stack, STACK), 0);
	fixture_go(&f, 0, TEST_LOOP_SUM, stack, STACK, 0, 0);
	for (uint64_t i = 1; i <= 300; i++) {
		pthread_t thread;
		void *result;

		assert_int_equal(pthread_create(&thread, &attr, touch_and_end, (void *)i), 0);
		assert_int_equal(pthread_join(thread, &result), 0);
		assert_int_equal((uint64_t)result, i);
	}
	atomic_store(&fixture_unit(&f, 0)->stop, 1);
	assert_true(fixture_wait(&f, 0, NULL));
	pthread_attr_destroy(&attr);
	munmap(stack, STACK);
}

/* ---- signals ---- */

static _Atomic uint32_t signals_seen;
static volatile uint64_t *signal_words;

static void on_signal(int signo)
{
	uint64_t local[32];

	(void)signo;
	for (uint64_t i = 0; i < 32; i++)
		local[i] = i;
	for (uint64_t i = 0; i < 32; i++)
		if (((volatile uint64_t *)local)[i] != i)
			abort();
	if (signal_words)
		signal_words[0]++;
	atomic_fetch_add(&signals_seen, 1);
}

/* The kernel writes signal frames to an alternate stack that is in VRAM, or being read by the device. */
static void signal_frames(void **state)
{
	const size_t size = 64ul << 10;
	char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t alternate = { .ss_sp = stack, .ss_size = size }, off = { .ss_flags = SS_DISABLE };
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };

	(void)state;
	signal_words = fixture_make(&f, 2 * PAGE_SIZE, PAGE_HOST, 0);
	atomic_store(&signals_seen, 0);
	assert_int_equal(sigaltstack(&alternate, NULL), 0);
	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	for (int i = 0; i < 200; i++) {
		mcl_pager_migrate(f.pager, stack, size, false);
		mcl_pager_migrate(f.pager, (void *)signal_words, PAGE_SIZE, false);
		assert_int_equal(raise(SIGUSR1), 0);
	}
	assert_int_equal(atomic_load(&signals_seen), 200);
	assert_int_equal(signal_words[0], 200);
	fixture_go(&f, 0, TEST_LOOP_SUM, stack, size, 0, 0);
	for (int i = 0; i < 500; i++)
		assert_int_equal(raise(SIGUSR1), 0);
	atomic_store(&fixture_unit(&f, 0)->stop, 1);
	assert_true(fixture_wait(&f, 0, NULL));
	assert_int_equal(atomic_load(&signals_seen), 700);
	sigaltstack(&off, NULL);
	munmap((void *)signal_words, 2 * PAGE_SIZE);
	signal_words = NULL;
	munmap(stack, size);
}

/* Signals that interrupt a thread which waits for a page: the handler runs, the page comes, nothing is lost. */
static void interrupted_waits(void **state)
{
	struct itimerspec every = { { 0, 300000 }, { 0, 300000 } };
	struct sigaction action = { .sa_handler = on_signal };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	const uint64_t size = 64 * PAGE_SIZE;
	uint64_t *p = fixture_make(&f, size, PAGE_HOST, 0);
	timer_t timer;

	(void)state;
	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	assert_int_equal(timer_settime(timer, 0, &every, NULL), 0);
	for (uint64_t i = 0; i < 100; i++) {
		assert_true(fixture_run(&f, TEST_FILL, p, size, 0, i, NULL));
		assert_true(fixture_host_has(p, size, i));
	}
	timer_delete(timer);
	signal(SIGUSR1, SIG_IGN);
	munmap(p, size);
}

/* ---- robust mutexes ---- */

struct robust {
	pthread_mutex_t mutex;
	uint64_t word;
};

static pthread_barrier_t barrier;

static void *lock_and_end(void *arg)
{
	struct robust *r = arg;

	for (int i = 0; i < 3; i++)
		if (pthread_mutex_lock(&r[i].mutex))
			return NULL;
	pthread_barrier_wait(&barrier); /* the device comes */
	pthread_barrier_wait(&barrier);
	return arg;
}

/* A thread ends with three of them locked, in pages that the device has used meanwhile: each is found to have lost its owner. */
static void robust_mutexes(void **state)
{
	struct robust *r = mmap(NULL, 4 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_t attr;
	struct mcl_uffd *u = mcl_uffd_of(f.m);

	(void)state;
	assert_int_equal(pthread_mutexattr_init(&attr), 0);
	assert_int_equal(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST), 0);
	assert_int_equal(pthread_barrier_init(&barrier, NULL, 2), 0);
	for (int turn = 0; turn < 20; turn++) {
		struct timespec limit;
		pthread_t thread;
		void *good;

		for (int i = 0; i < 3; i++)
			assert_int_equal(pthread_mutex_init(&r[i].mutex, &attr), 0);
		assert_int_equal(pthread_create(&thread, NULL, lock_and_end, r), 0);
		pthread_barrier_wait(&barrier);
		/* Stores beside them; asked for, too. */
		for (int i = 0; i < 3; i++)
			assert_true(fixture_run(&f, TEST_FILL, &r[i].word, 8, 0, (uint64_t)(turn + i), NULL));
		mcl_pager_migrate(f.pager, r, 4 * PAGE_SIZE, false);
		fixture_barrier(&f);
		assert_int_not_equal(mcl_uffd_state(u, (uint64_t)r), PAGE_VRAM);
		for (int i = 0; i < 3; i++)
			assert_int_equal(r[i].word, turn + i);
		pthread_barrier_wait(&barrier);
		assert_int_equal(pthread_join(thread, &good), 0);
		assert_non_null(good);
		for (int i = 0; i < 3; i++) {
			clock_gettime(CLOCK_REALTIME, &limit);
			limit.tv_sec += 10;
			assert_int_equal(pthread_mutex_timedlock(&r[i].mutex, &limit), EOWNERDEAD);
			assert_int_equal(pthread_mutex_consistent(&r[i].mutex), 0);
			assert_int_equal(pthread_mutex_unlock(&r[i].mutex), 0);
			assert_int_equal(pthread_mutex_destroy(&r[i].mutex), 0);
		}
	}
	pthread_barrier_destroy(&barrier);
	munmap(r, 4 * PAGE_SIZE);
}

/* Mutexes, condition variables and barriers in memory that the device uses all the time. */
struct shared {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	uint64_t turn, count;
	_Atomic uint32_t device[16];
};

static void *take_turns(void *arg)
{
	struct shared *s = arg;

	for (uint64_t i = 0; i < 500; i++) {
		pthread_mutex_lock(&s->mutex);
		while (s->turn != 1)
			pthread_cond_wait(&s->cond, &s->mutex);
		s->turn = 0;
		s->count++;
		pthread_cond_broadcast(&s->cond);
		pthread_mutex_unlock(&s->mutex);
	}
	return NULL;
}

static void locks(void **state)
{
	static const int kinds[] = { PTHREAD_PROCESS_PRIVATE, PTHREAD_PROCESS_SHARED };

	(void)state;
	for (int k = 0; k < 2; k++) {
		struct shared *s = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		pthread_mutexattr_t mutex;
		pthread_condattr_t cond;
		pthread_t thread;

		pthread_mutexattr_init(&mutex);
		pthread_mutexattr_setpshared(&mutex, kinds[k]);
		pthread_condattr_init(&cond);
		pthread_condattr_setpshared(&cond, kinds[k]);
		pthread_mutex_init(&s->mutex, &mutex);
		pthread_cond_init(&s->cond, &cond);
		assert_int_equal(pthread_create(&thread, NULL, take_turns, s), 0);
		fixture_go(&f, 0, TEST_LOOP_ADD, &s->device[0], 4, 4, 0);
		for (uint64_t i = 0; i < 500; i++) {
			pthread_mutex_lock(&s->mutex);
			while (s->turn != 0)
				pthread_cond_wait(&s->cond, &s->mutex);
			s->turn = 1;
			s->count++;
			pthread_cond_broadcast(&s->cond);
			pthread_mutex_unlock(&s->mutex);
		}
		pthread_join(thread, NULL);
		atomic_store(&fixture_unit(&f, 0)->stop, 1);
		assert_true(fixture_wait(&f, 0, NULL));
		assert_int_equal(s->count, 1000);
		assert_int_equal(s->device[0], (uint32_t)atomic_load(&fixture_unit(&f, 0)->rounds));
		munmap(s, PAGE_SIZE);
	}
}

/* ---- a thread that the C library has not made ---- */

static int raw_thread(void *arg)
{
	(void)arg;
	return 0;
}

/*
 * The word that the kernel clears at its end is where such a thread says, which nobody can ask for. While it is not in VRAM it
 * works as ever, mapped in place or not; README-uffd.md has the rest.
 */
static void child_cleartid(void **state)
{
	static const enum mcl_page_state states[] = { PAGE_HOST, PAGE_PROMOTED };
	const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
			  CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;

	(void)state;
	for (unsigned int k = 0; k < 2; k++) {
		char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		_Atomic int32_t *word = fixture_make(&f, 2 * PAGE_SIZE, states[k], 0);
		int32_t tid;

		for (int i = 0; i < 50; i++) {
			atomic_store(word, 1);
			assert_true(clone(raw_thread, stack + STACK, flags, NULL, word, NULL, word) > 0);
			while ((tid = atomic_load(word)))
				syscall(SYS_futex, word, FUTEX_WAIT, tid, NULL, NULL, 0);
		}
		munmap((void *)word, 2 * PAGE_SIZE);
		munmap(stack, STACK);
	}
}

/* ---- threads that are being made, or end ---- */

/*
 * A thread that has no list of robust mutexes, as each has none at its beginning and at its end; only that this one stays so. And
 * memory that looks as the C library's control block of it does.
 */
struct unlisted {
	_Atomic uint32_t go;
	char *stack;
	_Atomic int32_t *tid_at;
};

static int wait_to_end(void *arg)
{
	struct unlisted *t = arg;

	while (!atomic_load(&t->go))
		mcl_raw_futex_wait(&t->go, 0);
	return 0;
}

static void unlisted_start(struct unlisted *t, uint64_t *block)
{
	const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
			  CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;

	block[0] = block[2] = (uint64_t)block;
	t->tid_at = (_Atomic int32_t *)((char *)block + mcl_uffd_of(f.m)->head_in_block - MCL_TID_BEFORE_HEAD);
	t->stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	atomic_store(&t->go, 0);
	assert_true(clone(wait_to_end, t->stack + STACK, flags, t, t->tid_at, NULL, t->tid_at) > 0);
}

/* Returns when the kernel has cleared its id: that is how threads are joined. */
static void unlisted_end(struct unlisted *t)
{
	const struct timespec limit = { .tv_sec = 30 };
	int32_t tid;

	atomic_store(&t->go, 1);
	mcl_raw_futex_wake(&t->go);
	while ((tid = atomic_load(t->tid_at)))
		if (syscall(SYS_futex, t->tid_at, FUTEX_WAIT, tid, &limit, NULL, 0))
			assert_int_not_equal(errno, ETIMEDOUT);
	munmap(t->stack, STACK);
}

/*
 * Its page is not left in VRAM, where the kernel could not clear the id, though it lies in the second run of pages that are asked for at
 * once. When the thread has ended it is memory like any other, even if there are still threads of that kind.
 */
static void block_in_second_run(void **state)
{
	uint64_t *p = fixture_make(&f, 8 * PAGE_SIZE, PAGE_HOST, SEED),
		 *other = fixture_make(&f, 2 * PAGE_SIZE, PAGE_HOST, 0);
	struct unlisted thread, stays;

	(void)state;
	mcl_pager_migrate(f.pager, p + 2 * PAGE_SIZE / 8, PAGE_SIZE, false);
	assert_int_equal(fixture_count(&f, p, 8 * PAGE_SIZE, PAGE_VRAM), 1);
	unlisted_start(&stays, other);
	unlisted_start(&thread, p + 5 * PAGE_SIZE / 8);
	mcl_pager_migrate(f.pager, p, 8 * PAGE_SIZE, false);
	assert_int_equal(fixture_state(&f, p), PAGE_VRAM);
	assert_int_equal(fixture_state(&f, p + 5 * PAGE_SIZE / 8), PAGE_HOST);
	unlisted_end(&thread);
	mcl_pager_migrate(f.pager, p, 8 * PAGE_SIZE, false);
	assert_int_equal(fixture_count(&f, p, 8 * PAGE_SIZE, PAGE_VRAM), 8);
	unlisted_end(&stays);
	munmap(p, 8 * PAGE_SIZE);
	munmap(other, 2 * PAGE_SIZE);
}

/*
 * What is beside such a block moves. Its own page waits until more is known, and is not copied: a copy would be as it is until the
 * kernel ends.
 */
static void beside_a_block(void **state)
{
	uint64_t *p = fixture_make(&f, 8 * PAGE_SIZE, PAGE_HOST, SEED), *block = p + 5 * PAGE_SIZE / 8, sum = 0;
	struct unlisted thread;

	(void)state;
	unlisted_start(&thread, block);
	fixture_go(&f, 0, TEST_SUM, p, 6 * PAGE_SIZE, 5 * PAGE_SIZE, 0);
	/* Up to the block; what is behind it may be in another unit, which is not asked for. */
	while (fixture_count(&f, p, 5 * PAGE_SIZE, PAGE_VRAM) != 5)
		assert_int_equal(atomic_load(&fixture_unit(&f, 0)->state), TEST_GO);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(fixture_state(&f, block), PAGE_HOST);
		mcl_raw_sleep_us(1000);
	}
	assert_int_equal(atomic_load(&fixture_unit(&f, 0)->state), TEST_GO);
	unlisted_end(&thread);
	assert_true(fixture_wait(&f, 0, &sum));
	assert_int_equal(sum, SEED + (uint64_t)block);
	assert_int_not_equal(fixture_state(&f, block), PAGE_SNAPSHOT);
	munmap(p, 8 * PAGE_SIZE);
}

/* ---- what threads may run out of, and how many there may be ---- */

/* The program has no descriptor left: pages go there and back all the same, and are mapped in place. */
static void no_descriptors(void **state)
{
	char *p = fixture_make(&f, 8 * PAGE_SIZE, PAGE_HOST, SEED);
	struct rlimit before, none;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){ 0, before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(dup(0), -1);
	assert_true(fixture_device_has(&f, p, 8 * PAGE_SIZE, SEED));
	assert_true(fixture_run(&f, TEST_FILL, p, 8 * PAGE_SIZE, 0, SEED + 1, NULL));
	assert_true(fixture_host_has(p, 8 * PAGE_SIZE, SEED + 1));
	assert_int_equal(munmap(p, 4 * PAGE_SIZE), 0);
	assert_false(fixture_run(&f, TEST_SUM, p, 8, 0, 0, NULL));
	assert_true(fixture_device_has(&f, p + 4 * PAGE_SIZE, PAGE_SIZE, SEED + 1 + 4 * PAGE_SIZE / 8));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	munmap(p + 4 * PAGE_SIZE, 4 * PAGE_SIZE);
}

static void *wait_for_end(void *arg)
{
	pthread_barrier_wait(arg);
	return arg;
}

/* More threads than fit into one reading of /proc. All of them live through what is done to memory beside them, and end. */
static void thousands(void **state)
{
	enum { THREADS = 5000 };
	char *p = fixture_make(&f, 8 * PAGE_SIZE, PAGE_HOST, SEED);
	pthread_t *threads = calloc(THREADS, sizeof(*threads));
	pthread_barrier_t barrier;
	pthread_attr_t attr;
	unsigned int count = 0;

	(void)state;
	assert_non_null(threads);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	pthread_barrier_init(&barrier, NULL, THREADS + 1);
	while (count < THREADS && !pthread_create(&threads[count], &attr, wait_for_end, &barrier))
		count++;
	/* A machine that forbids so many cannot end them either: they wait for the last one. */
	assert_int_equal(count, THREADS);
	assert_true(fixture_device_has(&f, p, 8 * PAGE_SIZE, SEED));
	assert_true(fixture_run(&f, TEST_FILL, p, 8 * PAGE_SIZE, 0, SEED + 1, NULL));
	assert_true(fixture_host_has(p, 8 * PAGE_SIZE, SEED + 1));
	pthread_barrier_wait(&barrier);
	for (unsigned int i = 0; i < THREADS; i++) {
		void *result = NULL;

		assert_int_equal(pthread_join(threads[i], &result), 0);
		assert_ptr_equal(result, &barrier);
	}
	pthread_barrier_destroy(&barrier);
	free(threads);
	munmap(p, 8 * PAGE_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(stacks, fixture_setup, &f),
		fixture_test(signal_frames, fixture_setup, &f),
		fixture_test(interrupted_waits, fixture_setup, &f),
		fixture_test(robust_mutexes, fixture_setup, &f),
		fixture_test(locks, fixture_setup, &f),
		fixture_test(child_cleartid, fixture_setup, &f),
		fixture_test(block_in_second_run, fixture_setup, &f),
		fixture_test(beside_a_block, fixture_setup, &f),
		fixture_test(no_descriptors, fixture_setup, &f),
		fixture_test(thousands, fixture_setup, &f),
	};

	fixture_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
