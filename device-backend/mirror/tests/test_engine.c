// SPDX-License-Identifier: MIT
/* The device process of test_engine.h. Freestanding; linked at a fixed place in the window. */
#include <asm/siginfo.h>
#include <asm/signal.h>
#include <asm/sigcontext.h>
#include <linux/mman.h>
#include <linux/prctl.h>
#include <linux/sched.h>

#include "engine/engine.h"
#include "engine/sys.h"
#include "mirror/tests/test_engine.h"

struct mcl_engine_image mcl_image = { .control = TEST_BASE };

static struct test_control *const control = (struct test_control *)TEST_BASE;

_Noreturn void mcl_exec_main(const uint64_t *stack);
_Noreturn void mcl_engine_main(void);
void mcl_window_entry(void);
_Noreturn void mcl_jump(uint64_t stack, uint64_t target);

static struct test_unit *self(void)
{
	uint64_t sp = (uint64_t)__builtin_frame_address(0);

	return &control->units[(sp - TEST_BASE - TEST_STACKS_OFFSET) / (2 * TEST_STACK_SIZE)];
}

static uint64_t sum(const struct test_unit *u)
{
	uint64_t total = 0;

	for (uint64_t at = u->address; at < u->address + u->size; at += u->stride)
		total += *(volatile uint64_t *)at;
	return total;
}

static void fill(const struct test_unit *u)
{
	uint64_t value = u->value;

	for (uint64_t at = u->address; at < u->address + u->size; at += u->stride)
		*(volatile uint64_t *)at = value++;
}

static void run(void *arg)
{
	struct test_unit *u = arg;
	_Atomic uint32_t *word = (_Atomic uint32_t *)u->address;

	switch (u->op) {
	case TEST_SUM:
		u->result = sum(u);
		break;
	case TEST_FILL:
		fill(u);
		break;
	case TEST_COPY:
		for (uint64_t i = 0; i < u->size; i += 8)
			*(volatile uint64_t *)(u->address + i) = *(volatile uint64_t *)(u->value + i);
		break;
	case TEST_ADD:
		for (uint64_t i = 0; i < u->value; i++)
			atomic_fetch_add(word, 1);
		break;
	case TEST_TURNS:
		for (uint64_t i = 0; i < u->value; i++) {
			while (!(atomic_load(word) & 1))
				__builtin_ia32_pause();
			atomic_fetch_add(word, 1);
		}
		break;
	case TEST_CHASE:
		u->result = 0;
		for (uint64_t at = u->address; at; at = *(volatile uint64_t *)at)
			u->result++;
		break;
	case TEST_COMPARE:
		for (u->result = 0; u->result < u->size; u->result += 8)
			if (*(volatile uint64_t *)(u->address + u->result) != u->value + u->result / 8)
				break;
		break;
	case TEST_LOOP_ADD:
		while (!atomic_load(&u->stop)) {
			for (uint64_t at = u->address; at < u->address + u->size; at += u->stride)
				atomic_fetch_add((_Atomic uint32_t *)at, 1);
			atomic_fetch_add(&u->rounds, 1);
		}
		break;
	case TEST_LOOP_FILL:
	case TEST_LOOP_SUM:
		while (!atomic_load(&u->stop)) {
			if (u->op == TEST_LOOP_FILL)
				fill(u);
			else
				u->result = sum(u);
			atomic_fetch_add(&u->rounds, 1);
		}
		break;
	}
}

struct kernel_ucontext {
	unsigned long uc_flags;
	void *uc_link;
	stack_t uc_stack;
	struct sigcontext mcontext;
};

void mcl_signal_handle(int signo, void *info, void *context)
{
	struct sigcontext *regs = &((struct kernel_ucontext *)context)->mcontext;
	struct test_unit *u = self();

	if (!u->guard.armed)
		mcl_exit_group(128 + signo);
	u->fault_signal = signo;
	u->fault_address = (uint64_t)((siginfo_t *)info)->si_addr;
	mcl_boot_forget_fault(u->fault_address);
	regs->rip = (uint64_t)mcl_guard_landing;
	regs->rdi = (uint64_t)&u->guard;
	u->guard.armed = 0;
}

static void unit_main(void *arg)
{
	struct test_unit *u = arg;
	uint64_t index = (uint64_t)(u - control->units);
	stack_t stack = {
		.ss_sp = (void *)(TEST_BASE + TEST_STACKS_OFFSET + index * 2 * TEST_STACK_SIZE),
		.ss_size = TEST_STACK_SIZE,
	};

	mcl_sys2(__NR_sigaltstack, &stack, 0);
	for (;;) {
		uint32_t aborted, state;

		while ((state = atomic_load(&u->state)) != TEST_GO)
			mcl_futex_wait(&u->state, state);
		aborted = (uint32_t)mcl_guarded(&u->guard, run, u);
		atomic_store(&u->state, aborted ? TEST_FAULTED : TEST_DONE);
		mcl_futex_wake(&u->state, INT32_MAX);
	}
}

static uint64_t stack_top(uint64_t index)
{
	return TEST_BASE + TEST_STACKS_OFFSET + (index + 1) * 2 * TEST_STACK_SIZE;
}

/* On a stack in the window. */
_Noreturn void mcl_engine_main(void)
{
	const unsigned long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
	struct {
		uint64_t handler, flags, restorer, mask;
	} action = { (uint64_t)mcl_signal_entry, SA_SIGINFO | SA_ONSTACK | SA_RESTORER, (uint64_t)mcl_signal_return,
		     ~0ull };

	mcl_sys2(__NR_munmap, 0, TEST_BASE);
	mcl_sys2(__NR_munmap, TEST_BASE + TEST_TOTAL_SIZE, 0x7ffffffff000ull - TEST_BASE - TEST_TOTAL_SIZE);
	mcl_sys2(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL);
	mcl_sys4(__NR_rt_sigaction, SIGSEGV, &action, 0, 8);
	mcl_sys4(__NR_rt_sigaction, SIGBUS, &action, 0, 8);
	if (mcl_boot_uffd(&control->control))
		mcl_exit_group(110);
	for (uint32_t i = 1; i < TEST_UNITS; i++)
		if (mcl_thread_start(flags, stack_top(i), unit_main, &control->units[i]) < 0)
			mcl_exit_group(111);
	atomic_store(&control->control.ready, 1);
	unit_main(&control->units[0]);
	mcl_exit_group(112);
}

_Noreturn void mcl_exec_main(const uint64_t *stack)
{
	const struct {
		uint64_t offset, size;
	} parts[] = { { 0, TEST_CONTROL_SIZE }, { TEST_STACKS_OFFSET, TEST_STACKS_SIZE } };

	(void)stack;
	for (uint32_t i = 0; i < 2; i++)
		if (mcl_sys6(__NR_mmap, (long)(TEST_BASE + parts[i].offset), (long)parts[i].size, 3,
			     MAP_SHARED | MAP_FIXED, 3, (long)parts[i].offset) < 0)
			mcl_exit_group(113);
	mcl_jump(stack_top(0), (uint64_t)mcl_window_entry);
}
