/* SPDX-License-Identifier: MIT */
/*
 * The sub-commands of the program `mirrorcl`. Each parses its own arguments with argp, does its work and returns the
 * program's exit status; each lies in the file of its name.
 */
#ifndef MCL_TOOLS_COMMANDS_H
#define MCL_TOOLS_COMMANDS_H

enum {
	TOOL_OK = 0,
	TOOL_FAILED = 1, /* the command did its work, and the answer is no */
	TOOL_TROUBLE = 2, /* the command could not do its work */
};

/* argv[0] is "mirrorcl COMMAND", for messages. */
int command_doctor(int argc, char **argv);
int command_info(int argc, char **argv);
int command_run(int argc, char **argv);

#endif
