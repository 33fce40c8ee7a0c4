/* SPDX-License-Identifier: MIT */
/* NZCV of additions, shifts and extensions of register operands. */
#ifndef ANYKVM_INTERP_FLAGS_H
#define ANYKVM_INTERP_FLAGS_H

#include "base/types.h"
#include "vcpu/state.h"

static ALWAYS_INLINE u32 nzcv_pack(u32 n, u32 z, u32 c, u32 o)
{
	return n << 31 | z << 30 | c << 29 | o << 28;
}

static ALWAYS_INLINE u32 flags_logic64(u64 r)
{
	return nzcv_pack((u32)(r >> 63), r == 0, 0, 0);
}

static ALWAYS_INLINE u32 flags_logic32(u32 r)
{
	return nzcv_pack(r >> 31, r == 0, 0, 0);
}

static ALWAYS_INLINE u32 flags_add64(u64 a, u64 b, u64 r)
{
	return nzcv_pack((u32)(r >> 63), r == 0, r < a, (u32)(((a ^ r) & (b ^ r)) >> 63));
}

static ALWAYS_INLINE u32 flags_add32(u32 a, u32 b, u32 r)
{
	return nzcv_pack(r >> 31, r == 0, r < a, ((a ^ r) & (b ^ r)) >> 31);
}

/* C is "no borrow". */
static ALWAYS_INLINE u32 flags_sub64(u64 a, u64 b, u64 r)
{
	return nzcv_pack((u32)(r >> 63), r == 0, a >= b, (u32)(((a ^ b) & (a ^ r)) >> 63));
}

static ALWAYS_INLINE u32 flags_sub32(u32 a, u32 b, u32 r)
{
	return nzcv_pack(r >> 31, r == 0, a >= b, ((a ^ b) & (a ^ r)) >> 31);
}

/* r = a + b + c. With a carry in, the sum wrapped if r <= a. */
static ALWAYS_INLINE u32 flags_adc64(u64 a, u64 b, unsigned c, u64 r)
{
	return nzcv_pack((u32)(r >> 63), r == 0, c ? r <= a : r < a,
			 (u32)(((a ^ r) & (b ^ r)) >> 63));
}

static ALWAYS_INLINE u32 flags_adc32(u32 a, u32 b, unsigned c, u32 r)
{
	return nzcv_pack(r >> 31, r == 0, c ? r <= a : r < a, ((a ^ r) & (b ^ r)) >> 31);
}

static ALWAYS_INLINE u64 ror64(u64 x, unsigned n)
{
	return x >> (n & 63) | x << (-n & 63);
}

static ALWAYS_INLINE u32 ror32(u32 x, unsigned n)
{
	return x >> (n & 31) | x << (-n & 31);
}

/* type: LSL, LSR, ASR, ROR. n below the width. */
static ALWAYS_INLINE u64 shift64(u64 x, unsigned type, unsigned n)
{
	switch (type) {
	case 0:
		return x << n;
	case 1:
		return x >> n;
	case 2:
		return (u64)((s64)x >> n);
	default:
		return ror64(x, n);
	}
}

static ALWAYS_INLINE u32 shift32(u32 x, unsigned type, unsigned n)
{
	switch (type) {
	case 0:
		return x << n;
	case 1:
		return x >> n;
	case 2:
		return (u32)((s32)x >> n);
	default:
		return ror32(x, n);
	}
}

/* UXTB, UXTH, UXTW, UXTX, SXTB, SXTH, SXTW, SXTX. */
static ALWAYS_INLINE u64 extend_reg(u64 x, unsigned option)
{
	switch (option) {
	case 0:
		return (u8)x;
	case 1:
		return (u16)x;
	case 2:
		return (u32)x;
	case 4:
		return (u64)(s64)(s8)x;
	case 5:
		return (u64)(s64)(s16)x;
	case 6:
		return (u64)(s64)(s32)x;
	default:
		return x;
	}
}

#endif
