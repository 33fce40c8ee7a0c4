/* SPDX-License-Identifier: MIT */
/* Devices by guest physical address. */
#ifndef CLI_BUS_H
#define CLI_BUS_H

#include <pthread.h>

#include "cli.h"

struct bus_region {
	const char *name;
	uint64_t base, size;
	pthread_mutex_t *lock; /* held over both calls; regions of one device share it */
	void *device;
	/* offset + size stays inside the region; size is 1, 2, 4 or 8 */
	uint64_t (*read)(void *device, uint64_t offset, unsigned size);
	void (*write)(void *device, uint64_t offset, unsigned size, uint64_t value);
};

struct bus {
	struct bus_region regions[8];
	unsigned nr_regions;
	unsigned nr_strays; /* accesses that no region claimed */
};

void bus_add(struct bus *bus, const struct bus_region *region);
/* False if nothing is there: loads then read zero, stores go nowhere. */
bool bus_load(struct bus *bus, uint64_t address, void *data, unsigned size);
bool bus_store(struct bus *bus, uint64_t address, const void *data, unsigned size);

#endif
