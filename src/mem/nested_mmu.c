/* SPDX-License-Identifier: MIT */
/* Shadow MMUs as vCPUs and the host see them. */
#include "mem/nested_mmu.h"

#include <errno.h>

#include "base/bug.h"
#include "host/alloc.h"
#include "host/signal.h"
#include "mem/hook.h"

/* --- birth and death --- */

static void chunk_destroy(struct nested_chunk *c)
{
	for (unsigned i = 0; i < NESTED_CHUNK_MMUS; i++) {
		struct s2_pgt *pgt = aptr_load_relaxed(&c->mmu[i].mmu.pgt);

		if (pgt)
			stage2_pgt_destroy(pgt);
	}
	DELETE(c);
}

static u64 new_id(void)
{
	return a64_fetch_add(&mem_process()->next_mmu_id, 1) + 1;
}

static struct nested_chunk *chunk_create(struct vm_mem *m)
{
	struct nested_chunk *c = NEW(struct nested_chunk);

	if (!c)
		return NULL;
	for (unsigned i = 0; i < NESTED_CHUNK_MMUS; i++) {
		struct s2_pgt *pgt = stage2_pgt_create(NESTED_IPA_BITS);

		if (!pgt) {
			chunk_destroy(c);
			return NULL;
		}
		c->mmu[i].mmu =
			(struct s2_mmu){.id = new_id(), .mem = m, .ipa_bits = NESTED_IPA_BITS};
		c->mmu[i].key.vttbr = VTTBR_CNP;
		aptr_store_relaxed(&c->mmu[i].mmu.pgt, pgt);
	}
	return c;
}

/* Two for each vCPU: each holds one at most, so there is always one that nobody holds. */
static bool wants_more(struct vm_mem *m) REQUIRES_SHARED(&m->mmu_lock)
{
	return m->nested.nr < NESTED_CHUNK_MMUS * a32_load_acquire(&m->tlb.nr);
}

static int grow_check(struct vm_mem *m)
{
	int ret;

	read_lock(&m->mmu_lock);
	ret = m->s2_dead ? -EIO : wants_more(m);
	read_unlock(&m->mmu_lock);
	return ret;
}

static int grow(struct vm_mem *m)
{
	struct nested_mmus *all = &m->nested;
	struct nested_chunk *c;
	int ret = grow_check(m);

	if (ret <= 0)
		return ret;
	ret = 0;
	c = chunk_create(m);
	if (!c)
		return -ENOMEM;
	mem_hook(HOOK_NESTED_GROW, m);
	write_lock(&m->mmu_lock);
	if (m->s2_dead) {
		/* The flush did not see these tables: they must not be reachable after it. */
		ret = -EIO;
	} else if (wants_more(m)) {
		all->chunk[all->nr / NESTED_CHUNK_MMUS] = c;
		all->nr += NESTED_CHUNK_MMUS;
		c = NULL;
	}
	write_unlock(&m->mmu_lock);
	if (c)
		chunk_destroy(c);
	return ret;
}

int nested_mmu_grow(struct vm_mem *m)
{
	u64 sigmask = host_signals_block();
	int ret = grow(m);

	host_signals_restore(sigmask);
	return ret;
}

void nested_mmus_fini(struct vm_mem *m)
{
	for (u32 i = 0; i < m->nested.nr / NESTED_CHUNK_MMUS; i++)
		chunk_destroy(m->nested.chunk[i]);
	m->nested.nr = 0;
}

/* --- vCPUs --- */

static bool key_matches(const struct nested_mmu *n, const struct nested_key *key)
{
	if (!nested_mmu_is_valid(n) || n->key.s2 != key->s2)
		return false;
	if (key->s2)
		return n->key.vttbr == key->vttbr && n->key.vtcr == key->vtcr;
	/* Identity: neither base nor VTCR mean anything; the caches are tagged by VMID all the same. */
	return nested_vmid(n->key.vttbr, n->key.vtcr) == nested_vmid(key->vttbr, key->vtcr);
}

static struct nested_mmu *find(struct vm_mem *m, const struct nested_key *key)
	REQUIRES(&m->mmu_lock)
{
	for (u32 i = 0; i < m->nested.nr; i++) {
		struct nested_mmu *n = nested_mmu_at(m, i);

		if (key_matches(n, key))
			return n;
	}
	return NULL;
}

/* In turn, so that a key that comes back soon finds its table still there. */
static struct nested_mmu *recycle(struct vm_mem *m, const struct nested_key *key)
	REQUIRES(&m->mmu_lock)
{
	struct nested_mmus *all = &m->nested;

	for (u32 i = 0; i < all->nr; i++) {
		u32 k = (all->next + i) % all->nr;
		struct nested_mmu *n = nested_mmu_at(m, k);

		/* Acquire pairs with the put: what its last user read of it was read before it changes. */
		if (a32_load_acquire(&n->refcnt))
			continue;
		all->next = (k + 1) % all->nr;
		/* Emptied by whoever enters first, not here: mmu_lock is everybody's, and the vCPU may never enter. */
		a64_fetch_add(&m->stats.nested_recycles, nested_mmu_is_valid(n));
		n->pending_unmap |= nested_mmu_is_valid(n);
		n->key = *key;
		n->mmu.id = new_id();
		return n;
	}
	/* The vCPU was counted by nested_mmu_grow and holds none now: wants_more. */
	BUG();
}

int nested_mmu_load(struct vm_mem *m, struct mem_vcpu *mv, u64 vttbr, u64 vtcr, bool s2)
{
	struct nested_key key = {.vttbr = vttbr & ~VTTBR_CNP, .vtcr = vtcr, .s2 = s2};
	u64 sigmask = host_signals_block();
	struct nested_mmu *n;
	int ret = -EIO;

	BUG_ON(mv->nested);
	write_lock(&m->mmu_lock);
	if (!m->s2_dead) {
		a64_fetch_add(&m->stats.nested_loads, 1);
		n = find(m, &key);
		if (!n)
			n = recycle(m, &key);
		a32_fetch_add(&n->refcnt, 1);
		mv->nested = n;
		mv->key = key;
		/* Each user of a context that is to be emptied must see that done, whoever recycled it. */
		mv->unmap_nested = n->pending_unmap;
		ret = 0;
	}
	write_unlock(&m->mmu_lock);
	host_signals_restore(sigmask);
	return ret;
}

void nested_mmu_put(struct mem_vcpu *mv)
{
	struct nested_mmu *n = mv->nested;

	if (!n)
		return;
	mv->nested = NULL;
	mv->unmap_nested = false;
	a32_fetch_sub(&n->refcnt, 1); /* a full barrier: pairs with the acquire in recycle */
}

void nested_mmu_sync(struct vm_mem *m, struct mem_vcpu *mv)
{
	struct nested_mmu *n = mv->nested;
	u64 sigmask;

	if (likely(!mv->unmap_nested))
		return;
	sigmask = host_signals_block();
	mv->unmap_nested = false;
	write_lock(&m->mmu_lock);
	/* Done already if another user of the context came first; torn down: nothing is left, and nobody enters. */
	if (n->pending_unmap) {
		n->pending_unmap = false;
		/* No flush: the new key has a new id, under which nobody has cached anything. */
		stage2_unmap_whole(m, &n->mmu);
	}
	write_unlock(&m->mmu_lock);
	host_signals_restore(sigmask);
}

/* --- the host --- */

bool nested_unmap_all(struct vm_mem *m)
{
	bool any = false;

	for (u32 i = 0; i < m->nested.nr; i++) {
		struct nested_mmu *n = nested_mmu_at(m, i);

		if (!nested_mmu_is_valid(n))
			continue;
		stage2_unmap_whole(m, &n->mmu);
		n->pending_unmap = false;
		/* Also if the table was empty: who emptied it may not have flushed yet. */
		any = true;
	}
	return any;
}

bool nested_write_protect_all(struct vm_mem *m, bool may_block)
{
	struct s2_range changed = {0, 0};

	for (u32 i = 0; i < m->nested.nr; i++) {
		struct nested_mmu *n = nested_mmu_at(m, i);

		/* Called for each word of a bitmap: all but the first find nothing to do. */
		if (!nested_mmu_is_valid(n) || !a32_xchg(&n->may_write, 0))
			continue;
		stage2_write_protect(m, &n->mmu, 0, BIT(NESTED_IPA_BITS), may_block, &changed);
	}
	return changed.end;
}

void nested_detach_all(struct vm_mem *m, struct s2_pgt **list)
{
	for (u32 i = 0; i < m->nested.nr; i++) {
		struct nested_mmu *n = nested_mmu_at(m, i);

		stage2_detach(m, &n->mmu, list);
		n->key.vttbr = VTTBR_CNP;
		n->pending_unmap = false;
	}
}
