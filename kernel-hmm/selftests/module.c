// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "harness.h"
#include "module.h"

void need_module(void)
{
	if (!getenv("HMM_MIRROR_MODULE") || geteuid())
		SKIP("needs root and HMM_MIRROR_MODULE");
}

int module_unload(void)
{
	return syscall(SYS_delete_module, "hmm_mirror", O_NONBLOCK);
}

/* A deferred close, or a process that is being reaped, may still hold it. */
void module_unload_soon(void)
{
	int i;

	for (i = 0; i < 200 && module_unload(); i++) {
		EXPECT_EQ(errno, EWOULDBLOCK);
		usleep(10000);
	}
	EXPECT_LE(i, 199);
}

int module_load(const char *parameters)
{
	const char *file = getenv("HMM_MIRROR_MODULE");
	int fd = open(file ? file : "", O_RDONLY | O_CLOEXEC), ret;

	EXPECT_GE(fd, 0);
	ret = syscall(SYS_finit_module, fd, parameters, 0);
	close(fd);
	return ret;
}

void module_reload(const char *parameters)
{
	need_module();
	module_unload_soon();
	EXPECT_EQ(module_load(parameters), 0);
}
