/* SPDX-License-Identifier: MIT */
/*
 * The device's side of a split virtqueue (Virtual I/O Device 1.2, section 2.7): the driver makes chains of descriptors available,
 * the device takes them one by one and returns them as used.
 *
 * All three parts lie in guest memory, and any vCPU may change them at any moment. So each word is read once, into a local; what
 * was read is checked before it is used; and a walk ends after as many descriptors as the queue has, loop or not. What a driver must
 * not do (section 2.7.5) is an error with its reason: the caller breaks the device.
 */
#ifndef CLI_VIRTQUEUE_H
#define CLI_VIRTQUEUE_H

#include "memory.h"
#include "state.h"

#define VIRTQUEUE_MAX_SIZE  256u
#define VIRTQUEUE_NO_VECTOR 0xffffu

struct virtqueue {
	bool enabled;
	bool unsignalled; /* buffers were returned, and the driver has not been told */
	uint16_t size, vector;
	uint16_t next_avail, next_used; /* free-running, as the indices in memory are */
	uint64_t desc, driver, device;	/* guest physical: table, available ring, used ring */
};

struct virtqueue_segment {
	uint8_t *at;
	uint32_t length;
};

/* What the driver filled comes first, then what the device may write. */
struct virtqueue_chain {
	uint16_t head;
	unsigned nr_readable, nr_writable;
	struct virtqueue_segment segments[VIRTQUEUE_MAX_SIZE];
};

void virtqueue_reset(struct virtqueue *queue);
/* Null if size and addresses are what section 2.7 asks for and all in RAM; or what is wrong. */
const char *virtqueue_find_fault(const struct virtqueue *queue, const struct guest_memory *ram);
/* 1 with a chain, 0 if there is none, -1 with *fault set. */
int virtqueue_take(struct virtqueue *queue, const struct guest_memory *ram,
		   struct virtqueue_chain *chain, const char **fault);
/* The chain that was taken last stays available. */
void virtqueue_untake(struct virtqueue *queue);
/* Returns a chain of which the first `written` writable bytes have been written. */
void virtqueue_put(struct virtqueue *queue, const struct guest_memory *ram,
		   const struct virtqueue_chain *chain, uint32_t written);
/* Whether the driver is to be told now of what was returned; asked once, since it forgets. */
bool virtqueue_takes_interrupt(struct virtqueue *queue, const struct guest_memory *ram);
bool virtqueue_is_empty(const struct virtqueue *queue, const struct guest_memory *ram);
/*
 * Whether the driver need tell of what it makes available. Who asks for it again looks into the queue afterwards: what came before
 * the driver saw that is told by nobody.
 */
void virtqueue_set_notify(struct virtqueue *queue, const struct guest_memory *ram, bool wanted);

uint64_t virtqueue_readable_bytes(const struct virtqueue_chain *chain);
uint64_t virtqueue_writable_bytes(const struct virtqueue_chain *chain);
/* Copies at most that much, and returns how much. */
size_t virtqueue_copy_out(const struct virtqueue_chain *chain, size_t skip, void *to, size_t room);
size_t virtqueue_copy_in(const struct virtqueue_chain *chain, const struct guest_memory *ram,
			 size_t skip, const void *from, size_t length);

void virtqueue_state(struct virtqueue *queue, struct state *state, const struct guest_memory *ram,
		     unsigned nr_vectors);

#endif
