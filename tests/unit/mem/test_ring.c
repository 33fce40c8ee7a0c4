/* SPDX-License-Identifier: MIT */
/* Dirty rings: one vCPU's pages reported through memory that user space owns as much as the library does. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "host/pages.h"
#include "host/signal.h"
#include "rig.h"
#include "test.h"

#define ENTRIES	   256u
#define RING_BYTES (ENTRIES * 16)
#define SOFT	   (ENTRIES - 64)

static struct rig r;
static char *mem;
static u64 bits[512];

static int write_page(struct fake_vcpu *v, u64 page)
{
	u32 x = page;

	return fake_access(v, page * PAGE, FAKE_WRITE, &x);
}

static bool writable(u64 ipa)
{
	struct s2_result out;
	struct mem_fault f = {0};

	return !s2_lookup(&r.m.mmu, ipa, true, false, false, &out, &f);
}

/* Entries of v up to the first that is not there: how many; *last: the page of the last. */
static unsigned collect(struct fake_vcpu *v, u64 *last)
{
	unsigned n = 0;
	u32 slot;

	while (rig_collect(v, &slot, last)) {
		EXPECT_EQ(slot, 0);
		n++;
	}
	return n;
}

static void start(bool with_bitmap, u64 size)
{
	mem = rig_map(size, size >= 2 * MIB ? size : 0);
	rig_start_rings(&r, RING_BYTES, with_bitmap);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, size, mem, MEMSLOT_LOG_DIRTY), 0);
}

static void stop(u64 size)
{
	EXPECT(rig_stop(&r));
	munmap(mem, size);
}

TEST(rings_are_enabled_once_before_vcpus_with_a_size_that_fits)
{
	u32 page = host_page_size();

	rig_start(&r);
	EXPECT_EQ(mem_enable_ring_bitmap(&r.m), -EINVAL);
	EXPECT_EQ(mem_reset_dirty_rings(&r.m), -EINVAL);
	EXPECT_EQ(mem_enable_dirty_ring(&r.m, 0, false), -EINVAL);
	EXPECT_EQ(mem_enable_dirty_ring(&r.m, 3 * page, false), -EINVAL);
	EXPECT_EQ(mem_enable_dirty_ring(&r.m, page / 2, false), -EINVAL);
	EXPECT_EQ(mem_enable_dirty_ring(&r.m, 2 * 65536 * 16, false), -E2BIG);
	EXPECT_EQ(mem_enable_dirty_ring(&r.m, 65536 * 16, true), -EINVAL);
	EXPECT_EQ(mem_enable_dirty_ring(&r.m, page, false), 0);
	EXPECT_EQ(mem_enable_dirty_ring(&r.m, page, false), -EINVAL);
	EXPECT_EQ(mem_reset_dirty_rings(&r.m), 0);
	mem = rig_map(PAGE, 0);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, PAGE, mem, MEMSLOT_LOG_DIRTY), 0);
	EXPECT(!memslot_find_id(memslot_active(&r.m), 0)->dirty_bitmap);
	EXPECT_EQ(mem_enable_ring_bitmap(&r.m), -EINVAL);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 0, mem, 0), 0);
	EXPECT_EQ(mem_enable_ring_bitmap(&r.m), 0);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, PAGE, mem, MEMSLOT_LOG_DIRTY), 0);
	EXPECT(memslot_find_id(memslot_active(&r.m), 0)->dirty_bitmap);
	stop(PAGE);
}

TEST(a_ring_alone_has_no_bitmap_to_get_or_clear)
{
	start(false, 64 * PAGE);
	EXPECT_EQ(mem_get_dirty_log(&r.m, 0, bits), -ENXIO);
	EXPECT_EQ(mem_get_dirty_log(&r.m, 1u << 16, bits), -ENXIO);
	EXPECT_EQ(mem_clear_dirty_log(&r.m, 0, 64, 0, bits), -ENXIO);
	stop(64 * PAGE);
}

TEST(each_page_is_reported_once_until_it_is_reset)
{
	u64 page;
	u32 slot, x;

	start(false, 100 * PAGE);
	EXPECT_EQ(write_page(&r.v, 7), 0);
	EXPECT_EQ(write_page(&r.v, 99), 0);
	EXPECT_EQ(write_page(&r.v, 7), 0);
	EXPECT_EQ(fake_access(&r.v, 5 * PAGE, FAKE_READ, &x), 0);
	EXPECT(rig_collect(&r.v, &slot, &page));
	EXPECT_EQ(slot, 0);
	EXPECT_EQ(page, 7);
	EXPECT(rig_collect(&r.v, &slot, &page));
	EXPECT_EQ(page, 99);
	EXPECT(!rig_collect(&r.v, &slot, &page));
	EXPECT(writable(7 * PAGE) && writable(99 * PAGE));
	EXPECT_EQ(mem_reset_dirty_rings(&r.m), 2);
	EXPECT(!writable(7 * PAGE) && !writable(99 * PAGE));
	EXPECT_EQ(mem_reset_dirty_rings(&r.m), 0);
	EXPECT_EQ(write_page(&r.v, 99), 0);
	EXPECT_EQ(collect(&r.v, &page), 1);
	EXPECT_EQ(page, 99);
	stop(100 * PAGE);
}

TEST(entries_that_were_not_collected_stay)
{
	u64 page;
	u32 slot;

	start(false, 100 * PAGE);
	for (u64 i = 0; i < 10; i++)
		EXPECT_EQ(write_page(&r.v, i), 0);
	for (u64 i = 0; i < 4; i++)
		EXPECT(rig_collect(&r.v, &slot, &page));
	EXPECT_EQ(mem_reset_dirty_rings(&r.m), 4);
	for (u64 i = 0; i < 10; i++)
		EXPECT_EQ(writable(i * PAGE), i >= 4);
	EXPECT_EQ(collect(&r.v, &page), 6);
	EXPECT_EQ(mem_reset_dirty_rings(&r.m), 6);
	stop(100 * PAGE);
}

TEST(a_full_ring_stops_the_guest_until_it_is_reset)
{
	u64 page;
	u32 slot;

	start(false, 1024 * PAGE);
	for (u64 i = 0; i < SOFT - 1; i++)
		EXPECT_EQ(write_page(&r.v, i), 0);
	/* The entry is made, the access is not: the guest is left before it. */
	EXPECT_EQ(write_page(&r.v, SOFT - 1), FAKE_RING_FULL);
	EXPECT_EQ(write_page(&r.v, SOFT), FAKE_RING_FULL);
	EXPECT_EQ(write_page(&r.v, 0), FAKE_RING_FULL);
	/* Collected is not reset. */
	EXPECT(rig_collect(&r.v, &slot, &page));
	EXPECT_EQ(write_page(&r.v, SOFT), FAKE_RING_FULL);
	EXPECT_EQ(mem_reset_dirty_rings(&r.m), 1);
	EXPECT_EQ(write_page(&r.v, 0), FAKE_RING_FULL);
	EXPECT_EQ(collect(&r.v, &page), SOFT);
	EXPECT_EQ(page, 0);
	EXPECT_EQ(mem_reset_dirty_rings(&r.m), SOFT);
	EXPECT_EQ(write_page(&r.v, 0), 0);
	EXPECT_EQ(collect(&r.v, &page), 1);
	EXPECT_EQ(mem_reset_dirty_rings(&r.m), 1);
	/* Several times around. */
	for (u64 i = 0; i < 1000; i++) {
		EXPECT_EQ(write_page(&r.v, i), 0);
		EXPECT_EQ(collect(&r.v, &page), 1);
		EXPECT_EQ(page, i);
		EXPECT_EQ(mem_reset_dirty_rings(&r.m), 1);
	}
	stop(1024 * PAGE);
}

TEST(without_any_room_a_fault_maps_nothing)
{
	enum mem_fault_action action;
	u64 page;

	start(false, 1024 * PAGE);
	for (u64 i = 0; i < ENTRIES; i++) {
		const struct mem_fault f = {.ipa = i * PAGE, .level = 3, .write = true};

		/* Past the limit that KVM_RUN heeds, as only a bug could. */
		EXPECT_EQ(mem_fault_handle(&r.m, &r.v.mem, &f, &action), 0);
		EXPECT(writable(i * PAGE));
	}
	const struct mem_fault f = {.ipa = ENTRIES * PAGE, .level = 3, .write = true};

	EXPECT_EQ(mem_fault_handle(&r.m, &r.v.mem, &f, &action), 0);
	EXPECT_EQ(action, MEM_FAULT_RETRY);
	EXPECT(!writable(ENTRIES * PAGE));
	EXPECT_EQ(collect(&r.v, &page), ENTRIES);
	EXPECT_EQ(mem_reset_dirty_rings(&r.m), ENTRIES);
	EXPECT_EQ(write_page(&r.v, ENTRIES), 0);
	stop(1024 * PAGE);
}

/* --- I-22, I-23 ------------------------------------------------------------------------------------------------------ */

static void write_page_0(void *arg)
{
	write_page(&r.v, 0);
}

TEST(I22_the_entry_is_there_as_soon_as_the_page_is_writable)
{
	struct helper h;
	struct gate g;
	u64 page;

	start(false, PAGE);
	gate_arm(&g, HOOK_FAULT_DONE, 0);
	helper_start(&h, write_page_0, NULL);
	ASSERT(gate_wait(&g));
	EXPECT(writable(0));
	EXPECT_EQ(collect(&r.v, &page), 1);
	gate_open(&g);
	helper_join(&h);
	gate_disarm(&g);
	stop(PAGE);
}

static void every_page_of_a_block(u64 size, u64 manual)
{
	u64 step = size / 128, page;

	mem = rig_map(size, size);
	rig_start_rings(&r, RING_BYTES, false);
	ASSERT_EQ(mem_set_manual_protect(&r.m, manual), 0);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, size, mem, 0), 0);
	EXPECT_EQ(write_page(&r.v, 0), 0);
	EXPECT(writable(size - PAGE));
	ASSERT_EQ(rig_slot(&r.m, 0, 0, size, mem, MEMSLOT_LOG_DIRTY), 0);
	EXPECT(!writable(0) && !writable(size - PAGE));
	for (u64 at = 0; at < size; at += step) {
		EXPECT_EQ(write_page(&r.v, at / PAGE + 3), 0);
		EXPECT_EQ(collect(&r.v, &page), 1);
		EXPECT_EQ(page, at / PAGE + 3);
		EXPECT(!writable(at));
		EXPECT_EQ(mem_reset_dirty_rings(&r.m), 1);
		EXPECT(!writable(at + 3 * PAGE));
	}
	stop(size);
}

TEST(I23_every_page_written_in_a_block_of_2_mib_is_reported)
{
	every_page_of_a_block(2 * MIB, 0);
}

TEST(I23_every_page_written_in_a_block_of_1_gib_is_reported)
{
	every_page_of_a_block(GIB, 0);
	/* A ring has nothing that could be set initially. */
	every_page_of_a_block(GIB, 3);
}

TEST(writes_of_the_library_go_to_the_ring_of_the_running_vcpu_or_to_the_bitmap)
{
	u64 page;
	u32 x = 1;

	start(true, 100 * PAGE);
	EXPECT_EQ(mem_write_guest(&r.m, &r.v.mem, 3 * PAGE, &x, 4), 0);
	EXPECT_EQ(mem_write_guest(&r.m, &r.v.mem, 3 * PAGE + 8, &x, 4), 0);
	EXPECT_EQ(mem_write_guest(&r.m, NULL, 4 * PAGE, &x, 4), 0);
	EXPECT_EQ(mem_get_dirty_log(&r.m, 0, bits), 0);
	EXPECT_EQ(bits[0], BIT(4));
	EXPECT_EQ(bits[1], 0);
	/* The same page again is the same entry, until that is reset. */
	EXPECT_EQ(collect(&r.v, &page), 1);
	EXPECT_EQ(page, 3);
	EXPECT_EQ(mem_reset_dirty_rings(&r.m), 1);
	EXPECT_EQ(mem_write_guest(&r.m, &r.v.mem, 3 * PAGE, &x, 4), 0);
	EXPECT_EQ(collect(&r.v, &page), 1);
	/* Out of room: the bitmap. */
	EXPECT_EQ(mem_reset_dirty_rings(&r.m), 1);
	for (u64 i = 0; i < ENTRIES; i++)
		EXPECT_EQ(mem_write_guest(&r.m, &r.v.mem, i % 64 * PAGE, &x, 4), 0);
	EXPECT_EQ(mem_write_guest(&r.m, &r.v.mem, 99 * PAGE, &x, 4), 0);
	EXPECT_EQ(mem_get_dirty_log(&r.m, 0, bits), 0);
	EXPECT_EQ(bits[0], 0);
	EXPECT_EQ(bits[1], BIT(35));
	stop(100 * PAGE);
}

TEST(a_slot_that_does_not_log_fills_no_ring)
{
	u64 page;
	u32 x = 1;

	start(true, 64 * PAGE);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 64 * PAGE, mem, 0), 0);
	EXPECT_EQ(write_page(&r.v, 1), 0);
	EXPECT_EQ(mem_write_guest(&r.m, &r.v.mem, 2 * PAGE, &x, 4), 0);
	EXPECT_EQ(collect(&r.v, &page), 0);
	stop(64 * PAGE);
}

/* --- reset ----------------------------------------------------------------------------------------------------------- */

static int reset_result;

static void reset(void *arg)
{
	reset_result = mem_reset_dirty_rings(&r.m);
}

TEST(a_reset_holds_slots_lock_until_no_vcpu_writes_through_what_it_closed)
{
	struct helper h;
	u64 page;

	start(false, 64 * PAGE);
	fake_enter(&r.v);
	EXPECT_EQ(write_page(&r.v, 1), 0);
	ASSERT(fake_tlb_find(&r.v, PAGE) && fake_tlb_find(&r.v, PAGE)->w);
	EXPECT_EQ(collect(&r.v, &page), 1);
	helper_start(&h, reset, NULL);
	/* Asked to flush, this vCPU does not answer yet. */
	for (unsigned i = 0; i < 10000 && !a32_load(&r.v.tlb.attention); i++)
		sleep_ms(1);
	for (unsigned i = 0; i < 50; i++) {
		/* A look, no try: this thread is in guest mode (LO-7). */
		if (!a32_load(&r.m.slots_lock.state)) {
			EXPECT(!"slots_lock is free before the flush is over");
			break;
		}
		sleep_ms(1);
	}
	while (!helper_ended_within(&h, 1))
		fake_poll(&r.v);
	fake_poll(&r.v);
	EXPECT(!fake_tlb_find(&r.v, PAGE));
	fake_leave(&r.v);
	helper_join(&h);
	EXPECT_EQ(reset_result, 1);
	stop(64 * PAGE);
}

static void ignore_signal(int sig)
{
}

/* Threads of the library have all signals blocked; a VMM's has not. */
static void reset_with_signals(void *arg)
{
	host_signals_restore(0);
	reset(arg);
	host_signals_block();
}

TEST(a_signal_ends_a_reset_early_without_an_error)
{
	const u32 entries = 1024, used = 600;
	struct sigaction act = {.sa_handler = ignore_signal}, old;
	sigset_t block, before;
	struct helper h;
	struct gate g;
	u64 page;

	mem = rig_map(used * 2 * PAGE, 0);
	rig_start_rings(&r, entries * 16, false);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, used * 2 * PAGE, mem, MEMSLOT_LOG_DIRTY), 0);
	for (u64 i = 0; i < used; i++)
		EXPECT_EQ(write_page(&r.v, i * 2), 0);
	EXPECT_EQ(collect(&r.v, &page), used);
	sigaction(SIGUSR1, &act, &old);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	/* Pending for the process, that is for the other thread alone. */
	pthread_sigmask(SIG_BLOCK, &block, &before);
	gate_arm(&g, HOOK_RING_TAKEN, 0);
	helper_start(&h, reset_with_signals, NULL);
	ASSERT(gate_wait(&g));
	kill(getpid(), SIGUSR1);
	gate_open(&g);
	helper_join(&h);
	gate_disarm(&g);
	EXPECT_CMP(reset_result, >=, 1);
	EXPECT_CMP(reset_result, <, used);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	EXPECT_EQ(mem_reset_dirty_rings(&r.m), used - reset_result);
	for (u64 i = 0; i < used; i++)
		EXPECT(!writable(i * 2 * PAGE));
	sigaction(SIGUSR1, &old, NULL);
	stop(used * 2 * PAGE);
}

TEST(neighbours_are_protected_together_in_any_order)
{
	static const u64 pages[] = {70, 71, 133, 69, 8, 7, 200, 137, 136, 300, 364, 301};
	u64 page;

	start(false, 512 * PAGE);
	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++)
		EXPECT_EQ(write_page(&r.v, pages[i]), 0);
	EXPECT_EQ(collect(&r.v, &page), ARRAY_SIZE(pages));
	EXPECT_EQ(mem_reset_dirty_rings(&r.m), ARRAY_SIZE(pages));
	for (u64 i = 0; i < 512; i++)
		EXPECT(!writable(i * PAGE));
	stop(512 * PAGE);
}

/* User space says in an entry what it likes. */
static void forge(u32 i, u32 slot, u64 page)
{
	a32_store_relaxed(&r.v.ring[i].slot, slot);
	a64_store_relaxed(&r.v.ring[i].offset, page);
}

TEST(numbers_that_name_nothing_are_ignored)
{
	u64 page;

	start(false, 100 * PAGE);
	for (u64 i = 0; i < 8; i++)
		EXPECT_EQ(write_page(&r.v, i), 0);
	EXPECT_EQ(collect(&r.v, &page), 8);
	forge(0, 1, 0);
	forge(1, 32767, 1);
	forge(2, 0xffffffff, 2);
	forge(3, 1u << 16, 3);
	forge(4, 0, 100);
	forge(5, 0, ~0ull);
	forge(6, 0, ~0ull - 63);
	forge(7, 0, 7);
	EXPECT_EQ(mem_reset_dirty_rings(&r.m), 8);
	for (u64 i = 0; i < 8; i++)
		EXPECT_EQ(writable(i * PAGE), i < 7);
	/* In a batch that reaches past the end, the part that exists counts. */
	EXPECT_EQ(write_page(&r.v, 7), 0);
	EXPECT_EQ(write_page(&r.v, 99), 0);
	EXPECT_EQ(collect(&r.v, &page), 2);
	forge(8, 0, 99);
	forge(9, 0, 105);
	EXPECT_EQ(mem_reset_dirty_rings(&r.m), 2);
	EXPECT(!writable(99 * PAGE) && writable(7 * PAGE));
	/* The slot went meanwhile. */
	EXPECT_EQ(write_page(&r.v, 9), 0);
	EXPECT_EQ(collect(&r.v, &page), 1);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 0, mem, 0), 0);
	EXPECT_EQ(mem_reset_dirty_rings(&r.m), 1);
	stop(100 * PAGE);
}

TEST(entries_that_nobody_pushed_are_not_reset)
{
	u64 page;

	start(false, 100 * PAGE);
	for (u32 i = 0; i < ENTRIES; i++)
		a32_store(&r.v.ring[i].flags, DIRTY_RING_RESET);
	EXPECT_EQ(mem_reset_dirty_rings(&r.m), 0);
	EXPECT_EQ(write_page(&r.v, 1), 0);
	EXPECT_EQ(write_page(&r.v, 2), 0);
	EXPECT_EQ(collect(&r.v, &page), 2);
	EXPECT_EQ(mem_reset_dirty_rings(&r.m), 2);
	EXPECT(!writable(PAGE) && !writable(2 * PAGE));
	stop(100 * PAGE);
}

TEST(a_batch_ends_with_its_slot_even_where_the_table_does)
{
	const u64 end = BIT(40);
	u64 page;

	start(false, 100 * PAGE);
	ASSERT_EQ(rig_slot(&r.m, 1, end - 2 * PAGE, 2 * PAGE, mem, MEMSLOT_LOG_DIRTY), 0);
	EXPECT_EQ(write_page(&r.v, end / PAGE - 2), 0);
	EXPECT_EQ(write_page(&r.v, end / PAGE - 1), 0);
	EXPECT_EQ(a64_load_relaxed(&r.v.ring[1].offset), 1);
	a64_store_relaxed(&r.v.ring[1].offset, 63);
	for (unsigned i = 0; i < 2; i++)
		a32_store_release(&r.v.ring[i].flags, DIRTY_RING_RESET);
	r.v.collected = 2;
	EXPECT_EQ(mem_reset_dirty_rings(&r.m), 2);
	EXPECT(!writable(end - 2 * PAGE));
	EXPECT_EQ(collect(&r.v, &page), 0);
	stop(100 * PAGE);
}

/* --- order --------------------------------------------------------------------------------------------------------- */

TEST(I22_an_entry_that_user_space_sees_can_be_reset)
{
	struct helper h;
	struct gate g;
	u64 page;

	start(false, PAGE);
	gate_arm(&g, HOOK_RING_PUSHED, 0);
	helper_start(&h, write_page_0, NULL);
	ASSERT(gate_wait(&g));
	EXPECT_EQ(collect(&r.v, &page), 1);
	/* It protects its page behind the fault that is under way. */
	EXPECT_EQ(a32_load(&r.v.mem.ring.pushed), 1);
	gate_disarm(&g);
	helper_join(&h);
	EXPECT_EQ(mem_reset_dirty_rings(&r.m), 1);
	EXPECT(!writable(0));
	stop(PAGE);
}

static void reset_all(void *arg)
{
	EXPECT_EQ(mem_reset_dirty_rings(&r.m), 1);
}

TEST(I22_an_entry_is_empty_before_it_may_be_filled_again)
{
	struct helper h;
	struct gate g;
	u64 page;

	start(false, PAGE);
	EXPECT_EQ(write_page(&r.v, 0), 0);
	EXPECT_EQ(collect(&r.v, &page), 1);
	gate_arm(&g, HOOK_RING_RESET, 0);
	helper_start(&h, reset_all, NULL);
	ASSERT(gate_wait(&g));
	EXPECT_EQ(a32_load(&r.v.ring[0].flags), 0);
	EXPECT_EQ(a32_load(&r.v.mem.ring.reset), 1);
	gate_disarm(&g);
	helper_join(&h);
	stop(PAGE);
}

static struct a32 over;

static void scribble(void *arg)
{
	u64 seed = 5;

	while (!a32_load(&over)) {
		u64 n = next_random(&seed);
		struct dirty_ring_entry *e = &r.v.ring[n % ENTRIES];

		a32_store_relaxed(&e->flags, (n >> 10) % 4);
		a32_store_relaxed(&e->slot, n & BIT(20) ? n >> 32 : n >> 40 & 1);
		a64_store_relaxed(&e->offset, n & BIT(21) ? next_random(&seed) : (n >> 40) % 256);
	}
}

static void scribbled_writer(void *arg)
{
	u64 seed = 6;

	while (!a32_load(&over)) {
		int ret = write_page(&r.v, next_random(&seed) % 256);

		if (ret && ret != FAKE_RING_FULL)
			abort();
		if (ret)
			sleep_ms(0);
	}
}

TEST(a_ring_that_user_space_scribbles_on_hurts_nobody)
{
	struct helper s, w;

	start(true, 256 * PAGE);
	ASSERT_EQ(rig_slot(&r.m, 1, GIB, 256 * PAGE, mem, MEMSLOT_LOG_DIRTY), 0);
	a32_store(&over, 0);
	helper_start(&s, scribble, NULL);
	helper_start(&w, scribbled_writer, NULL);
	for (unsigned i = 0; i < test_rounds(2000, 200000); i++) {
		EXPECT_CMP(mem_reset_dirty_rings(&r.m), >=, 0);
		if (!(i % 64)) {
			ASSERT_EQ(rig_slot(&r.m, 1, GIB, 0, mem, 0), 0);
			ASSERT_EQ(rig_slot(&r.m, 1, GIB, 256 * PAGE, mem, MEMSLOT_LOG_DIRTY), 0);
		}
	}
	a32_store(&over, 1);
	helper_join(&s);
	helper_join(&w);
	stop(256 * PAGE);
}

TEST(a_vcpu_that_could_not_be_made_leaves_no_ring)
{
	struct fake_vcpu second;

	start(false, PAGE);
	fake_vcpu_init(&second, &r.m);
	EXPECT_EQ(write_page(&second, 0), 0);
	EXPECT_EQ(mem_reset_dirty_rings(&r.m), 0);
	fake_vcpu_fini(&second);
	tlb_client_detach(&r.m.tlb, &second.tlb);
	EXPECT_EQ(mem_reset_dirty_rings(&r.m), 0);
	stop(PAGE);
}
