/* SPDX-License-Identifier: MIT */
/*
 * A vCPU's stock of table pages, filled before any lock is taken, so that nothing is allocated under mmu_lock. Touched by the
 * vCPU thread alone.
 */
#ifndef ANYKVM_MEM_PAGE_CACHE_H
#define ANYKVM_MEM_PAGE_CACHE_H

#include "mem/stage2.h"

/* At least min pages, or -ENOMEM (with what could be had). */
int page_cache_topup(struct mem_vcpu *mv, unsigned min);
void page_cache_drain(struct mem_vcpu *mv);

static inline struct s2_table *page_cache_pop(struct mem_vcpu *mv)
{
	return mv->nr_pages ? mv->page[--mv->nr_pages] : NULL;
}
/* A page that was popped and never linked: still as it came. */
static inline void page_cache_push(struct mem_vcpu *mv, struct s2_table *t)
{
	mv->page[mv->nr_pages++] = t;
}

#endif
