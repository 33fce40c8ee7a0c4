/* SPDX-License-Identifier: MIT */
/* Routing tables and irqfds. */
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "its_rig.h"

#include "../../test.h"

static int irqfd(struct rig *r, int fd, u32 gsi, u32 flags, int resample)
{
	struct kvm_irqfd a = {
		.fd = (u32)fd, .gsi = gsi, .flags = flags, .resamplefd = (u32)resample};

	return irq_irqfd(&r->vi, &a);
}

static void signal_fd(int fd)
{
	u64 one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		TEST_FAIL("eventfd write");
}

/* The helper thread takes its time: up to two seconds. */
static bool wait_pin(struct rig *r, u32 cpu, bool level)
{
	for (int i = 0; i < 60000; i++) {
		if (rig_pin(r, cpu, PIN_IRQ) == level)
			return true;
		usleep(1000);
	}
	return false;
}

static struct kvm_irq_routing_entry chip_route(u32 gsi, u32 pin)
{
	return (struct kvm_irq_routing_entry){
		.gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip.pin = pin};
}

TEST(routing_entries_are_checked)
{
	struct rig *r = rig_create_gic(1, 64);
	struct kvm_irq_routing_entry e[2] = {chip_route(4096, 1)};

	EXPECT_EQ(irq_set_routing(&r->vi, e, 1), -EINVAL);
	e[0] = chip_route(4095, 987);
	EXPECT_EQ(irq_set_routing(&r->vi, e, 1), 0);
	e[0] = chip_route(1, 988);
	EXPECT_EQ(irq_set_routing(&r->vi, e, 1), -EINVAL);
	e[0] = chip_route(1, 1);
	e[0].type = 3;
	EXPECT_EQ(irq_set_routing(&r->vi, e, 1), -EINVAL);
	e[0] = chip_route(1, 1);
	e[0].u.irqchip.irqchip = 1;
	EXPECT_EQ(irq_set_routing(&r->vi, e, 1), -EINVAL);
	e[0] = chip_route(1, 1);
	e[0].flags = 1;
	EXPECT_EQ(irq_set_routing(&r->vi, e, 1), -EINVAL);
	e[0] = e[1] = chip_route(1, 1);
	EXPECT_EQ(irq_set_routing(&r->vi, e, 2), -EINVAL);
	e[0].type = KVM_IRQ_ROUTING_MSI;
	e[0].flags = KVM_MSI_VALID_DEVID;
	EXPECT_EQ(irq_set_routing(&r->vi, e, 1), 0);
	EXPECT_EQ(irq_set_routing(&r->vi, NULL, 0), 0);
	rig_destroy(r);
}

TEST(a_gsi_reaches_the_spi_it_is_routed_to)
{
	struct rig *r = rig_create_gic(1, 64);
	struct kvm_irq_routing_entry e[2] = {chip_route(3, 9), chip_route(4, 9)};

	rig_enable_all(r);
	rig_setup_spi(r, 32 + 3, 0, 0xa0, true);
	rig_setup_spi(r, 32 + 9, 0, 0xa0, true);
	EXPECT_EQ(irq_set_gsi(&r->vi, 3, true), 0);
	EXPECT_EQ(rig_mrs(r, 0, IAR1), 35);
	rig_msr(r, 0, EOIR1, 35);
	EXPECT_EQ(irq_set_routing(&r->vi, e, 2), 0);
	EXPECT_EQ(irq_set_gsi(&r->vi, 3, true), 0);
	EXPECT_EQ(rig_mrs(r, 0, IAR1), 41);
	rig_msr(r, 0, EOIR1, 41);
	EXPECT_EQ(irq_set_gsi(&r->vi, 9, true), -EINVAL);
	EXPECT_EQ(rig_mrs(r, 0, IAR1), SPURIOUS);
	rig_destroy(r);
}

TEST(irqfd_arguments_are_checked)
{
	struct rig *r = rig_create_gic(1, 64), *bare = rig_create(1);
	int fd = eventfd(0, 0), pipefd[2];

	ASSERT(!pipe(pipefd));
	EXPECT_EQ(irqfd(bare, fd, 0, 0, 0), -EAGAIN);
	EXPECT_EQ(irqfd(r, fd, 0, 8, 0), -EINVAL);
	EXPECT_EQ(irqfd(r, 9999, 0, 0, 0), -EBADF);
	EXPECT_EQ(irqfd(r, pipefd[0], 0, 0, 0), -EINVAL);
	EXPECT_EQ(irqfd(r, fd, 0, KVM_IRQFD_FLAG_RESAMPLE, 9999), -EBADF);
	EXPECT_EQ(irqfd(r, fd, 0, KVM_IRQFD_FLAG_RESAMPLE, pipefd[0]), -EINVAL);
	EXPECT_EQ(irqfd(r, fd, 0, 0, 0), 0);
	EXPECT_EQ(irqfd(r, fd, 0, 0, 0), -EBUSY);
	EXPECT_EQ(irqfd(r, fd, 5, 0, 0), -EBUSY);
	EXPECT_EQ(irqfd(r, fd, 6, KVM_IRQFD_FLAG_DEASSIGN, 0), 0);
	EXPECT_EQ(irqfd(r, fd, 5, 0, 0), -EBUSY);
	EXPECT_EQ(irqfd(r, fd, 0, KVM_IRQFD_FLAG_DEASSIGN, 0), 0);
	EXPECT_EQ(irqfd(r, fd, 0, KVM_IRQFD_FLAG_DEASSIGN, 0), 0);
	EXPECT_EQ(irqfd(r, fd, 5000, 0, 0), 0);
	rig_destroy(bare);
	rig_destroy(r);
	close(fd);
	close(pipefd[0]);
	close(pipefd[1]);
}

TEST(one_eventfd_feeds_one_vm)
{
	struct rig *a = rig_create_gic(1, 64), *b = rig_create_gic(1, 64);
	int fd = eventfd(0, 0), copy = dup(fd);

	EXPECT_EQ(irqfd(a, fd, 0, 0, 0), 0);
	EXPECT_EQ(irqfd(b, copy, 0, 0, 0), -EBUSY);
	rig_destroy(a);
	EXPECT_EQ(irqfd(b, copy, 0, 0, 0), 0);
	rig_destroy(b);
	close(fd);
	close(copy);
}

TEST(an_eventfd_triggers_an_edge_interrupt)
{
	struct rig *r = rig_create_gic(1, 64);
	int fd = eventfd(0, 0);

	rig_enable_all(r);
	rig_setup_spi(r, 40, 0, 0xa0, true);
	/* What was signalled before counts. */
	signal_fd(fd);
	EXPECT_EQ(irqfd(r, fd, 8, 0, 0), 0);
	for (int i = 0; i < 20; i++) {
		EXPECT(wait_pin(r, 0, true));
		EXPECT_EQ(rig_mrs(r, 0, IAR1), 40);
		rig_msr(r, 0, EOIR1, 40);
		EXPECT(!rig_pin(r, 0, PIN_IRQ));
		signal_fd(fd);
	}
	EXPECT(wait_pin(r, 0, true));
	EXPECT_EQ(rig_mrs(r, 0, IAR1), 40);
	rig_msr(r, 0, EOIR1, 40);
	/* After deassign nothing comes. */
	EXPECT_EQ(irqfd(r, fd, 8, KVM_IRQFD_FLAG_DEASSIGN, 0), 0);
	signal_fd(fd);
	usleep(20000);
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	rig_destroy(r);
	close(fd);
}

/* Until the helper thread has read the eventfd. */
static void wait_taken(int fd)
{
	for (int i = 0; i < 60000 && poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 0); i++)
		usleep(1000);
}

/* As in KVM (its selftest vgic_irq relies on it) a plain irqfd raises the line and leaves it up. */
TEST(a_plain_irqfd_leaves_the_line_of_a_level_interrupt_up)
{
	struct rig *r = rig_create_gic(1, 64);
	int level = eventfd(0, 0), edge = eventfd(0, 0);

	rig_enable_all(r);
	rig_setup_spi(r, 40, 0, 0xa0, false);
	rig_setup_spi(r, 41, 0, 0xb0, true);
	EXPECT_EQ(irqfd(r, level, 8, 0, 0), 0);
	EXPECT_EQ(irqfd(r, edge, 9, 0, 0), 0);
	signal_fd(level);
	wait_taken(level);
	signal_fd(edge);
	/* One thread takes both, in turn: the first is done with now. */
	wait_taken(edge);
	EXPECT(wait_pin(r, 0, true));
	EXPECT_EQ(rig_mrs(r, 0, IAR1), 40);
	rig_msr(r, 0, EOIR1, 40);
	EXPECT_EQ(rig_mrs(r, 0, IAR1), 40);
	irq_line(&r->vi, 1u << 24 | 40, 0);
	rig_msr(r, 0, EOIR1, 40);
	EXPECT(wait_pin(r, 0, true));
	EXPECT_EQ(rig_mrs(r, 0, IAR1), 41);
	rig_msr(r, 0, EOIR1, 41);
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	EXPECT_EQ(rig_mrs(r, 0, IAR1), SPURIOUS);
	rig_destroy(r);
	close(level);
	close(edge);
}

/* An eventfd whose GSI is routed to an MSI: the way of virtio and VFIO. */
TEST(an_irqfd_raises_an_msi)
{
	struct its *its;
	struct rig *r = rig_create_its(1, &its);
	int fd = eventfd(0, 0);
	struct kvm_irq_routing_entry e = {
		.gsi = 700,
		.type = KVM_IRQ_ROUTING_MSI,
		.flags = KVM_MSI_VALID_DEVID,
		.u.msi = {.address_lo = (u32)RIG_ITS + 0x10040, .data = 3, .devid = 7}};

	rig_its_boot(r);
	rig_mapd(r, 7, RIG_ITT(0), 5);
	rig_mapc(r, 0, 0);
	rig_mapti(r, 7, 3, 8200, 0);
	EXPECT_EQ(irqfd(r, fd, 700, 0, 0), 0);
	/* The route may come later, and change. */
	EXPECT_EQ(irq_set_routing(&r->vi, &e, 1), 0);
	for (int i = 0; i < 3; i++) {
		signal_fd(fd);
		EXPECT(wait_pin(r, 0, true));
		EXPECT_EQ(rig_take(r, 0), 8200);
		EXPECT_EQ(rig_take(r, 0), SPURIOUS);
	}
	EXPECT_EQ(irqfd(r, fd, 700, KVM_IRQFD_FLAG_DEASSIGN, 0), 0);
	signal_fd(fd);
	EXPECT_EQ(rig_take(r, 0), SPURIOUS);
	rig_destroy(r);
	close(fd);
}

TEST(a_resampling_irqfd_lowers_the_line_at_eoi_and_tells)
{
	struct rig *r = rig_create_gic(1, 64);
	int fd = eventfd(0, 0), back = eventfd(0, EFD_NONBLOCK);
	u64 count;

	rig_enable_all(r);
	rig_setup_spi(r, 40, 0, 0xa0, false);
	EXPECT_EQ(irqfd(r, fd, 8, KVM_IRQFD_FLAG_RESAMPLE, back), 0);
	for (int i = 0; i < 5; i++) {
		signal_fd(fd);
		EXPECT(wait_pin(r, 0, true));
		EXPECT_EQ(rig_mrs(r, 0, IAR1), 40);
		EXPECT_EQ(read(back, &count, sizeof(count)), -1);
		rig_msr(r, 0, EOIR1, 40);
		EXPECT(!rig_pin(r, 0, PIN_IRQ));
		EXPECT_EQ(read(back, &count, sizeof(count)), sizeof(count));
	}
	/* Deassign lowers a line that is up. */
	signal_fd(fd);
	EXPECT(wait_pin(r, 0, true));
	EXPECT_EQ(irqfd(r, fd, 8, KVM_IRQFD_FLAG_DEASSIGN, 0), 0);
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	rig_destroy(r);
	close(fd);
	close(back);
}

/* The one vCPU deactivates what the other would take: that one hears nothing of it, unless the line rises again. */
TEST(a_resampled_interrupt_is_not_pending_at_its_end)
{
	struct rig *r = rig_create_gic(2, 64);
	int fd = eventfd(0, 0), back = eventfd(0, EFD_NONBLOCK);
	u64 count;
	u32 wake;

	rig_enable_all(r);
	rig_setup_spi(r, 40, 0, 0xa0, false);
	for (u32 i = 0; i < 2; i++)
		rig_msr(r, i, CTLR, 2); /* EOImode: the end is DIR */
	EXPECT_EQ(irqfd(r, fd, 8, KVM_IRQFD_FLAG_RESAMPLE, back), 0);
	for (int i = 0; i < 2; i++) {
		signal_fd(fd);
		EXPECT(wait_pin(r, 0, true));
		EXPECT_EQ(rig_mrs(r, 0, IAR1), 40);
		rig_msr(r, 0, EOIR1, 40);
		wake = a32_load(&r->v[0].wake);
		rig_msr(r, 1, DIR, 40);
		EXPECT_EQ(a32_load(&r->v[0].wake), wake);
		EXPECT(!rig_pin(r, 0, PIN_IRQ));
		EXPECT_EQ(read(back, &count, sizeof(count)), sizeof(count));
	}
	rig_destroy(r);
	close(fd);
	close(back);
}
