/* SPDX-License-Identifier: MIT */
/* What the device tests of the command share: memory, a bus, and interrupt lines that remember. */
#ifndef TESTS_CLI_DEVICES_RIG_H
#define TESTS_CLI_DEVICES_RIG_H

#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>

#include <anykvm/kvm.h>

#include "bus.h"
#include "irq.h"
#include "memory.h"

#define RIG_RAM 0x80000000ull

static bool rig_level[128]; /* by SPI */
static unsigned rig_changes;
static struct kvm_msi rig_msi; /* the last one */
static unsigned rig_nr_msis;

static int rig_ioctl(int fd, unsigned long request, ...)
{
	struct kvm_irq_level *line;
	va_list arguments;
	void *argument;

	va_start(arguments, request);
	line = argument = va_arg(arguments, void *);
	va_end(arguments);
	if (request == KVM_SIGNAL_MSI) {
		rig_msi = *(struct kvm_msi *)argument;
		rig_nr_msis++;
		return 1;
	}
	if (request != KVM_IRQ_LINE)
		return -1;
	rig_level[(line->irq & 0xffff) - 32] = line->level;
	rig_changes++;
	return 0;
}

static const struct accel rig_accel = {
	.name = "rig", .ioctl = rig_ioctl, .mmap = mmap, .munmap = munmap};

/* The command's messages: counted, not printed. */
static unsigned rig_messages;

void cli_say(const char *format, ...)
{
	rig_messages++;
}

void cli_say_errno(const char *format, ...)
{
	rig_messages++;
}

static inline uint64_t rig_load(struct bus *bus, uint64_t address, unsigned size)
{
	uint64_t value = 0;

	bus_load(bus, address, &value, size);
	return value;
}

static inline void rig_store(struct bus *bus, uint64_t address, unsigned size, uint64_t value)
{
	bus_store(bus, address, &value, size);
}

/* Between one and four bytes of a saved state changed, others in each round. */
static inline void rig_damage(uint8_t *state, size_t length, unsigned round, uint64_t *seed)
{
	for (unsigned i = 0; i <= (round & 3); i++) {
		*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
		state[(*seed >> 33) % length] = *seed >> 20;
	}
}

#endif
