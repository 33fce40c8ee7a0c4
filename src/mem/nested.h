/* SPDX-License-Identifier: MIT */
/* What a vCPU that runs a guest's guest carries: whose translation is in force, and what its last fault came to. */
#ifndef ANYKVM_MEM_NESTED_H
#define ANYKVM_MEM_NESTED_H

#include "mem/tlb.h"

/* A translation context as the guest hypervisor names it. */
struct nested_key {
	u64 vttbr; /* VMID and base; CnP is 0 */
	u64 vtcr;
	bool s2; /* HCR_EL2.VM: stage 2 is on. Off: identity, and only the VMID counts */
};

enum nested_fault {
	NESTED_FAULT_NONE,
	NESTED_FAULT_TRANSLATION,
	NESTED_FAULT_ACCESS_FLAG,
	NESTED_FAULT_PERMISSION,
	NESTED_FAULT_ADDRESS_SIZE,
	NESTED_FAULT_WALK_ABORT, /* synchronous external abort: the table is not in memory */
};

/* What the guest hypervisor's stage 2 says of an address: a translation, or the fault that it is to be told of. */
struct nested_walk {
	enum nested_fault fault;
	u8 level; /* of the leaf, or of the fault */
	u64 ipa;  /* output, of the byte asked for: an address of the VM itself, as exits name it */
	u64 size; /* that the leaf maps */
	bool r, w, x_el0, x_el1;
};

/*
 * The shadow MMUs of a VM: nested_mmu.h. Part of struct vm_mem and not behind a pointer, so that nothing but the VM's end can
 * end the array. Everything is read under mmu_lock and written under mmu_lock write.
 */
#define NESTED_CHUNK_MMUS 2
struct nested_mmus {
	/* never moved, never taken out */
	struct nested_chunk *chunk[TLB_MAX_CLIENTS] WRITES_GUARDED_BY(mmu_lock);
	u32 nr; /* MMUs in the chunks: a chunk is stored before it is counted */
	u32 next WRITES_GUARDED_BY(mmu_lock); /* where the search for one to recycle begins */
};

#endif
