// SPDX-License-Identifier: MIT
/* Options from the environment; see config.h. */
#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "support/config.h"

static struct mcl_config config;
static pthread_once_t config_once = PTHREAD_ONCE_INIT;

int mcl_parse_size(const char *text, uint64_t *out)
{
	static const char suffixes[] = "KMGT";
	char *end;
	uint64_t value;
	unsigned int shift = 0;

	if (!text || !isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 0);
	if (errno == ERANGE)
		return -ERANGE;
	if (*end) {
		const char *s = strchr(suffixes, toupper((unsigned char)*end));

		if (!s || (end[1] && strcasecmp(end + 1, "B") != 0 && strcasecmp(end + 1, "iB") != 0))
			return -EINVAL;
		shift = 10 * (unsigned int)(s - suffixes + 1);
	}
	if (shift && value >> (64 - shift))
		return -ERANGE;
	*out = value << shift;
	return 0;
}

static bool parse_STRING(const char *text, const char **out)
{
	char *copy = strdup(text);

	if (!copy)
		return false;
	*out = copy;
	return true;
}

static bool parse_UINT(const char *text, uint32_t *out)
{
	char *end;
	unsigned long long value;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	value = strtoull(text, &end, 0);
	if (errno || *end || value > UINT32_MAX)
		return false;
	*out = (uint32_t)value;
	return true;
}

static bool parse_SIZE(const char *text, uint64_t *out)
{
	return mcl_parse_size(text, out) == 0;
}

static bool parse_BOOL(const char *text, bool *out)
{
	static const char *const yes[] = { "1", "yes", "true", "on" };
	static const char *const no[] = { "0", "no", "false", "off" };

	for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++) {
		if (!strcasecmp(text, yes[i])) {
			*out = true;
			return true;
		}
		if (!strcasecmp(text, no[i])) {
			*out = false;
			return true;
		}
	}
	return false;
}

static void parse_all(void)
{
	const char *text;

	/*
	 * An empty variable counts as unset, as everywhere in the XDG world. In a setuid program all of them do: its caller
	 * must not choose the compiler that it runs or the files that it writes.
	 */
#define MCL_OPTION(id, type, name, def, help)                                                                          \
	text = secure_getenv(name);                                                                                    \
	if (text && !*text)                                                                                            \
		text = NULL;                                                                                           \
	if (!text || !parse_##type(text, &config.id)) {                                                                \
		if (text)                                                                                              \
			fprintf(stderr, "mirrorcl: %s='%s' is not understood; using '%s'\n", name, text, def);         \
		parse_##type(def, &config.id);                                                                         \
	}
#include "support/config.def"
#undef MCL_OPTION
}

const struct mcl_config *mcl_config(void)
{
	pthread_once(&config_once, parse_all);
	return &config;
}

void mcl_config_help(FILE *out)
{
	const char *text;

#define MCL_OPTION(id, type, name, def, help)                                                                          \
	text = secure_getenv(name);                                                                                    \
	fprintf(out, "%s (default '%s'%s%s%s)\n    %s\n", name, def, text && *text ? ", now '" : "",                   \
		text && *text ? text : "", text && *text ? "'" : "", help);
#include "support/config.def"
#undef MCL_OPTION
}
