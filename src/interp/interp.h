/* SPDX-License-Identifier: MIT */
/*
 * What a handler of one instruction looks like. Each table line NAME has OP(NAME) in one of the files of this folder; a line
 * and its handler are committed together, or the library does not link.
 *
 * At the call v->arch.pc is the address of the instruction. OP_NEXT leaves pc alone: the loop adds 4. Nothing
 * architectural may change before the last access that may fault. Memory is reached through vcpu/vmem.h only:
 *
 *	if (!vmem_load(v, va, 8, acc, &x))
 *		return vmem_result(v);
 */
#ifndef ANYKVM_INTERP_INTERP_H
#define ANYKVM_INTERP_INTERP_H

#include "arch/decode.h"
#include "vcpu/vcpu.h"
#include "vcpu/vmem.h"

#define OP(name) enum op_result op_##name(struct vcpu *v, u32 insn)

typedef enum op_result op_fn(struct vcpu *v, u32 insn);

/* A handler that select.c chooses by the fields of a line: none of its own in the table. */
#define OP_VARIANT(name) \
	op_fn op_##name; \
	OP(name)

#define OP_DECLARE(name) op_fn op_##name;
A64_FOR_EACH_OP(OP_DECLARE)
#undef OP_DECLARE

/* The usual places of register fields. */
#define RD(insn)  ((insn)&31)
#define RT(insn)  ((insn)&31)
#define RN(insn)  ((insn) >> 5 & 31)
#define RM(insn)  ((insn) >> 16 & 31)
#define RS(insn)  ((insn) >> 16 & 31)
#define RA(insn)  ((insn) >> 10 & 31)
#define RT2(insn) ((insn) >> 10 & 31)

/* Unsigned and signed field of width bits at lo. */
static ALWAYS_INLINE u32 fld(u32 insn, unsigned lo, unsigned width)
{
	return insn >> lo & (~0u >> (32 - width));
}

static ALWAYS_INLINE s64 sfld(u32 insn, unsigned lo, unsigned width)
{
	return (s64)((s32)(insn << (32 - lo - width)) >> (32 - width));
}

/* General registers: 31 reads as zero, writes to it are dropped. W writes zero-extend. */
static ALWAYS_INLINE u64 xr(const struct vcpu *v, unsigned n)
{
	return v->arch.x[n];
}

static ALWAYS_INLINE u32 wr(const struct vcpu *v, unsigned n)
{
	return (u32)v->arch.x[n];
}

static ALWAYS_INLINE void xw(struct vcpu *v, unsigned n, u64 value)
{
	reg_write(&v->arch, n, value);
}

/* As xr and xw, but 31 is SP. */
static ALWAYS_INLINE u64 xr_sp(const struct vcpu *v, unsigned n)
{
	return v->arch.x[reg_sp(n)];
}

static ALWAYS_INLINE void xw_sp(struct vcpu *v, unsigned n, u64 value)
{
	v->arch.x[reg_sp(n)] = value;
}

/*
 * Base address of a load or store in *va. With SP as the base and SP alignment checking on, a misaligned SP traps: false, and
 * the handler returns vcpu_sp_alignment(v).
 */
static ALWAYS_INLINE bool base_address(const struct vcpu *v, unsigned n, u64 *va)
{
	*va = xr_sp(v, n);
	return likely(n != 31 || !(*va & 15) || !v->arch.sp_check);
}

/* FP and AdvSIMD handlers start with this. */
#define FP_ACCESS_CHECK(v)                             \
	do {                                           \
		if (unlikely((v)->arch.fp_trap))       \
			return vcpu_fp_access_trap(v); \
	} while (0)

/* Whether condition cond (0..15, 14 and 15 always) holds for nzcv in SPSR position. */
static ALWAYS_INLINE bool cond_holds(u32 nzcv, unsigned cond)
{
	/* Bit nzcv of the mask of each condition, NZCV as a number of four bits: N is bit 3, V bit 0. */
	static const u16 holds[16] = {
		0xf0f0, 0x0f0f, 0xcccc, 0x3333, 0xff00, 0x00ff, 0xaaaa, 0x5555,
		0x0c0c, 0xf3f3, 0xaa55, 0x55aa, 0x0a05, 0xf5fa, 0xffff, 0xffff,
	};

	return holds[cond] >> (nzcv >> 28) & 1;
}

/* interp.c: the engine. */
extern const struct engine_ops interp_engine;

#endif
