/* SPDX-License-Identifier: MIT */
/*
 * The reference engine: runs pre-decoded slots through function pointers.
 *
 * Straight-line code inside a page goes from slot to slot; the slot after the last one is a sentinel, so falling off a page
 * looks like a branch. Every taken branch, exception and page change comes by the same place, which polls: hence at most 1024
 * instructions between two polls without counting them one by one.
 */
#include <errno.h>

#include "host/alloc.h"
#include "interp/code.h"
#include "interp/interp.h"
#include "interp/softfp.h"

#define TICK_INSTRUCTIONS 16384

static int interp_vcpu_init(struct vcpu *v)
{
	struct interp *c = NEW(struct interp);

	if (!c)
		return -ENOMEM;
	if (code_init(c)) {
		DELETE(c);
		return -ENOMEM;
	}
	v->engine = c;
	return 0;
}

static void interp_vcpu_fini(struct vcpu *v)
{
	struct interp *c = v->engine;

	if (!c)
		return;
	code_fini(c);
	DELETE(c);
	v->engine = NULL;
}

static ALWAYS_INLINE bool tick_due(struct vcpu *v, struct interp *c)
{
	return unlikely(v->stats.instructions - c->ticked >= TICK_INSTRUCTIONS);
}

static bool tick(struct vcpu *v, struct interp *c)
{
	u64 n = v->stats.instructions - c->ticked;

	c->ticked = v->stats.instructions;
	return vcpu_tick(v, n);
}

/*
 * Runs in page from v->arch.pc until control leaves it or the page has to be looked up again. True: stop. counting (a
 * constant): v->block is kept.
 */
static ALWAYS_INLINE bool run_slots(struct vcpu *v, struct interp *c, struct code_page *page,
				    bool counting)
{
	u64 pc = v->arch.pc, first = pc, base = pc & ~0xfffull;
	const struct code_slot *s = &page->slot[pc >> 2 & (CODE_SLOTS - 1)];
	enum op_result r;

	for (;;) {
		v->arch.pc = pc;
		r = code_handler(s)(v, s->insn);
		if (likely(r == OP_NEXT)) {
			pc += 4;
			s++;
			continue;
		}
		v->stats.instructions += (pc - first) / 4 + 1;
		if (counting)
			v->block = v->arch.pc;
		if (unlikely(r == OP_STOP))
			return true;
		if (vcpu_poll(v) || (tick_due(v, c) && tick(v, c)))
			return true;
		if (counting && vcpu_one_by_one(v))
			return false;
		/* Same page, aligned, and nothing happened to the translation of the page. */
		if (unlikely((v->arch.pc ^ base) & ~0xffcull) ||
		    unlikely(c->generation != v->vtlb.generation))
			return false;
		pc = first = v->arch.pc;
		s = &page->slot[pc >> 2 & (CODE_SLOTS - 1)];
	}
}

static bool run_page(struct vcpu *v, struct interp *c, struct code_page *page)
{
	return run_slots(v, c, page, false);
}

static NOINLINE bool run_page_counting(struct vcpu *v, struct interp *c, struct code_page *page)
{
	return run_slots(v, c, page, true);
}

/* Before the instruction at pc, which is executed alone. */
static void count_one(struct vcpu *v)
{
	v->stats.instructions++;
	v->block = v->arch.pc + 4;
	v->in_block = true;
}

/* After the handler of insn, said to have come to r; before the pc is moved past it. */
static void tally_one(struct vcpu *v, u32 insn, enum op_result r, u64 not_retired)
{
	if (v->not_retired != not_retired)
		return;
	if (r != OP_STOP)
		vcpu_tally(v, insn);
	else if (v->stop.kind == STOP_S2_FAULT || v->stop.kind == STOP_HOST_FAULT)
		v->stopped_insn = insn;
}

static ALWAYS_INLINE enum op_result run_slot(struct vcpu *v, const struct code_slot *s)
{
	u64 not_retired = v->not_retired;
	enum op_result r;

	count_one(v);
	if (unlikely(v->debug.here)) {
		r = vcpu_breakpoint(v);
		if (r != OP_NEXT)
			return r;
	}
	r = code_handler(s)(v, s->insn);
	/* A word that this filled in is there now, and one that it made the engine forget was no load, store or branch. */
	if (v->tallying)
		tally_one(v, s->insn, r, not_retired);
	return r;
}

/* As run_page, one instruction at a time: for a page with breakpoints, and for counters that want it. */
static NOINLINE bool run_page_checked(struct vcpu *v, struct interp *c, struct code_page *page)
{
	u64 base = v->arch.pc & ~0xfffull;
	bool alarm = false;

	do {
		enum op_result r = run_slot(v, &page->slot[v->arch.pc >> 2 & (CODE_SLOTS - 1)]);

		if (r == OP_STOP)
			return true;
		if (r == OP_NEXT)
			v->arch.pc += 4;
		else
			v->block = v->arch.pc;
		if (unlikely(v->counting) && v->stats.instructions >= v->alarm) {
			v->irq_ops->count(v, false);
			alarm = true;
		} else if (r == OP_NEXT) {
			continue;
		}
		if (vcpu_poll(v) || (tick_due(v, c) && tick(v, c)))
			return true;
	} while (!alarm && !((v->arch.pc ^ base) & ~0xffcull) &&
		 c->generation == v->vtlb.generation);
	v->block = v->arch.pc;
	return vcpu_poll(v);
}

/* Breakpoints may match in this page, or counters want to know more than how many instructions there were. */
static bool checked(const struct vcpu *v)
{
	return (unlikely(v->debug.here) && vcpu_breakpoints_in_page(v, v->arch.pc)) ||
	       (unlikely(v->in_block) && vcpu_one_by_one(v));
}

static void run_until_stop(struct vcpu *v)
{
	struct interp *c = v->engine;
	struct code_page *page;

	if (vcpu_poll(v))
		return;
	for (;;) {
		v->block = v->arch.pc;
		v->in_block = v->counting;
		/* Counters that were switched on start here. */
		if (unlikely(v->counting))
			v->irq_ops->count(v, false);
		if (unlikely(v->arch.pc & 3)) {
			v->stats.instructions++;
			if (vcpu_pc_alignment(v) == OP_STOP || vcpu_poll(v))
				return;
			continue;
		}
		page = code_lookup(v, c);
		if (unlikely(!page)) {
			/* An instruction abort, or a stop. Count it, so that a guest which only faults is looked at too. */
			v->stats.instructions++;
			if (v->stop.kind != STOP_NONE || vcpu_poll(v) ||
			    (tick_due(v, c) && tick(v, c)))
				return;
			continue;
		}
		if (checked(v)) {
			if (run_page_checked(v, c, page))
				return;
		} else if (unlikely(v->in_block) ? run_page_counting(v, c, page)
						 : run_page(v, c, page)) {
			return;
		}
	}
}

/* FP handlers use the host's unit, which the process may have set up in its own way. */
static void interp_run(struct vcpu *v)
{
	u64 host = fp_host_begin();

	run_until_stop(v);
	v->in_block = false;
	fp_host_end(host);
}

/* LDXR, LDAXR and their pairs, which have CASP for a neighbour. */
static bool load_exclusive(u32 insn)
{
	return (insn & 0x3fc00000) == 0x08400000 && (!(insn & 1u << 21) || insn >> 31);
}

static void step(struct vcpu *v)
{
	struct interp *c = v->engine;
	const struct code_slot *s;
	struct code_page *page;

	if (unlikely(v->arch.pc & 3)) {
		count_one(v);
		vcpu_pc_alignment(v);
		return;
	}
	page = code_lookup(v, c);
	if (!page) {
		v->stats.instructions++;
		return;
	}
	s = &page->slot[v->arch.pc >> 2 & (CODE_SLOTS - 1)];
	if (run_slot(v, s) == OP_NEXT)
		v->arch.pc += 4;
	v->debug.ex = load_exclusive(s->insn);
}

static void interp_step(struct vcpu *v)
{
	u64 host = fp_host_begin();

	step(v);
	v->in_block = false;
	fp_host_end(host);
}

const struct engine_ops interp_engine = {
	.name = "interp",
	.vcpu_init = interp_vcpu_init,
	.vcpu_fini = interp_vcpu_fini,
	.run = interp_run,
	.step = interp_step,
	.drop_code = code_drop,
};
