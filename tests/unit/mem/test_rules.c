/* SPDX-License-Identifier: MIT */
/*
 * The rules of the lock order (LO-n) as this library keeps them: what the checker of sync/ finds when they are broken here, and
 * what entry points do that look as if they broke them. The checker itself is tested in unit/sync.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>

#include "host/alloc.h"
#include "host/fd.h"
#include "host/frame.h"
#include "host/guarded.h"
#include "host/pages.h"
#include "host/signal.h"
#include "host/vma.h"
#include "mem/file.h"
#include "mem/gmem.h"
#include "mem/gmem_inode.h"
#include "mem/userfault.h"
#include "rig.h"
#include "test.h"
#include "../misuse.h"

static struct rig r;

/* Misuse on purpose: the child dies of it before it could let go. */
#define MISUSE static void NO_THREAD_SAFETY_ANALYSIS

/* --- LO-1, LO-2, LO-3, LO-10 ----------------------------------------------------------------------------------------- */

MISUSE slot_change_in_a_reader(void)
{
	srcu_read_lock(&r.m.srcu);
	rig_slot(&r.m, 0, 0, 0, NULL, 0);
}

MISUSE dirty_log_in_a_reader(void)
{
	srcu_read_lock(&r.m.srcu);
	mem_get_dirty_log(&r.m, 0, NULL);
}

TEST(LO1_slot_calls_inside_a_reader_abort)
{
	rig_start(&r);
	EXPECT_ABORT(slot_change_in_a_reader, "taking slots_lock", "holding srcu");
	EXPECT_ABORT(dirty_log_in_a_reader, "taking slots_lock", "holding srcu");
	EXPECT(rig_stop(&r));
}

MISUSE storage_without_its_lock(void)
{
	struct gmem_file *gf;

	if (!gmem_create(&r.m, PAGE, 0, &gf))
		gmem_storage_open(gmem_inode_of(gf));
}

TEST(storage_is_handed_out_under_inval_lock_only)
{
	rig_start(&r);
	EXPECT_ABORT(storage_without_its_lock, "m->owner");
	EXPECT(rig_stop(&r));
}

MISUSE swap_in_a_reader(void)
{
	mutex_lock(&r.m.slots_lock);
	mutex_lock(&r.m.slots_arch_lock);
	srcu_read_lock(&r.m.srcu);
	memslot_swap(&r.m);
}

TEST(LO2_a_swap_inside_a_reader_aborts)
{
	rig_start(&r);
	EXPECT_ABORT(swap_in_a_reader, "no wait for SRCU here", "holding srcu");
	EXPECT(rig_stop(&r));
}

MISUSE srcu_wait_under_slots_arch_lock(void)
{
	mutex_lock(&r.m.slots_lock);
	mutex_lock(&r.m.slots_arch_lock);
	srcu_synchronize(&r.m.srcu);
}

TEST(LO3_a_wait_for_srcu_under_slots_arch_lock_aborts)
{
	rig_start(&r);
	EXPECT_ABORT(srcu_wait_under_slots_arch_lock, "no wait for SRCU here", "slots_arch_lock");
	EXPECT(rig_stop(&r));
}

/* The other half of LO-4: a reader that takes slots_arch_lock while a swap waits for it must get it. */
static struct a32 reader_inside, reader_may_go;

static void reader_that_needs_the_arch_lock(void *arg)
{
	int cookie = srcu_read_lock(&r.m.srcu);

	a32_store(&reader_inside, 1);
	while (!a32_load(&reader_may_go))
		sleep_ms(1);
	mutex_lock(&r.m.slots_arch_lock);
	mutex_unlock(&r.m.slots_arch_lock);
	srcu_read_unlock(&r.m.srcu, cookie);
}

static void create_a_slot(void *arg)
{
	EXPECT_EQ(rig_slot(&r.m, 0, 0, PAGE, arg, 0), 0);
}

TEST(LO4_a_reader_gets_slots_arch_lock_while_a_swap_waits_for_it)
{
	char *p = rig_map(PAGE, 0);
	struct helper reader, writer;
	struct gate published;

	rig_start(&r);
	a32_store(&reader_inside, 0);
	a32_store(&reader_may_go, 0);
	helper_start(&reader, reader_that_needs_the_arch_lock, NULL);
	while (!a32_load(&reader_inside))
		sleep_ms(1);
	gate_arm(&published, HOOK_SWAP_PUBLISHED, 0);
	helper_start(&writer, create_a_slot, p);
	ASSERT(gate_wait(&published));
	/* The writer is about to wait for the reader, or does already. */
	gate_disarm(&published);
	a32_store(&reader_may_go, 1);
	EXPECT(helper_ended_within(&reader, 8000));
	EXPECT(helper_ended_within(&writer, 20000));
	helper_join(&reader);
	helper_join(&writer);
	EXPECT(rig_stop(&r));
	munmap(p, PAGE);
}

MISUSE vm_birth_in_a_pair(void)
{
	static struct vm_mem born;

	srcu_read_lock(&mem_process()->mn_srcu);
	mem_init(&born, 40);
}

MISUSE vm_end_under_slots_lock(void)
{
	mutex_lock(&r.m.slots_lock);
	mem_stop_notifier(&r.m);
}

TEST(LO10_birth_and_end_of_a_vm_inside_a_pair_or_under_a_lock_abort)
{
	rig_start(&r);
	EXPECT_ABORT(vm_birth_in_a_pair, "wait", "holding mn_srcu");
	EXPECT_ABORT(vm_end_under_slots_lock, "wait for the notifier's SRCU", "slots_lock");
	EXPECT(rig_stop(&r));
}

/* --- LO-5, LO-8 -------------------------------------------------------------------------------------------------------- */

MISUSE slots_lock_in_a_pair(void)
{
	srcu_read_lock(&mem_process()->mn_srcu);
	mutex_lock(&r.m.slots_lock);
}

static void change_a_slot_flag(void *arg)
{
	EXPECT_EQ(rig_slot(&r.m, 0, 0, PAGE, arg, MEMSLOT_LOG_DIRTY), 0);
}

/* A pair in flight may depend on a second one of its own thread, while a slot change waits for the first. */
TEST(LO5_a_nested_pair_does_not_wait_for_the_swap_that_waits_for_its_outer)
{
	char *p = rig_map(2 * PAGE, 0);
	u64 a = (uintptr_t)p;
	struct mem_inval_token outer, inner;
	struct helper writer;
	struct gate waiting;

	rig_start(&r);
	EXPECT_ABORT(slots_lock_in_a_pair, "taking slots_lock", "holding mn_srcu");
	ASSERT_EQ(rig_slot(&r.m, 0, 0, PAGE, p, 0), 0);
	mem_invalidate_start(a, a + PAGE, 0, &outer);
	gate_arm(&waiting, HOOK_SWAP_WAITING, 0);
	helper_start(&writer, change_a_slot_flag, p);
	ASSERT(gate_wait(&waiting));
	gate_disarm(&waiting);
	sleep_ms(5);
	mem_invalidate_start(a, a + 2 * PAGE, 0, &inner);
	EXPECT(!a32_load(&writer.done));
	mem_invalidate_end(&inner);
	mem_invalidate_end(&outer);
	EXPECT(helper_ended_within(&writer, 20000));
	helper_join(&writer);
	EXPECT(rig_stop(&r));
	munmap(p, 2 * PAGE);
}

/* What a pair takes first: a real one is inert in the child that tries this. */
MISUSE pair_under_slots_lock(void)
{
	mutex_lock(&r.m.slots_lock);
	srcu_read_lock(&mem_process()->mn_srcu);
}

MISUSE pair_under_mn_lock(void)
{
	mutex_lock(&r.m.mn_lock);
	srcu_read_lock(&mem_process()->mn_srcu);
}

MISUSE pair_under_mmu_lock(void)
{
	write_lock(&r.m.mmu_lock);
	srcu_read_lock(&mem_process()->mn_srcu);
}

TEST(LO8_a_pair_under_a_lock_that_it_needs_aborts)
{
	rig_start(&r);
	EXPECT_ABORT(pair_under_slots_lock, "entering mn_srcu", "slots_lock");
	EXPECT_ABORT(pair_under_mn_lock, "entering mn_srcu", "mn_lock");
	EXPECT_ABORT(pair_under_mmu_lock, "entering mn_srcu", "mmu_lock");
	EXPECT(rig_stop(&r));
}

/* --- LO-6 -------------------------------------------------------------------------------------------------------------- */

static char user_page[4096];

static void do_alloc(void)
{
	host_alloc(16);
}
static void do_free(void)
{
	host_free(user_page, 16);
}
static void do_page_alloc(void)
{
	host_page_alloc();
}
static void do_page_free(void)
{
	host_page_free(user_page);
}
static void do_frame_alloc(void)
{
	host_frame_alloc();
}
static void do_frame_free(void)
{
	host_frame_free(user_page);
}
static void do_pages_map(void)
{
	host_pages_map(4096);
}
static void do_pages_unmap(void)
{
	host_pages_unmap(user_page, 4096);
}
static void do_pages_discard(void)
{
	host_pages_discard(user_page, 0);
}
static void do_mmap(void)
{
	host_mmap(NULL, 4096, 0, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
static void do_munmap(void)
{
	host_munmap(NULL, 0);
}
static void do_mprotect(void)
{
	host_mprotect(NULL, 0, 0);
}
static void do_madvise(void)
{
	host_madvise(NULL, 0, 0);
}
static void do_fallocate(void)
{
	host_fallocate(-1, 0, 0, 0);
}
static void do_ftruncate(void)
{
	host_ftruncate(-1, 0);
}
static void do_read(void)
{
	host_read(-1, user_page, 1);
}
static void do_write(void)
{
	host_write(-1, user_page, 1);
}
static void do_close(void)
{
	host_close(-1);
}
static void do_poll(void)
{
	host_poll(-1, 0, 0);
}
static void do_populate(void)
{
	host_populate((uintptr_t)user_page, 0, false);
}
static void do_query(void)
{
	struct host_vma v;

	host_vma_query(0, &v);
}
static void do_copy_from(void)
{
	guarded_copy_from(user_page, user_page, 0);
}
static void do_copy_to(void)
{
	guarded_copy_to(user_page, user_page, 0);
}
static void do_zero(void)
{
	guarded_zero(user_page, 0);
}
static void do_copy_from_user(void)
{
	guarded_copy_from_user(user_page, user_page, 0);
}
static void do_copy_to_user(void)
{
	guarded_copy_to_user(user_page, user_page, 0);
}

static const struct {
	const char *said;
	void (*fn)(void);
} blocking[] = {
	{"allocation", do_alloc},
	{"free", do_free},
	{"allocation", do_page_alloc},
	{"free", do_page_free},
	{"allocation", do_frame_alloc},
	{"free", do_frame_free},
	{"mapping", do_pages_map},
	{"unmapping", do_pages_unmap},
	{"madvise", do_pages_discard},
	{"mmap", do_mmap},
	{"munmap", do_munmap},
	{"mprotect", do_mprotect},
	{"madvise", do_madvise},
	{"fallocate", do_fallocate},
	{"ftruncate", do_ftruncate},
	{"read", do_read},
	{"write", do_write},
	{"close", do_close},
	{"poll", do_poll},
	{"populating pages", do_populate},
	{"mapping query", do_query},
	{"guest memory access", do_copy_from},
	{"guest memory access", do_copy_to},
	{"guest memory access", do_zero},
	{"guest memory access", do_copy_from_user},
	{"guest memory access", do_copy_to_user},
};
static unsigned which;

MISUSE block_under_mmu_lock(void)
{
	read_lock(&r.m.mmu_lock);
	blocking[which].fn();
}

MISUSE block_under_mn_lock(void)
{
	mutex_lock(&r.m.mn_lock);
	blocking[which].fn();
}

TEST(LO6_whatever_may_block_aborts_under_mmu_lock_and_mn_lock)
{
	rig_start(&r);
	for (which = 0; which < ARRAY_SIZE(blocking); which++) {
		EXPECT_ABORT(block_under_mmu_lock, blocking[which].said, "holding mmu_lock");
		EXPECT_ABORT(block_under_mn_lock, blocking[which].said, "holding mn_lock");
	}
	EXPECT(rig_stop(&r));
}

/* --- LO-7 -------------------------------------------------------------------------------------------------------------- */

MISUSE enter_guest_with_slots_lock(void)
{
	mutex_lock(&r.m.slots_lock);
	tlb_enter(&r.v.tlb);
}

MISUSE enter_guest_in_srcu(void)
{
	srcu_read_lock(&r.m.srcu);
	tlb_enter(&r.v.tlb);
}

MISUSE slot_lookup_in_guest_mode(void)
{
	char buf[1];

	tlb_enter(&r.v.tlb);
	mem_read_guest(&r.m, 0, buf, 1);
}

/* Outside while it waits, inside afterwards. */
MISUSE lock_after_a_drain_in_guest_mode(void)
{
	tlb_enter(&r.v.tlb);
	tlb_drain(&r.m.tlb, &r.v.tlb);
	mutex_lock(&r.m.slots_lock);
}

MISUSE lock_after_leaving(void)
{
	tlb_enter(&r.v.tlb);
	tlb_drain(&r.m.tlb, &r.v.tlb);
	tlb_leave(&r.v.tlb);
	mutex_lock(&r.m.slots_lock);
	mutex_unlock(&r.m.slots_lock);
}

TEST(LO7_guest_mode_and_locks_exclude_each_other)
{
	rig_start(&r);
	EXPECT_ABORT(enter_guest_with_slots_lock, "no lock in guest mode", "slots_lock");
	EXPECT_ABORT(enter_guest_in_srcu, "no lock in guest mode", "srcu");
	EXPECT_ABORT(slot_lookup_in_guest_mode, "no lock in guest mode", "taking srcu");
	EXPECT_ABORT(lock_after_a_drain_in_guest_mode, "no lock in guest mode", "slots_lock");
	EXPECT_NO_ABORT(lock_after_leaving);
	EXPECT(rig_stop(&r));
}

/* --- LO-9 -------------------------------------------------------------------------------------------------------------- */

static unsigned hooks_run;

static void count_hook(struct file *f)
{
	hooks_run++;
	/* What VM destroy does: it would abort with anything held. */
	srcu_synchronize(&mem_process()->mn_srcu);
}

static const struct file_ops counting = {.type = "counted", .release = count_hook};

/* Last puts from where a hook may not run: all wait for the outermost exit. */
TEST(LO9_a_last_put_in_any_section_is_run_at_the_outermost_exit)
{
	struct mem_inval_token t;
	char *p = rig_map(PAGE, 0);
	int cookie;

	rig_start(&r);
	hooks_run = 0;
	library_enter();
	cookie = srcu_read_lock(&r.m.srcu);
	file_put(file_create(&counting, NULL));
	srcu_read_unlock(&r.m.srcu, cookie);
	mem_invalidate_start((uintptr_t)p, (uintptr_t)p + PAGE, 0, &t);
	file_put(file_create(&counting, NULL));
	library_enter();
	library_exit();
	EXPECT_EQ(hooks_run, 0);
	mem_invalidate_end(&t);
	EXPECT_EQ(hooks_run, 0);
	library_exit();
	EXPECT_EQ(hooks_run, 2);
	EXPECT(rig_stop(&r));
	munmap(p, PAGE);
}

/* --- LO-12 ------------------------------------------------------------------------------------------------------------- */

static char *slot_memory;

/* Each entry point that takes mmu_lock or mn_lock, called as a program does, with its signals open: the checker looks. */
static void call_every_entry_point(void *arg)
{
	u64 a = (uintptr_t)slot_memory, bits = 0;
	struct mem_inval_token t;
	static struct vm_mem born;

	EXPECT_EQ(rig_slot(&r.m, 0, 0, 16 * PAGE, slot_memory, 0), 0);
	EXPECT_EQ(rig_slot(&r.m, 0, 0, 16 * PAGE, slot_memory, MEMSLOT_LOG_DIRTY), 0);
	EXPECT_EQ(mem_get_dirty_log(&r.m, 0, &bits), 0);
	EXPECT_EQ(mem_set_manual_protect(&r.m, 1), 0);
	bits = ~0ull;
	EXPECT_EQ(mem_clear_dirty_log(&r.m, 0, 16, 0, &bits), 0);
	EXPECT_EQ(rig_slot(&r.m, 0, 16 * PAGE, 16 * PAGE, slot_memory, MEMSLOT_LOG_DIRTY), 0);
	mem_invalidate_start(a, a + PAGE, 0, &t);
	EXPECT_NE(host_signals_mask() & SIGNAL_BIT(SIGUSR1), 0);
	EXPECT_NE(host_signals_mask() & SIGNAL_BIT(SIGALRM), 0);
	mem_invalidate_end(&t);
	EXPECT_EQ(host_signals_mask() & SIGNAL_BIT(SIGUSR1), 0);
	mem_age(a, a + PAGE, true, true);
	EXPECT_EQ(mem_userfault_add(a, a + PAGE), 0);
	EXPECT_EQ(mem_userfault_remove(a, a + PAGE), 0);
	EXPECT_EQ(rig_slot(&r.m, 0, 0, 0, NULL, 0), 0);
	EXPECT(!mem_init(&born, 40));
	mem_stop_notifier(&born);
	mem_fini(&born);
	mm_release();
	EXPECT_EQ(host_signals_mask() & SIGNAL_BIT(SIGUSR1), 0);
}

MISUSE mmu_lock_with_signals_open(void)
{
	host_signals_restore(r.sigmask);
	read_lock(&r.m.mmu_lock);
}

TEST(LO12_every_entry_point_blocks_signals_before_it_takes_mmu_lock_or_mn_lock)
{
	slot_memory = rig_map(16 * PAGE, 0);
	rig_start(&r);
	EXPECT_ABORT(mmu_lock_with_signals_open, "signals are not blocked", "mmu_lock");
	rig_open_to_signals(&r, call_every_entry_point, NULL);
	EXPECT(rig_stop(&r));
	munmap(slot_memory, 16 * PAGE);
}

static struct a32 handler_ran;

static void note_signal(int signo)
{
	a32_store(&handler_ran, 1);
}

static void signal_inside_a_pair(void *arg)
{
	struct mem_inval_token t;

	mem_invalidate_start((uintptr_t)slot_memory, (uintptr_t)slot_memory + PAGE, 0, &t);
	pthread_kill(pthread_self(), SIGUSR1);
	EXPECT_EQ(a32_load(&handler_ran), 0);
	mem_invalidate_end(&t);
	EXPECT_EQ(a32_load(&handler_ran), 1);
}

TEST(LO12_a_signal_that_comes_inside_a_pair_is_delivered_at_its_end)
{
	struct sigaction act = {.sa_handler = note_signal}, old;

	slot_memory = rig_map(PAGE, 0);
	rig_start(&r);
	a32_store(&handler_ran, 0);
	ASSERT(!sigaction(SIGUSR1, &act, &old));
	rig_open_to_signals(&r, signal_inside_a_pair, NULL);
	sigaction(SIGUSR1, &old, NULL);
	EXPECT(rig_stop(&r));
	munmap(slot_memory, PAGE);
}
