/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "boot.h"
#include "machine.h"

static int machine_fail(const char *what)
{
	cli_say_errno("%s", what);
	return -1;
}

/* The smallest address space, in bits, that holds all of the memory; KVM counts 0 as 40. */
static int machine_address_bits(struct machine *m, unsigned *bits)
{
	uint64_t end = MACHINE_RAM + m->options->memory;
	int limit = m->accel->ioctl(m->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);

	if (limit <= 0)
		limit = 40;
	if (end < MACHINE_RAM || end > 1ull << limit) {
		cli_say("-m: %llu MiB are too much; guest addresses have %d bits, which leaves "
			"%llu MiB",
			m->options->memory / MIB + 0ull, limit,
			((1ull << limit) - MACHINE_RAM) / MIB + 0ull);
		return -1;
	}
	for (*bits = limit < 40 ? limit : 40; end > 1ull << *bits;)
		++*bits;
	return 0;
}

static int machine_check_host_memory(const struct run_options *options)
{
	struct sysinfo info;
	uint64_t total;

	if (sysinfo(&info))
		return 0;
	total = ((uint64_t)info.totalram + info.totalswap) * info.mem_unit;
	if (options->memory <= total)
		return 0;
	cli_say("-m: %llu MiB are too much; this host has %llu MiB of memory and swap",
		options->memory / MIB + 0ull, total / MIB + 0ull);
	return -1;
}

static int machine_create_vm(struct machine *m)
{
	unsigned bits;
	int limit;

	m->kvm_fd = m->accel->open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (m->kvm_fd < 0)
		return machine_fail("/dev/kvm");
	if (m->accel->ioctl(m->kvm_fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION) {
		cli_say("/dev/kvm: not the KVM interface of version %d", KVM_API_VERSION);
		return -1;
	}
	if (machine_address_bits(m, &bits))
		return -1;
	limit = m->accel->ioctl(m->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	if (limit > MACHINE_MAX_CPUS)
		limit = MACHINE_MAX_CPUS;
	if (m->options->cpus > (unsigned)limit) {
		cli_say("-c: %u CPUs are too many; a machine has at most %d", m->options->cpus,
			limit);
		return -1;
	}
	m->vm_fd = m->accel->ioctl(m->kvm_fd, KVM_CREATE_VM,
				   bits == 40 ? 0ul : KVM_VM_TYPE_ARM_IPA_SIZE(bits));
	if (m->vm_fd < 0)
		return machine_fail("creating the machine");
	m->run_size = m->accel->ioctl(m->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	return (ssize_t)m->run_size < (ssize_t)sizeof(struct kvm_run)
		       ? machine_fail("size of a vCPU's shared pages")
		       : 0;
}

static int machine_check_gmem(const struct machine *m)
{
	int flags;

	if (m->options->memory_kind != MEMORY_GMEM)
		return 0;
	flags = m->accel->ioctl(m->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD) > 0
			? m->accel->ioctl(m->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_FLAGS)
			: 0;
	if (flags > 0 && (flags & GUEST_MEMFD_FLAG_MMAP) && (flags & GUEST_MEMFD_FLAG_INIT_SHARED))
		return 0;
	cli_say("--memory gmem: this KVM (%s) has no guest_memfd that can be mapped; there are "
		"anon and memfd",
		m->accel->name);
	return -1;
}

static int machine_create_memory(struct machine *m)
{
	int status = machine_check_host_memory(m->options);

	if (status)
		return status;
	status = memory_create(&m->ram, m->accel, m->vm_fd, m->options->memory_kind, MACHINE_RAM,
			       m->options->memory);
	if (status) {
		errno = -status;
		cli_say_errno("-m: %llu MiB of memory for the guest",
			      m->options->memory / MIB + 0ull);
		return -1;
	}
	status = memory_give(&m->ram, m->vm_fd, false);
	if (status) {
		errno = -status;
		return machine_fail("giving the guest its memory");
	}
	return 0;
}

static int gic_set(struct machine *m, uint32_t group, uint64_t attr, void *value)
{
	struct kvm_device_attr request = {.group = group, .attr = attr, .addr = (uintptr_t)value};

	return m->accel->ioctl(m->gic_fd, KVM_SET_DEVICE_ATTR, &request);
}

static int machine_create_gic(struct machine *m)
{
	struct kvm_create_device device = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};
	uint64_t dist = MACHINE_GICD, redist = MACHINE_GICR;
	uint32_t nr_irqs = MACHINE_NR_IRQS;

	if (m->accel->ioctl(m->vm_fd, KVM_CREATE_DEVICE, &device) < 0)
		return machine_fail("creating the interrupt controller (GICv3)");
	m->gic_fd = device.fd;
	if (gic_set(m, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &dist) < 0 ||
	    gic_set(m, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, &redist) < 0 ||
	    gic_set(m, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &nr_irqs) < 0 ||
	    gic_set(m, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL) < 0)
		return machine_fail("setting up the interrupt controller");
	return 0;
}

/* Message signalled interrupts. A KVM host may have none: devices then have their lines alone. */
static int machine_create_its(struct machine *m)
{
	struct kvm_create_device device = {.type = KVM_DEV_TYPE_ARM_VGIC_ITS};
	uint64_t base = MACHINE_ITS;
	struct kvm_device_attr address = {.group = KVM_DEV_ARM_VGIC_GRP_ADDR,
					  .attr = KVM_VGIC_ITS_ADDR_TYPE,
					  .addr = (uintptr_t)&base};
	struct kvm_device_attr init = {.group = KVM_DEV_ARM_VGIC_GRP_CTRL,
				       .attr = KVM_DEV_ARM_VGIC_CTRL_INIT};

	if (m->accel->ioctl(m->vm_fd, KVM_CREATE_DEVICE, &device) < 0)
		return errno == ENODEV ? 0 : machine_fail("creating the ITS");
	m->its_fd = device.fd;
	if (m->accel->ioctl(m->its_fd, KVM_SET_DEVICE_ATTR, &address) < 0 ||
	    m->accel->ioctl(m->its_fd, KVM_SET_DEVICE_ATTR, &init) < 0)
		return machine_fail("setting up the ITS");
	return 0;
}

static void uart_transmit(void *opaque, const void *data, size_t length)
{
	struct machine *m = opaque;

	terminal_write(m->terminal, data, length, &m->stop);
}

void machine_wake(void *opaque)
{
	struct machine *m = opaque;
	uint64_t one = 1;

	if (write(m->wake_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it wakes anyway */
}

static int machine_create_network(struct machine *m, struct irq_line line)
{
	const struct forward_option *failed;
	int status;

	m->network = calloc(1, sizeof(*m->network));
	if (!m->network)
		return machine_fail("network");
	line.spi = MACHINE_PCI_SPI + MACHINE_NETWORK_SLOT;
	if (network_create(m->network, network_builtin, m->options, &m->pci, MACHINE_NETWORK_SLOT,
			   &m->ram, line))
		return -1;
	/* Ports of a guest that is still to come are where it is. */
	status = m->options->incoming ? 0 : network_open_forwards(m->network, &failed);
	/* A guest that resets itself does not end for a port that is lost: the network tries it again, and says so. */
	if (!status || m->options->was_reset)
		return 0;
	errno = -status;
	cli_say_errno("--forward %s", failed->text);
	return -1;
}

static int machine_create_devices(struct machine *m)
{
	struct irq_line line = {.accel = m->accel, .vm_fd = m->vm_fd};

	line.spi = MACHINE_UART_SPI;
	pl011_init(&m->uart, &m->bus, MACHINE_UART, MACHINE_UART_SIZE, line);
	m->uart.transmit = uart_transmit;
	m->uart.drained = machine_wake;
	m->uart.opaque = m;
	pl031_init(&m->rtc, &m->bus, MACHINE_RTC, MACHINE_RTC_SIZE);
	pci_init(&m->pci, &m->bus, MACHINE_ECAM, MACHINE_WINDOW, MACHINE_WINDOW_SIZE);
	m->nvme = calloc(m->options->nr_disks ? m->options->nr_disks : 1, sizeof(*m->nvme));
	if (!m->nvme)
		return machine_fail("disks");
	for (unsigned i = 0; i < m->options->nr_disks; i++) {
		line.spi = MACHINE_PCI_SPI + 1 + i;
		nvme_init(&m->nvme[i], &m->pci, 1 + i, &m->disks[i], &m->ram, line);
	}
	return m->options->network ? machine_create_network(m, line) : 0;
}

static int machine_create_parts(struct machine *m)
{
	m->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (m->wake_fd < 0)
		return machine_fail("eventfd");
	if (machine_create_vm(m) || machine_check_gmem(m) ||
	    dirty_create(&m->dirty, m->accel, m->vm_fd, m->options->dirty_mode) ||
	    machine_create_memory(m))
		return -1;
	m->pmu = m->accel->ioctl(m->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_PMU_V3) > 0;
	m->vcpus = calloc(m->options->cpus, sizeof(*m->vcpus));
	if (!m->vcpus)
		return machine_fail("vCPUs");
	for (unsigned i = 0; i < m->options->cpus; i++) {
		if (vcpu_create(m, i))
			return -1;
		m->nr_vcpus++;
		if (dirty_add_vcpu(&m->dirty, m->vcpus[i].fd))
			return -1;
	}
	if (machine_create_gic(m))
		return -1;
	for (unsigned i = 0; m->pmu && i < m->nr_vcpus; i++)
		if (vcpu_init_pmu(&m->vcpus[i]))
			return -1;
	return machine_create_its(m) || machine_create_devices(m) ? -1 : 0;
}

int machine_create(struct machine *m, const struct run_options *options, const struct accel *accel,
		   struct terminal *terminal, const struct nvme_disk *disks)
{
	struct boot_images images;
	int status;

	*m = (struct machine){
		.options = options,
		.accel = accel,
		.terminal = terminal,
		.disks = disks,
		.kvm_fd = -1,
		.vm_fd = -1,
		.gic_fd = -1,
		.its_fd = -1,
		.wake_fd = -1,
		.end_lock = PTHREAD_MUTEX_INITIALIZER,
		.pause_lock = PTHREAD_MUTEX_INITIALIZER,
		.pause_cond = PTHREAD_COND_INITIALIZER,
		.input_lock = PTHREAD_MUTEX_INITIALIZER,
	};
	if (!options->kernel)
		return machine_create_parts(m); /* all of its memory comes in */
	/* The files first: most mistakes are there. With --incoming, too, where only a reset will boot them. */
	status = boot_images_read(&images, options);
	if (!status)
		status = machine_create_parts(m);
	if (!status && !options->incoming)
		status = boot_load(m, &images);
	boot_images_free(&images);
	return status;
}

int machine_start(struct machine *m)
{
	for (unsigned i = 0; i < m->nr_vcpus; i++)
		if (vcpu_start(&m->vcpus[i]))
			return -1;
	return m->network ? network_start(m->network, m->pause) : 0;
}

void machine_post_end(struct machine *m, enum machine_end end)
{
	pthread_mutex_lock(&m->end_lock);
	/* A guest that has moved is not here, whatever else has ended the wait for that. */
	if (m->end == END_NONE || end == END_MIGRATED)
		m->end = end;
	pthread_mutex_unlock(&m->end_lock);
	machine_wake(m);
}

void machine_stop(struct machine *m)
{
	__atomic_store_n(&m->stop, true, __ATOMIC_SEQ_CST);
	pthread_mutex_lock(&m->pause_lock);
	pthread_cond_broadcast(&m->pause_cond);
	pthread_mutex_unlock(&m->pause_lock);
	for (unsigned i = 0; i < m->nr_vcpus; i++)
		machine_vcpu_kick(&m->vcpus[i]);
	for (unsigned i = 0; i < m->nr_vcpus; i++) {
		/* Again and again: a kick just before the thread blocks in a write to the console is lost. */
		while (m->vcpus[i].started && !vcpu_join(&m->vcpus[i], 0.02))
			machine_vcpu_kick(&m->vcpus[i]);
	}
	if (m->network)
		network_stop(m->network);
}

void machine_destroy(struct machine *m)
{
	machine_stop(m);
	for (unsigned i = 0; i < m->nr_vcpus; i++)
		vcpu_destroy(&m->vcpus[i]);
	dirty_destroy(&m->dirty);
	free(m->vcpus);
	free(m->nvme);
	if (m->network)
		network_destroy(m->network);
	free(m->network);
	if (m->its_fd >= 0)
		m->accel->close(m->its_fd);
	if (m->gic_fd >= 0)
		m->accel->close(m->gic_fd);
	if (m->vm_fd >= 0)
		m->accel->close(m->vm_fd);
	memory_destroy(&m->ram);
	if (m->kvm_fd >= 0)
		m->accel->close(m->kvm_fd);
	if (m->wake_fd >= 0)
		close(m->wake_fd);
}
