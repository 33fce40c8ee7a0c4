/* SPDX-License-Identifier: MIT */
/* Integer types, bit and alignment helpers. libc only. */
#ifndef ANYKVM_BASE_TYPES_H
#define ANYKVM_BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;
typedef unsigned __int128 u128;
typedef __int128 s128;

#define KIB (1ull << 10)
#define MIB (1ull << 20)
#define GIB (1ull << 30)

#define BIT(n) (1ull << (n))
/* Bits hi..lo set, both included. */
#define GENMASK(hi, lo)	      (((~0ull) >> (63 - (hi))) & ((~0ull) << (lo)))
#define ARRAY_SIZE(a)	      (sizeof(a) / sizeof((a)[0]))
#define ALIGN_DOWN(x, a)      ((x) & ~((__typeof__(x))(a)-1))
#define ALIGN_UP(x, a)	      ALIGN_DOWN((x) + (a)-1, a)
#define IS_ALIGNED(x, a)      (((x) & ((__typeof__(x))(a)-1)) == 0)
#define MIN(a, b)	      ((a) < (b) ? (a) : (b))
#define MAX(a, b)	      ((a) > (b) ? (a) : (b))
#define likely(x)	      __builtin_expect(!!(x), 1)
#define unlikely(x)	      __builtin_expect(!!(x), 0)
#define container_of(p, t, m) ((t *)(void *)((char *)(p)-offsetof(t, m)))
#define NORETURN	      __attribute__((noreturn))
#define PRINTF_LIKE(f, a)     __attribute__((format(printf, f, a)))
#define NO_TSAN		      __attribute__((no_sanitize("thread")))
#define NOINLINE	      __attribute__((noinline))
#define ALWAYS_INLINE	      inline __attribute__((always_inline))

/* The field of width bits that starts at bit lo. */
static inline u64 bits_get(u64 value, unsigned lo, unsigned width)
{
	return (value >> lo) & (~0ull >> (64 - width));
}

/* value with the field of width bits at bit lo replaced. */
static inline u64 bits_set(u64 value, unsigned lo, unsigned width, u64 field)
{
	u64 mask = (~0ull >> (64 - width)) << lo;

	return (value & ~mask) | ((field << lo) & mask);
}

/* Sign extension of the low width (1..64) bits. */
static inline s64 sign_extend(u64 value, unsigned width)
{
	return (s64)(value << (64 - width)) >> (64 - width);
}

#endif
