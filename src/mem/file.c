/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/bug.h"
#include "base/context.h"
#include "host/alloc.h"
#include "mem/file.h"
#include "sync/thread.h"

/*
 * What a thread owes. Thread-local, so no lock: the list is run by the thread that made it. A handler on this thread may drop a last
 * reference, too, between any two instructions: so a file is put on the list by one exchange, and the list taken by one.
 */
struct library_thread {
	unsigned depth; /* of library_enter */
	unsigned pairs; /* of library_pair_begin */
	bool running;	/* the list is being run: a hook's own puts are run after what was taken */
	struct aptr deferred; /* struct file, the last one put first */
};
static THREAD_LOCAL struct library_thread library_thread;

struct file *file_create(const struct file_ops *ops, void *priv)
{
	struct file *f = NEW(struct file);

	if (!f)
		return NULL;
	ref_init(&f->ref, 1);
	f->ops = ops;
	f->priv = priv;
	return f;
}

void file_get(struct file *f)
{
	ref_get(&f->ref);
}

bool file_try_get(struct file *f)
{
	return ref_try_get(&f->ref);
}

static void file_free_callback(struct rcu_head *head)
{
	struct file *f = container_of(head, struct file, rcu);

	DELETE(f);
}

static void file_release(struct file *f)
{
	/* I-32. */
	thread_assert_unlocked(f->ops->type);
	f->ops->release(f);
	/* A lookup may still be between its load of the pointer and its try_get, in RCU (G-6). */
	rcu_call(&f->rcu, file_free_callback);
}

static void push_deferred(struct library_thread *t, struct file *f)
{
	struct file *first;

	do {
		first = aptr_load_relaxed(&t->deferred);
		f->next_deferred = first;
	} while (!aptr_cmpxchg(&t->deferred, first, f));
}

/* All that is owed by now, in the order of the puts. */
static struct file *take_deferred(struct library_thread *t)
{
	struct file *f = aptr_xchg(&t->deferred, NULL), *list = NULL, *next;

	for (; f; f = next) {
		next = f->next_deferred;
		f->next_deferred = list;
		list = f;
	}
	return list;
}

static void run_deferred(struct library_thread *t)
{
	struct file *f, *next;

	if (t->running)
		return;
	t->running = true;
	while ((f = take_deferred(t)))
		for (; f; f = next) {
			next = f->next_deferred;
			file_release(f);
		}
	t->running = false;
}

void file_put(struct file *f)
{
	struct library_thread *t = &library_thread;

	if (!ref_put(&f->ref))
		return;
	push_deferred(t, f);
	/* Inside the library the caller may hold anything: the outermost exit does it. */
	if (!t->depth)
		run_deferred(t);
}

void library_enter(void)
{
	library_thread.depth++;
}

bool library_is_entered(void)
{
	return library_thread.depth;
}

bool library_owes(void)
{
	return aptr_load_relaxed(&library_thread.deferred);
}

void library_exit(void)
{
	struct library_thread *t = &library_thread;

	BUG_ON(!t->depth);
	/* Again, if a handler left one behind while the list was run. */
	while (t->depth == 1 && aptr_load_relaxed(&t->deferred) && !t->running)
		run_deferred(t);
	t->depth--;
}

void library_pair_begin(void)
{
	library_thread.pairs++;
}

void library_pair_end(void)
{
	BUG_ON(!library_thread.pairs);
	library_thread.pairs--;
}

bool library_in_pair(void)
{
	return library_thread.pairs;
}
