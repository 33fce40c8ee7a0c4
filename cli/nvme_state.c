/* SPDX-License-Identifier: MIT */
/* What of a controller moves with a migrating guest. Commands run within the store that rings their doorbell, so none is under way. */
#include <string.h>

#include "nvme.h"

#define ADMIN_MAX_ENTRIES 4096u /* more than other queues have: what AQA can say */

static void queue_state(struct nvme *ctrl, struct state *state, struct nvme_queue *queue,
			uint32_t entry_bytes)
{
	state_bool(state, &queue->valid);
	state_value(state, queue->base);
	state_value(state, queue->entries);
	state_value(state, queue->head);
	state_value(state, queue->tail);
	state_value(state, queue->cq);
	state_bool(state, &queue->phase);
	state_bool(state, &queue->interrupts);
	state_value(state, queue->vector);
	if (!queue->valid) {
		*queue = (struct nvme_queue){0};
		return;
	}
	if (queue->entries < 2 || queue->entries > ADMIN_MAX_ENTRIES ||
	    queue->head >= queue->entries || queue->tail >= queue->entries ||
	    queue->cq >= NVME_QUEUES || queue->vector >= NVME_QUEUES || queue->base % NVME_PAGE ||
	    !memory_at(ctrl->ram, queue->base, (uint64_t)queue->entries * entry_bytes))
		state_fail(state, "an impossible queue");
}

/* How many submission queues a completion queue serves follows from them. */
static void queues_link(struct nvme *ctrl, struct state *state)
{
	for (unsigned i = 0; i < NVME_QUEUES; i++)
		ctrl->cq[i].nr_sqs = 0;
	for (unsigned i = 0; i < NVME_QUEUES; i++) {
		struct nvme_queue *sq = &ctrl->sq[i];

		if (!sq->valid)
			continue;
		if (!ctrl->cq[sq->cq].valid || (!i && sq->cq)) {
			state_fail(state, "a queue without completions");
			return;
		}
		ctrl->cq[sq->cq].nr_sqs++;
	}
}

void nvme_state(struct nvme *ctrl, struct state *state)
{
	pci_state(&ctrl->pci, state);
	state_value(state, ctrl->intms);
	state_value(state, ctrl->cc);
	state_value(state, ctrl->csts);
	state_value(state, ctrl->aqa);
	state_value(state, ctrl->asq);
	state_value(state, ctrl->acq);
	for (unsigned i = 0; i < NVME_QUEUES && state_is_good(state); i++) {
		queue_state(ctrl, state, &ctrl->sq[i], sizeof(struct nvme_command));
		queue_state(ctrl, state, &ctrl->cq[i], sizeof(struct nvme_completion));
	}
	state_value(state, ctrl->nr_events);
	state_bytes(state, ctrl->events, sizeof(ctrl->events));
	state_bytes(state, ctrl->features, sizeof(ctrl->features));
	if (ctrl->nr_events > NVME_EVENTS) {
		ctrl->nr_events = 0;
		state_fail(state, "too many outstanding events");
	}
	if (!state->loading)
		return;
	if (state_is_good(state))
		queues_link(ctrl, state);
	if (state_is_good(state))
		return;
	/* Nothing of it is to be used, not even by mistake. */
	memset(ctrl->sq, 0, sizeof(ctrl->sq));
	memset(ctrl->cq, 0, sizeof(ctrl->cq));
	ctrl->csts = 0;
}
