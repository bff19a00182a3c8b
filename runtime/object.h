/* SPDX-License-Identifier: MIT */
/*
 * What all OpenCL objects share: the dispatch pointer that the loader reads, a type tag that detects wrong and dead
 * handles, reference counts, and the memory they live in (object_memory.c). Owns no list of objects.
 *
 * Locks: none; every function here may be called from any thread. The creator initialises an object before anyone else
 * sees it.
 */
#ifndef MCL_OBJECT_H
#define MCL_OBJECT_H

#include <CL/cl.h>
#include <CL/cl_icd.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * For the few functions that loaders look up by name. Everything else named like the API is hidden, although the
 * headers declare it: a definition that is hidden stays so.
 */
#define MCL_EXPORT __attribute__((visibility("default")))

enum mcl_type {
	MCL_TYPE_PLATFORM = 0x4d434c01,
	MCL_TYPE_DEVICE,
	MCL_TYPE_CONTEXT,
	MCL_TYPE_QUEUE,
	MCL_TYPE_MEM,
	MCL_TYPE_PROGRAM,
	MCL_TYPE_KERNEL,
	MCL_TYPE_EVENT,
	MCL_TYPE_SAMPLER,
	MCL_TYPE_DEAD = 0x4d434cdd, /* released: the tag is overwritten before free */
};

/*
 * First member of every object. Two counts: the application's references (clRetain/clRelease; what
 * CL_..._REFERENCE_COUNT reports) and the runtime's own. The object dies when both are zero; a handle whose application count
 * is zero is invalid to the application even while the runtime still holds the object.
 */
struct mcl_object {
	const cl_icd_dispatch *dispatch; /* must be first: the ICD ABI */
	void *disp_data; /* must be second: the loader's own table under cl_khr_icd 2.0; unused by 1.x loaders */
	_Atomic uint32_t type; /* enum mcl_type */
	_Atomic uint32_t app_refs;
	_Atomic uint32_t refs; /* the application's references together count as one */
	uint32_t units; /* object_memory.c: size of the slot */
	_Atomic uintptr_t below; /* object_memory.c: link of free slots */
	/* Called once with refs == 0, the tag already MCL_TYPE_DEAD; ends with mcl_object_free(). NULL: static object. */
	void (*destroy)(struct mcl_object *obj);
};

extern const cl_icd_dispatch mcl_dispatch; /* icd/dispatch.c */

/* What new objects carry as .disp_data; set by the loader through clIcdSetPlatformDispatchDataKHR(). */
extern void *_Atomic mcl_disp_data;

/*
 * Memory for an object of @size bytes, which begins with its struct mcl_object: zeroed, but for what the two functions need
 * in there, and not a valid handle before mcl_object_init(). NULL: out of memory. Given back by mcl_object_free().
 */
void *mcl_object_alloc(size_t size);

/* Both counts one: the creator's application reference. */
void mcl_object_init(struct mcl_object *obj, enum mcl_type type, void (*destroy)(struct mcl_object *obj));

/*
 * Is @handle, any value at all, a live object of @type? Memory that is not ours is never read. A released handle is valid again
 * only when its slot has become another object of the same type.
 */
bool mcl_object_valid(const void *handle, enum mcl_type type);

/* The application's references. Releasing the last one drops the runtime reference that they all hold together. */
void mcl_object_retain_app(struct mcl_object *obj);
void mcl_object_release_app(struct mcl_object *obj);
cl_uint mcl_object_app_refs(struct mcl_object *obj); /* for CL_..._REFERENCE_COUNT */

/* The runtime's own references: they keep the memory and the contents, not the handle. */
void mcl_object_get(struct mcl_object *obj);
void mcl_object_put(struct mcl_object *obj);

/*
 * The last act of a destroy function. The memory stays readable for ever, so that a late use of the handle still finds a
 * dispatch table and a dead tag, and gets an error instead of a crash in the loader.
 */
void mcl_object_free(struct mcl_object *obj);

size_t mcl_object_count(void); /* allocated and not freed, for tests: all but platform and device */
bool mcl_object_memory(uintptr_t address); /* for mcl_object_valid(): may the header of an object be read there? */

/*
 * Report an OpenCL error: logs "<function>: <text> (CL_NAME)" when MIRRORCL_DEBUG asks, returns @code.
 * Use: return MCL_ERR(CL_INVALID_VALUE, "size is %zu", size);
 */
cl_int mcl_cl_error(const char *function, cl_int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
#ifdef __clang_analyzer__ /* which looks into one file at a time: it has to see that @code comes back */
#define mcl_cl_error(function, code, ...) (mcl_cl_error(function, code, __VA_ARGS__), (code))
#endif
#define MCL_ERR(code, ...) mcl_cl_error(__func__, code, __VA_ARGS__)
const char *mcl_cl_error_name(cl_int code); /* "CL_INVALID_VALUE"; "unknown error" for codes that are none */

/* For functions that return an object: store @code if the application asked for it. */
static inline void mcl_errcode(cl_int *errcode_ret, cl_int code)
{
	if (errcode_ret)
		*errcode_ret = code;
}

/*
 * The body of every clGet*Info: copy @size bytes at @value into the application's buffer under the rules of the
 * specification (CL_INVALID_VALUE when param_value is not NULL and too small).
 */
cl_int mcl_info(const char *function, const void *value, size_t size, size_t param_value_size, void *param_value,
		size_t *param_value_size_ret);

/* The same with @function and the three parameters as every clGet*Info calls them. */
#define MCL_INFO(ptr, size) mcl_info(__func__, ptr, size, param_value_size, param_value, param_value_size_ret)
#define MCL_INFO_STRING(text) MCL_INFO(text, strlen(text) + 1)
#define MCL_INFO_VALUE(type, value) MCL_INFO((type[]){ value }, sizeof(type))

#endif
