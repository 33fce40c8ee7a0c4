/* SPDX-License-Identifier: MIT */
#ifndef ANYKVM_HOST_RANDOM_H
#define ANYKVM_HOST_RANDOM_H

#include "base/types.h"

/* From the host kernel's generator (TRNG quality once the host has booted). */
void host_random_fill(void *buf, size_t n);
u64 host_random_u64(void);

#endif
