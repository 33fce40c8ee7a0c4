/* SPDX-License-Identifier: MIT */
/* Multiply, divide, variable shifts, bit counts, CRC32, conditional select, flag manipulation. */
#include "interp/flags.h"
#include "interp/interp.h"

/* op_NAME for both widths; a, b are the zero-extended sources and r, of the width's type, the result. */
#define OP2(name, expr32, expr64)                             \
	OP(name##32)                                          \
	{                                                     \
		u32 a = wr(v, RN(insn)), b = wr(v, RM(insn)); \
                                                              \
		xw(v, RD(insn), (u32)(expr32));               \
		return OP_NEXT;                               \
	}                                                     \
	OP(name##64)                                          \
	{                                                     \
		u64 a = xr(v, RN(insn)), b = xr(v, RM(insn)); \
                                                              \
		xw(v, RD(insn), (u64)(expr64));               \
		return OP_NEXT;                               \
	}

/* Division by zero gives 0; the smallest number by -1 gives itself. */
static ALWAYS_INLINE u32 sdiv32(u32 a, u32 b)
{
	if (b == 0)
		return 0;
	return b == ~0u ? -a : (u32)((s32)a / (s32)b);
}

static ALWAYS_INLINE u64 sdiv64(u64 a, u64 b)
{
	if (b == 0)
		return 0;
	return b == ~0ull ? -a : (u64)((s64)a / (s64)b);
}

OP2(UDIV, b ? a / b : 0, b ? a / b : 0)
OP2(SDIV, sdiv32(a, b), sdiv64(a, b))
OP2(LSLV, a << (b & 31), a << (b & 63))
OP2(LSRV, a >> (b & 31), a >> (b & 63))
OP2(ASRV, (s32)a >> (b & 31), (s64)a >> (b & 63))
OP2(RORV, ror32(a, b), ror64(a, b))

/* Reflected CRC, four bits a step. */
static u32 crc_update(u32 crc, u64 data, unsigned bytes, const u32 table[16])
{
	for (unsigned i = 0; i < bytes; i++, data >>= 8) {
		crc ^= (u8)data;
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return crc;
}

static const u32 crc32_table[16] = {
	0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
	0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
	0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
};

static const u32 crc32c_table[16] = {
	0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
	0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
	0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

#define CRC(name, bytes, table)                                                              \
	OP(name)                                                                             \
	{                                                                                    \
		xw(v, RD(insn), crc_update(wr(v, RN(insn)), xr(v, RM(insn)), bytes, table)); \
		return OP_NEXT;                                                              \
	}

CRC(CRC32B, 1, crc32_table)
CRC(CRC32H, 2, crc32_table)
CRC(CRC32W, 4, crc32_table)
CRC(CRC32X, 8, crc32_table)
CRC(CRC32CB, 1, crc32c_table)
CRC(CRC32CH, 2, crc32c_table)
CRC(CRC32CW, 4, crc32c_table)
CRC(CRC32CX, 8, crc32c_table)

static ALWAYS_INLINE u64 reverse_bits(u64 x)
{
	x = (x >> 1 & 0x5555555555555555) | (x & 0x5555555555555555) << 1;
	x = (x >> 2 & 0x3333333333333333) | (x & 0x3333333333333333) << 2;
	x = (x >> 4 & 0x0f0f0f0f0f0f0f0f) | (x & 0x0f0f0f0f0f0f0f0f) << 4;
	return __builtin_bswap64(x);
}

static ALWAYS_INLINE u64 reverse_bytes16(u64 x)
{
	return (x >> 8 & 0x00ff00ff00ff00ff) | (x & 0x00ff00ff00ff00ff) << 8;
}

#define OP1(name, expr)                  \
	OP(name)                         \
	{                                \
		u64 x = xr(v, RN(insn)); \
                                         \
		xw(v, RD(insn), expr);   \
		return OP_NEXT;          \
	}

/* Bits after the top one that equal it. x ^ x << 1 has a one where a bit differs from the one below. */
static ALWAYS_INLINE u64 count_sign64(u64 x)
{
	u64 y = (x ^ x << 1) | 1;

	return (u64)__builtin_clzll(y);
}

static ALWAYS_INLINE u64 count_sign32(u32 x)
{
	u32 y = (x ^ x << 1) | 1;

	return (u64)__builtin_clz(y);
}

OP1(RBIT32, reverse_bits(x) >> 32)
OP1(RBIT64, reverse_bits(x))
OP1(REV16_32, (u32)reverse_bytes16(x))
OP1(REV16_64, reverse_bytes16(x))
OP1(REV_32, __builtin_bswap32((u32)x))
OP1(REV32_64, ror64(__builtin_bswap64(x), 32))
OP1(REV_64, __builtin_bswap64(x))
OP1(CLZ_32, (u32)x ? (u64)__builtin_clz((u32)x) : 32)
OP1(CLZ_64, x ? (u64)__builtin_clzll(x) : 64)
OP1(CLS_32, count_sign32((u32)x))
OP1(CLS_64, count_sign64(x))

#define CSEL_OP(name, expr)                                             \
	OP(name##32)                                                    \
	{                                                               \
		u64 b = xr(v, RM(insn));                                \
		bool yes = cond_holds(v->arch.nzcv, fld(insn, 12, 4));  \
                                                                        \
		xw(v, RD(insn), (u32)(yes ? xr(v, RN(insn)) : (expr))); \
		return OP_NEXT;                                         \
	}                                                               \
	OP(name##64)                                                    \
	{                                                               \
		u64 b = xr(v, RM(insn));                                \
		bool yes = cond_holds(v->arch.nzcv, fld(insn, 12, 4));  \
                                                                        \
		xw(v, RD(insn), yes ? xr(v, RN(insn)) : (expr));        \
		return OP_NEXT;                                         \
	}

CSEL_OP(CSEL, b)
CSEL_OP(CSINC, b + 1)
CSEL_OP(CSINV, ~b)
CSEL_OP(CSNEG, -b)

OP2(MADD, wr(v, RA(insn)) + a * b, xr(v, RA(insn)) + a * b)
OP2(MSUB, wr(v, RA(insn)) - a * b, xr(v, RA(insn)) - a * b)

#define OP3_LONG(name, expr)                                                       \
	OP(name)                                                                   \
	{                                                                          \
		u64 a = xr(v, RN(insn)), b = xr(v, RM(insn)), c = xr(v, RA(insn)); \
                                                                                   \
		xw(v, RD(insn), expr);                                             \
		return OP_NEXT;                                                    \
	}

OP3_LONG(SMADDL, c + (u64)((s64)(s32)a * (s32)b))
OP3_LONG(SMSUBL, c - (u64)((s64)(s32)a * (s32)b))
OP3_LONG(UMADDL, c + (u64)(u32)a * (u32)b)
OP3_LONG(UMSUBL, c - (u64)(u32)a * (u32)b)

OP(SMULH)
{
	xw(v, RD(insn), (u64)(((s128)(s64)xr(v, RN(insn)) * (s64)xr(v, RM(insn))) >> 64));
	return OP_NEXT;
}

OP(UMULH)
{
	xw(v, RD(insn), (u64)(((u128)xr(v, RN(insn)) * xr(v, RM(insn))) >> 64));
	return OP_NEXT;
}

OP(RMIF)
{
	u32 bits = (u32)ror64(xr(v, RN(insn)), fld(insn, 15, 6)) << 28;
	u32 mask = (insn & 15) << 28;

	v->arch.nzcv = (v->arch.nzcv & ~mask) | (bits & mask);
	return OP_NEXT;
}

static ALWAYS_INLINE enum op_result setf(struct vcpu *v, u32 x, unsigned width)
{
	u32 n = x >> (width - 1) & 1, above = x >> width & 1;
	u32 z = (x & ((1u << width) - 1)) == 0;

	v->arch.nzcv = nzcv_pack(n, z, v->arch.nzcv >> 29 & 1, n ^ above);
	return OP_NEXT;
}

OP(SETF8)
{
	return setf(v, wr(v, RN(insn)), 8);
}

OP(SETF16)
{
	return setf(v, wr(v, RN(insn)), 16);
}

OP(CFINV)
{
	v->arch.nzcv ^= PSR_C;
	return OP_NEXT;
}
