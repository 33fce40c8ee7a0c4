/* SPDX-License-Identifier: MIT */
#ifndef ANYKVM_HOST_CLOCK_H
#define ANYKVM_HOST_CLOCK_H

#include "base/types.h"

/* CLOCK_MONOTONIC in ns. Cheap (vDSO). */
u64 host_clock_ns(void);
/* CLOCK_REALTIME in ns. */
u64 host_clock_realtime_ns(void);
/* CPU time of the calling thread in ns. */
u64 host_clock_thread_cpu_ns(void);
/* How long the calling thread was ready to run while the host ran something else; 0 if the host does not count. */
u64 host_clock_run_delay_ns(void);

#endif
