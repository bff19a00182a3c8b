// SPDX-License-Identifier: MIT
/*
 * Programs compiled in parts, with the installed POCL: descriptions, single kernels, companions (session.h), and loops
 * that work-items share, whose results must be those of the generic functions. argv[1] is mirrorcl-cc, argv[2] the fake
 * POCL.
 */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "compiler/compiler.h"
#include "compiler/file.h"
#include "compiler/tests/loader.h"

static char folder[] = "/tmp/mcl-test-parts-XXXXXX";
static const char *program, *fake_pocl;

/* Compile or fail the test. @kernel NULL: the description. @local 0: the generic function. */
static struct mcl_code_object *part(struct mcl_session *session, const char *source, const char *kernel, uint32_t local,
				    bool jam)
{
	const uint32_t size[1][3] = { { local, 1, 1 } };
	struct mcl_compile_request req = {
		.session = session,
		.source = source,
		.source_size = strlen(source),
		.part = kernel ? MCL_COMPILE_KERNEL : MCL_COMPILE_DESCRIPTION,
		.kernel = kernel,
		.jam = jam,
		.local_size_count = local > 0,
		.local_sizes = size,
	};
	struct mcl_reason why = { "" };
	struct mcl_code_object *co;
	char *log;

	if (mcl_compile(&req, &co, &log, &why))
		fail_msg("%s\n%s", why.text, log);
	free(log);
	return co;
}

/* The one function that @co has, which belongs to @kernel. */
static uint32_t only_variant(const struct mcl_code_object *co, const char *kernel, uint32_t flags)
{
	const struct mcl_co_kernel *k = mcl_co_find_kernel(co, kernel);

	assert_non_null(k);
	assert_int_equal(co->header->variants.count, 1);
	assert_int_equal(co->header->images.count, 1);
	assert_int_equal(k->variant_count, 1);
	assert_int_equal(co->variants[k->first_variant].flags, flags);
	return k->first_variant;
}

static const char three[] = "constant int table[4] = { 1, 2, 3, 4 };\n"
			    "global int counter = 40;\n"
			    "kernel void add(global int *o, int n) { o[get_global_id(0)] = n + counter; }\n"
			    "kernel void bump(global int *o) { counter += table[1]; o[0] = counter; }\n"
			    "__attribute__((reqd_work_group_size(4, 1, 1)))\n"
			    "kernel void fixed(global int *o, local int *l) {\n"
			    "	local int sum; size_t i = get_local_id(0);\n"
			    "	if (!i) sum = 0;\n"
			    "	barrier(CLK_LOCAL_MEM_FENCE); atomic_add(&sum, (int)i + 1);\n"
			    "	barrier(CLK_LOCAL_MEM_FENCE); o[i] = sum; }\n";

static void check_parts(struct mcl_session *session)
{
	struct mcl_code_object *all = part(session, three, NULL, 0, false), *add, *bump, *fixed;
	const struct mcl_co_kernel *k;
	int out[8] = { 0 }, *slot = out, n = 100;
	uint8_t scratch[512] __attribute__((aligned(128))), sum[128] __attribute__((aligned(128)));
	void *scratch_slot = scratch, *sum_slot = sum, *globals;
	uint8_t *add_args[] = { (uint8_t *)&slot, (uint8_t *)&n };
	uint8_t *fixed_args[] = { (uint8_t *)&slot, (uint8_t *)&scratch_slot, (uint8_t *)&sum_slot };

	/* Everything is known and nothing but the variables' initialiser compiled. */
	assert_int_equal(all->header->kernels.count, 3);
	assert_false(mcl_co_whole(all));
	assert_int_equal(all->header->variants.count, 1);
	assert_int_equal(all->header->global_init, 0);
	k = mcl_co_find_kernel(all, "fixed");
	assert_int_equal(k->arg_count, 2);
	assert_int_equal(k->local_count, 1);
	assert_int_equal(k->reqd_local_size[0], 4);
	assert_int_equal(k->variant_count, 0);
	assert_true(k->flags & MCL_CO_ARG_INFO);
	k = mcl_co_find_kernel(all, "add");
	assert_string_equal(mcl_co_string(all, all->args[k->first_arg + 1].name), "n");
	globals = load_globals(all);
	assert_non_null(globals);

	/* Parts work together on the variables, in any order; none has an initialiser. */
	bump = part(session, three, "bump", 0, false);
	assert_int_equal(bump->header->global_size, 0);
	run_range(bump, only_variant(bump, "bump", MCL_CO_ANY_LOCAL_SIZE), globals, add_args, 1, 1);
	assert_int_equal(out[0], 42);
	add = part(session, three, "add", 0, false);
	run_range(add, only_variant(add, "add", MCL_CO_ANY_LOCAL_SIZE), globals, add_args, 8, 2);
	for (int i = 0; i < 8; i++)
		assert_int_equal(out[i], 142);
	mcl_code_object_put(add);
	add = part(session, three, "add", 8, false);
	n = 1;
	run_range(add, only_variant(add, "add", MCL_CO_ZERO_OFFSET), globals, add_args, 8, 8);
	for (int i = 0; i < 8; i++)
		assert_int_equal(out[i], 43);
	fixed = part(session, three, "fixed", 0, false);
	run_range(fixed, only_variant(fixed, "fixed", 0), globals, fixed_args, 4, 4);
	assert_int_equal(out[3], 10);

	free(globals);
	mcl_code_object_put(all);
	mcl_code_object_put(add);
	mcl_code_object_put(bump);
	mcl_code_object_put(fixed);
}

static void use_cache(const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	setenv("MIRRORCL_CACHE_DIR", path, 1);
}

static void kernel_by_kernel(void **state)
{
	(void)state;
	check_parts(NULL);
}

static void with_a_companion(void **state)
{
	struct mcl_session *session = mcl_session_create(), *others[2];

	(void)state;
	use_cache("cache-session");
	check_parts(session);
	/* Two more: the first companion is ended, and started again when it is needed. */
	for (int i = 0; i < 2; i++) {
		char source[128];

		snprintf(source, sizeof(source), "kernel void x(global int *o) { o[0] = %d; }\nkernel void y() {}\n",
			 i);
		others[i] = mcl_session_create();
		mcl_code_object_put(part(others[i], source, NULL, 0, false));
	}
	mcl_code_object_put(part(session, three, "add", 4, false));
	for (int i = 0; i < 2; i++)
		mcl_session_free(others[i]);
	mcl_session_free(session);
}

/* A program with a single kernel is made whole at once. */
static void single_kernel(void **state)
{
	struct mcl_session *session = mcl_session_create();
	const char *source = "kernel void one(global int *o) { o[0] = 5; }\n";
	struct mcl_code_object *co;

	(void)state;
	co = part(session, source, NULL, 0, false);
	assert_true(mcl_co_whole(co));
	mcl_code_object_put(co);
	mcl_session_free(session);
}

static int try(struct mcl_session *session, const char *source, const char *options, char **log, struct mcl_reason *why)
{
	struct mcl_compile_request req = {
		.session = session,
		.source = source,
		.source_size = strlen(source),
		.options = options,
		.part = MCL_COMPILE_DESCRIPTION,
	};
	struct mcl_code_object *co = NULL;
	int err = mcl_compile(&req, &co, log, why);

	mcl_code_object_put(co);
	return err;
}

static void companions_that_fail(void **state)
{
	static const char good[] = "kernel void a() {}\nkernel void b() {}\n";
	struct mcl_session *session = mcl_session_create();
	char path[PATH_MAX], text[2 * PATH_MAX], *log;
	struct mcl_reason why;

	(void)state;
	assert_int_equal(try(session, "kernel void broken( {}\n", NULL, &log, &why), -ENOEXEC);
	assert_non_null(strstr(log, "<program>:1:"));
	free(log);
	assert_int_equal(try(session, good, "-DX=1 -Wall-of-text", &log, &why), -EINVAL);
	free(log);
	mcl_session_free(session);

	snprintf(path, sizeof(path), "%s/cc", folder);
	snprintf(text, sizeof(text), "#!/bin/sh\nFAKE_POCL=crash exec '%s' --pocl='%s' \"$@\"\n", program, fake_pocl);
	assert_int_equal(mcl_file_write(path, text, strlen(text), 0700), 0);
	session = mcl_session_create();
	/* The path of the compiler is read once in a process, so put another file there. */
	snprintf(text, sizeof(text), "ln -sf '%s' '%s/compiler'", path, folder);
	assert_int_equal(system(text), 0);
	assert_int_equal(try(session, good, "-DCRASH", &log, &why), -ECHILD);
	assert_non_null(strstr(why.text, "crashed"));
	free(log);
	/* No verdict at all. */
	snprintf(text, sizeof(text), "ln -sf /bin/true '%s/compiler'", folder);
	assert_int_equal(system(text), 0);
	assert_int_equal(try(session, good, "-DTRUE", &log, &why), -ECHILD);
	free(log);
	snprintf(text, sizeof(text), "ln -sf '%s' '%s/compiler'", program, folder);
	assert_int_equal(system(text), 0);
	/* The same session is as good as new. */
	assert_int_equal(try(session, good, "-DAGAIN", &log, &why), 0);
	free(log);
	mcl_session_free(session);
}

/* ---- several sources ---- */

static void linked_sources(void **state)
{
	static const char main_part[] = "#include \"h.h\"\n#ifndef ME\n#error my options\n#endif\n"
					"kernel void sum(global int *o) { o[0] = helper(o[1]) + EXTRA; }\n"
					"kernel void max(global int *o) { o[0] = 77; }\n";
	static const char helper_part[] =
		"#ifdef ME\n#error its options\n#endif\n"
		"int helper(int x) { return x * FACTOR; }\nkernel void own(global int *o) {}\n";
	static const char *const names[] = { "h.h" }, *const texts[] = { "int helper(int x);\n#define EXTRA 1000\n" };
	const struct mcl_compile_unit more = { helper_part, sizeof(helper_part) - 1, "-DFACTOR=3", 0, NULL, NULL };
	struct mcl_compile_request req = {
		.session = mcl_session_create(),
		.source = main_part,
		.source_size = sizeof(main_part) - 1,
		.options = "-DME",
		.header_count = 1,
		.header_names = names,
		.header_sources = texts,
		.part = MCL_COMPILE_CHECK,
	};
	struct mcl_code_object *co;
	struct mcl_reason why;
	int out[2] = { 0, 5 }, *slot = out;
	uint8_t *args[] = { (uint8_t *)&slot };
	char *log;

	(void)state;
	/* For itself it is right, but no whole. */
	assert_int_equal(mcl_compile(&req, &co, NULL, &why), 0);
	assert_int_equal(co->header->kernels.count, 0);
	mcl_code_object_put(co);
	req.part = MCL_COMPILE_DESCRIPTION;
	assert_int_equal(mcl_compile(&req, &co, &log, &why), -ENOEXEC);
	assert_non_null(strstr(log, "helper"));
	free(log);
	/* With the other one it is, whoever makes it: a companion, or a process for the whole of it. */
	req.more_count = 1;
	req.more = &more;
	assert_int_equal(mcl_compile(&req, &co, NULL, &why), 0);
	assert_int_equal(co->header->kernels.count, 3);
	assert_non_null(mcl_co_find_kernel(co, "own"));
	mcl_code_object_put(co);
	req.part = MCL_COMPILE_KERNEL;
	req.kernel = "sum";
	assert_int_equal(mcl_compile(&req, &co, NULL, &why), 0);
	run_range(co, only_variant(co, "sum", MCL_CO_ANY_LOCAL_SIZE), NULL, args, 1, 1);
	assert_int_equal(out[0], 1015);
	mcl_code_object_put(co);
	req.part = MCL_COMPILE_WHOLE;
	assert_int_equal(mcl_compile(&req, &co, NULL, &why), 0);
	assert_true(mcl_co_whole(co));
	mcl_code_object_put(co);
	mcl_session_free(req.session);
}

/* A kernel may be called like a built-in function, for which POCL has another name. */
static void kernels_named_like_functions(void **state)
{
	static const char source[] = "kernel void max(global int *o) { o[0] = min(77, o[0]); }\n"
				     "kernel void dot(global int *o) { o[0] = 78; }\n";
	struct mcl_session *session = mcl_session_create();
	struct mcl_code_object *co = part(session, source, NULL, 0, false);
	int out[1] = { 100 }, *slot = out;
	uint8_t *args[] = { (uint8_t *)&slot };

	(void)state;
	assert_int_equal(co->header->kernels.count, 2);
	assert_non_null(mcl_co_find_kernel(co, "max"));
	assert_non_null(mcl_co_find_kernel(co, "dot"));
	mcl_code_object_put(co);
	co = part(session, source, "max", 0, false);
	run_range(co, only_variant(co, "max", MCL_CO_ANY_LOCAL_SIZE), NULL, args, 1, 1);
	assert_int_equal(out[0], 77);
	mcl_code_object_put(co);
	co = part(NULL, source, "dot", 1, false);
	run_range(co, only_variant(co, "dot", MCL_CO_ZERO_OFFSET), NULL, args, 1, 1);
	assert_int_equal(out[0], 78);
	mcl_code_object_put(co);
	mcl_session_free(session);
}

/* ---- shared loops ---- */

#define N 16
#define ITEMS 64

/* The loops are POCL's around work-items and the kernel's own; each kernel stresses another reason to be careful. */
static const char loops[] =
	"#define ARGS global const int *a, global int *c, int n\n"
	"#define X size_t x = get_global_id(0)\n"
	/* What it is for. */
	"kernel void product(ARGS) { X; int s = 0; for (int k = 0; k < n; k++) s += a[k] * a[k * 64 + x]; c[x] = s; }\n"
	/* The work-item's memory is read and written in the loop. */
	"kernel void memory(ARGS) { X; for (int k = 0; k < n; k++) c[x] = c[x] * 3 + a[k]; }\n"
	/* What it wrote one round before. */
	"kernel void recur(ARGS) { X; for (int k = 1; k < n; k++) c[k * 64 + x] = c[(k - 1) * 64 + x] * 3 + a[k]; }\n"
	/* Private memory, which work-items would share. */
	"kernel void private_array(ARGS) { X; int p[8]; for (int k = 0; k < 8; k++) p[k] = a[k] + (int)x;\n"
	"	int s = 0; for (int k = 0; k < n; k++) { s += p[(a[k] + k) & 7]; p[k & 7] += s; } c[x] = s; }\n"
	/* Not all go round equally often. */
	"kernel void uneven(ARGS) { X; int s = 0; for (int k = 0; k < (int)(x % 5); k++) s += a[k] * 3 + s; c[x] = s; }\n"
	"kernel void leave(ARGS) { X; int s = 0; for (int k = 0; k < n; k++) { if (a[k] == (int)(x & 7)) break; s += a[k]; }\n"
	"	c[x] = s; }\n"
	/* Two loops, one in the other and one after the other. */
	"kernel void nested(ARGS) { X; int s = 0; for (int k = 0; k < n; k++) for (int j = 0; j < k; j++) s += a[k] * j + s;\n"
	"	c[x] = s + (int)x; }\n"
	"kernel void two(ARGS) { X; int s = 0; for (int k = 0; k < n; k++) s += a[k] * (int)x;\n"
	"	for (int k = 0; k < n; k++) s = s * 3 + a[k]; c[x] = s; }\n"
	/* Others' memory. */
	"kernel void counted(ARGS) { X; int s = 0; for (int k = 0; k < n; k++) { s += a[k]; atomic_add(&c[64], s); } c[x] = s; }\n"
	"kernel void met(ARGS) { X; local int l[64]; size_t i = get_local_id(0); int s = 0;\n"
	"	for (int k = 0; k < n; k++) { l[i] = a[k] + (int)x; barrier(CLK_LOCAL_MEM_FENCE); s += l[i ^ 1];\n"
	"		barrier(CLK_LOCAL_MEM_FENCE); } c[x] = s; }\n";

/*
 * POCL's files for the rewriting program are gone, all that are younger than the test's folder. Other programs' files may be
 * among them, but not for long.
 */
static void expect_no_left_overs(void)
{
	char command[400];

	snprintf(command, sizeof(command),
		 "files=$(find /tmp -maxdepth 1 -name 'pocl-parallel*.bc' -newer %s/compiler); i=0\n"
		 "while [ \"$files\" ] && ls $files 2>/dev/null | grep -q . ; do\n"
		 "	i=$((i + 1)); [ $i -lt 60 ] || exit 1; sleep 1\n"
		 "done",
		 folder);
	assert_int_equal(system(command), 0);
}

static void shared_loops(void **state)
{
	static const struct {
		const char *name;
		bool must, must_not;
	} kernels[] = {
		{ "product", true, false }, { "memory", true, false },	      { "recur", true, false },
		{ "uneven", false, false }, { "leave", false, false },	      { "nested", false, false },
		{ "two", false, false },    { "private_array", false, true }, { "counted", false, true },
		{ "met", false, true },
	};
	struct mcl_session *session = mcl_session_create();

	(void)state;
	for (size_t i = 0; i < sizeof(kernels) / sizeof(*kernels); i++) {
		const char *name = kernels[i].name;
		struct mcl_code_object *plain = part(session, loops, name, 0, false);
		struct mcl_code_object *jammed = part(session, loops, name, 32, true);
		const struct mcl_co_kernel *k = mcl_co_find_kernel(jammed, name);
		static int a[N * ITEMS], expected[N * ITEMS], got[N * ITEMS];
		int *a_slot = a, *slot, n = N;
		uint8_t local[512] __attribute__((aligned(128)));
		void *local_slot = local;
		uint8_t *args[] = { (uint8_t *)&a_slot, (uint8_t *)&slot, (uint8_t *)&n, (uint8_t *)&local_slot };

		assert_non_null(k);
		if (kernels[i].must && !k->variant_count)
			fail_msg("work-items do not share the loop of '%s'", name);
		if (kernels[i].must_not && k->variant_count)
			fail_msg("work-items share the loop of '%s'", name);
		if (k->variant_count) {
			for (int j = 0; j < N * ITEMS; j++) {
				a[j] = j * 7 % 13;
				expected[j] = got[j] = j;
			}
			slot = expected;
			run_range(plain, only_variant(plain, name, MCL_CO_ANY_LOCAL_SIZE), NULL, args, ITEMS, 32);
			slot = got;
			run_range(jammed, only_variant(jammed, name, MCL_CO_ZERO_OFFSET | MCL_CO_JAMMED), NULL, args,
				  ITEMS, 32);
			assert_memory_equal(got, expected, sizeof(got));
		}
		mcl_code_object_put(plain);
		mcl_code_object_put(jammed);
	}
	mcl_session_free(session);
	expect_no_left_overs();
}

static int make_folder(void **state)
{
	char text[PATH_MAX + 64];

	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(text, sizeof(text), "%s/compiler", folder);
	if (symlink(program, text))
		return -1;
	setenv("MIRRORCL_CC", text, 1);
	use_cache("cache");
	return 0;
}

static int remove_folder(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kernel_by_kernel), cmocka_unit_test(with_a_companion),
		cmocka_unit_test(single_kernel),    cmocka_unit_test(companions_that_fail),
		cmocka_unit_test(linked_sources),   cmocka_unit_test(kernels_named_like_functions),
		cmocka_unit_test(shared_loops),
	};

	if (argc != 3) {
		fprintf(stderr, "usage: %s MIRRORCL-CC FAKE-POCL\n", argv[0]);
		return 2;
	}
	program = argv[1];
	fake_pocl = argv[2];
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
