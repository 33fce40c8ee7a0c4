/* SPDX-License-Identifier: MIT */
/* Debug state of one vCPU and what engines and memory accesses ask of it. debug.c says how it works. */
#ifndef ANYKVM_VCPU_DEBUG_H
#define ANYKVM_VCPU_DEBUG_H

#include "vcpu/breakpoint.h"
#include "vcpu/engine.h"

struct kvm_guest_debug_arch;

#define NR_DEBUG_REGS \
	16 /* pairs of each kind that are storage; NR_BRPS and NR_WRPS of them match */

struct vcpu_debug {
	u32 control; /* KVM_GUESTDBG_*; not 0: the VMM owns all of debug, and the guest's own is off */
	bool stepping_ss; /* in KVM_RUN with the VMM's single step: PSTATE.SS is the VMM's */
	u32 guest_ss;	  /* the guest's PSTATE.SS meanwhile */
	bool vmm_pending; /* between two KVM_RUNs: the VMM's step is due before the next instruction */
	bool isv;	  /* ISS.ISV and EX of the step exception to come */
	bool ex;

	/* Derived by vcpu_debug_update. */
	u64 mdscr;		       /* MDSCR_EL1 in force */
	const struct debug_regs *regs; /* register pairs in force: of the guest or of the VMM */
	u16 breakpoints; /* those that are enabled, by number; 0 without MDSCR_EL1.MDE */
	u16 watchpoints;
	bool live; /* PSTATE matters: something of the above is on */
	/* Derived by vcpu_debug_here. */
	bool here; /* breakpoints may match at this EL, with this PSTATE.D */

	struct debug_regs guest_regs, vmm_regs;
	/* KVM_GUESTDBG_USE_HW: bvr, bcr, wvr, wcr. */
	u64 vmm[4][NR_DEBUG_REGS];
	/* The watchpoints whose pages the TLB is known to keep out. */
	u64 kept_out[2][NR_WRPS];
};

struct vcpu;

/* Whether the page of 4 KiB that holds va has breakpoints that may match here and now (v->debug.here is set). */
bool vcpu_breakpoints_in_page(const struct vcpu *v, u64 va);
/* Before the instruction at pc, with v->debug.here set: OP_NEXT, or what a breakpoint did. */
enum op_result vcpu_breakpoint(struct vcpu *v);

/* Whether accesses to the page of va must be looked at one by one (v->debug.watchpoints is not 0). */
bool vcpu_watches_page(const struct vcpu *v, u64 va);
/*
 * An access that is about to be made, of [va, va + size) with the rights of el: true if a watchpoint stops it, and then as a
 * failed function of vmem.h. kinds: WATCH_*. iss: ISS bits other than WnR and the status code (CM).
 */
bool vcpu_watchpoint(struct vcpu *v, u64 va, u64 size, unsigned kinds, unsigned el, u32 iss);

#endif
