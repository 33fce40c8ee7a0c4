/* SPDX-License-Identifier: MIT */
/* Arm PrimeCell PL031 real-time clock (DDI 0224), without its alarm interrupt: the device tree
 * names no line. */
#ifndef CLI_PL031_H
#define CLI_PL031_H

#include "bus.h"
#include "state.h"

struct pl031 {
	pthread_mutex_t lock;
	int64_t offset; /* guest seconds minus host seconds */
	uint32_t match, load, mask;
};

void pl031_init(struct pl031 *rtc, struct bus *bus, uint64_t base, uint64_t size);
void pl031_state(struct pl031 *rtc, struct state *state);

#endif
