/* SPDX-License-Identifier: MIT */
/* A VM's memory under test, host memory for its slots, hooks that stop threads, and dumps to compare states. */
#ifndef ANYKVM_TESTS_MEM_RIG_H
#define ANYKVM_TESTS_MEM_RIG_H

#include <sys/mman.h>
#include <unistd.h>

#include "fake_vcpu.h"
#include "mem/fault.h"
#include "mem/hook.h"
#include "mem/mem.h"
#include "mem/memslot.h"
#include "mem/notifier.h"
#include "mem/stage2.h"
#include "sync/wait.h"

#define PAGE 4096ull

struct rig {
	struct vm_mem m;
	struct fake_vcpu v;
	u64 sigmask; /* of the thread that started it, before that */
};

/*
 * A VM of 40 IPA bits with one fake vCPU. Until rig_stop the thread's signals are blocked, as a vCPU thread's are in KVM_RUN: tests
 * take mmu_lock and call the fault path themselves (LO-12). rig_open_to_signals shows what an entry point does on its own.
 */
void rig_start(struct rig *r);
void rig_start_bits(struct rig *r, unsigned ipa_bits);
/* Runs fn(arg) on this thread with its signals as the program has them. */
void rig_open_to_signals(struct rig *r, void (*fn)(void *), void *arg);
/* With dirty rings of so many bytes, and a bitmap beside them or not. */
void rig_start_rings(struct rig *r, u32 ring_bytes, bool with_bitmap);
/* Also checks what must hold at rest, and that nothing of the library's memory is left. True if all is well. */
bool rig_stop(struct rig *r);

/*
 * User space takes the next entry of v's ring and marks it for the reset: true, and which page of which slot, or false if there
 * is none.
 */
bool rig_collect(struct fake_vcpu *v, u32 *slot, u64 *page);

/* Anonymous memory, aligned to align (0: a page). The address may be reused: rig_unmap goes through a pair. */
void *rig_map(u64 size, u64 align);
/* munmap inside a pair, as the API does it. */
void rig_unmap(void *p, u64 size);

int rig_slot(struct vm_mem *m, u32 id, u64 gpa, u64 size, const void *hva, u32 flags);

/*
 * What must hold when nobody changes anything: both sets hold the same slots in all trees, table counts recount, no LOCKED, no
 * pair in flight. Prints what is wrong.
 */
bool rig_at_rest(struct vm_mem *m);

/* A text of slots, bitmaps, counters and leaves, to compare; free() it. */
char *rig_dump(struct vm_mem *m);

/*
 * A gate at a hook: the first thread that comes by (of those for which filter says so, if any) stops there until gate_open.
 * gate_wait returns when it has come; false after 10 s.
 */
struct gate {
	enum mem_hook id;
	struct a32 state; /* 0 armed, 1 somebody is in, 2 open */
	struct a32 hits;
	u32 thread; /* only this thread; 0 = any */
};
void gate_arm(struct gate *g, enum mem_hook id, u32 thread);
bool gate_wait(struct gate *g);
void gate_open(struct gate *g);
/* Nobody stops there any more; waits for who is in. */
void gate_disarm(struct gate *g);

/* A thread that runs fn(arg); joined by thread_end. */
struct helper {
	struct thread *t;
	void (*fn)(void *);
	void *arg;
	struct a32 done, id;
};
void helper_start(struct helper *h, void (*fn)(void *), void *arg);
void helper_join(struct helper *h);
/* False if it has not ended after ms. */
bool helper_ended_within(struct helper *h, unsigned ms);

/* Runs fn in a fork child without output: true if it died of abort(). */
bool aborts(void (*fn)(void));
void sleep_ms(unsigned ms);
/* A small deterministic generator. */
u64 next_random(u64 *state);

#endif
