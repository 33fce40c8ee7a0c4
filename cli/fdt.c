/* SPDX-License-Identifier: MIT */
/* The device tree. Names and cells follow the bindings in Linux's
 * Documentation/devicetree/bindings. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <libfdt.h>

#include "boot.h"
#include "machine.h"

enum { PHANDLE_GIC = 1, PHANDLE_CLOCK, PHANDLE_ITS };

enum { IRQ_SPI = 0, IRQ_PPI = 1, IRQ_LEVEL_HIGH = 4, IRQ_LEVEL_LOW = 8 };

/* Sequential writing: the first error sticks. */
struct tree {
	char *data;
	int error;
};

static void add(struct tree *t, int status)
{
	if (!t->error)
		t->error = status;
}

static void begin(struct tree *t, const char *name)
{
	add(t, fdt_begin_node(t->data, name));
}

static void begin_at(struct tree *t, const char *name, uint64_t address)
{
	char full[64];

	snprintf(full, sizeof(full), "%s@%llx", name, address + 0ull);
	begin(t, full);
}

static void end(struct tree *t)
{
	add(t, fdt_end_node(t->data));
}

static void text(struct tree *t, const char *name, const char *value)
{
	add(t, fdt_property_string(t->data, name, value));
}

static void cell(struct tree *t, const char *name, uint32_t value)
{
	add(t, fdt_property_u32(t->data, name, value));
}

static void flag(struct tree *t, const char *name)
{
	add(t, fdt_property(t->data, name, NULL, 0));
}

static void cells(struct tree *t, const char *name, const uint32_t *values, unsigned count)
{
	void *room;

	add(t, fdt_property_placeholder(t->data, name, count * 4, &room));
	for (unsigned i = 0; i < count && !t->error; i++)
		fdt32_st((uint8_t *)room + i * 4, values[i]);
}

#define CELLS(t, name, ...) \
	cells(t, name, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / 4)
#define U64(value) (uint32_t)((uint64_t)(value) >> 32), (uint32_t)(value)

static void random_bytes(struct tree *t, const char *name, unsigned length)
{
	uint8_t bytes[64];

	if (getrandom(bytes, length, 0) == (ssize_t)length)
		add(t, fdt_property(t->data, name, bytes, length));
}

static void add_chosen(struct tree *t, const struct machine *m, uint64_t initrd,
		       uint64_t initrd_size)
{
	char *line = NULL;

	begin(t, "chosen");
	if (asprintf(&line, "console=ttyAMA0%s%s", m->options->params[0] ? " " : "",
		     m->options->params) < 0) {
		add(t, -FDT_ERR_NOSPACE);
		return;
	}
	text(t, "bootargs", line);
	free(line);
	text(t, "stdout-path", "/serial@1000000");
	if (initrd_size) {
		CELLS(t, "linux,initrd-start", U64(initrd));
		CELLS(t, "linux,initrd-end", U64(initrd + initrd_size));
	}
	random_bytes(t, "rng-seed", 64);
	random_bytes(t, "kaslr-seed", 8);
	end(t);
}

static void add_cpus(struct tree *t, const struct machine *m)
{
	begin(t, "cpus");
	cell(t, "#address-cells", 2);
	cell(t, "#size-cells", 0);
	for (unsigned i = 0; i < m->nr_vcpus; i++) {
		uint64_t affinity = m->vcpus[i].mpidr & 0xff00ffffffull;

		begin_at(t, "cpu", affinity);
		text(t, "device_type", "cpu");
		text(t, "compatible", "arm,armv8");
		text(t, "enable-method", "psci");
		CELLS(t, "reg", U64(affinity));
		end(t);
	}
	end(t);
}

static void add_platform(struct tree *t, const struct machine *m)
{
	static const char psci[] = "arm,psci-1.0\0arm,psci-0.2";

	begin_at(t, "memory", m->ram.base);
	text(t, "device_type", "memory");
	CELLS(t, "reg", U64(m->ram.base), U64(m->ram.size));
	end(t);

	begin(t, "psci");
	add(t, fdt_property(t->data, "compatible", psci, sizeof(psci)));
	text(t, "method", "hvc");
	end(t);

	begin_at(t, "interrupt-controller", MACHINE_GICD);
	text(t, "compatible", "arm,gic-v3");
	flag(t, "interrupt-controller");
	cell(t, "#interrupt-cells", 3);
	cell(t, "#address-cells", 2);
	cell(t, "#size-cells", 2);
	flag(t, "ranges");
	CELLS(t, "reg", U64(MACHINE_GICD), U64(KVM_VGIC_V3_DIST_SIZE), U64(MACHINE_GICR),
	      U64((uint64_t)KVM_VGIC_V3_REDIST_SIZE * m->nr_vcpus));
	cell(t, "phandle", PHANDLE_GIC);
	if (m->its_fd >= 0) {
		begin_at(t, "msi-controller", MACHINE_ITS);
		text(t, "compatible", "arm,gic-v3-its");
		flag(t, "msi-controller");
		cell(t, "#msi-cells", 1);
		CELLS(t, "reg", U64(MACHINE_ITS), U64(KVM_VGIC_V3_ITS_SIZE));
		cell(t, "phandle", PHANDLE_ITS);
		end(t);
	}
	end(t);

	/* secure, non-secure and virtual EL1, EL2 */
	begin(t, "timer");
	text(t, "compatible", "arm,armv8-timer");
	CELLS(t, "interrupts", IRQ_PPI, 13, IRQ_LEVEL_LOW, IRQ_PPI, 14, IRQ_LEVEL_LOW, IRQ_PPI, 11,
	      IRQ_LEVEL_LOW, IRQ_PPI, 10, IRQ_LEVEL_LOW);
	flag(t, "always-on");
	end(t);

	if (m->pmu) {
		begin(t, "pmu");
		text(t, "compatible", "arm,armv8-pmuv3");
		CELLS(t, "interrupts", IRQ_PPI, MACHINE_PMU_PPI, IRQ_LEVEL_HIGH);
		end(t);
	}

	begin(t, "clock");
	text(t, "compatible", "fixed-clock");
	cell(t, "#clock-cells", 0);
	cell(t, "clock-frequency", 24000000);
	cell(t, "phandle", PHANDLE_CLOCK);
	end(t);
}

static void add_uart_and_rtc(struct tree *t)
{
	static const char uart[] = "arm,pl011\0arm,primecell", rtc[] = "arm,pl031\0arm,primecell",
			  names[] = "uartclk\0apb_pclk";

	begin_at(t, "serial", MACHINE_UART);
	add(t, fdt_property(t->data, "compatible", uart, sizeof(uart)));
	CELLS(t, "reg", U64(MACHINE_UART), U64(MACHINE_UART_SIZE));
	CELLS(t, "interrupts", IRQ_SPI, MACHINE_UART_SPI, IRQ_LEVEL_HIGH);
	CELLS(t, "clocks", PHANDLE_CLOCK, PHANDLE_CLOCK);
	add(t, fdt_property(t->data, "clock-names", names, sizeof(names)));
	end(t);

	begin_at(t, "rtc", MACHINE_RTC);
	add(t, fdt_property(t->data, "compatible", rtc, sizeof(rtc)));
	CELLS(t, "reg", U64(MACHINE_RTC), U64(MACHINE_RTC_SIZE));
	CELLS(t, "clocks", PHANDLE_CLOCK);
	text(t, "clock-names", "apb_pclk");
	end(t);
}

static void add_pci(struct tree *t, const struct machine *m)
{
	uint32_t map[PCI_SLOTS * 10];
	unsigned used = 0;

	/* slot and pin of the device; controller with its (unused) address, kind, number and trigger of its interrupt */
	for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
		const uint32_t row[10] = {
			slot << 11,    0, 0, 1, PHANDLE_GIC, 0, 0, IRQ_SPI, MACHINE_PCI_SPI + slot,
			IRQ_LEVEL_HIGH};

		memcpy(map + used, row, sizeof(row));
		used += 10;
	}
	begin_at(t, "pcie", MACHINE_ECAM);
	text(t, "compatible", "pci-host-ecam-generic");
	text(t, "device_type", "pci");
	cell(t, "#address-cells", 3);
	cell(t, "#size-cells", 2);
	cell(t, "#interrupt-cells", 1);
	CELLS(t, "bus-range", 0, 0);
	CELLS(t, "reg", U64(MACHINE_ECAM), U64(PCI_ECAM_SIZE));
	/* 32-bit memory, at the same address on both sides */
	CELLS(t, "ranges", 0x02000000, U64(MACHINE_WINDOW), U64(MACHINE_WINDOW),
	      U64(MACHINE_WINDOW_SIZE));
	CELLS(t, "interrupt-map-mask", 0xf800, 0, 0, 7);
	cells(t, "interrupt-map", map, used);
	/* DeviceIDs are requester ids: of bus 0, all 256. */
	if (m->its_fd >= 0)
		CELLS(t, "msi-map", 0, PHANDLE_ITS, 0, 0x100);
	flag(t, "dma-coherent");
	end(t);
}

static int dump(const char *path, const void *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size) {
		cli_say_errno("device tree %s", path);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return close(fd);
}

void *fdt_build(const struct machine *m, uint64_t initrd, uint64_t initrd_size, size_t *size)
{
	size_t room = 65536 + strlen(m->options->params) + 256 * (size_t)m->nr_vcpus;
	struct tree t = {.data = malloc(room)};

	if (!t.data) {
		cli_say_errno("device tree");
		return NULL;
	}
	add(&t, fdt_create(t.data, room));
	add(&t, fdt_finish_reservemap(t.data));
	begin(&t, "");
	text(&t, "compatible", "linux,dummy-virt");
	text(&t, "model", "anykvm");
	cell(&t, "#address-cells", 2);
	cell(&t, "#size-cells", 2);
	cell(&t, "interrupt-parent", PHANDLE_GIC);
	add_chosen(&t, m, initrd, initrd_size);
	add_platform(&t, m);
	add_cpus(&t, m);
	add_uart_and_rtc(&t);
	add_pci(&t, m);
	end(&t);
	add(&t, fdt_finish(t.data));
	if (t.error) {
		cli_say("device tree: %s", fdt_strerror(t.error));
	} else {
		*size = fdt_totalsize(t.data);
		if (!m->options->dtb_dump || !dump(m->options->dtb_dump, t.data, *size))
			return t.data;
	}
	free(t.data);
	return NULL;
}
