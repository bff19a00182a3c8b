// SPDX-License-Identifier: MIT
/* Finding the parts of MirrorCL; see locate.h. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "locate.h"

/* Relative to the folder of the running program, so that an installation may be moved. */
static const char *const vendor_folders[] = {
	"../icd/vendors", /* build folder */
	MCL_VENDORS_FROM_BINDIR, /* installed */
};

int locate_vendors(char *path, size_t size)
{
	char self[PATH_MAX], file[PATH_MAX + 64];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n < 0)
		return -errno;
	self[n] = '\0';
	slash = strrchr(self, '/');
	if (!slash)
		return -ENOENT;
	*slash = '\0';
	for (size_t i = 0; i < sizeof(vendor_folders) / sizeof(*vendor_folders); i++) {
		char resolved[PATH_MAX];

		if (snprintf(file, sizeof(file), "%s/%s", self, vendor_folders[i]) >= (int)sizeof(file))
			return -ENAMETOOLONG;
		if (!realpath(file, resolved))
			continue;
		if (snprintf(file, sizeof(file), "%s/mirrorcl.icd", resolved) >= (int)sizeof(file))
			return -ENAMETOOLONG;
		if (access(file, R_OK))
			continue;
		if (snprintf(path, size, "%s", resolved) >= (int)size)
			return -ENAMETOOLONG;
		return 0;
	}
	return -ENOENT;
}
