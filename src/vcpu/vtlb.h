/* SPDX-License-Identifier: MIT */
/*
 * The vCPU's software TLB: VA page to hva, one set of arrays per translation context. Touched by the vCPU thread alone.
 * Permission is presence: an entry is in the read (write, execute) array only if that access is allowed in that context and
 * needs no further work. A parallel cold array holds what a flush needs to select the entry (IPA, context id).
 *
 * A context is one (EL class, PAN, ASID, TTBR, TCR, SCTLR...) combination; vtlb.cur points to the arrays in use, so a context
 * switch is one pointer store (vcpu/vtlb.c). Granule: 4 KiB.
 */
#ifndef ANYKVM_VCPU_VTLB_H
#define ANYKVM_VCPU_VTLB_H

#include "base/types.h"

enum vtlb_access { VTLB_READ, VTLB_WRITE, VTLB_EXEC, NR_VTLB_ACCESS };

#define VTLB_BITS 9
#define VTLB_SIZE (1u << VTLB_BITS)
#define VTLB_EMPTY 1ull /* a tag no page has */

struct vtlb_entry {
	u64 tag;    /* VA page, or VTLB_EMPTY */
	u64 addend; /* hva - va */
};

struct vtlb_context {
	struct vtlb_entry e[NR_VTLB_ACCESS][VTLB_SIZE];
	/* cold parts follow: vcpu/vtlb.c */
	struct vtlb_cold *cold;
};

struct vtlb {
	struct vtlb_context *cur;
	/*
	 * Bumped by the vCPU layer at every flush, selective or not, and at every switch of cur: an engine's own VA to page map is
	 * valid only while this is unchanged.
	 */
	u64 generation;
	struct vtlb_state *state; /* all contexts, keys, LRU: vcpu/vtlb.c */
};

/* hva of [va, va + size) if it is one hit in one page, else NULL. size is a constant power of two up to 16. */
static ALWAYS_INLINE void *vtlb_hit(const struct vtlb *t, enum vtlb_access access, u64 va, unsigned size)
{
	const struct vtlb_entry *e = &t->cur->e[access][(va >> 12) & (VTLB_SIZE - 1)];

	/* An access that crosses into the next page changes the tag and misses. */
	if (likely(e->tag == ((va + size - 1) & ~0xfffull) && (va & 0xfff) <= 0x1000 - size))
		return (void *)(uintptr_t)(va + e->addend);
	return NULL;
}

#endif
