// SPDX-License-Identifier: MIT
/*
 * Kinds of instructions by their words (Arm ARM C4.1). The words are known to be allocated: they were executed. Prefetches and
 * maintenance access nothing.
 */
#include "vcpu/tally.h"

#include "vcpu/vcpu.h"

static bool bit(u32 insn, unsigned n)
{
	return insn >> n & 1;
}

static void loads(struct vcpu *v, unsigned registers)
{
	v->tally[TALLY_LOAD]++;
	v->tally[TALLY_ACCESS] += registers;
}

static void stores(struct vcpu *v, unsigned registers)
{
	v->tally[TALLY_STORE]++;
	v->tally[TALLY_ACCESS] += registers;
}

static void one_way(struct vcpu *v, bool load, unsigned registers)
{
	if (load)
		loads(v, registers);
	else
		stores(v, registers);
}

static void both_ways(struct vcpu *v, unsigned registers)
{
	loads(v, registers);
	stores(v, registers);
}

/* Exclusives, load-acquire, store-release; compare and swap has their bit 21 with 23, its pair without 23 and 31. */
static void exclusive(struct vcpu *v, u32 insn)
{
	bool pair = bit(insn, 21) && !bit(insn, 23);

	if (bit(insn, 21) && (bit(insn, 23) || !bit(insn, 31)))
		both_ways(v, pair ? 2 : 1);
	else
		one_way(v, bit(insn, 22), pair ? 2 : 1);
}

static void simd_structure(struct vcpu *v, u32 insn)
{
	/* By opcode, bits 15:12 */
	static const u8 registers[16] = {
		[0] = 4, [2] = 4, [4] = 3, [6] = 3, [7] = 1, [8] = 2, [10] = 2};
	unsigned single = (bit(insn, 13) << 1 | bit(insn, 21)) + 1u;

	one_way(v, bit(insn, 22), bit(insn, 24) ? single : registers[insn >> 12 & 15]);
}

static void one_register(struct vcpu *v, u32 insn)
{
	unsigned opc = insn >> 22 & 3;
	bool simd = bit(insn, 26);

	if (bit(insn, 24) || !bit(insn, 21) || (insn >> 10 & 3) == 2) {
		if (simd)
			one_way(v, opc & 1, 1);
		else if (opc != 2 || insn >> 30 != 3) /* else a prefetch */
			one_way(v, opc, 1);
	} else if (bit(insn, 10) || (insn >> 12 & 15) == 12) { /* authenticated; LDAPR */
		loads(v, 1);
	} else {
		both_ways(v, 1);
	}
}

static void load_or_store(struct vcpu *v, u32 insn)
{
	switch (insn >> 28 & 3) {
	case 0:
		if (bit(insn, 26))
			simd_structure(v, insn);
		else
			exclusive(v, insn);
		break;
	case 1:
		if (bit(insn, 26) || insn >> 30 != 3)
			loads(v, 1);
		break;
	case 2:
		one_way(v, bit(insn, 22), 2);
		break;
	default:
		one_register(v, insn);
	}
}

struct word_kind {
	u32 mask, value;
	u8 kinds[2];
};

/* clang-format off */
static const struct word_kind words[] = {
	{0x7c000000, 0x14000000, {TALLY_BRANCH, TALLY_BRANCH_IMMEDIATE}},  /* B, BL */
	{0x7c000000, 0x34000000, {TALLY_BRANCH, TALLY_BRANCH_IMMEDIATE}},  /* CBZ, CBNZ, TBZ, TBNZ */
	{0xff000000, 0x54000000, {TALLY_BRANCH, TALLY_BRANCH_IMMEDIATE}},  /* B.cond */
	{0xffe00000, 0xd6400000, {TALLY_BRANCH, TALLY_PROCEDURE_RETURN}},  /* RET, also authenticated */
	{0xfec00000, 0xd6000000, {TALLY_BRANCH, TALLY_BRANCH}},		   /* BR, BLR */
	{0xffffffc0, 0xd5182000, {TALLY_TABLE_WRITE, TALLY_TABLE_WRITE}},
	{0xffffffe0, 0xd518d020, {TALLY_CONTEXT_WRITE, TALLY_CONTEXT_WRITE}},
};
/* clang-format on */

void vcpu_tally(struct vcpu *v, u32 insn)
{
	if ((insn & 0x0a000000) == 0x08000000) {
		load_or_store(v, insn);
		return;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		const struct word_kind *w = &words[i];

		if ((insn & w->mask) != w->value)
			continue;
		v->tally[w->kinds[0]]++;
		if (w->kinds[1] != w->kinds[0])
			v->tally[w->kinds[1]]++;
		return;
	}
}
