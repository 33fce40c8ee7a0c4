/* SPDX-License-Identifier: MIT */
/*
 * What the instructions of a vCPU did, by kind: v->tally, which only grows. Performance counters count the difference.
 *
 * Exceptions and their returns are tallied always. What a word alone decides (vcpu_tally) is tallied while v->tallying is set:
 * then an engine executes one instruction at a time, and calls it for each that was executed whole.
 */
#ifndef ANYKVM_VCPU_TALLY_H
#define ANYKVM_VCPU_TALLY_H

#include "base/types.h"

struct vcpu;

enum vcpu_tally_kind {
	TALLY_LOAD,   /* instructions that load */
	TALLY_STORE,  /* that store; atomics are both */
	TALLY_ACCESS, /* registers loaded and registers stored */
	TALLY_BRANCH, /* taken or not */
	TALLY_BRANCH_IMMEDIATE,
	TALLY_PROCEDURE_RETURN,
	TALLY_CONTEXT_WRITE, /* of CONTEXTIDR_EL1 */
	TALLY_TABLE_WRITE,   /* of TTBR0_EL1, TTBR1_EL1 */
	TALLY_BY_WORD,	     /* those above */
	TALLY_EXCEPTION = TALLY_BY_WORD,
	TALLY_EXCEPTION_RETURN,
	NR_TALLIES
};

/* No instruction, with an interrupt before it, adds more than this to one kind. */
#define TALLY_MOST 4

void vcpu_tally(struct vcpu *v, u32 insn);

#endif
