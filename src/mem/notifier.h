/* SPDX-License-Identifier: MIT */
/*
 * MMU notifier: brackets around host changes of mappings.
 *
 *   struct mem_inval_token t;
 *   mem_invalidate_start(start, end, flags, &t);
 *   ... munmap, madvise, ... (may fail) ...
 *   mem_invalidate_end(&t);
 *
 * G-MN-A  When start returns, no vCPU of any VM completes an access to [start, end) through an old translation (I-11), and no
 *         new translation into it is installed until end (I-09).
 * G-MN-B  A slot becomes visible only when no pair is in flight (I-07).
 * Between the two calls a thread takes no slots_lock or slots_arch_lock and waits for nobody who may (LO-5). Catchable
 * asynchronous signals are blocked meanwhile (LO-12).
 */
#ifndef ANYKVM_MEM_NOTIFIER_H
#define ANYKVM_MEM_NOTIFIER_H

#include "base/types.h"

struct mem_inval_token {
	u64 start, end;
	void *raised; /* list of VMs */
	int cookie;
	u64 sigmask;
	unsigned char opaque[64];
};

/* The translation stays right (madvise DONTNEED): VMA caches are kept. */
#define MEM_INVAL_KEEP_VMA BIT(0)

void mem_invalidate_start(u64 start, u64 end, u32 flags, struct mem_inval_token *t);
/* Always called, also if the host call failed. */
void mem_invalidate_end(struct mem_inval_token *t);

/* Aging: whether any page of [start, end) was accessed; clears the flags if clear, and flushes if also flush. */
bool mem_age(u64 start, u64 end, bool clear, bool flush);

#endif
