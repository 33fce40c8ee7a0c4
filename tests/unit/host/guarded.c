/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>

#include "host/fd.h"
#include "host/guarded.h"
#include "host/signal.h"
#include "sync/atomic.h"
#include "../../test.h"
#include "../misuse.h"

static char *page; /* one page, readable and writable */
static char *hole; /* one page, no access */
static char *ro;   /* one page, read only */

static void setup(void)
{
	guarded_install();
	if (page)
		return;
	page = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	hole = page + 4096;
	ro = page + 2 * 4096;
	/* No access rather than no mapping: an unmapped page could be given to somebody else. */
	mprotect(hole, 4096, PROT_NONE);
	mprotect(ro, 4096, PROT_READ);
}

#define CHECK_WIDTH(bits)                                                     \
	do {                                                                  \
		u##bits v = 0, want = (u##bits)0x8182838485868788ull, exp;    \
		bool swapped = false;                                         \
		EXPECT(guarded_store##bits(page + 8, want));                  \
		EXPECT(guarded_load##bits(page + 8, &v));                     \
		EXPECT_EQ(v, want);                                           \
		EXPECT(guarded_load_acquire##bits(page + 8, &v));             \
		EXPECT_EQ(v, want);                                           \
		EXPECT(guarded_store_release##bits(page + 8, 5));             \
		EXPECT(guarded_fetch_add##bits(page + 8, (u##bits) - 2, &v)); \
		EXPECT_EQ(v, 5);                                              \
		EXPECT(guarded_xchg##bits(page + 8, 7, &v));                  \
		EXPECT_EQ(v, 3);                                              \
		EXPECT(guarded_store_seqcst##bits(page + 8, 9));              \
		exp = 8;                                                      \
		EXPECT(guarded_cmpxchg##bits(page + 8, &exp, 1, &swapped));   \
		EXPECT(!swapped);                                             \
		EXPECT_EQ(exp, 9);                                            \
		EXPECT(guarded_cmpxchg##bits(page + 8, &exp, 1, &swapped));   \
		EXPECT(swapped);                                              \
		EXPECT_EQ(exp, 9);                                            \
		EXPECT(guarded_load##bits(page + 8, &v));                     \
		EXPECT_EQ(v, 1);                                              \
		/* and each of them on memory that is not there */            \
		EXPECT(!guarded_load##bits(hole, &v));                        \
		EXPECT(!guarded_load_acquire##bits(hole, &v));                \
		EXPECT(!guarded_store##bits(hole, 1));                        \
		EXPECT(!guarded_store_release##bits(hole, 1));                \
		EXPECT(!guarded_store_seqcst##bits(hole, 1));                 \
		EXPECT(!guarded_xchg##bits(hole, 1, &v));                     \
		EXPECT(!guarded_fetch_add##bits(hole, 1, &v));                \
		EXPECT(!guarded_cmpxchg##bits(hole, &exp, 1, &swapped));      \
		EXPECT(guarded_load##bits(ro, &v));                           \
		EXPECT(!guarded_store##bits(ro, 1));                          \
		EXPECT(!guarded_xchg##bits(ro, 1, &v));                       \
		EXPECT(!guarded_fetch_add##bits(ro, 1, &v));                  \
		/* a compare-exchange that would succeed needs the store */   \
		exp = 0;                                                      \
		EXPECT(!guarded_cmpxchg##bits(ro, &exp, 1, &swapped));        \
	} while (0)

TEST(every_access_works_and_fails_on_a_hole_without_a_crash)
{
	setup();
	CHECK_WIDTH(8);
	CHECK_WIDTH(16);
	CHECK_WIDTH(32);
	CHECK_WIDTH(64);
}

TEST(addresses_where_nothing_is_mapped_fail_too)
{
	u64 v;

	setup();
	EXPECT(!guarded_load64(NULL, &v));
	EXPECT(!guarded_load64((void *)0x10, &v));
	EXPECT(!guarded_store64((void *)0x10, 1));
	EXPECT(!guarded_load64((void *)0x0f00000000000000ul, &v)); /* not canonical */
	EXPECT(!guarded_load64((void *)0xfffffffffffffff8ul, &v));
}

TEST(narrow_accesses_leave_their_neighbours_alone)
{
	u64 v = 0;
	u8 b = 0;
	u16 h = 0;

	setup();
	EXPECT(guarded_store64(page, 0x1122334455667788ull));
	EXPECT(guarded_store8(page + 1, 0xaa));
	EXPECT(guarded_store16(page + 4, 0xbbcc));
	EXPECT(guarded_load64(page, &v));
	EXPECT_EQ(v, 0x1122bbcc5566aa88ull);
	EXPECT(guarded_fetch_add8(page, 0x78, &b));
	EXPECT_EQ(b, 0x88);
	EXPECT(guarded_xchg16(page + 6, 0, &h));
	EXPECT(guarded_load64(page, &v));
	EXPECT_EQ(v, 0x0000bbcc5566aa00ull);
	/* unaligned and across a line */
	EXPECT(guarded_store64(page + 61, 0x0102030405060708ull));
	EXPECT(guarded_load64(page + 61, &v));
	EXPECT_EQ(v, 0x0102030405060708ull);
}

TEST(sixteen_byte_accesses)
{
	u64 v[2] = {0}, exp[2] = {1, 3}, want[2] = {8, 9};
	bool swapped = true;

	setup();
	EXPECT(guarded_store128(page, 1, 2));
	EXPECT(guarded_cmpxchg128(page, exp, want, &swapped));
	EXPECT(!swapped);
	EXPECT_EQ(exp[0], 1);
	EXPECT_EQ(exp[1], 2);
	EXPECT(guarded_cmpxchg128(page, exp, want, &swapped));
	EXPECT(swapped);
	EXPECT(guarded_load128(page, v));
	EXPECT_EQ(v[0], 8);
	EXPECT_EQ(v[1], 9);
	EXPECT(!guarded_cmpxchg128(hole, exp, want, &swapped));
	EXPECT(!guarded_load128(hole, v));
	EXPECT(!guarded_load128(page + 4096 - 8, v));
	EXPECT(!guarded_store128(page + 4096 - 8, 1, 2));
	EXPECT(!guarded_store128(ro, 1, 2));
}

TEST(copies_stop_at_the_hole_and_say_so)
{
	char buf[8192], want[8192];

	setup();
	for (int i = 0; i < 8192; i++)
		want[i] = (char)(i * 7 + 1);
	for (int off = 0; off < 9; off++)
		for (int n = 0; n < 40; n++) {
			memset(buf, 0, 64);
			EXPECT(guarded_copy_to(page + off, want, n));
			EXPECT(guarded_copy_from(buf, page + off, n));
			EXPECT(!memcmp(buf, want, n));
			EXPECT_EQ(buf[n], 0);
		}
	EXPECT(guarded_copy_to(page, want, 4096));
	EXPECT_EQ(guarded_copy_left(page + 4000, want, 100), 4);
	EXPECT(!guarded_copy_to(page + 4000, want, 100));
	EXPECT(!memcmp(page + 4000, want, 96));
	EXPECT(!guarded_copy_from(buf, page + 4090, 16));
	EXPECT(!guarded_copy_from(buf, hole, 1));
	/* an address of the user's may be none */
	EXPECT(!guarded_copy_from(buf, NULL, 8));
	EXPECT(!guarded_copy_to(NULL, buf, 8));
	EXPECT(!guarded_copy_to(ro, want, 1));
	EXPECT(guarded_copy_from(buf, ro, 4096));
	memset(page, 0x55, 4096);
	EXPECT(guarded_zero(page + 3, 30));
	EXPECT_EQ(page[2], 0x55);
	EXPECT_EQ(page[3] | page[32], 0);
	EXPECT_EQ(page[33], 0x55);
	EXPECT_EQ(guarded_zero_left(page + 4090, 10), 4);
	EXPECT_EQ(page[4095], 0);
	EXPECT_EQ(guarded_copy_from_user(buf, hole, 8), -EFAULT);
	EXPECT_EQ(guarded_copy_to_user(NULL, buf, 8), -EFAULT);
	EXPECT_EQ(guarded_copy_from_user(buf, (void *)0xffff800000000000ul, 8), -EFAULT);
	EXPECT_EQ(guarded_copy_from_user(buf, (void *)0x0f00000000000000ul, 8), -EFAULT);
	EXPECT_EQ(guarded_copy_to_user(page, buf, 8), 0);
}

TEST(a_file_truncated_under_its_mapping_fails_the_access)
{
	int fd = host_memfd_create("trunc", 8192);
	char *p;
	u64 v, n = guarded_nr_recovered();

	setup();
	ASSERT(fd >= 0);
	p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	EXPECT(guarded_store64(p + 4096, 1));
	EXPECT_EQ(host_ftruncate(fd, 4096), 0);
	EXPECT(guarded_load64(p, &v));
	EXPECT(!guarded_load64(p + 4096, &v)); /* SIGBUS */
	EXPECT(!guarded_store64(p + 4096, 1));
	EXPECT_EQ(guarded_nr_recovered(), n + 2);
	munmap(p, 8192);
	host_close(fd);
}

/* Unmapped and mapped again by one thread while others access: success or failure, never a crash. */
static struct a32 stop;

static void *hammer(void *arg)
{
	u64 v, hits = 0;

	while (!a32_load_relaxed(&stop))
		hits += guarded_load64(arg, &v);
	return (void *)hits;
}

TEST(accesses_race_with_unmapping)
{
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	u64 n = guarded_nr_recovered();
	pthread_t t[2];

	setup();
	a32_store(&stop, 0);
	for (int i = 0; i < 2; i++)
		ASSERT(!pthread_create(&t[i], NULL, hammer, p));
	/* On a busy machine the others may not run for a while. */
	for (int i = 0; i < 300 || (guarded_nr_recovered() == n && i < 100000); i++) {
		mprotect(p, 4096, PROT_NONE);
		usleep(20);
		mprotect(p, 4096, PROT_READ);
		usleep(20);
	}
	a32_store(&stop, 1);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	EXPECT_CMP(guarded_nr_recovered(), >, n);
	munmap(p, 4096);
}

/* --- foreign faults: whose handler runs ------------------------------------------------------------------------------- */

static sigjmp_buf back;
static volatile int before_ran, after_ran, after_passed_on;
static volatile void *seen_address;
static struct sigaction found; /* by the handler installed after ours */

static void touch_foreign(void)
{
	*(volatile char *)hole = 1;
}

static void handler_before(int signo, siginfo_t *info, void *uc)
{
	before_ran++;
	seen_address = info->si_addr;
	siglongjmp(back, 1);
}

static void plain_before(int signo)
{
	before_ran++;
	siglongjmp(back, 1);
}

static void handler_after(int signo, siginfo_t *info, void *uc)
{
	after_ran++;
	if (after_passed_on && (found.sa_flags & SA_SIGINFO))
		found.sa_sigaction(signo, info, uc);
	siglongjmp(back, 2);
}

static void install(void (*fn)(int, siginfo_t *, void *), struct sigaction *old)
{
	struct sigaction sa = {.sa_sigaction = fn, .sa_flags = SA_SIGINFO};

	sigaction(SIGSEGV, &sa, old);
}

static void chain_siginfo(void)
{
	install(handler_before, NULL);
	setup();
	/* Three times: a handler that jumps out leaves nothing behind. */
	for (int i = 1; i <= 3; i++) {
		if (!sigsetjmp(back, 1))
			touch_foreign();
		if (before_ran != i || seen_address != hole)
			_exit(10 + i);
	}
}

static void chain_plain(void)
{
	u8 v;

	signal(SIGSEGV, plain_before);
	setup();
	if (!sigsetjmp(back, 1))
		touch_foreign();
	/* Ours are still ours. */
	if (before_ran != 1 || guarded_load8(hole, &v) || before_ran != 1)
		_exit(1);
}

static void installed_after_ours(void)
{
	u8 v;

	setup();
	install(handler_after, &found);
	guarded_install();
	if (guarded_load8(hole, &v) || after_ran)
		_exit(1);
	for (int i = 1; i <= 3; i++) {
		if (!sigsetjmp(back, 1))
			touch_foreign();
		if (after_ran != i)
			_exit(2);
	}
	if (guarded_load8(hole, &v) || after_ran != 3)
		_exit(3);
}

static void after_ours_passes_on(void)
{
	u8 v;

	install(handler_before, NULL);
	setup();
	install(handler_after, &found);
	after_passed_on = 1;
	guarded_install();
	/* ours, then the VMM's, which calls us as the handler it found, then the one from before. */
	if (sigsetjmp(back, 1) == 0)
		touch_foreign();
	if (after_ran != 1 || before_ran != 1)
		_exit(1);
	if (guarded_load8(hole, &v) || after_ran != 1)
		_exit(2);
}

static void after_ours_stays_first_and_passes_on(void)
{
	u8 v;

	setup();
	install(handler_after, &found);
	after_passed_on = 1;
	/* Not installed again: our fault goes through the VMM's handler to ours, which recovers... */
	if (sigsetjmp(back, 1) == 0) {
		if (guarded_load8(hole, &v))
			_exit(1);
		_exit(2);
	}
	/* ...so the VMM's handler went on and jumped. */
	if (after_ran != 1)
		_exit(3);
}

static void default_action(void)
{
	setup();
	touch_foreign();
}

static void ignored_fault(void)
{
	signal(SIGSEGV, SIG_IGN);
	setup();
	touch_foreign();
}

static void sent_ignored(void)
{
	signal(SIGSEGV, SIG_IGN);
	setup();
	raise(SIGSEGV);
	raise(SIGSEGV);
}

static void sent_default(void)
{
	setup();
	raise(SIGSEGV);
}

static void sent_bus_default(void)
{
	setup();
	raise(SIGBUS);
}

TEST(a_foreign_fault_reaches_the_handler_that_was_there_before)
{
	EXPECT_NO_ABORT(chain_siginfo);
	EXPECT_NO_ABORT(chain_plain);
}

TEST(a_vmm_that_installs_its_handler_after_ours_gets_its_own_faults_only)
{
	EXPECT_NO_ABORT(installed_after_ours);
#if defined(ANYKVM_TSAN)
	/* TSan's sigaction hides what was installed before it: there is nothing to pass on to. */
	(void)after_ours_passes_on;
#else
	EXPECT_NO_ABORT(after_ours_passes_on);
#endif
	EXPECT_NO_ABORT(after_ours_stays_first_and_passes_on);
}

TEST(without_a_handler_a_foreign_fault_ends_the_process_as_ever)
{
#if defined(ANYKVM_SANITIZED)
	SKIP("the sanitizer's own handler is there");
#endif
	struct child_result r = child_run(default_action);

	EXPECT(WIFSIGNALED(r.status) && WTERMSIG(r.status) == SIGSEGV);
	r = child_run(ignored_fault);
	EXPECT(WIFSIGNALED(r.status) && WTERMSIG(r.status) == SIGSEGV);
	r = child_run(sent_default);
	EXPECT(WIFSIGNALED(r.status) && WTERMSIG(r.status) == SIGSEGV);
	r = child_run(sent_bus_default);
	EXPECT(WIFSIGNALED(r.status) && WTERMSIG(r.status) == SIGBUS);
	r = child_run(sent_ignored);
	EXPECT_EQ(r.status, 0);
}

TEST(a_thread_that_blocked_the_fault_signals_gets_them_back)
{
	u64 mask, both = SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS);
	sigset_t s;
	u8 v;

	setup();
	sigemptyset(&s);
	sigaddset(&s, SIGSEGV);
	sigaddset(&s, SIGBUS);
	pthread_sigmask(SIG_BLOCK, &s, NULL);
	mask = host_signals_mask();
	EXPECT_EQ(mask & both, both);
	guarded_install();
	EXPECT_EQ(host_signals_mask() & both, 0);
	EXPECT(!guarded_load8(hole, &v));
	/* And what the library blocks does not include them. */
	mask = host_signals_block();
	EXPECT(!guarded_load8(hole, &v));
	host_signals_restore(mask);
}
