/* SPDX-License-Identifier: MIT */
/*
 * A PCI host with one bus (pci-host-ecam-generic): configuration space by memory accesses, one
 * window for 32-bit BARs. Each slot has function 0 alone and an interrupt line of its own, so lines
 * are never shared; a function may have MSI-X (msix.h), which replaces its line while it is enabled. One lock covers the bus and everything on it.
 */
#ifndef CLI_PCI_H
#define CLI_PCI_H

#include "bus.h"
#include "irq.h"
#include "msix.h"
#include "state.h"

#define PCI_SLOTS      32
#define PCI_CONFIG_MAX 256
#define PCI_ECAM_SIZE  MIB /* one bus of 32 slots of 8 functions of 4 KiB */

struct pci_function {
	uint8_t config[PCI_CONFIG_MAX];
	uint8_t writable[PCI_CONFIG_MAX]; /* bits the guest may change */
	uint8_t capabilities_end;
	uint64_t bar_size; /* of BAR 0, memory; a power of two */
	struct irq_line irq;
	bool asserted;	    /* what the device wants, before INTx Disable */
	uint32_t requester; /* bus, slot and function: the DeviceID of its messages */
	struct msix msix;
	void *device;
	uint64_t (*read)(void *device, uint64_t offset, unsigned size);
	void (*write)(void *device, uint64_t offset, unsigned size, uint64_t value);
	/* May be null: before a load from configuration space, and after a store to it. */
	void (*access)(struct pci_function *fn, unsigned offset, unsigned size, bool write);
};

struct pci_host {
	pthread_mutex_t lock;
	uint64_t window, window_size;
	struct pci_function *slots[PCI_SLOTS];
};

struct pci_ids {
	uint16_t vendor, device;
	uint32_t class_code; /* class, subclass, interface: 24 bits */
	uint8_t revision;
};

void pci_init(struct pci_host *host, struct bus *bus, uint64_t ecam, uint64_t window,
	      uint64_t window_size);
/* Fills the configuration space; the caller has set device, read, write, bar_size and irq. */
void pci_attach(struct pci_host *host, unsigned slot, struct pci_function *fn,
		const struct pci_ids *ids);
/* At the head of the list: where in configuration space it is, all zeros but for its id and link. msix_add() comes first. */
uint8_t pci_add_capability(struct pci_function *fn, uint8_t id, unsigned size);
/* BAR 0, as the guest reaches it through the window. */
uint64_t pci_bar_read(struct pci_function *fn, uint64_t offset, unsigned size);
void pci_bar_write(struct pci_function *fn, uint64_t offset, unsigned size, uint64_t value);
void pci_set_irq(struct pci_function *fn, bool level);
bool pci_is_bus_master(const struct pci_function *fn);
void pci_state(struct pci_function *fn, struct state *state);

#endif
