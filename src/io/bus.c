/* SPDX-License-Identifier: MIT */
#include "io/bus.h"

#include <errno.h>
#include <string.h>

#include "base/bug.h"
#include "host/alloc.h"

/*
 * Sorted by address. Devices may overlap (several ioeventfds with different values on one register): dispatch tries each that
 * covers the access. A NULL device is a hole left by a removal that found no memory.
 */
struct io_table {
	u32 nr;
	u32 capacity;
	struct io_entry {
		u64 addr, len;
		struct aptr dev;
	} entry[];
};

static size_t io_table_bytes(u32 capacity)
{
	return sizeof(struct io_table) + capacity * sizeof(struct io_entry);
}

static struct io_table *io_table_alloc(u32 capacity)
{
	struct io_table *t = host_alloc(io_table_bytes(capacity));

	if (t)
		t->capacity = capacity;
	return t;
}

static void io_table_free(struct io_table *t)
{
	if (t)
		host_free(t, io_table_bytes(t->capacity));
}

static struct io_device *io_entry_device(const struct io_entry *e)
{
	return aptr_load_acquire(&e->dev);
}

void io_bus_init(struct io_bus *bus)
{
	/* The rank of slot changes: a writer waits for SRCU with it held, as those do, and the two never nest. */
	mutex_init(&bus->lock, RANK_SLOTS, "io bus");
	srcu_init(&bus->srcu, RANK_SRCU, "io bus readers");
	aptr_store_relaxed(&bus->table, NULL);
}

void io_bus_fini(struct io_bus *bus)
{
	struct io_table *t = aptr_load_relaxed(&bus->table);

	for (u32 i = 0; t && i < t->nr; i++) {
		struct io_device *dev = io_entry_device(&t->entry[i]);

		if (dev && dev->ops->destroy)
			dev->ops->destroy(dev);
	}
	io_table_free(t);
	aptr_store_relaxed(&bus->table, NULL);
	srcu_fini(&bus->srcu);
	mutex_fini(&bus->lock);
}

/* Copies the devices of old, without skip and holes, to new; extra (if any) goes behind all devices with the same address. */
static void io_table_rebuild(struct io_table *new, const struct io_table *old,
			     const struct io_device *skip, struct io_device *extra)
{
	for (u32 i = 0; i <= (old ? old->nr : 0); i++) {
		struct io_device *dev = old && i < old->nr ? io_entry_device(&old->entry[i]) : NULL;
		bool last = !old || i == old->nr;

		if (extra && (last || (dev && dev->addr > extra->addr))) {
			struct io_entry *e = &new->entry[new->nr++];

			e->addr = extra->addr;
			e->len = extra->len;
			aptr_store_relaxed(&e->dev, extra);
			extra = NULL;
		}
		if (dev && dev != skip) {
			struct io_entry *e = &new->entry[new->nr++];

			e->addr = dev->addr;
			e->len = dev->len;
			aptr_store_relaxed(&e->dev, dev);
		}
	}
}

int io_bus_add_locked(struct io_bus *bus, struct io_device *dev)
{
	struct io_table *old = aptr_load_relaxed(&bus->table), *new;
	u32 limited = 0;

	for (u32 i = 0; old && i < old->nr; i++) {
		struct io_device *d = io_entry_device(&old->entry[i]);

		limited += d && !d->unlimited;
	}
	if (limited >= IO_BUS_MAX)
		return -ENOSPC;
	new = io_table_alloc((old ? old->nr : 0) + 1);
	if (!new)
		return -ENOMEM;
	io_table_rebuild(new, old, NULL, dev);
	/* Pairs with the acquire in dispatch: the entries are there before the table. */
	aptr_store_release(&bus->table, new);
	if (old)
		srcu_synchronize(&bus->srcu);
	io_table_free(old);
	return 0;
}

int io_bus_add(struct io_bus *bus, struct io_device *dev)
{
	int r;

	mutex_lock(&bus->lock);
	r = io_bus_add_locked(bus, dev);
	mutex_unlock(&bus->lock);
	return r;
}

void io_bus_remove_locked(struct io_bus *bus, struct io_device *dev)
{
	struct io_table *old = aptr_load_relaxed(&bus->table), *new = NULL;
	u32 i;

	for (i = 0; old && i < old->nr; i++)
		if (io_entry_device(&old->entry[i]) == dev)
			break;
	if (!old || i == old->nr)
		return;
	if (old->nr > 1) {
		new = io_table_alloc(old->nr - 1);
		if (!new) {
			aptr_store_release(&old->entry[i].dev, NULL);
			srcu_synchronize(&bus->srcu);
			return;
		}
		io_table_rebuild(new, old, dev, NULL);
	}
	aptr_store_release(&bus->table, new);
	srcu_synchronize(&bus->srcu);
	io_table_free(old);
}

void io_bus_remove(struct io_bus *bus, struct io_device *dev)
{
	mutex_lock(&bus->lock);
	io_bus_remove_locked(bus, dev);
	mutex_unlock(&bus->lock);
}

/* Index of the first entry with an address above addr. */
static u32 io_table_upper(const struct io_table *t, u64 addr)
{
	u32 lo = 0, hi = t->nr;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;

		if (t->entry[mid].addr <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool io_entry_covers(const struct io_entry *e, u64 addr, unsigned len)
{
	if (!e->len)
		return addr == e->addr;
	return addr >= e->addr && addr - e->addr + len <= e->len;
}

static int io_bus_dispatch(struct io_bus *bus, void *cpu, u64 addr, unsigned len, bool write,
			   u64 *value)
{
	int cookie = srcu_read_lock(&bus->srcu), r = -EOPNOTSUPP;
	/* Pairs with the release when a table is published. */
	struct io_table *t = aptr_load_acquire(&bus->table);

	/*
	 * Entries that cover addr lie at or below its upper bound, not always side by side: a long range may start far below
	 * shorter ones. Tables are short and this is the slow path, so look at all of them, in address order.
	 */
	for (u32 i = 0, end = t ? io_table_upper(t, addr) : 0; i < end && r == -EOPNOTSUPP; i++) {
		struct io_device *dev;

		if (!io_entry_covers(&t->entry[i], addr, len))
			continue;
		dev = io_entry_device(&t->entry[i]);
		if (!dev)
			continue;
		if (write && dev->ops->write)
			r = dev->ops->write(dev, cpu, addr, len, *value);
		else if (!write && dev->ops->read)
			r = dev->ops->read(dev, cpu, addr, len, value);
	}
	srcu_read_unlock(&bus->srcu, cookie);
	return r;
}

int io_bus_read(struct io_bus *bus, void *cpu, u64 addr, unsigned len, u64 *value)
{
	return io_bus_dispatch(bus, cpu, addr, len, false, value);
}

int io_bus_write(struct io_bus *bus, void *cpu, u64 addr, unsigned len, u64 value)
{
	return io_bus_dispatch(bus, cpu, addr, len, true, &value);
}
