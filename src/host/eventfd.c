/* SPDX-License-Identifier: MIT */
#include "host/eventfd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/fd.h"
#include "host/identity.h"
#include "base/raw.h"

static bool eventfd_read_id(int fd, u64 *id)
{
	static const char key[] = "eventfd-id:";
	char path[48], text[512], *at;
	int info;
	s64 n;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = raw_syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	if (info < 0)
		return false;
	n = host_read(info, text, sizeof(text) - 1);
	host_close(info);
	if (n <= 0)
		return false;
	text[n] = 0;
	at = strstr(text, key);
	if (!at)
		return false;
	*id = strtoull(at + sizeof(key) - 1, NULL, 10);
	return true;
}

/* 0: the same open file, which for eventfds is the same eventfd. Negative: the host does not tell. */
static long kcmp_file(int a, int b)
{
	return raw_syscall(SYS_kcmp, host_pid(), host_pid(), KCMP_FILE, a, b);
}

/* The copy first: the VMM may close or reuse the number at any moment, and the answers must be about one file. */
int host_eventfd_get(int fd, struct host_eventfd *out)
{
	int copy = host_fd_dup_high(fd);

	if (copy < 0)
		return copy;
	if (!host_fd_is_eventfd(copy)) {
		host_close(copy);
		return -EINVAL;
	}
	out->fd = copy;
	/* Reading an id takes a low descriptor number for a moment, which other threads of the VMM could see: only if it must be. */
	out->has_id = kcmp_file(copy, copy) < 0 && eventfd_read_id(copy, &out->id);
	return 0;
}

void host_eventfd_put(struct host_eventfd *e)
{
	host_close(e->fd);
	e->fd = -1;
}

/*
 * Whether a write blocks is the open file's, which is the VMM's too, so it is not ours to change; hence the look before. Only
 * a VMM that fills the counter in between makes this wait, until it reads. (Not host_poll: it is for who may sleep.)
 */
void host_eventfd_notify(const struct host_eventfd *e)
{
	struct pollfd room = {.fd = e->fd, .events = POLLOUT};
	u64 ts[2] = {0, 0};

	if (raw_syscall(SYS_ppoll, &room, 1, ts, NULL, 0) == 1 && room.revents & POLLOUT)
		host_eventfd_signal(e->fd, 1);
}

bool host_eventfd_same(const struct host_eventfd *a, const struct host_eventfd *b)
{
	if (a->has_id && b->has_id)
		return a->id == b->id;
	return kcmp_file(a->fd, b->fd) == 0;
}
