// SPDX-License-Identifier: MIT
/* The on-disk cache: hits, corruption, eviction, locks between threads and processes, folders that cannot be used. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <setjmp.h>
#include <cmocka.h>

#include "compiler/cache.h"
#include "compiler/tests/sample.h"

static char folder[] = "/tmp/mcl-test-XXXXXX";

static struct mcl_cache cache_at(const char *name, uint64_t limit)
{
	struct mcl_cache cache = { .limit = limit };

	snprintf(cache.folder, sizeof(cache.folder), "%s/%s", folder, name);
	return cache;
}

static struct mcl_cache_key key_of(int n)
{
	struct mcl_cache_key key = { { 0 } };

	memcpy(key.digest, &n, sizeof(n));
	return key;
}

static void path_of(const struct mcl_cache *cache, int n, const char *suffix, char *path, size_t size)
{
	struct mcl_cache_key key = key_of(n);
	size_t used = (size_t)snprintf(path, size, "%s/", cache->folder);

	for (int i = 0; i < MCL_DIGEST_SIZE; i++)
		used += (size_t)snprintf(path + used, size - used, "%02x", key.digest[i]);
	snprintf(path + used, size - used, "%s", suffix);
}

static struct mcl_code_object *sample(size_t padding)
{
	struct mcl_code_object *co;
	size_t size;
	uint8_t *bytes = make_sample(padding, &size);

	assert_int_equal(mcl_code_object_parse(bytes, size, &co, NULL), 0);
	free(bytes);
	return co;
}

static void store(const struct mcl_cache *cache, int n, size_t padding, const char *log)
{
	struct mcl_cache_key key = key_of(n);
	struct mcl_code_object *co = sample(padding);

	mcl_cache_store(cache, &key, co, log);
	mcl_code_object_put(co);
}

/* Whether entry @n is there, and its log is @log (NULL: it has none). */
static bool has(const struct mcl_cache *cache, int n, const char *log)
{
	struct mcl_cache_key key = key_of(n);
	struct mcl_code_object *co = NULL;
	char *found;

	if (!mcl_cache_find(cache, &key, &co, &found)) {
		assert_null(found);
		return false;
	}
	assert_non_null(mcl_co_find_kernel(co, "add"));
	if (log)
		assert_string_equal(found, log);
	else
		assert_null(found);
	free(found);
	mcl_code_object_put(co);
	return true;
}

/* Make entry @n look as if it had last been used @seconds ago. */
static void age(const struct mcl_cache *cache, int n, long seconds)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = time(NULL) - seconds } };
	char path[PATH_MAX];

	path_of(cache, n, ".mclo", path, sizeof(path));
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static unsigned int count_files(const struct mcl_cache *cache)
{
	DIR *dir = opendir(cache->folder);
	struct dirent *d;
	unsigned int count = 0;

	assert_non_null(dir);
	while ((d = readdir(dir)))
		count += d->d_name[0] != '.' && strcmp(d->d_name, "lock") != 0;
	closedir(dir);
	return count;
}

static void stored_programs_are_found(void **state)
{
	struct mcl_cache cache = cache_at("made/on/demand", 1 << 20);
	struct stat st;

	(void)state;
	assert_false(has(&cache, 1, NULL));
	store(&cache, 1, 0, NULL);
	store(&cache, 2, 0, "a warning\n");
	assert_true(has(&cache, 1, NULL));
	assert_true(has(&cache, 2, "a warning\n"));
	assert_false(has(&cache, 3, NULL));
	/* A later build without warnings leaves no old ones. */
	store(&cache, 2, 0, "");
	assert_true(has(&cache, 2, NULL));
	assert_int_equal(count_files(&cache), 2);
	assert_int_equal(stat(cache.folder, &st), 0);
	assert_int_equal(st.st_mode & 077, 0);
}

static void corrupt_entries_are_removed(void **state)
{
	struct mcl_cache cache = cache_at("corrupt", 1 << 20);
	char path[PATH_MAX];
	int fd;

	(void)state;
	store(&cache, 1, 100, NULL);
	path_of(&cache, 1, ".mclo", path, sizeof(path));
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "x", 1, 600), 1);
	close(fd);
	assert_false(has(&cache, 1, NULL));
	assert_int_equal(access(path, F_OK), -1);
	store(&cache, 1, 100, NULL);
	assert_true(has(&cache, 1, NULL));
	/* Torn. */
	assert_int_equal(truncate(path, 300), 0);
	assert_false(has(&cache, 1, NULL));
	assert_int_equal(access(path, F_OK), -1);
	/* Empty, as after a crash of the machine. */
	close(open(path, O_WRONLY | O_CREAT, 0600));
	assert_false(has(&cache, 1, NULL));
	assert_int_equal(count_files(&cache), 0);
}

static void least_recently_used_are_dropped(void **state)
{
	struct mcl_cache cache = cache_at("evict", 100 << 10);

	(void)state;
	for (int n = 0; n < 9; n++) {
		store(&cache, n, 10 << 10, n == 0 ? "log" : NULL);
		age(&cache, n, 10000 - n);
	}
	assert_int_equal(count_files(&cache), 10); /* all, and one log */
	assert_true(has(&cache, 0, "log")); /* used: no longer the oldest */
	store(&cache, 9, 10 << 10, NULL);
	assert_true(has(&cache, 0, "log"));
	assert_false(has(&cache, 1, NULL));
	assert_true(has(&cache, 8, NULL));
	assert_true(has(&cache, 9, NULL));
	/* Larger than the whole cache: not kept, and nothing is dropped for it. */
	store(&cache, 10, 200 << 10, NULL);
	assert_false(has(&cache, 10, NULL));
	assert_true(has(&cache, 9, NULL));
}

static void old_unfinished_files_go(void **state)
{
	struct mcl_cache cache = cache_at("stale", 1 << 20);
	struct timespec times[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	char old[PATH_MAX], young[PATH_MAX], foreign[PATH_MAX];

	(void)state;
	store(&cache, 1, 0, NULL);
	path_of(&cache, 2, ".mclo.abcdef", old, sizeof(old));
	path_of(&cache, 3, ".mclo.abcdef", young, sizeof(young));
	snprintf(foreign, sizeof(foreign), "%s/README", cache.folder);
	close(open(old, O_WRONLY | O_CREAT, 0600));
	close(open(young, O_WRONLY | O_CREAT, 0600));
	close(open(foreign, O_WRONLY | O_CREAT, 0600));
	assert_int_equal(utimensat(AT_FDCWD, old, times, 0), 0);
	assert_int_equal(utimensat(AT_FDCWD, foreign, times, 0), 0);
	store(&cache, 4, 0, NULL);
	assert_int_equal(access(old, F_OK), -1);
	assert_int_equal(access(young, F_OK), 0);
	assert_int_equal(access(foreign, F_OK), 0);
}

static void unusable_folders_do_no_harm(void **state)
{
	struct mcl_cache cache = { .folder = "/proc/no/such/folder", .limit = 1 << 20 };
	struct mcl_cache_key key = key_of(1);

	(void)state;
	store(&cache, 1, 0, "log");
	assert_false(has(&cache, 1, NULL));
	assert_int_equal(mcl_cache_lock(&cache, &key, 1000), -1);
	mcl_cache_unlock(-1);
}

struct contender {
	const struct mcl_cache *cache;
	int key;
	int *inside;
	bool collided, locked;
};

static void *contend(void *arg)
{
	struct contender *c = arg;
	struct mcl_cache_key key = key_of(c->key);
	int lock = mcl_cache_lock(c->cache, &key, 10000);

	c->locked = lock >= 0;
	if (__atomic_fetch_add(c->inside, 1, __ATOMIC_SEQ_CST) != 0)
		c->collided = true;
	usleep(5000);
	__atomic_fetch_sub(c->inside, 1, __ATOMIC_SEQ_CST);
	mcl_cache_unlock(lock);
	return NULL;
}

static void one_key_is_compiled_by_one_thread_at_a_time(void **state)
{
	struct mcl_cache cache = cache_at("threads", 1 << 20);
	struct contender contenders[8];
	pthread_t threads[8];
	int inside = 0;

	(void)state;
	for (int i = 0; i < 8; i++) {
		contenders[i] = (struct contender){ .cache = &cache, .key = 7, .inside = &inside };
		assert_int_equal(pthread_create(&threads[i], NULL, contend, &contenders[i]), 0);
	}
	for (int i = 0; i < 8; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_true(contenders[i].locked);
		assert_false(contenders[i].collided);
	}
}

static void locks_of_dead_processes_and_other_keys_do_not_matter(void **state)
{
	struct mcl_cache cache = cache_at("processes", 1 << 20);
	struct mcl_cache_key key = key_of(1), other = key_of(2);
	int ready[2], lock, status;
	char byte;
	pid_t child;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	child = fork();
	if (child == 0) {
		if (mcl_cache_lock(&cache, &key, 1000) < 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
	}
	assert_true(child > 0);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(mcl_cache_lock(&cache, &key, 50), -1); /* held, and the time limit counts */
	lock = mcl_cache_lock(&cache, &other, 0);
	assert_true(lock >= 0);
	mcl_cache_unlock(lock);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	lock = mcl_cache_lock(&cache, &key, 1000);
	assert_true(lock >= 0);
	mcl_cache_unlock(lock);
	close(ready[0]);
	close(ready[1]);
}

/* Many processes store, find and evict in one folder; every hit is whole. */
static void processes_share_a_folder(void **state)
{
	struct mcl_cache cache = cache_at("shared", 60 << 10);
	pid_t children[6];

	(void)state;
	for (int p = 0; p < 6; p++) {
		children[p] = fork();
		if (children[p] == 0) {
			for (int i = 0; i < 60; i++) {
				int n = (p * 7 + i) % 11;

				store(&cache, n, 8 << 10, NULL);
				has(&cache, (n + 3) % 11, NULL);
			}
			_exit(0);
		}
		assert_true(children[p] > 0);
	}
	for (int p = 0; p < 6; p++) {
		int status;

		assert_int_equal(waitpid(children[p], &status, 0), children[p]);
		assert_int_equal(status, 0);
	}
	store(&cache, 100, 0, NULL);
	assert_true(has(&cache, 100, NULL));
	assert_in_range(count_files(&cache), 1, 7);
}

/* Options are read once in a process, so each case has its own. */
static bool open_with(const char *dir, const char *xdg, const char *home, const char *size, const char *expected)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		struct mcl_cache cache;

		setenv("MIRRORCL_CACHE_DIR", dir, 1);
		setenv("MIRRORCL_CACHE_SIZE", size, 1);
		xdg ? setenv("XDG_CACHE_HOME", xdg, 1) : unsetenv("XDG_CACHE_HOME");
		home ? setenv("HOME", home, 1) : unsetenv("HOME");
		_exit(mcl_cache_open(&cache) && strcmp(cache.folder, expected) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status == 0;
}

static void the_folder_is_where_the_environment_says(void **state)
{
	char open_folder[64], mirrorcl[96], code[128];

	(void)state;
	assert_true(open_with("/d", "/x", "/h", "", "/d"));
	assert_true(open_with("", "/x", "/h", "1G", "/x/mirrorcl/code"));
	assert_true(open_with("", NULL, "/h", "1G", "/h/.cache/mirrorcl/code"));
	assert_true(open_with("", "relative", "/h", "1G", "/h/.cache/mirrorcl/code"));
	assert_false(open_with("", NULL, NULL, "1G", ""));
	assert_false(open_with("", NULL, "", "1G", ""));
	assert_false(open_with("/d", NULL, "/h", "0", "/d"));
	/* Where others can write, they could plant code. */
	snprintf(open_folder, sizeof(open_folder), "%s/open", folder);
	snprintf(mirrorcl, sizeof(mirrorcl), "%s/mirrorcl", open_folder);
	snprintf(code, sizeof(code), "%s/code", mirrorcl);
	mkdir(open_folder, 0700);
	mkdir(mirrorcl, 0700);
	mkdir(code, 0700);
	assert_true(open_with("", open_folder, NULL, "1G", code));
	assert_int_equal(chmod(code, 0777), 0);
	assert_false(open_with("", open_folder, NULL, "1G", code));
	assert_true(open_with(code, NULL, NULL, "1G", code)); /* unless the user says so */
}

static int make_folder(void **state)
{
	(void)state;
	return !mkdtemp(folder);
}

static int remove_folder(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First: the other cases read the options, which then stay. */
		cmocka_unit_test(the_folder_is_where_the_environment_says),
		cmocka_unit_test(stored_programs_are_found),
		cmocka_unit_test(corrupt_entries_are_removed),
		cmocka_unit_test(least_recently_used_are_dropped),
		cmocka_unit_test(old_unfinished_files_go),
		cmocka_unit_test(unusable_folders_do_no_harm),
		cmocka_unit_test(one_key_is_compiled_by_one_thread_at_a_time),
		cmocka_unit_test(locks_of_dead_processes_and_other_keys_do_not_matter),
		cmocka_unit_test(processes_share_a_folder),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
