/* SPDX-License-Identifier: MIT */
/* Programs that fail in one order only, which a reduction that overlooks a dependence leaves out. */
#include "corpus.h"

#define ORDER(id, what, setup_, finish_, ...)          \
	static const struct explore_scenario id = {    \
		.name = "order-" #id,                  \
		.summary = what,                       \
		.property = "none: it fails",          \
		.source = "program for the reduction", \
		.setup = setup_,                       \
		.finish = finish_,                     \
		.thread = {__VA_ARGS__},               \
	}

static int lock, cond, domain;
static uint32_t words[2][16];
static char *object;
static int waiting;

/* Both deadlines pass at once: the second may time out before the first wakes it. */
static void deadline_setup(void)
{
	words[0][0] = words[1][0] = 0;
}
static void deadline_waker(void)
{
	explore_wait(&words[0][0], 0, 100);
	explore_wake(&words[1][0], 1);
}
static void deadline_sleeper(void)
{
	explore_check(!explore_wait(&words[1][0], 0, 100));
}
ORDER(deadline_or_wake, "who may time out need not be woken", deadline_setup, NULL,
      {"sleeper", deadline_sleeper}, {"waker", deadline_waker});
/* Between the locking and the wait the lock is held. */
static void try_setup(void)
{
	waiting = 0;
	explore_lock_init(&lock, "lock of order-try", EXPLORE_TRY);
}
static void try_waiter(void)
{
	explore_mutex_lock(&lock);
	waiting = 1;
	explore_cond_wait(&cond, &lock);
	explore_mutex_unlock(&lock);
}
static void try_trier(void)
{
	explore_check(explore_mutex_trylock(&lock));
	explore_mutex_unlock(&lock);
	explore_mutex_lock(&lock);
	while (!waiting) {
		explore_mutex_unlock(&lock);
		explore_spin();
		explore_mutex_lock(&lock);
	}
	explore_cond_signal(&cond);
	explore_mutex_unlock(&lock);
}
ORDER(try_before_the_wait, "a lock is held until its holder waits", try_setup, NULL,
      {"trier", try_trier}, {"waiter", try_waiter});

/* The keeper never gives the lock back while the threads run, so the other has it only if it comes first. */
static void d_setup(void)
{
	words[0][0] = 0;
	explore_lock_init(&lock, "lock of order-daemons", 0);
}
static void d_keeper(void *arg)
{
	explore_mutex_lock(&lock);
	explore_wait(&words[0][0], 0, EXPLORE_FOREVER);
	explore_mutex_unlock(&lock);
}
static void d_other(void *arg)
{
	explore_mutex_lock(&lock);
	explore_check(words[0][0] == 1);
	explore_mutex_unlock(&lock);
}
static unsigned d_id[2];
static void d_maker(void)
{
	d_id[0] = explore_thread_create("keeper", d_keeper, NULL, true);
	d_id[1] = explore_thread_create("other", d_other, NULL, true);
}
static void d_finish(void)
{
	words[0][0] = 1;
	explore_wake(&words[0][0], 1);
	explore_thread_join(d_id[0]);
	explore_thread_join(d_id[1]);
}
ORDER(daemon_lock, "a daemon that waits for a lock at the end could have had it", d_setup, d_finish,
      {"maker", d_maker});

/* Setting a count is no operation: a race, whichever comes first. */
static uint32_t *ref;
static void r_setup(void)
{
	ref = NEW_OF(uint32_t);
	explore_ref_init(ref, 2);
}
static void r_init(void)
{
	explore_ref_init(ref, 3);
}
static void r_put(void)
{
	explore_ref_put(ref);
}
static void r_finish(void)
{
	explore_check(*ref != 3);
	explore_free(ref);
}
ORDER(ref_init, "a count is set while another thread uses it", r_setup, r_finish, {"init", r_init},
      {"put", r_put});

static void l_setup(void)
{
	object = explore_alloc(32, 0, "obj", false);
}
static void l_look(void)
{
	explore_check(explore_is_live(object));
}
static void l_free(void)
{
	explore_free(object);
}
ORDER(is_live, "a thread asks what lives", l_setup, NULL, {"look", l_look}, {"free", l_free});

/* The callback runs before the thread is chosen, unless the order says otherwise. */
static void nothing(void *arg)
{
	(void)arg;
}
static void f_setup(void)
{
	explore_domain_init(&domain, "domain of order-fini", 0);
}
static void f_fini(void *arg)
{
	explore_domain_fini(&domain);
}
static void f_main(void)
{
	explore_defer(&domain, nothing, NULL);
	explore_thread_join(explore_thread_create("fini", f_fini, NULL, false));
}
ORDER(domain_fini, "a domain ends without a look at its callbacks", f_setup, NULL,
      {"main", f_main});

/* To the search a wait is about its own four bytes, which the store of eight does not name. */
static uint64_t *both;

static void half_setup(void)
{
	both = NEW_OF(uint64_t);
}
static void half_store(void)
{
	STORE(both, 1ull << 32);
}
static void half_wait(void)
{
	explore_wait((uint32_t *)both + 1, 0, EXPLORE_FOREVER);
}
static void half_finish(void)
{
	explore_free(both);
}
ORDER(half_of_a_word, "a sleep on the second half of a word", half_setup, half_finish,
      {"store", half_store}, {"wait", half_wait});

/* The lock is still held only between two steps that nothing separates. */
static uint32_t last_lock, gate;

static void lock_setup(void)
{
	explore_lock_init(&last_lock, "last_lock", 0);
	gate = 0;
}
static void lock_use(void)
{
	explore_mutex_lock(&last_lock);
	ADD(&gate, 1);
	explore_mutex_unlock(&last_lock);
}
static void lock_end(void)
{
	explore_lock_fini(&last_lock);
}
ORDER(lock_fini, "a lock is destroyed while another thread uses it", lock_setup, NULL,
      {"use", lock_use}, {"end", lock_end});

const struct explore_scenario *const litmus_orders[] = {
	&deadline_or_wake, &try_before_the_wait, &daemon_lock, &ref_init, &is_live,
	&domain_fini,	   &half_of_a_word,	 &lock_fini,   NULL};
