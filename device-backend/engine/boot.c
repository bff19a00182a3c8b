// SPDX-License-Identifier: MIT
/*
 * The engine's start: from the first instruction in the window to running compute units. What a mirror with an address
 * space of its own has to do before that is in boot_exec.c and boot_uffd.c.
 */
#include <linux/close_range.h>
#include <linux/prctl.h>
#include <linux/sched.h>

#include <asm/prctl.h>

#include "engine/engine.h"
#include "engine/sys.h"

#define SIGKILL_NR 9

void mcl_window_entry(void);
_Noreturn void mcl_engine_main(void);

__attribute__((section(".mcl_image"), used)) struct mcl_engine_image mcl_image = {
	.magic = MCL_CONTROL_MAGIC,
	.entry = (uint64_t)mcl_window_entry,
	.sym_memcpy = (uint64_t)memcpy,
	.sym_memset = (uint64_t)memset,
	.sym_memmove = (uint64_t)memmove,
	.sym_snprintf = (uint64_t)mcl_kernel_snprintf,
	.sym_write = (uint64_t)mcl_kernel_write,
};

/*
 * A child of clone(CLONE_VM): leave the host's things alone. Descriptors were copied, the thread pointer is that of the thread
 * which made us.
 */
static long boot_shared(void)
{
	mcl_sys3(__NR_close_range, 0, ~0u, 0);
	return mcl_sys2(__NR_arch_prctl, ARCH_SET_FS, 0);
}

/* Everything that the exec'ed program had mapped goes: initial stack, its own image, vdso. */
static long boot_exec(struct mcl_engine_control *c)
{
	const uint64_t end = c->window_base + c->window_size;
	const uint64_t user_end = 0x7ffffffff000ull;
	long err;

	err = mcl_sys2(__NR_munmap, 0, c->window_base);
	if (!err && end < user_end)
		err = mcl_sys2(__NR_munmap, end, user_end - end);
	if (err)
		return err;
	return c->boot.kind == MCL_BOOT_HMM ? mcl_boot_hmm(c) : mcl_boot_uffd(c);
}

static _Noreturn void give_up(struct mcl_engine_control *c, long err)
{
	atomic_store(&c->ready, (int32_t)err);
	mcl_futex_wake((_Atomic uint32_t *)&c->ready, INT32_MAX);
	mcl_exit_group(1);
}

static void unit_thread(void *cu)
{
	mcl_unit_main(cu);
}

_Noreturn void mcl_engine_main(void)
{
	struct mcl_engine_control *c = mcl_control();
	struct mcl_cu *cus = (struct mcl_cu *)c->cus;
	const unsigned long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
	long err;

	/*
	 * The engine never outlives the thread that made it. If that is gone already, the parent is another process by now.
	 */
	mcl_sys2(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL_NR);
	if (mcl_sys0(__NR_getppid) != c->host_pid)
		mcl_exit_group(0);
	mcl_sys2(__NR_prctl, PR_SET_NAME, "mirrorcl-engine");

	err = c->boot.kind == MCL_BOOT_SHARED ? boot_shared() : boot_exec(c);
	if (!err)
		err = mcl_signals_install();
	if (err)
		give_up(c, err);
	atomic_store(&c->engine_pid, (int32_t)mcl_sys0(__NR_getpid));
	for (uint32_t i = 1; i < c->cu_count; i++) {
		err = mcl_thread_start(flags, cus[i].engine_stack_top, unit_thread, &cus[i]);
		if (err < 0)
			give_up(c, err);
	}
	atomic_store(&c->ready, 1);
	mcl_futex_wake((_Atomic uint32_t *)&c->ready, INT32_MAX);
	mcl_unit_main(&cus[0]);
}
