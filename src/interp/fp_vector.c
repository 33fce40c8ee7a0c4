/* SPDX-License-Identifier: MIT */
/* AdvSIMD floating-point, vector and scalar: a scalar form is a vector of one element. */
#include "interp/simd.h"

typedef u64 fp_unary_fn(struct fp_ctx *c, enum fp_fmt f, u64 a);
typedef u64 fp_binary_fn(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b);
typedef u64 fp_ternary_fn(struct fp_ctx *c, enum fp_fmt f, u64 d, u64 a, u64 b);

/*
 * Bodies of one instruction: name_V and name_VH (vector S/D and half), name_S and name_SH (scalar).
 * Each calls run(v, insn, format, number of elements, fn).
 */
#define OP_AS(id, run, format, nr, ...)           \
	OP(id)                                    \
	{                                         \
		enum fp_fmt f = format;           \
		FP_ACCESS_CHECK(v);               \
		run(v, insn, f, nr, __VA_ARGS__); \
		return OP_NEXT;                   \
	}
#define OP_VECTOR(name, run, ...)                                            \
	OP_AS(name##_V, run, INSN_FMT(insn), NR_ELEMS(insn, f), __VA_ARGS__) \
	OP_AS(name##_VH, run, FP_H, NR_ELEMS(insn, f), __VA_ARGS__)
#define OP_SCALAR(name, run, ...)                            \
	OP_AS(name##_S, run, INSN_FMT(insn), 1, __VA_ARGS__) \
	OP_AS(name##_SH, run, FP_H, 1, __VA_ARGS__)
#define OP_BOTH(name, run, ...)           \
	OP_VECTOR(name, run, __VA_ARGS__) \
	OP_SCALAR(name, run, __VA_ARGS__)

/* --- three registers
 * --------------------------------------------------------------------------------------------------
 */

static void map_binary_with(struct vcpu *v, u32 insn, enum fp_fmt f, unsigned n,
			    const union vreg *b, fp_binary_fn *fn)
{
	const union vreg *a = &v->arch.v[RN(insn)];
	struct fp_ctx c = fp_ctx_get(v);
	union vreg r = {0};

	for (unsigned i = 0; i < n; i++)
		elem_set(&r, f, i, fn(&c, f, elem_get(a, f, i), elem_get(b, f, i)));
	v->arch.v[RD(insn)] = r;
	v->arch.fpsr = c.fpsr;
}

static void map_binary(struct vcpu *v, u32 insn, enum fp_fmt f, unsigned n, fp_binary_fn *fn)
{
	map_binary_with(v, insn, f, n, &v->arch.v[RM(insn)], fn);
}

static void map_binary_indexed(struct vcpu *v, u32 insn, enum fp_fmt f, unsigned n,
			       fp_binary_fn *fn)
{
	union vreg b = indexed_operand(v, insn, f);

	map_binary_with(v, insn, f, n, &b, fn);
}

static void map_ternary_with(struct vcpu *v, u32 insn, enum fp_fmt f, unsigned n,
			     const union vreg *b, fp_ternary_fn *fn)
{
	const union vreg *a = &v->arch.v[RN(insn)], *d = &v->arch.v[RD(insn)];
	struct fp_ctx c = fp_ctx_get(v);
	union vreg r = {0};

	for (unsigned i = 0; i < n; i++)
		elem_set(&r, f, i,
			 fn(&c, f, elem_get(d, f, i), elem_get(a, f, i), elem_get(b, f, i)));
	v->arch.v[RD(insn)] = r;
	v->arch.fpsr = c.fpsr;
}

static void map_ternary(struct vcpu *v, u32 insn, enum fp_fmt f, unsigned n, fp_ternary_fn *fn)
{
	map_ternary_with(v, insn, f, n, &v->arch.v[RM(insn)], fn);
}

static void map_ternary_indexed(struct vcpu *v, u32 insn, enum fp_fmt f, unsigned n,
				fp_ternary_fn *fn)
{
	union vreg b = indexed_operand(v, insn, f);

	map_ternary_with(v, insn, f, n, &b, fn);
}

/* Pairs of adjacent elements of Rn, then of Rm. */
static void map_pairs(struct vcpu *v, u32 insn, enum fp_fmt f, unsigned n, fp_binary_fn *fn)
{
	struct fp_ctx c = fp_ctx_get(v);
	union vreg r = {0};

	for (unsigned i = 0; i < n; i++) {
		const union vreg *x = &v->arch.v[i < n / 2 ? RN(insn) : RM(insn)];
		unsigned j = 2 * (i % (n / 2));

		elem_set(&r, f, i, fn(&c, f, elem_get(x, f, j), elem_get(x, f, j + 1)));
	}
	v->arch.v[RD(insn)] = r;
	v->arch.fpsr = c.fpsr;
}

static u64 abd(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b)
{
	return fp_abs(f, fp_sub(c, f, a, b));
}

static u64 mls(struct fp_ctx *c, enum fp_fmt f, u64 d, u64 a, u64 b)
{
	return fp_muladd(c, f, d, fp_neg(f, a), b);
}

/* Comparisons answer all ones or zero; elem_set truncates. */
static u64 cmeq(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b)
{
	return 0 - (u64)fp_eq(c, f, a, b);
}

static u64 cmge(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b)
{
	return 0 - (u64)fp_ge(c, f, a, b);
}

static u64 cmgt(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b)
{
	return 0 - (u64)fp_gt(c, f, a, b);
}

static u64 acge(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b)
{
	return cmge(c, f, fp_abs(f, a), fp_abs(f, b));
}

static u64 acgt(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b)
{
	return cmgt(c, f, fp_abs(f, a), fp_abs(f, b));
}

OP_VECTOR(FADD, map_binary, fp_add)
OP_VECTOR(FSUB, map_binary, fp_sub)
OP_VECTOR(FMUL, map_binary, fp_mul)
OP_VECTOR(FDIV, map_binary, fp_div)
OP_VECTOR(FMAX, map_binary, fp_max)
OP_VECTOR(FMIN, map_binary, fp_min)
OP_VECTOR(FMAXNM, map_binary, fp_maxnm)
OP_VECTOR(FMINNM, map_binary, fp_minnm)
OP_BOTH(FMULX, map_binary, fp_mulx)
OP_BOTH(FABD, map_binary, abd)
OP_BOTH(FRECPS, map_binary, fp_recps)
OP_BOTH(FRSQRTS, map_binary, fp_rsqrts)
OP_BOTH(FCMEQ, map_binary, cmeq)
OP_BOTH(FCMGE, map_binary, cmge)
OP_BOTH(FCMGT, map_binary, cmgt)
OP_BOTH(FACGE, map_binary, acge)
OP_BOTH(FACGT, map_binary, acgt)
OP_VECTOR(FMLA, map_ternary, fp_muladd)
OP_VECTOR(FMLS, map_ternary, mls)
OP_VECTOR(FADDP, map_pairs, fp_add)
OP_VECTOR(FMAXP, map_pairs, fp_max)
OP_VECTOR(FMINP, map_pairs, fp_min)
OP_VECTOR(FMAXNMP, map_pairs, fp_maxnm)
OP_VECTOR(FMINNMP, map_pairs, fp_minnm)

#define OP_INDEXED(name, run, fn)                                    \
	OP_AS(name##_VX, run, INSN_FMT(insn), NR_ELEMS(insn, f), fn) \
	OP_AS(name##_VXH, run, FP_H, NR_ELEMS(insn, f), fn)          \
	OP_AS(name##_SX, run, INSN_FMT(insn), 1, fn)                 \
	OP_AS(name##_SXH, run, FP_H, 1, fn)

OP_INDEXED(FMUL, map_binary_indexed, fp_mul)
OP_INDEXED(FMULX, map_binary_indexed, fp_mulx)
OP_INDEXED(FMLA, map_ternary_indexed, fp_muladd)
OP_INDEXED(FMLS, map_ternary_indexed, mls)

/* --- complex numbers: even elements real, odd imaginary
 * --------------------------------------------------------------- */

static void complex_mla(struct vcpu *v, u32 insn, enum fp_fmt f, const union vreg *b, unsigned rot)
{
	const union vreg *a = &v->arch.v[RN(insn)], *d = &v->arch.v[RD(insn)];
	struct fp_ctx c = fp_ctx_get(v);
	unsigned odd = rot & 1;
	union vreg r = {0};

	for (unsigned i = 0; i < NR_ELEMS(insn, f); i += 2) {
		u64 x = elem_get(a, f, i + odd), re = elem_get(b, f, i + odd),
		    im = elem_get(b, f, i + !odd);

		if (rot == 1 || rot == 2)
			re = fp_neg(f, re);
		if (rot == 2 || rot == 3)
			im = fp_neg(f, im);
		elem_set(&r, f, i, fp_muladd(&c, f, elem_get(d, f, i), x, re));
		elem_set(&r, f, i + 1, fp_muladd(&c, f, elem_get(d, f, i + 1), x, im));
	}
	v->arch.v[RD(insn)] = r;
	v->arch.fpsr = c.fpsr;
}

OP(FCMLA_V)
{
	FP_ACCESS_CHECK(v);
	complex_mla(v, insn, (enum fp_fmt)INSN_SIZE(insn), &v->arch.v[RM(insn)], fld(insn, 11, 2));
	return OP_NEXT;
}

/* The element is a complex number: a pair, repeated over the vector. */
static void complex_mla_indexed(struct vcpu *v, u32 insn, enum fp_fmt f, unsigned index)
{
	const union vreg *m = &v->arch.v[RM(insn)];
	union vreg b = elem_fill(f + 1, elem_get(m, f + 1, index));

	complex_mla(v, insn, f, &b, fld(insn, 13, 2));
}

OP(FCMLA_VX)
{
	FP_ACCESS_CHECK(v);
	complex_mla_indexed(v, insn, FP_S, fld(insn, 11, 1));
	return OP_NEXT;
}

OP(FCMLA_VXH)
{
	FP_ACCESS_CHECK(v);
	complex_mla_indexed(v, insn, FP_H, fld(insn, 11, 1) << 1 | fld(insn, 21, 1));
	return OP_NEXT;
}

OP(FCADD_V)
{
	const union vreg *a = &v->arch.v[RN(insn)], *b = &v->arch.v[RM(insn)];
	enum fp_fmt f = (enum fp_fmt)INSN_SIZE(insn);
	struct fp_ctx c = fp_ctx_get(v);
	union vreg r = {0};
	bool rot270 = insn >> 12 & 1;

	FP_ACCESS_CHECK(v);
	for (unsigned i = 0; i < NR_ELEMS(insn, f); i += 2) {
		u64 re = elem_get(b, f, i + 1), im = elem_get(b, f, i);

		if (rot270)
			im = fp_neg(f, im);
		else
			re = fp_neg(f, re);
		elem_set(&r, f, i, fp_add(&c, f, elem_get(a, f, i), re));
		elem_set(&r, f, i + 1, fp_add(&c, f, elem_get(a, f, i + 1), im));
	}
	v->arch.v[RD(insn)] = r;
	v->arch.fpsr = c.fpsr;
	return OP_NEXT;
}

/* --- across lanes
 * -----------------------------------------------------------------------------------------------------
 */

/* Arm ARM Reduce: halves first, so that NaNs propagate in its order. n is a power of two. */
static u64 reduce(struct fp_ctx *c, enum fp_fmt f, const union vreg *a, unsigned at, unsigned n,
		  fp_binary_fn *fn)
{
	if (n == 1)
		return elem_get(a, f, at);
	return fn(c, f, reduce(c, f, a, at, n / 2, fn), reduce(c, f, a, at + n / 2, n / 2, fn));
}

static void across(struct vcpu *v, u32 insn, enum fp_fmt f, unsigned n, fp_binary_fn *fn)
{
	struct fp_ctx c = fp_ctx_get(v);

	vreg_set_scalar(v, RD(insn), reduce(&c, f, &v->arch.v[RN(insn)], 0, n, fn));
	v->arch.fpsr = c.fpsr;
}

#define OP_ACROSS(name, fn)                  \
	OP_AS(name##_V, across, FP_S, 4, fn) \
	OP_AS(name##_VH, across, FP_H, NR_ELEMS(insn, f), fn)
#define OP_PAIR(name, fn)                              \
	OP_AS(name##_S, across, INSN_FMT(insn), 2, fn) \
	OP_AS(name##_SH, across, FP_H, 2, fn)

OP_ACROSS(FMAXV, fp_max)
OP_ACROSS(FMINV, fp_min)
OP_ACROSS(FMAXNMV, fp_maxnm)
OP_ACROSS(FMINNMV, fp_minnm)
OP_PAIR(FADDP, fp_add)
OP_PAIR(FMAXP, fp_max)
OP_PAIR(FMINP, fp_min)
OP_PAIR(FMAXNMP, fp_maxnm)
OP_PAIR(FMINNMP, fp_minnm)
