/* SPDX-License-Identifier: MIT */
/*
 * The guest's RAM as the VMM maps it. Devices reach it through here alone: every access is checked against its bounds, and every
 * store is marked, since KVM's dirty log sees only what vCPUs write.
 */
#ifndef CLI_MEMORY_H
#define CLI_MEMORY_H

#include "accel.h"
#include "cli.h"

enum memory_kind {
	MEMORY_ANON,  /* private and anonymous */
	MEMORY_MEMFD, /* a memfd, mapped shared */
	MEMORY_GMEM,  /* a guest_memfd: KVM finds the pages by the file, not by our mapping */
};

struct guest_memory {
	const struct accel *accel;
	uint64_t base, size; /* guest physical */
	uint8_t *hva;
	void *mapping; /* with the slack that alignment took */
	size_t mapping_size;
	enum memory_kind kind;
	int fd;		     /* of a memfd or guest_memfd, else -1 */
	unsigned page_shift; /* of the host: what one bit of a dirty log stands for */
	/* A bit a page, set after each store by a device; always there, so that no device need know whether anybody looks. */
	uint64_t *dirty;
};

/* 0, or -errno. For guest_memfd, vm_fd is whose it is to be. */
int memory_create(struct guest_memory *ram, const struct accel *accel, int vm_fd,
		  enum memory_kind kind, uint64_t base, uint64_t size);
/* Makes it memory slot 0 of the VM, with the dirty log on or off: 0, or -errno. */
int memory_give(const struct guest_memory *ram, int vm_fd, bool log_dirty);
void memory_destroy(struct guest_memory *ram);
/* Null if [gpa, gpa + length) is not all RAM. Who stores there calls memory_mark_dirty() afterwards. */
void *memory_at(const struct guest_memory *ram, uint64_t gpa, uint64_t length);
bool memory_read(const struct guest_memory *ram, uint64_t gpa, void *to, size_t length);
bool memory_write(const struct guest_memory *ram, uint64_t gpa, const void *from, size_t length);

/*
 * After the store, never before: a copier that takes the bit copies the page later, so it sees the store whole. The range must be
 * RAM.
 */
void memory_mark_dirty(const struct guest_memory *ram, const void *hva, uint64_t length);
uint64_t memory_pages(const struct guest_memory *ram);
/* Words of 64 bits in a bitmap with a bit a page. */
uint64_t memory_bitmap_words(const struct guest_memory *ram);

#endif
