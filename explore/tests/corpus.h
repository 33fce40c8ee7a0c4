/* SPDX-License-Identifier: MIT */
/*
 * The explorer's own programs: small, without KVM, each a scenario. Compiled with the compiler's hooks, as code under test is.
 *
 * Lock classes live as long as the process, so each program has class names of its own.
 */
#ifndef EXPLORE_TESTS_CORPUS_H
#define EXPLORE_TESTS_CORPUS_H

#include <stddef.h>
#include <stdint.h>

#include "anykvm/explore.h"

/* Marked accesses: visible operations. */
#define RELAXED(p)	  __atomic_load_n(p, __ATOMIC_RELAXED)
#define ACQUIRE(p)	  __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define LOAD(p)		  __atomic_load_n(p, __ATOMIC_SEQ_CST)
#define SET_RELAXED(p, v) __atomic_store_n(p, v, __ATOMIC_RELAXED)
#define RELEASE(p, v)	  __atomic_store_n(p, v, __ATOMIC_RELEASE)
#define STORE(p, v)	  __atomic_store_n(p, v, __ATOMIC_SEQ_CST)
#define XCHG(p, v)	  __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST)
#define ADD(p, v)	  __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST)
#define CMPXCHG(p, old, v)                                                                       \
	({                                                                                       \
		__typeof__(*(p)) old_ = (old);                                                   \
		__atomic_compare_exchange_n(p, &old_, v, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
	})

#define NEW_OF(type) ((type *)explore_alloc(sizeof(type), 0, #type, false))

/* Lists that end with NULL. */
/* Correct programs: every order is clean. */
extern const struct explore_scenario *const litmus_words[],
	*const litmus_locks[], *const litmus_waits[], *const litmus_sections[],
							      *const litmus_lifetimes[];
/* Programs that fail in one order, and not in the first that is tried. */
extern const struct explore_scenario *const litmus_orders[];
/* The two seeds. */
extern const struct explore_scenario seed_a0, seed_a1, seed_a2, seed_a3;
extern const struct explore_scenario seed_b0, seed_b1, seed_b2;
/* Fixed B with 1 to 4 vCPUs: 3 to 6 threads. */
extern const struct explore_scenario *const seed_b_grown[4];

/* One for each thing the explorer detects, with the same program put right. */
struct probe {
	const struct explore_scenario *broken, *fixed;
	int kind;	      /* enum violation_kind */
	const char *object;   /* what the report must name */
	const char *function; /* where it shows: in its stack */
	const char *other;    /* a second place it must name, or NULL */
};
/* probes_memory.c */
extern const struct explore_scenario probe_stale_translation, fixed_stale_translation, probe_guard,
	fixed_guard;
extern const struct probe probes[];
extern const size_t nr_probes;
extern const struct explore_guard corpus_guards[];
extern const size_t nr_corpus_guards;

/* All of it, for the command. */
extern struct explore_suite corpus_suite;

#endif
