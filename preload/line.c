/* SPDX-License-Identifier: MIT */
/* Lines of a trace, and reading what a program's pointers point at. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

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

void line_write(struct line *l)
{
	long r;

	l->text[l->n++] = '\n';
	r = raw_syscall(SYS_write, observe.fd, l->text, l->n);
	/* A program that closes all it does not know, by other means than close. */
	if (r == -EBADF) {
		observe.fd = log_open();
		raw_syscall(SYS_write, observe.fd, l->text, l->n);
	}
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
