/* SPDX-License-Identifier: MIT */
/* Operations of sweep.c on guest_memfd and on dirty rings, and what a machine is like before each. */
#ifndef ANYKVM_TESTS_SWEEP_MEMORY_H
#define ANYKVM_TESTS_SWEEP_MEMORY_H

#include <linux/falloc.h>

#include "sweep_engine.h"

/* --- guest_memfd ------------------------------------------------------------------------------------------------------------ */

#define GMEM_SIZE 0x400000ull

static int op_gmem_create(struct rig *r)
{
	struct kvm_create_guest_memfd a = {.size = GMEM_SIZE, .flags = 3};

	return r->result_fd = ioctl(r->m.vm, KVM_CREATE_GUEST_MEMFD, &a);
}
static int op_gmem_slot(struct rig *r)
{
	struct kvm_userspace_memory_region2 m = {.slot = 1,
						 .flags = KVM_MEM_GUEST_MEMFD,
						 .guest_phys_addr = SLOT_GPA,
						 .memory_size = GMEM_SIZE,
						 .userspace_addr = (uintptr_t)r->slot,
						 .guest_memfd = r->gmem};

	return ioctl(r->m.vm, KVM_SET_USER_MEMORY_REGION2, &m);
}
static int op_gmem_slot_delete(struct rig *r)
{
	return set_slot(r->m.vm, 1, 0, SLOT_GPA, 0, NULL);
}
static int op_gmem_allocate(struct rig *r)
{
	return fallocate(r->gmem, FALLOC_FL_KEEP_SIZE, 0, GMEM_SIZE);
}
static int op_gmem_punch(struct rig *r)
{
	return fallocate(r->gmem, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, PAGE, GMEM_SIZE);
}
static int op_gmem_map(struct rig *r)
{
	r->map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, r->gmem, PAGE);
	return r->map == MAP_FAILED ? -1 : 0;
}
static int op_gmem_error(struct rig *r)
{
	return madvise(r->map, PAGE, MADV_HWPOISON);
}
static int op_gmem_close(struct rig *r)
{
	int fd = dup(r->gmem);

	/* the last reference to the file goes with the mapping, if there is one */
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static void with_gmem(struct rig *r)
{
	ASSERT(op_gmem_create(r) >= 0);
	r->gmem = r->result_fd;
	r->result_fd = -1;
}
static void with_gmem_slot(struct rig *r)
{
	with_gmem(r);
	ASSERT_EQ(op_gmem_slot(r), 0);
}
static void with_gmem_mapped(struct rig *r)
{
	with_gmem_slot(r);
	ASSERT_EQ(op_gmem_map(r), 0);
}
/* The file that stands for pages that a host may not touch is the process's, once it is needed. */
static void with_gmem_hit(struct rig *r)
{
	with_gmem_mapped(r);
	ASSERT_EQ(op_gmem_error(r), 0);
}

/* --- rings, of a second machine --------------------------------------------------------------------------------------------- */

static int op_enable_ring(struct rig *r)
{
	struct kvm_enable_cap cap = {.cap = KVM_CAP_DIRTY_LOG_RING_ACQ_REL, .args = {PAGE}};

	return ioctl(r->ring_vm, KVM_ENABLE_CAP, &cap);
}
static int op_ring_vcpu(struct rig *r)
{
	return r->ring_vcpu = ioctl(r->ring_vm, KVM_CREATE_VCPU, 0);
}
static int op_map_ring(struct rig *r)
{
	r->ring = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, r->ring_vcpu,
		       KVM_DIRTY_LOG_PAGE_OFFSET * PAGE);
	return r->ring == MAP_FAILED ? -1 : 0;
}
static int op_reset_rings(struct rig *r)
{
	return ioctl(r->ring_vm, KVM_RESET_DIRTY_RINGS, 0);
}
static int op_log_to_ring(struct rig *r)
{
	return set_slot(r->ring_vm, 0, KVM_MEM_LOG_DIRTY_PAGES, SLOT_GPA, SLOT_SIZE, r->slot);
}

static void with_second_machine(struct rig *r)
{
	r->ring_vm = ioctl(r->m.kvm, KVM_CREATE_VM, 0);
	ASSERT(r->ring_vm >= 0);
}
static void with_rings(struct rig *r)
{
	with_second_machine(r);
	ASSERT_EQ(op_enable_ring(r), 0);
}
static void with_ring(struct rig *r)
{
	with_rings(r);
	ASSERT(op_ring_vcpu(r) >= 0);
}

#endif
