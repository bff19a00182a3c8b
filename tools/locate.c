// SPDX-License-Identifier: MIT
/* Finding the parts of MirrorCL; see locate.h. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "locate.h"

/* Relative to the folder of the running program: what was installed with one prefix is found with it. */
static const char *const vendor_folders[] = {
	"../icd/vendors", /* build folder */
	MCL_VENDORS_FROM_BINDIR, /* installed */
};

/* The loaders would pass over a library that is not there without a word. */
static int check_library(const char *icd, struct mcl_reason *why)
{
	char library[PATH_MAX] = "";
	FILE *f = fopen(icd, "re");

	if (!f)
		return mcl_reason(why, -errno, "cannot read %s: %s", icd, strerror(errno));
	if (fgets(library, sizeof(library), f))
		library[strcspn(library, "\n")] = '\0';
	fclose(f);
	if (access(library, R_OK))
		return mcl_reason(
			why, -ENXIO,
			"MirrorCL's library is not where it was installed, and cannot be moved as it is: install it "
			"again ('cmake --install BUILD --prefix PREFIX'). %s names '%s'",
			icd, library);
	return 0;
}

int locate_vendors(char *path, size_t size, struct mcl_reason *why)
{
	char self[PATH_MAX], file[PATH_MAX + 64];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n < 0)
		return mcl_reason(why, -errno, "/proc/self/exe: %s", strerror(errno));
	self[n] = '\0';
	slash = strrchr(self, '/');
	if (slash)
		*slash = '\0';
	for (size_t i = 0; i < sizeof(vendor_folders) / sizeof(*vendor_folders); i++) {
		char resolved[PATH_MAX];

		if (snprintf(file, sizeof(file), "%s/%s", self, vendor_folders[i]) >= (int)sizeof(file))
			goto err_long;
		if (!realpath(file, resolved))
			continue;
		if (snprintf(file, sizeof(file), "%s/mirrorcl.icd", resolved) >= (int)sizeof(file))
			goto err_long;
		if (access(file, F_OK))
			continue;
		if (snprintf(path, size, "%s", resolved) >= (int)size)
			goto err_long;
		return check_library(file, why);
	}
	return mcl_reason(why, -ENOENT, "MirrorCL's .icd file is not where this program was built or installed");

err_long:
	return mcl_reason(why, -ENAMETOOLONG, "the path of this program is too long");
}
