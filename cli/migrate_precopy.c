/* SPDX-License-Identifier: MIT */
/*
 * Copying pages into a stream. Vcpus may write them meanwhile: a page is copied into the payload first, so that checksum and data
 * agree; what it misses of a concurrent store is reported dirty and sent again (dirty.h, D1). A page seen as zero that is not any
 * more is the same case.
 */
#include <string.h>
#include <unistd.h>

#include "migrate.h"

#define PROGRESS_PAGES 8192u

struct batch {
	struct stream_run runs[STREAM_MAX_RUNS];
	unsigned nr_runs;
	size_t nr_bytes; /* of pages, in the payload behind the room for the runs */
};

static uint8_t *batch_data(const struct migrate_copy *copy)
{
	return copy->payload + STREAM_MAX_RUNS * sizeof(struct stream_run);
}

bool migrate_is_zero(const uint8_t *page, size_t length)
{
	const uint64_t *word = (const uint64_t *)page;

	for (size_t i = 0; i < length / 8; i += 8) {
		uint64_t any = 0;

		for (unsigned j = 0; j < 8; j++)
			any |= word[i + j];
		if (any)
			return false;
	}
	return true;
}

static int batch_send(struct migrate_copy *copy, struct batch *batch)
{
	size_t run_bytes = batch->nr_runs * sizeof(struct stream_run);
	/* The runs go right before the pages. */
	uint8_t *start = batch_data(copy) - run_bytes;
	int status;

	if (!batch->nr_runs)
		return 0;
	memcpy(start, batch->runs, run_bytes);
	status = stream_send(copy->stream, STREAM_PAGES, batch->nr_runs, start,
			     run_bytes + batch->nr_bytes, NULL, 0);
	batch->nr_runs = 0;
	batch->nr_bytes = 0;
	return status;
}

static int batch_add(struct migrate_copy *copy, struct batch *batch, uint64_t page)
{
	const struct guest_memory *ram = &copy->machine->ram;
	size_t length = 1ul << ram->page_shift;
	const uint8_t *from = ram->hva + (page << ram->page_shift);
	bool zero = migrate_is_zero(from, length);
	struct stream_run *run = batch->nr_runs ? &batch->runs[batch->nr_runs - 1] : NULL;

	if (zero && copy->first_round)
		return 0; /* a new machine's memory is */
	if (!run || run->page + run->nr != page || run->zero != zero) {
		if (batch->nr_runs == STREAM_MAX_RUNS && batch_send(copy, batch))
			return -1;
		run = &batch->runs[batch->nr_runs++];
		*run = (struct stream_run){.page = page, .zero = zero};
	}
	run->nr++;
	if (zero)
		return 0;
	memcpy(batch_data(copy) + batch->nr_bytes, from, length);
	batch->nr_bytes += length;
	return batch->nr_bytes + length > MIB ? batch_send(copy, batch) : 0;
}

uint64_t migrate_count(const struct migrate_copy *copy)
{
	uint64_t words = memory_bitmap_words(&copy->machine->ram), nr = 0;

	for (uint64_t i = 0; i < words; i++)
		nr += __builtin_popcountll(copy->pages[i]);
	return nr;
}

int migrate_copy_pages(struct migrate_copy *copy)
{
	uint64_t words = memory_bitmap_words(&copy->machine->ram), left = migrate_count(copy);
	struct batch batch = {.nr_runs = 0};
	uint64_t told = left;

	for (uint64_t i = 0; i < words; i++) {
		for (; copy->pages[i]; copy->pages[i] &= copy->pages[i] - 1) {
			if (batch_add(copy, &batch, i * 64 + __builtin_ctzll(copy->pages[i])))
				return -1;
			copy->nr_sent++;
			left--;
		}
		if (told - left >= PROGRESS_PAGES && copy->progress) {
			copy->progress(copy->opaque, left);
			told = left;
		}
	}
	return batch_send(copy, &batch);
}

void migrate_copy_all(struct migrate_copy *copy)
{
	const struct guest_memory *ram = &copy->machine->ram;
	uint64_t nr = memory_pages(ram);
	off_t data = 0, hole = 0;

	if (ram->kind != MEMORY_MEMFD) {
		for (uint64_t i = 0; i < nr; i++)
			copy->pages[i / 64] |= 1ull << i % 64;
		return;
	}
	/* Reading a hole through the mapping would fill it. */
	while ((data = lseek(ram->fd, hole, SEEK_DATA)) >= 0) {
		hole = lseek(ram->fd, data, SEEK_HOLE);
		if (hole < 0)
			hole = ram->size;
		for (uint64_t i = data >> ram->page_shift;
		     i < nr && i << ram->page_shift < (uint64_t)hole; i++)
			copy->pages[i / 64] |= 1ull << i % 64;
	}
}
