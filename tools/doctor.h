/* SPDX-License-Identifier: MIT */
/*
 * What `mirrorcl doctor` looks at. A check adds findings and changes nothing on the machine, except that the last two
 * compile and run a small kernel, each in a process of its own.
 */
#ifndef MCL_TOOLS_DOCTOR_H
#define MCL_TOOLS_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>

enum doctor_level {
	DOCTOR_OK,
	DOCTOR_WARN, /* MirrorCL works, something about it is limited */
	DOCTOR_BAD, /* MirrorCL does not work */
};

struct doctor_finding {
	const char *check; /* short name: "memory" */
	enum doctor_level level;
	char text[512]; /* what was found; for WARN and BAD the reason */
	char remedy[512]; /* what to do about it; empty if there is nothing to do */
};

#define DOCTOR_MAX_FINDINGS 48

struct doctor {
	struct doctor_finding findings[DOCTOR_MAX_FINDINGS];
	size_t count;
};

/* Add a finding; returns it, for doctor_remedy(). Beyond DOCTOR_MAX_FINDINGS the last one is overwritten. */
struct doctor_finding *doctor_add(struct doctor *d, const char *check, enum doctor_level level, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void doctor_remedy(struct doctor_finding *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
enum doctor_level doctor_worst(const struct doctor *d);

/* doctor_system.c: processor, memory, limits, seccomp, userfaultfd, kernel module */
void doctor_check_system(struct doctor *d);
/* doctor_device.c: the mirrors, the one that would be taken, the compiler and its cache */
void doctor_check_device(struct doctor *d);
/* doctor_opencl.c: the loader, the platform, a kernel on malloc'd memory */
void doctor_check_opencl(struct doctor *d);

#endif
