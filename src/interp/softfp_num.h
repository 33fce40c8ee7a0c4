/* SPDX-License-Identifier: MIT */
/* The unpacked number of softfp.c and softfp_convert.c: private to them. */
#ifndef ANYKVM_INTERP_SOFTFP_NUM_H
#define ANYKVM_INTERP_SOFTFP_NUM_H

#include "interp/softfp.h"

enum fp_class { FP_ZERO, FP_FINITE, FP_INF, FP_QNAN, FP_SNAN };

/* FP_FINITE: the value is (-1)^sign * sig * 2^(exp - 63) with bit 63 of sig set. */
struct fp_num {
	enum fp_class cls;
	bool sign;
	int exp;
	u64 sig;
};

struct fp_layout {
	u8 frac; /* fraction bits */
	u8 bits; /* all bits */
	u16 bias;
	u16 emax; /* biased exponent of infinities */
};

static const struct fp_layout fp_layouts[4] = {
	[FP_H] = {10, 16, 15, 31},
	[FP_S] = {23, 32, 127, 255},
	[FP_D] = {52, 64, 1023, 2047},
};

static inline u64 fp_zero(enum fp_fmt f, bool sign)
{
	return sign ? fp_sign_bit(f) : 0;
}

static inline u64 fp_inf(enum fp_fmt f, bool sign)
{
	return fp_zero(f, sign) | ((u64)fp_layouts[f].emax << fp_layouts[f].frac);
}

static inline u64 fp_max_normal(enum fp_fmt f, bool sign)
{
	return fp_inf(f, sign) - 1;
}

static inline u64 fp_quiet_bit(enum fp_fmt f)
{
	return 1ull << (fp_layouts[f].frac - 1);
}

static inline u64 fp_default_nan(enum fp_fmt f)
{
	return fp_inf(f, false) | fp_quiet_bit(f);
}

static inline u64 fp_invalid(struct fp_ctx *c, enum fp_fmt f)
{
	c->fpsr |= FPSR_IOC;
	return fp_default_nan(f);
}

/* Right shift that keeps "something was lost" in bit 0. */
static inline u64 fp_shift_jam(u64 x, unsigned n)
{
	if (!n)
		return x;
	return n > 63 ? x != 0 : (x >> n) | ((x << (64 - n)) != 0);
}

static inline u128 fp_shift_jam128(u128 x, unsigned n)
{
	if (!n)
		return x;
	return n > 127 ? x != 0 : (x >> n) | ((x << (128 - n)) != 0);
}

static inline bool fp_flushes(const struct fp_ctx *c, enum fp_fmt f)
{
	return c->fpcr & (f == FP_H ? FPCR_FZ16 : FPCR_FZ);
}

/* FPUnpack; cv: FPUnpackCV (conversions between formats: FZ16 ignored, AHP honoured). */
static inline struct fp_num fp_unpack(struct fp_ctx *c, enum fp_fmt f, u64 a, bool cv)
{
	const struct fp_layout *l = &fp_layouts[f];
	u64 frac = a & ((1ull << l->frac) - 1);
	unsigned e = (a >> l->frac) & l->emax, lz;
	struct fp_num n = {.sign = (a >> (l->bits - 1)) & 1};

	if (e == 0) {
		if (!frac)
			return n;
		if (fp_flushes(c, f) && !(cv && f == FP_H)) {
			if (f != FP_H)
				c->fpsr |= FPSR_IDC;
			return n;
		}
		n.cls = FP_FINITE;
		n.sig = frac << (63 - l->frac);
		lz = (unsigned)__builtin_clzll(n.sig);
		n.sig <<= lz;
		n.exp = 1 - l->bias - (int)lz;
		return n;
	}
	if (e == l->emax && !(cv && f == FP_H && (c->fpcr & FPCR_AHP))) {
		n.cls = !frac ? FP_INF : frac & fp_quiet_bit(f) ? FP_QNAN : FP_SNAN;
		return n;
	}
	n.cls = FP_FINITE;
	n.sig = BIT(63) | (frac << (63 - l->frac));
	n.exp = (int)e - l->bias;
	return n;
}

/* FPRound of a non-zero value (bit 63 of sig set, bit 0 may be a jam bit); cv: FPRoundCV. */
u64 fp_round(struct fp_ctx *c, enum fp_fmt f, bool sign, int exp, u64 sig, enum fp_rounding r,
	     bool cv);

/* As fp_round, from any non-zero 128-bit value sig * 2^(exp - 127). */
static inline u64 fp_round128(struct fp_ctx *c, enum fp_fmt f, bool sign, int exp, u128 sig)
{
	u64 hi = (u64)(sig >> 64);
	unsigned lz = hi ? (unsigned)__builtin_clzll(hi) : 64 + (unsigned)__builtin_clzll((u64)sig);

	sig <<= lz;
	return fp_round(c, f, sign, exp - (int)lz, (u64)(sig >> 64) | ((u64)sig != 0), fp_mode(c),
			false);
}

static inline u64 fp_process_nan(struct fp_ctx *c, enum fp_fmt f, u64 a, enum fp_class cls)
{
	if (cls == FP_SNAN) {
		c->fpsr |= FPSR_IOC;
		a |= fp_quiet_bit(f);
	}
	return c->fpcr & FPCR_DN ? fp_default_nan(f) : a;
}

#endif
