/* SPDX-License-Identifier: MIT */
/*
 * I-33: the whole lock-order table. A row is what a thread holds, a column what it does next: '.' is let through, 'X' aborts. Who
 * changes the checker changes this table, on purpose.
 */
#include "plan.h"

static const enum step columns[] = {
	VM_LIST,      VM,	 VCPU0,	    CONFIG,	  SLOTS,	INVAL,	  IRQ,
	ARCH,	      MN_SRCU,	 SRCU,	    PAGE,	  MN,		MMU_R,	  MMU_W,
	RCU,	      VGIC,	 LEAF,	    WAIT_SRCU,	  WAIT_MN_SRCU, WAIT_RCU, SLEEP_BOUNDED,
	SLEEP_ATOMIC, MAY_BLOCK, MAY_SLEEP, RELEASE_HOOK, GUEST};

static const struct row {
	const char *held;
	enum step steps[4];
	const char *locks, *waits, *calls; /* the answers for three groups of columns */
} rows[] = {
	/* clang-format off */
	/*				 vm_list, vm, vcpu, config,	slots, inval, irq, slots_arch,	mn_srcu, srcu, page, mn,	mmu r, w, rcu, dist, leaf */
	/*				 then waits: srcu, mn_srcu, rcu, a word, acknowledgements; then: block, sleep, release hook, guest */
	{"nothing",		{END},		".... .... .... .....", ".....", "...."},
	{"vm_list_lock",	{VM_LIST},	"XXXX XXXX ..XX XX.XX", "XX...", "..XX"},
	{"vm->lock",		{VM},		"XX.. .... .... .....", ".X...", "..XX"},
	{"vcpu->mutex",		{VCPU0},	"XXX. .... .... .....", ".X...", "..X."},
	{"config_lock",		{CONFIG},	"XXXX .... .... .....", "XX...", "..XX"},
	{"slots_lock",		{SLOTS},	"XXXX X... X... .....", ".X...", "..XX"},
	{"inval_lock",		{INVAL},	"XXXX XX.. .... .....", "XXX..", "..XX"},
	{"irq_lock",		{IRQ},		"XXXX XXX. .... .....", "XX...", "..XX"},
	{"slots, slots_arch",	{SLOTS, ARCH},	"XXXX XXXX X... .....", "XXX..", "..XX"},
	{"mn_srcu",		{MN_SRCU},	"XXXX XXXX .... .....", "XX...", "..XX"},
	{"srcu",		{SRCU},		"XXXX XXX. .... .....", "XX...", "..XX"},
	{"page lock",		{PAGE},		"XXXX XXXX X.X. .....", "XXXX.", "..XX"},
	{"mn_lock",		{MN},		"XXXX XXXX XXXX XX.XX", "XXXX.", "XXXX"},
	{"mmu_lock read",	{MMU_R},	"XXXX XXXX XXXX XX...", "XXXX.", "XXXX"},
	{"mmu_lock write",	{MMU_W},	"XXXX XXXX XXXX XX...", "XXXX.", "XXXX"},
	{"rcu",			{RCU},		"XXXX XXXX ..XX XX...", "XXXX.", ".XXX"},
	{"dist lock",		{VGIC},		"XXXX XXXX XXXX XX.X.", "XXXX.", ".XXX"},
	{"leaf lock",		{LEAF},		"XXXX XXXX XXXX XX.XX", "XXXX.", ".XXX"},
	{"guest mode",		{VCPU0, GUEST},	"XXXX XXXX XXXX XX...", "XXXX.", "..X."},
	/* clang-format on */
};

/* All answers of a row, without the gaps. */
static void answers_of(const struct row *r, char *out)
{
	const char *const parts[] = {r->locks, r->waits, r->calls};

	for (int i = 0; i < 3; i++)
		for (const char *c = parts[i]; *c; c++)
			if (*c != ' ')
				*out++ = *c;
	*out = 0;
}

static const struct row *row;
static enum step column;

static void run_cell(void)
{
	world();
	thread_context.signals_blocked = 1;
	for (const enum step *s = row->steps; *s; s++)
		do_step(*s);
	do_step(column);
}

TEST(I33_what_a_thread_that_holds_a_lock_may_do_next)
{
	unsigned nr = sizeof(columns) / sizeof(columns[0]);

	CHECKED_ONLY();
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char answers[64];

		row = &rows[i];
		answers_of(row, answers);
		EXPECT_EQ(strlen(answers), nr);
		for (unsigned c = 0; c < nr; c++) {
			struct child_result r;
			bool aborted;

			column = columns[c];
			r = child_run(run_cell);
			aborted = WIFSIGNALED(r.status) && WTERMSIG(r.status) == SIGABRT;
			if (aborted != (answers[c] == 'X'))
				TEST_FAIL("%s, column %u: %s", row->held, c,
					  aborted ? r.output : "let through");
			else if (!aborted && r.status)
				TEST_FAIL("%s, column %u: status %x", row->held, c, r.status);
		}
	}
}
