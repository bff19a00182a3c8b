// SPDX-License-Identifier: MIT
/*
 * POCL through its public API; see pocl.h. Objects are not released on the way: the process ends soon and frees it
 * all.
 */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compiler/huge_heap.h"
#include "compiler/pocl.h"
#include "compiler/target.h"

#define ICD_FILE "/etc/OpenCL/vendors/pocl.icd"
#define FALLBACK_LIBRARY "libpocl.so.2"
#define SYSTEM_PATH "/usr/local/bin:/usr/bin:/bin"
#define PLATFORM_NAME "Portable Computing Language"
#define LONGEST_NAME 1000 /* of a kernel, for POCL's buffers */

int pocl_environment(const char *folder)
{
	static const char *const unwanted[] = { "POCL_", "OCL_", "OPENCL_", "CCC_OVERRIDE_OPTIONS=" };
	const struct mcl_target *target = mcl_target_chosen();
	const char *old_path = getenv("PATH");
	char *path;
	int err;

	for (char **entry = environ; entry && *entry;) {
		char *end = strchr(*entry, '='), *name;
		bool drop = false;

		for (size_t i = 0; i < sizeof(unwanted) / sizeof(*unwanted); i++)
			drop |= strncmp(*entry, unwanted[i], strlen(unwanted[i])) == 0;
		if (!drop || !end) {
			entry++;
			continue;
		}
		name = strndup(*entry, (size_t)(end - *entry));
		if (!name)
			return -ENOMEM;
		unsetenv(name); /* moves the rest up */
		free(name);
	}
	/* POCL starts a linker, wherever the application's PATH leads. */
	if (asprintf(&path, "%s%s" SYSTEM_PATH, old_path ? old_path : "", old_path && *old_path ? ":" : "") < 0)
		return -ENOMEM;
	err = setenv("PATH", path, 1);
	free(path);
	if (err || mcl_huge_heap_bequeath())
		return -ENOMEM;
	/* One worker thread is enough for a process that runs no kernel. */
	if (setenv("POCL_CACHE_DIR", folder, 1) || setenv("POCL_DEVICES", "cpu", 1) ||
	    setenv("POCL_CPU_MAX_CU_COUNT", "1", 1) || setenv("POCL_SIGFPE_HANDLER", "0", 1))
		return -ENOMEM;
	if (target &&
	    (setenv("POCL_LLVM_CPU_NAME", target->name, 1) || setenv("POCL_KERNELLIB_NAME", target->builtins, 1)))
		return -ENOMEM;
	return 0;
}

/* The library that POCL's package registers with ICD loaders. */
static void *open_installed(void)
{
	char name[PATH_MAX] = "";
	FILE *icd = fopen(ICD_FILE, "re");
	void *handle = NULL;

	if (icd) {
		if (fgets(name, sizeof(name), icd))
			name[strcspn(name, " \t\r\n")] = '\0';
		fclose(icd);
	}
	if (name[0])
		handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
	return handle ? handle : dlopen(FALLBACK_LIBRARY, RTLD_NOW | RTLD_LOCAL);
}

static int check_version(struct pocl *pocl, struct mcl_reason *why)
{
	char name[128] = "", version[512] = "", device[512] = "";
	const cl_icd_dispatch *cl = pocl->cl;
	const char *at;
	int major, minor;

	if (cl->clGetPlatformInfo(pocl->platform, CL_PLATFORM_NAME, sizeof(name), name, NULL) ||
	    cl->clGetPlatformInfo(pocl->platform, CL_PLATFORM_VERSION, sizeof(version), version, NULL))
		return mcl_reason(why, -EIO, "POCL does not tell its version");
	at = strstr(version, "PoCL ");
	if (strcmp(name, PLATFORM_NAME) != 0 || !at || sscanf(at, "PoCL %d.%d", &major, &minor) != 2)
		return mcl_reason(why, -EPROTO, "the library is not POCL: it calls itself '%.60s', '%.100s'", name,
				  version);
	if (major != 6 || minor != 0)
		return mcl_reason(
			why, -EPROTO,
			"POCL is version %d.%d, whose compiled kernels MirrorCL cannot run: it knows the calling "
			"convention of POCL 6.0 only",
			major, minor);
	if (cl->clGetDeviceIDs(pocl->platform, CL_DEVICE_TYPE_CPU, 1, &pocl->device, NULL) ||
	    cl->clGetDeviceInfo(pocl->device, CL_DEVICE_VERSION, sizeof(device), device, NULL))
		return mcl_reason(why, -EIO, "POCL has no CPU device here");
	snprintf(pocl->producer, sizeof(pocl->producer), "%s", at);
	at = strstr(device, "HSTR: ");
	snprintf(pocl->target, sizeof(pocl->target), "%s", at ? at + strlen("HSTR: ") : "unknown");
	return 0;
}

int pocl_open(const char *library, struct pocl *pocl, struct mcl_reason *why)
{
	void *handle = library ? dlopen(library, RTLD_NOW | RTLD_LOCAL) : open_installed();
	clIcdGetPlatformIDsKHR_fn platform_ids = NULL;
	void *(*extension)(const char *);
	cl_uint count = 0;
	cl_int err;

	memset(pocl, 0, sizeof(*pocl));
	if (!handle)
		return mcl_reason(why, -ENOENT, "POCL cannot be loaded (package pocl-opencl-icd): %.250s", dlerror());
	*(void **)&extension = dlsym(handle, "clGetExtensionFunctionAddress");
	if (extension)
		*(void **)&platform_ids = extension("clIcdGetPlatformIDsKHR");
	if (!platform_ids)
		return mcl_reason(why, -EPROTO, "the library is not POCL: it has no clIcdGetPlatformIDsKHR");
	err = platform_ids(1, &pocl->platform, &count);
	if (err || count == 0)
		return mcl_reason(why, -EIO, "POCL has no platform here (error %d)", err);
	/* Every ICD's objects start with a pointer to its functions: cl_khr_icd. */
	pocl->cl = *(const cl_icd_dispatch *const *)pocl->platform;
	return check_version(pocl, why);
}

static char *build_log(const struct pocl *pocl, cl_program program)
{
	const cl_icd_dispatch *cl = pocl->cl;
	size_t size = 0;
	char *log;

	if (cl->clGetProgramBuildInfo(program, pocl->device, CL_PROGRAM_BUILD_LOG, 0, NULL, &size))
		size = 0;
	log = calloc(1, size + 1);
	if (log && size && cl->clGetProgramBuildInfo(program, pocl->device, CL_PROGRAM_BUILD_LOG, size, log, NULL))
		log[0] = '\0';
	return log;
}

/* Append the log of @program to *@log, which may be NULL. An OpenCL error. */
static cl_int add_log(const struct pocl *pocl, cl_program program, char **log)
{
	char *more = build_log(pocl, program), *joined;

	if (!more || asprintf(&joined, "%s%s", *log ? *log : "", more) < 0)
		joined = NULL;
	free(more);
	free(*log);
	*log = joined;
	return joined ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY;
}

static cl_int create_program(const struct pocl *pocl, cl_context context, const struct pocl_source *source,
			     cl_program *out)
{
	cl_int err;

	if (source->il)
		*out = pocl->cl->clCreateProgramWithIL(context, source->text, source->size, &err);
	else
		*out = pocl->cl->clCreateProgramWithSource(context, 1, (const char **)&source->text, &source->size,
							   &err);
	return err;
}

/* Compile @program, made of @source. An OpenCL error. What POCL made on the way stays until the process ends. */
static cl_int compile_one(const struct pocl *pocl, cl_context context, cl_program program,
			  const struct pocl_source *source)
{
	const cl_icd_dispatch *cl = pocl->cl;
	cl_program *headers = calloc(source->header_count + (size_t)1, sizeof(*headers));
	cl_int err = headers ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY;

	for (uint32_t i = 0; !err && i < source->header_count; i++) {
		const char *text = source->header_sources[i];

		headers[i] = cl->clCreateProgramWithSource(context, 1, &text, NULL, &err);
	}
	if (!err)
		err = cl->clCompileProgram(program, 1, &pocl->device, source->options, source->header_count,
					   source->header_count ? headers : NULL,
					   source->header_count ? (const char **)source->header_names : NULL, NULL,
					   NULL);
	free(headers);
	return err;
}

/* A link whose log is wanted. */
struct linking {
	const struct pocl *pocl;
	char **log;
	cl_int err;
};

/* POCL releases a program that does not link, but tells of its end before. */
static void CL_CALLBACK take_link_log(cl_program program, void *ctx)
{
	struct linking *l = ctx;

	if (program)
		l->err = add_log(l->pocl, program, l->log);
}

/* Compile each of @sources into @out->parts. An OpenCL error. */
static cl_int compile_parts(const struct pocl *pocl, const struct pocl_source *sources, uint32_t count,
			    struct pocl_program *out, char **log)
{
	cl_int err = CL_SUCCESS;

	out->parts = calloc(count, sizeof(*out->parts));
	out->part_count = count;
	if (!out->parts)
		return CL_OUT_OF_HOST_MEMORY;
	for (uint32_t i = 0; !err && i < count; i++) {
		err = create_program(pocl, pocl->context, &sources[i], &out->parts[i]);
		if (err)
			break;
		err = compile_one(pocl, pocl->context, out->parts[i], &sources[i]);
		if (add_log(pocl, out->parts[i], log))
			err = CL_OUT_OF_HOST_MEMORY;
	}
	return err;
}

/* An OpenCL error. */
static cl_int link_parts(const struct pocl *pocl, struct pocl_program *program, char **log)
{
	struct linking linking = { .pocl = pocl, .log = log };
	cl_int err;

	program->program = pocl->cl->clLinkProgram(pocl->context, 1, &pocl->device, "", program->part_count,
						   program->parts, take_link_log, &linking, &err);
	return linking.err ? linking.err : err;
}

/*
 * POCL ends the process over a kernel whose function it does not find, and cuts the names that it looks for. Returns -ENOEXEC, with a
 * line more in @log, if one of @names, separated by ';', is too long.
 */
static int check_names(const char *names, char **log, struct mcl_reason *why)
{
	size_t length;

	for (const char *name = names; *name; name += length + (name[length] == ';')) {
		char *joined;

		length = strcspn(name, ";");
		if (length <= LONGEST_NAME)
			continue;
		if (asprintf(&joined,
			     "%serror: the name of kernel '%.32s...' has %zu characters; at most %d are possible\n",
			     *log, name, length, LONGEST_NAME) < 0)
			return mcl_reason(why, -ENOMEM, "no memory for the build");
		free(*log);
		*log = joined;
		return mcl_reason(why, -ENOEXEC, "the program does not compile");
	}
	return 0;
}

/* What an OpenCL error of a build with @options, first of all, means. */
static int judge(cl_int err, const char *options, struct mcl_reason *why)
{
	switch (err) {
	case CL_SUCCESS:
		return 0;
	case CL_OUT_OF_HOST_MEMORY:
		return mcl_reason(why, -ENOMEM, "no memory for the build");
	case CL_BUILD_PROGRAM_FAILURE:
	case CL_COMPILE_PROGRAM_FAILURE:
		return mcl_reason(why, -ENOEXEC, "the program does not compile");
	case CL_LINK_PROGRAM_FAILURE:
		return mcl_reason(why, -ENOEXEC, "the program does not link");
	case CL_INVALID_BUILD_OPTIONS:
	case CL_INVALID_COMPILER_OPTIONS:
	case CL_INVALID_LINKER_OPTIONS:
		return mcl_reason(why, -EINVAL, "POCL does not take the build options '%.200s'", options);
	default:
		return mcl_reason(why, -EIO, "POCL's build failed with error %d", err);
	}
}

/* Of @program, which is linked. */
static int list_kernels(const struct pocl *pocl, struct pocl_program *program, char **log, struct mcl_reason *why)
{
	const cl_icd_dispatch *cl = pocl->cl;
	size_t size = 0;
	cl_int err = cl->clGetProgramInfo(program->program, CL_PROGRAM_KERNEL_NAMES, 0, NULL, &size);

	program->kernels = calloc(1, size + 1);
	if (!program->kernels)
		return mcl_reason(why, -ENOMEM, "no memory for the kernels' names");
	if (!err && size)
		err = cl->clGetProgramInfo(program->program, CL_PROGRAM_KERNEL_NAMES, size, program->kernels, NULL);
	if (err)
		return mcl_reason(why, -EIO, "POCL does not name the kernels (error %d)", err);
	return check_names(program->kernels, log, why);
}

int pocl_build(struct pocl *pocl, const struct pocl_source *sources, uint32_t count, bool check_only,
	       struct pocl_program *out, char **log, struct mcl_reason *why)
{
	const cl_icd_dispatch *cl = pocl->cl;
	cl_int err = CL_SUCCESS;
	int ret;

	*log = NULL;
	if (!pocl->context)
		pocl->context = cl->clCreateContext(NULL, 1, &pocl->device, NULL, NULL, &err);
	if (!pocl->context)
		return mcl_reason(why, -EIO, "POCL makes no context (error %d)", err);
	if (count == 1 && !sources->header_count && !check_only) {
		err = create_program(pocl, pocl->context, sources, &out->program);
		if (err)
			return mcl_reason(why, -EIO, "POCL does not take the source (error %d)", err);
		err = cl->clBuildProgram(out->program, 1, &pocl->device, sources->options, NULL, NULL);
		*log = build_log(pocl, out->program);
	} else {
		err = compile_parts(pocl, sources, count, out, log);
		if (!err && !check_only)
			err = link_parts(pocl, out, log);
	}
	ret = judge(*log ? err : CL_OUT_OF_HOST_MEMORY, sources->options, why);
	return ret || check_only ? ret : list_kernels(pocl, out, log, why);
}

int pocl_link(const struct pocl *pocl, struct pocl_program *program, char **log, struct mcl_reason *why)
{
	int err;

	*log = strdup("");
	err = judge(*log ? link_parts(pocl, program, log) : CL_OUT_OF_HOST_MEMORY, "", why);
	return err ? err : list_kernels(pocl, program, log, why);
}

int pocl_code(const struct pocl *pocl, const struct pocl_program *program, uint8_t **binary, size_t *binary_size,
	      struct mcl_reason *why)
{
	const cl_icd_dispatch *cl = pocl->cl;
	size_t size = 0;
	cl_int err;

	*binary = NULL;
	/* This is where POCL generates code. */
	err = cl->clGetProgramInfo(program->program, CL_PROGRAM_BINARY_SIZES, sizeof(size), &size, NULL);
	if (err || size == 0)
		return mcl_reason(why, -EIO, "POCL made no code (error %d)", err);
	*binary = malloc(size);
	if (!*binary)
		return mcl_reason(why, -ENOMEM, "no memory for POCL's program binary of %zu bytes", size);
	*binary_size = size;
	err = cl->clGetProgramInfo(program->program, CL_PROGRAM_BINARIES, sizeof(*binary), binary, NULL);
	if (err) {
		free(*binary);
		*binary = NULL;
		return mcl_reason(why, -EIO, "POCL does not hand out its code (error %d)", err);
	}
	return 0;
}
