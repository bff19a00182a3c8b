/* SPDX-License-Identifier: MIT */
/* Copies and fills: what the commands on buffers (transfer.c) and on pointers (svm_enqueue.c) share. */
#ifndef MCL_TRANSFER_H
#define MCL_TRANSFER_H

#include "runtime/command.h"

/*
 * memcpy() that reports a bad address of the application's instead of ending the process. Returns 0; -EFAULT: a part
 * of either range is not accessible (some bytes may have been copied); -ENOSYS: this system does not offer it.
 */
int mcl_safe_copy(void *dst, const void *src, size_t size);

/* What is common to every enqueue call. */
struct mcl_enqueue {
	const char *function;
	cl_command_queue queue;
	cl_command_type type;
	cl_uint num_events;
	const cl_event *wait_list;
	cl_event *event;
};

/*
 * Enqueue a copy whose arguments were checked; a region of no bytes, or onto itself, is only an entry in the order. A
 * blocking one that has nothing to wait for may be done on the calling thread. @mems: to be kept alive, NULL entries are skipped.
 */
cl_int mcl_copy_enqueue(const struct mcl_enqueue *call, bool blocking, const struct mcl_copy *copy,
			const cl_mem mems[2]);

/* Check a fill's pattern and size. */
cl_int mcl_fill_check(const char *function, const void *pattern, size_t pattern_size, size_t offset, size_t size);

/* Enqueue a fill that has been checked. */
cl_int mcl_fill_enqueue(const struct mcl_enqueue *call, void *dst, const void *pattern, size_t pattern_size,
			size_t size, cl_mem mem);

/* Ranges of memory to be moved to the device or home; migrate.c. */
struct mcl_range {
	const void *start;
	size_t size;
};

/* Enqueue their migration. Takes over @ranges, which was malloc'd; @mems as above, @count of them or NULL. */
cl_int mcl_migrate_enqueue(const struct mcl_enqueue *call, struct mcl_range *ranges, size_t count, bool to_host,
			   const cl_mem *mems);

/*
 * The commands on pointers, with all their checks, whatever the command is called: svm_enqueue.c. A migration without a size
 * is of the whole allocation that the pointer lies in.
 */
cl_int mcl_pointer_copy(const struct mcl_enqueue *call, bool blocking, void *dst_ptr, const void *src_ptr, size_t size);
cl_int mcl_pointer_fill(const struct mcl_enqueue *call, void *ptr, const void *pattern, size_t pattern_size,
			size_t size);
cl_int mcl_pointer_migrate(const struct mcl_enqueue *call, cl_uint count, const void *const *pointers,
			   const size_t *sizes, cl_mem_migration_flags flags);

/* A point in the queue's order, for commands that have nothing to do. The caller has checked. */
cl_int mcl_nothing_enqueue(const struct mcl_enqueue *call, bool blocking);

#endif
