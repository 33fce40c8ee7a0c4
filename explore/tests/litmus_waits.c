/* SPDX-License-Identifier: MIT */
/* Correct programs that sleep: completions, conditions, event counts, deadlines, threads and their end. */
#include <errno.h>

#include "litmus.h"

static int lock, cond_full, cond_free, data, count, result;
static uint32_t word, waiters, token;

static void reset(void)
{
	data = count = result = 0;
	word = waiters = token = 0;
}
static void with_lock(const char *class_name)
{
	reset();
	explore_lock_init(&lock, class_name, 0);
}
static void lock_gone(void)
{
	explore_lock_fini(&lock);
}

/* --- completion --------------------------------------------------------------------------------------------------------- */

static void complete(void)
{
	data = 1;
	RELEASE(&word, 1);
	explore_wake(&word, ~0u);
}
static void await(void)
{
	while (!ACQUIRE(&word))
		explore_wait(&word, 0, EXPLORE_FOREVER);
	explore_check(data == 1);
}
LITMUS(completion, "who waits for a completion comes after it", reset, NULL, {"worker", complete},
       {"waiter", await});
LITMUS(completion_for_all, "a wake of all wakes both", reset, NULL, {"worker", complete},
       {"waiter 1", await}, {"waiter 2", await});

static void await_once(void)
{
	if (!ACQUIRE(&word))
		explore_wait(&word, 0, EXPLORE_FOREVER);
	explore_check(ACQUIRE(&word));
}
LITMUS(wait_looks_itself, "a wait whose word has changed does not sleep", reset, NULL,
       {"worker", complete}, {"waiter", await_once});

/* --- conditions --------------------------------------------------------------------------------------------------------- */

static void queue_setup(void)
{
	with_lock("queue lock");
}
static void queue_put(void)
{
	explore_mutex_lock(&lock);
	while (count == 1)
		explore_cond_wait(&cond_free, &lock);
	count++;
	explore_cond_signal(&cond_full);
	explore_mutex_unlock(&lock);
}
static void queue_take(void)
{
	explore_mutex_lock(&lock);
	while (!count)
		explore_cond_wait(&cond_full, &lock);
	count--;
	explore_cond_signal(&cond_free);
	explore_mutex_unlock(&lock);
}
static void queue_put_two(void)
{
	queue_put();
	queue_put();
}
static void queue_take_two(void)
{
	queue_take();
	queue_take();
}
LITMUS(bounded_queue, "a queue of one place, a condition for each side", queue_setup, lock_gone,
       {"producer", queue_put_two}, {"consumer", queue_take_two});
LITMUS(bounded_queue_many, "two producers, one consumer", queue_setup, lock_gone,
       {"producer 1", queue_put}, {"producer 2", queue_put}, {"consumer", queue_take_two});

static void gate_setup(void)
{
	with_lock("gate lock");
}
static void gate_open(void)
{
	explore_mutex_lock(&lock);
	data = 1;
	explore_cond_broadcast(&cond_full);
	explore_mutex_unlock(&lock);
}
static void gate_pass(void)
{
	explore_mutex_lock(&lock);
	while (!data)
		explore_cond_wait(&cond_full, &lock);
	explore_mutex_unlock(&lock);
}
LITMUS(gate, "a broadcast lets everybody through", gate_setup, lock_gone, {"opener", gate_open},
       {"first", gate_pass}, {"second", gate_pass});

/* --- wake only if somebody sleeps --------------------------------------------------------------------------------------- */

static void event_post(void)
{
	ADD(&word, 1);
	if (LOAD(&waiters))
		explore_wake(&word, ~0u);
}
static void event_await(void)
{
	ADD(&waiters, 1);
	while (!LOAD(&word))
		explore_wait(&word, 0, EXPLORE_FOREVER);
	ADD(&waiters, -1);
}
LITMUS(event_count, "a waiter either is seen or sees the word changed", reset, NULL,
       {"poster", event_post}, {"waiter", event_await});
static void notify_token(void)
{
	STORE(&token, 1);
	explore_notify(&word);
}
static void await_token(void)
{
	for (;;) {
		uint32_t ticket;

		explore_read(&word, "take a ticket");
		ticket = word;
		if (LOAD(&token))
			return;
		explore_wait(&word, ticket, EXPLORE_FOREVER);
	}
}
LITMUS(notification, "who takes a ticket before it looks is not left behind", reset, NULL,
       {"notifier", notify_token}, {"first", await_token}, {"second", await_token});

static void sem_up(void)
{
	ADD(&word, 1);
	explore_wake(&word, 1);
}
static void sem_down(void)
{
	for (;;) {
		uint32_t n = LOAD(&word);

		if (n && CMPXCHG(&word, n, n - 1))
			return;
		if (!n)
			explore_wait(&word, 0, EXPLORE_FOREVER);
	}
}
static void sem_up_two(void)
{
	sem_up();
	sem_up();
}
LITMUS(semaphore, "two ups for two downs", reset, NULL, {"up", sem_up_two}, {"down 1", sem_down},
       {"down 2", sem_down});

/* 0 free, 1 held, 2 held and perhaps waited for. */
static void word_lock(void)
{
	if (CMPXCHG(&word, 0u, 1u))
		return;
	while (XCHG(&word, 2u))
		explore_wait(&word, 2, EXPLORE_FOREVER);
}
static void word_unlock(void)
{
	if (XCHG(&word, 0u) == 2)
		explore_wake(&word, 1);
}
static void word_lock_use(void)
{
	word_lock();
	data++;
	word_unlock();
}
LITMUS(lock_of_a_word, "a mutex of one word that sleeps", reset, NULL, {"first", word_lock_use},
       {"second", word_lock_use});

static void park(void)
{
	while (!XCHG(&token, 0u))
		explore_wait(&token, 0, EXPLORE_FOREVER);
}
static void unpark(void)
{
	if (!XCHG(&token, 1u))
		explore_wake(&token, 1);
}
LITMUS(park_and_unpark, "a token that comes first is kept", reset, NULL, {"sleeper", park},
       {"waker", unpark});

static void ping(void)
{
	RELEASE(&word, 1);
	explore_wake(&word, ~0u);
	while (ACQUIRE(&word) != 2)
		explore_wait(&word, 1, EXPLORE_FOREVER);
	explore_check(data == 1);
}
static void pong(void)
{
	while (ACQUIRE(&word) != 1)
		explore_wait(&word, 0, EXPLORE_FOREVER);
	data = 1;
	RELEASE(&word, 2);
	explore_wake(&word, ~0u);
}
LITMUS(there_and_back, "two threads hand a word to and fro", reset, NULL, {"ping", ping},
       {"pong", pong});

/* --- deadlines ---------------------------------------------------------------------------------------------------------- */

static void wait_in_vain(void)
{
	uint64_t before = explore_clock();

	explore_check(explore_wait(&word, 0, before + 1000) == -ETIMEDOUT);
	explore_check(explore_clock() >= before + 1000);
}
LITMUS(deadline_passes, "a wait that nobody ends ends at its deadline", reset, NULL,
       {"waiter", wait_in_vain});

static void wait_a_while(void)
{
	while (!ACQUIRE(&word))
		if (explore_wait(&word, 0, explore_clock() + 1000) == -ETIMEDOUT &&
		    !ACQUIRE(&word)) {
			result = -ETIMEDOUT;
			return;
		}
	explore_check(data == 1);
}
LITMUS(deadline_or_wake, "a wait with a deadline against a wake", reset, NULL,
       {"waiter", wait_a_while}, {"waker", complete});

/* --- threads ------------------------------------------------------------------------------------------------------------ */

static void child(void *arg)
{
	*(int *)arg = 5;
}
static void parent(void)
{
	int value = 0;
	unsigned t = explore_thread_create("child", child, &value, false);

	explore_thread_join(t);
	explore_check(value == 5);
}
LITMUS(create_and_join, "what a thread wrote is there after the join", reset, NULL,
       {"parent", parent}, {"another", parent});

static void worker(void *arg)
{
	for (;;) {
		uint32_t todo = ACQUIRE(&word);

		if (todo == 2)
			return;
		if (todo == 1) {
			data++;
			if (CMPXCHG(&word, 1u, 0u))
				continue;
		} else {
			explore_wait(&word, 0, EXPLORE_FOREVER);
		}
	}
}
static void boss(void)
{
	unsigned t = explore_thread_create("worker", worker, NULL, false);

	(void)CMPXCHG(&word, 0u, 1u);
	explore_wake(&word, 1);
	STORE(&word, 2u);
	explore_wake(&word, 1);
	explore_thread_join(t);
}
LITMUS(worker_is_stopped, "a worker is told to stop and joined", reset, NULL, {"boss", boss});

static void idle(void *arg)
{
	explore_wait(&token, 0, EXPLORE_FOREVER);
}
static void leave_a_daemon(void)
{
	explore_thread_create("daemon", idle, NULL, true);
	data++;
}
LITMUS(daemon_stays_asleep, "a daemon may sleep for ever", reset, NULL,
       {"starter", leave_a_daemon});

/* Everybody arrives before anybody goes on. */
static void arrive(void)
{
	explore_mutex_lock(&lock);
	if (++count == 2)
		explore_cond_broadcast(&cond_full);
	while (count < 2)
		explore_cond_wait(&cond_full, &lock);
	explore_mutex_unlock(&lock);
	explore_check(count == 2);
}
static void arrive_setup(void)
{
	with_lock("arrival lock");
}
LITMUS(meeting, "nobody goes on before all have arrived", arrive_setup, lock_gone,
       {"first", arrive}, {"second", arrive});

static void both_sleep_1(void)
{
	explore_wait(&word, 0, 100);
	explore_wake(&token, 1);
}
static void both_sleep_2(void)
{
	explore_wait(&token, 0, 100);
	explore_wake(&word, 1);
}
LITMUS(deadlines_at_once, "two deadlines pass at once: each may wake the other first", reset, NULL,
       {"one", both_sleep_1}, {"other", both_sleep_2});

static void try_setup(void)
{
	reset();
	explore_lock_init(&lock, "lock that is tried beside a condition", EXPLORE_TRY);
}
static void try_wait(void)
{
	explore_mutex_lock(&lock);
	if (!count)
		explore_cond_wait(&cond_full, &lock);
	explore_mutex_unlock(&lock);
}
static void try_try(void)
{
	if (explore_mutex_trylock(&lock))
		explore_mutex_unlock(&lock);
}
static void try_signal(void)
{
	explore_mutex_lock(&lock);
	count = 1;
	explore_cond_signal(&cond_full);
	explore_mutex_unlock(&lock);
}
LITMUS(condition_of_a_tried_lock, "a lock that is tried is free while its holder waits", try_setup,
       lock_gone, {"try", try_try}, {"wait", try_wait}, {"signal", try_signal});

const struct explore_scenario *const litmus_waits[] = {&deadlines_at_once,
						       &condition_of_a_tried_lock,
						       &completion,
						       &completion_for_all,
						       &wait_looks_itself,
						       &bounded_queue,
						       &bounded_queue_many,
						       &gate,
						       &event_count,
						       &notification,
						       &semaphore,
						       &lock_of_a_word,
						       &park_and_unpark,
						       &there_and_back,
						       &deadline_passes,
						       &deadline_or_wake,
						       &create_and_join,
						       &worker_is_stopped,
						       &daemon_stays_asleep,
						       &meeting,
						       NULL};
