// SPDX-License-Identifier: MIT
/*
 * mirrorcl-cc with the installed POCL: the program on its command line, and what it makes, run. Takes seconds for
 * each program; the test of everything around it is test_compile.c. argv[1] is mirrorcl-cc, argv[2] the fake POCL.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <setjmp.h>
#include <cmocka.h>

#include "compiler/compiler.h"
#include "compiler/file.h"
#include "compiler/tests/loader.h"

static char folder[] = "/tmp/mcl-test-XXXXXX";
static const char *program, *fake_pocl;

static struct mcl_code_object *build(const char *source, const char *options, char **log)
{
	struct mcl_compile_request req = { .source = source, .source_size = strlen(source), .options = options };
	struct mcl_code_object *co;
	struct mcl_reason why = { .text = "" };
	char *text;

	if (mcl_compile(&req, &co, &text, &why))
		fail_msg("%s\n%s", why.text, text);
	if (log)
		*log = text;
	else
		free(text);
	return co;
}

/*
 * Run a shell command line in the test's folder, $CC being the compiler; its exit status. Output goes to the file
 * "out".
 */
static int run(const char *command)
{
	char line[8192];
	int status;

	snprintf(line, sizeof(line), "cd %s && export CC='%s' FAKE='%s' && (%s) >out 2>&1", folder, program, fake_pocl,
		 command);
	status = system(line);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static bool output_has(const char *words)
{
	char path[PATH_MAX];
	void *text;
	size_t size;
	bool found;

	snprintf(path, sizeof(path), "%s/out", folder);
	assert_int_equal(mcl_file_read(path, &text, &size), 0);
	found = strstr(text, words) != NULL;
	if (!found)
		print_message("not in the output: '%s'\n%s\n", words, (char *)text);
	free(text);
	return found;
}

static void write_file(const char *name, const char *text)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	assert_int_equal(mcl_file_write(path, text, strlen(text), 0600), 0);
}

/* OpenCL C 2.0: generic pointers, program-scope variables, atomics of all scopes, group functions. */
static void opencl_2_0_programs_build_and_run(void **state)
{
	static const char source[] =
		"#if __OPENCL_C_VERSION__ != 200\n#error wrong version\n#endif\n"
		"typedef struct node { struct node *next; int value; } node;\n"
		"global int factor = 3;\n"
		"global atomic_int calls = ATOMIC_VAR_INIT(10);\n"
		"int follow(node *n) { int s = 0; for (; n; n = n->next) s += n->value; return s; }\n"
		"kernel void walk(global node *head, global int *out, local int *scratch, int add) {\n"
		"	local int total;\n"
		"	size_t i = get_local_id(0);\n"
		"	scratch[i] = follow(head) * factor + add;\n"
		"	if (i == 0) total = 0;\n"
		"	barrier(CLK_LOCAL_MEM_FENCE);\n"
		"	atomic_fetch_add_explicit((volatile local atomic_int *)&total, scratch[i], memory_order_relaxed,\n"
		"		memory_scope_work_group);\n"
		"	barrier(CLK_LOCAL_MEM_FENCE);\n"
		"	int before = atomic_fetch_add_explicit(&calls, 1, memory_order_seq_cst, memory_scope_all_svm_devices);\n"
		"	out[get_global_id(0)] = total + (before < 10);\n"
		"}\n"
		"kernel void read(global int *out) { out[0] = atomic_load(&calls); out[1] = work_group_reduce_add(1); }\n";
	struct node {
		struct node *next;
		int value;
	} third = { NULL, 3 }, second = { &third, 2 }, first = { &second, 1 };
	struct mcl_code_object *co = build(source, "-cl-std=CL2.0", NULL);
	const struct mcl_co_kernel *walk = mcl_co_find_kernel(co, "walk"), *read = mcl_co_find_kernel(co, "read");
	void *head = &first, *globals;
	int out[16] = { 0 }, *out_slot = out, add = 1;
	uint8_t scratch[512] __attribute__((aligned(128))), total[128] __attribute__((aligned(128)));
	void *scratch_slot = scratch, *total_slot = total;
	uint8_t *args[] = { (uint8_t *)&head, (uint8_t *)&out_slot, (uint8_t *)&scratch_slot, (uint8_t *)&add,
			    (uint8_t *)&total_slot };
	uint8_t *read_args[] = { (uint8_t *)&out_slot };

	(void)state;
	assert_non_null(walk);
	assert_non_null(read);
	assert_int_equal(walk->arg_count, 4);
	assert_int_equal(co->args[walk->first_arg].kind, MCL_CO_ARG_POINTER);
	assert_int_equal(co->args[walk->first_arg + 2].kind, MCL_CO_ARG_LOCAL);
	assert_int_equal(co->args[walk->first_arg + 3].kind, MCL_CO_ARG_VALUE);
	assert_int_equal(co->args[walk->first_arg + 3].size, 4);
	assert_true(walk->flags & MCL_CO_ARG_INFO);
	assert_string_equal(mcl_co_string(co, co->args[walk->first_arg + 3].name), "add");
	assert_string_equal(mcl_co_string(co, co->args[walk->first_arg + 3].type_name), "int");
	assert_int_equal(walk->local_count, 1);
	assert_int_equal(co->locals[walk->first_local], 4);
	assert_true(co->variants[walk->first_variant].flags == MCL_CO_ANY_LOCAL_SIZE);
	assert_true(co->header->global_size >= 8);

	globals = load_globals(co);
	run_range(co, walk->first_variant, globals, args, 16, 8);
	for (int i = 0; i < 16; i++)
		assert_int_equal(out[i], 8 * (6 * 3 + 1));
	run_range(co, read->first_variant, globals, read_args, 4, 4);
	assert_int_equal(out[0], 26);
	assert_int_equal(out[1], 4);
	free(globals);
	mcl_code_object_put(co);
}

static void local_sizes_get_their_own_functions(void **state)
{
	static const char source[] =
		"kernel void ids(global ulong *o) {\n"
		"	o[get_global_id(0)] = get_local_size(0) * 1000 + get_local_id(0) + get_global_offset(0) * 1000000; }\n"
		"__attribute__((reqd_work_group_size(4, 1, 1))) __attribute__((vec_type_hint(float4)))\n"
		"kernel void fixed(global ulong *o) { o[get_global_id(0)] = get_local_size(0); }\n";
	const uint32_t sizes[][3] = { { 8, 1, 1 }, { 4, 1, 1 } };
	struct mcl_compile_request req = {
		.source = source,
		.source_size = strlen(source),
		.local_size_count = 2,
		.local_sizes = sizes,
	};
	struct mcl_reason why = { .text = "" };
	const struct mcl_co_kernel *k;
	struct mcl_code_object *co;
	uint64_t out[16], *slot = out;
	uint8_t *args[] = { (uint8_t *)&slot };
	unsigned int seen = 0;

	(void)state;
	if (mcl_compile(&req, &co, NULL, &why))
		fail_msg("%s", why.text);
	k = mcl_co_find_kernel(co, "ids");
	assert_int_equal(k->variant_count, 3);
	assert_int_equal(co->variants[k->first_variant].flags, MCL_CO_ANY_LOCAL_SIZE);
	for (uint32_t i = 0; i < k->variant_count; i++) {
		const struct mcl_co_variant *v = &co->variants[k->first_variant + i];
		uint32_t local = v->local_size[0] ? v->local_size[0] : 2;

		assert_true(i == 0 || (v->flags & MCL_CO_ZERO_OFFSET));
		seen |= local;
		memset(out, 0, sizeof(out));
		run_range(co, k->first_variant + i, NULL, args, 16, local);
		for (uint32_t j = 0; j < 16; j++)
			assert_int_equal(out[j], local * 1000 + j % local);
	}
	assert_int_equal(seen, 8 | 4 | 2);

	/*
	 * A required size is built into every function, so none claims to be generic, and none of another size
	 * exists.
	 */
	k = mcl_co_find_kernel(co, "fixed");
	assert_int_equal(k->reqd_local_size[0], 4);
	assert_string_equal(mcl_co_string(co, k->attributes), "reqd_work_group_size(4,1,1) vec_type_hint(float4)");
	assert_string_equal(mcl_co_string(co, k->vec_hint), "float4");
	assert_int_equal(k->variant_count, 2);
	for (uint32_t i = 0; i < k->variant_count; i++) {
		const struct mcl_co_variant *v = &co->variants[k->first_variant + i];

		assert_false(v->flags & MCL_CO_ANY_LOCAL_SIZE);
		assert_int_equal(v->local_size[0], 4);
		memset(out, 0, sizeof(out));
		run_range(co, k->first_variant + i, NULL, args, 16, 4);
		for (int j = 0; j < 16; j++)
			assert_int_equal(out[j], 4);
	}
	assert_int_equal(co->variants[k->first_variant].flags, 0); /* the general one first */
	mcl_code_object_put(co);
}

/* Kernels whose name begins with "free" have groups that cannot notice when others run. */
static void the_order_of_groups_may_matter(void **state)
{
	static const char source[] =
		"#define GLUE(a, b) a##b\n"
		"static void helper(global int *a) { atomic_add(a, 1); }\n"
		"static void middle(global int *a) { helper(a); }\n"
		"kernel void free_triad(global float *a, global float *b) { a[get_global_id(0)] = 3 * b[get_global_id(0)]; }\n"
		"kernel void free_local(global float *a, local float *l) {\n"
		"	l[get_local_id(0)] = a[get_global_id(0)];\n"
		"	barrier(CLK_LOCAL_MEM_FENCE);\n"
		"	a[get_global_id(0)] = pow(l[get_local_size(0) - 1 - get_local_id(0)], 1.5f); }\n"
		"kernel void free_copy(global float *a, local float *l) {\n"
		"	event_t e = async_work_group_copy(l, a, 16, 0);\n"
		"	wait_group_events(1, &e);\n"
		"	a[get_global_id(0)] = l[0]; }\n"
		"kernel void free_image(write_only image2d_t i) {\n"
		"	write_imagef(i, (int2)(get_global_id(0), 0), (float4)(1)); }\n"
		"kernel void add(global int *a) { atomic_add(a, 1); }\n"
		"kernel void glued(global int *a) { GLUE(ato, mic_inc)(a); }\n"
		"kernel void c11(global atomic_int *a) { atomic_fetch_add_explicit(a, 1, memory_order_relaxed); }\n"
		"kernel void load(global atomic_int *a, global int *b) { b[0] = atomic_load(a); }\n"
		"kernel void polls(global volatile int *a, global int *b) { while (!a[0]) ; b[0] = 1; }\n"
		"kernel void tells(global volatile int *a) { a[get_global_id(0)] = 1; }\n"
		"kernel void calls(global int *a) { middle(a); }\n"
		"kernel void fence(global int *a) { a[1] = 2; mem_fence(CLK_GLOBAL_MEM_FENCE); a[0] = 1; }\n"
		"kernel void release(global int *a) { a[1] = 2; atomic_work_item_fence(CLK_GLOBAL_MEM_FENCE,\n"
		"	memory_order_release, memory_scope_device); a[0] = 1; }\n"
		"kernel void says(global int *a) { if (a[0]) printf(\"%d\", a[0]); }\n";
	struct mcl_code_object *co = build(source, "-cl-std=CL3.0", NULL);
	uint32_t free_ones = 0;

	(void)state;
	assert_int_equal(co->header->kernels.count, 14);
	for (uint32_t i = 0; i < co->header->kernels.count; i++) {
		const struct mcl_co_kernel *k = &co->kernels[i];
		const char *name = mcl_co_string(co, k->name);
		const bool any = k->flags & MCL_CO_ANY_ORDER;

		if (any != (strncmp(name, "free", 4) == 0))
			fail_msg("kernel %s: groups in %s order", name, any ? "any" : "fixed");
		free_ones += any;
	}
	assert_int_equal(free_ones, 4);
	mcl_code_object_put(co);
}

static void headers_macros_and_folders_are_found(void **state)
{
	static const char source[] =
		"#include \"given.h\"\n#include <sub/filed.h>\n#include \"a b.h\"\n"
		"constant char text[] = TEXT;\n"
		"kernel void k(global int *o) { o[0] = GIVEN + FILED + SPACED + ADD(1, 2) + text[1]; }\n";
	const char *name = "given.h", *content = "#define GIVEN 1000\n";
	char options[PATH_MAX];
	struct mcl_compile_request req = {
		.source = source,
		.source_size = strlen(source),
		.options = options,
		.header_count = 1,
		.header_names = &name,
		.header_sources = &content,
	};
	struct mcl_reason why = { .text = "" };
	struct mcl_code_object *co;
	int out[1] = { 0 }, *slot = out;
	uint8_t *args[] = { (uint8_t *)&slot };
	char *log;

	(void)state;
	assert_int_equal(run("mkdir -p inc/sub 'with blank'"), 0);
	write_file("inc/sub/filed.h", "#define FILED 200\n");
	write_file("with blank/a b.h", "#define SPACED 30\n");
	snprintf(options, sizeof(options), "-I %s/inc -I \"%s/with blank\" -DTEXT=\\\"abc\\\" '-DADD(x,y)=x + y'",
		 folder, folder);
	if (mcl_compile(&req, &co, &log, &why))
		fail_msg("%s\n%s", why.text, log);
	free(log);
	run_range(co, mcl_co_find_kernel(co, "k")->first_variant, NULL, args, 1, 1);
	assert_int_equal(out[0], 1000 + 200 + 30 + 3 + 'b');
	mcl_code_object_put(co);
}

static void errors_and_warnings_are_in_the_log(void **state)
{
	struct mcl_compile_request req = { .source = "kernel void k() {\n\n  what = 1; }\n", .source_size = 32 };
	struct mcl_code_object *co;
	struct mcl_reason why;
	char *log;

	(void)state;
	assert_int_equal(mcl_compile(&req, &co, &log, &why), -ENOEXEC);
	assert_non_null(strstr(log, "<program>:3:3"));
	assert_non_null(strstr(log, "'what'"));
	free(log);
	/* The prolog that -cl-std=CL2.0 needs does not move lines. */
	req.options = "-cl-std=CL2.0";
	assert_int_equal(mcl_compile(&req, &co, &log, &why), -ENOEXEC);
	assert_non_null(strstr(log, "<program>:3:3"));
	assert_null(strstr(log, "warning"));
	free(log);
	for (int i = 0; i < 2; i++) { /* the second time from the cache */
		co = build("kernel void k(global int *o) {\n#warning old news\no[0] = 1; }\n", "", &log);
		assert_non_null(strstr(log, "old news"));
		free(log);
		mcl_code_object_put(co);
	}
}

static void what_the_device_lacks_is_a_build_error(void **state)
{
	(void)state;
	write_file("pipe.cl", "kernel void k(read_only pipe int p, global int *o) { read_pipe(p, &o[0]); }\n");
	assert_int_equal(run("$CC pipe.cl -- -cl-std=CL2.0"), 1);
	assert_true(output_has("pipe.cl:1:"));
	assert_int_equal(run("test ! -e pipe.mclo"), 0);
	/* No kernel at all is not an error. */
	write_file("empty.cl", "\n");
	assert_int_equal(run("$CC empty.cl && $CC --dump empty.mclo"), 0);
	/* Odd names: POCL shortens long ones in its files. */
	assert_int_equal(
		run("n=$(printf 'a%.0s' $(seq 300)); echo \"kernel void $n(global int *o) { o[0] = 1; }\" > long.cl;"
		    "$CC long.cl && $CC --dump long.mclo | grep -q \"^kernel $n\\$\""),
		0);
}

/* POCL's own limit, at which it would abort. */
static void long_names(void **state)
{
	(void)state;
	assert_int_equal(
		run("n=$(printf 'k%.0s' $(seq 1000)); echo \"kernel void $n(global int *p) { *p = 1; }\" >n.cl;"
		    " $CC -o n.mclo n.cl"),
		0);
	assert_int_equal(
		run("n=$(printf 'k%.0s' $(seq 1001)); echo \"kernel void $n(global int *p) { *p = 1; }\" >n.cl;"
		    " $CC -o n.mclo n.cl"),
		1);
	assert_true(output_has("has 1001 characters"));
}

static void the_program_is_a_proper_tool(void **state)
{
	(void)state;
	write_file("k.cl", "#include \"h.h\"\nkernel void k(global float *a, H b) { a[0] = b X; }\n");
	write_file("h", "#define H int\n");
	assert_int_equal(run("$CC --version"), 0);
	assert_true(output_has("mirrorcl-cc "));
	assert_int_equal(run("$CC --help"), 0);
	assert_true(output_has("--local-size"));
	assert_int_equal(run("$CC"), 2);
	assert_int_equal(run("$CC --no-such-option k.cl"), 2);
	assert_int_equal(run("$CC --local-size 0,1,1 k.cl"), 2);
	assert_int_equal(run("$CC --local-size 8 k.cl"), 2);
	assert_int_equal(run("$CC missing.cl"), 2);
	assert_true(output_has("missing.cl"));
	assert_int_equal(run("$CC k.cl -- -nonsense"), 2);
	assert_true(output_has("-nonsense"));

	/* Words behind -- stay words; the result is written whole, with the usual modes. */
	assert_int_equal(
		run("umask 022; mkdir -p d; $CC -o d/out.mclo --header h.h=h --log log k.cl -- '-DX=* 2' && test ! -s log"),
		0);
	assert_int_equal(run("test \"$(stat -c %a d/out.mclo)\" = 644 && ls d"), 0);
	assert_int_equal(run("test \"$(ls d)\" = out.mclo"), 0);
	assert_int_equal(run("$CC --dump d/out.mclo"), 0);
	assert_true(output_has("kernel k"));
	assert_true(output_has("int b"));
	assert_true(output_has("any local size"));
	assert_int_equal(
		run("$CC --header h.h=h - --local-size 8,1,1 -- -DX= < k.cl | cat > piped.mclo; $CC --dump piped.mclo"),
		0);
	assert_true(output_has("local size 8,1,1, no global offset"));

	/* Nowhere to write. */
	assert_int_equal(run("$CC --header h.h=h -o no/such/folder/x.mclo k.cl -- -DX="), 2);
	assert_true(output_has("no/such/folder"));
	assert_int_equal(run("$CC --dump k.cl"), 2);
	assert_int_equal(run("printf 'MCLCODE\\0\\011\\0\\0\\0\\0\\0\\0\\0' > v9.mclo; $CC --dump v9.mclo"), 4);
	assert_true(output_has("version 9"));
}

static void the_surroundings_do_not_matter(void **state)
{
	(void)state;
	write_file("s.cl", "kernel void s(global float *a) { a[0] = 1; }\n");
	/* What users of POCL may have set. */
	assert_int_equal(
		run("mkdir -p tmp && env POCL_CACHE_DIR=/no/such POCL_DEVICES=nonsense POCL_WORK_GROUP_METHOD=nonsense "
		    "POCL_BINARY_SPECIALIZE_WG=1-2-3 POCL_DEBUG=all OCL_ICD_VENDORS=/no/such TMPDIR=$PWD/tmp HOME=/no/such "
		    "POCL_EXTRA_BUILD_FLAGS=-nonsense $CC s.cl"),
		0);
	assert_int_equal(run("test ! -s out"), 0);
	assert_int_equal(run("test -z \"$(ls -A tmp)\""), 0);
	assert_int_equal(run("TMPDIR=/no/such PATH=/no/such $CC s.cl"), 0);
	assert_int_equal(run("$CC --pocl /no/such.so s.cl"), 3);
	assert_true(output_has("POCL cannot be loaded"));
	assert_int_equal(run("FAKE_POCL='OpenCL 3.0 PoCL 7.1 something' $CC --pocl $FAKE s.cl"), 4);
	assert_true(output_has("POCL is version 7.1"));
	assert_int_equal(run("FAKE_POCL='OpenCL 3.0 Other' $CC --pocl $FAKE s.cl"), 4);
	assert_true(output_has("not POCL"));
}

static void nothing_is_left_behind(void **state)
{
	(void)state;
	write_file("s.cl", "kernel void s(global float *a) { a[0] = 1; }\n");
	assert_int_equal(run("mkdir -p tmp; FAKE_POCL=crash TMPDIR=$PWD/tmp $CC --pocl $FAKE s.cl"), 5);
	assert_true(output_has("the compiler crashed (Aborted)"));
	assert_int_equal(run("test -z \"$(ls -A tmp)\""), 0);
	/* Interrupted in the middle of its work. */
	assert_int_equal(
		run("TMPDIR=$PWD/tmp $CC s.cl & pid=$!; for i in $(seq 300); do [ -n \"$(ls -A tmp)\" ] && break; "
		    "sleep 0.01; done; sleep 0.05; kill -TERM $pid; wait $pid; test $? = 143"),
		0);
	assert_int_equal(run("test -z \"$(ls -A tmp)\""), 0);
	/* What a killed run leaves, a later one removes; not what is in use, young or no folder of ours. */
	assert_int_equal(
		run("cd tmp && mkdir -p mirrorcl-cc-killed/x mirrorcl-cc-in_use mirrorcl-cc-younge mirrorcl-cc-others_ && "
		    "touch mirrorcl-cc-killed/x/y && ln -s .. mirrorcl-cc-alink_ && "
		    "touch -d '1 hour ago' mirrorcl-cc-killed mirrorcl-cc-in_use mirrorcl-cc-others_ && cd .. && "
		    "flock tmp/mirrorcl-cc-in_use env TMPDIR=$PWD/tmp $CC s.cl && ls tmp"),
		0);
	assert_int_equal(run("test \"$(ls -A tmp | tr '\\n' ' ')\" = "
			     "'mirrorcl-cc-alink_ mirrorcl-cc-in_use mirrorcl-cc-others_ mirrorcl-cc-younge '"),
			 0);
}

/* Killed while another process rewrites the code so that work-items share a loop: what that one works on goes away, too. */
static void no_bitcode_is_left_behind(void **state)
{
	static const char *const folders[] = { "tmp", "a 'b' $1" };

	(void)state;
	write_file("p.cl", "kernel void p(global const int *a, global int *c, int n) { size_t x = get_global_id(0);\n"
			   "	int s = 0; for (int k = 0; k < n; k++) s += a[k] * a[k * 64 + x]; c[x] = s; }\n");
	assert_int_equal(
		run("rm -rf tmp; mkdir tmp; TMPDIR=$PWD/tmp $CC --jam --kernel=p --local-size=32,1,1 p.cl & pid=$!\n"
		    "for i in $(seq 2000); do ls tmp/*/pocl-parallel_*.bc && break; sleep 0.01; done\n"
		    "ls tmp/*/pocl-parallel_*.bc && kill -TERM $pid; wait $pid; test $? = 143"),
		0);
	assert_int_equal(run("test -z \"$(ls -A tmp)\""), 0);
	/* It works wherever it may be; in a folder that no shell would take POCL's own place is used. */
	for (int i = 0; i < 2; i++) {
		setenv("FOLDER", folders[i], 1);
		assert_int_equal(
			run("mkdir -p \"$FOLDER\" && TMPDIR=\"$PWD/$FOLDER\" $CC -o p.mclo --jam --kernel=p "
			    "--local-size=32,1,1 p.cl && test -z \"$(ls -A \"$FOLDER\")\" && $CC --dump p.mclo"),
			0);
		assert_true(output_has("loops"));
	}
	unsetenv("FOLDER");
}

/* A full disk is not a program that does not compile. */
static void no_room(void **state)
{
	(void)state;
	write_file("s.cl", "kernel void s(global float *a) { a[0] = 1; }\n");
	if (run("mkdir -p small && unshare -m mount -t tmpfs none small"))
		skip(); /* not root */
	assert_int_equal(run("unshare -m sh -c 'mount -t tmpfs -o size=64k none small && "
			     "! head -c 1M /dev/zero >small/x && TMPDIR=$PWD/small $CC s.cl'"),
			 3);
	assert_true(output_has("no room for temporary files"));
}

/* Start mirrorcl-cc with a POCL that never answers, @fd being its descriptor 3, and wait until it works. */
static pid_t start_hanging(const char *option, int fd)
{
	pid_t pid = fork();

	if (!pid) {
		if (chdir(folder) || dup2(fd, 3) != 3)
			_exit(99);
		setenv("FAKE_POCL", "hang", 1);
		setenv("TMPDIR", "tmp", 1);
		execl(program, "mirrorcl-cc", option, "--pocl", fake_pocl, "s.cl", NULL);
		_exit(99);
	}
	close(fd);
	assert_int_equal(run("for i in $(seq 1000); do [ -n \"$(ls -A tmp)\" ] && break; sleep 0.01; done"), 0);
	return pid;
}

/* When the application has gone, whatever the compiler is busy with, it goes too. */
static void it_ends_with_the_application(void **state)
{
	const char *const options[] = { "--status-fd=3", "--serve-fd=3" };

	(void)state;
	write_file("s.cl", "kernel void s(global float *a) { a[0] = 1; }\n");
	assert_int_equal(run("rm -rf tmp; mkdir tmp"), 0);
	for (int i = 0; i < 2; i++) {
		int ends[2], status;
		pid_t pid;

		assert_int_equal(i ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) : pipe2(ends, O_CLOEXEC),
				 0);
		pid = start_hanging(options[i], ends[1]);
		close(ends[0]);
		for (int tries = 0; waitpid(pid, &status, WNOHANG) != pid; tries++) {
			if (tries == 1000) {
				kill(pid, SIGTERM);
				fail_msg("with %s it is still there", options[i]);
			}
			usleep(10000);
		}
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
		assert_int_equal(run("test -z \"$(ls -A tmp)\""), 0);
	}
}

static int make_folder(void **state)
{
	char path[PATH_MAX];

	(void)state;
	if (!mkdtemp(folder))
		return -1;
	setenv("MIRRORCL_CC", program, 1);
	snprintf(path, sizeof(path), "%s/cache", folder);
	setenv("MIRRORCL_CACHE_DIR", path, 1);
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
		cmocka_unit_test(opencl_2_0_programs_build_and_run),
		cmocka_unit_test(local_sizes_get_their_own_functions),
		cmocka_unit_test(the_order_of_groups_may_matter),
		cmocka_unit_test(headers_macros_and_folders_are_found),
		cmocka_unit_test(errors_and_warnings_are_in_the_log),
		cmocka_unit_test(what_the_device_lacks_is_a_build_error),
		cmocka_unit_test(long_names),
		cmocka_unit_test(the_program_is_a_proper_tool),
		cmocka_unit_test(the_surroundings_do_not_matter),
		cmocka_unit_test(nothing_is_left_behind),
		cmocka_unit_test(no_bitcode_is_left_behind),
		cmocka_unit_test(no_room),
		cmocka_unit_test(it_ends_with_the_application),
	};

	if (argc != 3) {
		fprintf(stderr, "usage: %s MIRRORCL-CC FAKE-POCL\n", argv[0]);
		return 2;
	}
	program = argv[1];
	fake_pocl = argv[2];
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
