/* SPDX-License-Identifier: MIT */
#include <time.h>

#include "base/bug.h"
#include "base/raw.h"
#include "sync/process_sync.h"
#include "sync/wait.h"

#define FUTEX_PRIVATE	   128
#define FUTEX_OP_WAKE	   1
#define FUTEX_OP_WAIT_BITS 9 /* absolute CLOCK_MONOTONIC deadline */

int futex_wait(const void *word, u32 expected, u64 deadline_ns)
{
	u64 ts[2] = {deadline_ns / 1000000000u, deadline_ns % 1000000000u};
	long ret;

	ret = raw_syscall(SYS_futex, word, FUTEX_OP_WAIT_BITS | FUTEX_PRIVATE, expected,
			  deadline_ns == WAIT_FOREVER ? NULL : ts, NULL, ~0u);
	return ret == -ETIMEDOUT || ret == -EINTR ? ret : 0;
}

void futex_wake(const void *word, int nr)
{
	/* The word may be gone by now (its owner was free to go once it changed): only its address is used. */
	raw_syscall(SYS_futex, word, FUTEX_OP_WAKE | FUTEX_PRIVATE, nr);
}

int wait_on_word(struct a32 *word, u32 expected, u64 deadline_ns)
{
	check_wait(deadline_ns == WAIT_FOREVER ? WAIT_WORD : WAIT_WORD_BOUNDED, word, "a word");
	return wait_on_word_atomic(word, expected, deadline_ns);
}

int wait_on_word_atomic(struct a32 *word, u32 expected, u64 deadline_ns)
{
	if (a32_load_acquire(word) != expected)
		return 0;
	return futex_wait(word, expected, deadline_ns);
}

void wake_word_one(struct a32 *word)
{
	futex_wake(word, 1);
}

void wake_word_all(struct a32 *word)
{
	futex_wake(word, INT32_MAX);
}
