/* SPDX-License-Identifier: MIT */
/*
 * An NVMe 1.4 controller with one namespace, backed by a file: the register set, admin and I/O
 * queues in guest memory, PRP lists, interrupts by INTx or MSI-X (a vector for each completion queue). Commands run on the vCPU thread that
 * rings the doorbell, one after the other; section numbers in the sources are those of NVM Express
 * Base Specification 1.4.
 */
#ifndef CLI_NVME_H
#define CLI_NVME_H

#include "memory.h"
#include "pci.h"
#include "state.h"

#define NVME_BAR_SIZE	  0x4000
#define NVME_MSIX_TABLE	  0x2000 /* behind the doorbells */
#define NVME_MSIX_PENDING 0x3000
#define NVME_QUEUES	  17 /* with the admin queue */
#define NVME_MAX_ENTRIES  1024
#define NVME_EVENTS	  4 /* outstanding Asynchronous Event Requests */
#define NVME_MDTS	  8 /* a command moves at most 2^8 pages of 4 KiB */
#define NVME_SECTOR	  512u
#define NVME_PAGE	  4096u

/* Status field of a completion: type in bits 10:8, code in 7:0, Do Not Retry in 14 (section 4.6.1).
 */
enum nvme_status {
	NVME_SUCCESS = 0,
	NVME_INVALID_OPCODE = 0x4001,
	NVME_INVALID_FIELD = 0x4002,
	NVME_TRANSFER_ERROR = 0x0004,
	NVME_INTERNAL_ERROR = 0x0006,
	NVME_INVALID_NAMESPACE = 0x400b,
	NVME_INVALID_PRP = 0x4013,
	NVME_WRITE_PROTECTED = 0x4020,
	NVME_LBA_RANGE = 0x4080,
	NVME_CQ_INVALID = 0x4100,
	NVME_QUEUE_ID_INVALID = 0x4101,
	NVME_QUEUE_SIZE_INVALID = 0x4102,
	NVME_EVENT_LIMIT = 0x4105,
	NVME_VECTOR_INVALID = 0x4108,
	NVME_LOG_INVALID = 0x4109,
	NVME_DELETE_INVALID = 0x410c,
	NVME_FEATURE_NOT_SAVEABLE = 0x410d,
	NVME_FEATURE_NOT_CHANGEABLE = 0x410e,
	NVME_WRITE_FAULT = 0x0280,
	NVME_READ_FAULT = 0x0281,
	NVME_NO_COMPLETION = 0xffff, /* ours alone: the command stays outstanding */
};

struct nvme_command {
	uint8_t opcode, flags;
	uint16_t cid;
	uint32_t nsid;
	uint64_t reserved, metadata, prp1, prp2;
	uint32_t cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};

struct nvme_completion {
	uint32_t result, reserved;
	uint16_t sq_head, sq_id, cid, status; /* status: phase in bit 0 */
};

struct nvme_queue {
	bool valid;
	uint64_t base;
	uint32_t entries, head, tail;
	/* submission queues */
	uint16_t cq;
	/* completion queues */
	bool phase, interrupts;
	bool unsignalled; /* completions that no message has told of; never outlives a store to a register */
	uint16_t vector;
	uint16_t nr_sqs;
};

struct nvme_disk {
	int fd;
	uint64_t size; /* bytes, a multiple of the sector */
	bool read_only;
};

struct nvme {
	struct pci_function pci;
	const struct guest_memory *ram;
	struct nvme_disk disk;
	char serial[21];
	bool told; /* of the first fatal status; no reset clears it */
	uint32_t intms, cc, csts, aqa;
	uint64_t asq, acq;
	struct nvme_queue sq[NVME_QUEUES], cq[NVME_QUEUES];
	uint16_t events[NVME_EVENTS]; /* command ids waiting for something to report */
	unsigned nr_events;
	uint32_t features[16];
	uint64_t reads, writes, sectors_read, sectors_written, file_errors;
};

/* 0, or -errno after a message. Without the lock: until a migrating guest brings its own descriptor, which has it. */
int nvme_disk_open(struct nvme_disk *disk, const char *path, bool read_only, bool lock);
void nvme_disk_close(struct nvme_disk *disk);

/* The disk stays the caller's. */
void nvme_init(struct nvme *ctrl, struct pci_host *host, unsigned slot,
	       const struct nvme_disk *disk, const struct guest_memory *ram, struct irq_line irq);

/* Counters of traffic stay behind. */
void nvme_state(struct nvme *ctrl, struct state *state);

/* Between the files of the controller. */
uint16_t nvme_admin(struct nvme *ctrl, const struct nvme_command *cmd, uint32_t *result);
uint16_t nvme_io(struct nvme *ctrl, const struct nvme_command *cmd);
/* Copies a page-sized answer to where PRP 1 and 2 point. */
uint16_t nvme_return_data(struct nvme *ctrl, const struct nvme_command *cmd, const void *data,
			  size_t length);

#endif
