// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "rig.h"

/* ---- engine: runs in the child ---- */

static __thread sigjmp_buf recovery;
static __thread volatile uint64_t signal_address;

static void engine_signal(int signal, siginfo_t *info, void *context)
{
	(void)context;
	signal_address = (uint64_t)info->si_addr;
	siglongjmp(recovery, signal);
}

static uint64_t engine_perform(const struct engine_request *request)
{
	volatile uint64_t *word = (void *)request->address;
	uint64_t i, n = request->size / 8, bad = 0;

	switch (request->op) {
	case ENGINE_READ:
		return *word;
	case ENGINE_WRITE:
		*word = request->value;
		return 0;
	case ENGINE_FILL:
		for (i = 0; i < n; i++)
			word[i] = request->value + i;
		return 0;
	case ENGINE_CHECK:
		for (i = 0; i < n; i++)
			bad += word[i] != request->value + i;
		return bad;
	case ENGINE_ADD:
		for (i = 0; i < request->value; i++)
			__atomic_fetch_add((uint64_t *)request->address, 1, __ATOMIC_SEQ_CST);
		return 0;
	case ENGINE_BUMP:
		__asm__ volatile("addq %1, %0" : "+m"(*word) : "r"(request->value) : "cc");
		return 0;
	case ENGINE_SPRAY:
		host_spray((void *)request->address, request->size, request->value,
			   syscall(SYS_gettid));
		return 0;
	case ENGINE_TOUCH:
		for (i = 0; i < n; i += request->value / 8)
			(void)word[i];
		return 0;
	case ENGINE_TID:
		return syscall(SYS_gettid);
	case ENGINE_REGISTER: {
		struct hmm_mirror_register reg = { 0 };
		int fd = open(HMM_MIRROR_DEVICE, O_RDWR);

		return ioctl(fd, HMM_MIRROR_IOC_REGISTER, &reg) ? errno : 0;
	}
	case ENGINE_FAIL: {
		int fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
		char text[16];

		snprintf(text, sizeof(text), "%u", (unsigned int)request->value);
		pwrite(fd, text, strlen(text), 0);
		++*word;
		memset(text, 0, sizeof(text));
		pread(fd, text, sizeof(text) - 1, 0);
		pwrite(fd, "0", 1, 0);
		close(fd);
		return strtoul(text, NULL, 0);
	}
	default:
		return 0;
	}
}

static void *engine_thread(void *argument)
{
	int sock = (int)(intptr_t)argument;
	struct engine_request request;

	while (read(sock, &request, sizeof(request)) == sizeof(request)) {
		struct engine_reply reply = { 0 };

		if (request.op == ENGINE_EXIT)
			_exit(0);
		reply.signal = sigsetjmp(recovery, 1);
		if (reply.signal)
			reply.address = signal_address;
		else
			reply.value = engine_perform(&request);
		if (write(sock, &reply, sizeof(reply)) != sizeof(reply))
			_exit(2);
	}
	_exit(0);
}

static void engine_main(struct rig *rig, int (*pairs)[2])
{
	struct sigaction action = { .sa_sigaction = engine_signal, .sa_flags = SA_SIGINFO };
	unsigned int i;
	void *arena;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	alarm(0);
	arena = mmap((void *)ARENA, ARENA_SIZE, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_FIXED, rig->engine_fd, ARENA);
	if (arena != (void *)ARENA) {
		perror("# engine: mmap");
		_exit(2);
	}
	close(rig->engine_fd);
	close(rig->fd);
	for (i = 0; i < ENGINE_THREADS; i++)
		close(pairs[i][0]);
	for (i = 1; i < ENGINE_THREADS; i++) {
		pthread_t thread;

		pthread_create(&thread, NULL, engine_thread, (void *)(intptr_t)pairs[i][1]);
	}
	engine_thread((void *)(intptr_t)pairs[0][1]);
}

/* ---- rig ---- */

void rig_open(struct rig *rig, const struct hmm_mirror_register *reg)
{
	const struct hmm_mirror_register none = { 0 };
	int pairs[ENGINE_THREADS][2];
	unsigned int i;

	memset(rig, 0, sizeof(*rig));
	rig->pager = pager_mirror;
	rig->fd = open(HMM_MIRROR_DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	EXPECT_GE(rig->fd, 0);
	EXPECT_EQ(ioctl(rig->fd, HMM_MIRROR_IOC_REGISTER, reg ? reg : &none), 0);
	rig->engine_fd = ioctl(rig->fd, HMM_MIRROR_IOC_ENGINE);
	EXPECT_GE(rig->engine_fd, 0);
	for (i = 0; i < ENGINE_THREADS; i++) {
		EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pairs[i]), 0);
		rig->sock[i] = pairs[i][0];
	}
	rig->engine = fork();
	EXPECT_GE(rig->engine, 0);
	if (!rig->engine)
		engine_main(rig, pairs);
	for (i = 0; i < ENGINE_THREADS; i++)
		close(pairs[i][1]);
}

void rig_close(struct rig *rig)
{
	unsigned int i;

	engine_start(rig, 0, ENGINE_EXIT, 0, 0, 0);
	EXPECT_EQ(waitpid(rig->engine, NULL, 0), rig->engine);
	munmap((void *)ARENA, ARENA_SIZE);
	EXPECT_EQ(rig_count(rig, HMM_MIRROR_COUNT_VRAM_PAGES), 0);
	for (i = 0; i < ENGINE_THREADS; i++)
		close(rig->sock[i]);
	close(rig->engine_fd);
	close(rig->fd);
}

int rig_range(struct rig *rig, unsigned long request, void *address, uint64_t size,
	      uint32_t flags, struct hmm_mirror_range *out)
{
	*out = (struct hmm_mirror_range){
		.start = (uint64_t)address,
		.size = size,
		.flags = flags,
	};
	return ioctl(rig->fd, request, out);
}

uint64_t rig_mirror(struct rig *rig, void *address, uint64_t size, uint32_t flags)
{
	struct hmm_mirror_range range;

	EXPECT_EQ(rig_range(rig, HMM_MIRROR_IOC_MIRROR, address, size, flags, &range), 0);
	return range.done;
}

uint64_t rig_migrate(struct rig *rig, void *address, uint64_t size)
{
	struct hmm_mirror_range range;

	EXPECT_EQ(rig_range(rig, HMM_MIRROR_IOC_MIGRATE, address, size, 0, &range), 0);
	return range.done;
}

uint64_t rig_evict(struct rig *rig, void *address, uint64_t size)
{
	struct hmm_mirror_range range;

	EXPECT_EQ(rig_range(rig, HMM_MIRROR_IOC_EVICT, address, size, 0, &range), 0);
	EXPECT_EQ(range.left, 0);
	return range.done;
}

uint64_t rig_trim(struct rig *rig, uint64_t size)
{
	struct hmm_mirror_trim trim = { .size = size };

	EXPECT_EQ(ioctl(rig->fd, HMM_MIRROR_IOC_TRIM, &trim), 0);
	return trim.done;
}

uint64_t rig_moves(struct rig *rig, enum hmm_mirror_way way, enum hmm_mirror_cause cause,
		   enum hmm_mirror_size size)
{
	static const uint64_t bytes[] = { PAGE, 16 * PAGE, BLOCK };
	struct hmm_mirror_moves moves;
	struct hmm_mirror_move *move = &moves.move[way][cause][size];

	EXPECT_EQ(ioctl(rig->fd, HMM_MIRROR_IOC_MOVES, &moves), 0);
	EXPECT_EQ(move->bytes, move->count * bytes[size]);
	EXPECT_EQ(!!move->ns, !!move->count);
	return move->count;
}

void rig_fail(struct rig *rig, void *address, uint64_t size)
{
	struct hmm_mirror_fail fail = { .start = (uint64_t)address, .size = size };

	EXPECT_EQ(ioctl(rig->fd, HMM_MIRROR_IOC_FAIL, &fail), 0);
}

void rig_service(struct rig *rig, void *address, uint64_t size, uint32_t mode)
{
	struct hmm_mirror_service service = {
		.start = (uint64_t)address,
		.size = size,
		.mode = mode,
	};

	EXPECT_EQ(ioctl(rig->fd, HMM_MIRROR_IOC_SERVICE, &service), 0);
}

uint64_t rig_count(struct rig *rig, enum hmm_mirror_count which)
{
	struct hmm_mirror_counters counters;

	EXPECT_EQ(ioctl(rig->fd, HMM_MIRROR_IOC_COUNTERS, &counters), 0);
	return counters.value[which];
}

void rig_await(struct rig *rig, enum hmm_mirror_count which, uint64_t n)
{
	int i;

	for (i = 0; i < 5000 && rig_count(rig, which) < n; i++)
		usleep(1000);
	EXPECT_EQ(rig_count(rig, which), n);
}

uint64_t rig_pages(struct rig *rig, void *address, uint64_t size, uint8_t flags)
{
	uint64_t i, n = size / PAGE, count = 0;
	uint8_t *pages = malloc(n);
	struct hmm_mirror_query query = {
		.start = (uint64_t)address,
		.size = size,
		.pages = (uint64_t)pages,
	};

	EXPECT_EQ(ioctl(rig->fd, HMM_MIRROR_IOC_QUERY, &query), 0);
	for (i = 0; i < n; i++)
		count += (pages[i] & flags) == flags;
	free(pages);
	return count;
}

bool rig_can_migrate(void)
{
	struct hmm_mirror_info info;
	int fd = open(HMM_MIRROR_DEVICE, O_RDWR | O_CLOEXEC);

	EXPECT_GE(fd, 0);
	EXPECT_EQ(ioctl(fd, HMM_MIRROR_IOC_INFO, &info), 0);
	close(fd);
	return info.capabilities & HMM_MIRROR_CAP_MIGRATE;
}

void rig_open_vram(struct rig *rig, const struct hmm_mirror_register *reg)
{
	if (!rig_can_migrate())
		SKIP("this kernel has no DEVICE_PRIVATE");
	rig_open(rig, reg);
}

/* ---- pager ---- */

/* What cannot be mapped is failed, as a real pager would; what only changes too fast is not. */
static void pager_map(struct rig *rig, const struct hmm_mirror_fault *fault, uint64_t start,
		      uint64_t size, uint32_t flags)
{
	struct hmm_mirror_range range;

	if (!rig_range(rig, HMM_MIRROR_IOC_MIRROR, (void *)start, size, flags, &range))
		return;
	if (errno == EBUSY)
		EXPECT_EQ(rig_range(rig, HMM_MIRROR_IOC_REPLAY, (void *)fault->address, PAGE, 0,
				    &range), 0);
	else
		rig_fail(rig, (void *)fault->address, PAGE);
}

void pager_mirror(struct rig *rig, const struct hmm_mirror_fault *fault)
{
	pager_map(rig, fault, fault->address, PAGE, fault->access ? HMM_MIRROR_WRITE : 0);
}

/* Not all of a block may be there: then the page alone. */
void pager_mirror_block(struct rig *rig, const struct hmm_mirror_fault *fault)
{
	struct hmm_mirror_range range;

	if (rig_range(rig, HMM_MIRROR_IOC_MIRROR, (void *)(fault->address & -BLOCK), BLOCK,
		      fault->access ? HMM_MIRROR_WRITE : 0, &range) || range.left)
		pager_mirror(rig, fault);
}

/* What does not move, or came back, is mapped in place. */
static void pager_move(struct rig *rig, const struct hmm_mirror_fault *fault, uint64_t start,
		       uint64_t size)
{
	struct hmm_mirror_range range;

	rig_range(rig, HMM_MIRROR_IOC_MIGRATE, (void *)start, size, 0, &range);
	pager_map(rig, fault, fault->address, PAGE, fault->access ? HMM_MIRROR_WRITE : 0);
}

void pager_migrate(struct rig *rig, const struct hmm_mirror_fault *fault)
{
	pager_move(rig, fault, fault->address, PAGE);
}

void pager_migrate_block(struct rig *rig, const struct hmm_mirror_fault *fault)
{
	pager_move(rig, fault, fault->address & -BLOCK, BLOCK);
}

void pager_none(struct rig *rig, const struct hmm_mirror_fault *fault)
{
	(void)rig;
	printf("# unexpected fault at %#llx, access %u\n", (unsigned long long)fault->address,
	       fault->access);
	exit(STATUS_FAIL);
}

void pager_ignore(struct rig *rig, const struct hmm_mirror_fault *fault)
{
	(void)rig;
	(void)fault;
}

/* What poll() saw may be answered by now, by what another thread does with the range. */
static void pager_serve(struct rig *rig)
{
	struct hmm_mirror_fault faults[16];
	ssize_t got = read(rig->fd, faults, sizeof(faults));
	size_t i;

	if (got < 0 && errno == EAGAIN)
		return;
	EXPECT_GE(got, 0);
	for (i = 0; i < got / sizeof(*faults); i++) {
		rig->faults++;
		rig->last = faults[i];
		rig->pager(rig, &faults[i]);
	}
}

void engine_start(struct rig *rig, unsigned int thread, enum engine_op op, uint64_t address,
		  uint64_t size, uint64_t value)
{
	struct engine_request request = { op, address, size, value };

	EXPECT_EQ(write(rig->sock[thread], &request, sizeof(request)), sizeof(request));
}

bool engine_poll(struct rig *rig, unsigned int thread, int milliseconds)
{
	struct pollfd fds[2] = {
		{ .fd = rig->fd, .events = POLLIN },
		{ .fd = rig->sock[thread], .events = POLLIN },
	};

	for (;;) {
		int n = poll(fds, 2, milliseconds);

		EXPECT_GE(n, 0);
		if (!n)
			return false;
		EXPECT_EQ(fds[0].revents & ~POLLIN, 0);
		if (fds[0].revents)
			pager_serve(rig);
		if (fds[1].revents)
			return true;
	}
}

bool engine_step(struct rig *rig, unsigned int thread)
{
	struct pollfd fds[2] = {
		{ .fd = rig->fd, .events = POLLIN },
		{ .fd = rig->sock[thread], .events = POLLIN },
	};

	EXPECT_GE(poll(fds, 2, 0), 0);
	if (fds[0].revents)
		pager_serve(rig);
	return fds[1].revents;
}

struct engine_reply engine_finish(struct rig *rig, unsigned int thread)
{
	struct engine_reply reply;

	EXPECT_EQ(engine_poll(rig, thread, -1), true);
	EXPECT_EQ(read(rig->sock[thread], &reply, sizeof(reply)), sizeof(reply));
	return reply;
}

struct engine_reply engine_do(struct rig *rig, enum engine_op op, uint64_t address,
			      uint64_t size, uint64_t value)
{
	engine_start(rig, 0, op, address, size, value);
	return engine_finish(rig, 0);
}

static uint64_t engine_must(struct rig *rig, enum engine_op op, const void *address,
			    uint64_t size, uint64_t value)
{
	struct engine_reply reply = engine_do(rig, op, (uint64_t)address, size, value);

	if (reply.signal)
		printf("# engine: signal %d at %#llx\n", reply.signal,
		       (unsigned long long)reply.address);
	EXPECT_EQ(reply.signal, 0);
	return reply.value;
}

uint64_t engine_read(struct rig *rig, const void *address)
{
	return engine_must(rig, ENGINE_READ, address, 8, 0);
}

void engine_write(struct rig *rig, void *address, uint64_t value)
{
	engine_must(rig, ENGINE_WRITE, address, 8, value);
}

void engine_fill(struct rig *rig, void *address, uint64_t size, uint64_t value)
{
	engine_must(rig, ENGINE_FILL, address, size, value);
}

uint64_t engine_check(struct rig *rig, const void *address, uint64_t size, uint64_t value)
{
	return engine_must(rig, ENGINE_CHECK, address, size, value);
}

/* ---- host ---- */

void host_fill(void *address, uint64_t size, uint64_t value)
{
	uint64_t *word = address, i;

	for (i = 0; i < size / 8; i++)
		word[i] = value + i;
}

uint64_t host_check(const void *address, uint64_t size, uint64_t value)
{
	const uint64_t *word = address;
	uint64_t i, bad = 0;

	for (i = 0; i < size / 8; i++)
		bad += word[i] != value + i;
	return bad;
}

void host_spray(void *address, uint64_t size, uint64_t times, unsigned int seed)
{
	uint64_t *word = address;

	while (times--)
		__atomic_fetch_add(&word[rand_r(&seed) % (size / 8)], 1, __ATOMIC_SEQ_CST);
}

uint64_t host_sum(const void *address, uint64_t size)
{
	const uint64_t *word = address;
	uint64_t i, sum = 0;

	for (i = 0; i < size / 8; i++)
		sum += word[i];
	return sum;
}

void *arena_map(uint64_t offset, uint64_t size, int prot, int flags)
{
	void *address = (void *)(ARENA + offset);
	void *got = mmap(address, size, prot, flags | MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
			 -1, 0);

	EXPECT_EQ((uint64_t)got, (uint64_t)address);
	return address;
}

void *arena_small(uint64_t offset, uint64_t size)
{
	void *address = arena_map(offset, size, PROT_READ | PROT_WRITE, 0);

	EXPECT_EQ(madvise(address, size, MADV_NOHUGEPAGE), 0);
	host_fill(address, size, 1);
	return address;
}

void *arena_huge(uint64_t offset, uint64_t size)
{
	void *address = arena_map(offset, size, PROT_READ | PROT_WRITE, 0);

	EXPECT_EQ(madvise(address, size, MADV_HUGEPAGE), 0);
	host_fill(address, size, 1);
	return address;
}
