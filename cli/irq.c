/* SPDX-License-Identifier: MIT */
#include <anykvm/kvm.h>

#include "irq.h"

void irq_line_set(struct irq_line *line, bool level)
{
	struct kvm_irq_level request = {
		.irq = (KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT) | (line->spi + 32),
		.level = level,
	};

	if (line->level == level)
		return;
	line->level = level;
	if (line->accel->ioctl(line->vm_fd, KVM_IRQ_LINE, &request) < 0)
		cli_say_errno("interrupt line %u", line->spi);
}

void irq_send_msi(const struct irq_line *line, uint64_t address, uint32_t data, uint32_t requester)
{
	struct kvm_msi msi = {
		.address_lo = address,
		.address_hi = address >> 32,
		.data = data,
		.flags = KVM_MSI_VALID_DEVID,
		.devid = requester,
	};

	/* No ITS there, or off: the guest's own doing. */
	line->accel->ioctl(line->vm_fd, KVM_SIGNAL_MSI, &msi);
}

void irq_line_state(struct irq_line *line, struct state *state)
{
	state_bool(state, &line->level);
}
