/* SPDX-License-Identifier: MIT */
/* Platform, device and context objects. One platform, one device. */
#ifndef MCL_CONTEXT_H
#define MCL_CONTEXT_H

#include <pthread.h>

#include "backend.h"
#include "runtime/object.h"

struct _cl_platform_id {
	struct mcl_object obj;
};

struct _cl_device_id {
	struct mcl_object obj;
	struct mcl_backend_caps caps; /* filled on first use: mcl_device_caps() */
};

/* Both are static and never die. */
extern struct _cl_platform_id mcl_platform;
extern struct _cl_device_id mcl_device;

/* The device's capabilities, probed once. */
const struct mcl_backend_caps *mcl_device_caps(void);
/* CL_DEVICE_TYPE_GPU or what MIRRORCL_DEVICE_TYPE asks for. */
cl_device_type mcl_device_type(void);
/* Does a request for @type (any combination, CL_DEVICE_TYPE_DEFAULT and _ALL too) name the device? */
bool mcl_device_matches(cl_device_type type);

/* Work-items that one vector register holds: CL_DEVICE_PREFERRED_WORK_GROUP_SIZE_MULTIPLE, and what kernels fall back to. */
size_t mcl_device_preferred_multiple(void);

/* Extensions as one string, names separated by spaces: the platform's include the device's. */
extern const char mcl_platform_extensions[], mcl_device_extensions[];
extern const cl_name_version mcl_extension_versions[]; /* the device's first, then those of the platform alone */
extern const size_t mcl_device_extension_count, mcl_platform_extension_count;

struct _cl_context {
	struct mcl_object obj;
	struct mcl_backend *backend; /* one reference */
	cl_context_properties *properties; /* copy with the terminator, or NULL */
	size_t properties_bytes;
	void(CL_CALLBACK *notify)(const char *errinfo, const void *private_info, size_t cb, void *user_data);
	void *notify_data;
	/* clSVMAlloc allocations: runtime/svm.c */
	struct mcl_svm_table *svm;
	/* destructor callbacks (clSetContextDestructorCallback), newest first */
	struct mcl_context_callback *callbacks;
	pthread_mutex_t lock; /* callbacks, svm */
};

/*
 * Free what clSVMAlloc left in @context, and context->svm: runtime/svm.c, called once, when the context dies and before its
 * backend is put.
 */
void mcl_svm_table_destroy(cl_context context);

/*
 * Tell the application of an error that no return value carries (an aborted kernel, a dead engine), through the callback
 * that it gave to clCreateContext. The callback runs on this thread: call it without locks.
 */
void mcl_context_report(cl_context context, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
