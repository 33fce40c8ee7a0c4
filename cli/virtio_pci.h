/* SPDX-License-Identifier: MIT */
/*
 * The PCI transport of a virtio device without legacy interface (Virtual I/O Device 1.2, section 4.1): capabilities that say where
 * in BAR 0 things are, the common configuration, ISR status, notifications, interrupts by INTx or MSI-X. The device itself (features,
 * its own configuration, what its queues carry) is another file's.
 *
 * Everything here is called with the lock of the PCI host held: by vCPUs through the bus, by the device's own thread after taking it.
 */
#ifndef CLI_VIRTIO_PCI_H
#define CLI_VIRTIO_PCI_H

#include "memory.h"
#include "pci.h"
#include "state.h"
#include "virtqueue.h"

#define VIRTIO_MAX_QUEUES  2u
#define VIRTIO_F_VERSION_1 (1ull << 32)

struct virtio_pci {
	struct pci_function pci;
	const struct guest_memory *ram;
	/* What the device is; set before virtio_pci_attach(). */
	const char *name;
	uint16_t device_id; /* section 5 */
	uint32_t class_code;
	uint64_t offered; /* features */
	unsigned nr_queues;
	const uint8_t *config; /* its own configuration, which never changes */
	unsigned config_size;
	void (*notify)(void *device); /* there may be something in a queue */
	void *device;
	uint8_t access; /* where in configuration space the window into BAR 0 is */
	/* What the driver made of it. */
	uint64_t features;
	uint32_t device_select, driver_select;
	uint16_t config_vector, queue_select;
	uint8_t status, isr;
	struct virtqueue queues[VIRTIO_MAX_QUEUES];
};

void virtio_pci_attach(struct virtio_pci *virtio, struct pci_host *host, unsigned slot);
/* The queue, if the driver is ready and the device may reach memory; else null. */
struct virtqueue *virtio_pci_queue(struct virtio_pci *virtio, unsigned index);
/* The driver broke its promises: nothing goes on until it resets the device (DEVICE_NEEDS_RESET). */
void virtio_pci_break(struct virtio_pci *virtio, const char *why);
/* Tells the driver of what was returned, if it wants to know. */
void virtio_pci_signal(struct virtio_pci *virtio, unsigned index);
void virtio_pci_state(struct virtio_pci *virtio, struct state *state);

#endif
