/* SPDX-License-Identifier: MIT */
/*
 * What the hmm mirror says to its boot code in the engine (boot_hmm.c, mcl_boot_hmm() of control.h), in struct
 * mcl_engine_boot: fds[MCL_BOOT_FD_DEVICE] is the engine's descriptor of the kernel module, ranges[] the addresses that it
 * covers (offset = address). The engine maps them and closes the descriptor; then pages come and go without it.
 */
#ifndef MCL_BOOT_HMM_H
#define MCL_BOOT_HMM_H

enum { MCL_BOOT_FD_DEVICE, MCL_BOOT_HMM_FDS };

#endif
