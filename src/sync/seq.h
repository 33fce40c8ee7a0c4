/* SPDX-License-Identifier: MIT */
/*
 * Sequence counter: readers of a few words written by one writer at a time retry instead of locking. The words themselves are
 * a32/a64 (relaxed), so that a torn read is no data race.
 */
#ifndef ANYKVM_SYNC_SEQ_H
#define ANYKVM_SYNC_SEQ_H

#include "sync/atomic.h"

struct seq {
	struct a32 count; /* odd while a write is in progress */
};

static inline void seq_init(struct seq *s)
{
	a32_store_relaxed(&s->count, 0);
}
/* Writers exclude each other by a lock of their own. */
static inline void seq_write_begin(struct seq *s)
{
	a32_fetch_add(&s->count, 1);
	/* Orders the count before the words; pairs with the fence in seq_read_retry. */
	fence_full();
}
static inline void seq_write_end(struct seq *s)
{
	/* The fetch_add releases the words; pairs with the acquire in seq_read_begin. */
	fence_release();
	a32_fetch_add(&s->count, 1);
}
static inline u32 seq_read_begin(const struct seq *s)
{
	u32 n;

	while ((n = a32_load_acquire(&s->count)) & 1)
		cpu_relax();
	return n;
}
/* True if the words read since seq_read_begin may be torn. */
static inline bool seq_read_retry(const struct seq *s, u32 begun)
{
	fence_full();
	return a32_load_relaxed(&s->count) != begun;
}

#endif
