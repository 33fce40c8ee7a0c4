/* SPDX-License-Identifier: MIT */
/* Runs a random program: compiled with the compiler's hooks, so that its words are visible operations. */
#include "random.h"

struct random_program random_program;

/* Words that are far apart: each is an object of its own. */
static struct {
	long word __attribute__((aligned(64)));
} words[2];
static struct {
	int lock __attribute__((aligned(64)));
} locks[2], rwlock, domain, objects[2];
static struct {
	uint32_t flag __attribute__((aligned(64)));
} flags[RANDOM_THREADS], count, event;

static void nothing(void *arg)
{
	(void)arg;
}

static void await(uint32_t *flag)
{
	while (!ACQUIRE(flag))
		explore_wait(flag, 0, EXPLORE_FOREVER);
}

static void do_word(unsigned op, long *word)
{
	if (op == RANDOM_LOAD)
		(void)LOAD(word);
	else if (op == RANDOM_STORE)
		STORE(word, 1L);
	else if (op == RANDOM_ADD)
		ADD(word, 1);
	else
		(void)CMPXCHG(word, 0L, 2L);
}

static void do_count(unsigned op)
{
	if (op == RANDOM_REF_TRY) {
		if (!explore_ref_try_get(&count.flag))
			return;
	} else {
		explore_ref_get(&count.flag);
	}
	explore_ref_put(&count.flag);
}

static void do_lock(unsigned op, unsigned object)
{
	void *lock = &locks[object % 2].lock;

	if (op == RANDOM_LOCK)
		explore_mutex_lock(lock);
	else if (op == RANDOM_UNLOCK)
		explore_mutex_unlock(lock);
	else if (op == RANDOM_READ_LOCK)
		explore_read_lock(&rwlock.lock);
	else if (op == RANDOM_READ_UNLOCK)
		explore_read_unlock(&rwlock.lock);
	else if (explore_mutex_trylock(lock)) {
		ADD(&words[0].word, 1);
		explore_mutex_unlock(lock);
	}
}

static void do_section(unsigned op)
{
	if (op == RANDOM_ENTER)
		explore_section_enter(&domain.lock);
	else if (op == RANDOM_EXIT)
		explore_section_exit(&domain.lock);
	else if (op == RANDOM_SYNC)
		explore_synchronize(&domain.lock);
	else
		explore_defer(&domain.lock, nothing, NULL);
}

static void do_event(unsigned op)
{
	if (op == RANDOM_NOTIFY)
		explore_notify(&event.flag);
	else if (op == RANDOM_TICKET)
		explore_read(&event.flag, "take a ticket");
	else
		explore_wait(&event.flag, 0, explore_clock() + 10);
}

static void run(unsigned thread)
{
	for (unsigned i = 0; i < RANDOM_OPS && random_program.step[thread][i].op; i++) {
		unsigned op = random_program.step[thread][i].op,
			 object = random_program.step[thread][i].object;

		if (op <= RANDOM_EXCHANGE)
			do_word(op, &words[object % 2].word);
		else if (op <= RANDOM_READ_UNLOCK)
			do_lock(op, object);
		else if (op <= RANDOM_DEFER)
			do_section(op);
		else if (op == RANDOM_SIGNAL) {
			RELEASE(&flags[thread].flag, 1);
			explore_wake(&flags[thread].flag, ~0u);
		} else if (op == RANDOM_AWAIT)
			await(&flags[object].flag);
		else if (op <= RANDOM_REF_TRY)
			do_count(op);
		else if (op == RANDOM_OBJECT_READ)
			explore_read(&objects[object % 2], "read");
		else if (op > RANDOM_OBJECT_WRITE)
			do_event(op);
		else
			explore_write(&objects[object % 2], "write");
	}
}

static void run_0(void)
{
	run(0);
}
static void run_1(void)
{
	run(1);
}
void random_third(void)
{
	run(2);
}

static void setup(void)
{
	words[0].word = words[1].word = 0;
	for (unsigned i = 0; i < RANDOM_THREADS; i++)
		flags[i].flag = 0;
	event.flag = 0;
	explore_lock_init(&locks[0].lock, "random lock 0", EXPLORE_TRY);
	explore_lock_init(&locks[1].lock, "random lock 1", EXPLORE_TRY);
	explore_lock_init(&rwlock.lock, "random rwlock", 0);
	explore_domain_init(&domain.lock, "random srcu", EXPLORE_SLEEPABLE);
	explore_ref_init(&count.flag, 1);
}

static void finish(void)
{
	explore_barrier(&domain.lock);
	explore_lock_fini(&locks[0].lock);
	explore_lock_fini(&locks[1].lock);
	explore_lock_fini(&rwlock.lock);
	explore_domain_fini(&domain.lock);
}

struct explore_scenario random_scenario = {
	.name = "random",
	.summary = "a program made by chance",
	.property = "none",
	.source = "generator",
	.setup = setup,
	.finish = finish,
	.thread = {{"thread 0", run_0}, {"thread 1", run_1}, {"thread 2", random_third}},
};
