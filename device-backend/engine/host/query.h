/* SPDX-License-Identifier: MIT */
/* Sizes of the device that follow from the machine and the options. */
#ifndef MCL_QUERY_H
#define MCL_QUERY_H

#include <stdint.h>

/* Processors that this process may run on. */
uint32_t mcl_query_processors(void);
uint32_t mcl_query_compute_units(void);
/* Bytes of device memory on a mirror that migrates; @system: bytes of system memory. */
uint64_t mcl_query_vram_size(uint64_t system);

#endif
