/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "memory.h"

int memory_create(struct guest_memory *ram, const struct accel *accel, uint64_t base, uint64_t size)
{
	/*
	 * A block of the guest's memory can be mapped as one only if guest and host addresses agree
	 * below the block's size. RAM begins at a multiple of 1 GiB, so the host address must too.
	 */
	uint64_t align = size >= GIB ? GIB : 2 * MIB;
	uintptr_t start;

	memset(ram, 0, sizeof(*ram));
	ram->mapping_size = size + align;
	if (ram->mapping_size < size)
		return -ENOMEM;
	ram->mapping = accel->mmap(NULL, ram->mapping_size, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (ram->mapping == MAP_FAILED)
		return -errno;
	start = ((uintptr_t)ram->mapping + align - 1) & ~(align - 1);
	ram->accel = accel;
	ram->base = base;
	ram->size = size;
	ram->hva = (uint8_t *)start;
	/* A wish, not a need: hosts without huge pages answer EINVAL. */
	madvise(ram->hva, size, MADV_HUGEPAGE);
	return 0;
}

void memory_destroy(struct guest_memory *ram)
{
	if (ram->hva)
		ram->accel->munmap(ram->mapping, ram->mapping_size);
	ram->hva = NULL;
}

void *memory_at(const struct guest_memory *ram, uint64_t gpa, uint64_t length)
{
	uint64_t offset = gpa - ram->base;

	if (gpa < ram->base || offset > ram->size || length > ram->size - offset)
		return NULL;
	return ram->hva + offset;
}

bool memory_read(const struct guest_memory *ram, uint64_t gpa, void *to, size_t length)
{
	const void *from = memory_at(ram, gpa, length);

	if (from)
		memcpy(to, from, length);
	return from;
}

bool memory_write(const struct guest_memory *ram, uint64_t gpa, const void *from, size_t length)
{
	void *to = memory_at(ram, gpa, length);

	if (to)
		memcpy(to, from, length);
	return to;
}
