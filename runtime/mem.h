/* SPDX-License-Identifier: MIT */
/* Memory objects: buffers and sub-buffers. Every cl_mem's bytes are shared memory at one address on host and device. */
#ifndef MCL_MEM_H
#define MCL_MEM_H

#include <pthread.h>

#include "runtime/context.h"

struct _cl_mem {
	struct mcl_object obj;
	cl_context context; /* runtime reference */
	cl_mem_object_type type;
	cl_mem_flags flags;
	size_t size;
	uint8_t *data; /* the bytes, on host and device alike */
	void *host_ptr; /* as given; with CL_MEM_USE_HOST_PTR data == host_ptr */
	bool owns_data; /* allocated by mcl_svm_alloc() */
	bool uses_svm_pointer;
	cl_mem parent; /* sub-buffer: runtime reference */
	size_t origin;
	cl_mem_properties *properties;
	size_t properties_bytes;
	pthread_mutex_t lock; /* below */
	uint32_t map_count;
	struct mcl_mapping *mappings;
	struct mcl_mem_callback *callbacks; /* clSetMemObjectDestructorCallback, newest first */
};

#endif
