// SPDX-License-Identifier: MIT
/* For test_elf_image.c: wants the loader to call a resolver. */
int entry(void);
int chosen(void) __attribute__((ifunc("choose")));

static int one(void)
{
	return 1;
}

static int two(void)
{
	return 2;
}

volatile int which; /* or clang would choose at compile time */

static int (*choose(void))(void)
{
	return which ? one : two;
}

int entry(void)
{
	return chosen();
}
