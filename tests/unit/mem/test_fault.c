/* SPDX-License-Identifier: MIT */
/* The fault path: what it installs, what it answers, and what becomes of memory that changes behind the library's back. */
#include "rig.h"
#include "test.h"

static struct rig r;

/* The leaf at ipa, as a walk that wants nothing but to read sees it; level 0 = none. */
static struct s2_result leaf_at(u64 ipa)
{
	struct s2_result out = {0};
	struct mem_fault f = {0};

	if (s2_lookup(&r.m.mmu, ipa, false, false, false, &out, &f))
		out.level = 0;
	return out;
}

static int answer(u64 ipa, bool write, bool exec, bool s1ptw, bool cache_op)
{
	struct mem_fault f = {.ipa = ipa,
			      .type = MEM_FAULT_TRANSLATION,
			      .level = 3,
			      .write = write,
			      .exec = exec,
			      .s1ptw = s1ptw,
			      .cache_op = cache_op};
	enum mem_fault_action action;
	int ret = mem_fault_handle(&r.m, &r.v.mem, &f, &action);

	return ret ? ret : (int)FAKE_ACTION(action);
}

TEST(one_fault_installs_a_leaf_that_serves_from_then_on)
{
	void *p = rig_map(PAGE, 0);
	u32 x = 0x12345678;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0x1000, PAGE, p, 0), 0);
	EXPECT_EQ(answer(0x1004, true, false, false, false), FAKE_ACTION(MEM_FAULT_RETRY));
	EXPECT_EQ(leaf_at(0x1004).level, 3);
	EXPECT_EQ(leaf_at(0x1004).hva, (uintptr_t)p + 4);
	EXPECT_EQ(fake_access(&r.v, 0x1004, FAKE_WRITE, &x), 0);
	EXPECT_EQ(r.v.faults, 0);
	EXPECT_EQ(((u32 *)p)[1], 0x12345678);
	x = 0;
	EXPECT_EQ(fake_access(&r.v, 0x1004, FAKE_READ, &x), 0);
	EXPECT_EQ(x, 0x12345678);
	EXPECT(rig_stop(&r));
	munmap(p, PAGE);
}

TEST(without_memory_the_answer_follows_the_kind_of_access)
{
	void *p = rig_map(PAGE, 0);

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0x1000, PAGE, p, MEMSLOT_READONLY), 0);
	EXPECT_EQ(answer(0x9000, false, false, false, false), FAKE_ACTION(MEM_FAULT_MMIO));
	EXPECT_EQ(answer(0x9000, true, false, false, false), FAKE_ACTION(MEM_FAULT_MMIO));
	EXPECT_EQ(answer(0x9000, false, true, false, false), FAKE_ACTION(MEM_FAULT_INJECT_IABT));
	EXPECT_EQ(answer(0x9000, false, false, true, false), FAKE_ACTION(MEM_FAULT_INJECT_DABT));
	EXPECT_EQ(answer(0x9000, true, false, false, true), FAKE_ACTION(MEM_FAULT_SKIP));
	/* A read-only slot: writes are MMIO, page table writes aborts, the rest is memory. */
	EXPECT_EQ(answer(0x1000, true, false, false, false), FAKE_ACTION(MEM_FAULT_MMIO));
	EXPECT_EQ(answer(0x1000, true, false, true, false), FAKE_ACTION(MEM_FAULT_INJECT_DABT));
	EXPECT_EQ(answer(0x1000, true, false, false, true), FAKE_ACTION(MEM_FAULT_RETRY));
	EXPECT_EQ(answer(0x1000, false, false, false, false), FAKE_ACTION(MEM_FAULT_RETRY));
	EXPECT(!leaf_at(0x1000).w);
	/* Beyond the VM's addresses, beyond the platform's. */
	EXPECT_EQ(answer(BIT(40), false, false, false, false), FAKE_ACTION(MEM_FAULT_INJECT_DABT));
	EXPECT_EQ(answer(BIT(40), false, true, false, false), FAKE_ACTION(MEM_FAULT_INJECT_IABT));
	EXPECT_EQ(answer(BIT(48), false, false, false, false), FAKE_ACTION(MEM_FAULT_INJECT_SIZE));
	EXPECT(rig_stop(&r));
	munmap(p, PAGE);
}

TEST(a_write_to_a_read_only_slot_is_mmio_even_where_nothing_is_mapped)
{
	void *p = rig_map(PAGE, 0);

	munmap(p, PAGE);
	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, PAGE, p, MEMSLOT_READONLY), 0);
	EXPECT_EQ(answer(0, true, false, false, false), FAKE_ACTION(MEM_FAULT_MMIO));
	EXPECT_EQ(answer(0, false, false, false, false), -EFAULT);
	EXPECT(rig_stop(&r));
}

TEST(missing_or_forbidden_host_memory_is_efault)
{
	char *p = rig_map(4 * PAGE, 0);
	u32 x = 1;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 4 * PAGE, p, 0), 0);
	mprotect(p + PAGE, PAGE, PROT_READ);
	munmap(p + 2 * PAGE, PAGE);
	mprotect(p + 3 * PAGE, PAGE, PROT_NONE);
	EXPECT_EQ(fake_access(&r.v, PAGE, FAKE_READ, &x), 0);
	EXPECT(!leaf_at(PAGE).w);
	EXPECT_EQ(fake_access(&r.v, PAGE, FAKE_WRITE, &x), -EFAULT);
	EXPECT_EQ(fake_access(&r.v, 2 * PAGE, FAKE_READ, &x), -EFAULT);
	EXPECT_EQ(fake_access(&r.v, 3 * PAGE, FAKE_READ, &x), -EFAULT);
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_WRITE, &x), 0);
	/* Rights that rise need no pair: the next fault asks the host again. */
	mprotect(p + PAGE, PAGE, PROT_READ | PROT_WRITE);
	EXPECT_EQ(fake_access(&r.v, PAGE, FAKE_WRITE, &x), 0);
	EXPECT(rig_stop(&r));
	munmap(p, 4 * PAGE);
}

#if defined(ANYKVM_CHECKED)
static unsigned queries;

static void count_query(int hook, void *what)
{
	queries++;
}
#endif

/* A VMM that lets a guest run into memory it may not write meets this once a page. */
TEST(what_is_forbidden_is_looked_up_once)
{
#if defined(ANYKVM_CHECKED)
	struct aptr *hook = &mem_process()->hook[HOOK_VMA_QUERIED];
	void *p = rig_map(64 * PAGE, 0);
	u32 x = 0;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, PAGE, 64 * PAGE, p, 0), 0);
	ASSERT(!mprotect(p, 64 * PAGE, PROT_READ));
	queries = 0;
	aptr_store_release(hook, count_query);
	for (unsigned i = 1; i <= 64; i++)
		EXPECT_EQ(fake_access(&r.v, i * PAGE, FAKE_WRITE, &x), -EFAULT);
	EXPECT_EQ(queries, 1);
	/* Allowed again, unannounced: found out by the page itself. */
	ASSERT(!mprotect(p, 64 * PAGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(fake_access(&r.v, PAGE, FAKE_WRITE, &x), 0);
	EXPECT_EQ(fake_access(&r.v, 64 * PAGE, FAKE_WRITE, &x), 0);
	EXPECT_EQ(queries, 2);
	aptr_store_release(hook, NULL);
	EXPECT(rig_stop(&r));
	munmap(p, 64 * PAGE);
#else
	SKIP("only checked builds count");
#endif
}

TEST(rights_are_added_as_they_are_used)
{
	char *p = rig_map(PAGE, 0);
	u32 x = 7;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, PAGE, p, 0), 0);
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_READ, &x), 0);
	EXPECT(leaf_at(0).w && !leaf_at(0).x_el1);
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_EXEC, &x), 0);
	EXPECT(leaf_at(0).w && leaf_at(0).x_el1 && leaf_at(0).x_el0);
	EXPECT_EQ(a64_load(&r.m.stats.relaxes), 1);
	EXPECT(rig_stop(&r));
	munmap(p, PAGE);
}

static unsigned level_of_first_read(u64 ipa)
{
	u32 x;

	return fake_access(&r.v, ipa, FAKE_READ, &x) ? 99 : leaf_at(ipa).level;
}

TEST(the_largest_block_that_fits_slot_and_mapping_is_installed)
{
	char *p = rig_map(2 * GIB, GIB);

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, GIB, 2 * GIB, p, 0), 0);
	EXPECT_EQ(level_of_first_read(GIB + 5 * PAGE), 1);
	EXPECT_EQ(leaf_at(2 * GIB - PAGE).level, 1);
	EXPECT_EQ(leaf_at(2 * GIB - PAGE).hva, (uintptr_t)p + GIB - PAGE);
	EXPECT_EQ(leaf_at(2 * GIB).level, 0);
	/* Not congruent modulo 1 GiB, but modulo 2 MiB. */
	ASSERT_EQ(rig_slot(&r.m, 1, 4 * GIB, GIB, p + 2 * MIB, 0), 0);
	EXPECT_EQ(level_of_first_read(4 * GIB), 2);
	/* Not congruent at all. */
	ASSERT_EQ(rig_slot(&r.m, 2, 6 * GIB, GIB, p + PAGE, 0), 0);
	EXPECT_EQ(level_of_first_read(6 * GIB), 3);
	/* The slot starts inside the block. */
	ASSERT_EQ(rig_slot(&r.m, 3, 8 * GIB + PAGE, 4 * MIB, p + PAGE, 0), 0);
	EXPECT_EQ(level_of_first_read(8 * GIB + PAGE), 3);
	EXPECT_EQ(level_of_first_read(8 * GIB + 2 * MIB), 2);
	EXPECT(rig_stop(&r));
	munmap(p, 2 * GIB);
}

TEST(a_block_needs_one_mapping_of_uniform_rights)
{
	char *p = rig_map(4 * MIB, 2 * MIB);

	mprotect(p + 5 * PAGE, PAGE, PROT_READ);
	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 4 * MIB, p, 0), 0);
	EXPECT_EQ(level_of_first_read(0), 3);
	EXPECT_EQ(level_of_first_read(2 * MIB), 2);
	EXPECT(rig_stop(&r));
	munmap(p, 4 * MIB);
}

TEST(policy_none_and_logging_mean_pages)
{
	char *p = rig_map(4 * MIB, 2 * MIB);

	rig_start(&r);
	r.m.block_policy = BLOCK_NONE;
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 2 * MIB, p, 0), 0);
	EXPECT_EQ(level_of_first_read(0), 3);
	r.m.block_policy = BLOCK_LINEAR;
	ASSERT_EQ(rig_slot(&r.m, 1, 2 * MIB, 2 * MIB, p + 2 * MIB, MEMSLOT_LOG_DIRTY), 0);
	EXPECT_EQ(level_of_first_read(2 * MIB), 3);
	EXPECT(rig_stop(&r));
	munmap(p, 4 * MIB);
}

TEST(every_ipa_size_maps_its_last_page)
{
	char *p = rig_map(PAGE, 0);

	for (unsigned bits = 32; bits <= 48; bits++) {
		u32 x = bits, y = 0;

		rig_start_bits(&r, bits);
		EXPECT_EQ(rig_slot(&r.m, 0, BIT(bits), PAGE, p, 0), -EFAULT);
		ASSERT_EQ(rig_slot(&r.m, 0, BIT(bits) - PAGE, PAGE, p, 0), 0);
		EXPECT_EQ(fake_access(&r.v, BIT(bits) - 4, FAKE_WRITE, &x), 0);
		EXPECT_EQ(fake_access(&r.v, BIT(bits) - 4, FAKE_READ, &y), 0);
		EXPECT_EQ(y, bits);
		EXPECT(rig_stop(&r));
	}
	munmap(p, PAGE);
}

TEST(I35_raw_munmap_under_a_mapped_page_is_efault)
{
	char *p = rig_map(4 * PAGE, 0);
	u32 x = 1;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 4 * PAGE, p, 0), 0);
	fake_enter(&r.v);
	EXPECT_EQ(fake_access(&r.v, PAGE, FAKE_WRITE, &x), 0);
	munmap(p + PAGE, PAGE);
	EXPECT_EQ(fake_access(&r.v, PAGE, FAKE_WRITE, &x), -EFAULT);
	EXPECT_EQ(fake_access(&r.v, PAGE, FAKE_READ, &x), -EFAULT);
	EXPECT_EQ(r.v.host_faults, 1);
	/* Memory comes back, unannounced as well. */
	ASSERT(mmap(p + PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0) != MAP_FAILED);
	EXPECT_EQ(fake_access(&r.v, PAGE, FAKE_READ, &x), 0);
	EXPECT_EQ(x, 0);
	EXPECT(rig_stop(&r));
	munmap(p, 4 * PAGE);
}

TEST(I35_raw_mprotect_under_a_block_is_efault_for_the_page_and_no_other)
{
	char *p = rig_map(2 * MIB, 2 * MIB);
	u32 x = 1;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 2 * MIB, p, 0), 0);
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_WRITE, &x), 0);
	EXPECT_EQ(leaf_at(0).level, 2);
	mprotect(p + PAGE, PAGE, PROT_NONE);
	mprotect(p + 2 * PAGE, PAGE, PROT_READ);
	EXPECT_EQ(fake_access(&r.v, PAGE, FAKE_READ, &x), -EFAULT);
	EXPECT_EQ(fake_access(&r.v, 2 * PAGE, FAKE_READ, &x), 0);
	EXPECT_EQ(fake_access(&r.v, 2 * PAGE, FAKE_WRITE, &x), -EFAULT);
	EXPECT_EQ(fake_access(&r.v, 3 * PAGE, FAKE_WRITE, &x), 0);
	EXPECT(rig_stop(&r));
	munmap(p, 2 * MIB);
}

TEST(I35_truncated_file_under_a_slot_is_efault)
{
	int fd = memfd_create("slot", 0);
	char *p;
	u32 x = 1;

	ASSERT(fd >= 0 && !ftruncate(fd, 4 * PAGE));
	p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 4 * PAGE, p, 0), 0);
	EXPECT_EQ(fake_access(&r.v, 3 * PAGE, FAKE_WRITE, &x), 0);
	ASSERT(!ftruncate(fd, PAGE));
	EXPECT_EQ(fake_access(&r.v, 3 * PAGE, FAKE_WRITE, &x), -EFAULT);
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_WRITE, &x), 0);
	EXPECT(rig_stop(&r));
	munmap(p, 4 * PAGE);
	close(fd);
}

TEST(library_access_goes_through_slots_and_respects_them)
{
	char *p = rig_map(4 * PAGE, 0), buf[3 * 4096], back[sizeof(buf)];

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, PAGE, 2 * PAGE, p, MEMSLOT_LOG_DIRTY), 0);
	ASSERT_EQ(rig_slot(&r.m, 1, 3 * PAGE, PAGE, p + 2 * PAGE, MEMSLOT_READONLY), 0);
	for (unsigned i = 0; i < sizeof(buf); i++)
		buf[i] = i * 7;
	EXPECT_EQ(mem_write_guest(&r.m, NULL, PAGE + 100, buf, 2 * PAGE - 100), 0);
	EXPECT_EQ(mem_read_guest(&r.m, PAGE + 100, back, 2 * PAGE - 100), 0);
	EXPECT(!memcmp(buf, back, 2 * PAGE - 100));
	EXPECT_EQ(a64_load(&memslot_find_id(memslot_active(&r.m), 0)->dirty_bitmap[0]), 3);
	EXPECT_EQ(mem_write_guest(&r.m, NULL, 3 * PAGE, buf, 1), -EFAULT);
	EXPECT_EQ(mem_read_guest(&r.m, 3 * PAGE, back, 1), 0);
	EXPECT_EQ(mem_read_guest(&r.m, 0, back, 1), -EFAULT);
	EXPECT_EQ(mem_read_guest(&r.m, 4 * PAGE - 1, back, 2), -EFAULT);
	munmap(p + PAGE, PAGE);
	EXPECT_EQ(mem_read_guest(&r.m, 2 * PAGE, back, 1), -EFAULT);
	EXPECT(rig_stop(&r));
	munmap(p, 4 * PAGE);
}

TEST(after_flush_all_faults_are_eio)
{
	char *p = rig_map(PAGE, 0);
	u32 x = 1;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, PAGE, p, 0), 0);
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_WRITE, &x), 0);
	mem_flush_all(&r.m);
	mem_flush_all(&r.m);
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_WRITE, &x), -EIO);
	EXPECT_EQ(a32_load(&r.m.dead), 1);
	/* Slots and pairs still work. */
	rig_unmap(p, PAGE);
	EXPECT_EQ(rig_slot(&r.m, 0, 0, 0, p, 0), 0);
	EXPECT(rig_stop(&r));
}

static void flush_it(void *arg)
{
	mem_flush_all(arg);
}

TEST(I02_two_releases_at_once_free_the_tables_once)
{
	char *p = rig_map(4 * MIB, 2 * MIB);
	struct helper h[2];
	struct gate g;
	u32 x = 1;

	for (unsigned round = 0; round < 50; round++) {
		rig_start(&r);
		r.m.block_policy = BLOCK_NONE;
		ASSERT_EQ(rig_slot(&r.m, 0, 0, 4 * MIB, p, 0), 0);
		for (u64 ipa = 0; ipa < 4 * MIB; ipa += 64 * PAGE)
			EXPECT_EQ(fake_access(&r.v, ipa, FAKE_WRITE, &x), 0);
		gate_arm(&g, HOOK_FLUSH_ALL, 0);
		helper_start(&h[0], flush_it, &r.m);
		ASSERT(gate_wait(&g));
		helper_start(&h[1], flush_it, &r.m);
		gate_open(&g);
		helper_join(&h[0]);
		helper_join(&h[1]);
		gate_disarm(&g);
		EXPECT(rig_stop(&r));
	}
	munmap(p, 4 * MIB);
}
