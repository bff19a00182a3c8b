/* SPDX-License-Identifier: MIT */
/* Platform, device and context objects. One platform, one device. */
#ifndef MCL_CONTEXT_H
#define MCL_CONTEXT_H

#include "backend.h"
#include "runtime/object.h"

struct _cl_platform_id {
	struct mcl_object obj;
};

struct _cl_device_id {
	struct mcl_object obj;
	struct mcl_backend_caps caps; /* filled on first use: mcl_device_caps() */
};

extern struct _cl_platform_id mcl_platform;
extern struct _cl_device_id mcl_device;

/* The device's capabilities, probed once. */
const struct mcl_backend_caps *mcl_device_caps(void);

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

#endif
