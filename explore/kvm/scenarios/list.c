/* SPDX-License-Identifier: MIT */
/*
 * All scenarios. Each is a few threads, the fewest operations that show its race, everything else in setup; finish closes all, so
 * that what is left is a leak. They run through the public API wherever the race is one of requests, and on the interfaces of
 * mem/ where no request leads there yet (shadow MMUs, a second view of a guest_memfd inode).
 *
 * By file, with numbers that comments use:
 *	teardown.c	1 flush twice, 2 cache guard, 3 tempting fix, 4 over-asserting
 *	gmem.c		5 dying file, 6 unpinned lookup, 7 put in section, 8 create vs close, 9 punch vs fault, 10 two views
 *	notifier.c	11 fault, 12 two pairs, 13 slot change in the middle, 14 last close in the middle, and a change's turn
 *	memslots.c	15 slots_arch_lock, 16 shared bitmap, and deletion against a fault
 *	dirty.c		17 split, 18 long unmap, 19 tables under walkers, 28 dirty rings
 *	nested.c	20 growth, 21 recycling, and TLBI against an inner guest
 *	vcpu.c		22 half a vCPU, 23 order of the end, 24 failed vCPU, 25 device, 32 publish last
 *	irq.c		26 irqfd, 27 I/O bus, 30 worker, 31 locks of all vCPUs
 *	its.c		MSIs against commands and registers of an ITS
 *	waits.c		a primitive of sync/ that the others take for one step
 * Row 29 (pfn caches) has no object here: long-lived host pointers into guest memory do not exist.
 *
 * mutants names the patches of tests/mutants that a scenario finds; each says so itself ("Explore: scenario kind"), and
 * tools/check-scenarios sees to it that both agree. A scenario that is to show a circle of waits turns the rank checker off, which
 * would speak first.
 */
#include "explore/kvm/scenarios/scenarios.h"

#define ENTRY(name) &name,
const struct explore_scenario *const kvm_scenarios[] = {KVM_SCENARIOS(ENTRY)};
const size_t nr_kvm_scenarios = sizeof(kvm_scenarios) / sizeof(kvm_scenarios[0]);
