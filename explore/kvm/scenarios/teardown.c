/* SPDX-License-Identifier: MIT */
/*
 * The end of the address space against the last close, slot changes and creation: the discussion of stage-2 teardown
 * (May 2026) on this library's own ioctl paths.
 *
 * In KVM a thread that is in an ioctl keeps the mm, so its teardown meets the last close alone. Here nothing keeps it away:
 * anykvm_mm_release meets any call, and may meet itself. That makes these scenarios harder than the discussion's, not easier.
 */
#include <errno.h>

#include "explore/kvm/kit.h"
#include "explore/kvm/scenarios/scenarios.h"
#include "mem/nested_mmu.h"

#define GPA 0x10000ull

static int vm, vcpu;
static void *ram;

static int enable_cap(int fd, unsigned cap, uint64_t arg)
{
	struct kvm_enable_cap c = {.cap = cap, .args = {arg}};

	return kit_call(fd, KVM_ENABLE_CAP, (uintptr_t)&c);
}

/*
 * All that the old flush gave back is there: a table with a leaf, shadow MMUs, and pages in the split cache (turning a slot's log
 * on fills it, whether or not there is a block to split).
 */
static void machine_with_everything(void)
{
	vm = kit_vm();
	explore_check(!enable_cap(vm, KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE, 2 << 20));
	ram = kit_memory(2);
	explore_check(!kit_slot(vm, 0, GPA, 2, ram, 0));
	explore_check(!kit_slot(vm, 0, GPA, 2, ram, KVM_MEM_LOG_DIRTY_PAGES));
	explore_check(kit_vm_of(vm)->mem.split_cache.nr);
	vcpu = kit_vcpu(vm, 0);
	explore_check(!nested_mmu_grow(&kit_vm_of(vm)->mem));
}

static void mm_exit(void)
{
	explore_step("mm exit: anykvm_mm_release");
	anykvm_mm_release();
}

static void last_close(void)
{
	explore_step("close(vm)");
	kit_close(vm);
}

static void close_all(void)
{
	kit_close(vcpu);
	kit_close(vm);
	kit_free(ram, 2);
}

/* --- 1: the flush twice --------------------------------------------------------------------------------------------------- */

static void setup_flush_twice(void)
{
	machine_with_everything();
	/* The VM file's is the last reference. */
	kit_close(vcpu);
}

static void finish_flush_twice(void)
{
	kit_free(ram, 2);
}

const struct explore_scenario scenario_teardown_flush_twice = {
	.name = "teardown-flush-twice",
	.summary = "the end of the mm against the last close of the VM",
	.property = "tables, shadow MMUs and split cache are freed once, and not used afterwards",
	.source = "discussion \"Grab KVM MMU write lock in kvm_arch_flush_shadow_all()\", May "
		  "2026; faults of e7bf7a490c68 and 4f128f8e1aaa",
	.mutants = "mem-A0-close-flushes-as-well,mem-A1-shadow-mmus-freed-twice,mem-A2-split-cache-"
		   "freed-twice,mem-I05-unregister-without-wait,mem-T2-cache-forgotten-at-destroy",
	.setup = setup_flush_twice,
	.thread = {{"mm exit", mm_exit}, {"close(vm)", last_close}},
	.finish = finish_flush_twice,
};

const struct explore_scenario scenario_teardown_two_releases = {
	.name = "teardown-two-releases",
	.summary = "two ends of the mm at once (library unload and a test's own)",
	.property = "the first caller takes everything out of reach, the second nothing; both "
		    "return after the shootdown",
	.source = "the same discussion; docs/memory.md, \"Teardown\"",
	.mutants = "mem-I02-two-detach,mem-I03-cache-freed-in-flush-all,mem-I04-flush-frees-shadow-"
		   "mmus,mem-T1-flush-frees-the-split-cache",
	.setup = machine_with_everything,
	.thread = {{"mm exit", mm_exit}, {"unload", mm_exit}},
	.finish = close_all,
};

/* --- 2: whose the split cache is ------------------------------------------------------------------------------------------ */

static int changed;

static void log_off(void)
{
	explore_step("KVM_SET_USER_MEMORY_REGION: log off");
	changed = kit_slot(vm, 0, GPA, 2, ram, 0);
}

static void finish_cache_guard(void)
{
	/* Nothing pins the mm: the call meets the release, and either comes first. */
	explore_check(changed == 0 || changed == -EIO);
	close_all();
}

const struct explore_scenario scenario_teardown_cache_guard = {
	.name = "teardown-cache-guard",
	.summary = "turning a slot's log off against the end of the mm",
	.property = "the split cache is touched under slots_lock only (a test of guards, not of "
		    "search)",
	.source = "the same discussion: a commit of a slot change frees the cache under "
		  "slots_lock, the flush without it",
	.mutants = "mem-A3-commit-frees-the-split-cache,mem-I03-cache-freed-in-flush-all,mem-T1-"
		   "flush-frees-the-split-cache",
	.setup = machine_with_everything,
	.thread = {{"log off", log_off}, {"mm exit", mm_exit}},
	.finish = finish_cache_guard,
};

/* --- 3: the tempting fix -------------------------------------------------------------------------------------------------- */

static void delete_slot(void)
{
	explore_step("KVM_SET_USER_MEMORY_REGION: delete slot 0");
	changed = kit_slot(vm, 0, GPA, 0, ram, 0);
}

/* The circle itself is what is looked for, not the rank checker's word for it. */
static void setup_tempting_fix(void)
{
	kit_rank_checker(false);
	machine_with_everything();
}

const struct explore_scenario scenario_teardown_release_and_slot_change = {
	.name = "teardown-release-and-slot-change",
	.summary = "deleting a slot (holds slots_lock, waits for SRCU) against the end of the mm",
	.property = "no wait closes a circle: teardown takes no slots_lock",
	.source =
		"the same discussion: slots_lock cannot be taken by the release, which holds SRCU",
	.mutants = "mem-LO1-release-takes-slots-lock",
	.setup = setup_tempting_fix,
	.thread = {{"delete slot", delete_slot}, {"mm exit", mm_exit}},
	.finish = finish_cache_guard,
};

/* --- 4: assertions of all callers ----------------------------------------------------------------------------------------- */

static int created, handle;

static void create_vm(void)
{
	explore_step("KVM_CREATE_VM, perhaps without memory");
	created = kit_call(handle, KVM_CREATE_VM, 0);
	if (created >= 0)
		kit_close(created);
}

static void setup_callers(void)
{
	vm = kit_vm();
	handle = kit_open();
}

static void finish_callers(void)
{
	explore_check(created >= 0 || created == -ENOMEM || created == -EIO);
	kit_close(handle);
	kit_close(vm);
}

const struct explore_scenario scenario_teardown_assert_callers = {
	.name = "teardown-assert-callers",
	.summary =
		"creating a VM with each allocation failing, destroying it, and the end of the mm",
	.property = "what a helper asserts holds for all its callers: failed creation, destroy and "
		    "teardown",
	.source = "the same discussion: lockdep_assert_held_write in kvm_uninit_stage2_mmu() "
		  "forgot its other callers",
	.mutants = "mem-A4-helper-asserts-mmu-lock",
	.setup = setup_callers,
	.thread = {{"create VM", create_vm}, {"mm exit", mm_exit}},
	.finish = finish_callers,
	.faults = 1,
};
