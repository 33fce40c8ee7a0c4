/* SPDX-License-Identifier: MIT */
/* Waiting for many descriptors on one thread. */
#ifndef ANYKVM_HOST_POLLER_H
#define ANYKVM_HOST_POLLER_H

#include "base/types.h"

struct host_poller {
	int epoll_fd;
	int wake_fd; /* makes a waiter return */
};

/* 0, -EMFILE, -ENOMEM. */
int host_poller_init(struct host_poller *p);
/* Nobody waits. */
void host_poller_fini(struct host_poller *p);
/* Reports key while fd is readable. -ENOMEM, -EPERM (fd cannot be polled), -EEXIST. */
int host_poller_add(struct host_poller *p, int fd, u64 key);
void host_poller_remove(struct host_poller *p, int fd);
/* Any thread: the waiter returns soon, perhaps with nothing. */
void host_poller_wake(struct host_poller *p);
/* Blocks. Number of keys written, 0 after a wake. Keys are not 0. */
u32 host_poller_wait(struct host_poller *p, u64 *keys, u32 max);
/* Takes an eventfd's count without ever blocking. False if it was 0. */
bool host_eventfd_drain(int fd);

#endif
