/* SPDX-License-Identifier: MIT */
/* KVM_CAP_ARM_USER_IRQ: without an interrupt controller behind the API, levels of timers and counters are shown in kvm_run. */
#include <errno.h>

#include "pmu.h"

#define CNTV_CTL  ARM64_SYS_REG(3, 3, 14, 3, 1)
#define CNTV_CVAL KVM_REG_ARM_TIMER_CVAL
#define CNTP_CTL  ARM64_SYS_REG(3, 3, 14, 2, 1)
#define CNTP_CVAL ARM64_SYS_REG(3, 3, 14, 2, 2)
#define LEVELS	  (KVM_ARM_DEV_EL1_VTIMER | KVM_ARM_DEV_EL1_PTIMER | KVM_ARM_DEV_PMU)

#define SHOWN(m) ((m)->run[0]->s.regs.device_irq_level)

/* KVM_RUN ends with EINTR because of a level, and shows these. */
#define EXPECT_LEVELS(m, levels)                                    \
	do {                                                        \
		EXPECT_ERRNO(run(m, 0), EINTR);                     \
		EXPECT_EQ((m)->run[0]->exit_reason, KVM_EXIT_INTR); \
		EXPECT_EQ(SHOWN(m), (uint64_t)(levels));            \
	} while (0)

/* To the guest's report, over what other levels change on the way. */
static void run_to_report(struct machine *m)
{
	for (int i = 0; i < 4; i++) {
		if (!run(m, 0))
			break;
		EXPECT_EQ(errno, EINTR);
	}
	EXPECT_EQ(m->run[0]->exit_reason, KVM_EXIT_MMIO);
}

static void pin(struct machine *m, int level)
{
	struct kvm_irq_level l = {.irq = KVM_ARM_IRQ_TYPE_CPU << KVM_ARM_IRQ_TYPE_SHIFT |
					 KVM_ARM_IRQ_CPU_IRQ,
				  .level = (unsigned)level};

	EXPECT_EQ(ioctl(m->vm, KVM_IRQ_LINE, &l), 0);
}

TEST(the_capability_says_which_levels)
{
	struct machine m = machine_new(1);

	EXPECT_EQ(ioctl(m.kvm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_USER_IRQ), 1);
	EXPECT_EQ(ioctl(m.vm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_USER_IRQ), 1);
	machine_free(&m);
}

/* What user space did to the devices is told before the guest runs. */
TEST(levels_that_user_space_changed_are_shown_before_the_guest_runs)
{
	static const struct {
		uint64_t ctl, cval, bit;
	} timers[] = {{CNTV_CTL, CNTV_CVAL, KVM_ARM_DEV_EL1_VTIMER},
		      {CNTP_CTL, CNTP_CVAL, KVM_ARM_DEV_EL1_PTIMER}};

	for (int i = 0; i < 2; i++) {
		struct machine m = machine_new(1);
		struct code c = code_at(&m, RAM);

		report(&c, 31, 0);
		report(&c, 31, 8);
		code_done(&m);
		EXPECT_EQ(set_reg(m.vcpu[0], timers[i].cval, 0), 0);
		EXPECT_EQ(set_reg(m.vcpu[0], timers[i].ctl, 1), 0);
		EXPECT_LEVELS(&m, timers[i].bit);
		EXPECT_EQ(get_reg(m.vcpu[0], CORE_REG(regs.pc)), RAM);
		/* Told once; the guest runs on with it. */
		EXPECT_REPORT(&m, 0, 0, 0);
		EXPECT_EQ(SHOWN(&m), timers[i].bit);
		EXPECT_EQ(set_reg(m.vcpu[0], timers[i].ctl, 3), 0);
		EXPECT_LEVELS(&m, 0);
		EXPECT_REPORT(&m, 0, 8, 0);
		machine_free(&m);
	}
}

/* kvm_run is the record of what user space knows, whatever it writes there; bits without a meaning are left alone. */
TEST(the_word_in_kvm_run_is_compared)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);

	report(&c, 31, 0);
	code_done(&m);
	SHOWN(&m) = 0xf0 | LEVELS;
	EXPECT_LEVELS(&m, 0xf0);
	SHOWN(&m) = KVM_ARM_DEV_PMU;
	EXPECT_LEVELS(&m, 0);
	EXPECT_REPORT(&m, 0, 0, 0);
	EXPECT_EQ(SHOWN(&m), 0);
	machine_free(&m);
}

/* Guest part: the virtual timer fires in a millisecond. */
static void arm_timer(struct code *c)
{
	mrs(c, 1, SYS(3, 3, 14, 0, 0)); /* CNTFRQ_EL0 */
	put(c, 0xd34afc21u);		/* lsr x1, x1, #10 */
	msr(c, SYS_CNTV_TVAL_EL0, 1);
	li(c, 2, 1);
	msr(c, SYS_CNTV_CTL_EL0, 2);
}

/* A guest that is busy, then one that sleeps, with the VMM as its interrupt controller. */
TEST(a_timer_that_fires_ends_the_run)
{
	for (int asleep = 0; asleep < 2; asleep++) {
		struct machine m = machine_new(1);
		struct code c = code_at(&m, RAM), v = code_at(&m, VECTORS + 0x280);
		uint64_t loop;

		EXPECT_EQ(set_reg(m.vcpu[0], ARM64_SYS_REG(3, 0, 12, 0, 0), VECTORS), 0);
		arm_timer(&c);
		daifclr(&c, 2);
		loop = c.pc;
		put(&c, asleep ? A64_WFI : A64_NOP);
		b_to(&c, loop);
		mrs(&v, 4, SYS_CNTV_CTL_EL0);
		msr(&v, SYS_CNTV_CTL_EL0, 31);
		report(&v, 4, 0);
		code_done(&m);
		EXPECT_LEVELS(&m, KVM_ARM_DEV_EL1_VTIMER);
		pin(&m, 1);
		run_to_report(&m);
		EXPECT_EQ(get_x(m.vcpu[0], 4), 5); /* ENABLE, ISTATUS */
		EXPECT_EQ(SHOWN(&m), 0);
		pin(&m, 0);
		machine_free(&m);
	}
}

TEST(overflows_of_counters_are_shown)
{
	struct machine m = pmu_machine();
	struct code c = code_at(&m, RAM);

	all_off(&c);
	put_sys(&c, SYS_PMEVTYPER(0), SW_INCR);
	put_sys(&c, SYS_PMEVCNTR(0), 0xffffffff);
	put_sys(&c, SYS_PMINTENSET, 1);
	put_sys(&c, SYS_PMCNTENSET, 1);
	put_sys(&c, SYS_PMCR, 1);
	li(&c, 5, 1);
	msr(&c, SYS_PMSWINC, 5);
	report(&c, 31, 0);
	put_sys(&c, SYS_PMOVSCLR, 1);
	report(&c, 31, 8);
	code_done(&m);
	EXPECT_LEVELS(&m, KVM_ARM_DEV_PMU);
	EXPECT_REPORT(&m, 0, 0, 0);
	EXPECT_EQ(SHOWN(&m), KVM_ARM_DEV_PMU);
	EXPECT_LEVELS(&m, 0);
	EXPECT_REPORT(&m, 0, 8, 0);
	machine_free(&m);
}

#ifndef ANYKVM_REAL
/* Not only by an instruction that asks for it. */
TEST(an_overflow_of_cycles_ends_the_run)
{
	struct machine m = pmu_machine();
	struct code c = code_at(&m, RAM);
	uint64_t loop;

	all_off(&c);
	put_sys(&c, SYS_PMCCNTR, ~0ull - 100000);
	put_sys(&c, SYS_PMINTENSET, CYCLE);
	put_sys(&c, SYS_PMCNTENSET, CYCLE);
	put_sys(&c, SYS_PMCCFILTR, 0);
	li(&c, 5, 0);
	put_sys(&c, SYS_PMCR, 1 | 1 << 6);
	loop = c.pc;
	add_imm(&c, 5, 5, 1);
	b_to(&c, loop);
	code_done(&m);
	EXPECT_LEVELS(&m, KVM_ARM_DEV_PMU);
	EXPECT_EQ(get_x(m.vcpu[0], 5), 100001 / 2 + 1);
	machine_free(&m);
}
#endif

/* A suspended vCPU wakes up by a level. */
TEST(a_level_wakes_a_suspended_vcpu)
{
	struct kvm_mp_state s = {.mp_state = KVM_MP_STATE_SUSPENDED};
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);

	report(&c, 31, 0);
	code_done(&m);
	EXPECT_EQ(set_reg(m.vcpu[0], CNTV_CVAL, 0), 0);
	EXPECT_EQ(set_reg(m.vcpu[0], CNTV_CTL, 1), 0);
	EXPECT_EQ(ioctl(m.vcpu[0], KVM_SET_MP_STATE, &s), 0);
	EXPECT_EQ(run(&m, 0), 0);
	EXPECT_EQ(m.run[0]->exit_reason, KVM_EXIT_SYSTEM_EVENT);
	EXPECT_EQ(m.run[0]->system_event.type, KVM_SYSTEM_EVENT_WAKEUP);
	EXPECT_EQ(SHOWN(&m), KVM_ARM_DEV_EL1_VTIMER);
	machine_free(&m);
}

TEST(a_controller_behind_the_api_leaves_the_word_alone)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);
	int gic = make_gic(&m);

	init_gic(gic);
	report(&c, 31, 0);
	code_done(&m);
	EXPECT_EQ(set_reg(m.vcpu[0], CNTV_CVAL, 0), 0);
	EXPECT_EQ(set_reg(m.vcpu[0], CNTV_CTL, 1), 0);
	SHOWN(&m) = KVM_ARM_DEV_PMU;
	EXPECT_REPORT(&m, 0, 0, 0);
	EXPECT_EQ(SHOWN(&m), KVM_ARM_DEV_PMU);
	EXPECT_EQ(close(gic), 0);
	machine_free(&m);
}
