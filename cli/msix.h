/* SPDX-License-Identifier: MIT */
/*
 * MSI-X of a PCI function (PCI Express Base Specification, 7.7.2): a table of messages and an array of pending bits in BAR 0. A
 * message is a store to the doorbell of the interrupt translation service, which KVM is told of by KVM_SIGNAL_MSI. Everything here
 * is called with the lock of the PCI host held.
 */
#ifndef CLI_MSIX_H
#define CLI_MSIX_H

#include "cli.h"
#include "state.h"

struct pci_function;

#define MSIX_MAX_VECTORS 64

struct msix {
	unsigned nr;	     /* vectors; 0: the function has no MSI-X */
	uint64_t table, pba; /* offsets in BAR 0 */
	struct msix_entry {
		uint64_t address;
		uint32_t data, control;
	} entry[MSIX_MAX_VECTORS];
	uint64_t pending; /* raised while masked */
};

/* Adds the capability to the configuration space of fn, which is attached. */
void msix_add(struct pci_function *fn, unsigned nr, uint64_t table, uint64_t pba);
bool msix_is_enabled(const struct pci_function *fn);
/* The function has something to tell. Nothing happens unless MSI-X is enabled. */
void msix_raise(struct pci_function *fn, unsigned vector);
/* The guest wrote to the configuration space: what was pending may go now. */
void msix_config_changed(struct pci_function *fn);
/* Accesses to BAR 0. False: not to the table nor to the pending bits. */
bool msix_read(const struct pci_function *fn, uint64_t offset, unsigned size, uint64_t *value);
bool msix_write(struct pci_function *fn, uint64_t offset, unsigned size, uint64_t value);
void msix_state(struct pci_function *fn, struct state *state);

#endif
