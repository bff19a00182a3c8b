// SPDX-License-Identifier: MIT
/* Temporary folders; see work_folder.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "compiler/work_folder.h"

#define PREFIX "mirrorcl-cc-"
/* A folder younger than this may not be locked yet. */
#define YOUNG_S 30
/* What the smallest program needs is about a tenth of this. */
#define ROOM (1l << 20)

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	remove(path); /* what cannot be removed is left; the rest still goes */
	return 0;
}

static void remove_tree(const char *path)
{
	nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* Remove the folders in @parent whose runs are dead: ours, not new, and not locked. */
static void sweep(const char *parent)
{
	DIR *dir = opendir(parent);
	struct dirent *d;

	if (!dir)
		return;
	while ((d = readdir(dir))) {
		char path[PATH_MAX];
		struct stat st;
		int fd;

		if (strncmp(d->d_name, PREFIX, strlen(PREFIX)) != 0 || strlen(d->d_name) != strlen(PREFIX) + 6)
			continue;
		fd = openat(dirfd(dir), d->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && st.st_mtim.tv_sec + YOUNG_S < time(NULL) &&
		    flock(fd, LOCK_EX | LOCK_NB) == 0 &&
		    (size_t)snprintf(path, sizeof(path), "%s/%s", parent, d->d_name) < sizeof(path))
			remove_tree(path);
		close(fd);
	}
	closedir(dir);
}

static int make_in(struct mcl_work_folder *folder, const char *parent)
{
	size_t size = sizeof(folder->path);

	if ((size_t)snprintf(folder->path, size, "%s/" PREFIX "XXXXXX", parent) >= size) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (!mkdtemp(folder->path))
		return -1;
	folder->lock = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder->lock >= 0)
		flock(folder->lock, LOCK_EX | LOCK_NB);
	sweep(parent);
	return 0;
}

int mcl_work_folder_make(struct mcl_work_folder *folder)
{
	const char *asked = getenv("TMPDIR");

	if (asked && *asked && make_in(folder, asked) == 0)
		return 0;
	/* A TMPDIR that does not exist is no reason to fail. */
	if (make_in(folder, "/tmp") == 0)
		return 0;
	fprintf(stderr, "mirrorcl-cc: cannot make a temporary folder in /tmp: %s\n", strerror(errno));
	return -1;
}

bool mcl_work_folder_full(const char *path)
{
	char file[PATH_MAX + sizeof("/room")];
	int fd, err;

	snprintf(file, sizeof(file), "%s/room", path);
	fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	err = fd < 0 ? errno : posix_fallocate(fd, 0, ROOM);
	if (fd >= 0) {
		close(fd);
		unlink(file);
	}
	return err == ENOSPC || err == EDQUOT;
}

void mcl_work_folder_remove(struct mcl_work_folder *folder)
{
	remove_tree(folder->path);
	if (folder->lock >= 0)
		close(folder->lock);
	folder->lock = -1;
}
