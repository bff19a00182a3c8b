// SPDX-License-Identifier: MIT
/*
 * What this mirror cannot do right and nobody is told by an error: said on standard error, once for each, when a program is seen
 * to be where it may matter (README-uffd.md). Changes nothing.
 */
#include <string.h>

#include "mirror/mirror_uffd.h"
#include "mirror/uffd_sys.h"
#include "support/log.h"

/* Of the kernel's struct task_struct, as /proc/PID/stat has them: ending, or the kernel's own worker in this process. */
#define PF_EXITING 0x4u
#define PF_IO_WORKER 0x10u
#define PF_USER_WORKER 0x4000u

#define NS_PER_S 1000000000ull
#define TICKS_PER_S 100u /* the unit of that file on x86-64, whatever the kernel's own is */
/* A thread of the C library has its list of robust futexes long before. */
#define GROWN_UP_NS NS_PER_S
#define LOOK_EVERY_NS NS_PER_S

static bool first_time(struct mcl_uffd *u, enum mcl_uffd_warning warning)
{
	const bool first = !(u->warned & warning);

	u->warned |= warning;
	return first;
}

/* The decimal number that is field @n of a line of /proc/PID/stat, counted as proc_pid_stat(5) does, from the third on. */
static uint64_t stat_field(const char *line, int n)
{
	const char *at = strrchr(line, ')'); /* the name before it may have blanks, too */
	uint64_t value = 0;

	for (int i = 2; at && i < n; i++)
		at = strchr(at + 1, ' ');
	for (at = at ? at + 1 : ""; *at >= '0' && *at <= '9'; at++)
		value = value * 10 + (uint64_t)(*at - '0');
	return value;
}

/* Whether a thread without a list of robust futexes is not of the C library's making, rather than new, ending or the kernel's. */
static bool is_strange(int32_t tid)
{
	struct timespec now;
	char line[512];
	uint64_t born, age;

	if (!mcl_uffd_task_text(tid, "/stat", line, sizeof(line)))
		return false;
	if (stat_field(line, 9) & (PF_EXITING | PF_IO_WORKER | PF_USER_WORKER))
		return false;
	clock_gettime(CLOCK_BOOTTIME, &now);
	born = stat_field(line, 22) * (NS_PER_S / TICKS_PER_S);
	age = (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec - born;
	return born && (int64_t)age >= (int64_t)GROWN_UP_NS;
}

void mcl_uffd_warn_threads(struct mcl_uffd *u)
{
	const uint64_t now = mcl_raw_now_ns();

	if (u->warned & WARNED_THREAD || now < u->warn_look_ns)
		return;
	u->warn_look_ns = now + LOOK_EVERY_NS;
	for (unsigned int i = 0; i < u->task_count; i++) {
		if (u->tasks[i].head || !is_strange(u->tasks[i].tid) || !first_time(u, WARNED_THREAD))
			continue;
		mcl_log_write(
			MCL_LOG_WARN,
			"thread %d was not made by the C library: if the page with its id (CLONE_CHILD_CLEARTID) is in "
			"device memory when it ends, nobody is told of that end",
			(int)u->tasks[i].tid);
		return;
	}
}

void mcl_uffd_warn_stack(struct mcl_uffd *u, uint64_t start, uint64_t end)
{
	if (end <= u->stack_low || start >= u->stack_high || !first_time(u, WARNED_STACK))
		return;
	mcl_log_info(
		"the first thread's stack is mapped in place at %#lx: pthread_getattr_np() tells only what is above it",
		(unsigned long)start);
}

/* Whether there are pages in [start, end), within one block and mapped in place, and all of them in swap space. */
static bool all_in_swap(struct mcl_uffd *u, uint64_t start, uint64_t end)
{
	const uint64_t pages = (end - start) >> PAGE_SHIFT;
	uint8_t resident[BLOCK_PAGES];
	long data;

	data = mcl_raw(SYS_lseek, (uint64_t)u->memfd, start, 3 /* SEEK_DATA */, 0, 0, 0);
	if (data < 0 || (uint64_t)data >= end)
		return false;
	if (mcl_raw(SYS_mincore, start, end - start, (uint64_t)resident, 0, 0, 0))
		return false;
	for (uint64_t i = 0; i < pages; i++)
		if (resident[i] & 1)
			return false;
	return true;
}

void mcl_uffd_warn_swapped(struct mcl_uffd *u, uint64_t start, uint64_t end)
{
	if (u->warned & WARNED_SWAPPED)
		return;
	for (struct mcl_uffd_block *b = u->blocks; b; b = b->next) {
		const uint64_t stop = mcl_min64(end, b->base + MCL_BLOCK_SIZE);

		for (uint64_t at = mcl_max64(start, b->base), run; at < stop; at = run) {
			run = mcl_uffd_run(b, at, stop);
			if (mcl_uffd_state(u, at) != PAGE_PROMOTED || !all_in_swap(u, at, run) ||
			    !first_time(u, WARNED_SWAPPED))
				continue;
			mcl_log_write(
				MCL_LOG_WARN,
				"memory at %#lx, mapped in place and swapped out, was advised away by one of several threads "
				"at once: if that was MADV_FREE, which fails there, it has been emptied all the same",
				(unsigned long)at);
		}
	}
}
