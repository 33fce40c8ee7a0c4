/* SPDX-License-Identifier: MIT */
/* Registers and queues. */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "nvme.h"

static_assert(sizeof(struct nvme_command) == 64, "section 4.2");
static_assert(sizeof(struct nvme_completion) == 16, "section 4.6");

/* Section 3.1 */
enum {
	REG_CAP = 0x00,
	REG_VS = 0x08,
	REG_INTMS = 0x0c,
	REG_INTMC = 0x10,
	REG_CC = 0x14,
	REG_CSTS = 0x1c,
	REG_AQA = 0x24,
	REG_ASQ = 0x28,
	REG_ACQ = 0x30,
	REG_DOORBELLS = 0x1000,
};

#define CAP_MQES (NVME_MAX_ENTRIES - 1)
#define CAP_CQR	 (1ULL << 16)  /* queues must be contiguous */
#define CAP_TO	 (20ULL << 24) /* half seconds until ready at most */
#define CAP_NVM	 (1ULL << 37)  /* NVM command set; doorbells 4 bytes apart, pages 4 KiB */

#define CC_EN	      (1u << 0)
#define CC_MPS(cc)    ((cc) >> 7 & 15)
#define CC_SHN(cc)    ((cc) >> 14 & 3)
#define CC_IOSQES(cc) ((cc) >> 16 & 15)
#define CC_IOCQES(cc) ((cc) >> 20 & 15)

#define CSTS_RDY	   (1u << 0)
#define CSTS_CFS	   (1u << 1)
#define CSTS_SHST	   (3u << 2)
#define CSTS_SHST_COMPLETE (2u << 2)

static void nvme_update_irq(struct nvme *ctrl)
{
	bool level = false;

	for (unsigned i = 0; i < NVME_QUEUES; i++) {
		struct nvme_queue *cq = &ctrl->cq[i];

		if (cq->valid && cq->interrupts && cq->unsignalled)
			msix_raise(&ctrl->pci, cq->vector);
		cq->unsignalled = false;
		level |= cq->valid && cq->interrupts && cq->head != cq->tail;
	}
	pci_set_irq(&ctrl->pci, level && !(ctrl->intms & 1));
}

static void nvme_fail(struct nvme *ctrl, const char *why)
{
	/* Once: whoever reads stderr may be slow, and the lock is held meanwhile. */
	if (!ctrl->told)
		cli_say("disk %s: the guest broke the controller: %s", ctrl->serial, why);
	ctrl->told = true;
	ctrl->csts |= CSTS_CFS;
}

static bool nvme_cq_full(const struct nvme_queue *cq)
{
	return (cq->tail + 1) % cq->entries == cq->head;
}

static void nvme_complete(struct nvme *ctrl, unsigned sq_id, uint16_t cid, uint16_t status,
			  uint32_t result)
{
	struct nvme_queue *sq = &ctrl->sq[sq_id], *cq = &ctrl->cq[sq->cq];
	struct nvme_completion entry = {
		.result = result,
		.sq_head = sq->head,
		.sq_id = sq_id,
		.cid = cid,
		.status = status << 1 | cq->phase,
	};
	uint8_t *slot = memory_at(ctrl->ram, cq->base + cq->tail * sizeof(entry), sizeof(entry));
	uint64_t last;

	if (!slot) {
		nvme_fail(ctrl, "a completion queue outside of memory");
		return;
	}
	/* The guest polls the phase bit, in the last word: everything else has to be there before
	 * it. */
	memcpy(slot, &entry, 8);
	memcpy(&last, (uint8_t *)&entry + 8, 8);
	__atomic_store_n((uint64_t *)(slot + 8), last, __ATOMIC_RELEASE);
	memory_mark_dirty(ctrl->ram, slot, sizeof(entry));
	cq->unsignalled = true;
	if (++cq->tail == cq->entries) {
		cq->tail = 0;
		cq->phase = !cq->phase;
	}
}

static void nvme_run_queue(struct nvme *ctrl, unsigned id)
{
	struct nvme_queue *sq = &ctrl->sq[id];

	while (sq->valid && sq->head != sq->tail && !(ctrl->csts & CSTS_CFS)) {
		struct nvme_command cmd;
		uint32_t result = 0;
		uint16_t status;

		if (nvme_cq_full(&ctrl->cq[sq->cq]))
			break; /* goes on when the guest has taken completions */
		if (!memory_read(ctrl->ram, sq->base + sq->head * sizeof(cmd), &cmd, sizeof(cmd))) {
			nvme_fail(ctrl, "a submission queue outside of memory");
			break;
		}
		sq->head = (sq->head + 1) % sq->entries;
		if (cmd.flags & 0xc3) /* fused commands, SGLs: not offered */
			status = NVME_INVALID_FIELD;
		else
			status = id ? nvme_io(ctrl, &cmd) : nvme_admin(ctrl, &cmd, &result);
		if (status != NVME_NO_COMPLETION)
			nvme_complete(ctrl, id, cmd.cid, status, result);
	}
	nvme_update_irq(ctrl);
}

static void nvme_ring(struct nvme *ctrl, unsigned index, uint32_t value)
{
	unsigned id = index / 2;
	struct nvme_queue *queue;

	/* Section 5.2.1.2: stores that make no sense are reported as events or ignored; we ignore
	 * them. */
	if (!(ctrl->csts & CSTS_RDY) || id >= NVME_QUEUES)
		return;
	queue = index & 1 ? &ctrl->cq[id] : &ctrl->sq[id];
	if (!queue->valid || value >= queue->entries)
		return;
	if (!(index & 1)) {
		queue->tail = value;
		nvme_run_queue(ctrl, id);
		return;
	}
	queue->head = value;
	for (unsigned i = 0; i < NVME_QUEUES; i++)
		if (ctrl->sq[i].valid && ctrl->sq[i].cq == id)
			nvme_run_queue(ctrl, i);
	nvme_update_irq(ctrl);
}

/* Also what a controller reset does (section 7.3.2). */
static void nvme_disable(struct nvme *ctrl)
{
	memset(ctrl->sq, 0, sizeof(ctrl->sq));
	memset(ctrl->cq, 0, sizeof(ctrl->cq));
	memset(ctrl->features, 0, sizeof(ctrl->features));
	ctrl->features[6] = 1; /* the volatile write cache is on */
	ctrl->nr_events = 0;
	ctrl->intms = 0;
	ctrl->csts = 0;
	nvme_update_irq(ctrl);
}

static void nvme_enable(struct nvme *ctrl)
{
	uint32_t sq_entries = (ctrl->aqa & 0xfff) + 1, cq_entries = (ctrl->aqa >> 16 & 0xfff) + 1;

	if (sq_entries < 2 || cq_entries < 2 || CC_MPS(ctrl->cc) ||
	    (ctrl->asq | ctrl->acq) % NVME_PAGE ||
	    !memory_at(ctrl->ram, ctrl->asq, sq_entries * 64ull) ||
	    !memory_at(ctrl->ram, ctrl->acq, cq_entries * 16ull)) {
		nvme_fail(ctrl, "enabled with impossible admin queues");
		return;
	}
	ctrl->sq[0] = (struct nvme_queue){.valid = true, .base = ctrl->asq, .entries = sq_entries};
	ctrl->cq[0] = (struct nvme_queue){.valid = true,
					  .base = ctrl->acq,
					  .entries = cq_entries,
					  .phase = true,
					  .interrupts = true,
					  .nr_sqs = 1};
	ctrl->csts |= CSTS_RDY;
}

static void nvme_write_cc(struct nvme *ctrl, uint32_t cc)
{
	uint32_t changed = ctrl->cc ^ cc;

	ctrl->cc = cc;
	if (changed & CC_EN) {
		if (cc & CC_EN)
			nvme_enable(ctrl);
		else
			nvme_disable(ctrl);
	}
	if (CC_SHN(cc)) {
		fdatasync(ctrl->disk.fd);
		ctrl->csts = (ctrl->csts & ~CSTS_SHST) | CSTS_SHST_COMPLETE;
	}
}

static uint64_t nvme_register(const struct nvme *ctrl, uint64_t offset)
{
	switch (offset) {
	case REG_CAP:
		return CAP_MQES | CAP_CQR | CAP_TO | CAP_NVM;
	case REG_VS:
		return 0x10400 | (uint64_t)ctrl->intms << 32;
	case REG_INTMC:
		return ctrl->intms | (uint64_t)ctrl->cc << 32;
	case REG_CSTS & ~7:
		return (uint64_t)ctrl->csts << 32;
	case REG_AQA & ~7:
		return (uint64_t)ctrl->aqa << 32;
	case REG_ASQ:
		return ctrl->asq;
	case REG_ACQ:
		return ctrl->acq;
	default:
		return 0;
	}
}

static uint64_t nvme_read(void *device, uint64_t offset, unsigned size)
{
	uint64_t value = nvme_register(device, offset & ~7ull) >> 8 * (offset & 7);

	return size == 8 ? value : value & ((1ull << 8 * size) - 1);
}

static uint64_t set_half(uint64_t old, uint64_t offset, uint32_t value)
{
	return offset & 4 ? (uint32_t)old | (uint64_t)value << 32 : (old & ~0xffffffffull) | value;
}

static void nvme_write_word(struct nvme *ctrl, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case REG_INTMS:
		ctrl->intms |= value;
		nvme_update_irq(ctrl);
		break;
	case REG_INTMC:
		ctrl->intms &= ~value;
		nvme_update_irq(ctrl);
		break;
	case REG_CC:
		nvme_write_cc(ctrl, value);
		break;
	case REG_AQA:
		ctrl->aqa = value & 0x0fff0fff;
		break;
	case REG_ASQ:
	case REG_ASQ + 4:
		ctrl->asq = set_half(ctrl->asq, offset, value);
		break;
	case REG_ACQ:
	case REG_ACQ + 4:
		ctrl->acq = set_half(ctrl->acq, offset, value);
		break;
	}
}

static void nvme_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct nvme *ctrl = device;

	/* Section 3.1: other widths and misaligned accesses are undefined; nothing happens. */
	if (size < 4 || offset % size)
		return;
	if (offset >= REG_DOORBELLS) {
		nvme_ring(ctrl, (offset - REG_DOORBELLS) / 4, value & 0xffff);
		return;
	}
	nvme_write_word(ctrl, offset, value);
	if (size == 8)
		nvme_write_word(ctrl, offset + 4, value >> 32);
}

void nvme_init(struct nvme *ctrl, struct pci_host *host, unsigned slot,
	       const struct nvme_disk *disk, const struct guest_memory *ram, struct irq_line irq)
{
	/* No identifier is ours by registration; this pair is nobody's, and the class code is what
	 * drivers go by. */
	static const struct pci_ids ids = {
		.vendor = 0x6b76, .device = 0x0001, .class_code = 0x010802, .revision = 1};

	memset(ctrl, 0, sizeof(*ctrl));
	ctrl->ram = ram;
	ctrl->disk = *disk;
	ctrl->pci.irq = irq;
	ctrl->pci.bar_size = NVME_BAR_SIZE;
	ctrl->pci.device = ctrl;
	ctrl->pci.read = nvme_read;
	ctrl->pci.write = nvme_write;
	snprintf(ctrl->serial, sizeof(ctrl->serial), "anykvm%u", slot);
	nvme_disable(ctrl);
	pci_attach(host, slot, &ctrl->pci, &ids);
	msix_add(&ctrl->pci, NVME_QUEUES, NVME_MSIX_TABLE, NVME_MSIX_PENDING);
}
