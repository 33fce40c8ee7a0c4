/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/bug.h"
#include "mem/page_cache.h"

int page_cache_topup(struct mem_vcpu *mv, unsigned min)
{
	BUG_ON(min > MEM_CACHE_CAPACITY);
	while (mv->nr_pages < min) {
		struct s2_table *t = stage2_table_alloc();

		if (!t)
			return -ENOMEM;
		page_cache_push(mv, t);
	}
	return 0;
}

void page_cache_drain(struct mem_vcpu *mv)
{
	struct s2_table *t;

	while ((t = page_cache_pop(mv)))
		stage2_table_free(t);
}
