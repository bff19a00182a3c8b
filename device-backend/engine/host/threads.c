// SPDX-License-Identifier: MIT
/*
 * The two threads of a backend. The reaper creates the engine (PR_SET_PDEATHSIG fires when the creating *thread* ends, so it
 * must be one that lives as long) and waits for its death. The service thread answers the engine's host calls and runs
 * the runtime's notify callback. Both have all signals blocked, so the application's handlers never run on them.
 */
#include <errno.h>
#include <linux/futex.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/host/backend_private.h"
#include "pager/pager.h"

#define STACK_SIZE (256u << 10)

static void futex_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

static void host_bell(struct mcl_backend *b)
{
	atomic_fetch_add(&b->control->host_bell.epoch, 1);
	futex_wake(&b->control->host_bell.epoch);
}

void mcl_backend_kick(struct mcl_backend *b)
{
	if (mcl_backend_state(b) == MCL_BACKEND_FORKED)
		return;
	atomic_store(&b->control->host_bell.notify, 1);
	host_bell(b);
}

/* ---- reaper ---- */

static void wait_for_death(struct mcl_backend *b)
{
	siginfo_t info;
	int status = 0;

	/* First look without reaping: as long as it is a zombie its number is its own, and kill() cannot hit another. */
	while (waitid(P_PID, (id_t)b->pid, &info, WEXITED | WNOWAIT | __WALL) && errno == EINTR)
		;
	pthread_mutex_lock(&b->kill_lock);
	while (waitpid(b->pid, &status, __WALL) < 0 && errno == EINTR)
		;
	b->reaped = true;
	pthread_mutex_unlock(&b->kill_lock);
	if (!atomic_load(&b->closing)) {
		if (WIFSIGNALED(status))
			mcl_log_error("the device process was killed by signal %d (%s)", WTERMSIG(status),
				      strsignal(WTERMSIG(status)));
		else if (WEXITSTATUS(status) > 128)
			/* abort.c: the fault was not in a kernel. What it stands on may be what a kernel wrote to. */
			mcl_log_error("the device process crashed (%s): a kernel may have written beyond its arrays",
				      strsignal(WEXITSTATUS(status) - 128));
		else
			mcl_log_error("the device process ended with status %d", WEXITSTATUS(status));
	}
}

/* The host's memory is whole again before anybody hears of the death. */
static void bring_home(struct mcl_backend *b)
{
	struct mcl_pager *pager;

	pthread_rwlock_wrlock(&b->pager_lock);
	pager = b->pager;
	if (pager)
		mcl_pager_counters(pager, &b->final);
	b->pager = NULL;
	pthread_rwlock_unlock(&b->pager_lock);
	if (pager)
		mcl_pager_stop(pager);
	else if (b->ops->engine_gone)
		b->ops->engine_gone(b->mirror);
}

static void *reaper_main(void *arg)
{
	struct mcl_backend *b = arg;
	int32_t starting = 0;

	pthread_setname_np(pthread_self(), "mcl-reaper");
	b->start_error = b->ops->start(b->mirror, &b->pid, &b->start_why);
	if (b->start_error) {
		sem_post(&b->started);
		return NULL;
	}
	sem_post(&b->started);
	wait_for_death(b);
	bring_home(b);
	atomic_store(&b->state, MCL_BACKEND_DEAD);
	atomic_compare_exchange_strong(&b->control->ready, &starting, -ECHILD);
	futex_wake((_Atomic uint32_t *)&b->control->ready);
	mcl_rings_wake_all(b);
	atomic_store(&b->control->host_bell.notify, 1);
	host_bell(b);
	return NULL;
}

/* ---- service ---- */

static void *service_main(void *arg)
{
	struct mcl_backend *b = arg;
	struct mcl_engine_control *c = b->control;
	locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);

	pthread_setname_np(pthread_self(), "mcl-service");
	/* Device printf knows no locale. */
	if (plain)
		uselocale(plain);
	while (!atomic_load(&b->closing) || mcl_backend_state(b) == MCL_BACKEND_ALIVE) {
		const uint32_t epoch = atomic_load(&c->host_bell.epoch);

		if (atomic_exchange(&c->host_bell.calls, 0))
			mcl_service_calls(b);
		if (atomic_exchange(&c->host_bell.notify, 0)) {
			void (*const fn)(void *) = atomic_load(&b->notify_fn);

			if (fn)
				fn(atomic_load(&b->notify_ctx));
		}
		atomic_store(&c->host_bell.asleep, 1);
		syscall(SYS_futex, &c->host_bell.epoch, FUTEX_WAIT, epoch, NULL, NULL, 0);
		atomic_store(&c->host_bell.asleep, 0);
	}
	if (plain) {
		uselocale(LC_GLOBAL_LOCALE);
		freelocale(plain);
	}
	return NULL;
}

/* ---- both ---- */

static int start_thread(pthread_t *thread, void *(*fn)(void *), void *arg)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(thread, &attr, fn, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return -err;
}

/*
 * The leader of a process that was killed is a zombie as soon as it is dead, but can be waited for only when its last thread is:
 * whoever has seen it dead must not be given this backend again.
 */
static bool is_zombie(pid_t pid)
{
	char path[64], state = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		state = 0;
	fclose(f);
	return state == 'Z' || state == 'X';
}

/* The engine itself, where another process stands between it and us (b->pid): that one notices its death a moment later. */
static bool engine_ended(struct mcl_backend *b)
{
	const pid_t pid = (pid_t)atomic_load(&b->control->engine_pid);

	return pid > 0 && (is_zombie(pid) || (kill(pid, 0) && errno == ESRCH));
}

void mcl_threads_settle(struct mcl_backend *b)
{
	siginfo_t info = { 0 };
	bool dying;

	pthread_mutex_lock(&b->kill_lock);
	dying = b->reaped || is_zombie(b->pid) || engine_ended(b) ||
		(!waitid(P_PID, (id_t)b->pid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) && info.si_pid == b->pid);
	pthread_mutex_unlock(&b->kill_lock);
	while (dying && mcl_backend_state(b) == MCL_BACKEND_ALIVE)
		usleep(100);
}

static void kill_engine(struct mcl_backend *b)
{
	pthread_mutex_lock(&b->kill_lock);
	if (!b->reaped)
		kill(b->pid, SIGKILL);
	pthread_mutex_unlock(&b->kill_lock);
}

static int wait_ready(struct mcl_backend *b, struct mcl_reason *why)
{
	struct mcl_engine_control *c = b->control;
	int32_t ready;

	for (;;) {
		ready = atomic_load(&c->ready);
		if (ready)
			break;
		syscall(SYS_futex, &c->ready, FUTEX_WAIT, 0, NULL, NULL, 0);
	}
	if (ready == 1)
		return 0;
	return mcl_reason(why, ready, "the device process ended while it started: %s",
			  ready == -ECHILD ? "no reason is known" : strerror(-ready));
}

static int start_pager(struct mcl_backend *b, struct mcl_reason *why)
{
	int err = 0;

	if (!b->ops->faults)
		return 0;
	pthread_rwlock_wrlock(&b->pager_lock);
	if (!b->reaped)
		err = mcl_pager_start(b->mirror, &b->params, &b->pager, why);
	pthread_rwlock_unlock(&b->pager_lock);
	return err;
}

int mcl_threads_start(struct mcl_backend *b, struct mcl_reason *why)
{
	int err;

	sem_init(&b->started, 0, 0);
	err = start_thread(&b->reaper, reaper_main, b);
	if (err) {
		sem_destroy(&b->started);
		return mcl_reason(why, err, "cannot start a thread: %s", strerror(-err));
	}
	while (sem_wait(&b->started))
		;
	sem_destroy(&b->started);
	if (b->start_error) {
		pthread_join(b->reaper, NULL);
		if (why)
			*why = b->start_why;
		return b->start_error;
	}
	err = wait_ready(b, why);
	if (!err)
		err = start_pager(b, why);
	if (!err) {
		err = start_thread(&b->service, service_main, b);
		if (err)
			mcl_reason(why, err, "cannot start a thread: %s", strerror(-err));
		else
			b->service_started = true;
	}
	if (err)
		mcl_threads_stop(b);
	return err;
}

void mcl_threads_stop(struct mcl_backend *b)
{
	atomic_store(&b->closing, true);
	kill_engine(b);
	pthread_join(b->reaper, NULL);
	if (b->service_started) {
		host_bell(b);
		pthread_join(b->service, NULL);
	}
}
