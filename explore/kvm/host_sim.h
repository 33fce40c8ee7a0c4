/* SPDX-License-Identifier: MIT */
/*
 * The simulated host: descriptors, files, an address space, signals, a clock. No system call is made while an execution runs, and
 * nothing depends on the order of threads but what does so in a host as well (which number is the lowest free one).
 *
 * Addresses, files and inodes come from a zone of the calling fiber, so that two threads that map something get the same addresses
 * in every order. Nothing is given out twice in an execution, but descriptor numbers; a scenario that wants an address again maps
 * it with MAP_FIXED.
 *
 * Memory of a file has its place in the arena (its window), found by the file's first mapping that is not MAP_FIXED. Other mappings of
 * the same pages have addresses of their own; guarded accesses through them reach the window, plain pointers do not. Nothing in the
 * library follows a plain pointer there, and a scenario should not.
 *
 * A page of an address is PRESENT once it was populated or touched, and REVOKED once it was present and the program took it away
 * (munmap, a mapping over it, MADV_DONTNEED, a hole in its file, less rights). An access from guest mode to a page that is REVOKED,
 * or that forbids it, used a translation that should be gone: the calls of the library that take pages away run inside a notifier
 * pair, and its start has flushed what led there.
 */
#ifndef ANYKVM_EXPLORE_KVM_HOST_SIM_H
#define ANYKVM_EXPLORE_KVM_HOST_SIM_H

#include "base/context.h"
#include "base/types.h"

#include <anykvm/explore.h>

#define SIM_PAGE       4096ull
#define SIM_BASE       0x060000000000ull
#define SIM_ZONE_PAGES 4096u /* of one fiber */
#define SIM_ZONES      EXPLORE_MAX_FIBERS
#define SIM_PAGES      (SIM_ZONE_PAGES * SIM_ZONES)

/* --- operations ------------------------------------------------------------------------------------------------------------- */

/*
 * At the entry of what the library calls: operations inside are shown where the outermost such function was called. By fiber, as
 * another one may run meanwhile.
 */
#define SIM_CALL()                                                        \
	__attribute__((cleanup(sim_leave), unused)) bool sim_outermost_ = \
		sim_enter(__builtin_return_address(0))
bool sim_enter(void *caller);
void sim_leave(const bool *outermost);
uintptr_t sim_caller(void);
/* explore_read and explore_write. */
void sim_read(const void *object, const char *name);
void sim_write(const void *object, const char *name);
void sim_calls_begin(void);

/* --- pages ----------------------------------------------------------------------------------------------------------------- */

enum {
	SIM_MAPPED = 1,
	SIM_R = 2,
	SIM_W = 4,
	SIM_X = 8,
	SIM_SHARED = 16,
	SIM_PRESENT = 32,
	SIM_REVOKED = 64,
	SIM_CONTENT =
		128, /* what is stored there matters to others: stores are operations that do not commute */
};

struct sim_page {
	/* What queries see: changed and read with the address space announced. */
	struct sim_vma {
		u16 flags; /* 0: nothing */
		u16 file;
		u32 file_page;
	} vma;
	/* What accesses meet: with the page announced. */
	u16 flags;
	u16 file; /* number + 1, 0: anonymous */
	u32 file_page;
	u32 home;    /* index of the page whose memory this is */
	u16 trace;   /* number + 1 in the table of where it was populated and revoked */
	bool window; /* its own memory is a file's */
	bool given;  /* of a window: the address was given to a mapping */
};

void sim_mm_begin(void);
/* NULL: not of the simulated address space. */
struct sim_page *sim_page(u64 addr);
char *sim_memory(const struct sim_page *p);
/* Present for reading or writing, or -EFAULT. */
int sim_populate(u64 addr, bool write);
/* The pages that map [first, last) of a file are taken away. */
void sim_revoke_file(unsigned file, u64 first, u64 last, const char *how);
/* Stores to [p, p + pages) matter to other threads. */
void sim_content(void *p, unsigned pages);
/* Where a page was made present, or taken away (how: not NULL). */
void sim_trace(struct sim_page *p, const char *how);
/* Ends the execution. */
__attribute__((noreturn)) void sim_stale_access(u64 addr, const struct sim_page *p, bool write);

/* --- files and descriptors ------------------------------------------------------------------------------------------------- */

#define SIM_FDS		    4096
#define SIM_FDS_HIGH	    3072 /* where the library's own begin */
#define SIM_FDS_PER_FIBER   ((SIM_FDS - SIM_FDS_HIGH) / EXPLORE_MAX_FIBERS)
#define SIM_FILES_PER_FIBER 32
#define SIM_FILES	    (SIM_FILES_PER_FIBER * EXPLORE_MAX_FIBERS)
#define SIM_WATCHES	    16
#define SIM_WATCHERS	    4

enum sim_kind { SIM_NONE, SIM_MEMORY, SIM_EVENT, SIM_POLLER };

struct sim_file {
	u32 word; /* waited on: changes when it may have become ready. First, so that it is the file to the explorer */
	enum sim_kind kind;
	u32 refs; /* descriptors, and pages that map it */
	const char *name;
	u64 inode;
	u64 size;
	bool sealed;
	u32 window;  /* first page of its memory, 0: none yet */
	u64 counter; /* of an eventfd */
	bool semaphore;
	u32 polled;		   /* who sleeps on it, without a poller */
	u16 watcher[SIM_WATCHERS]; /* pollers that watch it: number + 1 */
	struct sim_watch {
		u16 file; /* number + 1 */
		u64 key;
	} watch[SIM_WATCHES]; /* of a poller */
};

void sim_fd_begin(void);
/* NULL: no such descriptor. A visible read of the number. */
struct sim_file *sim_fd(int fd);
struct sim_file *sim_file(unsigned number);
unsigned sim_file_number(const struct sim_file *f);
/* With one reference. NULL: too many. */
struct sim_file *sim_file_new(enum sim_kind kind, const char *name);
void sim_file_put(struct sim_file *f);
/* Lowest free number >= from; the table takes over the reference. -EMFILE. */
int sim_fd_install(struct sim_file *f, int from, bool cloexec);
/* Descriptors that are open: the name of the lowest, NULL if there is none. */
const char *sim_fd_left(int *fd);
/* Somebody who waits for f should look. */
void sim_file_ready(struct sim_file *f);

/* --- the rest -------------------------------------------------------------------------------------------------------------- */

void sim_signals_begin(void);
/* In setup: a thread will send one, so each look for signals is an operation. */
void sim_signals_expected(void);
/* A signal for the thread: pending until something takes it; ends its sleep. */
void sim_signal(unsigned fiber, int signo);
/* The library's clock is ahead of the explorer's, which begins at 0: long ago is a time, too. */
#define SIM_EPOCH 1000000000ull
static inline u64 sim_deadline(u64 ns)
{
	if (ns == EXPLORE_FOREVER)
		return ns;
	return ns > SIM_EPOCH ? ns - SIM_EPOCH : 0;
}
/* What the library's own macros check, with the place that called the host. */
#undef CONTEXT_MAY_BLOCK
#undef CONTEXT_MAY_SLEEP
#define CONTEXT_MAY_BLOCK(what) sim_may_block(what, __builtin_return_address(0))
#define CONTEXT_MAY_SLEEP(what) sim_may_sleep(what, __builtin_return_address(0))
__attribute__((noreturn)) void sim_may_not(const char *what, const char *why, void *at);
static inline void sim_may_block(const char *what, void *at)
{
	if (unlikely(thread_context.atomic_depth))
		sim_may_not(what, "while mmu_lock or mn_lock is held", at);
}
static inline void sim_may_sleep(const char *what, void *at)
{
	sim_may_block(what, at);
	if (unlikely(thread_context.no_sleep_depth))
		sim_may_not(what, "in an RCU section or under a device lock", at);
}
void sim_memory_begin(void);
void sim_log_begin(void);

/* Before each execution. */
void sim_begin(void);

/* What an execution has changed of it: for checkpoints. Stores to memory of the library are announced (explore_will_store). */
typedef void sim_keep_fn(void *start, size_t size);
void sim_calls_keep(sim_keep_fn *keep);
void sim_memory_keep(sim_keep_fn *keep);
void sim_mm_keep(sim_keep_fn *keep);
void sim_fd_keep(sim_keep_fn *keep);
void sim_signals_keep(sim_keep_fn *keep);
void sim_log_keep(sim_keep_fn *keep);

#endif
