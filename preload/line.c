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

/* Without the signal of a pipe that nobody reads: to end by it is the program's choice, not ours. */
static long write_once(const char *text, size_t n)
{
	uint64_t sigpipe = 1ull << (SIGPIPE - 1), old = 0;
	const struct timespec at_once = {0};
	long r;

	if (!observe.pipe)
		return raw_syscall(SYS_write, observe.fd, text, n);
	raw_syscall(SYS_rt_sigprocmask, SIG_BLOCK, &sigpipe, &old, sizeof(old));
	r = raw_syscall(SYS_write, observe.fd, text, n);
	if (r == -EPIPE)
		raw_syscall(SYS_rt_sigtimedwait, &sigpipe, NULL, &at_once, sizeof(sigpipe));
	raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, sizeof(old));
	return r;
}

/* All of it; the program may have made its stderr non-blocking. 0 or -errno. */
static long write_all(const char *text, size_t n)
{
	while (n) {
		struct pollfd room = {.fd = observe.fd, .events = POLLOUT};
		long r = write_once(text, n);

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

static void tell_the_end(long error)
{
	struct line l = {.n = 0};

	line_add(&l, "anykvm: %s ends here: %s\n", observe.file, strerrorname_np(-error));
	raw_syscall(SYS_write, STDERR_FILENO, l.text, l.n);
}

void line_write(struct line *l)
{
	long r;

	if (observe.fd < 0)
		return;
	l->text[l->n++] = '\n';
	r = write_all(l->text, l->n);
	/* A program that closes all it does not know, by other means than close. */
	if (r == -EBADF) {
		observe.fd = log_open();
		r = write_all(l->text, l->n);
	}
	/* A full disk, or a reader that is gone: told once. */
	if (r && __atomic_exchange_n(&observe.fd, -1, __ATOMIC_RELAXED) >= 0 && observe.file)
		tell_the_end(r);
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
