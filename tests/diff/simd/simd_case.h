/* SPDX-License-Identifier: MIT */
/* One instruction with the state before or after it: the record that simd_diff.c and simd_runner.c
 * exchange through files. */
#ifndef ANYKVM_TESTS_SIMD_CASE_H
#define ANYKVM_TESTS_SIMD_CASE_H

#include <stdint.h>

/* Fixed addresses, the same on both sides and in branch range of a static program. */
#define CASE_CODE  0x06000000ull
#define CASE_SLOT  32u
#define CASE_SLOTS 0x20000u
/* The arena straddles a page boundary. */
#define CASE_DATA  (CASE_CODE + (uint64_t)CASE_SLOT * CASE_SLOTS)
#define CASE_MEM   256u
#define CASE_ARENA (CASE_DATA + 0x1000 - CASE_MEM / 2)

struct simd_case {
	uint64_t x[31]; /* x30 is not compared: it holds pc before, and the record's address behind
			   the scenes */
	uint64_t sp;
	uint64_t pc;
	uint32_t nzcv, fpcr, fpsr;
	uint32_t insn;
	uint32_t signal; /* after: the signal that the instruction got, else 0 */
	uint32_t op;	 /* enum a64_op, for the report */
	uint8_t pad[8];
	uint8_t v[32][16] __attribute__((aligned(16)));
	uint8_t mem[CASE_MEM];
};

/* Used by the runner's assembly. */
#define CASE_OFF_SP   248
#define CASE_OFF_PC   256
#define CASE_OFF_NZCV 264
#define CASE_OFF_FPCR 268
#define CASE_OFF_FPSR 272
#define CASE_OFF_V    304

_Static_assert(__builtin_offsetof(struct simd_case, sp) == CASE_OFF_SP, "sp");
_Static_assert(__builtin_offsetof(struct simd_case, pc) == CASE_OFF_PC, "pc");
_Static_assert(__builtin_offsetof(struct simd_case, nzcv) == CASE_OFF_NZCV, "nzcv");
_Static_assert(__builtin_offsetof(struct simd_case, fpcr) == CASE_OFF_FPCR, "fpcr");
_Static_assert(__builtin_offsetof(struct simd_case, fpsr) == CASE_OFF_FPSR, "fpsr");
_Static_assert(__builtin_offsetof(struct simd_case, v) == CASE_OFF_V, "v");

#endif
