/* SPDX-License-Identifier: MIT */
/*
 * Worker processes: forks, so that a crash ends nothing but its piece of work. Pieces that know all they need from the same fork may
 * share one, one after the other, as a fork for each costs more than a short piece. That neither the order of pieces nor the number of
 * workers influences what is found is then for the work to see to. What a worker has to say comes over a pipe as messages.
 */
#ifndef ANYKVM_EXPLORE_POOL_H
#define ANYKVM_EXPLORE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct job {
	size_t id;	    /* of what runs now */
	size_t item, piece; /* what it is, for work() */
	unsigned
		family; /* of its item: jobs of the same one may share a worker. 0: it wants one of its own */
};

struct pool {
	unsigned jobs; /* at most so many at once */
	void *arg;
	/* A piece that can begin now. False: there is none, at least until one that runs has ended. */
	bool (*next)(void *arg, struct job *job);
	/* In the worker: does the piece and sends messages to fd. False: this worker is to do no other. */
	bool (*work)(void *arg, const struct job *job, int fd);
	/* In the parent: a message of the piece. */
	void (*message)(void *arg, size_t id, uint32_t type, const void *data, size_t size);
	/* In the parent: it ended; signal: 0, or what killed the worker; status: of its exit. */
	void (*ended)(void *arg, size_t id, int signal, int status);
	/* In the parent, at least five times a second. */
	void (*tick)(void *arg);
};

/* Until there is no piece left. After a stop by signal no new ones begin, and those that run are told. */
void pool_run(struct pool *p);
/* Ends the worker of that piece, if one does it; ended() follows. */
void pool_kill(size_t id);
/* From a worker. */
void pool_send(int fd, uint32_t type, const void *data, size_t size);

/* SIGINT and SIGTERM from now on only set this. A second one ends the process group's workers at once. */
void stop_watch(void);
int stop_signal(void); /* 0: none came */

/* For progress and patience only: no result depends on it. */
double seconds_now(void);

#endif
