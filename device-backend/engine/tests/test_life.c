// SPDX-License-Identifier: MIT
/* A backend's life and death: opening, engine killed, fork, host killed, what is left behind. */
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device.h"

/* Pids of engines whose parent is @parent, or any parent if 0; how many. */
static int engines(pid_t parent, pid_t *out, int max)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	int n = 0;

	assert_non_null(proc);
	while ((e = readdir(proc))) {
		char path[300], comm[64] = "";
		char state;
		int pid, ppid;
		FILE *f;

		if (e->d_name[0] < '0' || e->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/stat", e->d_name);
		f = fopen(path, "re");
		if (!f)
			continue;
		if (fscanf(f, "%d (%63[^)]) %c %d", &pid, comm, &state, &ppid) == 4 &&
		    !strcmp(comm, "mirrorcl-engine") && (!parent || ppid == parent) && state != 'Z' && n < max)
			out[n++] = pid;
		fclose(f);
	}
	closedir(proc);
	return n;
}

static pid_t my_engine(void)
{
	pid_t pid = 0;

	assert_int_equal(engines(getpid(), &pid, 1), 1);
	return pid;
}

/* False for a zombie, too: how soon the system's init reaps is its own affair. */
static bool runs(pid_t pid)
{
	char path[64], state = 'Z';
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		state = 'Z';
	fclose(f);
	return state != 'Z' && state != 'X';
}

static int count_threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	int n = -2;

	assert_non_null(tasks);
	while (readdir(tasks))
		n++;
	closedir(tasks);
	return n;
}

static int count_descriptors(void)
{
	DIR *fds = opendir("/proc/self/fd");
	int n = -3;

	assert_non_null(fds);
	while (readdir(fds))
		n++;
	closedir(fds);
	return n;
}

/* One backend for a process; the last reference ends the engine and its threads. */
static void open_counts_references(void **state)
{
	struct mcl_backend *a, *b;
	int threads;
	pid_t pid;

	(void)state;
	assert_int_equal(engines(getpid(), &pid, 1), 0);
	/* Once before counting: a thread sanitizer starts a thread of its own with the first. */
	assert_int_equal(mcl_backend_open(&a, NULL), 0);
	mcl_backend_put(a);
	threads = count_threads();
	assert_int_equal(mcl_backend_open(&a, NULL), 0);
	assert_int_equal(mcl_backend_open(&b, NULL), 0);
	assert_ptr_equal(a, b);
	assert_ptr_equal(mcl_backend_get(a), a);
	my_engine();
	mcl_backend_put(a);
	mcl_backend_put(a);
	assert_true(mcl_backend_alive(a));
	my_engine();
	mcl_backend_put(a);
	assert_int_equal(engines(getpid(), &pid, 1), 0);
	assert_int_equal(count_threads(), threads);
}

/* The engine's death: pending packets are lost, waiters wake, the callback runs, and the next device is a new one. */
static void note_call(void *ctx)
{
	atomic_fetch_add((_Atomic int *)ctx, 1);
}

static void *wait_in_thread(void *arg)
{
	struct device *d = arg;
	struct mcl_packet_result r;

	assert_int_equal(mcl_ring_wait(d->ring, 1, 20000000000ull), 0);
	mcl_ring_state(d->ring, 1, &r);
	assert_int_equal(r.state, MCL_PACKET_COMPLETE);
	assert_int_equal(r.status, MCL_STATUS_LOST);
	return NULL;
}

static void engine_killed(void **state)
{
	int stop = 0, *pstop = &stop;
	const struct mcl_arg args[] = { ARG(pstop) };
	struct mcl_packet_result r;
	struct mcl_program_code *code;
	struct device d, next;
	_Atomic int calls = 0;
	uint64_t running, queued, seq;
	pthread_t thread;

	(void)state;
	device_open(&d);
	mcl_backend_set_notify(d.b, note_call, &calls);
	assert_int_equal(device_launch(&d, d.ring, "spin", 1, 1, args, MCL_PACKET_BARRIER, &running), 0);
	assert_int_equal(mcl_ring_nop(d.ring, MCL_PACKET_BARRIER, &queued), 0);
	pthread_create(&thread, NULL, wait_in_thread, &d);
	usleep(20000);
	assert_int_equal(kill(my_engine(), SIGKILL), 0);
	pthread_join(thread, NULL);
	assert_int_equal(mcl_ring_wait(d.ring, queued, 20000000000ull), 0);
	mcl_ring_state(d.ring, queued, &r);
	assert_int_equal(r.status, MCL_STATUS_LOST);
	assert_false(mcl_backend_alive(d.b));
	for (int i = 0; i < 5000 && !atomic_load(&calls); i++)
		usleep(1000);
	assert_int_equal(atomic_load(&calls), 1);
	assert_true(mcl_ring_notify(d.ring, queued));
	/* Nothing works any more, and everything says so. */
	assert_int_equal(mcl_ring_nop(d.ring, 0, &seq), -ENODEV);
	assert_int_equal(device_launch(&d, d.ring, "spin", 1, 1, args, 0, &seq), -ENODEV);
	assert_int_equal(mcl_program_load(d.b, d.co, &code, NULL), -ENODEV);
	/* A new one does, while the dead one still has users. */
	device_open(&next);
	assert_ptr_not_equal(next.b, d.b);
	assert_int_equal(device_run(&next, "empty", 1, 1, NULL), MCL_STATUS_OK);
	mcl_ring_retire(d.ring, queued);
	device_close(&d);
	assert_int_equal(device_run(&next, "empty", 1, 1, NULL), MCL_STATUS_OK);
	device_close(&next);
}

/* What is complete stays complete. */
static void engine_killed_after_the_work(void **state)
{
	struct mcl_packet_result r;
	struct device d;
	uint64_t seq;

	(void)state;
	device_open(&d);
	assert_int_equal(mcl_ring_nop(d.ring, 0, &seq), 0);
	assert_int_equal(mcl_ring_wait(d.ring, seq, UINT64_MAX), 0);
	kill(my_engine(), SIGKILL);
	for (int i = 0; i < 5000 && mcl_backend_alive(d.b); i++)
		usleep(1000);
	assert_false(mcl_backend_alive(d.b));
	mcl_ring_state(d.ring, seq, &r);
	assert_int_equal(r.status, MCL_STATUS_OK);
	device_close(&d);
}

/* In the child of a fork the device is dead, without a crash or a hang; the parent goes on. A new one works there. */
static void fork_leaves_the_device_behind(void **state)
{
	int stop = 0, *pstop = &stop, status;
	const struct mcl_arg args[] = { ARG(pstop) };
	struct device d;
	uint64_t seq, other;
	pid_t child;

	(void)state;
	device_open(&d);
	assert_int_equal(device_launch(&d, d.ring, "spin", 1, 1, args, MCL_PACKET_BARRIER, &seq), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		struct mcl_packet_result r;
		struct mcl_counters counters;
		struct device own;
		void *p;

		alarm(20);
		mcl_ring_state(d.ring, seq, &r);
		if (mcl_backend_alive(d.b) || r.state != MCL_PACKET_COMPLETE || r.status != MCL_STATUS_LOST ||
		    mcl_ring_wait(d.ring, seq, UINT64_MAX) || mcl_ring_nop(d.ring, 0, &other) != -ENODEV ||
		    !mcl_ring_notify(d.ring, seq))
			_exit(1);
		mcl_backend_kick(d.b);
		mcl_backend_counters(d.b, &counters);
		p = mcl_svm_alloc(d.b, 100, 0);
		if (p)
			_exit(2);
		mcl_ring_retire(d.ring, seq);
		device_close(&d);
		device_open(&own);
		if (device_run(&own, "empty", 1, 1, NULL) != MCL_STATUS_OK)
			_exit(3);
		device_close(&own);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_true(mcl_backend_alive(d.b));
	atomic_store((_Atomic int *)&stop, 1);
	assert_int_equal(device_finish(d.ring, seq), MCL_STATUS_OK);
	device_close(&d);
}

/* A host that is killed, or exits without a word, leaves no process behind, even with a kernel that never ends. */
static void host_dies(bool killed)
{
	int ready[2], status;
	pid_t child, engine = 0;

	assert_int_equal(pipe(ready), 0);
	child = fork();
	if (!child) {
		static int stop;
		int *pstop = &stop;
		const struct mcl_arg args[] = { ARG(pstop) };
		struct device d;
		uint64_t seq;

		device_open(&d);
		device_launch(&d, d.ring, "spin", 2, 1, args, 0, &seq);
		engine = my_engine();
		if (write(ready[1], &engine, sizeof(engine)) != sizeof(engine))
			_exit(1);
		if (killed)
			pause();
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &engine, sizeof(engine)), sizeof(engine));
	if (killed)
		kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	for (int i = 0; i < 5000 && runs(engine); i++)
		usleep(1000);
	assert_false(runs(engine));
	close(ready[0]);
}

static void host_killed(void **state)
{
	(void)state;
	host_dies(true);
}

static void host_exits(void **state)
{
	(void)state;
	host_dies(false);
}

/* The application's own wait() never meets the engine. */
static void wait_does_not_see_the_engine(void **state)
{
	struct mcl_backend *b;

	(void)state;
	assert_int_equal(mcl_backend_open(&b, NULL), 0);
	errno = 0;
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	mcl_backend_put(b);
}

/* Something of the host's is where the window usually goes. */
static void usual_address_taken(void **state)
{
	/* Not mmap(): sanitizers interfere with addresses that they do not know. */
	const long p = syscall(SYS_mmap, 0x600000000000ull, 4096, PROT_NONE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	struct device d;

	(void)state;
	device_open(&d);
	assert_int_equal(device_run(&d, "empty", 1, 1, NULL), MCL_STATUS_OK);
	device_close(&d);
	if (p != -1)
		syscall(SYS_munmap, p, 4096);
}

/* Programs come and go without using up the window. */
static void loads_and_unloads(void **state)
{
	struct mcl_program_code *code[8];
	struct device d;

	(void)state;
	device_open(&d);
	for (int i = 0; i < 40; i++) {
		for (size_t k = 0; k < ARRAY_SIZE(code); k++)
			assert_int_equal(mcl_program_load(d.b, d.co, &code[k], NULL), 0);
		for (size_t k = 0; k < ARRAY_SIZE(code); k++)
			mcl_program_unload(code[k ^ 5]);
	}
	assert_int_equal(device_run(&d, "empty", 1, 1, NULL), MCL_STATUS_OK);
	device_close(&d);
}

/* Nothing is left of a hundred lives. MCL_TEST_LIVES asks for more. */
static void opens_and_closes(void **state)
{
	const char *text = getenv("MCL_TEST_LIVES");
	const int lives = text ? atoi(text) : 100;
	int threads = 0, fds = 0;

	(void)state;
	for (int i = 0; i < lives; i++) {
		struct mcl_backend *b;
		struct mcl_ring *ring;
		uint64_t seq;

		assert_int_equal(mcl_backend_open(&b, NULL), 0);
		assert_int_equal(mcl_ring_create(b, &ring), 0);
		assert_int_equal(mcl_ring_nop(ring, 0, &seq), 0);
		assert_int_equal(device_finish(ring, seq), MCL_STATUS_OK);
		mcl_ring_destroy(ring);
		mcl_backend_put(b);
		if (!i) {
			threads = count_threads();
			fds = count_descriptors();
		}
	}
	assert_int_equal(count_threads(), threads);
	assert_int_equal(count_descriptors(), fds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(open_counts_references),
		cmocka_unit_test(engine_killed),
		cmocka_unit_test(engine_killed_after_the_work),
		cmocka_unit_test(fork_leaves_the_device_behind),
		cmocka_unit_test(host_killed),
		cmocka_unit_test(host_exits),
		cmocka_unit_test(wait_does_not_see_the_engine),
		cmocka_unit_test(usual_address_taken),
		cmocka_unit_test(loads_and_unloads),
		cmocka_unit_test(opens_and_closes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
