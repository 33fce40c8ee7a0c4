/* SPDX-License-Identifier: MIT */
#ifndef ANYKVM_HOST_CPUS_H
#define ANYKVM_HOST_CPUS_H

#include <unistd.h>

#include "base/types.h"

/* Online CPUs of the host, at least 1. */
static inline u32 host_nr_cpus(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n > 0 ? n : 1;
}

#endif
