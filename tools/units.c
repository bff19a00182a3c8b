// SPDX-License-Identifier: MIT
/* Sizes and times for people; see units.h. */
#include <stdio.h>

#include "units.h"

static char *format_in(double value, double factor, const char *const *units, int count, char *text, size_t size)
{
	int unit = 0;

	while (unit < count - 1 && value >= factor) {
		value /= factor;
		unit++;
	}
	/* Whole numbers of the smallest unit need no decimals. */
	snprintf(text, size, "%.*f %s", !unit || value >= 100 ? 0 : value >= 10 ? 1 : 2, value, units[unit]);
	return text;
}

char *format_bytes(double bytes, char *text, size_t size)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };

	return format_in(bytes, 1024, units, 5, text, size);
}

char *format_ns(double ns, char *text, size_t size)
{
	static const char *const units[] = { "ns", "us", "ms", "s" };

	return format_in(ns, 1000, units, 4, text, size);
}
