// SPDX-License-Identifier: MIT
/*
 * Kernels that fail. The processor's exceptions arrive as signals on a stack of their own; the handler notes what happened
 * and rewrites the interrupted context so that it goes on at the landing of the unit's guard. Everything else (status,
 * report, the other units) is done there, in ordinary code.
 *
 * A signal while no guard is armed is a bug of the engine itself; then it ends, and the host sees a lost device.
 */
#include <asm/siginfo.h>
#include <asm/signal.h>
#include <asm/sigcontext.h>

#include "engine/engine.h"
#include "engine/sys.h"

#define FLAG_TRAP 0x100ull
#define FLAG_DIRECTION 0x400ull
#define FLAG_ALIGNMENT 0x40000ull

#define TRAP_STACK 12 /* the next, with an address out of the stack or frame register */
#define TRAP_PROTECTION 13
#define TRAP_PAGE 14
#define ERROR_FETCH 16 /* of a page fault */
#define RET 0xc3 /* the instruction */
#define FRAME_MAX (1ull << 32) /* a stack pointer that is farther away was not made by subtracting */
#define RED_ZONE 128 /* below the stack pointer, for functions that call none */

#define STATUS_FAULT (-2)
#define STATUS_TRAP (-3)
#define STATUS_RESOURCES (-4)

struct kernel_sigaction {
	uint64_t handler, flags, restorer, mask;
};

struct kernel_ucontext {
	unsigned long uc_flags;
	void *uc_link;
	stack_t uc_stack;
	struct sigcontext mcontext;
};

static const int caught[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, MCL_ABORT_SIGNAL };

#define BIT(signo) (1ull << ((signo) - 1))

long mcl_signals_install(void)
{
	struct kernel_sigaction action = {
		.handler = (uint64_t)mcl_signal_entry,
		.flags = SA_SIGINFO | SA_ONSTACK | SA_RESTORER,
		.restorer = (uint64_t)mcl_signal_return,
		.mask = ~0ull,
	};
	long err = 0;

	/* Nothing that is sent to the host's process group is meant for the engine, so all others stay blocked. */
	for (unsigned int i = 0; !err && i < sizeof(caught) / sizeof(*caught); i++)
		err = mcl_sys4(__NR_rt_sigaction, caught[i], &action, 0, 8);
	return err;
}

long mcl_signals_thread(struct mcl_cu *cu)
{
	stack_t stack = {
		.ss_sp = (void *)cu->signal_stack,
		.ss_size = MCL_CU_SIGNAL_STACK_SIZE,
	};
	uint64_t mask = ~0ull;
	long err;

	for (unsigned int i = 0; i < sizeof(caught) / sizeof(*caught); i++)
		mask &= ~BIT(caught[i]);
	err = mcl_sys2(__NR_sigaltstack, &stack, 0);
	return err ? err : mcl_sys4(__NR_rt_sigprocmask, SIG_SETMASK, &mask, 0, 8);
}

static bool packet_failed(const struct mcl_cu *cu)
{
	struct mcl_engine_control *c = mcl_control();
	const uint64_t packet = atomic_load(&cu->packet);
	struct mcl_command_ring *ring;

	if (packet == MCL_CU_NONE)
		return false;
	ring = mcl_ring_at(c, (uint32_t)(packet >> 48));
	return atomic_load(&ring->slots[packet % MCL_RING_SLOTS].status) != 0;
}

/* Bits 47 to 63 of an address are alike. */
static bool is_canonical(uint64_t address)
{
	return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

static void find_suspects(struct mcl_cu_fault *fault, const struct sigcontext *regs)
{
	const uint64_t values[] = {
		regs->rax, regs->rcx, regs->rdx, regs->rbx, regs->rsp, regs->rbp, regs->rsi, regs->rdi,
		regs->r8,  regs->r9,  regs->r10, regs->r11, regs->r12, regs->r13, regs->r14, regs->r15,
	};

	fault->suspect_count = 0;
	for (uint32_t i = 0; i < sizeof(values) / sizeof(*values) && fault->suspect_count < MCL_FAULT_SUSPECTS; i++) {
		if (is_canonical(values[i]))
			continue;
		fault->suspect_register[fault->suspect_count] = i;
		fault->suspect[fault->suspect_count++] = values[i];
	}
}

static bool in_gap(const struct mcl_cu *cu, enum mcl_gap gap, uint64_t address)
{
	return address - cu->gaps[gap].start < cu->gaps[gap].size;
}

static bool on_stack(const struct mcl_cu *cu, uint64_t address)
{
	return address >= cu->stack_low && address + sizeof(uint64_t) <= cu->stack_top;
}

/*
 * Whether a return address was no good: the instruction that returns fails if it is not canonical, and the next one if there is no
 * code. *@address: the return address.
 */
static bool returned_to_nowhere(const struct mcl_cu *cu, const struct mcl_cu_fault *fault, uint64_t *address)
{
	if (fault->trap == TRAP_PAGE && fault->error & ERROR_FETCH && on_stack(cu, fault->sp - 8))
		*address = *(const uint64_t *)(fault->sp - 8);
	else if (fault->trap == TRAP_PROTECTION && on_stack(cu, fault->sp) &&
		 fault->pc - mcl_control()->window_base < mcl_control()->window_size &&
		 *(const uint8_t *)fault->pc == RET)
		*address = *(const uint64_t *)fault->sp;
	else
		return false;
	return fault->trap == TRAP_PROTECTION || *address == fault->pc;
}

/* What the kernel did to its own stack and local memory. */
static void look_at_stack(const struct mcl_cu *cu, struct mcl_cu_fault *fault)
{
	uint64_t target;

	fault->stack_overflow = fault->overrun = 0;
	if (fault->sp < cu->stack_low && cu->stack_low - fault->sp < FRAME_MAX)
		fault->stack_overflow = 1;
	else if (fault->sp < cu->stack_low || fault->sp > cu->stack_top || fault->pc == (uint64_t)mcl_guard_smashed)
		fault->overrun = MCL_OVERRUN_FRAME;
	else if (returned_to_nowhere(cu, fault, &target)) {
		fault->overrun = MCL_OVERRUN_RETURN;
		fault->address = target;
	} else if (fault->trap != TRAP_PAGE)
		return;
	else if (in_gap(cu, MCL_GAP_BELOW, fault->address) && fault->address + RED_ZONE >= fault->sp)
		fault->stack_overflow = 1; /* what is pushed, or called, comes right below the stack pointer */
	else if (in_gap(cu, MCL_GAP_BELOW, fault->address))
		fault->overrun = MCL_OVERRUN_BELOW;
	else if (in_gap(cu, MCL_GAP_ABOVE, fault->address))
		fault->overrun = fault->address - cu->stack_top < cu->local_memory - fault->address ?
					 MCL_OVERRUN_ABOVE :
					 MCL_OVERRUN_LOCAL_BELOW;
	else if (in_gap(cu, MCL_GAP_LOCAL, fault->address))
		fault->overrun = MCL_OVERRUN_LOCAL_ABOVE;
}

void mcl_signal_handle(int signo, void *info, void *context)
{
	const siginfo_t *si = info;
	struct sigcontext *regs = &((struct kernel_ucontext *)context)->mcontext;
	struct mcl_cu *cu = mcl_self();
	struct mcl_cu_fault *fault = &cu->fault;

	if (signo == MCL_ABORT_SIGNAL) {
		/* Late, or while the unit waits for the host, which looks for itself afterwards. */
		if (!cu->guard.armed || atomic_load(&cu->in_call) || !packet_failed(cu))
			return;
		fault->signo = signo;
	} else {
		/* SI_USER and the like: somebody sent it. Not ours to obey. */
		if (si->si_code <= 0)
			return;
		if (!cu->guard.armed)
			mcl_exit_group(128 + signo);
		fault->signo = signo;
		fault->code = si->si_code;
		fault->trap = (uint32_t)regs->trapno;
		fault->error = (uint32_t)regs->err;
		fault->address = (uint64_t)si->si_addr;
		fault->pc = regs->rip;
		fault->sp = regs->rsp;
		if (fault->trap == TRAP_STACK || fault->trap == TRAP_PROTECTION)
			find_suspects(fault, regs);
		if (mcl_control()->boot.kind == MCL_BOOT_UFFD && (signo == SIGBUS || signo == SIGSEGV))
			mcl_boot_forget_fault(fault->address);
		look_at_stack(cu, fault);
	}
	regs->rip = (uint64_t)mcl_guard_landing;
	regs->rdi = (uint64_t)&cu->guard;
	regs->eflags &= ~(FLAG_TRAP | FLAG_DIRECTION | FLAG_ALIGNMENT);
	cu->guard.armed = 0;
}

static int32_t status_of(const struct mcl_cu_fault *fault)
{
	if (fault->stack_overflow)
		return STATUS_RESOURCES;
	if ((fault->signo == SIGSEGV && fault->trap != 17) || (fault->signo == SIGBUS && fault->code != BUS_ADRALN))
		return STATUS_FAULT;
	return STATUS_TRAP;
}

uint64_t mcl_abort_packet(struct mcl_cu *cu, struct mcl_packet *p)
{
	struct mcl_engine_control *c = mcl_control();
	const uint64_t packet = atomic_load(&cu->packet);
	struct mcl_cu *cus = (struct mcl_cu *)c->cus;
	uint64_t cursor, rest;
	int32_t ok = 0;
	bool first;

	cu->printf_position = 0;
	if (cu->fault.signo == MCL_ABORT_SIGNAL)
		return 0;
	first = atomic_compare_exchange_strong(&p->status, &ok, status_of(&cu->fault));
	cursor = atomic_load(&p->cursor);
	do {
		rest = p->total - MCL_CURSOR_GROUP(cursor);
	} while (!atomic_compare_exchange_weak(&p->cursor, &cursor, cursor + rest));
	/*
	 * The others may be waiting for the group that just died. Whoever claimed before the line above has already
	 * set .packet; whoever runs a group later looks at .status first.
	 */
	for (uint32_t i = 0; i < c->cu_count; i++)
		if (&cus[i] != cu && atomic_load(&cus[i].packet) == packet)
			mcl_sys3(__NR_tgkill, atomic_load(&c->engine_pid), atomic_load(&cus[i].tid), MCL_ABORT_SIGNAL);
	if (first) {
		cu->fault.ring = (uint32_t)(packet >> 48);
		cu->fault.seq = packet & ((1ull << 48) - 1);
		cu->fault.group = atomic_load(&cu->group);
		if (p->op == MCL_OP_KERNEL)
			atomic_fetch_add_explicit(&cu->aborts, 1, memory_order_relaxed);
		mcl_hostcall(cu, MCL_CALL_FAULT);
	}
	return rest;
}
