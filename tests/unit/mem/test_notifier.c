/* SPDX-License-Identifier: MIT */
/* Invalidation pairs against faults, slots and VM lifetimes. */

#include "host/alloc.h"
#include "host/guarded.h"
#include "mem/userfault.h"
#include "mem/vma_cache.h"
#include "rig.h"
#include "test.h"

static struct rig r;

static bool mapped(u64 ipa)
{
	struct s2_result out;
	struct mem_fault f = {0};

	return !s2_lookup(&r.m.mmu, ipa, false, false, false, &out, &f);
}

/* --- pairs held open by a thread ----------------------------------------------------------------------------------- */

struct open_pair {
	u64 start, end;
	u32 flags;
	struct a32 started, may_end;
	struct helper h;
};

static void pair_main(void *arg)
{
	struct open_pair *p = arg;
	struct mem_inval_token t;

	mem_invalidate_start(p->start, p->end, p->flags, &t);
	a32_store(&p->started, 1);
	while (!a32_load(&p->may_end))
		sleep_ms(1);
	mem_invalidate_end(&t);
}

static void pair_open(struct open_pair *p, const void *start, u64 size)
{
	*p = (struct open_pair){.start = (uintptr_t)start, .end = (uintptr_t)start + size};
	helper_start(&p->h, pair_main, p);
	while (!a32_load(&p->started))
		sleep_ms(1);
}

static void pair_close(struct open_pair *p)
{
	a32_store(&p->may_end, 1);
	helper_join(&p->h);
}

/* --- I-05, I-06 ---------------------------------------------------------------------------------------------------- */

static struct vm_mem *dying;

static void destroy_dying(void *arg)
{
	mem_stop_notifier(dying);
	mem_fini(dying);
	DELETE(dying);
}

static void pair_around_nothing(void *arg)
{
	struct mem_inval_token t;

	mem_invalidate_start(PAGE, 2 * PAGE, 0, &t);
	mem_invalidate_end(&t);
}

TEST(I05_a_vm_outlives_the_callback_that_found_it)
{
	struct helper callback, destroyer;
	struct gate g;

	dying = NEW(struct vm_mem);
	ASSERT(dying && !mem_init(dying, 40));
	gate_arm(&g, HOOK_NOTIFIER_AT_VM, 0);
	helper_start(&callback, pair_around_nothing, NULL);
	ASSERT(gate_wait(&g));
	helper_start(&destroyer, destroy_dying, NULL);
	EXPECT(!helper_ended_within(&destroyer, 50));
	gate_open(&g);
	helper_join(&callback);
	helper_join(&destroyer);
	gate_disarm(&g);
}

static struct vm_mem born;

static void give_birth(void *arg)
{
	if (mem_init(&born, 40))
		abort();
}

TEST(I06_a_vm_made_during_a_pair_is_usable_only_after_it)
{
	char *p = rig_map(PAGE, 0);
	struct open_pair pair;
	struct helper birth;

	pair_open(&pair, p, PAGE);
	helper_start(&birth, give_birth, NULL);
	/* Else its first fault could map what the pair is about to take away, without being told. */
	EXPECT(!helper_ended_within(&birth, 50));
	pair_close(&pair);
	EXPECT(helper_ended_within(&birth, 5000));
	helper_join(&birth);
	EXPECT_EQ(born.mn_active, 0);
	mem_stop_notifier(&born);
	mem_fini(&born);
	munmap(p, PAGE);
}

TEST(vms_come_and_go_in_any_order)
{
	static struct vm_mem m[300];
	u64 objects, seed = 5;
	bool used[300] = {0};
	unsigned nr = 0;

	rcu_barrier();
	objects = host_alloc_objects();
	for (unsigned i = 0; i < test_rounds(3000, 300000); i++) {
		unsigned k = next_random(&seed) % 300;
		struct mem_inval_token t;

		if (used[k]) {
			mem_stop_notifier(&m[k]);
			mem_fini(&m[k]);
			nr--;
		} else {
			ASSERT_EQ(mem_init(&m[k], 40), 0);
			nr++;
		}
		used[k] = !used[k];
		if (i % 16 == 0) {
			/* With more VMs than a token has bits as well. */
			mem_invalidate_start(PAGE, 2 * PAGE, 0, &t);
			for (unsigned j = 0; j < 300; j++)
				if (used[j])
					EXPECT_EQ(m[j].mn_active, 1);
			mem_invalidate_end(&t);
			for (unsigned j = 0; j < 300; j++)
				if (used[j])
					EXPECT(!m[j].mn_active && !m[j].inv_in_progress);
		}
	}
	for (unsigned k = 0; k < 300; k++) {
		if (!used[k] && ++nr) {
			ASSERT_EQ(mem_init(&m[k], 32), 0);
			used[k] = true;
		}
	}
	EXPECT_EQ(nr, 300);
	pair_around_nothing(NULL);
	for (unsigned k = 0; k < 300; k++) {
		EXPECT(!m[k].mn_active && !m[k].inv_in_progress);
		/* Those past the token's bits were raised for nothing. */
		EXPECT_EQ(a64_load(&m[k].stats.inval_pairs), 0);
		mem_stop_notifier(&m[k]);
		mem_fini(&m[k]);
	}
	rcu_barrier();
	EXPECT_EQ(host_alloc_objects(), objects);
}

/* --- I-07 ---------------------------------------------------------------------------------------------------------- */

static void create_slot_0(void *page)
{
	if (rig_slot(&r.m, 0, 0, PAGE, page, 0))
		abort();
}

TEST(I07_a_slot_becomes_visible_only_between_pairs)
{
	char *p = rig_map(PAGE, 0);
	struct open_pair pair;
	struct helper creator;
	u32 x;

	rig_start(&r);
	pair_open(&pair, p, PAGE);
	helper_start(&creator, create_slot_0, p);
	EXPECT(!helper_ended_within(&creator, 50));
	/* start saw no slot here; a fault through a new one would map dying memory and nobody would take it back. */
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_READ, &x), FAKE_ACTION(MEM_FAULT_MMIO));
	EXPECT(!mapped(0));
	pair_close(&pair);
	EXPECT(helper_ended_within(&creator, 5000));
	helper_join(&creator);
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_READ, &x), 0);
	EXPECT(rig_stop(&r));
	munmap(p, PAGE);
}

/* --- I-08 ---------------------------------------------------------------------------------------------------------- */

#define STORM_PAGES 64

static char *storm;
static struct a32 storm_over, storm_raised;

static void storm_pairs(void *arg)
{
	u64 seed = (uintptr_t)arg;

	while (!a32_load(&storm_over)) {
		u64 n = next_random(&seed), first = n % STORM_PAGES, nr = (n >> 16) % 8;
		struct mem_inval_token t;

		mem_invalidate_start((uintptr_t)storm + first * PAGE,
				     (uintptr_t)storm + (first + nr) * PAGE,
				     n & BIT(32) ? MEM_INVAL_KEEP_VMA : 0, &t);
		read_lock(&r.m.mmu_lock);
		if (r.m.inv_in_progress)
			a32_fetch_add(&storm_raised, 1);
		read_unlock(&r.m.mmu_lock);
		mem_invalidate_end(&t);
	}
}

TEST(I08_counts_return_to_zero_whatever_slots_do_meanwhile)
{
	struct helper h[2];
	u64 seed = 8;
	u32 x;

	storm = rig_map(STORM_PAGES * PAGE, 0);
	rig_start(&r);
	a32_store(&storm_over, 0);
	a32_store(&storm_raised, 0);
	for (u64 i = 0; i < 2; i++)
		helper_start(&h[i], storm_pairs, (void *)(uintptr_t)(i + 1));
	/* Until the two have met often enough. */
	for (unsigned i = 0; i < 20000 && (i < 600 || a32_load(&storm_raised) < 500); i++) {
		u64 n = next_random(&seed);
		u32 id = n % 6;

		rig_slot(&r.m, id, id * 16 * PAGE + (n & BIT(20) ? GIB : 0),
			 n & BIT(21) ? 8 * PAGE : 0, storm + id * 8 * PAGE,
			 n & BIT(22) ? MEMSLOT_LOG_DIRTY : 0);
		fake_access(&r.v, (n >> 24) % 6 * 16 * PAGE, n & BIT(23) ? FAKE_READ : FAKE_WRITE,
			    &x);
	}
	a32_store(&storm_over, 1);
	for (u64 i = 0; i < 2; i++)
		helper_join(&h[i]);
	EXPECT(a32_load(&storm_raised) >= 500);
	EXPECT_EQ(r.m.inv_in_progress, 0);
	EXPECT_EQ(r.m.mn_active, 0);
	EXPECT(rig_stop(&r));
	munmap(storm, STORM_PAGES * PAGE);
}

TEST(the_end_of_a_pair_wakes_a_swap_that_goes_to_sleep)
{
	char *p = rig_map(PAGE, 0);
	struct open_pair pair;
	struct helper creator;
	struct gate g;

	rig_start(&r);
	pair_open(&pair, p, PAGE);
	gate_arm(&g, HOOK_SWAP_WAITING, 0);
	helper_start(&creator, create_slot_0, p);
	ASSERT(gate_wait(&g));
	/* Between its look at the pairs and its sleep. */
	pair_close(&pair);
	gate_disarm(&g);
	EXPECT(helper_ended_within(&creator, 5000));
	/* So that this ends, too, if nobody did. */
	a32_fetch_add(&r.m.mn_wake, 1);
	wake_word_all(&r.m.mn_wake);
	helper_join(&creator);
	EXPECT(rig_stop(&r));
	munmap(p, PAGE);
}

static struct a32 changes;

static void change_slots(void *arg)
{
	for (unsigned i = 0; i < 100; i++) {
		if (rig_slot(&r.m, 0, 0, i % 2 ? 0 : 8 * PAGE, storm, 0))
			abort();
		a32_fetch_add(&changes, 1);
	}
}

TEST(a_slot_change_has_its_turn_among_pairs_that_always_overlap)
{
	struct helper h[8], changer;

	storm = rig_map(STORM_PAGES * PAGE, 0);
	rig_start(&r);
	a32_store(&storm_over, 0);
	a32_store(&changes, 0);
	ASSERT_EQ(rig_slot(&r.m, 1, GIB, STORM_PAGES * PAGE, storm, 0), 0);
	for (u64 i = 0; i < 8; i++)
		helper_start(&h[i], storm_pairs, (void *)(uintptr_t)(i + 1));
	helper_start(&changer, change_slots, NULL);
	/* Without a turn not one change comes through for minutes. */
	helper_ended_within(&changer, 30000);
	EXPECT_EQ(a32_load(&changes), 100);
	a32_store(&storm_over, 1);
	for (u64 i = 0; i < 8; i++)
		helper_join(&h[i]);
	helper_join(&changer);
	EXPECT(rig_stop(&r));
	munmap(storm, STORM_PAGES * PAGE);
}

/* --- I-09 ---------------------------------------------------------------------------------------------------------- */

static int one_fault_result;
static enum mem_fault_action one_fault_action;

static void one_read_fault(void *arg)
{
	struct mem_fault f = {.type = MEM_FAULT_TRANSLATION, .level = 3};

	one_fault_result = mem_fault_handle(&r.m, &r.v.mem, &f, &one_fault_action);
}

TEST(I09_a_fault_that_looked_before_a_pair_installs_nothing_after_it)
{
	char *p = rig_map(PAGE, 0);
	struct helper h;
	struct gate g;
	u64 retries;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, PAGE, p, 0), 0);
	gate_arm(&g, HOOK_FAULT_AFTER_POPULATE, 0);
	retries = a64_load(&r.m.stats.retries);
	helper_start(&h, one_read_fault, NULL);
	ASSERT(gate_wait(&g));
	rig_unmap(p, PAGE);
	gate_open(&g);
	helper_join(&h);
	gate_disarm(&g);
	EXPECT_EQ(one_fault_result, 0);
	EXPECT_EQ(one_fault_action, MEM_FAULT_RETRY);
	EXPECT(!mapped(0));
	EXPECT_EQ(a64_load(&r.m.stats.retries), retries + 1);
	one_read_fault(NULL);
	EXPECT_EQ(one_fault_result, -EFAULT);
	EXPECT(rig_stop(&r));
}

TEST(I09_a_fault_during_a_pair_installs_nothing)
{
	char *p = rig_map(2 * PAGE, 0);
	struct open_pair pair;
	u32 x = 1;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 2 * PAGE, p, 0), 0);
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_WRITE, &x), 0);
	pair_open(&pair, p, PAGE);
	EXPECT(!mapped(0));
	one_read_fault(NULL);
	EXPECT_EQ(one_fault_result, 0);
	EXPECT(!mapped(0));
	pair_close(&pair);
	one_read_fault(NULL);
	EXPECT(mapped(0));
	/* The other page was outside: it stays mapped through a pair. */
	EXPECT_EQ(fake_access(&r.v, PAGE, FAKE_WRITE, &x), 0);
	pair_open(&pair, p, PAGE);
	EXPECT(mapped(PAGE));
	pair_close(&pair);
	EXPECT(rig_stop(&r));
	munmap(p, 2 * PAGE);
}

TEST(I09_rights_looked_up_before_a_pair_are_not_granted_after_it)
{
	char *p = rig_map(PAGE, 0);
	struct mem_inval_token t;
	struct s2_result out;
	struct mem_fault f = {0};
	struct helper h;
	struct gate g;
	u32 x;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, PAGE, p, 0), 0);
	gate_arm(&g, HOOK_FAULT_AFTER_POPULATE, 0);
	helper_start(&h, one_read_fault, NULL);
	ASSERT(gate_wait(&g));
	mem_invalidate_start((uintptr_t)p, (uintptr_t)p + PAGE, 0, &t);
	mprotect(p, PAGE, PROT_READ);
	mem_invalidate_end(&t);
	gate_open(&g);
	helper_join(&h);
	gate_disarm(&g);
	EXPECT(!mapped(0));
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_READ, &x), 0);
	EXPECT(!s2_lookup(&r.m.mmu, 0, false, false, false, &out, &f) && !out.w);
	EXPECT(rig_stop(&r));
	munmap(p, PAGE);
}

static int facts_after;
static struct host_vma facts;

static void look_up_facts(void *page)
{
	facts_after = vma_cache_lookup(r.m.vmas, (uintptr_t)page, &facts);
}

TEST(I09_a_fact_looked_up_during_a_pair_is_not_kept_past_it)
{
	char *p = rig_map(PAGE, 0);
	struct mem_inval_token t;
	struct helper h;
	struct gate g;

	rig_start(&r);
	gate_arm(&g, HOOK_VMA_QUERIED, 0);
	/* Asked within the pair, before the change; kept, if at all, after the pair. */
	mem_invalidate_start((uintptr_t)p, (uintptr_t)p + PAGE, 0, &t);
	helper_start(&h, look_up_facts, p);
	ASSERT(gate_wait(&g));
	mprotect(p, PAGE, PROT_READ);
	mem_invalidate_end(&t);
	gate_open(&g);
	helper_join(&h);
	gate_disarm(&g);
	EXPECT(!facts_after && facts.w);
	look_up_facts(p);
	EXPECT(!facts_after && !facts.w);
	EXPECT(rig_stop(&r));
	munmap(p, PAGE);
}

/* --- I-10 ---------------------------------------------------------------------------------------------------------- */

TEST(I10_the_sequence_is_raised_before_the_count_drops)
{
	char *p = rig_map(PAGE, 0);
	struct open_pair pair;
	struct gate g;
	u64 seq;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, PAGE, p, 0), 0);
	seq = a64_load(&r.m.inv_seq);
	pair_open(&pair, p, PAGE);
	EXPECT_EQ(a64_load(&r.m.inv_seq), seq);
	EXPECT_EQ(r.m.inv_in_progress, 1);
	gate_arm(&g, HOOK_NOTIFIER_END_SEQ, 0);
	a32_store(&pair.may_end, 1);
	ASSERT(gate_wait(&g));
	/* The end is stopped between its two steps. */
	EXPECT_EQ(a64_load(&r.m.inv_seq), seq + 1);
	EXPECT_EQ(__atomic_load_n(&r.m.inv_in_progress, __ATOMIC_RELAXED), 1);
	gate_open(&g);
	pair_close(&pair);
	gate_disarm(&g);
	EXPECT_EQ(a64_load(&r.m.inv_seq), seq + 1);
	EXPECT_EQ(r.m.inv_in_progress, 0);
	EXPECT(rig_stop(&r));
	munmap(p, PAGE);
}

/* --- I-11 ---------------------------------------------------------------------------------------------------------- */

static struct a32 stop_hammer;

static void hammer(void *arg)
{
	struct fake_vcpu *v = arg;
	u32 x = 0;

	fake_enter(v);
	while (!a32_load(&stop_hammer)) {
		/* Bursts between polls, as an engine has them. */
		for (unsigned i = 0; i < 50; i++) {
			struct mem_fault f = {0};

			if (fake_try(v, i % 2 * PAGE, i & 4 ? FAKE_READ : FAKE_WRITE, &x, &f) &&
			    f.hva)
				v->host_faults++;
		}
		/* EFAULT while the test has the memory forbidden. */
		for (unsigned i = 0; i < 2; i++)
			fake_access(v, i * PAGE, FAKE_WRITE, &x);
		fake_poll(v);
	}
	fake_leave(v);
}

TEST(I11_when_start_returns_no_vcpu_uses_the_old_translation)
{
	char *p = rig_map(2 * PAGE, 0);
	struct helper h[2];
	static struct fake_vcpu second;

	rig_start(&r);
	fake_vcpu_init(&second, &r.m);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 2 * PAGE, p, 0), 0);
	a32_store(&stop_hammer, 0);
	helper_start(&h[0], hammer, &r.v);
	helper_start(&h[1], hammer, &second);
	/* Until the vCPUs have met it often enough. */
	for (unsigned i = 0; i < 100000 && (i < 300 || a64_load(&r.m.stats.faults) < 100); i++) {
		struct mem_inval_token t;

		mem_invalidate_start((uintptr_t)p, (uintptr_t)p + 2 * PAGE, 0, &t);
		/* A touch from here to the end of the pair raises SIGSEGV, which guarded access turns into a host fault. */
		mprotect(p, 2 * PAGE, PROT_NONE);
		for (volatile unsigned spin = 0; spin < 20000; spin++)
			;
		mprotect(p, 2 * PAGE, PROT_READ | PROT_WRITE);
		mem_invalidate_end(&t);
		for (volatile unsigned spin = 0; spin < 20000; spin++)
			;
	}
	a32_store(&stop_hammer, 1);
	helper_join(&h[0]);
	helper_join(&h[1]);
	EXPECT_EQ(r.v.host_faults, 0);
	EXPECT_EQ(second.host_faults, 0);
	EXPECT_CMP(a64_load(&r.m.stats.faults), >=, 100);
	fake_vcpu_fini(&second);
	EXPECT(rig_stop(&r));
	munmap(p, 2 * PAGE);
}

/* --- the rest ------------------------------------------------------------------------------------------------------ */

TEST(a_pair_over_memory_of_no_slot_keeps_no_fault_out)
{
	char *p = rig_map(2 * PAGE, 0);
	struct open_pair pair;
	u32 x;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, PAGE, p, 0), 0);
	pair_open(&pair, p + PAGE, PAGE);
	EXPECT_EQ(r.m.inv_in_progress, 0);
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_READ, &x), 0);
	pair_close(&pair);
	EXPECT_EQ(a64_load(&r.m.stats.inval_pairs), 0);
	EXPECT(rig_stop(&r));
}

TEST(aging_without_a_machine_finds_nothing)
{
	EXPECT(!mem_age(PAGE, 2 * PAGE, true, true));
}

TEST(aging_finds_and_clears_what_was_used)
{
	char *p = rig_map(2 * PAGE, 0);
	u64 a = (uintptr_t)p;
	u32 x;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 2 * PAGE, p, 0), 0);
	EXPECT(!mem_age(a, a + 2 * PAGE, true, true));
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_READ, &x), 0);
	EXPECT(mem_age(a, a + PAGE, false, false));
	EXPECT(!mem_age(a + PAGE, a + 2 * PAGE, true, true));
	EXPECT(mem_age(a, a + 2 * PAGE, true, true));
	EXPECT(!mem_age(a, a + 2 * PAGE, false, false));
	/* Flushed, so the next use is seen. */
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_READ, &x), 0);
	EXPECT(mem_age(a, a + PAGE, false, false));
	/* A range that begins and ends amid pages reaches both. */
	EXPECT(mem_age(a, a + 2 * PAGE, true, true));
	EXPECT_EQ(fake_access(&r.v, PAGE, FAKE_READ, &x), 0);
	EXPECT(mem_age(a + PAGE / 2, a + PAGE + PAGE / 2, true, true));
	EXPECT(rig_stop(&r));
	munmap(p, 2 * PAGE);
}

TEST(mm_release_ends_all_vms_and_frees_none)
{
	static struct rig q;
	char *p = rig_map(PAGE, 0);
	u32 x;

	rig_start(&q);
	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, PAGE, p, 0), 0);
	ASSERT_EQ(rig_slot(&q.m, 0, 0, PAGE, p, 0), 0);
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_READ, &x), 0);
	mm_release();
	mm_release();
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_READ, &x), -EIO);
	EXPECT_EQ(fake_access(&q.v, 0, FAKE_READ, &x), -EIO);
	rcu_barrier();
	fake_vcpu_fini(&q.v);
	mem_stop_notifier(&q.m);
	mem_fini(&q.m);
	EXPECT(rig_at_rest(&r.m));
	fake_vcpu_fini(&r.v);
	mem_stop_notifier(&r.m);
	mem_fini(&r.m);
	munmap(p, PAGE);
}
