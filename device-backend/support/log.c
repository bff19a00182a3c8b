// SPDX-License-Identifier: MIT
/* Messages for people; see log.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "support/config.h"
#include "support/log.h"

static const char *const level_names[] = {
	[MCL_LOG_ERROR] = "error",
	[MCL_LOG_WARN] = "warn",
	[MCL_LOG_INFO] = "info",
	[MCL_LOG_TRACE] = "trace",
};

static int parse_level(const char *text)
{
	if (!text || !*text || !strcmp(text, "0"))
		return 0;
	for (int i = MCL_LOG_ERROR; i <= MCL_LOG_TRACE; i++)
		if (!strcasecmp(text, level_names[i]))
			return i;
	if (!strcasecmp(text, "all"))
		return MCL_LOG_TRACE;
	return MCL_LOG_ERROR;
}

bool mcl_log_on(enum mcl_log_level level)
{
	static _Atomic int limit = -1;
	int now = atomic_load_explicit(&limit, memory_order_relaxed);

	if (now < 0) {
		now = parse_level(mcl_config()->debug);
		atomic_store_explicit(&limit, now, memory_order_relaxed);
	}
	return (int)level <= now;
}

void mcl_log_write(enum mcl_log_level level, const char *fmt, ...)
{
	int saved = errno;
	char line[1024];
	int n = snprintf(line, sizeof(line), "mirrorcl: %s: ", level_names[level]);
	va_list ap;

	va_start(ap, fmt);
	n += vsnprintf(line + n, sizeof(line) - n, fmt, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	/* One write, so that lines of several threads and processes do not mix. */
	if (write(STDERR_FILENO, line, n) < 0)
		errno = saved;
	errno = saved;
}

int(mcl_reason)(struct mcl_reason *why, int err, const char *fmt, ...)
{
	if (why) {
		va_list ap;

		va_start(ap, fmt);
		vsnprintf(why->text, sizeof(why->text), fmt, ap);
		va_end(ap);
	}
	return err;
}
