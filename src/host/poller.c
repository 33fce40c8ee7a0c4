/* SPDX-License-Identifier: MIT */
#include "host/poller.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/uio.h>

#include "base/context.h"
#include "base/raw.h"
#include "host/fd.h"

#define MAX_EVENTS 16

int host_poller_init(struct host_poller *p)
{
	int ret;

	p->epoll_fd = raw_syscall(SYS_epoll_create1, EPOLL_CLOEXEC);
	if (p->epoll_fd < 0)
		return p->epoll_fd;
	p->wake_fd = host_eventfd_create(0, false);
	if (p->wake_fd < 0) {
		ret = p->wake_fd;
		goto out_epoll;
	}
	p->epoll_fd = host_fd_move_high(p->epoll_fd);
	p->wake_fd = host_fd_move_high(p->wake_fd);
	ret = host_poller_add(p, p->wake_fd, 0);
	if (!ret)
		return 0;
	host_close(p->wake_fd);
out_epoll:
	host_close(p->epoll_fd);
	return ret;
}

void host_poller_fini(struct host_poller *p)
{
	host_close(p->wake_fd);
	host_close(p->epoll_fd);
}

int host_poller_add(struct host_poller *p, int fd, u64 key)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = key};

	return raw_syscall(SYS_epoll_ctl, p->epoll_fd, EPOLL_CTL_ADD, fd, &ev);
}

void host_poller_remove(struct host_poller *p, int fd)
{
	struct epoll_event ev = {0};

	raw_syscall(SYS_epoll_ctl, p->epoll_fd, EPOLL_CTL_DEL, fd, &ev);
}

void host_poller_wake(struct host_poller *p)
{
	host_eventfd_signal(p->wake_fd, 1);
}

bool host_eventfd_drain(int fd)
{
	u64 count;
	struct iovec iov = {.iov_base = &count, .iov_len = sizeof(count)};
	long ret = raw_syscall(SYS_preadv2, fd, &iov, 1, -1, -1, RWF_NOWAIT);

	/* Hosts before 5.8 know no such read of an eventfd: look first (another reader may still
	 * get between). */
	if (ret == -EOPNOTSUPP || ret == -ESPIPE || ret == -EINVAL || ret == -ENOSYS)
		ret = host_poll(fd, POLLIN, 0) == POLLIN ? host_read(fd, &count, sizeof(count))
							 : -EAGAIN;
	return ret == sizeof(count);
}

u32 host_poller_wait(struct host_poller *p, u64 *keys, u32 max)
{
	struct epoll_event ev[MAX_EVENTS];
	u32 nr = 0;
	long n;

	CONTEXT_MAY_SLEEP("poll");
	n = raw_syscall(SYS_epoll_pwait, p->epoll_fd, ev, MIN(max, MAX_EVENTS), -1, NULL, 8);
	for (long i = 0; i < n; i++) {
		if (ev[i].data.u64)
			keys[nr++] = ev[i].data.u64;
		else
			host_eventfd_drain(p->wake_fd);
	}
	return nr;
}
