/* SPDX-License-Identifier: MIT */
/*
 * clSVMAlloc and clSVMFree, and the registry of what they and usm.c gave out; see svm.h. The registry is the C library's balanced
 * tree: unlike a hash table it also finds the allocation that an inner pointer belongs to.
 */
#include <search.h>
#include <stdlib.h>

#include "runtime/queue.h"
#include "runtime/service.h"
#include "runtime/svm.h"

#define SVM_ACCESS (CL_MEM_READ_WRITE | CL_MEM_WRITE_ONLY | CL_MEM_READ_ONLY)
#define SVM_KINDS (CL_MEM_SVM_FINE_GRAIN_BUFFER | CL_MEM_SVM_ATOMICS)

/* A page, for those who hand the memory on to system calls; the specification asks for 128. */
#define MAX_ALIGN 4096

struct mcl_svm_table {
	pthread_mutex_t lock;
	uint32_t generation; /* of the process that made it: service.h */
	void *root; /* of struct mcl_svm_allocation, by address */
};

/* Allocations never overlap each other; a key that overlaps one is equal to it. */
static int compare(const void *a, const void *b)
{
	const struct mcl_svm_allocation *x = a, *y = b;
	const uintptr_t from = (uintptr_t)x->start, other = (uintptr_t)y->start;

	if (from + (x->size - 1) < other)
		return -1;
	return from > other + (y->size - 1);
}

/* The context's table if it has one that this process may touch. */
static struct mcl_svm_table *get_table(cl_context context)
{
	struct mcl_svm_table *table = __atomic_load_n(&context->svm, __ATOMIC_ACQUIRE);

	return table && !mcl_foreign(table->generation) ? table : NULL;
}

/* The same, made if there is none. NULL: out of memory. */
static struct mcl_svm_table *make_table(cl_context context)
{
	struct mcl_svm_table *table = get_table(context);

	if (table)
		return table;
	pthread_mutex_lock(&context->lock);
	table = get_table(context);
	if (!table) {
		table = calloc(1, sizeof(*table));
		if (table) {
			pthread_mutex_init(&table->lock, NULL);
			table->generation = atomic_load(&mcl_fork_generation);
			__atomic_store_n(&context->svm, table, __ATOMIC_RELEASE);
		}
	}
	pthread_mutex_unlock(&context->lock);
	return table;
}

/* Table's lock held. */
static struct mcl_svm_allocation *find(struct mcl_svm_table *table, const void *ptr)
{
	const struct mcl_svm_allocation key = { .start = (void *)ptr, .size = 1 };
	struct mcl_svm_allocation **found = tfind(&key, &table->root, compare);

	return found ? *found : NULL;
}

bool mcl_svm_find(cl_context context, const void *ptr, struct mcl_svm_allocation *out)
{
	struct mcl_svm_table *table = get_table(context);
	struct mcl_svm_allocation *block;

	if (!table)
		return false;
	pthread_mutex_lock(&table->lock);
	block = find(table, ptr);
	if (block)
		*out = *block;
	pthread_mutex_unlock(&table->lock);
	return block;
}

bool mcl_svm_release(cl_context context, void *ptr, bool usm)
{
	struct mcl_svm_table *table = get_table(context);
	struct mcl_svm_allocation *block;

	if (!table)
		return false;
	pthread_mutex_lock(&table->lock);
	block = find(table, ptr);
	if (block && block->start == ptr && !block->type == !usm)
		tdelete(block, &table->root, compare);
	else
		block = NULL;
	pthread_mutex_unlock(&table->lock);
	if (!block)
		return false;
	mcl_svm_free(context->backend, ptr, block->size);
	free(block);
	return true;
}

static bool valid_flags(cl_svm_mem_flags flags)
{
	cl_svm_mem_flags access = flags & SVM_ACCESS;

	if (flags & ~(cl_svm_mem_flags)(SVM_ACCESS | SVM_KINDS)) {
		mcl_cl_error("clSVMAlloc", CL_INVALID_VALUE, "flags 0x%llx have unknown bits",
			     (unsigned long long)flags);
		return false;
	}
	if (access & (access - 1)) {
		mcl_cl_error("clSVMAlloc", CL_INVALID_VALUE, "the three flags of device access exclude each other");
		return false;
	}
	if ((flags & CL_MEM_SVM_ATOMICS) && !(flags & CL_MEM_SVM_FINE_GRAIN_BUFFER)) {
		mcl_cl_error("clSVMAlloc", CL_INVALID_VALUE, "CL_MEM_SVM_ATOMICS needs CL_MEM_SVM_FINE_GRAIN_BUFFER");
		return false;
	}
	return true;
}

cl_int mcl_svm_allocate(const char *function, cl_context context, cl_uint alignment, struct mcl_svm_allocation *what)
{
	struct mcl_svm_table *table;
	struct mcl_svm_allocation *block;

	if ((alignment & (alignment - 1)) || alignment > MAX_ALIGN)
		return mcl_cl_error(function, CL_INVALID_VALUE, "alignment %u is not a power of two up to %u",
				    alignment, MAX_ALIGN);
	if (!mcl_backend_alive(context->backend))
		return mcl_cl_error(function, CL_DEVICE_NOT_AVAILABLE,
				    "the device process has died, or this is the child of a fork()");
	table = make_table(context);
	block = malloc(sizeof(*block));
	if (!table || !block)
		goto err_memory;
	what->start = mcl_svm_alloc(context->backend, what->size, alignment);
	if (!what->start) {
		mcl_queue_reclaim(false);
		what->start = mcl_svm_alloc(context->backend, what->size, alignment);
	}
	if (!what->start)
		goto err_memory;
	*block = *what;
	pthread_mutex_lock(&table->lock);
	if (!tsearch(block, &table->root, compare)) {
		pthread_mutex_unlock(&table->lock);
		mcl_svm_free(context->backend, what->start, what->size);
		goto err_memory;
	}
	pthread_mutex_unlock(&table->lock);
	return CL_SUCCESS;

err_memory:
	free(block);
	return mcl_cl_error(function, CL_MEM_OBJECT_ALLOCATION_FAILURE, "no memory for %zu bytes", what->size);
}

void *clSVMAlloc(cl_context context, cl_svm_mem_flags flags, size_t size, cl_uint alignment)
{
	struct mcl_svm_allocation what = { .size = size };

	/* There is no error code to return: the reasons go to the log alone. */
	if (!mcl_object_valid(context, MCL_TYPE_CONTEXT)) {
		MCL_ERR(CL_INVALID_CONTEXT, "%p is not a context", (void *)context);
		return NULL;
	}
	if (!valid_flags(flags))
		return NULL;
	if ((flags & CL_MEM_SVM_ATOMICS) && !mcl_device_caps()->svm_atomics) {
		MCL_ERR(CL_INVALID_VALUE, "the device has no SVM atomics: %s", mcl_device_caps()->limited.text);
		return NULL;
	}
	if (!size || size > mcl_device_caps()->max_alloc_size) {
		MCL_ERR(CL_INVALID_VALUE, "size %zu is 0 or more than CL_DEVICE_MAX_MEM_ALLOC_SIZE", size);
		return NULL;
	}
	return mcl_svm_allocate(__func__, context, alignment, &what) ? NULL : what.start;
}

void clSVMFree(cl_context context, void *svm_pointer)
{
	if (!mcl_object_valid(context, MCL_TYPE_CONTEXT)) {
		MCL_ERR(CL_INVALID_CONTEXT, "%p is not a context", (void *)context);
		return;
	}
	if (svm_pointer && !mcl_svm_release(context, svm_pointer, false))
		MCL_ERR(CL_INVALID_VALUE, "%p was not returned by clSVMAlloc for this context, or is free already",
			svm_pointer);
}

void mcl_svm_table_destroy(cl_context context)
{
	struct mcl_svm_table *table = get_table(context);

	if (!table)
		return;
	while (table->root) {
		struct mcl_svm_allocation *block = *(struct mcl_svm_allocation **)table->root;

		mcl_log_info("a context goes away with %zu bytes at %p that %s gave out and nobody freed", block->size,
			     block->start, block->type ? "cl_intel_unified_shared_memory" : "clSVMAlloc");
		tdelete(block, &table->root, compare);
		mcl_svm_free(context->backend, block->start, block->size);
		free(block);
	}
	pthread_mutex_destroy(&table->lock);
	free(table);
	context->svm = NULL;
}
