/* SPDX-License-Identifier: MIT */
/* Lines of a trace, and reading what a program's pointers point at. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "base/raw.h"
#include "observe.h"

#define PEEK_STEP 8

void line_add(struct line *l, const char *format, ...)
{
	size_t room = sizeof(l->text) - 1 - l->n;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(l->text + l->n, room, format, ap);
	va_end(ap);
	if (n > 0)
		l->n += (size_t)n < room ? (size_t)n : room - 1;
}

#define SIGNAL(number) (1ull << ((number)-1))

/* Without the signal of a pipe that nobody reads, or of a file's limit: to end by it is the program's choice, not ours. */
static long write_once(int fd, const char *text, size_t n)
{
	uint64_t blocked = SIGNAL(SIGPIPE) | SIGNAL(SIGXFSZ), raised = 0, old = 0;
	const struct timespec at_once = {0};
	long r;

	raw_syscall(SYS_rt_sigprocmask, SIG_BLOCK, &blocked, &old, sizeof(old));
	r = raw_syscall(SYS_write, fd, text, n);
	if (r == -EPIPE)
		raised = SIGNAL(SIGPIPE);
	else if (r == -EFBIG)
		raised = SIGNAL(SIGXFSZ);
	if (raised)
		raw_syscall(SYS_rt_sigtimedwait, &raised, NULL, &at_once, sizeof(raised));
	raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, sizeof(old));
	return r;
}

/* All of it; the program may have made its stderr non-blocking. 0 or -errno. */
static long write_all(int fd, const char *text, size_t n)
{
	while (n) {
		struct pollfd room = {.fd = fd, .events = POLLOUT};
		long r = write_once(fd, text, n);

		if (r == -EAGAIN)
			raw_syscall(SYS_ppoll, &room, 1, NULL, NULL, 0);
		else if (r < 0 && r != -EINTR)
			return r;
		if (r > 0) {
			text += r;
			n -= r;
		}
	}
	return 0;
}

static bool replace_log(int *old, int fd)
{
	return __atomic_compare_exchange_n(&observe.fd, old, fd, false, __ATOMIC_RELAXED,
					   __ATOMIC_RELAXED);
}

/*
 * In place of one that is not open: of two threads that find it so one opens for both. Only the first time is a pipe's reader waited
 * for: one that was there and is gone does not come back. A descriptor or -errno; 0 where another thread told the end.
 */
static long open_again(int old)
{
	long fd = log_open(old == LOG_LATER ? 0 : O_NONBLOCK);
	int now = old;

	if (fd < 0 || replace_log(&now, fd))
		return fd;
	if (fd > STDERR_FILENO)
		raw_syscall(SYS_close, fd);
	return now >= 0 ? now : 0;
}

/* A full disk, or a reader that is gone: told once. */
static void end_log(int fd, long error)
{
	struct line l = {.n = 0};

	if (!replace_log(&fd, LOG_ENDED) || !observe.file)
		return;
	line_add(&l, "anykvm: %s ends here: %s\n", observe.file, strerrorname_np(-error));
	write_once(STDERR_FILENO, l.text, l.n);
}

void line_write(struct line *l)
{
	int fd = __atomic_load_n(&observe.fd, __ATOMIC_RELAXED);
	long r = -EBADF;

	if (fd == LOG_ENDED)
		return;
	l->text[l->n++] = '\n';
	if (fd >= 0)
		r = write_all(fd, l->text, l->n);
	/* A program that closes all it does not know, by other means than close. */
	if (r == -EBADF) {
		r = open_again(fd);
		if (r > 0) {
			fd = r;
			r = write_all(fd, l->text, l->n);
		}
	}
	if (r)
		end_log(fd, r);
}

/*
 * A system call that reads eight bytes before it finds that it is given nonsense tells whether they are there. Whoever unmaps them
 * between the look and the copy does so while another thread's call is about to use them.
 */
static bool readable(const void *p)
{
	return raw_syscall(SYS_rt_sigprocmask, -1, p, NULL, PEEK_STEP) != -EFAULT;
}

bool peek(void *to, const void *from, size_t n)
{
	uintptr_t first = (uintptr_t)from, last = first + n - 1, page = 4096;

	if (!from || !n || last < first)
		return false;
	/* A structure ends anywhere: only its own bytes count. */
	for (uintptr_t at = first; at <= last; at = (at | (page - 1)) + 1) {
		uintptr_t probe = at + PEEK_STEP - 1 > (at | (page - 1))
					  ? (at | (page - 1)) - PEEK_STEP + 1
					  : at;

		if (!readable((const void *)probe))
			return false;
	}
	memcpy(to, from, n);
	return true;
}
