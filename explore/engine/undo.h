/* SPDX-License-Identifier: MIT */
/*
 * What an execution changes, so that it can be taken back: executions with the same beginning then need not run it again each time
 * (engine/checkpoint.c).
 *
 * Two ways. Small state that changes all the time is copied when a checkpoint is made (undo_keep). Of large state (memory, its shadow,
 * the table of objects) what is about to change is saved once between two checkpoints (undo_push). Epochs tell whether that was done:
 * each execution that begins, each checkpoint and each return to one begins a new epoch, and what was saved carries its number.
 */
#ifndef ANYKVM_EXPLORE_ENGINE_UNDO_H
#define ANYKVM_EXPLORE_ENGINE_UNDO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Memory that was: entries of address, size and bytes, oldest first. */
struct saved {
	char *data;
	size_t used, room;
};

/* When an execution begins after that many, they start again at 1. */
#define UNDO_LAST_EPOCH (UINT32_MAX - (1u << 20))

struct undo {
	bool on; /* there is a checkpoint to return to */
	uint32_t epoch;
	struct saved log;
};
extern struct undo undo;

/* Not the memory functions that the code under test calls: what is copied here is not looked at. */
void *__real_memcpy(void *to, const void *from, size_t size);

/* Behind its bytes, so that the entries can be read from the end. */
struct saved_entry {
	void *start;
	size_t size;
};
#define SAVED_INLINE 64 /* bytes that compilers copy without a call */

void saved_grow(struct saved *s, size_t needed);
static inline size_t saved_padded(size_t size)
{
	return (size + 7) & ~(size_t)7;
}

static inline void saved_add(struct saved *s, const void *p, size_t size)
{
	size_t end = s->used + saved_padded(size);
	struct saved_entry *e;

	if (__builtin_expect(end + sizeof(*e) > s->room, 0))
		saved_grow(s, end + sizeof(*e));
	if (__builtin_constant_p(size) && size <= SAVED_INLINE)
		__builtin_memcpy(s->data + s->used, p, size);
	else
		__real_memcpy(s->data + s->used, p, size);
	e = (struct saved_entry *)(s->data + end);
	e->start = (void *)p;
	e->size = size;
	s->used = end + sizeof(*e);
}

/* Puts back what was added after the first `from` bytes, latest first, and forgets it. */
void saved_undo(struct saved *s, size_t from);
/* Puts back all, in any order, and keeps it. */
void saved_copy_back(const struct saved *s);

/* Goes on with a hash. */
void saved_hash(uint64_t *hash, const void *p, size_t size);

/* [p, p + size) is about to change, and was not saved in this epoch. */
static inline void undo_push(const void *p, size_t size)
{
	if (undo.on)
		saved_add(&undo.log, p, size);
}

/* The same for what carries the epoch in which it was last saved. */
static inline void undo_touch(uint32_t *epoch, const void *p, size_t size)
{
	if (*epoch == undo.epoch)
		return;
	undo_push(p, size);
	*epoch = undo.epoch;
}

/* Before a store to memory of the code under test: saves the chunks it is in. */
void heap_save_chunks(uintptr_t addr, size_t size);
static inline void heap_will_store(uintptr_t addr, size_t size)
{
	if (undo.on)
		heap_save_chunks(addr, size);
}

#endif
