/* SPDX-License-Identifier: MIT */
/* The loop, the code cache and what qemu-user cannot show. Instructions by the differential test: tests/diff. */
#include "interp/code.h"
#include "rig.h"
#include "test.h"

#define CODE 0x40000000ull
#define DATA 0x50000000ull
#define SVC0 0xd4000001u

static struct rig *rig;

static void setup(void)
{
	if (!rig) {
		rig = rig_create();
		ASSERT(rig_map(rig, CODE, 0x800000));
		ASSERT(rig_map(rig, DATA, 0x10000));
	}
	memset(&rig->v.arch, 0, sizeof(rig->v.arch));
	memset((void *)(uintptr_t)CODE, 0, 0x3000);
	rig_drop_code(rig, 0, ~0ull);
	rig_flush(rig);
	rig->limit = 0;
	rig->v.arch.pc = CODE;
}

static void put(u64 at, u32 insn)
{
	*(u32 *)(uintptr_t)at = insn;
}

TEST(falling_off_a_page_runs_the_next_one)
{
	setup();
	rig->v.arch.pc = CODE + 0xff8;
	put(CODE + 0xff8, 0x91000400); /* add x0, x0, #1 */
	put(CODE + 0xffc, 0x91000400);
	put(CODE + 0x1000, 0x91000400);
	put(CODE + 0x1004, SVC0);
	EXPECT_EQ(rig_run(rig), RIG_SVC);
	EXPECT_EQ(rig->v.arch.x[0], 3);
	EXPECT_EQ(rig->v.arch.pc, CODE + 0x1004);
}

TEST(a_backward_branch_polls_and_ticks_are_regular)
{
	setup();
	put(CODE, 0x91000400);	   /* add x0, x0, #1 */
	put(CODE + 4, 0x17ffffff); /* b .-4 */
	rig->limit = rig->v.stats.instructions + 100000;
	EXPECT_EQ(rig_run(rig), RIG_LIMIT);
	EXPECT(rig->v.arch.x[0] >= 50000 && rig->v.arch.x[0] < 50000 + 16384);
}

TEST(decoded_code_is_kept_until_it_is_dropped)
{
	setup();
	put(CODE, 0x91000400);
	put(CODE + 4, SVC0);
	EXPECT_EQ(rig_run(rig), RIG_SVC);
	EXPECT_EQ(rig->v.arch.x[0], 1);
	put(CODE, 0x91000800); /* add x0, x0, #2: not seen without maintenance */
	rig->v.arch.pc = CODE;
	EXPECT_EQ(rig_run(rig), RIG_SVC);
	EXPECT_EQ(rig->v.arch.x[0], 2);
	rig_flush(rig);
	rig->v.arch.pc = CODE;
	EXPECT_EQ(rig_run(rig), RIG_SVC);
	EXPECT_EQ(rig->v.arch.x[0], 3);
	rig_drop_code(rig, CODE, CODE + 4);
	rig->v.arch.pc = CODE;
	EXPECT_EQ(rig_run(rig), RIG_SVC);
	EXPECT_EQ(rig->v.arch.x[0], 5);
}

TEST(dropping_some_slots_leaves_the_others)
{
	setup();
	for (unsigned i = 0; i < 1023; i++)
		put(CODE + i * 4, 0x91000400);
	put(CODE + 1023 * 4, SVC0);
	EXPECT_EQ(rig_run(rig), RIG_SVC);
	EXPECT_EQ(rig->v.arch.x[0], 1023);
	for (unsigned i = 0; i < 1023; i++)
		put(CODE + i * 4, 0x91000800);
	rig_drop_code(rig, CODE + 64, CODE + 128);
	rig->v.arch.pc = CODE;
	rig->v.arch.x[0] = 0;
	EXPECT_EQ(rig_run(rig), RIG_SVC);
	EXPECT_EQ(rig->v.arch.x[0], 1023 + 16);
}

TEST(more_pages_of_code_than_the_cache_holds)
{
	unsigned n = CODE_NR_PAGES * 2;

	setup();
	for (unsigned i = 0; i < n; i++) {
		put(CODE + i * 0x1000ull, 0x91000400);
		put(CODE + i * 0x1000ull + 4, 0x14000000 | (0x1000 - 4) / 4);
	}
	put(CODE + n * 0x1000ull, SVC0);
	for (unsigned round = 0; round < 3; round++) {
		rig->v.arch.pc = CODE;
		rig->v.arch.x[0] = 0;
		EXPECT_EQ(rig_run(rig), RIG_SVC);
		EXPECT_EQ(rig->v.arch.x[0], n);
	}
	rig_drop_code(rig, CODE, CODE + 0x800000);
	put(CODE, 0x91000800);
	rig->v.arch.pc = CODE;
	rig->v.arch.x[0] = 0;
	EXPECT_EQ(rig_run(rig), RIG_SVC);
	EXPECT_EQ(rig->v.arch.x[0], n + 1);
}

TEST(after_a_flush_nothing_is_read_through_the_old_translation)
{
	setup();
	rig_run(rig); /* UDF at CODE */
	u64 fetches = rig->fetches;

	put(CODE, 0x91000400);
	put(CODE + 4, SVC0);
	rig_drop_code(rig, CODE, CODE + 0x1000);
	rig->v.arch.pc = CODE;
	rig_run(rig);
	EXPECT_EQ(rig->fetches, fetches);
	rig_flush(rig);
	rig->v.arch.pc = CODE;
	rig_run(rig);
	EXPECT_EQ(rig->fetches, fetches + 1);
}

TEST(a_jump_to_a_misaligned_address_or_into_nothing_traps)
{
	setup();
	put(CODE, 0xd61f0000); /* br x0 */
	rig->v.arch.x[0] = CODE + 2;
	EXPECT_EQ(rig_run(rig), RIG_PC_ALIGNMENT);
	EXPECT_EQ(rig->v.arch.pc, CODE + 2);
	rig->v.arch.pc = CODE;
	rig->v.arch.x[0] = 0x1234000;
	EXPECT_EQ(rig_run(rig), RIG_FAULT);
	EXPECT_EQ(rig->v.arch.pc, 0x1234000);
}

TEST(a_faulting_access_changes_no_register)
{
	static const u32 insn[] = {
		0xf8408c41, /* ldr x1, [x2, #8]! */
		0xf8008c41, /* str x1, [x2, #8]! */
		0xa9c10c41, /* ldp x1, x3, [x2, #16]! */
		0xa9810c41, /* stp x1, x3, [x2, #16]! */
		0xf8208041, /* swp x0, x1, [x2] */
		0xc85f7c41, /* ldxr x1, [x2] */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(insn); i++) {
		setup();
		put(CODE, insn[i]);
		rig->v.arch.x[0] = 5;
		rig->v.arch.x[1] = 6;
		rig->v.arch.x[2] = 0x1000;
		rig->v.arch.x[3] = 7;
		EXPECT_EQ(rig_run(rig), RIG_FAULT);
		EXPECT_EQ(rig->v.arch.x[0], 5);
		EXPECT_EQ(rig->v.arch.x[1], 6);
		EXPECT_EQ(rig->v.arch.x[2], 0x1000);
		EXPECT_EQ(rig->v.arch.x[3], 7);
		EXPECT_EQ(rig->v.arch.pc, CODE);
	}
}

TEST(a_store_pair_over_the_end_of_memory_writes_nothing)
{
	u64 last = DATA + 0x10000 - 8;

	setup();
	put(CODE, 0xa9000c41); /* stp x1, x3, [x2] */
	*(u64 *)(uintptr_t)last = 0x55;
	rig->v.arch.x[1] = 1;
	rig->v.arch.x[2] = last;
	EXPECT_EQ(rig_run(rig), RIG_FAULT);
	EXPECT_EQ(*(u64 *)(uintptr_t)last, 0x55);
}

TEST(sp_alignment_is_checked_only_where_it_is_on_and_sp_is_the_base)
{
	setup();
	put(CODE, 0xf94003e0);	   /* ldr x0, [sp] */
	put(CODE + 4, 0xf9400040); /* ldr x0, [x2] */
	put(CODE + 8, SVC0);
	rig->v.arch.x[REG_SP] = DATA + 8;
	rig->v.arch.x[2] = DATA + 8;
	EXPECT_EQ(rig_run(rig), RIG_SVC);
	rig->v.arch.sp_check = 1;
	rig->v.arch.pc = CODE;
	EXPECT_EQ(rig_run(rig), RIG_SP_ALIGNMENT);
	rig->v.arch.pc = CODE + 4;
	EXPECT_EQ(rig_run(rig), RIG_SVC);
	rig->v.arch.pc = CODE;
	rig->v.arch.x[REG_SP] = DATA + 16;
	EXPECT_EQ(rig_run(rig), RIG_SVC);
}

TEST(store_exclusive_fails_after_clrex_and_after_another_store)
{
	setup();
	put(CODE, 0xc85f7c41);	    /* ldxr x1, [x2] */
	put(CODE + 4, 0xd503201f);  /* nop, or what a round puts here */
	put(CODE + 8, 0xc8007c43);  /* stxr w0, x3, [x2] */
	put(CODE + 12, 0xc8047c43); /* stxr w4, x3, [x2]: the monitor is open */
	put(CODE + 16, SVC0);
	for (unsigned round = 0; round < 3; round++) {
		static const u32 between[] = {0xd503201f, 0xd503305f /* clrex */,
					      0xf9000045 /* str x5, [x2] */};

		put(CODE + 4, between[round]);
		rig_drop_code(rig, CODE, CODE + 64);
		rig->v.arch.pc = CODE;
		rig->v.arch.x[2] = DATA;
		rig->v.arch.x[3] = 77;
		rig->v.arch.x[5] = 88;
		*(u64 *)(uintptr_t)DATA = 66;
		EXPECT_EQ(rig_run(rig), RIG_SVC);
		EXPECT_EQ(rig->v.arch.x[0], round != 0);
		EXPECT_EQ(rig->v.arch.x[4], 1);
		EXPECT_EQ(*(u64 *)(uintptr_t)DATA, round == 0 ? 77 : round == 1 ? 66 : 88);
	}
}

TEST(exceptions_and_hints_reach_their_function)
{
	static const struct {
		u32 insn;
		enum rig_exit exit;
		u32 imm;
	} t[] = {
		{0xd4000001 | 0x1234 << 5, RIG_SVC, 0x1234},
		{0xd4000002 | 0x1235 << 5, RIG_HVC, 0x1235},
		{0xd4000003 | 0x1236 << 5, RIG_SMC, 0x1236},
		{0xd4200000 | 0x1237 << 5, RIG_BRK, 0x1237},
		{0xd4400000, RIG_UNDEF}, /* hlt */
		{0xd4a00001, RIG_UNDEF}, /* dcps1 */
		{0xd4a00002, RIG_UNDEF},
		{0xd4a00003, RIG_UNDEF},
		{0xd6bf03e0, RIG_UNDEF}, /* drps */
		{0x00001234, RIG_UNDEF}, /* udf */
		{0xffffffff, RIG_UNDEF},
		{0xd503205f, RIG_WFE},
		{0xd503207f, RIG_WFI},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		setup();
		put(CODE, t[i].insn);
		EXPECT_EQ(rig_run(rig), t[i].exit);
		EXPECT_EQ(rig->v.arch.pc, CODE);
		if (t[i].imm)
			EXPECT_EQ(rig->imm, t[i].imm);
	}
	setup();
	put(CODE, 0xd503209f);	   /* sev */
	put(CODE + 4, 0xd50320bf); /* sevl */
	put(CODE + 8, 0xd503241f); /* bti: a hint of a feature that is not there */
	put(CODE + 12, SVC0);
	EXPECT_EQ(rig_run(rig), RIG_SVC);
	EXPECT_EQ(rig->events, 1001);
}

TEST(privileged_instructions_pass_their_fields_on)
{
	static const struct {
		u32 insn;
		enum rig_call call;
		u32 a, b, c;
	} t[] = {
		{0xd69f03e0, RIG_CALL_ERET},
		{0xd500457f, RIG_CALL_MSR_IMM, 0, 3, 5},  /* msr uao, #5 */
		{0xd500419f, RIG_CALL_MSR_IMM, 0, 4, 1},  /* msr pan, #1 */
		{0xd50041bf, RIG_CALL_MSR_IMM, 0, 5, 1},  /* msr spsel, #1 */
		{0xd503413f, RIG_CALL_MSR_IMM, 3, 1, 1},  /* msr ssbs, #1 */
		{0xd503415f, RIG_CALL_MSR_IMM, 3, 2, 1},  /* msr dit, #1 */
		{0xd5034adf, RIG_CALL_MSR_IMM, 3, 6, 10}, /* msr daifset, #10 */
		{0xd50345ff, RIG_CALL_MSR_IMM, 3, 7, 5},  /* msr daifclr, #5 */
		{0xd5087829, RIG_CALL_SYS, 0x43c1, 9},	  /* at s1e1w, x9 */
		{0xd5181004, RIG_CALL_MSR, 0xc080, 4},	  /* msr sctlr_el1, x4 */
		{0xd5381005, RIG_CALL_MRS, 0xc080, 5},	  /* mrs x5, sctlr_el1 */
		{0xd5033b9f, RIG_CALL_DSB, 11},		  /* dsb ish */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		setup();
		memset(&rig->last, 0, sizeof(rig->last));
		put(CODE, t[i].insn);
		put(CODE + 4, SVC0);
		rig_run(rig);
		EXPECT_EQ(rig->last.call, t[i].call);
		EXPECT_EQ(rig->last.a, t[i].a);
		EXPECT_EQ(rig->last.b, t[i].b);
		EXPECT_EQ(rig->last.c, t[i].c);
	}
	setup();
	put(CODE, 0xd5287829); /* sysl x9, #0, c7, c8, #1: there is none */
	EXPECT_EQ(rig_run(rig), RIG_UNDEF);
}

/* The rig's code of a pointer is the modifier in its top byte. */
TEST(pointer_authentication_takes_its_key_modifier_and_register)
{
	static const struct {
		u32 insn;
		u32 key; /* PAUTH_*, with 0x100 of a check; ~0: not asked */
		u8 reg;
		u64 before, after;
	} t[] = {
		{0xdac10041, 0, 1, 0x1000, 5ull << 56 | 0x1000},      /* pacia x1, x2 */
		{0xdac10441, 1, 1, 0x1000, 5ull << 56 | 0x1000},      /* pacib x1, x2 */
		{0xdac10be1, 2, 1, 0x1000, 6ull << 56 | 0x1000},      /* pacda x1, sp */
		{0xdac12fe1, 3, 1, 0x1000, 0x1000},		      /* pacdzb x1 */
		{0xdac11841, 0x102, 1, 5ull << 56 | 0x1000, 0x1000},  /* autda x1, x2 */
		{0xdac133e1, 0x100, 1, 0x1000, 0x1000},		      /* autiza x1 */
		{0xdac143e1, ~0u, 1, 5ull << 56 | 0x1000, 0x1000},    /* xpaci x1 */
		{0x9ac23021, ~0u, 1, 0x1000, (0x1000ull ^ 5) << 32},  /* pacga x1, x1, x2 */
		{0xd503233f, 0, 30, 0x1000, 6ull << 56 | 0x1000},     /* paciasp */
		{0xd503235f, 1, 30, 0x1000, 0x1000},		      /* pacibz */
		{0xd50323bf, 0x100, 30, 6ull << 56 | 0x1000, 0x1000}, /* autiasp */
		{0xd503215f, 1, 17, 0x1000, 7ull << 56 | 0x1000},     /* pacib1716 */
		{0xd50320ff, ~0u, 30, 6ull << 56 | 0x1000, 0x1000},   /* xpaclri */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		setup();
		memset(&rig->last, 0, sizeof(rig->last));
		rig->v.arch.x[2] = 5;
		rig->v.arch.x[16] = 7;
		rig->v.arch.x[REG_SP] = 6;
		rig->v.arch.x[t[i].reg] = t[i].before;
		put(CODE, t[i].insn);
		put(CODE + 4, SVC0);
		EXPECT_EQ(rig_run(rig), RIG_SVC);
		EXPECT_EQ(rig->v.arch.x[t[i].reg], t[i].after);
		EXPECT_EQ(rig->last.call, t[i].key == ~0u ? RIG_CALL_NONE : RIG_CALL_PAUTH);
		EXPECT_EQ(rig->last.a, t[i].key == ~0u ? 0 : t[i].key);
		if (test_failed)
			TEST_FAIL("%08x", t[i].insn);
	}
	/* Absent: hints do nothing, the rest is undefined. */
	setup();
	rig->v.absent.insns = 1u << A64_FEATURE_pauth;
	rig->v.arch.x[30] = 0x1000;
	put(CODE, 0xd503233f);
	put(CODE + 4, 0xdac10041);
	EXPECT_EQ(rig_run(rig), RIG_UNDEF);
	EXPECT_EQ(rig->v.arch.pc, CODE + 4);
	EXPECT_EQ(rig->v.arch.x[30], 0x1000);
	rig->v.absent.insns = 0;
}

TEST(a_pair_of_x30_and_the_zero_register_compares_and_swaps)
{
	setup();
	put(CODE, 0x487e7c40); /* casp x30, xzr, x0, x1, [x2] */
	put(CODE + 4, SVC0);
	rig->v.arch.x[30] = 5;
	rig->v.arch.x[0] = 7;
	rig->v.arch.x[1] = 8;
	rig->v.arch.x[2] = DATA;
	rig->v.arch.x[REG_SP] = 99;
	((u64 *)(uintptr_t)DATA)[0] = 5;
	((u64 *)(uintptr_t)DATA)[1] = 0;
	EXPECT_EQ(rig_run(rig), RIG_SVC);
	EXPECT_EQ(((u64 *)(uintptr_t)DATA)[0], 7);
	EXPECT_EQ(((u64 *)(uintptr_t)DATA)[1], 8);
	EXPECT_EQ(rig->v.arch.x[30], 5);
	rig->v.arch.pc = CODE;
	EXPECT_EQ(rig_run(rig), RIG_SVC);
	EXPECT_EQ(rig->v.arch.x[30], 7);
	EXPECT_EQ(rig->v.arch.x[REG_ZR], 0);
	EXPECT_EQ(rig->v.arch.x[REG_SP], 99);
}
