/* SPDX-License-Identifier: MIT */
/*
 * What all OpenCL objects share: the dispatch pointer that the loader reads, a type tag that detects wrong and dead
 * handles, and a reference count. Owns no list of objects.
 */
#ifndef MCL_OBJECT_H
#define MCL_OBJECT_H

#include <CL/cl.h>
#include <CL/cl_icd.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

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
	_Atomic uint32_t type; /* enum mcl_type */
	_Atomic uint32_t app_refs;
	_Atomic uint32_t refs; /* the application's references together count as one */
	void (*destroy)(struct mcl_object *obj); /* called once with refs == 0; frees the memory */
};

extern const cl_icd_dispatch mcl_dispatch; /* icd/dispatch.c */

/* Both counts one: the creator's application reference. */
void mcl_object_init(struct mcl_object *obj, enum mcl_type type, void (*destroy)(struct mcl_object *obj));
/* Is @handle (any pointer, NULL too) a live object of @type, as far as that can be told without a registry? */
bool mcl_object_valid(const void *handle, enum mcl_type type);
void mcl_object_retain_app(struct mcl_object *obj);
void mcl_object_release_app(struct mcl_object *obj);
void mcl_object_get(struct mcl_object *obj); /* the runtime's own reference */
void mcl_object_put(struct mcl_object *obj);

/*
 * Report an OpenCL error: logs "<function>: <text> (CL_NAME)" when MIRRORCL_DEBUG asks, returns @code.
 * Use: return MCL_ERR(CL_INVALID_VALUE, "size is %zu", size);
 */
cl_int mcl_cl_error(const char *function, cl_int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
#define MCL_ERR(code, ...) mcl_cl_error(__func__, code, __VA_ARGS__)
const char *mcl_cl_error_name(cl_int code); /* "CL_INVALID_VALUE" */

/*
 * The body of every clGet*Info: copy @size bytes at @value into the application's buffer under the rules of the
 * specification (CL_INVALID_VALUE when param_value is not NULL and too small).
 */
cl_int mcl_info(const char *function, const void *value, size_t size, size_t param_value_size, void *param_value,
		size_t *param_value_size_ret);

#endif
