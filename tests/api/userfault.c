/* SPDX-License-Identifier: MIT */
/*
 * userfaultfd, the host's or the library's: the same program passes with both. ANYKVM_USERFAULTFD chooses; a kernel of its own
 * (-DANYKVM_REAL without the preloaded library) has one.
 */
#include "vmm.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <setjmp.h>
#include <sys/wait.h>

#ifdef ANYKVM_REAL
#define userfaultfd(flags) ((int)syscall(SYS_userfaultfd, flags))
#else
#define userfaultfd(flags) anykvm_userfaultfd(flags)
#endif

#define GPA   0x80000000ull
#define PAGES 16
#define SIZE  (PAGES * PAGE)

/* --- a pager ------------------------------------------------------------------------------------------------------------- */

static int uffd_open(uint64_t features)
{
	struct uffdio_api api = {.api = UFFD_API, .features = features};
	int uffd = userfaultfd(O_CLOEXEC | O_NONBLOCK);

	if (uffd < 0)
		SKIP("userfaultfd needs a privilege here");
	ASSERT_EQ(ioctl(uffd, UFFDIO_API, &api), 0);
	ASSERT_EQ(api.features & features, features);
	return uffd;
}

static int uffd_register(int uffd, void *at, uint64_t len, uint64_t mode)
{
	struct uffdio_register reg = {.range = {(uintptr_t)at, len}, .mode = mode};
	int r = ioctl(uffd, UFFDIO_REGISTER, &reg);

	if (!r) {
		EXPECT(reg.ioctls & 1 << _UFFDIO_WAKE);
		EXPECT(reg.ioctls & 1 << _UFFDIO_COPY);
		EXPECT(!(mode & UFFDIO_REGISTER_MODE_MINOR) || reg.ioctls & 1 << _UFFDIO_CONTINUE);
	}
	return r;
}

static int uffd_unregister(int uffd, void *at, uint64_t len)
{
	struct uffdio_range range = {(uintptr_t)at, len};

	return ioctl(uffd, UFFDIO_UNREGISTER, &range);
}

static unsigned char *memory_new(void)
{
	unsigned char *p =
		mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT(p != MAP_FAILED);
	madvise(p, SIZE, MADV_NOHUGEPAGE);
	return p;
}

static int copy_page(int uffd, void *dst, uint64_t first, uint64_t mode)
{
	uint64_t page[PAGE / 8] = {[0] = first, [PAGE / 8 - 1] = first};
	struct uffdio_copy copy = {
		.dst = (uintptr_t)dst, .src = (uintptr_t)page, .len = PAGE, .mode = mode};
	int r = ioctl(uffd, UFFDIO_COPY, &copy);

	if (!r)
		EXPECT_EQ(copy.copy, (int64_t)PAGE);
	else
		EXPECT_EQ(copy.copy, -errno);
	return r;
}

static int continue_page(int uffd, void *at)
{
	struct uffdio_continue cont = {.range = {(uintptr_t)at, PAGE}};

	return ioctl(uffd, UFFDIO_CONTINUE, &cont);
}

/* The next message, within ten seconds. */
static struct uffd_msg message(int uffd)
{
	struct pollfd p = {.fd = uffd, .events = POLLIN};
	struct uffd_msg msg = {0};

	for (int i = 0; i < 1000; i++) {
		if (poll(&p, 1, 10) == 1 && read(uffd, &msg, sizeof(msg)) == sizeof(msg)) {
			EXPECT_EQ(msg.event, UFFD_EVENT_PAGEFAULT);
			return msg;
		}
	}
	TEST_FAIL("no message");
	return msg;
}

#define EXPECT_ASKED(uffd, at, wanted)                                                \
	do {                                                                          \
		struct uffd_msg msg_ = message(uffd);                                 \
                                                                                      \
		EXPECT_EQ(msg_.arg.pagefault.address & ~(PAGE - 1), (uintptr_t)(at)); \
		EXPECT_EQ(msg_.arg.pagefault.flags, (uint64_t)(wanted));              \
	} while (0)

static void expect_silence(int uffd)
{
	struct uffd_msg msg;

	EXPECT_ERRNO(read(uffd, &msg, sizeof(msg)), EAGAIN);
}

struct pager {
	int uffd;
	unsigned char *memory;
	_Atomic int stop, asked, wrote;
	pthread_t thread;
};

/* Each page begins with 0x1000 and its number. */
static void *pager_main(void *arg)
{
	struct pager *p = arg;

	while (!p->stop) {
		struct pollfd pfd = {.fd = p->uffd, .events = POLLIN};
		struct uffd_msg msg;
		uint64_t at;

		if (poll(&pfd, 1, 10) != 1 || read(p->uffd, &msg, sizeof(msg)) != sizeof(msg))
			continue;
		at = msg.arg.pagefault.address & ~(PAGE - 1);
		p->wrote += !!(msg.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WRITE);
		p->asked++;
		if (copy_page(p->uffd, (void *)at, 0x1000 + (at - (uintptr_t)p->memory) / PAGE, 0))
			EXPECT(errno == EEXIST || errno == ENOENT);
	}
	return NULL;
}

static struct pager *pager_new(unsigned char *memory)
{
	struct pager *p = calloc(1, sizeof(*p));

	p->uffd = uffd_open(0);
	p->memory = memory;
	ASSERT_EQ(uffd_register(p->uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	ASSERT_EQ(pthread_create(&p->thread, NULL, pager_main, p), 0);
	return p;
}

static void pager_free(struct pager *p)
{
	p->stop = 1;
	pthread_join(p->thread, NULL);
	EXPECT_EQ(close(p->uffd), 0);
	free(p);
}

/* --- guests -------------------------------------------------------------------------------------------------------------- */

/* Reports x8 after the instructions in between, with the address in x1. */
static struct machine guest_over(void *memory, unsigned flags)
{
	struct machine m = machine_new(1);

	ASSERT_EQ(set_slot(m.vm, 1, flags, GPA, SIZE, memory), 0);
	return m;
}

static void guest_from(struct machine *m, uint64_t gpa)
{
	set_x(m->vcpu[0], 1, gpa);
	ASSERT_EQ(set_reg(m->vcpu[0], CORE_REG(regs.pc), RAM), 0);
}

/* What a load at gpa gives. */
static uint64_t guest_loads(struct machine *m, uint64_t gpa)
{
	uint64_t value = 0;
	struct code c = code_at(m, RAM);

	ldr(&c, 8, 0, 1, 0);
	report(&c, 0, 0);
	code_done(m);
	guest_from(m, gpa);
	EXPECT_EQ(run(m, 0), 0);
	EXPECT_EQ(m->run[0]->exit_reason, KVM_EXIT_MMIO);
	memcpy(&value, m->run[0]->mmio.data, 8);
	m->run[0]->immediate_exit = 1;
	EXPECT_ERRNO(run(m, 0), EINTR);
	m->run[0]->immediate_exit = 0;
	return value;
}

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

TEST(a_read_only_page_is_asked_for_before_an_atomic_is_refused)
{
	unsigned char *memory = memory_new();
	struct pager *p = pager_new(memory);
	struct machine m = guest_over(memory, KVM_MEM_READONLY);
	struct code c = code_at(&m, RAM);

	put(&c, 0xc8e0fc22); /* casal x0, x2, [x1] */
	code_done(&m);
	guest_from(&m, GPA + PAGE);
	EXPECT_ERRNO(run(&m, 0), ENOSYS);
	EXPECT_EQ(p->asked, 1);
	EXPECT_EQ(p->wrote, 0);
	/* A plain store is not asked for: it leaves as MMIO. */
	c = code_at(&m, RAM + PAGE);
	str(&c, 8, 2, 1, 0);
	code_done(&m);
	guest_from(&m, GPA + 2 * PAGE);
	ASSERT_EQ(set_reg(m.vcpu[0], CORE_REG(regs.pc), RAM + PAGE), 0);
	EXPECT_EQ(run(&m, 0), 0);
	EXPECT_EQ(m.run[0]->exit_reason, KVM_EXIT_MMIO);
	EXPECT_EQ(p->asked, 1);
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

struct reader {
	volatile uint64_t *at;
	uint64_t value;
	_Atomic int tid, done;
	bool write;
	pthread_t thread;
};

static void *reader_main(void *arg)
{
	struct reader *r = arg;

	r->tid = syscall(SYS_gettid);
	if (r->write)
		*r->at = r->value;
	else
		r->value = *r->at;
	r->done = 1;
	return NULL;
}

static void reader_start(struct reader *r, void *at, bool write, uint64_t value)
{
	*r = (struct reader){.at = at, .write = write, .value = value};
	ASSERT_EQ(pthread_create(&r->thread, NULL, reader_main, r), 0);
}

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

/* --- shared memory ------------------------------------------------------------------------------------------------------- */

TEST(a_page_that_the_file_has_is_a_minor_fault)
{
	int uffd = uffd_open(UFFD_FEATURE_MINOR_SHMEM | UFFD_FEATURE_MISSING_SHMEM),
	    fd = memfd_create("shared", MFD_CLOEXEC);
	unsigned char *memory, *alias;
	struct machine m;
	struct reader r;

	ASSERT_EQ(ftruncate(fd, SIZE), 0);
	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	alias = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT(memory != MAP_FAILED && alias != MAP_FAILED);
	*(uint64_t *)alias = 11;
	*(uint64_t *)(alias + PAGE) = 12;
	ASSERT_EQ(uffd_register(uffd, memory, SIZE,
				UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_MINOR),
		  0);
	reader_start(&r, memory, false, 0);
	EXPECT_ASKED(uffd, memory, UFFD_PAGEFAULT_FLAG_MINOR);
	EXPECT_ERRNO(copy_page(uffd, memory, 1, 0), EEXIST);
	ASSERT_EQ(continue_page(uffd, memory), 0);
	pthread_join(r.thread, NULL);
	EXPECT_EQ(r.value, 11);
	EXPECT_ERRNO(continue_page(uffd, memory), EEXIST);
	EXPECT_ERRNO(continue_page(uffd, memory + 2 * PAGE), EFAULT);
	/* Missing altogether. The other mapping sees what the pager brings. */
	reader_start(&r, memory + 2 * PAGE, false, 0);
	EXPECT_ASKED(uffd, memory + 2 * PAGE, 0);
	ASSERT_EQ(copy_page(uffd, memory + 2 * PAGE, 13, 0), 0);
	pthread_join(r.thread, NULL);
	EXPECT_EQ(r.value, 13);
	EXPECT_EQ(*(uint64_t *)(alias + 2 * PAGE), 13);
	/* A guest's, and after a hole once more. */
	m = guest_over(memory, 0);
	ASSERT_EQ(continue_page(uffd, memory + PAGE), 0);
	EXPECT_EQ(guest_loads(&m, GPA + PAGE), 12);
	ASSERT_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, PAGE), 0);
	ASSERT_EQ(copy_page(uffd, memory + PAGE, 14, 0), 0);
	EXPECT_EQ(guest_loads(&m, GPA + PAGE), 14);
	/* Unmapped here, but still in the file. */
	ASSERT_EQ(madvise(memory, PAGE, MADV_DONTNEED), 0);
	reader_start(&r, memory, false, 0);
	EXPECT_ASKED(uffd, memory, UFFD_PAGEFAULT_FLAG_MINOR);
	ASSERT_EQ(continue_page(uffd, memory), 0);
	pthread_join(r.thread, NULL);
	EXPECT_EQ(r.value, 11);
	expect_silence(uffd);
	machine_free(&m);
	close(uffd);
	munmap(memory, SIZE);
	munmap(alias, SIZE);
	close(fd);
}

TEST(only_what_was_asked_for_is_reported_of_shared_memory)
{
	int uffd = uffd_open(0), fd = memfd_create("shared", MFD_CLOEXEC);
	off_t position;
	unsigned char *memory;
	struct reader r;

	ASSERT_EQ(ftruncate(fd, SIZE), 0);
	ASSERT_EQ(pwrite(fd, "x", 1, 0), 1);
	position = lseek(fd, 5, SEEK_SET);
	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	/* the file has it */
	EXPECT_EQ(memory[0], 'x');
	expect_silence(uffd);
	reader_start(&r, memory + PAGE, false, 0);
	EXPECT_ASKED(uffd, memory + PAGE, 0);
	ASSERT_EQ(copy_page(uffd, memory + PAGE, 21, 0), 0);
	pthread_join(r.thread, NULL);
	EXPECT_EQ(r.value, 21);
	/* minor faults alone: a hole is the system's */
	ASSERT_EQ(uffd_register(uffd, memory + 8 * PAGE, 8 * PAGE, UFFDIO_REGISTER_MODE_MINOR), 0);
	EXPECT_EQ(memory[9 * PAGE], 0);
	expect_silence(uffd);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), position);
	close(uffd);
	munmap(memory, SIZE);
	close(fd);
}

/* --- requests ------------------------------------------------------------------------------------------------------------ */

TEST(the_interface_is_agreed_upon_first)
{
	struct uffdio_api api = {.api = UFFD_API, .features = 1ull << 63};
	unsigned char *memory = memory_new();
	struct uffdio_range range = {(uintptr_t)memory, PAGE};
	struct uffd_msg msg;
	int uffd = userfaultfd(O_CLOEXEC | O_NONBLOCK);

	if (uffd < 0)
		SKIP("userfaultfd needs a privilege here");
	EXPECT(fcntl(uffd, F_GETFD) & FD_CLOEXEC);
	EXPECT(fcntl(uffd, F_GETFL) & O_NONBLOCK);
	EXPECT_ERRNO(read(uffd, &msg, sizeof(msg)), EINVAL);
	EXPECT_ERRNO(ioctl(uffd, UFFDIO_WAKE, &range), EINVAL);
	EXPECT_ERRNO(uffd_register(uffd, memory, PAGE, UFFDIO_REGISTER_MODE_MISSING), EINVAL);
	EXPECT_ERRNO(ioctl(uffd, UFFDIO_API, &api), EINVAL);
	EXPECT_EQ(api.features, 0);
	api = (struct uffdio_api){.api = UFFD_API + 1};
	EXPECT_ERRNO(ioctl(uffd, UFFDIO_API, &api), EINVAL);
	EXPECT_ERRNO(ioctl(uffd, UFFDIO_API, bad_pointer()), EFAULT);
	api = (struct uffdio_api){.api = UFFD_API};
	EXPECT_EQ(ioctl(uffd, UFFDIO_API, &api), 0);
	EXPECT(api.features & UFFD_FEATURE_MISSING_SHMEM);
	EXPECT_EQ(api.ioctls & 3, 3);
	api = (struct uffdio_api){.api = UFFD_API};
	EXPECT_ERRNO(ioctl(uffd, UFFDIO_API, &api), EINVAL);
	EXPECT_ERRNO(ioctl(uffd, _IO(0xaa, 0x3e), 0), EINVAL);
	expect_silence(uffd);
#ifdef ANYKVM_REAL
	EXPECT_ERRNO(write(uffd, &msg, sizeof(msg)), EBADF);
#endif
	close(uffd);
	EXPECT_ERRNO(userfaultfd(O_APPEND), EINVAL);
	uffd = userfaultfd(0);
	EXPECT(!(fcntl(uffd, F_GETFD) & FD_CLOEXEC));
	EXPECT(!(fcntl(uffd, F_GETFL) & O_NONBLOCK));
	close(uffd);
	munmap(memory, SIZE);
}

TEST(what_cannot_be_registered_is_refused)
{
	unsigned char *memory = memory_new();
	int uffd = uffd_open(0), other = uffd_open(0);

	EXPECT_ERRNO(uffd_register(uffd, memory, PAGE, 0), EINVAL);
	EXPECT_ERRNO(uffd_register(uffd, memory, PAGE, 1ull << 40), EINVAL);
	EXPECT_ERRNO(uffd_register(uffd, memory, 0, UFFDIO_REGISTER_MODE_MISSING), EINVAL);
	EXPECT_ERRNO(uffd_register(uffd, memory + 1, PAGE, UFFDIO_REGISTER_MODE_MISSING), EINVAL);
	EXPECT_ERRNO(uffd_register(uffd, memory, PAGE + 1, UFFDIO_REGISTER_MODE_MISSING), EINVAL);
	EXPECT_ERRNO(uffd_register(uffd, memory, -PAGE, UFFDIO_REGISTER_MODE_MISSING), EINVAL);
	EXPECT_ERRNO(uffd_register(uffd, memory, PAGE, UFFDIO_REGISTER_MODE_MINOR), EINVAL);
	EXPECT_ERRNO(ioctl(uffd, UFFDIO_REGISTER, bad_pointer()), EFAULT);
	ASSERT_EQ(munmap(memory + 8 * PAGE, 8 * PAGE), 0);
	EXPECT_ERRNO(uffd_register(uffd, memory + 8 * PAGE, PAGE, UFFDIO_REGISTER_MODE_MISSING),
		     EINVAL);
	/* Holes within do not matter. */
	ASSERT_EQ(munmap(memory + 2 * PAGE, PAGE), 0);
	ASSERT_EQ(uffd_register(uffd, memory, 4 * PAGE, UFFDIO_REGISTER_MODE_MISSING), 0);
	EXPECT_ERRNO(uffd_register(other, memory + PAGE, PAGE, UFFDIO_REGISTER_MODE_MISSING),
		     EBUSY);
	EXPECT_EQ(uffd_register(other, memory + 4 * PAGE, PAGE, UFFDIO_REGISTER_MODE_MISSING), 0);
	/* What failed has changed nothing. */
	memory[5 * PAGE] = 1;
	close(uffd);
	close(other);
	EXPECT_EQ(memory[0], 0);
	munmap(memory, 8 * PAGE);
}

TEST(what_cannot_be_filled_is_told)
{
	unsigned char *memory = memory_new(), *source = memory_new();
	int uffd = uffd_open(0);
	struct reader r;
	struct uffdio_copy copy = {.src = (uintptr_t)source, .len = 4 * PAGE};
	struct uffdio_zeropage zero = {.range = {(uintptr_t)memory, 2 * PAGE}};

	ASSERT_EQ(uffd_register(uffd, memory, 8 * PAGE, UFFDIO_REGISTER_MODE_MISSING), 0);
	EXPECT_ERRNO(copy_page(uffd, memory + 8 * PAGE, 0, 0), ENOENT);
	copy.dst = (uintptr_t)memory + 1;
	EXPECT_ERRNO(ioctl(uffd, UFFDIO_COPY, &copy), EINVAL);
	copy.dst = (uintptr_t)memory;
	copy.mode = 1 << 5;
	EXPECT_ERRNO(ioctl(uffd, UFFDIO_COPY, &copy), EINVAL);
	copy.mode = 0;
	copy.len = 0;
	EXPECT_ERRNO(ioctl(uffd, UFFDIO_COPY, &copy), EINVAL);
	copy.len = PAGE;
	copy.src = (uintptr_t)bad_pointer();
	EXPECT_ERRNO(ioctl(uffd, UFFDIO_COPY, &copy), EFAULT);
	EXPECT_EQ(copy.copy, -EFAULT);
	/* Nothing came: it is as missing as before. */
	reader_start(&r, memory, false, 0);
	EXPECT_ASKED(uffd, memory, 0);
	ASSERT_EQ(copy_page(uffd, memory, 2, 0), 0);
	pthread_join(r.thread, NULL);
	EXPECT_EQ(r.value, 2);
	ASSERT_EQ(madvise(memory, PAGE, MADV_DONTNEED), 0);
	/* The third page is there already. */
	ASSERT_EQ(copy_page(uffd, memory + 2 * PAGE, 3, 0), 0);
	EXPECT_ERRNO(copy_page(uffd, memory + 2 * PAGE, 4, 0), EEXIST);
	memset(source, 5, SIZE);
	copy = (struct uffdio_copy){
		.dst = (uintptr_t)memory, .src = (uintptr_t)source + 3, .len = 4 * PAGE};
	EXPECT_ERRNO(ioctl(uffd, UFFDIO_COPY, &copy), EAGAIN);
	EXPECT_EQ(copy.copy, 2 * (int64_t)PAGE);
	EXPECT_EQ(memory[PAGE], 5);
	EXPECT_EQ(*(uint64_t *)(memory + 2 * PAGE), 3);
	/* zeros */
	EXPECT_ERRNO(ioctl(uffd, UFFDIO_ZEROPAGE, &zero), EEXIST);
	zero.range.start = (uintptr_t)memory + 4 * PAGE;
	EXPECT_EQ(ioctl(uffd, UFFDIO_ZEROPAGE, &zero), 0);
	EXPECT_EQ(zero.zeropage, 2 * (int64_t)PAGE);
	EXPECT_EQ(memory[4 * PAGE], 0);
	memory[5 * PAGE] = 1;
	EXPECT_ERRNO(continue_page(uffd, memory + 6 * PAGE), EINVAL);
	expect_silence(uffd);
	close(uffd);
	munmap(memory, SIZE);
	munmap(source, SIZE);
}

/* --- the program's changes of memory ------------------------------------------------------------------------------------- */

TEST(what_is_mapped_anew_is_registered_no_more)
{
	unsigned char *memory = memory_new(), *moved;
	int uffd = uffd_open(0);
	struct reader r;

	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	ASSERT_EQ(munmap(memory + 4 * PAGE, 4 * PAGE), 0);
	ASSERT_EQ(mmap(memory + 4 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
		  memory + 4 * PAGE);
	memory[4 * PAGE] = 1;
	ASSERT_EQ(mmap(memory + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
		  memory + 2 * PAGE);
	EXPECT_EQ(memory[2 * PAGE], 0);
	moved = mremap(memory + 12 * PAGE, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		       memory + 8 * PAGE);
	EXPECT_EQ(moved, memory + 8 * PAGE);
	EXPECT_EQ(memory[8 * PAGE], 0);
	expect_silence(uffd);
	/* What lies between is as before. */
	reader_start(&r, memory + 3 * PAGE, false, 0);
	EXPECT_ASKED(uffd, memory + 3 * PAGE, 0);
	ASSERT_EQ(copy_page(uffd, memory + 3 * PAGE, 30, 0), 0);
	pthread_join(r.thread, NULL);
	EXPECT_EQ(r.value, 30);
	close(uffd);
	munmap(memory, 12 * PAGE);
}

static void *read_through(void *at)
{
	return (void *)(uintptr_t) * (volatile uint64_t *)at;
}

__attribute__((noinline)) static bool can_write(volatile unsigned char *at)
{
	if (sigsetjmp(escape, 1))
		return false;
	*at = 2;
	return true;
}

TEST(rights_are_the_programs)
{
	struct sigaction act = {.sa_handler = jump, .sa_flags = SA_NODEFER}, old;
	unsigned char *memory = memory_new();
	int uffd = uffd_open(0);
	pthread_t t;
	void *value;

	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	ASSERT_EQ(copy_page(uffd, memory, 1, 0), 0);
	ASSERT_EQ(mprotect(memory, 4 * PAGE, PROT_READ), 0);
	EXPECT_EQ(*(uint64_t *)memory, 1);
	ASSERT_EQ(sigaction(SIGSEGV, &act, &old), 0);
	EXPECT(!can_write(memory));
	/* A missing page is asked for, as before; and a write to it is wrong. */
	EXPECT(!can_write(memory + PAGE));
	ASSERT_EQ(sigaction(SIGSEGV, &old, NULL), 0);
	expect_silence(uffd);
	ASSERT_EQ(pthread_create(&t, NULL, read_through, memory + 2 * PAGE), 0);
	EXPECT_ASKED(uffd, memory + 2 * PAGE, 0);
	ASSERT_EQ(copy_page(uffd, memory + 2 * PAGE, 22, 0), 0);
	pthread_join(t, &value);
	EXPECT_EQ((uintptr_t)value, 22);
	ASSERT_EQ(mprotect(memory, SIZE, PROT_READ | PROT_WRITE), 0);
	*(uint64_t *)memory = 3;
	ASSERT_EQ(pthread_create(&t, NULL, read_through, memory + 3 * PAGE), 0);
	EXPECT_ASKED(uffd, memory + 3 * PAGE, 0);
	ASSERT_EQ(copy_page(uffd, memory + 3 * PAGE, 23, 0), 0);
	pthread_join(t, &value);
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
	unsigned rounds = test_rounds(500, 50000);
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
