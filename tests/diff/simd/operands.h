/* SPDX-License-Identifier: MIT */
/* Operands that FP instructions get wrong: NaNs, infinities, zeros, denormals, ties, results near
 * the ends of the range. */
#ifndef ANYKVM_TESTS_OPERANDS_H
#define ANYKVM_TESTS_OPERANDS_H

#include "base/types.h"

/* splitmix64 */
static inline u64 rnd(u64 *seed)
{
	u64 z = *seed += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static inline unsigned below(u64 *seed, unsigned n)
{
	return (unsigned)(rnd(seed) >> 33) % n;
}

/* f: log2 of the size in bytes, 1 to 3. */
static inline u64 fp_operand(u64 *seed, unsigned f)
{
	static const u8 frac_bits[4] = {0, 10, 23, 52};
	unsigned fb = frac_bits[f], bits = 8u << f, eb = bits - 1 - fb;
	u64 emax = (1ull << eb) - 1, bias = emax / 2, fmask = (1ull << fb) - 1;
	u64 sign = (rnd(seed) & 1) << (bits - 1), frac = rnd(seed) & fmask, e;
	unsigned cut = below(seed, fb);

	/* Fractions with few bits, and with a run of ones or zeros at the end: ties and near ties
	 * after an operation. */
	switch (below(seed, 5)) {
	case 0:
		frac &= ~((1ull << cut) - 1);
		break;
	case 1:
		frac |= (1ull << cut) - 1;
		break;
	case 2:
		frac = (frac & ~((2ull << cut) - 1)) | 1ull << cut;
		break;
	case 3:
		frac = ((frac & ~((2ull << cut) - 1)) | 1ull << cut) + (rnd(seed) & 2) - 1;
		break;
	}
	frac &= fmask;
	switch (below(seed, 20)) {
	case 0:
		return sign;
	case 1: /* denormal */
		return sign | frac >> below(seed, fb);
	case 2:
		return sign | (below(seed, 2) ? fmask : 1 + below(seed, 3));
	case 3: /* around the smallest normal number */
		return sign | (u64)(1 + below(seed, 3)) << fb | frac;
	case 4:
		return sign | ((1ull << fb) + below(seed, 2));
	case 5: /* largest */
		return sign | ((emax << fb) - 1 - below(seed, 3));
	case 6:
		return sign | (emax - 1 - below(seed, 3)) << fb | frac;
	case 7:
		return sign | emax << fb;
	case 8: /* quiet NaN */
		return sign | emax << fb | 1ull << (fb - 1) | (below(seed, 3) ? frac : 0);
	case 9: /* signalling NaN */
		frac &= ~(1ull << (fb - 1));
		return sign | emax << fb | (frac ? frac : 1);
	case 10: /* 1, 2, 0.5 and close by */
		return sign | ((bias - 1 + below(seed, 3)) << fb | frac);
	case 11:
		return sign | ((bias << fb) + below(seed, 3) - 1);
	case 12: /* near the square roots of the ends of the range, for products */
		e = (below(seed, 2) ? bias / 2 : bias + bias / 2) - 2 + below(seed, 5);
		return sign | e << fb | frac;
	case 13: /* near the ends of the integers */
		e = bias + (u64[]){7, 15, 31, 63}[below(seed, 4)] - 2 + below(seed, 4);
		return sign | MIN(e, emax - 1) << fb | frac;
	case 14: /* small numbers with a fraction */
		e = bias + below(seed, 8);
		return sign | MIN(e, emax - 1) << fb | frac;
	case 15: /* where narrower formats overflow and underflow */
		e = bias + (s64[]){-15, -25, 15, -127, -150, 127}[below(seed, 6)] - 1 +
		    below(seed, 3);
		return sign | (e < emax ? e : bias) << fb | frac;
	case 16: /* close exponents, for sums */
	case 17:
		return sign | (bias - 8 + below(seed, 16)) << fb | frac;
	default:
		return (sign | rnd(seed) << fb | frac) & (~0ull >> (64 - bits));
	}
}

/* Integers of 1 << s bytes: ends of the range, small values, single bits. */
static inline u64 int_operand(u64 *seed, unsigned s)
{
	unsigned bits = 8u << s;
	u64 mask = ~0ull >> (64 - bits), x = rnd(seed);

	switch (below(seed, 8)) {
	case 0:
		return (u64)((s64)below(seed, 9) - 4) & mask;
	case 1:
		return ((mask >> 1) + below(seed, 5) - 2) & mask;
	case 2:
		return 1ull << below(seed, bits);
	case 3:
		return mask >> below(seed, bits);
	case 4: /* shift amounts */
		return (u64)((s64)below(seed, 3 * bits) - (s64)(bits + bits / 2)) & mask;
	case 5: /* many trailing bits alike, for conversions that round */
		return ((x & mask) >> below(seed, bits)) & mask;
	default:
		return x & mask;
	}
}

#endif
