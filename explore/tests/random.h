/* SPDX-License-Identifier: MIT */
/* Random programs that cannot fail, small enough to enumerate: what the reduction is checked with. */
#ifndef EXPLORE_TESTS_RANDOM_H
#define EXPLORE_TESTS_RANDOM_H

#include "corpus.h"

enum random_op {
	RANDOM_END,
	RANDOM_LOAD,
	RANDOM_STORE,
	RANDOM_ADD,
	RANDOM_EXCHANGE, /* compare and exchange, may fail */
	RANDOM_LOCK,
	RANDOM_TRY_LOCK, /* with one operation inside if it worked */
	RANDOM_UNLOCK,
	RANDOM_READ_LOCK,
	RANDOM_READ_UNLOCK,
	RANDOM_ENTER,
	RANDOM_EXIT,
	RANDOM_SYNC,
	RANDOM_DEFER,
	RANDOM_SIGNAL, /* sets the flag of this thread and wakes */
	RANDOM_AWAIT,  /* the flag of another thread, which has a SIGNAL in any case */
	RANDOM_REF_GET_PUT,
	RANDOM_REF_TRY,
	RANDOM_OBJECT_READ,
	RANDOM_OBJECT_WRITE,
	RANDOM_NOTIFY,
	RANDOM_TICKET,
	RANDOM_DOZE, /* sleeps until a notification, or for a time */
	NR_RANDOM_OPS
};

#define RANDOM_OPS     12
#define RANDOM_THREADS 3

struct random_program {
	unsigned nr_threads;
	struct {
		unsigned char op, object;
	} step[RANDOM_THREADS][RANDOM_OPS];
};

/* What random_scenario runs. */
extern struct random_program random_program;
extern struct explore_scenario random_scenario;
/* Its last thread, if it has three. */
void random_third(void);
void random_make(uint64_t seed, unsigned ops);
void random_print(void);

#endif
