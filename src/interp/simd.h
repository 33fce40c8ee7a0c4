/* SPDX-License-Identifier: MIT */
/* What the FP and AdvSIMD handlers share: elements of V registers and element indices. */
#ifndef ANYKVM_INTERP_SIMD_H
#define ANYKVM_INTERP_SIMD_H

#include "interp/interp.h"
#include "interp/softfp.h"

/* Element i of 1 << size bytes, zero-extended. */
static ALWAYS_INLINE u64 elem_get(const union vreg *r, unsigned size, unsigned i)
{
	switch (size) {
	case 0:
		return r->b[i];
	case 1:
		return r->h[i];
	case 2:
		return r->s[i];
	default:
		return r->d[i];
	}
}

static ALWAYS_INLINE void elem_set(union vreg *r, unsigned size, unsigned i, u64 x)
{
	switch (size) {
	case 0:
		r->b[i] = (u8)x;
		break;
	case 1:
		r->h[i] = (u16)x;
		break;
	case 2:
		r->s[i] = (u32)x;
		break;
	default:
		r->d[i] = x;
	}
}

/* Every element of the result is x. */
static ALWAYS_INLINE union vreg elem_fill(unsigned size, u64 x)
{
	static const u64 ones[4] = {0x0101010101010101, 0x0001000100010001, 0x0000000100000001, 1};
	union vreg r;

	x &= ~0ull >> (64 - (8 << size));
	r.d[0] = r.d[1] = x * ones[size];
	return r;
}

static ALWAYS_INLINE s64 elem_signed(unsigned size, u64 x)
{
	return sign_extend(x, 8u << size);
}

static ALWAYS_INLINE u64 elem_mask(unsigned size)
{
	return ~0ull >> (64 - (8u << size));
}

/* A scalar result clears the rest of its register. */
static ALWAYS_INLINE void vreg_set_scalar(struct vcpu *v, unsigned n, u64 x)
{
	v->arch.v[n].d[0] = x;
	v->arch.v[n].d[1] = 0;
}

#define INSN_Q(insn)	((insn) >> 30 & 1)
#define INSN_SIZE(insn) ((insn) >> 22 & 3)
/* S or D, by bit 22. */
#define INSN_FMT(insn) ((enum fp_fmt)(FP_S + ((insn) >> 22 & 1)))
/* Elements of 1 << size bytes in the 64 or 128 bits that Q chooses. */
#define NR_ELEMS(insn, size) ((8u << INSN_Q(insn)) >> (size))

/* The element operand of a by-element instruction, in every lane: index H:L:M, H:L or H by size. */
static ALWAYS_INLINE union vreg indexed_operand(const struct vcpu *v, u32 insn, unsigned size)
{
	unsigned h = insn >> 11 & 1, l = insn >> 21 & 1, m = insn >> 20 & 1, rm = insn >> 16 & 15;
	unsigned index = size == 1 ? h << 2 | l << 1 | m : size == 2 ? h << 1 | l : h;

	if (size != 1)
		rm |= m << 4;
	return elem_fill(size, elem_get(&v->arch.v[rm], size, index));
}

static ALWAYS_INLINE struct fp_ctx fp_ctx_get(const struct vcpu *v)
{
	return (struct fp_ctx){v->arch.fpcr, v->arch.fpsr};
}

/* VFPExpandImm (Arm ARM) */
static inline u64 fp_expand_imm(enum fp_fmt f, unsigned imm8)
{
	unsigned e = f == FP_H ? 5 : f == FP_S ? 8 : 11, frac = (8u << f) - 1 - e;
	u64 b6 = imm8 >> 6 & 1;
	u64 exp = (b6 ^ 1) << (e - 1) | (b6 ? ((1ull << (e - 3)) - 1) << 2 : 0) | (imm8 >> 4 & 3);

	return (u64)(imm8 >> 7) << ((8u << f) - 1) | exp << frac | (u64)(imm8 & 15) << (frac - 4);
}

#endif
