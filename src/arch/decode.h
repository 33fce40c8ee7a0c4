/* SPDX-License-Identifier: MIT */
/* The A64 decoder, made from a64_base.tab and a64_simd.tab by gen_decode.py. */
#ifndef ANYKVM_ARCH_DECODE_H
#define ANYKVM_ARCH_DECODE_H

#include "arch/a64_ops.h"
#include "base/types.h"

#define A64_MAX_FIELDS 12

struct a64_field {
	const char *name;
	u8 lo, width;
};

/* What a table line says. The fixed bits alone do not decide: constraints and more specific lines do, in a64_decode. */
struct a64_insn_info {
	const char *name;
	u32 mask, value; /* fixed bits */
	const char *feature, *class, *mnemonics;
	u8 nr_fields;
	struct a64_field field[A64_MAX_FIELDS];
};

/* Indexed by enum a64_op; entry A64_UNALLOCATED is empty. */
extern const struct a64_insn_info a64_info[NR_A64_OPS];

/* enum a64_feature of each line. */
extern const u8 a64_feature[NR_A64_OPS];

enum a64_op a64_decode(u32 insn);

#endif
