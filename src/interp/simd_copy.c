/* SPDX-License-Identifier: MIT */
/* AdvSIMD moves: elements to and from general registers, permutations, table lookup, immediates. */
#include "interp/simd.h"

/* imm5: the lowest set bit is the element size, the bits above it the index. */
static ALWAYS_INLINE unsigned imm5_size(u32 insn)
{
	return (unsigned)__builtin_ctz(insn >> 16 & 31);
}

static ALWAYS_INLINE unsigned imm5_index(u32 insn)
{
	return (insn >> 16 & 31) >> (imm5_size(insn) + 1);
}

static ALWAYS_INLINE u64 imm5_element(const struct vcpu *v, u32 insn)
{
	return elem_get(&v->arch.v[RN(insn)], imm5_size(insn), imm5_index(insn));
}

static ALWAYS_INLINE void put_vector(struct vcpu *v, u32 insn, union vreg r)
{
	if (!INSN_Q(insn))
		r.d[1] = 0;
	v->arch.v[RD(insn)] = r;
}

OP(DUP_SX)
{
	FP_ACCESS_CHECK(v);
	vreg_set_scalar(v, RD(insn), imm5_element(v, insn));
	return OP_NEXT;
}

OP(DUP_VX)
{
	FP_ACCESS_CHECK(v);
	put_vector(v, insn, elem_fill(imm5_size(insn), imm5_element(v, insn)));
	return OP_NEXT;
}

OP(DUP_VG)
{
	FP_ACCESS_CHECK(v);
	put_vector(v, insn, elem_fill(imm5_size(insn), xr(v, RN(insn))));
	return OP_NEXT;
}

OP(SMOV_GX)
{
	u64 x = (u64)elem_signed(imm5_size(insn), imm5_element(v, insn));

	FP_ACCESS_CHECK(v);
	xw(v, RD(insn), INSN_Q(insn) ? x : (u32)x);
	return OP_NEXT;
}

OP(UMOV_WX)
{
	FP_ACCESS_CHECK(v);
	xw(v, RD(insn), imm5_element(v, insn));
	return OP_NEXT;
}

OP(UMOV_XX)
{
	FP_ACCESS_CHECK(v);
	xw(v, RD(insn), imm5_element(v, insn));
	return OP_NEXT;
}

OP(INS_XG)
{
	FP_ACCESS_CHECK(v);
	elem_set(&v->arch.v[RD(insn)], imm5_size(insn), imm5_index(insn), xr(v, RN(insn)));
	return OP_NEXT;
}

OP(INS_XX)
{
	unsigned s = imm5_size(insn), from = fld(insn, 11, 4) >> s;

	FP_ACCESS_CHECK(v);
	elem_set(&v->arch.v[RD(insn)], s, imm5_index(insn),
		 elem_get(&v->arch.v[RN(insn)], s, from));
	return OP_NEXT;
}

/* --- permutations: for each element of the result, which element of Rn (below n) or Rm (from n on)
 * ----------------------- */

#define OP_PERMUTE(name, pick)                                                                 \
	OP(name)                                                                               \
	{                                                                                      \
		const union vreg *a = &v->arch.v[RN(insn)], *b = &v->arch.v[RM(insn)];         \
		unsigned s = INSN_SIZE(insn), n = NR_ELEMS(insn, s);                           \
		union vreg r = {0};                                                            \
		FP_ACCESS_CHECK(v);                                                            \
		for (unsigned i = 0; i < n; i++) {                                             \
			unsigned j = pick;                                                     \
			elem_set(&r, s, i, j < n ? elem_get(a, s, j) : elem_get(b, s, j - n)); \
		}                                                                              \
		v->arch.v[RD(insn)] = r;                                                       \
		return OP_NEXT;                                                                \
	}

OP_PERMUTE(UZP1_V, 2 * i)
OP_PERMUTE(UZP2_V, 2 * i + 1)
OP_PERMUTE(TRN1_V, (i & ~1u) + (i & 1) * n)
OP_PERMUTE(TRN2_V, (i | 1u) + (i & 1) * n)
OP_PERMUTE(ZIP1_V, i / 2 + (i & 1) * n)
OP_PERMUTE(ZIP2_V, (i + n) / 2 + (i & 1) * n)

OP(EXT_V)
{
	const union vreg *a = &v->arch.v[RN(insn)], *b = &v->arch.v[RM(insn)];
	unsigned n = NR_ELEMS(insn, 0), at = fld(insn, 11, 4);
	union vreg r = {0};

	FP_ACCESS_CHECK(v);
	for (unsigned i = 0; i < n; i++)
		r.b[i] = at + i < n ? a->b[at + i] : b->b[at + i - n];
	v->arch.v[RD(insn)] = r;
	return OP_NEXT;
}

static enum op_result table_lookup(struct vcpu *v, u32 insn, bool keep)
{
	const union vreg *index = &v->arch.v[RM(insn)];
	unsigned limit = 16 * (fld(insn, 13, 2) + 1);
	union vreg r = {0};

	for (unsigned i = 0; i < NR_ELEMS(insn, 0); i++) {
		unsigned at = index->b[i];

		if (at < limit)
			r.b[i] = v->arch.v[(RN(insn) + at / 16) & 31].b[at & 15];
		else if (keep)
			r.b[i] = v->arch.v[RD(insn)].b[i];
	}
	v->arch.v[RD(insn)] = r;
	return OP_NEXT;
}

OP(TBL_V)
{
	FP_ACCESS_CHECK(v);
	return table_lookup(v, insn, false);
}

OP(TBX_V)
{
	FP_ACCESS_CHECK(v);
	return table_lookup(v, insn, true);
}

/* --- immediates: AdvSIMDExpandImm, a case a line
 * -------------------------------------------------------------------------- */

static ALWAYS_INLINE u64 imm8(u32 insn)
{
	return fld(insn, 16, 3) << 5 | fld(insn, 5, 5);
}

static u64 imm_32(u32 insn)
{
	return elem_fill(2, imm8(insn) << 8 * fld(insn, 13, 2)).d[0];
}

static u64 imm_16(u32 insn)
{
	return elem_fill(1, imm8(insn) << 8 * fld(insn, 13, 1)).d[0];
}

/* shifted left with ones coming in */
static u64 imm_msl(u32 insn)
{
	unsigned shift = fld(insn, 12, 1) ? 16 : 8;

	return elem_fill(2, imm8(insn) << shift | ((1u << shift) - 1)).d[0];
}

static u64 imm_8(u32 insn)
{
	return elem_fill(0, imm8(insn)).d[0];
}

/* each bit becomes a byte */
static u64 imm_bytes(u32 insn)
{
	u64 r = 0, x = imm8(insn);

	for (unsigned i = 0; i < 8; i++)
		r |= x >> i & 1 ? 0xffull << 8 * i : 0;
	return r;
}

#define OP_IMM(name, expr)                            \
	OP(name)                                      \
	{                                             \
		union vreg *r = &v->arch.v[RD(insn)]; \
		FP_ACCESS_CHECK(v);                   \
		for (unsigned i = 0; i < 2; i++) {    \
			u64 d = r->d[i];              \
			r->d[i] = expr;               \
			(void)d;                      \
		}                                     \
		if (!INSN_Q(insn))                    \
			r->d[1] = 0;                  \
		return OP_NEXT;                       \
	}

OP_IMM(MOVI32_VI, imm_32(insn))
OP_IMM(ORR32_VI, d | imm_32(insn))
OP_IMM(MVNI32_VI, ~imm_32(insn))
OP_IMM(BIC32_VI, d & ~imm_32(insn))
OP_IMM(MOVI16_VI, imm_16(insn))
OP_IMM(ORR16_VI, d | imm_16(insn))
OP_IMM(MVNI16_VI, ~imm_16(insn))
OP_IMM(BIC16_VI, d & ~imm_16(insn))
OP_IMM(MOVIMSL_VI, imm_msl(insn))
OP_IMM(MVNIMSL_VI, ~imm_msl(insn))
OP_IMM(MOVI8_VI, imm_8(insn))
OP_IMM(MOVI64_VI, imm_bytes(insn))
OP_IMM(FMOVS_VI, elem_fill(2, fp_expand_imm(FP_S, (unsigned)imm8(insn))).d[0])
OP_IMM(FMOVD_VI, fp_expand_imm(FP_D, (unsigned)imm8(insn)))
OP_IMM(FMOVH_VI, elem_fill(1, fp_expand_imm(FP_H, (unsigned)imm8(insn))).d[0])
