/* SPDX-License-Identifier: MIT */
/*
 * The VMM's eventfds as the library holds them: a copy of the descriptor at a high number, and an identity, since a VMM names
 * the same eventfd by other numbers later. All eventfds share one inode; the kernel's id of each is in fdinfo.
 */
#ifndef ANYKVM_HOST_EVENTFD_H
#define ANYKVM_HOST_EVENTFD_H

#include "base/types.h"

struct host_eventfd {
	int fd;
	bool has_id; /* the host tells ids */
	u64 id;
};

/* 0, -EBADF, -EINVAL (no eventfd), -EMFILE. */
int host_eventfd_get(int fd, struct host_eventfd *out);
void host_eventfd_put(struct host_eventfd *e);
/* Adds one; never blocks, though the VMM's eventfd may be a blocking one: a counter that is full stays as it is. */
void host_eventfd_notify(const struct host_eventfd *e);
bool host_eventfd_same(const struct host_eventfd *a, const struct host_eventfd *b);

#endif
