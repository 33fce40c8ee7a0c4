/* SPDX-License-Identifier: MIT */
/*
 * Architectural state of a vCPU, as the engines see it. Between instructions all of it is precise;
 * during an instruction an engine changes nothing before the last access that may fault.
 */
#ifndef ANYKVM_VCPU_STATE_H
#define ANYKVM_VCPU_STATE_H

#include "base/types.h"
#include "vcpu/sysreg_index.h"

#define REG_ZR 31 /* x[REG_ZR] is always 0: writers through Rd = 31 put the 0 back (reg_write) */
#define REG_SP 32 /* x[REG_SP] is the stack pointer in use; the others wait in sp_el[] */

union vreg {
	u64 d[2];
	u32 s[4];
	u16 h[8];
	u8 b[16];
} __attribute__((aligned(16)));

/* PSTATE.NZCV in its SPSR position. */
#define PSR_N BIT(31)
#define PSR_Z BIT(30)
#define PSR_C BIT(29)
#define PSR_V BIT(28)
/* The rest of PSTATE, in SPSR positions (Arm ARM C5.2.18 SPSR_EL1). */
#define PSR_DIT	     BIT(24)
#define PSR_UAO	     BIT(23)
#define PSR_PAN	     BIT(22)
#define PSR_SS	     BIT(21)
#define PSR_IL	     BIT(20)
#define PSR_SSBS     BIT(12)
#define PSR_D	     BIT(9)
#define PSR_A	     BIT(8)
#define PSR_I	     BIT(7)
#define PSR_F	     BIT(6)
#define PSR_EL_SHIFT 2	    /* M[3:2] */
#define PSR_SP	     BIT(0) /* M[0]: SP_ELx selected */

struct vcpu_arch {
	u64 x[33];
	u64 pc;
	u32 nzcv;    /* PSR_N..PSR_V, all other bits 0 */
	u32 pstate;  /* every other PSTATE bit at its SPSR position, EL and SP select in M[3:0]; no
			NZCV */
	u8 el;	     /* == (pstate >> 2) & 3 */
	u8 sp_check; /* non-zero: SP alignment is checked here and now (SCTLR_EL1.SA or SA0 of the
			current EL) */
	u8 fp_trap;  /* non-zero: FP/AdvSIMD instructions trap here and now (CPACR_EL1.FPEN, current
			EL) */
	u32 fpcr;
	u32 fpsr; /* cumulative flags included: engines OR into it */
	union vreg v[32];
	u64 sp_el[4];	    /* banked stack pointers; stale for the one now in x[REG_SP] */
	u64 sys[NR_SYSREG]; /* storage of system registers, by enum sysreg_index */
	/* Exclusive monitor: LDXR records, STXR compares. size 0 = open. */
	struct {
		u64 va; /* virtual address of the load */
		void *hva;
		u32 size; /* bytes: 1, 2, 4, 8, 16 */
		u64 value[2];
	} excl;
};

static ALWAYS_INLINE void reg_write(struct vcpu_arch *a, unsigned rd, u64 value)
{
	a->x[rd] = value;
	a->x[REG_ZR] = 0;
}

/* Index of a register field where 31 means SP: x[reg_sp(n)]. */
static ALWAYS_INLINE unsigned reg_sp(unsigned n)
{
	return n + (n == 31);
}

#endif
