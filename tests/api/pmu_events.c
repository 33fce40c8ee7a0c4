/* SPDX-License-Identifier: MIT */
/* Performance counters: what each event counts, to the last one, and the instruction after which an overflow interrupts. */
#include <errno.h>

#include "pmu.h"

#define LD_RETIRED	  0x06
#define ST_RETIRED	  0x07
#define EXC_TAKEN	  0x09
#define EXC_RETURN	  0x0a
#define CID_WRITE_RETIRED 0x0b
#define BR_IMMED_RETIRED  0x0d
#define BR_RETURN_RETIRED 0x0e
#define MEM_ACCESS	  0x13
#define INST_SPEC	  0x1b
#define TTBR_WRITE	  0x1c
#define BR_RETIRED	  0x21
#define STALL_FRONTEND	  0x23
#define STALL_BACKEND	  0x24

#define DATA	    (RAM + 0x8000)
#define FRESH	    (RAM + 0x100000)
#define A64_SVC	    0xd4000001u
#define NR	    6
#define SYS_VBAR_ID ARM64_SYS_REG(3, 0, 12, 0, 0)

/* Guest part: nothing counts but these events from the next instruction on, from 0. */
static void start(struct code *c, const unsigned *events, unsigned nr)
{
	put_sys(c, SYS_PMCR, 0);
	all_off(c);
	for (unsigned i = 0; i < nr; i++) {
		put_sys(c, SYS_PMEVTYPER(i), events[i]);
		put_sys(c, SYS_PMEVCNTR(i), 0);
	}
	put_sys(c, SYS_PMCNTENSET, (1u << nr) - 1);
	put_sys(c, SYS_PMCR, 1);
}

/* Guest part: the counters in x1 and on, the first of them reported at off. */
static void stop(struct code *c, unsigned nr, unsigned off)
{
	msr(c, SYS_PMCR, 31);
	for (unsigned i = 0; i < nr; i++)
		mrs(c, 1 + i, SYS_PMEVCNTR(i));
	report(c, 1, off);
}

/* Guest part: exceptions from EL1 with SP_EL1 and from EL0 go on behind the instruction that is at fault; x28 is lost. */
static void skipping_handler(struct machine *m)
{
	for (uint64_t at = VECTORS + 0x200; at <= VECTORS + 0x400; at += 0x200) {
		struct code v = code_at(m, at);

		mrs(&v, 28, SYS_ELR_EL1);
		add_imm(&v, 28, 28, 4);
		msr(&v, SYS_ELR_EL1, 28);
		put(&v, A64_ERET);
	}
	EXPECT_EQ(set_reg(m->vcpu[0], SYS_VBAR_ID, VECTORS), 0);
}

/* This PMU has them: said by the guest, into x27. */
static bool implemented(unsigned event)
{
	struct machine m = pmu_machine();
	struct code c = code_at(&m, RAM);
	uint64_t bits;

	mrs(&c, 27, event < 32 ? SYS_PMCEID0 : SYS_PMCEID1);
	report(&c, 31, 0);
	code_done(&m);
	EXPECT_REPORT(&m, 0, 0, 0);
	bits = get_x(m.vcpu[0], 27);
	machine_free(&m);
	return bits >> event % 32 & 1;
}

#define NEED(event)                                          \
	do {                                                 \
		if (!implemented(event))                     \
			SKIP("this PMU has no such events"); \
	} while (0)

/* Three loads and two stores of six registers; one SVC; five branches. x20: DATA. */
static void mixture(struct code *c)
{
	ldr(c, 8, 5, 20, 0);
	str(c, 8, 31, 20, 8);
	ldp(c, 5, 6, 20);
	put(c, 0xf8250286u); /* ldadd x5, x6, [x20] */
	put(c, 0xf9800280u); /* prfm pldl1keep, [x20] */
	b_to(c, c->pc + 4);
	cbz_to(c, 20, c->pc + 8); /* not taken */
	put(c, 0x94000003u);	  /* bl, over the next two */
	b_to(c, c->pc + 12);
	put(c, A64_NOP);
	put(c, A64_RET);     /* to the b */
	put(c, 0xd5182021u); /* msr ttbr1_el1, x1 */
	put(c, 0xd5182002u); /* msr ttbr0_el1, x2 */
	put(c, 0xd518d03fu); /* msr contextidr_el1, xzr */
	put(c, A64_SVC);
}

TEST(each_event_counts_what_it_says)
{
	/* After the mixture the handler, of four instructions with a return after the SVC, and the end: msr. */
	static const struct {
		unsigned event, count;
	} expected[] = {
		{LD_RETIRED, 3},     {ST_RETIRED, 2},	    {MEM_ACCESS, 6},
		{BR_RETIRED, 5},     {BR_IMMED_RETIRED, 4}, {BR_RETURN_RETIRED, 1},
		{EXC_TAKEN, 1},	     {EXC_RETURN, 1},	    {CID_WRITE_RETIRED, 1},
		{TTBR_WRITE, 2},     {INST_SPEC, 14 + 4},   {INST_RETIRED, 14 + 4},
		{STALL_FRONTEND, 0}, {STALL_BACKEND, 0},    {CPU_CYCLES, 14 + 4},
		{0x3c, 0},	     {SW_INCR, 0},	    {CHAIN, 0},
	};
	unsigned events[NR];

	NEED(MEM_ACCESS);
	for (unsigned first = 0; first < 18; first += NR) {
		struct machine m = pmu_machine();
		struct code c = code_at(&m, RAM);

		skipping_handler(&m);
		for (unsigned i = 0; i < NR; i++)
			events[i] = expected[first + i].event;
		li(&c, 20, DATA);
		start(&c, events, NR);
		mixture(&c);
		put(&c, A64_NOP); /* the handler comes back behind it */
		stop(&c, NR, 0);
		code_done(&m);
		EXPECT_EQ(run(&m, 0), 0);
		for (unsigned i = 0; i < NR; i++)
			EXPECT_EQ(get_x(m.vcpu[0], 1 + i), expected[first + i].count);
		machine_free(&m);
	}
}

/* Loads and stores that fault count when they are done at last, however often they were tried; those that abort do not. */
TEST(accesses_count_once_if_they_are_made)
{
	static const unsigned events[] = {MEM_ACCESS, LD_RETIRED, ST_RETIRED, EXC_TAKEN};
	struct machine m;
	struct code c;

	NEED(MEM_ACCESS);
	m = pmu_machine();
	c = code_at(&m, RAM);
	skipping_handler(&m);
	li(&c, 20, FRESH);
	li(&c, 21, DEVICE);
	li(&c, 22, DATA + 1);
	start(&c, events, 4);
	str(&c, 8, 31, 20, 0);
	ldr(&c, 8, 5, 20, 0x1000);
	ldr(&c, 8, 6, 21, 8);
	str(&c, 8, 6, 21, 16);
	put(&c, 0xc8dffec5u); /* ldar x5, [x22] */
	stop(&c, 4, 0);
	code_done(&m);
	EXPECT_EQ(run(&m, 0), 0);
	EXPECT_EQ(m.run[0]->mmio.is_write, 0);
	memset(m.run[0]->mmio.data, 7, 8);
	EXPECT_EQ(run(&m, 0), 0);
	EXPECT_EQ(m.run[0]->mmio.is_write, 1);
	/* The VMM sees the access that it is asked for. */
	EXPECT_EQ(get_reg(m.vcpu[0], REG_PMEVCNTR(0)), 4);
	EXPECT_REPORT(&m, 0, 0, 4);
	EXPECT_EQ(get_x(m.vcpu[0], 2), 2);
	EXPECT_EQ(get_x(m.vcpu[0], 3), 2);
	EXPECT_EQ(get_x(m.vcpu[0], 4), 1);
	machine_free(&m);
}

TEST(events_are_apart_by_exception_level)
{
	static const unsigned events[] = {MEM_ACCESS | NOT_EL1, MEM_ACCESS | NOT_EL0,
					  EXC_TAKEN | NOT_EL1,	EXC_TAKEN | NOT_EL0,
					  EXC_RETURN | NOT_EL1, EXC_RETURN | NOT_EL0};
	struct machine m;
	struct code c, u, v;

	NEED(MEM_ACCESS);
	m = pmu_machine();
	c = code_at(&m, RAM), u = code_at(&m, USER), v = code_at(&m, VECTORS + 0x400);
	li(&c, 20, DATA);
	li(&c, 2, USER);
	msr(&c, SYS_ELR_EL1, 2);
	put_sys(&c, SYS_SPSR_EL1, 0x3c0);
	start(&c, events, NR);
	str(&c, 8, 31, 20, 0);
	put(&c, A64_ERET);
	ldp(&u, 5, 6, 20);
	ldr(&u, 8, 5, 20, 0);
	put(&u, A64_SVC);
	stop(&v, NR, 0);
	EXPECT_EQ(set_reg(m.vcpu[0], SYS_VBAR_ID, VECTORS), 0);
	code_done(&m);
	EXPECT_REPORT(&m, 0, 0, 3);
	EXPECT_EQ(get_x(m.vcpu[0], 2), 1);
	EXPECT_EQ(get_x(m.vcpu[0], 3), 1);
	EXPECT_EQ(get_x(m.vcpu[0], 4), 0);
	EXPECT_EQ(get_x(m.vcpu[0], 5), 0);
	EXPECT_EQ(get_x(m.vcpu[0], 6), 1);
	machine_free(&m);
}

/* Another event for a counter that runs, and back: from the very next instruction on. */
TEST(an_event_may_change_while_it_counts)
{
	static const unsigned events[] = {INST_RETIRED, BR_RETIRED};
	struct machine m;
	struct code c;

	NEED(MEM_ACCESS);
	m = pmu_machine();
	c = code_at(&m, RAM);
	li(&c, 20, DATA);
	li(&c, 21, MEM_ACCESS);
	li(&c, 22, INST_RETIRED);
	start(&c, events, 1);
	for (int i = 0; i < 10; i++)
		ldr(&c, 8, 5, 20, 0);
	msr(&c, SYS_PMEVTYPER(0), 21);
	for (int i = 0; i < 100; i++)
		ldp(&c, 5, 6, 20);
	msr(&c, SYS_PMEVTYPER(0), 22);
	for (int i = 0; i < 1000; i++)
		ldr(&c, 8, 5, 20, 0);
	stop(&c, 1, 0);
	code_done(&m);
	EXPECT_REPORT(&m, 0, 0, 10 + 200 + 1000);
	machine_free(&m);
}

/* One counter runs while another one is switched on and off, and gets another event: it counts those writes as well. */
TEST(a_counter_goes_on_while_others_change)
{
	static const unsigned events[] = {INST_RETIRED, INST_RETIRED, MEM_ACCESS};

	NEED(MEM_ACCESS);
	for (unsigned one_by_one = 0; one_by_one < 2; one_by_one++) {
		struct machine m = pmu_machine();
		struct code c = code_at(&m, RAM);

		li(&c, 20, 2);
		li(&c, 21, NOT_EL0 | INST_RETIRED);
		li(&c, 22, INST_RETIRED);
		start(&c, events, 2 + one_by_one);
		for (int i = 0; i < 10; i++) {
			msr(&c, SYS_PMCNTENCLR, 20);
			put(&c, A64_NOP);
			msr(&c, SYS_PMCNTENSET, 20);
			put(&c, A64_NOP);
			put(&c, A64_NOP);
			msr(&c, SYS_PMEVTYPER(1), i % 2 ? 22 : 21);
		}
		stop(&c, 2, 0);
		code_done(&m);
		EXPECT_REPORT(&m, 0, 0, 10 * 6);
		/* What is written to it is not among what it counts. */
		EXPECT_EQ(get_x(m.vcpu[0], 2), 10 * 2);
		machine_free(&m);
	}
}

TEST(a_filter_keeps_accesses_from_counting)
{
	static const unsigned events[] = {MEM_ACCESS, LD_RETIRED};
	struct kvm_pmu_event_filter f = {
		.base_event = MEM_ACCESS, .nevents = 1, .action = KVM_PMU_EVENT_DENY};
	struct machine m;
	struct code c;

	NEED(MEM_ACCESS);
	m = machine_with(FEATURE);
	c = code_at(&m, RAM);
	EXPECT_EQ(set_pmu(&m, KVM_ARM_VCPU_PMU_V3_FILTER, &f), 0);
	f.base_event = BR_RETIRED;
	EXPECT_EQ(set_pmu(&m, KVM_ARM_VCPU_PMU_V3_FILTER, &f), 0);
	EXPECT_EQ(set_pmu(&m, KVM_ARM_VCPU_PMU_V3_INIT, NULL), 0);
	mrs(&c, 10, SYS_PMCEID0);
	mrs(&c, 11, SYS_PMCEID1);
	li(&c, 20, DATA);
	start(&c, events, 2);
	ldr(&c, 8, 5, 20, 0);
	stop(&c, 2, 0);
	code_done(&m);
	EXPECT_REPORT(&m, 0, 0, 0);
	EXPECT_EQ(get_x(m.vcpu[0], 2), 1);
	EXPECT_EQ(get_x(m.vcpu[0], 10) >> MEM_ACCESS & 1, 0);
	EXPECT_EQ(get_x(m.vcpu[0], 10) >> LD_RETIRED & 1, 1);
	EXPECT_EQ(get_x(m.vcpu[0], 11) >> (BR_RETIRED - 32) & 1, 0);
	machine_free(&m);
}

TEST(a_vmm_that_steps_sees_the_same_counts)
{
	static const unsigned events[] = {MEM_ACCESS, INST_RETIRED, BR_RETIRED};
	struct kvm_guest_debug d = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP};
	struct machine m;
	struct code c;
	int steps = 0;

	NEED(MEM_ACCESS);
	m = pmu_machine();
	c = code_at(&m, RAM);
	li(&c, 20, FRESH);
	li(&c, 21, DEVICE);
	start(&c, events, 3);
	ldp(&c, 5, 6, 20);
	str(&c, 8, 5, 21, 8);
	b_to(&c, c.pc + 4);
	stop(&c, 3, 0);
	code_done(&m);
	EXPECT_EQ(ioctl(m.vcpu[0], KVM_SET_GUEST_DEBUG, &d), 0);
	do {
		ASSERT_EQ(run(&m, 0), 0);
	} while (++steps < 200 &&
		 !(m.run[0]->exit_reason == KVM_EXIT_MMIO && m.run[0]->mmio.phys_addr == DEVICE));
	EXPECT_EQ(get_x(m.vcpu[0], 1), 3);
	EXPECT_EQ(get_x(m.vcpu[0], 2), 3);
	EXPECT_EQ(get_x(m.vcpu[0], 3), 1);
	machine_free(&m);
}

/* --- the interrupt --- */

/* Guest part: an interrupt of the counters reports x5, and where it came from. */
static struct machine interrupted_machine(struct code *c)
{
	struct machine m = machine_with(FEATURE);
	struct code v = code_at(&m, VECTORS + 0x280);
	int gic = make_gic(&m), irq = 23;

	init_gic(gic);
	EXPECT_EQ(set_pmu(&m, KVM_ARM_VCPU_PMU_V3_IRQ, &irq), 0);
	EXPECT_EQ(set_pmu(&m, KVM_ARM_VCPU_PMU_V3_INIT, NULL), 0);
	EXPECT_EQ(set_reg(m.vcpu[0], SYS_VBAR_ID, VECTORS), 0);
	EXPECT_EQ(close(gic), 0);
	msr(&v, SYS_PMCR, 31);
	report(&v, 5, 0);
	mrs(&v, 3, SYS_ELR_EL1);
	report(&v, 3, 8);
	*c = code_at(&m, RAM);
	irq_on(c);
	all_off(c);
	li(c, 5, 0);
	li(c, 20, DATA);
	return m;
}

#define LATE  400  /* instructions of straight code after what overflows */
#define ROUND 2000 /* of the loop before */

/* An overflow of 32 bits after `left` of this event, counter 0. */
static void arm_overflow(struct code *c, unsigned event, unsigned left)
{
	put_sys(c, SYS_PMEVTYPER(0), event);
	put_sys(c, SYS_PMEVCNTR(0), 0x100000000ull - left);
	put_sys(c, SYS_PMINTENSET, 1);
	put_sys(c, SYS_PMCNTENSET, 1);
	daifclr(c, 2);
	put_sys(c, SYS_PMCR, 1);
}

/* A loop, of three instructions with one access and one branch a round, then straight code. x5 counts rounds and instructions. */
static void loop_and_line(struct code *c)
{
	uint64_t top;

	li(c, 6, ROUND); /* one instruction */
	top = c->pc;
	add_imm(c, 5, 5, 1);
	sub_imm(c, 6, 6, 1);
	ldr(c, 8, 7, 20, 0);
	cbnz_to(c, 6, top);
	for (int i = 0; i < LATE; i++)
		add_imm(c, 5, 5, 1);
	report(c, 31, 0x100);
}

TEST(an_overflow_interrupts_after_its_instruction)
{
	static const struct {
		unsigned event, left, x5;
	} cases[] = {
		/* in the loop, whose rounds have four instructions; in the code behind it */
		{CPU_CYCLES, 1 + 4 * 10 + 1, 11},
		{CPU_CYCLES, 1 + 4 * 1999 + 1, 2000},
		{INST_RETIRED, 1 + 4 * 10 + 2, 11},
		{INST_RETIRED, 1 + 4 * ROUND + 1, ROUND + 1},
		{INST_RETIRED, 1 + 4 * ROUND + LATE, ROUND + LATE},
		{MEM_ACCESS, 1, 1},
		{MEM_ACCESS, 1999, 1999},
		{BR_RETIRED, 1000, 1000},
	};

	NEED(MEM_ACCESS);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct code c;
		struct machine m = interrupted_machine(&c);

		arm_overflow(&c, cases[i].event, cases[i].left);
		loop_and_line(&c);
		code_done(&m);
		EXPECT_REPORT(&m, 0, 0, cases[i].x5);
		machine_free(&m);
	}
}

/* The kernel's part, long or short, does not count; the user's does, and overflows on time. */
TEST(a_counter_of_el0_overflows_there_on_time)
{
	for (unsigned left = 4; left < 1000; left = left * 3 + 1) {
		struct machine m;
		struct code c, u, v;
		uint64_t top;

		NEED(MEM_ACCESS);
		m = interrupted_machine(&c);
		u = code_at(&m, USER), v = code_at(&m, VECTORS + 0x480);
		li(&c, 1, USER);
		msr(&c, SYS_ELR_EL1, 1);
		put_sys(&c, SYS_SPSR_EL1, 0);
		arm_overflow(&c, INST_RETIRED | NOT_EL1, left);
		li(&c, 6, left * 2);
		top = c.pc;
		sub_imm(&c, 6, 6, 1);
		cbnz_to(&c, 6, top);
		put(&c, A64_ERET);
		for (int i = 0; i < 1000; i++)
			add_imm(&u, 5, 5, 1);
		msr(&v, SYS_PMCR, 31);
		report(&v, 5, 0);
		code_done(&m);
		EXPECT_REPORT(&m, 0, 0, left);
		machine_free(&m);
	}
}

/* A counter that is written while it runs overflows on time, too; the one that is chained to it interrupts. */
TEST(a_counter_written_while_it_runs_overflows_on_time)
{
	struct machine m;
	struct code c;

	NEED(MEM_ACCESS);
	m = interrupted_machine(&c);
	arm_overflow(&c, INST_RETIRED, 0x40000000);
	put_sys(&c, SYS_PMINTENCLR, 1);
	put_sys(&c, SYS_PMEVTYPER(1), CHAIN);
	put_sys(&c, SYS_PMEVCNTR(1), 0xffffffff);
	put_sys(&c, SYS_PMINTENSET, 2);
	put_sys(&c, SYS_PMCNTENSET, 2);
	li(&c, 0, 0x100000000ull - 101); /* of which the write is one */
	msr(&c, SYS_PMEVCNTR(0), 0);
	for (int i = 0; i < LATE; i++)
		add_imm(&c, 5, 5, 1);
	report(&c, 31, 0x100);
	code_done(&m);
	EXPECT_REPORT(&m, 0, 0, 100);
	EXPECT_EQ(get_reg(m.vcpu[0], REG_PMEVCNTR(1)) & 0xffffffff, 0);
	machine_free(&m);
}

/* Its interrupt enabled while a counter is about to overflow. */
TEST(an_interrupt_may_be_enabled_late)
{
	struct machine m;
	struct code c;

	NEED(MEM_ACCESS);
	m = interrupted_machine(&c);
	arm_overflow(&c, INST_RETIRED, 202);
	msr(&c, SYS_PMINTENCLR, 0);
	for (int i = 0; i < 100; i++)
		add_imm(&c, 5, 5, 1);
	msr(&c, SYS_PMINTENSET, 0);
	for (int i = 0; i < LATE; i++)
		add_imm(&c, 5, 5, 1);
	report(&c, 31, 0x100);
	code_done(&m);
	EXPECT_REPORT(&m, 0, 0, 200);
	machine_free(&m);
}

/* What overflows is the first instruction of a page, or the first access to one, that nobody has touched: it is tried twice. */
TEST(an_overflow_waits_for_what_is_tried_again)
{
	NEED(MEM_ACCESS);
	for (unsigned fetch = 0; fetch < 2; fetch++) {
		struct code c, f;
		struct machine m = interrupted_machine(&c);
		uint64_t after;

		li(&c, 20, FRESH);
		arm_overflow(&c, INST_RETIRED, 3);
		add_imm(&c, 5, 5, 1);
		if (fetch) {
			b_to(&c, FRESH);
			f = code_at(&m, FRESH);
			add_imm(&f, 5, 5, 1);
			after = f.pc;
		} else {
			add_imm(&c, 5, 5, 1);
			ldr(&c, 8, 7, 20, 0);
			after = c.pc;
			f = c;
		}
		for (int i = 0; i < LATE; i++)
			add_imm(&f, 5, 5, 1);
		report(&f, 31, 0x100);
		code_done(&m);
		EXPECT_REPORT(&m, 0, 0, 2);
		EXPECT_REPORT(&m, 0, 8, after);
		machine_free(&m);
	}
}

/* A load from EL0 that becomes an exception because of stage 2 has not retired there. */
TEST(what_stage_2_aborts_is_not_retired)
{
	static const unsigned events[] = {INST_RETIRED | NOT_EL1, INST_RETIRED | NOT_EL0};
	struct machine m;
	struct code c, u, v;

	NEED(MEM_ACCESS);
	m = pmu_machine();
	c = code_at(&m, RAM), u = code_at(&m, USER), v = code_at(&m, VECTORS + 0x400);
	li(&c, 21, 1ull << 42);
	li(&c, 2, USER);
	msr(&c, SYS_ELR_EL1, 2);
	put_sys(&c, SYS_SPSR_EL1, 0x3c0);
	start(&c, events, 2);
	put(&c, A64_ERET);
	put(&u, A64_NOP);
	ldr(&u, 8, 5, 21, 0);
	stop(&v, 2, 0);
	EXPECT_EQ(set_reg(m.vcpu[0], SYS_VBAR_ID, VECTORS), 0);
	code_done(&m);
	EXPECT_REPORT(&m, 0, 0, 1);
	EXPECT_EQ(get_x(m.vcpu[0], 2), 1);
	machine_free(&m);
}
