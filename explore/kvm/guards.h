/* SPDX-License-Identifier: MIT */
/* Which member of which object is used under which lock: made from the headers of src/ by tools/explore-guards. */
#ifndef ANYKVM_EXPLORE_KVM_GUARDS_H
#define ANYKVM_EXPLORE_KVM_GUARDS_H

#include <anykvm/explore.h>

extern const struct explore_guard explored_guards[];
extern const size_t nr_explored_guards;

#endif
