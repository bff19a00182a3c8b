/* SPDX-License-Identifier: MIT */
/*
 * Keeping POCL from compiling kernels that nobody asked for. POCL makes the functions of all kernels of a program when
 * its binary is asked for, except those whose files are in its cache folder already. So files are put there that hold
 * nothing but the names that POCL looks up in them; they come out again in the binary, where the code object's writer
 * knows them. If they are not found there POCL has only worked more than it had to.
 *
 * One file, under many names, serves a group of kernels: POCL loads it once, and what it copies does not grow with the
 * square of the number of kernels.
 */
#ifndef MCL_PLACEHOLDER_H
#define MCL_PLACEHOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What code is wanted of a program. All zeros: everything. */
struct mcl_selection {
	bool partial; /* only what is named below */
	const char *kernel; /* the kernel; NULL: none, but the initialiser of program-scope variables */
	bool generic; /* its function for any local size */
	const char *variants; /* its specialised functions, as POCL_BINARY_SPECIALIZE_WG takes them: "8-8-1-goffs0,..." */
};

/*
 * Put placeholders below @folder, where POCL has just built a program with the kernels @kernels ("a;b;c"), for all that
 * @selection does not want. Returns 0, or -ENOMEM, -EIO: then there may be fewer of them.
 */
int mcl_placeholder_plant(const char *folder, const char *kernels, const struct mcl_selection *selection);

/* Whether a file of POCL's binary is one of them. */
bool mcl_placeholder_is(const void *bytes, size_t size);

/*
 * A shared object that defines a function for each of the first @count kernels of @kernels ("a;b;c") and does nothing.
 * malloc'd, or NULL.
 */
uint8_t *mcl_placeholder_make(const char *kernels, size_t count, size_t *size);

#endif
