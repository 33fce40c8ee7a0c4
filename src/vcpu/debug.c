// SPDX-License-Identifier: MIT
/*
 * Debug: software step, breakpoints and watchpoints of the guest (MDSCR_EL1, DBG*_EL1) and of the VMM (KVM_SET_GUEST_DEBUG), and
 * the OS lock.
 *
 * One set of rules serves both. As in KVM a VMM that debugs owns all of it: its settings are in force instead of the guest's,
 * debug exceptions go to it as exits (as to EL2: whatever PSTATE.D, KDE and the OS lock say), and so does every BRK. The guest's
 * registers are storage meanwhile. vcpu_debug_update derives what is in force when a register or the owner changes, and
 * vcpu_debug_here what of it matters at the present PSTATE; with nothing armed that is one test at an exception or return.
 *
 * Software step (Arm ARM D2.12): inactive; active-not-pending (PSTATE.SS = 1): one instruction is executed, then SS is 0;
 * active-pending (SS = 0): the step exception is taken before the next instruction. While the VMM steps, PSTATE.SS is its own
 * within KVM_RUN, and the guest's is kept aside.
 *
 * Breakpoints: an engine asks for the page it enters, and runs a page that has some instruction by instruction; whatever
 * changes the answer changes the vTLB's generation. Watchpoints: their pages are kept out of the vTLB's data arrays, so that
 * each access to one takes the slow path, which asks here.
 */
#include <errno.h>
#include <string.h>

#include <anykvm/kvm.h>

#include "mem/tlb.h"
#include "vcpu/internal.h"
#include "vcpu/onereg.h"
#include "vcpu/sysreg_hooks.h"

#define MDSCR_SS  BIT(0)
#define MDSCR_KDE BIT(13)
#define MDSCR_MDE BIT(15)
#define OSLK	  BIT(1)

#define EC_BREAKPOINT_LOW 0x30u
#define EC_STEP_LOW	  0x32u
#define EC_WATCHPOINT_LOW 0x34u
#define EC_BRK64	  0x3cu
#define ISS_DEBUG	  0x22u /* status code of debug exceptions */
#define ISS_WNR		  BIT(6)
#define ISS_STEP_EX	  BIT(6)
#define ISS_STEP_ISV	  BIT(24)

/* --- what is in force
 * -------------------------------------------------------------------------------------------------
 */

static u64 mdscr_in_force(const struct vcpu *v)
{
	u64 mdscr = v->arch.sys[SR_MDSCR_EL1];
	u32 control = v->debug.control;

	if (control || (v->arch.sys[SR_OSLAR_EL1] & OSLK))
		mdscr &= ~(MDSCR_SS | MDSCR_KDE | MDSCR_MDE);
	if (control & KVM_GUESTDBG_SINGLESTEP)
		mdscr |= MDSCR_SS;
	if (control & KVM_GUESTDBG_USE_HW)
		mdscr |= MDSCR_KDE | MDSCR_MDE;
	return mdscr;
}

/* Debug exceptions from here are enabled. */
static bool enabled_here(const struct vcpu *v)
{
	if (v->debug.control || v->arch.el == 0)
		return true;
	return (v->debug.mdscr & MDSCR_KDE) && !(v->arch.pstate & PSR_D);
}

/* True: what engines must look at has changed. */
bool vcpu_debug_here(struct vcpu *v)
{
	struct vcpu_debug *d = &v->debug;
	bool on = enabled_here(v), here = on && d->breakpoints, step = on && (d->mdscr & MDSCR_SS);
	bool changed = here != d->here || step != v->step;

	if (!changed)
		return false;
	d->here = here;
	v->step = step;
	v->vtlb.generation++;
	if (step)
		a32_store_relaxed(&v->tlb.attention, 1);
	return true;
}

static u16 enabled_pairs(const u64 *control, unsigned nr)
{
	u16 pairs = 0;

	for (unsigned n = 0; n < nr; n++)
		pairs |= (u16)((control[n] & DEBUG_CONTROL_E) << n);
	return pairs;
}

/* Translations of pages that are watched from now on may be in the vTLB. */
static void keep_watched_pages_out(struct vcpu *v)
{
	static const struct tlb_inval all = {.kind = TLB_INVAL_VMALL};
	struct vcpu_debug *d = &v->debug;
	u64 now[2][NR_WRPS] = {0};

	for (unsigned n = 0; n < NR_WRPS; n++)
		if (d->watchpoints >> n & 1) {
			now[0][n] = d->regs->wvr[n];
			now[1][n] = d->regs->wcr[n];
		}
	if (!memcmp(now, d->kept_out, sizeof(now)))
		return;
	memcpy(d->kept_out, now, sizeof(now));
	if (d->watchpoints)
		vtlb_apply(v, &all);
}

void vcpu_debug_update(struct vcpu *v)
{
	struct vcpu_debug *d = &v->debug;
	bool pairs;

	d->mdscr = mdscr_in_force(v);
	d->regs = d->control ? &d->vmm_regs : &d->guest_regs;
	pairs = d->mdscr & MDSCR_MDE;
	d->breakpoints = pairs ? enabled_pairs(d->regs->bcr, NR_BRPS) : 0;
	d->watchpoints = pairs ? enabled_pairs(d->regs->wcr, NR_WRPS) : 0;
	keep_watched_pages_out(v);
	d->live = d->breakpoints || (d->mdscr & MDSCR_SS);
	vcpu_debug_here(v);
}

void vcpu_debug_init(struct vcpu *v)
{
	struct vcpu_debug *d = &v->debug;
	const u64 *sys = v->arch.sys;

	d->guest_regs = (struct debug_regs){&sys[SR_DBGBVR0_EL1], &sys[SR_DBGBCR0_EL1],
					    &sys[SR_DBGWVR0_EL1], &sys[SR_DBGWCR0_EL1]};
	d->vmm_regs = (struct debug_regs){d->vmm[0], d->vmm[1], d->vmm[2], d->vmm[3]};
	d->regs = &d->guest_regs;
}

/* --- exceptions
 * -------------------------------------------------------------------------------------------------------
 */

/* ec: that of the exception taken from a lower EL. */
static enum op_result debug_exception(struct vcpu *v, u32 ec, u32 iss)
{
	if (!v->debug.control)
		return vcpu_raise_between(v, ec + (v->arch.el ? 1 : 0), iss);
	v->stop.kind = STOP_DEBUG;
	v->stop.esr = ec << 26 | (u32)ESR_IL | iss;
	return OP_STOP;
}

enum op_result vcpu_brk(struct vcpu *v, u16 imm)
{
	if (!v->debug.control)
		return vcpu_raise(v, EC_BRK64, imm);
	v->not_retired++;
	return debug_exception(v, EC_BRK64, imm);
}

static struct debug_context context(const struct vcpu *v, unsigned el)
{
	return (struct debug_context){(u32)v->arch.sys[SR_CONTEXTIDR_EL1], (u8)el};
}

bool vcpu_breakpoints_in_page(const struct vcpu *v, u64 va)
{
	for (unsigned n = 0; n < NR_BRPS; n++)
		if ((v->debug.breakpoints >> n & 1) && breakpoint_in_page(v->debug.regs, n, va))
			return true;
	return false;
}

enum op_result vcpu_breakpoint(struct vcpu *v)
{
	struct debug_context c = context(v, v->arch.el);

	for (unsigned n = 0; n < NR_BRPS; n++)
		if ((v->debug.breakpoints >> n & 1) &&
		    breakpoint_matches(v->debug.regs, n, c, v->arch.pc)) {
			debug_exception(v, EC_BREAKPOINT_LOW, ISS_DEBUG);
			v->not_retired++;
			return v->stop.kind == STOP_NONE ? OP_BRANCH : OP_STOP;
		}
	return OP_NEXT;
}

bool vcpu_watches_page(const struct vcpu *v, u64 va)
{
	for (unsigned n = 0; n < NR_WRPS; n++)
		if ((v->debug.watchpoints >> n & 1) && watchpoint_in_page(v->debug.regs, n, va))
			return true;
	return false;
}

bool vcpu_watchpoint(struct vcpu *v, u64 va, u64 size, unsigned kinds, unsigned el, u32 iss)
{
	struct debug_context c = context(v, el);
	u64 at;

	if (!enabled_here(v))
		return false;
	for (unsigned n = 0; n < NR_WRPS; n++) {
		if (!(v->debug.watchpoints >> n & 1) ||
		    !watchpoint_matches(v->debug.regs, n, c, kinds, va, size, &at))
			continue;
		/* An atomic reports a write only if its read alone would not have matched. */
		if (!(kinds & WATCH_LOAD) ||
		    !watchpoint_matches(v->debug.regs, n, c, WATCH_LOAD, va, size, &at))
			iss |= (u32)ISS_WNR;
		if (v->debug.control)
			v->stop.far = at;
		else
			v->arch.sys[SR_FAR_EL1] = at;
		debug_exception(v, EC_WATCHPOINT_LOW, iss | ISS_DEBUG);
		v->not_retired++;
		return true;
	}
	return false;
}

/* --- software step
 * ----------------------------------------------------------------------------------------------------
 */

bool vcpu_step_pending(const struct vcpu *v)
{
	return unlikely(v->step) && !(v->arch.pstate & PSR_SS);
}

int vcpu_take_step(struct vcpu *v)
{
	u32 iss = ISS_DEBUG;

	if (v->debug.isv)
		iss |= (u32)(ISS_STEP_ISV | (v->debug.ex ? ISS_STEP_EX : 0));
	v->debug.isv = false;
	debug_exception(v, EC_STEP_LOW, iss);
	if (!v->debug.control)
		return 1;
	v->arch.pstate |= (u32)PSR_SS;
	return 0;
}

int vcpu_run_step(struct vcpu *v)
{
	if (!vcpu_step_pending(v)) {
		v->engine_ops->step(v);
		if (v->stop.kind != STOP_NONE)
			return 1; /* vcpu_step_finished follows, unless the instruction is run again */
		vcpu_step_finished(v, v->step);
	}
	/* The guest's own is taken after another look at what is asked of this vCPU. */
	return vcpu_step_pending(v) && v->debug.control ? vcpu_take_step(v) : 1;
}

void vcpu_step_finished(struct vcpu *v, bool executed)
{
	v->arch.pstate &= ~(u32)PSR_SS;
	v->debug.isv = executed;
}

int vcpu_debug_exit(struct vcpu *v)
{
	struct kvm_run *run = v->run;

	run->exit_reason = KVM_EXIT_DEBUG;
	run->debug.arch.hsr = v->stop.esr;
	run->debug.arch.hsr_high = 0;
	if (v->stop.esr >> 26 == EC_WATCHPOINT_LOW)
		run->debug.arch.far = v->stop.far;
	run->flags = KVM_DEBUG_ARCH_HSR_HIGH_VALID;
	return 0;
}

void vcpu_debug_enter(struct vcpu *v)
{
	struct vcpu_debug *d = &v->debug;

	if (unlikely(d->control & KVM_GUESTDBG_SINGLESTEP)) {
		d->guest_ss = v->arch.pstate & (u32)PSR_SS;
		v->arch.pstate &= ~(u32)PSR_SS;
		if (!d->vmm_pending)
			v->arch.pstate |= (u32)PSR_SS;
		d->stepping_ss = true;
	}
	vcpu_debug_update(v);
}

void vcpu_debug_leave(struct vcpu *v)
{
	struct vcpu_debug *d = &v->debug;

	if (likely(!d->stepping_ss))
		return;
	d->vmm_pending = !(v->arch.pstate & PSR_SS);
	v->arch.pstate = (v->arch.pstate & ~(u32)PSR_SS) | d->guest_ss;
	d->stepping_ss = false;
}

void vcpu_debug_reset(struct vcpu *v)
{
	struct vcpu_debug *d = &v->debug;

	d->guest_ss = 0;
	d->isv = d->ex = false;
	if (d->stepping_ss)
		v->arch.pstate |= (u32)PSR_SS;
	vcpu_debug_update(v);
}

/* --- registers
 * --------------------------------------------------------------------------------------------------------
 */

/* MDSCR_EL1, DBG*_EL1: the guest need not wait for its ISB. */
WRITE_HOOK(debug_write)
{
	v->arch.sys[row->index] = value;
	vcpu_debug_update(v);
	return vcpu_context_changed(v);
}

/* Of registers n of breakpoints and watchpoints (KVM keeps 16 of each for user space): is the n-th one there? */
static bool guest_has(const struct sysreg_row *row)
{
	unsigned op2 = row->op & 7, n = row->op >> 3 & 0xf;

	return n < (op2 < 6 ? NR_BRPS : NR_WRPS);
}

READ_HOOK(pair_read)
{
	if (!guest_has(row))
		return vcpu_undef(v);
	*value = v->arch.sys[row->index];
	return OP_NEXT;
}

WRITE_HOOK(pair_write)
{
	return guest_has(row) ? debug_write(v, row, value) : vcpu_undef(v);
}

WRITE_HOOK(oslar_write)
{
	u64 *oslsr = &v->arch.sys[SR_OSLAR_EL1];

	(void)row;
	*oslsr = (*oslsr & ~OSLK) | (value & 1 ? OSLK : 0);
	vcpu_debug_update(v);
	return vcpu_context_changed(v);
}

/* Only OSLK may change. */
SET_HOOK(oslsr_set)
{
	u64 *oslsr = &v->arch.sys[row->index];

	if ((value ^ *oslsr) & ~OSLK)
		return -EINVAL;
	*oslsr = value;
	return 0;
}

u32 vcpu_guest_debug_mask(void)
{
	return KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_SW_BP |
	       KVM_GUESTDBG_USE_HW;
}

int vcpu_set_guest_debug(struct vcpu *v, u32 control, const struct kvm_guest_debug_arch *regs)
{
	struct vcpu_debug *d = &v->debug;

	if (control & ~vcpu_guest_debug_mask())
		return -EINVAL;
	/* A VMM that sets software breakpoints rewrites code from outside. */
	v->drop_code = true;
	if (!(control & KVM_GUESTDBG_ENABLE)) {
		d->control = 0;
		d->vmm_pending = false;
		return 0;
	}
	d->control = control;
	if (control & KVM_GUESTDBG_USE_HW) {
		memcpy(d->vmm[0], regs->dbg_bvr, sizeof(d->vmm[0]));
		memcpy(d->vmm[1], regs->dbg_bcr, sizeof(d->vmm[1]));
		memcpy(d->vmm[2], regs->dbg_wvr, sizeof(d->vmm[2]));
		memcpy(d->vmm[3], regs->dbg_wcr, sizeof(d->vmm[3]));
	}
	return 0;
}
