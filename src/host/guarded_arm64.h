/* SPDX-License-Identifier: MIT */
/* Guarded access on arm64 hosts (v8.0 instructions only). See guarded.h for the contract. */
#ifndef ANYKVM_HOST_GUARDED_ARM64_H
#define ANYKVM_HOST_GUARDED_ARM64_H

#ifndef ANYKVM_HOST_GUARDED_H
#error "include host/guarded.h"
#endif

/* One entry of the recovery table: both fields are relative to their own address, so the table needs no relocation. */
#define GUARDED_ENTRY(at, to)                        \
	".pushsection anykvm_ex,\"a\",@progbits\n\t" \
	".balign 4\n\t"                              \
	".long " at " - .\n\t"                       \
	".long " to " - .\n\t"                       \
	".popsection\n\t"

#define GUARDED_DEFINE_LOAD(name, type, insn)                                            \
	static ALWAYS_INLINE bool name(const void *hva, type *out)                       \
	{                                                                                \
		u64 value_;                                                              \
		__asm__ volatile goto("1: " insn "\n\t" GUARDED_ENTRY("1b", "%l[fault]") \
				      : [v] "=r"(value_)                                 \
				      : [p] "r"(hva)                                     \
				      : "memory"                                         \
				      : fault);                                          \
		*out = (type)value_;                                                     \
		return true;                                                             \
	fault:                                                                           \
		return false;                                                            \
	}

#define GUARDED_DEFINE_STORE(name, type, insn)                                           \
	static ALWAYS_INLINE bool name(void *hva, type value)                            \
	{                                                                                \
		__asm__ volatile goto("1: " insn "\n\t" GUARDED_ENTRY("1b", "%l[fault]") \
				      :                                                  \
				      : [p] "r"(hva), [v] "r"((u64)value)                \
				      : "memory"                                         \
				      : fault);                                          \
		return true;                                                             \
	fault:                                                                           \
		return false;                                                            \
	}

/* Load-exclusive, op, store-release-exclusive, and a trailing dmb: sequentially consistent as a whole. */
#define GUARDED_DEFINE_RMW(name, type, r, sfx, op)                                           \
	static ALWAYS_INLINE bool name(void *hva, type value, type *old)                     \
	{                                                                                    \
		u64 old_, new_;                                                              \
		u32 failed_;                                                                 \
		__asm__ volatile goto("1: ldaxr" sfx " %" r "[o], [%[p]]\n\t" op "\n"        \
				      "2: stlxr" sfx " %w[f], %" r "[n], [%[p]]\n\t"         \
				      "cbnz %w[f], 1b\n\t"                                   \
				      "dmb ish\n\t" GUARDED_ENTRY("1b", "%l[fault]")         \
					      GUARDED_ENTRY("2b", "%l[fault]")               \
				      : [o] "=&r"(old_), [n] "=&r"(new_), [f] "=&r"(failed_) \
				      : [p] "r"(hva), [v] "r"((u64)value)                    \
				      : "memory"                                             \
				      : fault);                                              \
		*old = (type)old_;                                                           \
		return true;                                                                 \
	fault:                                                                               \
		return false;                                                                \
	}

#define GUARDED_DEFINE_CMPXCHG(name, type, r, sfx)                                             \
	static ALWAYS_INLINE bool name(void *hva, type *expected, type desired, bool *swapped) \
	{                                                                                      \
		u64 old_;                                                                      \
		u32 failed_;                                                                   \
		__asm__ volatile goto(                                                         \
			"1: ldaxr" sfx " %" r "[o], [%[p]]\n\t"                                \
			"cmp %" r "[o], %" r "[e]\n\t"                                         \
			"mov %w[f], #1\n\t"                                                    \
			"b.ne 3f\n"                                                            \
			"2: stlxr" sfx " %w[f], %" r "[d], [%[p]]\n\t"                         \
			"cbnz %w[f], 1b\n"                                                     \
			"3: dmb ish\n\t" GUARDED_ENTRY("1b", "%l[fault]")                      \
				GUARDED_ENTRY("2b", "%l[fault]")                               \
			: [o] "=&r"(old_), [f] "=&r"(failed_)                                  \
			: [p] "r"(hva), [e] "r"((u64)*expected), [d] "r"((u64)desired)         \
			: "memory", "cc"                                                       \
			: fault);                                                              \
		*expected = (type)old_;                                                        \
		*swapped = !failed_;                                                           \
		return true;                                                                   \
	fault:                                                                                 \
		return false;                                                                  \
	}

GUARDED_DEFINE_LOAD(guarded_load8, u8, "ldrb %w[v], [%[p]]")
GUARDED_DEFINE_LOAD(guarded_load16, u16, "ldrh %w[v], [%[p]]")
GUARDED_DEFINE_LOAD(guarded_load32, u32, "ldr %w[v], [%[p]]")
GUARDED_DEFINE_LOAD(guarded_load64, u64, "ldr %x[v], [%[p]]")
GUARDED_DEFINE_STORE(guarded_store8, u8, "strb %w[v], [%[p]]")
GUARDED_DEFINE_STORE(guarded_store16, u16, "strh %w[v], [%[p]]")
GUARDED_DEFINE_STORE(guarded_store32, u32, "str %w[v], [%[p]]")
GUARDED_DEFINE_STORE(guarded_store64, u64, "str %x[v], [%[p]]")
/* Load, then a barrier: these work at any alignment, which LDAR does not. */
GUARDED_DEFINE_LOAD(guarded_load_acquire8, u8, "ldrb %w[v], [%[p]]\n\tdmb ishld")
GUARDED_DEFINE_LOAD(guarded_load_acquire16, u16, "ldrh %w[v], [%[p]]\n\tdmb ishld")
GUARDED_DEFINE_LOAD(guarded_load_acquire32, u32, "ldr %w[v], [%[p]]\n\tdmb ishld")
GUARDED_DEFINE_LOAD(guarded_load_acquire64, u64, "ldr %x[v], [%[p]]\n\tdmb ishld")

#define GUARDED_DEFINE_ORDERED(bits)                                                    \
	static ALWAYS_INLINE bool guarded_store_release##bits(void *hva, u##bits value) \
	{                                                                               \
		__asm__ volatile("dmb ish" ::: "memory");                               \
		return guarded_store##bits(hva, value);                                 \
	}                                                                               \
	static ALWAYS_INLINE bool guarded_store_seqcst##bits(void *hva, u##bits value)  \
	{                                                                               \
		bool ok = guarded_store_release##bits(hva, value);                      \
		__asm__ volatile("dmb ish" ::: "memory");                               \
		return ok;                                                              \
	}
GUARDED_DEFINE_ORDERED(8)
GUARDED_DEFINE_ORDERED(16)
GUARDED_DEFINE_ORDERED(32)
GUARDED_DEFINE_ORDERED(64)

GUARDED_DEFINE_RMW(guarded_xchg8, u8, "w", "b", "mov %x[n], %x[v]")
GUARDED_DEFINE_RMW(guarded_xchg16, u16, "w", "h", "mov %x[n], %x[v]")
GUARDED_DEFINE_RMW(guarded_xchg32, u32, "w", "", "mov %x[n], %x[v]")
GUARDED_DEFINE_RMW(guarded_xchg64, u64, "x", "", "mov %x[n], %x[v]")
GUARDED_DEFINE_RMW(guarded_fetch_add8, u8, "w", "b", "add %x[n], %x[o], %x[v]")
GUARDED_DEFINE_RMW(guarded_fetch_add16, u16, "w", "h", "add %x[n], %x[o], %x[v]")
GUARDED_DEFINE_RMW(guarded_fetch_add32, u32, "w", "", "add %x[n], %x[o], %x[v]")
GUARDED_DEFINE_RMW(guarded_fetch_add64, u64, "x", "", "add %x[n], %x[o], %x[v]")
GUARDED_DEFINE_CMPXCHG(guarded_cmpxchg8, u8, "w", "b")
GUARDED_DEFINE_CMPXCHG(guarded_cmpxchg16, u16, "w", "h")
GUARDED_DEFINE_CMPXCHG(guarded_cmpxchg32, u32, "w", "")
GUARDED_DEFINE_CMPXCHG(guarded_cmpxchg64, u64, "x", "")

/*
 * hva must be 16-byte aligned. A failed compare stores the old value back: without LSE2 only a store-exclusive that succeeds
 * makes the two halves one read.
 */
static ALWAYS_INLINE bool guarded_cmpxchg128(void *hva, u64 expected[2], const u64 desired[2],
					     bool *swapped)
{
	u64 lo, hi, new_lo, new_hi;
	u32 failed, equal;

	__asm__ volatile goto("1: ldaxp %x[lo], %x[hi], [%[p]]\n\t"
			      "cmp %x[lo], %x[elo]\n\t"
			      "ccmp %x[hi], %x[ehi], #0, eq\n\t"
			      "cset %w[eq], eq\n\t"
			      "csel %x[nlo], %x[dlo], %x[lo], eq\n\t"
			      "csel %x[nhi], %x[dhi], %x[hi], eq\n"
			      "2: stlxp %w[f], %x[nlo], %x[nhi], [%[p]]\n\t"
			      "cbnz %w[f], 1b\n\t"
			      "dmb ish\n\t" GUARDED_ENTRY("1b", "%l[fault]")
				      GUARDED_ENTRY("2b", "%l[fault]")
			      : [lo] "=&r"(lo), [hi] "=&r"(hi), [nlo] "=&r"(new_lo),
				[nhi] "=&r"(new_hi), [f] "=&r"(failed), [eq] "=&r"(equal)
			      : [p] "r"(hva), [elo] "r"(expected[0]), [ehi] "r"(expected[1]),
				[dlo] "r"(desired[0]), [dhi] "r"(desired[1])
			      : "memory", "cc"
			      : fault);
	expected[0] = lo;
	expected[1] = hi;
	*swapped = equal;
	return true;
fault:
	return false;
}

#endif
