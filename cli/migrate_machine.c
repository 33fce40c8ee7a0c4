/* SPDX-License-Identifier: MIT */
#include <sys/stat.h>

#include "migrate.h"
#include "state.h"

void migrate_describe(struct migrate_hello *hello, const struct machine *m)
{
	*hello = (struct migrate_hello){
		.magic = STREAM_MAGIC,
		.version = STREAM_VERSION,
		.page_shift = m->ram.page_shift,
		.memory = m->ram.size,
		.layout = {MACHINE_RAM, MACHINE_UART, MACHINE_RTC, MACHINE_GICD, MACHINE_GICR,
			   MACHINE_ECAM, MACHINE_WINDOW, MACHINE_UART_SPI | MACHINE_PCI_SPI << 16},
		.cpus = m->nr_vcpus,
		.nr_irqs = MACHINE_NR_IRQS,
		.nr_sections = state_nr_sections(m),
		.nr_disks = m->options->nr_disks,
		.network = m->options->network,
	};
	for (unsigned i = 0; i < hello->nr_disks; i++) {
		struct migrate_disk *disk = &hello->disks[i];
		struct stat info = {0};

		*disk = (struct migrate_disk){.size = m->disks[i].size,
					      .read_only = m->disks[i].read_only};
		if (fstat(m->disks[i].fd, &info))
			continue;
		disk->device = S_ISBLK(info.st_mode) ? info.st_rdev : info.st_dev;
		disk->inode = S_ISBLK(info.st_mode) ? 0 : info.st_ino;
	}
}

static int compare_disks(struct stream *stream, const struct migrate_hello *theirs,
			 const struct migrate_hello *ours)
{
	if (theirs->nr_disks != ours->nr_disks)
		return stream_fail(stream, "the guest has %u disks (-d), this machine %u",
				   theirs->nr_disks, ours->nr_disks);
	for (unsigned i = 0; i < ours->nr_disks; i++) {
		const struct migrate_disk *a = &theirs->disks[i], *b = &ours->disks[i];

		if (a->read_only != b->read_only)
			return stream_fail(stream, "disk %u is %s for the guest, here it is not",
					   i + 1, a->read_only ? "read only" : "writable");
		if (a->size != b->size)
			return stream_fail(stream, "disk %u of the guest has %llu bytes, here %llu",
					   i + 1, a->size + 0ull, b->size + 0ull);
		/* A file can have gone to another host, with its disks. */
		if (!stream->is_file && (a->device != b->device || a->inode != b->inode))
			return stream_fail(stream, "disk %u of the guest is another file", i + 1);
	}
	return 0;
}

int migrate_compare(struct stream *stream, const struct migrate_hello *theirs,
		    const struct migrate_hello *ours)
{
	if (theirs->magic != ours->magic)
		return stream_fail(stream, "no migrating machine of anykvm");
	if (theirs->version != ours->version)
		return stream_fail(stream, "the guest comes in format %u, this anykvm reads %u",
				   theirs->version, ours->version);
	if (theirs->memory != ours->memory)
		return stream_fail(stream,
				   "the guest has %llu MiB of memory (-m), this machine "
				   "%llu",
				   theirs->memory / MIB + 0ull, ours->memory / MIB + 0ull);
	if (theirs->cpus != ours->cpus)
		return stream_fail(stream, "the guest has %u CPUs (-c), this machine %u",
				   theirs->cpus, ours->cpus);
	if (theirs->page_shift != ours->page_shift)
		return stream_fail(stream,
				   "the guest's host has pages of %llu bytes, this one "
				   "%llu",
				   1ull << (theirs->page_shift & 63), 1ull << ours->page_shift);
	for (unsigned i = 0; i < sizeof(ours->layout) / sizeof(ours->layout[0]); i++)
		if (theirs->layout[i] != ours->layout[i])
			return stream_fail(stream, "the guest's devices are at other addresses");
	if (theirs->nr_irqs != ours->nr_irqs)
		return stream_fail(stream, "the guest has %u interrupts, this machine %u",
				   theirs->nr_irqs, ours->nr_irqs);
	if (theirs->network != ours->network)
		return stream_fail(stream, "the guest has %s network (-n), this machine %s",
				   theirs->network ? "a" : "no", ours->network ? "one" : "none");
	if (compare_disks(stream, theirs, ours))
		return -1;
	return theirs->nr_sections == ours->nr_sections
		       ? 0
		       : stream_fail(stream, "the guest has other devices");
}
