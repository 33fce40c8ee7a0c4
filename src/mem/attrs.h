/* SPDX-License-Identifier: MIT */
/*
 * Memory attributes: which guest frames are private. An extension that a VM's handle asks for; KVM/arm64 has none.
 *
 * Nothing on arm64 lets a guest say whether it means the private or the shared page of an address, so the attribute decides alone:
 *
 *	slot				frame private			frame shared
 *	without guest_memfd		EFAULT, told as private		userspace_addr
 *	guest_memfd that may be mapped	guest_memfd			guest_memfd
 *	guest_memfd that may not	guest_memfd			userspace_addr
 *
 * (The last kind of slot can be made with the extension only.)
 *
 *   G-ATTR-A  The set is changed under slots_lock and mmu_lock for writing, and read under either: a reader sees it before or after
 *             a change.
 *   G-ATTR-B  A change raises the invalidate count before the first leaf of the range goes and lowers it when the set is new. A fault
 *             reads the attribute after inv_seq, so one that saw the old attribute installs nothing afterwards (I-09).
 *   G-ATTR-C  What a change needs is allocated before anything is changed.
 *
 * struct attr_range. born: a change, or the split of a range. seen by: readers of the set. hidden: under mmu_lock, by the change
 * that covers it. freed: after that lock is dropped; readers keep none.
 */
#ifndef ANYKVM_MEM_ATTRS_H
#define ANYKVM_MEM_ATTRS_H

#include "mem/mem.h"

#define MEM_ATTRIBUTE_PRIVATE  BIT(3) /* KVM_MEMORY_ATTRIBUTE_PRIVATE */
#define MEM_FAULT_FLAG_PRIVATE BIT(3) /* KVM_MEMORY_EXIT_FLAG_PRIVATE */
#define MEM_ATTRIBUTES_OFFERED MEM_ATTRIBUTE_PRIVATE

struct mem_attr {
	bool private;
	u64 gfn, gfn_end; /* around the frame asked for: all alike */
};

/* KVM_SET_MEMORY_ATTRIBUTES of bytes [gpa, gpa + size). 0, -EINVAL, -ENOMEM (nothing changed). */
int mem_set_attributes(struct vm_mem *m, u64 gpa, u64 size, u64 attributes);
/* In a VM without the extension everything is shared. */
void mem_attr_at(struct vm_mem *m, u64 gfn, struct mem_attr *out) EXCLUDES(&m->mmu_lock);
void mem_attrs_fini(struct vm_mem *m);

/*
 * KVM_PRE_FAULT_MEMORY: maps bytes [*gpa, *gpa + *size), aligned, as if each page had been read, and leaves what is left in both.
 * 0 if anything was mapped, else -ENOENT (no memory there), -EINTR, -EOPNOTSUPP (a guest's guest runs), or as mem_fault_handle.
 * prefault.c.
 */
int mem_pre_fault(struct vm_mem *m, struct mem_vcpu *mv, u64 *gpa, u64 *size);

#endif
