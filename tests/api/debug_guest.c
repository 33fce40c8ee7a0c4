/* SPDX-License-Identifier: MIT */
/* The guest's own breakpoints and watchpoints, and its software step at EL1. */
#include "debug.h"

TEST(a_breakpoint_stops_before_its_instruction)
{
	struct machine m = debug_machine(MDSCR_MDE | MDSCR_KDE);
	struct code c = code_at(&m, RAM);

	li(&c, 0, 1);
	set_breakpoint(&m, 0, c.pc, BCR_ON);
	add_imm(&c, 0, 0, 1);
	report(&c, 0, 32);
	code_done(&m);
	EXPECT_EXCEPTION(&m, ESR(EC_BREAKPOINT_LOW + 1, DEBUG_EVENT), RAM + 4);
	EXPECT_EQ(get_x(m.vcpu[0], 0), 1);
	EXPECT_EQ(run(&m, 0), 0);
	EXPECT_REPORT(&m, 0, 32, 2);
	machine_free(&m);
}

TEST(any_breakpoint_of_the_model_stops_a_loop)
{
	struct machine m = debug_machine(MDSCR_MDE | MDSCR_KDE);
	int nr = ioctl(m.kvm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_DEBUG_HW_BPS);
	uint64_t dfr0 = get_reg(m.vcpu[0], SYS_ID(3, 0, 0, 5, 0)), top;
	struct code c = code_at(&m, RAM);

	EXPECT_EQ(nr, (int)(dfr0 >> 12 & 15) + 1);
	EXPECT_EQ(ioctl(m.kvm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_DEBUG_HW_WPS),
		  (int)(dfr0 >> 20 & 15) + 1);
	for (int n = 0; n < nr; n++)
		set_breakpoint(&m, n, RAM + 4 + 4 * n, BCR_EL1);
	put(&c, A64_NOP);
	top = c.pc;
	for (int n = 0; n < nr; n++)
		put(&c, A64_NOP);
	daifclr(&c, 8);
	b_to(&c, top);
	code_done(&m);
	for (int n = 0; n < 2; n++) {
		EXPECT_EXCEPTION(&m, ESR(EC_BREAKPOINT_LOW + 1, DEBUG_EVENT), RAM + 4);
		EXPECT_EQ(run(&m, 0), 0);
	}
	/* The handler masked the rest of the round. */
	set_breakpoint(&m, 0, 0, 0);
	EXPECT_EXCEPTION(&m, ESR(EC_BREAKPOINT_LOW + 1, DEBUG_EVENT), RAM + 8);
	machine_free(&m);
}

/* User space can save 16 of each, whatever there is. */
TEST(the_guest_has_no_registers_of_breakpoints_that_are_not_there)
{
	struct machine m = debug_machine(0);
	unsigned brps = ioctl(m.kvm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_DEBUG_HW_BPS);
	unsigned wrps = ioctl(m.kvm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_DEBUG_HW_WPS);
	struct code c = code_at(&m, RAM);
	uint64_t at[2];

	if (brps == 16 || wrps == 16) {
		machine_free(&m);
		SKIP("all of them are there");
	}
	EXPECT_EQ(set_reg(m.vcpu[0], SYS_ID(2, 0, 0, 15, 4), 8), 0);
	EXPECT_EQ(get_reg(m.vcpu[0], SYS_ID(2, 0, 0, 15, 4)), 8);
	li(&c, 1, 4);
	msr(&c, SYS_DBGBVR(brps - 1), 1);
	mrs(&c, 0, SYS_DBGBVR(brps - 1));
	report(&c, 0, 32);
	at[0] = c.pc;
	mrs(&c, 0, SYS_DBGBVR(brps));
	at[1] = c.pc;
	msr(&c, SYS_DBGWCR(wrps), 1);
	code_done(&m);
	EXPECT_REPORT(&m, 0, 32, 4);
	EXPECT_EXCEPTION(&m, ESR(0, 0), at[0]);
	/* Its store is finished by the next run. */
	ASSERT_EQ(set_reg(m.vcpu[0], CORE_REG(regs.pc), at[1] - 4), 0);
	EXPECT_EXCEPTION(&m, ESR(0, 0), at[1]);
	machine_free(&m);
}

/* To x1, which returns by x9. */
static void call(struct code *c)
{
	li(c, 9, c->pc + 12);
	br(c, 1);
}

/* Written by the guest itself, with its ISB. */
TEST(the_guest_arms_and_disarms_a_breakpoint)
{
	struct machine m = debug_machine(0);
	struct code c = code_at(&m, RAM), sub = code_at(&m, RAM + 0x800);

	put(&sub, A64_NOP);
	br(&sub, 9); /* the handler uses x30 */
	li(&c, 0, MDSCR_MDE | MDSCR_KDE);
	msr(&c, SYS_MDSCR_EL1, 0);
	li(&c, 1, RAM + 0x800);
	msr(&c, SYS_DBGBVR(2), 1);
	li(&c, 2, BCR_ON);
	msr(&c, SYS_DBGBCR(2), 2);
	put(&c, A64_ISB);
	call(&c);
	daifclr(&c, 8);
	li(&c, 2, 0);
	msr(&c, SYS_DBGBCR(2), 2);
	put(&c, A64_ISB);
	call(&c);
	done(&c);
	code_done(&m);
	EXPECT_EXCEPTION(&m, ESR(EC_BREAKPOINT_LOW + 1, DEBUG_EVENT), RAM + 0x800);
	EXPECT_EQ(run(&m, 0), 0);
	EXPECT_DONE(&m);
	machine_free(&m);
}

/* Debug exceptions unmasked in front of it, in the same page. */
TEST(a_breakpoint_stops_as_soon_as_it_is_unmasked)
{
	struct machine m = debug_machine(MDSCR_MDE | MDSCR_KDE);
	struct code c = code_at(&m, RAM);
	uint64_t stop;

	set_sys(&m, CORE_REG(regs.pstate), PSR_EL1);
	put(&c, A64_NOP);
	daifclr(&c, 8);
	put(&c, A64_ISB);
	b_to(&c, c.pc + 4);
	stop = c.pc;
	add_imm(&c, 0, 0, 1);
	done(&c);
	code_done(&m);
	set_breakpoint(&m, 0, stop, BCR_ON);
	EXPECT_EXCEPTION(&m, ESR(EC_BREAKPOINT_LOW + 1, DEBUG_EVENT), stop);
	EXPECT_EQ(run(&m, 0), 0);
	EXPECT_DONE(&m);
	machine_free(&m);
}

static void nothing_stops(unsigned mdscr, unsigned pstate, int oslock)
{
	struct machine m = debug_machine(mdscr);
	struct code c = code_at(&m, RAM);

	set_sys(&m, CORE_REG(regs.pstate), pstate);
	set_sys(&m, SYS_ID(2, 0, 1, 1, 4),
		get_reg(m.vcpu[0], SYS_ID(2, 0, 1, 1, 4)) | (unsigned)oslock << 1);
	li(&c, 1, DATA);
	set_breakpoint(&m, 0, c.pc, BCR_ON);
	put(&c, A64_NOP);
	set_watchpoint(&m, 0, DATA, WCR(LOADS | STORES, 0xff));
	str(&c, 8, 1, 1, 0);
	done(&c);
	code_done(&m);
	EXPECT_DONE(&m);
	machine_free(&m);
}

TEST(what_masks_breakpoints_and_watchpoints)
{
	nothing_stops(MDSCR_KDE, PSR_D_CLEAR, 0);
	nothing_stops(MDSCR_MDE, PSR_D_CLEAR, 0);
	nothing_stops(MDSCR_MDE | MDSCR_KDE, PSR_EL1, 0);
	nothing_stops(MDSCR_MDE | MDSCR_KDE, PSR_D_CLEAR, 1);
	nothing_stops(MDSCR_SS | MDSCR_KDE, PSR_D_CLEAR, 1);
}

/* EL0 needs neither KDE nor PSTATE.D; a breakpoint for the other level does not match. */
TEST(breakpoints_of_el0)
{
	struct machine m = debug_machine(MDSCR_MDE);
	struct code c = code_at(&m, RAM), u = code_at(&m, USER);

	li(&c, 0, USER);
	msr(&c, SYS_ELR_EL1, 0);
	li(&c, 0, PSR_EL0);
	msr(&c, SYS_SPSR_EL1, 0);
	put(&c, A64_ERET);
	put(&u, A64_NOP);
	set_breakpoint(&m, 0, u.pc, BCR_EL1);
	put(&u, A64_NOP);
	set_breakpoint(&m, 1, u.pc, BCR_EL0);
	put(&u, A64_NOP);
	code_done(&m);
	EXPECT_EXCEPTION(&m, ESR(EC_BREAKPOINT_LOW, DEBUG_EVENT), USER + 8);
	machine_free(&m);
}

TEST(linked_breakpoints_and_watchpoints_compare_the_context)
{
	struct machine m = debug_machine(MDSCR_MDE | MDSCR_KDE);
	int last = ioctl(m.kvm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_DEBUG_HW_BPS) - 1;
	struct code c = code_at(&m, RAM);
	uint64_t top, stop;

	set_breakpoint(&m, last, 0xabcdef, BCR_ON | BCR_TYPE(3));
	li(&c, 1, DATA);
	li(&c, 5, 0xabcdee);
	top = c.pc;
	msr(&c, SYS_CONTEXTIDR_EL1, 5);
	put(&c, A64_ISB);
	stop = c.pc;
	set_breakpoint(&m, 0, stop, BCR_ON | BCR_TYPE(1) | BCR_LINK(last));
	put(&c, A64_NOP);
	daifclr(&c, 8);
	set_watchpoint(&m, 0, DATA, WCR(STORES, 0xff) | WCR_LINKED | BCR_LINK(last));
	str(&c, 1, 5, 1, 3);
	add_imm(&c, 5, 5, 1);
	b_to(&c, top);
	code_done(&m);
	EXPECT_EXCEPTION(&m, ESR(EC_BREAKPOINT_LOW + 1, DEBUG_EVENT), stop);
	EXPECT_EQ(get_x(m.vcpu[0], 5), 0xabcdef);
	EXPECT_EQ(run(&m, 0), 0);
	EXPECT_EXCEPTION(&m, ESR(EC_WATCHPOINT_LOW + 1, WNR | DEBUG_EVENT), stop + 8);
	EXPECT_REPORT(&m, 0, 16, DATA + 3);
	EXPECT_EQ(m.ram[DATA + 3 - RAM], 0xee);
	machine_free(&m);
}

/* --- kinds of access --- */

/* x1 = DATA + offset, executes insn: a watchpoint on 8 bytes at DATA stops it (kind: WNR or 0), or none does (-1). */
static void access_is(uint32_t insn, int offset, unsigned lsc, int kind)
{
	struct machine m = debug_machine(MDSCR_MDE | MDSCR_KDE);
	struct code c = code_at(&m, RAM);
	uint64_t far = 0;

	translation_on(&m);
	set_sys(&m, SYS_ID(3, 0, 1, 0, 2), 3u << 20);
	set_watchpoint(&m, 1, DATA, WCR(lsc, 0xff));
	set_x(m.vcpu[0], 1, DATA + (uint64_t)(int64_t)offset);
	/* So that the page is known to the CPU before. */
	ldr(&c, 8, 2, 1, 512);
	put(&c, insn);
	done(&c);
	code_done(&m);
	if (kind >= 0) {
		EXPECT_EXCEPTION(&m, ESR(EC_WATCHPOINT_LOW + 1, (unsigned)kind | DEBUG_EVENT),
				 RAM + 4);
		EXPECT_EQ(run(&m, 0), 0);
		memcpy(&far, m.run[0]->mmio.data, 8);
		EXPECT(far >= DATA - 64 && far < DATA + 8);
		for (unsigned i = 0; i < 8; i++)
			EXPECT_EQ(m.ram[DATA - RAM + i], 0);
	}
	EXPECT_DONE(&m);
	machine_free(&m);
}

TEST(loads_and_stores_are_watched_apart)
{
	access_is(0xf9400022u, 0, LOADS, 0); /* ldr x2, [x1] */
	access_is(0xf9400022u, 0, STORES, -1);
	access_is(0xf9000022u, 0, STORES, WNR); /* str x2, [x1] */
	access_is(0xf9000022u, 0, LOADS, -1);
	access_is(0x39400022u, 7, LOADS, 0); /* ldrb w2, [x1] */
	access_is(0x39400022u, 8, LOADS, -1);
	access_is(0x39400022u, -1, LOADS, -1);
}

TEST(unaligned_accesses_pairs_and_vectors_are_watched)
{
	access_is(0xf9400022u, -7, LOADS, 0);
	access_is(0xf9400022u, -8, LOADS, -1);
	access_is(0xf9000022u, 7, STORES, WNR);
	access_is(0xa9400c22u, -8, LOADS, 0); /* ldp x2, x3, [x1] */
	access_is(0xa9000c22u, -8, STORES, WNR);
	access_is(0xa9000c22u, 8, STORES, -1);
	access_is(0x3dc00020u, -8, LOADS, 0); /* ldr q0, [x1] */
	access_is(0x3d800020u, -15, STORES, WNR);
	access_is(0x4c002020u, -56, STORES, WNR); /* st1 {v0.16b-v3.16b}, [x1] */
	access_is(0x4c002020u, -64, STORES, -1);
	access_is(0x3840c422u, 0, LOADS, 0); /* ldrb w2, [x1], #12 */
}

TEST(ordered_exclusive_and_atomic_accesses_are_watched)
{
	access_is(0xc8dffc22u, 0, LOADS, 0);	/* ldar x2, [x1] */
	access_is(0xc89ffc22u, 0, STORES, WNR); /* stlr x2, [x1] */
	access_is(0xc85f7c22u, 0, LOADS, 0);	/* ldxr x2, [x1] */
	access_is(0xc85f7c22u, 0, STORES, -1);
	access_is(0xf8220022u, 0, STORES, WNR); /* ldadd x2, x2, [x1] */
	access_is(0xc8a27c23u, 0, STORES, WNR); /* cas x2, x3, [x1] */
}

TEST(zeroing_a_block_is_a_store_and_cleaning_is_nothing)
{
	access_is(0xd50b7421u, 0, STORES, WNR); /* dc zva, x1 */
	access_is(0xd50b7421u, 60, STORES, WNR);
	access_is(0xd50b7421u, 2048, STORES, -1);
	access_is(0xd50b7a21u, 0, LOADS | STORES, -1); /* dc cvac, x1 */
	access_is(0xf9800020u, 0, LOADS | STORES, -1); /* prfm pldl1keep, [x1] */
}

TEST(a_store_exclusive_is_watched)
{
	struct machine m = debug_machine(MDSCR_MDE | MDSCR_KDE);
	struct code c = code_at(&m, RAM);

	translation_on(&m);
	set_watchpoint(&m, 0, DATA, WCR(STORES, 0xff));
	li(&c, 1, DATA);
	li(&c, 2, 5);
	put(&c, 0xc85f7c23u); /* ldxr x3, [x1] */
	put(&c, 0xc8047c22u); /* stxr w4, x2, [x1] */
	done(&c);
	code_done(&m);
	EXPECT_EXCEPTION(&m, ESR(EC_WATCHPOINT_LOW + 1, WNR | DEBUG_EVENT), RAM + 16);
	EXPECT_EQ(run(&m, 0), 0);
	EXPECT_DONE(&m);
	/* The exception cleared the monitor. */
	EXPECT_EQ(get_x(m.vcpu[0], 4), 1);
	EXPECT_EQ(m.ram[DATA - RAM], 0);
	machine_free(&m);
}

TEST(a_watchpoint_over_pages)
{
	struct machine m = debug_machine(MDSCR_MDE | MDSCR_KDE);
	struct code c = code_at(&m, RAM);

	translation_on(&m);
	set_watchpoint(&m, 0, DATA, WCR(STORES, 0xff) | 13u << 24);
	li(&c, 1, DATA - 4);
	li(&c, 2, ~0ull);
	str(&c, 4, 2, 1, 0);
	put(&c, 0xf9000022u); /* str x2, [x1], over the edge */
	daifclr(&c, 8);
	add_imm(&c, 1, 1, 4);
	str(&c, 1, 2, 1, 0xfff);
	daifclr(&c, 8);
	str(&c, 8, 2, 1, 0x1ff8);
	daifclr(&c, 8);
	str(&c, 8, 2, 1, 0x2000);
	done(&c);
	code_done(&m);
	for (unsigned i = 0; i < 3; i++) {
		EXPECT_REPORT(&m, 0, 0, ESR(EC_WATCHPOINT_LOW + 1, WNR | DEBUG_EVENT));
		EXPECT_EQ(run(&m, 0), 0);
		EXPECT_REPORT(&m, 0, 16, i ? (i == 1 ? DATA + 0xfff : DATA + 0x1ff8) : DATA);
	}
	EXPECT_DONE(&m);
	machine_free(&m);
}

/* A page that was accessed before, and again after an access that was not watched. */
TEST(a_watchpoint_is_seen_in_a_page_that_is_in_use)
{
	struct machine m = debug_machine(MDSCR_MDE | MDSCR_KDE);
	struct code c = code_at(&m, RAM);

	translation_on(&m);
	li(&c, 1, DATA);
	str(&c, 8, 1, 1, 0);
	ldr(&c, 8, 2, 1, 0);
	msr(&c, SYS_DBGWVR(0), 1);
	li(&c, 2, WCR(STORES, 0xff));
	msr(&c, SYS_DBGWCR(0), 2);
	put(&c, A64_ISB);
	str(&c, 8, 1, 1, 8);
	ldr(&c, 8, 2, 1, 0);
	str(&c, 8, 1, 1, 0);
	done(&c);
	code_done(&m);
	EXPECT_EXCEPTION(&m, ESR(EC_WATCHPOINT_LOW + 1, WNR | DEBUG_EVENT), RAM + 10 * 4);
	EXPECT_REPORT(&m, 0, 16, DATA);
	EXPECT_DONE(&m);
	machine_free(&m);
}

/* --- software step at EL1 --- */

TEST(software_step_at_el1)
{
	struct machine m = debug_machine(MDSCR_SS | MDSCR_KDE);
	struct code c = code_at(&m, RAM);
	struct code v = code_at(&m, VECTORS + 0x200);

	/* A handler that goes on stepping. */
	mrs(&v, 25, SYS_ESR_EL1);
	report(&v, 25, 0);
	mrs(&v, 25, SYS_ELR_EL1);
	report(&v, 25, 8);
	mrs(&v, 25, SYS_SPSR_EL1);
	put(&v, 0xb26b0339u); /* orr x25, x25, #PSR_SS */
	msr(&v, SYS_SPSR_EL1, 25);
	put(&v, A64_ERET);
	translation_on(&m);
	li(&c, 1, DATA);
	put(&c, A64_NOP);
	put(&c, 0xc85f7c23u); /* ldxr x3, [x1] */
	put(&c, A64_NOP);
	code_done(&m);
	/* PSTATE.SS is 0: due at once. */
	EXPECT_EXCEPTION(&m, ESR(EC_STEP_LOW + 1, DEBUG_EVENT), RAM);
	EXPECT_EXCEPTION(&m, ESR(EC_STEP_LOW + 1, 1u << 24 | DEBUG_EVENT), RAM + 4);
	EXPECT_EXCEPTION(&m, ESR(EC_STEP_LOW + 1, 1u << 24 | DEBUG_EVENT), RAM + 8);
	EXPECT_EXCEPTION(&m, ESR(EC_STEP_LOW + 1, 1u << 24 | DEBUG_EVENT), RAM + 12);
	EXPECT_EXCEPTION(&m, ESR(EC_STEP_LOW + 1, 1u << 24 | 1u << 6 | DEBUG_EVENT), RAM + 16);
	machine_free(&m);
}
