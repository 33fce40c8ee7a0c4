/* SPDX-License-Identifier: MIT */
#include <time.h>

#include "host/clock.h"

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
