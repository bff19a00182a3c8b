/* SPDX-License-Identifier: MIT */
/* Sizes of the device that follow from the machine and the options. */
#ifndef MCL_QUERY_H
#define MCL_QUERY_H

#include <stdint.h>

#include "mirror/mirror.h"

/* Processors that this process may run on. */
uint32_t mcl_query_processors(void);
uint32_t mcl_query_compute_units(void);
/* Bytes of device memory on mirror @ops, 0 if it does not migrate or is NULL; @system: bytes of system memory. */
uint64_t mcl_query_vram_size(const struct mcl_mirror_ops *ops, uint64_t system);

#endif
