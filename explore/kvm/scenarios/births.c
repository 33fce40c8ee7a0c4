/* SPDX-License-Identifier: MIT */
/* The first machines of a process, by two threads at once: what is made once for all, and the list that both are added to. */
#include "explore/kvm/kit.h"
#include "explore/kvm/scenarios/scenarios.h"

static int first, second;

static void begin_without(void)
{
	first = second = -1;
}

static void create(void)
{
	explore_step("KVM_CREATE_VM");
	first = kit_vm();
}

static void create_too(void)
{
	explore_step("KVM_CREATE_VM too");
	second = kit_vm();
}

static void finish_both(void)
{
	explore_check(first >= 0 && second >= 0 && first != second);
	kit_close(first);
	kit_close(second);
}

static void close_first(void)
{
	explore_step("close(vm)");
	kit_close(first);
	first = -1;
}

static void begin_with_one(void)
{
	begin_without();
	first = kit_vm();
}

static void finish_second(void)
{
	kit_close(second);
}

const struct explore_scenario scenario_vm_create_twice = {
	.name = "vm-create-twice",
	.summary = "two threads create the first machines of a process",
	.property = "what is made once is made by one while the other waits; both are on the list",
	.source = "found by mutation: nobody waited for the list's turn or for the first "
		  "initialization",
	.setup = begin_without,
	.thread = {{"create", create}, {"create too", create_too}},
	.finish = finish_both,
};

const struct explore_scenario scenario_vm_create_and_destroy = {
	.name = "vm-create-and-destroy",
	.summary = "a machine is created while the only other one is closed for the last time",
	.property = "changes of the list of machines take turns",
	.source = "found by mutation: two changes of the list at once were met by luck only",
	.setup = begin_with_one,
	.thread = {{"close", close_first}, {"create", create_too}},
	.finish = finish_second,
};
