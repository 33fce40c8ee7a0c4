/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <string.h>

#include "pci.h"

enum { CAPABILITY = 0x40, CONTROL = CAPABILITY + 2 }; /* the first of all capabilities */

#define CAPABILITY_ID	   0x11
#define CAPABILITY_SIZE	   12
#define CONTROL_ENABLE	   0x80 /* of the upper byte */
#define CONTROL_MASK_ALL   0x40
#define ENTRY_SIZE	   16
#define ENTRY_CONTROL_MASK 1u

void msix_add(struct pci_function *fn, unsigned nr, uint64_t table, uint64_t pba)
{
	uint8_t at = pci_add_capability(fn, CAPABILITY_ID, CAPABILITY_SIZE);
	uint8_t *cap = fn->config + at;
	uint32_t where = table, pending = pba; /* the low three bits name BAR 0 */

	assert(at == CAPABILITY && nr && nr <= MSIX_MAX_VECTORS && !(table & 7) && !(pba & 7));
	fn->msix = (struct msix){.nr = nr, .table = table, .pba = pba};
	for (unsigned i = 0; i < nr; i++)
		fn->msix.entry[i].control = ENTRY_CONTROL_MASK;
	cap[2] = nr - 1;
	memcpy(cap + 4, &where, 4);
	memcpy(cap + 8, &pending, 4);
	fn->writable[CONTROL + 1] = CONTROL_ENABLE | CONTROL_MASK_ALL;
}

bool msix_is_enabled(const struct pci_function *fn)
{
	return fn->msix.nr && fn->config[CONTROL + 1] & CONTROL_ENABLE;
}

static void send_or_keep(struct pci_function *fn, unsigned vector)
{
	const struct msix_entry *entry = &fn->msix.entry[vector];

	if (entry->control & ENTRY_CONTROL_MASK || fn->config[CONTROL + 1] & CONTROL_MASK_ALL) {
		fn->msix.pending |= 1ull << vector;
		return;
	}
	fn->msix.pending &= ~(1ull << vector);
	/* A message is a store, which a function may do as a bus master only. */
	if (pci_is_bus_master(fn))
		irq_send_msi(&fn->irq, entry->address, entry->data, fn->requester);
}

void msix_raise(struct pci_function *fn, unsigned vector)
{
	if (msix_is_enabled(fn) && vector < fn->msix.nr)
		send_or_keep(fn, vector);
}

void msix_config_changed(struct pci_function *fn)
{
	for (unsigned i = 0; i < fn->msix.nr && msix_is_enabled(fn); i++)
		if (fn->msix.pending >> i & 1)
			send_or_keep(fn, i);
}

static uint32_t entry_read(const struct msix_entry *entry, unsigned word)
{
	switch (word) {
	case 0:
		return entry->address;
	case 1:
		return entry->address >> 32;
	case 2:
		return entry->data;
	default:
		return entry->control;
	}
}

static void entry_write(struct msix_entry *entry, unsigned word, uint32_t value)
{
	switch (word) {
	case 0:
		entry->address = (entry->address & ~0xffffffffull) | (value & ~3u);
		break;
	case 1:
		entry->address = (uint32_t)entry->address | (uint64_t)value << 32;
		break;
	case 2:
		entry->data = value;
		break;
	default:
		entry->control = value & ENTRY_CONTROL_MASK;
	}
}

/* Whole words and pairs of them; other accesses are undefined: they read as zeros and write nothing. */
static bool is_regular(uint64_t offset, unsigned size)
{
	return (size == 4 || size == 8) && offset % size == 0;
}

bool msix_read(const struct pci_function *fn, uint64_t offset, unsigned size, uint64_t *value)
{
	const struct msix *msix = &fn->msix;
	uint64_t at = offset - msix->table;

	*value = 0;
	if (msix->nr && offset - msix->pba < 8) {
		if (is_regular(offset, size))
			*value = msix->pending >> 8 * (offset & 4);
		if (size == 4)
			*value = (uint32_t)*value;
		return true;
	}
	if (!msix->nr || at >= msix->nr * ENTRY_SIZE)
		return false;
	for (unsigned i = 0; is_regular(offset, size) && i < size; i += 4)
		*value |= (uint64_t)entry_read(&msix->entry[(at + i) / ENTRY_SIZE],
					       (at + i) % ENTRY_SIZE / 4)
			  << 8 * i;
	return true;
}

bool msix_write(struct pci_function *fn, uint64_t offset, unsigned size, uint64_t value)
{
	struct msix *msix = &fn->msix;
	uint64_t at = offset - msix->table;

	if (msix->nr && offset - msix->pba < 8)
		return true;
	if (!msix->nr || at >= msix->nr * ENTRY_SIZE)
		return false;
	for (unsigned i = 0; is_regular(offset, size) && i < size; i += 4)
		entry_write(&msix->entry[(at + i) / ENTRY_SIZE], (at + i) % ENTRY_SIZE / 4,
			    value >> 8 * i);
	msix_config_changed(fn);
	return true;
}

void msix_state(struct pci_function *fn, struct state *state)
{
	struct msix *msix = &fn->msix;

	for (unsigned i = 0; i < msix->nr; i++) {
		state_value(state, msix->entry[i].address);
		state_value(state, msix->entry[i].data);
		state_value(state, msix->entry[i].control);
		if (msix->entry[i].address & 3 || msix->entry[i].control & ~ENTRY_CONTROL_MASK)
			state_fail(state, "an impossible interrupt vector");
	}
	state_value(state, msix->pending);
	if (msix->nr < 64 && msix->pending >> msix->nr)
		state_fail(state, "a vector that is not there");
}
