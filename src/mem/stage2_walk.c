/* SPDX-License-Identifier: MIT */
/* The walker. Everything that looks at or changes more than one entry is a visitor of it. */
#include <errno.h>

#include "base/bug.h"
#include "mem/stage2.h"

bool stage2_try_replace(struct s2_visit *v, u64 new)
{
	if (v->shared)
		return a64_cmpxchg(v->entry, v->old, new);
	/* Release pairs with the acquire of software walks: a new table's entries come before the link to it. */
	a64_store_release(v->entry, new);
	return true;
}

static int visit(struct s2_visit *v, const struct s2_walker *w, enum s2_visit_kind kind)
{
	int ret;

	if (!(w->kinds & kind))
		return 0;
	/* I-19: whoever breaks an entry makes it again before leaving the read section. */
	BUG_ON(!w->shared && v->old == S2_LOCKED);
	ret = w->visit(v, kind);
	if (ret == -EAGAIN && w->ignore_eagain)
		ret = 0;
	if (kind != S2_VISIT_POST)
		v->old = a64_load_acquire(v->entry);
	return ret;
}

static void walk_pages(struct s2_table *t, u64 ipa, u64 end, const struct s2_walker *w)
{
	struct s2_visit v = {
		.table = t,
		.entry = &t->entry[(ipa >> s2_shift(3)) % S2_ENTRIES],
		.ipa = ipa,
		.end = end,
		.level = 3,
		.arg = w->arg,
	};

	w->visit_pages(&v);
}

static int walk_table(struct s2_table *t, unsigned level, u64 ipa, u64 end,
		      const struct s2_walker *w)
{
	struct s2_visit v = {.table = t, .level = level, .shared = w->shared, .arg = w->arg};
	int ret;

	if (level == 3 && w->visit_pages) {
		walk_pages(t, ipa, end, w);
		return 0;
	}

	for (; ipa < end; ipa = v.end) {
		v.entry = &t->entry[(ipa >> s2_shift(level)) % S2_ENTRIES];
		v.ipa = ipa;
		v.end = MIN(ALIGN_DOWN(ipa, s2_size(level)) + s2_size(level), end);
		v.old = a64_load_acquire(v.entry);
		ret = visit(&v, w, s2_is_table(v.old, level) ? S2_VISIT_PRE : S2_VISIT_LEAF);
		if (ret)
			return ret;
		if (s2_is_table(v.old, level)) {
			ret = walk_table(s2_child(v.old), level + 1, ipa, v.end, w);
			if (!ret)
				ret = visit(&v, w, S2_VISIT_POST);
			if (ret)
				return ret;
		}
	}
	return 0;
}

int stage2_walk(struct s2_pgt *pgt, u64 ipa, u64 end, const struct s2_walker *w)
{
	unsigned root_shift = s2_shift(pgt->start_level) + 9;

	if (ipa >= end)
		return 0;
	if ((end - 1) >> pgt->ipa_bits)
		return -ERANGE;
	while (ipa < end) {
		u64 next = MIN(((ipa >> root_shift) + 1) << root_shift, end);
		int ret = walk_table(pgt->root[ipa >> root_shift], pgt->start_level, ipa, next, w);

		if (ret)
			return ret;
		ipa = next;
	}
	return 0;
}
