/* SPDX-License-Identifier: MIT */
/*
 * The flush protocol between whoever changes a translation and the vCPUs that may have cached it.
 *
 *	initiator			vCPU thread
 *	---------			-----------
 *	store descriptor		mode = IN_GUEST
 *	queue record, posted += 1	full fence			(a)
 *	attention = 1			apply what is queued
 *	full fence		(b)	...access, access, poll...	(c)
 *	mode == IN_GUEST?		apply, acked = posted
 *	   wait for acked >= posted
 *
 * (a) and (b) are the two halves of a store-buffering test: either the initiator sees IN_GUEST and waits, or the vCPU sees the
 * record before its first access. (c) accesses between two polls may use the old translation; the initiator waits them out.
 */
#include "mem/tlb.h"

#include "base/bug.h"
#include "sync/rcu.h"
#include "sync/thread.h"

#define SPINS_BEFORE_SLEEP 2000

void tlb_domain_init(struct tlb_domain *d)
{
	a32_store_relaxed(&d->nr, 0);
	a64_store_relaxed(&d->shootdowns, 0);
	a64_store_relaxed(&d->waits, 0);
	a64_store_relaxed(&d->drains, 0);
}

void tlb_client_attach(struct tlb_domain *d, struct tlb_client *c)
{
	u32 nr = a32_load_relaxed(&d->nr);

	BUG_ON(nr >= TLB_MAX_CLIENTS);
	a32_store_relaxed(&c->mode, TLB_OUTSIDE);
	aptr_store_release(&d->client[nr], c);
	/*
	 * A full barrier with the fence of the enter that follows. An initiator that does not see the new count finished its
	 * descriptor store before the vCPU's first walk; the caches are empty, so there is nothing to flush. Pairs with the first
	 * fence in tlb_post.
	 */
	a32_fetch_add(&d->nr, 1);
}

void tlb_client_detach(struct tlb_domain *d, struct tlb_client *c)
{
	u32 nr = a32_load_relaxed(&d->nr);

	for (u32 i = 0; i < nr; i++) {
		if (aptr_load_relaxed(&d->client[i]) != c)
			continue;
		BUG_ON(a32_load_relaxed(&c->mode) != TLB_OUTSIDE);
		aptr_store_release(&d->client[i], NULL);
		if (i == nr - 1)
			a32_fetch_sub(&d->nr, 1);
	}
	/* Initiators use the pointer under RCU; they sleep only on clients IN_GUEST, which this one never was. */
	rcu_synchronize();
}

/* The queue lock is held for a copy of 16 records at most, by threads that block asynchronous signals or are in guest mode. */
static void queue_lock(struct tlb_client *c)
{
	while (a32_xchg(&c->lock, 1))
		while (a32_load_relaxed(&c->lock))
			cpu_relax();
}

static void queue_unlock(struct tlb_client *c)
{
	a32_store_release(&c->lock, 0);
}

static bool same_record(const struct tlb_inval *a, const struct tlb_inval *b)
{
	return a->kind == b->kind && a->asid == b->asid && a->mmu_id == b->mmu_id &&
	       a->start == b->start && a->end == b->end && a->code_start == b->code_start &&
	       a->code_end == b->code_end;
}

/* A full flush of translations is cheap, one of decoded code is not: remember what code had to go. */
static void lose_record(struct tlb_client *c, const struct tlb_inval *rec)
{
	u64 start = rec->kind == TLB_INVAL_CODE ? rec->start : rec->code_start;
	u64 end = rec->kind == TLB_INVAL_CODE ? rec->end : rec->code_end;

	if (!end)
		return;
	c->lost_code_start = c->lost_code_end ? MIN(c->lost_code_start, start) : start;
	c->lost_code_end = MAX(c->lost_code_end, end);
}

static void queue_push(struct tlb_client *c, const struct tlb_inval *rec)
{
	queue_lock(c);
	if (c->nr < TLB_QUEUE) {
		/* Loops of TLBI post the same record again and again. */
		if (!c->nr || !same_record(&c->queue[c->nr - 1], rec))
			c->queue[c->nr++] = *rec;
	} else {
		c->nr = TLB_QUEUE + 1;
		lose_record(c, rec);
	}
	a64_store_release(&c->posted, a64_load_relaxed(&c->posted) + 1);
	queue_unlock(c);
	a32_store(&c->attention, 1);
}

static void assert_no_section(const struct tlb_client *c)
{
#if defined(ANYKVM_CHECKED)
	/* I-12: an acknowledgement inside an access section would promise that an access is over which is not. */
	BUG_ON(c->section != 0);
#endif
}

/* On the client's own thread, at a point where it holds no translated address. */
static void apply_posted(struct tlb_client *c)
{
	struct tlb_inval everything = {.kind = TLB_INVAL_ALL, .asid = -1};
	struct tlb_inval batch[TLB_QUEUE];
	u64 upto;
	u32 nr;

	assert_no_section(c);
	if (a64_load_acquire(&c->posted) == a64_load_relaxed(&c->acked))
		return;
	queue_lock(c);
	nr = c->nr;
	c->nr = 0;
	upto = a64_load_relaxed(&c->posted);
	if (nr > TLB_QUEUE) {
		for (u32 i = 0; i < TLB_QUEUE; i++)
			lose_record(c, &c->queue[i]);
		everything.code_start = c->lost_code_start;
		everything.code_end = c->lost_code_end;
		c->lost_code_end = 0;
	}
	for (u32 i = 0; i < MIN(nr, TLB_QUEUE); i++)
		batch[i] = c->queue[i];
	queue_unlock(c);

	if (nr > TLB_QUEUE) {
		c->apply(c, &everything);
	} else {
		for (u32 i = 0; i < nr; i++)
			c->apply(c, &batch[i]);
	}
	/* Release: the accesses before this point are over. Pairs with the load of acked in client_done. */
	a64_store(&c->acked, upto);
	event_count_notify(&c->acks);
}

void tlb_enter(struct tlb_client *c)
{
	assert_no_section(c);
	thread_enter_guest();
	a32_store(&c->mode, TLB_IN_GUEST);
	fence_full(); /* (a) */
	a32_store(&c->attention, 0);
	apply_posted(c);
}

void tlb_leave(struct tlb_client *c)
{
	assert_no_section(c);
	/* Release: no access of this stay can move below. */
	a32_store(&c->mode, TLB_OUTSIDE);
	thread_leave_guest();
	event_count_notify(&c->acks);
}

void tlb_poll(struct tlb_client *c)
{
	/* Cleared before the queue is read: whoever posts after the read sets it again. */
	a32_store(&c->attention, 0);
	apply_posted(c);
}

void tlb_post(struct tlb_domain *d, struct tlb_client *self, const struct tlb_inval *rec)
{
	u32 nr;

	/* The descriptor store before the look for clients; pairs with the fetch_add in tlb_client_attach. */
	fence_full();
	nr = a32_load_acquire(&d->nr);
	rcu_read_lock();
	for (u32 i = 0; i < nr; i++) {
		struct tlb_client *c = aptr_load_acquire(&d->client[i]);

		if (c && c != self)
			queue_push(c, rec);
	}
	rcu_read_unlock();
	if (self)
		self->apply(self, rec);
	fence_full(); /* (b) */
}

static bool client_done(const struct tlb_client *c, u64 target)
{
	return a32_load(&c->mode) != TLB_IN_GUEST || a64_load(&c->acked) >= target;
}

/* c is or was IN_GUEST, so it lives until VM destroy. */
static void client_wait(struct tlb_client *c, u64 target)
{
	for (int i = 0; i < SPIN_TURNS(SPINS_BEFORE_SLEEP); i++) {
		if (client_done(c, target))
			return;
		cpu_relax();
	}
	for (;;) {
		u32 ticket = event_count_prepare(&c->acks);

		if (client_done(c, target))
			break;
		event_count_wait_atomic(&c->acks, ticket);
	}
	event_count_cancel(&c->acks);
}

/* Whether there was anybody to wait for. */
static bool drain_others(struct tlb_domain *d, const struct tlb_client *self)
{
	u32 nr = a32_load_acquire(&d->nr);
	bool waited = false;

	for (u32 i = 0; i < nr; i++) {
		struct tlb_client *c;
		bool wait = false;
		u64 target = 0;

		rcu_read_lock();
		c = aptr_load_acquire(&d->client[i]);
		if (c && c != self) {
			target = a64_load_acquire(&c->posted);
			wait = !client_done(c, target);
		}
		rcu_read_unlock();
		if (wait) {
			waited = true;
			client_wait(c, target);
		}
	}
	return waited;
}

void tlb_drain(struct tlb_domain *d, struct tlb_client *self)
{
	bool in_guest = self && a32_load_relaxed(&self->mode) == TLB_IN_GUEST;

	/*
	 * Two vCPUs that drain at once must not wait for each other. OUTSIDE, this one costs nobody a wait; what is posted
	 * meanwhile is applied before it is IN_GUEST again.
	 */
	if (in_guest)
		tlb_leave(self);
	a64_fetch_add(&d->drains, 1);
	drain_others(d, self);
	if (in_guest) {
		thread_enter_guest();
		a32_store(&self->mode, TLB_IN_GUEST);
		fence_full(); /* (a); attention stays set: its requests are for the next poll */
		apply_posted(self);
	}
}

void tlb_shootdown(struct tlb_domain *d, const struct tlb_inval *rec)
{
	tlb_post(d, NULL, rec);
	a64_fetch_add(&d->shootdowns, 1);
	if (drain_others(d, NULL))
		a64_fetch_add(&d->waits, 1);
}

void tlb_torn_down(struct tlb_domain *d)
{
	u32 nr = a32_load_acquire(&d->nr);

	rcu_read_lock();
	for (u32 i = 0; i < nr; i++) {
		struct tlb_client *c = aptr_load_acquire(&d->client[i]);

		if (c && c->torn_down)
			c->torn_down(c);
	}
	rcu_read_unlock();
}
