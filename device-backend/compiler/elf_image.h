/* SPDX-License-Identifier: MIT */
/*
 * From a shared object that POCL linked to an image of the code object: the parts that run, and the relocations they
 * need. Symbol tables, unwind tables and the dynamic section stay behind. Refuses whatever the device could not run:
 * thread-local storage, constructors, unknown functions, unknown relocations.
 */
#ifndef MCL_ELF_IMAGE_H
#define MCL_ELF_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "compiler/code_object_writer.h"
#include "support/log.h"

/*
 * Append the shared object in @bytes to @w as one image; @entry becomes the offset of function @symbol in it. Returns
 * 0 with the image's index in *@image; -ENOTSUP: it needs something that the device does not have; -EBADMSG: not an
 * x86-64 shared object, or torn; -ENOMEM. @why says which.
 */
int mcl_elf_image_add(struct mcl_co_writer *w, const void *bytes, size_t size, const char *symbol, uint32_t *image,
		      uint64_t *entry, struct mcl_reason *why);

#endif
