/* SPDX-License-Identifier: MIT */
/*
 * guest_memfd: release of the file against whoever comes by the slot, by the inode or by the number. The discussion of
 * release against get_pfn (June 2026) on this library's own ioctl paths.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>

#include "api/api.h"
#include "explore/kvm/kit.h"
#include "explore/kvm/scenarios/scenarios.h"
#include "mem/gmem_inode.h"

#define GPA 0x20000ull

static int vm, vcpu, gmem;
static int deleted, ran, punched;

static void close_gmem(void)
{
	explore_step("close(gmem)");
	kit_close(gmem);
}

static void delete_slot(void)
{
	explore_step("KVM_SET_USER_MEMORY_REGION2: delete slot 1");
	deleted = kit_gmem_slot(vm, 1, GPA, 0, -1);
}

static void run(void)
{
	explore_step("KVM_RUN: store to guest_memfd");
	ran = kit_run(vcpu);
}

static void punch(void)
{
	explore_step("fallocate(gmem, PUNCH_HOLE)");
	punched = anykvm_fallocate(gmem, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096);
}

static void machine(void)
{
	vm = kit_vm();
	gmem = kit_gmem(vm, 1);
	explore_check(!kit_gmem_slot(vm, 1, GPA, 1, gmem));
}

static void machine_with_vcpu(void)
{
	machine();
	vcpu = kit_vcpu(vm, 0);
	kit_guest(vm, vcpu, GPA, true);
}

/* For three actors: nothing of the vCPU's but the store itself. */
static void machine_with_one_store(void)
{
	machine();
	vcpu = kit_vcpu(vm, 0);
	kit_guest_once(vm, vcpu, GPA);
}

/* --- 5: a dying file ------------------------------------------------------------------------------------------------------ */

static void finish_dying(void)
{
	explore_check(!deleted);
	kit_close(vm);
}

static void finish_dying_and_fault(void)
{
	explore_check(!deleted);
	/* Done, no slot any more (MMIO), the file gone, or left because this thread owes the release. */
	explore_check(ran == 0 || ran == 1 || ran == -EFAULT || ran == -EINTR);
	kit_close(vcpu);
	kit_close(vm);
}

const struct explore_scenario scenario_gmem_dying_file = {
	.name = "gmem-dying-file",
	.summary = "close of a guest_memfd against deletion of its slot",
	.property = "when a slot is freed no binding names it, whatever the file's count is",
	.source = "discussion \"Elaborate on how release() vs. get_pfn() is safe against UAF\", "
		  "June 2026; ae431059e75d",
	.mutants = "mem-I25-release-without-slots-lock,mem-I26-unbind-gives-up-on-a-dying-file",
	.setup = machine,
	.thread = {{"close(gmem)", close_gmem}, {"delete slot", delete_slot}},
	.finish = finish_dying,
};

const struct explore_scenario scenario_gmem_dying_file_and_fault = {
	.name = "gmem-dying-file-and-fault",
	.summary = "close of a guest_memfd, deletion of its slot, and a guest that stores to it",
	.property = "as gmem-dying-file, with a lookup that may hold the last reference",
	.source = "the same discussion",
	.mutants = "mem-I26-unbind-gives-up-on-a-dying-file,mem-I32-release-in-section-unchecked",
	.setup = machine_with_one_store,
	.thread = {{"close(gmem)", close_gmem}, {"delete slot", delete_slot}, {"vCPU", run}},
	.finish = finish_dying_and_fault,
};

/* --- 6: a lookup without a reference -------------------------------------------------------------------------------------- */

static void finish_fault(void)
{
	explore_check(ran == 0 || ran == -EFAULT || ran == -EINTR);
	kit_close(vcpu);
	kit_close(vm);
}

const struct explore_scenario scenario_gmem_fault_and_close = {
	.name = "gmem-fault-and-close",
	.summary = "a guest's fault on guest_memfd against the last close of the file",
	.property = "a lookup uses nothing of a file that is being released, and the file object "
		    "outlives the try",
	.source = "the same discussion; 67b43038ce14",
	.mutants = "mem-G6-file-freed-at-once,mem-G6-lookup-outside-rcu,mem-I27-lookup-without-"
		   "reference",
	.setup = machine_with_vcpu,
	.thread = {{"close(gmem)", close_gmem}, {"vCPU", run}},
	.finish = finish_fault,
	.flags = EXPLORE_REUSE,
};

/* --- 7: the last put in a section ----------------------------------------------------------------------------------------- */

static void close_and_delete(void)
{
	close_gmem();
	delete_slot();
}

/* The circle itself is what is looked for, not the rank checker's word for it. */
static void setup_put(void)
{
	kit_rank_checker(false);
	machine_with_one_store();
}

const struct explore_scenario scenario_gmem_put_in_section = {
	.name = "gmem-put-in-section",
	.summary = "a lookup that drops the last reference inside SRCU, against close of the file "
		   "and deletion of the slot",
	.property = "release runs with no lock and outside of sections, so slots_lock and SRCU "
		    "close no circle",
	.source = "own, from the same discussion: in a library a put is an ordinary call and runs "
		  "the release where it stands",
	.mutants = "mem-I32-gmem-release-under-srcu,mem-I32-release-at-once,mem-I32-release-in-"
		   "section-unchecked",
	.setup = setup_put,
	.thread = {{"vCPU", run}, {"close, delete", close_and_delete}},
	.finish = finish_dying_and_fault,
};

/* --- 8: a number that is guessed ------------------------------------------------------------------------------------------ */

static int made, next;

static void create_gmem(void)
{
	struct kvm_create_guest_memfd a = {.size = 4096, .flags = GUEST_MEMFD_FLAG_MMAP};

	explore_step("KVM_CREATE_GUEST_MEMFD");
	made = kit_call(vm, KVM_CREATE_GUEST_MEMFD, (uintptr_t)&a);
}

static void guess_and_close(void)
{
	explore_step("close(a number that is about to be)");
	kit_close(next);
}

static void setup_guess(void)
{
	vm = kit_vm();
	/* The number that will be given out next. */
	next = kit_gmem(vm, 1);
	kit_close(next);
}

static void finish_guess(void)
{
	explore_check(made == next || made == -EBADF);
	/* A number closed before it was one of ours leaves an entry that the next use of the number drops. */
	kit_close(next);
	kit_close(vm);
}

const struct explore_scenario scenario_gmem_create_and_close = {
	.name = "gmem-create-and-close",
	.summary = "creation of a guest_memfd against a thread that closes the number it guesses",
	.property = "a descriptor that can be reached is complete, and references to the VM "
		    "balance on every path",
	.source =
		"design: KVM takes the VM's reference and completes the object before fd_install()",
	.mutants = "api-gmem-reference-after-descriptor",
	.setup = setup_guess,
	.thread = {{"create", create_gmem}, {"guess", guess_and_close}},
	.finish = finish_guess,
};

/* --- 9: holes ------------------------------------------------------------------------------------------------------------- */

static void finish_punch(void)
{
	explore_check(!punched);
	explore_check(!kit_vm_of(vm)->mem.inv_in_progress);
	explore_check(ran == 0);
	kit_close(gmem);
	kit_close(vcpu);
	kit_close(vm);
}

const struct explore_scenario scenario_gmem_punch_and_fault = {
	.name = "gmem-punch-and-fault",
	.summary = "a hole is punched while a guest stores to the page",
	.property = "when the punch returns no translation leads to the page that was removed",
	.source = "guest_memfd's own comments: invalidation brackets removal, a fault retries by "
		  "sequence and count",
	.mutants = "mem-I09-gmem-sequence-read-late,mem-I09-no-count-check,mem-I09-no-retry-check,"
		   "mem-I11-no-flush-at-start",
	.setup = machine_with_vcpu,
	.thread = {{"punch", punch}, {"vCPU", run}},
	.finish = finish_punch,
};

static void bind_slot(void)
{
	explore_step("KVM_SET_USER_MEMORY_REGION2: create slot 2");
	deleted = kit_gmem_slot(vm, 2, 2 * GPA, 1, gmem);
}

static void setup_punch_and_bind(void)
{
	vm = kit_vm();
	gmem = kit_gmem(vm, 1);
}

static void finish_punch_and_bind(void)
{
	explore_check(!punched && !deleted);
	explore_check(!kit_vm_of(vm)->mem.inv_in_progress);
	kit_close(gmem);
	kit_close(vm);
}

const struct explore_scenario scenario_gmem_punch_and_bind = {
	.name = "gmem-punch-and-bind",
	.summary = "a hole is punched while a slot is bound to the page",
	.property = "start and end of a punch see the same bindings: the count returns to 0",
	.source = "guest_memfd: the invalidate lock is held from start to end, and by whoever "
		  "changes bindings",
	.mutants = "mem-I28-bind-under-a-hole,mem-I28-finish-keeps-the-count",
	.setup = setup_punch_and_bind,
	.thread = {{"punch", punch}, {"bind", bind_slot}},
	.finish = finish_punch_and_bind,
};

/* --- 10: two machines, one inode ------------------------------------------------------------------------------------------ */

static int other_vm, other;

/* KVM makes one file for each inode; a second one exists by an internal call only. */
static void setup_two_views(void)
{
	struct file *f;
	struct api_file what = {.kind = API_GMEM};
	int error;

	vm = kit_vm();
	gmem = kit_gmem(vm, 1);
	explore_check(!kit_gmem_slot(vm, 1, GPA, 1, gmem));
	other_vm = kit_vm();
	library_enter();
	f = gmem_fd_get(gmem, &error);
	what.vm = kit_vm_of(other_vm);
	what.gmem = gmem_file_open(&what.vm->mem, gmem_inode_of(f->gmem));
	vm_get(what.vm);
	other = fd_create(&what, "second view", true, -1);
	file_put(f);
	library_exit();
	explore_check(other >= 0);
	explore_check(!kit_gmem_slot(other_vm, 1, GPA, 1, other));
}

static void close_other(void)
{
	explore_step("close(gmem of the other VM)");
	kit_close(other);
}

static void delete_other(void)
{
	explore_step("KVM_SET_USER_MEMORY_REGION2: delete slot 1 of the other VM");
	deleted = kit_gmem_slot(other_vm, 1, GPA, 0, -1);
}

static void finish_two_views(void)
{
	explore_check(!punched);
	explore_check(!kit_vm_of(vm)->mem.inv_in_progress);
	explore_check(!kit_vm_of(other_vm)->mem.inv_in_progress);
	kit_close(gmem);
	kit_close(vm);
	kit_close(other_vm);
}

const struct explore_scenario scenario_gmem_two_views = {
	.name = "gmem-two-views",
	.summary = "a hole through one VM's file against the release of another VM's file of the "
		   "same inode",
	.property = "a punch walks no view that is being freed, and raises and lowers the same VMs",
	.source = "guest_memfd keeps a list of files of each inode, walked under the mapping's "
		  "invalidate lock",
	.mutants = "mem-I25-released-view-stays-listed,mem-I28-release-under-a-hole",
	.setup = setup_two_views,
	.thread = {{"punch", punch}, {"close(other)", close_other}},
	.finish = finish_two_views,
};

const struct explore_scenario scenario_gmem_two_views_dying = {
	.name = "gmem-two-views-dying",
	.summary = "a hole through one VM's file, close of the other's, and deletion of the slot "
		   "it served",
	.property = "unbind of a dying file keeps out of a punch that came by the inode",
	.source = "the June 2026 discussion claims that a dying file has one user left; the "
		  "inode's list is another",
	.mutants = "mem-I28-release-under-a-hole,mem-I28-unbind-skips-the-invalidate-lock",
	.setup = setup_two_views,
	.thread = {{"punch", punch}, {"close(other)", close_other}, {"delete slot", delete_other}},
	.finish = finish_two_views,
};
