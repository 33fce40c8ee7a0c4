/* SPDX-License-Identifier: MIT */
/*
 * A vCPU without a CPU: it uses mem/ exactly as the vCPU layer does. A TLB and a cache of "decoded" words, a tlb_client that
 * flushes them, accesses in access sections, faults handled outside the guest. One thread runs one fake vCPU.
 */
#ifndef ANYKVM_TESTS_FAKE_VCPU_H
#define ANYKVM_TESTS_FAKE_VCPU_H

#include "host/guarded.h"
#include "mem/nested_mmu.h"
#include "sync/thread.h"

#define FAKE_TLB_SIZE  64u
#define FAKE_CODE_SIZE 64u

struct fake_tlb_entry {
	u64 page; /* ipa of the 4 KiB page, ~0 = empty */
	u64 mmu_id;
	u64 hva;
	bool r, w, x;
	u8 level;
};

/* What was fetched from a host word once: kept until the code dies, whatever the memory says since. */
struct fake_code_entry {
	u64 hva; /* ~0 = empty */
	u32 word;
};

struct fake_vcpu {
	struct tlb_client tlb;
	struct mem_vcpu mem;
	struct vm_mem *m;
	struct fake_tlb_entry entry[FAKE_TLB_SIZE];
	struct fake_code_entry code[FAKE_CODE_SIZE];
	bool in_guest;
	struct dirty_ring_entry *ring; /* user space's view of the dirty ring, if the VM has them */
	u32 collected;		       /* entries that user space has taken from it */
	bool no_cache;		       /* forget each translation at once */
	u64 faults, host_faults, retries, records;
};

enum fake_op { FAKE_READ, FAKE_WRITE, FAKE_EXEC };

/* The ring is full: KVM_RUN would say so. */
#define FAKE_RING_FULL 100
/* Results above 0: the fault path's answer, as 1 + enum mem_fault_action. */
#define FAKE_ACTION(a) (1 + (a))

void fake_vcpu_init(struct fake_vcpu *v, struct vm_mem *m);
void fake_vcpu_fini(struct fake_vcpu *v);
/* As nested_mmu_load and _put: ipas are the inner guest's between the two. */
int fake_load(struct fake_vcpu *v, u64 vttbr, u64 vtcr, bool s2);
void fake_put(struct fake_vcpu *v);
void fake_enter(struct fake_vcpu *v);
void fake_leave(struct fake_vcpu *v);
void fake_poll(struct fake_vcpu *v);

/*
 * One 4-byte access at ipa, in guest mode on return if it was before. 0, an action, or -errno; -EAGAIN after too many retries.
 * FAKE_EXEC fills *value from the code cache or from memory.
 */
int fake_access(struct fake_vcpu *v, u64 ipa, enum fake_op op, u32 *value);
/* The same without fault handling: 0 or -EFAULT with v's fault filled. One access section. */
int fake_try(struct fake_vcpu *v, u64 ipa, enum fake_op op, u32 *value, struct mem_fault *fault);
/* What v holds in its TLB for the page, or NULL. */
const struct fake_tlb_entry *fake_tlb_find(const struct fake_vcpu *v, u64 ipa);

#endif
