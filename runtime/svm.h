/* SPDX-License-Identifier: MIT */
/*
 * What clSVMAlloc has given out, kept to check what clSVMFree and queries are told. Launches and copies never look here:
 * every pointer of the process is valid on the device anyway.
 */
#ifndef MCL_SVM_H
#define MCL_SVM_H

#include "runtime/context.h"

/*
 * The allocation that contains @ptr: its start and size. Returns false if there is none. Costs the
 * logarithm of the number of allocations. Takes the table's lock, a leaf.
 */
bool mcl_svm_find(cl_context context, const void *ptr, void **start, size_t *size);

/* Free @ptr, which must be the start of an allocation; returns false if it is not. Locks as above. */
bool mcl_svm_release(cl_context context, void *ptr);

#endif
