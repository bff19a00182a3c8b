/* SPDX-License-Identifier: MIT */
/* For tests that count which pages move: pages, and a kernel (of pages.cl) that touches them. */
#ifndef PAGES_H
#define PAGES_H

#include "harness.h"

enum { PAGE = 4096 };

/* @pages writable pages at a 2 MiB boundary, with nothing beside them. The caller may unmap them. */
unsigned char *conf_lonely_pages(size_t pages);

/* Read the first byte of each page from @p on, whose sum is @expected, or write it (@expected: 0), and wait for that. */
void conf_touch(unsigned char *p, size_t pages, bool write, cl_uint expected);

#endif
