/* SPDX-License-Identifier: MIT */
/* The common configuration of a virtio device (section 4.1.4.3): how driver and device come to terms, and where the queues are. */
#include "virtio_pci.h"

void virtio_common_reset(struct virtio_pci *v)
{
	v->features = 0;
	v->device_select = v->driver_select = 0;
	v->config_vector = VIRTQUEUE_NO_VECTOR;
	v->queue_select = 0;
	v->status = v->isr = 0;
	for (unsigned i = 0; i < v->nr_queues; i++)
		virtqueue_reset(&v->queues[i]);
	pci_set_irq(&v->pci, false);
}

/* Null where the driver selected a queue that is not there: it reads zeros, and writes nothing. */
static struct virtqueue *selected(struct virtio_pci *v)
{
	return v->queue_select < v->nr_queues ? &v->queues[v->queue_select] : NULL;
}

/* The same, to be changed: not while it is in use. */
static struct virtqueue *changeable(struct virtio_pci *v)
{
	struct virtqueue *queue = selected(v);

	return queue && !queue->enabled ? queue : NULL;
}

static uint32_t get_device_select(struct virtio_pci *v)
{
	return v->device_select;
}

static void set_device_select(struct virtio_pci *v, uint32_t value)
{
	v->device_select = value;
}

static uint32_t get_device_features(struct virtio_pci *v)
{
	return v->device_select < 2 ? v->offered >> 32 * v->device_select : 0;
}

static uint32_t get_driver_select(struct virtio_pci *v)
{
	return v->driver_select;
}

static void set_driver_select(struct virtio_pci *v, uint32_t value)
{
	v->driver_select = value;
}

static uint32_t get_driver_features(struct virtio_pci *v)
{
	return v->driver_select < 2 ? v->features >> 32 * v->driver_select : 0;
}

static void set_driver_features(struct virtio_pci *v, uint32_t value)
{
	unsigned shift = 32 * v->driver_select;

	if (v->driver_select < 2 && !(v->status & STATUS_FEATURES_OK))
		v->features = (v->features & ~(0xffffffffull << shift)) | (uint64_t)value << shift;
}

uint16_t virtio_common_vector(const struct virtio_pci *v, uint32_t vector)
{
	return vector < v->pci.msix.nr ? vector : VIRTQUEUE_NO_VECTOR;
}

static uint32_t get_config_vector(struct virtio_pci *v)
{
	return v->config_vector;
}

static void set_config_vector(struct virtio_pci *v, uint32_t value)
{
	v->config_vector = virtio_common_vector(v, value);
}

static uint32_t get_nr_queues(struct virtio_pci *v)
{
	return v->nr_queues;
}

static uint32_t get_status(struct virtio_pci *v)
{
	return v->status;
}

/* Bits come one by one, and go all together. */
static void set_status(struct virtio_pci *v, uint32_t value)
{
	bool was_ready = virtio_pci_is_ready(v);

	if (!value) {
		virtio_common_reset(v);
		return;
	}
	if (v->features & ~v->offered || !(v->features & VIRTIO_F_VERSION_1))
		value &= ~STATUS_FEATURES_OK;
	v->status |= value & STATUS_BY_DRIVER;
	if (!was_ready && virtio_pci_is_ready(v))
		v->notify(v->device);
}

static uint32_t get_queue_select(struct virtio_pci *v)
{
	return v->queue_select;
}

static void set_queue_select(struct virtio_pci *v, uint32_t value)
{
	v->queue_select = value;
}

static uint32_t get_queue_size(struct virtio_pci *v)
{
	return selected(v) ? selected(v)->size : 0;
}

static void set_queue_size(struct virtio_pci *v, uint32_t value)
{
	if (changeable(v) && value && value <= VIRTQUEUE_MAX_SIZE && !(value & (value - 1)))
		changeable(v)->size = value;
}

static uint32_t get_queue_vector(struct virtio_pci *v)
{
	return selected(v) ? selected(v)->vector : VIRTQUEUE_NO_VECTOR;
}

static void set_queue_vector(struct virtio_pci *v, uint32_t value)
{
	if (selected(v))
		selected(v)->vector = virtio_common_vector(v, value);
}

static uint32_t get_queue_enable(struct virtio_pci *v)
{
	return selected(v) && selected(v)->enabled;
}

static void set_queue_enable(struct virtio_pci *v, uint32_t value)
{
	struct virtqueue *queue = changeable(v);
	const char *fault;

	if (!queue || value != 1)
		return;
	fault = virtqueue_find_fault(queue, v->ram);
	if (fault) {
		virtio_pci_break(v, fault);
		return;
	}
	queue->enabled = true;
	v->notify(v->device);
}

static uint32_t get_notify_offset(struct virtio_pci *v)
{
	return selected(v) ? v->queue_select : 0;
}

struct field {
	uint8_t offset, size;
	uint32_t (*get)(struct virtio_pci *v);
	void (*set)(struct virtio_pci *v, uint32_t value); /* null: read only */
};

static const struct field fields[] = {
	{0x00, 4, get_device_select, set_device_select},
	{0x04, 4, get_device_features, NULL},
	{0x08, 4, get_driver_select, set_driver_select},
	{0x0c, 4, get_driver_features, set_driver_features},
	{0x10, 2, get_config_vector, set_config_vector},
	{0x12, 2, get_nr_queues, NULL},
	{0x14, 1, get_status, set_status},
	{0x16, 2, get_queue_select, set_queue_select},
	{0x18, 2, get_queue_size, set_queue_size},
	{0x1a, 2, get_queue_vector, set_queue_vector},
	{0x1c, 2, get_queue_enable, set_queue_enable},
	{0x1e, 2, get_notify_offset, NULL},
};

/* Addresses of the selected queue's three parts, in words. */
#define ADDRESSES     0x20u
#define ADDRESSES_END 0x38u

static uint64_t *address_of(struct virtqueue *queue, unsigned offset)
{
	uint64_t *const parts[] = {&queue->desc, &queue->driver, &queue->device};

	return parts[(offset - ADDRESSES) / 8];
}

/* Section 4.1.3.1: each field by its own width, addresses by their halves; config_generation (0x15) and what is not there are 0. */
uint32_t virtio_common_read(struct virtio_pci *v, unsigned offset, unsigned size)
{
	if (offset >= ADDRESSES && offset < ADDRESSES_END)
		return size == 4 && selected(v)
			       ? *address_of(selected(v), offset) >> 8 * (offset & 4)
			       : 0;
	for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (fields[i].offset == offset && fields[i].size == size)
			return fields[i].get(v);
	return 0;
}

void virtio_common_write(struct virtio_pci *v, unsigned offset, unsigned size, uint32_t value)
{
	if (offset >= ADDRESSES && offset < ADDRESSES_END) {
		unsigned shift = 8 * (offset & 4);
		uint64_t *address;

		if (size != 4 || !changeable(v))
			return;
		address = address_of(changeable(v), offset);
		*address = (*address & ~(0xffffffffull << shift)) | (uint64_t)value << shift;
		return;
	}
	for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (fields[i].offset == offset && fields[i].size == size && fields[i].set)
			fields[i].set(v, value);
}
