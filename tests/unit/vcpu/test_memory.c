// SPDX-License-Identifier: MIT
/*
 * The vCPU side of the memory guarantees, with the real engine running: I-11, I-12, I-20, I-35,
 * I-37.
 *
 * A second slot at WINDOW is backed by a shared file mapping with a second view of it (alias), so
 * that a test can look at the page while the mapping that the guest uses is gone.
 */
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mem/hook.h"
#include "mem/notifier.h"
#include "mem/stage2.h"
#include "rig.h"
#include "test.h"

#define WINDOW	    0x80000000ull
#define WINDOW_SIZE (4ull << 20)

struct window {
	u8 *hva, *alias;
	int fd;
};

static void window_slot(struct rig *r, struct window *w, u32 flags)
{
	struct mem_region region = {.slot = 1,
				    .flags = flags,
				    .guest_phys_addr = WINDOW,
				    .memory_size = WINDOW_SIZE,
				    .userspace_addr = (u64)(uintptr_t)w->hva};

	EXPECT_EQ(mem_set_region(&r->mem, &region), 0);
}

static struct window window_create(struct rig *r)
{
	struct window w = {.fd = memfd_create("window", 0)};
	u8 *area = mmap(NULL, WINDOW_SIZE * 2, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	w.hva = (u8 *)ALIGN_UP((u64)(uintptr_t)area, 2ull << 20);
	if (ftruncate(w.fd, (off_t)WINDOW_SIZE) ||
	    mmap(w.hva, WINDOW_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, w.fd, 0) ==
		    MAP_FAILED)
		abort();
	w.alias = mmap(NULL, WINDOW_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, w.fd, 0);
	window_slot(r, &w, 0);
	return w;
}

static void window_destroy(struct window *w)
{
	munmap(w->hva, WINDOW_SIZE);
	munmap(w->alias, WINDOW_SIZE);
	close(w->fd);
}

static u64 alias64(const struct window *w, u64 offset)
{
	return *(volatile u64 *)(void *)(w->alias + offset);
}

/* Tables with the window 1:1 at HIGH + WINDOW in blocks of 1 GiB. */
static struct tables map_all(struct rig *r)
{
	struct tables low = rig_mmu(r);
	struct tables high = {.root = rig_arch(r, 0)->sys[SR_TTBR1_EL1], .granule = 12, .bits = 48};

	tables_map(r, &high, HIGH + WINDOW, WINDOW, 1, D_NORMAL | D_UXN);
	return low;
}

static bool wait_for_change(const struct window *w, u64 offset, u64 from)
{
	for (unsigned i = 0; i < 60000; i++) {
		if (alias64(w, offset) != from)
			return true;
		rig_sleep_ms(1);
	}
	return false;
}

TEST(I_11_no_store_lands_after_invalidate_start)
{
	struct rig *r = rig_create(2);
	struct window w = window_create(r);
	struct rig_thread t[2];
	unsigned late = 0;

	map_all(r);
	for (unsigned n = 0; n < 2; n++) {
		rig_x(r, n)[1] = HIGH + WINDOW + 0x1000 + n * 0x1000;
		rig_start_raw(r, n, G_count_up, &t[n]);
	}
	for (unsigned i = 0; i < 100; i++) {
		struct mem_inval_token token;
		u64 before[2];

		for (unsigned n = 0; n < 2; n++)
			if (!wait_for_change(&w, 0x1000 + n * 0x1000,
					     alias64(&w, 0x1000 + n * 0x1000)))
				TEST_FAIL("vCPU %u does not get on", n);
		mem_invalidate_start((u64)(uintptr_t)w.hva, (u64)(uintptr_t)w.hva + 0x4000, 0,
				     &token);
		before[0] = alias64(&w, 0x1000);
		before[1] = alias64(&w, 0x2000);
		for (volatile int k = 0; k < 20000; k++)
			;
		late += alias64(&w, 0x1000) != before[0] || alias64(&w, 0x2000) != before[1];
		mem_invalidate_end(&token);
	}
	EXPECT_EQ(late, 0);
	for (unsigned n = 0; n < 2; n++) {
		vcpu_request(&r->vcpu[n], VCPU_REQ_EXIT);
		EXPECT_EQ(rig_join(&t[n]), -EINTR);
	}
	rig_destroy(r);
	window_destroy(&w);
}

static void *post_records(void *arg)
{
	struct rig *r = arg;
	struct tlb_inval rec = {.kind = TLB_INVAL_VA, .asid = -1, .start = 0x1000, .end = 0x2000};

	for (unsigned i = 0; i < 2000; i++)
		tlb_shootdown(&r->mem.tlb, &rec);
	return NULL;
}

/*
 * Every slow path runs while records are posted all the time. Checked builds abort when one is
 * acknowledged inside an access section, so this test proves something there only.
 */
TEST(I_12_nothing_is_acknowledged_inside_an_access_section)
{
#if !defined(ANYKVM_CHECKED)
	SKIP("needs -Dchecked=true");
#endif
	static const u32 piece[] = {G_ldtr,
				    G_sttr,
				    G_load64,
				    G_store64,
				    G_ldar,
				    G_cas_pair,
				    G_at_s1e1r,
				    G_dc_cvau,
				    G_dc_zva,
				    G_load_simd,
				    G_store_simd_multiple};
	struct rig *r = rig_create(1);
	struct tables t = rig_mmu(r);
	pthread_t poster;
	pid_t child;
	int status;

	tables_map(r, &t, DATA, DATA, 3, D_NORMAL | D_EL0);
	tables_map(r, &t, DATA + 4096, DATA + 4096, 3, D_NORMAL | D_EL0);
	pthread_create(&poster, NULL, post_records, r);
	for (unsigned i = 0; i < 3000; i++) {
		u32 p = piece[i % ARRAY_SIZE(piece)];

		rig_x(r, 0)[1] = DATA + (p == G_load64 || p == G_store64 ? 4092 : 64);
		EXPECT_EQ(rig_run(r, 0, p), 1);
	}
	pthread_join(poster, NULL);

	/* And the check itself works. */
	fflush(stdout);
	child = fork();
	if (!child) {
		freopen("/dev/null", "w", stderr);
		access_section_begin(&r->vcpu[0].tlb);
		tlb_poll(&r->vcpu[0].tlb);
		_exit(0);
	}
	waitpid(child, &status, 0);
	EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	rig_destroy(r);
}

#if defined(ANYKVM_CHECKED)
static struct {
	struct rig *r;
	unsigned broken, found;
} i20;

/* Entries of vCPU 0 in the window's first block. The vCPU runs, but cannot make such an entry while
 * the leaf is locked. */
NO_TSAN static unsigned entries_in_window(struct vcpu *v)
{
	struct vtlb_context *c = v->vtlb.cur[1];
	unsigned nr = 0;

	for (unsigned a = 0; a < NR_VTLB_ACCESS; a++)
		for (unsigned i = 0; i < VTLB_SIZE; i++) {
			u64 ipa = c->cold[a][i] & ~0xfffull;

			nr += c->e[a][i].tag != VTLB_EMPTY && ipa >= WINDOW &&
			      ipa < WINDOW + (2ull << 20);
		}
	return nr;
}

static void at_broken(int id, void *what)
{
	const struct s2_visit *visit = what;
	struct vcpu *v = &i20.r->vcpu[0];

	/* Of the table that replaces the block, pages are made one by one: vCPU 0 may have its own by then. */
	if (visit->level != 2)
		return;
	/*
	 * Outside it may hold old entries, and so it may just after entering: it applies what was posted before its next access
	 * (G-TLB-D).
	 */
	if (a32_load(&v->tlb.mode) != TLB_IN_GUEST ||
	    a64_load(&v->tlb.acked) < a64_load(&v->tlb.posted))
		return;
	i20.broken++;
	i20.found += entries_in_window(v);
}
#endif

TEST(I_20_a_block_leaves_every_tlb_before_a_page_replaces_it)
{
#if !defined(ANYKVM_CHECKED)
	SKIP("needs -Dchecked=true");
#else
	struct rig *r = rig_create(2);
	struct window w = window_create(r);
	struct rig_thread t;

	map_all(r);
	i20.r = r;
	i20.broken = i20.found = 0;
	aptr_store_release(&mem_process()->hook[HOOK_BBM_BROKEN], (void *)at_broken);
	for (unsigned round = 0; round < 20; round++) {
		/* A block, written by vCPU 1 and read for ever by vCPU 0 ... */
		rig_x(r, 1)[1] = HIGH + WINDOW + 0x3000;
		EXPECT_EQ(rig_run(r, 1, G_store64), 1);
		rig_x(r, 0)[1] = HIGH + WINDOW + 0x1000;
		rig_x(r, 0)[2] = ~0ull;
		rig_x(r, 0)[3] = HIGH + WINDOW + 0x2000;
		rig_start_raw(r, 0, G_mp_read, &t);
		rig_sleep_ms(2);
		/* ... gets write-protected by dirty logging and is broken by the next store. */
		window_slot(r, &w, 1);
		rig_sleep_ms(2);
		EXPECT_EQ(rig_run(r, 1, G_store64), 1);
		vcpu_request(&r->vcpu[0], VCPU_REQ_EXIT);
		EXPECT_EQ(rig_join(&t), -EINTR);
		/* Back to a block: the whole range is dropped. */
		window_slot(r, &w, 0);
		{
			struct mem_inval_token token;

			mem_invalidate_start((u64)(uintptr_t)w.hva,
					     (u64)(uintptr_t)w.hva + WINDOW_SIZE, 0, &token);
			mem_invalidate_end(&token);
		}
	}
	aptr_store_release(&mem_process()->hook[HOOK_BBM_BROKEN], NULL);
	EXPECT(i20.broken >= 1);
	EXPECT_EQ(i20.found, 0);
	rig_destroy(r);
	window_destroy(&w);
#endif
}

enum loss { LOSS_UNMAP, LOSS_PROTECT, LOSS_TRUNCATE, NR_LOSSES };

static void lose(struct window *w, enum loss how)
{
	switch (how) {
	case LOSS_UNMAP:
		syscall(SYS_munmap, w->hva, WINDOW_SIZE);
		break;
	case LOSS_PROTECT:
		syscall(SYS_mprotect, w->hva, WINDOW_SIZE, PROT_NONE);
		break;
	default:
		if (ftruncate(w->fd, 0))
			abort();
	}
}

static void restore(struct window *w)
{
	if (ftruncate(w->fd, (off_t)WINDOW_SIZE) ||
	    mmap(w->hva, WINDOW_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, w->fd, 0) ==
		    MAP_FAILED)
		abort();
}

TEST(I_35_memory_lost_under_a_running_vcpu_is_efault)
{
	static const u32 piece[] = {G_count_up, G_mp_read, G_add_lse, G_add_exclusive};
	struct rig *r = rig_create(1);
	struct window w = window_create(r);

	map_all(r);
	for (unsigned i = 0; i < NR_LOSSES * ARRAY_SIZE(piece); i++) {
		struct rig_thread t;

		rig_x(r, 0)[1] = HIGH + WINDOW + 0x1000;
		rig_x(r, 0)[2] = ~0ull;
		rig_x(r, 0)[3] = piece[i / NR_LOSSES] == G_mp_read ? HIGH + WINDOW + 0x2000 : 1;
		rig_start_raw(r, 0, piece[i / NR_LOSSES], &t);
		rig_sleep_ms(3);
		lose(&w, i % NR_LOSSES);
		ASSERT_EQ(rig_join(&t), -EFAULT);
		/* What the VMM does next is its business: with the memory back the guest goes on
		 * where it was. */
		restore(&w);
		r->vcpu[0].run->immediate_exit = 0;
		rig_arch(r, 0)->x[2] = 1;
		if (piece[i / NR_LOSSES] == G_add_lse || piece[i / NR_LOSSES] == G_add_exclusive)
			EXPECT_EQ(rig_continue(r, 0), 1);
	}
	rig_destroy(r);
	window_destroy(&w);
}

TEST(I_35_page_tables_and_code_lost_are_efault)
{
	struct rig *r = rig_create(1);
	struct window w = window_create(r);
	struct tables low = map_all(r);
	u64 at;

	/* A level 3 table in the window. */
	tables_map(r, &low, BIT(40), DATA, 3, D_NORMAL);
	at = tables_entry(r, &low, BIT(40), 2);
	memcpy(w.alias + 0x5000, rig_mem(r, rig_read64(r, at) & GENMASK(47, 12)), 4096);
	rig_write64(r, at, (WINDOW + 0x5000) | D_TABLE);
	rig_x(r, 0)[1] = BIT(40);
	EXPECT_EQ(rig_run(r, 0, G_load64), 1);
	rig_run(r, 0, G_tlbi_vmalle1);
	lose(&w, LOSS_UNMAP);
	rig_x(r, 0)[1] = BIT(40);
	EXPECT_EQ(rig_run(r, 0, G_load64), -EFAULT);
	restore(&w);
	EXPECT_EQ(rig_continue(r, 0), 1);
	/* Code that was not decoded yet. */
	memcpy(w.alias + 0x6000, rig_mem(r, RAM + G_done), 4);
	rig_x(r, 0)[1] = HIGH + WINDOW + 0x6000;
	EXPECT_EQ(rig_run(r, 0, G_branch_x1), 1);
	lose(&w, LOSS_PROTECT);
	rig_x(r, 0)[1] = HIGH + WINDOW + 0x6100;
	EXPECT_EQ(rig_run(r, 0, G_branch_x1), -EFAULT);
	rig_destroy(r);
	window_destroy(&w);
}

static void put_code(u8 *at, u16 value)
{
	u32 code[2] = {0x52800000u | (u32)value << 5, 0xd65f03c0u}; /* mov w0, #value; ret */

	memcpy(at, code, sizeof(code));
}

/* New code at the same host address, announced by a pair around the change. */
static void replace_code(struct window *w, u16 value)
{
	u64 at = (u64)(uintptr_t)w->hva;
	struct mem_inval_token token;
	int fd = memfd_create("other", 0);

	if (ftruncate(fd, (off_t)WINDOW_SIZE))
		abort();
	mem_invalidate_start(at, at + WINDOW_SIZE, 0, &token);
	munmap(w->alias, WINDOW_SIZE);
	close(w->fd);
	w->fd = fd;
	/* One mmap over the old: a fault in a gap would be EFAULT, as in KVM. */
	restore(w);
	w->alias = mmap(NULL, WINDOW_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	put_code(w->alias + 0x1000, value);
	mem_invalidate_end(&token);
}

TEST(I_37_no_decoded_code_outlives_its_mapping)
{
	struct rig *r = rig_create(1);
	struct window w = window_create(r);

	map_all(r);
	put_code(w.alias + 0x1000, 1);
	for (u16 i = 1; i < 50; i++) {
		rig_x(r, 0)[1] = HIGH + WINDOW + 0x1000;
		EXPECT_EQ(rig_run(r, 0, G_call_x1), 1);
		EXPECT_EQ(rig_x(r, 0)[0], i);
		replace_code(&w, i + 1);
	}
	rig_destroy(r);
	window_destroy(&w);
}

TEST(I_37_a_running_vcpu_changes_over_to_the_new_code)
{
	struct rig *r = rig_create(1);
	struct window w = window_create(r);
	struct rig_thread t;

	map_all(r);
	put_code(w.alias + 0x1000, 1);
	rig_x(r, 0)[1] = HIGH + WINDOW + 0x1000;
	rig_x(r, 0)[2] = HIGH + DATA;
	rig_start_raw(r, 0, G_call_forever, &t);
	for (u16 i = 2; i < 50; i++) {
		u64 seen = 0;

		rig_sleep_ms(1);
		replace_code(&w, i);
		for (unsigned k = 0; k < 2000 && seen != i; k++) {
			rig_sleep_ms(1);
			seen = rig_read64(r, DATA);
		}
		EXPECT_EQ(seen, i);
	}
	vcpu_request(&r->vcpu[0], VCPU_REQ_EXIT);
	EXPECT_EQ(rig_join(&t), -EINTR);
	rig_destroy(r);
	window_destroy(&w);
}

TEST(deleted_slot_drops_code_and_translations)
{
	struct rig *r = rig_create(1);
	struct window w = window_create(r);
	struct mem_region none = {
		.slot = 1, .guest_phys_addr = WINDOW, .userspace_addr = (u64)(uintptr_t)w.hva};

	map_all(r);
	put_code(w.alias + 0x1000, 5);
	rig_x(r, 0)[1] = HIGH + WINDOW + 0x1000;
	EXPECT_EQ(rig_run(r, 0, G_call_x1), 1);
	EXPECT_EQ(rig_run(r, 0, G_load64), 1);
	EXPECT_EQ(mem_set_region(&r->mem, &none), 0);
	rig_x(r, 0)[1] = HIGH + WINDOW + 0x1000;
	EXPECT_EQ(rig_run(r, 0, G_call_x1), EXIT_VECTOR + VECTOR_SYNC_EL1);
	EXPECT_EQ(rig_ec(r, 0), 0x21);
	EXPECT_EQ(rig_iss(r, 0), FSC_EXTERNAL);
	EXPECT_EQ(rig_run(r, 0, G_load64), -1000 - KVM_EXIT_MMIO);
	rig_destroy(r);
	window_destroy(&w);
}

TEST(store_to_a_read_only_slot_is_mmio_and_a_load_is_not)
{
	struct rig *r = rig_create(1);
	struct window w = window_create(r);
	struct mem_region none = {
		.slot = 1, .guest_phys_addr = WINDOW, .userspace_addr = (u64)(uintptr_t)w.hva};

	map_all(r);
	EXPECT_EQ(mem_set_region(&r->mem, &none), 0);
	window_slot(r, &w, 2);
	*(u64 *)(void *)(w.alias + 0x10) = 0x99;
	rig_x(r, 0)[1] = HIGH + WINDOW + 0x10;
	EXPECT_EQ(rig_run(r, 0, G_load64), 1);
	EXPECT_EQ(rig_x(r, 0)[0], 0x99);
	rig_x(r, 0)[0] = 0x55;
	EXPECT_EQ(rig_run(r, 0, G_store64), -1000 - KVM_EXIT_MMIO);
	EXPECT_EQ(r->vcpu[0].run->mmio.phys_addr, WINDOW + 0x10);
	EXPECT_EQ(r->vcpu[0].run->mmio.is_write, 1);
	EXPECT_EQ(r->vcpu[0].run->mmio.data[0], 0x55);
	EXPECT_EQ(rig_continue(r, 0), 1);
	EXPECT_EQ(alias64(&w, 0x10), 0x99);
	rig_destroy(r);
	window_destroy(&w);
}

TEST(released_memory_is_eio)
{
	struct rig *r = rig_create(1);
	struct rig_thread t;

	map_all(r);
	rig_x(r, 0)[1] = HIGH + DATA;
	rig_start_raw(r, 0, G_count_up, &t);
	rig_sleep_ms(5);
	mm_release();
	EXPECT_EQ(rig_join(&t), -EIO);
	rig_destroy(r);
}
