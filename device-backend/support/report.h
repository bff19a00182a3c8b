/* SPDX-License-Identifier: MIT */
/*
 * The report that MIRRORCL_REPORT asks for: what faulted and migrated between the start and the end of a device, written when
 * it is closed. "-" is a table for people on standard error; any other name is a file to which one line of JSON is appended,
 * so that several processes and devices may share it:
 *
 *	{"format": 1, "pid": 4711, "program": "wordcount", "mirror": "uffd", "compute_units": 2,
 *	 "kernels": 3, "groups": 96, "aborts": 0, "vram_used": 0, "vram_peak": 1048576, "system_pages": 12,
 *	 "causes": {"device-read": {"count": 4, "pages": 256, "ns": 81000}, ...}}
 *
 * Sizes are in bytes, pages are 4 KiB. `mirrorcl run` reads it. Counts nothing itself.
 */
#ifndef MCL_REPORT_H
#define MCL_REPORT_H

#include <stddef.h>
#include <stdint.h>

#define MCL_REPORT_FORMAT 1

struct mcl_report_cause {
	const char *name; /* mcl_cause_name() */
	uint64_t count, pages, ns;
};

struct mcl_report {
	const char *mirror;
	uint32_t compute_units;
	uint64_t kernels, groups, aborts;
	uint64_t vram_used, vram_peak; /* bytes */
	uint64_t system_pages;
	const struct mcl_report_cause *causes;
	size_t cause_count;
};

/* Write @report to @path as said above. Returns 0; -ENOMEM; -errno of opening or writing. Thread-safe. */
int mcl_report_write(const char *path, const struct mcl_report *report);

#endif
