/* SPDX-License-Identifier: MIT */
/*
 * I-34: fork in each state that another thread of the parent may be in. The child has that thread's locks, held for ever: every
 * request answers EIO, everything closes, nothing waits and nothing of the parent's changes. By fork and by a bare clone, where
 * no fork handler runs.
 */
#include <sched.h>
#include <sys/wait.h>

#include "../../api/vmm.h"
#include "api/api.h"
#include "host/process_host.h"
#include "host/signal.h"
#include "mem/process_mem.h"
#include "sync/rcu.h"
#include "sync/thread.h"

#define CHILD_SECONDS 20 /* then a child waits for a lock, with its signals blocked perhaps */

static struct machine m;
static int stats, pipe_end;
static struct vm *vm;
static struct vcpu *vcpu;

/* --- the states --------------------------------------------------------------------------------------------------------- */

#define STATE static void NO_THREAD_SAFETY_ANALYSIS

static int cookie, cookie2;

STATE hold_nothing(void)
{
}
STATE drop_nothing(void)
{
}
STATE hold_vm(void)
{
	mutex_lock(&vm->lock);
}
STATE drop_vm(void)
{
	mutex_unlock(&vm->lock);
}
STATE hold_vcpu(void)
{
	mutex_lock(&vcpu->mutex);
}
STATE drop_vcpu(void)
{
	mutex_unlock(&vcpu->mutex);
}
STATE hold_slots(void)
{
	mutex_lock(&vm->mem.slots_lock);
}
STATE drop_slots(void)
{
	mutex_unlock(&vm->mem.slots_lock);
}
STATE hold_arch(void)
{
	hold_slots();
	mutex_lock(&vm->mem.slots_arch_lock);
}
STATE drop_arch(void)
{
	mutex_unlock(&vm->mem.slots_arch_lock);
	drop_slots();
}
STATE hold_mmu_read(void)
{
	read_lock(&vm->mem.mmu_lock);
}
STATE drop_mmu_read(void)
{
	read_unlock(&vm->mem.mmu_lock);
}
STATE hold_mmu_write(void)
{
	write_lock(&vm->mem.mmu_lock);
}
STATE drop_mmu_write(void)
{
	write_unlock(&vm->mem.mmu_lock);
}
STATE hold_mn(void)
{
	mutex_lock(&vm->mem.mn_lock);
}
STATE drop_mn(void)
{
	mutex_unlock(&vm->mem.mn_lock);
}
static struct anykvm_invalidate pair;
STATE hold_pair(void)
{
	anykvm_invalidate_start(m.ram, PAGE, &pair);
}
STATE drop_pair(void)
{
	anykvm_invalidate_end(&pair);
}
STATE hold_srcu(void)
{
	cookie2 = srcu_read_lock(&mem_process()->mn_srcu);
	cookie = srcu_read_lock(&vm->mem.srcu);
}
STATE drop_srcu(void)
{
	srcu_read_unlock(&vm->mem.srcu, cookie);
	srcu_read_unlock(&mem_process()->mn_srcu, cookie2);
}
STATE hold_rcu(void)
{
	rcu_read_lock();
}
STATE drop_rcu(void)
{
	rcu_read_unlock();
}
STATE hold_mappings(void)
{
	mutex_lock(&api_process()->map_lock);
}
STATE drop_mappings(void)
{
	mutex_unlock(&api_process()->map_lock);
}
STATE hold_userfault(void)
{
	mutex_lock(&mem_process()->userfault_lock);
}
STATE drop_userfault(void)
{
	mutex_unlock(&mem_process()->userfault_lock);
}
STATE hold_list(void)
{
	a32_store(&mem_process()->list_turn, 1);
}
STATE drop_list(void)
{
	a32_store(&mem_process()->list_turn, 0);
}
/* Inside the allocator: every list of it. */
STATE hold_allocator(void)
{
	for (unsigned l = 0; l < ALLOC_LEVELS; l++) {
		struct alloc_level *level = &host_process()->alloc_level[l];

		host_spin_lock(&level->arena_lock);
		for (unsigned c = 0; c < ALLOC_CLASSES; c++)
			host_spin_lock(&level->class[c].lock);
	}
}
STATE drop_allocator(void)
{
	for (unsigned l = 0; l < ALLOC_LEVELS; l++) {
		struct alloc_level *level = &host_process()->alloc_level[l];

		host_spin_unlock(&level->arena_lock);
		for (unsigned c = 0; c < ALLOC_CLASSES; c++)
			host_spin_unlock(&level->class[c].lock);
	}
}

/* The callback thread, stopped in the middle of a callback. */
static struct rcu_head stuck_head;
static struct a32 stuck, unstick;
static void stick(struct rcu_head *head)
{
	a32_store(&stuck, 1);
	while (!a32_load(&unstick))
		sched_yield();
}
STATE hold_callbacks(void)
{
	a32_store(&stuck, 0);
	a32_store(&unstick, 0);
	rcu_call(&stuck_head, stick);
	while (!a32_load(&stuck))
		sleep_ms(1);
}
STATE drop_callbacks(void)
{
	a32_store(&unstick, 1);
}

static const struct state {
	const char *name;
	void (*hold)(void), (*drop)(void);
} states[] = {
	{"nothing", hold_nothing, drop_nothing},
	{"vm->lock", hold_vm, drop_vm},
	{"vcpu->mutex", hold_vcpu, drop_vcpu},
	{"slots_lock", hold_slots, drop_slots},
	{"slots_arch_lock", hold_arch, drop_arch},
	{"mmu_lock read", hold_mmu_read, drop_mmu_read},
	{"mmu_lock write", hold_mmu_write, drop_mmu_write},
	{"mn_lock", hold_mn, drop_mn},
	{"a pair", hold_pair, drop_pair},
	{"srcu and mn_srcu", hold_srcu, drop_srcu},
	{"RCU", hold_rcu, drop_rcu},
	{"the mappings' lock", hold_mappings, drop_mappings},
	{"the userfault ranges' lock", hold_userfault, drop_userfault},
	{"the turn to change the VM list", hold_list, drop_list},
	{"the allocator", hold_allocator, drop_allocator},
	{"a running RCU callback", hold_callbacks, drop_callbacks},
};

/* The thread that is in the library while another forks. */
static const struct state *now;
static struct a32 held, let_go;

static void holder(void *arg)
{
	now->hold();
	a32_store(&held, 1);
	while (!a32_load(&let_go))
		sched_yield();
	now->drop();
}

/* --- the child ------------------------------------------------------------------------------------------------------------ */

/* No libc that may lock: the bare clone has the state of other threads in there, too. */
static void child_exit(int code)
{
	syscall(SYS_exit_group, code);
}

#define CHILD_CHECK(c)                              \
	do {                                        \
		if (!(c))                           \
			child_exit(__LINE__ - 200); \
	} while (0)
#define CHILD_EIO(call) CHILD_CHECK((call) == -1 && errno == EIO)

/* What a child does about machines of its own: nothing, make one, or find that it cannot. */
enum child_kind { CHILD_PLAIN, CHILD_ANEW, CHILD_OF_NOTHING };

static void every_request_is_eio(void)
{
	static const unsigned long of_vm[] = {KVM_CHECK_EXTENSION,
					      KVM_CREATE_VCPU,
					      KVM_CREATE_DEVICE,
					      KVM_SET_USER_MEMORY_REGION,
					      KVM_SET_USER_MEMORY_REGION2,
					      KVM_GET_DIRTY_LOG,
					      KVM_CLEAR_DIRTY_LOG,
					      KVM_ENABLE_CAP,
					      KVM_IRQFD,
					      KVM_IOEVENTFD,
					      KVM_GET_STATS_FD};
	static const unsigned long of_vcpu[] = {
		KVM_RUN,	  KVM_GET_ONE_REG,  KVM_SET_ONE_REG, KVM_ARM_VCPU_INIT,
		KVM_GET_MP_STATE, KVM_GET_REG_LIST, KVM_GET_STATS_FD};
	static char argument[4096];

	for (unsigned i = 0; i < sizeof(of_vm) / sizeof(of_vm[0]); i++)
		CHILD_EIO(ioctl(m.vm, of_vm[i], argument));
	for (unsigned i = 0; i < sizeof(of_vcpu) / sizeof(of_vcpu[0]); i++)
		CHILD_EIO(ioctl(m.vcpu[0], of_vcpu[i], argument));
	CHILD_EIO(ioctl(m.kvm, KVM_CREATE_VM, 0));
	CHILD_EIO(pread(stats, argument, 16, 0));
}

/* A machine of the child's own runs, whatever the thread that is not here holds. */
static void child_begins_anew(void)
{
	struct machine own = machine_new(1);
	struct code c = code_at(&own, RAM);

	li(&c, 1, 7);
	report(&c, 1, 0);
	code_done(&own);
	EXPECT_REPORT(&own, 0, 0, 7);
	machine_free(&own);
	CHILD_CHECK(!test_failed);
}

static void child_main(enum child_kind kind)
{
	struct anykvm_invalidate inv;
	char byte = 0;
	int copy;

	every_request_is_eio();
	if (kind == CHILD_ANEW) {
		child_begins_anew();
		every_request_is_eio();
	} else if (kind == CHILD_OF_NOTHING) {
		CHILD_EIO(open("/dev/kvm", O_RDWR | O_CLOEXEC));
	}
	/* Changes of its own memory are its own. */
	CHILD_CHECK(!anykvm_invalidate_start(m.ram, PAGE, &inv));
	anykvm_invalidate_end(&inv);
	CHILD_CHECK(!madvise(m.ram, PAGE, MADV_DONTNEED));
	CHILD_CHECK(!mprotect(m.ram, PAGE, PROT_READ));
	CHILD_CHECK(!anykvm_note_userfault(m.ram, PAGE, 1));
	anykvm_mm_release();
	copy = dup(m.vm);
	CHILD_CHECK(copy >= 0);
	CHILD_EIO(ioctl(copy, KVM_CHECK_EXTENSION, 0));
	CHILD_CHECK(!close(copy));
	copy = fcntl(m.vm, F_DUPFD, 0);
	CHILD_EIO(ioctl(copy, KVM_CHECK_EXTENSION, 0));
	/* Something else in the place of one of ours is something else. */
	CHILD_CHECK(dup2(pipe_end, copy) == copy);
	CHILD_CHECK(read(copy, &byte, 1) == 1 && byte == 'p');
	CHILD_CHECK(ioctl(copy, KVM_CHECK_EXTENSION, 0) == -1 && errno == ENOTTY);
	CHILD_CHECK(dup2(m.vm, copy) == copy);
	CHILD_EIO(ioctl(copy, KVM_CHECK_EXTENSION, 0));
	CHILD_CHECK(!close(copy));
	CHILD_CHECK(!munmap(m.run[0], 2 * PAGE));
	CHILD_CHECK(!munmap(m.ram, RAM_SIZE));
	CHILD_CHECK(!close(m.vcpu[0]));
	CHILD_CHECK(!close_range(m.vm, m.vm, 0));
	CHILD_CHECK(!close(stats));
	CHILD_CHECK(ioctl(m.vm, KVM_CHECK_EXTENSION, 0) == -1 && errno == EBADF);
	CHILD_CHECK(!close(m.kvm));
	child_exit(0);
}

/* --- the parent ----------------------------------------------------------------------------------------------------------- */

static void world(void)
{
	struct code c;
	struct file *f;

	m = machine_new(1);
	stats = ioctl(m.vm, KVM_GET_STATS_FD, 0);
	c = code_at(&m, RAM);
	li(&c, 0, 0);
	uint64_t loop = c.pc;
	add_imm(&c, 0, 0, 1);
	report(&c, 0, 0);
	b_to(&c, loop);
	code_done(&m);
	f = fd_get(m.vcpu[0], false);
	vm = api_file_of(f)->vm;
	vcpu = api_file_of(f)->v;
	file_put(f);
}

static void world_end(void)
{
	close(stats);
	machine_free(&m);
}

static long fork_it(bool bare, enum child_kind kind)
{
	int ends[2];
	long pid;

	ASSERT(!pipe(ends) && write(ends[1], "p", 1) == 1);
	close(ends[1]);
	pipe_end = ends[0];
	pid = bare ? syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) : fork();

	if (pid) {
		close(pipe_end);
		return pid;
	}
	child_main(kind);
	return 0;
}

/* The child's status; it is killed if it does not end by itself. */
static int end_of(long pid)
{
	int status = -1;

	for (int i = 0; i < CHILD_SECONDS * 100; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return status;
		sleep_ms(10);
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return status;
}

static void fork_in_each_state(bool bare, enum child_kind kind)
{
	unsigned reports = 0;

	world();
	EXPECT_REPORT(&m, 0, 0, ++reports);
	for (unsigned i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		struct thread *t;
		int status = -1;
		long pid;

		now = &states[i];
		a32_store(&held, 0);
		a32_store(&let_go, 0);
		ASSERT(!thread_create(&t, "holder", holder, NULL));
		while (!a32_load(&held))
			sched_yield();
		fflush(stdout);
		pid = fork_it(bare, kind);
		/* No ASSERT while the holder is in the library. */
		EXPECT(pid > 0);
		if (pid > 0)
			status = end_of(pid);
		if (status)
			TEST_FAIL("another thread holds %s: child ended with %x", now->name,
				  status);
		a32_store(&let_go, 1);
		thread_join(t);
		/* The parent goes on. */
		EXPECT_REPORT(&m, 0, 0, ++reports);
		EXPECT_EQ(set_slot(m.vm, 1, 0, 0x80000000, PAGE, m.ram), 0);
		EXPECT_EQ(set_slot(m.vm, 1, 0, 0x80000000, 0, NULL), 0);
		/* Each child that waits for a lock takes its time. */
		if (test_failed)
			break;
	}
	world_end();
}

TEST(I34_a_child_of_fork_takes_no_lock_whatever_other_threads_hold)
{
	fork_in_each_state(false, CHILD_PLAIN);
}

TEST(I34_a_child_of_fork_begins_anew_whatever_other_threads_hold)
{
#if defined(ANYKVM_TSAN)
	SKIP("TSan ends a child of a threaded process that starts a thread");
#endif
	fork_in_each_state(false, CHILD_ANEW);
}

TEST(I34_a_child_of_a_bare_clone_takes_no_lock_whatever_other_threads_hold)
{
#if defined(ANYKVM_SANITIZED)
	SKIP("sanitizers need fork's handlers");
#endif
	fork_in_each_state(true, CHILD_OF_NOTHING);
}

/* The thread that forks may itself be inside a pair. */
TEST(I34_a_fork_inside_a_pair_leaves_both_sides_whole)
{
	struct anykvm_invalidate inv;
	long pid;

	world();
	ASSERT_EQ(anykvm_invalidate_start(m.ram, PAGE, &inv), 0);
	fflush(stdout);
	pid = fork_it(false, CHILD_OF_NOTHING);
	EXPECT_EQ(end_of(pid), 0);
	anykvm_invalidate_end(&inv);
	EXPECT_REPORT(&m, 0, 0, 1);
	world_end();
}

/* A vfork child shares our memory but has descriptors of its own: whatever it does to them is not seen here. */
TEST(I34_what_a_vfork_child_closes_and_copies_stays_its_own)
{
	int status = -1;
	pid_t pid;

	world();
	pid = vfork();
	if (!pid) {
		int copy = dup(m.vm);

		dup2(m.kvm, m.vm);
		close(copy);
		close(m.vcpu[0]);
		close_range(stats, stats, 0);
		_exit(0);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	EXPECT_REPORT(&m, 0, 0, 1);
	EXPECT_EQ(ioctl(m.vm, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS), 32767);
	world_end();
}
