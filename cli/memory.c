/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <anykvm/kvm.h>

#include "memory.h"

/* The file behind the memory: 0, or -errno. */
static int memory_create_file(struct guest_memory *ram, int vm_fd)
{
	struct kvm_create_guest_memfd request = {
		.size = ram->size, .flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED};

	if (ram->kind == MEMORY_GMEM) {
		ram->fd = ram->accel->ioctl(vm_fd, KVM_CREATE_GUEST_MEMFD, &request);
		return ram->fd < 0 ? -errno : 0;
	}
	ram->fd = memfd_create("anykvm-ram", MFD_CLOEXEC);
	return ram->fd < 0 || ftruncate(ram->fd, ram->size) ? -errno : 0;
}

int memory_create(struct guest_memory *ram, const struct accel *accel, int vm_fd,
		  enum memory_kind kind, uint64_t base, uint64_t size)
{
	/*
	 * A block of the guest's memory can be mapped as one only if guest and host addresses agree
	 * below the block's size. RAM begins at a multiple of 1 GiB, so the host address must too.
	 */
	uint64_t align = size >= GIB ? GIB : 2 * MIB;
	uintptr_t start;
	int status;

	*ram = (struct guest_memory){
		.accel = accel,
		.base = base,
		.size = size,
		.kind = kind,
		.fd = -1,
		.page_shift = __builtin_ctzl(sysconf(_SC_PAGESIZE)),
		.mapping_size = size + align,
	};
	if (ram->mapping_size < size)
		return -ENOMEM;
	ram->dirty = calloc(memory_bitmap_words(ram), sizeof(*ram->dirty));
	if (!ram->dirty)
		return -ENOMEM;
	status = kind == MEMORY_ANON ? 0 : memory_create_file(ram, vm_fd);
	if (status)
		return status;
	ram->mapping = accel->mmap(NULL, ram->mapping_size, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (ram->mapping == MAP_FAILED)
		return -errno;
	start = ((uintptr_t)ram->mapping + align - 1) & ~(align - 1);
	ram->hva = (uint8_t *)start;
	if (kind != MEMORY_ANON && accel->mmap(ram->hva, size, PROT_READ | PROT_WRITE,
					       MAP_SHARED | MAP_FIXED, ram->fd, 0) == MAP_FAILED)
		return -errno;
	/* A wish, not a need: hosts without huge pages answer EINVAL. */
	madvise(ram->hva, size, MADV_HUGEPAGE);
	return 0;
}

int memory_give(const struct guest_memory *ram, int vm_fd, bool log_dirty)
{
	struct kvm_userspace_memory_region2 region = {
		.flags = log_dirty ? KVM_MEM_LOG_DIRTY_PAGES : 0,
		.guest_phys_addr = ram->base,
		.memory_size = ram->size,
		.userspace_addr = (uintptr_t)ram->hva,
	};
	struct kvm_userspace_memory_region old = {
		.flags = region.flags,
		.guest_phys_addr = region.guest_phys_addr,
		.memory_size = region.memory_size,
		.userspace_addr = region.userspace_addr,
	};
	int status;

	/* The older request where it will do: every KVM has it. */
	if (ram->kind != MEMORY_GMEM) {
		status = ram->accel->ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &old);
	} else {
		region.flags |= KVM_MEM_GUEST_MEMFD;
		region.guest_memfd = ram->fd;
		status = ram->accel->ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION2, &region);
	}
	return status < 0 ? -errno : 0;
}

void memory_destroy(struct guest_memory *ram)
{
	if (ram->mapping && ram->mapping != MAP_FAILED)
		ram->accel->munmap(ram->mapping, ram->mapping_size);
	if (ram->mapping && ram->fd >= 0)
		ram->kind == MEMORY_GMEM ? ram->accel->close(ram->fd) : close(ram->fd);
	free(ram->dirty);
	ram->mapping = ram->hva = NULL;
	ram->dirty = NULL;
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

	if (!to)
		return false;
	memcpy(to, from, length);
	memory_mark_dirty(ram, to, length);
	return true;
}

/* --- what devices wrote --- */

uint64_t memory_pages(const struct guest_memory *ram)
{
	return ram->size >> ram->page_shift;
}

uint64_t memory_bitmap_words(const struct guest_memory *ram)
{
	return (memory_pages(ram) + 63) / 64;
}

void memory_mark_dirty(const struct guest_memory *ram, const void *hva, uint64_t length)
{
	uint64_t offset = (const uint8_t *)hva - ram->hva;
	uint64_t first = offset >> ram->page_shift;
	uint64_t last = (offset + length - 1) >> ram->page_shift;

	if (!length)
		return;
	/* Release: who takes the bit sees the store to the page. */
	for (uint64_t page = first; page <= last; page++)
		__atomic_fetch_or(&ram->dirty[page / 64], 1ull << page % 64, __ATOMIC_RELEASE);
}
