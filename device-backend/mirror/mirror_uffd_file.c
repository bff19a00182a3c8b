// SPDX-License-Identifier: MIT
/*
 * Shared mappings of files, shared memory, memfds, MAP_SHARED | MAP_ANONYMOUS: the engine maps the same file at the same
 * place, over the mirror. Both sides then share its pages, coherently and without faults.
 *
 * Shared memory can be watched, so the host's munmap and the like are reported. Mappings of other files cannot: as long as
 * there are any, each kernel that starts asks for a look first (control->refresh), and those that the host no longer
 * has, or has otherwise, go.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "engine/boot_uffd.h"
#include "engine/control.h"
#include "mirror/mirror_uffd.h"
#include "mirror/uffd_sys.h"

static void set_refresh(struct mcl_uffd *u)
{
	struct mcl_engine_control *control = (void *)(u->window.base + u->window.layout.control_offset);

	bool needed = u->snapshot_pages || u->poison_count;

	/* Nobody reports that one has become writable, and the engine's own mapping would go on refusing stores. */
	for (unsigned int i = 0; i < u->file_count; i++)
		needed |= !u->files[i].watched || !u->files[i].writable;
	atomic_store(&control->refresh, needed);
}

void mcl_uffd_note_snapshots(struct mcl_uffd *u, uint64_t pages)
{
	u->snapshot_pages += pages;
	set_refresh(u);
}

void mcl_uffd_note_poison(struct mcl_uffd *u, uint64_t page)
{
	u->poisoned[u->poison_count % POISON_MAX] = page;
	u->poison_count++;
	set_refresh(u);
}

void mcl_uffd_clear_poison(struct mcl_uffd *u)
{
	for (unsigned int i = 0; i < u->poison_count && i < POISON_MAX; i++) {
		uint64_t page = u->poisoned[i];
		int err;

		/* A page takes the marker's place, and goes. If there is one already, there is no marker. */
		if (mcl_uffd_state(u, page) != PAGE_HOST)
			continue;
		if (mcl_uffd_zero(u->engine_fd, page, PAGE_SIZE, UFFDIO_ZEROPAGE_MODE_DONTWAKE, &err))
			mcl_uffd_punch(u, page, page + PAGE_SIZE);
	}
	u->poison_count = 0;
}

/* "map_files/<start>-<end>" below /proc/self */
static void map_files_path(char *path, uint64_t start, uint64_t end)
{
	static const char head[] = "/proc/self/map_files/", hex[] = "0123456789abcdef";
	const uint64_t ends[2] = { start, end };
	unsigned int k = sizeof(head) - 1;

	memcpy(path, head, k);
	for (int i = 0; i < 2; i++) {
		int shift = 60;

		while (shift && !(ends[i] >> shift))
			shift -= 4;
		for (; shift >= 0; shift -= 4)
			path[k++] = hex[ends[i] >> shift & 15];
		path[k++] = i ? 0 : '-';
	}
}

static long ask_engine(struct mcl_uffd *u, const struct mcl_boot_request *request, int fd)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = (void *)request, .iov_len = sizeof(*request) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	int64_t result = -ESRCH;
	long n;

	if (fd >= 0) {
		memset(&control, 0, sizeof(control));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
	}
	n = mcl_raw(SYS_sendmsg, (uint64_t)u->socket, (uint64_t)&msg, MSG_NOSIGNAL, 0, 0, 0);
	if (n == sizeof(*request))
		n = mcl_raw(SYS_recvfrom, (uint64_t)u->socket, (uint64_t)&result, sizeof(result), 0, 0, 0);
	/* It ended, then. */
	return n == sizeof(result) ? result : -ESRCH;
}

long mcl_uffd_file_map(struct mcl_uffd *u, const struct mcl_vma *vma)
{
	struct mcl_boot_request request = {
		.op = MCL_BOOT_MAP_FILE,
		.prot = (vma->readable ? PROT_READ : 0) | (vma->writable ? PROT_WRITE : 0),
		.start = vma->start,
		.size = vma->end - vma->start,
		.offset = vma->offset,
	};
	struct stat st;
	bool watched;
	char path[80];
	long fd, err;

	if (u->file_count == FILES_MAX)
		mcl_uffd_files_refresh(u);
	if (u->file_count == FILES_MAX)
		return -EOPNOTSUPP;
	/* For the reports only: nothing of it is ever taken. Then the look, so that no change goes unnoticed. */
	watched = !mcl_uffd_register(u->host_fd, vma->start, vma->end - vma->start, UFFDIO_REGISTER_MODE_WP);
	map_files_path(path, vma->start, vma->end);
	fd = mcl_raw(SYS_openat, (uint64_t)AT_FDCWD, (uint64_t)path, (vma->writable ? O_RDWR : O_RDONLY) | O_CLOEXEC, 0,
		     0, 0);
	if (fd == -ENOENT)
		return -EAGAIN; /* it has just changed */
	if (fd < 0)
		return -EOPNOTSUPP;
	/* Something else may be there by now. */
	if (fstat((int)fd, &st) || st.st_ino != vma->inode || major(st.st_dev) != vma->dev_major ||
	    minor(st.st_dev) != vma->dev_minor) {
		mcl_raw(SYS_close, (uint64_t)fd, 0, 0, 0, 0, 0);
		return -EAGAIN;
	}
	err = ask_engine(u, &request, (int)fd);
	mcl_raw(SYS_close, (uint64_t)fd, 0, 0, 0, 0, 0);
	if (err)
		return err == -ESRCH ? err : -EOPNOTSUPP;
	u->files[u->file_count] = *vma;
	u->files[u->file_count++].watched = watched;
	set_refresh(u);
	return (long)((vma->end - vma->start) >> PAGE_SHIFT);
}

static bool same(const struct mcl_vma *a, const struct mcl_vma *b)
{
	return a->start == b->start && a->end == b->end && a->offset == b->offset && a->inode == b->inode &&
	       a->dev_major == b->dev_major && a->dev_minor == b->dev_minor && a->readable == b->readable &&
	       a->writable == b->writable && a->shared == b->shared;
}

static void unmap_file(struct mcl_uffd *u, unsigned int i)
{
	const struct mcl_boot_request request = {
		.op = MCL_BOOT_MAP_MIRROR,
		.start = u->files[i].start,
		.size = u->files[i].end - u->files[i].start,
	};
	long err = ask_engine(u, &request, -1);

	/* Better no device than one that sees what the host has unmapped. */
	if (err && err != -ESRCH)
		mcl_uffd_fatal("the engine cannot let go of a file", request.start, (int)err);
	/* Between mapping and watching it the engine may have stored to the mirror; the store was for what is gone. */
	mcl_uffd_punch(u, request.start, request.start + request.size);
	u->files[i] = u->files[--u->file_count];
}

void mcl_uffd_files_unmapped(struct mcl_uffd *u, uint64_t start, uint64_t end)
{
	for (unsigned int i = 0; i < u->file_count;)
		if (u->files[i].start < end && u->files[i].end > start)
			unmap_file(u, i);
		else
			i++;
	set_refresh(u);
}

void mcl_uffd_files_refresh(struct mcl_uffd *u)
{
	for (unsigned int i = 0; i < u->file_count;) {
		struct mcl_vma now;

		mcl_uffd_vma(u, u->files[i].start, &now);
		if (same(&now, &u->files[i]))
			i++;
		else
			unmap_file(u, i);
	}
	set_refresh(u);
}
