/* SPDX-License-Identifier: MIT */
/* Branches. A handler sets pc to the target; the loop polls. */
#include "interp/flags.h"
#include "interp/interp.h"

static ALWAYS_INLINE enum op_result branch_by(struct vcpu *v, s64 offset)
{
	v->arch.pc += (u64)offset;
	return OP_BRANCH;
}

/* Arm ARM BranchAddr: with tagged addresses the top byte is not kept in the program counter. */
static ALWAYS_INLINE enum op_result branch_to(struct vcpu *v, u64 target)
{
	u64 top = target >> 55;

	v->arch.pc = likely(top == 0 || top == 0x1ff) ? target : vcpu_branch_address(v, target);
	return OP_BRANCH;
}

OP(B)
{
	return branch_by(v, sfld(insn, 0, 26) * 4);
}

OP(BL)
{
	v->arch.x[30] = v->arch.pc + 4;
	return branch_by(v, sfld(insn, 0, 26) * 4);
}

OP(B_COND)
{
	if (!cond_holds(v->arch.nzcv, insn & 15))
		return OP_NEXT;
	return branch_by(v, sfld(insn, 5, 19) * 4);
}

/* One for each usual condition: chosen at decode time. */
#define B_COND_FAST(name, expr)                             \
	OP_VARIANT(fast_##name)                             \
	{                                                   \
		u32 f = v->arch.nzcv;                       \
                                                            \
		if (!(expr))                                \
			return OP_NEXT;                     \
		return branch_by(v, sfld(insn, 5, 19) * 4); \
	}

B_COND_FAST(B_EQ, f &PSR_Z)
B_COND_FAST(B_NE, !(f & PSR_Z))
B_COND_FAST(B_CS, f &PSR_C)
B_COND_FAST(B_CC, !(f & PSR_C))
B_COND_FAST(B_MI, f &PSR_N)
B_COND_FAST(B_PL, !(f & PSR_N))
B_COND_FAST(B_HI, (f & (PSR_C | PSR_Z)) == PSR_C)
B_COND_FAST(B_LS, (f & (PSR_C | PSR_Z)) != PSR_C)
B_COND_FAST(B_GE, !((f ^ f << 3) & PSR_N))
B_COND_FAST(B_LT, (f ^ f << 3) & PSR_N)
B_COND_FAST(B_GT, !(((f ^ f << 3) & PSR_N) | (f & PSR_Z)))
B_COND_FAST(B_LE, ((f ^ f << 3) & PSR_N) | (f & PSR_Z))

OP(CBZ32)
{
	return wr(v, RT(insn)) ? OP_NEXT : branch_by(v, sfld(insn, 5, 19) * 4);
}

OP(CBZ64)
{
	return xr(v, RT(insn)) ? OP_NEXT : branch_by(v, sfld(insn, 5, 19) * 4);
}

OP(CBNZ32)
{
	return wr(v, RT(insn)) ? branch_by(v, sfld(insn, 5, 19) * 4) : OP_NEXT;
}

OP(CBNZ64)
{
	return xr(v, RT(insn)) ? branch_by(v, sfld(insn, 5, 19) * 4) : OP_NEXT;
}

static ALWAYS_INLINE bool tested_bit(const struct vcpu *v, u32 insn)
{
	return xr(v, RT(insn)) >> ((insn >> 26 & 32) | fld(insn, 19, 5)) & 1;
}

OP(TBZ)
{
	return tested_bit(v, insn) ? OP_NEXT : branch_by(v, sfld(insn, 5, 14) * 4);
}

OP(TBNZ)
{
	return tested_bit(v, insn) ? branch_by(v, sfld(insn, 5, 14) * 4) : OP_NEXT;
}

OP(BR)
{
	return branch_to(v, xr(v, RN(insn)));
}

OP(BLR)
{
	u64 target = xr(v, RN(insn));

	v->arch.x[30] = v->arch.pc + 4;
	return branch_to(v, target);
}

OP(RET)
{
	return branch_to(v, xr(v, RN(insn)));
}
