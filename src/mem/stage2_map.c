/* SPDX-License-Identifier: MIT */
/*
 * Installing one leaf in a shared walk, with break-before-make.
 *
 * Example. vCPU 0 maps 4 KiB at 2 MiB + 0x5000 where a 2 MiB block is in force (the slot's host mapping was split since):
 *
 *	L2 entry: block     -> LOCKED		nobody else touches the entry now; walks fault and come back
 *		  shootdown of the 2 MiB	no vCPU uses the block any more (I-20)
 *		  LOCKED    -> table		of 512 empty entries
 *	L3 entry: 0	    -> LOCKED -> page	neighbours fault one by one when they are used
 *
 * Nothing between breaking and making can fail: the table page was in hand before.
 */
#include <errno.h>

#include "base/bug.h"
#include "mem/hook.h"
#include "mem/page_cache.h"
#include "mem/stage2.h"

struct map_request {
	struct vm_mem *m;
	struct s2_mmu *mmu;
	struct mem_vcpu *mv;
	unsigned level;
	u64 leaf; /* the descriptor to install */
};

static u64 leaf_of(u64 hva, unsigned level, unsigned prot)
{
	u64 pte = S2_VALID | S2_MEMATTR_NORMAL | S2_SH_INNER | S2_AF | (hva & S2_OA);

	if (level == 3)
		pte |= S2_TABLE; /* same bit: a page, not a reserved encoding */
	if (prot & S2_PROT_R)
		pte |= S2_R;
	if (prot & S2_PROT_W)
		pte |= S2_W;
	return pte | s2_xn(prot) | (u64)(prot >> S2_PROT_GUEST_LEVEL_SHIFT) << 55;
}

/* Steps 1 to 3 of break-before-make. On success the entry is LOCKED and ours. */
static int break_entry(struct s2_visit *v, const struct map_request *req)
{
	if (v->old == S2_LOCKED || !stage2_try_replace(v, S2_LOCKED))
		return -EAGAIN;
	if (v->old & S2_VALID) {
		u64 start = ALIGN_DOWN(v->ipa, s2_size(v->level));

		stage2_flush(req->m, req->mmu, start, start + s2_size(v->level), 0, 0);
	}
	if (s2_is_counted(v->old))
		stage2_count(v->table, -1);
	mem_hook(HOOK_BBM_BROKEN, v);
	return 0;
}

/*
 * Steps 4 and 5. Code decoded from the pages of a new leaf need not be dropped here, even if the leaf is executable: decoded
 * code is keyed by host page and dies whenever the page is taken from the guest (notifier, slot change, raw fault: I-37), all of
 * which post the code's range whether or not a leaf is found. So what is left was decoded from this same content; where the
 * guest rewrote it since, the guest owes the IC instruction, as it would to hardware.
 */
static void make_entry(struct s2_visit *v, u64 new)
{
	stage2_count(v->table, 1);
	/* Release pairs with the acquire of walks: the entries of a new table come first. */
	a64_store_release(v->entry, new);
}

static int install_leaf(struct s2_visit *v, const struct map_request *req)
{
	/* Rights and accessed state are not map's to change: relax does, without break-before-make. */
	const u64 soft = S2_R | S2_W | S2_XN | S2_AF | S2_SW;
	int ret;

	if (s2_is_leaf(v->old, v->level) && !((v->old ^ req->leaf) & ~soft))
		return -EAGAIN;
	ret = break_entry(v, req);
	if (ret)
		return ret;
	if (s2_is_table(v->old, v->level)) {
		/* Shared walks may still be below; what they install there is lost and faults again. */
		stage2_table_free_rcu(s2_child(v->old), v->level + 1);
	}
	make_entry(v, req->leaf);
	return 0;
}

static int install_table(struct s2_visit *v, const struct map_request *req)
{
	struct s2_table *child = page_cache_pop(req->mv);
	int ret;

	if (!child)
		return -ENOMEM;
	ret = break_entry(v, req);
	if (ret) {
		page_cache_push(req->mv, child);
		return ret;
	}
	make_entry(v, S2_VALID | S2_TABLE | ((uintptr_t)child & S2_OA));
	return 0;
}

/*
 * The walk ends with the leaf. It would read the entry again, and if another vCPU has put a table in its place by then, go down and
 * take entries below for those of a level above.
 */
#define INSTALLED 1

static int map_visit(struct s2_visit *v, enum s2_visit_kind kind)
{
	const struct map_request *req = v->arg;
	int ret;

	if (v->level == req->level) {
		ret = install_leaf(v, req);
		return ret ? ret : INSTALLED;
	}
	if (kind == S2_VISIT_PRE)
		return 0;
	return install_table(v, req);
}

int stage2_map(struct vm_mem *m, struct s2_mmu *mmu, struct mem_vcpu *mv, u64 ipa, unsigned level,
	       u64 hva, unsigned prot)
{
	struct map_request req = {
		.m = m, .mmu = mmu, .mv = mv, .level = level, .leaf = leaf_of(hva, level, prot)};
	struct s2_walker w = {.visit = map_visit,
			      .kinds = S2_VISIT_PRE | S2_VISIT_LEAF,
			      .shared = true,
			      .arg = &req};
	struct s2_pgt *pgt = aptr_load_acquire(&mmu->pgt);
	int ret;

	if (!pgt)
		return -EIO;
	BUG_ON(!IS_ALIGNED(ipa | hva, s2_size(level)) || level < MAX(1u, pgt->start_level));
	rcu_read_lock();
	ret = stage2_walk(pgt, ipa, ipa + s2_size(level), &w);
	rcu_read_unlock();
	return ret == INSTALLED ? 0 : ret;
}
