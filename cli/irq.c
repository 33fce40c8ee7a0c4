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

void irq_line_state(struct irq_line *line, struct state *state)
{
	state_bool(state, &line->level);
}
