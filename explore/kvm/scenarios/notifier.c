/* SPDX-License-Identifier: MIT */
/* Changes of host memory against the guest's faults, slot changes, and the birth and death of machines. */
#include <errno.h>
#include <sys/mman.h>

#include "explore/kvm/kit.h"
#include "explore/kvm/scenarios/scenarios.h"
#include "host/fd.h"
#include "host/signal.h"
#include "mem/notifier.h"
#include "mem/stage2.h"

#define GPA 0x10000ull

static int vm, vcpu, ran, ret;
static char *ram;

static void machine(unsigned pages)
{
	vm = kit_vm();
	ram = kit_memory(pages);
	explore_check(!kit_slot(vm, 0, GPA, pages, ram, 0));
}

static void machine_with_vcpu(void)
{
	machine(1);
	vcpu = kit_vcpu(vm, 0);
	kit_guest(vm, vcpu, GPA, true);
}

static void run(void)
{
	explore_step("KVM_RUN: store");
	ran = kit_run(vcpu);
}

static void discard(void)
{
	explore_step("madvise(MADV_DONTNEED)");
	ret = anykvm_madvise(ram, 4096, MADV_DONTNEED);
}

/* And every table has as many entries as it counts. */
static void all_at_rest(void)
{
	struct vm_mem *m = &kit_vm_of(vm)->mem;
	struct s2_pgt *pgt = aptr_load_relaxed(&m->mmu.pgt);
	u64 sigmask = host_signals_block();

	write_lock(&m->mmu_lock);
	explore_check(!pgt || stage2_check(pgt) >= 0);
	write_unlock(&m->mmu_lock);
	host_signals_restore(sigmask);
	explore_check(!kit_vm_of(vm)->mem.inv_in_progress);
	explore_check(!kit_vm_of(vm)->mem.mn_active);
}

/* The clock moves when nothing else can: somebody was not woken who could have been. */
static void nobody_slept_to_a_deadline(void)
{
	explore_check(!explore_clock());
}

static void close_machine(void)
{
	all_at_rest();
	kit_close(vcpu);
	kit_close(vm);
	kit_free(ram, 1);
}

/* --- 11: a fault ---------------------------------------------------------------------------------------------------------- */

static void finish_discard(void)
{
	explore_check(!ret && !ran);
	nobody_slept_to_a_deadline();
	close_machine();
}

const struct explore_scenario scenario_notifier_and_fault = {
	.name = "notifier-and-fault",
	.summary = "host memory is discarded while a guest stores to it",
	.property = "when the call returns, no translation leads to the page that was there; a "
		    "fault that waits for it is woken",
	.source = "13ec9308a857: arm64 sampled the sequence after the mmap lock was dropped",
	.mutants = "mem-I09-no-count-check,mem-I09-no-retry-check,mem-I09-sequence-read-after-the-"
		   "page,mem-I10-end-wakes-no-fault",
	.setup = machine_with_vcpu,
	.thread = {{"discard", discard}, {"vCPU", run}},
	.finish = finish_discard,
};

/* The page is mapped when the discard begins, and in the vCPU's TLB from its first store on. */
static void setup_mapped(void)
{
	machine(1);
	vcpu = kit_vcpu(vm, 0);
	kit_guest_twice(vm, vcpu, GPA);
	explore_check(!kit_run(vcpu));
}

const struct explore_scenario scenario_notifier_and_tlb = {
	.name = "notifier-and-tlb",
	.summary = "host memory is discarded while a guest that has it in its TLB stores to it",
	.property = "no access through a cached translation completes after start has returned",
	.source =
		"design: KVM's flush waits for vCPUs in guest mode before the range is given back",
	.mutants = "mem-I11-no-flush-at-start,mem-I11-post-without-wait,mem-I18-count-not-dropped,"
		   "vcpu-I11-keeps-flushed-entries",
	.setup = setup_mapped,
	.thread = {{"discard", discard}, {"vCPU", run}},
	.finish = finish_discard,
};

/* --- 12: two pairs -------------------------------------------------------------------------------------------------------- */

static struct a32 begun;

/*
 * As mremap has them: the range that is written over inside the one that goes. The change comes when the inner pair has ended. The
 * guest comes when the outer one has begun: a first beginning against a fault is notifier-and-fault.
 */
static void two_pairs(void)
{
	u64 at = (uintptr_t)ram;
	struct mem_inval_token outer, inner;

	explore_step("a pair inside a pair, then the page goes");
	mem_invalidate_start(at, at + 4096, MEM_INVAL_KEEP_VMA, &outer);
	a32_store(&begun, 1);
	mem_invalidate_start(at + 4096, at + 8192, MEM_INVAL_KEEP_VMA, &inner);
	mem_invalidate_end(&inner);
	ret = host_madvise(ram, 4096, MADV_DONTNEED);
	mem_invalidate_end(&outer);
}

static void run_in_pair(void)
{
	while (!a32_load(&begun))
		cpu_relax();
	run();
}

static void setup_two_pairs(void)
{
	a32_store(&begun, 0);
	machine(2);
	vcpu = kit_vcpu(vm, 0);
	kit_guest_once(vm, vcpu, GPA);
}

static void finish_two_pairs(void)
{
	explore_check(!ret && !ran);
	all_at_rest();
	kit_close(vcpu);
	kit_close(vm);
	kit_free(ram, 2);
}

const struct explore_scenario scenario_notifier_two_pairs = {
	.name = "notifier-two-pairs",
	.summary = "two pairs at once, of which one has ended, while a guest stores to what the "
		   "other takes",
	.property = "nothing is installed while any pair that concerns it is in flight; the count "
		    "is back at 0",
	.source = "design: count and range of KVM's invalidations change under mmu_lock, together",
	.mutants = "mem-I08-end-forgets-other-pairs",
	.setup = setup_two_pairs,
	.thread = {{"pairs", two_pairs}, {"vCPU", run_in_pair}},
	.finish = finish_two_pairs,
};

/* --- 13: a slot change in the middle -------------------------------------------------------------------------------------- */

static void create_slot(void)
{
	explore_step("KVM_SET_USER_MEMORY_REGION: create slot 1");
	explore_check(!kit_slot(vm, 1, 2 * GPA, 1, ram, 0));
}

static void delete_slot(void)
{
	explore_step("KVM_SET_USER_MEMORY_REGION: delete slot 0");
	explore_check(!kit_slot(vm, 0, GPA, 0, ram, 0));
}

static void setup_swap(void)
{
	vm = kit_vm();
	ram = kit_memory(1);
}

static void finish_swap(void)
{
	explore_check(!ret);
	all_at_rest();
	kit_close(vm);
	kit_free(ram, 1);
}

const struct explore_scenario scenario_notifier_and_slot_creation = {
	.name = "notifier-and-slot-creation",
	.summary = "a slot is created over memory that is being discarded",
	.property = "a slot set is published between pairs only; the updater is woken; the count "
		    "is balanced",
	.source = "52ac8b358b0c: slot changes are kept out between start and end",
	.mutants = "mem-I07-end-of-a-pair-wakes-nobody,mem-I08-end-looks-at-slots-again",
	.setup = setup_swap,
	.thread = {{"discard", discard}, {"create slot", create_slot}},
	.finish = finish_swap,
};

static void setup_swap_deletion(void)
{
	machine(1);
}

const struct explore_scenario scenario_notifier_and_slot_deletion = {
	.name = "notifier-and-slot-deletion",
	.summary = "a slot is deleted while its memory is being discarded",
	.property = "as notifier-and-slot-creation, and the slot that start has found is there "
		    "until the pair has left it",
	.source = "52ac8b358b0c",
	.mutants = "mem-I08-end-looks-at-slots-again",
	.setup = setup_swap_deletion,
	.thread = {{"discard", discard}, {"delete slot", delete_slot}},
	.finish = finish_swap,
};

static void setup_swap_and_fault(void)
{
	vm = kit_vm();
	ram = kit_memory(1);
	vcpu = kit_vcpu(vm, 0);
	kit_guest_once(vm, vcpu, 2 * GPA);
}

static void finish_swap_and_fault(void)
{
	/* Before the slot is there the store is MMIO. */
	explore_check(!ret && (ran == 0 || ran == 1));
	close_machine();
}

const struct explore_scenario scenario_notifier_slot_and_fault = {
	.name = "notifier-slot-and-fault",
	.summary = "a slot is created over memory that is being discarded, and a guest stores "
		   "through it at once",
	.property = "a slot that start did not see cannot be mapped through before end",
	.source = "52ac8b358b0c",
	.mutants = "mem-I07-publish-inside-a-pair",
	.setup = setup_swap_and_fault,
	.thread = {{"discard", discard}, {"create slot", create_slot}, {"vCPU", run}},
	.finish = finish_swap_and_fault,
};

/* --- 14: the last put in the middle --------------------------------------------------------------------------------------- */

static void last_close(void)
{
	explore_step("close(vm)");
	kit_close(vm);
}

static void finish_destroy(void)
{
	explore_check(!ret);
	kit_free(ram, 1);
}

const struct explore_scenario scenario_notifier_and_last_close = {
	.name = "notifier-and-last-close",
	.summary = "the last close of a VM while its memory is being discarded",
	.property = "destroy waits for the pair, terminates, and finds both counts at 0",
	.source = "design: KVM's destroy copes with an end that never comes; here unregistration "
		  "waits for the pair",
	.mutants = "mem-I05-unregister-without-wait",
	.setup = setup_swap_deletion,
	.thread = {{"discard", discard}, {"close(vm)", last_close}},
	.finish = finish_destroy,
};

static int born, handle;
static struct a32 open;

static void pair(void)
{
	struct anykvm_invalidate inv;

	explore_step("a pair");
	explore_check(!anykvm_invalidate_start(ram, 4096, &inv));
	a32_store(&open, 1);
	a32_store(&open, 0);
	anykvm_invalidate_end(&inv);
}

/* A pair that is open now, and that the machine does not know of, may take what the machine is about to map. */
static void give_birth(void)
{
	struct vm_mem *m;
	u64 sigmask;

	explore_step("KVM_CREATE_VM, slot");
	born = kit_call(handle, KVM_CREATE_VM, 0);
	explore_check(born >= 0);
	m = &kit_vm_of(born)->mem;
	sigmask = host_signals_block();
	mutex_lock(&m->mn_lock);
	if (a32_load(&open) && !m->mn_active)
		explore_fail("a machine is usable while a pair that does not know it is open");
	mutex_unlock(&m->mn_lock);
	host_signals_restore(sigmask);
	explore_check(!kit_slot(born, 0, GPA, 1, ram, 0));
}

static void setup_birth(void)
{
	/* There are machines, so there is a list. */
	vm = kit_vm();
	handle = kit_open();
	ram = kit_memory(1);
	a32_store(&open, 0);
}

static void finish_birth(void)
{
	explore_check(!ret && !kit_vm_of(born)->mem.inv_in_progress &&
		      !kit_vm_of(born)->mem.mn_active);
	kit_close(handle);
	kit_close(born);
	kit_close(vm);
	kit_free(ram, 1);
}

const struct explore_scenario scenario_notifier_and_creation = {
	.name = "notifier-and-creation",
	.summary = "a VM is created, and gets a slot, while its memory-to-be is about to change",
	.property = "a pair ends for exactly the machines that it began for",
	.source =
		"design: registration with the notifier excludes invalidations that are under way",
	.mutants = "mem-I06-register-without-wait",
	.setup = setup_birth,
	.thread = {{"pair", pair}, {"create", give_birth}},
	.finish = finish_birth,
};

/* --- nested pairs ---------------------------------------------------------------------------------------------------------- */

/* As mremap has them: what goes, and what is written over. */
static void two_nested(void)
{
	u64 at = (uintptr_t)ram;
	struct mem_inval_token outer, inner;

	explore_step("a pair inside a pair");
	mem_invalidate_start(at, at + 4096, 0, &outer);
	mem_invalidate_start(at + 4096, at + 8192, 0, &inner);
	mem_invalidate_end(&inner);
	mem_invalidate_end(&outer);
}

static void setup_nested(void)
{
	kit_rank_checker(false);
	vm = kit_vm();
	ram = kit_memory(2);
	ret = 0;
}

static void finish_nested(void)
{
	all_at_rest();
	kit_close(vm);
	kit_free(ram, 2);
}

const struct explore_scenario scenario_notifier_nested_pairs = {
	.name = "notifier-nested-pairs",
	.summary = "one thread has two pairs open while a slot is created",
	.property =
		"a slot change that waits for pairs does not keep the pair out that they wait for",
	.source = "docs/locking.md, LO-5: a pair in flight may depend on a new one",
	.mutants = "mem-LO5-pair-waits-for-the-swap",
	.setup = setup_nested,
	.thread = {{"pairs", two_nested}, {"create slot", create_slot}},
	.finish = finish_nested,
};

/* --- a turn for the slot change ---------------------------------------------------------------------------------------- */

static void short_pair(unsigned page)
{
	u64 at = (uintptr_t)ram + page * 4096;
	struct mem_inval_token t;

	explore_step("a pair");
	mem_invalidate_start(at, at + 4096, MEM_INVAL_KEEP_VMA, &t);
	mem_invalidate_end(&t);
}

static void first_pair(void)
{
	short_pair(0);
}

static void second_pair(void)
{
	short_pair(1);
}

static void setup_turn(void)
{
	vm = kit_vm();
	ram = kit_memory(2);
}

static void finish_turn(void)
{
	nobody_slept_to_a_deadline();
	finish_nested();
}

const struct explore_scenario scenario_notifier_turn = {
	.name = "notifier-turn",
	.summary = "two threads have a pair each while a slot is created",
	.property = "a pair that lets the slot change go first is told when it has",
	.source = "docs/memory.md: overlapping pairs would keep a slot change out for ever",
	.mutants = "mem-swap-ends-its-turn-silently",
	.setup = setup_turn,
	.thread = {{"pair", first_pair}, {"pair", second_pair}, {"create slot", create_slot}},
	.finish = finish_turn,
};
