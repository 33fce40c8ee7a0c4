/* SPDX-License-Identifier: MIT */
/* Stage-2 tables by themselves: against a flat map, counts, break-before-make, freeing by RCU. */
#include "host/alloc.h"
#include "mem/page_cache.h"
#include "rig.h"
#include "test.h"

static struct rig r;

static struct s2_pgt *pgt_now(void)
{
	return aptr_load_relaxed(&r.m.mmu.pgt);
}

static s64 recount(void)
{
	s64 n;

	write_lock(&r.m.mmu_lock);
	n = stage2_check(pgt_now());
	write_unlock(&r.m.mmu_lock);
	return n;
}

static int map(u64 ipa, unsigned level, u64 hva, unsigned prot)
{
	int ret = page_cache_topup(&r.v.mem, 3);

	if (ret)
		return ret;
	read_lock(&r.m.mmu_lock);
	ret = stage2_map(&r.m, &r.m.mmu, &r.v.mem, ipa, level, hva, prot);
	read_unlock(&r.m.mmu_lock);
	return ret;
}

static struct s2_range unmap(u64 start, u64 end)
{
	struct s2_range gone = {0, 0};

	write_lock(&r.m.mmu_lock);
	stage2_unmap(&r.m, &r.m.mmu, start, end, true, &gone);
	if (gone.end)
		stage2_flush(&r.m, &r.m.mmu, gone.start, gone.end, 0, 0);
	write_unlock(&r.m.mmu_lock);
	return gone;
}

static bool look(u64 ipa, struct s2_result *out)
{
	struct mem_fault f = {0};

	return !s2_lookup(&r.m.mmu, ipa, false, false, false, out, &f);
}

/* --- the flat map -------------------------------------------------------------------------------------------------- */

/* A window of two blocks of 1 GiB, not at the start of the table, across two level-1 entries. */
#define WINDOW	    (7 * GIB)
#define WINDOW_SIZE (2 * GIB)
#define NR_PAGES    (WINDOW_SIZE / PAGE)

struct flat {
	u64 hva; /* 0 = nothing */
	u8 prot, level;
};
static struct flat flat[NR_PAGES];

static void flat_fill(u64 ipa, u64 size, u64 hva, unsigned prot, unsigned level)
{
	for (u64 i = 0; i < size / PAGE; i++)
		flat[(ipa - WINDOW) / PAGE + i] =
			(struct flat){hva ? hva + i * PAGE : 0, prot, level};
}

static struct flat *flat_at(u64 ipa)
{
	return &flat[(ipa - WINDOW) / PAGE];
}

/* The leaf that covers ipa, cleared from the model. */
static void flat_drop_leaf(u64 ipa)
{
	struct flat *f = flat_at(ipa);

	if (f->hva)
		flat_fill(ALIGN_DOWN(ipa, s2_size(f->level)), s2_size(f->level), 0, 0, 0);
}

static void op_map(u64 ipa, unsigned level, u64 hva, unsigned prot)
{
	struct flat *f = flat_at(ipa);
	int want = 0, got;

	if (f->hva == hva && f->level == level)
		want = -EAGAIN; /* equal, or other rights: not map's business */
	got = map(ipa, level, hva, prot);
	EXPECT_EQ(got, want);
	if (got)
		return;
	/* A larger leaf in the way goes as a whole: its other pages fault again. */
	if (f->level < level)
		flat_drop_leaf(ipa);
	flat_fill(ipa, s2_size(level), hva, prot, level);
}

static void op_unmap(u64 start, u64 end)
{
	struct s2_range gone = unmap(start, end);
	u64 leaves = 0;

	for (u64 ipa = start; ipa < end;) {
		struct flat *f = flat_at(ipa);
		u64 size = f->hva ? s2_size(f->level) : PAGE, first = ALIGN_DOWN(ipa, size);

		/* Told, so that it is flushed, whether as a leaf or with its table. */
		if (f->hva) {
			EXPECT(gone.start <= first && first + size <= gone.end);
			leaves++;
		}
		flat_drop_leaf(ipa);
		ipa = first + size;
	}
	EXPECT_EQ(gone.leaves, leaves);
}

static void op_write_protect(u64 start, u64 end)
{
	struct s2_range changed = {0, 0};

	write_lock(&r.m.mmu_lock);
	stage2_write_protect(&r.m, &r.m.mmu, start, end, true, &changed);
	write_unlock(&r.m.mmu_lock);
	for (u64 ipa = start; ipa < end;) {
		struct flat *f = flat_at(ipa);
		u64 size = f->hva ? s2_size(f->level) : PAGE, first = ALIGN_DOWN(ipa, size);

		if (f->hva && (f->prot & S2_PROT_W)) {
			EXPECT(changed.start <= first && first + size <= changed.end);
			flat_fill(first, size, flat_at(first)->hva, f->prot & ~S2_PROT_W, f->level);
		}
		ipa = first + size;
	}
}

static void op_relax(u64 ipa, unsigned prot)
{
	struct flat *f = flat_at(ipa);
	u64 first, hva = f->hva ? ALIGN_DOWN(f->hva, s2_size(f->level)) : 0;
	int ret;

	read_lock(&r.m.mmu_lock);
	/* Of another level there is no leaf. */
	EXPECT_EQ(stage2_relax(&r.m, &r.m.mmu, ipa, f->level == 3 ? 2 : 3, hva, prot), -EAGAIN);
	/* What is meant for another page is granted to none. */
	if (f->hva)
		EXPECT_EQ(stage2_relax(&r.m, &r.m.mmu, ipa, f->level, hva + GIB, prot), -ESTALE);
	ret = stage2_relax(&r.m, &r.m.mmu, ipa, f->hva ? f->level : 3, hva, prot);
	read_unlock(&r.m.mmu_lock);
	EXPECT_EQ(ret, f->hva ? 0 : -EAGAIN);
	if (!f->hva)
		return;
	first = ALIGN_DOWN(ipa, s2_size(f->level));
	flat_fill(first, s2_size(f->level), flat_at(first)->hva, f->prot | prot, f->level);
}

static void compare_at(u64 ipa)
{
	struct flat *f = flat_at(ipa);
	struct s2_result got = {0};

	if (!look(ipa + 0x123, &got)) {
		EXPECT_EQ(f->hva, 0);
		return;
	}
	EXPECT_EQ(got.hva, f->hva + 0x123);
	EXPECT_EQ(got.level, f->level);
	EXPECT_EQ(got.w, !!(f->prot & S2_PROT_W));
	EXPECT_EQ(got.x_el1, !!(f->prot & S2_PROT_X));
	EXPECT_EQ(got.page_ipa, ipa);
}

static u64 flat_leaves(void)
{
	u64 n = 0;

	for (u64 ipa = WINDOW; ipa < WINDOW + WINDOW_SIZE; ipa += PAGE)
		if (flat_at(ipa)->hva && IS_ALIGNED(ipa, s2_size(flat_at(ipa)->level)))
			n++;
	return n;
}

TEST(I18_random_operations_agree_with_a_flat_map)
{
	u64 seed = 18, base = 1ull << 40;

	rig_start(&r);
	memset(flat, 0, sizeof(flat));
	for (unsigned i = 0; i < test_rounds(20000, 2000000); i++) {
		u64 n = next_random(&seed);
		/* Few places, so that operations meet. */
		u64 ipa = WINDOW + (n % 2) * GIB + (n >> 8) % 3 * 2 * MIB +
			  (n >> 16) % 6 * PAGE * 100 % (2 * MIB);
		unsigned prot = S2_PROT_R | (n & BIT(25) ? S2_PROT_W : 0) |
				(n & BIT(26) ? S2_PROT_X : 0),
			 kind = (n >> 32) % 100;
		unsigned level = kind == 0 ? 1 : kind < 12 ? 2 : 3;
		u64 hva;

		ipa = ALIGN_DOWN(ipa, PAGE);
		if (kind < 60) {
			ipa = ALIGN_DOWN(ipa, s2_size(level));
			hva = base + ipa + (n >> 40) % 2 * 16 * GIB;
			op_map(ipa, level, hva, prot);
		} else if (kind < 75) {
			op_unmap(ipa,
				 MIN(ipa + ((n >> 40) % 1200 + 1) * PAGE, WINDOW + WINDOW_SIZE));
		} else if (kind < 76) {
			op_unmap(WINDOW, WINDOW + WINDOW_SIZE);
		} else if (kind < 86) {
			op_write_protect(ipa, MIN(ipa + ((n >> 40) % 1200 + 1) * PAGE,
						  WINDOW + WINDOW_SIZE));
		} else {
			op_relax(ipa, prot);
		}
		compare_at(ipa);
		compare_at(WINDOW + next_random(&seed) % NR_PAGES * PAGE);
		if (i % 500 == 0) {
			EXPECT_EQ(recount(), flat_leaves());
			for (u64 at = WINDOW; at < WINDOW + WINDOW_SIZE; at += 31 * PAGE)
				compare_at(at);
		}
		if (test_failed)
			break;
	}
	EXPECT_EQ(recount(), flat_leaves());
	op_unmap(WINDOW, WINDOW + WINDOW_SIZE);
	EXPECT_EQ(recount(), 0);
	EXPECT(rig_stop(&r));
}

TEST(I18_tables_that_become_empty_are_freed_and_the_rest_stays)
{
	u64 before, with_one;

	rig_start(&r);
	rcu_barrier();
	before = host_alloc_objects();
	ASSERT_EQ(map(0, 3, PAGE, S2_PROT_R), 0);
	with_one = host_alloc_objects() - r.v.mem.nr_pages;
	ASSERT_EQ(map(PAGE, 3, 2 * PAGE, S2_PROT_R), 0);
	unmap(0, PAGE);
	rcu_barrier();
	/* The other page's tables are there still. */
	EXPECT_EQ(host_alloc_objects(), with_one + r.v.mem.nr_pages);
	EXPECT_EQ(recount(), 1);
	unmap(PAGE, 2 * PAGE);
	rcu_barrier();
	EXPECT_EQ(recount(), 0);
	/* Two table pages went; what is more than before sits in the vCPU's cache. */
	EXPECT_EQ(host_alloc_objects(), before + r.v.mem.nr_pages);
	EXPECT(rig_stop(&r));
}

TEST(I19_a_map_without_table_pages_fails_before_it_breaks_anything)
{
	struct s2_result out;

	rig_start(&r);
	ASSERT_EQ(map(0, 2, 2 * MIB, S2_PROT_R | S2_PROT_W), 0);
	page_cache_drain(&r.v.mem);
	read_lock(&r.m.mmu_lock);
	EXPECT_EQ(stage2_map(&r.m, &r.m.mmu, &r.v.mem, PAGE, 3, 2 * MIB + PAGE, S2_PROT_R),
		  -ENOMEM);
	read_unlock(&r.m.mmu_lock);
	/* I-19: nothing is LOCKED, the block is whole. */
	EXPECT_EQ(recount(), 1);
	EXPECT(look(5 * PAGE, &out));
	EXPECT_EQ(out.hva, 2 * MIB + 5 * PAGE);
	EXPECT(rig_stop(&r));
}

TEST(addresses_beyond_the_table_are_refused)
{
	struct s2_result out;
	struct mem_fault f = {0};

	rig_start_bits(&r, 36);
	EXPECT_EQ(map(BIT(36), 3, PAGE, S2_PROT_R), -ERANGE);
	EXPECT_EQ(s2_lookup(&r.m.mmu, BIT(36), false, false, false, &out, &f), -EFAULT);
	EXPECT_EQ(f.type, MEM_FAULT_TRANSLATION);
	EXPECT(rig_stop(&r));
}

TEST(descriptors_are_as_the_architecture_says)
{
	struct s2_pgt *pgt;
	u64 l3, l2;

	rig_start_bits(&r, 39);
	pgt = pgt_now();
	EXPECT_EQ(pgt->start_level, 1);
	EXPECT_EQ(pgt->nr_roots, 1);
	ASSERT_EQ(map(0, 3, 0x7f0000001000, S2_PROT_R | S2_PROT_W | S2_PROT_X), 0);
	ASSERT_EQ(map(2 * MIB, 2, 0x7f0000200000, S2_PROT_R), 0);
	l2 = a64_load(&s2_child(a64_load(&pgt->root[0]->entry[0]))->entry[1]);
	l3 = a64_load(&s2_child(a64_load(&s2_child(a64_load(&pgt->root[0]->entry[0]))->entry[0]))
			       ->entry[0]);
	EXPECT_EQ(l3, 0x7f0000001000 | 3 | 0xf << 2 | 3 << 6 | 3 << 8 | 1 << 10);
	EXPECT_EQ(l2, 0x7f0000200000 | 1 | 0xf << 2 | 1 << 6 | 3 << 8 | 1 << 10 | 2ull << 53);
	EXPECT(rig_stop(&r));
	rig_start_bits(&r, 32);
	EXPECT_EQ(pgt_now()->start_level, 2);
	EXPECT_EQ(pgt_now()->nr_roots, 4);
	EXPECT(rig_stop(&r));
	rig_start_bits(&r, 43);
	EXPECT_EQ(pgt_now()->start_level, 1);
	EXPECT_EQ(pgt_now()->nr_roots, 16);
	EXPECT(rig_stop(&r));
	rig_start_bits(&r, 48);
	EXPECT_EQ(pgt_now()->start_level, 0);
	EXPECT_EQ(pgt_now()->nr_roots, 1);
	EXPECT(rig_stop(&r));
}

TEST(a_leaf_keeps_its_access_flag_until_aged)
{
	struct s2_range changed = {0, 0};
	struct s2_result out;

	rig_start(&r);
	ASSERT_EQ(map(0, 3, PAGE, S2_PROT_R), 0);
	write_lock(&r.m.mmu_lock);
	EXPECT(stage2_age(&r.m, &r.m.mmu, 0, PAGE, false, &changed));
	EXPECT(!changed.end);
	EXPECT(stage2_age(&r.m, &r.m.mmu, 0, PAGE, true, &changed));
	EXPECT_EQ(changed.end, PAGE);
	EXPECT(!stage2_age(&r.m, &r.m.mmu, 0, PAGE, true, &changed));
	write_unlock(&r.m.mmu_lock);
	/* A walk sets it, as hardware does. */
	EXPECT(look(0, &out));
	write_lock(&r.m.mmu_lock);
	EXPECT(stage2_age(&r.m, &r.m.mmu, 0, PAGE, false, &changed));
	write_unlock(&r.m.mmu_lock);
	EXPECT(rig_stop(&r));
}

/* --- I-20: what a vCPU holds of a block when a page replaces it ---------------------------------------------------- */

static struct a32 stop_poller;
static struct a32 in_guest;

/* Reads one page through a block, then only polls. */
static void poller(void *arg)
{
	struct fake_vcpu *v = arg;
	u32 x;

	fake_enter(v);
	fake_access(v, PAGE, FAKE_READ, &x);
	a32_store(&in_guest, 1);
	while (!a32_load(&stop_poller)) {
		fake_poll(v);
		cpu_relax();
	}
	fake_leave(v);
}

static struct fake_vcpu other;
static bool held_at_make;

static void write_first_page(void *arg)
{
	u32 x = 1;

	fake_access(&r.v, 0, FAKE_WRITE, &x);
}

TEST(I20_no_vcpu_holds_the_block_when_its_replacement_is_made)
{
	char *p = rig_map(2 * MIB, 2 * MIB);
	struct helper h, w;
	struct gate g;

	rig_start(&r);
	fake_vcpu_init(&other, &r.m);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 2 * MIB, p, 0), 0);
	a32_store(&stop_poller, 0);
	a32_store(&in_guest, 0);
	helper_start(&h, poller, &other);
	while (!a32_load(&in_guest))
		sleep_ms(1);
	ASSERT(fake_tlb_find(&other, PAGE) && fake_tlb_find(&other, PAGE)->level == 2);
	/* Logging leaves the block and takes its W. The next write breaks it for one page. */
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 2 * MIB, p, MEMSLOT_LOG_DIRTY), 0);
	a32_store(&stop_poller, 1);
	helper_join(&h);
	a32_store(&stop_poller, 0);
	a32_store(&in_guest, 0);
	helper_start(&h, poller, &other);
	while (!a32_load(&in_guest))
		sleep_ms(1);
	ASSERT(fake_tlb_find(&other, PAGE) && fake_tlb_find(&other, PAGE)->level == 2);
	gate_arm(&g, HOOK_BBM_BROKEN, 0);
	helper_start(&w, write_first_page, NULL);
	ASSERT(gate_wait(&g));
	held_at_make = fake_tlb_find(&other, PAGE) != NULL;
	gate_open(&g);
	helper_join(&w);
	gate_disarm(&g);
	a32_store(&stop_poller, 1);
	helper_join(&h);
	EXPECT(!held_at_make);
	fake_vcpu_fini(&other);
	EXPECT(rig_stop(&r));
	munmap(p, 2 * MIB);
}

/* --- I-21 ---------------------------------------------------------------------------------------------------------- */

static struct mem_fault walk_fault;
static struct s2_result walk_found;
static int walk_result;

static void walk_page_0(void *arg)
{
	walk_result = s2_lookup(&r.m.mmu, 0, false, false, false, &walk_found, &walk_fault);
}

static struct a32 walk_tables_seen;

static void unmap_everything(void *arg)
{
	unmap(0, GIB);
}

TEST(I21_a_table_is_not_freed_under_a_walk)
{
	struct helper h, u;
	struct gate g;
	u64 objects;

	rig_start(&r);
	ASSERT_EQ(map(0, 3, PAGE, S2_PROT_R), 0);
	objects = host_alloc_objects();
	a32_store(&walk_tables_seen, 0);
	/* The third table of the walk: level 3, reached, not read yet. */
	gate_arm(&g, HOOK_WALK_TABLE, 0);
	for (unsigned level = 1; level < 3; level++) {
		if (level == 1)
			helper_start(&h, walk_page_0, NULL);
		ASSERT(gate_wait(&g));
		a32_store(&g.state, 0); /* let it go, and stop at the next */
		wake_word_all(&g.state);
		while (a32_load(&g.hits) != level + 1 || a32_load(&g.state) != 1)
			sleep_ms(1);
	}
	helper_start(&u, unmap_everything, NULL);
	helper_join(&u);
	sleep_ms(20);
	/* Unlinked: the walk may not see freed memory, so nothing is freed yet. */
	EXPECT_EQ(host_alloc_objects(), objects);
	gate_open(&g);
	helper_join(&h);
	gate_disarm(&g);
	/* What it reads is the leaf as it was. A vCPU's use of it ends with the flush, which waits for the vCPU. */
	EXPECT_EQ(walk_result, 0);
	EXPECT_EQ(walk_found.hva, PAGE);
	EXPECT_EQ(walk_found.level, 3);
	rcu_barrier();
	EXPECT_EQ(host_alloc_objects(), objects - 2);
	EXPECT(rig_stop(&r));
}

/* --- two shared walks at one entry ----------------------------------------------------------------------------------- */

static int map_result;

static void wait_for_rcu(void *arg)
{
	rcu_barrier();
}

static void map_page_0(void *arg)
{
	map_result = map(0, 3, GIB, S2_PROT_R);
}

static int map_other(u64 ipa, unsigned level, u64 hva)
{
	int ret = page_cache_topup(&other.mem, 3);

	if (ret)
		return ret;
	read_lock(&r.m.mmu_lock);
	ret = stage2_map(&r.m, &r.m.mmu, &other.mem, ipa, level, hva, S2_PROT_R);
	read_unlock(&r.m.mmu_lock);
	return ret;
}

TEST(I21_a_table_that_a_block_displaces_stays_for_the_map_that_is_below)
{
	struct helper h, barrier;
	struct s2_result out;
	struct gate g;

	rig_start(&r);
	fake_vcpu_init(&other, &r.m);
	ASSERT_EQ(map(PAGE, 3, GIB + PAGE, S2_PROT_R), 0);
	gate_arm(&g, HOOK_BBM_BROKEN, 0);
	helper_start(&h, map_page_0, NULL);
	ASSERT(gate_wait(&g));
	/* The block takes the place of the table in which the other map is at work. */
	EXPECT_EQ(map_other(0, 2, GIB), 0);
	helper_start(&barrier, wait_for_rcu, NULL);
	EXPECT(!helper_ended_within(&barrier, 50));
	gate_disarm(&g);
	helper_join(&h);
	helper_join(&barrier);
	/* What it installed there is lost, and nobody misses it. */
	EXPECT_EQ(map_result, 0);
	ASSERT(look(0, &out));
	EXPECT_EQ(out.level, 2);
	EXPECT_EQ(recount(), 1);
	fake_vcpu_fini(&other);
	EXPECT(rig_stop(&r));
}

TEST(a_map_that_comes_second_keeps_its_table_page)
{
	struct helper h;
	struct gate g;
	unsigned pages;

	rig_start(&r);
	fake_vcpu_init(&other, &r.m);
	gate_arm(&g, HOOK_BBM_BROKEN, 0);
	helper_start(&h, map_page_0, NULL);
	ASSERT(gate_wait(&g));
	ASSERT_EQ(page_cache_topup(&other.mem, 3), 0);
	pages = other.mem.nr_pages;
	/* LOCKED is in the way. */
	EXPECT_EQ(map_other(0, 3, GIB), -EAGAIN);
	EXPECT_EQ(other.mem.nr_pages, pages);
	gate_disarm(&g);
	helper_join(&h);
	EXPECT_EQ(map_result, 0);
	fake_vcpu_fini(&other);
	EXPECT(rig_stop(&r));
}

static int relax_result;

static void relax_block_0(void *arg)
{
	read_lock(&r.m.mmu_lock);
	relax_result = stage2_relax(&r.m, &r.m.mmu, 0, 2, GIB, S2_PROT_W);
	read_unlock(&r.m.mmu_lock);
}

TEST(rights_are_not_added_to_what_another_vcpu_has_replaced)
{
	struct s2_result out;
	struct helper h;
	struct gate g;

	rig_start(&r);
	fake_vcpu_init(&other, &r.m);
	ASSERT_EQ(map(0, 2, GIB, S2_PROT_R), 0);
	gate_arm(&g, HOOK_ATTR_READ, 0);
	helper_start(&h, relax_block_0, NULL);
	ASSERT(gate_wait(&g));
	EXPECT_EQ(map_other(0, 3, GIB), 0);
	gate_disarm(&g);
	helper_join(&h);
	EXPECT_EQ(relax_result, -EAGAIN);
	ASSERT(look(0, &out));
	EXPECT_EQ(out.level, 3);
	EXPECT(!out.w);
	EXPECT_EQ(recount(), 1);
	fake_vcpu_fini(&other);
	EXPECT(rig_stop(&r));
}
