/* SPDX-License-Identifier: MIT */
/* All scenarios of this library, for the program and its tests. */
#ifndef ANYKVM_EXPLORE_KVM_SCENARIOS_H
#define ANYKVM_EXPLORE_KVM_SCENARIOS_H

#include "anykvm/explore.h"

extern const struct explore_scenario *const kvm_scenarios[];
extern const size_t nr_kvm_scenarios;

/* Which fields of library objects are written under which lock: what the prototypes and comments of src/ promise. */
extern const struct explore_guard kvm_guards[];
extern const size_t nr_kvm_guards;

#endif
