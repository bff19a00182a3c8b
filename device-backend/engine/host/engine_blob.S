/* SPDX-License-Identifier: MIT */
/* The engine's executable, inside the library. */
	.section .rodata, "a", @progbits
	.globl mcl_engine_elf
	.hidden mcl_engine_elf
	.globl mcl_engine_elf_end
	.hidden mcl_engine_elf_end
	.balign 16
mcl_engine_elf:
	.incbin MCL_ENGINE_PATH
mcl_engine_elf_end:
	.byte 0
	.section .note.GNU-stack, "", @progbits
