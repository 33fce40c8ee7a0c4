/* SPDX-License-Identifier: MIT */
/*
 * The I/O bus of a VM: which library device takes an access to a guest physical address. Readers are vCPU threads under SRCU;
 * writers replace the table and wait for the readers, so that a device is gone when io_bus_remove returns.
 *
 * struct io_device. born: its owner embeds it. seen by: dispatch, from io_bus_add. kept by: the owner. hidden: io_bus_remove.
 * freed: by the owner after io_bus_remove, or in ops->destroy.
 */
#ifndef ANYKVM_IO_BUS_H
#define ANYKVM_IO_BUS_H

#include "base/types.h"
#include "sync/mutex.h"
#include "sync/srcu.h"

struct io_device;

struct io_device_ops {
	/*
	 * cpu is the accessing vCPU (struct vcpu *, opaque here). 0 = done, -EOPNOTSUPP = not mine after all. NULL stands for the
	 * latter. Runs inside the bus's SRCU section: no wait for it, no registration.
	 */
	int (*read)(struct io_device *dev, void *cpu, u64 addr, unsigned len, u64 *value);
	int (*write)(struct io_device *dev, void *cpu, u64 addr, unsigned len, u64 value);
	/* Of the devices still there at io_bus_fini. May be NULL. */
	void (*destroy)(struct io_device *dev);
};

struct io_device {
	const struct io_device_ops *ops;
	u64 addr;
	u64 len;	/* 0: accesses of any length at exactly addr */
	bool unlimited; /* not counted in IO_BUS_MAX: bounded by something else */
};

/* Devices of one bus, not counting unlimited ones. */
#define IO_BUS_MAX 1000

struct io_table; /* bus.c: immutable once published */

struct io_bus {
	struct mutex lock; /* writers */
	struct srcu srcu;
	struct aptr
		table; /* struct io_table *, NULL = empty; written under lock, read under srcu */
};

void io_bus_init(struct io_bus *bus);
/* Destroys what is left. No dispatch any more. */
void io_bus_fini(struct io_bus *bus);
/* 0, -ENOMEM, -ENOSPC. */
int io_bus_add(struct io_bus *bus, struct io_device *dev) EXCLUDES(&bus->lock);
/* The same with the bus locked, for owners that must look at their own lists in the same section. */
int io_bus_add_locked(struct io_bus *bus, struct io_device *dev) REQUIRES(&bus->lock);
/*
 * Afterwards nobody is in dev. If there is no memory for a smaller table the device is replaced by a hole in place, so that
 * removal cannot fail.
 */
void io_bus_remove(struct io_bus *bus, struct io_device *dev) EXCLUDES(&bus->lock);
void io_bus_remove_locked(struct io_bus *bus, struct io_device *dev) REQUIRES(&bus->lock);

/* 0 = done, -EOPNOTSUPP = nobody took it. */
int io_bus_read(struct io_bus *bus, void *cpu, u64 addr, unsigned len, u64 *value);
int io_bus_write(struct io_bus *bus, void *cpu, u64 addr, unsigned len, u64 value);

#endif
