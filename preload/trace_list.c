/* SPDX-License-Identifier: MIT */
/* Arguments that are lists, or hold some: what follows the members that requests.c knows. */
#include <string.h>

#include "observe.h"

#define LIST_MAX 6 /* of which a line shows */

static void add_routing_entry(struct line *l, const struct kvm_irq_routing_entry *e)
{
	if (e->type == KVM_IRQ_ROUTING_IRQCHIP)
		line_add(l, "{gsi=%u, irqchip=%u, pin=%u}", e->gsi, e->u.irqchip.irqchip,
			 e->u.irqchip.pin);
	else if (e->type == KVM_IRQ_ROUTING_MSI)
		line_add(l, "{gsi=%u, msi=0x%llx, data=0x%x, devid=0x%x}", e->gsi,
			 (unsigned long long)e->u.msi.address_hi << 32 | e->u.msi.address_lo,
			 e->u.msi.data, e->flags & KVM_MSI_VALID_DEVID ? e->u.msi.devid : 0);
	else
		line_add(l, "{gsi=%u, type=%u}", e->gsi, e->type);
}

static void add_routing(struct line *l, const struct observed *o)
{
	const struct kvm_irq_routing *table = (const void *)o->arg;
	struct kvm_irq_routing head;

	memcpy(&head, o->before, sizeof(head));
	line_add(l, " [");
	for (unsigned i = 0; i < head.nr; i++) {
		struct kvm_irq_routing_entry e;

		line_add(l, i ? ", " : "");
		if (i == LIST_MAX || !peek(&e, &table->entries[i], sizeof(e))) {
			line_add(l, "...");
			break;
		}
		add_routing_entry(l, &e);
	}
	line_add(l, "]");
}

/* A breakpoint or watchpoint: its number, control and address. */
static void add_debug_register(struct line *l, const char *name, unsigned i, uint64_t control,
			       uint64_t address)
{
	line_add(l, " %s %u: 0x%llx at 0x%llx", name, i, (unsigned long long)control,
		 (unsigned long long)address);
}

/* Those that are enabled, so many as leave room for the rest of the line. */
static void add_debug_registers(struct line *l, const struct observed *o)
{
	struct kvm_guest_debug debug;
	unsigned shown = 0;

	if (!peek(&debug, (void *)o->arg, sizeof(debug)) || !(debug.control & KVM_GUESTDBG_USE_HW))
		return;
	for (unsigned i = 0; i < 2 * KVM_ARM_MAX_DBG_REGS; i++) {
		unsigned n = i % KVM_ARM_MAX_DBG_REGS;
		bool is_break = i < KVM_ARM_MAX_DBG_REGS;
		uint64_t control = is_break ? debug.arch.dbg_bcr[n] : debug.arch.dbg_wcr[n];

		if (!(control & 1))
			continue;
		if (shown++ == LIST_MAX) {
			line_add(l, " ...");
			return;
		}
		add_debug_register(l, is_break ? "breakpoint" : "watchpoint", n, control,
				   is_break ? debug.arch.dbg_bvr[n] : debug.arch.dbg_wvr[n]);
	}
}

void trace_list(struct line *l, const struct observed *o)
{
	if (o->kind == ANYKVM_FD_VM && o->request == KVM_SET_GSI_ROUTING)
		add_routing(l, o);
	else if (o->kind == ANYKVM_FD_VCPU && o->request == KVM_SET_GUEST_DEBUG)
		add_debug_registers(l, o);
}
