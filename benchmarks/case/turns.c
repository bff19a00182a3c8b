// SPDX-License-Identifier: MIT
/*
 * Device and host at the same work by turns, in one process. Two processes cannot be compared where the difference to be seen is a
 * twentieth: they run a second apart, perhaps on other processors, and on many machines the memory is faster or slower by a
 * half from one second to the next. So a turn is a few milliseconds, each turn of the device is compared with the turn of
 * the host beside it, and the sides change who is first.
 *
 * Each side has data of its own, alike and got in the same way: a driver may move what its device works on, and if the host
 * worked on the same it would have to be moved back each time. The host's is where plain C has it, and stays there.
 */
#include <stdio.h>
#include <stdlib.h>

#include "case/case.h"

/* For a driver to notice the local size and to finish a better version of the kernel, which it finds in its cache from then on. */
#define WARM_NS 5000000000ull

/* Until nothing moves any more, and the threads have found their processors. */
static void settle(const struct turns *t, void (*pass)(void *ctx), uint64_t ns)
{
	const uint64_t begin = now_ns();

	for (unsigned int i = 0; i < t->settle || now_ns() - begin < ns; i++)
		pass(t->ctx);
}

/* The time of one pass; those before it make sure that the other side's threads have gone to sleep. */
static double turn(const struct turns *t, void (*pass)(void *ctx))
{
	uint64_t start;

	for (unsigned int i = 0; i < t->before; i++)
		pass(t->ctx);
	start = now_ns();
	pass(t->ctx);
	return (double)(now_ns() - start);
}

struct bench_pair take_turns(const struct turns *t, const struct bench_options *opt)
{
	const unsigned int rounds = opt->warm ? 1 : t->rounds;
	double *device = must_alloc(rounds * sizeof(double)), *ratio = must_alloc(rounds * sizeof(double));
	struct bench_pair pair;

	settle(t, t->host, t->settle_ns);
	settle(t, t->device, opt->warm ? WARM_NS : t->settle_ns);
	for (unsigned int i = 0; i < rounds; i++) {
		double limit = 0;

		if (i % 2)
			limit = turn(t, t->host);
		device[i] = turn(t, t->device);
		if (i % 2 == 0)
			limit = turn(t, t->host);
		ratio[i] = device[i] / limit;
	}
	pair.device = median(device, rounds);
	pair.limit = pair.device / median(ratio, rounds);
	if (opt->verbose)
		fprintf(stderr, "ratio %.3f; quarters of the rounds up to %.3f, %.3f, %.3f\n", pair.device / pair.limit,
			ratio[rounds / 4], ratio[rounds / 2], ratio[rounds * 3 / 4]);
	free(device);
	free(ratio);
	return pair;
}
