/* SPDX-License-Identifier: MIT */
/* Memory attributes and pre-faulting: who serves a frame, changes against faults, and memory that runs out. */
#include <signal.h>

#include "gmem_rig.h"
#include "host/alloc.h"
#include "host/signal.h"
#include "mem/attrs.h"
#include "sync/rcu.h"

#define PLAIN	(32 * MIB) /* guest address of the slot without guest_memfd */
#define PRIVATE MEM_ATTRIBUTE_PRIVATE

static char *mem;
static struct file *file;

/* Slot 0 with guest_memfd of these flags, slot 1 without; both have host memory, filled with 0x11 and 0x22. */
static void start_with(u64 gmem_flags)
{
	start();
	r.m.attributes_on = true;
	mem = rig_map(2 * SIZE, 2 * MIB);
	memset(mem, 0x11, SIZE);
	memset(mem + SIZE, 0x22, SIZE);
	file = gmem_new_flags(SIZE, gmem_flags);
	ASSERT_EQ(slot_at(0, GPA, SIZE, file, 0, mem), 0);
	ASSERT_EQ(rig_slot(&r.m, 1, PLAIN, SIZE, mem + SIZE, 0), 0);
}

static void stop(void)
{
	EXPECT_EQ(rig_slot(&r.m, 0, GPA, 0, NULL, 0), 0);
	EXPECT_EQ(rig_slot(&r.m, 1, PLAIN, 0, NULL, 0), 0);
	file_put(file);
	EXPECT(rig_stop(&r));
	munmap(mem, 2 * SIZE);
}

static int set(u64 gpa, u64 size, u64 attributes)
{
	return mem_set_attributes(&r.m, gpa, size, attributes);
}

static bool is_private(u64 gpa)
{
	struct mem_attr attr;

	mem_attr_at(&r.m, gpa / PAGE, &attr);
	return attr.private;
}

/* --- the set ------------------------------------------------------------------------------------------------------- */

TEST(attributes_are_refused_as_kvm_refuses_them)
{
	start_with(GMEM_FLAGS);
	EXPECT_EQ(set(GPA, PAGE, BIT(0)), -EINVAL);
	EXPECT_EQ(set(GPA, PAGE, PRIVATE | BIT(4)), -EINVAL);
	EXPECT_EQ(set(GPA, 0, PRIVATE), -EINVAL);
	EXPECT_EQ(set(GPA + 1, PAGE, PRIVATE), -EINVAL);
	EXPECT_EQ(set(GPA, PAGE + 1, PRIVATE), -EINVAL);
	EXPECT_EQ(set(-PAGE, 2 * PAGE, PRIVATE), -EINVAL);
	/* where no slot is, and beyond the VM's addresses: nothing forbids it */
	EXPECT_EQ(set(BIT(45), PAGE, PRIVATE), 0);
	EXPECT(is_private(BIT(45)));
	EXPECT_EQ(set(BIT(45), PAGE, 0), 0);
	stop();
}

/* Against a map of bytes. */
TEST(the_set_is_what_was_last_said_of_each_page)
{
	enum { PAGES = 256 };
	static bool is[PAGES];
	u64 seed = 7;

	start_with(GMEM_FLAGS);
	for (unsigned i = 0; i < test_rounds(3000, 300000); i++) {
		u64 n = next_random(&seed), first = n % PAGES, nr = 1 + (n >> 20) % 16;
		bool on = n & BIT(50);
		u64 alike = 0, page = (n >> 30) % PAGES;
		struct mem_attr attr;

		nr = MIN(nr, PAGES - first);
		EXPECT_EQ(set(first * PAGE, nr * PAGE, on ? PRIVATE : 0), 0);
		for (u64 j = first; j < first + nr; j++)
			is[j] = on;
		mem_attr_at(&r.m, page, &attr);
		if (attr.private != is[page])
			TEST_FAIL("page %llu is wrong", (long long)page);
		/* as far as all are alike, and no farther */
		while (page + alike < PAGES && is[page + alike] == is[page])
			alike++;
		if (page + alike < PAGES ? attr.gfn_end != page + alike : attr.gfn_end < PAGES)
			TEST_FAIL("page %llu reaches to %llu", (long long)page,
				  (long long)attr.gfn_end);
		for (alike = 0; alike < page && is[page - alike - 1] == is[page];)
			alike++;
		if (attr.gfn != page - alike)
			TEST_FAIL("page %llu reaches back to %llu", (long long)page,
				  (long long)attr.gfn);
	}
	stop();
}

TEST(I17_a_change_without_memory_changes_nothing)
{
	u64 objects;

	start_with(GMEM_FLAGS);
	EXPECT_EQ(set(GPA, 4 * PAGE, PRIVATE), 0);
	objects = host_alloc_objects();
	host_alloc_fail_at(1);
	EXPECT_EQ(set(GPA + PAGE, PAGE, 0), -ENOMEM);
	host_alloc_fail_at(1);
	EXPECT_EQ(set(GPA + 8 * PAGE, PAGE, PRIVATE), -ENOMEM);
	host_alloc_fail_at(1);
	/* already so: nothing is needed */
	EXPECT_EQ(set(GPA + PAGE, PAGE, PRIVATE), 0);
	EXPECT_EQ(set(GPA + 8 * PAGE, PAGE, 0), 0);
	host_alloc_fail_at(0);
	EXPECT(is_private(GPA + PAGE));
	EXPECT(!is_private(GPA + 8 * PAGE));
	EXPECT_EQ(host_alloc_objects(), objects);
	stop();
}

/* --- who serves ---------------------------------------------------------------------------------------------------- */

TEST(the_attribute_decides_between_a_file_that_is_not_mapped_and_host_memory)
{
	u32 x;
	u64 y = 0;

	start_with(0);
	EXPECT_EQ(guest(GPA, FAKE_READ, &x), 0);
	EXPECT_EQ(x, 0x11111111);
	EXPECT_EQ(level_at(GPA), 2);
	EXPECT_EQ(set(GPA + PAGE, PAGE, PRIVATE), 0);
	EXPECT_EQ(level_at(GPA), 0);
	EXPECT_EQ(guest(GPA + PAGE, FAKE_READ, &x), 0);
	EXPECT_EQ(x, 0);
	EXPECT_EQ(level_at(GPA + PAGE), 3);
	x = 0x33;
	EXPECT_EQ(guest(GPA + PAGE, FAKE_WRITE, &x), 0);
	EXPECT_EQ(mem_read_guest(&r.m, GPA + PAGE, &y, 4), 0);
	EXPECT_EQ(y, 0x33);
	/* the neighbours are host memory still, and no block reaches over the private page */
	EXPECT_EQ(guest(GPA, FAKE_READ, &x), 0);
	EXPECT_EQ(x, 0x11111111);
	EXPECT_EQ(level_at(GPA), 3);
	EXPECT_EQ(guest(GPA + 2 * MIB, FAKE_READ, &x), 0);
	EXPECT_EQ(level_at(GPA + 2 * MIB), 2);
	/* and back: the file keeps what it had */
	EXPECT_EQ(set(GPA, SIZE, 0), 0);
	EXPECT_EQ(guest(GPA + PAGE, FAKE_READ, &x), 0);
	EXPECT_EQ(x, 0x11111111);
	EXPECT_EQ(set(GPA, SIZE, PRIVATE), 0);
	EXPECT_EQ(guest(GPA + PAGE, FAKE_READ, &x), 0);
	EXPECT_EQ(x, 0x33);
	stop();
}

TEST(a_file_that_may_be_mapped_serves_all)
{
	u32 x;

	start_with(GMEM_FLAGS);
	EXPECT_EQ(guest(GPA, FAKE_READ, &x), 0);
	EXPECT_EQ(x, 0);
	EXPECT_EQ(set(GPA, SIZE, PRIVATE), 0);
	EXPECT_EQ(guest(GPA, FAKE_READ, &x), 0);
	EXPECT_EQ(x, 0);
	stop();
}

TEST(a_private_frame_without_guest_memfd_is_a_fault_told_as_private)
{
	u32 x;

	start_with(0);
	EXPECT_EQ(guest(PLAIN, FAKE_READ, &x), 0);
	EXPECT_EQ(set(PLAIN + PAGE, PAGE, PRIVATE), 0);
	EXPECT_EQ(guest(PLAIN + PAGE + 4, FAKE_WRITE, &x), -EFAULT);
	EXPECT(r.v.mem.report.valid);
	EXPECT_EQ(r.v.mem.report.gpa, PLAIN + PAGE);
	EXPECT_EQ(r.v.mem.report.size, PAGE);
	EXPECT_EQ(r.v.mem.report.flags, MEM_FAULT_FLAG_PRIVATE);
	EXPECT_EQ(mem_read_guest(&r.m, PLAIN + PAGE, &x, 4), -EFAULT);
	EXPECT_EQ(guest(PLAIN, FAKE_READ, &x), 0);
	EXPECT_EQ(x, 0x22222222);
	/* with attributes ordinary slots tell, too */
	rig_unmap(mem + SIZE, PAGE);
	EXPECT_EQ(guest(PLAIN, FAKE_READ, &x), -EFAULT);
	EXPECT(r.v.mem.report.valid);
	EXPECT_EQ(r.v.mem.report.flags, 0);
	stop();
}

/* --- changes against faults ---------------------------------------------------------------------------------------- */

static void do_make_private(void *arg)
{
	struct job *j = arg;

	j->ret = set(j->ipa, PAGE, PRIVATE);
}

TEST(I09_a_fault_that_saw_the_old_attribute_installs_nothing)
{
	struct job j = {.ipa = GPA, .op = FAKE_READ};
	struct gate at;
	u64 retries;

	start_with(0);
	gate_arm(&at, HOOK_FAULT_ATTRIBUTE, 0);
	helper_start(&j.h, do_access, &j);
	EXPECT(gate_wait(&at));
	retries = a64_load_relaxed(&r.m.stats.retries);
	EXPECT_EQ(set(GPA, PAGE, PRIVATE), 0);
	gate_disarm(&at);
	helper_join(&j.h);
	EXPECT_EQ(j.ret, 0);
	/* what the file has, not what lies at userspace_addr */
	EXPECT_EQ(j.value, 0);
	EXPECT_EQ(a64_load_relaxed(&r.m.stats.retries), retries + 1);
	stop();
}

TEST(I09_no_fault_installs_while_an_attribute_changes)
{
	struct job change = {.ipa = GPA}, read = {.ipa = GPA, .op = FAKE_READ};
	struct gate at;

	start_with(0);
	EXPECT_EQ(guest(GPA, FAKE_READ, &read.value), 0);
	gate_arm(&at, HOOK_ATTR_ZAPPED, 0);
	helper_start(&change.h, do_make_private, &change);
	EXPECT(gate_wait(&at));
	EXPECT_EQ(r.m.inv_in_progress, 1);
	EXPECT_EQ(level_at(GPA), 0);
	helper_start(&read.h, do_access, &read);
	EXPECT(!helper_ended_within(&read.h, 20));
	EXPECT_EQ(level_at(GPA), 0);
	gate_disarm(&at);
	helper_join(&change.h);
	helper_join(&read.h);
	EXPECT_EQ(read.ret, 0);
	EXPECT_EQ(read.value, 0);
	stop();
}

static void do_look(void *arg)
{
	struct job *j = arg;

	j->ret = is_private(j->ipa);
}

/* G-ATTR-A: one change at a time, made where no reader looks. */
TEST(the_set_is_changed_and_read_under_its_locks)
{
	struct job change = {.ipa = GPA}, second = {.ipa = GPA + PAGE}, look = {.ipa = GPA};
	struct gate at;

	start_with(0);
	gate_arm(&at, HOOK_ATTR_ZAPPED, 0);
	helper_start(&change.h, do_make_private, &change);
	EXPECT(gate_wait(&at));
	helper_start(&second.h, do_make_private, &second);
	EXPECT(!helper_ended_within(&second.h, 30));
	read_lock(&r.m.mmu_lock);
	gate_disarm(&at);
	EXPECT(!helper_ended_within(&change.h, 30));
	EXPECT(!itree_find(&r.m.attributes, GPA / PAGE));
	read_unlock(&r.m.mmu_lock);
	helper_join(&change.h);
	helper_join(&second.h);
	write_lock(&r.m.mmu_lock);
	helper_start(&look.h, do_look, &look);
	EXPECT(!helper_ended_within(&look.h, 30));
	write_unlock(&r.m.mmu_lock);
	helper_join(&look.h);
	EXPECT_EQ(look.ret, true);
	stop();
}

static void set_and_unset(void *arg)
{
	EXPECT_EQ(set(GPA, PAGE, PRIVATE), 0);
	EXPECT_EQ(set(GPA, PAGE, 0), 0);
}

TEST(LO12_attributes_change_with_signals_blocked)
{
	start_with(0);
	rig_open_to_signals(&r, set_and_unset, NULL);
	stop();
}

TEST(I37_code_dies_with_the_attribute_it_was_read_by)
{
	u32 code = 0, x = 0x44;

	start_with(0);
	EXPECT_EQ(guest(GPA, FAKE_EXEC, &code), 0);
	EXPECT_EQ(code, 0x11111111);
	/* there and back; what is there was changed meanwhile */
	EXPECT_EQ(set(GPA, PAGE, PRIVATE), 0);
	*(u32 *)mem = 0x55;
	EXPECT_EQ(set(GPA, PAGE, 0), 0);
	EXPECT_EQ(guest(GPA, FAKE_EXEC, &code), 0);
	EXPECT_EQ(code, 0x55);
	/* the same of the file */
	EXPECT_EQ(set(GPA, PAGE, PRIVATE), 0);
	ASSERT_EQ(mem_write_guest(&r.m, NULL, GPA, &x, 4), 0);
	EXPECT_EQ(guest(GPA, FAKE_EXEC, &code), 0);
	EXPECT_EQ(code, 0x44);
	EXPECT_EQ(set(GPA, PAGE, 0), 0);
	EXPECT_EQ(set(GPA, PAGE, PRIVATE), 0);
	x = 0x66;
	ASSERT_EQ(mem_write_guest(&r.m, NULL, GPA, &x, 4), 0);
	EXPECT_EQ(guest(GPA, FAKE_EXEC, &code), 0);
	EXPECT_EQ(code, 0x66);
	stop();
}

/* --- pre-faulting -------------------------------------------------------------------------------------------------- */

static int pre_fault(u64 *gpa, u64 *size)
{
	return mem_pre_fault(&r.m, &r.v.mem, gpa, size);
}

TEST(pre_faulting_maps_and_tells_what_is_left)
{
	u64 gpa = GPA, size = SIZE;

	start_with(GMEM_FLAGS);
	EXPECT_EQ(pre_fault(&gpa, &size), 0);
	EXPECT_EQ(gpa, GPA + SIZE);
	EXPECT_EQ(size, 0);
	EXPECT_EQ(level_at(GPA), 2);
	EXPECT_EQ(level_at(GPA + SIZE - PAGE), 2);
	/* again, and a part of it: all is there */
	gpa = GPA + PAGE;
	size = 3 * PAGE;
	EXPECT_EQ(pre_fault(&gpa, &size), 0);
	EXPECT_EQ(gpa, GPA + 4 * PAGE);
	EXPECT_EQ(size, 0);
	/* out of the slot: what is in it is done */
	gpa = PLAIN + SIZE - 2 * PAGE;
	size = 4 * PAGE;
	EXPECT_EQ(pre_fault(&gpa, &size), 0);
	EXPECT_EQ(gpa, PLAIN + SIZE);
	EXPECT_EQ(size, 2 * PAGE);
	EXPECT_EQ(pre_fault(&gpa, &size), -ENOENT);
	EXPECT_EQ(size, 2 * PAGE);
	gpa = BIT(40);
	EXPECT_EQ(pre_fault(&gpa, &size), -ENOENT);
	gpa = PLAIN;
	EXPECT_EQ(set(PLAIN, PAGE, PRIVATE), 0);
	EXPECT_EQ(pre_fault(&gpa, &size), -EFAULT);
	stop();
}

/* Mapped as by a read: what was not copied before is not copied afterwards. */
TEST(pre_faulting_copies_nothing)
{
	int fd = memfd_create("pre-fault", 0);
	u64 gpa = 0, size = PAGE;
	char *p;

	start_with(GMEM_FLAGS);
	EXPECT_EQ(pwrite(fd, "1", 1, 0), 1);
	EXPECT_EQ(ftruncate(fd, PAGE), 0);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	ASSERT(p != MAP_FAILED);
	ASSERT_EQ(rig_slot(&r.m, 2, 0, PAGE, p, 0), 0);
	EXPECT_EQ(pre_fault(&gpa, &size), 0);
	EXPECT_EQ(level_at(0), 3);
	/* a private page would not see it */
	EXPECT_EQ(pwrite(fd, "2", 1, 0), 1);
	EXPECT_EQ(p[0], '2');
	EXPECT_EQ(rig_slot(&r.m, 2, 0, 0, NULL, 0), 0);
	munmap(p, PAGE);
	close(fd);
	stop();
}

static void on_signal(int sig)
{
}

static void interrupt(int id, void *what)
{
	raise(SIGUSR1);
}

static void interrupt_at(enum mem_hook id, bool on)
{
	aptr_store_release(&mem_process()->hook[id], on ? (void *)interrupt : NULL);
}

static void interrupted(void *arg)
{
	struct sigaction sa = {.sa_handler = on_signal}, old;
	u64 gpa = GPA, size = SIZE;

	sigaction(SIGUSR1, &sa, &old);
	interrupt_at(HOOK_FAULT_DONE, true);
	EXPECT_EQ(pre_fault(&gpa, &size), 0);
	EXPECT_EQ(size, SIZE - PAGE);
	interrupt_at(HOOK_FAULT_DONE, false);
	/* before anything was done, that is the error */
	interrupt_at(HOOK_FAULT_ATTRIBUTE, true);
	r.m.inv_in_progress++;
	EXPECT_EQ(pre_fault(&gpa, &size), -EINTR);
	r.m.inv_in_progress--;
	EXPECT_EQ(size, SIZE - PAGE);
	interrupt_at(HOOK_FAULT_ATTRIBUTE, false);

	interrupt_at(HOOK_GMEM_PIECE, true);
	EXPECT_EQ(gmem_allocate(gmem_inode_of(file->gmem), 0, SIZE), -EINTR);
	/* nothing is left to do: the signal comes too late */
	EXPECT_EQ(gmem_allocate(gmem_inode_of(file->gmem), 0, PAGE), 0);
	interrupt_at(HOOK_GMEM_PIECE, false);
	EXPECT(!(host_signals_mask() & SIGNAL_BIT(SIGUSR1)));
	sigaction(SIGUSR1, &old, NULL);
}

TEST(a_signal_ends_pre_faulting_and_allocation_after_what_was_done)
{
	start_with(GMEM_FLAGS);
	r.m.block_policy = BLOCK_NONE;
	rig_open_to_signals(&r, interrupted, NULL);
	stop();
}
