// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mirror/tests/uffd_fixture.h"

#define WAIT_SECONDS 30

void fixture_require(void)
{
	struct mcl_reason why;
	int err = mcl_mirror_uffd.probe(&why);

	if (!err)
		return;
	if (err != -EPERM && err != -ENOSYS && err != -ENOTSUP) {
		fprintf(stderr, "unexpected: %s\n", why.text);
		exit(1);
	}
	printf("skipped: %s\n", why.text);
	exit(77);
}

static void die(const char *what, const char *why)
{
	fprintf(stderr, "fixture: %s: %s\n", what, why);
	abort();
}

void fixture_start(struct fixture *f, const struct mcl_pager_policy *policy, uint64_t vram)
{
	const struct mcl_window_layout layout = {
		.control_offset = 0,
		.control_size = TEST_CONTROL_SIZE,
		.image_offset = TEST_IMAGE_OFFSET,
		.image_size = TEST_IMAGE_SIZE,
		.stacks_offset = TEST_STACKS_OFFSET,
		.stacks_size = TEST_STACKS_SIZE,
		.total_size = TEST_TOTAL_SIZE,
	};
	struct mcl_mirror_params params = { .window = &f->window, .vram_size = vram };
	struct mcl_reason why = { "" };
	struct stat st;
	void *elf;
	int fd;

	memset(f, 0, sizeof(*f));
	if (mcl_window_create(&layout, &f->window, &why))
		die("window", why.text);
	if (f->window.base != TEST_BASE)
		die("window", "not at its usual place");
	fd = open(TEST_ENGINE_PATH, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		die(TEST_ENGINE_PATH, strerror(errno));
	elf = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	params.engine_elf = elf;
	params.engine_elf_size = (size_t)st.st_size;
	if (mcl_mirror_uffd.create(&params, &f->m, &why))
		die("create", why.text);
	if (mcl_mirror_uffd.start(f->m, &f->pid, &why))
		die("start", why.text);
	munmap(elf, (size_t)st.st_size);
	if (mcl_pager_start_with(f->m, &params, policy, &f->pager, &why))
		die("pager", why.text);
}

void fixture_kill(struct fixture *f)
{
	if (!f->pid)
		return;
	kill(f->pid, SIGKILL);
	waitpid(f->pid, NULL, __WALL);
	f->pid = 0;
	mcl_pager_stop(f->pager);
	f->pager = NULL;
}

void fixture_stop(struct fixture *f)
{
	fixture_kill(f);
	mcl_mirror_uffd.destroy(f->m);
	mcl_window_destroy(&f->window);
}

void fixture_start_plain(struct fixture *f, uint32_t promote_after)
{
	const struct mcl_pager_policy policy = { .chunk = 0, .promote_after = promote_after, .hold_us = 50 };

	fixture_start(f, &policy, 0);
}

int fixture_setup(void **state)
{
	fixture_start_plain(*state, 3);
	return 0;
}

int fixture_setup_eager(void **state)
{
	fixture_start_plain(*state, 1);
	return 0;
}

int fixture_teardown(void **state)
{
	fixture_stop(*state);
	return 0;
}

struct mcl_counters fixture_counters(const struct fixture *f)
{
	struct mcl_counters c;

	memset(&c, 0, sizeof(c));
	mcl_pager_counters(f->pager, &c);
	return c;
}

struct test_unit *fixture_unit(const struct fixture *f, unsigned int unit)
{
	return &((struct test_control *)f->window.base)->units[unit];
}

static struct mcl_engine_control *control_of(const struct fixture *f)
{
	return &((struct test_control *)f->window.base)->control;
}

void fixture_go(struct fixture *f, unsigned int unit, enum test_op op, const void *address, uint64_t size,
		uint64_t stride, uint64_t value)
{
	struct test_unit *u = fixture_unit(f, unit);

	mcl_uffd_settle(f->m);
	if (atomic_load(&control_of(f)->refresh))
		mcl_pager_sync(f->pager, false);
	u->op = op;
	u->address = (uint64_t)address;
	u->size = size;
	u->stride = stride ? stride : 8;
	u->value = value;
	atomic_store(&u->stop, 0);
	atomic_store(&u->rounds, 0);
	atomic_store(&u->state, TEST_GO);
	syscall(SYS_futex, &u->state, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

bool fixture_wait(struct fixture *f, unsigned int unit, uint64_t *result)
{
	struct test_unit *u = fixture_unit(f, unit);
	const struct timespec limit = { .tv_sec = WAIT_SECONDS };
	uint32_t state;

	while ((state = atomic_load(&u->state)) == TEST_GO)
		if (syscall(SYS_futex, &u->state, FUTEX_WAIT, TEST_GO, &limit, NULL, 0) && errno == ETIMEDOUT)
			die("wait", "the engine hangs");
	if (atomic_load(&control_of(f)->flush))
		mcl_pager_sync(f->pager, true);
	if (result)
		*result = u->result;
	return state == TEST_DONE;
}

bool fixture_run(struct fixture *f, enum test_op op, const void *address, uint64_t size, uint64_t stride,
		 uint64_t value, uint64_t *result)
{
	fixture_go(f, 0, op, address, size, stride, value);
	return fixture_wait(f, 0, result);
}

void fixture_barrier(struct fixture *f)
{
	/* Reports are read between two requests; the second cannot be served before that. */
	for (int i = 0; i < 2; i++)
		mcl_pager_migrate(f->pager, (void *)PAGE_SIZE, 1, true);
}

enum mcl_page_state fixture_state(struct fixture *f, const void *p)
{
	fixture_barrier(f);
	return mcl_uffd_state(mcl_uffd_of(f->m), (uint64_t)p);
}

uint64_t fixture_count(struct fixture *f, const void *p, uint64_t size, enum mcl_page_state state)
{
	uint64_t pages = 0;

	fixture_barrier(f);
	for (uint64_t at = (uint64_t)p; at < (uint64_t)p + size; at += PAGE_SIZE)
		pages += mcl_uffd_state(mcl_uffd_of(f->m), at) == state;
	return pages;
}

void fixture_fill(void *p, uint64_t size, uint64_t seed)
{
	volatile uint64_t *words = p;

	for (uint64_t i = 0; i < size / 8; i++)
		words[i] = seed + i;
}

bool fixture_host_has(const void *p, uint64_t size, uint64_t seed)
{
	const volatile uint64_t *words = p;

	for (uint64_t i = 0; i < size / 8; i++) {
		if (words[i] != seed + i) {
			fprintf(stderr, "word %lu at %p is %lu, not %lu\n", (unsigned long)i, (void *)&words[i],
				(unsigned long)words[i], (unsigned long)(seed + i));
			return false;
		}
	}
	return true;
}

bool fixture_device_has(struct fixture *f, const void *p, uint64_t size, uint64_t seed)
{
	uint64_t at = 0;

	/* The operation compares; what it returns is the first word that differs, or the size. */
	if (!fixture_run(f, TEST_COMPARE, p, size, 0, seed, &at)) {
		fprintf(stderr, "the device faults at %#lx\n", (unsigned long)fixture_unit(f, 0)->fault_address);
		return false;
	}
	if (at != size)
		fprintf(stderr, "the device sees another word at %#lx\n", (unsigned long)p + at);
	return at == size;
}

int fixture_file(uint64_t size, uint64_t seed)
{
	char path[] = "/var/tmp/mcl-test-XXXXXX";
	uint64_t *words = malloc(size);
	int fd = mkostemp(path, O_CLOEXEC);

	if (fd < 0 || !words)
		die(path, strerror(errno));
	unlink(path);
	fixture_fill(words, size, seed);
	if (pwrite(fd, words, size, 0) != (ssize_t)size)
		die(path, strerror(errno));
	free(words);
	return fd;
}

const char *fixture_state_name(enum mcl_page_state state)
{
	static const char *const names[] = { "host", "vram", "promoted", "copy", "snapshot", "twin" };

	return names[state];
}

static void *map(uint64_t size, int flags, int fd)
{
	/* With room around it, so that it is a mapping of its own. */
	char *room = mmap(NULL, size + 2 * PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *p;

	if (room == MAP_FAILED)
		die("mmap", strerror(errno));
	p = mmap(room + PAGE_SIZE, size, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0);
	if (p == MAP_FAILED)
		die("mmap", strerror(errno));
	return p;
}

/* Device and host write the same words by turns until they are mapped in place. */
static void promote(struct fixture *f, uint64_t *p, uint64_t size)
{
	for (uint64_t at = 0; at < size; at += PAGE_SIZE) {
		volatile uint64_t *word = p + at / 8;
		const uint64_t value = *word;

		for (int i = 0; fixture_state(f, (void *)word) != PAGE_PROMOTED; i++) {
			if (i == 1000 || !fixture_run(f, TEST_FILL, (void *)word, 8, 0, value, NULL))
				die("promote", "it never is mapped in place");
			*word = *word;
		}
	}
}

void *fixture_make(struct fixture *f, uint64_t size, enum mcl_page_state state, uint64_t seed)
{
	bool file = state == PAGE_SNAPSHOT || state == PAGE_TWIN;
	int fd = file ? fixture_file(size, seed) : -1;
	void *p = map(size, file ? MAP_PRIVATE : MAP_PRIVATE | MAP_ANONYMOUS, fd);

	if (file)
		close(fd);
	else
		fixture_fill(p, size, seed);
	switch (state) {
	case PAGE_HOST:
		break;
	case PAGE_VRAM:
	case PAGE_TWIN:
		if (!fixture_run(f, TEST_FILL, p, size, 0, seed, NULL))
			die("make", "the device cannot write");
		break;
	case PAGE_PROMOTED:
		promote(f, p, size);
		break;
	case PAGE_COPY:
		if (mprotect(p, size, PROT_READ))
			die("mprotect", strerror(errno));
		/* fall through */
	case PAGE_SNAPSHOT:
		if (!fixture_run(f, TEST_SUM, p, size, 0, 0, NULL))
			die("make", "the device cannot read");
		break;
	}
	if (fixture_count(f, p, size, state) != size / PAGE_SIZE) {
		fprintf(stderr, "%lu of %lu pages are in state %s\n", (unsigned long)fixture_count(f, p, size, state),
			(unsigned long)(size / PAGE_SIZE), fixture_state_name(state));
		abort();
	}
	return p;
}
