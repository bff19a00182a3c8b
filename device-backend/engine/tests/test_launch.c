// SPDX-License-Identifier: MIT
/* Launches that succeed: values, order, progress of groups, program-scope variables, time stamps, counters. */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "device.h"

static struct device d;

static int setup(void **state)
{
	(void)state;
	device_open(&d);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	device_close(&d);
	return 0;
}

/* Pointers to malloc'd memory mean the same on both sides. */
static void adds_malloced_arrays(void **state)
{
	enum { N = 10000 };
	int *a = malloc(N * sizeof(int)), *b = malloc(N * sizeof(int)), *out = calloc(N, sizeof(int)), bias = 7;
	const struct mcl_arg args[] = { ARG(a), ARG(b), ARG(out), ARG(bias) };

	(void)state;
	for (int i = 0; i < N; i++) {
		a[i] = i;
		b[i] = 3 * i;
	}
	assert_int_equal(device_run(&d, "add", N / 50, 50, args), MCL_STATUS_OK);
	for (int i = 0; i < N; i++)
		assert_int_equal(out[i], 4 * i + 7);
	free(a);
	free(b);
	free(out);
}

/* Every group of a three-dimensional range runs once, with the right numbers. */
static void covers_three_dimensions(void **state)
{
	const uint64_t groups[3] = { 5, 7, 3 }, local[3] = { 4, 2, 3 }, offset[3] = { 100, 200, 300 };
	const uint64_t nx = groups[0] * local[0], ny = groups[1] * local[1], nz = groups[2] * local[2];
	uint64_t *out = malloc(nx * ny * nz * sizeof(*out)), seq;
	const struct mcl_arg args[] = { ARG(out) };
	struct mcl_launch launch = {
		.code = d.code,
		.kernel = device_kernel(&d, "where"),
		.work_dim = 3,
		.args = args,
	};

	(void)state;
	memset(out, 0xff, nx * ny * nz * sizeof(*out));
	memcpy(launch.num_groups, groups, sizeof(groups));
	memcpy(launch.local_size, local, sizeof(local));
	memcpy(launch.global_offset, offset, sizeof(offset));
	assert_int_equal(mcl_ring_launch(d.ring, &launch, 0, &seq, NULL), 0);
	assert_int_equal(device_finish(d.ring, seq), MCL_STATUS_OK);
	for (uint64_t z = 0; z < nz; z++)
		for (uint64_t y = 0; y < ny; y++)
			for (uint64_t x = 0; x < nx; x++)
				assert_int_equal(out[(z * ny + y) * nx + x], x / local[0] | y / local[1] << 12 |
										     z / local[2] << 24 |
										     (x + offset[0]) << 36);
	free(out);
}

/* __local arguments and automatic __local variables are a unit's own. */
static void sums_in_local_memory(void **state)
{
	enum { GROUPS = 200, LOCAL_SIZE = 32 };
	int in[GROUPS * LOCAL_SIZE], out[GROUPS] = { 0 }, *pin = in, *pout = out;
	const struct mcl_arg args[] = { ARG(pin), ARG(pout), LOCAL(LOCAL_SIZE * sizeof(int)) };

	(void)state;
	for (int i = 0; i < GROUPS * LOCAL_SIZE; i++)
		in[i] = i;
	assert_int_equal(device_run(&d, "sum_group", GROUPS, LOCAL_SIZE, args), MCL_STATUS_OK);
	for (int g = 0; g < GROUPS; g++)
		assert_int_equal(out[g], g * LOCAL_SIZE * LOCAL_SIZE + LOCAL_SIZE * (LOCAL_SIZE - 1) / 2);
}

/* Large and oddly sized values arrive aligned. */
static void passes_vectors_by_value(void **state)
{
	double a[16] __attribute__((aligned(128))), *out = aligned_alloc(128, sizeof(a));
	signed char b[4] = { 1, 2, 3, 0 };
	long c = 1000;
	const struct mcl_arg args[] = { ARG(out), ARG(a), ARG(b), ARG(c) };

	(void)state;
	for (int i = 0; i < 16; i++)
		a[i] = i * 0.5;
	assert_int_equal(device_run(&d, "vectors", 1, 1, args), MCL_STATUS_OK);
	for (int i = 0; i < 16; i++)
		assert_true(out[i] == i * 0.5 + 1006);
	free(out);
}

/* As many groups as there are units are in flight together. */
static void groups_meet_at_a_barrier(void **state)
{
	struct mcl_backend_caps caps;
	int count = 0, *pcount = &count, result[64] = { 0 }, *presult = result;
	const struct mcl_arg args[] = { ARG(pcount), ARG(presult) };

	(void)state;
	mcl_backend_query(&caps);
	assert_in_range(caps.compute_units, 1, 64);
	for (int round = 0; round < 20; round++) {
		count = 0;
		assert_int_equal(device_run(&d, "barrier_of_groups", caps.compute_units, 1, args), MCL_STATUS_OK);
		assert_int_equal(count, caps.compute_units);
		for (uint32_t i = 0; i < caps.compute_units; i++)
			assert_int_equal(result[i], caps.compute_units);
	}
}

/* Groups start in increasing order: one that waits for its predecessor gets on. */
static void groups_start_in_order(void **state)
{
	int turn = 0, *pturn = &turn;
	const struct mcl_arg args[] = { ARG(pturn) };

	(void)state;
	assert_int_equal(device_run(&d, "chain", 500, 1, args), MCL_STATUS_OK);
	assert_int_equal(turn, 500);
}

/* With a barrier on each, packets of a ring see what the earlier ones wrote, without the host in between. */
static void packets_with_barriers_follow_each_other(void **state)
{
	enum { N = 100, PACKETS = 200 };
	int a[N], zero[N] = { 0 }, bias = 1, *pa = a, *pzero = zero;
	const struct mcl_arg args[] = { ARG(pa), ARG(pzero), ARG(pa), ARG(bias) };
	uint64_t seq = 0;

	(void)state;
	memset(a, 0, sizeof(a));
	for (int i = 0; i < PACKETS; i++)
		assert_int_equal(device_launch(&d, d.ring, "add", N / 10, 10, args, MCL_PACKET_BARRIER, &seq), 0);
	assert_int_equal(device_finish(d.ring, seq), MCL_STATUS_OK);
	for (int i = 0; i < N; i++)
		assert_int_equal(a[i], PACKETS);
}

/* Without barriers a packet that waits does not hold up the next, in the same ring and in another. */
static void packets_without_barriers_overlap(void **state)
{
	int stop = 0, *pstop = &stop, turn = 0, *pturn = &turn;
	const struct mcl_arg spin[] = { ARG(pstop) }, chain[] = { ARG(pturn) };
	struct mcl_ring *other;
	uint64_t waiting, same, barrier, elsewhere;
	struct mcl_packet_result result;

	(void)state;
	assert_int_equal(mcl_ring_create(d.b, &other), 0);
	assert_int_equal(device_launch(&d, d.ring, "spin", 1, 1, spin, 0, &waiting), 0);
	assert_int_equal(device_launch(&d, d.ring, "chain", 4, 1, chain, 0, &same), 0);
	assert_int_equal(mcl_ring_nop(d.ring, MCL_PACKET_BARRIER, &barrier), 0);
	assert_int_equal(mcl_ring_wait(d.ring, same, 20000000000ull), 0);
	assert_int_equal(turn, 4);
	turn = 0;
	assert_int_equal(device_launch(&d, other, "chain", 4, 1, chain, 0, &elsewhere), 0);
	assert_int_equal(device_finish(other, elsewhere), MCL_STATUS_OK);
	assert_int_equal(turn, 4);
	mcl_ring_state(d.ring, waiting, &result);
	assert_int_equal(result.state, MCL_PACKET_RUNNING);
	mcl_ring_state(d.ring, barrier, &result);
	assert_int_equal(result.state, MCL_PACKET_QUEUED);
	assert_int_equal(mcl_ring_wait(d.ring, barrier, 1000000), -ETIMEDOUT);
	atomic_store((_Atomic int *)&stop, 1);
	assert_int_equal(device_finish(d.ring, barrier), MCL_STATUS_OK);
	mcl_ring_destroy(other);
}

/* Host and kernel exchange values while the kernel runs. */
static void host_and_kernel_play_ball(void **state)
{
	enum { ROUNDS = 200 };
	_Atomic int ball = 0;
	_Atomic int *pball = &ball;
	int rounds = ROUNDS;
	const struct mcl_arg args[] = { ARG(pball), ARG(rounds) };
	uint64_t seq;

	(void)state;
	assert_int_equal(device_launch(&d, d.ring, "ping", 1, 1, args, 0, &seq), 0);
	for (int i = 0; i < ROUNDS; i++) {
		atomic_store(&ball, 2 * i + 1);
		while (atomic_load(&ball) != 2 * i + 2)
			;
	}
	assert_int_equal(device_finish(d.ring, seq), MCL_STATUS_OK);
}

/* Program-scope variables are initialised, pointers among them too, and keep their values between launches. */
static void program_scope_variables_last(void **state)
{
	int out = 0, *pout = &out;
	const struct mcl_arg args[] = { ARG(pout) };

	(void)state;
	for (int i = 41; i < 45; i++) {
		assert_int_equal(device_run(&d, "count", 1, 1, args), MCL_STATUS_OK);
		assert_int_equal(out, i);
	}
}

/* A ring holds a known number of packets; retiring makes room. */
static void full_ring_says_so(void **state)
{
	int stop = 0, *pstop = &stop;
	const struct mcl_arg args[] = { ARG(pstop) };
	uint64_t first, seq = 0;
	int count = 0, err;

	(void)state;
	assert_int_equal(device_launch(&d, d.ring, "spin", 1, 1, args, MCL_PACKET_BARRIER, &first), 0);
	while (!(err = mcl_ring_nop(d.ring, MCL_PACKET_BARRIER, &seq)))
		count++;
	assert_int_equal(err, -EAGAIN);
	assert_int_equal(count, 255);
	atomic_store((_Atomic int *)&stop, 1);
	assert_int_equal(mcl_ring_wait(d.ring, seq, 20000000000ull), 0);
	/* Full of completed packets is full, too. */
	assert_int_equal(mcl_ring_nop(d.ring, MCL_PACKET_BARRIER, &seq), -EAGAIN);
	mcl_ring_retire(d.ring, first);
	assert_int_equal(mcl_ring_nop(d.ring, MCL_PACKET_BARRIER, &seq), 0);
	assert_int_equal(seq, first + 256);
	assert_int_equal(device_finish(d.ring, seq), MCL_STATUS_OK);
}

/* What does not fit is refused, each with its own error. */
static void refuses_what_does_not_fit(void **state)
{
	int x = 0, *p = &x;
	struct mcl_arg args[] = { ARG(p), ARG(p), LOCAL(513 << 10) };
	struct mcl_launch launch = {
		.code = d.code,
		.kernel = device_kernel(&d, "sum_group"),
		.work_dim = 3,
		.num_groups = { 1, 1, 1 },
		.local_size = { 1, 1, 1 },
		.args = args,
	};
	struct mcl_reason why = { "" };
	uint64_t seq;

	(void)state;
	assert_int_equal(mcl_ring_launch(d.ring, &launch, 0, &seq, &why), -ENOSPC);
	assert_non_null(strstr(why.text, "local memory"));
	args[2].size = 4;
	launch.num_groups[0] = 1ull << 40;
	assert_int_equal(mcl_ring_launch(d.ring, &launch, 0, &seq, &why), -E2BIG);
	launch.num_groups[0] = launch.num_groups[1] = launch.num_groups[2] = 1ull << 31;
	assert_int_equal(mcl_ring_launch(d.ring, &launch, 0, &seq, &why), -E2BIG);
}

/* Time stamps lie between the host's own readings, in order. */
static void time_stamps_are_the_hosts(void **state)
{
	struct mcl_packet_result r;
	uint64_t before, after, seq;

	(void)state;
	for (int i = 0; i < 100; i++) {
		before = mcl_backend_clock_ns();
		assert_int_equal(device_launch(&d, d.ring, "empty", 1, 1, NULL, 0, &seq), 0);
		assert_int_equal(mcl_ring_wait(d.ring, seq, UINT64_MAX), 0);
		mcl_ring_state(d.ring, seq, &r);
		after = mcl_backend_clock_ns();
		assert_true(r.start_ns + 1000 >= before);
		assert_true(r.end_ns >= r.start_ns);
		assert_true(r.end_ns <= after + 1000);
		mcl_ring_retire(d.ring, seq);
	}
}

/* Kernels and groups are counted exactly; the shared mirror moves nothing. */
static void counts_what_it_did(void **state)
{
	struct mcl_counters a, b;
	int turn = 0, *pturn = &turn;
	const struct mcl_arg args[] = { ARG(pturn) };

	(void)state;
	mcl_backend_counters(d.b, &a);
	for (int i = 0; i < 10; i++) {
		turn = 0;
		assert_int_equal(device_run(&d, "chain", 13, 1, args), MCL_STATUS_OK);
	}
	mcl_backend_counters(d.b, &b);
	assert_int_equal(b.kernels - a.kernels, 10);
	assert_int_equal(b.groups - a.groups, 130);
	assert_int_equal(b.aborts - a.aborts, 0);
}

static void note_call(void *ctx)
{
	atomic_fetch_add((_Atomic int *)ctx, 1);
}

/* The callback comes after the packet it was asked for, and for a kick. */
static void notifies(void **state)
{
	_Atomic int calls = 0;
	int stop = 0, *pstop = &stop, seen;
	const struct mcl_arg args[] = { ARG(pstop) };
	uint64_t seq;

	(void)state;
	mcl_backend_set_notify(d.b, note_call, &calls);
	assert_int_equal(device_launch(&d, d.ring, "spin", 1, 1, args, 0, &seq), 0);
	assert_false(mcl_ring_notify(d.ring, seq));
	seen = atomic_load(&calls);
	atomic_store((_Atomic int *)&stop, 1);
	assert_int_equal(mcl_ring_wait(d.ring, seq, UINT64_MAX), 0);
	for (int i = 0; i < 5000 && atomic_load(&calls) == seen; i++)
		usleep(1000);
	assert_true(atomic_load(&calls) > seen);
	assert_true(mcl_ring_notify(d.ring, seq));
	mcl_ring_retire(d.ring, seq);
	seen = atomic_load(&calls);
	mcl_backend_kick(d.b);
	for (int i = 0; i < 5000 && atomic_load(&calls) == seen; i++)
		usleep(1000);
	assert_true(atomic_load(&calls) > seen);
	mcl_backend_set_notify(d.b, NULL, NULL);
}

/* More rings than the engine has: some share one, none loses a packet or mixes up a result. */
static void many_rings_share(void **state)
{
	enum { RINGS = 600, EACH = 3 };
	static struct mcl_ring *rings[RINGS];
	static uint64_t seqs[RINGS][EACH];
	static int counts[RINGS];

	(void)state;
	for (int i = 0; i < RINGS; i++)
		assert_int_equal(mcl_ring_create(d.b, &rings[i]), 0);
	for (int k = 0; k < EACH; k++)
		for (int i = 0; i < RINGS; i++) {
			int zero = 0, one = 1, *pc = &counts[i], *pz = &zero;
			const struct mcl_arg args[] = { ARG(pc), ARG(pz), ARG(pc), ARG(one) };

			/* The kernel reads zero through the pointer: wait before it goes out of scope. */
			assert_int_equal(
				device_launch(&d, rings[i], "add", 1, 1, args, MCL_PACKET_BARRIER, &seqs[i][k]), 0);
			assert_int_equal(mcl_ring_wait(rings[i], seqs[i][k], UINT64_MAX), 0);
			assert_int_equal(seqs[i][k], (uint64_t)k + 1);
		}
	for (int i = 0; i < RINGS; i++) {
		struct mcl_packet_result r;

		assert_int_equal(counts[i], EACH);
		for (int k = 0; k < EACH; k++) {
			mcl_ring_state(rings[i], seqs[i][k], &r);
			assert_int_equal(r.state, MCL_PACKET_COMPLETE);
			assert_int_equal(r.status, MCL_STATUS_OK);
		}
		mcl_ring_destroy(rings[i]);
	}
}

/* A ring that shares, and finds the engine's ring full of other rings' unretired packets, gets room all the same. */
static void sharing_rings_make_room(void **state)
{
	enum { RINGS = 255 + 255, PACKETS = 200 };
	static struct mcl_ring *rings[RINGS];
	struct mcl_ring *first, *second;
	struct mcl_packet_result r;
	uint64_t seq = 0;

	(void)state;
	for (int i = 0; i < RINGS; i++)
		assert_int_equal(mcl_ring_create(d.b, &rings[i]), 0);
	/* d.ring took the first; the last two that were created share with earlier ones, one ring apart. */
	first = rings[0];
	second = rings[RINGS - 255 + 0];
	for (int i = 0; i < PACKETS; i++) {
		assert_int_equal(mcl_ring_nop(first, 0, &seq), 0);
		assert_int_equal(mcl_ring_wait(first, seq, UINT64_MAX), 0);
		assert_int_equal(mcl_ring_nop(second, 0, &seq), 0);
		assert_int_equal(mcl_ring_wait(second, seq, UINT64_MAX), 0);
	}
	for (int i = 1; i <= PACKETS; i++) {
		mcl_ring_state(first, (uint64_t)i, &r);
		assert_int_equal(r.state, MCL_PACKET_COMPLETE);
		assert_true(r.end_ns >= r.start_ns && r.start_ns > 0);
		assert_true(mcl_ring_notify(first, (uint64_t)i));
	}
	for (int i = 0; i < RINGS; i++)
		mcl_ring_destroy(rings[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adds_malloced_arrays),
		cmocka_unit_test(covers_three_dimensions),
		cmocka_unit_test(sums_in_local_memory),
		cmocka_unit_test(passes_vectors_by_value),
		cmocka_unit_test(groups_meet_at_a_barrier),
		cmocka_unit_test(groups_start_in_order),
		cmocka_unit_test(packets_with_barriers_follow_each_other),
		cmocka_unit_test(packets_without_barriers_overlap),
		cmocka_unit_test(host_and_kernel_play_ball),
		cmocka_unit_test(program_scope_variables_last),
		cmocka_unit_test(full_ring_says_so),
		cmocka_unit_test(refuses_what_does_not_fit),
		cmocka_unit_test(time_stamps_are_the_hosts),
		cmocka_unit_test(counts_what_it_did),
		cmocka_unit_test(notifies),
		cmocka_unit_test(many_rings_share),
		cmocka_unit_test(sharing_rings_make_room),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
