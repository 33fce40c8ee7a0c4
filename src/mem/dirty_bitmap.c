/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "host/pages.h"
#include "mem/dirty_bitmap.h"

static u64 mapping_bytes(const struct memslot *s)
{
	return 2 * (memslot_bitmap_words(s) + bitmap_summary_words(s)) * sizeof(struct a64);
}

static void set_first(struct a64 *words, u64 bits)
{
	for (u64 i = 0; i < bits; i += 64)
		a64_store_relaxed(&words[i / 64], bits - i >= 64 ? ~0ull : BIT(bits - i) - 1);
}

int memslot_bitmap_create(struct memslot *s, bool all_ones)
{
	/* Mapped, not allocated: a slot of 2^31 pages costs nothing until its bits are set. */
	s->dirty_bitmap = host_pages_map(mapping_bytes(s));
	if (!s->dirty_bitmap)
		return -ENOMEM;
	if (all_ones) {
		set_first(s->dirty_bitmap, s->npages);
		set_first(bitmap_summary(s), memslot_bitmap_words(s));
	}
	return 0;
}

void memslot_bitmap_destroy(struct memslot *s)
{
	if (s->dirty_bitmap)
		host_pages_unmap(s->dirty_bitmap, mapping_bytes(s));
	s->dirty_bitmap = NULL;
}

void bitmap_words_emptied(struct memslot *s, u64 i, u64 gone)
{
	struct a64 *summary = &bitmap_summary(s)[i];
	u64 back = 0;

	if (!gone)
		return;
	a64_fetch_and(summary, ~gone);
	/* Who set a bit meanwhile may have seen the summary bit before it went. Pairs with the load in bitmap_set. */
	for (u64 left = gone; left; left &= left - 1) {
		unsigned w = __builtin_ctzll(left);

		if (a64_load(&s->dirty_bitmap[i * 64 + w]))
			back |= BIT(w);
	}
	if (back)
		a64_fetch_or(summary, back);
}
