/* SPDX-License-Identifier: MIT */
/*
 * Makes random programs. None can fail: locks are taken in one order and released, sections end, grace periods are waited for outside of
 * sections and locks, a thread awaits only threads before it, which signal in any case, and never with a lock held.
 */
#include "random.h"

#include <stdio.h>
#include <string.h>

static uint64_t state;

static unsigned below(unsigned n)
{
	state += 0x9e3779b97f4a7c15ull;
	uint64_t z = state;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return (unsigned)((z ^ (z >> 31)) >> 33) % n;
}

/* What a thread is in while its program is made. */
struct making {
	unsigned thread, nr, left;
	unsigned held[3], nr_held; /* operations that undo what was taken, innermost last */
	unsigned undo_object[3];
	bool lock[2], rwlock, section;
};

static void emit(struct making *m, unsigned op, unsigned object)
{
	random_program.step[m->thread][m->nr].op = op;
	random_program.step[m->thread][m->nr++].object = object;
}

static void take(struct making *m, unsigned op, unsigned undo, unsigned object)
{
	emit(m, op, object);
	m->held[m->nr_held] = undo;
	m->undo_object[m->nr_held++] = object;
}

static void undo(struct making *m)
{
	unsigned op = m->held[--m->nr_held], object = m->undo_object[m->nr_held];

	emit(m, op, object);
	if (op == RANDOM_UNLOCK)
		m->lock[object] = false;
	else if (op == RANDOM_READ_UNLOCK)
		m->rwlock = false;
	else
		m->section = false;
}

/* Locks by rank: 0, 1, the reader-writer lock; a section outermost or innermost. False if it is not possible here. */
static bool try_take(struct making *m, unsigned op, unsigned object)
{
	if (m->nr_held == 2)
		return false;
	if (op == RANDOM_ENTER) {
		if (m->section)
			return false;
		m->section = true;
		take(m, op, RANDOM_EXIT, 0);
		return true;
	}
	/* A section held on the way into a lock and the wait for it under that lock would be a cycle: the wait is outside of locks. */
	if (op == RANDOM_LOCK) {
		if (m->lock[object] || m->lock[1] || m->rwlock)
			return false;
		m->lock[object] = true;
		take(m, op, RANDOM_UNLOCK, object);
		return true;
	}
	if (m->rwlock)
		return false;
	m->rwlock = true;
	take(m, op, RANDOM_READ_UNLOCK, 0);
	return true;
}

static bool possible(const struct making *m, unsigned op, unsigned object)
{
	if (op == RANDOM_SYNC || op == RANDOM_DEFER || op == RANDOM_DOZE)
		return !m->nr_held;
	if (op == RANDOM_AWAIT)
		return m->thread && !m->nr_held;
	if (op == RANDOM_TRY_LOCK)
		return !m->lock[object];
	return op != RANDOM_SIGNAL;
}

static void make_thread(unsigned thread, unsigned ops)
{
	struct making m = {.thread = thread};
	unsigned signal_at = thread + 1 < random_program.nr_threads ? below(ops) : ~0u;

	for (unsigned i = 0; i < ops; i++) {
		unsigned op = 1 + below(NR_RANDOM_OPS - 1), object = below(2);

		if (i == signal_at)
			emit(&m, RANDOM_SIGNAL, thread);
		if (m.nr_held && !below(3)) {
			undo(&m);
			continue;
		}
		if (op == RANDOM_LOCK || op == RANDOM_READ_LOCK || op == RANDOM_ENTER) {
			if (try_take(&m, op, object))
				continue;
			op = RANDOM_ADD;
		}
		if (op == RANDOM_UNLOCK || op == RANDOM_READ_UNLOCK || op == RANDOM_EXIT ||
		    !possible(&m, op, object))
			op = RANDOM_LOAD + below(4);
		emit(&m, op, op == RANDOM_AWAIT ? below(thread) : object);
	}
	while (m.nr_held)
		undo(&m);
}

void random_make(uint64_t seed, unsigned ops)
{
	state = seed * 0x2545f4914f6cdd1dull + 1;
	memset(&random_program, 0, sizeof(random_program));
	random_program.nr_threads = 2 + below(2);
	/* Begin and end of a thread that does nothing would be interleaved as well. */
	random_scenario.thread[2].fn = random_program.nr_threads == 3 ? random_third : NULL;
	for (unsigned t = 0; t < random_program.nr_threads; t++)
		make_thread(t, 1 + below(random_program.nr_threads == 2 ? ops : ops - 2));
}

void random_print(void)
{
	static const char *const name[NR_RANDOM_OPS] = {
		"",	  "load",     "store",	     "add",	  "exchange",
		"lock",	  "try-lock", "unlock",	     "read-lock", "read-unlock",
		"enter",  "exit",     "synchronize", "defer",	  "signal",
		"await",  "get-put",  "try-put",     "read",	  "write",
		"notify", "ticket",   "doze"};

	for (unsigned t = 0; t < random_program.nr_threads; t++) {
		printf("# thread %u:", t);
		for (unsigned i = 0; i < RANDOM_OPS && random_program.step[t][i].op; i++)
			printf(" %s(%u)", name[random_program.step[t][i].op],
			       random_program.step[t][i].object);
		printf("\n");
	}
}
