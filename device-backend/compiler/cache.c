// SPDX-License-Identifier: MIT
/* Compiled programs on disk; see cache.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "compiler/cache.h"
#include "compiler/file.h"
#include "support/config.h"

#define LOCK_FILE "lock"
/* The use of an entry is noted at most this often: a touch writes to the disk. */
#define TOUCH_S 600
/* Older unfinished files are what a killed process left. */
#define STALE_S 3600
/* Eviction goes this much below the limit, so that it need not run at every store. In percent. */
#define EVICT_TO 90

#define HEX_SIZE (2 * MCL_DIGEST_SIZE)

static void entry_path(const struct mcl_cache *cache, const struct mcl_cache_key *key, const char *suffix,
		       char path[PATH_MAX])
{
	size_t used = (size_t)snprintf(path, PATH_MAX, "%s/", cache->folder);

	for (int i = 0; i < MCL_DIGEST_SIZE; i++)
		used += (size_t)snprintf(path + used, PATH_MAX - used, "%02x", key->digest[i]);
	snprintf(path + used, PATH_MAX - used, "%s", suffix);
}

bool mcl_cache_open(struct mcl_cache *cache)
{
	const struct mcl_config *config = mcl_config();
	/* A setuid program has no cache: it must not run what its caller put there, nor write where its caller may not. */
	const char *xdg = secure_getenv("XDG_CACHE_HOME"), *home = secure_getenv("HOME");
	struct stat st;
	int n;

	cache->limit = config->cache_size;
	if (cache->limit == 0)
		return false;
	if (*config->cache_dir)
		n = snprintf(cache->folder, sizeof(cache->folder), "%s", config->cache_dir);
	else if (xdg && *xdg == '/')
		n = snprintf(cache->folder, sizeof(cache->folder), "%s/mirrorcl/code", xdg);
	else if (home && *home == '/')
		n = snprintf(cache->folder, sizeof(cache->folder), "%s/.cache/mirrorcl/code", home);
	else
		return false;
	if (n < 0 || (size_t)n >= sizeof(cache->folder))
		return false;
	/* What is found there will be executed. A folder that the user named is taken at the user's word. */
	if (!*config->cache_dir && stat(cache->folder, &st) == 0 &&
	    (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)))) {
		mcl_log_warn("not using the cache %s: other users can write to it", cache->folder);
		return false;
	}
	return true;
}

/* Make the folder and those above it. */
static int make_folder(const struct mcl_cache *cache)
{
	char path[sizeof(cache->folder)];

	if (mkdir(cache->folder, 0700) == 0 || errno == EEXIST)
		return 0;
	memcpy(path, cache->folder, sizeof(path));
	for (char *p = path + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

/* Note that the entry was used. */
static void touch(const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0 && st.st_mtim.tv_sec + TOUCH_S < time(NULL))
		utimensat(AT_FDCWD, path, NULL, 0);
}

bool mcl_cache_find(const struct mcl_cache *cache, const struct mcl_cache_key *key, struct mcl_code_object **co,
		    char **log)
{
	char path[PATH_MAX];
	struct mcl_reason why;
	size_t size;
	void *text;
	int err;

	*log = NULL;
	entry_path(cache, key, ".mclo", path);
	err = mcl_code_object_open(path, co, &why);
	if (err == -EBADMSG || err == -EPROTO || err == -ENOEXEC) {
		mcl_log_info("removing a cached program: %s", why.text);
		unlink(path);
	}
	if (err)
		return false;
	touch(path);
	entry_path(cache, key, ".log", path);
	if (mcl_file_read(path, &text, &size) == 0)
		*log = text;
	return true;
}

struct entry {
	char name[HEX_SIZE + 1]; /* without suffix */
	uint64_t size;
	struct timespec used;
};

static int compare_age(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->used.tv_sec != y->used.tv_sec)
		return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
	if (x->used.tv_nsec != y->used.tv_nsec)
		return x->used.tv_nsec < y->used.tv_nsec ? -1 : 1;
	return 0;
}

/* Whether @name is "<key><suffix>". */
static bool is_entry(const char *name, const char *suffix)
{
	return strspn(name, "0123456789abcdef") == HEX_SIZE && strcmp(name + HEX_SIZE, suffix) == 0;
}

/*
 * Everything in @dir: entries into *@entries, their sizes added up in *@total. Removes unfinished files of dead
 * processes.
 */
static size_t list_entries(DIR *dir, struct entry **entries, uint64_t *total)
{
	size_t count = 0, capacity = 0;
	time_t now = time(NULL);
	struct dirent *d;

	while ((d = readdir(dir))) {
		struct stat st;

		if (fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
			continue;
		if (strspn(d->d_name, "0123456789abcdef") != HEX_SIZE)
			continue; /* the lock, or nothing of ours */
		if (!is_entry(d->d_name, ".mclo")) {
			if (is_entry(d->d_name, ".log"))
				*total += (uint64_t)st.st_size;
			else if (st.st_mtim.tv_sec + STALE_S < now)
				unlinkat(dirfd(dir), d->d_name, 0);
			continue;
		}
		*total += (uint64_t)st.st_size;
		if (count == capacity) {
			size_t grown_capacity = capacity ? capacity * 2 : 64;
			struct entry *grown = realloc(*entries, grown_capacity * sizeof(*grown));

			if (!grown)
				break;
			*entries = grown;
			capacity = grown_capacity;
		}
		memcpy((*entries)[count].name, d->d_name, HEX_SIZE);
		(*entries)[count].name[HEX_SIZE] = '\0';
		(*entries)[count].size = (uint64_t)st.st_size;
		(*entries)[count].used = st.st_mtim;
		count++;
	}
	return count;
}

/*
 * Bring the cache below its limit. It lists the folder at every store, which is nothing beside the compilation that
 * led to it. Two processes that do so at once remove the same files; neither minds.
 */
static void evict(const struct mcl_cache *cache)
{
	struct entry *entries = NULL;
	uint64_t total = 0, goal = cache->limit / 100 * EVICT_TO;
	size_t count;
	DIR *dir = opendir(cache->folder);

	if (!dir)
		return;
	count = list_entries(dir, &entries, &total);
	if (count && total > cache->limit) {
		qsort(entries, count, sizeof(*entries), compare_age);
		for (size_t i = 0; i < count && total > goal; i++) {
			char name[HEX_SIZE + 8];
			struct stat st;

			snprintf(name, sizeof(name), "%s.log", entries[i].name);
			if (fstatat(dirfd(dir), name, &st, 0) == 0 && unlinkat(dirfd(dir), name, 0) == 0)
				total -= (uint64_t)st.st_size < total ? (uint64_t)st.st_size : total;
			snprintf(name, sizeof(name), "%s.mclo", entries[i].name);
			if (unlinkat(dirfd(dir), name, 0) == 0)
				total -= entries[i].size < total ? entries[i].size : total;
		}
	}
	free(entries);
	closedir(dir);
}

void mcl_cache_store(const struct mcl_cache *cache, const struct mcl_cache_key *key, const struct mcl_code_object *co,
		     const char *log)
{
	char path[PATH_MAX];

	if (co->size > cache->limit)
		return;
	if (make_folder(cache))
		goto err;
	/* The log first: an entry that is there is complete. */
	entry_path(cache, key, ".log", path);
	if (log && *log) {
		if (mcl_file_write(path, log, strlen(log), 0600))
			goto err;
	} else {
		unlink(path);
	}
	entry_path(cache, key, ".mclo", path);
	if (mcl_file_write(path, co->bytes, co->size, 0600))
		goto err;
	evict(cache);
	return;

err:
	mcl_log_info("cannot cache a program in %s: %s", cache->folder, strerror(errno));
}

int mcl_cache_lock(const struct mcl_cache *cache, const struct mcl_cache_key *key, uint32_t timeout_ms)
{
	/* One byte of the lock file for each key. Two keys that share one wait for each other now and then. */
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
	char path[PATH_MAX];
	uint32_t offset;
	int fd;

	if (make_folder(cache))
		return -1;
	snprintf(path, sizeof(path), "%s/%s", cache->folder, LOCK_FILE);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	memcpy(&offset, key->digest, sizeof(offset));
	lock.l_start = offset;
	/*
	 * Locks of the open file, not of the process: they also work between threads, and closing another descriptor
	 * of the file does not drop them. Polled, because waiting for one knows no time limit.
	 */
	for (uint32_t waited = 0; fcntl(fd, F_OFD_SETLK, &lock) < 0; waited += 20) {
		if ((errno != EAGAIN && errno != EACCES && errno != EINTR) || waited >= timeout_ms) {
			close(fd);
			return -1;
		}
		poll(NULL, 0, 20);
	}
	return fd;
}

void mcl_cache_unlock(int lock)
{
	struct flock unlock = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	if (lock < 0)
		return;
	fcntl(lock, F_OFD_SETLK, &unlock); /* a child forked meanwhile holds the file open, but not the lock */
	close(lock);
}
