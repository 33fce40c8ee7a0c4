/* SPDX-License-Identifier: MIT */
/* Admin commands (section 5). */
#include <string.h>

#include "nvme.h"

enum {
	ADMIN_DELETE_SQ = 0x00,
	ADMIN_CREATE_SQ = 0x01,
	ADMIN_GET_LOG = 0x02,
	ADMIN_DELETE_CQ = 0x04,
	ADMIN_CREATE_CQ = 0x05,
	ADMIN_IDENTIFY = 0x06,
	ADMIN_ABORT = 0x08,
	ADMIN_SET_FEATURES = 0x09,
	ADMIN_GET_FEATURES = 0x0a,
	ADMIN_EVENT = 0x0c,
};

enum { FEATURE_WRITE_CACHE = 6, FEATURE_QUEUES = 7 };

static void put16(uint8_t *p, uint32_t value)
{
	memcpy(p, &(uint16_t){value}, 2);
}

static void put32(uint8_t *p, uint32_t value)
{
	memcpy(p, &value, 4);
}

static void put64(uint8_t *p, uint64_t value)
{
	memcpy(p, &value, 8);
}

/* Identify's strings are padded by spaces and not terminated. */
static void put_text(uint8_t *p, size_t length, const char *text)
{
	size_t n = strlen(text);

	memset(p, ' ', length);
	memcpy(p, text, n < length ? n : length);
}

/* Section 5.15.2.2, figure 247 */
static void identify_controller(const struct nvme *ctrl, uint8_t *page)
{
	put16(page + 0, 0x6b76);
	put16(page + 2, 0x6b76);
	put_text(page + 4, 20, ctrl->serial);
	put_text(page + 24, 40, "anykvm NVMe disk");
	put_text(page + 64, 8, "1");
	page[77] = NVME_MDTS;
	put16(page + 78, 1);	   /* controller id */
	put32(page + 80, 0x10400); /* version */
	page[111] = 1;		   /* an I/O controller */
	page[258] = 3;		   /* abort limit, from 0 */
	page[259] = NVME_EVENTS - 1;
	page[260] = 2 | 1;	/* one firmware slot, read-only */
	put16(page + 266, 343); /* warning and critical temperature, kelvin */
	put16(page + 268, 353);
	page[512] = 0x66;	    /* submission entries are 64 bytes */
	page[513] = 0x44;	    /* completion entries are 16 bytes */
	put32(page + 516, 1);	    /* namespaces */
	put16(page + 520, 1u << 3); /* Write Zeroes */
	page[525] = 1;		    /* a volatile write cache: Flush means something */
	memcpy(page + 768, "nqn.2026-01.org.anykvm:", 23);
	memcpy(page + 791, ctrl->serial, strlen(ctrl->serial));
}

/* Figure 245 */
static void identify_namespace(const struct nvme *ctrl, uint8_t *page)
{
	uint64_t sectors = ctrl->disk.size / NVME_SECTOR;

	put64(page + 0, sectors);
	put64(page + 8, sectors);
	put64(page + 16, sectors);
	page[99] = ctrl->disk.read_only; /* write protected */
	page[130] = 9;			 /* format 0: 2^9 bytes, no metadata */
}

/* Figure 249: one descriptor, a UUID made from the serial number. */
static void identify_descriptors(const struct nvme *ctrl, uint8_t *page)
{
	static const uint8_t prefix[8] = {'a', 'n', 'y', 'k', 'v', 'm', 0x80, 0x00};

	page[0] = 3;
	page[1] = 16;
	memcpy(page + 4, prefix, 8);
	page[12] = 0x80;
	memcpy(page + 13, ctrl->serial + 6, strnlen(ctrl->serial + 6, 7));
}

static uint16_t nvme_identify(struct nvme *ctrl, const struct nvme_command *cmd)
{
	uint8_t page[NVME_PAGE] = {0};
	bool all = cmd->nsid == 0xffffffff;

	switch (cmd->cdw10 & 0xff) {
	case 0: /* a namespace; one that is not there reads as zeros */
		if (!cmd->nsid || (cmd->nsid > 1 && !all))
			return NVME_INVALID_NAMESPACE;
		identify_namespace(ctrl, page);
		break;
	case 1:
		identify_controller(ctrl, page);
		break;
	case 2: /* ids of active namespaces above the one given */
		if (cmd->nsid >= 0xfffffffe)
			return NVME_INVALID_NAMESPACE;
		put32(page, cmd->nsid < 1);
		break;
	case 3:
		if (cmd->nsid != 1)
			return NVME_INVALID_NAMESPACE;
		identify_descriptors(ctrl, page);
		break;
	default:
		return NVME_INVALID_FIELD;
	}
	return nvme_return_data(ctrl, cmd, page, sizeof(page));
}

/* Section 5.14.1 */
static uint16_t nvme_get_log(struct nvme *ctrl, const struct nvme_command *cmd)
{
	uint8_t page[NVME_PAGE] = {0};
	uint64_t offset = cmd->cdw12 | (uint64_t)cmd->cdw13 << 32;
	uint64_t length = (((uint64_t)cmd->cdw11 & 0xffff) << 16 | cmd->cdw10 >> 16) * 4 + 4;

	switch (cmd->cdw10 & 0xff) {
	case 1: /* errors: none */
		break;
	case 2:			      /* SMART */
		put16(page + 1, 300); /* kelvin */
		page[3] = 100;	      /* spare capacity, per cent */
		page[4] = 10;
		put64(page + 32, (ctrl->sectors_read + 999) / 1000);
		put64(page + 48, (ctrl->sectors_written + 999) / 1000);
		put64(page + 64, ctrl->reads);
		put64(page + 80, ctrl->writes);
		break;
	case 3: /* firmware slots */
		page[0] = 1;
		put_text(page + 8, 8, "1");
		break;
	default:
		return NVME_LOG_INVALID;
	}
	if (offset || length > sizeof(page))
		return NVME_INVALID_FIELD;
	return nvme_return_data(ctrl, cmd, page, length);
}

static uint16_t nvme_features(struct nvme *ctrl, const struct nvme_command *cmd, bool set,
			      uint32_t *result)
{
	unsigned id = cmd->cdw10 & 0xff;
	unsigned limit = NVME_QUEUES - 2; /* I/O queues, counted from 0 */

	if (!id || id >= sizeof(ctrl->features) / sizeof(ctrl->features[0]) || id == 3 || id >= 12)
		return NVME_INVALID_FIELD;
	if (set && cmd->cdw10 >> 31)
		return NVME_FEATURE_NOT_SAVEABLE;
	if (!set && (cmd->cdw10 >> 8 & 7) == 3) { /* capabilities: changeable */
		*result = 1u << 2;
		return NVME_SUCCESS;
	}
	if (id == FEATURE_QUEUES) {
		if (set && ((cmd->cdw11 & 0xffff) == 0xffff || cmd->cdw11 >> 16 == 0xffff))
			return NVME_INVALID_FIELD;
		*result = limit << 16 | limit;
		return NVME_SUCCESS;
	}
	if (set)
		ctrl->features[id] = cmd->cdw11;
	else
		*result = ctrl->features[id];
	return NVME_SUCCESS;
}

/* Sections 5.3 and 5.4: checks that creating either kind of queue shares. */
static uint16_t nvme_check_queue(const struct nvme *ctrl, const struct nvme_command *cmd,
				 const struct nvme_queue *queues, unsigned entry_size)
{
	unsigned id = cmd->cdw10 & 0xffff, entries = (cmd->cdw10 >> 16) + 1;

	if (!id || id >= NVME_QUEUES || queues[id].valid)
		return NVME_QUEUE_ID_INVALID;
	if (entries < 2 || entries > NVME_MAX_ENTRIES)
		return NVME_QUEUE_SIZE_INVALID;
	if (!(cmd->cdw11 & 1)) /* not contiguous */
		return NVME_INVALID_FIELD;
	if (cmd->prp1 % NVME_PAGE ||
	    !memory_at(ctrl->ram, cmd->prp1, (uint64_t)entries * entry_size))
		return NVME_INVALID_PRP;
	return NVME_SUCCESS;
}

static uint16_t nvme_create_cq(struct nvme *ctrl, const struct nvme_command *cmd)
{
	uint16_t status = nvme_check_queue(ctrl, cmd, ctrl->cq, sizeof(struct nvme_completion));

	if (status)
		return status;
	if (cmd->cdw11 >> 16 >= (msix_is_enabled(&ctrl->pci) ? NVME_QUEUES : 1))
		return NVME_VECTOR_INVALID;
	ctrl->cq[cmd->cdw10 & 0xffff] = (struct nvme_queue){
		.valid = true,
		.base = cmd->prp1,
		.entries = (cmd->cdw10 >> 16) + 1,
		.phase = true,
		.interrupts = cmd->cdw11 & 2,
		.vector = cmd->cdw11 >> 16,
	};
	return NVME_SUCCESS;
}

static uint16_t nvme_create_sq(struct nvme *ctrl, const struct nvme_command *cmd)
{
	uint16_t status = nvme_check_queue(ctrl, cmd, ctrl->sq, sizeof(struct nvme_command));
	unsigned cq = cmd->cdw11 >> 16;

	if (status)
		return status;
	if (!cq || cq >= NVME_QUEUES || !ctrl->cq[cq].valid)
		return NVME_CQ_INVALID;
	ctrl->cq[cq].nr_sqs++;
	ctrl->sq[cmd->cdw10 & 0xffff] = (struct nvme_queue){
		.valid = true,
		.base = cmd->prp1,
		.entries = (cmd->cdw10 >> 16) + 1,
		.cq = cq,
	};
	return NVME_SUCCESS;
}

static uint16_t nvme_delete_queue(struct nvme *ctrl, const struct nvme_command *cmd,
				  struct nvme_queue *queues)
{
	unsigned id = cmd->cdw10 & 0xffff;

	if (!id || id >= NVME_QUEUES || !queues[id].valid)
		return NVME_QUEUE_ID_INVALID;
	if (queues[id].nr_sqs)
		return NVME_DELETE_INVALID;
	if (queues == ctrl->sq)
		ctrl->cq[queues[id].cq].nr_sqs--;
	queues[id].valid = false;
	return NVME_SUCCESS;
}

uint16_t nvme_admin(struct nvme *ctrl, const struct nvme_command *cmd, uint32_t *result)
{
	switch (cmd->opcode) {
	case ADMIN_DELETE_SQ:
		return nvme_delete_queue(ctrl, cmd, ctrl->sq);
	case ADMIN_CREATE_SQ:
		return nvme_create_sq(ctrl, cmd);
	case ADMIN_GET_LOG:
		return nvme_get_log(ctrl, cmd);
	case ADMIN_DELETE_CQ:
		return nvme_delete_queue(ctrl, cmd, ctrl->cq);
	case ADMIN_CREATE_CQ:
		return nvme_create_cq(ctrl, cmd);
	case ADMIN_IDENTIFY:
		return nvme_identify(ctrl, cmd);
	case ADMIN_ABORT:
		*result = 1; /* not aborted: commands are done before the guest can name one */
		return NVME_SUCCESS;
	case ADMIN_SET_FEATURES:
	case ADMIN_GET_FEATURES:
		return nvme_features(ctrl, cmd, cmd->opcode == ADMIN_SET_FEATURES, result);
	case ADMIN_EVENT:
		if (ctrl->nr_events == NVME_EVENTS)
			return NVME_EVENT_LIMIT;
		ctrl->events[ctrl->nr_events++] = cmd->cid;
		return NVME_NO_COMPLETION;
	default:
		return NVME_INVALID_OPCODE;
	}
}
