/* SPDX-License-Identifier: MIT */
/* Dirty logging with bitmaps. */
#include "rig.h"
#include "test.h"

static struct rig r;
static u64 log_bits[64];

static int get(u32 slot)
{
	memset(log_bits, 0xee, sizeof(log_bits));
	return mem_get_dirty_log(&r.m, slot, log_bits);
}

static bool writable(u64 ipa)
{
	struct s2_result out;
	struct mem_fault f = {0};

	return !s2_lookup(&r.m.mmu, ipa, true, false, false, &out, &f);
}

static void write_page(u64 page)
{
	u32 x = page;

	EXPECT_EQ(fake_access(&r.v, page * PAGE, FAKE_WRITE, &x), 0);
}

TEST(errors_are_those_of_kvm)
{
	char *p = rig_map(100 * PAGE, 0);

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 100 * PAGE, p, MEMSLOT_LOG_DIRTY), 0);
	ASSERT_EQ(rig_slot(&r.m, 1, GIB, 100 * PAGE, p, 0), 0);
	EXPECT_EQ(get(1u << 16), -EINVAL);
	EXPECT_EQ(get(32767), -EINVAL);
	EXPECT_EQ(get(5), -ENOENT);
	EXPECT_EQ(get(1), -ENOENT);
	EXPECT_EQ(get(0), 0);
	EXPECT_EQ(log_bits[0] | log_bits[1], 0);
	EXPECT_EQ(log_bits[2], 0xeeeeeeeeeeeeeeee);
	EXPECT_EQ(mem_get_dirty_log(&r.m, 0, (void *)8), -EFAULT);
	EXPECT_EQ(mem_get_dirty_log(&r.m, 0, NULL), -EFAULT);
	EXPECT_EQ(mem_clear_dirty_log(&r.m, 1u << 16, 64, 0, log_bits), -EINVAL);
	EXPECT_EQ(mem_clear_dirty_log(&r.m, 0, 64, 1, log_bits), -EINVAL);
	EXPECT_EQ(mem_clear_dirty_log(&r.m, 5, 64, 0, log_bits), -ENOENT);
	EXPECT_EQ(mem_clear_dirty_log(&r.m, 1, 64, 0, log_bits), -ENOENT);
	EXPECT_EQ(mem_clear_dirty_log(&r.m, 0, 63, 0, log_bits), -EINVAL);
	EXPECT_EQ(mem_clear_dirty_log(&r.m, 0, 128, 0, log_bits), -EINVAL);
	EXPECT_EQ(mem_clear_dirty_log(&r.m, 0, 100, 0, log_bits), 0);
	EXPECT_EQ(mem_clear_dirty_log(&r.m, 0, 36, 64, log_bits), 0);
	EXPECT_EQ(mem_clear_dirty_log(&r.m, 0, 64, 64, log_bits), -EINVAL);
	EXPECT_EQ(mem_clear_dirty_log(&r.m, 0, 64, 128, log_bits), -EINVAL);
	EXPECT_EQ(mem_clear_dirty_log(&r.m, 0, 64, 0, (void *)8), -EFAULT);
	EXPECT_EQ(mem_clear_dirty_log(&r.m, 0, 64, 0, NULL), -EFAULT);
	EXPECT_EQ(mem_set_manual_protect(&r.m, 2), -EINVAL);
	EXPECT_EQ(mem_set_manual_protect(&r.m, 4), -EINVAL);
	EXPECT_EQ(mem_set_manual_protect(&r.m, 5), -EINVAL);
	EXPECT_EQ(mem_set_manual_protect(&r.m, 3), 0);
	EXPECT_EQ(mem_set_manual_protect(&r.m, 0), 0);
	EXPECT(rig_stop(&r));
	munmap(p, 100 * PAGE);
}

TEST(get_reports_each_written_page_once)
{
	char *p = rig_map(100 * PAGE, 0);
	u32 x;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 100 * PAGE, p, MEMSLOT_LOG_DIRTY), 0);
	write_page(0);
	write_page(63);
	write_page(99);
	EXPECT_EQ(fake_access(&r.v, 5 * PAGE, FAKE_READ, &x), 0);
	EXPECT(!writable(5 * PAGE));
	EXPECT_EQ(get(0), 0);
	EXPECT_EQ(log_bits[0], 1 | BIT(63));
	EXPECT_EQ(log_bits[1], BIT(35));
	EXPECT(!writable(0) && !writable(99 * PAGE));
	EXPECT_EQ(get(0), 0);
	EXPECT_EQ(log_bits[0] | log_bits[1], 0);
	write_page(99);
	EXPECT_EQ(get(0), 0);
	EXPECT_EQ(log_bits[1], BIT(35));
	EXPECT(rig_stop(&r));
	munmap(p, 100 * PAGE);
}

TEST(turning_logging_on_protects_what_was_mapped_and_off_lets_blocks_return)
{
	char *p = rig_map(2 * MIB, 2 * MIB);
	struct s2_result out;
	struct mem_fault f = {0};

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 2 * MIB, p, 0), 0);
	fake_enter(&r.v);
	write_page(0);
	EXPECT(writable(PAGE));
	fake_leave(&r.v);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 2 * MIB, p, MEMSLOT_LOG_DIRTY), 0);
	EXPECT(!writable(0));
	fake_enter(&r.v);
	write_page(7);
	fake_leave(&r.v);
	EXPECT_EQ(get(0), 0);
	EXPECT_EQ(log_bits[0], BIT(7));
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 2 * MIB, p, 0), 0);
	EXPECT_EQ(get(0), -ENOENT);
	write_page(9);
	EXPECT(!s2_lookup(&r.m.mmu, 9 * PAGE, true, false, false, &out, &f));
	EXPECT_EQ(out.level, 2);
	EXPECT(rig_stop(&r));
	munmap(p, 2 * MIB);
}

/*
 * A page fault that began while the range was mapped by pages, and goes on when another vCPU, which saw the slot before logging
 * began, has put a block there: opening the block would let every page of it be written and mark one.
 */
static bool is_mapped(const void *p)
{
	return !msync((void *)ALIGN_DOWN((uintptr_t)p, PAGE), PAGE, MS_ASYNC);
}

static const void *bitmap_of_slot_0(void)
{
	return memslot_find_id(memslot_active(&r.m), 0)->dirty_bitmap;
}

/* Mapped, not allocated: no count of objects would miss one. */
TEST(a_bitmap_lives_as_long_as_its_slot_logs)
{
	const u64 size = 16 * GIB;
	const void *bitmap;

	rig_start(&r);
	/* Nothing need be mapped there. */
	ASSERT_EQ(rig_slot(&r.m, 0, 0, size, (void *)GIB, MEMSLOT_LOG_DIRTY), 0);
	bitmap = bitmap_of_slot_0();
	ASSERT_EQ(rig_slot(&r.m, 0, size, size, (void *)GIB, MEMSLOT_LOG_DIRTY), 0);
	EXPECT(bitmap_of_slot_0() == bitmap && is_mapped(bitmap));
	ASSERT_EQ(rig_slot(&r.m, 0, size, size, (void *)GIB, 0), 0);
	EXPECT(!bitmap_of_slot_0() && !is_mapped(bitmap));
	ASSERT_EQ(rig_slot(&r.m, 0, size, size, (void *)GIB, MEMSLOT_LOG_DIRTY), 0);
	bitmap = bitmap_of_slot_0();
	ASSERT_EQ(rig_slot(&r.m, 0, 0, size, (void *)GIB, 0), 0);
	EXPECT(!is_mapped(bitmap));
	ASSERT_EQ(rig_slot(&r.m, 0, 0, size, (void *)GIB, MEMSLOT_LOG_DIRTY), 0);
	bitmap = bitmap_of_slot_0();
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 0, NULL, 0), 0);
	EXPECT(!is_mapped(bitmap));
	/* Also where the VM goes with the slot. */
	ASSERT_EQ(rig_slot(&r.m, 0, 0, size, (void *)GIB, MEMSLOT_LOG_DIRTY), 0);
	bitmap = bitmap_of_slot_0();
	EXPECT(rig_stop(&r));
	EXPECT(!is_mapped(bitmap));
}

TEST(I22_a_fault_on_a_page_does_not_make_a_block_writable)
{
	char *p = rig_map(2 * MIB, 2 * MIB);
	const struct mem_fault f = {
		.type = MEM_FAULT_PERMISSION, .level = 3, .ipa = PAGE, .write = true};
	enum mem_fault_action action;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 2 * MIB, p, 0), 0);
	write_page(0);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 2 * MIB, p, MEMSLOT_LOG_DIRTY), 0);
	EXPECT_EQ(mem_fault_handle(&r.m, &r.v.mem, &f, &action), 0);
	EXPECT_EQ(action, MEM_FAULT_RETRY);
	EXPECT(!writable(2 * PAGE));
	write_page(1);
	EXPECT(writable(PAGE) && !writable(2 * PAGE));
	EXPECT_EQ(get(0), 0);
	EXPECT_EQ(log_bits[0], BIT(1));
	EXPECT(rig_stop(&r));
	munmap(p, 2 * MIB);
}

TEST(manual_protect_leaves_protection_to_clear)
{
	char *p = rig_map(100 * PAGE, 0);
	u64 ask[2] = {BIT(1) | BIT(2), 0};

	rig_start(&r);
	ASSERT_EQ(mem_set_manual_protect(&r.m, 1), 0);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 100 * PAGE, p, MEMSLOT_LOG_DIRTY), 0);
	write_page(1);
	write_page(3);
	EXPECT_EQ(get(0), 0);
	EXPECT_EQ(log_bits[0], BIT(1) | BIT(3));
	EXPECT(writable(PAGE) && writable(3 * PAGE));
	EXPECT_EQ(get(0), 0);
	EXPECT_EQ(log_bits[0], BIT(1) | BIT(3));
	EXPECT_EQ(mem_clear_dirty_log(&r.m, 0, 64, 0, ask), 0);
	EXPECT(!writable(PAGE) && writable(3 * PAGE));
	EXPECT_EQ(get(0), 0);
	EXPECT_EQ(log_bits[0], BIT(3));
	EXPECT(rig_stop(&r));
	munmap(p, 100 * PAGE);
}

TEST(initially_set_starts_with_every_page_dirty_and_writable)
{
	char *p = rig_map(100 * PAGE, 0);
	u64 ask[2] = {~0ull, ~0ull};

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 100 * PAGE, p, 0), 0);
	write_page(4);
	ASSERT_EQ(mem_set_manual_protect(&r.m, 3), 0);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 100 * PAGE, p, MEMSLOT_LOG_DIRTY), 0);
	EXPECT(writable(4 * PAGE));
	EXPECT_EQ(get(0), 0);
	EXPECT_EQ(log_bits[0], ~0ull);
	EXPECT_EQ(log_bits[1], BIT(36) - 1);
	EXPECT_EQ(mem_clear_dirty_log(&r.m, 0, 100, 0, ask), 0);
	EXPECT(!writable(4 * PAGE));
	EXPECT_EQ(get(0), 0);
	EXPECT_EQ(log_bits[0] | log_bits[1], 0);
	EXPECT(rig_stop(&r));
	munmap(p, 100 * PAGE);
}

static void write_page_0(void *arg)
{
	write_page(0);
}

TEST(I22_the_bit_is_there_as_soon_as_the_page_is_writable)
{
	char *p = rig_map(PAGE, 0);
	struct helper h;
	struct gate g;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, PAGE, p, MEMSLOT_LOG_DIRTY), 0);
	/* The fault has let go of mmu_lock and goes no further. */
	gate_arm(&g, HOOK_FAULT_DONE, 0);
	helper_start(&h, write_page_0, NULL);
	ASSERT(gate_wait(&g));
	EXPECT(writable(0));
	EXPECT_EQ(get(0), 0);
	EXPECT_EQ(log_bits[0], 1);
	gate_open(&g);
	helper_join(&h);
	gate_disarm(&g);
	EXPECT(rig_stop(&r));
	munmap(p, PAGE);
}

static void write_page_7(void *arg)
{
	u32 x = 1;

	EXPECT_EQ(fake_access(arg, 7 * PAGE, FAKE_WRITE, &x), 0);
}

/* The log is read without mmu_lock here: it does not wait for the fault that opens the page, nor does the other vCPU. */
TEST(I22_another_vcpu_finds_no_page_open_that_is_not_marked)
{
	char *p = rig_map(64 * PAGE, 0);
	struct fake_vcpu second;
	struct helper h;
	struct gate g;
	u64 page;
	u32 slot;

	for (unsigned ring = 0; ring < 2; ring++) {
		rig_start_rings(&r, ring ? 4096 : 0, false);
		fake_vcpu_init(&second, &r.m);
		ASSERT_EQ(mem_set_manual_protect(&r.m, 1), 0);
		ASSERT_EQ(rig_slot(&r.m, 0, 0, 64 * PAGE, p, MEMSLOT_LOG_DIRTY), 0);
		gate_arm(&g, HOOK_FAULT_INSTALLED, 0);
		helper_start(&h, write_page_7, &second);
		ASSERT(gate_wait(&g));
		write_page(7);
		if (ring) {
			EXPECT(rig_collect(&second, &slot, &page));
			EXPECT_EQ(page, 7);
		} else {
			EXPECT_EQ(get(0), 0);
			EXPECT_EQ(log_bits[0], BIT(7));
		}
		gate_open(&g);
		helper_join(&h);
		gate_disarm(&g);
		fake_vcpu_fini(&second);
		EXPECT(rig_stop(&r));
	}
	munmap(p, 64 * PAGE);
}

/* --- I-22 under load ----------------------------------------------------------------------------------------------- */

#define LOAD_PAGES 128

static struct a32 stop_writer;
static u32 seen[LOAD_PAGES];

static void writer(void *arg)
{
	struct fake_vcpu *v = arg;
	u64 seed = 22;
	u32 n = 0;

	fake_enter(v);
	while (!a32_load(&stop_writer)) {
		n++;
		if (fake_access(v, next_random(&seed) % LOAD_PAGES * PAGE, FAKE_WRITE, &n))
			abort();
		fake_poll(v);
	}
	fake_leave(v);
}

/* No leaf is writable while its bit is clear, as a holder of mmu_lock for writing sees it. */
static int check_leaf(struct s2_visit *v, enum s2_visit_kind kind)
{
	const struct memslot *s = v->arg;
	u64 page = v->ipa / PAGE;

	if (s2_is_leaf(v->old, v->level) && (v->old & S2_W)) {
		EXPECT_EQ(v->level, 3);
		EXPECT(a64_load(&s->dirty_bitmap[page / 64]) & BIT(page % 64));
	}
	return 0;
}

TEST(I22_no_write_is_lost_between_snapshot_and_protection)
{
	char *p = rig_map(LOAD_PAGES * PAGE, 0);
	struct s2_walker w = {.visit = check_leaf, .kinds = S2_VISIT_LEAF};
	struct helper h;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, LOAD_PAGES * PAGE, p, MEMSLOT_LOG_DIRTY), 0);
	w.arg = memslot_find_id(memslot_active(&r.m), 0);
	memset(seen, 0, sizeof(seen));
	a32_store(&stop_writer, 0);
	helper_start(&h, writer, &r.v);
	for (unsigned round = 0; round < 1500; round++) {
		ASSERT_EQ(get(0), 0);
		for (unsigned i = 0; i < LOAD_PAGES; i++)
			if (log_bits[i / 64] & BIT(i % 64))
				guarded_load32(p + i * PAGE, &seen[i]);
		if (round % 8)
			continue;
		write_lock(&r.m.mmu_lock);
		stage2_walk(aptr_load_relaxed(&r.m.mmu.pgt), 0, LOAD_PAGES * PAGE, &w);
		write_unlock(&r.m.mmu_lock);
	}
	a32_store(&stop_writer, 1);
	helper_join(&h);
	/* The last reports: what differs from the copies must be named in them. */
	ASSERT_EQ(get(0), 0);
	for (unsigned i = 0; i < LOAD_PAGES; i++)
		if (!(log_bits[i / 64] & BIT(i % 64)))
			EXPECT_EQ(((u32 *)p)[i * PAGE / 4], seen[i]);
	EXPECT(rig_stop(&r));
	munmap(p, LOAD_PAGES * PAGE);
}

/* --- two levels against a model of one ----------------------------------------------------------------------------- */

#define MODEL_PAGES (5 * 4096u + 37)
#define MODEL_WORDS ((MODEL_PAGES + 63) / 64)

static u64 model[MODEL_WORDS], got[MODEL_WORDS + 1], asked[MODEL_WORDS];

static void model_write(u64 page)
{
	u32 x = 1;

	EXPECT_EQ(mem_write_guest(&r.m, NULL, page * PAGE, &x, 4), 0);
	model[page / 64] |= BIT(page % 64);
}

static void model_get(bool takes)
{
	memset(got, 0xee, sizeof(got));
	ASSERT_EQ(mem_get_dirty_log(&r.m, 0, got), 0);
	EXPECT(!memcmp(got, model, sizeof(model)));
	EXPECT_EQ(got[MODEL_WORDS], 0xeeeeeeeeeeeeeeee);
	if (takes)
		memset(model, 0, sizeof(model));
}

static void model_clear(u64 *seed)
{
	u64 first = next_random(seed) % MODEL_WORDS, left = MODEL_WORDS - first,
	    words = next_random(seed) % left + 1, pages = MIN(words * 64, MODEL_PAGES - first * 64);
	u64 kind = next_random(seed) % 3;

	for (u64 i = 0; i < words; i++) {
		asked[i] = kind ? kind == 1 ? ~0ull : next_random(seed) : BIT(i % 64);
		model[first + i] &= ~asked[i];
	}
	ASSERT_EQ(mem_clear_dirty_log(&r.m, 0, pages, first * 64, asked), 0);
}

TEST(I22_the_two_levels_of_the_bitmap_say_what_one_would)
{
	char *p = rig_map(MODEL_PAGES * PAGE, 0);
	u64 seed = 4;

	for (u64 manual = 0; manual < 2; manual++) {
		rig_start(&r);
		ASSERT_EQ(mem_set_manual_protect(&r.m, manual), 0);
		ASSERT_EQ(rig_slot(&r.m, 0, 0, MODEL_PAGES * PAGE, p, MEMSLOT_LOG_DIRTY), 0);
		memset(model, 0, sizeof(model));
		for (unsigned round = 0; round < test_rounds(300, 30000); round++) {
			u64 n = next_random(&seed) % 40, near = next_random(&seed) % MODEL_PAGES;

			/* Some far from each other, some side by side. */
			for (u64 i = 0; i < n; i++)
				model_write(i % 2 ? next_random(&seed) % MODEL_PAGES
						  : MIN(near + i, MODEL_PAGES - 1));
			if (round % 3)
				model_clear(&seed);
			model_get(!manual);
		}
		EXPECT(rig_stop(&r));
	}
	munmap(p, MODEL_PAGES * PAGE);
}

TEST(an_unreadable_mask_is_an_error_even_where_nothing_is_dirty)
{
	const u64 pages = 3 * 4096 * 8;
	char *p = rig_map(pages * PAGE, 0), *mask = rig_map(3 * PAGE, 0);

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, pages * PAGE, p, MEMSLOT_LOG_DIRTY), 0);
	EXPECT_EQ(mem_clear_dirty_log(&r.m, 0, pages, 0, mask), 0);
	munmap(mask + PAGE, PAGE);
	EXPECT_EQ(mem_clear_dirty_log(&r.m, 0, pages, 0, mask), -EFAULT);
	EXPECT_EQ(mem_clear_dirty_log(&r.m, 0, 4096 * 8, 0, mask), 0);
	EXPECT_EQ(mem_clear_dirty_log(&r.m, 0, 4096 * 8, 0, mask + 8), -EFAULT);
	EXPECT_EQ(mem_get_dirty_log(&r.m, 0, mask), -EFAULT);
	EXPECT(rig_stop(&r));
	munmap(p, pages * PAGE);
	munmap(mask, PAGE);
	munmap(mask + 2 * PAGE, PAGE);
}
