/* SPDX-License-Identifier: MIT */
/* The guest's writes to the VMM that do not leave KVM_RUN: eventfds and the coalesced ring. */
#include "vmm.h"

#include <poll.h>
#include <sys/eventfd.h>

static int ioeventfd(struct machine *m, int fd, uint64_t addr, unsigned len, uint64_t match,
		     unsigned flags)
{
	struct kvm_ioeventfd a = {
		.fd = fd, .addr = addr, .len = len, .datamatch = match, .flags = flags};

	return ioctl(m->vm, KVM_IOEVENTFD, &a);
}

static uint64_t signalled(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint64_t n = 0;

	if (poll(&p, 1, 0) == 1 && read(fd, &n, 8) != 8)
		return ~0ull;
	return n;
}

TEST(a_guest_write_signals_an_eventfd)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);
	int any = eventfd(0, 0), match = eventfd(0, 0), length = eventfd(0, 0);
	uint64_t a = DEVICE + 0x1000, b = DEVICE + 0x2000, d = DEVICE + 0x3000;

	EXPECT_ERRNO(ioeventfd(&m, any, a, 3, 0, 0), EINVAL);
	EXPECT_ERRNO(ioeventfd(&m, any, ~0ull, 4, 0, 0), EINVAL);
	EXPECT_ERRNO(ioeventfd(&m, any, a, 4, 0, 1u << 20), EINVAL);
	EXPECT_ERRNO(ioeventfd(&m, any, a, 0, 1, KVM_IOEVENTFD_FLAG_DATAMATCH), EINVAL);
	EXPECT_ERRNO(ioeventfd(&m, -1, a, 4, 0, 0), EBADF);
	EXPECT_ERRNO(ioeventfd(&m, m.vm, a, 4, 0, 0), EINVAL);
	ASSERT_EQ(ioeventfd(&m, any, a, 0, 0, 0), 0);
	EXPECT_ERRNO(ioeventfd(&m, match, a, 4, 0, 0), EEXIST);
	ASSERT_EQ(ioeventfd(&m, match, b, 4, 5, KVM_IOEVENTFD_FLAG_DATAMATCH), 0);
	EXPECT_ERRNO(ioeventfd(&m, any, b, 4, 5, KVM_IOEVENTFD_FLAG_DATAMATCH), EEXIST);
	ASSERT_EQ(ioeventfd(&m, any, b, 4, 6, KVM_IOEVENTFD_FLAG_DATAMATCH), 0);
	ASSERT_EQ(ioeventfd(&m, length, d, 2, 0, 0), 0);
	/* a value wider than the access never matches */
	ASSERT_EQ(ioeventfd(&m, match, d, 1, 0x105, KVM_IOEVENTFD_FLAG_DATAMATCH), 0);
	li(&c, 0, 5);
	li(&c, 1, a);
	str(&c, 1, 0, 1, 0);
	str(&c, 8, 0, 1, 0);
	li(&c, 1, b);
	str(&c, 4, 0, 1, 0);
	add_imm(&c, 0, 0, 2);
	str(&c, 4, 0, 1, 0); /* no match: leaves the guest */
	li(&c, 1, d);
	str(&c, 2, 0, 1, 0);
	str(&c, 4, 0, 1, 0); /* other length: leaves */
	li(&c, 0, 5);
	str(&c, 1, 0, 1, 0); /* 5, not 0x105: leaves */
	li(&c, 1, a);
	ldr(&c, 4, 3, 1, 0); /* a read: leaves */
	report(&c, 31, 0);
	li(&c, 1, a);
	str(&c, 4, 0, 1, 0); /* after the binding is gone: leaves */
	code_done(&m);
	EXPECT_EQ(run(&m, 0), 0);
	EXPECT_EQ(m.run[0]->mmio.phys_addr, b);
	EXPECT_EQ(signalled(any), 2);
	EXPECT_EQ(signalled(match), 1);
	EXPECT_EQ(run(&m, 0), 0);
	EXPECT_EQ(m.run[0]->mmio.phys_addr, d);
	EXPECT_EQ(m.run[0]->mmio.len, 4);
	EXPECT_EQ(signalled(length), 1);
	EXPECT_EQ(run(&m, 0), 0);
	EXPECT_EQ(m.run[0]->mmio.phys_addr, d);
	EXPECT_EQ(m.run[0]->mmio.len, 1);
	EXPECT_EQ(signalled(match), 0);
	EXPECT_EQ(run(&m, 0), 0);
	EXPECT_EQ(m.run[0]->mmio.phys_addr, a);
	EXPECT_EQ(m.run[0]->mmio.is_write, 0);
	EXPECT_REPORT(&m, 0, 0, 0);
	/* taken away by another number for the same eventfd */
	int copy = dup(any);
	EXPECT_ERRNO(ioeventfd(&m, match, a, 0, 0, KVM_IOEVENTFD_FLAG_DEASSIGN), ENOENT);
	EXPECT_ERRNO(ioeventfd(&m, copy, a, 4, 0, KVM_IOEVENTFD_FLAG_DEASSIGN), ENOENT);
	EXPECT_EQ(ioeventfd(&m, copy, a, 0, 0, KVM_IOEVENTFD_FLAG_DEASSIGN), 0);
	EXPECT_ERRNO(ioeventfd(&m, copy, a, 0, 0, KVM_IOEVENTFD_FLAG_DEASSIGN), ENOENT);
	EXPECT_EQ(run(&m, 0), 0);
	EXPECT_EQ(m.run[0]->mmio.phys_addr, a);
	EXPECT_EQ(signalled(any), 0);
	/* port I/O: legal, never signalled */
	EXPECT_EQ(ioeventfd(&m, any, 0x60, 1, 0, KVM_IOEVENTFD_FLAG_PIO), 0);
	EXPECT_EQ(ioeventfd(&m, any, 0x60, 1, 0,
			    KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DEASSIGN),
		  0);
	close(copy);
	close(any);
	close(match);
	close(length);
	machine_free(&m);
}

TEST(a_full_eventfd_does_not_hold_the_guest_up)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);
	int blocking = eventfd(0, 0);
	uint64_t full = ~0ull - 1;

	ASSERT_EQ(write(blocking, &full, sizeof(full)), (ssize_t)sizeof(full));
	ASSERT_EQ(ioeventfd(&m, blocking, DEVICE + 0x1000, 4, 0, 0), 0);
	li(&c, 1, DEVICE + 0x1000);
	str(&c, 4, 0, 1, 0);
	report(&c, 31, 0);
	code_done(&m);
	EXPECT_REPORT(&m, 0, 0, 0);
	/* Room for one more there is only for the kernel's own signals. */
	EXPECT(signalled(blocking) >= full);
	close(blocking);
	machine_free(&m);
}

TEST(coalesced_writes_wait_in_the_ring)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);
	struct kvm_coalesced_mmio_ring *ring =
		(void *)((char *)m.run[0] + KVM_COALESCED_MMIO_PAGE_OFFSET * sysconf(_SC_PAGESIZE));
	struct kvm_coalesced_mmio_zone z = {.addr = DEVICE + 0x4000, .size = 0x100};
	const unsigned max =
		(sysconf(_SC_PAGESIZE) - sizeof(*ring)) / sizeof(ring->coalesced_mmio[0]);

	z.pio = 2;
	EXPECT_ERRNO(ioctl(m.vm, KVM_REGISTER_COALESCED_MMIO, &z), EINVAL);
	z.pio = 0;
	ASSERT_EQ(ioctl(m.vm, KVM_REGISTER_COALESCED_MMIO, &z), 0);
	li(&c, 1, z.addr);
	li(&c, 2, 0);
	uint64_t loop = c.pc;
	add_imm(&c, 2, 2, 1);
	str(&c, 4, 2, 1, 8);
	b_to(&c, loop);
	code_done(&m);
	EXPECT_EQ(ring->first, 0);
	EXPECT_EQ(ring->last, 0);
	/* the first exit is the write that no longer fits: one entry stays free */
	EXPECT_EQ(run(&m, 0), 0);
	EXPECT_EQ(m.run[0]->exit_reason, KVM_EXIT_MMIO);
	EXPECT_EQ(m.run[0]->mmio.phys_addr, z.addr + 8);
	EXPECT_EQ(*(uint32_t *)m.run[0]->mmio.data, max);
	EXPECT_EQ(ring->last, max - 1);
	for (unsigned i = 0; i < max - 1; i++) {
		EXPECT_EQ(ring->coalesced_mmio[i].phys_addr, z.addr + 8);
		EXPECT_EQ(ring->coalesced_mmio[i].len, 4);
		EXPECT_EQ(*(uint32_t *)ring->coalesced_mmio[i].data, i + 1);
	}
	/* room for three more */
	ring->first = 3;
	EXPECT_EQ(run(&m, 0), 0);
	EXPECT_EQ(*(uint32_t *)m.run[0]->mmio.data, max + 4);
	EXPECT_EQ(ring->last, 2);
	/* nonsense from user space falls back to exits */
	ring->last = 0xffffff;
	EXPECT_EQ(run(&m, 0), 0);
	EXPECT_EQ(*(uint32_t *)m.run[0]->mmio.data, max + 5);
	ring->first = ring->last = 0;
	z.size = 0x80;
	EXPECT_EQ(ioctl(m.vm, KVM_UNREGISTER_COALESCED_MMIO, &z), 0);
	EXPECT_EQ(ioctl(m.vm, KVM_UNREGISTER_COALESCED_MMIO, &z), 0);
	EXPECT_EQ(run(&m, 0), 0);
	EXPECT_EQ(*(uint32_t *)m.run[0]->mmio.data, max + 6);
	machine_free(&m);
}
