// SPDX-License-Identifier: MIT
/*
 * A unit that is faster than the host lets packets pile up before it looks again, but not past one that is waited for: .wait of
 * the ring, and what a unit learns. Looks into the engine's memory, as nothing of it shows outside but by the clock.
 */
#include <stdatomic.h>
#include <unistd.h>

#include "device.h"
#include "engine/host/backend_private.h"

/* As in unit.c: packets that come alone until a unit is patient again; and how long, as a part of its turn. */
#define DOUBT_MIN 16
#define PATIENCE 200

static struct device d;
static struct mcl_cu *cu; /* the only one */

static int setup(void **state)
{
	(void)state;
	device_open(&d);
	cu = d.b->cus;
	assert_int_equal(d.b->cu_count, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	device_close(&d);
	return 0;
}

static bool is_complete(uint64_t seq)
{
	struct mcl_packet_result result;

	mcl_ring_state(d.ring, seq, &result);
	return result.state == MCL_PACKET_COMPLETE;
}

/* A packet that keeps the unit busy until *@stop is set. */
static uint64_t launch_busy(atomic_int *stop)
{
	const struct mcl_arg args[] = { ARG(stop) };
	uint64_t seq;

	atomic_store(stop, 0);
	assert_int_equal(device_launch(&d, d.ring, "spin", 1, 1, args, MCL_PACKET_BARRIER, &seq), 0);
	return seq;
}

static void await_work(void)
{
	while (atomic_load(&cu->packet) == MCL_CU_NONE)
		usleep(100);
}

static uint64_t launch_empty(void)
{
	uint64_t seq;

	assert_int_equal(device_launch(&d, d.ring, "empty", 1, 1, NULL, MCL_PACKET_BARRIER, &seq), 0);
	return seq;
}

/* More than one packet came while the unit was busy: it is patient from now on. The last one keeps it busy until *@stop is set. */
static uint64_t make_patient(atomic_int *stop)
{
	atomic_int first;
	const uint64_t busy = launch_busy(&first);
	uint64_t pile[3], last;

	await_work();
	for (int i = 0; i < 3; i++)
		pile[i] = launch_empty();
	last = launch_busy(stop);
	atomic_store(&first, 1);
	assert_int_equal(device_finish(d.ring, busy), MCL_STATUS_OK);
	for (int i = 0; i < 3; i++)
		assert_int_equal(device_finish(d.ring, pile[i]), MCL_STATUS_OK);
	await_work();
	assert_int_equal(cu->patient, 1);
	assert_int_equal(cu->doubt, DOUBT_MIN);
	return last;
}

/* @n packets, one after the other. */
static void singles(unsigned int n)
{
	while (n--)
		assert_int_equal(device_finish(d.ring, launch_empty()), MCL_STATUS_OK);
}

/* Patience ends with the first packet that comes alone, and is tried again the more seldom the more often it was in vain. */
static void learns(void **state)
{
	unsigned int doubt = DOUBT_MIN;
	atomic_int stop;
	uint64_t last;

	(void)state;
	last = make_patient(&stop);
	atomic_store(&stop, 1);
	assert_int_equal(device_finish(d.ring, last), MCL_STATUS_OK);
	for (int round = 0; round < 3; round++) {
		singles(1);
		doubt *= 2;
		assert_int_equal(cu->patient, 0);
		assert_int_equal(cu->doubt, doubt);
		singles(doubt - 1);
		assert_int_equal(cu->patient, 0);
		singles(1);
		assert_int_equal(cu->patient, 1);
	}
	/* And all doubts are gone with the next pile. */
	last = make_patient(&stop);
	atomic_store(&stop, 1);
	assert_int_equal(device_finish(d.ring, last), MCL_STATUS_OK);
}

/* A packet that nobody waits for is let lie; whoever waits, or flushes, does not wait for the end of that time. */
static void not_past_what_is_waited_for(void **state)
{
	struct mcl_engine_control *c = d.b->control;
	const uint64_t slice = c->slice_ticks;

	(void)state;
	if (!atomic_load(&c->bell.spin.limit))
		skip(); /* one processor: units do not look away there */
	for (int flush = 0; flush < 2; flush++) {
		atomic_int stop;
		uint64_t busy, seq;

		busy = make_patient(&stop);
		/* When it is done, the unit would look away for longer than anybody here waits. */
		c->slice_ticks = mcl_clock_ticks_per_us() * 1000000 * 100 * PATIENCE;
		seq = launch_empty();
		atomic_store(&stop, 1);
		while (!is_complete(busy))
			usleep(100);
		usleep(20000);
		assert_false(is_complete(seq));
		if (flush)
			mcl_ring_hurry(d.ring);
		for (int i = 0; flush && i < 20000 && !is_complete(seq); i++)
			usleep(1000);
		assert_int_equal(device_finish(d.ring, seq), MCL_STATUS_OK);
		mcl_ring_retire(d.ring, busy);
		c->slice_ticks = slice;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(learns, setup, teardown),
		cmocka_unit_test_setup_teardown(not_past_what_is_waited_for, setup, teardown),
	};

	setenv("MIRRORCL_COMPUTE_UNITS", "1", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
