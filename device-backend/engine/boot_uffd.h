/* SPDX-License-Identifier: MIT */
/*
 * What the uffd mirror and its boot code in the engine (boot_uffd.c, mcl_boot_uffd() of control.h) say to each other.
 *
 * In struct mcl_engine_boot: fds[MCL_BOOT_FD_MIRROR] is the mirror's memfd, fds[MCL_BOOT_FD_SOCKET] a SOCK_SEQPACKET
 * socket, fds[MCL_BOOT_FD_HOST] the host's userfaultfd, fds[MCL_BOOT_FD_AGAIN] an eventfd that wakes the pager, ranges[] the
 * address ranges that the mirror covers (offset in the memfd = address). The engine maps them, registers them with a
 * userfaultfd of its own, and sends that descriptor as the first message.
 *
 * Afterwards a service thread of the engine waits at the socket for struct mcl_boot_request and answers each with its
 * int64_t result. It never touches the mirror.
 */
#ifndef MCL_BOOT_UFFD_H
#define MCL_BOOT_UFFD_H

#include <stdint.h>

enum { MCL_BOOT_FD_MIRROR, MCL_BOOT_FD_SOCKET, MCL_BOOT_FD_HOST, MCL_BOOT_FD_AGAIN, MCL_BOOT_UFFD_FDS };

/*
 * boot.words[]. Settling: whether the host's address space is changing is asked of its userfaultfd, which says so from before
 * the change is visible to other threads until the pager has read the report of it; BUSY is set from before the pager reads
 * reports until they are handled. Asked in this order, no change can be missed. Who has to wait takes a ticket from
 * WANTED, writes to the eventfd FD_AGAIN, and sleeps on DONE (a futex) until that has reached the ticket.
 */
enum { MCL_BOOT_WORD_POLLING, MCL_BOOT_WORD_BUSY, MCL_BOOT_WORD_WANTED, MCL_BOOT_WORD_DONE };

enum mcl_boot_op {
	MCL_BOOT_MAP_FILE = 1, /* map the descriptor that came along: MAP_FIXED | MAP_SHARED, .prot, .offset */
	MCL_BOOT_MAP_MIRROR, /* the mirror again, registered again */
};

struct mcl_boot_request {
	uint32_t op, prot;
	uint64_t start, size, offset;
};

#endif
