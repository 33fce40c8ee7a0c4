/* SPDX-License-Identifier: MIT */
/* What the files of the engine share. */
#ifndef ANYKVM_EXPLORE_ENGINE_INTERNAL_H
#define ANYKVM_EXPLORE_ENGINE_INTERNAL_H

#include <stdarg.h>
#include <string.h>

#include "engine/engine.h"
#include "engine/undo.h"

#define PC	  ((uintptr_t)__builtin_return_address(0))
#define NO_EVENT  (~0u)
#define MAX_HELD  48
#define MAX_WATCH 16
/* Events that one can race with: of each other fiber one for each access it does not commute with. */
#define MAX_CANDIDATES	128
#define BIT(i)		(1u << (i))
#define ARRAY_LENGTH(a) (sizeof(a) / sizeof((a)[0]))

enum mode { MODE_READ, MODE_WRITE };

/*
 * An object that operations name. born: first use of its address in an execution. found by: its address. freed: with its memory, or all
 * at once by the next execution. Its number stays its own.
 */
struct thing {
	struct object o;    /* first: engine_object returns its address */
	uint32_t next;	    /* of the same word, or bucket of the hash; 0: last */
	uint32_t neighbour; /* in the same block of the heap; 0: last */
	uint32_t epoch;	    /* in which it was saved last, with its lock and domain */
	bool freed;	    /* with its memory */
	uint16_t watchers;  /* fibers that read it and are to know of its next change */
	uint16_t users;	    /* fibers that had an operation on it while threads ran */
	uint32_t
		unlocked; /* event of the last unlock of an EXPLORE_TRY lock, NO_EVENT: none since it was locked */
	const char *name; /* explore_name */
	struct lock *lock;
	struct domain *domain;
	uint16_t mask[NR_ACCESS]; /* fibers with a last event of that access that still matters */
	struct latest *latest;	  /* with wants_order */
};

/* Of an object: the last event of each access by each fiber. By itself, as most searches do not look at it. */
struct latest {
	uint32_t at[NR_ACCESS][MAX_FIBERS];
};

struct lock {
	unsigned flags;
	unsigned class;
	int owner;	  /* fiber, NO_FIBER */
	uint16_t readers; /* fibers; one that reads twice holds it once more in its list */
	struct clock write_order,
		read_order;	/* dependence order: released by writers, by readers */
	struct clock read_sync; /* memory: released by readers; writers release to the object's */
};

/* A grace period that somebody waits for. */
struct grace {
	struct grace *next;	  /* of its domain, while readers are left */
	uint16_t readers;	  /* fibers that were inside and still are */
	struct clock order, sync; /* of the exits so far */
};

/* A deferred call. born: explore_defer. ended: when it has run; who waits for it may still look at it. */
struct callback {
	struct callback *next;
	void (*fn)(void *arg);
	void *arg;
	bool done;
	struct grace grace;
	struct clock order,
		sync; /* of the fiber that queued it; when done, of the one that ran it */
};

struct domain {
	unsigned flags;
	unsigned class, callback_class;
	uint16_t readers;
	struct clock exit_order, exit_sync; /* all exits so far */
	struct clock begin_sync;	    /* published before grace periods that began */
	struct grace *grace;
	struct callback *first;	 /* queued or running */
	struct callback *latest; /* queued last, perhaps done */
	int fiber;		 /* that runs callbacks: NO_FIBER until its number is reserved */
	bool started;
};

struct held {
	struct thing *t;
	unsigned char mode;
	bool section;
	unsigned class;
	unsigned nest; /* of a section */
	uintptr_t pc;
	uint32_t step;
};

enum sleep {
	SLEEP_NONE,
	SLEEP_WORD,
	SLEEP_COND,
	SLEEP_WOKEN, /* and has not gone on yet */
};

struct fiber_private {
	void *sp;    /* while another fiber runs */
	char *stack; /* lowest usable byte */
	char *local; /* copy of the per-thread state while another fiber runs */
	void (*fn)(void *arg);
	void *arg;
	bool daemon, ended;
	unsigned nr_held;
	unsigned atomic; /* held locks and sections that forbid to sleep */
	enum sleep sleep;
	struct thing *sleeps_on;
	uint64_t ticket; /* order of going to sleep */
	uint64_t deadline;
	struct clock wake_order, wake_sync;
	struct grace *grace;	    /* that it waits for */
	struct callback *barrier;   /* that must be done */
	struct domain *callback_of; /* whose callback it runs */
	int joins;
	unsigned nr_watch;
	bool watch_full; /* it read more than that */
	uint32_t choices;
	uint32_t record; /* its last one; NO_EVENT */
	struct watch {
		struct thing *t;
		uint32_t changed; /* by which event, NO_EVENT: not since */
	} watch[MAX_WATCH];	  /* what it read since its last operation of another kind */
	struct held held[MAX_HELD];
	char plan[120]; /* recording only */
};

typedef bool enabled_fn(const struct op *op, struct fiber *f, void *arg);

struct engine {
	const struct explore_suite *suite;
	const struct explore_scenario *scenario;
	struct strategy *strategy;
	struct fiber fiber[MAX_FIBERS];
	struct fiber_private priv[MAX_FIBERS];
	/* Pending operations: what a fiber is about to do. */
	struct op pending[MAX_FIBERS];
	enabled_fn *check[MAX_FIBERS];
	void *check_arg[MAX_FIBERS];
	struct thing *about[MAX_FIBERS];
	/* What an execution changes. */
	struct {
		uint32_t always,
			asked; /* fibers with a pending operation that is always enabled, that must be asked */
		int nr_fibers, next_fiber;
		uint32_t serial_steps;
		int last; /* fiber of the last event */
		unsigned faults_left;
		unsigned callbacks; /* queued or running */
		uint64_t clock;
		struct clock clock_order; /* what was done before time last moved */
		uint64_t tickets;
		size_t nr_races;
	} now;
	uint32_t step_limit;
	bool wants_order;
	bool running; /* an execution */
	bool asks;    /* the fiber has gone to the main stack for a checkpoint, not for the end */
	bool resumed; /* what returns from there does so in another execution */
	void *main_sp;
	struct execution x;
	uint32_t *races; /* storage of the events' lists: MAX_CANDIDATES for each event */
	uint32_t max_events, max_records;
};
extern struct engine engine;

/* t, its lock or its domain is about to change. */
void thing_save(struct thing *t);
static inline void thing_change(struct thing *t)
{
	if (t->epoch != undo.epoch)
		thing_save(t);
}

/* ---- fiber.c ---- */
void fibers_init(void);
void fibers_reset(void);
/* A fiber with the number id that begins with fn(arg) when first switched to. */
struct fiber *fiber_new(int id, const char *name, void (*fn)(void *arg), void *arg, bool daemon);
/* The next free number; a violation if there is none. */
int fiber_reserve(void);
/* Goes on with another fiber; returns when somebody switches back. */
void fiber_switch(struct fiber *to);
/* From the main stack into the running fiber; returns when the execution is over. */
void fibers_enter(void);
/* On a fiber: to the main stack, for a checkpoint. Returns false then, and true for each return to it. */
bool fibers_ask(void);
/* Those with the numbers from..to - 1 are not born yet. */
void fibers_forget(int from, int to);
void fibers_keep(void (*keep)(void *p, size_t size));
__attribute__((noreturn)) void fibers_leave(enum outcome outcome);
/* The number of the fiber on whose stack addr is, NO_FIBER. *offset: from its top. */
int fiber_of_stack(uintptr_t addr, size_t *offset);

/* ---- signals.c ---- */
void signals_init(void);

/* ---- object.c ---- */
void objects_init(void);
void objects_reset(void);
void objects_keep(void (*keep)(void *p, size_t size));
void objects_digest(struct digest *d);
struct thing *thing_of(const void *addr);
struct thing *thing_at(uint32_t id);
/* The number of the object at addr, 0 if no operation named it yet. */
uint32_t thing_find(uintptr_t addr);
/* Zeroed memory until the execution ends. */
void *pool_alloc(size_t size);
char *pool_format(const char *fmt, va_list ap);
void thing_describe(const struct thing *t, char *buf, size_t size);

/* ---- point.c ---- */
/* A pending operation of a fiber that is not running. */
void point_set(struct fiber *f, const struct op *op, enabled_fn *check, void *arg);
/* The running fiber has ended: others go on. */
__attribute__((noreturn)) void point_end(void);
/* The threads run until all have ended; on fiber 0. */
void point_threads(void);
struct op op_make(enum op_kind kind, enum access access, const void *addr, uintptr_t pc);
/* Announces and does it, after the check that its object still exists. */
struct thing *op_do(struct op op, enabled_fn *check, void *arg);
/* The same on t, which is thing_of(op.addr). Returns t. */
struct thing *op_do_on(struct thing *t, struct op op, enabled_fn *check, void *arg);

/* ---- order.c ---- */
void order_event(struct fiber *f, struct event *e, struct thing *t);
/* The same for an operation that is never done: only its races. */
void order_blocked(struct fiber *f, struct event *e, struct thing *t);
void order_release(struct fiber *f,
		   struct clock *c); /* memory: what f did is seen by who acquires c */
void order_acquire(struct fiber *f, const struct clock *c);
uint32_t access_conflicts(enum access a); /* bit mask */
static inline uint64_t hash_mix(uint64_t a, uint64_t b)
{
	a = (a ^ b ^ 0x9e3779b97f4a7c15ull) * 0xff51afd7ed558ccdull;
	a ^= a >> 32;
	a *= 0xc4ceb9fe1a85ec53ull;
	return a ^ a >> 29;
}

/* ---- lock.c, class.c ---- */
bool lock_is_free(const struct lock *l, enum op_kind kind, int fiber);
struct lock *lock_of(struct thing *t);
/* Before lock_release: the operation of unlocking, if it is one. */
bool lock_unlock_point(struct thing *t, uintptr_t pc);
void lock_release(struct fiber *f, struct thing *t, uintptr_t pc);
void lock_take(struct fiber *f, struct thing *t, enum mode mode, uintptr_t pc);
struct held *held_find(struct fiber *f, const struct thing *t);
void held_push(struct fiber *f, struct thing *t, enum mode mode, bool section, unsigned class,
	       uintptr_t pc);
void held_drop(struct fiber *f, struct held *h);
/* A violation if f must not sleep. */
void held_check_sleep(struct fiber *f, const char *what, uintptr_t pc);
/* "slots_lock, srcu of vm #1" */
void held_format(const struct fiber *f, char *buf, size_t size);
unsigned class_intern(const char *name, unsigned flags);
const char *class_name(unsigned class);
/* class is acquired by f with what it holds: a violation if that closes a cycle. */
void class_acquire(struct fiber *f, unsigned class, enum mode mode, struct thing *t, uintptr_t pc);
bool thing_in_use(const struct thing *t, char *why, size_t size);

/* ---- wait.c ---- */
bool sleeper_may_go(const struct fiber *f);

/* ---- section.c ---- */
struct domain *domain_of(struct thing *t);
void grace_begin(struct fiber *f, struct domain *d, struct grace *g);
/* A violation if f is inside: it would wait for itself. */
void section_check_outside(struct fiber *f, struct thing *t, const char *what, uintptr_t pc);

/* ---- callback.c ---- */
/* Waits, on fiber 0, until no callback is queued. */
void callbacks_drain(void);

/* ---- thread.c ---- */
void thread_born(struct fiber *f, struct fiber *parent);
/* The operation of taking the next number for a fiber: two of them do not commute. */
void thread_number_point(const char *name, uintptr_t pc);
/* A violation if it leaves a lock or section behind. */
void thread_check_end(struct fiber *f);

/* ---- deadlock.c ---- */
__attribute__((noreturn)) void deadlock_report(void);

/* ---- violation.c ---- */
__attribute__((noreturn, format(printf, 3, 4))) void
violation_at(enum violation_kind kind, uintptr_t pc, const char *fmt, ...);
void violation_add_site(struct violation *v, const char *what, const struct held *h, int fiber);

/* ---- checkpoint.c ---- */
void checkpoints_init(void);
/* The execution does not go on from one: there are none any more. */
void checkpoints_drop(void);
/* Back to the one that engine_resume chose; false: none. */
bool checkpoint_return(void);
/* On the main stack: makes one of the state at hand. */
void checkpoint_make(void);

/* ---- record.c ---- */
void record_add(struct fiber *f, const struct op *op);
void record_holds(struct fiber *f);
void record_finish(void);

#endif
