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

#define NOTIFY_MULTIPLIER 4u
#define CAP_VENDOR	  0x09u
#define VIRTIO_VENDOR	  0x1af4u
#define VIRTIO_FIRST_ID	  0x1040u /* plus the number of the device's kind */

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
	/* Once: whoever reads stderr may be slow, and the lock is held meanwhile. */
	if (!v->told)
		cli_say("%s: the guest broke the device: %s", v->name, why);
	v->told = true;
	v->status |= STATUS_NEEDS_RESET;
	if (v->status & STATUS_DRIVER_OK)
		virtio_raise(v, ISR_CONFIG, v->config_vector);
}

bool virtio_pci_is_ready(const struct virtio_pci *v)
{
	const uint8_t ready = STATUS_DRIVER_OK | STATUS_FEATURES_OK;

	return (v->status & (ready | STATUS_NEEDS_RESET)) == ready && pci_is_bus_master(&v->pci);
}

struct virtqueue *virtio_pci_queue(struct virtio_pci *v, unsigned index)
{
	return virtio_pci_is_ready(v) && v->queues[index].enabled ? &v->queues[index] : NULL;
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
	if (offset < BAR_COMMON + VIRTIO_COMMON_SIZE) {
		if (size < 8)
			return virtio_common_read(v, offset, size);
		return virtio_common_read(v, offset, 4) |
		       (uint64_t)virtio_common_read(v, offset + 4, 4) << 32;
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
	if (offset < BAR_COMMON + VIRTIO_COMMON_SIZE) {
		virtio_common_write(v, offset, size < 8 ? size : 4, value);
		if (size == 8)
			virtio_common_write(v, offset + 4, 4, value >> 32);
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

/* A driver that is ready and lets the device reach memory again may have made something available meanwhile. */
static void virtio_config_changed(struct virtio_pci *v)
{
	if (virtio_pci_is_ready(v))
		v->notify(v->device);
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

	if (write)
		virtio_config_changed(v);
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
	add_capability(v, CAP_COMMON, plain, BAR_COMMON, VIRTIO_COMMON_SIZE);
	add_capability(v, CAP_ISR, plain, BAR_ISR, 1);
	add_capability(v, CAP_DEVICE, plain, BAR_DEVICE, v->config_size);
	add_capability(v, CAP_NOTIFY, sizeof(struct capability), BAR_NOTIFY,
		       v->nr_queues * NOTIFY_MULTIPLIER);
	v->access = add_capability(v, CAP_ACCESS, sizeof(struct capability), 0, 0);
	memset(v->pci.writable + v->access + offsetof(struct capability, bar), 0xff, 1);
	memset(v->pci.writable + v->access + offsetof(struct capability, offset), 0xff, 12);
	virtio_common_reset(v);
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
	if (virtio_common_vector(v, v->config_vector) != v->config_vector)
		state_fail(state, "a vector that is not there");
	if (!state_is_good(state))
		virtio_common_reset(v);
}
