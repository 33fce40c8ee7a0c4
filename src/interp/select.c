/* SPDX-License-Identifier: MIT */
/*
 * Handler of a word, chosen once when it is decoded: the table line's own, or a variant that leaves out what the fields rule
 * out (SP as a register, a shift by 0, a condition that is constant).
 */
#include "interp/select.h"

/* clang-format does not settle on a layout of these lists. */
/* clang-format off */
static op_fn *const handlers[NR_A64_OPS] = {
	[A64_UNALLOCATED] = op_unallocated,
#define OP_ENTRY(name) [A64_##name] = op_##name,
	A64_FOR_EACH_OP(OP_ENTRY)
#undef OP_ENTRY
};

OP(unallocated)
{
	return vcpu_undef(v);
}

#define FAST_ADD(X)                                                                                \
	X(ADD_REG32) X(ADD_REG64) X(ADDS_REG32) X(ADDS_REG64) X(SUB_REG32) X(SUB_REG64)            \
	X(SUBS_REG32) X(SUBS_REG64)
#define FAST_LOGIC(X)                                                                              \
	X(AND_REG32) X(AND_REG64) X(BIC_REG32) X(BIC_REG64) X(ORR_REG32) X(ORR_REG64)              \
	X(ORN_REG32) X(ORN_REG64) X(EOR_REG32) X(EOR_REG64) X(EON_REG32) X(EON_REG64)              \
	X(ANDS_REG32) X(ANDS_REG64) X(BICS_REG32) X(BICS_REG64)
#define FAST_ADD_IMM(X)                                                                            \
	X(ADD_IMM32) X(ADD_IMM64) X(SUB_IMM32) X(SUB_IMM64) X(SUBS_IMM32) X(SUBS_IMM64)
#define FAST_LDST(X)                                                                               \
	X(STRB) X(STRH) X(STR32) X(STR64) X(LDRB) X(LDRH) X(LDR32) X(LDR64) X(LDRSB32)             \
	X(LDRSB64) X(LDRSH32) X(LDRSH64) X(LDRSW)
#define FAST_COND(X)                                                                               \
	X(EQ, 0) X(NE, 1) X(CS, 2) X(CC, 3) X(MI, 4) X(PL, 5) X(HI, 8) X(LS, 9) X(GE, 10)          \
	X(LT, 11) X(GT, 12) X(LE, 13)
/* clang-format on */

#define DECLARE(name)		 op_fn op_fast_##name;
#define DECLARE_LDST(name)	 op_fn op_fast_##name##_UIMM;
#define DECLARE_COND(name, cond) op_fn op_fast_B_##name;
FAST_ADD(DECLARE)
FAST_LOGIC(DECLARE)
FAST_ADD_IMM(DECLARE)
FAST_LDST(DECLARE_LDST)
FAST_COND(DECLARE_COND)
op_fn op_fast_CMP_IMM32, op_fast_CMP_IMM64, op_fast_CMP_REG32, op_fast_CMP_REG64;
op_fn op_fast_MOV32, op_fast_MOV64;

static op_fn *const cond_handlers[16] = {
#define COND_ENTRY(name, cond) [cond] = op_fast_B_##name,
	FAST_COND(COND_ENTRY)};

/* Hint space: what is not implemented there does nothing. */
static bool is_hint(u32 insn)
{
	return (insn & 0xfffff01f) == 0xd503201f;
}

op_fn *interp_select(u32 insn, u32 absent)
{
	enum a64_op op = a64_decode(insn);
	bool unshifted = !(insn & 0xfc00);

	if (unlikely(absent >> a64_feature[op] & 1))
		return is_hint(insn) ? op_HINT : op_unallocated;

	/* Loads and stores first: the base is not SP. */
	switch (op) {
#define CASE_LDST(name)         \
	case A64_##name##_UIMM: \
		return RN(insn) != 31 ? op_fast_##name##_UIMM : op_##name##_UIMM;
		FAST_LDST(CASE_LDST)
	default:
		break;
	}
	switch (op) {
	case A64_SUBS_IMM32:
		if (RD(insn) == 31 && RN(insn) != 31 && !(insn >> 22 & 1))
			return op_fast_CMP_IMM32;
		break;
	case A64_SUBS_IMM64:
		if (RD(insn) == 31 && RN(insn) != 31 && !(insn >> 22 & 1))
			return op_fast_CMP_IMM64;
		break;
	case A64_SUBS_REG32:
		if (RD(insn) == 31 && unshifted)
			return op_fast_CMP_REG32;
		break;
	case A64_SUBS_REG64:
		if (RD(insn) == 31 && unshifted)
			return op_fast_CMP_REG64;
		break;
	case A64_ORR_REG32:
		if (RN(insn) == 31 && unshifted)
			return op_fast_MOV32;
		break;
	case A64_ORR_REG64:
		if (RN(insn) == 31 && unshifted)
			return op_fast_MOV64;
		break;
	case A64_B_COND:
		if (cond_handlers[insn & 15])
			return cond_handlers[insn & 15];
		break;
	default:
		break;
	}
	switch (op) {
#define CASE_REG(name)   \
	case A64_##name: \
		return unshifted ? op_fast_##name : op_##name;
		FAST_ADD(CASE_REG)
		FAST_LOGIC(CASE_REG)
#define CASE_IMM(name)                                                                        \
	case A64_##name:                                                                      \
		return RD(insn) != 31 && RN(insn) != 31 && !(insn >> 22 & 1) ? op_fast_##name \
									     : op_##name;
		FAST_ADD_IMM(CASE_IMM)
	default:
		return handlers[op];
	}
}
