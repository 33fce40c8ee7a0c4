/* SPDX-License-Identifier: MIT */
/* Programs with a broken form of the library in them: tools/explore-mutant of the checkout that this one was built from. */
#ifndef EXPLORE_KVM_MUTANT_H
#define EXPLORE_KVM_MUTANT_H

#include <stdbool.h>
#include <stddef.h>

/* struct explore_suite's mutant. */
bool kvm_mutant(const char *name, char *buf, size_t size);

#endif
