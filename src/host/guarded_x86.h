/* SPDX-License-Identifier: MIT */
/* Guarded access on x86-64. See guarded.h for the contract. */
#ifndef ANYKVM_HOST_GUARDED_X86_H
#define ANYKVM_HOST_GUARDED_X86_H

#ifndef ANYKVM_HOST_GUARDED_H
#error "include host/guarded.h"
#endif

/* The asm statements are volatile: gcc drops a goto asm whose outputs are dead. */

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
		type value_;                                                             \
		__asm__ volatile goto("1: " insn "\n\t" GUARDED_ENTRY("1b", "%l[fault]") \
				      : [v] "=q"(value_)                                 \
				      : [p] "r"(hva)                                     \
				      : "memory"                                         \
				      : fault);                                          \
		*out = value_;                                                           \
		return true;                                                             \
	fault:                                                                           \
		return false;                                                            \
	}

/* rw: the register operand is an input; loads of the old value go through GUARDED_DEFINE_RMW. */
#define GUARDED_DEFINE_STORE(name, type, insn)                                           \
	static ALWAYS_INLINE bool name(void *hva, type value)                            \
	{                                                                                \
		__asm__ volatile goto("1: " insn "\n\t" GUARDED_ENTRY("1b", "%l[fault]") \
				      :                                                  \
				      : [p] "r"(hva), [v] "q"(value)                     \
				      : "memory"                                         \
				      : fault);                                          \
		return true;                                                             \
	fault:                                                                           \
		return false;                                                            \
	}

/* xchg and xadd: the register operand comes back as the old value. */
#define GUARDED_DEFINE_RMW(name, type, insn)                                             \
	static ALWAYS_INLINE bool name(void *hva, type value, type *old)                 \
	{                                                                                \
		type old_;                                                               \
		__asm__ volatile goto("1: " insn "\n\t" GUARDED_ENTRY("1b", "%l[fault]") \
				      : [v] "=q"(old_)                                   \
				      : [p] "r"(hva), "0"(value)                         \
				      : "memory", "cc"                                   \
				      : fault);                                          \
		*old = old_;                                                             \
		return true;                                                             \
	fault:                                                                           \
		return false;                                                            \
	}

#define GUARDED_DEFINE_CMPXCHG(name, type, insn)                                               \
	static ALWAYS_INLINE bool name(void *hva, type *expected, type desired, bool *swapped) \
	{                                                                                      \
		type old_;                                                                     \
		u8 ok_;                                                                        \
		__asm__ volatile goto("1: " insn "\n\t"                                        \
				      "sete %[ok]\n\t" GUARDED_ENTRY("1b", "%l[fault]")        \
				      : "=a"(old_), [ok] "=q"(ok_)                             \
				      : [p] "r"(hva), [d] "q"(desired), "0"(*expected)         \
				      : "memory", "cc"                                         \
				      : fault);                                                \
		*expected = old_;                                                              \
		*swapped = ok_;                                                                \
		return true;                                                                   \
	fault:                                                                                 \
		return false;                                                                  \
	}

GUARDED_DEFINE_LOAD(guarded_load8, u8, "movb (%[p]), %b[v]")
GUARDED_DEFINE_LOAD(guarded_load16, u16, "movw (%[p]), %w[v]")
GUARDED_DEFINE_LOAD(guarded_load32, u32, "movl (%[p]), %k[v]")
GUARDED_DEFINE_LOAD(guarded_load64, u64, "movq (%[p]), %q[v]")
GUARDED_DEFINE_STORE(guarded_store8, u8, "movb %b[v], (%[p])")
GUARDED_DEFINE_STORE(guarded_store16, u16, "movw %w[v], (%[p])")
GUARDED_DEFINE_STORE(guarded_store32, u32, "movl %k[v], (%[p])")
GUARDED_DEFINE_STORE(guarded_store64, u64, "movq %q[v], (%[p])")
GUARDED_DEFINE_RMW(guarded_xchg8, u8, "xchgb %b[v], (%[p])")
GUARDED_DEFINE_RMW(guarded_xchg16, u16, "xchgw %w[v], (%[p])")
GUARDED_DEFINE_RMW(guarded_xchg32, u32, "xchgl %k[v], (%[p])")
GUARDED_DEFINE_RMW(guarded_xchg64, u64, "xchgq %q[v], (%[p])")
GUARDED_DEFINE_RMW(guarded_fetch_add8, u8, "lock xaddb %b[v], (%[p])")
GUARDED_DEFINE_RMW(guarded_fetch_add16, u16, "lock xaddw %w[v], (%[p])")
GUARDED_DEFINE_RMW(guarded_fetch_add32, u32, "lock xaddl %k[v], (%[p])")
GUARDED_DEFINE_RMW(guarded_fetch_add64, u64, "lock xaddq %q[v], (%[p])")
GUARDED_DEFINE_CMPXCHG(guarded_cmpxchg8, u8, "lock cmpxchgb %b[d], (%[p])")
GUARDED_DEFINE_CMPXCHG(guarded_cmpxchg16, u16, "lock cmpxchgw %w[d], (%[p])")
GUARDED_DEFINE_CMPXCHG(guarded_cmpxchg32, u32, "lock cmpxchgl %k[d], (%[p])")
GUARDED_DEFINE_CMPXCHG(guarded_cmpxchg64, u64, "lock cmpxchgq %q[d], (%[p])")

/* hva must be 16-byte aligned. */
static ALWAYS_INLINE bool guarded_cmpxchg128(void *hva, u64 expected[2], const u64 desired[2],
					     bool *swapped)
{
	u64 lo, hi;
	u8 ok;

	__asm__ volatile goto("1: lock cmpxchg16b (%[p])\n\t"
			      "sete %[ok]\n\t" GUARDED_ENTRY("1b", "%l[fault]")
			      : "=a"(lo), "=d"(hi), [ok] "=q"(ok)
			      : [p] "r"(hva), "b"(desired[0]), "c"(desired[1]), "0"(expected[0]),
				"1"(expected[1])
			      : "memory", "cc"
			      : fault);
	expected[0] = lo;
	expected[1] = hi;
	*swapped = ok;
	return true;
fault:
	return false;
}

#define GUARDED_DEFINE_SEQCST(bits)                                                    \
	static ALWAYS_INLINE bool guarded_store_seqcst##bits(void *hva, u##bits value) \
	{                                                                              \
		u##bits old;                                                           \
		return guarded_xchg##bits(hva, value, &old);                           \
	}
GUARDED_DEFINE_SEQCST(8)
GUARDED_DEFINE_SEQCST(16)
GUARDED_DEFINE_SEQCST(32)
GUARDED_DEFINE_SEQCST(64)

#endif
