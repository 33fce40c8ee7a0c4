/* SPDX-License-Identifier: MIT */
/* Between the files of vcpu/. */
#ifndef ANYKVM_VCPU_INTERNAL_H
#define ANYKVM_VCPU_INTERNAL_H

#include "vcpu/vcpu.h"

/* exception.c */
void vcpu_update_traps(struct vcpu *v);
void vcpu_set_pstate(struct vcpu *v, u32 pstate);
void vcpu_interrupts_changed(struct vcpu *v);
bool vcpu_interrupt_deliverable(struct vcpu *v);
enum op_result vcpu_illegal_state(struct vcpu *v);
void vcpu_take_step(struct vcpu *v);

/* debug.c */
/* KVM_GUESTDBG_* bits of v->debug_control. */
#define VCPU_DEBUG_ENABLE     BIT(0)
#define VCPU_DEBUG_SINGLESTEP BIT(1)
#define VCPU_DEBUG_SW_BP      BIT(16)
void vcpu_step_after_eret(struct vcpu *v);
int vcpu_run_step(struct vcpu *v);
/*
 * An instruction was completed, or an exception was taken, outside the engine: what was stepped ends
 * here. executed: by the core itself as far as the guest can tell, not emulated (ISS.ISV).
 */
void vcpu_step_finished(struct vcpu *v, bool executed);
/* Whether the VMM's step has ended that way; v->stop.esr is set. */
bool vcpu_step_exit_due(struct vcpu *v);
/* Recomputes v->step from MDSCR_EL1, PSTATE and the VMM's wish. */
void vcpu_step_update(struct vcpu *v);

/* init.c */
int vcpu_prepare(struct vcpu *v);

/* sysreg.c */
void sysreg_reset_all(struct vcpu *v);

/* idregs.c */
void idregs_init(struct vcpu_group *g);

/* tlbi.c: broadcast maintenance, and its completion by DSB (true: something was waited for). */
void maintenance_add(struct vcpu *v, const struct tlb_inval *rec);
void maintenance_post(struct vcpu *v);
bool maintenance_complete(struct vcpu *v);

/* tlbi.c, at.c, cacheops.c: SYS instructions. */
enum op_result sys_tlbi(struct vcpu *v, u16 op, u64 value);
enum op_result sys_at(struct vcpu *v, u16 op, u64 value);
enum op_result sys_cache(struct vcpu *v, u16 op, unsigned rt);

#endif
