/* SPDX-License-Identifier: MIT */
/*
 * Mapping of buffers. Nothing is copied or moved: the bytes of a buffer are host memory already, so a map command is a
 * point in the queue's order and the pointer is known at once. What remains is bookkeeping: counts, and the rules
 * about what may be mapped together.
 */
#include <stdlib.h>
#include <utlist.h>

#include "runtime/command.h"
#include "runtime/service.h"

#define WRITES (CL_MAP_WRITE | CL_MAP_WRITE_INVALIDATE_REGION)

/* One clEnqueueMapBuffer() that has not been unmapped; on the list of the buffer that owns the bytes. */
struct mcl_mapping {
	struct mcl_mapping *next;
	cl_mem mem; /* through which it was made; not a reference: its death removes the mapping */
	uint8_t *start;
	size_t size;
	bool writes;
};

static cl_mem root_of(cl_mem mem)
{
	return mem->parent ? mem->parent : mem;
}

void mcl_mappings_destroy(cl_mem mem)
{
	cl_mem root = root_of(mem);
	struct mcl_mapping *mapping, *next;

	pthread_mutex_lock(&root->lock);
	LL_FOREACH_SAFE(root->mappings, mapping, next) {
		if (mapping->mem == mem) {
			/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the analyzer loses track in utlist */
			LL_DELETE(root->mappings, mapping);
			free(mapping);
		}
	}
	pthread_mutex_unlock(&root->lock);
}

static cl_int check_flags(const char *function, cl_mem mem, cl_map_flags flags)
{
	if (flags & ~(cl_map_flags)(CL_MAP_READ | WRITES))
		return mcl_cl_error(function, CL_INVALID_VALUE, "map_flags 0x%llx have unknown bits",
				    (unsigned long long)flags);
	if ((flags & CL_MAP_WRITE_INVALIDATE_REGION) && (flags & (CL_MAP_READ | CL_MAP_WRITE)))
		return mcl_cl_error(function, CL_INVALID_VALUE,
				    "CL_MAP_WRITE_INVALIDATE_REGION excludes CL_MAP_READ and CL_MAP_WRITE");
	if ((flags & CL_MAP_READ) && (mem->flags & (CL_MEM_HOST_WRITE_ONLY | CL_MEM_HOST_NO_ACCESS)))
		return mcl_cl_error(function, CL_INVALID_OPERATION, "the host may not read this buffer");
	if ((flags & WRITES) && (mem->flags & (CL_MEM_HOST_READ_ONLY | CL_MEM_HOST_NO_ACCESS)))
		return mcl_cl_error(function, CL_INVALID_OPERATION, "the host may not write this buffer");
	return CL_SUCCESS;
}

/* Record a mapping, unless it would map bytes for writing that are mapped for writing already. */
static cl_int add(const char *function, cl_mem mem, size_t offset, size_t size, bool writes)
{
	struct mcl_mapping *mapping = malloc(sizeof(*mapping)), *other;
	cl_mem root = root_of(mem);
	bool clash = false;

	if (!mapping)
		return mcl_cl_error(function, CL_OUT_OF_HOST_MEMORY, "out of memory for a mapping");
	*mapping = (struct mcl_mapping){ .mem = mem, .start = mem->data + offset, .size = size, .writes = writes };
	pthread_mutex_lock(&root->lock);
	LL_FOREACH(root->mappings, other)
		if (writes && other->writes && mapping->start < other->start + other->size &&
		    other->start < mapping->start + size)
			clash = true;
	if (!clash)
		LL_PREPEND(root->mappings, mapping);
	pthread_mutex_unlock(&root->lock);
	if (clash) {
		free(mapping);
		return mcl_cl_error(function, CL_INVALID_OPERATION, "the region is mapped for writing already");
	}
	pthread_mutex_lock(&mem->lock);
	mem->map_count++;
	pthread_mutex_unlock(&mem->lock);
	return CL_SUCCESS;
}

/* Forget the newest mapping of @mem that starts at @ptr. Returns false if there is none. */
static bool drop(cl_mem mem, const void *ptr)
{
	cl_mem root = root_of(mem);
	struct mcl_mapping *mapping;

	pthread_mutex_lock(&root->lock);
	LL_FOREACH(root->mappings, mapping)
		if (mapping->mem == mem && mapping->start == ptr)
			break;
	if (mapping)
		LL_DELETE(root->mappings, mapping);
	pthread_mutex_unlock(&root->lock);
	if (!mapping)
		return false;
	free(mapping);
	pthread_mutex_lock(&mem->lock);
	mem->map_count--;
	pthread_mutex_unlock(&mem->lock);
	return true;
}

static cl_int map(const char *function, cl_command_queue queue, cl_mem buffer, cl_bool blocking, cl_map_flags flags,
		  size_t offset, size_t size, cl_uint num_events, const cl_event *wait_list, cl_event *event)
{
	struct mcl_request req = {
		.function = function,
		.queue = queue,
		.type = CL_COMMAND_MAP_BUFFER,
		.payload.kind = MCL_COMMAND_NOP,
		.blocking = blocking,
		.num_events = num_events,
		.wait_list = wait_list,
		.event = event,
		.mems = &buffer,
		.mem_count = 1,
	};
	cl_int err = mcl_enqueue_check(function, queue, num_events, wait_list);

	if (!err)
		err = mcl_buffer_check(function, queue, buffer, offset, size);
	if (!err)
		err = check_flags(function, buffer, flags);
	if (err)
		return err;
	if (!size)
		return mcl_cl_error(function, CL_INVALID_VALUE, "size is 0");
	err = add(function, buffer, offset, size, flags & WRITES);
	if (err)
		return err;
	err = mcl_command_enqueue(&req);
	if (err)
		drop(buffer, buffer->data + offset);
	return err;
}

void *clEnqueueMapBuffer(cl_command_queue queue, cl_mem buffer, cl_bool blocking_map, cl_map_flags map_flags,
			 size_t offset, size_t size, cl_uint num_events, const cl_event *wait_list, cl_event *event,
			 cl_int *errcode_ret)
{
	cl_int err = map(__func__, queue, buffer, blocking_map, map_flags, offset, size, num_events, wait_list, event);

	if (errcode_ret)
		*errcode_ret = err;
	return err ? NULL : buffer->data + offset;
}

cl_int clEnqueueUnmapMemObject(cl_command_queue queue, cl_mem memobj, void *mapped_ptr, cl_uint num_events,
			       const cl_event *wait_list, cl_event *event)
{
	struct mcl_request req = {
		.function = __func__,
		.queue = queue,
		.type = CL_COMMAND_UNMAP_MEM_OBJECT,
		.payload.kind = MCL_COMMAND_NOP,
		.num_events = num_events,
		.wait_list = wait_list,
		.event = event,
		.mems = &memobj,
		.mem_count = 1,
	};
	cl_int err = mcl_enqueue_check(__func__, queue, num_events, wait_list);

	if (!err)
		err = mcl_buffer_check(__func__, queue, memobj, 0, 0);
	if (err)
		return err;
	if (!drop(memobj, mapped_ptr))
		return MCL_ERR(CL_INVALID_VALUE, "%p is not where a region of this buffer is mapped", mapped_ptr);
	return mcl_command_enqueue(&req);
}
