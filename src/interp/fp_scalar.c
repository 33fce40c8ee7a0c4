/* SPDX-License-Identifier: MIT */
/* Scalar floating-point data processing and conversions to and from general registers (Arm ARM
 * C7.2). */
#include "interp/simd.h"

typedef u64 fp_binary_fn(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b);

static ALWAYS_INLINE u64 fr(const struct vcpu *v, unsigned n, enum fp_fmt f)
{
	return v->arch.v[n].d[0] & (~0ull >> (64 - (8u << f)));
}

/* OP(name_F) for S and D, OP(name_FH) for H; body sees f. */
#define OP_FP(name, body)                       \
	OP(name##_F)                            \
	{                                       \
		enum fp_fmt f = INSN_FMT(insn); \
		FP_ACCESS_CHECK(v);             \
		body;                           \
		return OP_NEXT;                 \
	}                                       \
	OP(name##_FH)                           \
	{                                       \
		enum fp_fmt f = FP_H;           \
		FP_ACCESS_CHECK(v);             \
		body;                           \
		return OP_NEXT;                 \
	}

/* --- one source
 * -----------------------------------------------------------------------------------------------------
 */

OP_FP(FMOV, vreg_set_scalar(v, RD(insn), fr(v, RN(insn), f)))
OP_FP(FABS, vreg_set_scalar(v, RD(insn), fp_abs(f, fr(v, RN(insn), f))))
OP_FP(FNEG, vreg_set_scalar(v, RD(insn), fp_neg(f, fr(v, RN(insn), f))))

static void sqrt_scalar(struct vcpu *v, u32 insn, enum fp_fmt f)
{
	struct fp_ctx c = fp_ctx_get(v);

	vreg_set_scalar(v, RD(insn), fp_sqrt(&c, f, fr(v, RN(insn), f)));
	v->arch.fpsr = c.fpsr;
}

OP_FP(FSQRT, sqrt_scalar(v, insn, f))

static void rint_scalar(struct vcpu *v, u32 insn, enum fp_fmt f, enum fp_rounding r, bool exact)
{
	struct fp_ctx c = fp_ctx_get(v);

	vreg_set_scalar(v, RD(insn), fp_rint(&c, f, fr(v, RN(insn), f), r, exact));
	v->arch.fpsr = c.fpsr;
}

#define FPCR_MODE(v) ((enum fp_rounding)((v)->arch.fpcr >> FPCR_RMODE_SHIFT & 3))

OP_FP(FRINTN, rint_scalar(v, insn, f, FP_RN, false))
OP_FP(FRINTP, rint_scalar(v, insn, f, FP_RP, false))
OP_FP(FRINTM, rint_scalar(v, insn, f, FP_RM, false))
OP_FP(FRINTZ, rint_scalar(v, insn, f, FP_RZ, false))
OP_FP(FRINTA, rint_scalar(v, insn, f, FP_RA, false))
OP_FP(FRINTX, rint_scalar(v, insn, f, FPCR_MODE(v), true))
OP_FP(FRINTI, rint_scalar(v, insn, f, FPCR_MODE(v), false))

static enum op_result convert_scalar(struct vcpu *v, u32 insn, enum fp_fmt from, enum fp_fmt to)
{
	struct fp_ctx c = fp_ctx_get(v);

	FP_ACCESS_CHECK(v);
	vreg_set_scalar(v, RD(insn), fp_convert(&c, from, to, fr(v, RN(insn), from), fp_mode(&c)));
	v->arch.fpsr = c.fpsr;
	return OP_NEXT;
}

#define OP_FCVT(from, to)                                           \
	OP(FCVT_##from##to)                                         \
	{                                                           \
		return convert_scalar(v, insn, FP_##from, FP_##to); \
	}

OP_FCVT(S, D)
OP_FCVT(S, H)
OP_FCVT(D, S)
OP_FCVT(D, H)
OP_FCVT(H, S)
OP_FCVT(H, D)

/* --- two and three sources
 * ------------------------------------------------------------------------------------------- */

static ALWAYS_INLINE void binary_scalar(struct vcpu *v, u32 insn, enum fp_fmt f, fp_binary_fn *fn)
{
	struct fp_ctx c = fp_ctx_get(v);

	vreg_set_scalar(v, RD(insn), fn(&c, f, fr(v, RN(insn), f), fr(v, RM(insn), f)));
	v->arch.fpsr = c.fpsr;
}

static u64 nmul(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b)
{
	return fp_neg(f, fp_mul(c, f, a, b));
}

OP_FP(FMUL, binary_scalar(v, insn, f, fp_mul))
OP_FP(FDIV, binary_scalar(v, insn, f, fp_div))
OP_FP(FADD, binary_scalar(v, insn, f, fp_add))
OP_FP(FSUB, binary_scalar(v, insn, f, fp_sub))
OP_FP(FMAX, binary_scalar(v, insn, f, fp_max))
OP_FP(FMIN, binary_scalar(v, insn, f, fp_min))
OP_FP(FMAXNM, binary_scalar(v, insn, f, fp_maxnm))
OP_FP(FMINNM, binary_scalar(v, insn, f, fp_minnm))
OP_FP(FNMUL, binary_scalar(v, insn, f, nmul))

static ALWAYS_INLINE void fused_scalar(struct vcpu *v, u32 insn, enum fp_fmt f, bool negate_addend,
				       bool negate_product)
{
	struct fp_ctx c = fp_ctx_get(v);
	u64 addend = fr(v, RA(insn), f), a = fr(v, RN(insn), f);

	if (negate_addend)
		addend = fp_neg(f, addend);
	if (negate_product)
		a = fp_neg(f, a);
	vreg_set_scalar(v, RD(insn), fp_muladd(&c, f, addend, a, fr(v, RM(insn), f)));
	v->arch.fpsr = c.fpsr;
}

OP_FP(FMADD, fused_scalar(v, insn, f, false, false))
OP_FP(FMSUB, fused_scalar(v, insn, f, false, true))
OP_FP(FNMADD, fused_scalar(v, insn, f, true, true))
OP_FP(FNMSUB, fused_scalar(v, insn, f, true, false))

/* --- compare, select, immediate
 * -------------------------------------------------------------------------------------- */

static ALWAYS_INLINE void compare_scalar(struct vcpu *v, u64 a, u64 b, enum fp_fmt f, bool signal)
{
	struct fp_ctx c = fp_ctx_get(v);

	v->arch.nzcv = fp_compare(&c, f, a, b, signal) << 28;
	v->arch.fpsr = c.fpsr;
}

OP_FP(FCMP, compare_scalar(v, fr(v, RN(insn), f), fr(v, RM(insn), f), f, false))
OP_FP(FCMPE, compare_scalar(v, fr(v, RN(insn), f), fr(v, RM(insn), f), f, true))
OP_FP(FCMPZ, compare_scalar(v, fr(v, RN(insn), f), 0, f, false))
OP_FP(FCMPEZ, compare_scalar(v, fr(v, RN(insn), f), 0, f, true))

static void compare_conditional(struct vcpu *v, u32 insn, enum fp_fmt f, bool signal)
{
	if (cond_holds(v->arch.nzcv, fld(insn, 12, 4)))
		compare_scalar(v, fr(v, RN(insn), f), fr(v, RM(insn), f), f, signal);
	else
		v->arch.nzcv = insn << 28;
}

OP_FP(FCCMP, compare_conditional(v, insn, f, false))
OP_FP(FCCMPE, compare_conditional(v, insn, f, true))
OP_FP(FCSEL,
      vreg_set_scalar(v, RD(insn),
		      fr(v, cond_holds(v->arch.nzcv, fld(insn, 12, 4)) ? RN(insn) : RM(insn), f)))

OP(FMOV_FI)
{
	FP_ACCESS_CHECK(v);
	vreg_set_scalar(v, RD(insn), fp_expand_imm(INSN_FMT(insn), fld(insn, 13, 8)));
	return OP_NEXT;
}

OP(FMOV_FIH)
{
	FP_ACCESS_CHECK(v);
	vreg_set_scalar(v, RD(insn), fp_expand_imm(FP_H, fld(insn, 13, 8)));
	return OP_NEXT;
}

/* --- general registers
 * ------------------------------------------------------------------------------------------------
 */

static void to_general(struct vcpu *v, u32 insn, enum fp_fmt f, unsigned fbits, bool is_unsigned,
		       enum fp_rounding r)
{
	struct fp_ctx c = fp_ctx_get(v);

	xw(v, RD(insn),
	   fp_to_int(&c, f, fr(v, RN(insn), f), fbits, insn >> 31 ? 64 : 32, is_unsigned, r));
	v->arch.fpsr = c.fpsr;
}

static void from_general(struct vcpu *v, u32 insn, enum fp_fmt f, unsigned fbits, bool is_unsigned)
{
	struct fp_ctx c = fp_ctx_get(v);

	vreg_set_scalar(
		v, RD(insn),
		fp_from_int(&c, f, xr(v, RN(insn)), fbits, insn >> 31 ? 64 : 32, is_unsigned));
	v->arch.fpsr = c.fpsr;
}

#define OP_FCVTX(letter, mode)                                         \
	OP_FP(FCVT##letter##S, to_general(v, insn, f, 0, false, mode)) \
	OP_FP(FCVT##letter##U, to_general(v, insn, f, 0, true, mode))

OP_FCVTX(N, FP_RN)
OP_FCVTX(P, FP_RP)
OP_FCVTX(M, FP_RM)
OP_FCVTX(Z, FP_RZ)
OP_FCVTX(A, FP_RA)
OP_FP(SCVTF, from_general(v, insn, f, 0, false))
OP_FP(UCVTF, from_general(v, insn, f, 0, true))

/* Fixed-point forms: scale is 64 - fraction bits. */
#define OP_FIXED_AS(id, format, call)                   \
	OP(id)                                          \
	{                                               \
		enum fp_fmt f = format;                 \
		unsigned fbits = 64 - fld(insn, 10, 6); \
		FP_ACCESS_CHECK(v);                     \
		call;                                   \
		return OP_NEXT;                         \
	}
#define OP_FIXED(name, call)                         \
	OP_FIXED_AS(name##_FI, INSN_FMT(insn), call) \
	OP_FIXED_AS(name##_FIH, FP_H, call)

OP_FIXED(FCVTZS, to_general(v, insn, f, fbits, false, FP_RZ))
OP_FIXED(FCVTZU, to_general(v, insn, f, fbits, true, FP_RZ))
OP_FIXED(SCVTF, from_general(v, insn, f, fbits, false))
OP_FIXED(UCVTF, from_general(v, insn, f, fbits, true))

OP(FJCVTZS_F)
{
	struct fp_ctx c = fp_ctx_get(v);
	bool z;

	FP_ACCESS_CHECK(v);
	xw(v, RD(insn), fp_to_int_js(&c, v->arch.v[RN(insn)].d[0], &z));
	v->arch.nzcv = z ? PSR_Z : 0;
	v->arch.fpsr = c.fpsr;
	return OP_NEXT;
}

/* Moves between the register files: no conversion. */
#define OP_MOVE(name, stmt)         \
	OP(name)                    \
	{                           \
		FP_ACCESS_CHECK(v); \
		stmt;               \
		return OP_NEXT;     \
	}

OP_MOVE(FMOV_WS, xw(v, RD(insn), v->arch.v[RN(insn)].s[0]))
OP_MOVE(FMOV_XD, xw(v, RD(insn), v->arch.v[RN(insn)].d[0]))
OP_MOVE(FMOV_XVD1, xw(v, RD(insn), v->arch.v[RN(insn)].d[1]))
OP_MOVE(FMOV_GH, xw(v, RD(insn), v->arch.v[RN(insn)].h[0]))
OP_MOVE(FMOV_SW, vreg_set_scalar(v, RD(insn), wr(v, RN(insn))))
OP_MOVE(FMOV_DX, vreg_set_scalar(v, RD(insn), xr(v, RN(insn))))
OP_MOVE(FMOV_HG, vreg_set_scalar(v, RD(insn), (u16)xr(v, RN(insn))))
OP_MOVE(FMOV_VD1X, v->arch.v[RD(insn)].d[1] = xr(v, RN(insn)))
