/* SPDX-License-Identifier: MIT */
#include "base/bug.h"
#include "sync/ref.h"

/* Far below wrapping: so many threads cannot overshoot it between check and abort. */
#define REF_MAX 0x7fffffffu

void ref_init(struct ref *r, u32 count)
{
	a32_store_relaxed(&r->count, count);
}

void ref_get(struct ref *r)
{
	u32 old = a32_fetch_add(&r->count, 1);

	BUG_ON(old == 0 || old >= REF_MAX);
}

bool ref_try_get(struct ref *r)
{
	u32 old = a32_load_relaxed(&r->count);

	while (old) {
		BUG_ON(old >= REF_MAX);
		/* Sequentially consistent, hence an acquire: pairs with whoever published the object. */
		if (a32_cmpxchg(&r->count, old, old + 1))
			return true;
		old = a32_load_relaxed(&r->count);
	}
	return false;
}

bool ref_put(struct ref *r)
{
	u32 old = a32_fetch_sub(&r->count, 1);

	BUG_ON(old == 0 || old > REF_MAX);
	return old == 1;
}

u32 ref_read(const struct ref *r)
{
	return a32_load_relaxed(&r->count);
}
