/* SPDX-License-Identifier: MIT */
/*
 * The guest hypervisor's stage 2: VTTBR_EL2 and VTCR_EL2 as it wrote them, its tables read as guest memory (Arm ARM D8.2 and
 * D8.3, stage 2, without LPA2: 48 bits in and out). Granules of 4, 16 and 64 KiB, concatenated start-level tables, the access
 * flag set by the walk if VTCR_EL2.HA asks for it. Not honoured, as on KVM with nesting: VTCR_EL2.HD (a page marked for it is
 * read-only) and the contiguous hint (entries are used one by one, which is always allowed). Tables are little-endian, as no
 * other order can be chosen (ID_AA64MMFR0_EL1.BigEnd is 0).
 */
#ifndef ANYKVM_MEM_NESTED_WALK_H
#define ANYKVM_MEM_NESTED_WALK_H

#include "mem/mem.h"

#define VTTBR_CNP   BIT(0)
#define VTTBR_BADDR GENMASK(47, 1)
#define VTCR_T0SZ   GENMASK(5, 0)
#define VTCR_SL0(v) ((v) >> 6 & 3)
#define VTCR_TG0(v) ((v) >> 14 & 3)
#define VTCR_PS(v)  ((v) >> 16 & 7)
#define VTCR_VS	    BIT(19) /* VMIDs have 16 bits */
#define VTCR_HA	    BIT(21)

/* log2 of the granule. The reserved encoding is taken as 64 KiB, as KVM does. */
static inline unsigned nested_granule(u64 vtcr)
{
	return VTCR_TG0(vtcr) == 0 ? 12 : VTCR_TG0(vtcr) == 2 ? 14 : 16;
}

/*
 * Translates ipa for the vCPU of mv. 0 and *out, whose fault says whether there is a translation; or -EAGAIN: a descriptor's
 * access flag could not be set now, run the guest again. Rights are reported, not judged. The tables are read without a lock. Changes of them
 * by the guest: it must invalidate, and that makes a fault that walked before start over (nested_tlbi.c). Changes of the memory
 * they lie in: the caller read inv_seq before it called.
 */
int nested_walk(struct vm_mem *m, struct mem_vcpu *mv, const struct nested_key *key, u64 ipa,
		struct nested_walk *out) REQUIRES_SHARED(&m->srcu);

#endif
