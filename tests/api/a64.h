/* SPDX-License-Identifier: MIT */
/*
 * A few A64 instructions, written into guest memory by the test that runs them: guest and host part of a test stay in one place,
 * and no assembler is needed. Registers are numbers; 31 is xzr or sp as the instruction has it.
 */
#ifndef ANYKVM_TESTS_API_A64_H
#define ANYKVM_TESTS_API_A64_H

#include <stdint.h>

struct code {
	uint32_t *word; /* where the next instruction goes */
	uint64_t pc;	/* its guest address */
};

static inline void put(struct code *c, uint32_t insn)
{
	*c->word++ = insn;
	c->pc += 4;
}

#define A64_NOP	 0xd503201fu
#define A64_WFE	 0xd503205fu
#define A64_WFI	 0xd503207fu
#define A64_SEV	 0xd503209fu
#define A64_ISB	 0xd5033fdfu
#define A64_DSB	 0xd5033f9fu
#define A64_ERET 0xd69f03e0u
#define A64_RET	 0xd65f03c0u

/* movz, movk */
static inline void li(struct code *c, unsigned rd, uint64_t value)
{
	put(c, 0xd2800000u | (uint32_t)(value & 0xffff) << 5 | rd);
	for (unsigned i = 1; i < 4; i++)
		if (value >> (16 * i) & 0xffff)
			put(c, 0xf2800000u | i << 21 | (uint32_t)(value >> (16 * i) & 0xffff) << 5 |
				       rd);
}
static inline void mov(struct code *c, unsigned rd, unsigned rm)
{
	put(c, 0xaa0003e0u | rm << 16 | rd);
}
static inline void add_imm(struct code *c, unsigned rd, unsigned rn, unsigned imm)
{
	put(c, 0x91000000u | imm << 10 | rn << 5 | rd);
}
static inline void sub_imm(struct code *c, unsigned rd, unsigned rn, unsigned imm)
{
	put(c, 0xd1000000u | imm << 10 | rn << 5 | rd);
}
static inline void add_reg(struct code *c, unsigned rd, unsigned rn, unsigned rm)
{
	put(c, 0x8b000000u | rm << 16 | rn << 5 | rd);
}

/* str and ldr of 1, 2, 4 or 8 bytes at [rn, #off] */
static inline void str(struct code *c, unsigned size, unsigned rt, unsigned rn, unsigned off)
{
	unsigned log = __builtin_ctz(size);

	put(c, 0x39000000u | log << 30 | (off >> log) << 10 | rn << 5 | rt);
}
static inline void ldr(struct code *c, unsigned size, unsigned rt, unsigned rn, unsigned off)
{
	unsigned log = __builtin_ctz(size);

	put(c, 0x39400000u | log << 30 | (off >> log) << 10 | rn << 5 | rt);
}
/* ldrsb, ldrsh, ldrsw; into an X register, or (sizes 1 and 2) a W register */
static inline void ldrs(struct code *c, unsigned size, unsigned rt, unsigned rn, int to_w)
{
	unsigned log = __builtin_ctz(size);

	put(c, (to_w ? 0x39c00000u : 0x39800000u) | log << 30 | rn << 5 | rt);
}
static inline void ldp(struct code *c, unsigned rt, unsigned rt2, unsigned rn)
{
	put(c, 0xa9400000u | rt2 << 10 | rn << 5 | rt);
}
/* str q, [rn] */
static inline void str_q(struct code *c, unsigned vt, unsigned rn)
{
	put(c, 0x3d800000u | rn << 5 | vt);
}

static inline void b_to(struct code *c, uint64_t target)
{
	put(c, 0x14000000u | ((uint32_t)((int64_t)(target - c->pc) >> 2) & 0x3ffffff));
}
static inline void cbnz_to(struct code *c, unsigned rt, uint64_t target)
{
	put(c, 0xb5000000u | ((uint32_t)((int64_t)(target - c->pc) >> 2) & 0x7ffff) << 5 | rt);
}
static inline void cbz_to(struct code *c, unsigned rt, uint64_t target)
{
	put(c, 0xb4000000u | ((uint32_t)((int64_t)(target - c->pc) >> 2) & 0x7ffff) << 5 | rt);
}
static inline void br(struct code *c, unsigned rn)
{
	put(c, 0xd61f0000u | rn << 5);
}
static inline void blr(struct code *c, unsigned rn)
{
	put(c, 0xd63f0000u | rn << 5);
}
static inline void hvc(struct code *c, unsigned imm)
{
	put(c, 0xd4000002u | imm << 5);
}
static inline void smc(struct code *c, unsigned imm)
{
	put(c, 0xd4000003u | imm << 5);
}

#define SYS(op0, op1, crn, crm, op2) \
	(((op0)-2u) << 19 | (op1) << 16 | (crn) << 12 | (crm) << 8 | (op2) << 5)
#define SYS_VBAR_EL1	  SYS(3, 0, 12, 0, 0)
#define SYS_MPIDR_EL1	  SYS(3, 0, 0, 0, 5)
#define SYS_ESR_EL1	  SYS(3, 0, 5, 2, 0)
#define SYS_ELR_EL1	  SYS(3, 0, 4, 0, 1)
#define SYS_FAR_EL1	  SYS(3, 0, 6, 0, 0)
#define SYS_CPACR_EL1	  SYS(3, 0, 1, 0, 2)
#define SYS_CNTVCT_EL0	  SYS(3, 3, 14, 0, 2)
#define SYS_CNTV_TVAL_EL0 SYS(3, 3, 14, 3, 0)
#define SYS_CNTV_CTL_EL0  SYS(3, 3, 14, 3, 1)
#define SYS_CNTV_CVAL_EL0 SYS(3, 3, 14, 3, 2)
#define SYS_ICC_SRE_EL1	  SYS(3, 0, 12, 12, 5)
#define SYS_ICC_PMR_EL1	  SYS(3, 0, 4, 6, 0)
#define SYS_ICC_IGRPEN1	  SYS(3, 0, 12, 12, 7)
#define SYS_ICC_IAR1_EL1  SYS(3, 0, 12, 12, 0)
#define SYS_ICC_EOIR1_EL1 SYS(3, 0, 12, 12, 1)
#define SYS_ICC_SGI1R_EL1 SYS(3, 0, 12, 11, 5)

static inline void msr(struct code *c, uint32_t reg, unsigned rt)
{
	put(c, 0xd5100000u | reg | rt);
}
static inline void mrs(struct code *c, unsigned rt, uint32_t reg)
{
	put(c, 0xd5300000u | reg | rt);
}
/* daifset, daifclr of D 8, A 4, I 2, F 1 */
static inline void daifset(struct code *c, unsigned bits)
{
	put(c, 0xd50340dfu | bits << 8);
}
static inline void daifclr(struct code *c, unsigned bits)
{
	put(c, 0xd50340ffu | bits << 8);
}

#endif
