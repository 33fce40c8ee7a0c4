/* SPDX-License-Identifier: MIT */
/* What keeps a machine alive, fork, and memory that changes without the library being told. */
#include "vmm.h"

#include <setjmp.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

#define KIB64 0x10000ull

static void on_kick(int sig)
{
}

/* Guest: counts in x0 and reports. */
static void counter(struct machine *m)
{
	struct code c = code_at(m, RAM);

	li(&c, 0, 0);
	uint64_t loop = c.pc;
	add_imm(&c, 0, 0, 1);
	report(&c, 0, 0);
	b_to(&c, loop);
	code_done(m);
}

/* I-01: whatever is closed first, the last descriptor still works. */
TEST(i01_a_machine_lives_until_its_last_descriptor)
{
	/* kinds: 0 system, 1 VM, 2 device, 3 VM statistics, 4 vCPU statistics; the vCPU goes last, then first */
	for (int order = 0; order < 120; order++) {
		struct machine m = machine_new(1);
		struct kvm_create_device cd = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};
		int fds[5], left = 5, n = order;

		counter(&m);
		ASSERT_EQ(ioctl(m.vm, KVM_CREATE_DEVICE, &cd), 0);
		fds[0] = m.kvm;
		fds[1] = m.vm;
		fds[2] = cd.fd;
		fds[3] = ioctl(m.vm, KVM_GET_STATS_FD, 0);
		fds[4] = ioctl(m.vcpu[0], KVM_GET_STATS_FD, 0);
		while (left) {
			int i = n % left;
			struct kvm_stats_header h;

			n /= left;
			EXPECT_EQ(close(fds[i]), 0);
			fds[i] = fds[--left];
			/* the vCPU answers (no addresses for the controller: it cannot run) */
			EXPECT_EQ(get_x(m.vcpu[0], 0), 0);
			for (int j = 0; j < left; j++)
				if (fds[j] != m.kvm && fds[j] != m.vm && fds[j] != cd.fd)
					EXPECT_EQ(pread(fds[j], &h, sizeof(h), 0), sizeof(h));
		}
		munmap(m.run[0], 2 * PAGE);
		EXPECT_EQ(close(m.vcpu[0]), 0);
		munmap(m.ram, RAM_SIZE);
	}
}

TEST(i01_a_vcpu_runs_without_the_vm_descriptor)
{
	struct machine m = machine_new(1);
	int copy;

	counter(&m);
	close(m.vm);
	close(m.kvm);
	EXPECT_REPORT(&m, 0, 0, 1);
	copy = dup(m.vcpu[0]);
	close(m.vcpu[0]);
	m.vcpu[0] = copy;
	EXPECT_REPORT(&m, 0, 0, 2);
	/* the mapping alone is enough for the page */
	close(copy);
	EXPECT_EQ(m.run[0]->exit_reason, KVM_EXIT_MMIO);
	m.run[0]->exit_reason = 5;
	EXPECT_EQ(m.run[0]->exit_reason, 5);
	EXPECT_EQ(munmap(m.run[0], 2 * sysconf(_SC_PAGESIZE)), 0);
	munmap(m.ram, RAM_SIZE);
}

/* The call holds the machine: it ends with the run, on the thread that ran. */
TEST(i01_every_descriptor_may_close_under_a_running_vcpu)
{
	struct machine m = machine_new(1);
	struct sigaction kick = {.sa_handler = on_kick}, old;
	struct code c = code_at(&m, RAM);
	volatile uint64_t *word = (uint64_t *)(m.ram + 0x2000);
	struct runner r;

	li(&c, 1, RAM + 0x2000);
	uint64_t loop = c.pc;
	add_imm(&c, 0, 0, 1);
	str(&c, 8, 0, 1, 0);
	b_to(&c, loop);
	code_done(&m);
	sigaction(SIGUSR1, &kick, &old);
	runner_start(&r, &m, 0);
	while (!*word)
		sleep_ms(1);
	EXPECT_EQ(close(m.vcpu[0]), 0);
	EXPECT_EQ(close(m.vm), 0);
	EXPECT_EQ(close(m.kvm), 0);
	EXPECT_EQ(munmap(m.run[0], 2 * sysconf(_SC_PAGESIZE)), 0);
	for (uint64_t seen = *word; *word == seen;)
		sleep_ms(1);
	EXPECT_EQ(r.done, 0);
	pthread_kill(r.thread, SIGUSR1);
	runner_join(&r);
	EXPECT_EQ(r.result, -1);
	EXPECT_EQ(r.error, EINTR);
	sigaction(SIGUSR1, &old, NULL);
	munmap(m.ram, RAM_SIZE);
}

TEST(i01_a_vcpu_closed_stays_part_of_the_machine)
{
	struct machine m = machine_new(2);
	struct code c = code_at(&m, RAM);

	/* CPU_ON of a vCPU whose descriptor is gone: firmware still knows it */
	close(m.vcpu[1]);
	munmap(m.run[1], 2 * sysconf(_SC_PAGESIZE));
	m.nr = 1;
	li(&c, 0, 0xc4000004);
	li(&c, 1, 1);
	li(&c, 2, 0);
	hvc(&c, 0);
	report(&c, 0, 0);
	code_done(&m);
	EXPECT_REPORT(&m, 0, 0, 1);
	machine_free(&m);
}

TEST(i01_parts_of_a_vcpu_mapping_come_and_go)
{
	struct machine m = machine_new(1);
	long page = sysconf(_SC_PAGESIZE);
	char *one, *ring;

	counter(&m);
	/* a second mapping of page 0, and of the ring alone */
	one = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, m.vcpu[0], 0);
	ring = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, m.vcpu[0], page);
	ASSERT(one != MAP_FAILED && ring != MAP_FAILED);
	EXPECT_REPORT(&m, 0, 0, 1);
	EXPECT_EQ(((struct kvm_run *)one)->exit_reason, KVM_EXIT_MMIO);
	((struct kvm_coalesced_mmio_ring *)ring)->first = 77;
	EXPECT_EQ(((struct kvm_coalesced_mmio_ring *)((char *)m.run[0] + page))->first, 77);
	EXPECT_EQ(munmap((char *)m.run[0] + page, page), 0);
	EXPECT_REPORT(&m, 0, 0, 2);
	EXPECT_EQ(munmap(m.run[0], page), 0);
	m.run[0] = (struct kvm_run *)one;
	EXPECT_REPORT(&m, 0, 0, 3);
	/* something else over it: the vCPU does not mind */
	ASSERT(mmap(one, page, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0) == one);
	EXPECT_EQ(run(&m, 0), 0);
	EXPECT_EQ(((struct kvm_run *)one)->exit_reason, 0);
	munmap(one, page);
	munmap(ring, page);
	close(m.vcpu[0]);
	close(m.vm);
	close(m.kvm);
	munmap(m.ram, RAM_SIZE);
}

static _Atomic int stop_closing;

static void *closer(void *arg)
{
	while (!stop_closing) {
		int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm = ioctl(kvm, KVM_CREATE_VM, 0);
		int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0), stats = ioctl(vm, KVM_GET_STATS_FD, 0);

		close(kvm);
		close(stats);
		close(vm);
		close(vcpu);
	}
	return NULL;
}

/* I-32: last closes inside munmap (a mapping was the last reference), beside others' creations. */
TEST(i32_machines_end_inside_munmap_and_close_of_many_threads)
{
	pthread_t t[3];

	stop_closing = 0;
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, closer, NULL), 0);
	for (int i = 0; i < 60; i++) {
		struct machine m = machine_new(1);

		close(m.vcpu[0]);
		close(m.kvm);
		close(m.vm);
		EXPECT_EQ(munmap(m.run[0], 2 * sysconf(_SC_PAGESIZE)), 0);
		munmap(m.ram, RAM_SIZE);
	}
	stop_closing = 1;
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
}

/* --- fork ---------------------------------------------------------------------------------------------------------------- */

#define CHILD_CHECK(c)                          \
	do {                                    \
		if (!(c))                       \
			_exit(__LINE__ & 0x7f); \
	} while (0)

/* Returns to no one: the child's part. */
static void child(struct machine *m, int stats)
{
	uint64_t value;
	struct kvm_one_reg reg = {CORE_REG(regs.pc), (uintptr_t)&value};

	CHILD_CHECK(ioctl(m->vm, KVM_CREATE_VCPU, 3) == -1 && errno == EIO);
	CHILD_CHECK(ioctl(m->vm, KVM_CHECK_EXTENSION, 0) == -1 && errno == EIO);
	CHILD_CHECK(ioctl(m->vcpu[0], KVM_RUN, 0) == -1 && errno == EIO);
	CHILD_CHECK(ioctl(m->vcpu[0], KVM_GET_ONE_REG, &reg) == -1 && errno == EIO);
	CHILD_CHECK(set_slot(m->vm, 1, 0, 0x80000000, PAGE, m->ram) == -1 && errno == EIO);
	/* dies with its copies, or closes them itself: nothing of the parent's goes */
	CHILD_CHECK(!close(m->vcpu[0]));
	CHILD_CHECK(!close(m->vm));
	CHILD_CHECK(!close(stats));
	CHILD_CHECK(ioctl(m->vm, KVM_CHECK_EXTENSION, 0) == -1 && errno == EBADF);
	CHILD_CHECK(!munmap(m->run[0], 2 * sysconf(_SC_PAGESIZE)));
	CHILD_CHECK(!munmap(m->ram, RAM_SIZE));
	_exit(0);
}

TEST(i34_a_child_after_fork_gets_eio_and_harms_nothing)
{
	struct machine m = machine_new(1);
	int stats = ioctl(m.vm, KVM_GET_STATS_FD, 0), status = -1;
	struct kvm_stats_header h;
	pid_t pid;

	counter(&m);
	EXPECT_REPORT(&m, 0, 0, 1);
	fflush(stdout);
	pid = fork();
	ASSERT(pid >= 0);
	if (!pid)
		child(&m, stats);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	EXPECT_REPORT(&m, 0, 0, 2);
	EXPECT_EQ(pread(stats, &h, sizeof(h), 0), sizeof(h));
	close(stats);
	machine_free(&m);
}

/* A child that uses KVM itself, and its child. What is the parent's stays the parent's. */
static int child_with_a_machine(struct machine *parents, int stats, int generations)
{
	struct machine m = machine_new(2);
	struct kvm_stats_header h;
	int status = -1, copy = dup(parents->vm);
	pid_t pid;

	counter(&m);
	EXPECT_REPORT(&m, 0, 0, 1);
	CHILD_CHECK(ioctl(parents->vm, KVM_CREATE_VCPU, 3) == -1 && errno == EIO);
	CHILD_CHECK(ioctl(copy, KVM_CHECK_EXTENSION, 0) == -1 && errno == EIO);
	CHILD_CHECK(ioctl(parents->vcpu[0], KVM_RUN, 0) == -1 && errno == EIO);
	CHILD_CHECK(!close(parents->vcpu[0]));
	if (generations) {
		pid = fork();
		if (!pid)
			_exit(child_with_a_machine(&m, stats, generations - 1));
		CHILD_CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && !status);
	}
	EXPECT_REPORT(&m, 0, 0, 2);
	machine_free(&m);
	CHILD_CHECK(pread(stats, &h, sizeof(h), 0) != -1 || errno == EIO);
	CHILD_CHECK(!munmap(parents->run[0], 2 * sysconf(_SC_PAGESIZE)));
	CHILD_CHECK(!close(parents->vm) && !close(copy));
	CHILD_CHECK(ioctl(copy, KVM_CHECK_EXTENSION, 0) == -1 && errno == EBADF);
	return test_failed;
}

TEST(i34_a_child_has_machines_of_its_own)
{
	struct machine m = machine_new(1);
	int stats = ioctl(m.vm, KVM_GET_STATS_FD, 0), status = -1;
	pid_t pid;

#if defined(ANYKVM_TSAN)
	SKIP("TSan ends a child of a threaded process that starts a thread");
#endif
	counter(&m);
	EXPECT_REPORT(&m, 0, 0, 1);
	fflush(stdout);
	pid = fork();
	ASSERT(pid >= 0);
	if (!pid)
		_exit(child_with_a_machine(&m, stats, 1));
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	EXPECT_REPORT(&m, 0, 0, 2);
	close(stats);
	machine_free(&m);
}

static void *busy_with_ioctls(void *arg)
{
	struct machine *m = arg;

	while (!stop_closing) {
		set_slot(m->vm, 5, 0, 0x90000000, KIB64, m->ram);
		set_slot(m->vm, 5, 0, 0x90000000, 0, NULL);
		close(ioctl(m->vm, KVM_GET_STATS_FD, 0));
	}
	return NULL;
}

/* Locks of the library may be held by other threads at the moment of the fork: the child takes none. */
TEST(i34_fork_while_other_threads_are_in_the_library)
{
	struct machine m = machine_new(2);
	struct code c = code_at(&m, RAM);
	struct sigaction kick = {.sa_handler = on_kick}, old;
	struct runner r;
	pthread_t t;

	b_to(&c, RAM);
	code_done(&m);
	runner_start(&r, &m, 0);
	stop_closing = 0;
	ASSERT_EQ(pthread_create(&t, NULL, busy_with_ioctls, &m), 0);
	fflush(stdout);
	for (int i = 0; i < 30; i++) {
		int status = -1;
		pid_t pid = fork();

		ASSERT(pid >= 0);
		if (!pid) {
			alarm(20);
			CHILD_CHECK(ioctl(m.vm, KVM_CREATE_VCPU, 3) == -1 && errno == EIO);
			CHILD_CHECK(!close(m.vcpu[0]));
			CHILD_CHECK(!close(m.vm));
			_exit(0);
		}
		ASSERT_EQ(waitpid(pid, &status, 0), pid);
		EXPECT_EQ(status, 0);
	}
	stop_closing = 1;
	pthread_join(t, NULL);
	EXPECT_EQ(r.done, 0);
	m.run[0]->immediate_exit = 1;
	sigaction(SIGUSR1, &kick, &old);
	pthread_kill(r.thread, SIGUSR1);
	runner_join(&r);
	EXPECT_EQ(r.error, EINTR);
	sigaction(SIGUSR1, &old, NULL);
	machine_free(&m);
}

TEST(i34_a_vfork_child_closes_its_own_descriptors_only)
{
	struct machine m = machine_new(1);
	int status = -1;
	pid_t pid;

	counter(&m);
	pid = vfork();
	if (!pid) {
		close(m.vcpu[0]);
		close(m.vm);
		_exit(0);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	EXPECT_REPORT(&m, 0, 0, 1);
	machine_free(&m);
}

/* --- unannounced changes (I-35) ---------------------------------------------------------------------------------------------- */

/* Guest: reads and writes the word at x1 for ever, counting in x0. */
static void hammer(struct machine *m, uint64_t gpa)
{
	struct code c = code_at(m, RAM);

	li(&c, 1, gpa);
	uint64_t loop = c.pc;
	ldr(&c, 8, 0, 1, 0);
	add_imm(&c, 0, 0, 1);
	str(&c, 8, 0, 1, 0);
	b_to(&c, loop);
	code_done(m);
}

static void wait_for_progress(volatile uint64_t *word)
{
	uint64_t before = *word;

	for (int i = 0; i < 2000 && *word == before; i++)
		sleep_ms(1);
	EXPECT_NE(*word, before);
}

TEST(i35_a_raw_unmap_under_a_running_vcpu_is_efault)
{
	for (int round = 0; round < 5; round++) {
		struct machine m = machine_new(1);
		uint64_t gpa = 0x80000000ull;
		unsigned char *p = mmap(NULL, KIB64, PROT_READ | PROT_WRITE,
					MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		struct runner r;

		hammer(&m, gpa);
		ASSERT_EQ(set_slot(m.vm, 1, 0, gpa, KIB64, p), 0);
		runner_start(&r, &m, 0);
		wait_for_progress((uint64_t *)p);
		ASSERT_EQ(syscall(SYS_munmap, p, KIB64), 0);
		runner_join(&r);
		EXPECT_EQ(r.result, -1);
		EXPECT_EQ(r.error, EFAULT);
		machine_free(&m);
	}
}

TEST(i35_a_raw_mprotect_under_a_running_vcpu_is_efault)
{
	struct machine m = machine_new(1);
	uint64_t gpa = 0x80000000ull;
	unsigned char *p =
		mmap(NULL, KIB64, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct runner r;

	hammer(&m, gpa);
	ASSERT_EQ(set_slot(m.vm, 1, 0, gpa, KIB64, p), 0);
	runner_start(&r, &m, 0);
	wait_for_progress((uint64_t *)p);
	ASSERT_EQ(syscall(SYS_mprotect, p, KIB64, PROT_READ), 0);
	runner_join(&r);
	EXPECT_EQ(r.error, EFAULT);
	/* allowed again: it goes on where it was */
	ASSERT_EQ(syscall(SYS_mprotect, p, KIB64, PROT_READ | PROT_WRITE), 0);
	runner_start(&r, &m, 0);
	wait_for_progress((uint64_t *)p);
	ASSERT_EQ(syscall(SYS_munmap, p, KIB64), 0);
	runner_join(&r);
	EXPECT_EQ(r.error, EFAULT);
	machine_free(&m);
}

TEST(i35_a_raw_truncate_under_a_running_vcpu_is_efault)
{
	for (int round = 0; round < 5; round++) {
		struct machine m = machine_new(1);
		uint64_t gpa = 0x80000000ull;
		int file = memfd_create("backing", 0);
		unsigned char *p;
		struct runner r;

		ASSERT_EQ(ftruncate(file, KIB64), 0);
		p = mmap(NULL, KIB64, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
		hammer(&m, gpa);
		ASSERT_EQ(set_slot(m.vm, 1, 0, gpa, KIB64, p), 0);
		runner_start(&r, &m, 0);
		wait_for_progress((uint64_t *)p);
		ASSERT_EQ(syscall(SYS_ftruncate, file, 0), 0);
		runner_join(&r);
		EXPECT_EQ(r.result, -1);
		EXPECT_EQ(r.error, EFAULT);
		munmap(p, KIB64);
		close(file);
		machine_free(&m);
	}
}

static sigjmp_buf handler_way_out;
static _Atomic int handler_calls;
static void *volatile handler_address;

static void own_handler(int sig, siginfo_t *info, void *context)
{
	handler_calls++;
	handler_address = info->si_addr;
	siglongjmp(handler_way_out, 1);
}

/* A VMM with handlers of its own, installed after the machine: both sides get their faults. */
TEST(i35_a_vmm_may_install_its_own_fault_handlers)
{
	struct machine m = machine_new(1);
	struct sigaction sa = {.sa_sigaction = own_handler, .sa_flags = SA_SIGINFO | SA_NODEFER},
			 old_segv, old_bus;
	uint64_t gpa = 0x80000000ull;
	unsigned char *p =
		mmap(NULL, KIB64, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	volatile char *bad = bad_pointer();
	struct runner r;

	sigaction(SIGSEGV, &sa, &old_segv);
	sigaction(SIGBUS, &sa, &old_bus);
	handler_calls = 0;
	hammer(&m, gpa);
	ASSERT_EQ(set_slot(m.vm, 1, 0, gpa, KIB64, p), 0);
	runner_start(&r, &m, 0);
	wait_for_progress((uint64_t *)p);
	ASSERT_EQ(syscall(SYS_munmap, p, KIB64), 0);
	runner_join(&r);
	EXPECT_EQ(r.error, EFAULT);
	EXPECT_EQ(handler_calls, 0);
	/* the program's own fault */
	if (!sigsetjmp(handler_way_out, 1)) {
		*bad = 1;
		__asm__ volatile(
			"" ::
				: "memory"); /* what follows is for the case that it returns */
		TEST_FAIL("no fault");
	}
	EXPECT_EQ(handler_calls, 1);
	EXPECT(handler_address == bad);
	/* and the library's again */
	EXPECT_ERRNO(run(&m, 0), EFAULT);
	EXPECT_ERRNO(ioctl(m.vm, KVM_GET_DIRTY_LOG, bad), EFAULT);
	EXPECT_EQ(handler_calls, 1);
	machine_free(&m);
	sigaction(SIGSEGV, &old_segv, NULL);
	sigaction(SIGBUS, &old_bus, NULL);
}

/* The kvm_run page is user space's too: nothing written there may harm. */
TEST(nonsense_in_kvm_run_is_survived)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);

	li(&c, 1, DEVICE);
	uint64_t loop = c.pc;
	ldr(&c, 4, 0, 1, 0);
	str(&c, 4, 0, 1, 0);
	b_to(&c, loop);
	code_done(&m);
	for (int i = 0; i < 8; i++) {
		EXPECT_EQ(run(&m, 0), 0);
		EXPECT_EQ(m.run[0]->exit_reason, KVM_EXIT_MMIO);
		/* all but the lines of KVM_CAP_ARM_USER_IRQ, which mean something */
		memset((char *)m.run[0] + 8, 0xa5 + i, offsetof(struct kvm_run, s.regs) - 8);
	}
	/* an exit whose reason was overwritten was never an MMIO exit: the access is made again */
	EXPECT_EQ(get_reg(m.vcpu[0], CORE_REG(regs.pc)), loop);
	/* its size cannot be changed under the library's feet */
	EXPECT_EQ(syscall(SYS_ftruncate, m.vcpu[0], 0), -1);
	EXPECT_EQ(run(&m, 0), 0);
	machine_free(&m);
}

TEST(a_running_guest_sees_memory_that_is_replaced)
{
	struct machine m = machine_new(1);
	uint64_t gpa = 0x80000000ull;
	int file = memfd_create("backing", 0);
	unsigned char *p, *old_view;
	struct sigaction kick = {.sa_handler = on_kick}, old;
	struct runner r;

	ASSERT_EQ(ftruncate(file, 51 * KIB64), 0);
	p = mmap(NULL, KIB64, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	hammer(&m, gpa);
	ASSERT_EQ(set_slot(m.vm, 1, 0, gpa, KIB64, p), 0);
	sigaction(SIGUSR1, &kick, &old);
	runner_start(&r, &m, 0);
	for (int i = 0; i < 50; i++) {
		wait_for_progress((uint64_t *)p);
		/* keep what was there in sight, put other memory in its place */
		old_view = mmap(NULL, KIB64, PROT_READ, MAP_SHARED, file, i * KIB64);
		ASSERT(old_view != MAP_FAILED);
		ASSERT(mmap(p, KIB64, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_SHARED, file,
			    (i + 1) * KIB64) == p);
		/* once mmap returned, nothing is written to the old memory */
		uint64_t last = *(volatile uint64_t *)old_view;
		wait_for_progress((uint64_t *)p);
		EXPECT_EQ(*(volatile uint64_t *)old_view, last);
		munmap(old_view, KIB64);
	}
	pthread_kill(r.thread, SIGUSR1);
	runner_join(&r);
	EXPECT_EQ(r.error, EINTR);
	sigaction(SIGUSR1, &old, NULL);
	munmap(p, KIB64);
	close(file);
	machine_free(&m);
}

static struct machine *handlers_machine;
static _Atomic unsigned handled;

static void map_in_handler(int sig)
{
	void *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, handlers_machine->vcpu[0], 0);

	munmap(p, PAGE);
	handled++;
}

static void *kick_main(void *arg)
{
	pthread_t *target = arg;

	while (handled < 2000)
		pthread_kill(*target, SIGUSR1);
	return NULL;
}

TEST(a_handler_may_map_and_unmap_a_vcpu_while_its_thread_does)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	SKIP("sanitized builds use malloc, which may not be entered from handlers");
#endif
	struct machine m = machine_new(1);
	struct sigaction sa = {.sa_handler = map_in_handler}, old;
	pthread_t self = pthread_self(), kicker;

	handlers_machine = &m;
	handled = 0;
	sigaction(SIGUSR1, &sa, &old);
	ASSERT_EQ(pthread_create(&kicker, NULL, kick_main, &self), 0);
	while (handled < 2000) {
		void *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, m.vcpu[0], 0);

		ASSERT(p != MAP_FAILED);
		munmap(p, PAGE);
	}
	pthread_join(kicker, NULL);
	sigaction(SIGUSR1, &old, NULL);
	machine_free(&m);
}
