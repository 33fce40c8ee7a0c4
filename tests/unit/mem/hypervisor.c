/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

#include "hypervisor.h"

void hyp_start(struct hypervisor *h, struct rig *r, u32 slot_flags)
{
	rig_start(r);
	*h = (struct hypervisor){.m = &r->m, .next_table = HYP_SIZE / 2};
	h->mem = rig_map(HYP_SIZE, 2 * MIB);
	if (rig_slot(h->m, 0, 0, HYP_SIZE, h->mem, slot_flags) || nested_mmu_grow(h->m))
		abort();
}

void hyp_stop(struct hypervisor *h)
{
	munmap(h->mem, HYP_SIZE);
}

void hyp_add_vcpu(struct hypervisor *h, struct fake_vcpu *v)
{
	fake_vcpu_init(v, h->m);
	if (nested_mmu_grow(h->m))
		abort();
}

static u64 new_table(struct hypervisor *h)
{
	u64 t = h->next_table;

	h->next_table += PAGE;
	if (t >= HYP_SIZE)
		abort();
	return t;
}

u64 hyp_new_guest(struct hypervisor *h, u16 vmid)
{
	return new_table(h) | (u64)vmid << 48;
}

/* The entry of level for ipa; tables down to it are made. */
static u64 *entry_of(struct hypervisor *h, u64 vttbr, u64 ipa, unsigned level)
{
	u64 table = vttbr & GENMASK(47, 12);

	for (unsigned l = 1;; l++) {
		u64 *e = (u64 *)(void *)(h->mem + table) + (ipa >> s2_shift(l)) % 512;

		if (l == level)
			return e;
		if ((*e & 3) != 3)
			__atomic_store_n(e, new_table(h) | 3, __ATOMIC_RELEASE);
		table = *e & GENMASK(47, 12);
	}
}

void hyp_map(struct hypervisor *h, u64 vttbr, u64 ipa, u64 pa, unsigned level, unsigned rights)
{
	u64 desc = pa | (level == 3 ? 3 : 1) | S2_AF;

	desc |= (rights & HYP_R ? S2_R : 0) | (rights & HYP_W ? S2_W : 0);
	if (rights & HYP_X_EL1_ONLY)
		desc |= 3ull << 53;
	else if (!(rights & HYP_X))
		desc |= 2ull << 53;
	__atomic_store_n(entry_of(h, vttbr, ipa, level), desc, __ATOMIC_RELEASE);
}

void hyp_unmap(struct hypervisor *h, u64 vttbr, u64 ipa)
{
	u64 table = vttbr & GENMASK(47, 12);

	for (unsigned l = 1; l <= 3; l++) {
		u64 *e = (u64 *)(void *)(h->mem + table) + (ipa >> s2_shift(l)) % 512;

		if (l == 3 || (*e & 3) != 3) {
			__atomic_store_n(e, 0, __ATOMIC_RELEASE);
			return;
		}
		table = *e & GENMASK(47, 12);
	}
}

static s64 leaves_locked(struct nested_mmu *n)
{
	struct s2_pgt *pgt = aptr_load_relaxed(&n->mmu.pgt);

	return pgt ? stage2_check(pgt) : 0;
}

u64 shadow_leaves(struct nested_mmu *n)
{
	s64 leaves;

	write_lock(&n->mmu.mem->mmu_lock);
	leaves = leaves_locked(n);
	write_unlock(&n->mmu.mem->mmu_lock);
	return leaves;
}

u64 shadow_leaves_all(struct vm_mem *m)
{
	u64 leaves = 0;

	write_lock(&m->mmu_lock);
	for (u32 i = 0; i < m->nested.nr; i++)
		leaves += leaves_locked(nested_mmu_at(m, i));
	write_unlock(&m->mmu_lock);
	return leaves;
}

struct found {
	u64 pte;
	unsigned level;
};

static int find_visit(struct s2_visit *v, enum s2_visit_kind kind)
{
	struct found *f = v->arg;

	if (s2_is_leaf(v->old, v->level))
		*f = (struct found){v->old, v->level};
	return 0;
}

u64 shadow_leaf(struct nested_mmu *n, u64 ipa, unsigned *level)
{
	struct found f = {0, 0};
	struct s2_walker w = {
		.visit = find_visit, .kinds = S2_VISIT_LEAF, .shared = true, .arg = &f};
	struct s2_pgt *pgt;

	/* A look, as a vCPU's walk: its thread may be in guest mode, where it takes no lock (LO-7). */
	rcu_read_lock();
	pgt = rcu_load(&n->mmu.pgt);
	if (pgt)
		stage2_walk(pgt, ALIGN_DOWN(ipa, PAGE), ALIGN_DOWN(ipa, PAGE) + PAGE, &w);
	rcu_read_unlock();
	*level = f.level;
	return f.pte;
}

bool refcnts_recount(struct vm_mem *m, struct fake_vcpu *const *v, unsigned nr)
{
	bool ok = true;

	write_lock(&m->mmu_lock);
	for (u32 i = 0; i < m->nested.nr; i++) {
		struct nested_mmu *n = nested_mmu_at(m, i);
		u32 users = 0;

		for (unsigned k = 0; k < nr; k++)
			users += v[k]->mem.nested == n;
		if (a32_load_relaxed(&n->refcnt) != users) {
			printf("# refcnt of shadow MMU %u is %u, %u vCPUs point to it\n", i,
			       a32_load_relaxed(&n->refcnt), users);
			ok = false;
		}
	}
	write_unlock(&m->mmu_lock);
	return ok;
}
