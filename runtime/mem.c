/* SPDX-License-Identifier: MIT */
/* Memory objects: creation, references, information; see mem.h. Mapping is in mem_map.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/mem.h"
#include "runtime/queue.h"
#include "runtime/service.h"
#include "runtime/svm.h"
#include "runtime/transfer.h"

#define DEVICE_ACCESS (CL_MEM_READ_WRITE | CL_MEM_WRITE_ONLY | CL_MEM_READ_ONLY)
#define HOST_ACCESS (CL_MEM_HOST_WRITE_ONLY | CL_MEM_HOST_READ_ONLY | CL_MEM_HOST_NO_ACCESS)
#define HOST_PTR (CL_MEM_USE_HOST_PTR | CL_MEM_ALLOC_HOST_PTR | CL_MEM_COPY_HOST_PTR)

/* Bytes; CL_DEVICE_MEM_BASE_ADDR_ALIGN says the same in bits. */
#define BASE_ALIGN 128

struct mcl_mem_callback {
	struct mcl_mem_callback *next;
	void(CL_CALLBACK *fn)(cl_mem memobj, void *user_data);
	void *data;
};

static void destroy(struct mcl_object *obj)
{
	cl_mem mem = (cl_mem)obj;
	cl_context context = mem->context;
	cl_mem parent = mem->parent;

	while (mem->callbacks) {
		struct mcl_mem_callback *cb = mem->callbacks;

		mem->callbacks = cb->next;
		cb->fn(mem, cb->data);
		free(cb);
	}
	mcl_mappings_destroy(mem);
	if (mem->owns_data)
		mcl_svm_free(context->backend, mem->data, mem->size);
	free(mem->properties);
	pthread_mutex_destroy(&mem->lock);
	mcl_object_free(obj);
	if (parent)
		mcl_object_put(&parent->obj);
	mcl_object_put(&context->obj);
}

static bool more_than_one(cl_mem_flags flags)
{
	return flags & (flags - 1);
}

static cl_int check_flags(const char *function, cl_mem_flags flags)
{
	if (flags & ~(cl_mem_flags)(DEVICE_ACCESS | HOST_ACCESS | HOST_PTR))
		return mcl_cl_error(function, CL_INVALID_VALUE, "flags 0x%llx have unknown bits",
				    (unsigned long long)flags);
	if (more_than_one(flags & DEVICE_ACCESS))
		return mcl_cl_error(function, CL_INVALID_VALUE,
				    "CL_MEM_READ_WRITE, CL_MEM_WRITE_ONLY and CL_MEM_READ_ONLY exclude each other");
	if (more_than_one(flags & HOST_ACCESS))
		return mcl_cl_error(function, CL_INVALID_VALUE, "the CL_MEM_HOST_... access flags exclude each other");
	if ((flags & CL_MEM_USE_HOST_PTR) && (flags & (CL_MEM_ALLOC_HOST_PTR | CL_MEM_COPY_HOST_PTR)))
		return mcl_cl_error(function, CL_INVALID_VALUE,
				    "CL_MEM_USE_HOST_PTR excludes CL_MEM_ALLOC_HOST_PTR and CL_MEM_COPY_HOST_PTR");
	return CL_SUCCESS;
}

static cl_int check_size(const char *function, cl_context context, cl_mem_flags flags, size_t size, void *host_ptr)
{
	bool needs = flags & (CL_MEM_USE_HOST_PTR | CL_MEM_COPY_HOST_PTR);
	uint64_t max = mcl_device_caps()->max_alloc_size;
	struct mcl_svm_allocation svm;

	if (!size)
		return mcl_cl_error(function, CL_INVALID_BUFFER_SIZE, "size is 0");
	if (size > max)
		return mcl_cl_error(function, CL_INVALID_BUFFER_SIZE,
				    "size is %zu, more than CL_DEVICE_MAX_MEM_ALLOC_SIZE (%llu)", size,
				    (unsigned long long)max);
	if (needs && !host_ptr)
		return mcl_cl_error(function, CL_INVALID_HOST_PTR,
				    "host_ptr is NULL with CL_MEM_USE_HOST_PTR or CL_MEM_COPY_HOST_PTR");
	if (!needs && host_ptr)
		return mcl_cl_error(function, CL_INVALID_HOST_PTR,
				    "host_ptr is given without CL_MEM_USE_HOST_PTR or CL_MEM_COPY_HOST_PTR");
	if (!needs)
		return CL_SUCCESS;
	if ((uintptr_t)host_ptr + size < (uintptr_t)host_ptr)
		return mcl_cl_error(function, CL_INVALID_HOST_PTR, "host_ptr + size is beyond the address space");
	if (mcl_svm_find(context, host_ptr, &svm) &&
	    size > svm.size - (size_t)((uint8_t *)host_ptr - (uint8_t *)svm.start))
		return mcl_cl_error(function, CL_INVALID_BUFFER_SIZE,
				    "size is %zu, more than what is left of the SVM allocation of %zu bytes", size,
				    svm.size);
	return CL_SUCCESS;
}

static void *alloc(cl_context context, size_t size)
{
	void *data = mcl_svm_alloc(context->backend, size, BASE_ALIGN);

	if (data)
		return data;
	/* Released buffers may only wait for somebody to notice that their last command is complete. */
	mcl_queue_reclaim(false);
	return mcl_svm_alloc(context->backend, size, BASE_ALIGN);
}

/* Bytes of storage: allocated, copied or the application's own. */
static cl_int make_data(const char *function, cl_mem mem)
{
	int err;

	if (mem->flags & CL_MEM_USE_HOST_PTR) {
		mem->data = mem->host_ptr;
		return CL_SUCCESS;
	}
	mem->data = alloc(mem->context, mem->size);
	if (!mem->data)
		return mcl_cl_error(function, CL_MEM_OBJECT_ALLOCATION_FAILURE, "no memory for %zu bytes", mem->size);
	mem->owns_data = true;
	if (!(mem->flags & CL_MEM_COPY_HOST_PTR))
		return CL_SUCCESS;
	err = mcl_safe_copy(mem->data, mem->host_ptr, mem->size);
	if (err == -EFAULT)
		return mcl_cl_error(function, CL_INVALID_HOST_PTR, "host_ptr (%p) is not readable for %zu bytes",
				    mem->host_ptr, mem->size);
	if (err)
		memcpy(mem->data, mem->host_ptr, mem->size);
	return CL_SUCCESS;
}

static cl_mem create(cl_context context, cl_mem_flags flags, size_t size, void *host_ptr)
{
	cl_mem mem = mcl_object_alloc(sizeof(*mem));

	if (!mem)
		return NULL;
	mcl_object_init(&mem->obj, MCL_TYPE_MEM, destroy);
	mcl_object_get(&context->obj);
	pthread_mutex_init(&mem->lock, NULL);
	mem->context = context;
	mem->type = CL_MEM_OBJECT_BUFFER;
	mem->flags = flags;
	mem->size = size;
	mem->host_ptr = host_ptr;
	mem->generation = atomic_load(&mcl_fork_generation);
	return mem;
}

static cl_mem create_buffer(const char *function, cl_context context, const cl_mem_properties *properties,
			    cl_mem_flags flags, size_t size, void *host_ptr, cl_int *err)
{
	cl_mem mem;

	if (!mcl_object_valid(context, MCL_TYPE_CONTEXT)) {
		*err = mcl_cl_error(function, CL_INVALID_CONTEXT, "%p is not a context", (void *)context);
		return NULL;
	}
	if (properties && properties[0]) {
		*err = mcl_cl_error(function, CL_INVALID_PROPERTY, "unknown buffer property 0x%llx",
				    (unsigned long long)properties[0]);
		return NULL;
	}
	*err = check_flags(function, flags);
	if (!*err)
		*err = check_size(function, context, flags, size, host_ptr);
	if (*err)
		return NULL;
	if (!mcl_backend_alive(context->backend)) {
		*err = mcl_cl_error(function, CL_OUT_OF_RESOURCES, "the device process of this context has died");
		return NULL;
	}
	mem = create(context, flags, size, host_ptr);
	if (!mem)
		goto err_memory;
	/* Every address of the process is shared virtual memory here, whether it came from clSVMAlloc or not. */
	mem->uses_svm_pointer = flags & CL_MEM_USE_HOST_PTR;
	if (properties) {
		mem->properties = malloc(sizeof(*properties));
		if (!mem->properties)
			goto err_put;
		mem->properties[0] = 0;
		mem->properties_bytes = sizeof(*properties);
	}
	*err = make_data(function, mem);
	if (!*err)
		return mem;
	mcl_object_release_app(&mem->obj);
	return NULL;

err_put:
	mcl_object_release_app(&mem->obj);
err_memory:
	*err = mcl_cl_error(function, CL_OUT_OF_HOST_MEMORY, "out of memory for a buffer");
	return NULL;
}

cl_mem clCreateBuffer(cl_context context, cl_mem_flags flags, size_t size, void *host_ptr, cl_int *errcode_ret)
{
	cl_int err;
	cl_mem mem = create_buffer(__func__, context, NULL, flags, size, host_ptr, &err);

	if (errcode_ret)
		*errcode_ret = err;
	return mem;
}

cl_mem clCreateBufferWithProperties(cl_context context, const cl_mem_properties *properties, cl_mem_flags flags,
				    size_t size, void *host_ptr, cl_int *errcode_ret)
{
	cl_int err;
	cl_mem mem = create_buffer(__func__, context, properties, flags, size, host_ptr, &err);

	if (errcode_ret)
		*errcode_ret = err;
	return mem;
}

/* The flags of a sub-buffer: what it does not say it inherits. */
static cl_int inherit_flags(const char *function, cl_mem parent, cl_mem_flags *flags)
{
	cl_mem_flags own = *flags, from = parent->flags;
	cl_int err;

	if (own & HOST_PTR)
		return mcl_cl_error(function, CL_INVALID_VALUE,
				    "a sub-buffer inherits CL_MEM_..._HOST_PTR, it cannot be given");
	err = check_flags(function, own);
	if (err)
		return err;
	if (((from & CL_MEM_WRITE_ONLY) && (own & (CL_MEM_READ_WRITE | CL_MEM_READ_ONLY))) ||
	    ((from & CL_MEM_READ_ONLY) && (own & (CL_MEM_READ_WRITE | CL_MEM_WRITE_ONLY))))
		return mcl_cl_error(function, CL_INVALID_VALUE,
				    "the buffer does not allow the device access asked for");
	if (((from & CL_MEM_HOST_WRITE_ONLY) && (own & CL_MEM_HOST_READ_ONLY)) ||
	    ((from & CL_MEM_HOST_READ_ONLY) && (own & CL_MEM_HOST_WRITE_ONLY)) ||
	    ((from & CL_MEM_HOST_NO_ACCESS) && (own & (CL_MEM_HOST_READ_ONLY | CL_MEM_HOST_WRITE_ONLY))))
		return mcl_cl_error(function, CL_INVALID_VALUE, "the buffer does not allow the host access asked for");
	if (!(own & DEVICE_ACCESS))
		own |= from & DEVICE_ACCESS;
	if (!(own & HOST_ACCESS))
		own |= from & HOST_ACCESS;
	*flags = own | (from & HOST_PTR);
	return CL_SUCCESS;
}

static cl_mem create_sub_buffer(const char *function, cl_mem buffer, cl_mem_flags flags, cl_buffer_create_type type,
				const void *info, cl_int *err)
{
	const cl_buffer_region *region = info;
	cl_mem mem;

	if (!mcl_buffer_valid(buffer) || buffer->parent) {
		*err = mcl_cl_error(function, CL_INVALID_MEM_OBJECT, "%p is not a buffer, or is a sub-buffer",
				    (void *)buffer);
		return NULL;
	}
	*err = inherit_flags(function, buffer, &flags);
	if (*err)
		return NULL;
	if (type != CL_BUFFER_CREATE_TYPE_REGION || !region) {
		*err = mcl_cl_error(function, CL_INVALID_VALUE, "buffer_create_type is 0x%x, buffer_create_info %p",
				    type, info);
		return NULL;
	}
	if (!region->size) {
		*err = mcl_cl_error(function, CL_INVALID_BUFFER_SIZE, "the region has no bytes");
		return NULL;
	}
	if (region->origin > buffer->size || region->size > buffer->size - region->origin) {
		*err = mcl_cl_error(function, CL_INVALID_VALUE, "the region %zu+%zu is not in the buffer of %zu bytes",
				    region->origin, region->size, buffer->size);
		return NULL;
	}
	if (region->origin % BASE_ALIGN) {
		*err = mcl_cl_error(function, CL_MISALIGNED_SUB_BUFFER_OFFSET,
				    "the origin %zu is not a multiple of %u bytes", region->origin, BASE_ALIGN);
		return NULL;
	}
	mem = create(buffer->context, flags, region->size, NULL);
	if (!mem) {
		*err = mcl_cl_error(function, CL_OUT_OF_HOST_MEMORY, "out of memory for a sub-buffer");
		return NULL;
	}
	mcl_object_get(&buffer->obj);
	mem->parent = buffer;
	mem->origin = region->origin;
	mem->data = buffer->data + region->origin;
	mem->uses_svm_pointer = buffer->uses_svm_pointer;
	if (flags & CL_MEM_USE_HOST_PTR)
		mem->host_ptr = mem->data;
	return mem;
}

cl_mem clCreateSubBuffer(cl_mem buffer, cl_mem_flags flags, cl_buffer_create_type buffer_create_type,
			 const void *buffer_create_info, cl_int *errcode_ret)
{
	cl_int err;
	cl_mem mem = create_sub_buffer(__func__, buffer, flags, buffer_create_type, buffer_create_info, &err);

	if (errcode_ret)
		*errcode_ret = err;
	return mem;
}

cl_int clRetainMemObject(cl_mem memobj)
{
	if (!mcl_object_valid(memobj, MCL_TYPE_MEM))
		return MCL_ERR(CL_INVALID_MEM_OBJECT, "%p is not a memory object", (void *)memobj);
	mcl_object_retain_app(&memobj->obj);
	return CL_SUCCESS;
}

cl_int clReleaseMemObject(cl_mem memobj)
{
	if (!mcl_object_valid(memobj, MCL_TYPE_MEM))
		return MCL_ERR(CL_INVALID_MEM_OBJECT, "%p is not a memory object", (void *)memobj);
	if (mcl_foreign(memobj->generation))
		return CL_SUCCESS; /* a child of fork(): the memory is the parent's to give back */
	/* Who asked to be told of the end is told when the last command that uses the object is complete, looked at or not. */
	mcl_object_get(&memobj->obj);
	mcl_object_release_app(&memobj->obj);
	if (__atomic_load_n(&memobj->callbacks, __ATOMIC_RELAXED) && !mcl_object_app_refs(&memobj->obj))
		mcl_queue_reclaim(true);
	mcl_object_put(&memobj->obj);
	return CL_SUCCESS;
}

cl_int clSetMemObjectDestructorCallback(cl_mem memobj, void(CL_CALLBACK *pfn_notify)(cl_mem memobj, void *user_data),
					void *user_data)
{
	struct mcl_mem_callback *cb;

	if (!mcl_object_valid(memobj, MCL_TYPE_MEM))
		return MCL_ERR(CL_INVALID_MEM_OBJECT, "%p is not a memory object", (void *)memobj);
	if (!pfn_notify)
		return MCL_ERR(CL_INVALID_VALUE, "pfn_notify is NULL");
	if (mcl_foreign(memobj->generation))
		return MCL_ERR(CL_OUT_OF_RESOURCES, "the memory object was made before a fork()");
	cb = malloc(sizeof(*cb));
	if (!cb)
		return MCL_ERR(CL_OUT_OF_HOST_MEMORY, "out of memory for a callback");
	cb->fn = pfn_notify;
	cb->data = user_data;
	pthread_mutex_lock(&memobj->lock);
	cb->next = memobj->callbacks;
	memobj->callbacks = cb;
	pthread_mutex_unlock(&memobj->lock);
	return CL_SUCCESS;
}

cl_int clGetMemObjectInfo(cl_mem memobj, cl_mem_info param_name, size_t param_value_size, void *param_value,
			  size_t *param_value_size_ret)
{
	union {
		cl_mem_object_type type;
		cl_mem_flags flags;
		size_t size;
		void *ptr;
		cl_uint count;
		cl_context context;
		cl_mem mem;
		cl_bool yes;
	} value;
	const void *data = &value;
	size_t size;

	if (!mcl_object_valid(memobj, MCL_TYPE_MEM))
		return MCL_ERR(CL_INVALID_MEM_OBJECT, "%p is not a memory object", (void *)memobj);
	switch (param_name) {
	case CL_MEM_TYPE:
		value.type = memobj->type;
		size = sizeof(value.type);
		break;
	case CL_MEM_FLAGS:
		value.flags = memobj->flags;
		size = sizeof(value.flags);
		break;
	case CL_MEM_SIZE:
		value.size = memobj->size;
		size = sizeof(value.size);
		break;
	case CL_MEM_HOST_PTR:
		value.ptr = memobj->flags & CL_MEM_USE_HOST_PTR ? memobj->host_ptr : NULL;
		size = sizeof(value.ptr);
		break;
	case CL_MEM_MAP_COUNT:
		value.count = 0;
		if (!mcl_foreign(memobj->generation)) {
			pthread_mutex_lock(&memobj->lock);
			value.count = memobj->map_count;
			pthread_mutex_unlock(&memobj->lock);
		}
		size = sizeof(value.count);
		break;
	case CL_MEM_REFERENCE_COUNT:
		value.count = mcl_object_app_refs(&memobj->obj);
		size = sizeof(value.count);
		break;
	case CL_MEM_CONTEXT:
		value.context = memobj->context;
		size = sizeof(value.context);
		break;
	case CL_MEM_ASSOCIATED_MEMOBJECT:
		value.mem = memobj->parent;
		size = sizeof(value.mem);
		break;
	case CL_MEM_OFFSET:
		value.size = memobj->origin;
		size = sizeof(value.size);
		break;
	case CL_MEM_USES_SVM_POINTER:
		value.yes = memobj->uses_svm_pointer;
		size = sizeof(value.yes);
		break;
	case CL_MEM_PROPERTIES:
		data = memobj->properties;
		size = memobj->properties_bytes;
		break;
	default:
		return MCL_ERR(CL_INVALID_VALUE, "param_name 0x%x is unknown", param_name);
	}
	return mcl_info(__func__, data, size, param_value_size, param_value, param_value_size_ret);
}

cl_int mcl_buffer_check(const char *function, cl_command_queue queue, cl_mem buffer, size_t offset, size_t size)
{
	if (!mcl_buffer_valid(buffer))
		return mcl_cl_error(function, CL_INVALID_MEM_OBJECT, "%p is not a buffer", (void *)buffer);
	if (buffer->context != queue->context)
		return mcl_cl_error(function, CL_INVALID_CONTEXT, "queue and buffer are of different contexts");
	if (offset > buffer->size || size > buffer->size - offset)
		return mcl_cl_error(function, CL_INVALID_VALUE, "%zu bytes at offset %zu are not in the buffer of %zu",
				    size, offset, buffer->size);
	return CL_SUCCESS;
}
