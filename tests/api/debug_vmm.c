/* SPDX-License-Identifier: MIT */
/* KVM_SET_GUEST_DEBUG: breakpoints, watchpoints and BRK of the VMM, and what becomes of the guest's own. */
#include <errno.h>

#include "debug.h"

static void debug(struct machine *m, unsigned control, struct kvm_guest_debug_arch *regs)
{
	struct kvm_guest_debug d = {.control = control};

	if (regs)
		d.arch = *regs;
	ASSERT_EQ(ioctl(m->vcpu[0], KVM_SET_GUEST_DEBUG, &d), 0);
}

#define HW (KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW)

static struct kvm_guest_debug_arch breakpoint(unsigned n, uint64_t va)
{
	struct kvm_guest_debug_arch r = {0};

	r.dbg_bvr[n] = va;
	r.dbg_bcr[n] = BCR_ON;
	return r;
}

#define EXPECT_DEBUG_EXIT(m, esr, at)                                                \
	do {                                                                         \
		EXPECT_EQ(run(m, 0), 0);                                             \
		EXPECT_EQ((m)->run[0]->exit_reason, KVM_EXIT_DEBUG);                 \
		EXPECT_EQ((m)->run[0]->debug.arch.hsr, (uint32_t)(esr));             \
		EXPECT_EQ((m)->run[0]->debug.arch.hsr_high, 0);                      \
		EXPECT_EQ((m)->run[0]->flags, KVM_DEBUG_ARCH_HSR_HIGH_VALID);        \
		EXPECT_EQ(get_reg((m)->vcpu[0], CORE_REG(regs.pc)), (uint64_t)(at)); \
	} while (0)

TEST(debug_flags_are_checked)
{
	struct machine m = machine_new(1);
	int legal = ioctl(m.kvm, KVM_CHECK_EXTENSION, KVM_CAP_SET_GUEST_DEBUG2);

	EXPECT_EQ(legal, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_SW_BP |
				 KVM_GUESTDBG_USE_HW);
	for (int bit = 0; bit < 32; bit++) {
		struct kvm_guest_debug d = {.control = 1u << bit};

		EXPECT_EQ(ioctl(m.vcpu[0], KVM_SET_GUEST_DEBUG, &d),
			  (unsigned)legal >> bit & 1 ? 0 : -1);
	}
	machine_free(&m);
}

/* Whatever the guest masks; the instruction is not executed. */
TEST(a_breakpoint_of_the_vmm_exits)
{
	struct machine m = machine_new(1);
	int nr = ioctl(m.kvm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_DEBUG_HW_BPS);
	struct kvm_guest_debug_arch regs = breakpoint(nr - 1, RAM + 8);
	struct code c = code_at(&m, RAM);

	li(&c, 0, 1);
	msr(&c, SYS_OSLAR_EL1, 0);
	add_imm(&c, 0, 0, 1);
	report(&c, 0, 0);
	code_done(&m);
	debug(&m, HW, &regs);
	for (int i = 0; i < 3; i++)
		EXPECT_DEBUG_EXIT(&m, ESR(EC_BREAKPOINT_LOW, DEBUG_EVENT), RAM + 8);
	EXPECT_EQ(get_x(m.vcpu[0], 0), 1);
	/* Without ENABLE nothing is on. */
	debug(&m, KVM_GUESTDBG_USE_HW, &regs);
	EXPECT_REPORT(&m, 0, 0, 2);
	machine_free(&m);
}

TEST(a_watchpoint_of_the_vmm_exits_with_the_address)
{
	struct machine m = machine_new(1);
	int nr = ioctl(m.kvm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_DEBUG_HW_WPS);
	struct kvm_guest_debug_arch regs = {0};
	struct code c = code_at(&m, RAM);

	li(&c, 1, DATA);
	str(&c, 4, 1, 1, 0);
	ldr(&c, 4, 2, 1, 8);
	str(&c, 4, 1, 1, 8);
	done(&c);
	code_done(&m);
	regs.dbg_wvr[nr - 1] = DATA + 8;
	regs.dbg_wcr[nr - 1] = WCR(STORES, 0xf);
	debug(&m, HW, &regs);
	EXPECT_DEBUG_EXIT(&m, ESR(EC_WATCHPOINT_LOW, WNR | DEBUG_EVENT), RAM + 16);
	EXPECT_EQ(m.run[0]->debug.arch.far, DATA + 8);
	EXPECT_EQ(m.ram[DATA + 8 - RAM], 0);
	/* Another kind of exit leaves the address alone. */
	regs = breakpoint(0, RAM + 16);
	debug(&m, HW, &regs);
	EXPECT_DEBUG_EXIT(&m, ESR(EC_BREAKPOINT_LOW, DEBUG_EVENT), RAM + 16);
	EXPECT_EQ(m.run[0]->debug.arch.far, DATA + 8);
	debug(&m, KVM_GUESTDBG_ENABLE, NULL);
	EXPECT_DONE(&m);
	EXPECT_EQ(m.ram[DATA + 10 - RAM], 1);
	machine_free(&m);
}

/* Any kind of debugging gives the VMM every BRK. */
TEST(every_brk_exits_while_the_vmm_debugs)
{
	struct machine m = debug_machine(0);
	struct code c = code_at(&m, RAM);

	put(&c, A64_NOP);
	put(&c, A64_BRK | 0x1234u << 5);
	done(&c);
	code_done(&m);
	debug(&m, KVM_GUESTDBG_ENABLE, NULL);
	EXPECT_DEBUG_EXIT(&m, ESR(EC_BRK, 0x1234), RAM + 4);
	debug(&m, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP, NULL);
	EXPECT_DEBUG_EXIT(&m, ESR(EC_BRK, 0x1234), RAM + 4);
	debug(&m, 0, NULL);
	EXPECT_EXCEPTION(&m, ESR(EC_BRK, 0x1234), RAM + 4);
	machine_free(&m);
}

/* What the guest set up is off while the VMM debugs, still reads as written, and is on again afterwards. */
TEST(the_guests_own_debugging_waits_for_the_vmm)
{
	struct machine m = debug_machine(MDSCR_MDE | MDSCR_KDE);
	struct code c = code_at(&m, RAM);
	uint64_t stop;

	li(&c, 1, DATA);
	stop = c.pc;
	put(&c, A64_NOP);
	str(&c, 8, 1, 1, 0);
	mrs(&c, 2, SYS_DBGBVR(0));
	mrs(&c, 3, SYS_MDSCR_EL1);
	report(&c, 2, 64);
	report(&c, 3, 72);
	b_to(&c, stop);
	code_done(&m);
	set_breakpoint(&m, 0, stop, BCR_ON);
	set_watchpoint(&m, 0, DATA, WCR(LOADS | STORES, 0xff));
	debug(&m, KVM_GUESTDBG_ENABLE, NULL);
	EXPECT_REPORT(&m, 0, 64, stop);
	EXPECT_REPORT(&m, 0, 72, MDSCR_MDE | MDSCR_KDE);
	debug(&m, 0, NULL);
	EXPECT_EXCEPTION(&m, ESR(EC_BREAKPOINT_LOW + 1, DEBUG_EVENT), stop);
	machine_free(&m);
}

TEST(a_step_stops_at_a_breakpoint_of_the_vmm)
{
	struct machine m = machine_new(1);
	struct kvm_guest_debug_arch regs = breakpoint(0, RAM + 4), none = {0};
	struct code c = code_at(&m, RAM);

	for (int i = 0; i < 4; i++)
		put(&c, A64_NOP);
	code_done(&m);
	debug(&m, HW | KVM_GUESTDBG_SINGLESTEP, &regs);
	EXPECT_DEBUG_EXIT(&m, ESR(EC_STEP_LOW, 1u << 24 | DEBUG_EVENT), RAM + 4);
	EXPECT_DEBUG_EXIT(&m, ESR(EC_BREAKPOINT_LOW, DEBUG_EVENT), RAM + 4);
	debug(&m, HW | KVM_GUESTDBG_SINGLESTEP, &none);
	EXPECT_DEBUG_EXIT(&m, ESR(EC_STEP_LOW, 1u << 24 | DEBUG_EVENT), RAM + 8);
	machine_free(&m);
}

/* The VMM steps through a guest that steps EL0: the guest's PSTATE.SS is still there when the VMM is done. */
TEST(the_vmms_step_leaves_the_guests_alone)
{
	struct machine m = debug_machine(MDSCR_SS);
	struct code c = code_at(&m, RAM), u = code_at(&m, USER);

	put(&c, A64_NOP);
	for (int i = 0; i < 4; i++)
		put(&u, A64_NOP);
	code_done(&m);
	set_sys(&m, CORE_REG(regs.pc), USER);
	set_sys(&m, CORE_REG(regs.pstate), PSR_EL0 | PSR_SS);
	debug(&m, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP, NULL);
	EXPECT_DEBUG_EXIT(&m, ESR(EC_STEP_LOW, 1u << 24 | DEBUG_EVENT), USER + 4);
	EXPECT_DEBUG_EXIT(&m, ESR(EC_STEP_LOW, 1u << 24 | DEBUG_EVENT), USER + 8);
	EXPECT_EQ(get_reg(m.vcpu[0], CORE_REG(regs.pstate)), PSR_EL0 | PSR_SS);
	debug(&m, 0, NULL);
	EXPECT_EXCEPTION(&m, ESR(EC_STEP_LOW, 1u << 24 | DEBUG_EVENT), USER + 12);
	machine_free(&m);
}

/* Of a guest that does not step there is no PSTATE.SS after a step of the VMM's. */
TEST(the_vmms_step_leaves_no_trace_in_pstate)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);

	put(&c, A64_NOP);
	mrs(&c, 2, SYS(3, 3, 4, 2, 1)); /* DAIF */
	report(&c, 2, 0);
	code_done(&m);
	debug(&m, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP, NULL);
	EXPECT_DEBUG_EXIT(&m, ESR(EC_STEP_LOW, 1u << 24 | DEBUG_EVENT), RAM + 4);
	EXPECT_EQ(get_reg(m.vcpu[0], CORE_REG(regs.pstate)), PSR_EL1);
	debug(&m, 0, NULL);
	EXPECT_REPORT(&m, 0, 0, 0x3c0);
	EXPECT_EQ(get_reg(m.vcpu[0], CORE_REG(regs.pstate)), PSR_EL1);
	machine_free(&m);
}

/* A guest that steps EL0 is not stepped while the VMM debugs, and is again after that. */
TEST(the_guests_own_step_waits_for_the_vmm)
{
	struct machine m = debug_machine(MDSCR_SS);
	struct code u = code_at(&m, USER);

	put(&u, A64_NOP);
	put(&u, A64_NOP);
	put(&u, A64_SVC);
	put(&u, A64_NOP);
	put(&u, A64_NOP);
	code_done(&m);
	set_sys(&m, CORE_REG(regs.pc), USER);
	set_sys(&m, CORE_REG(regs.pstate), PSR_EL0 | PSR_SS);
	debug(&m, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP, NULL);
	EXPECT_EXCEPTION(&m, ESR(0x15, 0), USER + 12);
	set_sys(&m, CORE_REG(regs.pc), USER + 12);
	set_sys(&m, CORE_REG(regs.pstate), PSR_EL0 | PSR_SS);
	m.run[0]->exit_reason = 0; /* the report of FAR is not waited for */
	debug(&m, 0, NULL);
	EXPECT_EXCEPTION(&m, ESR(EC_STEP_LOW, 1u << 24 | DEBUG_EVENT), USER + 16);
	machine_free(&m);
}

/* The syndrome of a step tells of a load-exclusive, whose monitor an exception would clear. */
TEST(a_step_over_a_load_exclusive_says_so)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);

	li(&c, 1, DATA);
	put(&c, 0xc85f7c25u); /* ldxr x5, [x1] */
	put(&c, A64_NOP);
	code_done(&m);
	set_x(m.vcpu[0], 1, DATA);
	set_sys(&m, CORE_REG(regs.pc), c.pc - 8);
	debug(&m, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP, NULL);
	EXPECT_DEBUG_EXIT(&m, ESR(EC_STEP_LOW, 1u << 24 | 1u << 6 | DEBUG_EVENT), c.pc - 4);
	EXPECT_DEBUG_EXIT(&m, ESR(EC_STEP_LOW, 1u << 24 | DEBUG_EVENT), c.pc);
	machine_free(&m);
}
