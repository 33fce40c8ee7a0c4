/* SPDX-License-Identifier: MIT */
/*
 * Loads and stores of one general register. The base register is updated after the access succeeded. Where the architecture
 * leaves writeback to the transfer register open, a store writes the old value and a load is overwritten by the new base.
 */
#include "interp/ldst.h"

enum ldst_form { UIMM, FAST_UIMM, UNSCALED, UNPRIV, POST, PRE, REG };

static ALWAYS_INLINE enum op_result ldst(struct vcpu *v, u32 insn, enum ldst_form form, bool store,
					 unsigned scale, bool sext, bool sf)
{
	u32 acc = ACC_GPR(RT(insn), sext, sf);
	unsigned size = 1u << scale;
	u64 va, next = 0, x;

	if (form == FAST_UIMM)
		va = v->arch.x[RN(insn)];
	else if (!base_address(v, RN(insn), &va))
		return vcpu_sp_alignment(v);
	switch (form) {
	case UIMM:
	case FAST_UIMM:
		va += (u64)fld(insn, 10, 12) << scale;
		break;
	case UNPRIV:
		acc |= ACC_UNPRIV;
		va += (u64)sfld(insn, 12, 9);
		break;
	case UNSCALED:
		va += (u64)sfld(insn, 12, 9);
		break;
	case POST:
		acc = 0;
		next = va + (u64)sfld(insn, 12, 9);
		break;
	case PRE:
		acc = 0;
		va += (u64)sfld(insn, 12, 9);
		next = va;
		break;
	case REG:
		va += reg_offset(v, insn, scale);
		break;
	}
	if (store) {
		if (!vmem_store(v, va, size, acc, xr(v, RT(insn))))
			return vmem_result(v);
	} else {
		if (!vmem_load(v, va, size, acc, &x))
			return vmem_result(v);
		xw(v, RT(insn), extend_loaded(x, size, sext, sf));
	}
	if (form == POST || form == PRE)
		xw_sp(v, RN(insn), next);
	return OP_NEXT;
}

#define LDST_FORM(name, form, ...)                       \
	OP_VARIANT(name)                                 \
	{                                                \
		return ldst(v, insn, form, __VA_ARGS__); \
	}

/* fast_: base register below 31; chosen at decode time. */
#define LDST(name, ...)                                       \
	LDST_FORM(name##_UIMM, UIMM, __VA_ARGS__)             \
	LDST_FORM(fast_##name##_UIMM, FAST_UIMM, __VA_ARGS__) \
	LDST_FORM(name##_UNSCALED, UNSCALED, __VA_ARGS__)     \
	LDST_FORM(name##_UNPRIV, UNPRIV, __VA_ARGS__)         \
	LDST_FORM(name##_POST, POST, __VA_ARGS__)             \
	LDST_FORM(name##_PRE, PRE, __VA_ARGS__)               \
	LDST_FORM(name##_REG, REG, __VA_ARGS__)

LDST(STRB, true, 0, false, false)
LDST(STRH, true, 1, false, false)
LDST(STR32, true, 2, false, false)
LDST(STR64, true, 3, false, true)
LDST(LDRB, false, 0, false, false)
LDST(LDRH, false, 1, false, false)
LDST(LDR32, false, 2, false, false)
LDST(LDR64, false, 3, false, true)
LDST(LDRSB32, false, 0, true, false)
LDST(LDRSB64, false, 0, true, true)
LDST(LDRSH32, false, 1, true, false)
LDST(LDRSH64, false, 1, true, true)
LDST(LDRSW, false, 2, true, true)

static ALWAYS_INLINE enum op_result load_literal(struct vcpu *v, u32 insn, unsigned size, bool sext,
						 bool sf)
{
	u64 va = v->arch.pc + (u64)(sfld(insn, 5, 19) * 4), x;

	if (!vmem_load(v, va, size, ACC_GPR(RT(insn), sext, sf), &x))
		return vmem_result(v);
	xw(v, RT(insn), extend_loaded(x, size, sext, sf));
	return OP_NEXT;
}

OP(LDR_LIT32)
{
	return load_literal(v, insn, 4, false, false);
}

OP(LDR_LIT64)
{
	return load_literal(v, insn, 8, false, true);
}

OP(LDRSW_LIT)
{
	return load_literal(v, insn, 4, true, true);
}

/* A prefetch never faults and has no effect; SP alignment is not checked. */
OP(PRFM_LIT)
{
	return OP_NEXT;
}

OP(PRFM_UIMM)
{
	return OP_NEXT;
}

OP(PRFM_UNSCALED)
{
	return OP_NEXT;
}

OP(PRFM_REG)
{
	return OP_NEXT;
}

#define ORDERED(suffix, size, sf)                                                               \
	OP(LDAR##suffix)                                                                        \
	{                                                                                       \
		return load_ordered(v, insn, size, sf);                                         \
	}                                                                                       \
	OP(LDAPR##suffix)                                                                       \
	{                                                                                       \
		return load_ordered(v, insn, size, sf);                                         \
	}                                                                                       \
	OP(STLR##suffix)                                                                        \
	{                                                                                       \
		u64 va;                                                                         \
                                                                                                \
		if (!base_address(v, RN(insn), &va))                                            \
			return vcpu_sp_alignment(v);                                            \
		if (!store_release(v, va, size, ACC_GPR(RT(insn), false, sf), xr(v, RT(insn)))) \
			return vmem_result(v);                                                  \
		return OP_NEXT;                                                                 \
	}

static ALWAYS_INLINE enum op_result load_ordered(struct vcpu *v, u32 insn, unsigned size, bool sf)
{
	u64 va, x;

	if (!base_address(v, RN(insn), &va))
		return vcpu_sp_alignment(v);
	if (!load_acquire(v, va, size, ACC_GPR(RT(insn), false, sf), &x))
		return vmem_result(v);
	xw(v, RT(insn), x);
	return OP_NEXT;
}

ORDERED(8, 1, false)
ORDERED(16, 2, false)
ORDERED(32, 4, false)
ORDERED(64, 8, true)
