// SPDX-License-Identifier: MIT
/*
 * An empty dispatch table: unit tests of the runtime call the entry points directly, without the loader's door (icd/),
 * which is tested on its own.
 */
#include "runtime/object.h"

const cl_icd_dispatch mcl_dispatch;
