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

#define ESR_IL BIT(25)

/* debug.c */
void vcpu_debug_init(struct vcpu *v);
/* Part of vcpu_reset, after the registers. */
void vcpu_debug_reset(struct vcpu *v);
/* Fills v->run with what v->stop says: 0, the result of KVM_RUN. */
int vcpu_debug_exit(struct vcpu *v);
/* Start and end of KVM_RUN: whose PSTATE.SS it is, and what is in force. */
void vcpu_debug_enter(struct vcpu *v);
void vcpu_debug_leave(struct vcpu *v);
/* A register of debug, or its owner, changed: derives everything in v->debug, and v->step. */
void vcpu_debug_update(struct vcpu *v);
/* PSTATE changed, and v->debug.live is set. True: what engines must look at has changed. */
bool vcpu_debug_here(struct vcpu *v);
/* A step exception is due before the next instruction. */
bool vcpu_step_pending(const struct vcpu *v);
/* Takes it. 1: go on; 0: exit to the VMM with v->stop. */
int vcpu_take_step(struct vcpu *v);
/*
 * In guest mode, v->step set: executes one instruction, or takes the step exception. 1: go on, handling v->stop; 0: exit to the
 * VMM with v->stop.
 */
int vcpu_run_step(struct vcpu *v);
/*
 * An instruction was completed, or an exception was taken, outside the engine: what was stepped ends
 * here. executed: by the core itself as far as the guest can tell, not emulated (ISS.ISV).
 */
void vcpu_step_finished(struct vcpu *v, bool executed);

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
