/* SPDX-License-Identifier: MIT */
/* guest_memfd below the API: who may use what while files, slots and faults come and go (mem/gmem.h, G-1 to G-11). */
#include <sys/resource.h>
#include <sys/wait.h>

#include "../../fds.h"
#include "gmem_rig.h"
#include "host/alloc.h"
#include "sync/rcu.h"

/* --- what a guest sees --------------------------------------------------------------------------------------------- */

TEST(gmem_serves_the_guest_and_the_library)
{
	struct file *f;
	u32 x = 0x1234;
	u64 y = 0;

	start();
	f = gmem_new(SIZE);
	ASSERT_EQ(slot(0, GPA, SIZE, f, 0), 0);
	EXPECT_EQ(guest(GPA + 8, FAKE_WRITE, &x), 0);
	/* one block: the slot and the storage are aligned alike */
	EXPECT_EQ(level_at(GPA), 2);
	EXPECT_EQ(mem_read_guest(&r.m, GPA + 8, &y, 4), 0);
	EXPECT_EQ(y, 0x1234);
	y = 0x99;
	EXPECT_EQ(mem_write_guest(&r.m, NULL, GPA + 3 * PAGE - 4, &y, 8), 0);
	EXPECT_EQ(guest(GPA + 3 * PAGE - 4, FAKE_READ, &x), 0);
	EXPECT_EQ(x, 0x99);
	file_put(f);
	EXPECT_EQ(a32_load(&released), 1);
	EXPECT_EQ(mem_read_guest(&r.m, GPA + 8, &y, 4), -EFAULT);
	EXPECT_EQ(slot(0, GPA, 0, NULL, 0), 0);
	EXPECT(rig_stop(&r));
}

TEST(gmem_blocks_need_slot_and_storage_to_be_aligned_alike)
{
	struct file *f;
	u32 x;

	start();
	f = gmem_new(SIZE);
	ASSERT_EQ(slot(0, GPA, 2 * MIB, f, PAGE), 0);
	ASSERT_EQ(slot(1, GPA + 4 * MIB + PAGE, MIB, f, 2 * MIB + PAGE), 0);
	EXPECT_EQ(guest(GPA + 8, FAKE_READ, &x), 0);
	EXPECT_EQ(level_at(GPA), 3);
	/* aligned alike, but the block would reach out of the slot */
	EXPECT_EQ(guest(GPA + 4 * MIB + PAGE, FAKE_READ, &x), 0);
	EXPECT_EQ(level_at(GPA + 4 * MIB + PAGE), 3);
	EXPECT_EQ(slot(0, GPA, 0, NULL, 0), 0);
	EXPECT_EQ(slot(1, GPA, 0, NULL, 0), 0);
	file_put(f);
	EXPECT(rig_stop(&r));
}

TEST(a_guest_without_its_file_gets_efault_and_is_told_where)
{
	struct file *f;
	u32 x;

	start();
	f = gmem_new(SIZE);
	ASSERT_EQ(slot(0, GPA, SIZE, f, 0), 0);
	EXPECT_EQ(guest(GPA, FAKE_READ, &x), 0);
	file_put(f);
	/* no translation outlives the file */
	EXPECT_EQ(level_at(GPA), 0);
	EXPECT_EQ(guest(GPA + 5 * PAGE + 20, FAKE_WRITE, &x), -EFAULT);
	EXPECT(r.v.mem.report.valid);
	EXPECT_EQ(r.v.mem.report.gpa, GPA + 5 * PAGE);
	EXPECT_EQ(r.v.mem.report.size, PAGE);
	EXPECT_EQ(r.v.mem.report.flags, 0);
	EXPECT_EQ(slot(0, GPA, 0, NULL, 0), 0);
	/* MMIO: nothing of the report is left */
	EXPECT_EQ(guest(GPA, FAKE_READ, &x), FAKE_ACTION(MEM_FAULT_MMIO));
	EXPECT(!r.v.mem.report.valid);
	EXPECT(rig_stop(&r));
}

/* --- bind ---------------------------------------------------------------------------------------------------------- */

static void nothing_to_release(struct file *f)
{
	a32_fetch_add(&released, 1);
}

TEST(a_slot_on_a_file_that_is_no_guest_memfd_is_refused)
{
	static const struct file_ops other = {.type = "other", .release = nothing_to_release};
	struct file *f;

	start();
	f = file_create(&other, NULL);
	ASSERT(f);
	EXPECT_EQ(slot(0, GPA, SIZE, f, 0), -EINVAL);
	EXPECT(!mem_has_slots(&r.m));
	file_put(f);
	EXPECT(rig_stop(&r));
}

TEST(I17_a_slot_that_fails_leaves_no_binding)
{
	unsigned failed = 0;
	struct file *f;

	start();
	f = gmem_new(SIZE);
	/* refused after the bind: beyond the VM's addresses */
	EXPECT_EQ(slot(0, BIT(40), SIZE, f, 0), -EFAULT);
	ASSERT(unbound(f->gmem));
	for (u64 nth = 1; nth < 50; nth++) {
		u64 objects = host_alloc_objects(), left;
		int ret;

		host_alloc_fail_at(nth);
		ret = slot(0, GPA, SIZE, f, 0);
		left = host_alloc_fail_at(0);
		if (!ret && left)
			break;
		EXPECT_EQ(ret, -ENOMEM);
		EXPECT(unbound(f->gmem));
		EXPECT_EQ(host_alloc_objects(), objects);
		failed++;
	}
	EXPECT(failed >= 1);
	/* deletion that fails leaves it bound */
	host_alloc_fail_at(1);
	EXPECT_EQ(slot(0, GPA, 0, NULL, 0), -ENOMEM);
	host_alloc_fail_at(0);
	EXPECT(!unbound(f->gmem));
	EXPECT_EQ(slot(1, 2 * GPA, PAGE, f, PAGE), -EEXIST);
	EXPECT_EQ(slot(0, GPA, 0, NULL, 0), 0);
	EXPECT(unbound(f->gmem));
	file_put(f);
	EXPECT(rig_stop(&r));
}

TEST(I17_a_file_whose_birth_fails_leaves_nothing)
{
	struct gmem_file *gf;
	unsigned failed = 0;

	start();
	for (u64 nth = 1; nth < 50; nth++) {
		u64 objects = host_alloc_objects();
		int ret;

		host_alloc_fail_at(nth);
		ret = gmem_create(&r.m, SIZE, GMEM_FLAGS, &gf);
		host_alloc_fail_at(0);
		if (!ret)
			break;
		EXPECT_EQ(ret, -ENOMEM);
		EXPECT_EQ(host_alloc_objects(), objects);
		failed++;
	}
	EXPECT_EQ(failed, 2);
	gmem_file_release(gf);
	EXPECT_EQ(gmem_create(&r.m, PAGE, BIT(2), &gf), -EINVAL);
	EXPECT_EQ(gmem_create(&r.m, BIT(63), 0, &gf), -EINVAL);
	EXPECT(rig_stop(&r));
}

static bool is_mapped(u64 hva)
{
	return !msync((void *)(uintptr_t)hva, PAGE, MS_ASYNC);
}

TEST(I17_a_file_leaves_neither_descriptors_nor_mappings)
{
	int fds = count_fds();
	struct gmem_file *gf;
	struct file *f;
	u64 base, poison;
	int ret;

	start();
	/* so large that the map of its poisoned pages is a mapping, too */
	f = gmem_new(4 * GIB);
	EXPECT_EQ(gmem_allocate(inode_of(f), 0, PAGE), 0);
	EXPECT_EQ(gmem_error(inode_of(f), PAGE, 2 * PAGE, NULL), 0);
	base = inode_of(f)->base;
	poison = (uintptr_t)aptr_load_relaxed(&inode_of(f)->poison);
	EXPECT(is_mapped(base));
	EXPECT(is_mapped(poison));
	file_put(f);
	EXPECT(!is_mapped(base));
	EXPECT(!is_mapped(poison));
	/* larger than any address space: it cannot be made, or not be used */
	ret = gmem_create(&r.m, BIT(62), GMEM_FLAGS, &gf);
	if (!ret) {
		ret = gmem_allocate(gmem_inode_of(gf), 0, PAGE);
		gmem_file_release(gf);
	}
	EXPECT_EQ(ret, -ENOMEM);
	EXPECT_EQ(count_fds(), fds);
	EXPECT(rig_stop(&r));
}

static int storage_open(struct gmem_inode *inode)
{
	u64 sigmask = gmem_mapping_begin(inode);
	int r = gmem_storage_open(inode);

	gmem_mapping_end(inode, sigmask);
	return r;
}

/* The storage is made by whoever needs it first, and the maker's failure changes nothing (G-11). */
TEST(I17_a_bind_without_storage_leaves_nothing)
{
	struct rlimit old, none = {0};
	struct file *f, *huge;
	u64 objects;
	u32 x = 1;

	start();
	getrlimit(RLIMIT_NOFILE, &old);
	none.rlim_max = old.rlim_max;
	f = gmem_new(SIZE);
	/* larger than any address space */
	huge = gmem_new(BIT(62));
	ASSERT_EQ(slot(1, GPA + SIZE, SIZE, f, 0), 0);
	ASSERT_EQ(slot(1, GPA + SIZE, 0, NULL, 0), 0);
	file_put(f);
	f = gmem_new(SIZE);
	/* The first file's memory goes by RCU. */
	rcu_barrier();
	objects = host_alloc_objects();
	setrlimit(RLIMIT_NOFILE, &none);
	EXPECT_EQ(slot(0, GPA, SIZE, f, 0), -EMFILE);
	EXPECT_EQ(gmem_allocate(inode_of(f), 0, PAGE), -EMFILE);
	EXPECT_EQ(storage_open(inode_of(f)), -EMFILE);
	setrlimit(RLIMIT_NOFILE, &old);
	EXPECT_EQ(slot(0, GPA, SIZE, huge, 0), -ENOMEM);
	EXPECT_EQ(gmem_allocate(inode_of(huge), 0, PAGE), -ENOMEM);
	EXPECT_EQ(storage_open(inode_of(huge)), -ENOMEM);
	EXPECT(unbound(f->gmem));
	EXPECT(unbound(huge->gmem));
	EXPECT_EQ(host_alloc_objects(), objects);
	EXPECT_EQ(mem_read_guest(&r.m, GPA, &x, 4), -EFAULT);
	/* Nothing is there to be punched yet. */
	EXPECT_EQ(gmem_punch(inode_of(f), 0, SIZE, NULL), 0);
	EXPECT(!inode_of(f)->storage);
	EXPECT_EQ(slot(0, GPA, SIZE, f, 0), 0);
	EXPECT_EQ(storage_open(inode_of(f)), gmem_storage_fd(inode_of(f)));
	EXPECT_EQ(guest(GPA, FAKE_WRITE, &x), 0);
	file_put(f);
	file_put(huge);
	EXPECT(rig_stop(&r));
}

/* --- unbind against release ---------------------------------------------------------------------------------------- */

/* The count is 0 and release has not started: case 1 of 6.8. */
TEST(I26_a_slot_deleted_before_release_runs_is_bound_no_more)
{
	struct gmem_file *gf;
	struct file *f;
	u32 x = 1;

	start();
	f = gmem_new(SIZE);
	gf = f->gmem;
	ASSERT_EQ(slot(0, GPA, SIZE, f, 0), 0);
	EXPECT_EQ(guest(GPA, FAKE_WRITE, &x), 0);
	library_enter();
	file_put(f);
	EXPECT_EQ(a32_load(&released), 0);
	EXPECT_EQ(slot(0, GPA, 0, NULL, 0), 0);
	EXPECT(unbound(gf));
	library_exit();
	EXPECT_EQ(a32_load(&released), 1);
	EXPECT(rig_stop(&r));
}

/* Release runs, but has not got slots_lock: case 2. */
TEST(I25_a_slot_deleted_while_release_waits_for_slots_lock_finds_its_file)
{
	struct gmem_file *gf;
	struct gate at;
	struct job j = {0};
	u32 x = 1;

	start();
	j.f = gmem_new(SIZE);
	gf = j.f->gmem;
	ASSERT_EQ(slot(0, GPA, SIZE, j.f, 0), 0);
	EXPECT_EQ(guest(GPA, FAKE_WRITE, &x), 0);
	gate_arm(&at, HOOK_GMEM_RELEASE, 0);
	helper_start(&j.h, do_put, &j);
	EXPECT(gate_wait(&at));
	EXPECT_EQ(slot(0, GPA, 0, NULL, 0), 0);
	EXPECT(unbound(gf));
	gate_disarm(&at);
	helper_join(&j.h);
	EXPECT_EQ(a32_load(&released), 1);
	EXPECT(rig_stop(&r));
}

/* The other way round: unbind has slots_lock and has seen the pointer; release must wait. */
TEST(I25_release_waits_for_an_unbind_that_has_seen_the_file)
{
	struct gate at;
	struct job put = {0}, del = {.id = 0, .ipa = GPA};

	start();
	put.f = gmem_new(SIZE);
	ASSERT_EQ(slot(0, GPA, SIZE, put.f, 0), 0);
	gate_arm(&at, HOOK_GMEM_UNBIND, 0);
	helper_start(&del.h, do_delete, &del);
	EXPECT(gate_wait(&at));
	helper_start(&put.h, do_put, &put);
	EXPECT(!helper_ended_within(&put.h, 30));
	gate_disarm(&at);
	helper_join(&del.h);
	helper_join(&put.h);
	EXPECT_EQ(del.ret, 0);
	EXPECT_EQ(a32_load(&released), 1);
	EXPECT(rig_stop(&r));
}

/* Cases 4 and 5: the slot says that its file is gone. */
TEST(I25_a_slot_of_a_released_file_names_no_file)
{
	struct file *f;
	u32 x;

	start();
	f = gmem_new(SIZE);
	ASSERT_EQ(slot(0, GPA, MIB, f, 0), 0);
	ASSERT_EQ(slot(1, 2 * GPA, MIB, f, MIB), 0);
	file_put(f);
	rcu_barrier(); /* the file object itself is gone */
	for (u32 id = 0; id < 2; id++)
		EXPECT(!aptr_load_relaxed(&memslot_find_id(memslot_active(&r.m), id)->gmem.file));
	EXPECT_EQ(guest(GPA, FAKE_READ, &x), -EFAULT);
	EXPECT_EQ(slot(0, GPA, 0, NULL, 0), 0);
	EXPECT_EQ(slot(1, GPA, 0, NULL, 0), 0);
	EXPECT(rig_stop(&r));
}

/* --- lookup against release ---------------------------------------------------------------------------------------- */

TEST(I27_release_waits_for_the_lookup_and_runs_after_it)
{
	struct job j = {.ipa = GPA, .op = FAKE_READ};
	struct gate at;
	struct file *f;
	u32 x;

	start();
	f = gmem_new(SIZE);
	ASSERT_EQ(slot(0, GPA, SIZE, f, 0), 0);
	gate_arm(&at, HOOK_GMEM_GOT, 0);
	helper_start(&j.h, do_access, &j);
	EXPECT(gate_wait(&at));
	file_put(f);
	EXPECT_EQ(a32_load(&released), 0);
	EXPECT(aptr_load_relaxed(&memslot_find_id(memslot_active(&r.m), 0)->gmem.file) == f);
	gate_disarm(&at);
	helper_join(&j.h);
	/* the vCPU left as for a signal, so that the release it owed could run */
	EXPECT_EQ(j.ret, -EINTR);
	EXPECT_EQ(a32_load(&released), 1);
	EXPECT_EQ(guest(GPA, FAKE_READ, &x), -EFAULT);
	EXPECT_EQ(slot(0, GPA, 0, NULL, 0), 0);
	EXPECT(rig_stop(&r));
}

static void do_barrier(void *arg)
{
	rcu_barrier();
}

/* Who looks keeps nothing. */
TEST(I27_facts_about_a_slot_hold_no_reference)
{
	struct gmem_slot_facts facts;
	struct file *f;
	int cookie;

	start();
	f = gmem_new(SIZE);
	ASSERT_EQ(slot(0, GPA, MIB, f, MIB), 0);
	cookie = srcu_read_lock(&r.m.srcu);
	EXPECT(gmem_slot_facts(memslot_find_id(memslot_active(&r.m), 0), &facts));
	srcu_read_unlock(&r.m.srcu, cookie);
	EXPECT_EQ(facts.offset, MIB);
	EXPECT_EQ(facts.hva, inode_of(f)->base + MIB);
	EXPECT_EQ(facts.size, SIZE);
	file_put(f);
	EXPECT_EQ(a32_load(&released), 1);
	cookie = srcu_read_lock(&r.m.srcu);
	EXPECT(!gmem_slot_facts(memslot_find_id(memslot_active(&r.m), 0), &facts));
	srcu_read_unlock(&r.m.srcu, cookie);
	EXPECT_EQ(slot(0, GPA, 0, NULL, 0), 0);
	EXPECT(rig_stop(&r));
}

/* G-6: between load and try nothing but RCU keeps the file object. */
TEST(G6_a_lookup_may_find_a_file_that_is_being_freed)
{
	struct job j = {.ipa = GPA, .op = FAKE_READ};
	struct helper freed;
	struct gate at;
	struct file *f;

	start();
	f = gmem_new(SIZE);
	ASSERT_EQ(slot(0, GPA, SIZE, f, 0), 0);
	gate_arm(&at, HOOK_GMEM_LOADED, 0);
	helper_start(&j.h, do_access, &j);
	EXPECT(gate_wait(&at));
	file_put(f);
	EXPECT_EQ(a32_load(&released), 1);
	helper_start(&freed, do_barrier, NULL);
	EXPECT(!helper_ended_within(&freed, 30));
	gate_disarm(&at);
	helper_join(&j.h);
	helper_join(&freed);
	EXPECT_EQ(j.ret, -EFAULT);
	EXPECT_EQ(slot(0, GPA, 0, NULL, 0), 0);
	EXPECT(rig_stop(&r));
}

/* The page was found, then the file went, but not the storage: another view has it. Nothing is installed. */
TEST(I09_a_fault_that_found_its_page_before_release_installs_nothing)
{
	struct job j = {.ipa = GPA, .op = FAKE_READ};
	struct gate at;
	struct file *f, *other;

	start();
	f = gmem_new(SIZE);
	other = file_of(gmem_file_open(&r.m, inode_of(f)));
	ASSERT_EQ(slot(0, GPA, SIZE, f, 0), 0);
	gate_arm(&at, HOOK_FAULT_AFTER_POPULATE, 0);
	helper_start(&j.h, do_access, &j);
	EXPECT(gate_wait(&at));
	file_put(f);
	EXPECT_EQ(a32_load(&released), 1);
	gate_disarm(&at);
	helper_join(&j.h);
	EXPECT_EQ(j.ret, -EFAULT);
	EXPECT_EQ(level_at(GPA), 0);
	EXPECT_EQ(slot(0, GPA, 0, NULL, 0), 0);
	file_put(other);
	EXPECT(rig_stop(&r));
}

/* --- fork ---------------------------------------------------------------------------------------------------------- */

/* Whether a fork child has anything mapped at p. */
static bool child_has(void *p)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid)
		_exit(!msync(p, PAGE, MS_ASYNC));
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status);
}

TEST(I34_a_fork_child_does_not_get_the_storage)
{
	void *probe = rig_map(PAGE, 0);
	struct file *f;

	EXPECT(child_has(probe));
	EXPECT_EQ(madvise(probe, PAGE, MADV_DONTFORK), 0);
	if (child_has(probe)) {
		munmap(probe, PAGE);
		SKIP("advice has no effect here (an emulator)");
	}
	munmap(probe, PAGE);
	start();
	f = gmem_new(SIZE);
	/* made when it is first needed */
	ASSERT_EQ(gmem_allocate(inode_of(f), 0, PAGE), 0);
	EXPECT(is_mapped(inode_of(f)->base));
	EXPECT(!child_has((void *)(uintptr_t)inode_of(f)->base));
	file_put(f);
	EXPECT(rig_stop(&r));
}
