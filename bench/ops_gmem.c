/* SPDX-License-Identifier: MIT */
/* guest_memfd of 1 GiB: creation, binding to a slot, allocation, hole punching; and a hole under a guest that has it mapped. */
#include <anykvm/kvm.h>

#include <fcntl.h>
#include <linux/falloc.h>

#include "bench.h"
#include "guest.h"

#define VM_TYPE_X86_SW_PROTECTED 1ul /* the first x86 type that could have guest_memfd */

enum step { CREATE, BIND, ALLOCATE, PUNCH, CLOSE, NR_STEPS };

/* A VM that can have guest_memfd, or -1. */
static int gmem_vm(struct backend *b)
{
	int vm = make_vm(b);

	if (b->ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD) > 0)
		return vm;
	b->close(vm);
	if (b->arch == &guest_arm64)
		return -1;
	vm = b->ioctl(b->kvm, KVM_CREATE_VM, VM_TYPE_X86_SW_PROTECTED);
	if (vm >= 0 && b->ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD) > 0)
		return vm;
	if (vm >= 0)
		b->close(vm);
	return -1;
}

static int gmem_create(struct backend *b, int vm)
{
	struct kvm_create_guest_memfd gmem = {
		.size = GIB, .flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED};
	int flags = b->ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_FLAGS);

	gmem.flags &= flags > 0 ? (unsigned)flags : 0;
	return must(b->ioctl(vm, KVM_CREATE_GUEST_MEMFD, &gmem), "KVM_CREATE_GUEST_MEMFD");
}

static void gmem_bind(struct backend *b, int vm, int fd)
{
	struct kvm_userspace_memory_region2 r = {
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = GUEST_DATA,
		.memory_size = GIB,
		.userspace_addr = (uintptr_t)memory_base(),
		.guest_memfd = fd,
	};

	must(b->ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &r), "KVM_SET_USER_MEMORY_REGION2");
}

static double gmem(struct backend *b, unsigned rounds, enum step which)
{
	int vm = gmem_vm(b);
	double spent = 0;

	if (vm < 0)
		return UNSUPPORTED;
	for (unsigned i = 0; i < rounds; i++) {
		double at[NR_STEPS + 1];
		int fd;

		at[CREATE] = now_ns();
		fd = gmem_create(b, vm);
		at[BIND] = now_ns();
		gmem_bind(b, vm, fd);
		at[ALLOCATE] = now_ns();
		if (which >= ALLOCATE)
			must(b->fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, GIB), "fallocate");
		at[PUNCH] = now_ns();
		if (which >= PUNCH)
			must(b->fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, GIB),
			     "punch hole");
		at[CLOSE] = now_ns();
		set_slot(b, vm, 0, 0, GUEST_DATA, 0, NULL);
		b->close(fd);
		at[NR_STEPS] = now_ns();
		spent += at[which + 1] - at[which];
	}
	b->close(vm);
	return spent / rounds;
}

static double gmem_create_1g(struct backend *b, unsigned rounds)
{
	return gmem(b, rounds, CREATE);
}

static double gmem_bind_1g(struct backend *b, unsigned rounds)
{
	return gmem(b, rounds, BIND);
}

static double gmem_allocate_1g(struct backend *b, unsigned rounds)
{
	return gmem(b, rounds, ALLOCATE);
}

static double gmem_punch_1g(struct backend *b, unsigned rounds)
{
	return gmem(b, rounds, PUNCH);
}

static const struct op ops[] = {
	{"gmem_create_1g", 100, 3, gmem_create_1g},
	{"gmem_bind_1g", 100, 3, gmem_bind_1g},
	{"gmem_allocate_1g", 2, 3, gmem_allocate_1g},
	{"gmem_punch_1g", 2, 3, gmem_punch_1g},
};
GROUP(gmem, ops);
