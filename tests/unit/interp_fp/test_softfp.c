/* SPDX-License-Identifier: MIT */
/*
 * softfp against two independent judges: for half precision an exact comparison of rationals with
 * all 65,536 values, for single and double precision the host's unit.
 */
#include <fenv.h>
#include <math.h>

#include "interp/softfp.h"
#include "../../diff/simd/operands.h"
#include "test.h"

/* --- half precision: values in units of 2^-25, so that midpoints are integers
 * ----------------------------------------- */

/* Magnitude of a finite half (0x7c00 stands for 65536, where overflow begins). */
static u64 half_value(unsigned m)
{
	unsigned e = m >> 10, frac = m & 1023;

	return e ? (u64)(1024 + frac) << e : (u64)frac << 1;
}

/* The magnitude of a result: num / den in units of 2^-48, or the square root of num in units of
 * 2^-24. */
struct exact {
	bool sign, root;
	u128 num, den;
};

static int exact_compare(const struct exact *x, u64 value)
{
	u128 left = x->root ? x->num << 26 : x->num;
	u128 right = x->root ? (u128)value * value : ((u128)value << 23) * x->den;

	return left < right ? -1 : left > right;
}

static u64 reference_round(u32 fpcr, const struct exact *x, u32 *flags)
{
	enum fp_rounding r = (enum fp_rounding)(fpcr >> FPCR_RMODE_SHIFT & 3);
	unsigned lo = 0, hi = 0x7c00;
	u64 sign = x->sign ? 0x8000 : 0;
	bool tiny = exact_compare(x, half_value(0x400)) < 0, up,
	     to_inf = r == FP_RN || r == (x->sign ? FP_RM : FP_RP);
	int middle;

	if (tiny && (fpcr & FPCR_FZ16)) {
		*flags |= FPSR_UFC;
		return sign;
	}
	if (exact_compare(x, half_value(0x7c00)) >= 0) {
		*flags |= FPSR_OFC | FPSR_IXC;
		return sign | (to_inf ? 0x7c00 : 0x7bff);
	}
	while (hi - lo > 1) {
		unsigned m = (lo + hi) / 2;

		if (exact_compare(x, half_value(m)) < 0)
			hi = m;
		else
			lo = m;
	}
	if (exact_compare(x, half_value(lo)) == 0)
		return sign | lo;
	*flags |= FPSR_IXC | (tiny ? FPSR_UFC : 0);
	middle = exact_compare(x, (half_value(lo) + half_value(hi)) / 2);
	up = r == FP_RN ? middle > 0 || (middle == 0 && (lo & 1)) : to_inf;
	if (up && hi == 0x7c00)
		*flags |= FPSR_OFC;
	return sign | (up ? hi : lo);
}

/* Signed value in units of 2^-24. */
static s64 half_signed(u64 a)
{
	s64 m = (s64)(half_value(a & 0x7fff) >> 1);

	return a & 0x8000 ? -m : m;
}

static bool half_finite(u64 a)
{
	return (a & 0x7c00) != 0x7c00;
}

/* Input flush of FZ16. */
static u64 half_flush(u32 fpcr, u64 a)
{
	return (fpcr & FPCR_FZ16) && !(a & 0x7c00) ? a & 0x8000 : a;
}

static u64 modes(unsigned i)
{
	return (i & 3) << FPCR_RMODE_SHIFT | (i & 4 ? FPCR_FZ16 : 0);
}

static unsigned differences;

static void check(const char *what, u32 fpcr, u64 a, u64 b, u64 d, u64 got, u32 got_flags, u64 want,
		  u32 want_flags)
{
	if (got == want && got_flags == want_flags)
		return;
	if (differences++ < 10)
		TEST_FAIL("%s fpcr %08x operands %llx %llx %llx: %llx flags %x, expected %llx "
			  "flags %x",
			  what, fpcr, (unsigned long long)a, (unsigned long long)b,
			  (unsigned long long)d, (unsigned long long)got, got_flags,
			  (unsigned long long)want, want_flags);
}

TEST(every_half_square_root_is_the_exact_one_rounded)
{
	for (unsigned i = 0; i < 8; i++) {
		for (u64 a = 0; a < 0x7c00; a++) {
			struct fp_ctx c = {(u32)modes(i), 0};
			u64 in = half_flush(c.fpcr, a), got = fp_sqrt(&c, FP_H, a), want = 0;
			struct exact x = {false, true, (u128)(u64)half_signed(in), 1};
			u32 flags = 0;

			if (in)
				want = reference_round(c.fpcr, &x, &flags);
			check("sqrt", c.fpcr, a, 0, 0, got, c.fpsr, want, flags);
		}
	}
}

static u64 reference_sum(u32 fpcr, s128 sum, bool zero_sign, u32 *flags)
{
	struct exact x = {sum < 0, false, (u128)(sum < 0 ? -sum : sum), 1};

	return sum ? reference_round(fpcr, &x, flags) : zero_sign ? 0x8000 : 0;
}

TEST(half_sums_products_quotients_and_fused_products_are_exact_ones_rounded)
{
	u64 seed = 42;

	for (unsigned i = 0; i < 1500000; i++) {
		u32 fpcr = (u32)modes(below(&seed, 8)), flags;
		bool rm = (fpcr >> FPCR_RMODE_SHIFT & 3) == FP_RM;
		u64 a = fp_operand(&seed, 1), b = fp_operand(&seed, 1), d = fp_operand(&seed, 1),
		    fa, fb, fd;
		struct fp_ctx c;
		bool ps;
		s128 x;
		u64 r, want;

		if (!half_finite(a) || !half_finite(b) || !half_finite(d))
			continue;
		fa = half_flush(fpcr, a), fb = half_flush(fpcr, b), fd = half_flush(fpcr, d);

		c = (struct fp_ctx){fpcr, 0}, flags = 0;
		r = fp_add(&c, FP_H, a, b);
		x = ((s128)half_signed(fa) + half_signed(fb)) * (1 << 24);
		want = reference_sum(fpcr, x, (fa & 0x8000) == (fb & 0x8000) ? !!(fa & 0x8000) : rm,
				     &flags);
		check("add", fpcr, a, b, 0, r, c.fpsr, want, flags);

		c = (struct fp_ctx){fpcr, 0}, flags = 0;
		r = fp_sub(&c, FP_H, a, b);
		x = ((s128)half_signed(fa) - half_signed(fb)) * (1 << 24);
		want = reference_sum(fpcr, x, (fa & 0x8000) != (fb & 0x8000) ? !!(fa & 0x8000) : rm,
				     &flags);
		check("sub", fpcr, a, b, 0, r, c.fpsr, want, flags);

		c = (struct fp_ctx){fpcr, 0}, flags = 0;
		r = fp_mul(&c, FP_H, a, b);
		x = (s128)half_signed(fa) * half_signed(fb);
		ps = (fa ^ fb) & 0x8000;
		want = reference_sum(fpcr, x, ps, &flags);
		check("mul", fpcr, a, b, 0, r, c.fpsr, want, flags);

		c = (struct fp_ctx){fpcr, 0}, flags = 0;
		r = fp_muladd(&c, FP_H, d, a, b);
		x += (s128)half_signed(fd) * (1 << 24);
		want = reference_sum(fpcr, x,
				     !half_signed(fd) && !(half_signed(fa) && half_signed(fb)) &&
						     ps == !!(fd & 0x8000)
					     ? ps
					     : rm,
				     &flags);
		check("muladd", fpcr, a, b, d, r, c.fpsr, want, flags);

		if (half_signed(fa) && half_signed(fb)) {
			struct exact q = {ps, false, (u128)half_value(fa & 0x7fff) << 47,
					  half_value(fb & 0x7fff) >> 1};

			c = (struct fp_ctx){fpcr, 0}, flags = 0;
			r = fp_div(&c, FP_H, a, b);
			want = reference_round(fpcr, &q, &flags);
			check("div", fpcr, a, b, 0, r, c.fpsr, want, flags);
		}
	}
}

/* Rounds v / 2^24 to an integer. */
static s64 reference_integer(s64 v, enum fp_rounding r, bool *inexact)
{
	s64 whole = v >> 24, rest = v & ((1 << 24) - 1), half = 1 << 23;

	*inexact = rest != 0;
	switch (r) {
	case FP_RN:
		return whole + (rest > half || (rest == half && (whole & 1)));
	case FP_RP:
		return whole + (rest != 0);
	case FP_RM:
		return whole;
	case FP_RZ:
		return whole + (rest && v < 0);
	default: /* ties away from zero */
		return whole + (rest > half || (rest == half && v >= 0));
	}
}

TEST(every_half_becomes_the_right_integer_in_every_rounding)
{
	for (unsigned r = 0; r < 5; r++) {
		for (u64 a = 0; a < 0x10000; a++) {
			struct fp_ctx c = {0, 0};
			bool inexact;
			s64 whole;
			u64 got;
			u32 flags;

			if (!half_finite(a))
				continue;
			whole = reference_integer(half_signed(a), (enum fp_rounding)r, &inexact);
			for (unsigned width = 16; width <= 64; width *= 2) {
				s64 max = (s64)(~0ull >> (65 - width)),
				    s = MIN(MAX(whole, -max - 1), max);
				u64 mask = ~0ull >> (64 - width);
				s64 u = MAX(whole, 0);

				c.fpsr = 0;
				flags = s != whole ? FPSR_IOC : inexact ? FPSR_IXC : 0;
				got = fp_to_int(&c, FP_H, a, 0, width, false, (enum fp_rounding)r);
				check("to_int", 0, a, r, width, got, c.fpsr, (u64)s & mask, flags);
				c.fpsr = 0;
				flags = u != whole ? FPSR_IOC : inexact ? FPSR_IXC : 0;
				got = fp_to_int(&c, FP_H, a, 0, width, true, (enum fp_rounding)r);
				check("to_uint", 0, a, r, width, got, c.fpsr, (u64)u & mask, flags);
			}
			c.fpsr = 0;
			got = fp_rint(&c, FP_H, a, (enum fp_rounding)r, true);
			flags = inexact ? FPSR_IXC : 0;
			if (whole == 0)
				check("rint", 0, a, r, 0, got, c.fpsr, a & 0x8000, flags);
			else
				check("rint", 0, a, r, 0, (u64)half_signed(got), c.fpsr,
				      (u64)(whole * (1 << 24)), flags);
		}
	}
}

TEST(every_half_survives_the_way_through_wider_formats)
{
	for (u64 a = 0; a < 0x10000; a++) {
		struct fp_ctx c = {0, 0};
		bool nan = (a & 0x7fff) > 0x7c00;
		u64 want = nan ? a | 0x200 : a, s, d;

		s = fp_convert(&c, FP_H, FP_S, a, FP_RN);
		d = fp_convert(&c, FP_H, FP_D, a, FP_RN);
		EXPECT_EQ(fp_convert(&c, FP_S, FP_D, s, FP_RN), d);
		EXPECT_EQ(fp_convert(&c, FP_S, FP_H, s, FP_RZ), want);
		EXPECT_EQ(fp_convert(&c, FP_D, FP_H, d, FP_RP), want);
		EXPECT_EQ(c.fpsr, nan && !(a & 0x200) ? FPSR_IOC : 0);
		if (half_finite(a)) {
			double value = ldexp((double)half_signed(a), -24);

			memcpy(&s, &value, 8);
			EXPECT_EQ(d & ~(1ull << 63), s & ~(1ull << 63));
		}
		/* Alternative format: no NaNs or infinities, one more binade. */
		c = (struct fp_ctx){FPCR_AHP, 0};
		d = fp_convert(&c, FP_H, FP_D, a, FP_RN);
		EXPECT_EQ(fp_convert(&c, FP_D, FP_H, d, FP_RN), a);
		EXPECT_EQ(c.fpsr, 0);
	}
}

TEST(estimates_are_good_to_eight_bits)
{
	for (u64 a = 1; a < 0x7c00; a++) {
		struct fp_ctx c = {0, 0};
		double x = ldexp((double)half_signed(a), -24), got;
		u64 e = fp_rsqrte(&c, FP_H, a);

		got = ldexp((double)half_signed(e), -24);
		if (!(fabs(got * sqrt(x) - 1) < 1.0 / 256))
			TEST_FAIL("rsqrte %llx is %llx", (unsigned long long)a,
				  (unsigned long long)e);
		e = fp_recpe(&c, FP_H, a);
		if (1 / x >= 65536)
			continue;
		got = ldexp((double)half_signed(e), -24);
		if (!(fabs(got * x - 1) < 1.0 / 256 || fabs(got - 1 / x) <= ldexp(1, -24)))
			TEST_FAIL("recpe %llx is %llx", (unsigned long long)a,
				  (unsigned long long)e);
	}
}

/* --- single and double against the host
 * ----------------------------------------------------------------------------------- */

static u64 bits_of_double(double d)
{
	u64 a;

	memcpy(&a, &d, 8);
	return a;
}

static double double_of(u64 a)
{
	double d;

	memcpy(&d, &a, 8);
	return d;
}

static u64 bits_of_float(float s)
{
	u32 a;

	memcpy(&a, &s, 4);
	return a;
}

static float float_of(u64 a)
{
	u32 lo = (u32)a;
	float s;

	memcpy(&s, &lo, 4);
	return s;
}

enum op { ADD, SUB, MUL, DIV, SQRT, FMA, NR_OPS };

static u64 host_op(enum op op, enum fp_fmt f, u64 a, u64 b, u64 d)
{
	if (f == FP_D) {
		volatile double x = double_of(a), y = double_of(b), z = double_of(d), r;

		switch (op) {
		case ADD:
			r = x + y;
			break;
		case SUB:
			r = x - y;
			break;
		case MUL:
			r = x * y;
			break;
		case DIV:
			r = x / y;
			break;
		case SQRT:
			r = sqrt(x);
			break;
		default:
			r = fma(x, y, z);
		}
		return bits_of_double(r);
	} else {
		volatile float x = float_of(a), y = float_of(b), z = float_of(d), r;

		switch (op) {
		case ADD:
			r = x + y;
			break;
		case SUB:
			r = x - y;
			break;
		case MUL:
			r = x * y;
			break;
		case DIV:
			r = x / y;
			break;
		case SQRT:
			r = sqrtf(x);
			break;
		default:
			r = fmaf(x, y, z);
		}
		return bits_of_float(r);
	}
}

static u64 our_op(struct fp_ctx *c, enum op op, enum fp_fmt f, u64 a, u64 b, u64 d)
{
	switch (op) {
	case ADD:
		return fp_add(c, f, a, b);
	case SUB:
		return fp_sub(c, f, a, b);
	case MUL:
		return fp_mul(c, f, a, b);
	case DIV:
		return fp_div(c, f, a, b);
	case SQRT:
		return fp_sqrt(c, f, a);
	default:
		return fp_muladd(c, f, d, a, b);
	}
}

static bool is_nan(enum fp_fmt f, u64 a)
{
	return f == FP_D ? isnan(double_of(a)) : isnan(float_of(a));
}

/*
 * UFC is not compared: x86 detects tininess after rounding, Arm before. NaN results are compared as
 * NaNs: the architectures choose differently among operands (the differential test has Arm's
 * rules).
 */
static void compare_with_host(int host_mode, u32 rmode, u32 initial, unsigned rounds)
{
	u64 seed = rmode + 7 * initial;

	for (unsigned i = 0; i < rounds; i++) {
		enum fp_fmt f = i & 1 ? FP_D : FP_S;
		u64 a = fp_operand(&seed, f),
		    b = below(&seed, 6) ? fp_operand(&seed, f) : (a ^ (rnd(&seed) & 3)),
		    d = fp_operand(&seed, f);

		for (enum op op = 0; op < NR_OPS; op++) {
			struct fp_ctx c = {rmode << FPCR_RMODE_SHIFT, initial};
			u32 flags = initial;
			u64 want, got;
			int raised;

			fesetround(host_mode);
			feclearexcept(FE_ALL_EXCEPT);
			want = host_op(op, f, a, b, d);
			raised = fetestexcept(FE_ALL_EXCEPT);
			fesetround(FE_TONEAREST);
			flags |= (raised & FE_INVALID ? FPSR_IOC : 0) |
				 (raised & FE_DIVBYZERO ? FPSR_DZC : 0) |
				 (raised & FE_OVERFLOW ? FPSR_OFC : 0) |
				 (raised & FE_INEXACT ? FPSR_IXC : 0);
			got = our_op(&c, op, f, a, b, d);
			if (is_nan(f, want)) {
				EXPECT(is_nan(f, got));
				/* inf * 0 + quiet NaN: IOC on Arm, free choice elsewhere */
				if (op == FMA && is_nan(f, d))
					continue;
				want = got;
			}
			check("host", c.fpcr, a, b, op == FMA ? d : op, got,
			      c.fpsr & ~(u32)FPSR_UFC, want, flags);
		}
	}
}

TEST(single_and_double_agree_with_the_host_in_every_rounding_mode)
{
	compare_with_host(FE_TONEAREST, FP_RN, 0, 300000);
	compare_with_host(FE_TONEAREST, FP_RN, FPSR_IXC, 300000);
	compare_with_host(FE_UPWARD, FP_RP, 0, 150000);
	compare_with_host(FE_DOWNWARD, FP_RM, 0, 150000);
	compare_with_host(FE_TOWARDZERO, FP_RZ, 0, 150000);
}

TEST(the_fast_path_answers_as_the_slow_one)
{
	u64 seed = 5;

	for (unsigned i = 0; i < 1000000; i++) {
		enum fp_fmt f = i & 1 ? FP_D : FP_S;
		u64 a = fp_operand(&seed, f), b = fp_operand(&seed, f), d = fp_operand(&seed, f);
		enum op op = (enum op)below(&seed, NR_OPS);
		struct fp_ctx slow = {0, 0}, fast = {0, FPSR_IXC};
		u64 want = our_op(&slow, op, f, a, b, d), got = our_op(&fast, op, f, a, b, d);

		check("fast", 0, a, b, d, got, fast.fpsr, want, slow.fpsr | FPSR_IXC);
	}
}

TEST(javascript_conversion_wraps_modulo_two_to_the_32)
{
	static const struct {
		double in;
		u32 out, flags;
		bool z;
	} cases[] = {
		{0.0, 0, 0, true},
		{-0.0, 0, 0, false},
		{1.5, 1, FPSR_IXC, false},
		{-1.5, (u32)-1, FPSR_IXC, false},
		{-2147483648.0, 0x80000000, 0, true},
		{2147483648.0, 0x80000000, FPSR_IOC, false},
		{4294967296.0, 0, FPSR_IOC, false},
		{4294967301.0, 5, FPSR_IOC, false},
		{-4294967301.0, (u32)-5, FPSR_IOC, false},
		{9007199254740993.0 * 2, 0x00000000, FPSR_IOC, false},
		{1e300, 0, FPSR_IOC, false},
		{INFINITY, 0, FPSR_IOC, false},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fp_ctx c = {0, 0};
		bool z;

		EXPECT_EQ(fp_to_int_js(&c, bits_of_double(cases[i].in), &z), cases[i].out);
		EXPECT_EQ(c.fpsr, cases[i].flags);
		EXPECT_EQ(z, cases[i].z);
	}
}
