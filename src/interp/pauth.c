/* SPDX-License-Identifier: MIT */
/*
 * Pointer authentication. On vCPUs without the feature the hints among these are no-operations and the rest is UNDEFINED:
 * select.c sees to that. Bits of the words: auth (else sign), data (else instruction) and B key.
 */
#include "vcpu/pauth.h"

#include "interp/flags.h"
#include "interp/interp.h"

static ALWAYS_INLINE enum op_result sign_or_check(struct vcpu *v, bool auth, unsigned rd,
						  u64 modifier, enum pauth_key key)
{
	u64 ptr = xr(v, rd);

	if (auth) {
		if (unlikely(!vcpu_aut(v, &ptr, modifier, key)))
			return OP_BRANCH;
	} else {
		ptr = vcpu_pac(v, ptr, modifier, key);
	}
	xw(v, rd, ptr);
	return OP_NEXT;
}

static ALWAYS_INLINE enum pauth_key insn_key(u32 insn, unsigned bit)
{
	return insn >> bit & 1 ? PAUTH_IB : PAUTH_IA;
}

OP(XPACLRI)
{
	xw(v, 30, vcpu_xpac(v, xr(v, 30), false));
	return OP_NEXT;
}

OP(PAUTH_1716)
{
	return sign_or_check(v, insn >> 7 & 1, 17, xr(v, 16), insn_key(insn, 6));
}

OP(PAUTH_LR)
{
	return sign_or_check(v, insn >> 7 & 1, 30, insn >> 5 & 1 ? v->arch.x[REG_SP] : 0,
			     insn_key(insn, 6));
}

OP(PAUTH_REG)
{
	return sign_or_check(v, insn >> 12 & 1, RD(insn), xr_sp(v, RN(insn)),
			     (enum pauth_key)fld(insn, 10, 2));
}

OP(PAUTH_ZERO)
{
	return sign_or_check(v, insn >> 12 & 1, RD(insn), 0, (enum pauth_key)fld(insn, 10, 2));
}

OP(XPAC)
{
	xw(v, RD(insn), vcpu_xpac(v, xr(v, RD(insn)), insn >> 10 & 1));
	return OP_NEXT;
}

OP(PACGA)
{
	xw(v, RD(insn), vcpu_pacga(v, xr(v, RN(insn)), xr_sp(v, RM(insn))));
	return OP_NEXT;
}

static ALWAYS_INLINE enum op_result branch_checked(struct vcpu *v, u32 insn, u64 target,
						   u64 modifier, bool link)
{
	if (unlikely(!vcpu_aut(v, &target, modifier, insn_key(insn, 10))))
		return OP_BRANCH;
	if (link)
		v->arch.x[30] = v->arch.pc + 4;
	v->arch.pc = vcpu_branch_address(v, target);
	return OP_BRANCH;
}

OP(BRA)
{
	return branch_checked(v, insn, xr(v, RN(insn)), xr_sp(v, insn & 31), false);
}

OP(BRA_ZERO)
{
	return branch_checked(v, insn, xr(v, RN(insn)), 0, false);
}

OP(BLRA)
{
	return branch_checked(v, insn, xr(v, RN(insn)), xr_sp(v, insn & 31), true);
}

OP(BLRA_ZERO)
{
	return branch_checked(v, insn, xr(v, RN(insn)), 0, true);
}

OP(RETA)
{
	return branch_checked(v, insn, xr(v, 30), v->arch.x[REG_SP], false);
}

OP(ERETA)
{
	return vcpu_eret_authenticated(v, insn_key(insn, 10));
}

OP(LDRA)
{
	unsigned rn = RN(insn);
	s64 offset = ((s64)((u64)(insn >> 22 & 1) << 63) >> 54 | fld(insn, 12, 9)) * 8;
	u64 base, value;

	if (!base_address(v, rn, &base))
		return vcpu_sp_alignment(v);
	if (unlikely(!vcpu_aut(v, &base, 0, insn >> 23 & 1 ? PAUTH_DB : PAUTH_DA)))
		return OP_BRANCH;
	base += (u64)offset;
	if (!vmem_load(v, base, 8, 0, &value))
		return vmem_result(v);
	if (insn >> 11 & 1)
		xw_sp(v, rn, base);
	xw(v, RT(insn), value);
	return OP_NEXT;
}
