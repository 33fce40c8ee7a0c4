/* SPDX-License-Identifier: MIT */
/*
 * When a breakpoint or watchpoint register pair matches: rules alone, without a vCPU (Arm ARM D2.8 and D2.9, self-hosted debug
 * in AArch64). Numbers of registers are below those of the CPU model; what the architecture leaves open is decided here:
 *
 * - The security state is Non-secure. Reserved combinations of HMC, SSC and PMC match what their bits say.
 * - BAS of a breakpoint: bit 0 must be set, which is all that A64 code can tell from hardware with AArch32.
 * - Breakpoint types that need EL2 or AArch32 never match, nor does a link to a breakpoint that is not context-aware.
 * - MASK 1 and 2 count as 0; with a larger MASK, BAS is not looked at, nor are the masked bits of the address.
 * - BAS of a watchpoint may have gaps: each byte counts alone.
 */
#ifndef ANYKVM_VCPU_BREAKPOINT_H
#define ANYKVM_VCPU_BREAKPOINT_H

#include "base/types.h"

/* What ID_AA64DFR0_EL1 says; the last NR_CONTEXT_BRPS breakpoints are context-aware. */
#define NR_BRPS		6
#define NR_WRPS		4
#define NR_CONTEXT_BRPS 2

#define DEBUG_CONTROL_E BIT(0) /* DBGBCR, DBGWCR */

/* The registers of one owner, each an array by number. */
struct debug_regs {
	const u64 *bvr, *bcr, *wvr, *wcr;
};

/* What a match depends on beside the address. */
struct debug_context {
	u32 contextidr;
	u8 el; /* whose rights: an unprivileged access of EL1 has those of EL0 */
};

/* Whether breakpoint n stops the instruction at va. */
bool breakpoint_matches(const struct debug_regs *r, unsigned n, struct debug_context c, u64 va);
/* Whether breakpoint n, if enabled, could stop an instruction in the page of 4 KiB that holds va, in any context. */
bool breakpoint_in_page(const struct debug_regs *r, unsigned n, u64 va);

/* LSC bits */
#define WATCH_LOAD  1u
#define WATCH_STORE 2u

/*
 * Whether watchpoint n stops an access of these kinds (both for an atomic) to [va, va + size). *at: the first byte of it that is
 * watched.
 */
bool watchpoint_matches(const struct debug_regs *r, unsigned n, struct debug_context c,
			unsigned kinds, u64 va, u64 size, u64 *at);
/* Whether watchpoint n, if enabled, watches any byte of the page of 4 KiB that holds va. */
bool watchpoint_in_page(const struct debug_regs *r, unsigned n, u64 va);

#endif
