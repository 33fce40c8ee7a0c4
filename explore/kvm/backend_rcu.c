/* SPDX-License-Identifier: MIT */
/* RCU, SRCU and reference counts of sync/: reader sections and grace periods are the explorer's own, so they commute. */
#include <stdio.h>
#include <string.h>

#include "explore/kvm/backend.h"
#include "sync/rcu.h"
#include "sync/ref.h"
#include "sync/srcu.h"

#include <anykvm/explore.h>

#define MAX_CLASSES 16

struct rcu_domain rcu;

void(rcu_read_lock)(void) NO_THREAD_SAFETY_ANALYSIS
{
	backend_acquire(&rcu, RANK_RCU, "rcu", HELD_RCU);
	explore_section_enter(&rcu);
}

void rcu_read_unlock(void) NO_THREAD_SAFETY_ANALYSIS
{
	backend_release(&rcu, RANK_RCU, "rcu");
	explore_section_exit(&rcu);
}

bool rcu_read_lock_held(void)
{
	return explore_section_held(&rcu);
}

void rcu_call(struct rcu_head *head, void (*fn)(struct rcu_head *))
{
	explore_defer(&rcu, (void (*)(void *))fn, head);
}

void(rcu_synchronize)(void) NO_THREAD_SAFETY_ANALYSIS
{
	backend_wait(WAIT_RCU, &rcu, "rcu");
	explore_synchronize(&rcu);
}

void(rcu_barrier)(void) NO_THREAD_SAFETY_ANALYSIS
{
	backend_wait(WAIT_RCU, &rcu, "rcu");
	explore_barrier(&rcu);
}

/* A lock and the sections beside it may have one name: the classes are two. */
static const char *class_of(const char *name)
{
	static char made[MAX_CLASSES][32];
	unsigned i = 0;
	char text[32];

	if (strstr(name, "srcu"))
		return name;
	snprintf(text, sizeof(text), "%s srcu", name);
	while (i < MAX_CLASSES && made[i][0] && strcmp(made[i], text))
		i++;
	if (i == MAX_CLASSES)
		return name;
	memcpy(made[i], text, sizeof(text));
	return made[i];
}

void srcu_init(struct srcu *s, enum lock_rank rank, const char *name)
{
	explore_will_store(s, sizeof(*s));
	*s = (struct srcu){.rank = rank, .name = name};
	explore_domain_init(s, class_of(name), EXPLORE_SLEEPABLE);
}

void srcu_fini(struct srcu *s)
{
	explore_domain_fini(s);
}

/* What a section's cookie says is its domain, in a few bits: it must come back to where it was given. */
int srcu_cookie(const struct srcu *s)
{
	return 1 + (s->rank == RANK_MN_SRCU);
}

void srcu_enter(struct srcu *s) NO_THREAD_SAFETY_ANALYSIS
{
	backend_acquire(s, s->rank, s->name, HELD_SRCU);
	explore_section_enter(s);
}

void srcu_read_unlock(struct srcu *s, int cookie) NO_THREAD_SAFETY_ANALYSIS
{
	if (cookie != srcu_cookie(s))
		backend_fail(__builtin_return_address(0),
			     "%s is left with a cookie that it did not give", s->name);
	backend_release(s, s->rank, s->name);
	explore_section_exit(s);
}

bool srcu_read_lock_held(const struct srcu *s)
{
	return explore_section_held(s);
}

void(srcu_synchronize)(struct srcu *s) NO_THREAD_SAFETY_ANALYSIS
{
	backend_wait(s->rank == RANK_MN_SRCU ? WAIT_MN_SRCU : WAIT_SRCU, s, s->name);
	explore_synchronize(s);
}

void ref_init(struct ref *r, u32 count)
{
	explore_ref_init(&r->count, count);
}

void ref_get(struct ref *r)
{
	explore_ref_get(&r->count);
}

bool ref_try_get(struct ref *r)
{
	return explore_ref_try_get(&r->count);
}

bool ref_put(struct ref *r)
{
	return explore_ref_put(&r->count);
}

u32 ref_read(const struct ref *r)
{
	return explore_ref_read(&r->count);
}
