/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/bug.h"
#include "host/alloc.h"
#include "host/identity.h"
#include "host/signal.h"
#include "mem/vm_list.h"
#include "sync/wait.h"

enum { UNTOUCHED, BEING_MADE, USABLE };

void mem_process_init(void)
{
	struct mem_process *p = mem_process();
	u64 sigmask;

	/* Acquire pairs with the store below. */
	if (likely(a32_load_acquire(&p->ready) == USABLE))
		return;
	/* A handler of the program that comes here as well would wait for the thread it interrupts. */
	sigmask = host_signals_block();
	if (a32_cmpxchg(&p->ready, UNTOUCHED, BEING_MADE)) {
		a64_store_relaxed(&p->mm_id, host_mm_id());
		srcu_init(&p->mn_srcu, RANK_MN_SRCU, "mn_srcu");
		mutex_init(&p->userfault_lock, RANK_LEAF, "userfault");
		itree_init(&p->userfault);
		a32_store(&p->ready, USABLE);
		wake_word_all(&p->ready);
	}
	while (a32_load_acquire(&p->ready) != USABLE)
		wait_on_word(&p->ready, BEING_MADE, WAIT_FOREVER);
	host_signals_restore(sigmask);
}

/*
 * One change at a time, the wait for mn_srcu included. Not a mutex of the lock order, because nothing may be held over that
 * wait but this: pairs never take it, so it cannot close a circle.
 */
static void turn_take(struct mem_process *p)
{
	while (!a32_cmpxchg(&p->list_turn, 0, 1))
		wait_on_word(&p->list_turn, 1, WAIT_FOREVER);
}

static void turn_give(struct mem_process *p)
{
	a32_store(&p->list_turn, 0);
	wake_word_one(&p->list_turn);
}

static size_t list_bytes(u32 capacity)
{
	return sizeof(struct vm_list) + capacity * sizeof(struct vm_mem *);
}

static void list_free(struct vm_list *l)
{
	if (l)
		host_free(l, list_bytes(l->capacity));
}

/* The buffer that is not published, with room for nr entries. */
static struct vm_list *spare_with_room(struct mem_process *p, u32 nr)
{
	struct vm_list *spare = p->vm_list_spare;

	if (!spare || spare->capacity < nr) {
		u32 capacity = MAX(2 * nr, 8);
		struct vm_list *bigger = host_alloc(list_bytes(capacity));

		if (!bigger)
			return NULL;
		bigger->capacity = capacity;
		list_free(spare);
		p->vm_list_spare = spare = bigger;
	}
	return spare;
}

/*
 * Publishes next (the spare, or NULL for no VM). When no pair uses the old array any more it is the spare. So the spare has
 * room for one entry less than are published, at least: a removal needs no memory.
 */
static void publish(struct mem_process *p, struct vm_list *next)
{
	struct vm_list *old = aptr_load_relaxed(&p->vm_list);

	/* Release pairs with the acquire in vm_list_get. */
	aptr_store_release(&p->vm_list, next);
	/*
	 * Both directions need this wait. Add: a munmap that began before does not report to the new VM, which may not map
	 * anything until it is over (I-06). Remove: a pair that raised the VM lowers it before it goes (I-05).
	 */
	srcu_synchronize(&p->mn_srcu);
	if (next)
		p->vm_list_spare = old;
	else
		list_free(old);
}

int vm_list_add(struct vm_mem *m)
{
	struct mem_process *p = mem_process();
	struct vm_list *now, *next;
	u32 nr;

	turn_take(p);
	now = vm_list_get();
	nr = now ? now->nr : 0;
	next = spare_with_room(p, nr + 1);
	if (!next) {
		turn_give(p);
		return -ENOMEM;
	}
	for (u32 i = 0; i < nr; i++)
		next->vm[i] = now->vm[i];
	next->vm[nr] = m;
	next->nr = nr + 1;
	publish(p, next);
	turn_give(p);
	return 0;
}

void vm_list_remove(struct vm_mem *m)
{
	struct mem_process *p = mem_process();
	struct vm_list *now, *next;
	u32 nr = 0;

	turn_take(p);
	now = vm_list_get();
	next = p->vm_list_spare;
	if (now->nr == 1) {
		BUG_ON(now->vm[0] != m);
		list_free(next);
		next = NULL;
		p->vm_list_spare = NULL;
	} else {
		BUG_ON(!next || next->capacity < now->nr - 1);
		for (u32 i = 0; i < now->nr; i++)
			if (now->vm[i] != m)
				next->vm[nr++] = now->vm[i];
		BUG_ON(nr != now->nr - 1);
		next->nr = nr;
	}
	publish(p, next);
	turn_give(p);
}
