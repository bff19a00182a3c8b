// SPDX-License-Identifier: MIT
/* For test_elf_image.c: has thread-local storage. */
__thread int per_thread = 1;
int entry(void);

int entry(void)
{
	return per_thread;
}
