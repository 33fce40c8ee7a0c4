/* SPDX-License-Identifier: MIT */
/*
 * Arithmetic of softfp.h. Each function tries the host's unit first where the answer is provably
 * the same: rounding to nearest, FZ clear, IXC already set (so that exactness does not matter), and
 * a result that is neither a NaN nor an infinity nor near the underflow threshold. Everything else
 * goes through 64-bit significands and one rounding function.
 */
#include "interp/softfp_num.h"

#include <string.h>

u64 fp_round(struct fp_ctx *c, enum fp_fmt f, bool sign, int exp, u64 sig, enum fp_rounding r,
	     bool cv)
{
	const struct fp_layout *l = &fp_layouts[f];
	unsigned shift = 63 - l->frac;
	int biased = exp + l->bias;
	bool tiny = biased < 1, up, to_inf;
	bool alternative = cv && f == FP_H && (c->fpcr & FPCR_AHP);
	u64 mant, rest, half = 1ull << (shift - 1);

	if (tiny) {
		if (fp_flushes(c, f) && !(cv && f == FP_H)) {
			c->fpsr |= FPSR_UFC;
			return fp_zero(f, sign);
		}
		sig = fp_shift_jam(sig, (unsigned)(1 - biased));
		biased = 0;
	}
	mant = sig >> shift;
	rest = sig & ((1ull << shift) - 1);
	if (tiny && rest)
		c->fpsr |= FPSR_UFC;
	switch (r) {
	case FP_RN:
		up = rest > half || (rest == half && (mant & 1));
		to_inf = true;
		break;
	case FP_RA:
		up = rest >= half;
		to_inf = true;
		break;
	case FP_RP:
		up = rest && !sign;
		to_inf = !sign;
		break;
	case FP_RM:
		up = rest && sign;
		to_inf = sign;
		break;
	default:
		up = to_inf = false;
	}
	mant += up;
	if (tiny) {
		biased = (int)(mant >> l->frac);
	} else if (mant >> (l->frac + 1)) {
		mant >>= 1;
		biased++;
	}
	if (r == FP_RO && rest)
		mant |= 1;
	if (alternative) {
		if (biased > l->emax) {
			c->fpsr |= FPSR_IOC;
			return fp_zero(f, sign) | 0x7fff;
		}
	} else if (biased >= l->emax) {
		c->fpsr |= FPSR_OFC | FPSR_IXC;
		return to_inf ? fp_inf(f, sign) : fp_max_normal(f, sign);
	}
	if (rest)
		c->fpsr |= FPSR_IXC;
	return fp_zero(f, sign) | ((u64)biased << l->frac) | (mant & ((1ull << l->frac) - 1));
}

/* FPProcessNaNs: the first signalling operand, else the first quiet one. True if there was one. */
static bool process_nans(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b, const struct fp_num *x,
			 const struct fp_num *y, u64 *out)
{
	if (likely(x->cls < FP_QNAN && y->cls < FP_QNAN))
		return false;
	if (x->cls == FP_SNAN || (x->cls == FP_QNAN && y->cls != FP_SNAN))
		*out = fp_process_nan(c, f, a, x->cls);
	else
		*out = fp_process_nan(c, f, b, y->cls);
	return true;
}

/* --- the host's unit
 * ---------------------------------------------------------------------------------------------- */

static ALWAYS_INLINE bool fast_ok(const struct fp_ctx *c, enum fp_fmt f)
{
	return likely((c->fpcr & (FPCR_RMODE | FPCR_FZ)) == 0 && (c->fpsr & FPSR_IXC)) && f != FP_H;
}

static ALWAYS_INLINE double as_double(u64 a)
{
	double d;

	memcpy(&d, &a, 8);
	return d;
}

static ALWAYS_INLINE float as_float(u64 a)
{
	u32 lo = (u32)a;
	float s;

	memcpy(&s, &lo, 4);
	return s;
}

static ALWAYS_INLINE u64 from_double(double d)
{
	u64 a;

	memcpy(&a, &d, 8);
	return a;
}

static ALWAYS_INLINE u64 from_float(float s)
{
	u32 a;

	memcpy(&a, &s, 4);
	return a;
}

/* Neither NaN nor infinity. */
static ALWAYS_INLINE bool finite_result(enum fp_fmt f, u64 r)
{
	return f == FP_D ? (r & (0x7ffull << 52)) != 0x7ffull << 52
			 : (r & 0x7f800000) != 0x7f800000;
}

/* Finite and at least twice the smallest normal number: no doubt about tininess before rounding. */
static ALWAYS_INLINE bool normal_result(enum fp_fmt f, u64 r)
{
	return f == FP_D ? ((r >> 52) & 0x7ff) - 2 < 0x7fd : ((r >> 23) & 0xff) - 2 < 0xfd;
}

#if defined(__aarch64__)
#define HOST_FMA 1
static ALWAYS_INLINE bool have_fma(void)
{
	return true;
}
#elif defined(__x86_64__)
#define HOST_FMA __attribute__((target("fma")))
static ALWAYS_INLINE bool have_fma(void)
{
	return __builtin_cpu_supports("fma");
}
#endif

#if defined(__x86_64__)
HOST_FMA static NOINLINE u64 host_fma(enum fp_fmt f, u64 addend, u64 a, u64 b)
#else
static u64 host_fma(enum fp_fmt f, u64 addend, u64 a, u64 b)
#endif
{
	if (f == FP_D)
		return from_double(__builtin_fma(as_double(a), as_double(b), as_double(addend)));
	return from_float(__builtin_fmaf(as_float(a), as_float(b), as_float(addend)));
}

/* --- add, subtract
 * ------------------------------------------------------------------------------------------------
 */

/* Sum of two 128-bit magnitudes (bits 127 and 126 clear), x * 2^(xe - 125) and y * 2^(ye - 125). */
static u64 add_magnitudes(struct fp_ctx *c, enum fp_fmt f, bool xs, int xe, u128 x, bool ys, int ye,
			  u128 y)
{
	if (xe < ye || (xe == ye && x < y)) {
		u128 t = x;
		int te = xe;
		bool ts = xs;

		x = y, y = t, xe = ye, ye = te, xs = ys, ys = ts;
	}
	y = fp_shift_jam128(y, MIN((unsigned)(xe - ye), 200u));
	if (xs == ys) {
		x += y;
	} else {
		x -= y;
		if (!x)
			return fp_zero(f, fp_mode(c) == FP_RM);
	}
	return fp_round128(c, f, xs, xe + 2, x);
}

static u64 add_slow(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b, bool negate_b)
{
	struct fp_num x = fp_unpack(c, f, a, false), y = fp_unpack(c, f, b, false);
	u64 nan;

	if (process_nans(c, f, a, b, &x, &y, &nan))
		return nan;
	y.sign ^= negate_b;
	if (x.cls == FP_INF || y.cls == FP_INF) {
		if (x.cls == y.cls && x.sign != y.sign)
			return fp_invalid(c, f);
		return fp_inf(f, x.cls == FP_INF ? x.sign : y.sign);
	}
	if (x.cls == FP_ZERO && y.cls == FP_ZERO)
		return fp_zero(f, x.sign == y.sign ? x.sign : fp_mode(c) == FP_RM);
	if (x.cls == FP_ZERO)
		return fp_round(c, f, y.sign, y.exp, y.sig, fp_mode(c), false);
	if (y.cls == FP_ZERO)
		return fp_round(c, f, x.sign, x.exp, x.sig, fp_mode(c), false);
	return add_magnitudes(c, f, x.sign, x.exp, (u128)x.sig << 62, y.sign, y.exp,
			      (u128)y.sig << 62);
}

/* A tiny sum is exact, so any finite host result will do. */
u64 fp_add(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b)
{
	if (fast_ok(c, f)) {
		u64 r = f == FP_D ? from_double(as_double(a) + as_double(b))
				  : from_float(as_float(a) + as_float(b));

		if (likely(finite_result(f, r)))
			return r;
	}
	return add_slow(c, f, a, b, false);
}

u64 fp_sub(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b)
{
	if (fast_ok(c, f)) {
		u64 r = f == FP_D ? from_double(as_double(a) - as_double(b))
				  : from_float(as_float(a) - as_float(b));

		if (likely(finite_result(f, r)))
			return r;
	}
	return add_slow(c, f, a, b, true);
}

/* --- multiply, divide, square root
 * -------------------------------------------------------------------------------- */

static u64 mul_slow(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b, bool extended)
{
	struct fp_num x = fp_unpack(c, f, a, false), y = fp_unpack(c, f, b, false);
	bool sign = x.sign != y.sign;
	u64 nan;

	if (process_nans(c, f, a, b, &x, &y, &nan))
		return nan;
	if (x.cls == FP_INF || y.cls == FP_INF) {
		if (x.cls != FP_ZERO && y.cls != FP_ZERO)
			return fp_inf(f, sign);
		if (!extended)
			return fp_invalid(c, f);
		return fp_zero(f, sign) |
		       ((u64)(fp_layouts[f].bias + 1) << fp_layouts[f].frac); /* 2.0 */
	}
	if (x.cls == FP_ZERO || y.cls == FP_ZERO)
		return fp_zero(f, sign);
	return fp_round128(c, f, sign, x.exp + y.exp + 1, (u128)x.sig * y.sig);
}

u64 fp_mul(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b)
{
	if (fast_ok(c, f)) {
		u64 r = f == FP_D ? from_double(as_double(a) * as_double(b))
				  : from_float(as_float(a) * as_float(b));

		if (likely(normal_result(f, r)))
			return r;
	}
	return mul_slow(c, f, a, b, false);
}

u64 fp_mulx(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b)
{
	return mul_slow(c, f, a, b, true);
}

static u64 div_slow(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b)
{
	struct fp_num x = fp_unpack(c, f, a, false), y = fp_unpack(c, f, b, false);
	bool sign = x.sign != y.sign, less;
	u128 numerator;
	u64 q;

	if (process_nans(c, f, a, b, &x, &y, &q))
		return q;
	if ((x.cls == FP_INF && y.cls == FP_INF) || (x.cls == FP_ZERO && y.cls == FP_ZERO))
		return fp_invalid(c, f);
	if (x.cls == FP_INF || y.cls == FP_ZERO) {
		if (x.cls != FP_INF)
			c->fpsr |= FPSR_DZC;
		return fp_inf(f, sign);
	}
	if (x.cls == FP_ZERO || y.cls == FP_INF)
		return fp_zero(f, sign);
	less = x.sig < y.sig;
	numerator = (u128)x.sig << (63 + less);
	q = (u64)(numerator / y.sig);
	return fp_round(c, f, sign, x.exp - y.exp - less, q | (numerator % y.sig != 0), fp_mode(c),
			false);
}

u64 fp_div(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b)
{
	if (fast_ok(c, f)) {
		u64 r = f == FP_D ? from_double(as_double(a) / as_double(b))
				  : from_float(as_float(a) / as_float(b));

		if (likely(normal_result(f, r)))
			return r;
	}
	return div_slow(c, f, a, b);
}

static u64 sqrt_slow(struct fp_ctx *c, enum fp_fmt f, u64 a)
{
	struct fp_num x = fp_unpack(c, f, a, false);
	u128 radicand;
	u64 root = 0;

	if (x.cls >= FP_QNAN)
		return fp_process_nan(c, f, a, x.cls);
	if (x.cls == FP_ZERO)
		return fp_zero(f, x.sign);
	if (x.sign)
		return fp_invalid(c, f);
	if (x.cls == FP_INF)
		return fp_inf(f, false);
	/* sig * 2^(exp - 63) with an even exponent left over: root has bit 63 set. */
	radicand = (u128)x.sig << (x.exp & 1 ? 64 : 63);
	for (u64 bit = BIT(63); bit; bit >>= 1) {
		u64 t = root | bit;

		if ((u128)t * t <= radicand)
			root = t;
	}
	return fp_round(c, f, false, (x.exp - (x.exp & 1)) / 2,
			root | ((u128)root * root != radicand), fp_mode(c), false);
}

u64 fp_sqrt(struct fp_ctx *c, enum fp_fmt f, u64 a)
{
	if (fast_ok(c, f)) {
		u64 r = f == FP_D ? from_double(__builtin_sqrt(as_double(a)))
				  : from_float(__builtin_sqrtf(as_float(a)));

		if (likely(normal_result(f, r)))
			return r;
	}
	return sqrt_slow(c, f, a);
}

/* --- fused
 * --------------------------------------------------------------------------------------------------------
 */

/* (addend + x * y) * 2^scale; finite or zero operands. */
static u64 fused(struct fp_ctx *c, enum fp_fmt f, const struct fp_num *addend,
		 const struct fp_num *x, const struct fp_num *y, int scale)
{
	bool sign = x->sign != y->sign;
	u128 product;
	int exp;

	if (x->cls == FP_ZERO || y->cls == FP_ZERO) {
		if (addend->cls == FP_ZERO)
			return fp_zero(f, addend->sign == sign ? sign : fp_mode(c) == FP_RM);
		return fp_round(c, f, addend->sign, addend->exp + scale, addend->sig, fp_mode(c),
				false);
	}
	product = (u128)x->sig * y->sig;
	exp = x->exp + y->exp + 1 + scale;
	if (addend->cls == FP_ZERO)
		return fp_round128(c, f, sign, exp, product);
	/* At most 106 significant bits: the two that make room for the carry are 0. Equal exponents
	 * order magnitudes. */
	if (!(product >> 127)) {
		product <<= 1;
		exp--;
	}
	return add_magnitudes(c, f, sign, exp, product >> 2, addend->sign, addend->exp + scale,
			      (u128)addend->sig << 62);
}

static u64 muladd_slow(struct fp_ctx *c, enum fp_fmt f, u64 addend, u64 a, u64 b)
{
	struct fp_num z = fp_unpack(c, f, addend, false), x = fp_unpack(c, f, a, false),
		      y = fp_unpack(c, f, b, false);
	bool sign = x.sign != y.sign, inf = x.cls == FP_INF || y.cls == FP_INF;
	bool invalid = inf && (x.cls == FP_ZERO || y.cls == FP_ZERO);
	u64 nan;

	if (unlikely(z.cls >= FP_QNAN)) {
		if (z.cls == FP_QNAN) {
			if (invalid)
				return fp_invalid(c, f);
			if (x.cls == FP_SNAN)
				return fp_process_nan(c, f, a, x.cls);
			if (y.cls == FP_SNAN)
				return fp_process_nan(c, f, b, y.cls);
		}
		return fp_process_nan(c, f, addend, z.cls);
	}
	if (process_nans(c, f, a, b, &x, &y, &nan))
		return nan;
	if (invalid || (inf && z.cls == FP_INF && z.sign != sign))
		return fp_invalid(c, f);
	if (inf || z.cls == FP_INF)
		return fp_inf(f, inf ? sign : z.sign);
	return fused(c, f, &z, &x, &y, 0);
}

u64 fp_muladd(struct fp_ctx *c, enum fp_fmt f, u64 addend, u64 a, u64 b)
{
	if (fast_ok(c, f) && have_fma()) {
		u64 r = host_fma(f, addend, a, b);

		if (likely(normal_result(f, r)))
			return r;
	}
	return muladd_slow(c, f, addend, a, b);
}

/* FPRecipStepFused and FPRSqrtStepFused: (constant - a * b) * 2^scale. */
static u64 step(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b, u64 constant_sig, int scale,
		u64 special_frac)
{
	struct fp_num z = {FP_FINITE, false, 1, constant_sig}, x, y;
	const struct fp_layout *l = &fp_layouts[f];
	u64 nan;

	a = fp_neg(f, a);
	x = fp_unpack(c, f, a, false);
	y = fp_unpack(c, f, b, false);
	if (process_nans(c, f, a, b, &x, &y, &nan))
		return nan;
	if (x.cls == FP_INF || y.cls == FP_INF) {
		if (x.cls != FP_ZERO && y.cls != FP_ZERO)
			return fp_inf(f, x.sign != y.sign);
		return (((u64)l->bias + 1 + (u64)(s64)scale) << l->frac) |
		       (special_frac << (l->frac - 1));
	}
	return fused(c, f, &z, &x, &y, scale);
}

u64 fp_recps(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b)
{
	return step(c, f, a, b, BIT(63), 0, 0);
}

u64 fp_rsqrts(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b)
{
	return step(c, f, a, b, BIT(63) | BIT(62), -1, 1);
}

/* --- compare, minimum, maximum
 * ------------------------------------------------------------------------------------ */

struct fp_pair {
	s64 x, y; /* order as the values; both zeros are 0 */
	u64 a, b; /* operands, flushed */
	u8 nan;	  /* 1: quiet, 2: signalling somewhere */
};

static ALWAYS_INLINE bool is_nan(enum fp_fmt f, u64 a)
{
	return fp_abs(f, a) > fp_inf(f, false);
}

static ALWAYS_INLINE u64 flush_input(struct fp_ctx *c, enum fp_fmt f, u64 a)
{
	u64 abs = fp_abs(f, a);

	if (abs && !(abs >> fp_layouts[f].frac)) {
		if (f != FP_H)
			c->fpsr |= FPSR_IDC;
		return a & fp_sign_bit(f);
	}
	return a;
}

static ALWAYS_INLINE s64 order_key(enum fp_fmt f, u64 a)
{
	s64 m = (s64)fp_abs(f, a);

	return a & fp_sign_bit(f) ? -m : m;
}

static ALWAYS_INLINE struct fp_pair make_pair(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b)
{
	struct fp_pair p = {0};

	if (unlikely(fp_flushes(c, f))) {
		a = flush_input(c, f, a);
		b = flush_input(c, f, b);
	}
	if (unlikely(is_nan(f, a) || is_nan(f, b))) {
		p.nan = 1;
		if ((is_nan(f, a) && !(a & fp_quiet_bit(f))) ||
		    (is_nan(f, b) && !(b & fp_quiet_bit(f))))
			p.nan = 2;
	}
	p.a = a;
	p.b = b;
	p.x = order_key(f, a);
	p.y = order_key(f, b);
	return p;
}

unsigned fp_compare(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b, bool signal)
{
	struct fp_pair p = make_pair(c, f, a, b);

	if (unlikely(p.nan)) {
		if (p.nan == 2 || signal)
			c->fpsr |= FPSR_IOC;
		return 3;
	}
	return p.x == p.y ? 6 : p.x < p.y ? 8 : 2;
}

bool fp_eq(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b)
{
	return fp_compare(c, f, a, b, false) == 6;
}

bool fp_ge(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b)
{
	unsigned nzcv = fp_compare(c, f, a, b, true);

	return nzcv == 6 || nzcv == 2;
}

bool fp_gt(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b)
{
	return fp_compare(c, f, a, b, true) == 2;
}

/* FPMax, FPMin */
static u64 extremum(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b, bool want_max)
{
	struct fp_pair p = make_pair(c, f, a, b);
	u64 nan;

	if (unlikely(p.nan)) {
		struct fp_num x = fp_unpack(c, f, a, false), y = fp_unpack(c, f, b, false);

		process_nans(c, f, a, b, &x, &y, &nan);
		return nan;
	}
	if (p.x == p.y) /* equal, or zeros of either sign */
		return want_max ? p.a & p.b : p.a | p.b;
	return (p.x > p.y) == want_max ? p.a : p.b;
}

u64 fp_max(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b)
{
	return extremum(c, f, a, b, true);
}

u64 fp_min(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b)
{
	return extremum(c, f, a, b, false);
}

/* FPMaxNum, FPMinNum: one quiet NaN gives way to the number. */
static u64 extremum_number(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b, bool want_max)
{
	bool qa = is_nan(f, a) && (a & fp_quiet_bit(f)), qb = is_nan(f, b) && (b & fp_quiet_bit(f));

	if (qa && !qb)
		a = fp_inf(f, want_max);
	else if (qb && !qa)
		b = fp_inf(f, want_max);
	return extremum(c, f, a, b, want_max);
}

u64 fp_maxnm(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b)
{
	return extremum_number(c, f, a, b, true);
}

u64 fp_minnm(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b)
{
	return extremum_number(c, f, a, b, false);
}
