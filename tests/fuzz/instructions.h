/* SPDX-License-Identifier: MIT */
/* Instruction words that mean something to a CPU more often than chance. */
#ifndef ANYKVM_TESTS_FUZZ_INSTRUCTIONS_H
#define ANYKVM_TESTS_FUZZ_INSTRUCTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Neighbours: system registers (op0 2 and 3), or SYS instructions (op0 1). */
struct sys_range {
	uint8_t op0, op1, crn, crm, op2, nr;
};

/* Registers, TLBI, AT, IC, DC that a kernel uses. */
static const struct sys_range sys_ranges[] = {
	{3, 0, 1, 0, 0, 3},
	{3, 0, 2, 0, 0, 3},
	{3, 0, 2, 1, 0, 4},
	{3, 0, 2, 2, 0, 4},
	{3, 0, 2, 3, 0, 2},
	{3, 0, 4, 0, 0, 2},
	{3, 0, 4, 1, 0, 1},
	{3, 0, 4, 2, 0, 4},
	{3, 0, 5, 1, 0, 2},
	{3, 0, 5, 2, 0, 1},
	{3, 0, 5, 3, 0, 8},
	{3, 0, 6, 0, 0, 1},
	{3, 0, 7, 4, 0, 1},
	{3, 0, 10, 2, 0, 1},
	{3, 0, 12, 1, 0, 2},
	{3, 0, 13, 0, 1, 4},
	{3, 0, 14, 1, 0, 1},
	{3, 0, 0, 0, 0, 7},
	{3, 0, 0, 4, 0, 8},
	{3, 0, 0, 6, 0, 4},
	{3, 1, 0, 0, 0, 8},
	{3, 2, 0, 0, 0, 1},
	{3, 3, 0, 0, 1, 7},
	{3, 3, 4, 2, 0, 8},
	{3, 3, 4, 4, 0, 2},
	{3, 3, 13, 0, 2, 2},
	/* the interrupt controller's */
	{3, 0, 4, 6, 0, 1},
	{3, 0, 12, 12, 0, 8},
	{3, 0, 12, 12, 0, 8},
	{3, 0, 12, 11, 1, 7},
	{3, 0, 12, 8, 0, 8},
	{3, 0, 12, 9, 0, 4},
	/* timers, counters of events, debug */
	{3, 3, 14, 0, 0, 7},
	{3, 3, 14, 2, 0, 3},
	{3, 3, 14, 3, 0, 3},
	{3, 3, 9, 12, 0, 8},
	{3, 3, 9, 13, 0, 3},
	{3, 3, 9, 14, 0, 4},
	{3, 0, 9, 14, 1, 2},
	{3, 3, 14, 8, 0, 4},
	{3, 3, 14, 12, 0, 4},
	{2, 0, 0, 0, 4, 4},
	{2, 0, 0, 1, 4, 4},
	{2, 0, 0, 2, 0, 3},
	{2, 0, 1, 0, 4, 1},
	{2, 0, 1, 3, 4, 1},
	/* instructions */
	{1, 0, 8, 7, 0, 8},
	{1, 0, 8, 3, 0, 8},
	{1, 0, 8, 1, 0, 8},
	{1, 0, 8, 6, 1, 7},
	{1, 0, 7, 8, 0, 4},
	{1, 0, 7, 9, 0, 2},
	{1, 0, 7, 1, 0, 1},
	{1, 0, 7, 5, 0, 1},
	{1, 3, 7, 5, 1, 1},
	{1, 3, 7, 4, 1, 1},
	{1, 3, 7, 10, 1, 1},
	{1, 3, 7, 14, 1, 1},
	{1, 0, 7, 6, 1, 2},
};

static inline uint32_t likely_system(uint32_t random)
{
	const struct sys_range *s =
		&sys_ranges[(random >> 8) % (sizeof(sys_ranges) / sizeof(sys_ranges[0]))];
	uint32_t op2 = s->op2 + (random >> 20) % s->nr, get = s->op0 != 1 && random & 32;

	switch (random % 8) {
	case 6: /* barriers, MSR to fields of PSTATE */
		return 0xd503301f | (random & 0xfe0) | (random & 0x1000 ? 0x1000000 : 0);
	case 7: /* hints: WFE, WFI, SEV, pointer authentication */
		return 0xd503201f | (random >> 8 & 0x1f) << 5;
	default:
		return 0xd5000000 | get << 21 | (uint32_t)s->op0 << 19 | (uint32_t)s->op1 << 16 |
		       (uint32_t)s->crn << 12 | (uint32_t)s->crm << 8 | op2 << 5 | (random & 0x1f);
	}
}

static inline uint32_t likely_instruction(uint32_t random, unsigned kind)
{
	switch (kind % 16) {
	case 0: /* anything of MSR, MRS, SYS, hints, barriers */
		return 0xd5000000 | (random & 0x3fffff);
	case 1:
	case 2:
	case 3:
		return likely_system(random);
	case 4: /* loads and stores */
	case 5:
	case 6:
		return (random & ~0x0e000000u) | 0x08000000;
	case 7: /* of a register, to what it points at */
		return 0x38000000 | (random & 0xc0c003ff) | (random & 7) << 5;
	case 8: /* short branches */
		return 0x14000000 | (random & 0x1f);
	case 9: /* SVC, HVC, SMC with 0 for the most part, ERET */
		return random & 0x30 ? 0xd4000001 + random % 3 + (random & 0xc0 ? 0 : 0x20)
				     : 0xd69f03e0;
	default:
		return random;
	}
}

/*
 * Exception vectors at code: each goes on behind the instruction that did not work. With an exit, some do so by way of a store to
 * 0x10000000, which leaves KVM_RUN.
 */
static inline void put_vectors(uint32_t *code, bool exit)
{
	const uint32_t handler[] = {0xd5384030 /* MRS X16, ELR_EL1 */,
				    0x91001210 /* ADD X16, X16, #4 */,
				    0xd5184030 /* MSR ELR_EL1, X16 */,
				    0xf27c061f /* TST X16, #0x30 */,
				    exit ? 0x54000061 /* B.NE .+12 */ : 0x14000003 /* B .+12 */,
				    0xd2a20011 /* MOVZ X17, #0x1000, LSL #16 */,
				    0xb9000231 /* STR W17, [X17] */,
				    0xd69f03e0 /* ERET */};

	for (unsigned i = 0; i < 16; i++)
		memcpy(&code[i * 0x80 / 4], handler, sizeof(handler));
}

#endif
