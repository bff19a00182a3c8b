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

void fixture_go(struct fixture *f, unsigned int unit, enum test_op op, const void *address, uint64_t size,
		uint64_t stride, uint64_t value)
{
	struct test_unit *u = fixture_unit(f, unit);

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
