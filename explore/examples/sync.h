/* SPDX-License-Identifier: MIT */
/*
 * The one seam between a project and the explorer: what it locks, sleeps and allocates with, in two forms. The object files of
 * production get the first, those under test (EXPLORE) the second; nothing else of the project differs.
 */
#ifndef SYNC_H
#define SYNC_H

#include <stddef.h>

#ifndef EXPLORE

#include <pthread.h>
#include <stdlib.h>

struct sync_mutex {
	pthread_mutex_t m;
};
struct sync_cond {
	pthread_cond_t c;
};

#define sync_alloc(size, type)	calloc(1, (size))
#define sync_free(p)		free(p)
#define sync_mutex_init(l)	pthread_mutex_init(&(l)->m, NULL)
#define sync_mutex_destroy(l)	pthread_mutex_destroy(&(l)->m)
#define sync_mutex_lock(l)	pthread_mutex_lock(&(l)->m)
#define sync_mutex_unlock(l)	pthread_mutex_unlock(&(l)->m)
#define sync_cond_init(cond)	pthread_cond_init(&(cond)->c, NULL)
#define sync_cond_wait(cond, l) pthread_cond_wait(&(cond)->c, &(l)->m)
#define sync_cond_signal(cond)	pthread_cond_signal(&(cond)->c)

#else

#include <anykvm/explore.h>

/* Addresses are all that the explorer needs of them. */
struct sync_mutex {
	char m;
};
struct sync_cond {
	char c;
};

#define sync_alloc(size, type)	explore_alloc((size), 16, (type), true)
#define sync_free(p)		explore_free(p)
#define sync_mutex_init(l)	explore_lock_init((l), "queue lock", 0)
#define sync_mutex_destroy(l)	explore_lock_fini(l)
#define sync_mutex_lock(l)	explore_mutex_lock(l)
#define sync_mutex_unlock(l)	explore_mutex_unlock(l)
#define sync_cond_init(cond)	explore_name((cond), #cond)
#define sync_cond_wait(cond, l) explore_cond_wait((cond), (l))
#define sync_cond_signal(cond)	explore_cond_signal(cond)

#endif
#endif
