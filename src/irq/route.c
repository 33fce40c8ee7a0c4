/* SPDX-License-Identifier: MIT */
/*
 * GSI routing: which interrupt a GSI (the number that an irqfd names) stands for. By default GSI n
 * is SPI n, that is INTID 32 + n.
 *
 * The table is replaced as a whole under irq_lock; readers hold irq_srcu, and copy a route before they follow it. An entry of type
 * MSI is what KVM_SIGNAL_MSI would be given; without an ITS it goes nowhere, as in KVM.
 *
 * struct irq_routing: born in route_build; seen by readers of vi->routing inside irq_srcu; kept by
 * vi; hidden by the store of the next table; freed after a grace period.
 */
#include <errno.h>

#include <anykvm/kvm.h>

#include "host/alloc.h"
#include "irq/irq.h"
#include "irq/its.h"

#define MAX_ROUTES	 4096
#define NR_PINS_PER_CHIP (1020 - GIC_NR_PRIVATE)

struct route {
	u32 type; /* 0: no route */
	union {
		u32 pin;
		struct kvm_msi msi;
	};
};

struct irq_routing {
	u32 nr;
	size_t size; /* of this allocation */
	struct route route[];
};

void route_init(struct vm_irq *vi)
{
	mutex_init(&vi->irq_lock, RANK_IRQ, "irq routing");
	srcu_init(&vi->irq_srcu, RANK_SRCU, "irq routing readers");
	mutex_init(&vi->resample_lock, RANK_LEAF, "irqfd resample");
	list_init(&vi->irqfds);
	list_init(&vi->resamplers);
}

static void table_free(struct irq_routing *t)
{
	if (t)
		host_free(t, t->size);
}

void route_fini(struct vm_irq *vi)
{
	table_free(aptr_load_relaxed(&vi->routing));
	mutex_fini(&vi->resample_lock);
	srcu_fini(&vi->irq_srcu);
	mutex_fini(&vi->irq_lock);
}

static int route_add(struct irq_routing *t, const struct kvm_irq_routing_entry *e)
{
	struct route *r = &t->route[e->gsi];

	/* One controller: a GSI has one route. */
	if (r->type)
		return -EINVAL;
	switch (e->type) {
	case KVM_IRQ_ROUTING_IRQCHIP:
		if (e->flags || e->u.irqchip.irqchip != 0 || e->u.irqchip.pin >= NR_PINS_PER_CHIP)
			return -EINVAL;
		r->pin = e->u.irqchip.pin;
		break;
	case KVM_IRQ_ROUTING_MSI:
		if (e->flags & ~KVM_MSI_VALID_DEVID)
			return -EINVAL;
		r->msi = (struct kvm_msi){.address_lo = e->u.msi.address_lo,
					  .address_hi = e->u.msi.address_hi,
					  .data = e->u.msi.data,
					  .flags = e->flags,
					  .devid = e->u.msi.devid};
		break;
	default:
		return -EINVAL;
	}
	r->type = e->type;
	return 0;
}

static int table_build(const struct kvm_irq_routing_entry *entries, u32 nr,
		       struct irq_routing **out)
{
	struct irq_routing *t;
	u32 top = 0;
	size_t size;

	for (u32 i = 0; i < nr; i++) {
		if (entries[i].gsi >= MAX_ROUTES)
			return -EINVAL;
		top = MAX(top, entries[i].gsi);
	}
	size = sizeof(*t) + (top + 1) * sizeof(t->route[0]);
	t = host_alloc(size);
	if (!t)
		return -ENOMEM;
	t->size = size;
	t->nr = top + 1;
	for (u32 i = 0; i < nr; i++) {
		int err = route_add(t, &entries[i]);

		if (err) {
			table_free(t);
			return err;
		}
	}
	*out = t;
	return 0;
}

int irq_set_routing(struct vm_irq *vi, const struct kvm_irq_routing_entry *entries, u32 nr)
{
	struct irq_routing *t, *old;
	int err = table_build(entries, nr, &t);

	if (err)
		return err;
	mutex_lock(&vi->irq_lock);
	old = aptr_xchg(&vi->routing, t);
	irqfd_routing_changed(vi);
	mutex_unlock(&vi->irq_lock);
	route_drop(vi, old);
	return 0;
}

/*
 * GSI n is pin n. Returns what it replaces in *old: config, which the caller holds, forbids to wait for its readers.
 */
int route_set_default(struct vm_irq *vi, struct irq_routing **old)
{
	struct irq_routing *t;
	size_t size = sizeof(*t) + vi->nr_spi * sizeof(t->route[0]);

	t = host_alloc(size);
	if (!t)
		return -ENOMEM;
	t->size = size;
	t->nr = vi->nr_spi;
	for (u32 i = 0; i < vi->nr_spi; i++)
		t->route[i] = (struct route){.type = KVM_IRQ_ROUTING_IRQCHIP, .pin = i};
	*old = aptr_xchg(&vi->routing, t);
	return 0;
}

void route_drop(struct vm_irq *vi, struct irq_routing *old)
{
	if (!old)
		return;
	srcu_synchronize(&vi->irq_srcu);
	table_free(old);
}

static struct route route_of_gsi(struct vm_irq *vi, u32 gsi)
{
	int cookie = srcu_read_lock(&vi->irq_srcu);
	const struct irq_routing *t = aptr_load_acquire(&vi->routing);
	struct route r = {0};

	if (t && gsi < t->nr)
		r = t->route[gsi];
	srcu_read_unlock(&vi->irq_srcu, cookie);
	return r;
}

/* The SPI that a GSI is routed to, -1 if none. */
s32 route_pin_of_gsi(struct vm_irq *vi, u32 gsi)
{
	struct route r = route_of_gsi(vi, gsi);

	return r.type == KVM_IRQ_ROUTING_IRQCHIP ? (s32)r.pin : -1;
}

int irq_set_gsi(struct vm_irq *vi, u32 gsi, bool level)
{
	struct route r = route_of_gsi(vi, gsi);

	switch (r.type) {
	case KVM_IRQ_ROUTING_IRQCHIP:
		if (!irq_gic_initialized(vi))
			return -EBUSY;
		return gic_inject(vi, NULL, r.pin + GIC_NR_PRIVATE, level, NULL);
	case KVM_IRQ_ROUTING_MSI: /* a message: there is nothing to lower */
		return level ? its_send_msi(vi, &r.msi) : 0;
	default:
		return -EINVAL;
	}
}
