/* SPDX-License-Identifier: MIT */
#ifndef ANYKVM_BASE_HASH_H
#define ANYKVM_BASE_HASH_H

#include "base/types.h"

/* Mixes all bits of x into all bits of the result (multiply and xor-shift, a bijection). */
static inline u64 hash_u64(u64 x)
{
	x ^= x >> 32;
	x *= 0x9e3779b97f4a7c15ull;
	x ^= x >> 29;
	x *= 0xd6e8feb86659fd93ull;
	return x ^ (x >> 32);
}

#endif
