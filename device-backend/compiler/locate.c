// SPDX-License-Identifier: MIT
/* Finding mirrorcl-cc; see locate.h. */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compiler/locate.h"
#include "support/config.h"

#define NAME "mirrorcl-cc"
#define POCL_ICD_FILE "/etc/OpenCL/vendors/pocl.icd"

static bool executable(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* "<folder>/<rest>" in @path, if that is a program. */
static bool try_path(char *path, size_t size, const char *folder, const char *rest)
{
	return (size_t)snprintf(path, size, "%s/%s", folder, rest) < size && executable(path);
}

static bool beside_library(char *path, size_t size)
{
	/* MCL_CC_FROM_LIBRARY is the way from the installed library to the installed program. */
	static const char *const places[] = {
		NAME,
		MCL_CC_FROM_LIBRARY "/" NAME,
		/* In a build tree, for libraries and programs one to three folders deep. */
		"../device-backend/compiler/" NAME,
		"../../device-backend/compiler/" NAME,
		"../../../device-backend/compiler/" NAME,
	};
	char folder[PATH_MAX];
	Dl_info info;
	char *slash;

	/* Any address in this file does; a program's own path may be relative, so /proc knows better. */
	if (!dladdr(places, &info) || !info.dli_fname || !realpath(info.dli_fname, folder)) {
		ssize_t n = readlink("/proc/self/exe", folder, sizeof(folder) - 1);

		if (n <= 0)
			return false;
		folder[n] = '\0';
	}
	slash = strrchr(folder, '/');
	if (!slash)
		return false;
	*slash = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
		if (try_path(path, size, folder, places[i]))
			return true;
	return false;
}

static bool in_path(char *path, size_t size)
{
	const char *list = secure_getenv("PATH"); /* a setuid program runs nothing of its caller's */

	while (list && *list) {
		size_t length = strcspn(list, ":");
		char folder[PATH_MAX];

		/* An empty entry means the working directory: not a place to take a compiler from. */
		if (length && length < sizeof(folder)) {
			memcpy(folder, list, length);
			folder[length] = '\0';
			if (try_path(path, size, folder, NAME))
				return true;
		}
		list += length + (list[length] == ':');
	}
	return false;
}

int mcl_locate_compiler(char **path, struct mcl_reason *why)
{
	const char *asked = mcl_config()->cc;
	char found[PATH_MAX];

	*path = NULL;
	if (*asked) {
		if (!executable(asked))
			return mcl_reason(why, -ENOENT, "MIRRORCL_CC is '%.200s', which is not a program", asked);
		snprintf(found, sizeof(found), "%s", asked);
	} else if (!beside_library(found, sizeof(found)) && !in_path(found, sizeof(found))) {
		return mcl_reason(
			why, -ENOENT,
			"the compiler mirrorcl-cc is neither beside the library nor in PATH; MIRRORCL_CC can name it");
	}
	*path = realpath(found, NULL); /* one name for one compiler, in cache keys and messages */
	if (!*path)
		return mcl_reason(why, -ENOMEM, "no memory for the compiler's path");
	return 0;
}

static bool hash_file(struct mcl_digest *digest, const char *path)
{
	struct stat st;
	struct {
		uint64_t size, seconds, nanoseconds;
	} facts;

	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	facts.size = (uint64_t)st.st_size;
	facts.seconds = (uint64_t)st.st_mtim.tv_sec;
	facts.nanoseconds = (uint64_t)st.st_mtim.tv_nsec;
	mcl_digest_field(digest, path, strlen(path));
	mcl_digest_bytes(digest, &facts, sizeof(facts));
	return true;
}

void mcl_compiler_identity(const char *path, struct mcl_digest *digest)
{
	/*
	 * Where the dynamic linker would look for a name without a folder. A library elsewhere only goes unnoticed.
	 */
	static const char *const folders[] = {
		"/usr/local/lib", "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64",
		"/usr/lib"
	};
	char name[PATH_MAX] = "libpocl.so.2", library[PATH_MAX + 64];
	FILE *icd = fopen(POCL_ICD_FILE, "re");

	hash_file(digest, path);
	if (icd) {
		if (fgets(name, sizeof(name), icd))
			name[strcspn(name, " \t\r\n")] = '\0';
		fclose(icd);
	}
	mcl_digest_field(digest, name, strlen(name));
	if (strchr(name, '/') && hash_file(digest, name))
		return;
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		snprintf(library, sizeof(library), "%s/%s", folders[i], name);
		if (hash_file(digest, library))
			return;
	}
}
