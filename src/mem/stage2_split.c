/* SPDX-License-Identifier: MIT */
/*
 * Always one level a step, so that one table page is enough for any step:
 *
 *	1 GiB block	-> table of 512 blocks of 2 MiB		the walk goes down into the new table
 *	2 MiB block	-> table of 512 pages			... and splits those that the range reaches
 *
 * Each step is a break-before-make with a complete flush: no vCPU has a block and a page of it in its TLB at once (I-20). The
 * lock is dropped where the cache runs dry, and after each chunk if somebody waits for it.
 */
#include <errno.h>

#include "base/bug.h"
#include "host/signal.h"
#include "mem/hook.h"
#include "mem/memslot.h"
#include "mem/stage2_split.h"

struct split_request {
	struct vm_mem *m;
	struct s2_mmu *mmu;
	u64 at; /* where the cache ran dry */
};

static struct s2_table *cache_pop(struct vm_mem *m) REQUIRES(&m->slots_lock)
{
	mutex_assert_held(&m->slots_lock);
	return m->split_cache.nr ? m->split_cache.page[--m->split_cache.nr] : NULL;
}

/* At least one page. */
static bool cache_fill(struct vm_mem *m) REQUIRES(&m->slots_lock)
{
	struct split_cache *c = &m->split_cache;

	mutex_assert_held(&m->slots_lock);
	while (c->nr < SPLIT_CACHE_CAPACITY) {
		struct s2_table *t = stage2_table_alloc();

		if (!t)
			break;
		c->page[c->nr++] = t;
	}
	return c->nr;
}

void split_cache_drain(struct vm_mem *m)
{
	struct s2_table *t;

	while ((t = cache_pop(m)))
		stage2_table_free(t);
}

/* What the block said, said by each of its 512 parts: address, rights, attributes, access flag, software bits (I-24). */
static void fill_table(struct s2_table *t, u64 block, unsigned level)
{
	u64 part = block, size = s2_size(level + 1);

	if (level + 1 == 3)
		part |= S2_TABLE; /* of a page the bit is set */
	for (unsigned i = 0; i < S2_ENTRIES; i++)
		a64_store_relaxed(&t->entry[i], part + i * size);
	stage2_count(t, S2_ENTRIES);
}

static int split_visit(struct s2_visit *v, enum s2_visit_kind kind) NO_THREAD_SAFETY_ANALYSIS
{
	struct split_request *req = v->arg;
	u64 start = ALIGN_DOWN(v->ipa, s2_size(v->level));
	struct s2_table *t;
	u64 block;

	if (v->level == 3 || !s2_is_leaf(v->old, v->level))
		return 0;
	t = cache_pop(req->m);
	if (!t) {
		req->at = v->ipa;
		return -ENOBUFS;
	}
	/* Exchanged: a software walk may have set the access flag since v->old was read. */
	block = a64_xchg(v->entry, S2_LOCKED);
	stage2_flush(req->m, req->mmu, start, start + s2_size(v->level), 0, 0);
	mem_hook(HOOK_SPLIT_BROKEN, v);
	fill_table(t, block, v->level);
	/* One leaf went and one table came: the count of v->table stands. */
	stage2_try_replace(v, S2_VALID | S2_TABLE | ((uintptr_t)t & S2_OA));
	a64_fetch_add(&req->m->stats.splits, 1);
	return 0;
}

void stage2_split(struct vm_mem *m, struct s2_mmu *mmu, u64 start, u64 end)
{
	struct split_request req = {.m = m, .mmu = mmu};
	const struct s2_walker w = {.visit = split_visit, .kinds = S2_VISIT_LEAF, .arg = &req};

	if (!m->split_chunk || !cache_fill(m))
		return;
	write_lock(&m->mmu_lock);
	while (start < end) {
		u64 next = MIN(ALIGN_DOWN(start, m->split_chunk) + m->split_chunk, end);
		/* Again after each time the lock was dropped. Gone: there is nothing left to split. */
		struct s2_pgt *pgt = aptr_load_relaxed(&mmu->pgt);
		bool dry, room = true;

		if (!pgt)
			break;
		dry = stage2_walk(pgt, start, next, &w);
		start = dry ? req.at : next;
		if (!dry && !rwlock_is_contended(&m->mmu_lock))
			continue;
		write_unlock(&m->mmu_lock);
		mem_hook(HOOK_SPLIT_UNLOCKED, m);
		if (dry)
			room = cache_fill(m);
		write_lock(&m->mmu_lock);
		if (!room)
			break;
	}
	write_unlock(&m->mmu_lock);
}

int mem_set_split_chunk(struct vm_mem *m, u64 size)
{
	u64 sigmask;
	int ret = -EINVAL;

	if (size & (size - 1) || (size && !(size & MEM_BLOCK_SIZES)))
		return -EINVAL;
	sigmask = host_signals_block();
	mutex_lock(&m->slots_lock);
	if (!m->slots->nr_slots) {
		m->split_chunk = size;
		ret = 0;
	}
	mutex_unlock(&m->slots_lock);
	host_signals_restore(sigmask);
	return ret;
}

u64 mem_split_chunk(struct vm_mem *m)
{
	u64 sigmask = host_signals_block(), size;

	mutex_lock(&m->slots_lock);
	size = m->split_chunk;
	mutex_unlock(&m->slots_lock);
	host_signals_restore(sigmask);
	return size;
}
