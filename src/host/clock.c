/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>

#include "base/raw.h"
#include "host/clock.h"
#include "host/fd.h"

static u64 clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (u64)ts.tv_sec * 1000000000u + ts.tv_nsec;
}

u64 host_clock_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

u64 host_clock_realtime_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

u64 host_clock_thread_cpu_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

u64 host_clock_run_delay_ns(void)
{
	int fd = raw_syscall(SYS_openat, AT_FDCWD, "/proc/thread-self/schedstat",
			     O_RDONLY | O_CLOEXEC);
	char text[80], *at;
	s64 n;

	if (fd < 0)
		return 0;
	n = host_read(fd, text, sizeof(text) - 1);
	host_close(fd);
	if (n <= 0)
		return 0;
	text[n] = 0;
	/* "run time, run delay, time slices" */
	strtoull(text, &at, 10);
	return strtoull(at, NULL, 10);
}
