/* SPDX-License-Identifier: MIT */
/*
 * A unit is the instruction under test and what makes it well defined: a base register that leads into the arena, a target for
 * a branch, a load-exclusive before a store-exclusive. Everything else (fields, register contents) is random with a bias to
 * the ends of the ranges.
 */
#include "generate.h"

#include <string.h>

u64 gen_random(struct gen *g)
{
	g->state += 0x9e3779b97f4a7c15ull;
	u64 z = g->state;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static unsigned below(struct gen *g, unsigned n)
{
	return (unsigned)(gen_random(g) >> 32) % n;
}

static u64 random_value(struct gen *g)
{
	static const u64 corner[] = {
		0,
		1,
		2,
		~0ull,
		~1ull,
		0x7fffffff,
		0x80000000,
		0xffffffff,
		0x100000000,
		0x7fffffffffffffff,
		0x8000000000000000,
		0xff,
		0x80,
		0xffff,
		0x8000,
		0xffffffff80000000,
		0xffffffff7fffffff,
		31,
		32,
		63,
		64,
	};
	u64 x = gen_random(g);

	switch (below(g, 4)) {
	case 0:
		return corner[below(g, ARRAY_SIZE(corner))];
	case 1:
		return x >> below(g, 64);
	case 2:
		return x | ~0ull << below(g, 64);
	default:
		return x;
	}
}

/* Lines that user mode cannot run, or whose result here and there cannot be the same: elsewhere.txt says what covers them. */
static const u16 elsewhere[] = {
	A64_UDF,	 A64_SVC,	  A64_HVC,     A64_SMC,	    A64_BRK,	   A64_HLT,
	A64_DCPS1,	 A64_DCPS2,	  A64_DCPS3,   A64_DRPS,    A64_ERET,	   A64_WFE,
	A64_WFI,	 A64_SYSL,	  A64_MSR_UAO, A64_MSR_PAN, A64_MSR_SPSEL, A64_MSR_SSBS,
	A64_MSR_DAIFSET, A64_MSR_DAIFCLR, A64_ESB,
};

bool gen_covers(enum a64_op op)
{
	for (unsigned i = 0; i < ARRAY_SIZE(elsewhere); i++)
		if (elsewhere[i] == op)
			return false;
	/* The algorithm of pointer authentication is our own. */
	if (a64_feature[op] == A64_FEATURE_pauth)
		return false;
	/* Bits 27 and 26: AdvSIMD and FP, their loads and stores included. */
	return op != A64_UNALLOCATED && (a64_info[op].value >> 26 & 3) != 3;
}

struct builder {
	struct gen *g;
	struct diff_block *b;
};

static void emit(struct builder *e, u32 insn)
{
	e->b->insn[e->b->nr_insn++] = insn;
}

static void emit_value(struct builder *e, unsigned rd, u64 value)
{
	emit(e, 0xd2800000 | (u32)(value & 0xffff) << 5 | rd);
	for (unsigned hw = 1; hw < 4; hw++)
		if (value >> hw * 16 & 0xffff)
			emit(e, 0xf2800000 | hw << 21 | (u32)(value >> hw * 16 & 0xffff) << 5 | rd);
}

static u32 random_word(struct gen *g, enum a64_op op)
{
	u32 word;

	do
		word = ((u32)gen_random(g) & ~a64_info[op].mask) | a64_info[op].value;
	while (a64_decode(word) != op);
	return word;
}

static u32 set_field(u32 word, unsigned lo, unsigned width, u32 value)
{
	return (u32)bits_set(word, lo, width, value);
}

static bool class_is(enum a64_op op, const char *class)
{
	return !strcmp(a64_info[op].class, class);
}

static bool is_memory(enum a64_op op)
{
	return class_is(op, "load") || class_is(op, "store") || class_is(op, "atomic");
}

static u64 extend(u64 x, unsigned option)
{
	switch (option & 3) {
	case 2:
		return option & 4 ? (u64)(s64)(s32)x : (u32)x;
	default:
		return x;
	}
}

/* Address of the access minus base register, by the top-level encoding. rm: value of the index register. */
static u64 memory_offset(u32 w, u64 rm)
{
	unsigned size = w >> 30;

	if ((w & 0x3b000000) == 0x39000000)
		return (u64)(w >> 10 & 0xfff) << size;
	if ((w & 0x3b200c00) == 0x38200800)
		return extend(rm, w >> 13 & 7) << (w >> 12 & 1 ? size : 0);
	if ((w & 0x3b200000) == 0x38000000)
		return (w >> 10 & 3) == 1 ? 0 : (u64)sign_extend(w >> 12, 9);
	if ((w & 0x3a000000) == 0x28000000)
		return (w >> 23 & 7) == 1 ? 0 : (u64)sign_extend(w >> 15, 7) << (size == 2 ? 3 : 2);
	return 0;
}

static bool has_index(u32 w)
{
	return (w & 0x3b200c00) == 0x38200800;
}

/* LDXR of the kind that pairs with store-exclusive w, into registers that leave base and operands alone. */
static void emit_load_exclusive(struct builder *e, u32 w)
{
	unsigned used[] = {w >> 5 & 31, w & 31, w >> 10 & 31}, rt[2];
	bool pair = w >> 21 & 1;

	for (unsigned i = 0; i < 2; i++) {
		do
			rt[i] = below(e->g, 31);
		while (rt[i] == used[0] || rt[i] == used[1] || rt[i] == used[2] ||
		       (i && rt[1] == rt[0]));
	}
	emit(e, (w & 0xc0000000) | 0x085f0000 | (pair ? 0x00200000 : 0) |
			(pair ? rt[1] : 31) << 10 | (w & 0x3e0) | rt[0]);
}

static void unit_memory(struct builder *e, enum a64_op op, struct gen_unit *u)
{
	u32 w = random_word(e->g, op);
	u64 target = DIFF_ARENA + 256 + below(e->g, DIFF_ARENA_SIZE - 512), rm = 0;
	bool exclusive = (w & 0x3f000000) == 0x08000000 && strcmp(a64_info[op].feature, "lse");
	unsigned rn;

	/* settled.txt: X30 with XZR as a pair. */
	while ((op == A64_CASP32 || op == A64_CASP64) && (w >> 16 & 31) == 30)
		w = random_word(e->g, op);

	/* Literals: the pool. */
	if ((w & 0x3b000000) == 0x18000000) {
		u->insn = (u16)e->b->nr_insn;
		emit(e, set_field(w, 5, 19,
				  DIFF_POOL + below(e->g, DIFF_NR_POOL - 1) - e->b->nr_insn));
		return;
	}
	if (exclusive || class_is(op, "atomic") || op == A64_LDAPR8 || op == A64_LDAPR16 ||
	    op == A64_LDAPR32 || op == A64_LDAPR64)
		target &= ~15ull;
	else if (below(e->g, 2))
		target &= ~7ull;
	if (has_index(w)) {
		while ((w >> 16 & 31) == (w >> 5 & 31) || (w >> 16 & 31) == 31)
			w = set_field(w, 16, 5, below(e->g, 32));
		rm = random_value(e->g);
		emit_value(e, w >> 16 & 31, rm);
	}
	rn = w >> 5 & 31;
	/* Not the registers whose roles would overlap in a way the architecture leaves open. */
	if (exclusive) {
		bool store = !(w >> 22 & 1) && !(w >> 23 & 1), pair = w >> 21 & 1 && !(w >> 23 & 1);

		if (store || pair) {
			unsigned rs = w >> 16 & 31, rt = w & 31, rt2 = w >> 10 & 31;

			while (rs == rn || rs == rt || rs == rt2)
				rs = below(e->g, 31);
			while (!store && pair && rt2 == rt)
				rt2 = below(e->g, 31);
			if (!(w >> 23 & 1) && store)
				w = set_field(w, 16, 5, rs);
			w = set_field(w, 10, 5, rt2);
			if (a64_decode(w) != op)
				w = set_field(w, 10, 5, 31);
		}
	}
	target -= memory_offset(w, rm);
	if (rn == 31) {
		unsigned t;

		do
			t = below(e->g, 31);
		while (t == (w >> 16 & 31) || t == (w & 31));
		emit_value(e, t, target);
		emit(e, 0x9100001f | t << 5); /* mov sp, xt */
	} else {
		emit_value(e, rn, target);
	}
	/* Never against the monitor of an earlier unit, which may be of another size: settled.txt. */
	if (exclusive && !(w >> 22 & 1) && !(w >> 23 & 1)) {
		if (below(e->g, 4))
			emit_load_exclusive(e, w);
		else
			emit(e, 0xd5033f5f); /* clrex */
	}
	u->insn = (u16)e->b->nr_insn;
	emit(e, w);
}

/* Forward: over one instruction. Backward: to a branch placed before it. */
static void unit_branch(struct builder *e, enum a64_op op, struct gen_unit *u)
{
	u32 w = random_word(e->g, op);
	unsigned lo = 5, width = 19;
	bool backward = below(e->g, 2);

	if (op == A64_BR || op == A64_BLR || op == A64_RET) {
		unsigned rn = below(e->g, 31);

		emit(e, 0x10000000 | 3 << 5 | rn); /* adr xn, . + 12 */
		u->insn = (u16)e->b->nr_insn;
		emit(e, set_field(w, 5, 5, rn));
		emit(e, random_word(e->g, A64_ADD_IMM64));
		return;
	}
	if (op == A64_B || op == A64_BL) {
		lo = 0;
		width = 26;
	} else if (op == A64_TBZ || op == A64_TBNZ) {
		width = 14;
	}
	if (backward) {
		emit(e, 0x14000002); /* b to the branch under test */
		emit(e, 0x14000002); /* its target: on to the end */
	}
	u->insn = (u16)e->b->nr_insn;
	emit(e, set_field(w, lo, width, backward ? ~0u : 2));
	if (!backward)
		emit(e, random_word(e->g, A64_ADD_IMM64));
}

static void unit_system(struct builder *e, enum a64_op op, struct gen_unit *u)
{
	static const u32 regs[] = {0xda10, 0xda20, 0xda21}; /* NZCV, FPCR, FPSR */
	static const u32 sys[] = {0x5ba9, 0x5bd9, 0x5bd9, 0x5bf1,
				  0x5be1}; /* IC IVAU, DC CVAC, CVAU, CIVAC, CVAP */
	u32 w = random_word(e->g, op);
	unsigned rt = below(e->g, 31);

	switch (op) {
	case A64_MRS:
		w = set_field(w, 5, 16, regs[below(e->g, 3)]);
		break;
	case A64_MSR_REG: {
		u32 reg = regs[below(e->g, 3)];

		w = set_field(w, 5, 16, reg);
		/* Trap enable bits and the like are not implemented by everybody: stay with rounding, FZ, DN, AHP, FZ16. */
		if (reg == 0xda20) {
			emit_value(e, rt, gen_random(e->g) & 0x07c80000);
			w = set_field(w, 0, 5, rt);
		} else if (reg == 0xda21) {
			emit_value(e, rt, gen_random(e->g) & 0x0800009f);
			w = set_field(w, 0, 5, rt);
		}
		break;
	}
	case A64_SYS:
		emit_value(e, rt, DIFF_ARENA + below(e->g, DIFF_ARENA_SIZE));
		w = set_field(set_field(w, 5, 16, sys[below(e->g, 3)]), 0, 5, rt);
		break;
	default:
		break;
	}
	u->insn = (u16)e->b->nr_insn;
	emit(e, w);
}

static void random_state(struct gen *g, struct diff_state *s)
{
	for (unsigned i = 0; i < 31; i++)
		s->x[i] = random_value(g);
	s->sp = DIFF_ARENA + below(g, DIFF_ARENA_SIZE / 16) * 16;
	for (unsigned i = 0; i < 32; i++) {
		s->v[i][0] = gen_random(g);
		s->v[i][1] = gen_random(g);
	}
	s->nzcv = (u64)below(g, 16) << 28;
	s->fpcr = gen_random(g) & 0x07c80000;
	s->fpsr = gen_random(g) & 0x0800009f;
}

unsigned gen_make(struct gen *g, struct gen_block *b, unsigned index, const u16 *ops,
		  unsigned nr_ops)
{
	struct builder e = {g, &b->block};
	unsigned taken = 0;

	memset(b, 0, sizeof(*b));
	b->block.seed = (u32)gen_random(g);
	random_state(g, &b->block.in);
	for (unsigned i = 0; i < DIFF_NR_POOL; i++)
		b->block.pool[i] = (u32)gen_random(g);
	/* x30 was the way in; the monitor may hold something of an earlier block. */
	emit(&e, 0x58000000 | DIFF_POOL << 5 | 30);
	emit(&e, 0xd5033f5f);
	/* A unit is at most 20 instructions. */
	while (taken < nr_ops && b->nr_units < GEN_MAX_UNITS &&
	       b->block.nr_insn + 20 < DIFF_MAX_INSN) {
		struct gen_unit *u = &b->unit[b->nr_units++];

		u->op = ops[taken++];
		if (is_memory((enum a64_op)u->op)) {
			unit_memory(&e, (enum a64_op)u->op, u);
		} else if (class_is((enum a64_op)u->op, "branch")) {
			unit_branch(&e, (enum a64_op)u->op, u);
		} else if (class_is((enum a64_op)u->op, "system")) {
			unit_system(&e, (enum a64_op)u->op, u);
		} else {
			u->insn = (u16)b->block.nr_insn;
			emit(&e, random_word(g, (enum a64_op)u->op));
		}
		u->end = (u16)b->block.nr_insn;
	}
	return taken;
}
