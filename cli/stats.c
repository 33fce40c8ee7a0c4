/* SPDX-License-Identifier: MIT */
/* What --stats prints. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <anykvm.h>

#include "machine.h"

static const char *exit_name(unsigned reason)
{
	switch (reason) {
	case KVM_EXIT_MMIO:
		return "mmio";
	case KVM_EXIT_INTR:
		return "signal";
	case KVM_EXIT_SYSTEM_EVENT:
		return "system event";
	case KVM_EXIT_INTERNAL_ERROR:
		return "internal error";
	case KVM_EXIT_FAIL_ENTRY:
		return "fail entry";
	case KVM_EXIT_DIRTY_RING_FULL:
		return "ring full";
	case KVM_EXIT_MEMORY_FAULT:
		return "memory fault";
	default:
		return NULL;
	}
}

/* One line: name, value, and what it consists of. */
static void row(const char *name, uint64_t value, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void row(const char *name, uint64_t value, const char *format, ...)
{
	char more[160];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(more, sizeof(more), format, arguments);
	va_end(arguments);
	cli_row("  %-18s: %13llu%s%s", name, value + 0ull, more[0] ? "  " : "", more);
}

static void print_exits(const struct machine *m)
{
	uint64_t interrupted = 0;
	char name[32];

	for (unsigned reason = 0; reason < NR_EXIT_REASONS; reason++) {
		const char *known = exit_name(reason);
		uint64_t total = 0;

		for (unsigned i = 0; i < m->nr_vcpus; i++)
			total += m->vcpus[i].exits[reason];
		if (known)
			snprintf(name, sizeof(name), "exits %s", known);
		else
			snprintf(name, sizeof(name), "exits reason %u", reason);
		if (total)
			row(name, total, "%s", "");
	}
	for (unsigned i = 0; i < m->nr_vcpus; i++)
		interrupted += m->vcpus[i].interrupted;
	row("exits interrupted", interrupted, "%s", "");
}

static void print_counters(const struct machine *m, double cpu)
{
	struct anykvm_stats s;

	if (!m->accel->stats || m->accel->stats(m->vm_fd, &s, sizeof(s)))
		return;
	row("instructions", s.instructions, "%.1f MIPS of vCPU thread time",
	    cpu > 0 ? s.instructions / cpu / 1e6 : 0);
	row("stage-2 faults", s.faults, "retried: %llu", s.fault_retries + 0ull);
	row("mapped pages", s.maps_4k, "of 4 KiB; blocks of 2 MiB: %llu, of 1 GiB: %llu",
	    s.maps_2m + 0ull, s.maps_1g + 0ull);
	row("unmapped", s.unmaps, "permissions widened: %llu", s.permission_relaxes + 0ull);
	row("table pages", s.table_pages, "%s", "");
	row("shootdowns", s.shootdowns, "waited for a vCPU: %llu", s.shootdown_waits + 0ull);
	row("host changes", s.invalidations, "pages taken: %llu", s.invalidated_pages + 0ull);
	row("slot changes", s.slot_changes, "swaps: %llu, waited: %llu", s.slot_swaps + 0ull,
	    s.slot_swap_waits + 0ull);
	row("dirty pages", s.dirty_pages_logged, "blocks split: %llu, rings full: %llu",
	    s.block_splits + 0ull, s.dirty_ring_full_exits + 0ull);
	row("guest mode left", s.exits,
	    "mmio: %llu, hvc: %llu, wfi: %llu, interrupt: %llu, signal: %llu", s.mmio_exits + 0ull,
	    s.hvc_exits + 0ull, s.wfi_exits + 0ull, s.irq_exits + 0ull, s.signal_exits + 0ull);
}

void stats_print(const struct machine *m, double seconds)
{
	double cpu = 0;

	for (unsigned i = 0; i < m->nr_vcpus; i++)
		cpu += m->vcpus[i].cpu_seconds;
	cli_say("statistics (%s, %u CPUs, %llu MiB)", m->accel->name, m->nr_vcpus,
		m->options->memory / MIB + 0ull);
	cli_row("  %-18s: %13.3f  of vCPU threads: %.3f CPU seconds", "seconds", seconds, cpu);
	print_counters(m, cpu);
	print_exits(m);
	for (unsigned i = 0; i < m->options->nr_disks; i++) {
		const struct nvme *disk = &m->nvme[i];
		char name[32];

		snprintf(name, sizeof(name), "disk %u reads", i + 1);
		row(name, disk->reads, "of %.1f MiB; writes: %llu of %.1f MiB",
		    disk->sectors_read / 2048.0, disk->writes + 0ull,
		    disk->sectors_written / 2048.0);
	}
	if (m->network) {
		const struct virtio_net *net = &m->network->device;

		row("frames sent", net->sent,
		    "of %.1f MiB; received: %llu of %.1f MiB, dropped: %llu",
		    net->sent_bytes / (double)MIB, net->received + 0ull,
		    net->received_bytes / (double)MIB, net->dropped + 0ull);
	}
	if (m->bus.nr_strays)
		row("stray accesses", m->bus.nr_strays, "at addresses without a device");
}
