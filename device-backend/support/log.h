/* SPDX-License-Identifier: MIT */
/*
 * Messages for people: the reason beside an error, printed to standard error when MIRRORCL_DEBUG asks.
 * Not for device printf (engine/) and not for the tools' own output.
 */
#ifndef MCL_LOG_H
#define MCL_LOG_H

#include <stdbool.h>

enum mcl_log_level {
	MCL_LOG_ERROR = 1,
	MCL_LOG_WARN,
	MCL_LOG_INFO,
	MCL_LOG_TRACE,
};

/* Whether a message of this level would be printed. Cheap: one relaxed load after the first call. */
bool mcl_log_on(enum mcl_log_level level);

/* Print one line "mirrorcl: <level>: <text>". Never changes errno; takes no lock that callers may hold. */
void mcl_log_write(enum mcl_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define mcl_log(level, ...)                                                                                            \
	do {                                                                                                           \
		if (mcl_log_on(level))                                                                                 \
			mcl_log_write(level, __VA_ARGS__);                                                             \
	} while (0)
#define mcl_log_error(...) mcl_log(MCL_LOG_ERROR, __VA_ARGS__)
#define mcl_log_warn(...) mcl_log(MCL_LOG_WARN, __VA_ARGS__)
#define mcl_log_info(...) mcl_log(MCL_LOG_INFO, __VA_ARGS__)
#define mcl_log_trace(...) mcl_log(MCL_LOG_TRACE, __VA_ARGS__)

/*
 * Why an operation failed, in one sentence for a person, and where there is one the remedy. Functions that
 * return -errno and take a struct mcl_reason fill it on failure; callers may pass NULL.
 */
struct mcl_reason {
	char text[384];
};

/* Fill @why (if not NULL) and return @err unchanged, so that `return mcl_reason(why, -ENODEV, "...")` reads well. */
int mcl_reason(struct mcl_reason *why, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
#ifdef __clang_analyzer__ /* which looks into one file at a time: it has to see that @err comes back, and a failed call's is not 0 */
#define mcl_reason(why, err, ...)                                                                                      \
	({                                                                                                             \
		const int mcl_reason_err = (err);                                                                      \
		mcl_reason(why, mcl_reason_err, __VA_ARGS__);                                                          \
		mcl_reason_err < 0 ? mcl_reason_err : -1;                                                              \
	})
#endif

#endif
