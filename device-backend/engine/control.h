/* SPDX-License-Identifier: MIT */
/*
 * The control block: the memory at window.layout.control_offset, which is 0, that host and engine share. Plain layout, no pointers
 * except addresses in the window, which are the same on both sides.
 *
 *   struct mcl_engine_control | struct mcl_cu[cu_count] | struct mcl_command_ring[MCL_RINGS]
 *
 * Boot. The engine's ELF has two entries. The host copies the image into the window and relocates it for the window's
 * base (engine/host/image.c); the `shared` mirror starts a child right at mcl_engine_image.entry there. A mirror that
 * needs a process with an address space of its own execs the same ELF; its _start (start.S, boot_exec.c) takes three arguments in
 * hexadecimal, argv[1..3]: the window's base, its total size and the number of a descriptor of its memfd, maps the window as
 * .maps says, closes that descriptor, jumps to mcl_engine_image.entry in it, unmaps everything else and calls the boot
 * code of that mirror.
 */
#ifndef MCL_CONTROL_H
#define MCL_CONTROL_H

#include <stdatomic.h>
#include <stdint.h>

#include "engine/command_ring.h"

#define MCL_CONTROL_MAGIC 0x6c7274634c434d01ull
#define MCL_MAX_CUS 1024

/* ---- image ---- */

/*
 * Section ".mcl_image" of the engine's ELF: where things are. Relocated with the image, so that in the window these are
 * window addresses. The host fills in .control before the engine starts.
 */
struct mcl_engine_image {
	uint64_t magic; /* MCL_CONTROL_MAGIC */
	uint64_t control; /* struct mcl_engine_control */
	uint64_t entry; /* void entry(void), on the first unit's stack */
	uint64_t sym_memcpy, sym_memset, sym_memmove, sym_snprintf, sym_write; /* what kernels call */
};

/* ---- boot ---- */

enum mcl_boot_kind {
	MCL_BOOT_SHARED, /* clone(CLONE_VM) of the host */
	/* a process of its own; this mirror's boot code runs when the window is all that is mapped */
	MCL_BOOT_UFFD, /* mcl_boot_uffd() */
	MCL_BOOT_HMM, /* mcl_boot_hmm() */
};

/* Parts of the window that are not plain PROT_READ|PROT_WRITE, beside the gaps of the units. */
struct mcl_engine_map {
	uint64_t offset, size;
	uint32_t prot, reserved;
};

#define MCL_BOOT_MAPS 16
#define MCL_BOOT_FDS 8
#define MCL_BOOT_RANGES 16

/* What a mirror's start() tells its own boot code; meaning is the mirror's. Set before the engine starts. */
struct mcl_engine_boot {
	uint32_t kind; /* enum mcl_boot_kind */
	uint32_t fd_count, range_count;
	int32_t fds[MCL_BOOT_FDS];
	struct {
		uint64_t start, size, arg;
	} ranges[MCL_BOOT_RANGES];
	uint64_t params[8];
	_Atomic uint64_t results[8]; /* engine to host, before .ready */
	uint32_t settle; /* not 0: units call mcl_boot_settle() */
	_Atomic uint32_t words[4] __attribute__((aligned(64))); /* both ways, while the engine runs */
};

/* ---- compute units ---- */

enum mcl_hostcall_op {
	MCL_CALL_WRITE = 1, /* .size bytes of .data to descriptor .fd */
	MCL_CALL_FORMAT, /* .data is a printf format of one double, .value; answer in .data */
	MCL_CALL_FAULT, /* report .fault of this unit to the user */
	MCL_CALL_REFRESH, /* let the pager look at what it cannot watch (control.refresh) */
	MCL_CALL_FLUSH, /* let the pager write back stores to copies of host memory (control.flush) */
};

enum mcl_hostcall_state {
	MCL_CALL_IDLE,
	MCL_CALL_POSTED, /* by the unit; futex */
	MCL_CALL_DONE, /* by the host's service thread */
};

#define MCL_CALL_DATA 16384

struct mcl_hostcall {
	_Atomic uint32_t state;
	uint32_t op;
	int32_t fd;
	uint32_t size; /* bytes in .data; FORMAT: in the capacity, out the bytes */
	int64_t result;
	double value;
	char data[MCL_CALL_DATA];
};

#define MCL_FAULT_SUSPECTS 3

/* How a kernel left memory of its own that only it may use. */
enum mcl_overrun {
	MCL_OVERRUN_NONE,
	MCL_OVERRUN_ABOVE, /* .address is above the stack */
	MCL_OVERRUN_BELOW, /* below the stack, and not because that is too small */
	MCL_OVERRUN_LOCAL_BELOW, /* below local memory */
	MCL_OVERRUN_LOCAL_ABOVE,
	MCL_OVERRUN_RETURN, /* it has overwritten where to return to: that is .address now */
	MCL_OVERRUN_FRAME, /* or what was to be restored then */
};

/* What a kernel did wrong. */
struct mcl_cu_fault {
	int32_t signo, code; /* si_code */
	uint32_t trap; /* processor exception: 14 page fault, 13 general protection ... */
	uint32_t error; /* page-fault error code: 2 write, 16 instruction fetch */
	uint64_t address, pc, sp;
	uint32_t ring, stack_overflow;
	uint32_t overrun, reserved; /* enum mcl_overrun */
	uint64_t seq, group; /* packet, linear group number */
	/*
	 * Exceptions 12 and 13 come without an address. Registers that hold what can be none, numbered as in the processor's
	 * instructions (0 rax, 1 rcx ... 15 r15): nearly always one of them is it.
	 */
	uint32_t suspect_count;
	uint32_t suspect_register[MCL_FAULT_SUSPECTS];
	uint64_t suspect[MCL_FAULT_SUSPECTS];
};

/* Where the unit goes on when what it runs is aborted; layout known to start.S. */
struct mcl_guard {
	uint64_t sp;
	uint64_t armed;
	uint64_t stack; /* top of the stack that guarded code runs on; 0: that of the caller */
	uint64_t self; /* its own address */
};

/* What a unit has learned of a kernel. */
struct mcl_pace {
	uint64_t entry; /* in the window */
	uint64_t ticks; /* for 1024 groups; not 0 */
};

#define MCL_PACES 16

enum mcl_gap {
	MCL_GAP_BELOW, /* the stack */
	MCL_GAP_ABOVE, /* the stack; local memory is on the other side */
	MCL_GAP_LOCAL, /* above local memory */
	MCL_GAPS
};

/* One compute unit: a thread of the engine. Counters are written by the unit alone. */
struct mcl_cu {
	struct mcl_guard guard;
	uint32_t index;
	_Atomic uint32_t tid;
	_Atomic uint64_t packet; /* what it runs: MCL_CU_PACKET(ring, seq), or MCL_CU_NONE */
	_Atomic uint64_t group; /* linear number of the group it runs */
	_Atomic uint32_t in_call; /* waits for the host: an abort is taken afterwards */
	uint32_t next_ring; /* where it looks first */
	uint32_t last_ring; /* what it claimed from last; MCL_RINGS: it has turned away */
	struct mcl_pace pace[MCL_PACES]; /* see claim.c */
	uint32_t patient; /* it lets packets pile up; see learn() */
	uint32_t doubt, retry; /* packets between two tries, and until the next */
	_Atomic uint64_t kernels, groups, aborts;
	/* its memory, all in the window */
	uint64_t stack_low, stack_top; /* what runs under the guard uses that, kernels above all */
	uint64_t engine_stack_top; /* the rest uses another, which no kernel's array lies on */
	uint64_t signal_stack, local_memory, args, printf_buffer;
	struct {
		uint64_t start, size;
	} gaps[MCL_GAPS]; /* any access fails */
	uint32_t printf_position, reserved;
	struct mcl_cu_fault fault;
	struct mcl_hostcall call;
} __attribute__((aligned(4096)));

#define MCL_CU_NONE UINT64_MAX
#define MCL_CU_PACKET(ring, seq) ((uint64_t)(ring) << 48 | ((seq) & ((1ull << 48) - 1)))

/* Parts of a unit's piece of the stacks area, from low to high addresses. */
#define MCL_CU_STACK_SIZE (8ull << 20)
#define MCL_CU_SIGNAL_STACK_SIZE (64ull << 10)
#define MCL_CU_LOCAL_SIZE (1ull << 20) /* twice what the device promises: blocks are rounded up */
#define MCL_CU_MAX_ARGS 8192u /* arguments and automatic locals */
#define MCL_CU_ARGS_SIZE (2ull * 8 * MCL_CU_MAX_ARGS)
#define MCL_CU_PRINTF_SIZE (1ull << 20)
#define MCL_CU_ENGINE_STACK_SIZE (256ull << 10)
#define MCL_CU_REST_SIZE                                                                                               \
	(MCL_CU_STACK_SIZE + MCL_CU_LOCAL_SIZE + MCL_CU_ARGS_SIZE + MCL_CU_PRINTF_SIZE + MCL_CU_SIGNAL_STACK_SIZE +    \
	 MCL_CU_ENGINE_STACK_SIZE)

/* ---- the block ---- */

struct mcl_engine_control {
	uint64_t magic;
	/* set by the host before the engine starts, constant */
	uint64_t window_base, window_size;
	uint64_t image; /* address of struct mcl_engine_image */
	uint64_t cus; /* address of struct mcl_cu[cu_count] */
	uint64_t rings; /* address of struct mcl_command_ring[MCL_RINGS] */
	uint64_t stacks; /* address of the stacks area */
	uint64_t cu_stride; /* bytes of the stacks area for each unit: gaps + MCL_CU_REST_SIZE */
	uint64_t slice_ticks; /* how long a unit stays with one packet while others wait */
	uint32_t cu_count;
	uint32_t use_tsc; /* engine clock is the TSC, else CLOCK_MONOTONIC in ns */
	int32_t host_pid; /* the engine ends if its parent is another */
	uint32_t map_count;
	struct mcl_engine_map maps[MCL_BOOT_MAPS];
	struct mcl_engine_boot boot;

	/* boot: 0 until the units run, then 1; or a negative errno just before the engine gives up. Futex. */
	_Atomic int32_t ready __attribute__((aligned(64)));
	_Atomic int32_t engine_pid;

	/* host -> engine */
	struct {
		_Atomic uint32_t epoch __attribute__((aligned(64)));
		_Atomic uint32_t sleepers __attribute__((aligned(64)));
		_Atomic uint32_t spinner; /* 1 + index of the unit that polls, or 0 */
		_Atomic uint64_t turns; /* how often a unit turned away from a ring, to another or to idle */
		struct mcl_spin spin; /* of that unit */
	} bell;

	/* engine -> the host's service thread: it waits for .epoch to change; the flags say why */
	struct {
		_Atomic uint32_t epoch __attribute__((aligned(64)));
		_Atomic uint32_t asleep;
		_Atomic uint32_t calls; /* some unit posted a host call */
		_Atomic uint32_t notify; /* a packet with MCL_PKT_NOTIFY completed, or somebody kicked */
	} host_bell;

	/*
	 * Host: the device has copies of host memory, or mappings, whose change by the host nobody reports. A unit that begins
	 * with a packet asks for MCL_CALL_REFRESH first; then they are new or gone.
	 */
	_Atomic uint32_t refresh __attribute__((aligned(64)));
	/* Host: some of those copies are writable. The unit that completes a packet asks for MCL_CALL_FLUSH first. */
	_Atomic uint32_t flush;

	/* rings that exist */
	_Atomic uint64_t active[MCL_RINGS / 64] __attribute__((aligned(64)));
} __attribute__((aligned(4096)));

/* ---- boot code of the mirrors that exec the engine (boot_uffd.c, boot_hmm.c) ---- */

/*
 * Each runs on the first unit, once, before any other unit exists, with only the window mapped (read-write and as .maps
 * says). Returns 0 or a negative errno, which the host reports as the reason why the engine did not start.
 */
int mcl_boot_uffd(struct mcl_engine_control *control);
int mcl_boot_hmm(struct mcl_engine_control *control);

/*
 * Units call it, if boot.settle is set, between seeing that the host has added packets and running any of them. It returns when
 * the device sees every change that the host had made to its address space before the call. It may sleep. Cheap if nothing
 * is changing, but not free: one call serves all packets that were added before it.
 */
void mcl_boot_settle(struct mcl_engine_control *control);

/*
 * A unit took SIGBUS or SIGSEGV at @address in a kernel and will abort it. Runs in the signal handler, only on the uffd
 * mirror: raw system calls only. Lets it clear what it had put there to make the access fail.
 */
void mcl_boot_forget_fault(uint64_t address);

#endif
