/* SPDX-License-Identifier: MIT */
#include "queue.h"
#include "sync.h"

struct queue {
	struct sync_mutex lock;
	struct sync_cond filled, emptied;
	unsigned first, count;
	int item[QUEUE_SIZE];
};

struct queue *queue_new(void)
{
	struct queue *q = sync_alloc(sizeof(*q), "struct queue");

	if (!q)
		return NULL;
	sync_mutex_init(&q->lock);
	sync_cond_init(&q->filled);
	sync_cond_init(&q->emptied);
	return q;
}

void queue_free(struct queue *q)
{
	sync_mutex_destroy(&q->lock);
	sync_free(q);
}

/* Somebody may sleep although there is work: which of the two forms is right? */
static void wake_a_getter(struct queue *q)
{
#ifdef QUEUE_BROKEN
	/* "Only an empty queue can have sleepers, so only its first item has to wake one." Two sleepers, two items, one wake-up. */
	if (q->count > 1)
		return;
#endif
	sync_cond_signal(&q->filled);
}

void queue_put(struct queue *q, int value)
{
	sync_mutex_lock(&q->lock);
	while (q->count == QUEUE_SIZE)
		sync_cond_wait(&q->emptied, &q->lock);
	q->item[(q->first + q->count) % QUEUE_SIZE] = value;
	q->count++;
	wake_a_getter(q);
	sync_mutex_unlock(&q->lock);
}

int queue_get(struct queue *q)
{
	int value;

	sync_mutex_lock(&q->lock);
	while (!q->count)
		sync_cond_wait(&q->filled, &q->lock);
	value = q->item[q->first];
	q->first = (q->first + 1) % QUEUE_SIZE;
	q->count--;
	sync_cond_signal(&q->emptied);
	sync_mutex_unlock(&q->lock);
	return value;
}
