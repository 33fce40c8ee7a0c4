// SPDX-License-Identifier: MIT
/* Exception entry and return at EL0 and EL1, AArch64 only (Arm ARM D1). */
#include "base/bug.h"
#include "vcpu/translate.h"
#include "vcpu/sysreg.h"
#include "vcpu/internal.h"
#include "vcpu/pauth.h"

#define EC_UNKNOWN  0x00u
#define EC_WFX	    0x01u
#define EC_FP	    0x07u
#define EC_ILLEGAL  0x0eu
#define EC_SVC64    0x15u
#define EC_IABT_LOW 0x20u
#define EC_PC_ALIGN 0x22u
#define EC_DABT_LOW 0x24u
#define EC_SP_ALIGN 0x26u
#define EC_SERROR   0x2fu

/* What SPSR_EL1 can hold: the PSTATE bits of the features that exist. */
#define SPSR_VALID                                                                       \
	(PSR_N | PSR_Z | PSR_C | PSR_V | PSR_DIT | PSR_UAO | PSR_PAN | PSR_SS | PSR_IL | \
	 PSR_SSBS | PSR_D | PSR_A | PSR_I | PSR_F | 0x1f)

enum vector { VECTOR_SYNC = 0x000, VECTOR_IRQ = 0x080, VECTOR_FIQ = 0x100, VECTOR_SERROR = 0x180 };

static unsigned sp_bank(u32 pstate)
{
	return pstate & PSR_SP ? pstate >> PSR_EL_SHIFT & 3 : 0;
}

/* Traps that depend on the EL and its controls. */
void vcpu_update_traps(struct vcpu *v)
{
	unsigned fpen = v->arch.sys[SR_CPACR_EL1] >> 20 & 3;
	u64 sctlr = v->arch.sys[SR_SCTLR_EL1];

	v->arch.fp_trap = !(fpen == 3 || (fpen == 1 && v->arch.el));
	v->arch.sp_check = !!(sctlr & (v->arch.el ? SCTLR_SA : SCTLR_SA0));
}

/* Everything in PSTATE but NZCV, with what depends on EL, SP select and PAN. */
void vcpu_set_pstate(struct vcpu *v, u32 pstate)
{
	struct vcpu_arch *a = &v->arch;
	u32 changed = a->pstate ^ pstate;
	unsigned from = sp_bank(a->pstate), to = sp_bank(pstate);

	if (unlikely(v->counting) && (changed & (3u << PSR_EL_SHIFT)))
		v->irq_ops->count(v, false);
	a->pstate = pstate;
	a->el = pstate >> PSR_EL_SHIFT & 3;
	if (from != to) {
		a->sp_el[from] = a->x[REG_SP];
		a->x[REG_SP] = a->sp_el[to];
	}
	if (changed & (3u << PSR_EL_SHIFT))
		vcpu_update_traps(v);
	if (changed & (3u << PSR_EL_SHIFT | (u32)PSR_PAN))
		vtlb_switch_el(v);
	if (unlikely(v->debug.live))
		vcpu_debug_here(v);
	vcpu_interrupts_changed(v);
}

/* After masks changed: have the next poll look if something is now deliverable. */
void vcpu_interrupts_changed(struct vcpu *v)
{
	if (unlikely(vcpu_interrupt_deliverable(v)))
		a32_store_relaxed(&v->tlb.attention, 1);
}

bool vcpu_interrupt_deliverable(struct vcpu *v)
{
	u32 pins = a32_load_relaxed(&v->pins);

	return ((pins & BIT(PIN_IRQ)) && !(v->arch.pstate & PSR_I)) ||
	       ((pins & BIT(PIN_FIQ)) && !(v->arch.pstate & PSR_F)) ||
	       (v->events.serror_pending && !(v->arch.pstate & PSR_A));
}

static void take_exception(struct vcpu *v, enum vector vector, u64 ret)
{
	struct vcpu_arch *a = &v->arch;
	u64 sctlr = a->sys[SR_SCTLR_EL1];
	u32 old = a->pstate, new;
	u64 offset = vector;

	BUG_ON(a->el > 1);
	v->tally[TALLY_EXCEPTION]++;
	if (a->el == 0)
		offset += 0x400;
	else if (old & PSR_SP)
		offset += 0x200;
	a->sys[SR_SPSR_EL1] = old | a->nzcv;
	a->sys[SR_ELR_EL1] = ret;
	new = (old & (u32)(PSR_PAN | PSR_DIT)) | (u32)(PSR_D | PSR_A | PSR_I | PSR_F) |
	      1u << PSR_EL_SHIFT | (u32)PSR_SP;
	if (!(sctlr & SCTLR_SPAN))
		new |= PSR_PAN;
	if (sctlr & SCTLR_DSSBS)
		new |= PSR_SSBS;
	vcpu_set_pstate(v, new & ~v->absent.pstate);
	a->pc = (a->sys[SR_VBAR_EL1] & ~0x7ffull) + offset;
	v->vtlb.generation++;
}

enum op_result vcpu_raise_between(struct vcpu *v, u32 ec, u32 iss)
{
	v->arch.sys[SR_ESR_EL1] = (u64)ec << 26 | ESR_IL | iss;
	take_exception(v, VECTOR_SYNC, v->arch.pc);
	return OP_BRANCH;
}

enum op_result vcpu_raise(struct vcpu *v, u32 ec, u32 iss)
{
	vcpu_raise_between(v, ec, iss);
	v->not_retired++;
	return OP_BRANCH;
}

enum op_result vcpu_undef(struct vcpu *v)
{
	return vcpu_raise(v, EC_UNKNOWN, 0);
}

enum op_result vcpu_svc(struct vcpu *v, u16 imm)
{
	v->arch.sys[SR_ESR_EL1] = (u64)EC_SVC64 << 26 | ESR_IL | imm;
	if (unlikely(v->counting))
		v->irq_ops->count(v, true);
	/* Executed whole: a software step of it is pending when the handler returns. */
	v->arch.pstate &= ~(u32)PSR_SS;
	take_exception(v, VECTOR_SYNC, v->arch.pc + 4);
	return OP_BRANCH;
}

enum op_result vcpu_hvc(struct vcpu *v, u16 imm)
{
	if (v->arch.el == 0)
		return vcpu_undef(v);
	v->arch.pc += 4;
	v->stop.kind = STOP_HVC;
	v->stop.imm = imm;
	return OP_STOP;
}

enum op_result vcpu_smc(struct vcpu *v, u16 imm)
{
	if (v->arch.el == 0)
		return vcpu_undef(v);
	v->stop.kind = STOP_SMC;
	v->stop.imm = imm;
	return OP_STOP;
}

u64 vcpu_branch_address(const struct vcpu *v, u64 target)
{
	u64 tcr = v->arch.sys[SR_TCR_EL1];

	if (mmu_ignores_top_byte(tcr, target >> 55 & 1, true))
		return (u64)sign_extend(target, 56);
	return target;
}

static enum op_result eret_to(struct vcpu *v, u64 target)
{
	struct vcpu_arch *a = &v->arch;
	u64 spsr = a->sys[SR_SPSR_EL1];
	u32 mode = spsr & 0x1f, keep = (u32)(PSR_PAN | PSR_D | PSR_A | PSR_I | PSR_F);
	bool stepping = v->step;

	v->tally[TALLY_EXCEPTION_RETURN]++;
	if (unlikely(v->counting))
		v->irq_ops->count(v, true);
	a->excl.size = 0;
	a->nzcv = (u32)spsr & (u32)(PSR_N | PSR_Z | PSR_C | PSR_V);
	if (mode != 0 && mode != 4 && mode != 5) {
		/* Illegal return: EL and SP stay, masks come from the SPSR, the target raises
		 * Illegal Execution State. */
		a->pc = target;
		vcpu_set_pstate(v, (a->pstate & ~keep) | ((u32)spsr & keep) | (u32)PSR_IL);
		return vcpu_raise_between(v, EC_ILLEGAL, 0);
	}
	vcpu_set_pstate(v, (u32)spsr & (u32)SPSR_VALID &
				   ~((u32)(PSR_N | PSR_Z | PSR_C | PSR_V) | v->absent.pstate));
	/* SPSR.SS is taken over only by a return into stepping that does not come from it. */
	if (stepping || !v->step)
		a->pstate &= ~(u32)PSR_SS;
	a->pc = vcpu_branch_address(v, target);
	if (unlikely(a->pstate & PSR_IL))
		return vcpu_raise_between(v, EC_ILLEGAL, 0);
	return OP_BRANCH;
}

enum op_result vcpu_eret(struct vcpu *v)
{
	return v->arch.el ? eret_to(v, v->arch.sys[SR_ELR_EL1]) : vcpu_undef(v);
}

enum op_result vcpu_eret_authenticated(struct vcpu *v, enum pauth_key key)
{
	u64 target = v->arch.sys[SR_ELR_EL1];

	if (v->arch.el == 0)
		return vcpu_undef(v);
	return vcpu_aut(v, &target, v->arch.x[REG_SP], key) ? eret_to(v, target) : OP_BRANCH;
}

enum op_result vcpu_illegal_state(struct vcpu *v)
{
	return vcpu_raise_between(v, EC_ILLEGAL, 0);
}

enum op_result vcpu_fp_access_trap(struct vcpu *v)
{
	/* ISS: CV = 1, COND = 0b1110, as for every A64 instruction. */
	return vcpu_raise(v, EC_FP, 1u << 24 | 0xeu << 20);
}

enum op_result vcpu_pc_alignment(struct vcpu *v)
{
	v->arch.sys[SR_FAR_EL1] = v->arch.pc;
	return vcpu_raise(v, EC_PC_ALIGN, 0);
}

enum op_result vcpu_sp_alignment(struct vcpu *v)
{
	return vcpu_raise(v, EC_SP_ALIGN, 0);
}

static enum op_result wait_insn(struct vcpu *v, u64 not_trapped, bool wfe)
{
	if (v->arch.el == 0 && !(v->arch.sys[SR_SCTLR_EL1] & not_trapped))
		return vcpu_raise(v, EC_WFX, 1u << 24 | 0xeu << 20 | wfe);
	if (wfe && a32_load_relaxed(&v->event)) {
		a32_store_relaxed(&v->event, 0);
		return OP_NEXT;
	}
	v->arch.pc += 4;
	v->stop.kind = wfe ? STOP_WFE : STOP_WFI;
	return OP_STOP;
}

enum op_result vcpu_wfi(struct vcpu *v)
{
	return wait_insn(v, SCTLR_NTWI, false);
}

enum op_result vcpu_wfe(struct vcpu *v)
{
	return wait_insn(v, SCTLR_NTWE, true);
}

void vcpu_data_abort(struct vcpu *v, u64 va, u32 iss, bool ext)
{
	u32 ec = EC_DABT_LOW + (v->arch.el ? 1 : 0);

	(void)ext; /* EA is IMPLEMENTATION DEFINED and 0, as KVM injects it */
	v->arch.sys[SR_FAR_EL1] = va;
	vcpu_raise(v, ec, iss);
}

void vcpu_insn_abort(struct vcpu *v, u64 va, u32 iss)
{
	u32 ec = EC_IABT_LOW + (v->arch.el ? 1 : 0);

	v->arch.sys[SR_FAR_EL1] = va;
	vcpu_raise(v, ec, iss);
}

void vcpu_serror(struct vcpu *v, u32 iss)
{
	v->arch.sys[SR_ESR_EL1] = (u64)EC_SERROR << 26 | ESR_IL | iss;
	take_exception(v, VECTOR_SERROR, v->arch.pc);
}

bool vcpu_take_interrupt(struct vcpu *v)
{
	struct vcpu_arch *a = &v->arch;
	u32 pins;

	if (v->events.serror_pending && !(a->pstate & PSR_A)) {
		v->events.serror_pending = false;
		vcpu_serror(v, (u32)v->events.serror_esr);
		return true;
	}
	pins = a32_load_relaxed(&v->pins);
	if ((pins & BIT(PIN_FIQ)) && !(a->pstate & PSR_F)) {
		take_exception(v, VECTOR_FIQ, a->pc);
		return true;
	}
	if ((pins & BIT(PIN_IRQ)) && !(a->pstate & PSR_I)) {
		take_exception(v, VECTOR_IRQ, a->pc);
		v->stats.irq_exits++;
		return true;
	}
	return false;
}

enum op_result vcpu_context_changed(struct vcpu *v)
{
	v->arch.pc += 4;
	v->vtlb.generation++;
	return OP_BRANCH;
}
