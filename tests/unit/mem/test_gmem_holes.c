/* SPDX-License-Identifier: MIT */
/* guest_memfd below the API: holes and memory errors against faults and slots (mem/gmem.h, G-10). */
#include "gmem_rig.h"

static void do_punch(void *arg)
{
	struct job *j = arg;

	library_enter();
	j->ret = gmem_punch(j->inode, j->from, j->to, NULL);
	library_exit();
}

/* --- holes --------------------------------------------------------------------------------------------------------- */

TEST(I28_a_hole_raises_each_vm_once_and_lowers_what_it_raised)
{
	struct job j = {.from = 0, .to = SIZE};
	struct gate at;
	struct file *f;
	u32 x;

	start();
	f = gmem_new(SIZE);
	j.inode = inode_of(f);
	ASSERT_EQ(slot(0, GPA, MIB, f, 0), 0);
	ASSERT_EQ(slot(1, 2 * GPA, MIB, f, MIB), 0);
	EXPECT_EQ(guest(GPA, FAKE_READ, &x), 0);
	EXPECT_EQ(guest(2 * GPA, FAKE_READ, &x), 0);
	gate_arm(&at, HOOK_GMEM_PUNCH, 0);
	helper_start(&j.h, do_punch, &j);
	EXPECT(gate_wait(&at));
	EXPECT_EQ(r.m.inv_in_progress, 1);
	EXPECT_EQ(r.m.inv_start, GPA / PAGE);
	EXPECT_EQ(r.m.inv_end, (2 * GPA + MIB) / PAGE);
	EXPECT_EQ(level_at(GPA), 0);
	EXPECT_EQ(level_at(2 * GPA), 0);
	gate_disarm(&at);
	helper_join(&j.h);
	ASSERT_EQ(r.m.inv_in_progress, 0);
	/* no slot in the range: no count */
	gate_arm(&at, HOOK_GMEM_PUNCH, 0);
	j.from = 2 * MIB;
	helper_start(&j.h, do_punch, &j);
	EXPECT(gate_wait(&at));
	ASSERT_EQ(r.m.inv_in_progress, 0);
	gate_disarm(&at);
	helper_join(&j.h);
	EXPECT_EQ(guest(GPA, FAKE_READ, &x), 0);
	EXPECT_EQ(slot(0, GPA, 0, NULL, 0), 0);
	EXPECT_EQ(slot(1, GPA, 0, NULL, 0), 0);
	file_put(f);
	EXPECT(rig_stop(&r));
}

/*
 * G-10: a walker from the inode needs no reference to the file. A slot of a file that is dying goes while it walks: it waits, or
 * the walker would use a slot that is freed.
 */
TEST(I28_a_slot_of_a_dying_file_does_not_go_under_a_hole)
{
	struct job punch = {.from = 0, .to = SIZE}, put = {0}, del = {.id = 0, .ipa = GPA};
	struct gate dying, walking;
	struct file *other;
	u32 x = 3;

	start();
	put.f = gmem_new(SIZE);
	punch.inode = inode_of(put.f);
	/* another view keeps the inode, and a slot of it shows that the VM's faults go on afterwards */
	other = file_of(gmem_file_open(&r.m, punch.inode));
	ASSERT_EQ(slot(0, GPA, SIZE, put.f, 0), 0);
	ASSERT_EQ(slot(1, 2 * GPA, SIZE, other, 0), 0);
	EXPECT_EQ(guest(GPA, FAKE_WRITE, &x), 0);
	gate_arm(&dying, HOOK_GMEM_RELEASE, 0);
	helper_start(&put.h, do_put, &put);
	EXPECT(gate_wait(&dying));
	gate_arm(&walking, HOOK_GMEM_PUNCH, 0);
	helper_start(&punch.h, do_punch, &punch);
	EXPECT(gate_wait(&walking));
	/* one VM, two views: each has raised once */
	EXPECT_EQ(r.m.inv_in_progress, 2);
	helper_start(&del.h, do_delete, &del);
	EXPECT(!helper_ended_within(&del.h, 50));
	gate_disarm(&walking);
	helper_join(&punch.h);
	helper_join(&del.h);
	EXPECT_EQ(del.ret, 0);
	gate_disarm(&dying);
	helper_join(&put.h);
	ASSERT_EQ(r.m.inv_in_progress, 0);
	EXPECT_EQ(guest(2 * GPA, FAKE_READ, &x), 0);
	EXPECT_EQ(x, 0);
	EXPECT_EQ(slot(1, GPA, 0, NULL, 0), 0);
	file_put(other);
	EXPECT_EQ(a32_load(&released), 2);
	EXPECT(rig_stop(&r));
}

static void do_bind(void *arg)
{
	struct job *j = arg;

	library_enter();
	j->ret = slot(j->id, j->ipa, MIB, j->f, j->from);
	library_exit();
}

static void do_allocate(void *arg)
{
	struct job *j = arg;

	library_enter();
	j->ret = gmem_allocate(j->inode, 0, SIZE);
	library_exit();
}

static void do_open_view(void *arg)
{
	struct job *j = arg;

	library_enter();
	j->f = file_of(gmem_file_open(&r.m, j->inode));
	library_exit();
}

/* A hole ends with the views and bindings that it began with, and with no page: what would change that waits for it. */
TEST(I28_bindings_views_and_pages_stand_still_under_a_hole)
{
	static void (*const change[])(void *) = {do_bind, do_open_view, do_allocate, do_put};
	struct file *f;
	u32 x = 1;

	start();
	f = gmem_new(SIZE);
	ASSERT_EQ(slot(0, GPA, MIB, f, 0), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(change); i++) {
		struct job punch = {.from = 0, .to = SIZE, .inode = inode_of(f)};
		struct job j = {.id = 1, .ipa = 2 * GPA, .from = MIB, .inode = inode_of(f)};
		struct file *view = file_of(gmem_file_open(&r.m, inode_of(f)));
		struct gate at;

		ASSERT_EQ(slot(2, 3 * GPA, MIB, view, 0), 0);
		j.f = change[i] == do_bind ? f : view;
		gate_arm(&at, HOOK_GMEM_PUNCH, 0);
		helper_start(&punch.h, do_punch, &punch);
		EXPECT(gate_wait(&at));
		helper_start(&j.h, change[i], &j);
		EXPECT(!helper_ended_within(&j.h, 30));
		gate_disarm(&at);
		helper_join(&punch.h);
		helper_join(&j.h);
		EXPECT_EQ(j.ret, 0);
		ASSERT_EQ(r.m.inv_in_progress, 0);
		EXPECT_EQ(slot(2, 0, 0, NULL, 0), 0);
		if (change[i] == do_bind)
			EXPECT_EQ(slot(1, 0, 0, NULL, 0), 0);
		if (change[i] == do_open_view)
			file_put(j.f);
		if (change[i] != do_put)
			file_put(view);
		/* no view that has gone is walked any more */
		EXPECT_EQ(gmem_punch(inode_of(f), 0, SIZE, NULL), 0);
	}
	EXPECT_EQ(guest(GPA, FAKE_WRITE, &x), 0);
	EXPECT_EQ(slot(0, GPA, 0, NULL, 0), 0);
	file_put(f);
	EXPECT(rig_stop(&r));
}

/* A page found before the hole is not installed after it. */
TEST(I36_a_fault_that_raced_with_a_hole_runs_again)
{
	struct job j = {.ipa = GPA, .op = FAKE_READ};
	struct gate at;
	struct file *f;
	u64 retries;
	u32 x = 7;

	start();
	f = gmem_new(SIZE);
	ASSERT_EQ(slot(0, GPA, SIZE, f, 0), 0);
	ASSERT_EQ(mem_write_guest(&r.m, NULL, GPA, &x, 4), 0);
	gate_arm(&at, HOOK_FAULT_AFTER_POPULATE, 0);
	helper_start(&j.h, do_access, &j);
	EXPECT(gate_wait(&at));
	retries = a64_load_relaxed(&r.m.stats.retries);
	EXPECT_EQ(gmem_punch(inode_of(f), 0, SIZE, NULL), 0);
	gate_disarm(&at);
	helper_join(&j.h);
	EXPECT_EQ(j.ret, 0);
	EXPECT_EQ(j.value, 0);
	EXPECT_EQ(a64_load_relaxed(&r.m.stats.retries), retries + 1);
	EXPECT_EQ(slot(0, GPA, 0, NULL, 0), 0);
	file_put(f);
	EXPECT(rig_stop(&r));
}

/* Two first touches at a time agree on one page, and it is zero until one of them writes. */
TEST(I36_two_first_touches_agree)
{
	static struct fake_vcpu second;
	struct gate at;
	struct job j = {.ipa = GPA, .op = FAKE_READ, .value = 5};
	struct file *f;
	u32 x = 9;

	start();
	fake_vcpu_init(&second, &r.m);
	r.m.block_policy = BLOCK_NONE;
	f = gmem_new(SIZE);
	ASSERT_EQ(slot(0, GPA, SIZE, f, 0), 0);
	gate_arm(&at, HOOK_GMEM_GOT, 0);
	helper_start(&j.h, do_access, &j);
	EXPECT(gate_wait(&at));
	EXPECT_EQ(fake_access(&second, GPA, FAKE_READ, &x), 0);
	EXPECT_EQ(x, 0);
	x = 9;
	EXPECT_EQ(fake_access(&second, GPA, FAKE_WRITE, &x), 0);
	gate_disarm(&at);
	helper_join(&j.h);
	EXPECT_EQ(j.ret, 0);
	EXPECT_EQ(j.value, 9);
	fake_vcpu_fini(&second);
	EXPECT_EQ(slot(0, GPA, 0, NULL, 0), 0);
	file_put(f);
	EXPECT(rig_stop(&r));
}

TEST(I36_pages_are_zero_at_first_and_after_a_hole)
{
	struct file *f;
	u32 x = 7;

	start();
	f = gmem_new(SIZE);
	ASSERT_EQ(slot(0, GPA, SIZE, f, 0), 0);
	for (unsigned round = 0; round < 3; round++) {
		/* made by touching, by allocation of pieces, and by allocation of single pages */
		if (round == 1)
			EXPECT_EQ(gmem_allocate(inode_of(f), 0, SIZE), 0);
		if (round == 2)
			EXPECT_EQ(gmem_allocate(inode_of(f), PAGE, SIZE - PAGE), 0);
		for (u64 at = 0; at < SIZE; at += SIZE / 8) {
			EXPECT_EQ(guest(GPA + at, FAKE_READ, &x), 0);
			EXPECT_EQ(x, 0);
			x = 7;
			EXPECT_EQ(guest(GPA + at, FAKE_WRITE, &x), 0);
		}
		EXPECT_EQ(gmem_punch(inode_of(f), 0, SIZE, NULL), 0);
	}
	EXPECT_EQ(slot(0, GPA, 0, NULL, 0), 0);
	file_put(f);
	EXPECT(rig_stop(&r));
}

TEST(I37_code_dies_with_the_pages_it_came_from)
{
	struct file *f;
	u32 x = 0x11, code = 0;

	start();
	f = gmem_new(SIZE);
	ASSERT_EQ(slot(0, GPA, SIZE, f, 0), 0);
	ASSERT_EQ(mem_write_guest(&r.m, NULL, GPA, &x, 4), 0);
	fake_enter(&r.v);
	EXPECT_EQ(guest(GPA, FAKE_EXEC, &code), 0);
	EXPECT_EQ(code, 0x11);
	fake_leave(&r.v);
	EXPECT_EQ(gmem_punch(inode_of(f), 0, PAGE, NULL), 0);
	x = 0x22;
	ASSERT_EQ(mem_write_guest(&r.m, NULL, GPA, &x, 4), 0);
	EXPECT_EQ(guest(GPA, FAKE_EXEC, &code), 0);
	EXPECT_EQ(code, 0x22);
	/* with its slot, too */
	EXPECT_EQ(slot(0, GPA, 0, NULL, 0), 0);
	ASSERT_EQ(slot(0, GPA, SIZE, f, 0), 0);
	x = 0x33;
	ASSERT_EQ(mem_write_guest(&r.m, NULL, GPA, &x, 4), 0);
	EXPECT_EQ(guest(GPA, FAKE_EXEC, &code), 0);
	EXPECT_EQ(code, 0x33);
	EXPECT_EQ(slot(0, GPA, 0, NULL, 0), 0);
	file_put(f);
	EXPECT(rig_stop(&r));
}

/* --- memory errors ------------------------------------------------------------------------------------------------- */

TEST(a_poisoned_page_is_refused_until_it_is_punched)
{
	struct job j = {.ipa = GPA + PAGE, .op = FAKE_READ};
	struct gate at;
	struct file *f;
	u32 x = 1;

	start();
	f = gmem_new(SIZE);
	ASSERT_EQ(slot(0, GPA, SIZE, f, 0), 0);
	/* found before the error, installed never */
	gate_arm(&at, HOOK_FAULT_AFTER_POPULATE, 0);
	helper_start(&j.h, do_access, &j);
	EXPECT(gate_wait(&at));
	EXPECT_EQ(gmem_error(inode_of(f), PAGE, 2 * PAGE, NULL), 0);
	gate_disarm(&at);
	helper_join(&j.h);
	EXPECT_EQ(j.ret, -EHWPOISON);
	EXPECT(r.v.mem.report.valid);
	EXPECT_EQ(r.v.mem.report.gpa, GPA + PAGE);
	/* no block reaches over it */
	EXPECT_EQ(guest(GPA, FAKE_WRITE, &x), 0);
	EXPECT_EQ(level_at(GPA), 3);
	EXPECT_EQ(guest(GPA + PAGE, FAKE_WRITE, &x), -EHWPOISON);
	EXPECT_EQ(mem_read_guest(&r.m, GPA + PAGE, &x, 4), -EFAULT);
	/* as far as anybody likes: what lies behind its end is nobody's */
	EXPECT_EQ(gmem_punch(inode_of(f), 0, 64 * GIB, NULL), 0);
	EXPECT_EQ(guest(GPA + PAGE, FAKE_READ, &x), 0);
	EXPECT_EQ(x, 0);
	EXPECT_EQ(slot(0, GPA, 0, NULL, 0), 0);
	file_put(f);
	EXPECT(rig_stop(&r));
}
