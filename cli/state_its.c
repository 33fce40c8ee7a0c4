/* SPDX-License-Identifier: MIT */
/*
 * LPIs and the ITS. Most of their state moves with the guest's memory: state_its_to_memory, once the guest stands still, makes KVM
 * write translations and pending bits to the guest's tables. What is left are the registers that say where the tables are. Loading
 * goes by the order of KVM's documentation: redistributors, with LPIs on last, the ITS but for its switch, the tables, the switch.
 */
#include <errno.h>
#include <string.h>

#include "machine.h"
#include "state.h"

enum {
	GICR_CTLR = 0x00,
	GICR_PROPBASER = 0x70,
	GICR_PENDBASER = 0x78,
	GITS_CTLR = 0x00,
	GITS_CBASER = 0x80,
	GITS_CWRITER = 0x88,
	GITS_CREADR = 0x90,
	GITS_BASER = 0x100,
};

#define GICR_CTLR_ENABLE_LPIS 1u

static int device_access(const struct machine *m, int fd, bool set, uint32_t group, uint64_t attr,
			 void *value)
{
	struct kvm_device_attr request = {.group = group, .attr = attr, .addr = (uintptr_t)value};

	return m->accel->ioctl(fd, set ? KVM_SET_DEVICE_ATTR : KVM_GET_DEVICE_ATTR, &request);
}

static void register_fail(struct state *state, const char *frame, uint32_t offset)
{
	state_fail(state, "register 0x%x of the %s: %s", offset, frame, strerror(errno));
}

static void its_register(struct state *state, struct machine *m, uint32_t offset)
{
	uint64_t value = 0;

	if (!state->loading &&
	    device_access(m, m->its_fd, false, KVM_DEV_ARM_VGIC_GRP_ITS_REGS, offset, &value) < 0)
		register_fail(state, "ITS", offset);
	state_value(state, value);
	if (state_is_good(state) && state->loading &&
	    device_access(m, m->its_fd, true, KVM_DEV_ARM_VGIC_GRP_ITS_REGS, offset, &value) < 0)
		register_fail(state, "ITS", offset);
}

static void redist_register(struct state *state, struct machine *m, unsigned vcpu, uint32_t offset,
			    uint32_t mask)
{
	uint64_t attr = (m->vcpus[vcpu].mpidr & 0xffffff) << 32 | offset;
	uint32_t value = 0;

	if (!state->loading &&
	    device_access(m, m->gic_fd, false, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, attr, &value) < 0)
		register_fail(state, "redistributor", offset);
	value &= mask;
	state_value(state, value);
	if (state_is_good(state) && state->loading &&
	    device_access(m, m->gic_fd, true, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, attr, &value) < 0)
		register_fail(state, "redistributor", offset);
}

static void redistributors(struct state *state, struct machine *m)
{
	for (unsigned i = 0; i < m->nr_vcpus; i++)
		for (uint32_t offset = GICR_PROPBASER; offset < GICR_PENDBASER + 8; offset += 4)
			redist_register(state, m, i, offset, ~0u);
	for (unsigned i = 0; i < m->nr_vcpus; i++)
		redist_register(state, m, i, GICR_CTLR, GICR_CTLR_ENABLE_LPIS);
}

void state_its(struct state *state, struct machine *m)
{
	bool exists = m->its_fd >= 0;

	state_bool(state, &exists);
	if (exists != (m->its_fd >= 0))
		state_fail(state, "only one of both hosts has an ITS");
	if (!exists || !state_is_good(state))
		return;
	redistributors(state, m);
	its_register(state, m, GITS_CBASER);
	its_register(state, m, GITS_BASER);
	its_register(state, m, GITS_BASER + 8);
	its_register(state, m, GITS_CWRITER);
	its_register(state, m, GITS_CREADR);
	if (state_is_good(state) && state->loading &&
	    device_access(m, m->its_fd, true, KVM_DEV_ARM_VGIC_GRP_CTRL,
			  KVM_DEV_ARM_ITS_RESTORE_TABLES, NULL) < 0)
		state_fail(state, "the tables of the ITS: %s", strerror(errno));
	its_register(state, m, GITS_CTLR);
}

int state_its_to_memory(struct machine *m)
{
	if (m->its_fd < 0)
		return 0;
	if (device_access(m, m->gic_fd, true, KVM_DEV_ARM_VGIC_GRP_CTRL,
			  KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES, NULL) < 0 ||
	    device_access(m, m->its_fd, true, KVM_DEV_ARM_VGIC_GRP_CTRL,
			  KVM_DEV_ARM_ITS_SAVE_TABLES, NULL) < 0)
		return -errno;
	return 0;
}
