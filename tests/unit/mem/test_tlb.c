/* SPDX-License-Identifier: MIT */
/* The flush protocol by itself. Guarantees G-TLB-A to D of mem/tlb.h, and I-12. */
#include <signal.h>
#include <sys/wait.h>

#include "rig.h"
#include "sync/wait.h"
#include "test.h"

static struct rig r;
static struct fake_vcpu other;

static struct tlb_inval all(void)
{
	return (struct tlb_inval){.kind = TLB_INVAL_ALL, .asid = -1};
}

static struct a32 phase;

static void wait_phase(u32 n)
{
	while (a32_load(&phase) < n)
		sleep_ms(1);
}

/* In guest mode without a poll until phase 2, then polls until phase 4. */
static void stubborn(void *arg)
{
	struct fake_vcpu *v = arg;

	fake_enter(v);
	a32_store(&phase, 1);
	wait_phase(2);
	while (a32_load(&phase) < 4) {
		fake_poll(v);
		cpu_relax();
	}
	fake_leave(v);
}

static void shoot(void *arg)
{
	struct tlb_inval rec = all();

	tlb_shootdown(&r.m.tlb, &rec);
}

TEST(G_TLB_A_a_shootdown_waits_for_a_vcpu_in_the_guest)
{
	struct helper v, s;

	rig_start(&r);
	a32_store(&phase, 0);
	helper_start(&v, stubborn, &r.v);
	wait_phase(1);
	helper_start(&s, shoot, NULL);
	EXPECT(!helper_ended_within(&s, 50));
	a32_store(&phase, 2);
	EXPECT(helper_ended_within(&s, 5000));
	a32_store(&phase, 4);
	helper_join(&s);
	helper_join(&v);
	EXPECT_EQ(r.v.records, 1);
	EXPECT(rig_stop(&r));
}

TEST(G_TLB_D_a_vcpu_outside_costs_no_wait_and_catches_up_on_entry)
{
	struct tlb_inval rec = all();

	rig_start(&r);
	tlb_shootdown(&r.m.tlb, &rec);
	EXPECT_EQ(r.v.records, 0);
	EXPECT_EQ(a64_load(&r.m.tlb.waits), 0);
	fake_enter(&r.v);
	EXPECT_EQ(r.v.records, 1);
	EXPECT_EQ(a64_load(&r.v.tlb.acked), a64_load(&r.v.tlb.posted));
	fake_leave(&r.v);
	EXPECT(rig_stop(&r));
}

TEST(G_TLB_B_a_full_queue_flushes_every_translation_and_the_named_code)
{
	struct tlb_inval rec = {.kind = TLB_INVAL_IPA, .asid = -1};

	rig_start(&r);
	r.v.entry[3].page = 77 * PAGE;
	r.v.code[5].hva = 0x5000;
	r.v.code[6].hva = 0x900000;
	for (unsigned i = 0; i < TLB_QUEUE + 1; i++) {
		rec.start = 2 * i * PAGE;
		rec.end = rec.start + PAGE;
		rec.code_start = i == 2 ? 0x5000 : 0;
		rec.code_end = i == 2 ? 0x6000 : 0;
		tlb_post(&r.m.tlb, NULL, &rec);
	}
	fake_enter(&r.v);
	EXPECT_EQ(r.v.records, 1);
	EXPECT_EQ(r.v.entry[3].page, ~0ull);
	EXPECT_EQ(r.v.code[5].hva, ~0ull);
	EXPECT_EQ(r.v.code[6].hva, 0x900000);
	fake_leave(&r.v);
	/* Equal records are one. */
	for (unsigned i = 0; i < 100; i++)
		tlb_post(&r.m.tlb, NULL, &rec);
	fake_enter(&r.v);
	EXPECT_EQ(r.v.records, 2);
	fake_leave(&r.v);
	EXPECT(rig_stop(&r));
}

static struct a32 begun, over;

static void shoot_each_round(void *arg)
{
	u32 rounds = *(u32 *)arg;
	struct tlb_inval rec = all();

	for (u32 i = 1; i <= rounds; i++) {
		while (a32_load(&begun) < i)
			cpu_relax();
		tlb_shootdown(&r.m.tlb, &rec);
		a32_store(&over, i);
	}
}

/*
 * The vCPU leaves, or acknowledges, at the moment that the initiator stops spinning and counts itself as a sleeper: one of the
 * two sees the other. Else the initiator sleeps for ever, with mmu_lock held.
 */
TEST(G_TLB_A_an_acknowledgement_finds_an_initiator_that_goes_to_sleep)
{
	u32 rounds = test_rounds(3000, 300000), spins = 2000;
	u64 seed = 3;
	struct helper s;
	bool lost = false;

	rig_start(&r);
	a32_store(&begun, 0);
	a32_store(&over, 0);
	fake_enter(&r.v);
	helper_start(&s, shoot_each_round, &rounds);
	for (u32 i = 1; i <= rounds && !lost; i++) {
		u32 woken = a32_load(&r.v.tlb.acks.word);

		a32_store(&begun, i);
		for (u32 k = 0; k < spins; k++)
			cpu_relax();
		if (i % 2) {
			fake_leave(&r.v);
		} else {
			/* Once the record is there, poll once. */
			while (!a32_load(&r.v.tlb.attention))
				cpu_relax();
			fake_poll(&r.v);
		}
		for (u32 ms = 0; a32_load(&over) < i && !lost; ms++) {
			if (ms > 100)
				sleep_ms(1);
			lost = ms > 10000;
		}
		if (i % 2)
			fake_enter(&r.v);
		/* Came too late if it slept, else too early: next time nearer to the moment. */
		if (a32_load(&r.v.tlb.acks.word) == woken)
			spins += 1 + next_random(&seed) % (spins / 64 + 1);
		else
			spins -= MIN(spins, 1 + next_random(&seed) % (spins / 64 + 1));
	}
	EXPECT(!lost);
	if (lost) {
		/* Lets the initiator go on, so that the test ends. */
		fake_leave(&r.v);
		a32_store(&begun, rounds);
		a32_fetch_add(&r.v.tlb.acks.word, 1);
		wake_word_all(&r.v.tlb.acks.word);
	} else {
		fake_leave(&r.v);
	}
	helper_join(&s);
	EXPECT(rig_stop(&r));
}

static void drainer(void *arg)
{
	struct fake_vcpu *v = arg;
	struct tlb_inval rec = all();

	fake_enter(v);
	for (unsigned i = 0; i < 2000; i++) {
		tlb_post(&r.m.tlb, &v->tlb, &rec);
		tlb_drain(&r.m.tlb, &v->tlb);
		if (a32_load(&v->tlb.mode) != TLB_IN_GUEST)
			abort();
	}
	fake_leave(v);
}

TEST(G_TLB_C_two_vcpus_that_drain_at_once_do_not_wait_for_each_other)
{
	struct helper a, b;

	rig_start(&r);
	fake_vcpu_init(&other, &r.m);
	helper_start(&a, drainer, &r.v);
	helper_start(&b, drainer, &other);
	EXPECT(helper_ended_within(&a, 60000));
	EXPECT(helper_ended_within(&b, 60000));
	helper_join(&a);
	helper_join(&b);
	EXPECT(r.v.records >= 2000 && other.records >= 2000);
	fake_vcpu_fini(&other);
	EXPECT(rig_stop(&r));
}

TEST(a_record_posted_to_self_is_applied_at_once)
{
	struct tlb_inval rec = all();

	rig_start(&r);
	fake_vcpu_init(&other, &r.m);
	fake_enter(&r.v);
	tlb_post(&r.m.tlb, &r.v.tlb, &rec);
	EXPECT_EQ(r.v.records, 1);
	EXPECT_EQ(a32_load(&other.tlb.attention), 1);
	fake_leave(&r.v);
	fake_enter(&other);
	EXPECT_EQ(other.records, 1);
	EXPECT_EQ(a32_load(&other.tlb.attention), 0);
	fake_vcpu_fini(&other);
	EXPECT(rig_stop(&r));
}

TEST(a_vcpu_whose_creation_failed_is_forgotten)
{
	struct tlb_inval rec = all();

	rig_start(&r);
	fake_vcpu_init(&other, &r.m);
	tlb_client_detach(&r.m.tlb, &other.tlb);
	memset(&other, 0x5a, sizeof(other));
	tlb_shootdown(&r.m.tlb, &rec);
	fake_vcpu_init(&other, &r.m);
	tlb_shootdown(&r.m.tlb, &rec);
	EXPECT_EQ(a64_load(&other.tlb.posted), 1);
	fake_vcpu_fini(&other);
	EXPECT(rig_stop(&r));
}

static void poll_in_a_section(void)
{
	struct tlb_inval rec = all();

	fake_enter(&r.v);
	tlb_post(&r.m.tlb, NULL, &rec);
	access_section_begin(&r.v.tlb);
	tlb_poll(&r.v.tlb);
}

static void leave_in_a_section(void)
{
	fake_enter(&r.v);
	access_section_begin(&r.v.tlb);
	tlb_leave(&r.v.tlb);
}

TEST(I12_a_poll_or_exit_inside_an_access_section_aborts)
{
	rig_start(&r);
	EXPECT(aborts(poll_in_a_section));
	EXPECT(aborts(leave_in_a_section));
	EXPECT(rig_stop(&r));
}
