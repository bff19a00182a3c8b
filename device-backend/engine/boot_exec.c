// SPDX-License-Identifier: MIT
/*
 * The exec'ed engine's first steps, for mirrors that give it an address space of its own: map the window and go on in its
 * copy of this program. Runs where the kernel loaded the file and before any relocation, so it uses no pointer
 * that is stored in data.
 */
#include <linux/mman.h>

#include "engine/engine.h"
#include "engine/sys.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#define PROT_READ_WRITE 3

/* Exit codes, seen by a mirror's start() when the engine ends before it is ready. */
enum {
	EXIT_ARGUMENTS = 100,
	EXIT_MAP,
	EXIT_CONTROL,
	EXIT_PROTECT,
};

_Noreturn void mcl_exec_main(const uint64_t *stack);
_Noreturn void mcl_jump(uint64_t stack, uint64_t target);

static bool parse_hex(const char *text, uint64_t *out)
{
	uint64_t value = 0;

	if (!text || !*text)
		return false;
	for (; *text; text++) {
		unsigned int digit = (unsigned char)*text;

		if (digit - '0' < 10)
			digit -= '0';
		else if ((digit | 32) - 'a' < 6)
			digit = (digit | 32) - 'a' + 10;
		else
			return false;
		value = value << 4 | digit;
	}
	*out = value;
	return true;
}

_Noreturn void mcl_exec_main(const uint64_t *stack)
{
	const uint64_t argc = stack[0];
	const char *const *argv = (const char *const *)(stack + 1);
	const struct mcl_engine_image *image;
	const struct mcl_engine_control *c;
	uint64_t base, size, fd;

	if (argc < 4 || !parse_hex(argv[1], &base) || !parse_hex(argv[2], &size) || !parse_hex(argv[3], &fd))
		mcl_exit_group(EXIT_ARGUMENTS);
	if (mcl_sys6(__NR_mmap, (long)base, (long)size, PROT_READ_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, (long)fd,
		     0) != (long)base)
		mcl_exit_group(EXIT_MAP);
	mcl_sys1(__NR_close, fd);
	/* The control block is the first thing in the window. */
	c = (const struct mcl_engine_control *)base;
	if (c->magic != MCL_CONTROL_MAGIC || c->window_base != base || c->window_size != size)
		mcl_exit_group(EXIT_CONTROL);
	image = (const struct mcl_engine_image *)c->image;
	for (uint32_t i = 0; i < c->map_count; i++)
		if (mcl_sys3(__NR_mprotect, base + c->maps[i].offset, c->maps[i].size, c->maps[i].prot))
			mcl_exit_group(EXIT_PROTECT);
	for (uint32_t i = 0; i < c->cu_count; i++) {
		const struct mcl_cu *cu = (const struct mcl_cu *)c->cus + i;

		for (uint32_t k = 0; k < MCL_GAPS; k++)
			if (mcl_sys3(__NR_mprotect, cu->gaps[k].start, cu->gaps[k].size, 0))
				mcl_exit_group(EXIT_PROTECT);
	}
	mcl_jump(((const struct mcl_cu *)c->cus)->engine_stack_top, image->entry);
}
