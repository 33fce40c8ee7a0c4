/* SPDX-License-Identifier: MIT */
/* When the performance counters of a vCPU want to be looked at next. What they count is tested with a guest: tests/api. */
#include "rig.h"

#include "../../test.h"

#define PMCR	     SYSREG_OP(3, 3, 9, 12, 0)
#define PMCNTENSET   SYSREG_OP(3, 3, 9, 12, 1)
#define PMINTENSET   SYSREG_OP(3, 0, 9, 14, 1)
#define PMEVCNTR(n)  SYSREG_OP(3, 3, 14, 8, n)
#define PMEVTYPER(n) SYSREG_OP(3, 3, 14, 12, n)
#define INST_RETIRED 0x08

static void set(struct rig *r, u16 op, u64 value)
{
	const struct sysreg_row *row = rig_row(r, op);

	EXPECT_EQ(row->set(&r->v[0], row, value), 0);
}

/* Counter 0 overflows after ten instructions, and interrupts. */
static struct rig *near_overflow(u64 type)
{
	struct rig *r = rig_create(1);

	r->v[0].features |= BIT(KVM_ARM_VCPU_PMU_V3);
	r->v[0].arch.el = 1;
	set(r, PMEVTYPER(0), type);
	set(r, PMEVCNTR(0), 0xfffffff6);
	set(r, PMINTENSET, 1);
	set(r, PMCNTENSET, 1);
	set(r, PMCR, PMCR_E | PMU_MAX_COUNTERS << PMCR_N_SHIFT);
	return r;
}

/* A look at another exception level. */
static u64 room_at(struct rig *r, unsigned el)
{
	r->v[0].arch.el = el;
	pmu_count(&r->v[0], false);
	return r->v[0].alarm - r->v[0].stats.instructions;
}

TEST(a_counter_that_does_not_count_here_sets_no_alarm)
{
	static const struct {
		u64 type;
		bool near[2]; /* by exception level */
	} cases[] = {
		{INST_RETIRED, {true, true}},
		{INST_RETIRED | PMU_TYPE_P, {true, false}},
		{INST_RETIRED | PMU_TYPE_U, {false, true}},
		{INST_RETIRED | PMU_TYPE_P | PMU_TYPE_U, {false, false}},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rig *r = near_overflow(cases[i].type);

		for (unsigned turn = 0; turn < 4; turn++) {
			unsigned el = turn % 2;

			if (cases[i].near[el])
				EXPECT_CMP(room_at(r, el), <=, 11u);
			else
				EXPECT_CMP(room_at(r, el), >, BIT(32));
		}
		rig_destroy(r);
	}
}

TEST(a_counter_whose_event_is_filtered_sets_no_alarm)
{
	struct rig *r = near_overflow(INST_RETIRED);

	set(r, PMCNTENSET, BIT(PMU_CYCLE) | 1); /* that of cycles runs on */
	EXPECT_CMP(room_at(r, 1), <=, 11u);
	r->vi.pmu.filtered = true;
	r->vi.pmu.allowed[0] = BIT(EVENT_CPU_CYCLES);
	EXPECT_CMP(room_at(r, 1), >, BIT(32));
	rig_destroy(r);
}
