// SPDX-License-Identifier: MIT
/* See pages.h. */
#include <stdlib.h>
#include <sys/mman.h>

#include "pages.h"

unsigned char *conf_lonely_pages(size_t pages)
{
	const size_t huge = 2 << 20;
	unsigned char *p = conf_map(pages * PAGE + 3 * huge, PROT_NONE, MAP_PRIVATE | MAP_NORESERVE);

	p = (unsigned char *)(((uintptr_t)p + 2 * huge - 1) & ~(huge - 1));
	assert_int_equal(mprotect(p, pages * PAGE, PROT_READ | PROT_WRITE), 0);
	return p;
}

void conf_touch(unsigned char *p, size_t pages, bool write, cl_uint expected)
{
	cl_kernel kernel = conf_kernel("touch");
	cl_uint *sum = conf_malloc(sizeof(*sum));

	set_ptr(kernel, 0, p);
	set_arg(kernel, 1, (cl_ulong)pages);
	set_arg(kernel, 2, (cl_uint)write);
	set_ptr(kernel, 3, sum);
	conf_run(kernel, 1, 1);
	assert_int_equal(*sum, expected);
	free(sum);
	assert_cl(clReleaseKernel(kernel));
}
