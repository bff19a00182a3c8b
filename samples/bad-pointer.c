// SPDX-License-Identifier: MIT
/*
 * bad-pointer: what happens when a kernel follows a pointer that leads nowhere. On a device with protected memory the kernel is
 * aborted, its event says so, and the program goes on: the next kernel runs as if nothing had been.
 *
 * OpenCL leaves this undefined. A driver that runs kernels inside the program's own process dies of it together with the
 * program; on such a platform this sample says so and ends with status 77 (skipped).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bad-pointer.cl.h"
#include "common.h"

enum { ITEMS = 16, PAGE = 4096, SKIPPED = 77 };

/* Run the kernel on @where and return its event's status: CL_COMPLETE or a negative error. */
static cl_int follow(const struct sample *s, cl_kernel kernel, int *where)
{
	cl_event event;
	cl_int status;

	CHECK(clSetKernelArgSVMPointer(kernel, 0, where));
	event = sample_start(s, kernel, ITEMS, ITEMS);
	clWaitForEvents(1, &event); /* an error here is the event's */
	CHECK(clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof(status), &status, NULL));
	CHECK(clReleaseEvent(event));
	return status;
}

static void expect_failure(const struct sample *s, cl_kernel kernel, const char *what, int *where)
{
	cl_int status;

	printf("%s: ", what);
	fflush(stdout);
	status = follow(s, kernel, where);
	if (status >= 0)
		sample_fail("the kernel should have failed, but its event's status is %d", status);
	printf("the kernel was aborted; its event's status is %d\n", status);
}

int main(void)
{
	char platform[256] = "";
	struct sample s;
	cl_kernel kernel;
	int *page, *good;

	sample_open(&s, "bad-pointer");
	CHECK(clGetPlatformInfo(s.platform, CL_PLATFORM_NAME, sizeof(platform), platform, NULL));
	if (!strcmp(platform, "Portable Computing Language")) {
		printf("bad-pointer: skipped: %s runs kernels inside this process, which would die of a bad pointer\n",
		       platform);
		return SKIPPED;
	}
	kernel = sample_kernel(&s, bad_pointer_cl, "follow");
	good = sample_malloc(sizeof(*good));
	*good = 41;

	page = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		sample_fail("mmap failed");
	expect_failure(&s, kernel, "null pointer", NULL);
	expect_failure(&s, kernel, "write to read-only memory", page + 100);
	munmap(page, PAGE);
	expect_failure(&s, kernel, "unmapped memory", page + 100);

	if (follow(&s, kernel, good) != CL_COMPLETE)
		sample_fail("the next kernel did not run");
	if (*good != 42)
		sample_fail("the next kernel left %d instead of 42", *good);
	printf("good pointer: the kernel ran\n");

	free(good);
	CHECK(clReleaseKernel(kernel));
	sample_close(&s);
	printf("bad-pointer: ok\n");
	return EXIT_SUCCESS;
}
