// SPDX-License-Identifier: MIT
/* Whole files; see file.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compiler/file.h"

int mcl_file_read(const char *path, void **bytes, size_t *size)
{
	int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0, capacity;
	uint8_t *buffer = NULL;
	struct stat st;
	int saved;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0)
		goto err;
	/* One more than the file has, so that its end is seen without growing. Pipes and devices say 0. */
	capacity = (st.st_size > 0 ? (size_t)st.st_size : 65536) + 2;
	for (;;) {
		uint8_t *grown = buffer;
		ssize_t n;

		if (!buffer || used + 1 >= capacity) {
			capacity = buffer ? capacity * 2 : capacity;
			grown = realloc(buffer, capacity);
		}
		if (!grown)
			goto err;
		buffer = grown;
		n = read(fd, buffer + used, capacity - 1 - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			goto err;
		if (n == 0)
			break;
		used += (size_t)n;
	}
	close(fd);
	buffer[used] = 0;
	*bytes = buffer;
	*size = used;
	return 0;

err:
	saved = errno;
	free(buffer);
	close(fd);
	errno = saved;
	return -1;
}

static int write_all(int fd, const uint8_t *bytes, size_t size)
{
	while (size) {
		ssize_t n = write(fd, bytes, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		bytes += n;
		size -= (size_t)n;
	}
	return 0;
}

int mcl_file_write(const char *path, const void *bytes, size_t size, mode_t mode)
{
	char *temporary = NULL;
	struct stat st;
	int fd, saved;

	if (strcmp(path, "-") == 0)
		return write_all(STDOUT_FILENO, bytes, size);
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		/* /dev/stdout, a named pipe ...: there is nothing to rename over. */
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0)
			return -1;
		if (write_all(fd, bytes, size) < 0) {
			saved = errno;
			close(fd);
			errno = saved;
			return -1;
		}
		return close(fd);
	}
	if (asprintf(&temporary, "%s.XXXXXX", path) < 0)
		return -1;
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0) {
		saved = errno;
		free(temporary);
		errno = saved;
		return -1;
	}
	if (write_all(fd, bytes, size) < 0 || fchmod(fd, mode) < 0) {
		saved = errno;
		close(fd);
		goto err_unlink;
	}
	if (close(fd) < 0 || rename(temporary, path) < 0) {
		saved = errno;
		goto err_unlink;
	}
	free(temporary);
	return 0;

err_unlink:
	unlink(temporary);
	free(temporary);
	errno = saved;
	return -1;
}
