// SPDX-License-Identifier: MIT
/* For test_elf_image.c: wants to run when it is loaded. */
void entry(void);
volatile int constructed; /* or clang would construct at compile time */

__attribute__((constructor)) static void construct(void)
{
	constructed = 1;
}

void entry(void)
{
}
