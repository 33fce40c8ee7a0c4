/* SPDX-License-Identifier: MIT */
/* AdvSIMD floating-point with one source, vector and scalar: rounding, estimates, comparisons with
 * zero, conversions. */
#include "interp/simd.h"

typedef u64 fp_unary_fn(struct fp_ctx *c, enum fp_fmt f, u64 a);

static void map_unary(struct vcpu *v, u32 insn, enum fp_fmt f, unsigned n, fp_unary_fn *fn)
{
	const union vreg *a = &v->arch.v[RN(insn)];
	struct fp_ctx c = fp_ctx_get(v);
	union vreg r = {0};

	for (unsigned i = 0; i < n; i++)
		elem_set(&r, f, i, fn(&c, f, elem_get(a, f, i)));
	v->arch.v[RD(insn)] = r;
	v->arch.fpsr = c.fpsr;
}

#define OP_AS(id, format, nr, fn)              \
	OP(id)                                 \
	{                                      \
		enum fp_fmt f = format;        \
		FP_ACCESS_CHECK(v);            \
		map_unary(v, insn, f, nr, fn); \
		return OP_NEXT;                \
	}
#define OP_VECTOR(name, fn)                                    \
	OP_AS(name##_V, INSN_FMT(insn), NR_ELEMS(insn, f), fn) \
	OP_AS(name##_VH, FP_H, NR_ELEMS(insn, f), fn)
#define OP_SCALAR(name, fn)                    \
	OP_AS(name##_S, INSN_FMT(insn), 1, fn) \
	OP_AS(name##_SH, FP_H, 1, fn)
#define OP_BOTH(name, fn)   \
	OP_VECTOR(name, fn) \
	OP_SCALAR(name, fn)

#define UNARY(name, expr)                                       \
	static u64 name(struct fp_ctx *c, enum fp_fmt f, u64 a) \
	{                                                       \
		return expr;                                    \
	}

UNARY(vabs, fp_abs(f, a))
UNARY(vneg, fp_neg(f, a))
UNARY(rintn, fp_rint(c, f, a, FP_RN, false))
UNARY(rintp, fp_rint(c, f, a, FP_RP, false))
UNARY(rintm, fp_rint(c, f, a, FP_RM, false))
UNARY(rintz, fp_rint(c, f, a, FP_RZ, false))
UNARY(rinta, fp_rint(c, f, a, FP_RA, false))
UNARY(rintx, fp_rint(c, f, a, fp_mode(c), true))
UNARY(rinti, fp_rint(c, f, a, fp_mode(c), false))
UNARY(cmgtz, 0 - (u64)fp_gt(c, f, a, 0))
UNARY(cmgez, 0 - (u64)fp_ge(c, f, a, 0))
UNARY(cmeqz, 0 - (u64)fp_eq(c, f, a, 0))
UNARY(cmlez, 0 - (u64)fp_ge(c, f, 0, a))
UNARY(cmltz, 0 - (u64)fp_gt(c, f, 0, a))
UNARY(scvtf, fp_from_int(c, f, a, 0, 8u << f, false))
UNARY(ucvtf, fp_from_int(c, f, a, 0, 8u << f, true))

OP_VECTOR(FABS, vabs)
OP_VECTOR(FNEG, vneg)
OP_VECTOR(FSQRT, fp_sqrt)
OP_VECTOR(FRINTN, rintn)
OP_VECTOR(FRINTP, rintp)
OP_VECTOR(FRINTM, rintm)
OP_VECTOR(FRINTZ, rintz)
OP_VECTOR(FRINTA, rinta)
OP_VECTOR(FRINTX, rintx)
OP_VECTOR(FRINTI, rinti)
OP_BOTH(FRECPE, fp_recpe)
OP_BOTH(FRSQRTE, fp_rsqrte)
OP_SCALAR(FRECPX, fp_recpx)
OP_BOTH(FCMGTZ, cmgtz)
OP_BOTH(FCMGEZ, cmgez)
OP_BOTH(FCMEQZ, cmeqz)
OP_BOTH(FCMLEZ, cmlez)
OP_BOTH(FCMLTZ, cmltz)
OP_BOTH(SCVTF, scvtf)
OP_BOTH(UCVTF, ucvtf)

#define OP_TO_INT(letter, mode)                                            \
	UNARY(cvt_s_##letter, fp_to_int(c, f, a, 0, 8u << f, false, mode)) \
	UNARY(cvt_u_##letter, fp_to_int(c, f, a, 0, 8u << f, true, mode))  \
	OP_BOTH(FCVT##letter##S, cvt_s_##letter)                           \
	OP_BOTH(FCVT##letter##U, cvt_u_##letter)

OP_TO_INT(N, FP_RN)
OP_TO_INT(P, FP_RP)
OP_TO_INT(M, FP_RM)
OP_TO_INT(Z, FP_RZ)
OP_TO_INT(A, FP_RA)

OP(URECPE_V)
{
	const union vreg *a = &v->arch.v[RN(insn)];
	union vreg r = {0};

	FP_ACCESS_CHECK(v);
	for (unsigned i = 0; i < NR_ELEMS(insn, 2); i++)
		r.s[i] = fp_urecpe(a->s[i]);
	v->arch.v[RD(insn)] = r;
	return OP_NEXT;
}

OP(URSQRTE_V)
{
	const union vreg *a = &v->arch.v[RN(insn)];
	union vreg r = {0};

	FP_ACCESS_CHECK(v);
	for (unsigned i = 0; i < NR_ELEMS(insn, 2); i++)
		r.s[i] = fp_ursqrte(a->s[i]);
	v->arch.v[RD(insn)] = r;
	return OP_NEXT;
}

/* --- between formats: to or from the half of the register that Q chooses
 * ------------------------------------------------ */

static void narrow(struct vcpu *v, u32 insn, enum fp_fmt from, bool to_odd)
{
	const union vreg *a = &v->arch.v[RN(insn)];
	struct fp_ctx c = fp_ctx_get(v);
	union vreg half = {0};

	for (unsigned i = 0; i < 16u >> from; i++)
		elem_set(&half, from - 1u, i,
			 fp_convert(&c, from, (enum fp_fmt)(from - 1), elem_get(a, from, i),
				    to_odd ? FP_RO : fp_mode(&c)));
	if (INSN_Q(insn))
		v->arch.v[RD(insn)].d[1] = half.d[0];
	else
		v->arch.v[RD(insn)] = half;
	v->arch.fpsr = c.fpsr;
}

OP(FCVTN_V)
{
	FP_ACCESS_CHECK(v);
	narrow(v, insn, INSN_FMT(insn), false);
	return OP_NEXT;
}

OP(FCVTXN_V)
{
	FP_ACCESS_CHECK(v);
	narrow(v, insn, FP_D, true);
	return OP_NEXT;
}

OP(FCVTXN_S)
{
	struct fp_ctx c = fp_ctx_get(v);

	FP_ACCESS_CHECK(v);
	vreg_set_scalar(v, RD(insn), fp_convert(&c, FP_D, FP_S, v->arch.v[RN(insn)].d[0], FP_RO));
	v->arch.fpsr = c.fpsr;
	return OP_NEXT;
}

OP(FCVTL_V)
{
	const union vreg *a = &v->arch.v[RN(insn)];
	enum fp_fmt to = INSN_FMT(insn), from = (enum fp_fmt)(to - 1);
	struct fp_ctx c = fp_ctx_get(v);
	unsigned n = 16u >> to, first = INSN_Q(insn) ? n : 0;
	union vreg r;

	FP_ACCESS_CHECK(v);
	for (unsigned i = 0; i < n; i++)
		elem_set(&r, to, i,
			 fp_convert(&c, from, to, elem_get(a, from, first + i), fp_mode(&c)));
	v->arch.v[RD(insn)] = r;
	v->arch.fpsr = c.fpsr;
	return OP_NEXT;
}

/* --- fixed-point
 * --------------------------------------------------------------------------------------------------------
 */

/* immh:immb is 2 * element size - fraction bits; its top set bit gives the element size. */
static void fixed(struct vcpu *v, u32 insn, enum fp_fmt f, unsigned n, bool to_int,
		  bool is_unsigned)
{
	const union vreg *a = &v->arch.v[RN(insn)];
	unsigned width = 8u << f, fbits = 2 * width - fld(insn, 16, 7);
	struct fp_ctx c = fp_ctx_get(v);
	union vreg r = {0};

	for (unsigned i = 0; i < n; i++) {
		u64 x = elem_get(a, f, i);

		elem_set(&r, f, i,
			 to_int ? fp_to_int(&c, f, x, fbits, width, is_unsigned, FP_RZ)
				: fp_from_int(&c, f, x, fbits, width, is_unsigned));
	}
	v->arch.v[RD(insn)] = r;
	v->arch.fpsr = c.fpsr;
}

#define OP_FIXED_AS(id, format, nr, to_int, is_unsigned)    \
	OP(id)                                              \
	{                                                   \
		enum fp_fmt f = format;                     \
		FP_ACCESS_CHECK(v);                         \
		fixed(v, insn, f, nr, to_int, is_unsigned); \
		return OP_NEXT;                             \
	}
#define IMMH_FMT(insn) ((insn) >> 22 & 1 ? FP_D : FP_S)
#define OP_FIXED(name, to_int, is_unsigned)                                            \
	OP_FIXED_AS(name##_VI, IMMH_FMT(insn), NR_ELEMS(insn, f), to_int, is_unsigned) \
	OP_FIXED_AS(name##_VIH, FP_H, NR_ELEMS(insn, f), to_int, is_unsigned)          \
	OP_FIXED_AS(name##_SI, IMMH_FMT(insn), 1, to_int, is_unsigned)                 \
	OP_FIXED_AS(name##_SIH, FP_H, 1, to_int, is_unsigned)

OP_FIXED(FCVTZS, true, false)
OP_FIXED(FCVTZU, true, true)
OP_FIXED(SCVTF, false, false)
OP_FIXED(UCVTF, false, true)
