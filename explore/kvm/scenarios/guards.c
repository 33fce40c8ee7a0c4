/* SPDX-License-Identifier: MIT */
/*
 * Fields and their locks, as the comments of src/mem/mem.h and src/irq say. A write without the lock, once a second thread has
 * seen the object, is a violation in any scenario. Fields that are read without a lock by design (atomics) are not here.
 */
#include "explore/kvm/scenarios/scenarios.h"
#include "mem/nested_mmu.h"
#include "vm/vm.h"

#define GUARD(object, member, by, name_of_lock)                                             \
	{                                                                                   \
		.type = #object, .field = #member, .offset = offsetof(object, member),      \
		.size = sizeof(((object *)0)->member), .lock_offset = offsetof(object, by), \
		.lock = name_of_lock                                                        \
	}
#define GUARD_READ(object, member, by, name_of_lock)                                        \
	{                                                                                   \
		.type = #object, .field = #member, .offset = offsetof(object, member),      \
		.size = sizeof(((object *)0)->member), .lock_offset = offsetof(object, by), \
		.lock = name_of_lock, .read_too = true                                      \
	}

const struct explore_guard kvm_guards[] = {
	GUARD_READ(struct vm, mem.split_cache, mem.slots_lock, "slots_lock"),
	GUARD_READ(struct vm, mem.rings, mem.slots_lock, "slots_lock"),
	GUARD(struct vm, mem.manual_protect, mem.slots_lock, "slots_lock"),
	GUARD(struct vm, mem.split_chunk, mem.slots_lock, "slots_lock"),
	GUARD_READ(struct vm, mem.inv_in_progress, mem.mmu_lock, "mmu_lock"),
	GUARD_READ(struct vm, mem.s2_dead, mem.mmu_lock, "mmu_lock"),
	GUARD_READ(struct vm, mem.nested.nr, mem.mmu_lock, "mmu_lock"),
	GUARD_READ(struct vm, mem.nested.next, mem.mmu_lock, "mmu_lock"),
	GUARD_READ(struct vm, mem.mn_active, mem.mn_lock, "mn_lock"),
	GUARD_READ(struct vm, mem.swap_waits, mem.mn_lock, "mn_lock"),
	GUARD_READ(struct vm, created_vcpus, lock, "vm"),
	GUARD_READ(struct vm, irq.irqfds, irq.irq_lock, "irq_lock"),
};
const size_t nr_kvm_guards = sizeof(kvm_guards) / sizeof(kvm_guards[0]);
