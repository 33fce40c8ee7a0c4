/* SPDX-License-Identifier: MIT */
/* ioeventfd: a guest's write to an address, perhaps of one value, signals an eventfd instead of leaving KVM_RUN. */
#ifndef ANYKVM_IO_IOEVENTFD_H
#define ANYKVM_IO_IOEVENTFD_H

#include "base/list.h"
#include "io/bus.h"

struct kvm_ioeventfd;

struct ioeventfds {
	struct io_bus *mmio, *pio;
	struct list mmio_list GUARDED_BY(mmio->lock);
	struct list pio_list GUARDED_BY(pio->lock);
};

void ioeventfds_init(struct ioeventfds *set, struct io_bus *mmio, struct io_bus *pio);
/*
 * KVM_IOEVENTFD. 0, or
 *   -EINVAL  flags, length, range, or fd is no eventfd
 *   -EBADF   fd is not open
 *   -EEXIST  assign: collides with one that is there
 *   -ENOENT  deassign: no such binding
 *   -ENOMEM, -EMFILE
 */
int ioeventfds_change(struct ioeventfds *set, const struct kvm_ioeventfd *args);

#endif
