/* SPDX-License-Identifier: MIT */
/*
 * From POCL's program binary to a code object. Compiles nothing and trusts nothing: what POCL's files say is checked.
 */
#ifndef MCL_ASSEMBLE_H
#define MCL_ASSEMBLE_H

#include "compiler/code_object_writer.h"
#include "compiler/order.h"
#include "compiler/poclbin.h"

struct mcl_assembly {
	const char *target, *producer, *options; /* strings for the header */
	bool partial; /* kernels without code are meant to have none */
	bool no_globals; /* leave the program-scope variables to the description */
	bool jammed; /* specialised functions went through mcl_jam() */
	const struct mcl_order *order; /* of the program, or NULL: not known */
};

/*
 * Fill @w (initialised) from @bin. Returns 0; -ENOTSUP: the program needs something that the device does not have;
 * -EBADMSG: POCL's output is not what it should be; -ENOMEM.
 */
int mcl_assemble(const struct poclbin *bin, const struct mcl_assembly *assembly, struct mcl_co_writer *w,
		 struct mcl_reason *why);

#endif
