/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <string.h>

#include "bus.h"

void bus_add(struct bus *bus, const struct bus_region *region)
{
	assert(bus->nr_regions < sizeof(bus->regions) / sizeof(bus->regions[0]));
	bus->regions[bus->nr_regions++] = *region;
}

static struct bus_region *bus_lookup(struct bus *bus, uint64_t address, unsigned size)
{
	for (unsigned i = 0; i < bus->nr_regions; i++) {
		struct bus_region *region = &bus->regions[i];

		if (address >= region->base && address - region->base <= region->size - size)
			return region;
	}
	return NULL;
}

bool bus_load(struct bus *bus, uint64_t address, void *data, unsigned size)
{
	struct bus_region *region = bus_lookup(bus, address, size);
	uint64_t value = 0;

	if (region) {
		pthread_mutex_lock(region->lock);
		value = region->read(region->device, address - region->base, size);
		pthread_mutex_unlock(region->lock);
	} else {
		__atomic_fetch_add(&bus->nr_strays, 1, __ATOMIC_RELAXED);
	}
	memcpy(data, &value, size); /* both hosts that we run on are little-endian, as the bus is */
	return region;
}

bool bus_store(struct bus *bus, uint64_t address, const void *data, unsigned size)
{
	struct bus_region *region = bus_lookup(bus, address, size);
	uint64_t value = 0;

	memcpy(&value, data, size);
	if (region) {
		pthread_mutex_lock(region->lock);
		region->write(region->device, address - region->base, size, value);
		pthread_mutex_unlock(region->lock);
	} else {
		__atomic_fetch_add(&bus->nr_strays, 1, __ATOMIC_RELAXED);
	}
	return region;
}
