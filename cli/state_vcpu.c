/* SPDX-License-Identifier: MIT */
/*
 * Registers, events and power state of a vCPU, whichever KVM lists. Ids and values travel as KVM gives them; the destination wants
 * the same ids in the same order, which is what an equal machine on an equal KVM has. The power state comes last: registers of a
 * vCPU that CPU_ON has just started are those of the start.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"
#include "state.h"

#define REG_MAX_BYTES 256u

static size_t reg_bytes(uint64_t id)
{
	return 1u << ((id & KVM_REG_SIZE_MASK) >> KVM_REG_SIZE_SHIFT);
}

/* Counters belong to the machine, not to a vCPU, and go on by clock_write(). */
static bool reg_is_clock(uint64_t id)
{
	return id == KVM_REG_ARM_TIMER_CNT || id == KVM_REG_ARM_PTIMER_CNT;
}

/* To be freed; null with errno. */
static struct kvm_reg_list *reg_list(const struct machine_vcpu *vcpu)
{
	struct machine *m = vcpu->machine;
	struct kvm_reg_list head = {0}, *list;

	if (m->accel->ioctl(vcpu->fd, KVM_GET_REG_LIST, &head) >= 0 || errno != E2BIG)
		return NULL;
	list = calloc(1, sizeof(*list) + head.n * sizeof(list->reg[0]));
	if (!list)
		return NULL;
	list->n = head.n;
	if (m->accel->ioctl(vcpu->fd, KVM_GET_REG_LIST, list) >= 0)
		return list;
	free(list);
	return NULL;
}

static void state_register(struct state *state, const struct machine_vcpu *vcpu, uint64_t id)
{
	const struct accel *accel = vcpu->machine->accel;
	_Alignas(16) uint8_t value[REG_MAX_BYTES];
	struct kvm_one_reg request = {.id = id, .addr = (uintptr_t)value};
	uint64_t named = id;

	if (reg_bytes(id) > sizeof(value)) {
		state_fail(state, "register 0x%llx is too large", id + 0ull);
		return;
	}
	if (!state->loading && accel->ioctl(vcpu->fd, KVM_GET_ONE_REG, &request) < 0)
		state_fail(state, "reading register 0x%llx: %s", id + 0ull, strerror(errno));
	state_value(state, named);
	if (named != id) {
		state_fail(state, "the CPUs have other registers (0x%llx, not 0x%llx)",
			   named + 0ull, id + 0ull);
		return;
	}
	state_bytes(state, value, reg_bytes(id));
	if (!state_is_good(state) || !state->loading)
		return;
	if (accel->ioctl(vcpu->fd, KVM_SET_ONE_REG, &request) < 0)
		state_fail(state, "the CPUs differ: register 0x%llx cannot be set: %s", id + 0ull,
			   strerror(errno));
}

static void state_registers(struct state *state, const struct machine_vcpu *vcpu)
{
	struct kvm_reg_list *list = reg_list(vcpu);
	uint64_t nr;

	if (!list) {
		state_fail(state, "listing registers: %s", strerror(errno));
		return;
	}
	nr = list->n;
	state_value(state, nr);
	if (nr != list->n)
		state_fail(state, "the CPUs differ: %llu registers, not %llu", nr + 0ull,
			   list->n + 0ull);
	for (uint64_t i = 0; i < list->n && state_is_good(state); i++)
		if (!reg_is_clock(list->reg[i]))
			state_register(state, vcpu, list->reg[i]);
	free(list);
}

void state_vcpu(struct state *state, struct machine *m, unsigned index)
{
	const struct machine_vcpu *vcpu = &m->vcpus[index];
	struct kvm_vcpu_events events = {0};
	struct kvm_mp_state power = {0};
	const struct accel *accel = m->accel;

	state_registers(state, vcpu);
	if (!state_is_good(state))
		return;
	if (!state->loading && (accel->ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events) < 0 ||
				accel->ioctl(vcpu->fd, KVM_GET_MP_STATE, &power) < 0))
		state_fail(state, "%s", strerror(errno));
	state_value(state, events);
	state_value(state, power);
	if (!state_is_good(state) || !state->loading)
		return;
	if (accel->ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events) < 0 ||
	    accel->ioctl(vcpu->fd, KVM_SET_MP_STATE, &power) < 0)
		state_fail(state, "events or power state: %s", strerror(errno));
}

int clock_read(struct machine *m, struct state_clock *clock)
{
	*clock = (struct state_clock){0};
	if (!vcpu_get_register(&m->vcpus[0], KVM_REG_ARM_TIMER_CNT, &clock->virtual_count))
		return -errno;
	/* Older KVM shows guests the host's own physical count, and has no such register. */
	if (!vcpu_get_register(&m->vcpus[0], KVM_REG_ARM_PTIMER_CNT, &clock->physical_count) &&
	    errno != ENOENT)
		return -errno;
	return 0;
}

int clock_write(struct machine *m, const struct state_clock *clock)
{
	if (!vcpu_set_register(&m->vcpus[0], KVM_REG_ARM_TIMER_CNT, clock->virtual_count))
		return -errno;
	if (clock->physical_count &&
	    !vcpu_set_register(&m->vcpus[0], KVM_REG_ARM_PTIMER_CNT, clock->physical_count))
		return -errno;
	return 0;
}
