/* SPDX-License-Identifier: MIT */
/* Logical operations, moves, bitfields, extract, PC-relative addresses. */
#include "interp/flags.h"
#include "interp/interp.h"

enum logic { LOGIC_AND, LOGIC_ORR, LOGIC_EOR };

static ALWAYS_INLINE u64 low_mask(unsigned n)
{
	return ~0ull >> (64 - n);
}

/* Arm ARM DecodeBitMasks, immediate form: a run of S + 1 ones, rotated right by R in its element, the element repeated. */
static ALWAYS_INLINE u64 bitmask_imm(u32 insn)
{
	unsigned immr = fld(insn, 16, 6), imms = fld(insn, 10, 6);
	unsigned esize, s, r;
	u64 elem;

	if (insn >> 22 & 1)
		return ror64(low_mask(imms + 1), immr);
	/* The element size is marked by the highest zero of imms. */
	esize = 1u << (31 - __builtin_clz(~imms & 63));
	s = imms & (esize - 1);
	r = immr & (esize - 1);
	elem = low_mask(s + 1);
	elem = (elem >> r | elem << (esize - r)) & low_mask(esize);
	return elem * (~0ull / low_mask(esize));
}

static ALWAYS_INLINE u64 logic_do(enum logic op, u64 a, u64 b)
{
	return op == LOGIC_AND ? a & b : op == LOGIC_ORR ? a | b : a ^ b;
}

static ALWAYS_INLINE enum op_result logic_imm(struct vcpu *v, u32 insn, bool sf, enum logic op,
					      bool flags)
{
	u64 r = logic_do(op, xr(v, RN(insn)), bitmask_imm(insn));

	if (!sf)
		r = (u32)r;
	if (flags) {
		v->arch.nzcv = sf ? flags_logic64(r) : flags_logic32((u32)r);
		xw(v, RD(insn), r);
	} else {
		xw_sp(v, RD(insn), r);
	}
	return OP_NEXT;
}

static ALWAYS_INLINE enum op_result logic_reg(struct vcpu *v, u32 insn, bool sf, enum logic op,
					      bool invert, bool flags, bool shifted)
{
	unsigned shift = fld(insn, 22, 2), n = fld(insn, 10, 6);
	u64 b = xr(v, RM(insn)), r;

	if (shifted)
		b = sf ? shift64(b, shift, n) : shift32((u32)b, shift, n);
	r = logic_do(op, xr(v, RN(insn)), invert ? ~b : b);
	if (!sf)
		r = (u32)r;
	if (flags)
		v->arch.nzcv = sf ? flags_logic64(r) : flags_logic32((u32)r);
	xw(v, RD(insn), r);
	return OP_NEXT;
}

#define LOGIC_IMM(name, op, flags)                           \
	OP(name##_IMM32)                                     \
	{                                                    \
		return logic_imm(v, insn, false, op, flags); \
	}                                                    \
	OP(name##_IMM64)                                     \
	{                                                    \
		return logic_imm(v, insn, true, op, flags);  \
	}

LOGIC_IMM(AND, LOGIC_AND, false)
LOGIC_IMM(ORR, LOGIC_ORR, false)
LOGIC_IMM(EOR, LOGIC_EOR, false)
LOGIC_IMM(ANDS, LOGIC_AND, true)

/* fast_: shift amount 0. */
#define LOGIC_REG(name, op, invert, flags)                                  \
	OP(name##_REG32)                                                    \
	{                                                                   \
		return logic_reg(v, insn, false, op, invert, flags, true);  \
	}                                                                   \
	OP(name##_REG64)                                                    \
	{                                                                   \
		return logic_reg(v, insn, true, op, invert, flags, true);   \
	}                                                                   \
	OP_VARIANT(fast_##name##_REG32)                                     \
	{                                                                   \
		return logic_reg(v, insn, false, op, invert, flags, false); \
	}                                                                   \
	OP_VARIANT(fast_##name##_REG64)                                     \
	{                                                                   \
		return logic_reg(v, insn, true, op, invert, flags, false);  \
	}

LOGIC_REG(AND, LOGIC_AND, false, false)
LOGIC_REG(BIC, LOGIC_AND, true, false)
LOGIC_REG(ORR, LOGIC_ORR, false, false)
LOGIC_REG(ORN, LOGIC_ORR, true, false)
LOGIC_REG(EOR, LOGIC_EOR, false, false)
LOGIC_REG(EON, LOGIC_EOR, true, false)
LOGIC_REG(ANDS, LOGIC_AND, false, true)
LOGIC_REG(BICS, LOGIC_AND, true, true)

/* MOV (register): ORR with Rn = ZR, no shift. */
OP_VARIANT(fast_MOV32)
{
	xw(v, RD(insn), wr(v, RM(insn)));
	return OP_NEXT;
}

OP_VARIANT(fast_MOV64)
{
	xw(v, RD(insn), xr(v, RM(insn)));
	return OP_NEXT;
}

static ALWAYS_INLINE unsigned hw_shift(u32 insn)
{
	return fld(insn, 21, 2) * 16;
}

static ALWAYS_INLINE u64 imm16(u32 insn)
{
	return (u64)fld(insn, 5, 16) << hw_shift(insn);
}

OP(MOVN32)
{
	xw(v, RD(insn), (u32)~imm16(insn));
	return OP_NEXT;
}

OP(MOVN64)
{
	xw(v, RD(insn), ~imm16(insn));
	return OP_NEXT;
}

OP(MOVZ32)
{
	xw(v, RD(insn), imm16(insn));
	return OP_NEXT;
}

OP(MOVZ64)
{
	xw(v, RD(insn), imm16(insn));
	return OP_NEXT;
}

OP(MOVK32)
{
	xw(v, RD(insn), (wr(v, RD(insn)) & ~(0xffffu << hw_shift(insn))) | imm16(insn));
	return OP_NEXT;
}

OP(MOVK64)
{
	xw(v, RD(insn), (xr(v, RD(insn)) & ~(0xffffull << hw_shift(insn))) | imm16(insn));
	return OP_NEXT;
}

/*
 * S >= R: bits S..R go to the bottom. S < R: bits S..0 go to bit (width - R). x is zero-extended for W.
 */
OP(UBFM64)
{
	unsigned r = fld(insn, 16, 6), s = fld(insn, 10, 6);
	u64 x = xr(v, RN(insn));

	xw(v, RD(insn), s >= r ? x << (63 - s) >> (63 - s + r) : (x & low_mask(s + 1)) << (64 - r));
	return OP_NEXT;
}

OP(UBFM32)
{
	unsigned r = fld(insn, 16, 6), s = fld(insn, 10, 6);
	u32 x = wr(v, RN(insn));

	xw(v, RD(insn),
	   s >= r ? x << (31 - s) >> (31 - s + r) : (x << (31 - s) >> (31 - s)) << (32 - r));
	return OP_NEXT;
}

OP(SBFM64)
{
	unsigned r = fld(insn, 16, 6), s = fld(insn, 10, 6);
	u64 x = xr(v, RN(insn)) << (63 - s);

	xw(v, RD(insn),
	   s >= r ? (u64)((s64)x >> (63 - s + r)) : (u64)((s64)x >> (63 - s)) << (64 - r));
	return OP_NEXT;
}

OP(SBFM32)
{
	unsigned r = fld(insn, 16, 6), s = fld(insn, 10, 6);
	u32 x = wr(v, RN(insn)) << (31 - s);

	xw(v, RD(insn),
	   s >= r ? (u32)((s32)x >> (31 - s + r)) : (u32)((s32)x >> (31 - s)) << (32 - r));
	return OP_NEXT;
}

static ALWAYS_INLINE u64 bfm(u64 d, u64 x, unsigned r, unsigned s, unsigned width)
{
	u64 mask;

	if (s >= r) {
		mask = low_mask(s - r + 1);
		return (d & ~mask) | (x >> r & mask);
	}
	mask = low_mask(s + 1) << (width - r);
	return (d & ~mask) | (x << (width - r) & mask);
}

OP(BFM64)
{
	xw(v, RD(insn),
	   bfm(xr(v, RD(insn)), xr(v, RN(insn)), fld(insn, 16, 6), fld(insn, 10, 6), 64));
	return OP_NEXT;
}

OP(BFM32)
{
	xw(v, RD(insn),
	   (u32)bfm(wr(v, RD(insn)), wr(v, RN(insn)), fld(insn, 16, 6), fld(insn, 10, 6), 32));
	return OP_NEXT;
}

OP(EXTR64)
{
	unsigned n = fld(insn, 10, 6);
	u64 hi = xr(v, RN(insn)), lo = xr(v, RM(insn));

	xw(v, RD(insn), n ? lo >> n | hi << (64 - n) : lo);
	return OP_NEXT;
}

OP(EXTR32)
{
	unsigned n = fld(insn, 10, 6);
	u64 both = (u64)wr(v, RN(insn)) << 32 | wr(v, RM(insn));

	xw(v, RD(insn), (u32)(both >> n));
	return OP_NEXT;
}

OP(ADR)
{
	xw(v, RD(insn), v->arch.pc + (u64)(sfld(insn, 5, 19) * 4) + fld(insn, 29, 2));
	return OP_NEXT;
}

OP(ADRP)
{
	u64 pages = (u64)(sfld(insn, 5, 19) * 4) + fld(insn, 29, 2);

	xw(v, RD(insn), (v->arch.pc & ~0xfffull) + (pages << 12));
	return OP_NEXT;
}
