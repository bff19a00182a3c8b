/* SPDX-License-Identifier: MIT */
/* What cannot be written in C: entries, stack switches, the landing of an aborted kernel. */

	.text

/* Entry of an exec'ed engine: the kernel's initial stack holds argc and argv. */
	.globl _start
	.type _start, @function
_start:
	xorl	%ebp, %ebp
	movq	%rsp, %rdi
	andq	$-16, %rsp
	call	mcl_exec_main
	ud2

/* Entry in the window, on the first unit's stack. */
	.globl mcl_window_entry
	.hidden mcl_window_entry
	.type mcl_window_entry, @function
mcl_window_entry:
	xorl	%ebp, %ebp
	cld
	andq	$-16, %rsp
	call	mcl_engine_main
	ud2

/* _Noreturn void mcl_jump(uint64_t stack, uint64_t target) */
	.globl mcl_jump
	.hidden mcl_jump
	.type mcl_jump, @function
mcl_jump:
	movq	%rdi, %rsp
	xorl	%ebp, %ebp
	jmp	*%rsi

/* long mcl_thread_start(unsigned long flags, uint64_t stack, void (*fn)(void *), void *arg) */
	.globl mcl_thread_start
	.hidden mcl_thread_start
	.type mcl_thread_start, @function
mcl_thread_start:
	movq	%rdx, %r8
	movq	%rcx, %r9
	movl	$56, %eax	/* clone */
	xorl	%edx, %edx
	xorl	%r10d, %r10d
	/* r8 (tls) is ignored without CLONE_SETTLS; r9 is kept by the kernel */
	syscall
	testq	%rax, %rax
	jz	1f
	ret
1:	xorl	%ebp, %ebp
	movq	%r9, %rdi
	andq	$-16, %rsp
	call	*%r8
	ud2

/*
 * int mcl_guarded(struct mcl_guard *guard, void (*fn)(void *), void *arg)
 * struct mcl_guard: 0 saved stack pointer, 8 armed, 16 stack, 24 self.
 *
 * A kernel that writes beyond its private arrays may have overwritten what fn() restores: nothing that comes back from it is believed.
 */
	.globl mcl_guarded
	.hidden mcl_guarded
	.type mcl_guarded, @function
mcl_guarded:
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	pushq	%rdi
	movq	%rdi, %rbx
	movq	%rsp, 0(%rbx)
	movq	%rbx, 24(%rbx)
	movq	$1, 8(%rbx)
	movq	16(%rbx), %rcx
	testq	%rcx, %rcx
	cmovnzq	%rcx, %rsp
	movq	%rsi, %rax
	movq	%rdx, %rdi
	call	*%rax
	cmpq	%rbx, 24(%rbx)
	jne	mcl_guard_smashed
	movq	0(%rbx), %rsp
	popq	%rdi
	movq	$0, 8(%rbx)
	xorl	%eax, %eax
2:	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret

	.globl mcl_guard_smashed
	.hidden mcl_guard_smashed
mcl_guard_smashed:
	ud2

/* rdi: the guard. Whatever the kernel did to flags and floating-point state is undone here. */
	.globl mcl_guard_landing
	.hidden mcl_guard_landing
	.globl mcl_guard_leave
	.hidden mcl_guard_leave
mcl_guard_landing:
mcl_guard_leave:
	movq	$0, 8(%rdi)
	movq	0(%rdi), %rsp
	cld
	fninit
	pushq	$0x1f80
	ldmxcsr	(%rsp)
	addq	$16, %rsp	/* that, and the saved rdi */
	movl	$1, %eax
	jmp	2b

/* The kernel has cleared the direction flag; a kernel may have left alignment checking on. */
	.globl mcl_signal_entry
	.hidden mcl_signal_entry
	.type mcl_signal_entry, @function
mcl_signal_entry:
	pushfq
	andq	$~0x40000, (%rsp)
	popfq
	jmp	mcl_signal_handle

	.globl mcl_signal_return
	.hidden mcl_signal_return
	.type mcl_signal_return, @function
mcl_signal_return:
	movl	$15, %eax	/* rt_sigreturn */
	syscall
	ud2

	.section .note.GNU-stack, "", @progbits
