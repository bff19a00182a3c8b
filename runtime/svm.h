/* SPDX-License-Identifier: MIT */
/*
 * What clSVMAlloc and the functions of cl_intel_unified_shared_memory have given out, kept to check what frees and queries are
 * told. Launches and copies never look here: every pointer of the process is valid on the device anyway.
 */
#ifndef MCL_SVM_H
#define MCL_SVM_H

#include <CL/cl_ext.h>

#include "runtime/context.h"

struct mcl_svm_allocation {
	void *start;
	size_t size; /* bytes, not zero */
	cl_unified_shared_memory_type_intel type; /* CL_MEM_TYPE_*_INTEL; 0: of clSVMAlloc */
	cl_mem_alloc_flags_intel flags; /* of the former, as is the next */
	cl_device_id device; /* as given, or NULL */
};

/*
 * Allocate @what->size bytes, which the caller has checked, for @function. @alignment: 0 or a power of two. Returns CL_SUCCESS
 * with @what->start, or the error, already reported: CL_INVALID_VALUE: that alignment is too large; CL_DEVICE_NOT_AVAILABLE;
 * CL_MEM_OBJECT_ALLOCATION_FAILURE. Locks as below.
 */
cl_int mcl_svm_allocate(const char *function, cl_context context, cl_uint alignment, struct mcl_svm_allocation *what);

/*
 * The allocation that contains @ptr. Returns false if there is none. Costs the
 * logarithm of the number of allocations. Takes the table's lock, a leaf.
 */
bool mcl_svm_find(cl_context context, const void *ptr, struct mcl_svm_allocation *out);

/*
 * Free @ptr, which must be the start of an allocation, of clSVMAlloc or if @usm of the others; returns false if it is not.
 * Locks as above.
 */
bool mcl_svm_release(cl_context context, void *ptr, bool usm);

#endif
