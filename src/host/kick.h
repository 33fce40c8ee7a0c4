/* SPDX-License-Identifier: MIT */
/*
 * The sleep of a vCPU thread: until a word changes, a deadline passes, or a signal that the effective run mask does not block
 * becomes pending. The signals themselves stay blocked and pending: a futex wait would not see them, so this polls an eventfd
 * and a signalfd, both made at the first sleep (high numbers, close-on-exec). Without descriptors it sleeps in slices of 0.5 ms.
 *
 * Born with its vCPU (host_sleeper_init), used by one sleeping thread at a time and any number of kickers, freed with the vCPU.
 */
#ifndef ANYKVM_HOST_KICK_H
#define ANYKVM_HOST_KICK_H

#include "sync/atomic.h"

struct host_sleeper {
	struct a32 sleeping; /* 1 from before the last look at the word until the poll is over */
	struct a32 ready;    /* descriptors are there: 0 not yet, 1 yes, 2 could not be made */
	int event_fd, signal_fd;
	u64 signal_mask; /* what signal_fd watches */
	u32 pid;	 /* of the process that made the descriptors */
};

void host_sleeper_init(struct host_sleeper *s);
/* Nobody sleeps or kicks any more. */
void host_sleeper_fini(struct host_sleeper *s);
/*
 * Sleeps while *word == expected. deadline_ns is CLOCK_MONOTONIC, ~0 = none. 0: the word changed, or spurious; -ETIMEDOUT;
 * -EINTR: a signal outside effective_mask is pending. The asynchronous signals are blocked by the caller.
 */
int host_sleeper_sleep(struct host_sleeper *s, struct a32 *word, u32 expected, u64 deadline_ns,
		       u64 effective_mask);
/* Wakes the sleeper. The caller has changed the word before. Any thread, async-signal-safe, keeps errno. */
void host_sleeper_kick(struct host_sleeper *s);

#endif
