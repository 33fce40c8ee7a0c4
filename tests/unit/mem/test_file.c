/* SPDX-License-Identifier: MIT */
/* Counted files and the deferred put. */
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
