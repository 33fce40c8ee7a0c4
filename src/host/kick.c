/* SPDX-License-Identifier: MIT */
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

#include "base/context.h"
#include "host/clock.h"
#include "host/fd.h"
#include "host/identity.h"
#include "host/kick.h"
#include "base/raw.h"
#include "host/signal.h"

#define NEVER	    (~0ull)
#define SLICE_NS    500000
#define MAX_SLEEP   (1ull << 50)
#define NSEC	    1000000000ull
#define SIGSET_SIZE 8

enum { FDS_NONE, FDS_READY, FDS_FAILED };

void host_sleeper_init(struct host_sleeper *s)
{
	*s = (struct host_sleeper){.event_fd = -1, .signal_fd = -1};
}

static void close_descriptors(struct host_sleeper *s)
{
	if (s->event_fd >= 0)
		host_close(s->event_fd);
	if (s->signal_fd >= 0)
		host_close(s->signal_fd);
	s->event_fd = s->signal_fd = -1;
}

void host_sleeper_fini(struct host_sleeper *s)
{
	close_descriptors(s);
	host_sleeper_init(s);
}

static int signalfd_set(int fd, u64 wanted)
{
	return raw_syscall(SYS_signalfd4, fd, &wanted, SIGSET_SIZE, SFD_CLOEXEC | SFD_NONBLOCK);
}

static bool make_descriptors(struct host_sleeper *s, u64 wanted)
{
	s->event_fd = host_fd_move_high(host_eventfd_create(0, false));
	s->signal_fd = host_fd_move_high(signalfd_set(-1, wanted));
	if (s->event_fd < 0 || s->signal_fd < 0) {
		close_descriptors(s);
		return false;
	}
	s->signal_mask = wanted;
	s->pid = host_pid();
	return true;
}

static void sleep_on_descriptors(struct host_sleeper *s, u64 timeout_ns, u64 wanted)
{
	struct pollfd p[2] = {{.fd = s->event_fd, .events = POLLIN},
			      {.fd = s->signal_fd, .events = POLLIN}};
	u64 ts[2] = {timeout_ns / NSEC, timeout_ns % NSEC};
	u64 drained;
	long ret;

	if (s->signal_mask != wanted && signalfd_set(s->signal_fd, wanted) >= 0)
		s->signal_mask = wanted;
	ret = raw_syscall(SYS_ppoll, p, 2, timeout_ns == NEVER ? NULL : ts, NULL, 0);
	if (ret > 0 && p[0].revents)
		raw_syscall(SYS_read, s->event_fd, &drained, sizeof(drained));
	/* A descriptor that the program closed behind our back: do without from now on. */
	if (ret > 0 && (p[0].revents | p[1].revents) & POLLNVAL)
		a32_store(&s->ready, FDS_FAILED);
}

int host_sleeper_sleep(struct host_sleeper *s, struct a32 *word, u32 expected, u64 deadline_ns,
		       u64 effective_mask)
{
	u64 timeout = NEVER, now;
	u32 ready = a32_load_relaxed(&s->ready);

	CONTEXT_MAY_SLEEP("vCPU sleep");
	if (a32_load_acquire(word) != expected)
		return 0;
	if (host_signals_pending(effective_mask))
		return -EINTR;
	if (deadline_ns != NEVER) {
		now = host_clock_ns();
		if (now >= deadline_ns)
			return -ETIMEDOUT;
		timeout = MIN(deadline_ns - now, MAX_SLEEP);
	}
	if (ready == FDS_NONE) {
		ready = make_descriptors(s, ~effective_mask) ? FDS_READY : FDS_FAILED;
		a32_store(&s->ready,
			  ready); /* before sleeping is set: kick reads them in the other order */
	}
	a32_store(&s->sleeping, 1);
	/* Pairs with the fence in host_sleeper_kick: either it sees sleeping, or we see the word changed. */
	fence_full();
	if (a32_load_acquire(word) != expected) {
		a32_store(&s->sleeping, 0);
		return 0;
	}
	if (ready == FDS_READY) {
		sleep_on_descriptors(s, timeout, ~effective_mask);
	} else {
		u64 ts[2] = {0, MIN(timeout, SLICE_NS)};

		/* No descriptors to be had: a futex does not see blocked signals, so look for them every half millisecond. */
		raw_syscall(SYS_futex, &word->v, 128 /* WAIT, private */, expected, ts, NULL, 0);
	}
	a32_store(&s->sleeping, 0);
	if (a32_load_acquire(word) != expected)
		return 0;
	if (host_signals_pending(effective_mask))
		return -EINTR;
	return deadline_ns != NEVER && host_clock_ns() >= deadline_ns ? -ETIMEDOUT : 0;
}

void host_sleeper_kick(struct host_sleeper *s)
{
	/* Orders the caller's change of the word before the look at sleeping; pairs with the fence in host_sleeper_sleep. */
	fence_full();
	if (a32_load(&s->sleeping) && a32_load(&s->ready) == FDS_READY)
		host_eventfd_signal(s->event_fd, 1);
}
