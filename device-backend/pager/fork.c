// SPDX-License-Identifier: MIT
/*
 * fork(). The child has none of the mirror: so before the copy is made, every page is brought home, and until it is made
 * nothing moves. The engine meanwhile waits at its next fault. Whoever forks without the C library's fork() gets a child in
 * which the watched memory is missing, on purpose (mirror_uffd_register.c). Mirrors without ops->home are not concerned.
 */
#include "pager/pager_private.h"

#define PAGERS_MAX 64

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* pagers[]; held from prepare to parent */
static struct mcl_pager *pagers[PAGERS_MAX];

static void prepare(void)
{
	pthread_mutex_lock(&lock);
	for (int i = 0; i < PAGERS_MAX; i++)
		if (pagers[i])
			mcl_pager_ask(pagers[i], REQUEST_FREEZE, 0, 0);
}

static void parent(void)
{
	for (int i = 0; i < PAGERS_MAX; i++)
		if (pagers[i])
			mcl_pager_ask(pagers[i], REQUEST_THAW, 0, 0);
	pthread_mutex_unlock(&lock);
}

static void child(void)
{
	for (int i = 0; i < PAGERS_MAX; i++)
		pagers[i] = NULL;
	pthread_mutex_init(&lock, NULL);
}

static void watch(void)
{
	pthread_atfork(prepare, parent, child);
}

void mcl_pager_watch_forks(struct mcl_pager *p)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	int i = 0;

	if (!p->ops->home)
		return;
	pthread_once(&once, watch);
	pthread_mutex_lock(&lock);
	while (i < PAGERS_MAX && pagers[i])
		i++;
	if (i < PAGERS_MAX)
		pagers[i] = p;
	pthread_mutex_unlock(&lock);
}

void mcl_pager_unwatch_forks(struct mcl_pager *p)
{
	pthread_mutex_lock(&lock);
	for (int i = 0; i < PAGERS_MAX; i++)
		if (pagers[i] == p)
			pagers[i] = NULL;
	pthread_mutex_unlock(&lock);
}
