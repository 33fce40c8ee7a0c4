/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <string.h>

#include "virtio_pci.h"

/* Where things are in BAR 0. */
enum {
	BAR_COMMON = 0x0000,
	BAR_ISR = 0x0800,
	BAR_DEVICE = 0x1000,
	BAR_NOTIFY = 0x2000,
	BAR_MSIX_TABLE = 0x3000,
	BAR_MSIX_PENDING = 0x3800,
	BAR_SIZE = 0x4000,
};

#define COMMON_SIZE	  0x40u
#define NOTIFY_MULTIPLIER 4u
#define CAP_VENDOR	  0x09u
#define VIRTIO_VENDOR	  0x1af4u
#define VIRTIO_FIRST_ID	  0x1040u /* plus the number of the device's kind */

/* Section 2.1 */
#define STATUS_DRIVER_OK   4u
#define STATUS_FEATURES_OK 8u
#define STATUS_NEEDS_RESET 64u
#define STATUS_BY_DRIVER   (1u | 2u | STATUS_DRIVER_OK | STATUS_FEATURES_OK | 128u)

#define ISR_QUEUE  1u
#define ISR_CONFIG 2u

/* --- interrupts --- */

/* Section 4.1.4.5.1: of queues ISR status tells without MSI-X only. */
static void virtio_raise(struct virtio_pci *v, uint8_t isr, uint16_t vector)
{
	bool messages = msix_is_enabled(&v->pci);

	if (isr == ISR_CONFIG || !messages) {
		v->isr |= isr;
		pci_set_irq(&v->pci, true);
	}
	if (messages)
		msix_raise(&v->pci, vector); /* NO_VECTOR is none of them */
}

void virtio_pci_signal(struct virtio_pci *v, unsigned index)
{
	struct virtqueue *queue = virtio_pci_queue(v, index);

	if (queue && virtqueue_takes_interrupt(queue, v->ram))
		virtio_raise(v, ISR_QUEUE, queue->vector);
}

void virtio_pci_break(struct virtio_pci *v, const char *why)
{
	if (v->status & STATUS_NEEDS_RESET)
		return;
	cli_say("%s: the guest broke the device: %s", v->name, why);
	v->status |= STATUS_NEEDS_RESET;
	if (v->status & STATUS_DRIVER_OK)
		virtio_raise(v, ISR_CONFIG, v->config_vector);
}

static bool virtio_is_ready(const struct virtio_pci *v)
{
	const uint8_t ready = STATUS_DRIVER_OK | STATUS_FEATURES_OK;

	return (v->status & (ready | STATUS_NEEDS_RESET)) == ready && pci_is_bus_master(&v->pci);
}

struct virtqueue *virtio_pci_queue(struct virtio_pci *v, unsigned index)
{
	return virtio_is_ready(v) && v->queues[index].enabled ? &v->queues[index] : NULL;
}

/* --- the common configuration, section 4.1.4.3 --- */

static void virtio_reset(struct virtio_pci *v)
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

static uint16_t usable_vector(const struct virtio_pci *v, uint32_t vector)
{
	return vector < v->pci.msix.nr ? vector : VIRTQUEUE_NO_VECTOR;
}

static uint32_t get_config_vector(struct virtio_pci *v)
{
	return v->config_vector;
}

static void set_config_vector(struct virtio_pci *v, uint32_t value)
{
	v->config_vector = usable_vector(v, value);
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
	bool was_ready = virtio_is_ready(v);

	if (!value) {
		virtio_reset(v);
		return;
	}
	if (v->features & ~v->offered || !(v->features & VIRTIO_F_VERSION_1))
		value &= ~STATUS_FEATURES_OK;
	v->status |= value & STATUS_BY_DRIVER;
	if (!was_ready && virtio_is_ready(v))
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
		selected(v)->vector = usable_vector(v, value);
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
static uint32_t common_read(struct virtio_pci *v, unsigned offset, unsigned size)
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

static void common_write(struct virtio_pci *v, unsigned offset, unsigned size, uint32_t value)
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

/* --- BAR 0 --- */

static uint32_t isr_read(struct virtio_pci *v)
{
	uint8_t isr = v->isr;

	v->isr = 0;
	pci_set_irq(&v->pci, false);
	return isr;
}

static uint64_t virtio_read(void *device, uint64_t offset, unsigned size)
{
	struct virtio_pci *v = device;
	uint64_t value = 0;

	if (offset % size)
		return 0;
	if (offset < BAR_COMMON + COMMON_SIZE) {
		if (size < 8)
			return common_read(v, offset, size);
		return common_read(v, offset, 4) | (uint64_t)common_read(v, offset + 4, 4) << 32;
	}
	if (offset == BAR_ISR)
		return isr_read(v);
	for (unsigned i = 0; i < size; i++)
		if (offset + i - BAR_DEVICE < v->config_size)
			value |= (uint64_t)v->config[offset + i - BAR_DEVICE] << 8 * i;
	return value;
}

static void virtio_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct virtio_pci *v = device;

	if (offset % size)
		return;
	if (offset < BAR_COMMON + COMMON_SIZE) {
		common_write(v, offset, size < 8 ? size : 4, value);
		if (size == 8)
			common_write(v, offset + 4, 4, value >> 32);
	} else if (offset - BAR_NOTIFY < v->nr_queues * NOTIFY_MULTIPLIER) {
		v->notify(v->device);
	}
}

/* --- configuration space --- */

/* Section 4.1.4 */
struct capability {
	uint8_t id, next, size, type, bar, padding[3];
	uint32_t offset, length;
	uint32_t extra; /* notifications: the multiplier; access to BARs: the data */
};

enum { CAP_COMMON = 1, CAP_NOTIFY, CAP_ISR, CAP_DEVICE, CAP_ACCESS };

static uint8_t add_capability(struct virtio_pci *v, unsigned type, unsigned size, uint32_t offset,
			      uint32_t length)
{
	struct capability cap = {
		.size = size,
		.type = type,
		.offset = offset,
		.length = length,
		.extra = type == CAP_NOTIFY ? NOTIFY_MULTIPLIER : 0,
	};
	uint8_t at = pci_add_capability(&v->pci, CAP_VENDOR, size);

	memcpy(v->pci.config + at + 2, (uint8_t *)&cap + 2, size - 2);
	return at;
}

/*
 * A window through configuration space into BAR 0 (section 4.1.4.9): before the driver reads its data the BAR is read, after it
 * wrote them the BAR is written.
 */
static void virtio_access(struct pci_function *fn, unsigned offset, unsigned size, bool write)
{
	struct virtio_pci *v = fn->device;
	uint8_t *data = fn->config + v->access + offsetof(struct capability, extra);
	struct capability cap;
	uint64_t value = 0;

	if (offset + size <= data - fn->config || offset >= data - fn->config + sizeof(cap.extra))
		return;
	memcpy(&cap, fn->config + v->access, sizeof(cap));
	if (cap.bar || (cap.length != 1 && cap.length != 2 && cap.length != 4) ||
	    cap.offset % cap.length || cap.offset >= fn->bar_size)
		return;
	if (write) {
		memcpy(&value, data, cap.length);
		pci_bar_write(fn, cap.offset, cap.length, value);
	} else {
		value = pci_bar_read(fn, cap.offset, cap.length);
		memcpy(data, &value, cap.length);
	}
}

void virtio_pci_attach(struct virtio_pci *v, struct pci_host *host, unsigned slot)
{
	const struct pci_ids ids = {
		.vendor = VIRTIO_VENDOR,
		.device = VIRTIO_FIRST_ID + v->device_id,
		.class_code = v->class_code,
		.revision = 1,
	};
	const unsigned plain = offsetof(struct capability, extra);

	v->pci.bar_size = BAR_SIZE;
	v->pci.device = v;
	v->pci.read = virtio_read;
	v->pci.write = virtio_write;
	v->pci.access = virtio_access;
	pci_attach(host, slot, &v->pci, &ids);
	msix_add(&v->pci, v->nr_queues + 1, BAR_MSIX_TABLE, BAR_MSIX_PENDING);
	add_capability(v, CAP_COMMON, plain, BAR_COMMON, COMMON_SIZE);
	add_capability(v, CAP_ISR, plain, BAR_ISR, 1);
	add_capability(v, CAP_DEVICE, plain, BAR_DEVICE, v->config_size);
	add_capability(v, CAP_NOTIFY, sizeof(struct capability), BAR_NOTIFY,
		       v->nr_queues * NOTIFY_MULTIPLIER);
	v->access = add_capability(v, CAP_ACCESS, sizeof(struct capability), 0, 0);
	memset(v->pci.writable + v->access + offsetof(struct capability, bar), 0xff, 1);
	memset(v->pci.writable + v->access + offsetof(struct capability, offset), 0xff, 12);
	virtio_reset(v);
}

void virtio_pci_state(struct virtio_pci *v, struct state *state)
{
	pci_state(&v->pci, state);
	state_value(state, v->features);
	state_value(state, v->device_select);
	state_value(state, v->driver_select);
	state_value(state, v->config_vector);
	state_value(state, v->queue_select);
	state_value(state, v->status);
	state_value(state, v->isr);
	for (unsigned i = 0; i < v->nr_queues; i++)
		virtqueue_state(&v->queues[i], state, v->ram, v->pci.msix.nr);
	if (!state->loading)
		return;
	if (v->status & ~(STATUS_BY_DRIVER | STATUS_NEEDS_RESET) ||
	    (v->status & STATUS_FEATURES_OK && v->features & ~v->offered))
		state_fail(state, "an impossible status or feature");
	if (usable_vector(v, v->config_vector) != v->config_vector)
		state_fail(state, "a vector that is not there");
	if (!state_is_good(state))
		virtio_reset(v);
}
