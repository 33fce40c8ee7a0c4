/* SPDX-License-Identifier: MIT */
/*
 * Guarded access: every load and store to guest memory (and to memory that an ioctl argument names) is one of these. Each is
 * a piece of inline assembly with an entry in a recovery table; the SIGSEGV/SIGBUS handler looks the faulting pc up there and
 * resumes at the failure label. All return true on success, false if the host mapping faulted. Nothing else may dereference
 * a guest hva. TSan does not see these accesses (guest vCPUs race by design).
 *
 * Loads and stores of 1..8 bytes that do not cross an 8-byte boundary (naturally aligned ones, always) are single-copy atomic.
 * On x86-64 a load is an acquire and a store a release by nature; *_acquire and *_release variants are provided where arm64
 * hosts need them. Read-modify-writes are sequentially consistent and need natural alignment.
 */
#ifndef ANYKVM_HOST_GUARDED_H
#define ANYKVM_HOST_GUARDED_H

#include "base/context.h"
#include "base/types.h"

/*
 * Installs the handlers (idempotent; puts ours first again if a VMM installed its own since, chaining to it). Called at VM
 * creation and at each thread's first KVM_RUN, where it also unblocks SIGSEGV and SIGBUS.
 */
void guarded_install(void);

/* The implementation (host/guarded_x86.h, host/guarded_arm64.h) defines, as static inline functions:
 *
 *   bool guarded_load8/16/32/64(const void *hva, u8/u16/u32/u64 *out);          zero-extension is the caller's
 *   bool guarded_load128(const void *hva, u64 out[2]);                          two loads; not atomic as a whole
 *   bool guarded_store8/16/32/64(void *hva, u8/u16/u32/u64 value);
 *   bool guarded_store128(void *hva, u64 lo, u64 hi);
 *   bool guarded_load_acquire8..64, guarded_store_release8..64                  as above, ordered
 *   bool guarded_store_seqcst8..64                                              STLR: xchg on x86
 *   bool guarded_cmpxchg8/16/32/64(void *hva, uN *expected, uN desired, bool *swapped);   *expected gets the old value
 *   bool guarded_cmpxchg128(void *hva, u64 expected[2], const u64 desired[2], bool *swapped);  16-byte aligned
 *   bool guarded_xchg8..64(void *hva, uN value, uN *old);
 *   bool guarded_fetch_add8..64(void *hva, uN value, uN *old);
 *   bool guarded_copy_from(void *dst, const void *hva, size_t n);               bytewise restartable; false = stopped early
 *   bool guarded_copy_to(void *hva, const void *src, size_t n);
 *   bool guarded_zero(void *hva, size_t n);
 */
#if defined(ANYKVM_EXPLORED)
#include "host/guarded_explored.h"
#elif defined(__x86_64__)
#include "host/guarded_x86.h"
#elif defined(__aarch64__)
#include "host/guarded_arm64.h"
#else
#error "hosts: x86-64 and arm64"
#endif

#if defined(ANYKVM_EXPLORED) || defined(__x86_64__)
/*
 * x86 loads acquire and stores release; the memory clobbers keep the compiler to it. Under the explorer nothing is reordered.
 */
#define guarded_load_acquire8	guarded_load8
#define guarded_load_acquire16	guarded_load16
#define guarded_load_acquire32	guarded_load32
#define guarded_load_acquire64	guarded_load64
#define guarded_store_release8	guarded_store8
#define guarded_store_release16 guarded_store16
#define guarded_store_release32 guarded_store32
#define guarded_store_release64 guarded_store64
#endif

/* Two loads of 8 bytes; not atomic as a whole. */
static ALWAYS_INLINE bool guarded_load128(const void *hva, u64 out[2])
{
	return guarded_load64(hva, &out[0]) && guarded_load64((const char *)hva + 8, &out[1]);
}
static ALWAYS_INLINE bool guarded_store128(void *hva, u64 lo, u64 hi)
{
	return guarded_store64(hva, lo) && guarded_store64((char *)hva + 8, hi);
}

/* How many bytes at the end were not copied: 0 is success. Bytes before them were. Not atomic, any alignment. */
size_t guarded_copy_left(void *dst, const void *src, size_t n);
size_t guarded_zero_left(void *hva, size_t n);
#if defined(ANYKVM_EXPLORED)
#define guarded_copy guarded_copy_left
#else
/* The same as guarded_copy_left, but for pages that a pager serves: these are waited for (host/userfault.h). */
size_t guarded_copy(void *dst, const void *src, size_t n);
#endif

/* LO-6 is checked where a copy may be long or its memory swapped out; single accesses are the vCPUs', in guest mode (LO-7). */
static inline bool guarded_copy_from(void *dst, const void *hva, size_t n)
{
	CONTEXT_MAY_BLOCK("guest memory access");
	return !guarded_copy(dst, hva, n);
}
static inline bool guarded_copy_to(void *hva, const void *src, size_t n)
{
	CONTEXT_MAY_BLOCK("guest memory access");
	return !guarded_copy(hva, src, n);
}
static inline bool guarded_zero(void *hva, size_t n)
{
	CONTEXT_MAY_BLOCK("guest memory access");
	return !guarded_zero_left(hva, n);
}

/* Copies of what an ioctl argument names: 0 or -EFAULT. */
int guarded_copy_from_user(void *dst, const void *arg, size_t n);
int guarded_copy_to_user(void *arg, const void *src, size_t n);

/* For tests: the number of faults recovered by this process. */
u64 guarded_nr_recovered(void);

#endif
