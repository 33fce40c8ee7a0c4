/* SPDX-License-Identifier: MIT */
/*
 * Atomic words with the order in the name. <stdatomic.h> appears in sync/ only. Read-modify-writes are sequentially
 * consistent. Every order stronger than relaxed at a call site names its pair in a comment there.
 *
 * The sequentially consistent store is an exchange, as compilers make it on x86 anyway. On arm64 it would be STLR, which
 * qemu-user 7.2 on x86 does not keep before a later LDAR, and hardware not before a later LDAPR (an acquire load to compilers
 * told of RCpc): a thread that says "done" and then looks for sleepers would miss one who looked the other way round.
 */
#ifndef ANYKVM_SYNC_ATOMIC_H
#define ANYKVM_SYNC_ATOMIC_H

#include <stdatomic.h>

#include "base/types.h"

#if defined(ANYKVM_EXPLORED)
#include <anykvm/explore.h>
#endif

#define ATOMIC_DEFINE(name, type)                                                          \
	struct name {                                                                      \
		_Atomic(type) v;                                                           \
	};                                                                                 \
	static ALWAYS_INLINE type name##_load_relaxed(const struct name *a)                \
	{                                                                                  \
		return atomic_load_explicit(&((struct name *)a)->v, memory_order_relaxed); \
	}                                                                                  \
	static ALWAYS_INLINE type name##_load_acquire(const struct name *a)                \
	{                                                                                  \
		return atomic_load_explicit(&((struct name *)a)->v, memory_order_acquire); \
	}                                                                                  \
	static ALWAYS_INLINE type name##_load(const struct name *a)                        \
	{                                                                                  \
		return atomic_load_explicit(&((struct name *)a)->v, memory_order_seq_cst); \
	}                                                                                  \
	static ALWAYS_INLINE void name##_store_relaxed(struct name *a, type v)             \
	{                                                                                  \
		atomic_store_explicit(&a->v, v, memory_order_relaxed);                     \
	}                                                                                  \
	static ALWAYS_INLINE void name##_store_release(struct name *a, type v)             \
	{                                                                                  \
		atomic_store_explicit(&a->v, v, memory_order_release);                     \
	}                                                                                  \
	static ALWAYS_INLINE void name##_store(struct name *a, type v)                     \
	{                                                                                  \
		(void)atomic_exchange_explicit(&a->v, v, memory_order_seq_cst);            \
	}                                                                                  \
	static ALWAYS_INLINE type name##_xchg(struct name *a, type v)                      \
	{                                                                                  \
		return atomic_exchange_explicit(&a->v, v, memory_order_seq_cst);           \
	}                                                                                  \
	/* True if *a was old and now is v. */                                             \
	static ALWAYS_INLINE bool name##_cmpxchg(struct name *a, type old, type v)         \
	{                                                                                  \
		return atomic_compare_exchange_strong_explicit(                            \
			&a->v, &old, v, memory_order_seq_cst, memory_order_seq_cst);       \
	}

#define ATOMIC_DEFINE_ARITH(name, type)                                           \
	ATOMIC_DEFINE(name, type)                                                 \
	/* These return the value before the operation. */                        \
	static ALWAYS_INLINE type name##_fetch_add(struct name *a, type v)        \
	{                                                                         \
		return atomic_fetch_add_explicit(&a->v, v, memory_order_seq_cst); \
	}                                                                         \
	static ALWAYS_INLINE type name##_fetch_sub(struct name *a, type v)        \
	{                                                                         \
		return atomic_fetch_sub_explicit(&a->v, v, memory_order_seq_cst); \
	}                                                                         \
	static ALWAYS_INLINE type name##_fetch_or(struct name *a, type v)         \
	{                                                                         \
		return atomic_fetch_or_explicit(&a->v, v, memory_order_seq_cst);  \
	}                                                                         \
	static ALWAYS_INLINE type name##_fetch_and(struct name *a, type v)        \
	{                                                                         \
		return atomic_fetch_and_explicit(&a->v, v, memory_order_seq_cst); \
	}

ATOMIC_DEFINE_ARITH(a32, u32)
ATOMIC_DEFINE_ARITH(a64, u64)
ATOMIC_DEFINE(aptr, void *)

/*
 * Stand-alone fences. TSan does not model them, so in TSan builds sync/native_fence.c turns each into a read-modify-write of
 * a shared word.
 */
#if defined(ANYKVM_TSAN)
void fence_full(void);
#define fence_acquire() fence_full()
#define fence_release() fence_full()
#else
static ALWAYS_INLINE void fence_full(void)
{
	atomic_thread_fence(memory_order_seq_cst);
}
static ALWAYS_INLINE void fence_acquire(void)
{
	atomic_thread_fence(memory_order_acquire);
}
static ALWAYS_INLINE void fence_release(void)
{
	atomic_thread_fence(memory_order_release);
}
#endif

/* Makes the read-modify-write just before it a full barrier also for plain accesses that follow. */
#if defined(__x86_64__) && !defined(ANYKVM_TSAN)
#define fence_after_rmw() __asm__ volatile("" ::: "memory")
#else
#define fence_after_rmw() fence_full()
#endif

/*
 * How often a loop with cpu_relax turns before it sleeps instead. Never under the explorer: there a spinning thread gives way until
 * something it read has changed, and the sleep would not be seen.
 */
#if defined(ANYKVM_EXPLORED)
#define SPIN_TURNS(n) 0
#else
#define SPIN_TURNS(n) (n)
#endif

/* A hint to the core that this thread spins. To the explorer: it goes on when somebody wrote a word that it looked at. */
static ALWAYS_INLINE void cpu_relax(void)
{
#if defined(ANYKVM_EXPLORED)
	explore_spin();
#elif defined(__x86_64__)
	__builtin_ia32_pause();
#else
	__asm__ volatile("yield" ::: "memory");
#endif
}

#endif
