/* SPDX-License-Identifier: MIT */
/*
 * What the generator hands to both sides of the differential test: the arm64 runner (under qemu-aarch64, or on arm64 hardware)
 * and the interpreter on its rig. A file is an array of blocks; the answer is an array of results.
 */
#ifndef ANYKVM_TESTS_DIFF_FORMAT_H
#define ANYKVM_TESTS_DIFF_FORMAT_H

#include <stdint.h>

#define DIFF_CODE	0x40000000ull /* block i is at DIFF_CODE + i * DIFF_STRIDE */
#define DIFF_STRIDE	0x800u
#define DIFF_MAX_BLOCKS 4096u
#define DIFF_MAX_INSN	380u
#define DIFF_END	384u /* word index: leaves the block. Pool words follow. */
#define DIFF_POOL	385u
#define DIFF_NR_POOL	64u
#define DIFF_ARENA	0x50000000ull
#define DIFF_ARENA_SIZE 0x2000u

struct diff_state {
	uint64_t x[31];
	uint64_t sp;
	uint64_t v[32][2];
	uint64_t nzcv, fpcr, fpsr;
};

/* The first instruction of a block loads x30 from the pool: the runner enters through it. */
struct diff_block {
	uint32_t nr_insn;
	uint32_t seed; /* of the arena's content */
	uint32_t insn[DIFF_MAX_INSN];
	uint32_t pool[DIFF_NR_POOL];
	struct diff_state in;
};

struct diff_result {
	struct diff_state out;
	uint64_t pc; /* of the fault, 0 if the end was reached */
	uint64_t arena;
	uint32_t fault; /* 0, or enum diff_fault */
	uint32_t zero;
};

enum diff_fault { DIFF_FAULT_UNDEF = 1, DIFF_FAULT_MEMORY, DIFF_FAULT_OTHER };

static inline void diff_arena_fill(uint64_t *arena, uint32_t seed)
{
	uint64_t s = 0x9e3779b97f4a7c15ull * (seed + 1ull);

	for (unsigned i = 0; i < DIFF_ARENA_SIZE / 8; i++) {
		s ^= s << 13;
		s ^= s >> 7;
		s ^= s << 17;
		arena[i] = s;
	}
}

static inline uint64_t diff_arena_hash(const uint64_t *arena)
{
	uint64_t h = 14695981039346656037ull;

	for (unsigned i = 0; i < DIFF_ARENA_SIZE / 8; i++)
		h = (h ^ arena[i]) * 1099511628211ull;
	return h;
}

#endif
