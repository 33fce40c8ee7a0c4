/* SPDX-License-Identifier: MIT */
/*
 * Counted open file objects behind the library's fds, and the deferred put (LO-9): a release hook never runs under a lock nor
 * inside SRCU or RCU. file_put() of the last reference inside the library queues the hook on the calling thread; it runs when
 * the outermost library_exit() is reached with no lock held. Outside the library it runs at once.
 *
 * struct file. born: file_create. seen by: api/'s fd table, lookups under RCU. kept by: references. hidden: last put.
 * freed: after the release hook, by an RCU callback (G-6).
 */
#ifndef ANYKVM_MEM_FILE_H
#define ANYKVM_MEM_FILE_H

#include "sync/rcu.h"
#include "sync/ref.h"

struct file;
struct gmem_file;

struct file_ops {
	const char *type;
	/* Last reference gone. No lock held. Frees or puts what priv names. */
	void (*release)(struct file *f);
};

struct file {
	struct ref ref;
	const struct file_ops *ops;
	void *priv;
	struct gmem_file *
		gmem; /* the view of guest_memfd that it owns, if it is one; constant once reachable */
	struct file *next_deferred;
	struct rcu_head rcu;
};

/* NULL on allocation failure. One reference. */
struct file *file_create(const struct file_ops *ops, void *priv);
void file_get(struct file *f);
/* Under RCU read: false if f is being released. */
bool file_try_get(struct file *f);
void file_put(struct file *f);

/* Bracket of every public entry point; nests. The outermost exit runs the deferred list. */
void library_enter(void);
void library_exit(void);
bool library_is_entered(void);
/* Whether this thread dropped a last reference whose hook has still to run: leave the library soon. */
bool library_owes(void);
/*
 * A program's own pair (anykvm_invalidate_start to _end) on this thread: its requests would wait for locks whose holders wait for
 * the pair (LO-5).
 */
void library_pair_begin(void);
void library_pair_end(void);
bool library_in_pair(void);

#endif
