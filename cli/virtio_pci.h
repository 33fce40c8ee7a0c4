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
	bool told;	/* of the first break; no reset clears it */
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

/* --- between the two files of the transport; virtio_common.c --- */

#define VIRTIO_COMMON_SIZE 0x40u

/* Section 2.1 */
#define STATUS_DRIVER_OK   4u
#define STATUS_FEATURES_OK 8u
#define STATUS_NEEDS_RESET 64u
#define STATUS_BY_DRIVER   (1u | 2u | STATUS_DRIVER_OK | STATUS_FEATURES_OK | 128u)

bool virtio_pci_is_ready(const struct virtio_pci *virtio);
void virtio_common_reset(struct virtio_pci *virtio);
/* The vector that a driver asks for, or none. */
uint16_t virtio_common_vector(const struct virtio_pci *virtio, uint32_t vector);
uint32_t virtio_common_read(struct virtio_pci *virtio, unsigned offset, unsigned size);
void virtio_common_write(struct virtio_pci *virtio, unsigned offset, unsigned size, uint32_t value);

#endif
