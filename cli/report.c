/* SPDX-License-Identifier: MIT */
/* Registers of a vCPU that cannot go on. */
#include <stdio.h>

#include "machine.h"

#define CORE(field) \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(field))

static const struct {
	const char *name;
	uint64_t id;
} system_registers[] = {
	{"sp_el1", CORE(sp_el1)},
	{"elr_el1", CORE(elr_el1)},
	{"spsr_el1", CORE(spsr[KVM_SPSR_EL1])},
	{"esr_el1", ARM64_SYS_REG(3, 0, 5, 2, 0)},
	{"far_el1", ARM64_SYS_REG(3, 0, 6, 0, 0)},
	{"vbar_el1", ARM64_SYS_REG(3, 0, 12, 0, 0)},
	{"sctlr_el1", ARM64_SYS_REG(3, 0, 1, 0, 0)},
	{"tcr_el1", ARM64_SYS_REG(3, 0, 2, 0, 2)},
	{"ttbr0_el1", ARM64_SYS_REG(3, 0, 2, 0, 0)},
	{"ttbr1_el1", ARM64_SYS_REG(3, 0, 2, 0, 1)},
	{"mair_el1", ARM64_SYS_REG(3, 0, 10, 2, 0)},
};

static uint64_t get(const struct machine_vcpu *vcpu, uint64_t id)
{
	uint64_t value;

	vcpu_get_register(vcpu, id, &value);
	return value;
}

void report_vcpu(const struct machine_vcpu *vcpu)
{
	char line[128];
	int used = 0;

	cli_say("  pc %016llx  pstate %08llx  sp_el0 %016llx", get(vcpu, CORE(regs.pc)) + 0ull,
		get(vcpu, CORE(regs.pstate)) + 0ull, get(vcpu, CORE(regs.sp)) + 0ull);
	for (unsigned i = 0; i < 31; i++) {
		uint64_t id = CORE(regs.regs[0]) + i * 2; /* counted in words of 4 bytes */

		used += snprintf(line + used, sizeof(line) - used, "  x%-2u %016llx", i,
				 get(vcpu, id) + 0ull);
		if (i % 3 == 2 || i == 30) {
			cli_say("%s", line);
			used = 0;
		}
	}
	for (unsigned i = 0; i < sizeof(system_registers) / sizeof(system_registers[0]); i++)
		cli_say("  %-9s %016llx", system_registers[i].name,
			get(vcpu, system_registers[i].id) + 0ull);
}

void report_where(const struct machine_vcpu *vcpu)
{
	struct kvm_mp_state state = {0};
	bool off = !vcpu->machine->accel->ioctl(vcpu->fd, KVM_GET_MP_STATE, &state) &&
		   state.mp_state == KVM_MP_STATE_STOPPED;

	if (off)
		cli_say("  vCPU %u: off", vcpu->index);
	else
		cli_say("  vCPU %u: pc %016llx  x30 %016llx  pstate %08llx", vcpu->index,
			get(vcpu, CORE(regs.pc)) + 0ull, get(vcpu, CORE(regs.regs[30])) + 0ull,
			get(vcpu, CORE(regs.pstate)) + 0ull);
}
