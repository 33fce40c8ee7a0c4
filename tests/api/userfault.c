/* SPDX-License-Identifier: MIT */
/*
 * userfaultfd, the host's or the library's: the same program passes with both. ANYKVM_USERFAULTFD chooses; a kernel of its own
 * (-DANYKVM_REAL without the preloaded library) has one.
 */
#include "userfault.h"

/* --- guests -------------------------------------------------------------------------------------------------------------- */

TEST(a_guest_waits_for_each_page_it_misses)
{
	unsigned char *memory = memory_new();
	struct pager *p = pager_new(memory);
	struct machine m = guest_over(memory, 0);

	for (int i = 0; i < PAGES; i += 3)
		EXPECT_EQ(guest_loads(&m, GPA + i * PAGE), 0x1000 + i);
	EXPECT_EQ(p->asked, 6);
	EXPECT_EQ(p->wrote, 0);
	for (int i = 0; i < PAGES; i += 3)
		EXPECT_EQ(guest_loads(&m, GPA + i * PAGE), 0x1000 + i);
	EXPECT_EQ(p->asked, 6);
	/* Taken away: asked for again. */
	ASSERT_EQ(madvise(memory, 4 * PAGE, MADV_DONTNEED), 0);
	EXPECT_EQ(guest_loads(&m, GPA + 3 * PAGE), 0x1003);
	EXPECT_EQ(p->asked, 7);
	machine_free(&m);
	pager_free(p);
	munmap(memory, SIZE);
}

TEST(a_guest_that_writes_says_so)
{
	unsigned char *memory = memory_new();
	struct pager *p = pager_new(memory);
	struct machine m = guest_over(memory, 0);
	struct code c = code_at(&m, RAM);

	str(&c, 8, 1, 1, 8);
	report(&c, 1, 0);
	code_done(&m);
	guest_from(&m, GPA + 5 * PAGE);
	EXPECT_REPORT(&m, 0, 0, GPA + 5 * PAGE);
	EXPECT_EQ(p->asked, 1);
	EXPECT_EQ(p->wrote, 1);
	EXPECT_EQ(((uint64_t *)(memory + 5 * PAGE))[0], 0x1005);
	EXPECT_EQ(((uint64_t *)(memory + 5 * PAGE))[1], GPA + 5 * PAGE);
	EXPECT_EQ(p->asked, 1);
	machine_free(&m);
	pager_free(p);
	munmap(memory, SIZE);
}

/* --- the program's own threads ------------------------------------------------------------------------------------------- */

TEST(a_thread_waits_for_the_page_it_touches)
{
	unsigned char *memory = memory_new();
	int uffd = uffd_open(0);
	struct reader r;

	memory[3 * PAGE] = 7;
	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	/* what is there stays */
	EXPECT_EQ(memory[3 * PAGE], 7);
	expect_silence(uffd);
	reader_start(&r, memory + PAGE + 64, false, 0);
	EXPECT_ASKED(uffd, memory + PAGE, 0);
	EXPECT_EQ(r.done, 0);
	ASSERT_EQ(copy_page(uffd, memory + PAGE, 1, 0), 0);
	pthread_join(r.thread, NULL);
	EXPECT_EQ(r.value, 0);
	reader_start(&r, memory + 2 * PAGE + 8, true, 77);
	EXPECT_ASKED(uffd, memory + 2 * PAGE, UFFD_PAGEFAULT_FLAG_WRITE);
	ASSERT_EQ(copy_page(uffd, memory + 2 * PAGE, 2, 0), 0);
	pthread_join(r.thread, NULL);
	EXPECT_EQ(((uint64_t *)(memory + 2 * PAGE))[0], 2);
	EXPECT_EQ(((uint64_t *)(memory + 2 * PAGE))[1], 77);
	expect_silence(uffd);
	close(uffd);
	munmap(memory, SIZE);
}

TEST(a_woken_thread_looks_again)
{
	unsigned char *memory = memory_new();
	int uffd = uffd_open(0);
	struct uffdio_range range = {(uintptr_t)memory, PAGE};
	struct reader r;

	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	reader_start(&r, memory, false, 0);
	EXPECT_ASKED(uffd, memory, 0);
	/* woken without a page: it asks again */
	ASSERT_EQ(ioctl(uffd, UFFDIO_WAKE, &range), 0);
	EXPECT_ASKED(uffd, memory, 0);
	/* a page, but nobody is woken */
	ASSERT_EQ(copy_page(uffd, memory, 9, UFFDIO_COPY_MODE_DONTWAKE), 0);
	sleep_ms(30);
	EXPECT_EQ(r.done, 0);
	ASSERT_EQ(ioctl(uffd, UFFDIO_WAKE, &range), 0);
	pthread_join(r.thread, NULL);
	EXPECT_EQ(r.value, 9);
	expect_silence(uffd);
	close(uffd);
	munmap(memory, SIZE);
}

TEST(a_message_that_nobody_waits_for_any_more_is_not_read)
{
	unsigned char *memory = memory_new();
	int uffd = uffd_open(0);
	struct pollfd p = {.fd = uffd, .events = POLLIN};
	struct reader r;

	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	reader_start(&r, memory, false, 0);
	while (poll(&p, 1, 1000) != 1)
		;
	ASSERT_EQ(copy_page(uffd, memory, 4, 0), 0);
	pthread_join(r.thread, NULL);
	EXPECT_EQ(r.value, 4);
	expect_silence(uffd);
	close(uffd);
	munmap(memory, SIZE);
}

TEST(several_messages_are_read_at_once)
{
	unsigned char *memory = memory_new();
	int uffd = uffd_open(UFFD_FEATURE_THREAD_ID);
	struct pollfd p = {.fd = uffd, .events = POLLIN};
	struct uffd_msg msg[4];
	struct reader r[3];
	long n, got = 0;

	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	EXPECT_ERRNO(read(uffd, msg, sizeof(msg[0]) - 1), EINVAL);
	for (int i = 0; i < 3; i++)
		reader_start(&r[i], memory + i * PAGE, false, 0);
	while (got < 3) {
		ASSERT_EQ(poll(&p, 1, 10000), 1);
		n = read(uffd, msg, sizeof(msg));
		EXPECT(n > 0 && n % sizeof(msg[0]) == 0);
		for (unsigned i = 0; i < n / sizeof(msg[0]); i++, got++) {
			uint64_t page = (msg[i].arg.pagefault.address - (uintptr_t)memory) / PAGE;

			ASSERT(page < 3);
			EXPECT_EQ(msg[i].arg.pagefault.feat.ptid, (unsigned)r[page].tid);
			ASSERT_EQ(copy_page(uffd, memory + page * PAGE, 100 + page, 0), 0);
		}
	}
	for (int i = 0; i < 3; i++) {
		pthread_join(r[i].thread, NULL);
		EXPECT_EQ(r[i].value, 100u + i);
	}
	close(uffd);
	munmap(memory, SIZE);
}

#ifdef __SANITIZE_THREAD__
#define NEEDS_SIGNALS_AT_ONCE SKIP("TSan delivers signals when the thread makes its next call")
#else
#define NEEDS_SIGNALS_AT_ONCE ((void)0)
#endif

static _Atomic int signals;

static void count_signal(int signo)
{
	(void)signo;
	signals++;
}

TEST(a_signal_is_handled_while_a_thread_waits)
{
	struct sigaction act = {.sa_handler = count_signal};
	unsigned char *memory = memory_new();
	int uffd = uffd_open(0);
	struct uffd_msg msg;
	struct reader r;

	NEEDS_SIGNALS_AT_ONCE;
	signals = 0;
	ASSERT_EQ(sigaction(SIGUSR1, &act, NULL), 0);
	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	reader_start(&r, memory, false, 0);
	EXPECT_ASKED(uffd, memory, 0);
	ASSERT_EQ(pthread_kill(r.thread, SIGUSR1), 0);
	for (int i = 0; i < 1000 && !signals; i++)
		sleep_ms(10);
	EXPECT_EQ(signals, 1);
	EXPECT_EQ(r.done, 0);
	/* Whether it has asked again or not. */
	ASSERT_EQ(copy_page(uffd, memory, 5, 0), 0);
	pthread_join(r.thread, NULL);
	EXPECT_EQ(r.value, 5);
	while (read(uffd, &msg, sizeof(msg)) > 0)
		;
	close(uffd);
	munmap(memory, SIZE);
}

static sigjmp_buf escape;

static void jump(int signo)
{
	siglongjmp(escape, signo);
}

static void *touch_and_escape(void *arg)
{
	if (!sigsetjmp(escape, 1))
		return (void *)(uintptr_t) * (volatile uint64_t *)arg;
	return (void *)-1l;
}

TEST(a_handler_may_jump_out_of_a_wait)
{
	struct sigaction act = {.sa_handler = jump};
	unsigned char *memory = memory_new();
	int uffd = uffd_open(0);
	pthread_t t;
	void *value;

	NEEDS_SIGNALS_AT_ONCE;
	ASSERT_EQ(sigaction(SIGUSR2, &act, NULL), 0);
	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	ASSERT_EQ(pthread_create(&t, NULL, touch_and_escape, memory), 0);
	EXPECT_ASKED(uffd, memory, 0);
	ASSERT_EQ(pthread_kill(t, SIGUSR2), 0);
	pthread_join(t, &value);
	EXPECT_EQ((long)value, -1l);
	expect_silence(uffd);
	ASSERT_EQ(copy_page(uffd, memory, 3, 0), 0);
	EXPECT_EQ(*(uint64_t *)memory, 3);
	close(uffd);
	munmap(memory, SIZE);
}

TEST(whose_pages_are_served_no_more_gets_zeros)
{
	unsigned char *memory = memory_new();
	int uffd = uffd_open(0);
	struct reader r;

	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	reader_start(&r, memory + PAGE, false, 1);
	EXPECT_ASKED(uffd, memory + PAGE, 0);
	ASSERT_EQ(uffd_unregister(uffd, memory, 4 * PAGE), 0);
	pthread_join(r.thread, NULL);
	EXPECT_EQ(r.value, 0);
	EXPECT_EQ(memory[0], 0);
	reader_start(&r, memory + 4 * PAGE, false, 1);
	EXPECT_ASKED(uffd, memory + 4 * PAGE, 0);
	ASSERT_EQ(close(uffd), 0);
	pthread_join(r.thread, NULL);
	EXPECT_EQ(r.value, 0);
	EXPECT_EQ(memory[15 * PAGE], 0);
	munmap(memory, SIZE);
}

TEST(a_copy_of_the_descriptor_is_as_good)
{
	unsigned char *memory = memory_new();
	int uffd = uffd_open(0), copy = fcntl(uffd, F_DUPFD_CLOEXEC, 100);
	struct reader r;

	ASSERT(copy >= 100);
	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	ASSERT_EQ(close(uffd), 0);
	reader_start(&r, memory, false, 0);
	EXPECT_ASKED(copy, memory, 0);
	ASSERT_EQ(copy_page(copy, memory, 6, 0), 0);
	pthread_join(r.thread, NULL);
	EXPECT_EQ(r.value, 6);
	ASSERT_EQ(close(copy), 0);
	EXPECT_EQ(memory[PAGE], 0);
	EXPECT_ERRNO(ioctl(copy, UFFDIO_WAKE, &(struct uffdio_range){(uintptr_t)memory, PAGE}),
		     EBADF);
	munmap(memory, SIZE);
}

TEST(a_fork_child_is_not_served)
{
	unsigned char *memory = memory_new();
	int uffd = uffd_open(0), status = -1;
	struct reader r;
	pid_t pid;

	memory[PAGE] = 3;
	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	pid = fork();
	ASSERT(pid >= 0);
	if (!pid)
		_exit(memory[0] == 0 && memory[PAGE] == 3 && memory[5 * PAGE] == 0 ? 0 : 1);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT(WIFEXITED(status));
	EXPECT_EQ(WEXITSTATUS(status), 0);
	expect_silence(uffd);
	reader_start(&r, memory, false, 0);
	EXPECT_ASKED(uffd, memory, 0);
	ASSERT_EQ(copy_page(uffd, memory, 8, 0), 0);
	pthread_join(r.thread, NULL);
	close(uffd);
	munmap(memory, SIZE);
}

/* --- all at once --------------------------------------------------------------------------------------------------------- */

#define CROWD 4

struct crowd {
	unsigned char *memory;
	unsigned seed, rounds;
	pthread_t thread;
};

static void *crowd_main(void *arg)
{
	struct crowd *c = arg;

	for (unsigned i = 0; i < c->rounds; i++) {
		unsigned page = (c->seed = c->seed * 1103515245 + 12345) >> 16 & (PAGES - 1);
		uint64_t value = *(volatile uint64_t *)(c->memory + page * PAGE);

		EXPECT_EQ(value, 0x1000u + page);
	}
	return NULL;
}

TEST(many_threads_a_guest_and_somebody_who_takes_pages_away)
{
	unsigned rounds = test_rounds(200, 20000);
	unsigned char *memory = memory_new();
	struct pager *p = pager_new(memory);
	struct machine m = guest_over(memory, 0);
	struct crowd crowd[CROWD];

	for (int i = 0; i < CROWD; i++) {
		crowd[i] = (struct crowd){.memory = memory, .seed = i, .rounds = rounds};
		ASSERT_EQ(pthread_create(&crowd[i].thread, NULL, crowd_main, &crowd[i]), 0);
	}
	for (unsigned i = 0; i < rounds / 4; i++) {
		unsigned page = i * 7 % PAGES;

		EXPECT_EQ(guest_loads(&m, GPA + page * PAGE), 0x1000 + page);
		ASSERT_EQ(madvise(memory + page * PAGE, PAGE, MADV_DONTNEED), 0);
	}
	for (int i = 0; i < CROWD; i++)
		pthread_join(crowd[i].thread, NULL);
	EXPECT(p->asked >= PAGES);
	machine_free(&m);
	pager_free(p);
	munmap(memory, SIZE);
}

struct passer {
	unsigned char *memory;
	bool may_be_zero;
	_Atomic int stop;
	pthread_t thread;
};

static void *passer_main(void *arg)
{
	struct passer *p = arg;

	for (unsigned i = 0; !p->stop; i++) {
		unsigned page = i * 5 % PAGES;
		uint64_t value = *(volatile uint64_t *)(p->memory + (page + 1) * PAGE - 8);

		EXPECT((p->may_be_zero && !value) || value == 0x1000u + page);
	}
	return NULL;
}

TEST(registering_and_unregistering_under_those_who_look)
{
	unsigned rounds = test_rounds(300, 30000);
	unsigned char *memory = memory_new();
	struct pager *p = pager_new(memory);
	struct passer passer[2];

	for (int i = 0; i < 2; i++) {
		passer[i] = (struct passer){.memory = memory, .may_be_zero = true};
		ASSERT_EQ(pthread_create(&passer[i].thread, NULL, passer_main, &passer[i]), 0);
	}
	for (unsigned i = 0; i < rounds; i++) {
		ASSERT_EQ(uffd_unregister(p->uffd, memory + i % 4 * PAGE, 8 * PAGE), 0);
		/* Who met the rights that are gone comes late. */
		if (i % 8 == 0)
			sleep_ms(1);
		ASSERT_EQ(madvise(memory, SIZE, MADV_DONTNEED), 0);
		ASSERT_EQ(uffd_register(p->uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	}
	for (int i = 0; i < 2; i++) {
		passer[i].stop = 1;
		pthread_join(passer[i].thread, NULL);
	}
	pager_free(p);
	munmap(memory, SIZE);
}

TEST(nobody_sees_half_a_page)
{
	unsigned rounds = test_rounds(60, 50000);
	unsigned char *memory = memory_new();
	struct pager *p = pager_new(memory);
	struct passer passer[2];

	for (int i = 0; i < 2; i++) {
		passer[i] = (struct passer){.memory = memory};
		ASSERT_EQ(pthread_create(&passer[i].thread, NULL, passer_main, &passer[i]), 0);
	}
	for (unsigned i = 0; i < rounds; i++) {
		int asked = p->asked;

		ASSERT_EQ(madvise(memory + i % PAGES * PAGE, PAGE, MADV_DONTNEED), 0);
		while (p->asked == asked)
			sched_yield();
	}
	for (int i = 0; i < 2; i++) {
		passer[i].stop = 1;
		pthread_join(passer[i].thread, NULL);
	}
	pager_free(p);
	munmap(memory, SIZE);
}

/* --- a page that comes and goes ------------------------------------------------------------------------------------------ */

static _Atomic int polls_stop;

static void *poll_word(void *at)
{
	uintptr_t n = 0;

	while (!polls_stop)
		n += *(volatile uint64_t *)at == 1;
	return (void *)n;
}

/* Nobody dies of it, or waits for ever. (That a thread may find the page there any number of times: ../unit/api/own_userfault.c.) */
TEST(a_page_may_come_and_go_under_a_thread)
{
	unsigned char *memory = memory_new();
	int uffd = uffd_open(0);
	pthread_t t;

	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	ASSERT_EQ(copy_page(uffd, memory, 1, 0), 0);
	ASSERT_EQ(pthread_create(&t, NULL, poll_word, memory), 0);
	for (int i = 0; i < 2000; i++) {
		ASSERT_EQ(madvise(memory, PAGE, MADV_DONTNEED), 0);
		ASSERT_EQ(copy_page(uffd, memory, 1, 0), 0);
	}
	polls_stop = 1;
	pthread_join(t, NULL);
	close(uffd);
	munmap(memory, SIZE);
}

/* --- a descriptor that goes ---------------------------------------------------------------------------------------------- */

/* Also one that nobody was told of. */
TEST(who_was_announced_goes_on_when_the_descriptor_is_closed)
{
	unsigned char *memory = memory_new();
	int uffd = uffd_open(0);
	struct reader r;

	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	reader_start(&r, memory, false, 0);
	EXPECT_ASKED(uffd, memory, 0);
	syscall(SYS_close, uffd);
	pthread_join(r.thread, NULL);
	EXPECT_EQ(r.value, 0);
	munmap(memory, SIZE);
}

/* --- signals that are faults --------------------------------------------------------------------------------------------- */

static volatile uint64_t *touched;
static _Atomic int handled, wakes_stop;

static void touch_in_handler(int signo)
{
	(void)signo;
	handled += *touched == 1;
}

static void *wake_often(void *uffd)
{
	struct uffdio_range range = {(uintptr_t)touched + 8 * PAGE, PAGE};

	while (!wakes_stop)
		EXPECT_EQ(ioctl(*(int *)uffd, UFFDIO_WAKE, &range), 0);
	return NULL;
}

/* The handler may touch a missing page, whatever the thread is doing about others. */
TEST(a_fault_that_is_sent_may_touch_a_page)
{
	struct sigaction act = {.sa_handler = touch_in_handler, .sa_flags = SA_RESTART}, old;
	unsigned char *memory;
	pthread_t t;
	int uffd;

	NEEDS_SIGNALS_AT_ONCE;
	memory = memory_new();
	uffd = uffd_open(0);
	touched = (uint64_t *)memory;
	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	ASSERT_EQ(sigaction(SIGFPE, &act, &old), 0);
	ASSERT_EQ(pthread_create(&t, NULL, wake_often, &uffd), 0);
	for (int i = 1; i <= 1000; i++) {
		ASSERT_EQ(madvise(memory, PAGE, MADV_DONTNEED), 0);
		ASSERT_EQ(pthread_kill(t, SIGFPE), 0);
		ASSERT_EQ(copy_page(uffd, memory, 1, 0), 0);
		while (handled < i)
			sched_yield();
	}
	wakes_stop = 1;
	pthread_join(t, NULL);
	ASSERT_EQ(sigaction(SIGFPE, &old, NULL), 0);
	close(uffd);
	munmap(memory, SIZE);
}
