/* SPDX-License-Identifier: MIT */
/*
 * The vCPU's software TLB: VA page to hva, one set of arrays per translation context. Touched by
 * the vCPU thread alone. Permission is presence: an entry is in the read (write, execute) array
 * only if that access is allowed in that context and needs no further work. A parallel cold array
 * holds what a flush needs to select the entry (IPA, leaf size, global).
 *
 * The two halves of the address space (VA bit 55) have a context each. The key of a context is
 * everything that the meaning of an entry depends on: half, EL, PAN, TTBR and ASID, TCR, MAIR,
 * SCTLR. The upper half's key leaves the ASID out (its entries are global in every kernel that
 * matters; the few that are not are dropped when the ASID changes), so that a process switch keeps
 * the kernel's entries. Switching EL, PAN or ASID is a store or two and needs no flush. Granule: 4
 * KiB.
 */
#ifndef ANYKVM_VCPU_VTLB_H
#define ANYKVM_VCPU_VTLB_H

#include "base/types.h"

enum vtlb_access { VTLB_READ, VTLB_WRITE, VTLB_EXEC, NR_VTLB_ACCESS };

#define VTLB_BITS  9
#define VTLB_SIZE  (1u << VTLB_BITS)
#define VTLB_EMPTY 0ull /* a tag no page has: fresh memory is an empty context */

struct vtlb_entry {
	u64 tag;    /* VA of the page's last byte, as accessed, tag byte included; or VTLB_EMPTY */
	u64 addend; /* hva - va */
};

/* What a context depends on; equal keys share a context. */
struct vtlb_key {
	u64 ttbr; /* base and ASID of this half; 0 when the MMU is off */
	u64 tcr, mair;
	u32 sctlr; /* the bits that matter */
	s32 asid;  /* lower half only; -1 in the upper half */
	u8 half, el, pan, valid;
	u32 zero; /* padding by name: keys are compared as memory */
};

struct vtlb_context {
	struct vtlb_entry e[NR_VTLB_ACCESS][VTLB_SIZE];
	/* Parallel to e: IPA page | log2 of the stage-1 leaf size (bits 5:0) | VTLB_COLD_*. */
	u64 cold[NR_VTLB_ACCESS][VTLB_SIZE];
	struct vtlb_key key;
	u64 last_use;
	bool has_large;	 /* some entry stems from a leaf of more than 4 KiB */
	bool has_global; /* some entry is global */
	bool has_local;	 /* some entry is not */
	bool filled;	 /* something was inserted since the last clear */
};

#define VTLB_COLD_SIZE_MASK 0x3full
#define VTLB_COLD_GLOBAL    BIT(6)

struct vtlb {
	struct vtlb_context *cur[2]; /* by VA bit 55; an always empty context until the first miss
					finds the right one */
	/*
	 * Bumped by the vCPU layer at every flush, selective or not, at every switch of cur and at
	 * every change of pc that did not come from an instruction's handler (interrupts): an
	 * engine's own VA to page map is valid only while this is unchanged, and when it changed
	 * over a poll the engine goes on at arch.pc.
	 */
	u64 generation;
	struct vtlb_state *state; /* all contexts, keys, LRU: vcpu/vtlb.c */
};

/* Of the page that holds va. */
static ALWAYS_INLINE u64 vtlb_tag(u64 va)
{
	return va | 0xfff;
}

/* hva of [va, va + size) if it is one hit in one page, else NULL. size is a constant power of two
 * up to 16. */
static ALWAYS_INLINE void *vtlb_hit(const struct vtlb *t, enum vtlb_access access, u64 va,
				    unsigned size)
{
	const struct vtlb_entry *e = &t->cur[va >> 55 & 1]->e[access][(va >> 12) & (VTLB_SIZE - 1)];

	/* An access that crosses into the next page changes the tag and misses; at the top of the
	 * address space it wraps. */
	if (likely(e->tag == vtlb_tag(va + size - 1) && (va & 0xfff) <= 0x1000 - size))
		return (void *)(uintptr_t)(va + e->addend);
	return NULL;
}

struct vcpu;
struct tlb_inval;

int vtlb_init(struct vcpu *v);
/* Before the first run: memory for contexts. 0, -ENOMEM. */
int vtlb_prepare(struct vcpu *v);
void vtlb_fini(struct vcpu *v);
/* EL or PSTATE.PAN changed: two loads, two stores. */
void vtlb_switch_el(struct vcpu *v);
/* A register of the key changed. */
void vtlb_regs_changed(struct vcpu *v);
/* Context for an access to va with the rights of el (0 or 1); never the empty one. Sets cur if it
 * is the current EL's. */
struct vtlb_context *vtlb_context_get(struct vcpu *v, u64 va, unsigned el);
/* Puts page va -> hva into one array of c. */
void vtlb_insert(struct vtlb_context *c, enum vtlb_access access, u64 va, u64 hva, u64 ipa,
		 unsigned leaf_log2, bool global);
/* Drops the entry of one page in all arrays of all contexts that may hold it (a failed host
 * access). */
void vtlb_drop_hva(struct vcpu *v, u64 hva);
/* Applies one record: everything but code. */
void vtlb_apply(struct vcpu *v, const struct tlb_inval *rec);

/*
 * Stage-2 cache: IPA page to hva with rights, so that a stage-1 walk does not walk stage 2 for each
 * descriptor. Dropped by IPA and ALL records, untouched by guest TLBIs.
 */
#define VTLB_S2_SIZE  128
#define VTLB_S2_EMPTY 1ull /* no page's address */
struct vtlb_s2 {
	u64 ipa; /* page, or VTLB_S2_EMPTY */
	u64 hva; /* of the page */
	bool w;
};
struct vtlb_s2 *vtlb_s2_slot(struct vcpu *v, u64 ipa);

#endif
