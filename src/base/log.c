/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"

void log_line(const char *fmt, ...)
{
	static const char prefix[] = "anykvm: ";
	char line[512];
	int saved = errno, n = sizeof(prefix) - 1, m;
	va_list ap;

	__builtin_memcpy(line, prefix, sizeof(prefix));
	va_start(ap, fmt);
	m = vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
	va_end(ap);
	if (m > 0)
		n += MIN(m, (int)sizeof(line) - n - 2);
	line[n++] = '\n';
	/* One raw write: lines of several threads do not mix, and an interposed write() does not see it. */
	syscall(SYS_write, 2, line, (size_t)n);
	errno = saved;
}
