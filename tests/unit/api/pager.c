/* SPDX-License-Identifier: MIT */
/*
 * Memory that a pager in user space serves (rule P: pages only, each populated first), signals wherever KVM_RUN may block, and
 * fault handlers of the program.
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>

#include "storer.h"

/* --- ranges of a pager (rule P) ------------------------------------------------------------------------------------------- */

struct pager {
	int uffd;
	unsigned char *memory;
	_Atomic int stop, asked, missing, protected_, minor;
	_Atomic int hold; /* requests wait until it is 0 */
};

static void pager_serve(struct pager *p, const struct uffd_msg *msg)
{
	static _Alignas(4096) char page[PAGE];
	uint64_t at = msg->arg.pagefault.address & ~(PAGE - 1);
	struct uffdio_writeprotect wp = {.range = {at, PAGE}};
	struct uffdio_continue cont = {.range = {at, PAGE}};
	struct uffdio_copy copy = {.dst = at, .src = (uintptr_t)page, .len = PAGE};

	p->asked++;
	while (p->hold && !p->stop)
		sleep_ms(1);
	if (msg->arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_MINOR) {
		p->minor++;
		syscall(SYS_ioctl, p->uffd, UFFDIO_CONTINUE, &cont);
	} else if (msg->arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP) {
		p->protected_++;
		syscall(SYS_ioctl, p->uffd, UFFDIO_WRITEPROTECT, &wp);
	} else {
		p->missing++;
		syscall(SYS_ioctl, p->uffd, UFFDIO_COPY, &copy);
	}
}

/* By raw calls: it must not wait for pairs. */
static void *pager_main(void *arg)
{
	struct pager *p = arg;

	while (!p->stop) {
		struct pollfd pfd = {.fd = p->uffd, .events = POLLIN};
		struct uffd_msg msg;

		if (poll(&pfd, 1, 10) == 1 &&
		    syscall(SYS_read, p->uffd, &msg, sizeof(msg)) == sizeof(msg))
			pager_serve(p, &msg);
	}
	return NULL;
}

/* False, with the reason, if this host does not let us. */
static const char *pager_open(struct pager *p, uint64_t features, uint64_t mode, uint64_t size)
{
	struct uffdio_api api = {.api = UFFD_API, .features = features};
	struct uffdio_register reg = {.mode = mode, .range = {(uintptr_t)p->memory, size}};

	p->uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (p->uffd < 0)
		return "userfaultfd needs a privilege here";
	if (ioctl(p->uffd, UFFDIO_API, &api) || ioctl(p->uffd, UFFDIO_REGISTER, &reg)) {
		close(p->uffd);
		return "this host has no such faults for user space";
	}
	return NULL;
}

static unsigned char *aligned_area(int fd)
{
	unsigned char *area = mmap(NULL, 2 * BLOCK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char *p = (unsigned char *)(((uintptr_t)area + BLOCK - 1) & ~(BLOCK - 1));

	return mmap(p, BLOCK, PROT_READ | PROT_WRITE,
		    MAP_FIXED | (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED), fd, 0);
}

TEST(missing_pages_of_a_pager_are_mapped_one_by_one)
{
	struct machine m = machine_new(1);
	struct pager p = {.memory = aligned_area(-1)};
	const char *reason = pager_open(&p, 0, UFFDIO_REGISTER_MODE_MISSING, BLOCK);
	pthread_t t;
	int pages;

	if (reason)
		SKIP(reason);
	storer(&m);
	ASSERT_EQ(set_slot(m.vm, 1, 0, GPA, BLOCK, p.memory), 0);
	ASSERT_EQ(pthread_create(&t, NULL, pager_main, &p), 0);
	for (int i = 0; i < 5; i++)
		EXPECT_EQ(store_at(&m, GPA + i * 7 * PAGE, i), 0);
	EXPECT_EQ(leaves_in(&m, GPA, BLOCK, &pages), 5);
	EXPECT_EQ(pages, 5);
	EXPECT_EQ(p.missing, 5);
	/* No longer the pager's: a block may be made, and is. */
	struct uffdio_range range = {(uintptr_t)p.memory, BLOCK};
	ASSERT_EQ(ioctl(p.uffd, UFFDIO_UNREGISTER, &range), 0);
	EXPECT_EQ(store_at(&m, GPA + 100 * PAGE, 1), 0);
	EXPECT_EQ(leaves_in(&m, GPA, BLOCK, &pages), 1);
	EXPECT_EQ(pages, 0);
	p.stop = 1;
	pthread_join(t, NULL);
	close(p.uffd);
	machine_free(&m);
	munmap(p.memory, BLOCK);
}

TEST(pages_that_a_pager_protects_are_asked_for_at_each_first_write)
{
	struct machine m = machine_new(1);
	struct pager p = {.memory = aligned_area(-1)};
	const char *reason;
	pthread_t t;
	int pages;

	storer(&m);
	ASSERT_EQ(set_slot(m.vm, 1, 0, GPA, BLOCK, p.memory), 0);
	memset(p.memory, 1, 16 * PAGE);
	EXPECT_EQ(store_at(&m, GPA, 1), 0);
	EXPECT_EQ(leaves_in(&m, GPA, BLOCK, &pages), 1);
	EXPECT_EQ(pages, 0);
	reason = pager_open(&p, UFFD_FEATURE_PAGEFAULT_FLAG_WP, UFFDIO_REGISTER_MODE_WP, BLOCK);
	if (reason)
		SKIP(reason);
	/* Registered: the block is gone. */
	EXPECT_EQ(nr_leaves(&m, GPA, BLOCK), 0);
	ASSERT_EQ(pthread_create(&t, NULL, pager_main, &p), 0);
	for (int round = 1; round <= 3; round++) {
		struct uffdio_writeprotect wp = {.range = {(uintptr_t)p.memory, 16 * PAGE},
						 .mode = UFFDIO_WRITEPROTECT_MODE_WP};

		ASSERT_EQ(ioctl(p.uffd, UFFDIO_WRITEPROTECT, &wp), 0);
		EXPECT_EQ(nr_leaves(&m, GPA, 16 * PAGE), 0);
		for (int twice = 0; twice < 2; twice++)
			for (int i = 0; i < 16; i += 5)
				EXPECT_EQ(store_at(&m, GPA + i * PAGE, round), 0);
		EXPECT_EQ(p.protected_, 4 * round);
		EXPECT_EQ(leaves_in(&m, GPA, BLOCK, &pages), 4);
		EXPECT_EQ(pages, 4);
	}
	p.stop = 1;
	pthread_join(t, NULL);
	close(p.uffd);
	machine_free(&m);
	munmap(p.memory, BLOCK);
}

#define LEAF_W (1ull << 7)

/* Else its first write would fault in the host while the vCPU is in guest mode: nobody could wait for that vCPU. */
TEST(a_page_of_a_pager_that_was_only_read_is_not_writable)
{
	struct machine m = machine_new(1);
	struct pager p = {.memory = aligned_area(-1)};
	const char *reason;
	pthread_t t;
	struct code c = code_at(&m, RAM);

	memset(p.memory, 1, 4 * PAGE);
	reason = pager_open(&p, UFFD_FEATURE_PAGEFAULT_FLAG_WP, UFFDIO_REGISTER_MODE_WP, BLOCK);
	if (reason)
		SKIP(reason);
	ASSERT_EQ(pthread_create(&t, NULL, pager_main, &p), 0);
	ASSERT_EQ(set_slot(m.vm, 1, 0, GPA, BLOCK, p.memory), 0);
	li(&c, 1, GPA);
	ldr(&c, 8, 0, 1, 0);
	report(&c, 0, 0);
	str(&c, 8, 0, 1, 0);
	report(&c, 0, 0);
	code_done(&m);
	EXPECT_REPORT(&m, 0, 0, 0x0101010101010101ull);
	EXPECT(leaf_of(&m, GPA));
	EXPECT_EQ(leaf_of(&m, GPA) & LEAF_W, 0);
	EXPECT_REPORT(&m, 0, 0, 0x0101010101010101ull);
	EXPECT_EQ(leaf_of(&m, GPA) & LEAF_W, LEAF_W);
	p.stop = 1;
	pthread_join(t, NULL);
	close(p.uffd);
	machine_free(&m);
	munmap(p.memory, BLOCK);
}

TEST(minor_faults_of_a_pager_are_asked_for_page_by_page)
{
	struct machine m = machine_new(1);
	int fd = memfd_create("minor", MFD_CLOEXEC);
	struct pager p = {0};
	const char *reason;
	pthread_t t;
	int pages;

	ASSERT_EQ(ftruncate(fd, BLOCK), 0);
	unsigned char *filler = map_file(fd, MAP_SHARED, BLOCK, 0);

	memset(filler, 5, BLOCK);
	p.memory = aligned_area(fd);
	reason = pager_open(&p, UFFD_FEATURE_MINOR_SHMEM, UFFDIO_REGISTER_MODE_MINOR, BLOCK);
	if (reason)
		SKIP(reason);
	storer(&m);
	ASSERT_EQ(set_slot(m.vm, 1, 0, GPA, BLOCK, p.memory), 0);
	ASSERT_EQ(pthread_create(&t, NULL, pager_main, &p), 0);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(store_at(&m, GPA + i * 9 * PAGE, i), 0);
	EXPECT_EQ(p.minor, 3);
	EXPECT_EQ(leaves_in(&m, GPA, BLOCK, &pages), 3);
	EXPECT_EQ(pages, 3);
	EXPECT_EQ(filler[9 * PAGE], 1);
	EXPECT_EQ(filler[10 * PAGE], 5);
	p.stop = 1;
	pthread_join(t, NULL);
	close(p.uffd);
	close(fd);
	machine_free(&m);
	munmap(p.memory, BLOCK);
	munmap(filler, BLOCK);
}

/* --- signals where KVM_RUN blocks ----------------------------------------------------------------------------------------- */

static _Atomic int signals_seen;

static void on_signal(int sig)
{
	signals_seen++;
}

static void expect_eintr(struct machine *m, struct runner *r)
{
	for (int i = 0; i < 1000 && !r->done; i++) {
		pthread_kill(r->thread, SIGUSR1);
		sleep_ms(2);
	}
	ASSERT(r->done);
	runner_join(r);
	EXPECT_EQ(r->result, -1);
	EXPECT_EQ(r->error, EINTR);
	EXPECT_EQ(m->run[0]->exit_reason, KVM_EXIT_INTR);
	EXPECT_CMP(signals_seen, >, 0);
}

TEST(a_signal_ends_the_sleep_of_a_powered_off_vcpu)
{
	struct machine m = machine_new(1);
	struct kvm_mp_state stopped = {KVM_MP_STATE_STOPPED};
	struct sigaction sa = {.sa_handler = on_signal}, old;
	struct runner r;

	sigaction(SIGUSR1, &sa, &old);
	signals_seen = 0;
	ASSERT_EQ(ioctl(m.vcpu[0], KVM_SET_MP_STATE, &stopped), 0);
	runner_start(&r, &m, 0);
	sleep_ms(20);
	expect_eintr(&m, &r);
	sigaction(SIGUSR1, &old, NULL);
	machine_free(&m);
}

static struct machine *changing;
static _Atomic int in_pair, end_pair;

/* In a thread of its own: whom it starts inside the pair would inherit its blocked signals. */
static void *change_memory(void *arg)
{
	struct anykvm_invalidate inv;

	if (anykvm_invalidate_start(changing->ram, RAM_SIZE, &inv))
		abort();
	in_pair = 1;
	while (!end_pair)
		sleep_ms(1);
	anykvm_invalidate_end(&inv);
	return NULL;
}

/* The page that the guest needs is being changed for as long as we like. */
TEST(a_signal_ends_the_retries_of_a_fault_inside_a_pair)
{
	struct machine m = machine_new(1);
	struct sigaction sa = {.sa_handler = on_signal}, old;
	struct runner r;
	pthread_t t;

	storer(&m);
	set_x(m.vcpu[0], 1, RAM + 0x8000);
	sigaction(SIGUSR1, &sa, &old);
	signals_seen = in_pair = end_pair = 0;
	changing = &m;
	ASSERT_EQ(pthread_create(&t, NULL, change_memory, NULL), 0);
	while (!in_pair)
		sleep_ms(1);
	runner_start(&r, &m, 0);
	sleep_ms(20);
	EXPECT(!r.done);
	expect_eintr(&m, &r);
	end_pair = 1;
	pthread_join(t, NULL);
	EXPECT_REPORT(&m, 0, 0, 0);
	sigaction(SIGUSR1, &old, NULL);
	machine_free(&m);
}

/* As on KVM for arm64: the page is waited for, then the signal is looked at. */
TEST(a_signal_during_a_pagers_fault_ends_the_run_once_the_page_is_there)
{
	struct machine m = machine_new(1);
	struct pager p = {.memory = aligned_area(-1), .hold = 1};
	const char *reason = pager_open(&p, 0, UFFDIO_REGISTER_MODE_MISSING, BLOCK);
	struct sigaction sa = {.sa_handler = on_signal}, old;
	struct code c = code_at(&m, RAM);
	struct runner r;
	pthread_t t;

	if (reason)
		SKIP(reason);
	li(&c, 1, GPA);
	ldr(&c, 8, 0, 1, 0);
	b_to(&c, c.pc);
	code_done(&m);
	sigaction(SIGUSR1, &sa, &old);
	signals_seen = 0;
	ASSERT_EQ(set_slot(m.vm, 1, 0, GPA, BLOCK, p.memory), 0);
	ASSERT_EQ(pthread_create(&t, NULL, pager_main, &p), 0);
	runner_start(&r, &m, 0);
	while (!p.asked)
		sleep_ms(1);
	pthread_kill(r.thread, SIGUSR1);
	sleep_ms(20);
	EXPECT(!r.done);
	EXPECT_EQ(signals_seen, 0);
	p.hold = 0;
	expect_eintr(&m, &r);
	EXPECT_EQ(p.missing, 1);
	p.stop = 1;
	pthread_join(t, NULL);
	sigaction(SIGUSR1, &old, NULL);
	close(p.uffd);
	machine_free(&m);
	munmap(p.memory, BLOCK);
}

/*
 * WnR of an atomic is 0 where a read would fault as well, says the manual; so a slot that takes no writes is read first. (The emulated
 * machine of tools/reference says 1.)
 */
TEST(a_read_only_page_is_asked_for_before_an_atomic_is_refused)
{
	struct machine m = machine_new(1);
	struct pager p = {.memory = aligned_area(-1)};
	const char *reason = pager_open(&p, 0, UFFDIO_REGISTER_MODE_MISSING, BLOCK);
	struct code c = code_at(&m, RAM);
	pthread_t t;

	if (reason)
		SKIP(reason);
	put(&c, 0xc8e0fc22); /* casal x0, x2, [x1] */
	str(&c, 8, 2, 1, 0);
	code_done(&m);
	ASSERT_EQ(set_slot(m.vm, 1, KVM_MEM_READONLY, GPA, BLOCK, p.memory), 0);
	ASSERT_EQ(pthread_create(&t, NULL, pager_main, &p), 0);
	set_x(m.vcpu[0], 1, GPA + PAGE);
	EXPECT_ERRNO(run(&m, 0), ENOSYS);
	EXPECT_EQ(p.missing, 1);
	/* A plain store is not asked for: it leaves as MMIO. */
	set_x(m.vcpu[0], 1, GPA + 2 * PAGE);
	ASSERT_EQ(set_reg(m.vcpu[0], CORE_REG(regs.pc), RAM + 4), 0);
	EXPECT_EQ(run(&m, 0), 0);
	EXPECT_EQ(m.run[0]->exit_reason, KVM_EXIT_MMIO);
	EXPECT_EQ(p.missing, 1);
	p.stop = 1;
	pthread_join(t, NULL);
	close(p.uffd);
	machine_free(&m);
	munmap(p.memory, BLOCK);
}

/* --- a VMM with handlers of its own --------------------------------------------------------------------------------------- */

static struct sigaction found;
static _Atomic int own_faults, passed_on, on_own_stack;
static char *own_page, *own_stack;
#define OWN_STACK_SIZE 0x10000

static void vmm_handler(int sig, siginfo_t *info, void *context)
{
	char here;

	on_own_stack += &here >= own_stack && &here < own_stack + OWN_STACK_SIZE;
	if (info->si_addr == own_page) {
		own_faults++;
		mprotect(own_page, PAGE, PROT_READ | PROT_WRITE);
		return;
	}
	passed_on++;
	found.sa_sigaction(sig, info, context);
}

/* Installed after the thread's first run, on a stack of its own, and passing on what is not its own. */
TEST(I35_a_handler_that_comes_after_the_first_run_and_passes_on_is_fine)
{
	struct machine m = machine_new(1);
	struct sigaction sa = {.sa_sigaction = vmm_handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	stack_t stack, before;
	unsigned char *p =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	storer(&m);
	ASSERT_EQ(set_slot(m.vm, 1, 0, GPA, PAGE, p), 0);
	EXPECT_EQ(store_at(&m, GPA, 1), 0);
	own_page = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	own_stack = malloc(OWN_STACK_SIZE);
	stack = (stack_t){.ss_sp = own_stack, .ss_size = OWN_STACK_SIZE};
	ASSERT_EQ(sigaltstack(&stack, &before), 0);
	own_faults = passed_on = on_own_stack = 0;
	sigaction(SIGSEGV, &sa, &found);
	*(volatile char *)own_page = 1;
	EXPECT_EQ(own_faults, 1);
	ASSERT_EQ(syscall(SYS_munmap, p, PAGE), 0);
	EXPECT_ERRNO(store_at(&m, GPA, 2), EFAULT);
	EXPECT_CMP(passed_on, >, 0);
	EXPECT_EQ(on_own_stack, own_faults + passed_on);
	sigaction(SIGSEGV, &found, NULL);
	sigaltstack(&before, NULL);
	free(own_stack);
	munmap(own_page, PAGE);
	machine_free(&m);
}
