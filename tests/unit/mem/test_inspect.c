/* SPDX-License-Identifier: MIT */
/* What mem_inspect tells, and that it holds what it must hold, no longer than a piece. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/alloc.h"
#include "mem/inspect.h"
#include "mem/nested_mmu.h"
#include "rig.h"
#include "test.h"

static struct rig r;
static struct fake_vcpu second;

struct text_report {
	struct report report;
	char *text;
	size_t n;
	unsigned held; /* locks of the caller: a pair */
};

static void keep(struct report *report, const char *text, size_t n)
{
	struct text_report *t = container_of(report, struct text_report, report);

	/* G-INSPECT-B */
	if (thread_nr_held() != t->held)
		abort();
	t->text = realloc(t->text, t->n + n + 1);
	memcpy(t->text + t->n, text, n);
	t->n += n;
	t->text[t->n] = 0;
}

static const struct mem_vcpu *one_vcpu(void *ctx, u32 n, u32 *id)
{
	*id = 7;
	return n ? NULL : &r.v.mem;
}

static int inspect(u64 sections, char **text)
{
	struct text_report t = {.report.write = keep, .held = thread_nr_held()};
	struct inspect_request request = {.sections = sections, .vcpu = one_vcpu};
	int ret = mem_inspect(&r.m, &request, &t.report);

	*text = t.text;
	return ret;
}

PRINTF_LIKE(2, 3) static void expect_inspect(u64 sections, const char *format, ...)
{
	char want[8192], *got;
	va_list ap;

	va_start(ap, format);
	vsnprintf(want, sizeof(want), format, ap);
	va_end(ap);
	ASSERT_EQ(inspect(sections, &got), 0);
	if (strcmp(got, want))
		TEST_FAIL("got\n%s\nwanted\n%s", got, want);
	free(got);
}

static void access_ok(u64 ipa, enum fake_op op)
{
	u32 x = 1;

	EXPECT_EQ(fake_access(&r.v, ipa, op, &x), 0);
}

#define HVA(p) ((unsigned long long)(uintptr_t)(p))

TEST(slots_are_told_with_their_flags)
{
	char *mem = rig_map(4 * MIB, 2 * MIB);

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 9, 0, 2 * MIB, mem, 0), 0);
	ASSERT_EQ(rig_slot(&r.m, 1, 3 * GIB, 64 * KIB, mem + 2 * MIB, MEMSLOT_LOG_DIRTY), 0);
	ASSERT_EQ(rig_slot(&r.m, 2, 2 * GIB, 12 * KIB, mem, MEMSLOT_READONLY), 0);
	expect_inspect(
		INSPECT_SLOTS,
		"Memory slots\n"
		"  generation                              3\n"
		"  old_readers                gone\n"
		"     id  gpa                                      size  hva                 "
		"flags\n"
		"      9  0x0000000000000000-0x0000000000200000      2M  0x%016llx  -\n"
		"      2  0x0000000080000000-0x0000000080003000     12K  0x%016llx  READONLY\n"
		"      1  0x00000000c0000000-0x00000000c0010000     64K  0x%016llx  "
		"LOG_DIRTY_PAGES bitmap\n"
		"  nr_slots                                3\n"
		"  nr_pages                              531\n",
		HVA(mem), HVA(mem), HVA(mem + 2 * MIB));
	EXPECT(rig_stop(&r));
	munmap(mem, 4 * MIB);
}

TEST(more_slots_than_one_piece_are_all_told)
{
	const u32 nr = 2 * INSPECT_SLOT_BATCH + 3;
	char *mem = rig_map(PAGE, 0), *text, *line;
	u32 seen = 0;

	rig_start(&r);
	for (u32 i = 0; i < nr; i++)
		ASSERT_EQ(rig_slot(&r.m, i, i * 2 * PAGE, PAGE, mem, 0), 0);
	ASSERT_EQ(inspect(INSPECT_SLOTS, &text), 0);
	for (line = text; line; line = strchr(line, '\n')) {
		unsigned long long id, start;

		line++;
		if (sscanf(line, " %llu 0x%llx-", &id, &start) == 2 && id == seen &&
		    start == seen * 2 * PAGE)
			seen++;
	}
	EXPECT_EQ(seen, nr);
	EXPECT(strstr(text, "nr_slots                              515\n"));
	free(text);
	EXPECT(rig_stop(&r));
	munmap(mem, PAGE);
}

TEST(tables_are_told_as_ranges_of_equal_leaves)
{
	char *mem = rig_map(4 * MIB, 2 * MIB);

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 2 * MIB, 2 * MIB, mem, 0), 0);
	ASSERT_EQ(rig_slot(&r.m, 1, 3 * GIB, 64 * KIB, mem + 2 * MIB, MEMSLOT_LOG_DIRTY), 0);
	access_ok(2 * MIB + 5 * PAGE, FAKE_WRITE);
	access_ok(3 * GIB + 1 * PAGE, FAKE_WRITE);
	access_ok(3 * GIB + 2 * PAGE, FAKE_WRITE);
	access_ok(3 * GIB + 3 * PAGE, FAKE_READ);
	access_ok(3 * GIB + 5 * PAGE, FAKE_EXEC);
	expect_inspect(
		INSPECT_STAGE2,
		"Stage-2 tables\n"
		"  mmu                        %14llu\n"
		"  state                      in use\n"
		"  ipa_bits                               40\n"
		"  ipa                                      size  leaf  access  flags  hva\n"
		"  0x0000000000200000-0x0000000000400000      2M    2M  RW-     AF     0x%016llx\n"
		"  0x00000000c0001000-0x00000000c0003000      8K    4K  RW-     AF     0x%016llx\n"
		"  0x00000000c0003000-0x00000000c0004000      4K    4K  R--     AF     0x%016llx\n"
		"  0x00000000c0005000-0x00000000c0006000      4K    4K  R-X     AF     0x%016llx\n"
		"  level  entry      tables      leaves      mapped\n"
		"      1     1G           2           0           0\n"
		"      2     2M           2           1          2M\n"
		"      3     4K           1           4         16K\n"
		"  changing                                0\n",
		(unsigned long long)r.m.mmu.id, HVA(mem), HVA(mem + 2 * MIB + PAGE),
		HVA(mem + 2 * MIB + 3 * PAGE), HVA(mem + 2 * MIB + 5 * PAGE));
	EXPECT(rig_stop(&r));
	munmap(mem, 4 * MIB);
}

TEST(a_range_goes_on_over_pieces)
{
	char *mem = rig_map(8 * MIB, 2 * MIB), line[160], *text;
	struct gate g;

	rig_start(&r);
	r.m.block_policy = BLOCK_NONE;
	ASSERT_EQ(rig_slot(&r.m, 0, 2 * MIB, 8 * MIB, mem, 0), 0);
	for (u64 ipa = 0; ipa < 8 * MIB; ipa += PAGE)
		access_ok(2 * MIB + ipa, FAKE_WRITE);
	gate_arm(&g, HOOK_INSPECT_STEP, 0);
	a32_store(&g.state, 2);
	ASSERT_EQ(inspect(INSPECT_STAGE2, &text), 0);
	gate_disarm(&g);
	/* G-INSPECT-C: 2048 leaves, 511 empty entries of the L2 table and more of L1, so many at a time. */
	EXPECT_CMP(a32_load(&g.hits), >=, 2048 / INSPECT_STEP + 1);
	snprintf(line, sizeof(line),
		 "  0x0000000000200000-0x0000000000a00000      8M    4K  RW-     AF     "
		 "0x%016llx\n  level",
		 HVA(mem));
	if (!strstr(text, line))
		TEST_FAIL("no %s in %s", line, text);
	EXPECT(strstr(text, "      3     4K           4        2048          8M\n"));
	free(text);
	EXPECT(rig_stop(&r));
	munmap(mem, 8 * MIB);
}

/* --- what changes meanwhile ---------------------------------------------------------------------------------------- */

static char *helper_text;

static void inspect_tables(void *arg)
{
	if (inspect(INSPECT_STAGE2, &helper_text))
		abort();
}

/* Pages [first, 512) of the 2 MiB at ipa, one leaf each; the next fault makes a block of it. */
static void map_pages(u64 ipa, unsigned first)
{
	r.m.block_policy = BLOCK_NONE;
	for (unsigned i = first; i < 512; i++)
		access_ok(ipa + i * PAGE, FAKE_WRITE);
	r.m.block_policy = BLOCK_LINEAR;
}

TEST(a_block_that_comes_between_two_pieces_is_told_in_part)
{
	char *mem = rig_map(2 * MIB, 2 * MIB), want[512];
	struct helper h;
	struct gate g;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 2 * MIB, 2 * MIB, mem, 0), 0);
	map_pages(2 * MIB, 1);
	/* The first piece: one empty entry of level 2, then 511 of 512 pages. */
	gate_arm(&g, HOOK_INSPECT_STEP, 0);
	helper_start(&h, inspect_tables, NULL);
	ASSERT(gate_wait(&g));
	access_ok(2 * MIB, FAKE_WRITE);
	gate_disarm(&g);
	helper_join(&h);
	snprintf(want, sizeof(want),
		 "  0x0000000000201000-0x00000000003ff000   2040K    4K  RW-     AF     0x%016llx\n"
		 "  0x00000000003ff000-0x0000000000400000      4K    2M  RW-     AF     "
		 "0x%016llx\n  level",
		 HVA(mem + PAGE), HVA(mem + 2 * MIB - PAGE));
	if (!strstr(helper_text, want))
		TEST_FAIL("no\n%s in\n%s", want, helper_text);
	free(helper_text);
	EXPECT(rig_stop(&r));
	munmap(mem, 2 * MIB);
}

static void barrier_main(void *arg)
{
	rcu_barrier();
}

TEST(I21_a_table_that_is_looked_at_is_not_freed)
{
	char *mem = rig_map(2 * MIB, 2 * MIB);
	struct helper h, barrier;
	struct gate g;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 2 * MIB, mem, 0), 0);
	map_pages(0, 1);
	gate_arm(&g, HOOK_INSPECT_ENTRY, 0);
	helper_start(&h, inspect_tables, NULL);
	ASSERT(gate_wait(&g));
	/* Also under mmu_lock read: a block takes the table's place. */
	access_ok(0, FAKE_WRITE);
	helper_start(&barrier, barrier_main, NULL);
	EXPECT(!helper_ended_within(&barrier, 50));
	gate_disarm(&g);
	helper_join(&h);
	helper_join(&barrier);
	free(helper_text);
	EXPECT(rig_stop(&r));
	munmap(mem, 2 * MIB);
}

static void write_lock_main(void *arg)
{
	write_lock(&r.m.mmu_lock);
	write_unlock(&r.m.mmu_lock);
}

TEST(a_look_at_a_table_keeps_exclusive_walks_away)
{
	char *mem = rig_map(2 * MIB, 2 * MIB);
	struct helper h, writer;
	struct gate g;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 2 * MIB, mem, 0), 0);
	access_ok(0, FAKE_WRITE);
	gate_arm(&g, HOOK_INSPECT_ENTRY, 0);
	helper_start(&h, inspect_tables, NULL);
	ASSERT(gate_wait(&g));
	helper_start(&writer, write_lock_main, NULL);
	EXPECT(!helper_ended_within(&writer, 50));
	gate_disarm(&g);
	helper_join(&h);
	helper_join(&writer);
	free(helper_text);
	EXPECT(rig_stop(&r));
	munmap(mem, 2 * MIB);
}

/* --- other sections ------------------------------------------------------------------------------------------------ */

TEST(shadow_mmus_are_told_with_their_keys)
{
	const u64 vttbr = 5ull << 48 | 0x12345000, other = 6ull << 48;
	char *mem = rig_map(2 * MIB, 0), *text, row[256];
	u64 id;

	rig_start(&r);
	r.m.block_policy = BLOCK_NONE;
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 2 * MIB, mem, 0), 0);
	ASSERT_EQ(nested_mmu_grow(&r.m), 0);
	/* two for the vCPU, with a root each */
	EXPECT_EQ(mem_table_pages(&r.m), 4);
	ASSERT_EQ(nested_mmu_load(&r.m, &r.v.mem, vttbr, 0x80000018, false), 0);
	id = r.v.mem.nested->mmu.id;
	access_ok(4 * PAGE, FAKE_WRITE);
	ASSERT_EQ(inspect(INSPECT_NESTED, &text), 0);
	nested_mmu_put(&r.v.mem);
	EXPECT_EQ(mem_table_pages(&r.m), 7);

	snprintf(row, sizeof(row),
		 "\n       0  %6llu  0x0005000012345000  0x0000000080000018  off          1        "
		 " 4  valid\n",
		 (unsigned long long)id);
	if (!strstr(text, row) || !strstr(text, "  free\n"))
		TEST_FAIL("no %s in %s", row, text);
	snprintf(row, sizeof(row),
		 "\nTables of shadow MMU 0\n"
		 "  mmu                        %14llu\n"
		 "  state                      in use\n"
		 "  ipa_bits                               48\n",
		 (unsigned long long)id);
	EXPECT(strstr(text, row));
	snprintf(
		row, sizeof(row),
		"  0x0000000000004000-0x0000000000005000      4K    4K  RW-     AF     0x%016llx\n",
		HVA(mem + 4 * PAGE));
	EXPECT(strstr(text, row));
	free(text);
	/* the second key takes the free one, the third a used one */
	ASSERT_EQ(nested_mmu_load(&r.m, &r.v.mem, other, 0x80000018, true), 0);
	nested_mmu_put(&r.v.mem);
	EXPECT_EQ(a64_load(&r.m.stats.nested_recycles), 0);
	ASSERT_EQ(nested_mmu_load(&r.m, &r.v.mem, other + PAGE, 0x80000018, true), 0);
	EXPECT_EQ(a64_load(&r.m.stats.nested_recycles), 1);
	EXPECT_EQ(a64_load(&r.m.stats.nested_loads), 3);
	ASSERT_EQ(inspect(INSPECT_NESTED, &text), 0);
	EXPECT(strstr(text, "  on           1         4  to be emptied\n"));
	free(text);
	nested_mmu_sync(&r.m, &r.v.mem);
	EXPECT_EQ(a64_load(&r.m.stats.nested_unmaps), 1);
	nested_mmu_put(&r.v.mem);
	EXPECT(rig_stop(&r));
	munmap(mem, 2 * MIB);
}

TEST(pairs_in_flight_are_told)
{
	char *mem = rig_map(2 * MIB, 0);
	struct mem_inval_token t;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, GIB, 2 * MIB, mem, 0), 0);
	mem_invalidate_start(HVA(mem + 4 * PAGE), HVA(mem + 6 * PAGE), 0, &t);
	expect_inspect(INSPECT_NOTIFIER,
		       "Notifier\n"
		       "  mn_active                               1\n"
		       "  slot_swap                  none waits\n"
		       "  inv_in_progress                         1\n"
		       "  inv_range                  0x0000000040004000-0x0000000040006000\n"
		       "  inv_seq                                 0\n");
	mem_invalidate_end(&t);
	expect_inspect(INSPECT_NOTIFIER, "Notifier\n"
					 "  mn_active                               0\n"
					 "  slot_swap                  none waits\n"
					 "  inv_in_progress                         0\n"
					 "  inv_seq                                 1\n");
	EXPECT(rig_stop(&r));
	munmap(mem, 2 * MIB);
}

TEST(caches_are_told)
{
	char *mem = rig_map(2 * MIB, 0), *text;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 2 * MIB, mem, MEMSLOT_LOG_DIRTY), 0);
	fake_enter(&r.v);
	access_ok(0, FAKE_WRITE);
	ASSERT_EQ(inspect(INSPECT_CACHES, &text), 0);
	EXPECT(strstr(text, "  vma_facts                               1\n"));
	EXPECT(strstr(text, "\n      7  guest               0             0           0            "
			    "0          0          0\n"));
	fake_leave(&r.v);
	free(text);
	EXPECT(rig_stop(&r));
	munmap(mem, 2 * MIB);
}

TEST(a_machine_whose_memory_was_given_up_is_told)
{
	char *mem = rig_map(2 * MIB, 0), *text;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 2 * MIB, mem, 0), 0);
	access_ok(0, FAKE_WRITE);
	mm_release();
	ASSERT_EQ(inspect(~0ull, &text), 0);
	EXPECT(strstr(text, "  state                      torn down\n"));
	EXPECT(!strstr(text, "RW-"));
	EXPECT(strstr(text, "  nr_slots                                1\n"));
	free(text);
	EXPECT(rig_stop(&r));
	munmap(mem, 2 * MIB);
}

TEST(without_memory_nothing_is_told)
{
	char *text;

	rig_start(&r);
	for (u64 nth = 1; nth <= 2; nth++) {
		host_alloc_fail_at(nth);
		EXPECT_EQ(inspect(~0ull, &text), -ENOMEM);
		host_alloc_fail_at(0);
		EXPECT(!text);
	}
	/* The two are all there is. */
	host_alloc_fail_at(3);
	EXPECT_EQ(inspect(~0ull, &text), 0);
	EXPECT_EQ(host_alloc_fail_at(0), 1);
	free(text);
	EXPECT(rig_stop(&r));
}

/* --- everything at once -------------------------------------------------------------------------------------------- */

#define AREA (4 * MIB)
static struct a32 over;
static char *area;

static void vcpu_main(void *arg)
{
	struct fake_vcpu *v = arg;
	u64 seed = (uintptr_t)v;
	u32 x = 1;

	fake_enter(v);
	while (!a32_load(&over)) {
		u64 n = next_random(&seed);

		fake_access(v, (n >> 8) % 2 * GIB + (n >> 16) % (AREA / PAGE) * PAGE, n % 3, &x);
		fake_poll(v);
	}
	fake_leave(v);
}

/* The same as somebody's guest: four keys for the four shadow MMUs of two vCPUs, and one more. */
static void nested_main(void *arg)
{
	struct fake_vcpu *v = arg;
	u64 seed = 7;
	u32 x = 1;

	while (!a32_load(&over)) {
		u64 n = next_random(&seed);

		if (nested_mmu_load(&r.m, &v->mem, (n % 5) << 48, 0, false))
			continue;
		nested_mmu_sync(&r.m, &v->mem);
		for (unsigned i = 0; i < 8; i++)
			fake_access(v, (n >> 16) % (AREA / PAGE) * PAGE, FAKE_WRITE, &x);
		nested_mmu_put(&v->mem);
	}
}

static void slots_main(void *arg)
{
	u64 seed = 5;

	while (!a32_load(&over)) {
		u64 n = next_random(&seed);

		rig_slot(&r.m, n % 2, n % 2 * GIB, n & 2 ? AREA : 0, area,
			 n & 8 ? MEMSLOT_LOG_DIRTY : 0);
	}
}

static void pairs_main(void *arg)
{
	u64 seed = 6;

	while (!a32_load(&over)) {
		u64 n = next_random(&seed), page = (n >> 8) % (AREA / PAGE - 16);
		struct mem_inval_token t;

		mem_invalidate_start(HVA(area + page * PAGE),
				     HVA(area + (page + n % 16 + 1) * PAGE),
				     n & 16 ? MEM_INVAL_KEEP_VMA : 0, &t);
		mem_invalidate_end(&t);
	}
}

/* Ranges of the table part come in order and do not overlap. */
static bool ranges_in_order(const char *text)
{
	const char *line = strstr(text, "  ipa  ");
	unsigned long long start, end, before = 0;

	for (line = line ? strchr(line, '\n') : NULL;
	     line && sscanf(line + 1, " 0x%llx-0x%llx", &start, &end) == 2;
	     line = strchr(line + 1, '\n')) {
		if (start < before || end <= start)
			return false;
		before = end;
	}
	return true;
}

TEST(looking_while_everything_changes)
{
	const u64 rounds = test_rounds(300, 30000);
	struct helper h[4];

	area = rig_map(AREA, 2 * MIB);
	rig_start(&r);
	fake_vcpu_init(&second, &r.m);
	for (unsigned i = 0; i < 2; i++)
		ASSERT_EQ(nested_mmu_grow(&r.m), 0);
	a32_store(&over, 0);
	helper_start(&h[0], vcpu_main, &r.v);
	helper_start(&h[1], nested_main, &second);
	helper_start(&h[2], slots_main, NULL);
	helper_start(&h[3], pairs_main, NULL);
	for (u64 i = 0; i < rounds; i++) {
		char *text;

		ASSERT_EQ(inspect(~0ull, &text), 0);
		if (!ranges_in_order(text))
			TEST_FAIL("%s", text);
		free(text);
		mem_table_pages(&r.m);
		/* The end comes in the middle. */
		if (i == rounds * 3 / 4)
			mm_release();
	}
	a32_store(&over, 1);
	for (unsigned i = 0; i < 4; i++)
		helper_join(&h[i]);
	fake_vcpu_fini(&second);
	EXPECT(rig_stop(&r));
	munmap(area, AREA);
}
