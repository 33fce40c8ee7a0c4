/* SPDX-License-Identifier: MIT */
/* Interrupts from eventfds, the I/O bus, and locks that are taken for all vCPUs at once. */
#include <errno.h>

#include "explore/kvm/kit.h"
#include "explore/kvm/scenarios/scenarios.h"
#include "irq/gic_frame.h"
#include "irq/irq.h"

#define GICD 0x08000000ull
#define GICR 0x080a0000ull
#define GSI  2

static int vm, vcpu, gic, event, ret, ret_too;

static int gic_set(uint32_t group, uint64_t attr, const void *value)
{
	struct kvm_device_attr a = {.group = group, .attr = attr, .addr = (uintptr_t)value};

	return kit_call(gic, KVM_SET_DEVICE_ATTR, (uintptr_t)&a);
}

static void machine_with_gic(bool init)
{
	struct kvm_create_device cd = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};
	uint64_t dist = GICD, redist = GICR;
	uint32_t irqs = 64;

	vm = kit_vm();
	vcpu = kit_vcpu(vm, 0);
	explore_check(!kit_call(vm, KVM_CREATE_DEVICE, (uintptr_t)&cd));
	gic = cd.fd;
	explore_check(!gic_set(KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &irqs));
	explore_check(!gic_set(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &dist));
	explore_check(!gic_set(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, &redist));
	if (init)
		explore_check(
			!gic_set(KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL));
}

static void close_machine(void)
{
	kit_close(gic);
	kit_close(vcpu);
	kit_close(vm);
}

/* --- 26, 30: irqfds ------------------------------------------------------------------------------------------------------- */

static int irqfd(int fd, uint32_t flags)
{
	struct kvm_irqfd a = {.fd = fd, .gsi = GSI, .flags = flags};

	return kit_call(vm, KVM_IRQFD, (uintptr_t)&a);
}

static void assign(void)
{
	explore_step("KVM_IRQFD: assign");
	ret = irqfd(event, 0);
}

static void deassign(void)
{
	explore_step("KVM_IRQFD: deassign");
	ret_too = irqfd(event, KVM_IRQFD_FLAG_DEASSIGN);
}

static void signal_event(void)
{
	explore_step("write(eventfd)");
	kit_eventfd_signal(event);
}

/* So that the helper thread, if there is one, ends while threads run. */
static void signal_and_close_vm(void)
{
	signal_event();
	explore_step("close(vm)");
	kit_close(vm);
}

static void close_vm(void)
{
	explore_step("close(vm)");
	kit_close(vm);
}

static void setup_irqfd(void)
{
	machine_with_gic(true);
	event = kit_eventfd();
}

static void finish_irqfd(void)
{
	explore_check(ret == 0 || ret == -EBADF || ret == -ENOTTY);
	explore_check(ret_too == 0 || ret_too == -EBADF || ret_too == -ENOTTY);
	kit_close(gic);
	kit_close(vcpu);
	kit_close(event);
}

const struct explore_scenario scenario_irqfd_assign_and_deassign = {
	.name = "irqfd-assign-and-deassign",
	.summary = "an irqfd is assigned and deassigned while its eventfd is signalled",
	.property =
		"an irqfd is complete when it can be found, and unknown to all when it is freed",
	.source =
		"\"KVM: irqfd: fix race between EPOLLHUP and irq_bypass_register_consumer\", 2024",
	.mutants = "irq-added-without-irq-lock,irq-fires-without-irq-lock",
	.setup = setup_irqfd,
	.thread = {{"assign", assign},
		   {"deassign", deassign},
		   {"signal, close(vm)", signal_and_close_vm}},
	.finish = finish_irqfd,
};

static void setup_assigned(void)
{
	kit_rank_checker(false);
	setup_irqfd();
	explore_check(!irqfd(event, 0));
}

static void finish_closed(void)
{
	kit_close(gic);
	kit_close(vcpu);
	kit_close(event);
}

const struct explore_scenario scenario_irqfd_signal_and_close = {
	.name = "irqfd-signal-and-close",
	.summary = "an eventfd is signalled while the VM's descriptor is closed",
	.property =
		"the helper thread is gone before what it uses; waiting for it closes no circle",
	.source = "design: KVM flushes the irqfd workqueue; \"KVM: Always flush async #PF "
		  "workqueue when vCPU is being destroyed\" for the circle",
	.mutants = "irq-stop-frees-before-it-joins,irq-stop-joins-under-irq-lock",
	.setup = setup_assigned,
	.thread = {{"signal", signal_event}, {"close(vm)", close_vm}},
	.finish = finish_closed,
};

/* --- a resampled line, and routes ----------------------------------------------------------------------------------------- */

#define SPI (GIC_NR_PRIVATE + GSI)

static struct vm_irq *vi;
static struct irq_cpu *cpu;
static int back;

static struct gic_irq *spi(void)
{
	return gic_irq_get(cpu, SPI);
}

/* The guest takes a level interrupt whose line a resampling irqfd holds up. */
static void setup_resampled(void)
{
	struct kvm_irqfd a = {.gsi = GSI, .flags = KVM_IRQFD_FLAG_RESAMPLE};

	setup_irqfd();
	back = kit_eventfd();
	a.fd = event;
	a.resamplefd = back;
	explore_check(!kit_call(vm, KVM_IRQFD, (uintptr_t)&a));
	vi = &kit_vm_of(vm)->irq;
	cpu = irq_cpu_of(kit_vcpu_of(vcpu));
	gic_dist_enable(vi, true);
	cpu->pmr = 0xff;
	cpu->grpen1 = true;
	spi()->edge = false;
	spi()->enabled = true;
	explore_check(!irq_set_gsi(vi, GSI, true));
	explore_check(gic_cpu_acknowledge(cpu, 2) == SPI);
}

static void end_interrupt(void)
{
	explore_step("the guest writes ICC_EOIR1_EL1");
	gic_cpu_end(cpu, SPI, 2);
}

static void finish_resampled(void)
{
	explore_check(!spi()->active && !spi()->line_level && !cpu->signalled);
	kit_close(back);
	finish_closed();
}

const struct explore_scenario scenario_irqfd_resample_and_close = {
	.name = "irqfd-resample-and-close",
	.summary =
		"the guest ends a resampled interrupt while the VM's descriptor is closed, which "
		"drops the irqfd",
	.property =
		"who tells the resamplers finds none that is freed; the line is down at the end",
	.source = "KVM: irqfd_resampler_ack() against irqfd_resampler_shutdown()",
	.mutants = "irq-resamplers-walked-without-their-lock",
	.setup = setup_resampled,
	.thread = {{"guest", end_interrupt}, {"close(vm)", close_vm}},
	.finish = finish_resampled,
};

static void set_route(void)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry;
	} t = {.head.nr = 1,
	       .entry = {.gsi = GSI, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip.pin = GSI + 1}};

	explore_step("KVM_SET_GSI_ROUTING: GSI 2 is pin 3");
	ret = kit_call(vm, KVM_SET_GSI_ROUTING, (uintptr_t)&t);
}

static void raise(void)
{
	explore_step("an irqfd raises GSI 2");
	ret_too = irq_set_gsi(vi, GSI, true);
}

static void setup_route(void)
{
	machine_with_gic(true);
	vi = &kit_vm_of(vm)->irq;
	cpu = irq_cpu_of(kit_vcpu_of(vcpu));
}

static void finish_route(void)
{
	explore_check(!ret && !ret_too);
	explore_check(gic_irq_get(cpu, SPI)->pending_latch +
			      gic_irq_get(cpu, SPI + 1)->pending_latch ==
		      1);
	close_machine();
}

const struct explore_scenario scenario_irq_route_and_raise = {
	.name = "irq-route-and-raise",
	.summary = "a GSI is raised while its route is replaced",
	.property = "a GSI follows the old route or the new one; the old table is freed when "
		    "nobody reads it",
	.source = "KVM: irq_srcu, kvm_set_irq_routing()",
	.mutants = "irq-routes-freed-at-once",
	.setup = setup_route,
	.thread = {{"route", set_route}, {"raise", raise}},
	.finish = finish_route,
};

/* --- 27: the bus without memory ------------------------------------------------------------------------------------------- */

#define ZONE 0x09000000ull

static struct io_bus *bus;
static int zones(unsigned long request, uint64_t addr, uint32_t size)
{
	struct kvm_coalesced_mmio_zone z = {.addr = addr, .size = size};

	return kit_call(vm, request, (uintptr_t)&z);
}

static void setup_bus(void)
{
	vm = kit_vm();
	bus = &kit_vm_of(vm)->mmio;
	for (unsigned i = 0; i < 3; i++)
		explore_check(!zones(KVM_REGISTER_COALESCED_MMIO, ZONE + i * 16, 16));
}

/* Two zones at once: the second is looked for after the first was removed, with or without memory for a shorter table. */
static void unregister(void)
{
	explore_step("KVM_UNREGISTER_COALESCED_MMIO of zones 0 and 1, perhaps without memory");
	ret = zones(KVM_UNREGISTER_COALESCED_MMIO, ZONE, 16);
	ret_too = zones(KVM_UNREGISTER_COALESCED_MMIO, ZONE + 16, 16);
}

static void write_zone(void)
{
	int r;

	explore_step("guest MMIO to zone 0");
	r = io_bus_write(bus, NULL, ZONE, 4, 1);
	explore_check(r == 0 || r == -EOPNOTSUPP);
}

static void finish_bus(void)
{
	/* Zone 2 works on. */
	explore_check(!ret && !ret_too);
	explore_check(!io_bus_write(bus, NULL, ZONE + 32, 4, 1));
	explore_check(io_bus_write(bus, NULL, ZONE, 4, 1) == -EOPNOTSUPP);
	kit_close(vm);
}

const struct explore_scenario scenario_io_bus_shrinks = {
	.name = "io-bus-shrinks",
	.summary = "zones are removed from a bus, with each allocation failing, while a guest's "
		   "access is dispatched",
	.property = "a removed device is not used after the call; the others stay",
	.source = "5d3c4c79384a, 2ee3757424be",
	.mutants = "io-failed-removal-destroys-all,io-removed-without-waiting",
	.setup = setup_bus,
	.thread = {{"unregister", unregister}, {"guest", write_zone}},
	.finish = finish_bus,
	.faults = 1,
};

/* --- 31: the locks of all vCPUs ------------------------------------------------------------------------------------------- */

static void read_all(void)
{
	uint32_t value;
	struct kvm_device_attr a = {
		.group = KVM_DEV_ARM_VGIC_GRP_DIST_REGS, .attr = 0, .addr = (uintptr_t)&value};

	explore_step("KVM_GET_DEVICE_ATTR: GICD_CTLR (vm->lock, every vCPU's mutex)");
	ret = kit_call(gic, KVM_GET_DEVICE_ATTR, (uintptr_t)&a);
}

static void set_timer(void)
{
	int32_t irq = 27;
	struct kvm_device_attr a = {.group = KVM_ARM_VCPU_TIMER_CTRL,
				    .attr = KVM_ARM_VCPU_TIMER_IRQ_VTIMER,
				    .addr = (uintptr_t)&irq};

	explore_step("KVM_SET_DEVICE_ATTR of a vCPU (its mutex, then the controller's)");
	ret_too = kit_call(vcpu, KVM_SET_DEVICE_ATTR, (uintptr_t)&a);
}

static void setup_all(void)
{
	kit_rank_checker(false);
	machine_with_gic(true);
}

static void finish_all(void)
{
	explore_check(ret == 0 || ret == -EBUSY);
	explore_check(!ret_too);
	close_machine();
}

const struct explore_scenario scenario_lock_order_all_vcpus = {
	.name = "lock-order-all-vcpus",
	.summary = "a request that takes every vCPU's mutex against a vCPU's own request",
	.property = "lock classes are in one order: vm->lock, vcpu->mutex, config (a test of "
		    "classes, not of search)",
	.source = "0acc7239c20a",
	.mutants = "api-vm-lock-inside-a-vcpu-s",
	.setup = setup_all,
	.thread = {{"device", read_all}, {"vCPU", set_timer}},
	.finish = finish_all,
};
