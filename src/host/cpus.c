/* SPDX-License-Identifier: MIT */
#include <unistd.h>

#include "host/cpus.h"

u32 host_nr_cpus(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n > 0 ? n : 1;
}
