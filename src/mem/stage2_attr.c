/* SPDX-License-Identifier: MIT */
/* Changes of a leaf that need no break-before-make: rights added, access flag set or cleared. */
#include <errno.h>

#include "mem/hook.h"
#include "mem/stage2.h"
#include "mem/stage2_range.h"

struct attr_request {
	u64 set, clear;
	u64 oa;		/* where the leaf leads, unless level is 0 */
	unsigned level; /* of the leaf; 0: any */
};

/* One entry decides; the caller's range is one page. */
static int attr_visit(struct s2_visit *v, enum s2_visit_kind kind)
{
	const struct attr_request *req = v->arg;
	u64 new;

	if (!s2_is_leaf(v->old, v->level) || (req->level && v->level != req->level))
		return -EAGAIN;
	if (req->level && (v->old & S2_OA) != req->oa)
		return -ESTALE;
	mem_hook(HOOK_ATTR_READ, v);
	new = (v->old & ~req->clear) | req->set;
	if (new != v->old && !stage2_try_replace(v, new))
		return -EAGAIN;
	return 0;
}

static int attr_change(struct s2_mmu *mmu, u64 ipa, const struct attr_request *req)
{
	struct s2_walker w = {
		.visit = attr_visit, .kinds = S2_VISIT_LEAF, .shared = true, .arg = (void *)req};
	struct s2_pgt *pgt = aptr_load_acquire(&mmu->pgt);
	u64 page = ALIGN_DOWN(ipa, 4096);
	int ret;

	if (!pgt)
		return -EIO;
	rcu_read_lock();
	ret = stage2_walk(pgt, page, page + 4096, &w);
	rcu_read_unlock();
	return ret;
}

/*
 * Only adds, so no vCPU need be told: caches hold what may be done, not what may not (G-TLB-E). What was planned for a page is
 * not granted to a block that took its place meanwhile: the caller marks one page dirty (I-22). Nor to another page: a guest
 * hypervisor may have given the address of its guest a new output without invalidating the old one, which could be a page that
 * the slot lets nobody write.
 */
int stage2_relax(struct vm_mem *m, struct s2_mmu *mmu, u64 ipa, unsigned level, u64 hva,
		 unsigned prot)
{
	struct attr_request req = {.set = S2_AF, .level = level, .oa = hva & S2_OA};

	if (prot & S2_PROT_R)
		req.set |= S2_R;
	if (prot & S2_PROT_W)
		req.set |= S2_W;
	if (prot & S2_PROT_X) {
		req.clear = S2_XN;
		req.set |= s2_xn(prot);
	}
	return attr_change(mmu, ipa, &req);
}

void stage2_make_young(struct vm_mem *m, struct s2_mmu *mmu, u64 ipa)
{
	const struct attr_request req = {.set = S2_AF};

	/* Gone or changed meanwhile: the guest's access finds out. */
	attr_change(mmu, ipa, &req);
}

struct age_request {
	struct s2_range *changed;
	bool clear, young;
};

static int age_visit(struct s2_visit *v, enum s2_visit_kind kind)
{
	struct age_request *req = v->arg;
	u64 start = ALIGN_DOWN(v->ipa, s2_size(v->level));

	if (!s2_is_leaf(v->old, v->level) || !(v->old & S2_AF))
		return 0;
	req->young = true;
	if (req->clear) {
		stage2_try_replace(v, v->old & ~S2_AF);
		s2_range_add(req->changed, start, start + s2_size(v->level));
	}
	return 0;
}

bool stage2_age(struct vm_mem *m, struct s2_mmu *mmu, u64 start, u64 end, bool clear,
		struct s2_range *changed)
{
	struct age_request req = {.changed = changed, .clear = clear};
	struct s2_walker w = {.visit = age_visit, .kinds = S2_VISIT_LEAF, .arg = &req};

	stage2_walk_range(m, mmu, start, end, false, &w);
	return req.young;
}
