/* SPDX-License-Identifier: MIT */
#include "io/ioeventfd.h"

#include <errno.h>

#include "anykvm/kvm.h"
#include "host/alloc.h"
#include "host/eventfd.h"

struct ioeventfd {
	struct io_device dev;
	struct list node;
	struct host_eventfd event; /* our own copy of the descriptor */
	u64 datamatch;
	bool wildcard; /* any value */
};

void ioeventfds_init(struct ioeventfds *set, struct io_bus *mmio, struct io_bus *pio)
{
	set->mmio = mmio;
	set->pio = pio;
	list_init(&set->mmio_list);
	list_init(&set->pio_list);
}

static int ioeventfd_write(struct io_device *dev, void *cpu, u64 addr, unsigned len, u64 value)
{
	struct ioeventfd *e = container_of(dev, struct ioeventfd, dev);
	u64 mask = len >= 8 ? ~0ull : BIT(len * 8) - 1;

	if (addr != e->dev.addr || (e->dev.len && len != e->dev.len))
		return -EOPNOTSUPP;
	/* All of it: a value wider than the access never matches. */
	if (!e->wildcard && (value & mask) != e->datamatch)
		return -EOPNOTSUPP;
	host_eventfd_notify(&e->event);
	return 0;
}

static void ioeventfd_destroy(struct io_device *dev)
{
	struct ioeventfd *e = container_of(dev, struct ioeventfd, dev);

	list_del(&e->node);
	host_eventfd_put(&e->event);
	DELETE(e);
}

static const struct io_device_ops ioeventfd_ops = {.write = ioeventfd_write,
						   .destroy = ioeventfd_destroy};

/* Two bindings that one write could not tell apart. */
static bool ioeventfd_collides(struct list *list, const struct ioeventfd *new)
{
	struct ioeventfd *e;

	list_for_each(e, list, node)
	{
		if (e->dev.addr != new->dev.addr)
			continue;
		if (!e->dev.len || !new->dev.len)
			return true;
		if (e->dev.len == new->dev.len &&
		    (e->wildcard || new->wildcard || e->datamatch == new->datamatch))
			return true;
	}
	return false;
}

static int ioeventfd_assign(struct io_bus *bus, struct list *list, const struct kvm_ioeventfd *args)
{
	struct ioeventfd *e;
	int r;

	if (args->len != 0 && args->len != 1 && args->len != 2 && args->len != 4 && args->len != 8)
		return -EINVAL;
	if (args->addr + args->len < args->addr)
		return -EINVAL;
	if (args->flags & ~KVM_IOEVENTFD_VALID_FLAG_MASK)
		return -EINVAL;
	if (!args->len && (args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH))
		return -EINVAL;
	e = NEW(struct ioeventfd);
	if (!e)
		return -ENOMEM;
	r = host_eventfd_get(args->fd, &e->event);
	if (r) {
		DELETE(e);
		return r;
	}
	e->dev = (struct io_device){
		.ops = &ioeventfd_ops, .addr = args->addr, .len = args->len, .unlimited = true};
	e->wildcard = !(args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH);
	e->datamatch = e->wildcard ? 0 : args->datamatch;
	list_init(&e->node);
	mutex_lock(&bus->lock);
	r = ioeventfd_collides(list, e) ? -EEXIST : io_bus_add_locked(bus, &e->dev);
	if (!r)
		list_add_tail(list, &e->node);
	mutex_unlock(&bus->lock);
	if (r)
		ioeventfd_destroy(&e->dev);
	return r;
}

static int ioeventfd_deassign(struct io_bus *bus, struct list *list,
			      const struct kvm_ioeventfd *args)
{
	bool wildcard = !(args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH);
	struct host_eventfd event;
	struct ioeventfd *e, *next;
	int r;

	r = host_eventfd_get(args->fd, &event);
	if (r)
		return r;
	r = -ENOENT;
	mutex_lock(&bus->lock);
	list_for_each_safe(e, next, list, node)
	{
		if (!host_eventfd_same(&e->event, &event) || e->dev.addr != args->addr ||
		    e->dev.len != args->len || e->wildcard != wildcard)
			continue;
		if (!wildcard && e->datamatch != args->datamatch)
			continue;
		io_bus_remove_locked(bus, &e->dev);
		ioeventfd_destroy(&e->dev);
		r = 0;
		break;
	}
	mutex_unlock(&bus->lock);
	host_eventfd_put(&event);
	return r;
}

int ioeventfds_change(struct ioeventfds *set, const struct kvm_ioeventfd *args)
{
	/* The bus of channel-attached I/O (another architecture's) is legal too; nothing ever happens there, as on the port bus. */
	bool other = args->flags & (KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_VIRTIO_CCW_NOTIFY);
	struct io_bus *bus = other ? set->pio : set->mmio;
	struct list *list = other ? &set->pio_list : &set->mmio_list;

	if (args->flags & KVM_IOEVENTFD_FLAG_DEASSIGN)
		return ioeventfd_deassign(bus, list, args);
	return ioeventfd_assign(bus, list, args);
}
