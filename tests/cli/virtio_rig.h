/* SPDX-License-Identifier: MIT */
/* A guest's driver for the virtio network device: registers, and two queues in memory. */
#ifndef TESTS_CLI_VIRTIO_RIG_H
#define TESTS_CLI_VIRTIO_RIG_H

#include <stdlib.h>
#include <string.h>

#include "devices_rig.h"
#include "virtio_net.h"

#define ECAM   0x10000000ull
#define WINDOW 0x20000000ull
#define BAR    0x20100000ull
#define SLOT   31u
#define CONFIG (ECAM + (SLOT << 15))
#define SPI    63

/* Where the rig's guest has its queues and its buffers. */
#define QUEUES(i)  (RIG_RAM + 0x10000 + (i)*0x10000)
#define BUFFERS(i) (RIG_RAM + 0x100000 + (i)*0x100000)
#define BUFFER	   2048u
#define RIG_END	   (RIG_RAM + 16 * MIB)

#define NEXT	 1u
#define WRITE	 2u
#define INDIRECT 4u

/* Common configuration, section 4.1.4.3 */
enum {
	DEVICE_SELECT = 0x00,
	DEVICE_FEATURE = 0x04,
	DRIVER_SELECT = 0x08,
	DRIVER_FEATURE = 0x0c,
	CONFIG_VECTOR = 0x10,
	NUM_QUEUES = 0x12,
	STATUS = 0x14,
	QUEUE_SELECT = 0x16,
	QUEUE_SIZE = 0x18,
	QUEUE_VECTOR = 0x1a,
	QUEUE_ENABLE = 0x1c,
	NOTIFY_OFF = 0x1e,
	QUEUE_DESC = 0x20,
	QUEUE_DRIVER = 0x28,
	QUEUE_DEVICE = 0x30,
	ISR = 0x800,
	DEVICE_CONFIG = 0x1000,
	NOTIFY = 0x2000,
	VECTORS = 0x3000,
};

enum { RX, TX };

struct rig_descriptor {
	uint64_t address;
	uint32_t length;
	uint16_t flags, next;
};

struct driver_queue {
	unsigned size;
	uint16_t avail, used; /* next to write, next to read */
	uint64_t desc, driver, device;
};

static struct bus bus;
static struct guest_memory ram;
static struct pci_host pci;
static struct driver_queue queues[2];

static inline uint32_t get(unsigned offset, unsigned size)
{
	return rig_load(&bus, BAR + offset, size);
}

static inline void put(unsigned offset, unsigned size, uint64_t value)
{
	rig_store(&bus, BAR + offset, size, value);
}

static inline void rig_memory(void)
{
	memset(&bus, 0, sizeof(bus));
	memset(rig_level, 0, sizeof(rig_level));
	rig_messages = rig_nr_msis = 0;
	memory_destroy(&ram);
	if (memory_create(&ram, &rig_accel, -1, MEMORY_ANON, RIG_RAM, 16 * MIB))
		abort();
	pci_init(&pci, &bus, ECAM, WINDOW, 0x10000000);
}

static inline void map_bar(void)
{
	rig_store(&bus, CONFIG + 0x10, 4, BAR);
	rig_store(&bus, CONFIG + 0x14, 4, 0);
	rig_store(&bus, CONFIG + 4, 2, 6);
}

static inline void set_address(unsigned offset, uint64_t address)
{
	put(offset, 4, address);
	put(offset + 4, 4, address >> 32);
}

static inline void set_queue(unsigned index, unsigned size)
{
	struct driver_queue *q = &queues[index];

	*q = (struct driver_queue){.size = size,
				   .desc = QUEUES(index),
				   .driver = QUEUES(index) + 0x2000,
				   /* its first entry on a page of its own */
				   .device = QUEUES(index) + 0x3ffc};
	memset(memory_at(&ram, QUEUES(index), 0x8000), 0, 0x8000);
	put(QUEUE_SELECT, 2, index);
	put(QUEUE_SIZE, 2, size);
	set_address(QUEUE_DESC, q->desc);
	set_address(QUEUE_DRIVER, q->driver);
	set_address(QUEUE_DEVICE, q->device);
	put(QUEUE_ENABLE, 2, 1);
}

static inline void accept_features(uint32_t low, uint32_t high)
{
	put(STATUS, 1, 0);
	put(STATUS, 1, 3);
	put(DRIVER_SELECT, 4, 0);
	put(DRIVER_FEATURE, 4, low);
	put(DRIVER_SELECT, 4, 1);
	put(DRIVER_FEATURE, 4, high);
	put(STATUS, 1, 11);
}

static inline void drive(unsigned size)
{
	accept_features(1 << 5, 1);
	set_queue(RX, size);
	set_queue(TX, size);
	put(STATUS, 1, 15);
}

static inline void set_desc(unsigned index, unsigned i, struct rig_descriptor desc)
{
	memory_write(&ram, queues[index].desc + i * 16, &desc, 16);
}

/* Makes the chain that begins at descriptor `head` available. */
static inline void offer(unsigned index, uint16_t head)
{
	struct driver_queue *q = &queues[index];
	uint16_t *ring = memory_at(&ram, q->driver, 4 + 2 * q->size);

	__atomic_store_n(&ring[2 + q->avail % q->size], head, __ATOMIC_RELAXED);
	q->avail++;
	__atomic_store_n(&ring[1], q->avail, __ATOMIC_SEQ_CST);
}

/* After offer(): whether the device wants to be told. */
static inline bool wants_notify(unsigned index)
{
	uint16_t *ring = memory_at(&ram, queues[index].device, 4);

	return !(__atomic_load_n(&ring[0], __ATOMIC_SEQ_CST) & 1);
}

/* One buffer, in the descriptor of its number. */
static inline void offer_buffer(unsigned index, unsigned i, uint32_t length)
{
	set_desc(index, i,
		 (struct rig_descriptor){.address = BUFFERS(index) + i * BUFFER,
					 .length = length,
					 .flags = index == RX ? WRITE : 0});
	offer(index, i);
}

/* A frame to be sent by one buffer; the header is zeros. */
static inline void offer_frame(unsigned i, const void *frame, size_t length)
{
	uint8_t *buffer = memory_at(&ram, BUFFERS(TX) + i * BUFFER, BUFFER);

	memset(buffer, 0, 12);
	memcpy(buffer + 12, frame, length);
	offer_buffer(TX, i, 12 + length);
}

static inline bool is_dirty(uint64_t address)
{
	uint64_t page = (address - RIG_RAM) >> ram.page_shift;

	return ram.dirty[page / 64] >> page % 64 & 1;
}

/* The next used entry: false if there is none. */
static inline bool used(unsigned index, uint32_t *id, uint32_t *length)
{
	struct driver_queue *q = &queues[index];
	uint16_t *ring = memory_at(&ram, q->device, 4 + 8 * q->size);
	uint32_t *entry = (uint32_t *)(ring + 2) + q->used % q->size * 2;

	if (__atomic_load_n(&ring[1], __ATOMIC_ACQUIRE) == q->used)
		return false;
	*id = entry[0];
	*length = entry[1];
	q->used++;
	return true;
}

#endif
