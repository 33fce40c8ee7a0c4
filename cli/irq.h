/* SPDX-License-Identifier: MIT */
/* A wire from a device to the interrupt controller. */
#ifndef CLI_IRQ_H
#define CLI_IRQ_H

#include "accel.h"
#include "cli.h"
#include "state.h"

struct irq_line {
	const struct accel *accel;
	int vm_fd;
	unsigned spi; /* as the device tree counts: interrupt id minus 32 */
	bool level;
};

/* Tells KVM only about changes. The caller holds the device's lock. */
void irq_line_set(struct irq_line *line, bool level);
/* The store of a message by the device that the host knows as requester. Lost if nobody takes it, as on hardware. */
void irq_send_msi(const struct irq_line *line, uint64_t address, uint32_t data, uint32_t requester);
/* The device's side of the wire; the interrupt controller's is its own state. */
void irq_line_state(struct irq_line *line, struct state *state);

#endif
