/* SPDX-License-Identifier: MIT */
#include "io/coalesced.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "anykvm/kvm.h"
#include "host/alloc.h"
#include "host/fd.h"
#include "host/guarded.h"
#include "host/pages.h"

struct coalesced_zone {
	struct io_device dev;
	struct coalesced *owner;
	struct list node;
	u32 pio;
};

void coalesced_init(struct coalesced *c, struct io_bus *mmio, struct io_bus *pio)
{
	c->bus[0] = mmio;
	c->bus[1] = pio;
	list_init(&c->zones);
	list_init(&c->pio_zones);
	mutex_init(&c->ring_lock, RANK_LEAF, "coalesced ring");
	c->fd = -1;
	c->ring = NULL;
}

void coalesced_fini(struct coalesced *c)
{
	if (c->ring)
		host_munmap(c->ring, host_page_size());
	if (c->fd >= 0)
		host_close(c->fd);
	mutex_fini(&c->ring_lock);
}

int coalesced_ring_fd(struct coalesced *c)
{
	u64 size = host_page_size();
	void *ring;
	int fd;

	mutex_lock(&c->ring_lock);
	fd = c->fd;
	mutex_unlock(&c->ring_lock);
	if (fd >= 0)
		return fd;
	fd = host_memfd_create("anykvm-ring", size);
	if (fd < 0)
		return fd;
	fd = host_fd_move_high(fd);
	ring = host_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (host_map_failed(ring)) {
		host_close(fd);
		return host_map_error(ring);
	}
	mutex_lock(&c->ring_lock);
	if (c->fd < 0) {
		c->fd = fd;
		c->ring = ring;
		ring = NULL;
	} else {
		/* Another thread made it meanwhile. */
		int winner = c->fd;

		mutex_unlock(&c->ring_lock);
		host_munmap(ring, size);
		host_close(fd);
		return winner;
	}
	mutex_unlock(&c->ring_lock);
	return fd;
}

static bool coalesced_covers(const struct coalesced_zone *z, u64 addr, u64 len)
{
	return addr + len >= addr && addr >= z->dev.addr && addr + len <= z->dev.addr + z->dev.len;
}

/*
 * The ring page is the VMM's as much as ours: first and last are read once and checked, and all accesses are guarded, since
 * the memfd behind it can be truncated.
 */
static int coalesced_write(struct io_device *dev, void *cpu, u64 addr, unsigned len, u64 value)
{
	struct coalesced_zone *z = container_of(dev, struct coalesced_zone, dev);
	struct coalesced *c = z->owner;
	u32 max = (host_page_size() - sizeof(struct kvm_coalesced_mmio_ring)) /
		  sizeof(struct kvm_coalesced_mmio);
	struct kvm_coalesced_mmio entry = {.phys_addr = addr, .len = len, .pio = z->pio};
	struct kvm_coalesced_mmio_ring *ring;
	u32 first, last;
	int r = -EOPNOTSUPP;

	if (!coalesced_covers(z, addr, len))
		return -EOPNOTSUPP;
	memcpy(entry.data, &value, len);
	mutex_lock(&c->ring_lock);
	ring = c->ring;
	/* One entry stays free, so that an empty ring and a full one differ. */
	if (guarded_load_acquire32(&ring->first, &first) && guarded_load32(&ring->last, &last) &&
	    last < max && (last + 1) % max != first &&
	    guarded_copy_to(&ring->coalesced_mmio[last], &entry, sizeof(entry)) &&
	    /* Pairs with the VMM's read of last before it reads the entry. */
	    guarded_store_release32(&ring->last, (last + 1) % max))
		r = 0;
	mutex_unlock(&c->ring_lock);
	return r;
}

static void coalesced_destroy(struct io_device *dev)
{
	struct coalesced_zone *z = container_of(dev, struct coalesced_zone, dev);

	list_del(&z->node);
	DELETE(z);
}

static const struct io_device_ops coalesced_ops = {.write = coalesced_write,
						   .destroy = coalesced_destroy};

int coalesced_register(struct coalesced *c, u64 addr, u32 size, u32 pio)
{
	struct coalesced_zone *z;
	int r;

	if (pio > 1)
		return -EINVAL;
	r = coalesced_ring_fd(c);
	if (r < 0)
		return r;
	z = NEW(struct coalesced_zone);
	if (!z)
		return -ENOMEM;
	z->dev = (struct io_device){.ops = &coalesced_ops, .addr = addr, .len = size};
	z->owner = c;
	z->pio = pio;
	list_init(&z->node);
	mutex_lock(&c->bus[pio]->lock);
	r = io_bus_add_locked(c->bus[pio], &z->dev);
	if (!r)
		list_add_tail(pio ? &c->pio_zones : &c->zones, &z->node);
	mutex_unlock(&c->bus[pio]->lock);
	if (r)
		DELETE(z);
	return r;
}

int coalesced_unregister(struct coalesced *c, u64 addr, u32 size, u32 pio)
{
	struct coalesced_zone *z, *next;

	if (pio > 1)
		return -EINVAL;
	mutex_lock(&c->bus[pio]->lock);
	list_for_each_safe(z, next, pio ? &c->pio_zones : &c->zones, node)
	{
		if (!coalesced_covers(z, addr, size))
			continue;
		io_bus_remove_locked(c->bus[pio], &z->dev);
		coalesced_destroy(&z->dev);
	}
	mutex_unlock(&c->bus[pio]->lock);
	return 0;
}
