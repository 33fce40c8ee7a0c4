/* SPDX-License-Identifier: MIT */
/* Exceptions, hints, barriers, PSTATE and system registers. What they do is in vcpu/. */
#include "interp/interp.h"

static ALWAYS_INLINE u16 imm16(u32 insn)
{
	return (u16)fld(insn, 5, 16);
}

OP(UDF)
{
	return vcpu_undef(v);
}

OP(SVC)
{
	return vcpu_svc(v, imm16(insn));
}

OP(HVC)
{
	return vcpu_hvc(v, imm16(insn));
}

OP(SMC)
{
	return vcpu_smc(v, imm16(insn));
}

OP(BRK)
{
	return vcpu_brk(v, imm16(insn));
}

/* Halting debug is off, and there is no Debug state to leave. */
OP(HLT)
{
	return vcpu_undef(v);
}

OP(DCPS1)
{
	return vcpu_undef(v);
}

OP(DCPS2)
{
	return vcpu_undef(v);
}

OP(DCPS3)
{
	return vcpu_undef(v);
}

OP(DRPS)
{
	return vcpu_undef(v);
}

OP(ERET)
{
	return vcpu_eret(v);
}

OP(HINT)
{
	return OP_NEXT;
}

OP(ESB)
{
	return vcpu_esb(v);
}

OP(WFE)
{
	return vcpu_wfe(v);
}

OP(WFI)
{
	return vcpu_wfi(v);
}

OP(SEV)
{
	vcpu_send_event(v, true);
	return OP_NEXT;
}

OP(SEVL)
{
	vcpu_send_event(v, false);
	return OP_NEXT;
}

OP(CLREX)
{
	v->arch.excl.size = 0;
	return OP_NEXT;
}

OP(DSB)
{
	return vcpu_dsb(v, fld(insn, 8, 4));
}

OP(DMB)
{
	/* Pairs with the ordered accesses and barriers of the other vCPU threads. */
	fence_full();
	return OP_NEXT;
}

OP(ISB)
{
	return vcpu_isb(v);
}

/* Nothing here is speculative. */
OP(SB)
{
	return OP_NEXT;
}

static ALWAYS_INLINE enum op_result msr_imm(struct vcpu *v, u32 insn)
{
	return vcpu_msr_imm(v, fld(insn, 16, 3), fld(insn, 5, 3), fld(insn, 8, 4));
}

OP(MSR_UAO)
{
	return msr_imm(v, insn);
}

OP(MSR_PAN)
{
	return msr_imm(v, insn);
}

OP(MSR_SPSEL)
{
	return msr_imm(v, insn);
}

OP(MSR_SSBS)
{
	return msr_imm(v, insn);
}

OP(MSR_DIT)
{
	return msr_imm(v, insn);
}

OP(MSR_DAIFSET)
{
	return msr_imm(v, insn);
}

OP(MSR_DAIFCLR)
{
	return msr_imm(v, insn);
}

/* op0:op1:CRn:CRm:op2 as it stands in the word. */
static ALWAYS_INLINE u16 sysreg_op(u32 insn)
{
	return (u16)fld(insn, 5, 16);
}

OP(MRS)
{
	return vcpu_sysreg_read(v, sysreg_op(insn), RT(insn));
}

OP(MSR_REG)
{
	return vcpu_sysreg_write(v, sysreg_op(insn), RT(insn));
}

OP(SYS)
{
	return vcpu_sys_insn(v, sysreg_op(insn), RT(insn));
}

/* No SYSL encoding is implemented. */
OP(SYSL)
{
	return vcpu_undef(v);
}
