/* SPDX-License-Identifier: MIT */
/*
 * Guest memory of one VM: the part with the locks. Read this first.
 *
 * Locks, outer to inner (the whole order is sync/rank.h):
 *   slots_lock       every slot change, dirty log ioctls; the holder may wait for SRCU
 *   slots_arch_lock  arch part of slots, from copying the old slot until the pointer swap; dropped before waiting for SRCU
 *   srcu (read)      active slot-set pointers and the slots reached through them; may sleep
 *   mmu_lock         all stage-2 tables; invalidate sequence, count and range; nothing that blocks runs under it
 *   RCU (read)       table pages during shared walks
 *   mn_lock          mn_active, the swap waiter, publication of a slot set; a leaf, never with mmu_lock held
 */
#ifndef ANYKVM_MEM_MEM_H
#define ANYKVM_MEM_MEM_H

#include "base/itree.h"
#include "base/types.h"
#include "mem/dirty_ring.h"
#include "mem/fault.h"
#include "mem/nested.h"
#include "mem/tlb.h"
#include "sync/event_count.h"
#include "sync/mutex.h"
#include "sync/rcu.h"
#include "sync/ref.h"
#include "sync/rwlock.h"
#include "sync/srcu.h"

/* A stage-2 translation context. Canonical: one per VM. Shadow: nested_mmu.h. */
struct s2_mmu {
	u64 id; /* unique for ever in this process: tags vTLB entries */
	struct aptr
		pgt; /* struct s2_pgt *, NULL when torn down; written under mmu_lock write, read under mmu_lock or RCU */
	struct vm_mem *mem;
	unsigned ipa_bits; /* of its table */
};

/* Result of a software stage-2 walk. */
struct s2_result {
	u64 hva;      /* of the byte asked for */
	u64 page_ipa; /* 4 KiB page of it */
	bool r, w;
	bool x_el0, x_el1;
	u8 level; /* of the leaf: 1, 2, 3 */
};

/*
 * Walks mmu's table for ipa as the hardware would, sets the access flag by CAS. Caller: inside an access section or holding
 * mmu_lock; takes RCU read itself. Returns 0, or -EFAULT with fault->type and fault->level filled (access rights are checked
 * against fault->write / fault->exec by the caller's wish: want_write, want_exec + el0).
 */
int s2_lookup(struct s2_mmu *mmu, u64 ipa, bool want_write, bool want_exec, bool el0,
	      struct s2_result *out, struct mem_fault *fault);

/* Per-vCPU part. Touched by the vCPU thread alone (vcpu->mutex). */
#define MEM_CACHE_CAPACITY 40
struct mem_vcpu {
	void *page[MEM_CACHE_CAPACITY]; /* table pages filled before any lock */
	unsigned nr_pages;
	void *last_slot; /* hint, valid only while last_gen equals the generation of the set just read */
	u64 last_gen;
	struct tlb_client *tlb;
	/* For KVM_EXIT_MEMORY_FAULT: set by a fault that failed, if it is to be told. */
	struct mem_fault_report {
		bool valid;
		u64 gpa, size, flags;
	} report;
	struct dirty_ring ring; /* of this vCPU, if the VM has rings */
	/* --- while it runs a guest's guest (nested_mmu.h) --- */
	struct nested_mmu *nested; /* one of its refcnt is ours; NULL: the canonical MMU */
	struct nested_key key;	   /* as loaded */
	bool unmap_nested;	   /* nested_mmu_sync is owed before the next entry */
	struct nested_walk walk;   /* of the last fault that went through the guest's stage 2 */
};

struct file;
struct memslot_sets; /* memslot_set.h */
struct s2_table;     /* stage2.h */
/* Statistics: struct anykvm_stats says what each tells. */
struct mem_stats {
	struct a64 faults, retries, maps_4k, maps_2m, maps_1g, relaxes;
	struct a64 unmaps; /* leaves */
	struct a64 host_faults;
	struct a64 inval_pairs, inval_pages;
	struct a64 slot_changes, slot_swaps, slot_swap_waits;
	struct a64 slot_swaps_settled; /* of slot_swaps: the readers of the old set are gone */
	struct a64 splits, dirty_pages, ring_full_exits;
	struct a64 nested_loads, nested_recycles, nested_unmaps;
	struct a64 gmem_faults, gmem_allocations, gmem_punches;
};

/* Table pages for eager splitting: stage2_split.h. */
#define SPLIT_CACHE_CAPACITY 17
struct split_cache {
	struct s2_table *page[SPLIT_CACHE_CAPACITY];
	unsigned nr;
};

/* Sizes of a leaf, as a mask (KVM_CAP_ARM_SUPPORTED_BLOCK_SIZES). */
#define MEM_BLOCK_SIZES (4 * KIB | 2 * MIB | GIB)

enum block_policy { BLOCK_NONE, BLOCK_HOST, BLOCK_LINEAR };

struct vm_mem {
	/* --- slots_lock --- */
	struct mutex slots_lock;
	struct mutex slots_arch_lock;
	struct srcu srcu;
	/* constant; what it holds: slots_lock to change, or srcu to read */
	struct memslot_sets *slots;
	/* --- mmu_lock --- */
	struct rwlock mmu_lock;
	struct s2_mmu mmu;
	struct nested_mmus nested;
	bool s2_dead WRITES_GUARDED_BY(mmu_lock); /* flush_all ran: every fault answers EIO */
	u32 inv_in_progress WRITES_GUARDED_BY(mmu_lock); /* raised by start, lowered by end */
	/* covering gfn interval while the count is not 0 */
	u64 inv_start WRITES_GUARDED_BY(mmu_lock);
	u64 inv_end WRITES_GUARDED_BY(mmu_lock);
	struct a64 inv_seq;	     /* written under mmu_lock write, read anywhere */
	struct event_count inv_ends; /* faults that must retry sleep, bounded */
	/* --- mn_lock --- */
	struct mutex mn_lock;
	u32 mn_active WRITES_GUARDED_BY(mn_lock); /* notifier pairs in flight */
	struct a32 mn_wake; /* futex word of the swap waiter; changes under mn_lock */
	/* a new pair lets the swap go first, for a bounded time */
	bool swap_waits GUARDED_BY(mn_lock);
	struct a32 swap_turn; /* futex word of the pairs that do; changes under mn_lock */
	/* --- constant after init --- */
	unsigned ipa_bits;
	enum block_policy block_policy;
	struct tlb_domain tlb;
	struct a32 dead; /* admission: answers EIO */
	struct mem_stats stats;
	struct vma_cache *vmas; /* what the host said about its mappings: vma_cache.h */
	bool attributes_on;	/* set before anybody reaches the VM: attrs.h */
	/* --- slots_lock and mmu_lock to change, either to read --- */
	/* private frames */
	struct itree attributes WRITES_GUARDED_BY(slots_lock) WRITES_GUARDED_BY(mmu_lock);
	/* dirty log modes (KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2) */
	u64 manual_protect WRITES_GUARDED_BY(slots_lock);
	/* --- slots_lock --- */
	/* of each vCPU's dirty ring, 0: no rings; constant once there are vCPUs */
	u32 ring_bytes WRITES_GUARDED_BY(slots_lock);
	bool ring_with_bitmap WRITES_GUARDED_BY(slots_lock);
	struct list rings GUARDED_BY(slots_lock); /* struct dirty_ring */
	/* eager splitting: how much between two looks at mmu_lock's waiters; 0: off */
	u64 split_chunk GUARDED_BY(slots_lock);
	struct split_cache split_cache GUARDED_BY(slots_lock);
};

/* ipa_bits 32..48. 0, -ENOMEM. Registers with the notifier and waits for pairs in flight (I-06). No lock held. */
int mem_init(struct vm_mem *m, unsigned ipa_bits);
/*
 * VM destroy, split as the order needs (vm/vm.c): stop_notifier before anything is freed; fini after the vCPUs.
 */
void mem_stop_notifier(struct vm_mem *m);
void mem_fini(struct vm_mem *m);
int mem_vcpu_init(struct vm_mem *m, struct mem_vcpu *mv, struct tlb_client *tlb);
void mem_vcpu_fini(struct mem_vcpu *mv);
/* Detach every table; afterwards faults answer EIO. Idempotent, callable concurrently (I-02): teardown.c. */
void mem_flush_all(struct vm_mem *m) EXCLUDES(&m->mmu_lock);
/* The process's memory goes away: flush_all on every VM (docs/memory.md, "Teardown"). */
void mm_release(void);

/* Guest memory access by library code (pvtime, tables): through slots, guarded, marks dirty. -EFAULT if not all accessible. */
int mem_read_guest(struct vm_mem *m, u64 gpa, void *buf, size_t len);
/* mv: of the vCPU whose thread this is, NULL if it is none's. */
int mem_write_guest(struct vm_mem *m, struct mem_vcpu *mv, u64 gpa, const void *buf, size_t len);
/* Whether a slot is there, and whether it may be written; its host memory is not looked at. */
bool mem_is_visible(struct vm_mem *m, u64 gpa);
bool mem_is_writable(struct vm_mem *m, u64 gpa);
/* One aligned doubleword, in one piece; the caller is in m's SRCU. -EFAULT as above. */
int mem_read_guest64(struct vm_mem *m, u64 gpa, u64 *out) REQUIRES_SHARED(&m->srcu);
/* Replaces old by new there. -EAGAIN: something else is there now, or the dirty ring of mv has no room. */
int mem_cmpxchg_guest64(struct vm_mem *m, struct mem_vcpu *mv, u64 gpa, u64 old, u64 new)
	REQUIRES_SHARED(&m->srcu);

/* --- slots: arguments as KVM_SET_USER_MEMORY_REGION2 (flags LOG_DIRTY_PAGES 1, READONLY 2); errors: docs/memory.md table --- */
struct mem_region {
	u32 slot; /* low 16 bits id, high 16 address space */
	u32 flags;
	u64 guest_phys_addr, memory_size, userspace_addr;
	u64 guest_memfd_offset;
	struct file *
		guest_memfd; /* what the number names; the caller has a reference. NULL: guest_memfd_error */
	int guest_memfd_error; /* -EBADF: not a descriptor, -EINVAL: of another kind */
	bool v2;	       /* came through KVM_SET_USER_MEMORY_REGION2 */
};
int mem_set_region(struct vm_mem *m, const struct mem_region *r);
/* bitmap: user pointer, accessed guarded. */
int mem_get_dirty_log(struct vm_mem *m, u32 slot, void *bitmap);
int mem_clear_dirty_log(struct vm_mem *m, u32 slot, u32 num_pages, u64 first_page,
			const void *bitmap);
/* KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2. */
int mem_set_manual_protect(struct vm_mem *m, u64 bits);
/*
 * KVM_CAP_DIRTY_LOG_RING_ACQ_REL: rings of that many bytes for the vCPUs to come. -EINVAL (size, has_vcpus, a second time),
 * -E2BIG. The caller keeps has_vcpus true to its word (vm->lock).
 */
int mem_enable_dirty_ring(struct vm_mem *m, u32 bytes, bool has_vcpus);
/* KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP. -EINVAL: no rings, or there are slots. */
int mem_enable_ring_bitmap(struct vm_mem *m);
/* KVM_RESET_DIRTY_RINGS. How many entries were reset, or -EINVAL without rings. */
int mem_reset_dirty_rings(struct vm_mem *m);
/* KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE: 0 or a size of a leaf. -EINVAL: another size, or there are slots. */
int mem_set_split_chunk(struct vm_mem *m, u64 size);
u64 mem_split_chunk(struct vm_mem *m);
bool mem_has_slots(struct vm_mem *m);

#endif
