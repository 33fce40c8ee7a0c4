/* SPDX-License-Identifier: MIT */
/*
 * Eventfds and pollers of the simulated host. A poller sleeps on a word that every change of what it watches raises; who watches a
 * file is the file's own knowledge. What is read or changed here belongs to the object of the last operation before it.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/context.h"
#include "explore/kvm/host_sim.h"
#include "host/eventfd.h"
#include "host/fd.h"
#include "host/passthrough.h"
#include "host/poller.h"

int host_eventfd_create(u32 initial, bool semaphore)
{
	SIM_CALL();
	struct sim_file *f = sim_file_new(SIM_EVENT, "eventfd");

	if (!f)
		return -EMFILE;
	f->counter = initial;
	f->semaphore = semaphore;
	return sim_fd_install(f, 0, true);
}

/* Its readiness was just changed. The word is raised with the wake-up, for who looked before it and is about to sleep. */
void sim_file_ready(struct sim_file *f)
{
	u16 watcher[SIM_WATCHERS];

	memcpy(watcher, f->watcher, sizeof(watcher));
	f->word++;
	if (f->polled)
		explore_wake(&f->word, ~0u);
	for (unsigned i = 0; i < SIM_WATCHERS; i++) {
		struct sim_file *p = watcher[i] ? sim_file(watcher[i] - 1) : NULL;

		if (!p)
			continue;
		explore_wake(&p->word, ~0u);
		p->word++;
	}
}

void host_eventfd_signal(int fd, u64 value)
{
	SIM_CALL();
	struct sim_file *f = sim_fd(fd);

	if (!f || f->kind != SIM_EVENT)
		return;
	sim_write(f, "eventfd write");
	f->counter += value;
	sim_file_ready(f);
}

/* 0: nothing there. */
static u64 take(struct sim_file *f)
{
	u64 n;

	sim_write(f, "eventfd read");
	n = f->semaphore ? !!f->counter : f->counter;
	f->counter -= n;
	return n;
}

bool host_eventfd_drain(int fd)
{
	SIM_CALL();
	struct sim_file *f = sim_fd(fd);

	return f && f->kind == SIM_EVENT && take(f);
}

s64 host_read(int fd, void *buf, size_t n)
{
	SIM_CALL();
	struct sim_file *f;
	u64 value;

	CONTEXT_MAY_BLOCK("read");
	f = sim_fd(fd);
	if (!f || f->kind != SIM_EVENT)
		return f ? -EINVAL : -EBADF;
	if (n < sizeof(value))
		return -EINVAL;
	value = take(f);
	if (!value)
		return -EAGAIN;
	memcpy(buf, &value, sizeof(value));
	return sizeof(value);
}

s64 host_sys_pread(int fd, void *buf, size_t n, u64 offset)
{
	SIM_CALL();
	return sim_fd(fd) ? -ESPIPE : -EBADF;
}

s64 host_sys_pwrite(int fd, const void *buf, size_t n, u64 offset)
{
	SIM_CALL();
	return sim_fd(fd) ? -ESPIPE : -EBADF;
}

s64 host_write(int fd, const void *buf, size_t n)
{
	SIM_CALL();
	struct sim_file *f;
	u64 value;

	CONTEXT_MAY_BLOCK("write");
	f = sim_fd(fd);
	if (!f || f->kind != SIM_EVENT)
		return f ? -EINVAL : -EBADF;
	if (n < sizeof(value))
		return -EINVAL;
	memcpy(&value, buf, sizeof(value));
	host_eventfd_signal(fd, value);
	return sizeof(value);
}

int host_poll(int fd, short events, int timeout_ms)
{
	SIM_CALL();
	struct sim_file *f = sim_fd(fd);
	u64 deadline = timeout_ms < 0 ? EXPLORE_FOREVER : explore_clock() + timeout_ms * 1000000ull;

	CONTEXT_MAY_SLEEP("poll");
	while (f) {
		u32 word;
		int ret;

		sim_write(f, "poll");
		word = f->word;
		if (f->kind != SIM_EVENT || f->counter || (events & POLLOUT))
			return events & (POLLIN | POLLOUT);
		if (!timeout_ms)
			return 0;
		f->polled++;
		ret = explore_wait(&f->word, word, deadline);
		sim_write(f, "poll");
		f->polled--;
		if (ret)
			return 0;
	}
	return POLLNVAL;
}

bool host_fd_is_eventfd(int fd)
{
	SIM_CALL();
	struct sim_file *f = sim_fd(fd);

	return f && f->kind == SIM_EVENT;
}

bool host_fd_is_userfaultfd(int fd)
{
	return false;
}

bool host_fd_is_userfaultfd_device(int fd)
{
	return false;
}

int host_eventfd_get(int fd, struct host_eventfd *out)
{
	SIM_CALL();
	int copy = host_fd_dup_high(fd);
	struct sim_file *f;

	if (copy < 0)
		return copy;
	f = sim_fd(copy);
	if (f->kind != SIM_EVENT) {
		host_close(copy);
		return -EINVAL;
	}
	explore_will_store(out, sizeof(*out));
	*out = (struct host_eventfd){.fd = copy, .has_id = true, .id = f->inode};
	return 0;
}

void host_eventfd_put(struct host_eventfd *e)
{
	SIM_CALL();
	host_close(e->fd);
	explore_will_store(e, sizeof(*e));
	e->fd = -1;
}

void host_eventfd_notify(const struct host_eventfd *e)
{
	host_eventfd_signal(e->fd, 1);
}

bool host_eventfd_same(const struct host_eventfd *a, const struct host_eventfd *b)
{
	return a->id == b->id;
}

/* --- pollers --------------------------------------------------------------------------------------------------------------- */

static bool watcher_set(struct sim_file *f, u16 was, u16 now)
{
	sim_write(f, "watch");
	for (unsigned i = 0; i < SIM_WATCHERS; i++) {
		if (f->watcher[i] != was)
			continue;
		f->watcher[i] = now;
		return true;
	}
	return false;
}

int host_poller_add(struct host_poller *p, int fd, u64 key)
{
	SIM_CALL();
	struct sim_file *poller = sim_fd(p->epoll_fd), *f = sim_fd(fd);
	int at = -1;

	if (!poller || !f)
		return -EBADF;
	if (f->kind != SIM_EVENT)
		return -EPERM;
	for (unsigned i = 0; i < SIM_WATCHERS; i++)
		if (f->watcher[i] == sim_file_number(poller) + 1)
			return -EEXIST;
	if (!watcher_set(f, 0, sim_file_number(poller) + 1))
		return -ENOMEM;
	explore_wake(&poller->word, ~0u);
	poller->word++;
	for (unsigned w = 0; w < SIM_WATCHES && at < 0; w++)
		if (!poller->watch[w].file)
			at = w;
	if (at < 0)
		return -ENOMEM;
	poller->watch[at].file = sim_file_number(f) + 1;
	poller->watch[at].key = key;
	return 0;
}

void host_poller_remove(struct host_poller *p, int fd)
{
	SIM_CALL();
	struct sim_file *poller = sim_fd(p->epoll_fd), *f = sim_fd(fd);

	if (!poller || !f)
		return;
	watcher_set(f, sim_file_number(poller) + 1, 0);
	sim_write(poller, "epoll_ctl remove");
	for (unsigned w = 0; w < SIM_WATCHES; w++)
		if (poller->watch[w].file == sim_file_number(f) + 1)
			poller->watch[w].file = 0;
}

int host_poller_init(struct host_poller *p)
{
	SIM_CALL();
	struct sim_file *f = sim_file_new(SIM_POLLER, "epoll");
	int fd;

	if (!f)
		return -EMFILE;
	fd = sim_fd_install(f, SIM_FDS_HIGH, true);
	explore_will_store(p, sizeof(*p));
	p->epoll_fd = fd;
	if (p->epoll_fd < 0)
		return p->epoll_fd;
	fd = host_fd_move_high(host_eventfd_create(0, false));
	explore_will_store(p, sizeof(*p));
	p->wake_fd = fd;
	if (p->wake_fd < 0) {
		host_close(p->epoll_fd);
		return p->wake_fd;
	}
	return host_poller_add(p, p->wake_fd, 0);
}

void host_poller_fini(struct host_poller *p)
{
	SIM_CALL();
	host_close(p->wake_fd);
	host_close(p->epoll_fd);
}

void host_poller_wake(struct host_poller *p)
{
	SIM_CALL();
	host_eventfd_signal(p->wake_fd, 1);
}

u32 host_poller_wait(struct host_poller *p, u64 *keys, u32 max)
{
	SIM_CALL();
	struct sim_file *poller = sim_fd(p->epoll_fd);
	struct sim_watch watch[SIM_WATCHES];
	u32 nr = 0, word;

	CONTEXT_MAY_SLEEP("poll");
	while (poller) {
		bool woken = false;

		/* No read: word and watches change within wake-ups, and those commute with reads. */
		sim_write(poller, "epoll_wait");
		word = poller->word;
		memcpy(watch, poller->watch, sizeof(watch));
		for (unsigned w = 0; w < SIM_WATCHES && nr < max; w++) {
			struct sim_file *f;

			if (!watch[w].file)
				continue;
			f = sim_file(watch[w].file - 1);
			sim_read(f, "poll");
			if (!f->counter)
				continue;
			if (!watch[w].key) {
				woken = host_eventfd_drain(p->wake_fd);
				continue;
			}
			explore_will_store(&keys[nr], sizeof(keys[nr]));
			keys[nr++] = watch[w].key;
		}
		if (nr || woken)
			return nr;
		explore_wait(&poller->word, word, EXPLORE_FOREVER);
	}
	return 0;
}
