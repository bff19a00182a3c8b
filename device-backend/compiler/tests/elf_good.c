// SPDX-License-Identifier: MIT
/* For test_elf_image.c: uses every relocation that the loader knows. Built without libc. */
typedef unsigned long u64;
void *memset(void *, int, u64);
void *memcpy(void *, const void *, u64);
int there_is_no_such_function(void) __attribute__((weak));
void entry(unsigned char **args, void *ctx, u64 gx, u64 gy, u64 gz);

static const u64 constant[2] = { 1, 42 };
static u64 data[2] = { 3, 7 };
static u64 *const pointer = &data[1];
u64 *volatile const exported_pointer = &data[1];
static u64 zeroed[2048];
u64 writable = 98;

static u64 four(void)
{
	return 4;
}

static u64 five(void)
{
	return 5;
}

static u64 (*volatile const table[])(void) = { four, five };

void entry(unsigned char **args, void *ctx, u64 gx, u64 gy, u64 gz)
{
	u64 *out = *(u64 **)args[0];
	volatile u64 size = 8;

	(void)ctx;
	out[0] = constant[1 + gx];
	out[1] = *exported_pointer + (pointer != exported_pointer);
	out[2] = zeroed[2047 - gy];
	out[3] = table[1 + gz]();
	memset(&out[4], 1, size);
	memcpy(&out[5], &out[0], size);
	out[6] = there_is_no_such_function ? 1 : 0;
	out[7] = ++writable;
}
