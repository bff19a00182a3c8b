// SPDX-License-Identifier: MIT
/* For test_elf_image.c: calls a function that the device does not have. */
void no_such_function(void);
void entry(void);

void entry(void)
{
	no_such_function();
}
