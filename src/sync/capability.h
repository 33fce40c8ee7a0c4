/* SPDX-License-Identifier: MIT */
/* clang thread-safety attributes (no-ops elsewhere): the locking contract of a function is in its prototype. */
#ifndef ANYKVM_SYNC_CAPABILITY_H
#define ANYKVM_SYNC_CAPABILITY_H

#if defined(__clang__)
#define TSA_ATTR(x) __attribute__((x))
#else
#define TSA_ATTR(x)
#endif

#define CAPABILITY(name) TSA_ATTR(capability(name))
/*
 * Of a member: once another thread has found the object, the member is used, or only written, under that lock, which is a member of
 * the same struct or of one around it, as reached from here. Several may be given. No attribute, since clang 14 cannot name a sibling
 * member in C: tools/explore-guards makes the explorer check them. A lock behind a pointer ("mem->slots_lock") is for readers only.
 */
#define GUARDED_BY(lock)
#define WRITES_GUARDED_BY(lock)
#define REQUIRES(...)		    TSA_ATTR(requires_capability(__VA_ARGS__))
#define REQUIRES_SHARED(...)	    TSA_ATTR(requires_shared_capability(__VA_ARGS__))
#define ACQUIRE(...)		    TSA_ATTR(acquire_capability(__VA_ARGS__))
#define ACQUIRE_SHARED(...)	    TSA_ATTR(acquire_shared_capability(__VA_ARGS__))
#define RELEASE(...)		    TSA_ATTR(release_capability(__VA_ARGS__))
#define RELEASE_SHARED(...)	    TSA_ATTR(release_shared_capability(__VA_ARGS__))
#define TRY_ACQUIRE(...)	    TSA_ATTR(try_acquire_capability(__VA_ARGS__))
#define EXCLUDES(...)		    TSA_ATTR(locks_excluded(__VA_ARGS__))
#define ASSERT_CAPABILITY(x)	    TSA_ATTR(assert_capability(x))
#define ASSERT_SHARED_CAPABILITY(x) TSA_ATTR(assert_shared_capability(x))
#define NO_THREAD_SAFETY_ANALYSIS   TSA_ATTR(no_thread_safety_analysis)

#endif
