// SPDX-License-Identifier: MIT
/*
 * Debug: the guest's software step (MDSCR_EL1.SS, what Linux's ptrace uses), the OS lock, and the
 * VMM's single step. Breakpoint and watchpoint registers are storage; they match nothing.
 *
 * Software step state (Arm ARM D2.12): inactive; active-not-pending (PSTATE.SS = 1): one
 * instruction is executed, then SS is 0; active-pending (SS = 0): the step exception is taken
 * before the next instruction.
 */
#include <errno.h>

#include "vcpu/internal.h"
#include "vcpu/onereg.h"
#include "vcpu/sysreg_hooks.h"

#define MDSCR_SS  BIT(0)
#define MDSCR_KDE BIT(13)
#define OSLK	  BIT(1)

/* ESR of the exit for a single step of the VMM: software step from a lower EL. */
#define ESR_STEP_EXIT (0x32u << 26 | 1u << 25 | 0x22u)
#define ESR_STEP_ISV  (1u << 24)

static bool guest_step_active(const struct vcpu *v)
{
	u64 mdscr = v->arch.sys[SR_MDSCR_EL1];

	if (likely(!(mdscr & MDSCR_SS)))
		return false;
	if (v->arch.sys[SR_OSLAR_EL1] & OSLK)
		return false;
	return v->arch.el == 0 || ((mdscr & MDSCR_KDE) && !(v->arch.pstate & PSR_D));
}

void vcpu_step_update(struct vcpu *v)
{
	u8 step = (v->debug_control & VCPU_DEBUG_SINGLESTEP) || guest_step_active(v);

	if (step && !v->step)
		a32_store_relaxed(&v->tlb.attention, 1);
	v->step = step;
}

void vcpu_step_after_eret(struct vcpu *v)
{
	/* SPSR.SS is taken over only if stepping is active where the return goes. */
	if (!guest_step_active(v))
		v->arch.pstate &= ~(u32)PSR_SS;
	vcpu_step_update(v);
}

/*
 * In guest mode, v->step set: executes one instruction, or takes the pending step exception. 1: go
 * on, handling v->stop; 0: exit to the VMM with v->stop.esr.
 */
int vcpu_run_step(struct vcpu *v)
{
	bool vmm = v->debug_control & VCPU_DEBUG_SINGLESTEP;
	bool guest = guest_step_active(v);

	if (guest && !vmm && !(v->arch.pstate & PSR_SS)) {
		vcpu_take_step(v);
		v->step_isv = false;
		vcpu_step_update(v);
		return 1;
	}
	v->engine_ops->step(v);
	if (v->stop.kind != STOP_NONE)
		return 1; /* vcpu_step_finished follows, unless the instruction is run again */
	if (guest && guest_step_active(v)) {
		v->arch.pstate &= ~(u32)PSR_SS;
		v->step_isv = true;
	}
	vcpu_step_update(v);
	if (!vmm)
		return 1;
	v->stop.esr = ESR_STEP_EXIT | ESR_STEP_ISV;
	v->stop.far = 0;
	return 0;
}

void vcpu_step_finished(struct vcpu *v, bool executed)
{
	v->arch.pstate &= ~(u32)PSR_SS;
	v->step_isv = executed;
	v->step_exit = v->debug_control & VCPU_DEBUG_SINGLESTEP;
}

bool vcpu_step_exit_due(struct vcpu *v)
{
	if (likely(!v->step_exit))
		return false;
	v->step_exit = false;
	v->stop.esr = ESR_STEP_EXIT;
	v->stop.far = 0;
	return true;
}

WRITE_HOOK(mdscr_write)
{
	v->arch.sys[row->index] = value;
	vcpu_step_update(v);
	return OP_NEXT;
}

WRITE_HOOK(oslar_write)
{
	u64 *oslsr = &v->arch.sys[SR_OSLAR_EL1];

	(void)row;
	*oslsr = (*oslsr & ~OSLK) | (value & 1 ? OSLK : 0);
	vcpu_step_update(v);
	return OP_NEXT;
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
	return (u32)(VCPU_DEBUG_ENABLE | VCPU_DEBUG_SINGLESTEP | VCPU_DEBUG_SW_BP);
}

int vcpu_set_guest_debug(struct vcpu *v, u32 control)
{
	if (control & ~vcpu_guest_debug_mask())
		return -EINVAL;
	v->debug_control = control & VCPU_DEBUG_ENABLE ? control : 0;
	if (!v->debug_control)
		v->step_exit = false;
	/* A VMM that sets software breakpoints rewrites code from outside. */
	v->drop_code = true;
	return 0;
}
