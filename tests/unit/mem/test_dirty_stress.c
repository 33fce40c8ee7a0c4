/* SPDX-License-Identifier: MIT */
/*
 * Four writers against a harvest that never ends (I-22, I-23): no write is lost or reported clean.
 *
 * seen[i] is what page i held when its last report was done with. Before each harvest every page is looked at: one that differs
 * from seen was written since, and this harvest must name it. Every so often logging goes off, so that blocks come back, and on
 * again, whereupon all is copied, as a VMM does.
 */
#include <sched.h>

#include "mem/dirty_bitmap.h"
#include "rig.h"
#include "test.h"

#define WRITERS	   4
#define PAGES	   64u /* that are written: spread over the slot */
#define RING_BYTES 4096u

struct mode {
	bool ring, bitmap;
	u64 manual, chunk;
};

static struct rig r;
static struct fake_vcpu more[WRITERS - 1];
static struct a32 over, bursts;
static u64 reports;
static char *mem;
static u64 size, step;
static u32 seen[PAGES];
static bool reported[PAGES];
static u64 bits[GIB / PAGE / 64], ask[GIB / PAGE / 64];

static struct fake_vcpu *vcpu(unsigned i)
{
	return i ? &more[i - 1] : &r.v;
}

/* Each page lies at another place in its part of the slot, so that parts do not share their last-level index. */
static u64 page_at(unsigned i)
{
	return i * step + i % step;
}

static u32 content(unsigned i)
{
	u32 x = 0;

	guarded_load32(mem + page_at(i) * PAGE, &x);
	return x;
}

/*
 * Leaves the guest after a few writes and gives the core away there: a flush that had to wait for a preempted writer would cost
 * a time slice.
 */
static void writer(void *arg)
{
	struct fake_vcpu *v = arg;
	u64 seed = (uintptr_t)v;
	u32 n = (uintptr_t)v >> 4;

	while (!a32_load(&over)) {
		fake_enter(v);
		for (unsigned i = 0; i < 4; i++) {
			int ret;

			n += 1 + WRITERS;
			ret = fake_access(v, page_at(next_random(&seed) % PAGES) * PAGE, FAKE_WRITE,
					  &n);
			if (ret == FAKE_RING_FULL)
				break;
			if (ret)
				abort();
		}
		fake_leave(v);
		a32_fetch_add(&bursts, 1);
		sched_yield();
	}
}

/* A round without a write says nothing. */
static void wait_for_writers(void)
{
	u32 before = a32_load(&bursts);

	while (a32_load(&bursts) == before)
		sched_yield();
}

/* --- harvests: what is reported, and only then may be read ------------------------------------------------------------- */

static void harvest_bitmap(const struct mode *m)
{
	EXPECT_EQ(mem_get_dirty_log(&r.m, 0, bits), 0);
	for (unsigned i = 0; i < PAGES; i++)
		reported[i] |= bits[page_at(i) / 64] >> page_at(i) % 64 & 1;
	if (!m->manual)
		return;
	/* Everything named is cleared; the whole slot in one call. */
	memcpy(ask, bits, size / PAGE / 8);
	EXPECT_EQ(mem_clear_dirty_log(&r.m, 0, size / PAGE, 0, ask), 0);
}

static void harvest_rings(void)
{
	unsigned collected = 0;
	u64 page;
	u32 slot;

	for (unsigned v = 0; v < WRITERS; v++) {
		/* No more than there can be: the writer goes on. */
		for (unsigned n = 0; n < RING_BYTES / 16 && rig_collect(vcpu(v), &slot, &page);
		     n++) {
			unsigned i = page / step;

			EXPECT_EQ(slot, 0);
			if (i < PAGES && page_at(i) == page)
				reported[i] = true;
			collected++;
		}
	}
	EXPECT_EQ(mem_reset_dirty_rings(&r.m), collected);
}

/* Everything that could tell why: the log, the table, the TLBs. */
static void lost(unsigned long round, unsigned i)
{
	struct memslot *s = memslot_find_id(memslot_active(&r.m), 0);
	u64 page = page_at(i);
	struct s2_result out = {0};
	struct mem_fault f = {0};
	bool w = !s2_lookup(&r.m.mmu, page * PAGE, true, false, false, &out, &f);

	TEST_FAIL("round %lu: page %u changed and was not reported", round, i);
	printf("#   seen 0x%x, now 0x%x, %s, level %u, %llu faults recovered\n", seen[i],
	       content(i), w ? "writable" : "not writable", w ? out.level : f.level,
	       (long long)guarded_nr_recovered());
	if (s->dirty_bitmap)
		printf("#   live 0x%llx, summary 0x%llx\n",
		       (long long)a64_load(&s->dirty_bitmap[page / 64]),
		       (long long)a64_load(&bitmap_summary(s)[page / 64 / 64]));
	for (unsigned v = 0; v < WRITERS; v++) {
		const struct fake_tlb_entry *e = fake_tlb_find(vcpu(v), page * PAGE);

		printf("#   vcpu %u: %s, posted %lld, acked %lld, mode %u\n", v,
		       !e     ? "no entry"
		       : e->w ? "writable"
			      : "read-only",
		       (long long)a64_load(&vcpu(v)->tlb.posted),
		       (long long)a64_load(&vcpu(v)->tlb.acked), a32_load(&vcpu(v)->tlb.mode));
	}
}

static void round_of(const struct mode *m, unsigned long round)
{
	bool changed[PAGES];
	u32 x = round;

	/* A write that is no vCPU's. */
	if (m->bitmap && !(round % 16))
		EXPECT_EQ(mem_write_guest(&r.m, NULL, page_at(round / 16 % PAGES) * PAGE, &x, 4),
			  0);
	for (unsigned i = 0; i < PAGES; i++) {
		changed[i] = content(i) != seen[i];
		reported[i] = false;
	}
	/* Who was seen to have written, has marked it before. */
	fence_acquire();
	if (m->ring)
		harvest_rings();
	if (m->bitmap)
		harvest_bitmap(m);
	for (unsigned i = 0; i < PAGES; i++) {
		reports += reported[i];
		if (reported[i])
			seen[i] = content(i);
		else if (changed[i])
			lost(round, i);
	}
}

static void toggle_logging(void)
{
	ASSERT_EQ(rig_slot(&r.m, 0, 0, size, mem, 0), 0);
	sched_yield();
	ASSERT_EQ(rig_slot(&r.m, 0, 0, size, mem, MEMSLOT_LOG_DIRTY), 0);
	for (unsigned i = 0; i < PAGES; i++)
		seen[i] = content(i);
}

static void storm(const struct mode *m, u64 slot_size)
{
	struct helper h[WRITERS];
	unsigned long rounds = test_rounds(2000, 1000000);

	reports = 0;
	size = slot_size;
	step = size / PAGE / PAGES;
	mem = rig_map(size, size);
	rig_start_rings(&r, m->ring ? RING_BYTES : 0, m->ring && m->bitmap);
	for (unsigned i = 1; i < WRITERS; i++)
		fake_vcpu_init(vcpu(i), &r.m);
	ASSERT_EQ(mem_set_manual_protect(&r.m, m->manual), 0);
	ASSERT_EQ(mem_set_split_chunk(&r.m, m->chunk), 0);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, size, mem, 0), 0);
	a32_store(&over, 0);
	for (unsigned i = 0; i < WRITERS; i++)
		helper_start(&h[i], writer, vcpu(i));
	for (unsigned long round = 0; round < rounds && !test_failed; round++) {
		/* Splitting a block of 1 GiB is the work of many rounds. */
		if (!(round % (size == GIB ? 5000 : 1000)))
			toggle_logging();
		round_of(m, round);
		wait_for_writers();
	}
	EXPECT_CMP(reports, >=, rounds);
	a32_store(&over, 1);
	for (unsigned i = 0; i < WRITERS; i++)
		helper_join(&h[i]);
	/* With nobody left: what the last harvest names is the last that changed. */
	round_of(m, 1);
	for (unsigned i = 0; i < PAGES; i++)
		EXPECT_EQ(content(i), seen[i]);
	EXPECT(rig_at_rest(&r.m));
	for (unsigned i = 1; i < WRITERS; i++)
		fake_vcpu_fini(vcpu(i));
	EXPECT(rig_stop(&r));
	munmap(mem, size);
}

static const struct mode bitmap = {.bitmap = true}, manual = {.bitmap = true, .manual = 1},
			 initially_set = {.bitmap = true, .manual = 3, .chunk = 2 * MIB},
			 ring = {.ring = true, .chunk = GIB},
			 ring_with_bitmap = {.ring = true, .bitmap = true};

TEST(I22_bitmap_2m)
{
	storm(&bitmap, 2 * MIB);
}
TEST(I22_bitmap_1g)
{
	storm(&bitmap, GIB);
}
TEST(I22_manual_2m)
{
	storm(&manual, 2 * MIB);
}
TEST(I22_manual_1g)
{
	storm(&manual, GIB);
}
TEST(I22_initially_set_2m)
{
	storm(&initially_set, 2 * MIB);
}
TEST(I22_initially_set_1g)
{
	storm(&initially_set, GIB);
}
TEST(I22_ring_2m)
{
	storm(&ring, 2 * MIB);
}
TEST(I22_ring_1g)
{
	storm(&ring, GIB);
}
TEST(I22_ring_with_bitmap_2m)
{
	storm(&ring_with_bitmap, 2 * MIB);
}
TEST(I22_ring_with_bitmap_1g)
{
	storm(&ring_with_bitmap, GIB);
}
