/* SPDX-License-Identifier: MIT */
/* Sleeping on a word (futex). The waker changes the word first, then wakes. */
#ifndef ANYKVM_SYNC_WAIT_H
#define ANYKVM_SYNC_WAIT_H

#include "sync/atomic.h"

#define WAIT_FOREVER (~0ull)

/*
 * Sleeps while *word == expected, at most until deadline_ns (CLOCK_MONOTONIC) or WAIT_FOREVER. Returns 0 (woken, changed or
 * spurious), -ETIMEDOUT, or -EINTR. The thread must not hold mmu_lock, be in an RCU reader or in
 * guest mode.
 */
int wait_on_word(struct a32 *word, u32 expected, u64 deadline_ns);
/* The same without the checks: for the one wait that is allowed under mmu_lock, a shootdown's acknowledgements (LO-6). */
int wait_on_word_atomic(struct a32 *word, u32 expected, u64 deadline_ns);
void wake_word_one(struct a32 *word);
void wake_word_all(struct a32 *word);

#endif
