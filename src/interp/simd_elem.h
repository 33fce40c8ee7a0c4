/* SPDX-License-Identifier: MIT */
/*
 * Integer element operations. Elements come zero-extended; s is the log2 of their size in bytes (a
 * constant where these are inlined); *q is set when a result saturated. Results are truncated by
 * the caller.
 */
#ifndef ANYKVM_INTERP_SIMD_ELEM_H
#define ANYKVM_INTERP_SIMD_ELEM_H

#include "interp/simd.h"

#define SX(s, a) elem_signed(s, a)

static inline u64 sat_signed(unsigned s, s128 x, bool *q)
{
	s64 max = (s64)(elem_mask(s) >> 1), min = -max - 1;

	if (unlikely(x > max || x < min)) {
		*q = true;
		return (u64)(x > max ? max : min);
	}
	return (u64)x;
}

static inline u64 sat_unsigned(unsigned s, s128 x, bool *q)
{
	if (unlikely(x < 0 || x > (s128)elem_mask(s))) {
		*q = true;
		return x < 0 ? 0 : elem_mask(s);
	}
	return (u64)x;
}

/*
 * x shifted left by shift, or right by -shift with rounding, as a mathematical integer: the shared
 * part of all shifts by register and immediate. *huge: the result does not fit 128 bits (and x is
 * not 0).
 */
static inline s128 shift_exact(s128 x, int shift, bool round, bool *huge)
{
	*huge = false;
	if (shift >= 64) {
		*huge = x != 0;
		return 0;
	}
	if (shift >= 0)
		return (s128)((u128)x << shift);
	if (shift < -100) /* beyond any element: only the sign is left */
		shift = -100;
	if (round)
		x += (s128)1 << (-shift - 1);
	return x >> -shift;
}

/* SSHL, USHL and their rounding and saturating relatives: shift is the signed low byte of b. */
static inline u64 shift_register(unsigned s, u64 a, u64 b, bool is_unsigned, bool round,
				 bool saturate, bool *q)
{
	s128 x = is_unsigned ? (s128)a : (s128)SX(s, a), r;
	bool huge;

	r = shift_exact(x, (s8)b, round, &huge);
	if (!saturate)
		return huge ? 0 : (u64)r;
	if (huge) {
		*q = true;
		if (is_unsigned)
			return elem_mask(s);
		return x < 0 ? ~(elem_mask(s) >> 1) : elem_mask(s) >> 1;
	}
	return is_unsigned ? sat_unsigned(s, r, q) : sat_signed(s, r, q);
}

/* Carry-less product of two bytes: up to 15 bits. */
static inline u64 poly_mul8(u64 a, u64 b)
{
	u64 r = 0;

	for (unsigned i = 0; i < 8; i++)
		r ^= b >> i & 1 ? a << i : 0;
	return r;
}

/* SQDMULH and SQRDMULH, SQRDMLAH and SQRDMLSH: (accumulator * 2^esize +- 2ab + rounding) / 2^esize
 */
static inline u64 doubling_high(unsigned s, u64 acc, u64 a, u64 b, bool subtract, bool round,
				bool *q)
{
	unsigned esize = 8u << s;
	s128 p = 2 * (s128)SX(s, a) * SX(s, b);
	s128 x = (s128)SX(s, acc) * ((s128)1 << esize) + (subtract ? -p : p);

	if (round)
		x += (s128)1 << (esize - 1);
	return sat_signed(s, x >> esize, q);
}

#endif
