/* SPDX-License-Identifier: MIT */
/*
 * The schedule explorer: runs a scenario of a few threads over real C code again and again, each time in another order, until
 * every order that can make a difference was seen or one is found that breaks a rule.
 *
 * The code under test is compiled with -fsanitize=thread (the code generation only: libtsan is not linked) and calls the
 * primitives below where it would lock, sleep, publish or free. Its threads are fibers of one process thread: one runs at a time,
 * and control changes hands only before a visible operation (a primitive, an atomic access). Plain loads and stores are watched:
 * for memory that is gone and for data races.
 *
 * Nothing here is thread-safe in the usual sense: one process explores one execution at a time.
 */
#ifndef ANYKVM_EXPLORE_H
#define ANYKVM_EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Threads of a scenario. With callbacks and threads that the code starts itself an execution has at most EXPLORE_MAX_FIBERS. */
#define EXPLORE_MAX_THREADS 6
#define EXPLORE_MAX_FIBERS  16

enum {
	EXPLORE_REUSE =
		1, /* freed memory may be handed out again at once: a choice at each allocation that could */
	EXPLORE_LEAKS_ALLOWED = 2, /* what is left at the end is no leak */
};

struct explore_thread {
	const char *name; /* head of its column: "vCPU", "close(gmem)" */
	void (*fn)(void);
};

struct explore_scenario {
	const char *name;     /* "gmem-dying-file" */
	const char *summary;  /* one line: who races whom */
	const char *property; /* what holds in every order */
	const char *source;   /* where the race comes from: a discussion, a comment, a commit */
	/* Comma-separated patches of tests/mutants/ (no suffix) that break it: run --mutant NAME finds each. NULL: none. */
	const char *mutants;
	void (*setup)(
		void); /* alone, before the threads: its operations are executed, not explored */
	struct explore_thread thread[EXPLORE_MAX_THREADS]; /* up to the first without fn */
	void (*finish)(
		void); /* alone, after the threads, callbacks run; may fail by explore_fail. Everything must be freed after it. */
	unsigned
		faults; /* choices other than the first (failed allocations, signals...) that one execution may take: default 0 */
	unsigned flags;
};

/* Memory that is part of a program's state outside the explorer's heap. Restored to what it was at start before each execution. */
struct explore_region {
	void *start;
	size_t size;
};

/*
 * A field that may be written only under a lock once a second thread has seen its object, or the part of it that is named: an object
 * put together from several may be found by others while some of its parts are still being made. Offsets within the object.
 */
struct explore_guard {
	const char *type;  /* as given to explore_alloc: "struct vm" */
	const char *field; /* "mem.split_cache" */
	size_t offset, size;
	size_t lock_offset;	       /* of the lock, in the same object */
	const char *lock;	       /* its name */
	bool read_too;		       /* reads need it as well (for reading or writing) */
	size_t part_offset, part_size; /* 0: the whole object */
};

struct explore_suite {
	const char *program; /* "anykvm explore": how the command is called in texts */
	const struct explore_scenario *const *scenario;
	size_t nr_scenarios;
	const struct explore_region *region; /* process-wide state */
	size_t nr_regions;
	const struct explore_region
		*local; /* per-thread state: zero when a thread is born, changed with it */
	size_t nr_locals;
	/* Memory whose addresses the program chooses the same in all executions: an object there is known by where it is. */
	const struct explore_region *fixed;
	size_t nr_fixed;
	const struct explore_guard *guard;
	size_t nr_guards;
	void (*begin)(void); /* before setup of each execution; may be NULL */
	void (*end)(
		void); /* after finish of each clean execution, before leaks are counted; may be NULL */
	/*
	 * Makes a program with a broken form in it and returns its path in buf, or a message why not and false. NULL: --mutant is
	 * not offered.
	 */
	bool (*mutant)(const char *name, char *buf, size_t size);
	/*
	 * For the reports; NULL: none. Sources that wrap the primitives, as path prefixes with commas ("src/sync/,src/base/list.h"): a place
	 * is named by who called them. Which tests see what no exploration sees, the memory barriers: named in certificates.
	 */
	const char *wrappers;
	const char *barrier_tests;
};

/* The command: list, run, replay, plan, merge. Its exit status: 0 clean, 1 a violation, 2 misuse. */
int explore_main(int argc, char **argv, const struct explore_suite *suite);

/*
 * ---- What code under test calls ----
 * Each takes the address of the object it is about as its name. Sites (file and line) are found from the return address.
 */

/* Ends the execution: the property does not hold. */
void explore_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
#define explore_check(c) ((c) ? (void)0 : explore_fail("expected %s", #c))
/* A number from 0 to n - 1: each is explored. Others than 0 count against the scenario's faults. what: for the report. */
unsigned explore_choose(unsigned n, const char *what);
/* The same, but every value is free. */
unsigned explore_pick(unsigned n, const char *what);
/* A line of the report: which step of its plan the thread is at ("KVM_SET_USER_MEMORY_REGION2: delete slot 0"). NULL ends it. */
void explore_step(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* What the report calls the object at addr. Kept until its memory is freed. */
void explore_name(const void *addr, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* False while setup, finish or nothing runs: only threads are scheduled. */
bool explore_concurrent(void);
/* 1, 2...: fiber of the caller, 0 in setup and finish. */
unsigned explore_self(void);

/* A visible operation on an abstract object: two reads commute, all else does not. name: verb for the report. */
void explore_read(const void *object, const char *name);
void explore_write(const void *object, const char *name);
/*
 * What a spinning loop calls in its body: the thread goes on when a word that it read since its last operation of another kind was
 * written by another thread.
 */
void explore_spin(void);

/* Heap. Zeroed, 16-byte aligned or as align says. NULL only if a failure was chosen (fallible) or memory is really out. */
void *explore_alloc(size_t size, size_t align, const char *type, bool fallible);
void explore_free(void *p);
/*
 * Counters for people: atomic operations there order nothing, and nobody decides by what they give. They are no operations of the
 * explorer, so that two threads that count need not be tried in both orders. Until the memory is freed.
 */
void explore_quiet(const void *p, size_t size);
/* Whether p points into a live object of the explorer's heap. For setup and finish. */
bool explore_is_live(const void *p);

/* Locks: mutexes and reader-writer locks of a class, which is the name in the order graph ("slots_lock"). */
enum {
	EXPLORE_ATOMIC = 1, /* nothing may sleep while it is held */
	EXPLORE_SAME_CLASS =
		2, /* several of one class may be held at once (another lock orders them) */
	EXPLORE_TRY =
		4, /* explore_mutex_trylock may be used: what goes on just before an unlock then matters, too */
};
void explore_lock_init(void *lock, const char *class_name, unsigned flags);
void explore_lock_fini(void *lock); /* must be free */
void explore_mutex_lock(void *lock);
bool explore_mutex_trylock(void *lock);
void explore_mutex_unlock(void *lock);
void explore_read_lock(void *lock);
void explore_read_unlock(void *lock);
void explore_write_lock(void *lock);
void explore_write_unlock(void *lock);
/* By the caller: 0 no, 1 for reading, 2 for writing or as a mutex. No operation. */
int explore_lock_held(const void *lock);
/* Whether somebody waits for it: both answers are explored if somebody does, within the scenario's faults. */
bool explore_lock_contended(void *lock);
/* A hook that must not run with a lock or in a section: a violation naming them if it does. */
void explore_assert_unlocked(const char *where);

/*
 * Waiting on a 32-bit word: sleeps if *word == expected until a wake of that address. 0, or -ETIMEDOUT with a deadline (ns of
 * explore_clock), which passes only when nothing else can run. explore_wait is a sleep (a violation in atomic context).
 */
#define EXPLORE_FOREVER (~0ull)
int explore_wait(void *word, uint32_t expected, uint64_t deadline);
/* The same where a wait is allowed although the context is atomic. */
int explore_wait_atomic(void *word, uint32_t expected, uint64_t deadline);
void explore_wake(void *word, unsigned nr); /* ~0u: all */
/* Adds 1 to *word and wakes all, in one step. Who is to see whether that happened reads the word with explore_read. */
void explore_notify(void *word);
/* Condition variables. */
void explore_cond_wait(void *cond, void *mutex);
void explore_cond_signal(void *cond);
void explore_cond_broadcast(void *cond);
/* Simulated monotonic time in ns: moves only by deadlines. */
uint64_t explore_clock(void);
/* This place may sleep: a violation in atomic context or a section that forbids it. */
void explore_might_sleep(const char *what);

/* Reader sections and grace periods of a domain (RCU: one address for all; SRCU: one for each domain). */
enum {
	EXPLORE_SLEEPABLE = 1, /* readers may sleep: SRCU */
};
void explore_domain_init(void *domain, const char *class_name, unsigned flags);
void explore_domain_fini(void *domain);	  /* nobody inside, no callback queued */
void explore_section_enter(void *domain); /* nests */
void explore_section_exit(void *domain);
bool explore_section_held(const void *domain); /* by the caller */
/* Waits for the sections that are open now. */
void explore_synchronize(void *domain);
/* fn(arg) runs on a fiber of its own kind some time after a grace period; in order of queueing. */
void explore_defer(void *domain, void (*fn)(void *arg), void *arg);
/* Waits until what was queued before has run. */
void explore_barrier(void *domain);
/* A pointer of that domain is read: a violation outside a section, unless one of the caller's locks protects it (lock, may be NULL). */
void explore_dereference(const void *domain, const void *lock);

/* Reference counts: a 32-bit word at ref. A get from 0, an overflow, a put below 0 are violations. */
void explore_ref_init(void *ref, uint32_t count);
void explore_ref_get(void *ref);
bool explore_ref_try_get(void *ref);
bool explore_ref_put(void *ref); /* true: it was the last */
uint32_t explore_ref_read(const void *ref);

/* Threads that the code starts itself. A daemon need not end before the execution does. */
unsigned explore_thread_create(const char *name, void (*fn)(void *arg), void *arg, bool daemon);
void explore_thread_join(unsigned thread);

#ifdef __cplusplus
}
#endif
#endif
