// SPDX-License-Identifier: MIT
/* mirrorcl info: version, device and options, as a program in this environment would find them. Starts no device. */
#include <argp.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "backend.h"
#include "commands.h"
#include "support/config.h"
#include "units.h"

struct info_arguments {
	bool json, options;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct info_arguments *a = state->input;

	(void)arg;
	switch (key) {
	case 'j':
		a->json = true;
		return 0;
	case 'o':
		a->options = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "too many arguments");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void print_size(const char *what, uint64_t bytes)
{
	char text[32];

	printf("  %-22s %s\n", what, format_bytes((double)bytes, text, sizeof(text)));
}

static void print_device(const struct mcl_backend_caps *caps)
{
	printf("Device\n");
	printf("  %-22s %s\n", "available", caps->available ? "yes" : "no");
	printf("  %-22s %s\n", "mirror", *caps->mirror ? caps->mirror : "none can run here");
	if (*caps->limited.text)
		printf("  %-22s %s\n", "limited", caps->limited.text);
	printf("  %-22s %s\n", "system SVM", caps->system_svm ? "yes" : "no");
	printf("  %-22s %s\n", "SVM atomics", caps->svm_atomics ? "yes" : "no");
	printf("  %-22s %u\n", "compute units", caps->compute_units);
	print_size("memory", caps->global_mem_size);
	if (caps->vram_size)
		print_size("device memory", caps->vram_size);
	else
		printf("  %-22s %s\n", "device memory", "none: nothing migrates on this mirror");
	print_size("largest allocation", caps->max_alloc_size);
	print_size("local memory", caps->local_mem_size);
	printf("  %-22s %llu\n", "largest work-group", (unsigned long long)caps->max_work_group_size);
}

/* The options as they are now, from the same table that parses them. */
static json_t *options_json(void)
{
	const struct mcl_config *config = mcl_config();
	json_t *options = json_object();

#define JSON_STRING(value) json_string(value)
#define JSON_UINT(value) json_integer(value)
#define JSON_SIZE(value) json_integer((json_int_t)(value))
#define JSON_BOOL(value) json_boolean(value)
#define MCL_OPTION(id, type, name, def, help) json_object_set_new(options, name, JSON_##type(config->id));
#include "support/config.def"
#undef MCL_OPTION
	return options;
}

static int print_json(const struct mcl_backend_caps *caps)
{
	json_t *root = json_pack("{s:s, s:{s:b, s:s, s:s, s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:I}, s:o}", "version",
				 MCL_VERSION, "device", "available", caps->available, "mirror", caps->mirror, "limited",
				 caps->limited.text, "system_svm", caps->system_svm, "svm_atomics", caps->svm_atomics,
				 "compute_units", (json_int_t)caps->compute_units, "memory",
				 (json_int_t)caps->global_mem_size, "device_memory", (json_int_t)caps->vram_size,
				 "max_allocation", (json_int_t)caps->max_alloc_size, "local_memory",
				 (json_int_t)caps->local_mem_size, "max_work_group_size",
				 (json_int_t)caps->max_work_group_size, "options", options_json());
	int err;

	if (!root)
		return TOOL_TROUBLE;
	err = json_dumpf(root, stdout, JSON_INDENT(1)) || putchar('\n') == EOF;
	json_decref(root);
	return err ? TOOL_TROUBLE : TOOL_OK;
}

int command_info(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "json", 'j', NULL, 0, "Print JSON", 0 },
		{ "options", 'o', NULL, 0, "Only the options (environment variables), with their help", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		options,
		parse,
		NULL,
		"Show version, device and options of MirrorCL as a program started now would find them. Starts no device.",
		NULL,
		NULL,
		NULL
	};
	struct info_arguments a = { 0 };
	struct mcl_backend_caps caps = { 0 };

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if (a.options && !a.json) {
		mcl_config_help(stdout);
		return TOOL_OK;
	}
	mcl_backend_query(&caps);
	if (a.json)
		return print_json(&caps);
	printf("MirrorCL %s\n\n", MCL_VERSION);
	print_device(&caps);
	printf("\nOptions (environment variables)\n");
	mcl_config_help(stdout);
	return TOOL_OK;
}
