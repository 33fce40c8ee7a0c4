/* SPDX-License-Identifier: MIT */
/* The walks that only look (aging, questions about slots) against changes of slots and the end of the machine. */
#include "api/api.h"
#include "explore/kvm/kit.h"
#include "explore/kvm/scenarios/scenarios.h"
#include "mem/notifier.h"

#define GPA 0x10000ull

static int vm;
static char *ram;

static void setup_slot(void)
{
	vm = kit_vm();
	ram = kit_memory(1);
	explore_check(!kit_slot(vm, 0, GPA, 1, ram, 0));
}

static void age(void)
{
	u64 start = (uintptr_t)ram;

	explore_step("aging of the page");
	library_enter();
	mem_age(start, start + 4096, true, true);
	library_exit();
}

static void delete_slot(void)
{
	explore_step("KVM_SET_USER_MEMORY_REGION: delete slot 0");
	explore_check(!kit_slot(vm, 0, GPA, 0, ram, 0));
}

static void close_vm(void)
{
	explore_step("close(vm)");
	kit_close(vm);
}

static void finish_slot(void)
{
	kit_close(vm);
	kit_free(ram, 1);
}

static void finish_closed(void)
{
	kit_free(ram, 1);
}

static void ask(void)
{
	explore_step("are there slots?");
	library_enter();
	mem_has_slots(&kit_vm_of(vm)->mem);
	library_exit();
}

const struct explore_scenario scenario_notifier_age_and_slot_deletion = {
	.name = "notifier-age-and-slot-deletion",
	.summary = "the pages of a slot are aged while it is deleted",
	.property = "aging walks no slot that is freed",
	.source = "found by mutation: aging's reader section was covered by nothing",
	.setup = setup_slot,
	.thread = {{"age", age}, {"delete slot", delete_slot}},
	.finish = finish_slot,
};

const struct explore_scenario scenario_notifier_age_and_last_close = {
	.name = "notifier-age-and-last-close",
	.summary = "the pages of a machine are aged while it is closed for the last time",
	.property = "aging walks no machine that is freed",
	.source =
		"found by mutation: aging's section of the list of machines was covered by nothing",
	.setup = setup_slot,
	.thread = {{"age", age}, {"close(vm)", close_vm}},
	.finish = finish_closed,
};

const struct explore_scenario scenario_slots_asked_and_deleted = {
	.name = "slots-asked-and-deleted",
	.summary = "whether there are slots is asked while the only one is deleted",
	.property = "the count of slots is read and written under slots_lock",
	.source = "found by mutation",
	.setup = setup_slot,
	.thread = {{"ask", ask}, {"delete slot", delete_slot}},
	.finish = finish_slot,
};
