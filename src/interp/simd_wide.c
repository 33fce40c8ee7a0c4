/* SPDX-License-Identifier: MIT */
/* AdvSIMD integer with operands and results of different widths: long, wide, narrowing; shifts that
 * widen or narrow. */
#include "interp/simd_elem.h"

/* a and b are narrow elements (a is wide for SADDW and the like), d and the result are wide: size s
 * + 1. */
typedef u64 long_fn(unsigned s, u64 d, u64 a, u64 b, bool *q);

static ALWAYS_INLINE enum op_result long_run(struct vcpu *v, u32 insn, unsigned first, unsigned n,
					     const union vreg *b, bool a_wide, long_fn *fn)
{
	const union vreg *a = &v->arch.v[RN(insn)], *d = &v->arch.v[RD(insn)];
	unsigned s = INSN_SIZE(insn);
	union vreg r = {0};
	bool q = false;

	for (unsigned i = 0; i < n; i++)
		elem_set(&r, s + 1, i,
			 fn(s, elem_get(d, s + 1, i),
			    a_wide ? elem_get(a, s + 1, i) : elem_get(a, s, first + i),
			    elem_get(b, s, first + i), &q));
	v->arch.v[RD(insn)] = r;
	if (unlikely(q))
		v->arch.fpsr |= FPSR_QC;
	return OP_NEXT;
}

/* The narrow elements come from the upper half if Q. */
static ALWAYS_INLINE enum op_result long_vector(struct vcpu *v, u32 insn, const union vreg *b,
						bool a_wide, long_fn *fn)
{
	unsigned n = 8u >> INSN_SIZE(insn);

	return long_run(v, insn, INSN_Q(insn) ? n : 0, n, b, a_wide, fn);
}

#define LONG_AS(name, a_wide, expr)                                                  \
	static inline u64 e_##name(unsigned s, u64 d, u64 a, u64 b, bool *q)         \
	{                                                                            \
		return expr;                                                         \
	}                                                                            \
	OP(name##_V)                                                                 \
	{                                                                            \
		FP_ACCESS_CHECK(v);                                                  \
		return long_vector(v, insn, &v->arch.v[RM(insn)], a_wide, e_##name); \
	}
#define LONG(name, expr) LONG_AS(name, false, expr)
#define WIDE(name, expr) LONG_AS(name, true, expr)
#define OP_INDEXED(name)                                                  \
	OP(name##_VX)                                                     \
	{                                                                 \
		union vreg b = indexed_operand(v, insn, INSN_SIZE(insn)); \
		FP_ACCESS_CHECK(v);                                       \
		return long_vector(v, insn, &b, false, e_##name);         \
	}
#define OP_SCALAR(name)                                                                \
	OP(name##_S)                                                                   \
	{                                                                              \
		FP_ACCESS_CHECK(v);                                                    \
		return long_run(v, insn, 0, 1, &v->arch.v[RM(insn)], false, e_##name); \
	}                                                                              \
	OP(name##_SX)                                                                  \
	{                                                                              \
		union vreg b = indexed_operand(v, insn, INSN_SIZE(insn));              \
		FP_ACCESS_CHECK(v);                                                    \
		return long_run(v, insn, 0, 1, &b, false, e_##name);                   \
	}

static inline u64 abs_diff(s64 a, s64 b)
{
	return (u64)(a > b ? a - b : b - a);
}

/* 2ab, saturated to the wide size. */
static inline u64 doubling_long(unsigned s, u64 a, u64 b, bool *q)
{
	return sat_signed(s + 1, 2 * (s128)SX(s, a) * SX(s, b), q);
}

LONG(SADDL, (u64)(SX(s, a) + SX(s, b)))
LONG(UADDL, a + b)
LONG(SSUBL, (u64)(SX(s, a) - SX(s, b)))
LONG(USUBL, a - b)
WIDE(SADDW, a + (u64)SX(s, b))
WIDE(UADDW, a + b)
WIDE(SSUBW, a - (u64)SX(s, b))
WIDE(USUBW, a - b)
LONG(SABDL, abs_diff(SX(s, a), SX(s, b)))
LONG(UABDL, abs_diff((s64)a, (s64)b))
LONG(SABAL, d + abs_diff(SX(s, a), SX(s, b)))
LONG(UABAL, d + abs_diff((s64)a, (s64)b))
LONG(SMULL, (u64)(SX(s, a) * SX(s, b)))
LONG(UMULL, a *b)
LONG(SMLAL, d + (u64)(SX(s, a) * SX(s, b)))
LONG(UMLAL, d + a * b)
LONG(SMLSL, d - (u64)(SX(s, a) * SX(s, b)))
LONG(UMLSL, d - a * b)
LONG(SQDMULL, doubling_long(s, a, b, q))
LONG(SQDMLAL, sat_signed(s + 1, (s128)SX(s + 1, d) + (s64)doubling_long(s, a, b, q), q))
LONG(SQDMLSL, sat_signed(s + 1, (s128)SX(s + 1, d) - (s64)doubling_long(s, a, b, q), q))
OP_INDEXED(SMULL)
OP_INDEXED(UMULL)
OP_INDEXED(SMLAL)
OP_INDEXED(UMLAL)
OP_INDEXED(SMLSL)
OP_INDEXED(UMLSL)
OP_INDEXED(SQDMULL)
OP_INDEXED(SQDMLAL)
OP_INDEXED(SQDMLSL)
OP_SCALAR(SQDMULL)
OP_SCALAR(SQDMLAL)
OP_SCALAR(SQDMLSL)

OP(PMULL8_V)
{
	const union vreg *a = &v->arch.v[RN(insn)], *b = &v->arch.v[RM(insn)];
	unsigned first = INSN_Q(insn) ? 8 : 0;
	union vreg r;

	FP_ACCESS_CHECK(v);
	for (unsigned i = 0; i < 8; i++)
		r.h[i] = (u16)poly_mul8(a->b[first + i], b->b[first + i]);
	v->arch.v[RD(insn)] = r;
	return OP_NEXT;
}

/* --- high half of a sum, narrowed
 * ---------------------------------------------------------------------------------------- */

/* Puts 64 bits of narrow results into the half that Q chooses; the lower half form clears the rest.
 */
static ALWAYS_INLINE void put_narrow(struct vcpu *v, u32 insn, u64 half)
{
	if (INSN_Q(insn))
		v->arch.v[RD(insn)].d[1] = half;
	else
		vreg_set_scalar(v, RD(insn), half);
}

static enum op_result high_narrow(struct vcpu *v, u32 insn, bool subtract, bool round)
{
	const union vreg *a = &v->arch.v[RN(insn)], *b = &v->arch.v[RM(insn)];
	unsigned s = INSN_SIZE(insn), esize = 8u << s;
	union vreg r;

	for (unsigned i = 0; i < 8u >> s; i++) {
		u64 x = elem_get(a, s + 1, i), y = elem_get(b, s + 1, i);

		x = subtract ? x - y : x + y;
		if (round)
			x += 1ull << (esize - 1);
		elem_set(&r, s, i, x >> esize);
	}
	put_narrow(v, insn, r.d[0]);
	return OP_NEXT;
}

#define OP_HIGH_NARROW(name, subtract, round)                 \
	OP(name)                                              \
	{                                                     \
		FP_ACCESS_CHECK(v);                           \
		return high_narrow(v, insn, subtract, round); \
	}

OP_HIGH_NARROW(ADDHN_V, false, false)
OP_HIGH_NARROW(RADDHN_V, false, true)
OP_HIGH_NARROW(SUBHN_V, true, false)
OP_HIGH_NARROW(RSUBHN_V, true, true)

/* --- narrowing of one operand, with a right shift
 * ------------------------------------------------------------------------ */

/* a is wide (size s + 1), the result has size s. */
typedef u64 narrow_fn(unsigned s, u64 a, unsigned shift, bool *q);

static ALWAYS_INLINE enum op_result narrow_run(struct vcpu *v, u32 insn, unsigned s, unsigned shift,
					       bool scalar, narrow_fn *fn)
{
	const union vreg *a = &v->arch.v[RN(insn)];
	union vreg r = {0};
	bool q = false;

	for (unsigned i = 0; i < (scalar ? 1 : 8u >> s); i++)
		elem_set(&r, s, i, fn(s, elem_get(a, s + 1, i), shift, &q));
	if (scalar)
		vreg_set_scalar(v, RD(insn), r.d[0]);
	else
		put_narrow(v, insn, r.d[0]);
	if (unlikely(q))
		v->arch.fpsr |= FPSR_QC;
	return OP_NEXT;
}

static inline s128 shift_right(s128 x, unsigned shift, bool round)
{
	if (round)
		x += ((s128)1 << shift) >> 1;
	return x >> shift;
}

#define NARROW(name, expr)                                                     \
	static inline u64 n_##name(unsigned s, u64 a, unsigned shift, bool *q) \
	{                                                                      \
		return expr;                                                   \
	}
NARROW(trunc, (u64)shift_right((s128)a, shift, false))
NARROW(trunc_round, (u64)shift_right((s128)a, shift, true))
NARROW(ss, sat_signed(s, shift_right(SX(s + 1, a), shift, false), q))
NARROW(ss_round, sat_signed(s, shift_right(SX(s + 1, a), shift, true), q))
NARROW(su, sat_unsigned(s, shift_right(SX(s + 1, a), shift, false), q))
NARROW(su_round, sat_unsigned(s, shift_right(SX(s + 1, a), shift, true), q))
NARROW(uu, sat_unsigned(s, shift_right((s128)a, shift, false), q))
NARROW(uu_round, sat_unsigned(s, shift_right((s128)a, shift, true), q))

#define OP_NARROW(id, scalar, fn)                                               \
	OP(id)                                                                  \
	{                                                                       \
		FP_ACCESS_CHECK(v);                                             \
		return narrow_run(v, insn, INSN_SIZE(insn), 0, scalar, n_##fn); \
	}

OP_NARROW(XTN_V, false, trunc)
OP_NARROW(SQXTN_V, false, ss)
OP_NARROW(SQXTN_S, true, ss)
OP_NARROW(SQXTUN_V, false, su)
OP_NARROW(SQXTUN_S, true, su)
OP_NARROW(UQXTN_V, false, uu)
OP_NARROW(UQXTN_S, true, uu)

/* immh:immb is 2 * narrow element size - shift; the top set bit of immh (1, 2 or 4 here) is the
 * narrow size. */
#define IMM_SIZE(insn) (31u - (unsigned)__builtin_clz((insn) >> 19 & 15))

#define OP_SHIFT_NARROW(id, scalar, fn)                                                       \
	OP(id)                                                                                \
	{                                                                                     \
		unsigned s = IMM_SIZE(insn);                                                  \
		FP_ACCESS_CHECK(v);                                                           \
		return narrow_run(v, insn, s, (16u << s) - fld(insn, 16, 7), scalar, n_##fn); \
	}

OP_SHIFT_NARROW(SHRN_VI, false, trunc)
OP_SHIFT_NARROW(RSHRN_VI, false, trunc_round)
OP_SHIFT_NARROW(SQSHRN_VI, false, ss)
OP_SHIFT_NARROW(SQSHRN_SI, true, ss)
OP_SHIFT_NARROW(SQRSHRN_VI, false, ss_round)
OP_SHIFT_NARROW(SQRSHRN_SI, true, ss_round)
OP_SHIFT_NARROW(SQSHRUN_VI, false, su)
OP_SHIFT_NARROW(SQSHRUN_SI, true, su)
OP_SHIFT_NARROW(SQRSHRUN_VI, false, su_round)
OP_SHIFT_NARROW(SQRSHRUN_SI, true, su_round)
OP_SHIFT_NARROW(UQSHRN_VI, false, uu)
OP_SHIFT_NARROW(UQSHRN_SI, true, uu)
OP_SHIFT_NARROW(UQRSHRN_VI, false, uu_round)
OP_SHIFT_NARROW(UQRSHRN_SI, true, uu_round)

/* --- widening shifts
 * --------------------------------------------------------------------------------------------------------
 */

static enum op_result shift_long(struct vcpu *v, u32 insn, unsigned s, unsigned shift,
				 bool is_unsigned)
{
	const union vreg *a = &v->arch.v[RN(insn)];
	unsigned n = 8u >> s, first = INSN_Q(insn) ? n : 0;
	union vreg r;

	for (unsigned i = 0; i < n; i++) {
		u64 x = elem_get(a, s, first + i);

		elem_set(&r, s + 1, i, (is_unsigned ? x : (u64)SX(s, x)) << shift);
	}
	v->arch.v[RD(insn)] = r;
	return OP_NEXT;
}

OP(SSHLL_VI)
{
	unsigned s = IMM_SIZE(insn);

	FP_ACCESS_CHECK(v);
	return shift_long(v, insn, s, fld(insn, 16, 7) - (8u << s), false);
}

OP(USHLL_VI)
{
	unsigned s = IMM_SIZE(insn);

	FP_ACCESS_CHECK(v);
	return shift_long(v, insn, s, fld(insn, 16, 7) - (8u << s), true);
}

OP(SHLL_V)
{
	FP_ACCESS_CHECK(v);
	return shift_long(v, insn, INSN_SIZE(insn), 8u << INSN_SIZE(insn), true);
}
