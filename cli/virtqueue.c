/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "virtqueue.h"

#define DESC_NEXT     1u
#define DESC_WRITE    2u
#define DESC_INDIRECT 4u

#define AVAIL_NO_INTERRUPT 1u
#define USED_NO_NOTIFY	   1u

struct descriptor {
	uint64_t address;
	uint32_t length;
	uint16_t flags, next;
};

struct used_entry {
	uint32_t id, length;
};

/* Both rings begin with flags and an index, and end with an index that only VIRTIO_F_EVENT_IDX uses. */
struct ring_header {
	uint16_t flags, index;
};

static uint64_t desc_bytes(const struct virtqueue *queue)
{
	return queue->size * sizeof(struct descriptor);
}

static uint64_t driver_bytes(const struct virtqueue *queue)
{
	return sizeof(struct ring_header) + queue->size * sizeof(uint16_t) + sizeof(uint16_t);
}

static uint64_t device_bytes(const struct virtqueue *queue)
{
	return sizeof(struct ring_header) + queue->size * sizeof(struct used_entry) +
	       sizeof(uint16_t);
}

void virtqueue_reset(struct virtqueue *queue)
{
	*queue = (struct virtqueue){.size = VIRTQUEUE_MAX_SIZE, .vector = VIRTQUEUE_NO_VECTOR};
}

const char *virtqueue_find_fault(const struct virtqueue *queue, const struct guest_memory *ram)
{
	if (!queue->size || queue->size > VIRTQUEUE_MAX_SIZE || queue->size & (queue->size - 1))
		return "an impossible number of descriptors";
	if (queue->desc % 16 || queue->driver % 2 || queue->device % 4)
		return "a misaligned queue";
	if (!memory_at(ram, queue->desc, desc_bytes(queue)) ||
	    !memory_at(ram, queue->driver, driver_bytes(queue)) ||
	    !memory_at(ram, queue->device, device_bytes(queue)))
		return "a queue outside of memory";
	return NULL;
}

/* Enabled queues passed virtqueue_find_fault(), and do not change: the pointers below are never null. */

static uint16_t avail_index(const struct virtqueue *queue, const struct guest_memory *ram)
{
	struct ring_header *ring = memory_at(ram, queue->driver, driver_bytes(queue));

	/* Acquire: the entries and descriptors that the driver stored before. Seq_cst: see virtqueue_set_notify(). */
	return __atomic_load_n(&ring->index, __ATOMIC_SEQ_CST);
}

static uint16_t avail_entry(const struct virtqueue *queue, const struct guest_memory *ram)
{
	uint16_t *entries =
		memory_at(ram, queue->driver + sizeof(struct ring_header), queue->size * 2ull);

	return __atomic_load_n(&entries[queue->next_avail % queue->size], __ATOMIC_RELAXED);
}

static const char *add_segment(struct virtqueue_chain *chain, const struct guest_memory *ram,
			       const struct descriptor *desc)
{
	struct virtqueue_segment segment = {.at = memory_at(ram, desc->address, desc->length),
					    .length = desc->length};

	if (desc->flags & DESC_INDIRECT)
		return "an indirect table, which was not offered";
	if (!desc->length)
		return "an empty buffer";
	if (!segment.at)
		return "a buffer outside of memory";
	if (!(desc->flags & DESC_WRITE) && chain->nr_writable)
		return "a buffer to be read after one to be written";
	chain->segments[chain->nr_readable + chain->nr_writable] = segment;
	if (desc->flags & DESC_WRITE)
		chain->nr_writable++;
	else
		chain->nr_readable++;
	return NULL;
}

static const char *walk(const struct virtqueue *queue, const struct guest_memory *ram,
			struct virtqueue_chain *chain)
{
	const struct descriptor *table = memory_at(ram, queue->desc, desc_bytes(queue));
	uint16_t index = chain->head;

	for (unsigned i = 0; i < queue->size; i++) {
		struct descriptor desc;
		const char *fault;

		if (index >= queue->size)
			return "a descriptor that is not there";
		memcpy(&desc, &table[index], sizeof(desc));
		fault = add_segment(chain, ram, &desc);
		if (fault)
			return fault;
		if (!(desc.flags & DESC_NEXT))
			return NULL;
		index = desc.next;
	}
	return "a chain without end";
}

bool virtqueue_is_empty(const struct virtqueue *queue, const struct guest_memory *ram)
{
	return avail_index(queue, ram) == queue->next_avail;
}

int virtqueue_take(struct virtqueue *queue, const struct guest_memory *ram,
		   struct virtqueue_chain *chain, const char **fault)
{
	uint16_t waiting = avail_index(queue, ram) - queue->next_avail;

	if (!waiting)
		return 0;
	*fault = "more buffers than the queue holds";
	if (waiting > queue->size)
		return -1;
	chain->head = avail_entry(queue, ram);
	chain->nr_readable = chain->nr_writable = 0;
	*fault = walk(queue, ram, chain);
	if (*fault)
		return -1;
	queue->next_avail++;
	return 1;
}

void virtqueue_untake(struct virtqueue *queue)
{
	queue->next_avail--;
}

void virtqueue_put(struct virtqueue *queue, const struct guest_memory *ram,
		   const struct virtqueue_chain *chain, uint32_t written)
{
	struct ring_header *ring = memory_at(ram, queue->device, device_bytes(queue));
	struct used_entry entry = {.id = chain->head, .length = written};
	struct used_entry *slot = (struct used_entry *)(ring + 1) + queue->next_used % queue->size;

	memcpy(slot, &entry, sizeof(entry));
	memory_mark_dirty(ram, slot, sizeof(*slot));
	queue->next_used++;
	/* Release: whoever sees the index sees the entry and what it stands for. Seq_cst: see virtqueue_takes_interrupt(). */
	__atomic_store_n(&ring->index, queue->next_used, __ATOMIC_SEQ_CST);
	memory_mark_dirty(ram, ring, sizeof(*ring));
	queue->unsignalled = true;
}

bool virtqueue_takes_interrupt(struct virtqueue *queue, const struct guest_memory *ram)
{
	struct ring_header *ring = memory_at(ram, queue->driver, driver_bytes(queue));

	if (!queue->unsignalled)
		return false;
	queue->unsignalled = false;
	/* The driver stores the flags, then looks at our index once more; we store the index, then look at the flags. */
	return !(__atomic_load_n(&ring->flags, __ATOMIC_SEQ_CST) & AVAIL_NO_INTERRUPT);
}

void virtqueue_set_notify(struct virtqueue *queue, const struct guest_memory *ram, bool wanted)
{
	struct ring_header *ring = memory_at(ram, queue->device, device_bytes(queue));

	/* We store the flags, then look at the driver's index; it stores the index, then looks at the flags. */
	__atomic_store_n(&ring->flags, wanted ? 0 : USED_NO_NOTIFY, __ATOMIC_SEQ_CST);
	memory_mark_dirty(ram, ring, sizeof(*ring));
}

static uint64_t sum(const struct virtqueue_segment *segments, unsigned nr)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < nr; i++)
		bytes += segments[i].length;
	return bytes;
}

uint64_t virtqueue_readable_bytes(const struct virtqueue_chain *chain)
{
	return sum(chain->segments, chain->nr_readable);
}

uint64_t virtqueue_writable_bytes(const struct virtqueue_chain *chain)
{
	return sum(chain->segments + chain->nr_readable, chain->nr_writable);
}

size_t virtqueue_copy_out(const struct virtqueue_chain *chain, size_t skip, void *to, size_t room)
{
	size_t done = 0;

	for (unsigned i = 0; i < chain->nr_readable && done < room; i++) {
		const struct virtqueue_segment *segment = &chain->segments[i];
		size_t length = segment->length;

		if (skip >= length) {
			skip -= length;
			continue;
		}
		length -= skip;
		if (length > room - done)
			length = room - done;
		memcpy((uint8_t *)to + done, segment->at + skip, length);
		done += length;
		skip = 0;
	}
	return done;
}

size_t virtqueue_copy_in(const struct virtqueue_chain *chain, const struct guest_memory *ram,
			 size_t skip, const void *from, size_t length)
{
	size_t done = 0;

	for (unsigned i = 0; i < chain->nr_writable && done < length; i++) {
		const struct virtqueue_segment *segment = &chain->segments[chain->nr_readable + i];
		size_t part = segment->length;

		if (skip >= part) {
			skip -= part;
			continue;
		}
		part -= skip;
		if (part > length - done)
			part = length - done;
		memcpy(segment->at + skip, (const uint8_t *)from + done, part);
		memory_mark_dirty(ram, segment->at + skip, part);
		done += part;
		skip = 0;
	}
	return done;
}

void virtqueue_state(struct virtqueue *queue, struct state *state, const struct guest_memory *ram,
		     unsigned nr_vectors)
{
	const char *fault;

	state_bool(state, &queue->enabled);
	state_bool(state, &queue->unsignalled);
	state_value(state, queue->size);
	state_value(state, queue->vector);
	state_value(state, queue->next_avail);
	state_value(state, queue->next_used);
	state_value(state, queue->desc);
	state_value(state, queue->driver);
	state_value(state, queue->device);
	if (!state->loading)
		return;
	if (queue->vector != VIRTQUEUE_NO_VECTOR && queue->vector >= nr_vectors)
		state_fail(state, "a vector that is not there");
	fault = queue->enabled ? virtqueue_find_fault(queue, ram) : NULL;
	if (fault)
		state_fail(state, "%s", fault);
	if (!state_is_good(state))
		virtqueue_reset(queue);
}
