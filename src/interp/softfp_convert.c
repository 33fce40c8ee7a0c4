/* SPDX-License-Identifier: MIT */
/* Conversions, rounding to integral values and the estimate instructions of softfp.h. */
#include "interp/softfp_num.h"

/* FPConvertNaN: keeps as much of the payload as fits, made quiet. */
static u64 convert_nan(enum fp_fmt from, enum fp_fmt to, u64 a)
{
	u64 frac = a << (64 - fp_layouts[from].frac); /* left-aligned */

	return fp_inf(to, (a & fp_sign_bit(from)) != 0) | fp_quiet_bit(to) |
	       (frac >> (64 - fp_layouts[to].frac));
}

u64 fp_convert(struct fp_ctx *c, enum fp_fmt from, enum fp_fmt to, u64 a, enum fp_rounding r)
{
	struct fp_num x = fp_unpack(c, from, a, true);
	bool alternative = to == FP_H && (c->fpcr & FPCR_AHP);

	switch (x.cls) {
	case FP_SNAN:
	case FP_QNAN:
		if (x.cls == FP_SNAN || alternative)
			c->fpsr |= FPSR_IOC;
		if (alternative)
			return fp_zero(to, x.sign);
		return c->fpcr & FPCR_DN ? fp_default_nan(to) : convert_nan(from, to, a);
	case FP_INF:
		if (alternative) {
			c->fpsr |= FPSR_IOC;
			return fp_zero(to, x.sign) | 0x7fff;
		}
		return fp_inf(to, x.sign);
	case FP_ZERO:
		return fp_zero(to, x.sign);
	default:
		return fp_round(c, to, x.sign, x.exp, x.sig, r, true);
	}
}

/*
 * The magnitude of x as an integer, rounded by r. *inexact: something was rounded away. Values of
 * 2^64 and more set *huge.
 */
static u64 to_magnitude(const struct fp_num *x, enum fp_rounding r, bool *inexact, bool *huge)
{
	unsigned shift = (unsigned)(63 - x->exp);
	u64 whole, rest;
	bool up;

	*huge = x->exp > 63;
	*inexact = false;
	if (*huge)
		return ~0ull;
	if (!shift)
		return x->sig;
	whole = shift > 63 ? 0 : x->sig >> shift;
	/* the fraction, left-aligned; below a half it only matters whether it is 0 */
	rest = shift < 64 ? x->sig << (64 - shift) : shift == 64 ? x->sig : 1;
	*inexact = rest != 0;
	switch (r) {
	case FP_RN:
		up = rest > BIT(63) || (rest == BIT(63) && (whole & 1));
		break;
	case FP_RA:
		up = rest >= BIT(63);
		break;
	case FP_RP:
		up = rest && !x->sign;
		break;
	case FP_RM:
		up = rest && x->sign;
		break;
	default:
		up = false;
	}
	return whole + up; /* a fraction implies whole < 2^63: no carry out */
}

u64 fp_rint(struct fp_ctx *c, enum fp_fmt f, u64 a, enum fp_rounding r, bool exact)
{
	struct fp_num x = fp_unpack(c, f, a, false);
	bool inexact, huge;
	unsigned lz;
	u64 m;

	if (x.cls >= FP_QNAN)
		return fp_process_nan(c, f, a, x.cls);
	if (x.cls == FP_INF)
		return fp_inf(f, x.sign);
	if (x.cls == FP_ZERO)
		return fp_zero(f, x.sign);
	m = to_magnitude(&x, r, &inexact, &huge);
	if (huge)
		return a;
	if (inexact && exact)
		c->fpsr |= FPSR_IXC;
	if (!m)
		return fp_zero(f, x.sign);
	lz = (unsigned)__builtin_clzll(m);
	return fp_round(c, f, x.sign, 63 - (int)lz, m << lz, FP_RZ, false);
}

u64 fp_to_int(struct fp_ctx *c, enum fp_fmt f, u64 a, unsigned fbits, unsigned width,
	      bool is_unsigned, enum fp_rounding r)
{
	struct fp_num x = fp_unpack(c, f, a, false);
	u64 mask = ~0ull >> (64 - width), m, limit;
	bool inexact = false, over = false;

	if (x.cls >= FP_QNAN) {
		c->fpsr |= FPSR_IOC;
		return 0;
	}
	if (x.cls == FP_ZERO)
		return 0;
	if (x.cls == FP_INF) {
		m = ~0ull;
		over = true;
	} else {
		x.exp += (int)fbits;
		m = to_magnitude(&x, r, &inexact, &over);
	}
	limit = is_unsigned ? (x.sign ? 0 : mask) : (mask >> 1) + x.sign;
	if (over || m > limit) {
		c->fpsr |= FPSR_IOC;
		m = limit;
	} else if (inexact) {
		c->fpsr |= FPSR_IXC;
	}
	return (x.sign ? 0 - m : m) & mask;
}

u64 fp_from_int(struct fp_ctx *c, enum fp_fmt f, u64 a, unsigned fbits, unsigned width,
		bool is_unsigned)
{
	u64 m = is_unsigned ? a & (~0ull >> (64 - width)) : (u64)sign_extend(a, width);
	bool sign = !is_unsigned && (s64)m < 0;
	unsigned lz;

	if (!m)
		return 0;
	if (sign)
		m = 0 - m;
	lz = (unsigned)__builtin_clzll(m);
	return fp_round(c, f, sign, 63 - (int)lz - (int)fbits, m << lz, fp_mode(c), false);
}

u32 fp_to_int_js(struct fp_ctx *c, u64 a, bool *z)
{
	struct fp_num x = fp_unpack(c, FP_D, a, false);
	unsigned shift;
	u64 m = 0, rest = 0;
	bool over = false;

	*z = false;
	if (x.cls >= FP_INF) {
		c->fpsr |= FPSR_IOC;
		return 0;
	}
	if (x.cls == FP_ZERO) {
		*z = !x.sign;
		return 0;
	}
	if (x.exp > 63) {
		over = true;
		/* the low 32 bits of sig << (exp - 63) */
		m = x.exp < 63 + 64 ? x.sig << (x.exp - 63) : 0;
	} else {
		shift = (unsigned)(63 - x.exp);
		m = shift > 63 ? 0 : x.sig >> shift;
		rest = shift == 0 ? 0 : shift > 63 ? 1 : x.sig << (64 - shift);
		over = m > (x.sign ? 0x80000000ull : 0x7fffffffull);
	}
	if (over)
		c->fpsr |= FPSR_IOC;
	else if (rest)
		c->fpsr |= FPSR_IXC;
	else
		*z = true;
	return (u32)(x.sign ? 0 - m : m);
}

/* --- estimates: 8-bit tables by definition, Arm ARM RecipEstimate and RecipSqrtEstimate
 * ------------------------------ */

static unsigned recip_estimate(unsigned a)
{
	a = a * 2 + 1;
	return ((1u << 19) / a + 1) / 2;
}

static unsigned rsqrt_estimate(unsigned a)
{
	unsigned b = 512;

	a = a < 256 ? a * 2 + 1 : (a | 1) * 2;
	while ((u64)a * (b + 1) * (b + 1) < (1u << 28))
		b++;
	return (b + 1) / 2;
}

u32 fp_urecpe(u32 a)
{
	return a >> 31 ? recip_estimate(a >> 23) << 23 : ~0u;
}

u32 fp_ursqrte(u32 a)
{
	return a >> 30 ? rsqrt_estimate(a >> 23) << 23 : ~0u;
}

/* The 52-bit left-aligned fraction of a, and its biased exponent. */
static u64 raw_fraction(enum fp_fmt f, u64 a, int *exp)
{
	const struct fp_layout *l = &fp_layouts[f];

	*exp = (int)((a >> l->frac) & l->emax);
	return (a & ((1ull << l->frac) - 1)) << (52 - l->frac);
}

u64 fp_recpe(struct fp_ctx *c, enum fp_fmt f, u64 a)
{
	struct fp_num x = fp_unpack(c, f, a, false);
	const struct fp_layout *l = &fp_layouts[f];
	enum fp_rounding r = fp_mode(c);
	u64 fraction;
	int exp;

	if (x.cls >= FP_QNAN)
		return fp_process_nan(c, f, a, x.cls);
	if (x.cls == FP_INF)
		return fp_zero(f, x.sign);
	if (x.cls == FP_ZERO) {
		c->fpsr |= FPSR_DZC;
		return fp_inf(f, x.sign);
	}
	if (x.exp < -(l->bias + 1)) { /* the reciprocal is not representable */
		c->fpsr |= FPSR_OFC | FPSR_IXC;
		return r == FP_RN || r == (x.sign ? FP_RM : FP_RP) ? fp_inf(f, x.sign)
								   : fp_max_normal(f, x.sign);
	}
	if (fp_flushes(c, f) && x.exp >= l->bias - 1) {
		c->fpsr |= FPSR_UFC;
		return fp_zero(f, x.sign);
	}
	fraction = raw_fraction(f, a, &exp);
	if (exp == 0) {
		if (!(fraction & BIT(51))) {
			exp = -1;
			fraction <<= 1;
		}
		fraction = (fraction << 1) & (BIT(52) - 1);
	}
	fraction = (u64)(recip_estimate(256 | (unsigned)((fraction >> 44) & 255)) & 255) << 44;
	exp = 2 * l->bias - 1 - exp;
	if (exp == 0) {
		fraction = BIT(51) | (fraction >> 1);
	} else if (exp == -1) {
		fraction = BIT(50) | (fraction >> 2);
		exp = 0;
	}
	return fp_zero(f, x.sign) | ((u64)exp << l->frac) | (fraction >> (52 - l->frac));
}

u64 fp_rsqrte(struct fp_ctx *c, enum fp_fmt f, u64 a)
{
	struct fp_num x = fp_unpack(c, f, a, false);
	const struct fp_layout *l = &fp_layouts[f];
	unsigned scaled;
	u64 fraction;
	int exp;

	if (x.cls >= FP_QNAN)
		return fp_process_nan(c, f, a, x.cls);
	if (x.cls == FP_ZERO) {
		c->fpsr |= FPSR_DZC;
		return fp_inf(f, x.sign);
	}
	if (x.sign)
		return fp_invalid(c, f);
	if (x.cls == FP_INF)
		return 0;
	fraction = raw_fraction(f, a, &exp);
	if (exp == 0) {
		while (!(fraction & BIT(51))) {
			fraction <<= 1;
			exp--;
		}
		fraction = (fraction << 1) & (BIT(52) - 1);
	}
	scaled = exp & 1 ? 128 | (unsigned)(fraction >> 45) : 256 | (unsigned)(fraction >> 44);
	exp = (3 * l->bias - 1 - exp) / 2;
	return ((u64)exp << l->frac) | ((u64)(rsqrt_estimate(scaled) & 255) << (l->frac - 8));
}

u64 fp_recpx(struct fp_ctx *c, enum fp_fmt f, u64 a)
{
	struct fp_num x = fp_unpack(c, f, a, false);
	const struct fp_layout *l = &fp_layouts[f];
	unsigned exp = (a >> l->frac) & l->emax;

	if (x.cls >= FP_QNAN)
		return fp_process_nan(c, f, a, x.cls);
	exp = exp ? ~exp & l->emax : l->emax - 1u;
	return fp_zero(f, x.sign) | ((u64)exp << l->frac);
}
