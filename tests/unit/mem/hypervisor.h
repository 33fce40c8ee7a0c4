/* SPDX-License-Identifier: MIT */
/*
 * A guest hypervisor without code: 64 MiB of guest memory at 0, stage-2 tables (4 KiB granule, 39 bits) that it keeps in the
 * upper half, and what tests ask about shadow tables.
 */
#ifndef ANYKVM_TESTS_HYPERVISOR_H
#define ANYKVM_TESTS_HYPERVISOR_H

#include "mem/nested_mmu.h"
#include "rig.h"

#define HYP_SIZE (64 * MIB)
#define HYP_VTCR ((64 - 39) | 1ull << 6 | 5ull << 16)

enum hyp_rights {
	HYP_R = 1,
	HYP_W = 2,
	HYP_X = 4,
	HYP_X_EL1_ONLY = 8,
	HYP_RWX = 7,
};

struct hypervisor {
	struct vm_mem *m;
	char *mem;	/* its memory */
	u64 next_table; /* gpa */
};

/* Memory, slot 0 with these flags, and for r.v the MMUs to nest. */
void hyp_start(struct hypervisor *h, struct rig *r, u32 slot_flags);
void hyp_stop(struct hypervisor *h);
/* A vCPU more that can nest. */
void hyp_add_vcpu(struct hypervisor *h, struct fake_vcpu *v);

/* An empty stage 2; what VTTBR_EL2 would hold. */
u64 hyp_new_guest(struct hypervisor *h, u16 vmid);
/* Points the guest's ipa at pa with a leaf of level 1 to 3. No invalidation. */
void hyp_map(struct hypervisor *h, u64 vttbr, u64 ipa, u64 pa, unsigned level, unsigned rights);
void hyp_unmap(struct hypervisor *h, u64 vttbr, u64 ipa);
static inline u32 *hyp_word(struct hypervisor *h, u64 pa)
{
	return (u32 *)(void *)(h->mem + pa);
}

/* Leaves in the shadow table, or in all of them; 0 if torn down. */
u64 shadow_leaves(struct nested_mmu *n);
u64 shadow_leaves_all(struct vm_mem *m);
/* The shadow descriptor that maps ipa, and its level; 0 if there is none. */
u64 shadow_leaf(struct nested_mmu *n, u64 ipa, unsigned *level);
/* At rest: refcnt of each is the number of these vCPUs that point to it (I-30). Prints what is wrong. */
bool refcnts_recount(struct vm_mem *m, struct fake_vcpu *const *v, unsigned nr);

#endif
