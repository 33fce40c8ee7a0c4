/* SPDX-License-Identifier: MIT */
/* AdvSIMD integer with one source: two-register forms, across lanes, shifts by immediate of one
 * width. */
#include "interp/simd_elem.h"

/* imm: the shift amount of the immediate forms, else 0. */
typedef u64 unary_fn(unsigned s, u64 d, u64 a, unsigned imm, bool *q);

static ALWAYS_INLINE void map_elements(union vreg *r, const union vreg *d, const union vreg *a,
				       unsigned s, unsigned n, unsigned imm, bool *q, unary_fn *fn)
{
	for (unsigned i = 0; i < n; i++)
		elem_set(r, s, i, fn(s, elem_get(d, s, i), elem_get(a, s, i), imm, q));
}

static ALWAYS_INLINE enum op_result unary_run(struct vcpu *v, u32 insn, unsigned s, unsigned n,
					      unsigned imm, unary_fn *fn)
{
	const union vreg *a = &v->arch.v[RN(insn)], *d = &v->arch.v[RD(insn)];
	union vreg r = {0};
	bool q = false;

	switch (s) {
	case 0:
		map_elements(&r, d, a, 0, n, imm, &q, fn);
		break;
	case 1:
		map_elements(&r, d, a, 1, n, imm, &q, fn);
		break;
	case 2:
		map_elements(&r, d, a, 2, n, imm, &q, fn);
		break;
	default:
		map_elements(&r, d, a, 3, n, imm, &q, fn);
	}
	v->arch.v[RD(insn)] = r;
	if (unlikely(q))
		v->arch.fpsr |= FPSR_QC;
	return OP_NEXT;
}

#define ELEM(name, expr)                                                            \
	static inline u64 e_##name(unsigned s, u64 d, u64 a, unsigned imm, bool *q) \
	{                                                                           \
		return expr;                                                        \
	}
#define VECTOR(name, expr)                                                                     \
	ELEM(name, expr)                                                                       \
	OP(name##_V)                                                                           \
	{                                                                                      \
		FP_ACCESS_CHECK(v);                                                            \
		return unary_run(v, insn, INSN_SIZE(insn), NR_ELEMS(insn, INSN_SIZE(insn)), 0, \
				 e_##name);                                                    \
	}
#define BOTH(name, expr)                                                    \
	VECTOR(name, expr)                                                  \
	OP(name##_S)                                                        \
	{                                                                   \
		FP_ACCESS_CHECK(v);                                         \
		return unary_run(v, insn, INSN_SIZE(insn), 1, 0, e_##name); \
	}

static inline u64 reverse_bits8(u64 a)
{
	a = (a & 0xf0) >> 4 | (a & 0x0f) << 4;
	a = (a & 0xcc) >> 2 | (a & 0x33) << 2;
	return (a & 0xaa) >> 1 | (a & 0x55) << 1;
}

static inline u64 leading_zeros(unsigned s, u64 a)
{
	return a ? (u64)__builtin_clzll(a) - (64 - (8u << s)) : 8u << s;
}

BOTH(ABS, SX(s, a) < 0 ? 0 - a : a)
BOTH(NEG, 0 - a)
BOTH(SQABS, sat_signed(s, SX(s, a) < 0 ? -(s128)SX(s, a) : SX(s, a), q))
BOTH(SQNEG, sat_signed(s, -(s128)SX(s, a), q))
BOTH(SUQADD, sat_signed(s, (s128)SX(s, d) + a, q))
BOTH(USQADD, sat_unsigned(s, (s128)d + SX(s, a), q))
BOTH(CMGTZ, 0 - (u64)(SX(s, a) > 0))
BOTH(CMGEZ, 0 - (u64)(SX(s, a) >= 0))
BOTH(CMEQZ, 0 - (u64)(a == 0))
BOTH(CMLEZ, 0 - (u64)(SX(s, a) <= 0))
BOTH(CMLTZ, 0 - (u64)(SX(s, a) < 0))
VECTOR(CLZ, leading_zeros(s, a))
VECTOR(CLS, leading_zeros(s, (a ^ (u64)(SX(s, a) >> 1)) & (elem_mask(s) >> 1)) - 1)
VECTOR(CNT, (u64)__builtin_popcountll(a))

/* RBIT and NOT have no size of their own: bytes. */
ELEM(RBIT, reverse_bits8(a))

OP(RBIT_V)
{
	FP_ACCESS_CHECK(v);
	return unary_run(v, insn, 0, NR_ELEMS(insn, 0), 0, e_RBIT);
}

OP(NOT_V)
{
	const union vreg *a = &v->arch.v[RN(insn)];
	u64 hi = ~a->d[1], lo = ~a->d[0];

	FP_ACCESS_CHECK(v);
	v->arch.v[RD(insn)].d[0] = lo;
	v->arch.v[RD(insn)].d[1] = INSN_Q(insn) ? hi : 0;
	return OP_NEXT;
}

/* REV64, REV32, REV16: elements of size change places within containers of 1 << container bytes. */
static enum op_result reverse(struct vcpu *v, u32 insn, unsigned container)
{
	const union vreg *a = &v->arch.v[RN(insn)];
	unsigned s = INSN_SIZE(insn), flip = (1u << (container - s)) - 1;
	union vreg r = {0};

	for (unsigned i = 0; i < NR_ELEMS(insn, s); i++)
		elem_set(&r, s, i, elem_get(a, s, i ^ flip));
	v->arch.v[RD(insn)] = r;
	return OP_NEXT;
}

OP(REV64_V)
{
	FP_ACCESS_CHECK(v);
	return reverse(v, insn, 3);
}

OP(REV32_V)
{
	FP_ACCESS_CHECK(v);
	return reverse(v, insn, 2);
}

OP(REV16_V)
{
	FP_ACCESS_CHECK(v);
	return reverse(v, insn, 1);
}

/* SADDLP, UADDLP, SADALP, UADALP */
static enum op_result add_long_pairs(struct vcpu *v, u32 insn, bool is_unsigned, bool accumulate)
{
	const union vreg *a = &v->arch.v[RN(insn)];
	unsigned s = INSN_SIZE(insn);
	union vreg r = {0};

	for (unsigned i = 0; i < NR_ELEMS(insn, s + 1); i++) {
		u64 x = elem_get(a, s, 2 * i), y = elem_get(a, s, 2 * i + 1);

		x = is_unsigned ? x + y : (u64)(SX(s, x) + SX(s, y));
		if (accumulate)
			x += elem_get(&v->arch.v[RD(insn)], s + 1, i);
		elem_set(&r, s + 1, i, x);
	}
	v->arch.v[RD(insn)] = r;
	return OP_NEXT;
}

#define OP_LONG_PAIRS(name, is_unsigned, accumulate)                     \
	OP(name)                                                         \
	{                                                                \
		FP_ACCESS_CHECK(v);                                      \
		return add_long_pairs(v, insn, is_unsigned, accumulate); \
	}

OP_LONG_PAIRS(SADDLP_V, false, false)
OP_LONG_PAIRS(UADDLP_V, true, false)
OP_LONG_PAIRS(SADALP_V, false, true)
OP_LONG_PAIRS(UADALP_V, true, true)

/* --- across lanes
 * ------------------------------------------------------------------------------------------------------------
 */

/* wider: 1 if the result has twice the size; acc starts as the first element and takes in each x.
 */
#define OP_ACROSS(name, wider, step)                                     \
	OP(name)                                                         \
	{                                                                \
		const union vreg *a = &v->arch.v[RN(insn)];              \
		unsigned s = INSN_SIZE(insn);                            \
		u64 acc = elem_get(a, s, 0);                             \
		FP_ACCESS_CHECK(v);                                      \
		for (unsigned i = 1; i < NR_ELEMS(insn, s); i++) {       \
			u64 x = elem_get(a, s, i);                       \
			acc = step;                                      \
		}                                                        \
		vreg_set_scalar(v, RD(insn), acc &elem_mask(s + wider)); \
		return OP_NEXT;                                          \
	}

OP_ACROSS(ADDV_V, 0, acc + x)
OP_ACROSS(UADDLV_V, 1, acc + x)
OP_ACROSS(SMAXV_V, 0, SX(s, x) > SX(s, acc) ? x : acc)
OP_ACROSS(SMINV_V, 0, SX(s, x) < SX(s, acc) ? x : acc)
OP_ACROSS(UMAXV_V, 0, x > acc ? x : acc)
OP_ACROSS(UMINV_V, 0, x < acc ? x : acc)

OP(SADDLV_V)
{
	const union vreg *a = &v->arch.v[RN(insn)];
	unsigned s = INSN_SIZE(insn);
	s64 sum = 0;

	FP_ACCESS_CHECK(v);
	for (unsigned i = 0; i < NR_ELEMS(insn, s); i++)
		sum += SX(s, elem_get(a, s, i));
	vreg_set_scalar(v, RD(insn), (u64)sum & elem_mask(s + 1));
	return OP_NEXT;
}

OP(ADDP_S)
{
	const union vreg *a = &v->arch.v[RN(insn)];

	FP_ACCESS_CHECK(v);
	vreg_set_scalar(v, RD(insn), a->d[0] + a->d[1]);
	return OP_NEXT;
}

/* --- shift by immediate: the top set bit of immh is the element size
 * ------------------------------------------------------- */

#define IMM_SIZE(insn)	(31u - (unsigned)__builtin_clz((insn) >> 19 & 15))
#define IMM_RIGHT(insn) ((16u << IMM_SIZE(insn)) - fld(insn, 16, 7))
#define IMM_LEFT(insn)	(fld(insn, 16, 7) - (8u << IMM_SIZE(insn)))

#define SHIFT(name, amount, expr)                                                            \
	static inline u64 e_##name##_I(unsigned s, u64 d, u64 a, unsigned imm, bool *q)      \
	{                                                                                    \
		return expr;                                                                 \
	}                                                                                    \
	OP(name##_VI)                                                                        \
	{                                                                                    \
		unsigned s = IMM_SIZE(insn);                                                 \
		FP_ACCESS_CHECK(v);                                                          \
		return unary_run(v, insn, s, NR_ELEMS(insn, s), amount(insn), e_##name##_I); \
	}                                                                                    \
	OP(name##_SI)                                                                        \
	{                                                                                    \
		FP_ACCESS_CHECK(v);                                                          \
		return unary_run(v, insn, IMM_SIZE(insn), 1, amount(insn), e_##name##_I);    \
	}

/* Right shifts go up to the element size, 64 included. */
static inline u64 shr_signed(unsigned s, u64 a, unsigned n)
{
	return (u64)(SX(s, a) >> MIN(n, 63u));
}

static inline u64 shr_unsigned(u64 a, unsigned n)
{
	return n > 63 ? 0 : a >> n;
}

/* Rounding adds the last bit shifted out. */
static inline u64 shr_signed_round(unsigned s, u64 a, unsigned n)
{
	return shr_signed(s, a, n) + ((u64)SX(s, a) >> (n - 1) & 1);
}

static inline u64 shr_unsigned_round(u64 a, unsigned n)
{
	return shr_unsigned(a, n) + (a >> (n - 1) & 1);
}

SHIFT(SSHR, IMM_RIGHT, shr_signed(s, a, imm))
SHIFT(USHR, IMM_RIGHT, shr_unsigned(a, imm))
SHIFT(SSRA, IMM_RIGHT, d + shr_signed(s, a, imm))
SHIFT(USRA, IMM_RIGHT, d + shr_unsigned(a, imm))
SHIFT(SRSHR, IMM_RIGHT, shr_signed_round(s, a, imm))
SHIFT(URSHR, IMM_RIGHT, shr_unsigned_round(a, imm))
SHIFT(SRSRA, IMM_RIGHT, d + shr_signed_round(s, a, imm))
SHIFT(URSRA, IMM_RIGHT, d + shr_unsigned_round(a, imm))
SHIFT(SRI, IMM_RIGHT, (d & ~shr_unsigned(elem_mask(s), imm)) | shr_unsigned(a, imm))
SHIFT(SHL, IMM_LEFT, a << imm)
SHIFT(SLI, IMM_LEFT, (d & ~(elem_mask(s) << imm)) | a << imm)
SHIFT(SQSHL, IMM_LEFT, sat_signed(s, (s128)SX(s, a) * ((s128)1 << imm), q))
SHIFT(UQSHL, IMM_LEFT, sat_unsigned(s, (s128)a << imm, q))
SHIFT(SQSHLU, IMM_LEFT, sat_unsigned(s, (s128)SX(s, a) * ((s128)1 << imm), q))
