/* SPDX-License-Identifier: MIT */
/*
 * The report of a finished program, as support/report.h describes it: reads the lines of JSON and renders them for people.
 * Ignores members it does not know, so that the writer may say more.
 */
#ifndef MCL_TOOLS_REPORT_H
#define MCL_TOOLS_REPORT_H

#include <stdio.h>

/*
 * Print what the report file @path says, one table for each line. Returns the number of lines rendered; -EBADMSG: a line is
 * not such a report (those before it are printed); -errno of reading, -ENOMEM.
 */
int report_print(const char *path, FILE *out);

#endif
