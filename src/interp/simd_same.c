/* SPDX-License-Identifier: MIT */
/* AdvSIMD integer: three registers of one type, vector, scalar and by element. */
#include "interp/simd_elem.h"

typedef u64 elem_fn(unsigned s, u64 d, u64 a, u64 b, bool *q);

static ALWAYS_INLINE void map_elements(union vreg *r, const union vreg *d, const union vreg *a,
				       const union vreg *b, unsigned s, unsigned n, bool *q,
				       elem_fn *fn)
{
	for (unsigned i = 0; i < n; i++)
		elem_set(r, s, i,
			 fn(s, elem_get(d, s, i), elem_get(a, s, i), elem_get(b, s, i), q));
}

/* n elements of Rd, Rn and b to Rd. fn is a constant: each caller is its own loop, per size. */
static ALWAYS_INLINE enum op_result same_run(struct vcpu *v, u32 insn, unsigned n,
					     const union vreg *b, elem_fn *fn)
{
	const union vreg *a = &v->arch.v[RN(insn)], *d = &v->arch.v[RD(insn)];
	union vreg r = {0};
	bool q = false;

	switch (INSN_SIZE(insn)) {
	case 0:
		map_elements(&r, d, a, b, 0, n, &q, fn);
		break;
	case 1:
		map_elements(&r, d, a, b, 1, n, &q, fn);
		break;
	case 2:
		map_elements(&r, d, a, b, 2, n, &q, fn);
		break;
	default:
		map_elements(&r, d, a, b, 3, n, &q, fn);
	}
	v->arch.v[RD(insn)] = r;
	if (unlikely(q))
		v->arch.fpsr |= FPSR_QC;
	return OP_NEXT;
}

/* ELEM defines the element operation, OP_VECTOR, OP_SCALAR and OP_*INDEXED the handlers that map
 * it. */
#define ELEM(name, expr)                                                     \
	static inline u64 e_##name(unsigned s, u64 d, u64 a, u64 b, bool *q) \
	{                                                                    \
		return expr;                                                 \
	}
#define OP_VECTOR(name)                                                                         \
	OP(name##_V)                                                                            \
	{                                                                                       \
		FP_ACCESS_CHECK(v);                                                             \
		return same_run(v, insn, NR_ELEMS(insn, INSN_SIZE(insn)), &v->arch.v[RM(insn)], \
				e_##name);                                                      \
	}
#define OP_SCALAR(name)                                                      \
	OP(name##_S)                                                         \
	{                                                                    \
		FP_ACCESS_CHECK(v);                                          \
		return same_run(v, insn, 1, &v->arch.v[RM(insn)], e_##name); \
	}
#define OP_INDEXED(name)                                                                 \
	OP(name##_VX)                                                                    \
	{                                                                                \
		union vreg b = indexed_operand(v, insn, INSN_SIZE(insn));                \
		FP_ACCESS_CHECK(v);                                                      \
		return same_run(v, insn, NR_ELEMS(insn, INSN_SIZE(insn)), &b, e_##name); \
	}
#define OP_SCALAR_INDEXED(name)                                           \
	OP(name##_SX)                                                     \
	{                                                                 \
		union vreg b = indexed_operand(v, insn, INSN_SIZE(insn)); \
		FP_ACCESS_CHECK(v);                                       \
		return same_run(v, insn, 1, &b, e_##name);                \
	}
#define VECTOR(name, expr) \
	ELEM(name, expr)   \
	OP_VECTOR(name)
#define BOTH(name, expr)   \
	VECTOR(name, expr) \
	OP_SCALAR(name)

/* --- add and subtract, halving and saturating
 * -------------------------------------------------------------------------- */

BOTH(ADD, a + b)
BOTH(SUB, a - b)
VECTOR(SHADD, (u64)((SX(s, a) + SX(s, b)) >> 1))
VECTOR(UHADD, (a + b) >> 1)
VECTOR(SRHADD, (u64)((SX(s, a) + SX(s, b) + 1) >> 1))
VECTOR(URHADD, (a + b + 1) >> 1)
VECTOR(SHSUB, (u64)((SX(s, a) - SX(s, b)) >> 1))
VECTOR(UHSUB, (a - b) >> 1)
BOTH(SQADD, sat_signed(s, (s128)SX(s, a) + SX(s, b), q))
BOTH(UQADD, sat_unsigned(s, (s128)a + b, q))
BOTH(SQSUB, sat_signed(s, (s128)SX(s, a) - SX(s, b), q))
BOTH(UQSUB, sat_unsigned(s, (s128)a - b, q))

/* --- compare, minimum, maximum, absolute difference
 * --------------------------------------------------------------------- */

BOTH(CMGT, 0 - (u64)(SX(s, a) > SX(s, b)))
BOTH(CMGE, 0 - (u64)(SX(s, a) >= SX(s, b)))
BOTH(CMHI, 0 - (u64)(a > b))
BOTH(CMHS, 0 - (u64)(a >= b))
BOTH(CMEQ, 0 - (u64)(a == b))
BOTH(CMTST, 0 - (u64)((a & b) != 0))
VECTOR(SMAX, SX(s, a) > SX(s, b) ? a : b)
VECTOR(SMIN, SX(s, a) < SX(s, b) ? a : b)
VECTOR(UMAX, a > b ? a : b)
VECTOR(UMIN, a < b ? a : b)
VECTOR(SABD, SX(s, a) > SX(s, b) ? a - b : b - a)
VECTOR(UABD, a > b ? a - b : b - a)
VECTOR(SABA, d + (SX(s, a) > SX(s, b) ? a - b : b - a))
VECTOR(UABA, d + (a > b ? a - b : b - a))

/* --- shift by register
 * ---------------------------------------------------------------------------------------------------
 */

BOTH(SSHL, shift_register(s, a, b, false, false, false, q))
BOTH(USHL, shift_register(s, a, b, true, false, false, q))
BOTH(SRSHL, shift_register(s, a, b, false, true, false, q))
BOTH(URSHL, shift_register(s, a, b, true, true, false, q))
BOTH(SQSHL, shift_register(s, a, b, false, false, true, q))
BOTH(UQSHL, shift_register(s, a, b, true, false, true, q))
BOTH(SQRSHL, shift_register(s, a, b, false, true, true, q))
BOTH(UQRSHL, shift_register(s, a, b, true, true, true, q))

/* --- multiply
 * ------------------------------------------------------------------------------------------------------------
 */

VECTOR(MUL, a *b)
VECTOR(MLA, d + a * b)
VECTOR(MLS, d - a * b)
VECTOR(PMUL, poly_mul8(a, b))
BOTH(SQDMULH, doubling_high(s, 0, a, b, false, false, q))
BOTH(SQRDMULH, doubling_high(s, 0, a, b, false, true, q))
BOTH(SQRDMLAH, doubling_high(s, d, a, b, false, true, q))
BOTH(SQRDMLSH, doubling_high(s, d, a, b, true, true, q))
OP_INDEXED(MUL)
OP_INDEXED(MLA)
OP_INDEXED(MLS)
OP_INDEXED(SQDMULH)
OP_INDEXED(SQRDMULH)
OP_INDEXED(SQRDMLAH)
OP_INDEXED(SQRDMLSH)
OP_SCALAR_INDEXED(SQDMULH)
OP_SCALAR_INDEXED(SQRDMULH)
OP_SCALAR_INDEXED(SQRDMLAH)
OP_SCALAR_INDEXED(SQRDMLSH)

/* --- pairwise: adjacent elements of Rn, then of Rm
 * ---------------------------------------------------------------------- */

static ALWAYS_INLINE enum op_result pairs_run(struct vcpu *v, u32 insn, elem_fn *fn)
{
	unsigned s = INSN_SIZE(insn), n = NR_ELEMS(insn, s);
	union vreg r = {0};
	bool q = false;

	for (unsigned i = 0; i < n; i++) {
		const union vreg *x = &v->arch.v[i < n / 2 ? RN(insn) : RM(insn)];
		unsigned j = 2 * (i & (n / 2 - 1));

		elem_set(&r, s, i, fn(s, 0, elem_get(x, s, j), elem_get(x, s, j + 1), &q));
	}
	v->arch.v[RD(insn)] = r;
	return OP_NEXT;
}

#define OP_PAIRS(id, name)                           \
	OP(id)                                       \
	{                                            \
		FP_ACCESS_CHECK(v);                  \
		return pairs_run(v, insn, e_##name); \
	}

OP_PAIRS(ADDP_V, ADD)
OP_PAIRS(SMAXP_V, SMAX)
OP_PAIRS(SMINP_V, SMIN)
OP_PAIRS(UMAXP_V, UMAX)
OP_PAIRS(UMINP_V, UMIN)

/* --- whole registers
 * ------------------------------------------------------------------------------------------------------
 */

#define OP_LOGICAL(name, expr)                                                         \
	OP(name)                                                                       \
	{                                                                              \
		union vreg *r = &v->arch.v[RD(insn)];                                  \
		const union vreg *x = &v->arch.v[RN(insn)], *y = &v->arch.v[RM(insn)]; \
		u64 lo, hi;                                                            \
		FP_ACCESS_CHECK(v);                                                    \
		{                                                                      \
			u64 d = r->d[0], a = x->d[0], b = y->d[0];                     \
			lo = expr;                                                     \
			(void)d;                                                       \
		}                                                                      \
		{                                                                      \
			u64 d = r->d[1], a = x->d[1], b = y->d[1];                     \
			hi = expr;                                                     \
			(void)d;                                                       \
		}                                                                      \
		r->d[0] = lo;                                                          \
		r->d[1] = INSN_Q(insn) ? hi : 0;                                       \
		return OP_NEXT;                                                        \
	}

OP_LOGICAL(AND_V, a &b)
OP_LOGICAL(BIC_V, a & ~b)
OP_LOGICAL(ORR_V, a | b)
OP_LOGICAL(ORN_V, a | ~b)
OP_LOGICAL(EOR_V, a ^ b)
OP_LOGICAL(BSL_V, b ^ ((a ^ b) & d))
OP_LOGICAL(BIT_V, d ^ ((d ^ a) & b))
OP_LOGICAL(BIF_V, d ^ ((d ^ a) & ~b))

/* --- dot products: four bytes each
 * ------------------------------------------------------------------------------------------ */

static enum op_result dot(struct vcpu *v, u32 insn, const union vreg *b, bool is_unsigned)
{
	const union vreg *a = &v->arch.v[RN(insn)];
	union vreg r = {0};

	for (unsigned i = 0; i < NR_ELEMS(insn, 2); i++) {
		u32 sum = v->arch.v[RD(insn)].s[i];

		for (unsigned j = 4 * i; j < 4 * i + 4; j++)
			sum += is_unsigned ? (u32)(a->b[j] * b->b[j])
					   : (u32)((s8)a->b[j] * (s8)b->b[j]);
		r.s[i] = sum;
	}
	v->arch.v[RD(insn)] = r;
	return OP_NEXT;
}

#define OP_DOT(name, is_unsigned)                                       \
	OP(name##_V)                                                    \
	{                                                               \
		FP_ACCESS_CHECK(v);                                     \
		return dot(v, insn, &v->arch.v[RM(insn)], is_unsigned); \
	}                                                               \
	OP(name##_VX)                                                   \
	{                                                               \
		union vreg b = indexed_operand(v, insn, 2);             \
		FP_ACCESS_CHECK(v);                                     \
		return dot(v, insn, &b, is_unsigned);                   \
	}

OP_DOT(SDOT, false)
OP_DOT(UDOT, true)
