// SPDX-License-Identifier: MIT
/* The program `mirrorcl`: picks the sub-command. */
#include <argp.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"

/* The C library looks it up by name, so it must be visible. */
__attribute__((visibility("default"))) const char *argp_program_version = "mirrorcl " MCL_VERSION;

static const struct {
	const char *name;
	int (*main)(int argc, char **argv);
	char *title; /* what argp shows as the program's name */
} commands[] = {
	{ "doctor", command_doctor, "mirrorcl doctor" },
	{ "info", command_info, "mirrorcl info" },
	{ "run", command_run, "mirrorcl run" },
};

/* Stops at the first word that is not an option: from there on it is the sub-command's. */
static error_t parse(int key, char *arg, struct argp_state *state)
{
	int *status = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
			char **argv = state->argv + state->next - 1;
			int argc = state->argc - state->next + 1;

			if (strcmp(arg, commands[i].name) != 0)
				continue;
			argv[0] = commands[i].title;
			*status = commands[i].main(argc, argv);
			state->next = state->argc;
			return 0;
		}
		argp_error(state, "there is no command '%s'", arg);
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		NULL,
		parse,
		"COMMAND [ARGUMENT...]",
		"Look at MirrorCL and run programs with it.\v"
		"Commands:\n"
		"  doctor      check what works on this machine and what to do about the rest\n"
		"  info        show version, device and options\n"
		"  run -- CMD  run a program with MirrorCL, then show what moved\n"
		"\n"
		"'mirrorcl COMMAND --help' explains a command.",
		NULL,
		NULL,
		NULL
	};
	int status = TOOL_TROUBLE;

	argp_err_exit_status = TOOL_TROUBLE;
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &status);
	return status;
}
