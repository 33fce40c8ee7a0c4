/* SPDX-License-Identifier: MIT */
/* A queue of at most QUEUE_SIZE numbers between threads: the code under test of this example. It knows nothing of the explorer. */
#ifndef QUEUE_H
#define QUEUE_H

#define QUEUE_SIZE 2

struct queue;

struct queue *queue_new(void);
void queue_free(struct queue *q);
/* Waits while it is full. */
void queue_put(struct queue *q, int value);
/* Waits while it is empty. */
int queue_get(struct queue *q);

#endif
