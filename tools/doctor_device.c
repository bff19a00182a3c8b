// SPDX-License-Identifier: MIT
/* The parts of MirrorCL, asked one by one: mirrors, compiler, cache; see doctor.h. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "compiler/cache.h"
#include "compiler/compiler.h"
#include "doctor.h"
#include "mirror/mirror.h"
#include "support/config.h"
#include "units.h"

#define COMPILE_LIMIT_S 120
#define LEAST_CACHE_ROOM (64ull << 20)

static void check_mirrors(struct doctor *d)
{
	static const char *const checks[] = { "shared mirror", "uffd mirror", "hmm mirror" };
	const struct mcl_mirror_ops *chosen;
	struct mcl_reason why = { "" };

	for (size_t i = 0; mcl_mirrors[i]; i++) {
		const struct mcl_mirror_ops *ops = mcl_mirrors[i];
		const char *check = "another mirror";

		for (size_t k = 0; k < sizeof(checks) / sizeof(*checks); k++)
			if (!strncmp(checks[k], ops->name, strlen(ops->name)))
				check = checks[k];
		why.text[0] = '\0';
		if (ops->probe(&why))
			doctor_add(d, check, DOCTOR_WARN, "cannot run here: %s", why.text);
		else if (why.text[0])
			doctor_add(d, check, DOCTOR_WARN, "can run: device page faults, but %s", why.text);
		else
			doctor_add(d, check, DOCTOR_OK, "%s",
				   ops->faults ? "can run: device page faults, migration" :
						 "can run: one page table for both, nothing faults or migrates");
	}
	why.text[0] = '\0';
	chosen = mcl_mirror_choose(&why);
	if (chosen)
		doctor_add(d, "mirror in use", DOCTOR_OK, "%s (MIRRORCL_MIRROR=%s)", chosen->name,
			   mcl_config()->mirror);
	else
		doctor_remedy(doctor_add(d, "mirror in use", DOCTOR_BAD, "none: %s", why.text),
			      "MIRRORCL_MIRROR=auto takes one that works; see the mirrors above");
}

/* In a child: compile something that no cache can hold. Prints the compiler's name and version, or why it failed. */
static int try_compiler(void *unused)
{
	struct mcl_code_object *co;
	struct mcl_reason why = { "" };
	char source[128];
	struct timespec now;
	char *log = NULL;

	(void)unused;
	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(source, sizeof(source), "__kernel void doctor(__global int *p) { *p = 42; } /* %lld.%09ld */",
		 (long long)now.tv_sec, now.tv_nsec);
	if (mcl_compile(&(struct mcl_compile_request){ .source = source, .source_size = strlen(source) }, &co, &log,
			&why)) {
		printf("%s %s", why.text, log ? log : "");
		free(log);
		return 1;
	}
	printf("%s", mcl_co_string(co, co->header->producer));
	mcl_code_object_put(co);
	free(log);
	return 0;
}

static void check_compiler(struct doctor *d)
{
	char text[400];
	int status = child_run(try_compiler, NULL, COMPILE_LIMIT_S, text, sizeof(text));

	if (!status)
		doctor_add(d, "kernel compiler", DOCTOR_OK, "mirrorcl-cc compiles, with %s", text);
	else if (status == -ETIMEDOUT)
		doctor_add(d, "kernel compiler", DOCTOR_BAD, "mirrorcl-cc gave no answer in %d s", COMPILE_LIMIT_S);
	else
		doctor_remedy(doctor_add(d, "kernel compiler", DOCTOR_BAD, "%s",
					 *text ? text : "the compiler's process ended with an error"),
			      "install POCL 6.0 (Debian 13: pocl-opencl-icd); MIRRORCL_CC names another mirrorcl-cc");
}

static void check_cache(struct doctor *d)
{
	static const char advice[] = "set MIRRORCL_CACHE_DIR to a folder that you may write to";
	char path[PATH_MAX], room[32];
	struct mcl_cache cache;
	struct statvfs fs;
	struct doctor_finding *f;

	if (!mcl_config()->cache_size) {
		doctor_add(d, "program cache", DOCTOR_WARN, "off (MIRRORCL_CACHE_SIZE=0): every start compiles again");
		return;
	}
	if (!mcl_cache_open(&cache)) {
		doctor_remedy(
			doctor_add(d, "program cache", DOCTOR_WARN,
				   "none: there is no HOME, or others may write to its folder; every start compiles "
				   "again"),
			advice);
		return;
	}
	snprintf(path, sizeof(path), "%s", cache.folder);
	f = doctor_add(d, "program cache", DOCTOR_OK, "%.400s", path);
	/* The nearest folder that exists decides whether the rest can be made. */
	while (access(path, F_OK)) {
		char *slash = strrchr(path, '/');

		if (!slash)
			strcpy(path, ".");
		else
			slash[slash == path] = '\0';
	}
	if (access(path, W_OK | X_OK)) {
		f->level = DOCTOR_WARN;
		snprintf(f->text, sizeof(f->text), "%.400s: %s; every start compiles again", path, strerror(errno));
		doctor_remedy(f, advice);
	} else if (!statvfs(path, &fs) && (uint64_t)fs.f_bavail * fs.f_frsize < LEAST_CACHE_ROOM) {
		f->level = DOCTOR_WARN;
		snprintf(f->text, sizeof(f->text), "only %s free below %.400s",
			 format_bytes((double)fs.f_bavail * (double)fs.f_frsize, room, sizeof(room)), path);
		doctor_remedy(f, advice);
	}
}

void doctor_check_device(struct doctor *d)
{
	check_mirrors(d);
	check_compiler(d);
	check_cache(d);
}
