/* SPDX-License-Identifier: MIT */
/* guest_memfd below the API: who may use what while files, slots, faults and holes come and go (mem/gmem.h, G-1 to G-11). */
#include <sys/resource.h>
#include <sys/wait.h>

#include "host/alloc.h"
#include "mem/gmem.h"
#include "mem/gmem_inode.h"
#include "rig.h"
#include "sync/rcu.h"
#include "test.h"

#define SIZE (4 * MIB)
#define GPA  (16 * MIB)
#define HVA  ((void *)0x10000000)

static struct rig r;
static struct a32 released;

static void release(struct file *f)
{
	gmem_file_release(f->gmem);
	a32_fetch_add(&released, 1);
}

static const struct file_ops ops = {.type = "gmem", .release = release};

static struct file *file_of(struct gmem_file *gf)
{
	struct file *f = file_create(&ops, NULL);

	if (!f)
		abort();
	f->gmem = gf;
	return f;
}

static struct file *gmem_new(u64 size)
{
	struct gmem_file *gf;

	if (gmem_create(&r.m, size, GMEM_FLAGS, &gf))
		abort();
	return file_of(gf);
}

static struct gmem_inode *inode_of(const struct file *f)
{
	return gmem_inode_of(f->gmem);
}

static int slot(u32 id, u64 gpa, u64 size, struct file *f, u64 offset)
{
	struct mem_region region = {.slot = id,
				    .flags = MEMSLOT_GMEM,
				    .guest_phys_addr = gpa,
				    .memory_size = size,
				    .userspace_addr = (uintptr_t)HVA,
				    .guest_memfd = f,
				    .guest_memfd_error = -EBADF,
				    .guest_memfd_offset = offset,
				    .v2 = true};

	return mem_set_region(&r.m, &region);
}

static void start(void)
{
	rig_start(&r);
	a32_store(&released, 0);
}

static bool unbound(struct gmem_file *gf)
{
	return itree_empty(&gf->bindings);
}

static int guest(u64 ipa, enum fake_op op, u32 *x)
{
	int ret;

	library_enter();
	ret = fake_access(&r.v, ipa, op, x);
	library_exit();
	return ret;
}

static int level_at(u64 ipa)
{
	struct s2_result out;
	struct mem_fault f;

	return s2_lookup(&r.m.mmu, ipa, false, false, false, &out, &f) ? 0 : out.level;
}

/* What helpers do, each in the library as an API call is. */
struct job {
	struct helper h;
	struct file *f;
	struct gmem_inode *inode;
	u64 ipa, from, to;
	u32 id, value;
	enum fake_op op;
	int ret;
};

static void do_put(void *arg)
{
	struct job *j = arg;

	library_enter();
	file_put(j->f);
	library_exit();
}

static void do_delete(void *arg)
{
	struct job *j = arg;

	library_enter();
	j->ret = slot(j->id, j->ipa, 0, NULL, 0);
	library_exit();
}

static void do_access(void *arg)
{
	struct job *j = arg;

	j->ret = guest(j->ipa, j->op, &j->value);
}

static void do_punch(void *arg)
{
	struct job *j = arg;

	library_enter();
	j->ret = gmem_punch(j->inode, j->from, j->to, NULL);
	library_exit();
}

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
	objects = host_alloc_objects();
	setrlimit(RLIMIT_NOFILE, &none);
	EXPECT_EQ(slot(0, GPA, SIZE, f, 0), -EMFILE);
	EXPECT_EQ(gmem_allocate(inode_of(f), 0, PAGE), -EMFILE);
	EXPECT_EQ(gmem_storage_open(inode_of(f)), -EMFILE);
	setrlimit(RLIMIT_NOFILE, &old);
	EXPECT_EQ(slot(0, GPA, SIZE, huge, 0), -ENOMEM);
	EXPECT_EQ(gmem_allocate(inode_of(huge), 0, PAGE), -ENOMEM);
	EXPECT_EQ(gmem_storage_open(inode_of(huge)), -ENOMEM);
	EXPECT(unbound(f->gmem));
	EXPECT(unbound(huge->gmem));
	EXPECT_EQ(host_alloc_objects(), objects);
	EXPECT_EQ(mem_read_guest(&r.m, GPA, &x, 4), -EFAULT);
	/* Nothing is there to be punched yet. */
	EXPECT_EQ(gmem_punch(inode_of(f), 0, SIZE, NULL), 0);
	EXPECT(!inode_of(f)->storage);
	EXPECT_EQ(slot(0, GPA, SIZE, f, 0), 0);
	EXPECT_EQ(gmem_storage_open(inode_of(f)), gmem_storage_fd(inode_of(f)));
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

/* G-6: between load and try nothing but RCU keeps the file object. */
TEST(G6_a_lookup_may_find_a_file_that_is_being_freed)
{
	struct job j = {.ipa = GPA, .op = FAKE_READ};
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
	gate_disarm(&at);
	helper_join(&j.h);
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
	EXPECT_EQ(gmem_punch(inode_of(f), 0, SIZE, NULL), 0);
	EXPECT_EQ(guest(GPA + PAGE, FAKE_READ, &x), 0);
	EXPECT_EQ(x, 0);
	EXPECT_EQ(slot(0, GPA, 0, NULL, 0), 0);
	file_put(f);
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
	EXPECT(!child_has((void *)(uintptr_t)inode_of(f)->base));
	file_put(f);
	EXPECT(rig_stop(&r));
}

/* --- all of it at once --------------------------------------------------------------------------------------------- */

#define FILES 2

static struct {
	struct mutex lock; /* of the array: a reference is taken under it */
	struct file *f[FILES];
	struct a32 stop;
} storm;

static struct file *storm_get(u64 n)
{
	struct file *f;

	mutex_lock(&storm.lock);
	f = storm.f[n % FILES];
	file_get(f);
	mutex_unlock(&storm.lock);
	return f;
}

static void storm_slots(void *arg)
{
	u64 seed = 1;

	for (unsigned i = 0; i < test_rounds(5000, 400000); i++) {
		u64 n = next_random(&seed);
		struct file *f;

		library_enter();
		f = storm_get(n);
		slot(n / 8 % 4, GPA + n / 8 % 4 * SIZE, n & BIT(30) ? 0 : MIB, f, n / 32 % 4 * MIB);
		file_put(f);
		library_exit();
	}
	a32_store(&storm.stop, 1);
}

static void storm_holes(void *arg)
{
	u64 seed = 2;

	while (!a32_load(&storm.stop)) {
		u64 n = next_random(&seed), from = n % (SIZE / PAGE) * PAGE;
		struct file *f;

		library_enter();
		f = storm_get(n >> 40);
		if (n & BIT(30))
			gmem_punch(inode_of(f), from, SIZE, NULL);
		else if (n & BIT(31))
			gmem_error(inode_of(f), from, from + PAGE, NULL);
		else
			gmem_allocate(inode_of(f), from, from + PAGE);
		file_put(f);
		library_exit();
	}
}

static void storm_files(void *arg)
{
	u64 seed = 3;

	while (!a32_load(&storm.stop)) {
		u64 n = next_random(&seed);
		struct file *f = gmem_new(SIZE), *old;

		library_enter();
		mutex_lock(&storm.lock);
		old = storm.f[n % FILES];
		storm.f[n % FILES] = f;
		mutex_unlock(&storm.lock);
		file_put(old);
		library_exit();
	}
}

TEST(I28_files_slots_holes_and_faults_in_any_order_end_at_rest)
{
	struct helper h[3];
	u64 seed = 4;
	u32 x;

	start();
	a32_store(&storm.stop, 0);
	mutex_init(&storm.lock, RANK_LEAF, "storm");
	for (unsigned i = 0; i < FILES; i++)
		storm.f[i] = gmem_new(SIZE);
	helper_start(&h[0], storm_slots, NULL);
	helper_start(&h[1], storm_holes, NULL);
	helper_start(&h[2], storm_files, NULL);
	while (!a32_load(&storm.stop)) {
		u64 n = next_random(&seed);
		int ret = guest(GPA + n % (4 * SIZE / PAGE) * PAGE,
				n & BIT(40) ? FAKE_WRITE : FAKE_READ, &x);

		if (ret && ret != -EFAULT && ret != -EHWPOISON && ret != -EINTR &&
		    ret != FAKE_ACTION(MEM_FAULT_MMIO)) {
			TEST_FAIL("a fault gave %d", ret);
			break;
		}
	}
	for (unsigned i = 0; i < 3; i++)
		helper_join(&h[i]);
	for (u32 id = 0; id < 4; id++)
		slot(id, GPA, 0, NULL, 0);
	for (unsigned i = 0; i < FILES; i++) {
		EXPECT(unbound(storm.f[i]->gmem));
		file_put(storm.f[i]);
	}
	mutex_fini(&storm.lock);
	EXPECT(rig_stop(&r));
}
