/* SPDX-License-Identifier: MIT */
/*
 * Shadow MMUs: the translations of a guest's guests. A shadow table maps addresses of the inner guest (L2 IPA) straight to hvas;
 * it is filled by faults, each of which walks the guest hypervisor's stage 2 first (nested_walk.h) and then goes the way of any
 * other fault with the address that came out. The vCPU runs on the canonical MMU while it is the hypervisor (virtual EL2) and on
 * a shadow MMU while it is the inner guest.
 *
 *	vCPU 0 --+				     +-- table
 *		 +--> nested_mmu {key, refcnt 2} ----+
 *	vCPU 1 --+
 *		      nested_mmu {key, refcnt 0} ------- table		kept in case the key returns; recycled else
 *		      nested_mmu {CnP: invalid}  ------- empty table	never used, or torn down
 *
 * struct nested_mmu, two in a struct nested_chunk. born: nested_mmu_grow. seen by: m->nested, from its counting under mmu_lock
 * write on; mem_vcpu.nested. kept by: the VM, whoever points to it: refcnt counts the vCPUs that use the key and keeps no memory.
 * hidden: never. freed: mem_fini, after the vCPUs. mem_flush_all takes the tables away and nothing else (I-04).
 *
 * No map leads from an address of the VM back to shadow leaves, so whatever the host takes from the VM is taken from every
 * shadow table as a whole (nested_unmap_all; I-31). That is a few stores each: subtrees are unlinked, not walked.
 *
 * Everything here is guarded by mmu_lock: read to look, write to change. Two exceptions: refcnt goes down without it, so a
 * context may be seen as used a little longer than it is, never shorter; may_write is set in read sections.
 */
#ifndef ANYKVM_MEM_NESTED_MMU_H
#define ANYKVM_MEM_NESTED_MMU_H

#include "mem/nested_walk.h"
#include "mem/stage2.h"

/* What our ID registers report as PARange, to an inner hypervisor as well: the size of a shadow table. */
#define NESTED_IPA_BITS 48

struct nested_mmu {
	struct s2_mmu
		mmu; /* a recycled context gets a new id: what vCPUs cached under the old one is never found again */
	struct nested_key key; /* CnP set: invalid, equal to none */
	bool pending_unmap; /* the table is the previous key's: nobody enters before it is empty (I-29) */
	struct a32 refcnt; /* vCPUs whose mem_vcpu.nested this is (I-30) */
	struct a32
		may_write; /* some leaf may be writable: set before one is, cleared by write-protection */
};

struct nested_chunk {
	struct nested_mmu mmu[NESTED_CHUNK_MMUS];
};

static inline struct nested_mmu *nested_mmu_at(struct vm_mem *m, u32 i)
	REQUIRES_SHARED(&m->mmu_lock)
{
	return &m->nested.chunk[i / NESTED_CHUNK_MMUS]->mmu[i % NESTED_CHUNK_MMUS];
}
static inline bool nested_mmu_is_valid(const struct nested_mmu *n)
{
	return !(n->key.vttbr & VTTBR_CNP);
}
/* The MMU that translates for this vCPU at present. */
static inline struct s2_mmu *mem_vcpu_mmu(struct vm_mem *m, const struct mem_vcpu *mv)
{
	return mv->nested ? &mv->nested->mmu : &m->mmu;
}
/* The VMID of a VTTBR: 8 bits, or 16 if VTCR says so. */
static inline u16 nested_vmid(u64 vttbr, u64 vtcr)
{
	return bits_get(vttbr, 48, vtcr & VTCR_VS ? 16 : 8);
}

/* --- vCPUs ------------------------------------------------------------------------------------------------------------- */

/*
 * A vCPU that can nest is initialised: two more MMUs, unless there are two for each vCPU already, so initialising one again is
 * free. 0; -ENOMEM, -EIO (torn down): the VM is as before. The bound is looked at again where the chunk is counted, so callers
 * need no lock among themselves; they may hold any that ranks before mmu_lock.
 */
int nested_mmu_grow(struct vm_mem *m) EXCLUDES(&m->mmu_lock);
/*
 * The vCPU, for which nested_mmu_grow was called, is about to run with this key: the context of the key, or one that no vCPU
 * uses, recycled. Undone by nested_mmu_put. 0, -EIO. On its own thread, OUTSIDE.
 */
int nested_mmu_load(struct vm_mem *m, struct mem_vcpu *mv, u64 vttbr, u64 vtcr, bool s2)
	EXCLUDES(&m->mmu_lock);
/* Back to the canonical MMU: on each return from KVM_RUN and each exception to virtual EL2. Takes no lock; nothing loaded: nothing. */
void nested_mmu_put(struct mem_vcpu *mv);
/* What nested_mmu_load left to be done, before each entry into the guest. */
void nested_mmu_sync(struct vm_mem *m, struct mem_vcpu *mv) EXCLUDES(&m->mmu_lock);

/* --- the host's changes (mmu.c, teardown.c) ------------------------------------------------------------------------------ */

/* Empties every shadow table. The flush (of everything, stage2_flush_all) is the caller's: owed if true. */
bool nested_unmap_all(struct vm_mem *m) REQUIRES(&m->mmu_lock);
/* Takes write access from every shadow leaf. True if there was some. may_block as in stage2.h. */
bool nested_write_protect_all(struct vm_mem *m, bool may_block) REQUIRES(&m->mmu_lock);
/* Takes the tables away, onto *list, and makes every key invalid. */
void nested_detach_all(struct vm_mem *m, struct s2_pgt **list) REQUIRES(&m->mmu_lock);
/* Nobody else reaches m. */
void nested_mmus_fini(struct vm_mem *m);

/* --- the guest hypervisor's TLB maintenance: nested_tlbi.c ---------------------------------------------------------------- */

/*
 * Each completes before it returns: no vCPU uses what it removed, and no fault that walked the guest's tables before it installs
 * what it found. Several contexts may have one VMID (another base, another VTCR): all of them are meant. The calling vCPU is
 * OUTSIDE.
 */
/* ALLE1*: stages 1 and 2 of every VMID. */
void nested_tlbi_all(struct vm_mem *m) EXCLUDES(&m->mmu_lock);
/* VMALLS12E1*: stages 1 and 2 of one. */
void nested_tlbi_vmid(struct vm_mem *m, u16 vmid) EXCLUDES(&m->mmu_lock);
/* IPAS2E1*: ttl as in the instruction's operand (bits 47:44), 0 without a hint. */
void nested_tlbi_ipa(struct vm_mem *m, u16 vmid, u64 ipa, unsigned ttl) EXCLUDES(&m->mmu_lock);
/* RIPAS2E1*: [start, end), decoded by the caller; its hint is not looked at. */
void nested_tlbi_ipa_range(struct vm_mem *m, u16 vmid, u64 start, u64 end) EXCLUDES(&m->mmu_lock);
/* VMALLE1*, VAE1*, ASIDE1* and so on, while the guest hypervisor has them act on its guest: stage 1 alone. Tables stay. */
void nested_tlbi_stage1(struct vm_mem *m, u16 vmid) EXCLUDES(&m->mmu_lock);
/* The EL2 regime's own: what vCPUs cached of the canonical MMU, and walks of guest tables that are under way. */
void nested_tlbi_el2(struct vm_mem *m) EXCLUDES(&m->mmu_lock);

#endif
