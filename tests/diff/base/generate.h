/* SPDX-License-Identifier: MIT */
/* Random blocks for the lines of a64_base.tab. */
#ifndef ANYKVM_TESTS_DIFF_GENERATE_H
#define ANYKVM_TESTS_DIFF_GENERATE_H

#include "arch/decode.h"
#include "base/types.h"
#include "format.h"

/* Where a block's units begin: for coverage, and to find the unit at fault. */
#define GEN_MAX_UNITS 32

struct gen_unit {
	u16 op;	  /* enum a64_op under test */
	u16 insn; /* index of the instruction under test */
	u16 end;  /* index after the unit */
};

struct gen_block {
	struct diff_block block;
	unsigned nr_units;
	struct gen_unit unit[GEN_MAX_UNITS];
};

struct gen {
	u64 state;
};

u64 gen_random(struct gen *g);
/* Whether the differential test covers the line: it is a line of the base table and user mode can run it alone. */
bool gen_covers(enum a64_op op);
/* Block number i (of a file): units of the given lines until they are used up or the block is full. Returns how many it took. */
unsigned gen_make(struct gen *g, struct gen_block *b, unsigned index, const u16 *ops,
		  unsigned nr_ops);

#endif
