/* SPDX-License-Identifier: MIT */
/* How often each request was made and how long it took, and how KVM_RUN ended: a table at the end of the process. */
#include <string.h>
#include <sys/syscall.h>

#include "base/raw.h"
#include "observe.h"

#define ROWS	    128 /* more than there are requests; a power of two */
#define EXITS	    64	/* reasons, and the two below */
#define EXIT_EINTR  62
#define EXIT_FAILED 63

struct row {
	const char *name; /* set once; NULL: free */
	uint64_t calls, failures, ns, longest_ns;
};

static struct row rows[ROWS];
static uint64_t exits[EXITS];

static void add(uint64_t *counter, uint64_t n)
{
	__atomic_add_fetch(counter, n, __ATOMIC_RELAXED);
}

/* Names are constants, but one may have several addresses; those of unknown requests are gathered. */
static struct row *row_of(const struct observed *o)
{
	const char *name = o->name == o->name_buffer ? "other requests" : o->name;

	for (unsigned i = 0; i < ROWS; i++) {
		const char *known = __atomic_load_n(&rows[i].name, __ATOMIC_ACQUIRE);

		if (!known && __atomic_compare_exchange_n(&rows[i].name, &known, name, false,
							  __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			return &rows[i];
		if (!strcmp(known, name))
			return &rows[i];
	}
	return NULL;
}

static void count_exit(const struct observed *o)
{
	struct kvm_run run;

	if (run_ended(o, &run))
		add(&exits[run.exit_reason < EXIT_EINTR ? run.exit_reason : KVM_EXIT_UNKNOWN], 1);
	else if (o->error)
		add(&exits[o->error == EINTR ? EXIT_EINTR : EXIT_FAILED], 1);
}

void stats_forked(void)
{
	memset(rows, 0, sizeof(rows));
	memset(exits, 0, sizeof(exits));
}

void stats_count(const struct observed *o)
{
	uint64_t ns = o->end_ns - o->start_ns, longest;
	struct row *row = row_of(o);

	if (o->kind == ANYKVM_FD_VCPU && o->request == KVM_RUN)
		count_exit(o);
	if (!row)
		return;
	add(&row->calls, 1);
	add(&row->failures, o->error != 0);
	add(&row->ns, ns);
	longest = __atomic_load_n(&row->longest_ns, __ATOMIC_RELAXED);
	while (ns > longest && !__atomic_compare_exchange_n(&row->longest_ns, &longest, ns, false,
							    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

/* The longest first. Not by qsort, which may allocate: _exit is called in signal handlers, too. */
static void sort_rows(unsigned nr)
{
	for (unsigned i = 1; i < nr; i++) {
		struct row r = rows[i];
		unsigned at = i;

		for (; at && rows[at - 1].ns < r.ns; at--)
			rows[at] = rows[at - 1];
		rows[at] = r;
	}
}

static void print_rows(unsigned nr)
{
	struct line l;

	l.n = 0;
	line_add(&l, "%-32s %10s %8s %12s %12s %12s", "call", "calls", "failed", "total us",
		 "mean us", "longest us");
	line_write(&l);
	for (unsigned i = 0; i < nr; i++) {
		const struct row *r = &rows[i];

		l.n = 0;
		line_add(&l, "%-32s %10llu %8llu %12.1f %12.3f %12.1f", r->name,
			 (unsigned long long)r->calls, (unsigned long long)r->failures, r->ns / 1e3,
			 r->calls ? r->ns / 1e3 / r->calls : 0, r->longest_ns / 1e3);
		line_write(&l);
	}
}

static void print_exit(const char *name, uint64_t n, bool *headed)
{
	struct line l = {.n = 0};

	if (!n)
		return;
	if (!*headed) {
		*headed = true;
		line_add(&l, "%-32s %10s", "end of KVM_RUN", "times");
		line_write(&l);
		l.n = 0;
	}
	line_add(&l, "%-32s %10llu", name, (unsigned long long)n);
	line_write(&l);
}

void stats_finish(void)
{
	struct line l = {.n = 0};
	bool headed = false;
	unsigned nr = 0;
	char name[40];

	while (nr < ROWS && rows[nr].name)
		nr++;
	line_add(&l, "anykvm stats of process %ld", raw_syscall(SYS_getpid));
	line_write(&l);
	sort_rows(nr);
	print_rows(nr);
	for (unsigned i = 0; i < EXIT_EINTR; i++) {
		snprintf(name, sizeof(name), "KVM_EXIT_%s", exit_reason_name(i));
		print_exit(name, exits[i], &headed);
	}
	print_exit("EINTR", exits[EXIT_EINTR], &headed);
	print_exit("another error", exits[EXIT_FAILED], &headed);
}
