/* SPDX-License-Identifier: MIT */
/* A machine with a GICv3 and an ITS, for tests of the ITS. */
#ifndef ANYKVM_TESTS_API_ITS_H
#define ANYKVM_TESTS_API_ITS_H

#include "vmm.h"

#define GICD 0x08000000ull
#define ITS  0x08080000ull
#define GICR 0x080a0000ull

/* Tables in RAM: configuration, pending of vCPU 0, devices, collections, command queue, one translation table. */
#define PROP   (RAM + 0x200000)
#define PEND   (RAM + 0x210000)
#define DEVTAB (RAM + 0x220000)
#define COLTAB (RAM + 0x230000)
#define QUEUE  (RAM + 0x240000)
#define ITT    (RAM + 0x250000)

#define VALID	  (1ull << 63)
#define DEVICE_ID 7u
#define LPI	  8192u

#define ADDR	KVM_DEV_ARM_VGIC_GRP_ADDR
#define CONTROL KVM_DEV_ARM_VGIC_GRP_CTRL
#define REGS	KVM_DEV_ARM_VGIC_GRP_ITS_REGS
#define REDIST	KVM_DEV_ARM_VGIC_GRP_REDIST_REGS

struct its_machine {
	struct machine m;
	int gic, its;
};

static inline int attr(int fd, unsigned long request, unsigned group, uint64_t number, void *value)
{
	struct kvm_device_attr a = {.group = group, .attr = number, .addr = (uintptr_t)value};

	return ioctl(fd, request, &a);
}

static inline int set64(int fd, unsigned group, uint64_t number, uint64_t value)
{
	return attr(fd, KVM_SET_DEVICE_ATTR, group, number, &value);
}

static inline uint64_t get64(int fd, unsigned group, uint64_t number)
{
	uint64_t value = ~0ull;

	EXPECT_EQ(attr(fd, KVM_GET_DEVICE_ATTR, group, number, &value), 0);
	return value;
}

static inline int create(struct machine *m, unsigned type)
{
	struct kvm_create_device cd = {.type = type};

	ASSERT_EQ(ioctl(m->vm, KVM_CREATE_DEVICE, &cd), 0);
	return cd.fd;
}

static inline struct its_machine its_machine_new(int nr)
{
	struct its_machine im = {.m = machine_new(nr)};
	uint32_t irqs = 64;

	im.gic = create(&im.m, KVM_DEV_TYPE_ARM_VGIC_V3);
	im.its = create(&im.m, KVM_DEV_TYPE_ARM_VGIC_ITS);
	ASSERT_EQ(attr(im.gic, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &irqs), 0);
	ASSERT_EQ(set64(im.gic, ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, GICD), 0);
	ASSERT_EQ(set64(im.gic, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, GICR), 0);
	ASSERT_EQ(set64(im.gic, CONTROL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0), 0);
	ASSERT_EQ(set64(im.its, ADDR, KVM_VGIC_ITS_ADDR_TYPE, ITS), 0);
	ASSERT_EQ(set64(im.its, CONTROL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0), 0);
	return im;
}

static inline void its_machine_free(struct its_machine *im)
{
	close(im->its);
	close(im->gic);
	machine_free(&im->m);
}

static inline uint64_t *ram64(struct machine *m, uint64_t gpa)
{
	return (uint64_t *)(m->ram + (gpa - RAM));
}

/* The next command of the queue; the guest, or an attribute, then moves CWRITER. */
static inline void command(struct machine *m, unsigned *nr, uint64_t w0, uint64_t w1, uint64_t w2)
{
	uint64_t *at = ram64(m, QUEUE + 32 * (*nr)++);

	at[0] = w0;
	at[1] = w1;
	at[2] = w2;
	at[3] = 0;
}

static inline void put_reg(struct code *c, unsigned size, uint64_t addr, uint64_t value)
{
	li(c, 1, addr & ~0xfffull);
	li(c, 0, value);
	str(c, size, 0, 1, addr & 0xfff);
}

#endif
