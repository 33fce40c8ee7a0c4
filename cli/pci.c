/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <string.h>

#include "pci.h"

enum {
	PCI_VENDOR = 0x00,
	PCI_DEVICE = 0x02,
	PCI_COMMAND = 0x04,
	PCI_STATUS = 0x06,
	PCI_REVISION = 0x08,
	PCI_CLASS = 0x09,
	PCI_BAR0 = 0x10,
	PCI_SUBSYSTEM_VENDOR = 0x2c,
	PCI_SUBSYSTEM = 0x2e,
	PCI_CAPABILITIES = 0x34,
	PCI_FIRST_CAPABILITY = 0x40,
	PCI_INTERRUPT_LINE = 0x3c,
	PCI_INTERRUPT_PIN = 0x3d,
};

#define COMMAND_MEMORY	     (1u << 1)
#define COMMAND_BUS_MASTER   (1u << 2)
#define COMMAND_INTX_DISABLE (1u << 10)
#define STATUS_INTERRUPT     (1u << 3)
#define STATUS_LIST	     (1u << 4)

static uint32_t get16(const uint8_t *p)
{
	return p[0] | p[1] << 8;
}

static void put16(uint8_t *p, uint32_t value)
{
	p[0] = value;
	p[1] = value >> 8;
}

static void put32(uint8_t *p, uint32_t value)
{
	put16(p, value);
	put16(p + 2, value >> 16);
}

static void pci_update_irq(struct pci_function *fn)
{
	uint32_t status = get16(fn->config + PCI_STATUS) & ~STATUS_INTERRUPT;

	put16(fn->config + PCI_STATUS, status | (fn->asserted ? STATUS_INTERRUPT : 0));
	irq_line_set(&fn->irq, fn->asserted && !msix_is_enabled(fn) &&
				       !(get16(fn->config + PCI_COMMAND) & COMMAND_INTX_DISABLE));
}

void pci_set_irq(struct pci_function *fn, bool level)
{
	fn->asserted = level;
	pci_update_irq(fn);
}

bool pci_is_bus_master(const struct pci_function *fn)
{
	return get16(fn->config + PCI_COMMAND) & COMMAND_BUS_MASTER;
}

static struct pci_function *pci_by_ecam(struct pci_host *host, uint64_t offset)
{
	return offset >> 12 & 7 ? NULL : host->slots[offset >> 15 & (PCI_SLOTS - 1)];
}

static uint64_t pci_config_read(void *device, uint64_t offset, unsigned size)
{
	struct pci_function *fn = pci_by_ecam(device, offset);
	uint64_t value = 0;

	offset &= 0xfff;
	if (!fn)
		return ~0ULL; /* a master abort */
	if (fn->access)
		fn->access(fn, offset, size, false);
	for (unsigned i = 0; i < size; i++)
		if (offset + i < PCI_CONFIG_MAX)
			value |= (uint64_t)fn->config[offset + i] << 8 * i;
	return value;
}

static void pci_config_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct pci_function *fn = pci_by_ecam(device, offset);

	offset &= 0xfff;
	if (!fn)
		return;
	for (unsigned i = 0; i < size && offset + i < PCI_CONFIG_MAX; i++) {
		uint8_t mask = fn->writable[offset + i];

		fn->config[offset + i] =
			(fn->config[offset + i] & ~mask) | ((value >> 8 * i) & mask);
	}
	pci_update_irq(fn);
	msix_config_changed(fn);
	if (fn->access)
		fn->access(fn, offset, size, true);
}

uint64_t pci_bar_read(struct pci_function *fn, uint64_t offset, unsigned size)
{
	uint64_t value;

	return msix_read(fn, offset, size, &value) ? value : fn->read(fn->device, offset, size);
}

void pci_bar_write(struct pci_function *fn, uint64_t offset, unsigned size, uint64_t value)
{
	if (!msix_write(fn, offset, size, value))
		fn->write(fn->device, offset, size, value);
}

/* The function whose BAR 0 holds the address, and the offset inside the BAR. */
static struct pci_function *pci_by_address(struct pci_host *host, uint64_t address, unsigned size,
					   uint64_t *offset)
{
	for (unsigned i = 0; i < PCI_SLOTS; i++) {
		struct pci_function *fn = host->slots[i];
		uint64_t bar;

		if (!fn || !(get16(fn->config + PCI_COMMAND) & COMMAND_MEMORY))
			continue;
		bar = (get16(fn->config + PCI_BAR0) & ~0xfu) |
		      get16(fn->config + PCI_BAR0 + 2) << 16 |
		      (uint64_t)get16(fn->config + PCI_BAR0 + 4) << 32 |
		      (uint64_t)get16(fn->config + PCI_BAR0 + 6) << 48;
		if (address >= bar && address - bar <= fn->bar_size - size) {
			*offset = address - bar;
			return fn;
		}
	}
	return NULL;
}

static uint64_t pci_window_read(void *device, uint64_t offset, unsigned size)
{
	struct pci_host *host = device;
	struct pci_function *fn = pci_by_address(host, host->window + offset, size, &offset);

	return fn ? pci_bar_read(fn, offset, size) : ~0ULL;
}

static void pci_window_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct pci_host *host = device;
	struct pci_function *fn = pci_by_address(host, host->window + offset, size, &offset);

	if (fn)
		pci_bar_write(fn, offset, size, value);
}

uint8_t pci_add_capability(struct pci_function *fn, uint8_t id, unsigned size)
{
	uint8_t at = fn->capabilities_end;

	assert(at + size <= PCI_CONFIG_MAX);
	fn->config[at] = id;
	fn->config[at + 1] = fn->config[PCI_CAPABILITIES];
	fn->config[PCI_CAPABILITIES] = at;
	fn->config[PCI_STATUS] |= STATUS_LIST;
	fn->capabilities_end = (at + size + 3) & ~3u;
	return at;
}

void pci_attach(struct pci_host *host, unsigned slot, struct pci_function *fn,
		const struct pci_ids *ids)
{
	uint8_t *config = fn->config, *writable = fn->writable;

	memset(config, 0, PCI_CONFIG_MAX);
	memset(writable, 0, PCI_CONFIG_MAX);
	put16(config + PCI_VENDOR, ids->vendor);
	put16(config + PCI_DEVICE, ids->device);
	config[PCI_REVISION] = ids->revision;
	config[PCI_CLASS] = ids->class_code;
	put16(config + PCI_CLASS + 1, ids->class_code >> 8);
	put16(config + PCI_SUBSYSTEM_VENDOR, ids->vendor);
	put16(config + PCI_SUBSYSTEM, ids->device);
	config[PCI_BAR0] = 2 << 1; /* memory, 64 bits, not prefetchable */
	config[PCI_INTERRUPT_PIN] = 1;
	put16(writable + PCI_COMMAND, COMMAND_MEMORY | COMMAND_BUS_MASTER | COMMAND_INTX_DISABLE);
	put32(writable + PCI_BAR0, -fn->bar_size);
	put32(writable + PCI_BAR0 + 4, ~0u);
	writable[PCI_INTERRUPT_LINE] = 0xff;
	fn->requester = slot << 3;
	fn->capabilities_end = PCI_FIRST_CAPABILITY;
	host->slots[slot] = fn;
}

void pci_init(struct pci_host *host, struct bus *bus, uint64_t ecam, uint64_t window,
	      uint64_t window_size)
{
	struct bus_region config = {
		.name = "pci-config",
		.base = ecam,
		.size = PCI_ECAM_SIZE,
		.lock = &host->lock,
		.device = host,
		.read = pci_config_read,
		.write = pci_config_write,
	};
	struct bus_region memory = {
		.name = "pci-memory",
		.base = window,
		.size = window_size,
		.lock = &host->lock,
		.device = host,
		.read = pci_window_read,
		.write = pci_window_write,
	};

	*host = (struct pci_host){
		.lock = PTHREAD_MUTEX_INITIALIZER, .window = window, .window_size = window_size};
	bus_add(bus, &config);
	bus_add(bus, &memory);
}

void pci_state(struct pci_function *fn, struct state *state)
{
	uint8_t config[PCI_CONFIG_MAX];

	memcpy(config, fn->config, sizeof(config));
	state_bytes(state, config, sizeof(config));
	/* What the guest cannot write tells what device this is; the interrupt's status bit is the device's, and follows below. */
	for (unsigned i = 0; i < sizeof(config); i++) {
		uint8_t fixed = ~fn->writable[i] & ~(i == PCI_STATUS ? STATUS_INTERRUPT : 0);

		if ((config[i] ^ fn->config[i]) & fixed) {
			state_fail(state, "another PCI device");
			return;
		}
	}
	memcpy(fn->config, config, sizeof(config));
	state_bool(state, &fn->asserted);
	irq_line_state(&fn->irq, state);
	msix_state(fn, state);
}
