/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <anykvm/kvm.h>

#include "dirty.h"

#define RING_ENTRIES 4096u
/* Bits that one KVM_CLEAR_DIRTY_LOG takes: vCPUs that fault meanwhile wait for it. */
#define CLEAR_PAGES (1u << 14)

static int dirty_enable(struct dirty_log *log, uint32_t cap, uint64_t argument)
{
	struct kvm_enable_cap request = {.cap = cap, .args = {argument}};

	return log->accel->ioctl(log->vm_fd, KVM_ENABLE_CAP, &request);
}

static int dirty_enable_ring(struct dirty_log *log)
{
	int bytes =
		log->accel->ioctl(log->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_DIRTY_LOG_RING_ACQ_REL);

	if (bytes <= 0) {
		cli_say("--dirty-log ring: this KVM (%s) has no dirty rings; there are bitmap and "
			"manual",
			log->accel->name);
		return -1;
	}
	log->ring_entries = bytes / sizeof(struct kvm_dirty_gfn);
	if (log->ring_entries > RING_ENTRIES)
		log->ring_entries = RING_ENTRIES;
	/* The backup bitmap is for what KVM itself writes, outside of any vCPU. */
	if (dirty_enable(log, KVM_CAP_DIRTY_LOG_RING_ACQ_REL,
			 log->ring_entries * sizeof(struct kvm_dirty_gfn)) < 0 ||
	    (log->accel->ioctl(log->vm_fd, KVM_CHECK_EXTENSION,
			       KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP) > 0 &&
	     dirty_enable(log, KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP, 0) < 0)) {
		cli_say_errno("--dirty-log ring");
		return -1;
	}
	return 0;
}

int dirty_create(struct dirty_log *log, const struct accel *accel, int vm_fd, enum dirty_mode mode)
{
	int has;

	*log = (struct dirty_log){
		.accel = accel, .vm_fd = vm_fd, .mode = mode, .lock = PTHREAD_MUTEX_INITIALIZER};
	if (mode == DIRTY_RING)
		return dirty_enable_ring(log);
	if (mode == DIRTY_BITMAP)
		return 0;
	has = accel->ioctl(vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);
	if (has <= 0 || !(has & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE)) {
		cli_say("--dirty-log manual: this KVM (%s) does not have it", accel->name);
		return -1;
	}
	has &= KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET;
	log->initially_set = has & KVM_DIRTY_LOG_INITIALLY_SET;
	if (dirty_enable(log, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, has) >= 0)
		return 0;
	cli_say_errno("--dirty-log manual");
	return -1;
}

static size_t ring_bytes(const struct dirty_log *log)
{
	return log->ring_entries * sizeof(struct kvm_dirty_gfn);
}

int dirty_add_vcpu(struct dirty_log *log, int vcpu_fd)
{
	off_t offset = KVM_DIRTY_LOG_PAGE_OFFSET * sysconf(_SC_PAGESIZE);
	struct dirty_ring *larger;
	void *entries;

	if (log->mode != DIRTY_RING)
		return 0;
	larger = realloc(log->rings, (log->nr_rings + 1) * sizeof(*larger));
	if (larger)
		log->rings = larger;
	entries = larger ? log->accel->mmap(NULL, ring_bytes(log), PROT_READ | PROT_WRITE,
					    MAP_SHARED, vcpu_fd, offset)
			 : MAP_FAILED;
	if (entries == MAP_FAILED) {
		cli_say_errno("--dirty-log ring: mapping the ring of a vCPU");
		return -1;
	}
	log->rings[log->nr_rings++] = (struct dirty_ring){.entries = entries};
	return 0;
}

void dirty_destroy(struct dirty_log *log)
{
	for (unsigned i = 0; i < log->nr_rings; i++)
		log->accel->munmap(log->rings[i].entries, ring_bytes(log));
	free(log->rings);
	free(log->scratch);
	log->rings = NULL;
	log->scratch = NULL;
	log->nr_rings = 0;
}

bool dirty_can_log(const struct guest_memory *ram)
{
	return ram->kind != MEMORY_GMEM; /* KVM refuses the flag for such a slot */
}

/* --- rings; the lock is held --- */

/* Moves a ring's entries to the marks; returns how many there were. */
static uint32_t ring_take(struct dirty_log *log, struct dirty_ring *ring, uint64_t *found,
			  uint64_t pages)
{
	uint32_t nr = 0;

	for (; nr < log->ring_entries; nr++) {
		struct kvm_dirty_gfn *entry = &ring->entries[ring->next & (log->ring_entries - 1)];

		/* Acquire: slot and offset were written before the flag. */
		if (!(__atomic_load_n(&entry->flags, __ATOMIC_ACQUIRE) & KVM_DIRTY_GFN_F_DIRTY))
			break;
		if (!(entry->slot & 0xffff) && entry->offset < pages)
			found[entry->offset / 64] |= 1ull << entry->offset % 64;
		/* Release: KVM may write the entry anew as soon as it has seen the flag. */
		__atomic_store_n(&entry->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
		ring->next++;
	}
	return nr;
}

/*
 * Pages go into ram->dirty only after KVM has protected them again: a copier that takes the mark copies later than that, so a
 * store after its copy is seen. It cannot take marks between the two: it holds the lock when it looks.
 */
static int rings_reap(struct dirty_log *log, struct guest_memory *ram)
{
	uint64_t words = memory_bitmap_words(ram);
	uint32_t nr = 0;
	int status = 0;

	for (unsigned i = 0; i < log->nr_rings; i++)
		nr += ring_take(log, &log->rings[i], log->scratch, memory_pages(ram));
	if (nr && log->accel->ioctl(log->vm_fd, KVM_RESET_DIRTY_RINGS, 0) < 0)
		status = -errno;
	for (uint64_t i = 0; nr && i < words; i++) {
		if (log->scratch[i])
			__atomic_fetch_or(&ram->dirty[i], log->scratch[i], __ATOMIC_RELAXED);
		log->scratch[i] = 0;
	}
	return status;
}

void dirty_ring_full(struct dirty_log *log, struct guest_memory *ram)
{
	pthread_mutex_lock(&log->lock);
	if (log->scratch && rings_reap(log, ram))
		cli_say_errno("dirty ring");
	pthread_mutex_unlock(&log->lock);
}

/* --- bitmaps --- */

static int bitmap_get(struct dirty_log *log)
{
	struct kvm_dirty_log request = {.slot = 0, .dirty_bitmap = log->scratch};

	return log->accel->ioctl(log->vm_fd, KVM_GET_DIRTY_LOG, &request) < 0 ? -errno : 0;
}

/* Takes what is set in scratch. */
static int bitmap_clear(struct dirty_log *log, const struct guest_memory *ram)
{
	uint64_t pages = memory_pages(ram);

	for (uint64_t first = 0; first < pages; first += CLEAR_PAGES) {
		struct kvm_clear_dirty_log request = {
			.slot = 0,
			.first_page = first,
			.num_pages = pages - first < CLEAR_PAGES ? pages - first : CLEAR_PAGES,
			.dirty_bitmap = log->scratch + first / 64,
		};
		uint64_t any = 0;

		for (uint64_t i = first / 64; i < (first + request.num_pages + 63) / 64; i++)
			any |= log->scratch[i];
		if (any && log->accel->ioctl(log->vm_fd, KVM_CLEAR_DIRTY_LOG, &request) < 0)
			return -errno;
	}
	return 0;
}

static int dirty_read(struct dirty_log *log, struct guest_memory *ram)
{
	int status;

	if (log->mode == DIRTY_RING) {
		status = rings_reap(log, ram);
		if (status)
			return status;
	}
	status = bitmap_get(log);
	/* A KVM without backup bitmaps refuses; then nothing but vCPUs writes. */
	if (log->mode == DIRTY_RING && status == -ENXIO)
		memset(log->scratch, 0, memory_bitmap_words(ram) * 8);
	else if (status)
		return status;
	return log->mode == DIRTY_MANUAL ? bitmap_clear(log, ram) : 0;
}

int dirty_collect(struct dirty_log *log, struct guest_memory *ram, uint64_t *pages)
{
	uint64_t words = memory_bitmap_words(ram);
	int status;

	pthread_mutex_lock(&log->lock);
	status = dirty_read(log, ram);
	for (uint64_t i = 0; i < words; i++) {
		pages[i] |= log->scratch[i];
		log->scratch[i] = 0;
		/* Acquire: the copy that follows sees the device's store (memory_mark_dirty()). */
		if (__atomic_load_n(&ram->dirty[i], __ATOMIC_RELAXED))
			pages[i] |= __atomic_exchange_n(&ram->dirty[i], 0, __ATOMIC_ACQUIRE);
	}
	pthread_mutex_unlock(&log->lock);
	return status;
}

int dirty_start(struct dirty_log *log, struct guest_memory *ram)
{
	uint64_t words = memory_bitmap_words(ram);
	uint64_t *scratch = calloc(words, sizeof(*scratch));
	int status;

	if (!scratch)
		return -ENOMEM;
	pthread_mutex_lock(&log->lock);
	free(log->scratch);
	log->scratch = scratch;
	pthread_mutex_unlock(&log->lock);
	for (uint64_t i = 0; i < words; i++)
		__atomic_exchange_n(&ram->dirty[i], 0, __ATOMIC_ACQUIRE);
	status = memory_give(ram, log->vm_fd, true);
	if (status || !log->initially_set)
		return status;
	/* Everything counts as written: take it all, so that protection begins. */
	pthread_mutex_lock(&log->lock);
	status = bitmap_get(log);
	if (!status)
		status = bitmap_clear(log, ram);
	memset(scratch, 0, words * sizeof(*scratch));
	pthread_mutex_unlock(&log->lock);
	if (status)
		dirty_stop(log, ram);
	return status;
}

void dirty_stop(struct dirty_log *log, struct guest_memory *ram)
{
	int status = memory_give(ram, log->vm_fd, false);

	if (status) {
		errno = -status;
		cli_say_errno("switching the dirty log off");
	}
}
