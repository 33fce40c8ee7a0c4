/* SPDX-License-Identifier: MIT */
/* The end of the address space against everything else: mm exit, last close, faults, guest TLBIs, loads. */
#include "host/alloc.h"
#include "host/signal.h"
#include "hypervisor.h"
#include "test.h"

static struct rig r;
static struct hypervisor h;

/* --- T-1 ------------------------------------------------------------------------------------------------------------- */

/* Two threads that meet at a barrier for each round. */
static struct a32 arrived, round_nr;
static struct vm_mem *victim;
static unsigned rounds;

static void barrier(void)
{
	u32 nr = a32_load(&round_nr);

	if (a32_fetch_add(&arrived, 1) == 1) {
		a32_store(&arrived, 0);
		a32_store(&round_nr, nr + 1);
		return;
	}
	while (a32_load(&round_nr) == nr)
		cpu_relax();
}

static void release_rounds(void *arg)
{
	for (unsigned i = 0; i < rounds; i++) {
		barrier(); /* victim is there */
		mem_flush_all(victim);
		barrier(); /* both are through */
	}
}

/* A VM with tables in the canonical and in four shadow MMUs. */
static void make_victim(struct fake_vcpu *v)
{
	u64 guest[4];
	u32 x;

	if (mem_init(victim, 40) || mem_set_split_chunk(victim, 2 * MIB))
		abort();
	for (unsigned i = 0; i < 2; i++) {
		fake_vcpu_init(&v[i], victim);
		if (nested_mmu_grow(victim))
			abort();
	}
	if (rig_slot(victim, 0, 0, HYP_SIZE, h.mem, 0))
		abort();
	h.m = victim;
	h.next_table = HYP_SIZE / 2;
	for (unsigned i = 0; i < 4; i++) {
		guest[i] = hyp_new_guest(&h, i);
		hyp_map(&h, guest[i], i * GIB, 0x10000, 3, HYP_RWX);
		if (fake_load(&v[0], guest[i], HYP_VTCR, true) ||
		    fake_access(&v[0], i * GIB, FAKE_READ, &x))
			abort();
		fake_put(&v[0]);
	}
	if (fake_access(&v[0], 0x10000, FAKE_READ, &x))
		abort();
}

/* Splits the block of slot 0, for which the cache is filled; some pages stay in it. */
static u32 fill_split_cache(void)
{
	u32 nr;

	if (rig_slot(victim, 0, 0, HYP_SIZE, h.mem, MEMSLOT_LOG_DIRTY))
		abort();
	mutex_lock(&victim->slots_lock);
	nr = victim->split_cache.nr;
	mutex_unlock(&victim->slots_lock);
	return nr;
}

TEST(T1_two_releases_at_once_free_each_table_once)
{
	static struct vm_mem m;
	static struct fake_vcpu v[2];
	u64 objects, sigmask = host_signals_block();
	struct helper other;

	victim = &m;
	h.mem = rig_map(HYP_SIZE, 2 * MIB);
	rounds = test_rounds(300, 100000);
	a32_store(&arrived, 0);
	rcu_barrier();
	objects = host_alloc_objects();
	helper_start(&other, release_rounds, NULL);
	for (unsigned i = 0; i < rounds; i++) {
		u32 cached;

		make_victim(v);
		cached = fill_split_cache();
		EXPECT(cached);
		barrier();
		mem_flush_all(&m);
		EXPECT_EQ(m.split_cache.nr, cached);
		/* Whoever returns knows that all of it is out of reach, whichever of the two did it. */
		EXPECT(m.s2_dead && !aptr_load_relaxed(&m.mmu.pgt));
		read_lock(&m.mmu_lock);
		for (unsigned k = 0; k < 4; k++)
			EXPECT(!aptr_load_relaxed(&nested_mmu_at(&m, k)->mmu.pgt));
		EXPECT_EQ(m.nested.nr, 4);
		read_unlock(&m.mmu_lock);
		barrier();
		for (unsigned k = 0; k < 2; k++)
			fake_vcpu_fini(&v[k]);
		mem_stop_notifier(&m);
		mem_fini(&m);
	}
	helper_join(&other);
	rcu_barrier();
	EXPECT_EQ(host_alloc_objects(), objects);
	hyp_stop(&h);
	host_signals_restore(sigmask);
}

/* --- T-4 ------------------------------------------------------------------------------------------------------------- */

static struct a32 running;
static int run_result[2];

/* As KVM_RUN of a guest that only faults: nothing is remembered between accesses. */
static void fault_on(void *arg)
{
	struct fake_vcpu *v = arg;
	unsigned index = v != &r.v;
	u32 x = 0;

	v->no_cache = true;
	fake_enter(v);
	for (u64 i = 0;; i++) {
		run_result[index] =
			fake_access(v, i % 16 * PAGE, i & 16 ? FAKE_READ : FAKE_WRITE, &x);
		if (run_result[index])
			break;
		if (i == 100)
			a32_fetch_add(&running, 1);
		fake_poll(v);
	}
	fake_leave(v);
}

TEST(T4_a_release_ends_vcpus_that_fault_and_no_access_follows_it)
{
	static struct fake_vcpu second;

	for (unsigned round = 0; round < test_rounds(60, 6000); round++) {
		struct helper helper[2];
		u64 guest;

		hyp_start(&h, &r, 0);
		r.m.block_policy = BLOCK_NONE;
		hyp_add_vcpu(&h, &second);
		guest = hyp_new_guest(&h, 1);
		for (unsigned i = 0; i < 16; i++)
			hyp_map(&h, guest, i * PAGE, i * PAGE, 3, HYP_RWX);
		/* One is the hypervisor, one its guest. */
		ASSERT_EQ(fake_load(&second, guest, HYP_VTCR, true), 0);
		a32_store(&running, 0);
		helper_start(&helper[0], fault_on, &r.v);
		helper_start(&helper[1], fault_on, &second);
		while (a32_load(&running) < 2)
			sleep_ms(1);
		mem_flush_all(&r.m);
		/* An access from here on is a SIGSEGV, which guarded access reports as a host fault. */
		mprotect(h.mem, HYP_SIZE, PROT_NONE);
		helper_join(&helper[0]);
		helper_join(&helper[1]);
		EXPECT_EQ(run_result[0], -EIO);
		EXPECT_EQ(run_result[1], -EIO);
		EXPECT_EQ(r.v.host_faults, 0);
		EXPECT_EQ(second.host_faults, 0);
		fake_vcpu_fini(&second);
		EXPECT(rig_stop(&r));
		hyp_stop(&h);
	}
}

/* --- I-04 ------------------------------------------------------------------------------------------------------------ */

static void tlbi_both(void *arg)
{
	nested_tlbi_ipa(&r.m, 1, 0, 0);
	nested_tlbi_vmid(&r.m, 1);
	nested_tlbi_all(&r.m);
}

TEST(I04_a_guest_tlbi_under_way_outlives_the_flush)
{
	struct nested_mmu *n;
	struct helper helper;
	struct gate g;
	u64 guest;
	u32 x;

	hyp_start(&h, &r, 0);
	guest = hyp_new_guest(&h, 1);
	hyp_map(&h, guest, 0, 0x10000, 3, HYP_RWX);
	ASSERT_EQ(fake_load(&r.v, guest, HYP_VTCR, true), 0);
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_READ, &x), 0);
	n = r.v.mem.nested;
	gate_arm(&g, HOOK_NESTED_TLBI, 0);
	helper_start(&helper, tlbi_both, NULL);
	ASSERT(gate_wait(&g));
	mem_flush_all(&r.m);
	rcu_barrier();
	/* The structures stay, with their users; keys and tables are gone. */
	EXPECT_EQ(r.m.nested.nr, 2);
	EXPECT(!nested_mmu_is_valid(n) && !n->pending_unmap && !aptr_load_relaxed(&n->mmu.pgt));
	EXPECT_EQ(a32_load(&n->refcnt), 1);
	gate_open(&g);
	helper_join(&helper);
	gate_disarm(&g);
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_READ, &x), -EIO);
	fake_put(&r.v);
	EXPECT_EQ(a32_load(&n->refcnt), 0);
	EXPECT_EQ(fake_load(&r.v, guest, HYP_VTCR, true), -EIO);
	EXPECT(!r.v.mem.nested);
	/* The host goes on as well: nothing is left to take. */
	rig_unmap(h.mem + 0x10000, PAGE);
	EXPECT_EQ(rig_slot(&r.m, 0, 0, HYP_SIZE, h.mem, MEMSLOT_LOG_DIRTY), 0);
	EXPECT_EQ(rig_slot(&r.m, 0, 0, 0, h.mem, 0), 0);
	EXPECT(rig_stop(&r));
	hyp_stop(&h);
}

TEST(I04_a_context_that_awaits_emptying_is_only_forgotten)
{
	u64 guest[3];
	u32 x;

	hyp_start(&h, &r, 0);
	for (unsigned i = 0; i < 3; i++) {
		guest[i] = hyp_new_guest(&h, i);
		hyp_map(&h, guest[i], 0, 0x10000, 3, HYP_RWX);
		ASSERT_EQ(fake_load(&r.v, guest[i], HYP_VTCR, true), 0);
		if (i < 2) {
			EXPECT_EQ(fake_access(&r.v, 0, FAKE_READ, &x), 0);
			fake_put(&r.v);
		}
	}
	EXPECT(r.v.mem.unmap_nested && r.v.mem.nested->pending_unmap);
	mem_flush_all(&r.m);
	/* Its next entry does what it owes, finds nothing, and the guest's first access ends it. */
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_READ, &x), -EIO);
	EXPECT(rig_stop(&r));
	hyp_stop(&h);
}

static struct a32 storm_over;

static void tlbi_storm(void *arg)
{
	u64 seed = (uintptr_t)arg;

	while (!a32_load(&storm_over)) {
		u64 n = next_random(&seed);

		switch (n % 6) {
		case 0:
			nested_tlbi_all(&r.m);
			break;
		case 1:
			nested_tlbi_vmid(&r.m, n >> 8 & 3);
			break;
		case 2:
			nested_tlbi_ipa(&r.m, n >> 8 & 3, (n >> 16) % 4 * GIB, n >> 32 & 15);
			break;
		case 3:
			nested_tlbi_ipa_range(&r.m, n >> 8 & 3, 0, 4 * GIB);
			break;
		case 4:
			nested_tlbi_stage1(&r.m, n >> 8 & 3);
			break;
		default:
			nested_tlbi_el2(&r.m);
		}
	}
}

static void run_storm(void *arg)
{
	struct fake_vcpu *v = arg;
	u64 seed = (uintptr_t)v;
	u32 x = 0;

	for (;;) {
		u64 n = next_random(&seed);

		if (fake_load(v, (n % 4) << 48 | (HYP_SIZE / 2 + n % 4 * PAGE), HYP_VTCR, true))
			return;
		fake_access(v, (n >> 8) % 4 * GIB, n & BIT(20) ? FAKE_READ : FAKE_WRITE, &x);
		fake_put(v);
	}
}

static void pair_storm(void *arg)
{
	while (!a32_load(&storm_over)) {
		struct mem_inval_token t;

		mem_invalidate_start((uintptr_t)h.mem, (uintptr_t)h.mem + MIB, MEM_INVAL_KEEP_VMA,
				     &t);
		mem_invalidate_end(&t);
	}
}

TEST(I04_the_flush_meets_loads_faults_tlbis_pairs_and_growth)
{
	static struct fake_vcpu v[2];

	for (unsigned round = 0; round < test_rounds(30, 3000); round++) {
		struct fake_vcpu *all[3] = {&r.v, &v[0], &v[1]};
		struct helper helper[4];
		u64 guest;

		hyp_start(&h, &r, 0);
		for (unsigned i = 0; i < 4; i++) {
			guest = hyp_new_guest(&h, i);
			EXPECT_EQ(guest & GENMASK(47, 0), HYP_SIZE / 2 + i * PAGE);
		}
		for (u64 i = 0; i < 4; i++)
			for (u64 k = 0; k < 4; k++)
				hyp_map(&h, HYP_SIZE / 2 + i * PAGE, k * GIB, k * PAGE, 3, HYP_RWX);
		a32_store(&storm_over, 0);
		helper_start(&helper[2], tlbi_storm, (void *)(uintptr_t)(round + 1));
		helper_start(&helper[3], pair_storm, NULL);
		/* The array grows under those who walk it. */
		for (unsigned i = 0; i < 2; i++) {
			hyp_add_vcpu(&h, &v[i]);
			helper_start(&helper[i], run_storm, &v[i]);
		}
		sleep_ms(round % 4);
		mem_flush_all(&r.m);
		EXPECT_EQ(nested_mmu_grow(&r.m), -EIO);
		helper_join(&helper[0]);
		helper_join(&helper[1]);
		a32_store(&storm_over, 1);
		helper_join(&helper[2]);
		helper_join(&helper[3]);
		EXPECT(refcnts_recount(&r.m, all, 3));
		EXPECT_EQ(shadow_leaves_all(&r.m), 0);
		for (unsigned i = 0; i < 2; i++)
			fake_vcpu_fini(&v[i]);
		EXPECT(rig_stop(&r));
		hyp_stop(&h);
	}
}

/* --- mm exit (E) against last close (C), in the orders that docs/memory.md names ---------------------------- */

static struct vm_mem *closing;

static void mm_exit(void *arg)
{
	mm_release();
}

static void last_close(void *arg)
{
	mem_stop_notifier(closing);
	mem_fini(closing);
	DELETE(closing);
}

static void make_closing(void)
{
	closing = NEW(struct vm_mem);
	if (!closing || mem_init(closing, 40))
		abort();
}

TEST(mm_exit_row_I1_exit_then_close)
{
	u64 objects;

	rcu_barrier();
	objects = host_alloc_objects();
	make_closing();
	mm_exit(NULL);
	EXPECT(closing->s2_dead && a32_load(&closing->dead));
	last_close(NULL);
	rcu_barrier();
	EXPECT_EQ(host_alloc_objects(), objects);
}

TEST(mm_exit_row_I2_close_takes_the_vm_off_the_list_first)
{
	make_closing();
	mem_stop_notifier(closing);
	mm_exit(NULL);
	/* Nobody told it, and its tables are for mem_fini alone. */
	EXPECT(!closing->s2_dead && aptr_load_relaxed(&closing->mmu.pgt));
	mem_fini(closing);
	DELETE(closing);
}

static void two_exits(enum mem_hook where)
{
	struct helper e[2];
	struct gate g;
	u64 objects;

	rcu_barrier();
	objects = host_alloc_objects();
	make_closing();
	/* One is stopped there, the other comes and goes. */
	gate_arm(&g, where, 0);
	helper_start(&e[0], mm_exit, NULL);
	ASSERT(gate_wait(&g));
	helper_start(&e[1], mm_exit, NULL);
	EXPECT(helper_ended_within(&e[1], 10000));
	EXPECT(closing->s2_dead && !aptr_load_relaxed(&closing->mmu.pgt));
	gate_open(&g);
	helper_join(&e[0]);
	helper_join(&e[1]);
	gate_disarm(&g);
	last_close(NULL);
	rcu_barrier();
	EXPECT_EQ(host_alloc_objects(), objects);
}

TEST(I02_mm_exit_row_I3_two_exits_at_once)
{
	/* Before the section, with the VM in hand; and after it, with the tables. */
	two_exits(HOOK_FLUSH_ALL);
	two_exits(HOOK_FLUSH_DETACHED);
}

static void close_during_exit(enum mem_hook where)
{
	struct helper e, c;
	struct gate g;
	u64 objects;

	rcu_barrier();
	objects = host_alloc_objects();
	make_closing();
	gate_arm(&g, where, 0);
	helper_start(&e, mm_exit, NULL);
	ASSERT(gate_wait(&g));
	helper_start(&c, last_close, NULL);
	/* It waits for mn_srcu, in which the exit is. */
	EXPECT(!helper_ended_within(&c, 50));
	gate_open(&g);
	helper_join(&e);
	helper_join(&c);
	gate_disarm(&g);
	rcu_barrier();
	EXPECT_EQ(host_alloc_objects(), objects);
}

TEST(I05_mm_exit_row_I4_close_waits_for_the_exit_that_has_the_vm_in_hand)
{
	close_during_exit(HOOK_FLUSH_ALL);
	close_during_exit(HOOK_FLUSH_DETACHED);
}
