/* SPDX-License-Identifier: MIT */
/* Slot changes against those who read the slots. */
#include <errno.h>

#include "explore/kvm/kit.h"
#include "explore/kvm/scenarios/scenarios.h"
#include "host/signal.h"
#include "mem/memslot.h"

#define GPA 0x10000ull

static int vm, vcpu, ran, ret;
static void *ram;

static void run(void)
{
	explore_step("KVM_RUN: store");
	ran = kit_run(vcpu);
}

static void machine_with_vcpu(unsigned flags)
{
	vm = kit_vm();
	ram = kit_memory(1);
	explore_check(!kit_slot(vm, 0, GPA, 1, ram, flags));
	vcpu = kit_vcpu(vm, 0);
	kit_guest(vm, vcpu, GPA, true);
}

static void close_machine(void)
{
	kit_close(vcpu);
	kit_close(vm);
	kit_free(ram, 1);
}

/* --- 15: slots_arch_lock in a section ------------------------------------------------------------------------------------- */

/* What an architecture that keeps data of its own in slots does while it reads them. */
static void arch_reader(void)
{
	struct vm_mem *m = &kit_vm_of(vm)->mem;
	u64 sigmask = host_signals_block();
	struct memslot *s;
	int cookie;

	explore_step("a reader that takes slots_arch_lock");
	cookie = srcu_read_lock(&m->srcu);
	mutex_lock(&m->slots_arch_lock);
	s = memslot_find_gfn(memslot_active(m), GPA / 4096);
	explore_check(!s || s->base_gfn == GPA / 4096);
	mutex_unlock(&m->slots_arch_lock);
	srcu_read_unlock(&m->srcu, cookie);
	host_signals_restore(sigmask);
}

static void delete_slot(void)
{
	explore_step("KVM_SET_USER_MEMORY_REGION: delete slot 0");
	ret = kit_slot(vm, 0, GPA, 0, ram, 0);
}

static void setup_arch(void)
{
	kit_rank_checker(false);
	vm = kit_vm();
	ram = kit_memory(1);
	explore_check(!kit_slot(vm, 0, GPA, 1, ram, 0));
}

static void finish_arch(void)
{
	explore_check(!ret);
	kit_close(vm);
	kit_free(ram, 1);
}

const struct explore_scenario scenario_slots_arch_lock = {
	.name = "slots-arch-lock",
	.summary = "deletion of a slot against a reader that takes slots_arch_lock inside SRCU",
	.property = "slots_arch_lock is dropped before readers are waited for: no circle",
	.source = "b10a038e84d1",
	.mutants = "mem-LO3-wait-under-slots-arch-lock,mem-LO4-swap-keeps-slots-arch-lock",
	.setup = setup_arch,
	.thread = {{"delete slot", delete_slot}, {"reader", arch_reader}},
	.finish = finish_arch,
};

/* --- 16: old and new slot share their bitmap ------------------------------------------------------------------------------ */

static void log_off(void)
{
	explore_step("KVM_SET_USER_MEMORY_REGION: log off");
	ret = kit_slot(vm, 0, GPA, 1, ram, 0);
}

static void setup_bitmap(void)
{
	machine_with_vcpu(KVM_MEM_LOG_DIRTY_PAGES);
}

static void finish_bitmap(void)
{
	explore_check(!ret && !ran);
	close_machine();
}

const struct explore_scenario scenario_slots_bitmap = {
	.name = "slots-bitmap",
	.summary = "a slot's log is turned off while a guest writes a page of it",
	.property = "bitmap and old slot live until every fault that found them is over; each is "
		    "freed once",
	.source = "design: KVM frees the old slot and its bitmap after the SRCU wait of the swap",
	.mutants = "mem-I13-no-srcu-wait,mem-bitmap-freed-before-the-swap",
	.setup = setup_bitmap,
	.thread = {{"log off", log_off}, {"vCPU", run}},
	.finish = finish_bitmap,
};

static void move_slot(void)
{
	explore_step("KVM_SET_USER_MEMORY_REGION: move slot 0, perhaps without memory");
	ret = kit_slot(vm, 0, 2 * GPA, 1, ram, KVM_MEM_LOG_DIRTY_PAGES);
}

static void finish_move(void)
{
	explore_check(ret == 0 || ret == -ENOMEM);
	explore_check(ran == 0 || ran == 1 || ran == -ENOMEM);
	close_machine();
}

const struct explore_scenario scenario_slots_failed_move = {
	.name = "slots-failed-move",
	.summary = "a logging slot is moved, with each allocation failing, while a guest writes a "
		   "page of it",
	.property = "a request that fails changed nothing: the bitmap that old and new share is "
		    "freed once, with its slot",
	.source = "design: KVM's revert after a failed prepare keeps what the old slot owns",
	.mutants = "mem-I17-failed-change-leaks,mem-I17-failed-move-takes-the-bitmap",
	.setup = setup_bitmap,
	.thread = {{"move", move_slot}, {"vCPU", run}},
	.finish = finish_move,
	.faults = 1,
};

/* --- a deleted slot ------------------------------------------------------------------------------------------------------- */

static void setup_plain(void)
{
	machine_with_vcpu(0);
}

const struct explore_scenario scenario_slots_failed_move_and_log = {
	.name = "slots-failed-move-and-log",
	.summary = "a slot is moved and begins to log, with each allocation failing, while a guest "
		   "writes a page of it",
	.property = "a request that fails leaves no bitmap behind",
	.source = "found by mutation: the bitmap of a request that failed later was freed by "
		  "nobody's "
		  "test",
	.setup = setup_plain,
	.thread = {{"move", move_slot}, {"vCPU", run}},
	.finish = finish_move,
	.faults = 1,
};

/* After deletion nothing may be left of it: the page leaves the machine and a store is MMIO. */
static void finish_delete(void)
{
	struct s2_result r;
	struct mem_fault f;

	explore_check(!ret && (ran == 0 || ran == 1));
	explore_check(s2_lookup(&kit_vm_of(vm)->mem.mmu, GPA, false, false, false, &r, &f));
	close_machine();
}

const struct explore_scenario scenario_slots_delete_and_fault = {
	.name = "slots-delete-and-fault",
	.summary = "deletion of a slot against a guest's fault on it",
	.property = "when deletion returns no translation of the slot is left, and no reader uses "
		    "the freed slot",
	.source = "design: INVALID first, zap, then gone, with an SRCU wait after each swap",
	.mutants = "mem-I13-no-srcu-wait,mem-I14-map-through-invalid,mem-I14-no-zap",
	.setup = setup_plain,
	.thread = {{"delete slot", delete_slot}, {"vCPU", run}},
	.finish = finish_delete,
};
