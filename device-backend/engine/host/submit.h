/* SPDX-License-Identifier: MIT */
/* Between ring.c and submit.c. */
#ifndef MCL_SUBMIT_H
#define MCL_SUBMIT_H

#include "engine/host/backend_private.h"

/* Whether @ring may submit one more packet now. Under hw->lock; may give away slots of complete packets. */
bool mcl_slot_available(struct mcl_ring *ring);

#endif
