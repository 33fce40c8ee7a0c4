/* SPDX-License-Identifier: MIT */
/*
 * Exact A64 floating point on bit patterns. Every function follows the shared pseudocode of the Arm
 * ARM (J1.2) of the same name: NaN propagation, flush-to-zero and cumulative flags included. Values
 * sit in the low bits of a u64; results are zero-extended. Nothing here knows a vCPU.
 */
#ifndef ANYKVM_INTERP_SOFTFP_H
#define ANYKVM_INTERP_SOFTFP_H

#include "base/types.h"

/* Formats are the log2 of their size in bytes, as in vector size fields. */
enum fp_fmt { FP_H = 1, FP_S = 2, FP_D = 3 };

/* The first four are FPCR.RMode. RA: to nearest, ties away; RO: to odd (FCVTXN). */
enum fp_rounding { FP_RN, FP_RP, FP_RM, FP_RZ, FP_RA, FP_RO };

#define FPCR_FZ16	 BIT(19)
#define FPCR_RMODE_SHIFT 22
#define FPCR_RMODE	 (3u << FPCR_RMODE_SHIFT)
#define FPCR_FZ		 BIT(24)
#define FPCR_DN		 BIT(25)
#define FPCR_AHP	 BIT(26)

#define FPSR_IOC BIT(0)
#define FPSR_DZC BIT(1)
#define FPSR_OFC BIT(2)
#define FPSR_UFC BIT(3)
#define FPSR_IXC BIT(4)
#define FPSR_IDC BIT(7)
#define FPSR_QC	 BIT(27)

/* fpsr starts as the register's value (it lets the fast paths skip what is set already) and only
 * gains bits. */
struct fp_ctx {
	u32 fpcr;
	u32 fpsr;
};

static ALWAYS_INLINE enum fp_rounding fp_mode(const struct fp_ctx *c)
{
	return (enum fp_rounding)((c->fpcr >> FPCR_RMODE_SHIFT) & 3);
}

static ALWAYS_INLINE u64 fp_sign_bit(enum fp_fmt f)
{
	return 1ull << ((8u << f) - 1);
}

static ALWAYS_INLINE u64 fp_abs(enum fp_fmt f, u64 a)
{
	return a & (fp_sign_bit(f) - 1);
}

static ALWAYS_INLINE u64 fp_neg(enum fp_fmt f, u64 a)
{
	return a ^ fp_sign_bit(f);
}

u64 fp_add(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b);
u64 fp_sub(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b);
u64 fp_mul(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b);
u64 fp_mulx(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b);
u64 fp_div(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b);
u64 fp_max(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b);
u64 fp_min(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b);
u64 fp_maxnm(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b);
u64 fp_minnm(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b);
u64 fp_recps(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b);
u64 fp_rsqrts(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b);
/* addend + a * b, rounded once */
u64 fp_muladd(struct fp_ctx *c, enum fp_fmt f, u64 addend, u64 a, u64 b);

u64 fp_sqrt(struct fp_ctx *c, enum fp_fmt f, u64 a);
u64 fp_recpe(struct fp_ctx *c, enum fp_fmt f, u64 a);
u64 fp_rsqrte(struct fp_ctx *c, enum fp_fmt f, u64 a);
u64 fp_recpx(struct fp_ctx *c, enum fp_fmt f, u64 a);
u32 fp_urecpe(u32 a);
u32 fp_ursqrte(u32 a);
/* FPRoundInt: to an integral value in the same format; exact: raise IXC if it changed. */
u64 fp_rint(struct fp_ctx *c, enum fp_fmt f, u64 a, enum fp_rounding r, bool exact);

/* FPCompare: NZCV in bits 3..0. signal: quiet NaNs raise IOC too (FCMPE). */
unsigned fp_compare(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b, bool signal);
bool fp_eq(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b);
bool fp_ge(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b);
bool fp_gt(struct fp_ctx *c, enum fp_fmt f, u64 a, u64 b);

u64 fp_convert(struct fp_ctx *c, enum fp_fmt from, enum fp_fmt to, u64 a, enum fp_rounding r);
/* FPToFixed to width (16, 32, 64) bits with fbits fraction bits; saturates. The result is
 * zero-extended. */
u64 fp_to_int(struct fp_ctx *c, enum fp_fmt f, u64 a, unsigned fbits, unsigned width,
	      bool is_unsigned, enum fp_rounding r);
/* FixedToFP of the low width bits of a. */
u64 fp_from_int(struct fp_ctx *c, enum fp_fmt f, u64 a, unsigned fbits, unsigned width,
		bool is_unsigned);
/* FJCVTZS; *z is PSTATE.Z. */
u32 fp_to_int_js(struct fp_ctx *c, u64 a, bool *z);

/*
 * The fast paths use the host's unit in its default state. An engine brackets its loop with these,
 * since the process may run with flush-to-zero or another rounding mode of its own.
 */
static inline u64 fp_host_begin(void)
{
#if defined(__x86_64__)
	u32 old = __builtin_ia32_stmxcsr();

	__builtin_ia32_ldmxcsr(0x1f80);
	return old;
#else
	u64 old, zero = 0;

	__asm__ volatile("mrs %0, fpcr\n\tmsr fpcr, %1" : "=&r"(old) : "r"(zero));
	return old;
#endif
}

static inline void fp_host_end(u64 old)
{
#if defined(__x86_64__)
	__builtin_ia32_ldmxcsr((u32)old);
#else
	__asm__ volatile("msr fpcr, %0" : : "r"(old));
#endif
}

#endif
