/* SPDX-License-Identifier: MIT */
/*
 * Host ranges that a userfaultfd serves. In them an access may block on a pager in user space, perhaps one that waits for a
 * shootdown, so a vCPU may not take such a fault in guest mode (rule P): only pages populated by the fault path are mapped, one by
 * one, and writable only after a write fault.
 *
 * Registrations are found in no query of the host; they are told by who makes them.
 */
#ifndef ANYKVM_MEM_USERFAULT_H
#define ANYKVM_MEM_USERFAULT_H

#include "base/types.h"

/*
 * [start, end) is served from now on. What is mapped there already is dropped: no pair is open on this thread. 0 or -ENOMEM
 * (nothing changed).
 */
int mem_userfault_add(u64 start, u64 end);
/* [start, end) is served no more. 0 or -ENOMEM (the range stays noted: only slower). */
int mem_userfault_remove(u64 start, u64 end);
bool mem_userfault_overlaps(u64 start, u64 end);

#endif
