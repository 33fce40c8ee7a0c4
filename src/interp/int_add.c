/* SPDX-License-Identifier: MIT */
/* Add, subtract, with carry, conditional compare: everything that computes NZCV by addition. */
#include "interp/flags.h"
#include "interp/interp.h"

/* 31 is SP in Rd unless flags are set, and in Rn of the immediate and extended forms. */
static ALWAYS_INLINE enum op_result add_sub(struct vcpu *v, u32 insn, bool sf, bool sub, bool flags,
					    u64 a, u64 b, unsigned rd)
{
	u64 r;

	if (sf) {
		r = sub ? a - b : a + b;
		if (flags)
			v->arch.nzcv = sub ? flags_sub64(a, b, r) : flags_add64(a, b, r);
	} else {
		r = sub ? (u32)a - (u32)b : (u32)a + (u32)b;
		r = (u32)r;
		if (flags)
			v->arch.nzcv = sub ? flags_sub32((u32)a, (u32)b, (u32)r)
					   : flags_add32((u32)a, (u32)b, (u32)r);
	}
	v->arch.x[rd] = r;
	if (rd == REG_ZR)
		v->arch.x[REG_ZR] = 0;
	return OP_NEXT;
}

static ALWAYS_INLINE enum op_result add_imm(struct vcpu *v, u32 insn, bool sf, bool sub, bool flags)
{
	u64 imm = (u64)fld(insn, 10, 12) << (insn >> 22 & 1) * 12;

	return add_sub(v, insn, sf, sub, flags, xr_sp(v, RN(insn)), imm,
		       flags ? RD(insn) : reg_sp(RD(insn)));
}

static ALWAYS_INLINE enum op_result add_reg(struct vcpu *v, u32 insn, bool sf, bool sub, bool flags)
{
	unsigned shift = fld(insn, 22, 2), n = fld(insn, 10, 6);
	u64 b = sf ? shift64(xr(v, RM(insn)), shift, n) : shift32(wr(v, RM(insn)), shift, n);

	return add_sub(v, insn, sf, sub, flags, xr(v, RN(insn)), b, RD(insn));
}

static ALWAYS_INLINE enum op_result add_ext(struct vcpu *v, u32 insn, bool sf, bool sub, bool flags)
{
	u64 b = extend_reg(xr(v, RM(insn)), fld(insn, 13, 3)) << fld(insn, 10, 3);

	return add_sub(v, insn, sf, sub, flags, xr_sp(v, RN(insn)), b,
		       flags ? RD(insn) : reg_sp(RD(insn)));
}

static ALWAYS_INLINE enum op_result adc(struct vcpu *v, u32 insn, bool sf, bool sub, bool flags)
{
	u64 a = xr(v, RN(insn)), b = xr(v, RM(insn));
	unsigned c = v->arch.nzcv >> 29 & 1;
	u64 r;

	if (sub)
		b = ~b;
	if (sf) {
		r = a + b + c;
		if (flags)
			v->arch.nzcv = flags_adc64(a, b, c, r);
	} else {
		r = (u32)a + (u32)b + c;
		r = (u32)r;
		if (flags)
			v->arch.nzcv = flags_adc32((u32)a, (u32)b, c, (u32)r);
	}
	xw(v, RD(insn), r);
	return OP_NEXT;
}

static ALWAYS_INLINE enum op_result ccmp(struct vcpu *v, u32 insn, bool sf, bool sub, u64 b)
{
	u64 a = xr(v, RN(insn));

	if (!cond_holds(v->arch.nzcv, fld(insn, 12, 4)))
		v->arch.nzcv = (insn & 15) << 28;
	else if (sf)
		v->arch.nzcv = sub ? flags_sub64(a, b, a - b) : flags_add64(a, b, a + b);
	else
		v->arch.nzcv = sub ? flags_sub32((u32)a, (u32)b, (u32)a - (u32)b)
				   : flags_add32((u32)a, (u32)b, (u32)a + (u32)b);
	return OP_NEXT;
}

#define ADD_FORMS(name, sub, flags)                                                          \
	OP(name##_IMM32)                                                                     \
	{                                                                                    \
		return add_imm(v, insn, false, sub, flags);                                  \
	}                                                                                    \
	OP(name##_IMM64)                                                                     \
	{                                                                                    \
		return add_imm(v, insn, true, sub, flags);                                   \
	}                                                                                    \
	OP(name##_REG32)                                                                     \
	{                                                                                    \
		return add_reg(v, insn, false, sub, flags);                                  \
	}                                                                                    \
	OP(name##_REG64)                                                                     \
	{                                                                                    \
		return add_reg(v, insn, true, sub, flags);                                   \
	}                                                                                    \
	OP(name##_EXT32)                                                                     \
	{                                                                                    \
		return add_ext(v, insn, false, sub, flags);                                  \
	}                                                                                    \
	OP(name##_EXT64)                                                                     \
	{                                                                                    \
		return add_ext(v, insn, true, sub, flags);                                   \
	}                                                                                    \
	/* Shift amount 0, the usual case: chosen at decode time. */                         \
	OP_VARIANT(fast_##name##_REG32)                                                      \
	{                                                                                    \
		return add_sub(v, insn, false, sub, flags, xr(v, RN(insn)), xr(v, RM(insn)), \
			       RD(insn));                                                    \
	}                                                                                    \
	OP_VARIANT(fast_##name##_REG64)                                                      \
	{                                                                                    \
		return add_sub(v, insn, true, sub, flags, xr(v, RN(insn)), xr(v, RM(insn)),  \
			       RD(insn));                                                    \
	}

ADD_FORMS(ADD, false, false)
ADD_FORMS(ADDS, false, true)
ADD_FORMS(SUB, true, false)
ADD_FORMS(SUBS, true, true)

/* Rn and Rd below 31, no shift: chosen at decode time. */
#define ADD_IMM_FAST(name, sf, sub, flags)                                                \
	OP_VARIANT(fast_##name)                                                           \
	{                                                                                 \
		u64 a = v->arch.x[RN(insn)], b = fld(insn, 10, 12), r;                    \
                                                                                          \
		r = sub ? a - b : a + b;                                                  \
		if (!sf)                                                                  \
			r = (u32)r;                                                       \
		if (flags && sf)                                                          \
			v->arch.nzcv = sub ? flags_sub64(a, b, r) : flags_add64(a, b, r); \
		else if (flags)                                                           \
			v->arch.nzcv = sub ? flags_sub32((u32)a, (u32)b, (u32)r)          \
					   : flags_add32((u32)a, (u32)b, (u32)r);         \
		v->arch.x[RD(insn)] = r;                                                  \
		return OP_NEXT;                                                           \
	}

ADD_IMM_FAST(ADD_IMM32, false, false, false)
ADD_IMM_FAST(ADD_IMM64, true, false, false)
ADD_IMM_FAST(SUB_IMM32, false, true, false)
ADD_IMM_FAST(SUB_IMM64, true, true, false)
ADD_IMM_FAST(SUBS_IMM32, false, true, true)
ADD_IMM_FAST(SUBS_IMM64, true, true, true)

/* CMP: Rd is ZR; Rn below 31 for the immediate forms, unshifted. */
OP_VARIANT(fast_CMP_IMM32)
{
	u32 a = wr(v, RN(insn)), b = fld(insn, 10, 12);

	v->arch.nzcv = flags_sub32(a, b, a - b);
	return OP_NEXT;
}

OP_VARIANT(fast_CMP_IMM64)
{
	u64 a = xr(v, RN(insn)), b = fld(insn, 10, 12);

	v->arch.nzcv = flags_sub64(a, b, a - b);
	return OP_NEXT;
}

OP_VARIANT(fast_CMP_REG32)
{
	u32 a = wr(v, RN(insn)), b = wr(v, RM(insn));

	v->arch.nzcv = flags_sub32(a, b, a - b);
	return OP_NEXT;
}

OP_VARIANT(fast_CMP_REG64)
{
	u64 a = xr(v, RN(insn)), b = xr(v, RM(insn));

	v->arch.nzcv = flags_sub64(a, b, a - b);
	return OP_NEXT;
}

#define ADC_FORMS(name, sub, flags)                     \
	OP(name##32)                                    \
	{                                               \
		return adc(v, insn, false, sub, flags); \
	}                                               \
	OP(name##64)                                    \
	{                                               \
		return adc(v, insn, true, sub, flags);  \
	}

ADC_FORMS(ADC, false, false)
ADC_FORMS(ADCS, false, true)
ADC_FORMS(SBC, true, false)
ADC_FORMS(SBCS, true, true)

#define CCMP_FORMS(name, sub)                                      \
	OP(name##_REG32)                                           \
	{                                                          \
		return ccmp(v, insn, false, sub, xr(v, RM(insn))); \
	}                                                          \
	OP(name##_REG64)                                           \
	{                                                          \
		return ccmp(v, insn, true, sub, xr(v, RM(insn)));  \
	}                                                          \
	OP(name##_IMM32)                                           \
	{                                                          \
		return ccmp(v, insn, false, sub, RM(insn));        \
	}                                                          \
	OP(name##_IMM64)                                           \
	{                                                          \
		return ccmp(v, insn, true, sub, RM(insn));         \
	}

CCMP_FORMS(CCMN, false)
CCMP_FORMS(CCMP, true)
