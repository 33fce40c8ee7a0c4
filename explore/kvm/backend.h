/* SPDX-License-Identifier: MIT */
/*
 * sync/ on the explorer's primitives. One switch: the rank checker of sync/ can be turned off, so that what the explorer itself
 * finds (deadlocks through grace periods, lock order, sleeps) can be shown on a fault that the checker would report first.
 */
#ifndef ANYKVM_EXPLORE_KVM_BACKEND_H
#define ANYKVM_EXPLORE_KVM_BACKEND_H

#include <stdbool.h>

#include "sync/process_sync.h"

/* For executions to come; a scenario's setup may change it for its own (kit_rank_checker). */
extern bool backend_ranks_default;
/* In this execution. */
extern bool backend_ranks;

/* Before each execution. */
void backend_begin(void);
void backend_keep(void (*keep)(void *start, size_t size));

/* What the rank checker does, and what it leaves for host/ to see in thread_context. */
void backend_acquire_at(void *at, const void *lock, enum lock_rank rank, const char *name,
			enum held_kind kind);
void backend_release_at(void *at, const void *lock, enum lock_rank rank, const char *name);
void backend_wait_at(void *at, enum wait_kind kind, const void *lock, const char *name);
#define backend_acquire(...) backend_acquire_at(__builtin_return_address(0), __VA_ARGS__)
#define backend_release(...) backend_release_at(__builtin_return_address(0), __VA_ARGS__)
#define backend_wait(...)    backend_wait_at(__builtin_return_address(0), __VA_ARGS__)
/* Where the checker was asked, while it looks. */
extern void *backend_at;

/* Ends the execution: an assertion at that place of the code under test does not hold. */
__attribute__((noreturn, format(printf, 2, 3))) void backend_fail(void *at, const char *fmt, ...);
/* Flags of explore_lock_init for a lock of that rank. */
unsigned backend_lock_flags(enum lock_rank rank);

#endif
