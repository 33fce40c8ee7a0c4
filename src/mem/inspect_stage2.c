/* SPDX-License-Identifier: MIT */
/*
 * Stage-2 tables as ranges, the way KVM's ptdump shows them.
 *
 * struct inspect_walk. born: by the one who inspects. seen by: that thread alone. freed: by it.
 */
#include "host/alloc.h"
#include "host/signal.h"
#include "mem/hook.h"
#include "mem/inspect.h"
#include "mem/stage2.h"

/* Neighbouring leaves of one kind that continue each other in host memory. */
struct run {
	u64 ipa, end, hva;
	u64 attributes; /* bits of the descriptors */
	unsigned level;
};

struct inspect_walk {
	/* Of one hold of the lock, with what the last run of the hold before may still become. */
	struct run run[INSPECT_STEP + 1];
	unsigned nr_runs, visits;
	u64 next; /* where the next hold goes on */
	/* Of the whole walk, by level. */
	u64 tables[4], leaves[4], changing;
	/* The table itself, as it was last seen. */
	u64 mmu_id; /* of a shadow MMU it changes */
	unsigned ipa_bits, start_level;
	bool torn_down;
};

struct inspect_walk *inspect_walk_create(void)
{
	return NEW(struct inspect_walk);
}

void inspect_walk_destroy(struct inspect_walk *w)
{
	DELETE(w);
}

#define ATTRIBUTES (S2_R | S2_W | S2_XN | S2_AF)

/* Of a block that took the place of leaves already seen, only the rest is new. */
static void add_leaf(struct inspect_walk *w, const struct s2_visit *v)
{
	struct run *last = w->nr_runs ? &w->run[w->nr_runs - 1] : NULL;
	u64 hva = (v->old & S2_OA) + (v->ipa & (s2_size(v->level) - 1));
	u64 attributes = v->old & ATTRIBUTES;

	w->leaves[v->level]++;
	if (last && last->level == v->level && last->end == v->ipa &&
	    last->attributes == attributes && last->hva + (last->end - last->ipa) == hva) {
		last->end = v->end;
		return;
	}
	w->run[w->nr_runs++] = (struct run){.ipa = v->ipa,
					    .end = v->end,
					    .hva = hva,
					    .attributes = attributes,
					    .level = v->level};
}

static int inspect_visit(struct s2_visit *v, enum s2_visit_kind kind)
{
	struct inspect_walk *w = v->arg;

	if (kind == S2_VISIT_PRE) {
		/* A hold begins behind the last entry seen: at a table's first entry only if the table is new to us. */
		if (IS_ALIGNED(v->ipa, s2_size(v->level)))
			w->tables[v->level + 1]++;
		return 0;
	}
	mem_hook(HOOK_INSPECT_ENTRY, v);
	if (v->old == S2_LOCKED)
		w->changing++;
	else if (s2_is_leaf(v->old, v->level))
		add_leaf(w, v);
	w->next = v->end;
	return ++w->visits == INSPECT_STEP;
}

/*
 * One hold: mmu_lock keeps exclusive walks away, RCU the pages of tables that a shared walk displaces meanwhile. False at the
 * end of the table.
 */
static bool walk_step(struct vm_mem *m, struct s2_mmu *mmu, struct inspect_walk *w)
{
	struct s2_walker walker = {.visit = inspect_visit,
				   .kinds = S2_VISIT_PRE | S2_VISIT_LEAF,
				   .shared = true,
				   .arg = w};
	u64 sigmask = host_signals_block();
	struct s2_pgt *pgt;
	bool more = false;

	w->visits = 0;
	read_lock(&m->mmu_lock);
	rcu_read_lock();
	/* Read again each time: it may have gone. */
	pgt = rcu_load(&mmu->pgt);
	w->torn_down = !pgt;
	w->mmu_id = mmu->id;
	if (pgt) {
		w->ipa_bits = pgt->ipa_bits;
		w->start_level = pgt->start_level;
		w->tables[pgt->start_level] = pgt->nr_roots;
		more = stage2_walk(pgt, w->next, BIT(pgt->ipa_bits), &walker) > 0;
	}
	rcu_read_unlock();
	read_unlock(&m->mmu_lock);
	host_signals_restore(sigmask);
	mem_hook(HOOK_INSPECT_STEP, m);
	return more;
}

static const struct report_column run_columns[] = {
	{"ipa", REPORT_RANGE, 0},   {"size", REPORT_SIZE, 6},  {"leaf", REPORT_SIZE, 4},
	{"access", REPORT_TEXT, 6}, {"flags", REPORT_TEXT, 5}, {"hva", REPORT_HEX, 0},
};

static void write_run(struct report *r, const struct run *run)
{
	/* XN: all may execute, EL0 only, nobody, EL1 only. */
	static const char execute[4] = {'X', 'u', '-', 'p'};
	const char access[] = {run->attributes & S2_R ? 'R' : '-',
			       run->attributes & S2_W ? 'W' : '-',
			       execute[bits_get(run->attributes, 53, 2)], 0};
	const struct report_cell cells[] = {
		{.value = run->ipa, .end = run->end},
		{.value = run->end - run->ipa},
		{.value = s2_size(run->level)},
		{.text = access},
		{.text = run->attributes & S2_AF ? "AF" : "-"},
		{.value = run->hva},
	};

	report_table_row(r, run_columns, ARRAY_SIZE(run_columns), cells);
}

static void write_totals(struct report *r, const struct inspect_walk *w)
{
	static const struct report_column columns[] = {
		{"level", REPORT_DEC, 5},   {"entry", REPORT_SIZE, 5},	 {"tables", REPORT_DEC, 10},
		{"leaves", REPORT_DEC, 10}, {"mapped", REPORT_SIZE, 10},
	};

	report_table_begin(r, "level");
	for (unsigned level = w->start_level; level < 4 && !w->torn_down; level++) {
		const struct report_cell cells[] = {
			{.value = level},
			{.value = s2_size(level)},
			{.value = w->tables[level]},
			{.value = w->leaves[level]},
			{.value = w->leaves[level] * s2_size(level)},
		};

		report_table_row(r, columns, ARRAY_SIZE(columns), cells);
	}
	report_table_end(r);
}

void inspect_stage2(struct vm_mem *m, struct s2_mmu *mmu, struct inspect_walk *w, struct report *r)
{
	bool more;

	*w = (struct inspect_walk){.nr_runs = 0};
	more = walk_step(m, mmu, w);
	report_value(r, "mmu", w->mmu_id);
	report_value_text(r, "state", w->torn_down ? "torn down" : "in use");
	report_value(r, "ipa_bits", w->ipa_bits);
	report_table_begin(r, "range");
	while (more) {
		for (unsigned i = 0; i + 1 < w->nr_runs; i++)
			write_run(r, &w->run[i]);
		/* The last one may go on. */
		if (w->nr_runs) {
			w->run[0] = w->run[w->nr_runs - 1];
			w->nr_runs = 1;
		}
		more = walk_step(m, mmu, w);
	}
	for (unsigned i = 0; i < w->nr_runs; i++)
		write_run(r, &w->run[i]);
	report_table_end(r);
	write_totals(r, w);
	report_value(r, "changing", w->changing);
}
