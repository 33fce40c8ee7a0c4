/* SPDX-License-Identifier: MIT */
/* What the tests of debugging share: registers, and a guest with its own exception handler. */
#ifndef ANYKVM_TESTS_API_DEBUG_H
#define ANYKVM_TESTS_API_DEBUG_H

#include "vmm.h"

#define SYS_SPSR_EL1	   SYS(3, 0, 4, 0, 0)
#define SYS_CONTEXTIDR_EL1 SYS(3, 0, 13, 0, 1)
#define SYS_MDSCR_EL1	   SYS(2, 0, 0, 2, 2)
#define SYS_OSLAR_EL1	   SYS(2, 0, 1, 0, 4)
#define SYS_DBGBVR(n)	   SYS(2, 0, 0, n, 4)
#define SYS_DBGBCR(n)	   SYS(2, 0, 0, n, 5)
#define SYS_DBGWVR(n)	   SYS(2, 0, 0, n, 6)
#define SYS_DBGWCR(n)	   SYS(2, 0, 0, n, 7)

#define PSR_SS	    (1u << 21)
#define PSR_EL0	    0x3c0u
#define PSR_EL1	    0x3c5u
#define PSR_D_CLEAR 0x1c5u /* EL1, debug exceptions unmasked */
#define MDSCR_SS    1u
#define MDSCR_KDE   (1u << 13)
#define MDSCR_MDE   (1u << 15)

#define EC_BREAKPOINT_LOW 0x30u
#define EC_STEP_LOW	  0x32u
#define EC_WATCHPOINT_LOW 0x34u
#define EC_BRK		  0x3cu
#define ESR(ec, iss)	  ((uint64_t)(ec) << 26 | 1u << 25 | (iss))
#define DEBUG_EVENT	  0x22u /* status code */
#define WNR		  (1u << 6)

#define BCR_ON	      (1u | 3u << 1 | 0xfu << 5) /* E, EL1 and EL0 */
#define BCR_EL1	      (1u | 1u << 1 | 0xfu << 5)
#define BCR_EL0	      (1u | 2u << 1 | 0xfu << 5)
#define BCR_TYPE(n)   ((unsigned)(n) << 20)
#define BCR_LINK(n)   ((unsigned)(n) << 16)
#define WCR(lsc, bas) (1u | 3u << 1 | (unsigned)(lsc) << 3 | (unsigned)(bas) << 5)
#define WCR_LINKED    (1u << 20)
#define LOADS	      1u
#define STORES	      2u

#define VECTORS (RAM + 0x2000)
#define USER	(RAM + 0x1000)
#define TABLE	(RAM + 0x8000)
#define DATA	(RAM + 0x10000)

#define A64_SVC 0xd4000001u
#define A64_BRK 0xd4200000u

#define SYS_ID(op0, op1, crn, crm, op2) ARM64_SYS_REG(op0, op1, crn, crm, op2)

static inline void set_sys(struct machine *m, uint64_t id, uint64_t value)
{
	ASSERT_EQ(set_reg(m->vcpu[0], id, value), 0);
}

/* 1 GiB blocks, as they are: the first Device, that of RAM Normal. */
static inline void translation_on(struct machine *m)
{
	uint64_t *table = (uint64_t *)(m->ram + (TABLE - RAM));

	table[0] = 0x401;
	table[1] = 0x40000705ull;
	set_sys(m, SYS_ID(3, 0, 2, 0, 0), TABLE);
	set_sys(m, SYS_ID(3, 0, 10, 2, 0), 0xff00);
	set_sys(m, SYS_ID(3, 0, 2, 0, 2), 0x100803519ull); /* 39 bits, no upper half */
	set_sys(m, SYS_ID(3, 0, 1, 0, 0), 0x30d01805);
}

/*
 * A guest at EL1 with debug exceptions on. Its handler reports ESR, ELR and FAR, and returns with debug exceptions masked: the
 * instruction is executed then.
 */
static inline struct machine debug_machine(unsigned mdscr)
{
	struct machine m = machine_new(1);
	struct code v;

	for (uint64_t at = VECTORS + 0x200; at <= VECTORS + 0x400; at += 0x200) {
		v = code_at(&m, at);
		mrs(&v, 25, SYS_ESR_EL1);
		report(&v, 25, 0);
		mrs(&v, 25, SYS_ELR_EL1);
		report(&v, 25, 8);
		mrs(&v, 25, SYS_FAR_EL1);
		report(&v, 25, 16);
		mrs(&v, 25, SYS_SPSR_EL1);
		put(&v, 0xb2770339u); /* orr x25, x25, #0x200 */
		msr(&v, SYS_SPSR_EL1, 25);
		put(&v, A64_ERET);
	}
	set_sys(&m, SYS_ID(3, 0, 12, 0, 0), VECTORS);
	set_sys(&m, SYS_ID(2, 0, 0, 2, 2), mdscr);
	set_sys(&m, CORE_REG(regs.pstate), PSR_D_CLEAR);
	return m;
}

static inline void set_breakpoint(struct machine *m, unsigned n, uint64_t value, unsigned control)
{
	set_sys(m, SYS_ID(2, 0, 0, n, 4), value);
	set_sys(m, SYS_ID(2, 0, 0, n, 5), control);
}

static inline void set_watchpoint(struct machine *m, unsigned n, uint64_t value, unsigned control)
{
	set_sys(m, SYS_ID(2, 0, 0, n, 6), value);
	set_sys(m, SYS_ID(2, 0, 0, n, 7), control);
}

/* Guest part: the end of a test, seen as a store of 1 at DEVICE + 0x100. */
static inline void done(struct code *c)
{
	li(c, 29, 1);
	report(c, 29, 0x100);
}
#define EXPECT_DONE(m) EXPECT_REPORT(m, 0, 0x100, 1)

/* The next exits tell of an exception with this ESR, taken from pc. */
#define EXPECT_EXCEPTION(m, esr, pc)         \
	do {                                 \
		EXPECT_REPORT(m, 0, 0, esr); \
		EXPECT_REPORT(m, 0, 8, pc);  \
	} while (0)

#endif
