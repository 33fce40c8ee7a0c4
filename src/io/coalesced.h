/* SPDX-License-Identifier: MIT */
/*
 * Coalesced MMIO: writes to a registered zone go to a ring in a page shared with the VMM instead of leaving KVM_RUN. One ring
 * a VM, page 1 of each of its vCPU descriptors. A full ring falls back to an exit.
 */
#ifndef ANYKVM_IO_COALESCED_H
#define ANYKVM_IO_COALESCED_H

#include "base/list.h"
#include "io/bus.h"

struct coalesced {
	struct io_bus *bus
		[2]; /* MMIO, and the port I/O that arm64 does not have: registration there is legal, never used */
	struct list zones GUARDED_BY(bus[0]->lock);
	struct list pio_zones GUARDED_BY(bus[1]->lock);
	struct mutex ring_lock;			 /* producers */
	int fd WRITES_GUARDED_BY(ring_lock);	 /* memfd of the ring page, -1 until needed */
	void *ring WRITES_GUARDED_BY(ring_lock); /* NULL until needed */
};

void coalesced_init(struct coalesced *c, struct io_bus *mmio, struct io_bus *pio);
/* After io_bus_fini of both buses, which destroys the zones. */
void coalesced_fini(struct coalesced *c);
/* The descriptor that backs the ring page, made at the first call. Owned by c. -errno: -ENOMEM, -EMFILE... */
int coalesced_ring_fd(struct coalesced *c);
/* KVM_REGISTER_COALESCED_MMIO: 0, -EINVAL (pio is neither 0 nor 1), -ENOSPC, -ENOMEM. */
int coalesced_register(struct coalesced *c, u64 addr, u32 size, u32 pio);
/* KVM_UNREGISTER_COALESCED_MMIO: all zones that cover [addr, addr + size); 0 even if there is none; -EINVAL for pio. */
int coalesced_unregister(struct coalesced *c, u64 addr, u32 size, u32 pio);

#endif
