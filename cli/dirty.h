/* SPDX-License-Identifier: MIT */
/*
 * Which pages of the guest's memory have been written, by vCPUs (KVM's dirty log) and by devices (memory_mark_dirty()).
 *
 * D1. A page that dirty_collect() has reported and the caller copies afterwards is reported again if it is written after the
 *     copy began. KVM's log is reset, and so the page write-protected, before it is reported.
 * D2. After machine_pause() one more dirty_collect() reports all there is.
 */
#ifndef CLI_DIRTY_H
#define CLI_DIRTY_H

#include <pthread.h>

#include "memory.h"

/* How KVM tells. */
enum dirty_mode {
	DIRTY_BITMAP, /* KVM_GET_DIRTY_LOG takes and protects all at once */
	DIRTY_MANUAL, /* it only shows; KVM_CLEAR_DIRTY_LOG takes and protects, piece by piece */
	DIRTY_RING,   /* each vCPU lists pages in a ring that we share with KVM */
};

struct dirty_ring {
	struct kvm_dirty_gfn *entries;
	uint32_t next; /* to be read; counts on, modulo the size */
};

struct dirty_log {
	const struct accel *accel;
	int vm_fd;
	enum dirty_mode mode;
	bool initially_set; /* manual mode: everything is dirty when logging begins */
	uint64_t *scratch;  /* a bitmap from or for KVM */
	/* Rings. The lock is held from reading entries until KVM has protected their pages anew and they are in ram->dirty (D1). */
	pthread_mutex_t lock;
	struct dirty_ring *rings;
	unsigned nr_rings;
	uint32_t ring_entries;
};

/* Before the first vCPU and memory slot: 0, or -1 after a message. */
int dirty_create(struct dirty_log *log, const struct accel *accel, int vm_fd, enum dirty_mode mode);
/* 0, or -1 after a message. */
int dirty_add_vcpu(struct dirty_log *log, int vcpu_fd);
void dirty_destroy(struct dirty_log *log);

/* False if KVM keeps no log of this kind of memory. */
bool dirty_can_log(const struct guest_memory *ram);
/* Begins; what has been written before is not reported. 0, or -errno. */
int dirty_start(struct dirty_log *log, struct guest_memory *ram);
/* Adds what has been written since to the bitmap pages, of memory_bitmap_words(): 0, or -errno. */
int dirty_collect(struct dirty_log *log, struct guest_memory *ram, uint64_t *pages);
void dirty_stop(struct dirty_log *log, struct guest_memory *ram);
/* A vCPU's thread, after KVM_EXIT_DIRTY_RING_FULL. */
void dirty_ring_full(struct dirty_log *log, struct guest_memory *ram);

#endif
