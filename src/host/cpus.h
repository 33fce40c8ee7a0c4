/* SPDX-License-Identifier: MIT */
#ifndef ANYKVM_HOST_CPUS_H
#define ANYKVM_HOST_CPUS_H

#include "base/types.h"

/* Online CPUs of the host, at least 1. */
u32 host_nr_cpus(void);

#endif
