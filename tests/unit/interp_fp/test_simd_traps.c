/* SPDX-License-Identifier: MIT */
/* What every FP and AdvSIMD line does before and instead of its operation: access trap, SP
 * alignment, precise faults. */
#include "../../diff/simd/operands.h"
#include "interp/select.h"
#include "rig.h"
#include "test.h"

#define DATA 0x52000000ull

static struct rig *rig;
static u64 seed = 3;

static void setup(void)
{
	if (!rig) {
		rig = rig_create();
		ASSERT(rig_map(rig, DATA, 0x2000)); /* nothing follows */
	}
	memset(&rig->v.arch, 0, sizeof(rig->v.arch));
	for (unsigned i = 0; i < 31; i++)
		rig->v.arch.x[i] = rnd(&seed);
	for (unsigned i = 0; i < 32; i++)
		rig->v.arch.v[i] = (union vreg){.d = {rnd(&seed), rnd(&seed)}};
	rig->exit = RIG_NONE;
	rig->v.stop.kind = STOP_NONE;
}

static u32 random_word(unsigned op)
{
	u32 insn;

	do
		insn = a64_info[op].value | ((u32)rnd(&seed) & ~a64_info[op].mask);
	while (a64_decode(insn) != op);
	return insn;
}

static bool is_memory(unsigned op)
{
	return !strcmp(a64_info[op].class, "load") || !strcmp(a64_info[op].class, "store");
}

/* Lines of a64_simd.tab come after those of a64_base.tab. */
#define FOR_EACH_SIMD_OP(op) for (unsigned op = A64_FMOV_F; op < NR_A64_OPS; op++)

TEST(every_line_traps_while_fp_access_is_off_and_changes_nothing)
{
	FOR_EACH_SIMD_OP(op)
	{
		for (unsigned i = 0; i < 4; i++) {
			struct vcpu_arch before;
			u32 insn = random_word(op);

			setup();
			rig->v.arch.fp_trap = 1;
			before = rig->v.arch;
			EXPECT_EQ(interp_select(insn, 0)(&rig->v, insn), OP_STOP);
			if (rig->exit != RIG_FP_TRAP ||
			    memcmp(&before, &rig->v.arch, sizeof(before)))
				TEST_FAIL("%s does not trap", a64_info[op].name);
		}
	}
}

TEST(a_misaligned_stack_pointer_as_base_traps_when_checked)
{
	unsigned lines = 0;

	FOR_EACH_SIMD_OP(op)
	{
		struct vcpu_arch before;
		u32 insn;

		if (!is_memory(op) || strstr(a64_info[op].name, "_LIT"))
			continue;
		lines++;
		setup();
		insn = random_word(op) | 31 << 5;
		rig->v.arch.x[REG_SP] = DATA + 0x1008;
		rig->v.arch.sp_check = 1;
		before = rig->v.arch;
		interp_select(insn, 0)(&rig->v, insn);
		if (rig->exit != RIG_SP_ALIGNMENT || memcmp(&before, &rig->v.arch, sizeof(before)))
			TEST_FAIL("%s does not trap", a64_info[op].name);
	}
	EXPECT(lines > 100);
}

/* Immediate offsets of 0. */
static u32 without_offset(unsigned op, u32 insn)
{
	const struct a64_insn_info *l = &a64_info[op];

	for (unsigned i = 0; i < l->nr_fields; i++)
		if (!strcmp(l->field[i].name, "imm12") || !strcmp(l->field[i].name, "imm9") ||
		    !strcmp(l->field[i].name, "imm7"))
			insn = (u32)bits_set(insn, l->field[i].lo, l->field[i].width, 0);
	return insn;
}

/*
 * The access starts inside memory, at every distance from its end: where it runs over the end, no
 * register, base or memory byte may change. Stores check all their bytes first; loads write
 * registers last.
 */
TEST(an_access_that_runs_over_the_end_of_memory_changes_nothing)
{
	static u8 memory[0x2000];
	unsigned lines = 0;

	for (unsigned i = 0; i < sizeof(memory); i++)
		memory[i] = (u8)rnd(&seed);
	FOR_EACH_SIMD_OP(op)
	{
		unsigned crossed = 0;

		if (!is_memory(op) || strstr(a64_info[op].name, "_LIT"))
			continue;
		lines++;
		for (unsigned i = 0; i < 16 * 64; i++) {
			u32 insn = without_offset(op, random_word(op));
			unsigned rn = RN(insn), tail = 1 + i % 64;
			struct vcpu_arch before;

			if (rn == 31 || (strstr(a64_info[op].name, "_REG") && RM(insn) == rn))
				continue;
			setup();
			if (strstr(a64_info[op].name, "_REG"))
				rig->v.arch.x[RM(insn)] = 0;
			rig->v.arch.x[REG_ZR] = 0;
			rig->v.arch.x[rn] = DATA + 0x2000 - tail;
			memcpy((void *)(uintptr_t)DATA, memory, sizeof(memory));
			before = rig->v.arch;
			if (interp_select(insn, 0)(&rig->v, insn) == OP_NEXT)
				continue;
			crossed++;
			if (rig->exit != RIG_FAULT ||
			    memcmp(&before, &rig->v.arch, sizeof(before)) ||
			    memcmp((void *)(uintptr_t)DATA, memory, sizeof(memory)))
				TEST_FAIL("%s %08x, %u bytes before the end", a64_info[op].name,
					  insn, tail);
		}
		/* One byte cannot straddle the end. */
		if (!crossed && !strstr(a64_info[op].name, "R8V"))
			TEST_FAIL("%s never faulted", a64_info[op].name);
	}
	EXPECT(lines > 100);
}
