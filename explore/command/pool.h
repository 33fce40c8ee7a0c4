/* SPDX-License-Identifier: MIT */
/*
 * Worker processes. Each piece of work runs in a fresh fork, so that neither the order of pieces nor the number of workers can
 * influence what it finds, and a crash ends nothing but itself. What a worker has to say comes over a pipe as messages.
 */
#ifndef ANYKVM_EXPLORE_POOL_H
#define ANYKVM_EXPLORE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct pool {
	unsigned jobs; /* at most so many at once */
	void *arg;
	/* The number of a piece that can begin now. False: there is none, at least until one that runs has ended. */
	bool (*next)(void *arg, size_t *piece);
	/* In the worker: does the piece and sends messages to fd. */
	void (*work)(void *arg, size_t piece, int fd);
	/* In the parent: a message of the piece. */
	void (*message)(void *arg, size_t piece, uint32_t type, const void *data, size_t size);
	/* In the parent: it ended; signal: 0, or what killed the worker; status: of its exit. */
	void (*ended)(void *arg, size_t piece, int signal, int status);
	/* In the parent, at least five times a second. */
	void (*tick)(void *arg);
};

/* Until there is no piece left. After a stop by signal no new ones begin, and those that run are told. */
void pool_run(struct pool *p);
/* Ends the worker of that piece, if one does it; ended() follows. */
void pool_kill(size_t piece);
/* From a worker. */
void pool_send(int fd, uint32_t type, const void *data, size_t size);

/* SIGINT and SIGTERM from now on only set this. A second one ends the process group's workers at once. */
void stop_watch(void);
int stop_signal(void); /* 0: none came */

/* For progress and patience only: no result depends on it. */
double seconds_now(void);

#endif
