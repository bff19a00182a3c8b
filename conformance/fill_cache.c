// SPDX-License-Identifier: MIT
/*
 * fill_cache FILE.cl...: build each program as the tests and samples do, so that the program cache has it. For runs where
 * a compiler would take too long (the virtual machine): with the same MIRRORCL_TARGET_CPU and cache, nothing is left to
 * compile there. Not a test.
 */
#include <stdio.h>
#include <stdlib.h>

#include "harness.h"

static char *read_file(const char *path)
{
	FILE *file = fopen(path, "re");
	char *text = calloc(1, 1 << 20);

	if (!file || !text || !fread(text, 1, (1 << 20) - 1, file)) {
		perror(path);
		exit(EXIT_FAILURE);
	}
	fclose(file);
	return text;
}

int main(int argc, char **argv)
{
	conf_open(NULL);
	for (int i = 1; i < argc; i++) {
		char *text = read_file(argv[i]);

		clReleaseProgram(conf_build(text));
		free(text);
	}
	conf_close();
	return 0;
}
