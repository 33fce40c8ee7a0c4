/* SPDX-License-Identifier: MIT */
/* The process-wide state of host/ (base/process.h). Private to this folder. */
#ifndef ANYKVM_HOST_PROCESS_HOST_H
#define ANYKVM_HOST_PROCESS_HOST_H

#include "base/process.h"
#include "host/guarded_action.h"
#include "sync/atomic.h"

#define GUARDED_MAX_CHAIN 8

/*
 * For one signal: the actions found when ours was put first, published by nr. The last is the program's of now, which it may
 * change: read between two looks at seq, which is odd meanwhile.
 */
struct guarded_chain {
	struct a32 nr, seq;
	struct guarded_action action[GUARDED_MAX_CHAIN];
};

#define ALLOC_CLASSES 24

struct alloc_class {
	struct a32 lock;
	void *free;
};

/* Free lists for code that a signal handler interrupted inside the allocator: alloc.c. */
#define ALLOC_LEVELS 3

struct alloc_level {
	struct alloc_class class[ALLOC_CLASSES];
	struct a32 arena_lock;
	char *arena_next, *arena_end;
};

struct host_process {
	/* alloc.c */
	struct alloc_level alloc_level[ALLOC_LEVELS];
	struct a64 alloc_bytes, alloc_objects, alloc_fail;
	struct a64 alloc_note; /* allocations until the one to note */
	struct aptr alloc_noted;
	/* guarded.c */
	struct a32 guarded_lock;
	struct guarded_chain guarded_segv, guarded_bus;
	struct a64 guarded_recovered;
	/* vma.c: 0 not probed, 1 there, 2 missing */
	struct a32 procmap_query, populate, collapse;
	struct a32 thp_always;
	/* fd.c: bit per number below FD_KEPT_MAX that the library holds for itself; struct a64[], NULL = none yet */
	struct aptr fd_kept;
	/* userfault.c: struct userfault_state */
	struct aptr userfault;
	/* identity.c */
	struct aptr identity_page;
	struct a32 identity_wipes;
	struct a64 identity_last;
};
_Static_assert(sizeof(struct host_process) <= PROCESS_PART_SIZE, "PROCESS_PART_SIZE");

static inline struct host_process *host_process(void)
{
	return process_part(PROCESS_HOST);
}

/* alloc.c: one more allocation, at p. */
#if defined(ANYKVM_CHECKED)
void host_alloc_note(void *p);
#else
#define host_alloc_note(p) ((void)0)
#endif

/* Spin, then yield: held for a few instructions, never across a system call that blocks. */
void host_spin_lock(struct a32 *lock);
void host_spin_unlock(struct a32 *lock);

/*
 * signal.c: blocks every signal, a sent SIGSEGV too, whose handler could want what this thread is changing; the value is for restore.
 * No fault may be raised in between.
 */
u64 host_block_every_signal(void);
void host_restore_every_signal(u64 mask);

#endif
