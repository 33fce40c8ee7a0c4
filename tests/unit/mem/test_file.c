/* SPDX-License-Identifier: MIT */
/* Counted files and the deferred put. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include "host/alloc.h"
#include "mem/file.h"
#include "rig.h"
#include "sync/rcu.h"
#include "test.h"

/* What a VM, its vCPUs and devices are to this test: an object with users, and files that pin it. */
struct fake_vm {
	struct ref users;
	bool destroyed;
	unsigned released;
};

static void release_pins_vm(struct file *f)
{
	struct fake_vm *vm = f->priv;

	vm->released++;
	if (ref_put(&vm->users))
		vm->destroyed = true;
}

static const struct file_ops pinning_ops = {.type = "test file", .release = release_pins_vm};

static struct file *pinning_file(struct fake_vm *vm)
{
	ref_get(&vm->users);
	return file_create(&pinning_ops, vm);
}

TEST(I01_the_last_file_of_any_kind_keeps_the_vm_in_every_order_of_closing)
{
	/* vm, vcpu, device, stats: every order of four. */
	for (unsigned order = 0; order < 24; order++) {
		struct fake_vm vm = {0};
		struct file *f[4];
		unsigned left[4] = {0, 1, 2, 3}, n = order;

		ref_init(&vm.users, 1);
		for (unsigned i = 0; i < 4; i++)
			f[i] = pinning_file(&vm);
		EXPECT(!ref_put(&vm.users)); /* creation's own */
		for (unsigned i = 4; i > 0; i--) {
			unsigned pick = n % i;

			EXPECT(!vm.destroyed);
			n /= i;
			file_put(f[left[pick]]);
			left[pick] = left[i - 1];
		}
		EXPECT(vm.destroyed);
		EXPECT_EQ(vm.released, 4);
	}
}

TEST(I01_a_mapping_or_an_operation_keeps_a_closed_file)
{
	struct fake_vm vm = {0};
	struct file *f;

	ref_init(&vm.users, 1);
	f = pinning_file(&vm);
	EXPECT(!ref_put(&vm.users));
	file_get(f);		 /* the mapping */
	EXPECT(file_try_get(f)); /* an ioctl in flight */
	file_put(f);		 /* close */
	file_put(f);
	EXPECT(!vm.destroyed);
	file_put(f);
	EXPECT(vm.destroyed);
}

TEST(I27_a_file_whose_release_began_is_not_found)
{
	struct fake_vm vm = {0};
	struct file *f;

	ref_init(&vm.users, 1);
	f = pinning_file(&vm);
	library_enter();
	rcu_read_lock();
	file_put(f);
	/* The memory is there (RCU), the file is not. */
	EXPECT(!file_try_get(f));
	rcu_read_unlock();
	library_exit();
	EXPECT_EQ(vm.released, 1);
}

static struct mutex some_lock;

TEST(I32_the_last_put_inside_the_library_is_deferred_to_its_exit)
{
	struct fake_vm vm = {0};
	struct file *f;

	ref_init(&vm.users, 1);
	mutex_init(&some_lock, RANK_SLOTS, "some_lock");
	f = pinning_file(&vm);
	library_enter();
	mutex_lock(&some_lock);
	library_enter(); /* say, an interposed munmap from inside */
	file_put(f);
	EXPECT_EQ(vm.released, 0);
	library_exit();
	EXPECT_EQ(vm.released, 0);
	mutex_unlock(&some_lock);
	library_exit();
	EXPECT_EQ(vm.released, 1);
}

static struct file *chain[3];

static void release_next(struct file *f)
{
	unsigned *n = f->priv;

	if (++*n < 3)
		file_put(chain[*n]);
}

static const struct file_ops chain_ops = {.type = "chain", .release = release_next};

TEST(I32_a_hook_that_puts_the_next_file_does_not_nest)
{
	unsigned n = 0;

	for (unsigned i = 0; i < 3; i++)
		chain[i] = file_create(&chain_ops, &n);
	library_enter();
	file_put(chain[0]);
	library_exit();
	EXPECT_EQ(n, 3);
}

static struct file *of_handler;
static unsigned in_handler;

/* As a handler of the program does that closes a descriptor. */
static void handler_puts(int signo)
{
	library_enter();
	if (of_handler)
		file_put(of_handler);
	of_handler = NULL;
	in_handler++;
	library_exit();
}

static void release_is_interrupted(struct file *f)
{
	struct fake_vm *vm = f->priv;

	of_handler = pinning_file(vm);
	raise(SIGUSR1);
	EXPECT_EQ(vm->released, 0);
}

static const struct file_ops interrupted_ops = {.type = "interrupted",
						.release = release_is_interrupted};

TEST(I32_a_handlers_put_joins_the_list_that_is_being_run)
{
	struct sigaction sa = {.sa_handler = handler_puts}, old;
	struct fake_vm vm = {0};

	ref_init(&vm.users, 1);
	sigaction(SIGUSR1, &sa, &old);
	library_enter();
	file_put(file_create(&interrupted_ops, &vm));
	library_exit();
	sigaction(SIGUSR1, &old, NULL);
	EXPECT_EQ(vm.released, 1);
}

struct sender {
	pthread_t target;
	unsigned nr;
	struct a32 done;
};

static void *send_signals(void *arg)
{
	struct sender *s = arg;

	for (unsigned i = 0; i < s->nr; i++) {
		pthread_kill(s->target, SIGUSR1);
		sched_yield();
	}
	a32_store(&s->done, 1);
	return NULL;
}

/* Wherever in a put or a run the handler comes, no file is lost. */
TEST(I32_handlers_put_files_at_any_moment)
{
	struct sigaction sa = {.sa_handler = handler_puts}, old;
	struct sender s = {.target = pthread_self(), .nr = test_rounds(500, 20000)};
	struct fake_vm vm = {0};
	unsigned made = 0;
	pthread_t thread;

	ref_init(&vm.users, 1);
	sigaction(SIGUSR1, &sa, &old);
	pthread_create(&thread, NULL, send_signals, &s);
	while (!a32_load(&s.done)) {
		struct file *f[3];

		for (unsigned i = 0; i < 3; i++, made++)
			f[i] = pinning_file(&vm);
		if (!*(struct file *volatile *)&of_handler) {
			struct file *another = pinning_file(&vm);

			made++;
			*(struct file *volatile *)&of_handler = another;
		}
		library_enter();
		for (unsigned i = 0; i < 3; i++)
			file_put(f[i]);
		library_exit();
	}
	pthread_join(thread, NULL);
	handler_puts(0);
	sigaction(SIGUSR1, &old, NULL);
	EXPECT_CMP(in_handler, >, 0);
	EXPECT_EQ(vm.released, made);
	EXPECT(!library_owes());
}

/* Misuse on purpose: the child dies of it before it could let go. */
static void NO_THREAD_SAFETY_ANALYSIS put_under_a_lock(void)
{
	struct fake_vm vm = {0};

	ref_init(&vm.users, 2);
	mutex_init(&some_lock, RANK_SLOTS, "some_lock");
	mutex_lock(&some_lock);
	file_put(file_create(&pinning_ops, &vm));
}

static void NO_THREAD_SAFETY_ANALYSIS exit_in_a_reader(void)
{
	struct fake_vm vm = {0};

	ref_init(&vm.users, 2);
	library_enter();
	rcu_read_lock();
	file_put(file_create(&pinning_ops, &vm));
	library_exit();
}

TEST(I32_a_release_hook_with_a_lock_held_aborts)
{
	EXPECT(aborts(put_under_a_lock));
	EXPECT(aborts(exit_in_a_reader));
}

TEST(files_leave_nothing)
{
	struct fake_vm vm = {0};
	u64 objects;

	rcu_barrier();
	objects = host_alloc_objects();
	ref_init(&vm.users, 1);
	for (unsigned i = 0; i < 100; i++)
		file_put(pinning_file(&vm));
	rcu_barrier();
	EXPECT_EQ(host_alloc_objects(), objects);
	host_alloc_fail_at(1);
	EXPECT(!file_create(&pinning_ops, &vm));
	host_alloc_fail_at(0);
}
