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
	size_t nr;     /* pieces */
	unsigned jobs; /* at most so many at once */
	void *arg;
	/* In the worker: does piece i and sends messages to fd. */
	void (*work)(void *arg, size_t i, int fd);
	/* In the parent: a message of piece i. */
	void (*message)(void *arg, size_t i, uint32_t type, const void *data, size_t size);
	/* In the parent: piece i ended; signal: 0, or what killed the worker; status: of its exit. */
	void (*ended)(void *arg, size_t i, int signal, int status);
	/* In the parent, about five times a second. */
	void (*tick)(void *arg);
	/* Whether piece i still makes sense (asked before it starts); NULL: all do. */
	bool (*wanted)(void *arg, size_t i);
};

/* Does all pieces. After a stop by signal no new ones begin, and those that run are told. */
void pool_run(struct pool *p);
/* From a worker. */
void pool_send(int fd, uint32_t type, const void *data, size_t size);

/* SIGINT and SIGTERM from now on only set this. A second one ends the process group's workers at once. */
void stop_watch(void);
int stop_signal(void); /* 0: none came */

/* For progress and patience only: no result depends on it. */
double seconds_now(void);

#endif
