/* SPDX-License-Identifier: MIT */
/*
 * One execution: fibers, the operations they are about to do, and what was done. The search (explore/search) decides who goes on
 * at each point; the reports (explore/report) read the record of an execution that was run again with recording on.
 *
 * A fiber announces its next operation and stops before it. Once chosen it does the operation and all that follows up to its next.
 * So a step is one operation plus the plain code behind it, and the state after a step depends on the steps before only.
 */
#ifndef ANYKVM_EXPLORE_ENGINE_H
#define ANYKVM_EXPLORE_ENGINE_H

#include "anykvm/explore.h"

#define MAX_FIBERS EXPLORE_MAX_FIBERS
#define NO_FIBER   (-1)

enum op_kind {
	OP_NONE, /* the fiber does not exist or has ended */
	OP_BEGIN,
	OP_END,
	OP_LOAD, /* atomics: from the compiler's hooks (heap/atomic.c) */
	OP_STORE,
	OP_RMW,
	OP_MUTEX_LOCK,
	OP_MUTEX_TRYLOCK,
	OP_READ_LOCK,
	OP_WRITE_LOCK,
	OP_UNLOCK, /* recorded, no point: nobody is asked who goes on before it. A point of EXPLORE_TRY locks */
	OP_WAIT,  /* looks at the word and sleeps, or goes on */
	OP_WOKEN, /* goes on after a sleep; also: deadline passed */
	OP_WAKE,
	OP_COND_WAIT, /* releases the mutex and sleeps */
	OP_COND_SIGNAL,
	OP_COND_BROADCAST,
	OP_ENTER,      /* the outermost section of the fiber in that domain only */
	OP_EXIT,       /* recorded, no point */
	OP_SYNC_BEGIN, /* the sections open now are those to wait for */
	OP_SYNC_END,   /* they are gone */
	OP_DEFER,      /* queues a callback; like OP_SYNC_BEGIN */
	OP_CALLBACK, /* its grace period is over: like OP_SYNC_END; the callback's own operations follow */
	OP_BARRIER,	/* the callbacks queued now are those to wait for */
	OP_BARRIER_END, /* they have run */
	OP_REF_GET,
	OP_REF_TRY_GET,
	OP_REF_PUT,
	OP_REF_READ,
	OP_READ, /* explore_read, explore_write */
	OP_WRITE,
	OP_SPIN, /* goes on when something it read was written */
	OP_CREATE,
	OP_JOIN,
	OP_ALLOC,  /* recorded, no point */
	OP_FREE,   /* recorded, no point */
	OP_CHOICE, /* recorded, no point */
	NR_OPS
};

/* How an operation uses its object: decides what commutes. */
enum access {
	ACCESS_NONE,  /* with everything */
	ACCESS_READ,  /* with READ */
	ACCESS_WRITE, /* with nothing */
	ACCESS_GET,   /* a count raised from above 0: with GET */
	ACCESS_ENTER, /* a section begins: with all but SYNC */
	ACCESS_SYNC,  /* a grace period begins: with all but ENTER */
	ACCESS_DEFER, /* like SYNC, and takes a place in the queue of callbacks: not with DEFER, nor with READ of the queue */
	ACCESS_WAIT, /* looks at a word and takes or gives a place in the queue of its sleepers: with READ */
	NR_ACCESS
};

struct op {
	unsigned char kind;   /* enum op_kind */
	unsigned char access; /* enum access */
	bool blocked;	      /* of a pending operation: cannot be done now */
	uint32_t
		object; /* id in this execution's table of objects, 0: none. Ids are the same in executions that agree up to here */
	uintptr_t addr;
	uintptr_t pc;	  /* where it is written: return address in the code under test */
	const char *name; /* verb of READ and WRITE, name of CREATE..., or NULL */
	uint64_t
		key; /* identity of the object that does not depend on the schedule: the same key in all executions */
	uint64_t
		watched; /* of OP_SPIN: the objects that let it go on, a bit for each id modulo 64 */
};

/* Whether doing a then b differs from b then a: same object and not commuting. */
bool op_dependent(const struct op *a, const struct op *b);
const char *op_name(enum op_kind kind); /* "mutex_lock" */

/* Vector clocks count events of each fiber (1 = the first). */
struct clock {
	uint32_t t[MAX_FIBERS];
};
static inline void clock_join(struct clock *a, const struct clock *b)
{
	for (int i = 0; i < MAX_FIBERS; i++)
		a->t[i] = a->t[i] > b->t[i] ? a->t[i] : b->t[i];
}

/* One step that was done (operations without a point are appended to the record, but are no events). */
struct event {
	struct op op;
	int fiber;
	uint32_t index;	  /* of that fiber: 1, 2... */
	uint32_t enabled; /* fibers that could have gone on here: bit mask */
	int before;	  /* the fiber of the event before, NO_FIBER at the first */
	/*
	 * Of the dependence order (not of memory): what came before this event in every order that is equivalent. own[fiber] ==
	 * index. Edges: program order, dependent operations, creation and join, exits before the end of the grace period.
	 */
	struct clock order;
	/*
	 * Events (indices into the trace) that this one races with: dependent, of another fiber, not ordered before it otherwise,
	 * and the two could come the other way round (lock against lock, not against the unlock). Most recent first.
	 */
	uint32_t *race;
	uint32_t nr_races;
};

enum outcome {
	RUN_CLEAN,     /* all threads ended, finish found nothing */
	RUN_ABANDONED, /* the strategy gave up: what follows was or will be seen elsewhere */
	RUN_VIOLATION,
	RUN_LIMIT, /* step limit: a loop that does not end, or a scenario too large */
};

enum violation_kind {
	BAD_ASSERTION, /* explore_fail, BUG, abort */
	BAD_USE_AFTER_FREE,
	BAD_DOUBLE_FREE,
	BAD_WILD_ACCESS, /* beyond an object, SIGSEGV */
	BAD_LEAK,
	BAD_DATA_RACE,
	BAD_DEADLOCK,	 /* with the cycle */
	BAD_LOST_WAKEUP, /* nothing runs, a thread sleeps that nobody can wake */
	BAD_LOCK_ORDER,	 /* an inversion in the order graph, perhaps of other executions */
	BAD_SECTION,	 /* unbalanced, leaked, wrong domain, grace period inside its own section */
	BAD_REFCOUNT,
	BAD_SLEEP,	   /* in atomic context */
	BAD_GUARD,	   /* written without its lock; dereference without section */
	BAD_UNLOCKED_HOOK, /* explore_assert_unlocked */
	BAD_STALE_TRANSLATION,
	BAD_LIVELOCK,
	NR_VIOLATIONS
};
const char *violation_name(enum violation_kind kind); /* "use after free" */

#define MAX_STACK 24
struct site {
	uintptr_t pc[MAX_STACK]; /* innermost first; 0 ends */
	int fiber;
	uint32_t
		step; /* number of events done when it happened; ~0: unknown (before the threads) */
};

/* A line of the wait cycle: fiber waits for object, which holder has (or what must happen). */
struct wait_edge {
	int fiber, holder;
	uint32_t object;
	char text[160];
};

struct violation {
	enum violation_kind kind;
	char message
		[512]; /* one line, no addresses: "struct gmem_file #1 is used after it was freed" */
	struct site site;     /* where it showed */
	struct site other[3]; /* allocation, free, the other access, where the lock was taken */
	const char *other_what[3]; /* "freed by", "allocated by" */
	unsigned nr_others;
	struct wait_edge edge[MAX_FIBERS];
	unsigned nr_edges;
	char object[96];    /* the object's name: type and number */
	uint64_t signature; /* kind, sites, type: the same for the same fault in another order */
};

/* Recording on: one line for each operation, with or without a point. */
struct record {
	struct op op;
	int fiber;
	uint32_t step; /* events done before it */
	struct site site;
	char text[200];	 /* "mutex_lock(slots_lock of struct vm #1)", with its outcome: "= 0" */
	char plan[120];	 /* explore_step of the fiber, "" if none */
	char holds[240]; /* locks and sections it holds after it: "slots_lock, srcu(vm #1)" */
	uint32_t object;
	bool shared; /* the object was used by another fiber as well (known at the end) */
};

struct point {
	uint32_t step;		  /* number of events so far */
	int current;		  /* fiber of the last event, NO_FIBER at the first */
	uint32_t enabled;	  /* bit mask of fibers that can go on; never 0 */
	const struct op *pending; /* [MAX_FIBERS] */
};

/* Who decides. One for each search; the engine calls back from the fibers' stacks: no recursion into the engine. */
struct strategy {
	/* The fiber that goes on; NO_FIBER abandons the execution. */
	int (*pick)(struct strategy *s, const struct point *p);
	/* 0..n - 1. fault: others than 0 count against the scenario's faults (the engine asks only while some are left). */
	unsigned (*choose)(struct strategy *s, unsigned n, bool fault, const char *what);
	bool wants_order; /* events carry order and races */
	/*
	 * Set in pick: the execution at hand may be gone back to here, before the fiber is chosen. Checkpoints are numbered from 0 in
	 * the order of the execution; the next to be made is engine_checkpoints().
	 */
	bool checkpoint;
};

struct execution {
	enum outcome outcome;
	struct violation violation;
	struct event *event;
	uint32_t nr_events;
	uint32_t
		nr_blocked; /* behind them: what daemons never came to do, for its races (wants_order) */
	/* recording only */
	struct record *record;
	uint32_t nr_records;
	uint64_t steps_hash; /* of all events: two runs of one schedule must agree */
	uint64_t
		class_hash; /* of the dependence order (wants_order): equal for equivalent executions; counts classes */
	uint32_t switches; /* changes of fiber while the old one could have gone on */
	char fiber_name[MAX_FIBERS][48];
	int nr_fibers; /* 1 + the highest fiber used; fiber 0 is setup and finish */
	const struct explore_scenario *scenario;
};

struct engine_limits {
	uint32_t steps; /* of one execution: default 20000 */
};

/* Once for each process. */
void engine_init(const struct explore_suite *suite);
/* Runs one execution. x is the engine's and valid until the next. record: fill in x->record. */
const struct execution *engine_run(const struct explore_scenario *s, struct strategy *strategy,
				   const struct engine_limits *limits, bool record);

/*
 * The next engine_run of s with the same strategy goes on from that checkpoint, with those before it; pick is asked first. False: it is
 * not there any more, the execution will begin with its setup. Whoever makes checkpoints must ask before each execution.
 */
bool engine_resume(const struct explore_scenario *s, const struct strategy *strategy,
		   unsigned checkpoint);
/* How many there are. */
unsigned engine_checkpoints(void);

/* The order graph of lock classes lives as long as the process; merged between workers as text lines "A<TAB>B<TAB>where". */
size_t engine_lock_order_export(char *buf, size_t size);
/* As when the process began, for executions that are to find the same whatever ran before. */
void engine_lock_order_forget(void);

/* The code under test called abort() or its like: ends the execution. */
__attribute__((noreturn)) void engine_aborted(const char *text);

/*
 * ---- between the parts of the engine (engine/, heap/) ----
 */

struct fiber {
	int id;
	char name[48];
	/* Happens-before of memory: for races. Own component: raised after each release, so that later accesses are told apart. */
	struct clock sync;
	struct clock order; /* dependence order */
	uint32_t nr_events;
	uint32_t depth;
	unsigned in_runtime; /* hooks do nothing while the explorer itself runs on this fiber */
	/* private to engine/ below */
	struct fiber_private *p;
	/* shadow call stack, from __tsan_func_entry */
	uintptr_t call[128];
};
/* The fiber that runs; fiber 0 in setup and finish; never NULL during an execution. */
extern struct fiber *engine_current;
/* During an execution and threads run: operations are points. */
extern bool engine_concurrent;

/*
 * The one door: announces op, lets the strategy choose, and returns when op is to be done, with an event made for it. enabled is asked
 * again and again while it is pending (must not change state); NULL: always enabled. Outside concurrent phases it returns at
 * once, and a blocked operation is a violation.
 */
void engine_point(struct op *op, bool (*enabled)(const struct op *op, struct fiber *f, void *arg),
		  void *arg);
/* Recorded operations without a point. */
void engine_record(const struct op *op);
/* This execution is recorded. */
extern bool engine_recording;
static inline void engine_note(const struct op *op)
{
	if (engine_recording)
		engine_record(op);
}
/* Ends the execution; v is copied. Does not return. site is filled in from the running fiber if its pc[0] is 0. */
__attribute__((noreturn)) void engine_violation(struct violation *v);
__attribute__((noreturn, format(printf, 2, 3))) void engine_violation_text(enum violation_kind kind,
									   const char *fmt, ...);
/* The event that is being done, as in struct site. */
uint32_t engine_step(void);
/* The call stack of f now, with pc as innermost (0: none). */
void engine_site(const struct fiber *f, uintptr_t pc, struct site *out);
/* Appends to the text of the running fiber's last record ("= -ENOENT"); nothing without recording. */
__attribute__((format(printf, 1, 2))) void engine_record_outcome(const char *fmt, ...);
/* Arguments are looked at with recording only. */
#define engine_outcome(...)                                 \
	do {                                                \
		if (engine_recording)                       \
			engine_record_outcome(__VA_ARGS__); \
	} while (0)

/* Objects: anything an operation names. Found by address; the heap forgets those in memory that is freed. */
struct object {
	uint32_t id;
	uintptr_t addr;
	uint64_t key;
	struct clock sync; /* release clock */
	const char *class_name;
	void *state; /* of lock, section: engine/ */
};
struct object *engine_object(const void *addr);
/* NULL: no operation named it yet. */
struct object *engine_find_object(const void *addr);
/* The block of that object and of those that heap_name() told of is freed. */
void engine_objects_freed(uint32_t first);
/* "mmu_lock of struct vm #1", "struct gmem_file #2+0x18", "process+0x40". */
void engine_describe(uintptr_t addr, char *buf, size_t size);

/* heap/: the arena, its shadow, the compiler's hooks, races. */
void heap_init(const struct explore_suite *suite);
/* Its addresses, from heap_init on. */
#define HEAP_SIZE ((uintptr_t)MAX_FIBERS << 28)
extern uintptr_t heap_start;
void heap_begin(const struct explore_scenario *s); /* rewinds */
/* Hashes of all that an execution depends on: to check that a return to a checkpoint forgets nothing. */
enum {
	DIGEST_MEMORY,
	DIGEST_REGIONS,
	DIGEST_BLOCKS,
	DIGEST_SHADOW,
	DIGEST_OBJECTS,
	DIGEST_POOL,
	NR_DIGESTS
};
struct digest {
	uint64_t part[NR_DIGESTS];
};
void heap_digest(struct digest *d);
/* Checkpoints (engine/checkpoint.c): what is to be kept by copying, and around the return to one. */
bool heap_can_resume(void);
void heap_keep(void (*keep)(void *p, size_t size));
void heap_keep_fiber(const struct fiber *f, void (*keep)(void *p, size_t size));
void heap_resume(const struct explore_scenario *s);
void heap_resumed(void);
/* explore_alloc, asked for at pc. */
void *heap_alloc(size_t size, size_t align, const char *type, bool fallible, uintptr_t pc);
/* Violation or return: what is left alive at the end. */
void heap_check_leaks(void);
/* Violation if [addr, addr + size) is freed or beyond an object of the heap. Also by primitives, for their object. */
void heap_check_access(uintptr_t addr, size_t size, bool write, uintptr_t pc);
/* The same for a plain store of the code under test: may race. */
void heap_check_plain_write(uintptr_t addr, size_t size, uintptr_t pc);
/* "struct vm #1+0x20" and a key that does not depend on the schedule; false if addr is not in the heap. */
bool heap_describe(uintptr_t addr, char *buf, size_t size);
uint64_t heap_key(uintptr_t addr);
/* The same for an address that becomes that object's. *next: another one in the same block, 0: none. */
uint64_t heap_name(uintptr_t addr, uint32_t object, uint32_t *next);
/* The last reference to the object is gone: its fields need no guard until another fiber uses it. */
void heap_own(uintptr_t addr);

#endif
