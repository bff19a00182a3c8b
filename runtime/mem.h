/* SPDX-License-Identifier: MIT */
/* Memory objects: buffers and sub-buffers. Every cl_mem's bytes are shared memory at one address on host and device. */
#ifndef MCL_MEM_H
#define MCL_MEM_H

#include <pthread.h>

#include "runtime/context.h"

struct mcl_mapping;

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
	uint32_t generation; /* of the process that made it: service.h */
	cl_mem parent; /* sub-buffer: runtime reference */
	size_t origin;
	cl_mem_properties *properties;
	size_t properties_bytes;
	pthread_mutex_t lock; /* below */
	uint32_t map_count; /* mappings made through this object */
	struct mcl_mapping *mappings; /* of a buffer: those made through its sub-buffers too; empty in sub-buffers */
	struct mcl_mem_callback *callbacks; /* clSetMemObjectDestructorCallback, newest first */
};

/* Is @mem a live buffer or sub-buffer? */
static inline bool mcl_buffer_valid(const void *mem)
{
	return mcl_object_valid(mem, MCL_TYPE_MEM) && ((cl_mem)mem)->type == CL_MEM_OBJECT_BUFFER;
}

/*
 * What every command on buffers checks of each: a live buffer of the queue's context, [offset, offset + size) within it.
 * Returns CL_SUCCESS or the error, already reported for @function.
 */
cl_int mcl_buffer_check(const char *function, cl_command_queue queue, cl_mem buffer, size_t offset, size_t size);

/* Drop what mappings are left, when the object dies: mem_map.c. */
void mcl_mappings_destroy(cl_mem mem);

#endif
