// SPDX-License-Identifier: MIT
/* mirrorcl doctor: runs the checks, prints what they found, for people or as JSON. The checks are in doctor_*.c. */
#include <argp.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "commands.h"
#include "doctor.h"

#define MIN_WIDTH 60
#define MAX_WIDTH 110
#define INDENT 26 /* where a finding's text begins */

static const char *const level_names[] = {
	[DOCTOR_OK] = "ok",
	[DOCTOR_WARN] = "warn",
	[DOCTOR_BAD] = "bad",
};

struct doctor_finding *doctor_add(struct doctor *d, const char *check, enum doctor_level level, const char *fmt, ...)
{
	struct doctor_finding *f;
	va_list ap;

	if (d->count < DOCTOR_MAX_FINDINGS)
		d->count++;
	f = &d->findings[d->count - 1];
	f->check = check;
	f->level = level;
	f->remedy[0] = '\0';
	va_start(ap, fmt);
	vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
	return f;
}

void doctor_remedy(struct doctor_finding *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->remedy, sizeof(f->remedy), fmt, ap);
	va_end(ap);
}

enum doctor_level doctor_worst(const struct doctor *d)
{
	enum doctor_level worst = DOCTOR_OK;

	for (size_t i = 0; i < d->count; i++)
		if (d->findings[i].level > worst)
			worst = d->findings[i].level;
	return worst;
}

static int line_width(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || size.ws_col > MAX_WIDTH)
		return MAX_WIDTH;
	return size.ws_col < MIN_WIDTH ? MIN_WIDTH : size.ws_col;
}

/* Words of @text in lines of at most @width columns; the cursor stands at column INDENT, and so do further lines. */
static void print_wrapped(const char *text, int width)
{
	int column = INDENT;
	bool first = true;

	while (*text) {
		int n = (int)strcspn(text, " \n");

		if (!first && column + 1 + n > width) {
			printf("\n%*s", INDENT, "");
			column = INDENT;
		} else if (!first) {
			putchar(' ');
			column++;
		}
		printf("%.*s", n, text);
		column += n;
		first = false;
		text += n;
		text += strspn(text, " \n");
	}
	putchar('\n');
}

static void print_text(const struct doctor *d)
{
	int width = line_width();
	unsigned int counts[3] = { 0 };

	for (size_t i = 0; i < d->count; i++) {
		const struct doctor_finding *f = &d->findings[i];

		counts[f->level]++;
		printf("%-5s %-*s", level_names[f->level], INDENT - 6, f->check);
		print_wrapped(f->text, width);
		if (*f->remedy) {
			printf("%*s", INDENT, "  to do:  ");
			print_wrapped(f->remedy, width);
		}
	}
	printf("\n%s (%u ok, %u warn, %u bad)\n",
	       counts[DOCTOR_BAD]  ? "MirrorCL does not work here." :
	       counts[DOCTOR_WARN] ? "MirrorCL works here, with the limits above." :
				     "MirrorCL works here.",
	       counts[DOCTOR_OK], counts[DOCTOR_WARN], counts[DOCTOR_BAD]);
}

static int print_json(const struct doctor *d)
{
	json_t *list = json_array(), *root;
	int err;

	for (size_t i = 0; i < d->count; i++) {
		const struct doctor_finding *f = &d->findings[i];

		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "check", f->check, "level",
						      level_names[f->level], "text", f->text, "remedy", f->remedy));
	}
	root = json_pack("{s:s, s:b, s:o}", "version", MCL_VERSION, "usable", doctor_worst(d) != DOCTOR_BAD, "findings",
			 list);
	if (!root)
		return -1;
	err = json_dumpf(root, stdout, JSON_INDENT(1)) || putchar('\n') == EOF;
	json_decref(root);
	return err ? -1 : 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	bool *json = state->input;

	(void)arg;
	switch (key) {
	case 'j':
		*json = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "too many arguments");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int command_doctor(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "json", 'j', NULL, 0, "Print JSON", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		options,
		parse,
		NULL,
		"Check whether MirrorCL works on this machine, what limits it, and what to do about it. Changes nothing; "
		"compiles and runs one small kernel."
		"\vExit status: 0 when MirrorCL is usable, 1 when it is not, 2 for a mistake here.",
		NULL,
		NULL,
		NULL
	};
	static struct doctor doctor;
	bool json = false;

	argp_parse(&argp, argc, argv, 0, NULL, &json);
	doctor_check_system(&doctor);
	doctor_check_device(&doctor);
	doctor_check_opencl(&doctor);
	if (!json)
		print_text(&doctor);
	else if (print_json(&doctor))
		return TOOL_TROUBLE;
	return doctor_worst(&doctor) == DOCTOR_BAD ? TOOL_FAILED : TOOL_OK;
}
