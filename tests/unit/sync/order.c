/* SPDX-License-Identifier: MIT */
/*
 * I-33: the whole lock-order table. A row is what a thread holds, a column what it does next: '.' is let through, 'X' aborts. Who
 * changes the checker changes this table, on purpose.
 */
#include <fcntl.h>
#include <setjmp.h>

#include "plan.h"
#include "sync/process_sync.h"

static const enum step columns[] = {
	VM_LIST,   VM,	      VCPU0,	    CONFIG,   SLOTS,	     INVAL,
	IRQ,	   ITS_CMD,   ITS,	    ARCH,     MN_SRCU,	     SRCU,
	PAGE,	   MN,	      MMU_R,	    MMU_W,    RCU,	     VGIC,
	LEAF,	   SYNC_SRCU, SYNC_MN_SRCU, SYNC_RCU, SLEEP_BOUNDED, SLEEP_ATOMIC,
	MAY_BLOCK, MAY_SLEEP, RELEASE_HOOK, GUEST};

static const struct row {
	const char *held;
	enum step steps[4];
	const char *locks, *waits, *calls; /* the answers for three groups of columns */
} rows[] = {
	/* clang-format off */
	/*				 vm_list, vm, vcpu, config,	slots, inval, irq, its_cmd, its, slots_arch,	mn_srcu, srcu, page, mn,	mmu r, w, rcu, dist, leaf */
	/*				 then waits: srcu, mn_srcu, rcu, a word, acknowledgements; then: block, sleep, release hook, guest */
	{"nothing",		{END},		".... ... .. . .... .....", ".....", "...."},
	{"vm_list_lock",	{VM_LIST},	"XXXX XXX XX X ..XX XX.XX", "XX...", "..XX"},
	{"vm->lock",		{VM},		"XX.. ... .. . .... .....", ".X...", "..XX"},
	{"vcpu->mutex",		{VCPU0},	"XXX. ... .. . .... .....", ".X...", "..X."},
	{"config_lock",		{CONFIG},	"XXXX ... .. . .... .....", "XX...", "..XX"},
	{"slots_lock",		{SLOTS},	"XXXX X.. .. . X... .....", ".X...", "..XX"},
	{"inval_lock",		{INVAL},	"XXXX XX. .. . .... .....", "XXX..", "..XX"},
	{"irq_lock",		{IRQ},		"XXXX XXX .. . .... .....", "XX...", "..XX"},
	{"its->cmd_lock",	{ITS_CMD},	"XXXX XXX X. . .... .....", "XX...", "..XX"},
	{"its_lock",		{ITS},		"XXXX XXX XX . .... .....", "XX...", "..XX"},
	{"slots, slots_arch",	{SLOTS, ARCH},	"XXXX XXX XX X X... .....", "XXX..", "..XX"},
	{"mn_srcu",		{MN_SRCU},	"XXXX XXX XX X .... .....", "XX...", "..XX"},
	{"srcu",		{SRCU},		"XXXX XXX XX . .... .....", "XX...", "..XX"},
	{"page lock",		{PAGE},		"XXXX XXX XX X X.X. .....", "XXXX.", "..XX"},
	{"mn_lock",		{MN},		"XXXX XXX XX X XXXX XX.XX", "XXXX.", "XXXX"},
	{"mmu_lock read",	{MMU_R},	"XXXX XXX XX X XXXX XX...", "XXXX.", "XXXX"},
	{"mmu_lock write",	{MMU_W},	"XXXX XXX XX X XXXX XX...", "XXXX.", "XXXX"},
	{"rcu",			{RCU},		"XXXX XXX XX X ..XX XX...", "XXXX.", ".XXX"},
	{"dist lock",		{VGIC},		"XXXX XXX XX X XXXX XX.X.", "XXXX.", ".XXX"},
	{"leaf lock",		{LEAF},		"XXXX XXX XX X XXXX XX.XX", "XXXX.", ".XXX"},
	{"guest mode",		{VCPU0, GUEST},	"XXXX XXX XX X XXXX XX...", "XXXX.", "..X."},
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

static sigjmp_buf out_of_abort;

static void on_abort(int signo)
{
	siglongjmp(out_of_abort, 1);
}

/* A thread that holds nothing, and locks that nobody ever took. */
static void start_anew(void)
{
	sync_tls = (struct sync_tls){.self = thread_current()};
	a64_store(&sync_tls.self->rcu_epoch, 0);
	thread_context = (struct thread_context){.signals_blocked = 1};
	world_made = false;
	world();
}

/* True if the process would have ended. Not in a child of its own: there are hundreds, and TSan takes its time for each. */
static bool aborts(const struct row *row, enum step column)
{
	if (sigsetjmp(out_of_abort, 1))
		return true;
	start_anew();
	for (const enum step *s = row->steps; *s; s++)
		do_step(*s);
	do_step(column);
	return false;
}

TEST(I33_what_a_thread_that_holds_a_lock_may_do_next)
{
	unsigned nr = sizeof(columns) / sizeof(columns[0]);
	struct sigaction act = {.sa_handler = on_abort}, old;
	int err, null;

	CHECKED_ONLY();
	err = dup(2);
	null = open("/dev/null", O_WRONLY);
	sigaction(SIGABRT, &act, &old);
	/* What it says is looked at in misuse.c. */
	dup2(null, 2);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char answers[64];

		answers_of(&rows[i], answers);
		EXPECT_EQ(strlen(answers), nr);
		for (unsigned c = 0; c < nr; c++) {
			bool aborted = aborts(&rows[i], columns[c]);

			if (aborted != (answers[c] == 'X'))
				TEST_FAIL("%s, column %u: %s", rows[i].held, c,
					  aborted ? "aborts" : "let through");
		}
	}
	dup2(err, 2);
	close(err);
	close(null);
	sigaction(SIGABRT, &old, NULL);
	start_anew();
}
