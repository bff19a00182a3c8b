// SPDX-License-Identifier: MIT
/* Descriptors of mirrors, for children of fork(); see fork_fds.h. */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "mirror/fork_fds.h"

#define LIVE_MAX 64

static struct {
	const struct mcl_mirror *mirror; /* NULL: free */
	int fds[MCL_FORK_FDS_MAX];
	size_t count;
} live[LIVE_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The entry of @m, which may be NULL; LIVE_MAX: none. */
static size_t find(const struct mcl_mirror *m)
{
	size_t i = 0;

	while (i < LIVE_MAX && live[i].mirror != m)
		i++;
	return i;
}

void mcl_fork_fds_note(const struct mcl_mirror *m, const int *fds, size_t count)
{
	size_t i;

	pthread_mutex_lock(&lock);
	i = find(m);
	if (i == LIVE_MAX)
		i = find(NULL);
	if (i < LIVE_MAX) {
		live[i].mirror = m;
		live[i].count = count;
		memcpy(live[i].fds, fds, count * sizeof(*fds));
	}
	pthread_mutex_unlock(&lock);
}

void mcl_fork_fds_forget(const struct mcl_mirror *m)
{
	size_t i;

	pthread_mutex_lock(&lock);
	i = find(m);
	if (i < LIVE_MAX)
		live[i].mirror = NULL;
	pthread_mutex_unlock(&lock);
}

void mcl_fork_fds_close(struct mcl_mirror *m)
{
	size_t i = find(m);

	for (size_t k = 0; i < LIVE_MAX && k < live[i].count; k++)
		if (live[i].fds[k] >= 0)
			close(live[i].fds[k]);
	if (i < LIVE_MAX)
		live[i].mirror = NULL;
	/* A thread that is not here may have held it. */
	pthread_mutex_init(&lock, NULL);
}
