/* SPDX-License-Identifier: MIT */
/* The guest's RAM as the VMM maps it. Devices reach it through here alone: every access is checked
 * against its bounds. */
#ifndef CLI_MEMORY_H
#define CLI_MEMORY_H

#include "accel.h"
#include "cli.h"

struct guest_memory {
	const struct accel *accel;
	uint64_t base, size; /* guest physical */
	uint8_t *hva;
	void *mapping; /* with the slack that alignment took */
	size_t mapping_size;
};

/* 0, or -errno. */
int memory_create(struct guest_memory *ram, const struct accel *accel, uint64_t base,
		  uint64_t size);
void memory_destroy(struct guest_memory *ram);
/* Null if [gpa, gpa + length) is not all RAM. */
void *memory_at(const struct guest_memory *ram, uint64_t gpa, uint64_t length);
bool memory_read(const struct guest_memory *ram, uint64_t gpa, void *to, size_t length);
bool memory_write(const struct guest_memory *ram, uint64_t gpa, const void *from, size_t length);

#endif
