/* SPDX-License-Identifier: MIT */
/*
 * The pre-decoded code of one vCPU: for each 4 KiB chunk of host memory that holds executed code, 1024 slots of handler and
 * word, filled when first executed. Keyed by host address: what is decoded stays valid over guest TLB maintenance and context
 * switches, and dies only by interp_drop_code (instruction cache maintenance, memory taken away). Touched by the vCPU's thread
 * alone.
 *
 * A slot of an empty page is all zero, which is code_fill as handler: handlers are offsets from it.
 */
#ifndef ANYKVM_INTERP_CODE_H
#define ANYKVM_INTERP_CODE_H

#include "interp/interp.h"

#define CODE_SLOTS     1024u
#define CODE_NR_PAGES  960u /* 8 MiB of slots */
#define CODE_HASH_SIZE 2048u
#define CODE_MAP_SIZE  256u

struct code_slot {
	s32 fn; /* handler - code_fill */
	u32 insn;
};

struct code_page {
	u64 hva;       /* 0: unused */
	u16 next_hash; /* index + 1 */
	bool recent;
	u16 low, high; /* slots [low, high) may be filled */
	/* The last is a sentinel, run when control falls off the page: pc is already that of the next page. */
	struct code_slot slot[CODE_SLOTS + 1];
};

/* VA page to code page, valid while the vTLB generation is the one recorded. */
struct code_map {
	u64 va, generation;
	struct code_page *page;
};

struct interp {
	struct code_page *page; /* CODE_NR_PAGES, mapped memory that costs nothing until used */
	unsigned hand;		/* clock hand of eviction */
	struct code_page *cur; /* the page being executed and the vTLB generation it was found in */
	u64 generation;
	u64 ticked;		  /* instruction count of the last vcpu_tick */
	u16 hash[CODE_HASH_SIZE]; /* index + 1 */
	struct code_map map[CODE_MAP_SIZE];
};

int code_init(struct interp *c);
void code_fini(struct interp *c);
/* The page that holds v->arch.pc; NULL as vmem_fetch_page. Sets cur and generation. */
struct code_page *code_lookup(struct vcpu *v, struct interp *c);
/* Decodes the slot at pc in cur, then runs it. */
op_fn code_fill;
/* engine_ops.drop_code */
void code_drop(struct vcpu *v, u64 start, u64 end);

static ALWAYS_INLINE op_fn *code_handler(const struct code_slot *s)
{
	return (op_fn *)((uintptr_t)code_fill + (uintptr_t)(intptr_t)s->fn);
}

#endif
