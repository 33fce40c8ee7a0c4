/* SPDX-License-Identifier: MIT */
/*
 * The bitmap of a slot that logs, in two levels: a bit per page, and a summary bit per word of those. Calls that collect look at
 * the summary only where nothing was written: 512 bytes of it stand for 1 GiB of guest memory.
 *
 *	live	 bit per page: written since it was taken
 *	scratch	 as live: what GET or CLEAR is about to deliver or was asked for
 *	summary	 bit per word of live
 *	taken	 as summary: which words GET or CLEAR is concerned with
 *
 * scratch and taken belong to the holder of slots_lock. All four are one mapping that costs nothing until touched.
 *
 *   G-BITS  A word of live that is not 0 has its summary bit set, or somebody is between setting the one and the other, or
 *           between clearing the other and looking at the one.
 *
 * Setting: live bit, then summary bit. Taking: summary bit, then live word. So what a taker of the summary misses is still
 * there with its bit, or about to get it, for the next one. Both sides are sequentially consistent: a setter may leave the
 * summary bit alone if it reads it as set, because a taker that clears it after that read looks at the live word later still.
 */
#ifndef ANYKVM_MEM_DIRTY_BITMAP_H
#define ANYKVM_MEM_DIRTY_BITMAP_H

#include "mem/memslot.h"

static inline u64 bitmap_summary_words(const struct memslot *s)
{
	return (memslot_bitmap_words(s) + 63) / 64;
}
static inline struct a64 *bitmap_scratch(const struct memslot *s)
{
	return s->dirty_bitmap + memslot_bitmap_words(s);
}
static inline struct a64 *bitmap_summary(const struct memslot *s)
{
	return s->dirty_bitmap + 2 * memslot_bitmap_words(s);
}
static inline struct a64 *bitmap_taken(const struct memslot *s)
{
	return bitmap_summary(s) + bitmap_summary_words(s);
}

/* In the SRCU section through which s was found. */
static inline void bitmap_set(struct memslot *s, u64 page)
{
	u64 word = page / 64;
	struct a64 *summary = &bitmap_summary(s)[word / 64];

	/*
	 * Always the read-modify-write, even if the bit looks set: a plain look could be done before the data of mem_write_guest
	 * is visible, and GET take bit and old page between the two. Pairs with bitmap_take and bitmap_clear.
	 */
	a64_fetch_or(&s->dirty_bitmap[word], BIT(page % 64));
	if (!(a64_load(summary) & BIT(word % 64)))
		a64_fetch_or(summary, BIT(word % 64));
}

/* slots_lock: the words of summary word i that may not be 0, all of them left to the caller to take. */
static inline u64 bitmap_take_summary(struct memslot *s, u64 i)
{
	struct a64 *summary = &bitmap_summary(s)[i];

	return a64_load_relaxed(summary) ? a64_xchg(summary, 0) : 0;
}
static inline u64 bitmap_take(struct memslot *s, u64 word)
{
	return a64_xchg(&s->dirty_bitmap[word], 0);
}
/* slots_lock: clears the bits of mask; those that were set. *empty: nothing is left in the word. */
static inline u64 bitmap_clear(struct memslot *s, u64 word, u64 mask, bool *empty)
{
	struct a64 *live = &s->dirty_bitmap[word];
	u64 old = mask == ~0ull ? a64_xchg(live, 0) : a64_fetch_and(live, ~mask);

	*empty = !(old & ~mask);
	return old & mask;
}
/* slots_lock: the words gone (bits) of summary word i were found empty. */
void bitmap_words_emptied(struct memslot *s, u64 i, u64 gone);

#endif
