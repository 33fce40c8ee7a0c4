/* SPDX-License-Identifier: MIT */
/* The stage-2 fault path: from a faulting guest access to an installed mapping, an MMIO exit, or an error. */
#ifndef ANYKVM_MEM_FAULT_H
#define ANYKVM_MEM_FAULT_H

#include "base/types.h"

struct vm_mem;
struct mem_vcpu;

enum mem_fault_type {
	MEM_FAULT_TRANSLATION,
	MEM_FAULT_PERMISSION,
	MEM_FAULT_ACCESS_FLAG,
	MEM_FAULT_ADDRESS_SIZE
};

/* What the access was. Filled by the stage-2 lookup (type, level) and the vCPU (the rest). */
struct mem_fault {
	u64 ipa; /* full address, not only the page */
	u64 va;	 /* the guest virtual address: for FAR and logs */
	u64 hva; /* STOP_HOST_FAULT: the host address that faulted */
	enum mem_fault_type type;
	u8 level; /* stage-2 level of the fault */
	bool write;
	bool exec;     /* instruction fetch */
	bool el0;      /* of a fetch: from EL0, which a guest's stage 2 may treat apart */
	bool s1ptw;    /* a stage-1 table walk's own access */
	bool cache_op; /* cache maintenance by address */
	bool isv;      /* the fields below are a valid syndrome */
	bool sign_extend, sf, acquire_release;
	u8 size; /* bytes of the access */
	u8 rt;
};

enum mem_fault_action {
	MEM_FAULT_RETRY,       /* mapped, or raced: run the instruction again */
	MEM_FAULT_MMIO,	       /* no usable memory: emulate as MMIO (valid syndrome needed) */
	MEM_FAULT_INJECT_IABT, /* external abort on a fetch */
	MEM_FAULT_INJECT_DABT, /* external abort on a stage-1 walk */
	MEM_FAULT_INJECT_SIZE, /* address size fault to the guest */
	MEM_FAULT_SKIP,	       /* cache maintenance outside memory: step over */
	MEM_FAULT_INJECT_NESTED, /* a stage-2 fault for the guest hypervisor: mem_vcpu.walk says which */
};

/*
 * Handles one fault (docs/memory.md, "A fault"). The calling vCPU thread is OUTSIDE and holds
 * vcpu->mutex only. f->ipa is an address of the MMU in force; what it is to the VM after a guest hypervisor's stage 2 is in
 * mem_vcpu.walk.ipa. Returns 0 and *action, or -EFAULT (no or insufficient backing), -EHWPOISON, -ENOMEM, -EIO (VM memory torn
 * down), -EINTR.
 */
int mem_fault_handle(struct vm_mem *m, struct mem_vcpu *mv, const struct mem_fault *f,
		     enum mem_fault_action *action);

/*
 * A guarded access to hva failed although stage 2 mapped it: drops the leaf that maps f->ipa, so that the fault path decides
 * (EFAULT, or success if the host mapping came back). Same contract as above.
 */
int mem_host_fault(struct vm_mem *m, struct mem_vcpu *mv, const struct mem_fault *f,
		   enum mem_fault_action *action);

#endif
