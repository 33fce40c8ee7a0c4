/* SPDX-License-Identifier: MIT */
/*
 * Signals, sleep, time, identity and other facts of the simulated host. A signal is sent by a scenario alone, so a thread that none
 * can come to asks without a step. Time moves only when nothing else can.
 */
#include <errno.h>
#include <string.h>

#include "base/context.h"
#include "explore/kvm/host_sim.h"
#include "host/clock.h"
#include "host/cpus.h"
#include "host/environment.h"
#include "host/identity.h"
#include "host/kick.h"
#include "host/random.h"
#include "host/signal.h"

static struct {
	bool used; /* some signal was sent, or will be */
	u64 pending[EXPLORE_MAX_FIBERS];
	u64 mask[EXPLORE_MAX_FIBERS]; /* the program's */
	struct host_sleeper *sleeper[EXPLORE_MAX_FIBERS];
	u64 random[EXPLORE_MAX_FIBERS];
} state;

void sim_signals_begin(void)
{
	memset(&state, 0, sizeof(state));
}

void sim_signals_keep(sim_keep_fn *keep)
{
	keep(&state, sizeof(state));
}

void sim_signals_expected(void)
{
	state.used = true;
}

void sim_signal(unsigned fiber, int signo)
{
	SIM_CALL();
	/* Else who looked before this made no step, and the other order would not be tried. */
	if (explore_concurrent() && !state.used)
		explore_fail("a thread sends a signal that setup did not announce: "
			     "sim_signals_expected");
	state.used = true;
	sim_write(&state.pending[fiber], "send signal");
	state.pending[fiber] |= SIGNAL_BIT(signo);
	if (state.sleeper[fiber])
		host_sleeper_kick(state.sleeper[fiber]);
}

u64 host_signals_block(void)
{
	struct thread_context *t = &thread_context;

	if (!t->signals_blocked++)
		t->signals_mask = state.mask[explore_self()];
	return t->signals_mask;
}

void host_signals_restore(u64 mask)
{
	thread_context.signals_blocked--;
}

u64 host_signals_mask(void)
{
	return thread_context.signals_blocked ? ~0ull : state.mask[explore_self()];
}

void host_signals_unblock_faults(void)
{
}

bool host_signals_pending(u64 effective_mask)
{
	SIM_CALL();
	if (!state.used)
		return false;
	sim_read(&state.pending[explore_self()], "look for signals");
	return state.pending[explore_self()] & ~effective_mask;
}

/* --- sleep ----------------------------------------------------------------------------------------------------------------- */

void host_sleeper_init(struct host_sleeper *s)
{
	explore_will_store(s, sizeof(*s));
	*s = (struct host_sleeper){.event_fd = -1, .signal_fd = -1};
}

void host_sleeper_fini(struct host_sleeper *s)
{
	SIM_CALL();
	host_sleeper_init(s);
}

/* s->sleeping counts kicks: the sleeper reads it before it looks at what it waits for, so that none is lost. */
int host_sleeper_sleep(struct host_sleeper *s, struct a32 *word, u32 expected, u64 deadline_ns,
		       u64 effective_mask)
{
	SIM_CALL();
	u32 kicks;
	int ret;

	CONTEXT_MAY_SLEEP("vCPU sleep");
	/* No read: a kick changes it within a wake-up, and that commutes with reads. */
	sim_write(&s->sleeping, "look for kicks");
	kicks = s->sleeping.v;
	sim_read(word, "look for a wake-up");
	if (word->v != expected)
		return 0;
	if (host_signals_pending(effective_mask))
		return -EINTR;
	state.sleeper[explore_self()] = s;
	ret = explore_wait(&s->sleeping, kicks, sim_deadline(deadline_ns));
	state.sleeper[explore_self()] = NULL;
	if (host_signals_pending(effective_mask))
		return -EINTR;
	return ret;
}

void host_sleeper_kick(struct host_sleeper *s)
{
	SIM_CALL();
	/* One step: who looked before it and is about to sleep finds the word changed. */
	explore_wake(&s->sleeping, ~0u);
	explore_will_store(&s->sleeping, sizeof(s->sleeping));
	s->sleeping.v++;
}

/* --- facts ----------------------------------------------------------------------------------------------------------------- */

u64 host_clock_ns(void)
{
	return SIM_EPOCH + explore_clock();
}

u64 host_clock_realtime_ns(void)
{
	SIM_CALL();
	return host_clock_ns();
}

u64 host_clock_thread_cpu_ns(void)
{
	return 0;
}

u64 host_clock_run_delay_ns(void)
{
	return 0;
}

u32 host_nr_cpus(void)
{
	return 1;
}

bool host_environment_has(const char *variable, const char *word)
{
	return false;
}

u64 host_mm_id(void)
{
	return 1;
}

u32 host_pid(void)
{
	return 1000;
}

u32 host_tid(void)
{
	return 1000 + explore_self();
}

/* The same in every execution, and for a thread in every order. */
u64 host_random_u64(void)
{
	u64 *x = &state.random[explore_self()];

	*x = (*x + explore_self() + 1) * 6364136223846793005ull + 1442695040888963407ull;
	return *x ^ *x >> 33;
}

void host_random_fill(void *buf, size_t n)
{
	SIM_CALL();
	while (n) {
		u64 v = host_random_u64();
		size_t part = MIN(n, sizeof(v));

		memcpy(buf, &v, part);
		buf = (char *)buf + part;
		n -= part;
	}
}
