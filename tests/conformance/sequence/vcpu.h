/* SPDX-License-Identifier: MIT */
/* vCPUs: their features, registers, states and attributes. */
#ifndef ANYKVM_TESTS_SEQUENCE_VCPU_H
#define ANYKVM_TESTS_SEQUENCE_VCPU_H

#include "machine.h"

#define MOST_REGS 1024

struct reg_list {
	uint64_t n;
	uint64_t reg[MOST_REGS];
};

static struct reg_list
	known; /* of a vCPU with all that is asked for here; ours alone and theirs alone left out */

#define SYSREG(op0, op1, crn, crm, op2) ARM64_SYS_REG(op0, op1, crn, crm, op2)

/* --- registers that say what the CPU is ---------------------------------------------------------------------------------- */

/* There on one CPU and not on another: SCTLR2_EL1, TCR2_EL1, PIRE0_EL1, PIR_EL1, POR_EL0, POR_EL1, S2POR_EL1, FPMR, SMPRI, SMCR... */
static bool is_optional(uint64_t id)
{
	static const uint64_t ids[] = {
		SYSREG(3, 0, 1, 0, 3),	SYSREG(3, 0, 2, 0, 3),	SYSREG(3, 0, 10, 2, 2),
		SYSREG(3, 0, 10, 2, 3), SYSREG(3, 3, 4, 4, 2),	SYSREG(3, 0, 10, 2, 4),
		SYSREG(3, 3, 10, 2, 4), SYSREG(3, 0, 10, 2, 5), SYSREG(3, 0, 1, 2, 0),
		SYSREG(3, 0, 1, 0, 5),	SYSREG(3, 0, 1, 0, 6),	SYSREG(3, 0, 5, 6, 0),
		SYSREG(3, 0, 5, 6, 1),
	};

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		if (ids[i] == id)
			return true;
	return (id & 0x0fff0000) == KVM_REG_ARM64_SVE;
}

static bool is_sysreg(uint64_t id)
{
	return (id & ~0xffffull) == (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM64_SYSREG);
}

/* Whose value is the CPU's, or the clock's. */
static bool is_of_host(uint64_t id)
{
	uint64_t reg = id & 0xffff;

	if ((id & KVM_REG_ARM_COPROC_MASK) == KVM_REG_ARM_DEMUX ||
	    id == KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_1 ||
	    id == KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_2 || id == KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_3)
		return true;
	if (!is_sysreg(id) || id == SYSREG(3, 0, 0, 0, 5)) /* MPIDR_EL1 is the VMM's */
		return false;
	/* The identification registers, CLIDR_EL1, CCSIDR2_EL1, AIDR_EL1, CTR_EL0, DCZID_EL0. */
	if ((reg >= 0xc000 && reg < 0xc040) || (reg >= 0xc800 && reg < 0xc808) || reg == 0xd801 ||
	    reg == 0xd807)
		return true;
	/* AFSR0_EL1, AFSR1_EL1, AMAIR_EL1. */
	if (reg == 0xc288 || reg == 0xc289 || reg == 0xc518)
		return true;
	/* PMCR_EL0, PMCEIDn_EL0, PMCCNTR_EL0, the counters. */
	return reg == 0xdce0 || reg == 0xdce6 || reg == 0xdce7 || reg == 0xdce8 || reg == 0xdf00 ||
	       reg == 0xdf01 || reg == 0xdf1a;
}

/* Bits that there are on some CPUs: PMEVTYPER<n>_EL0.NSH needs EL2. */
static uint64_t bits_of_host(uint64_t id)
{
	return is_sysreg(id) && (id & 0xffe0) == 0xdf60 ? 1u << 27 : 0;
}

/* --- life ---------------------------------------------------------------------------------------------------------------- */

static void create_cpu(struct vm *vm, unsigned n, unsigned long id)
{
	struct cpu *cpu = &vm->cpu[n];
	int fd;

	say_vm("CREATE_VCPU", vm);
	say(" as %u", n);
	say_hex("id", id);
	fd = ioctl(vm->fd, KVM_CREATE_VCPU, id);
	say_fd(fd);
	end_line();
	if (fd < 0)
		return;
	close_cpu(cpu);
	cpu->fd = fd;
	cpu->run = mmap(NULL, mmap_size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (cpu->run == MAP_FAILED)
		cpu->run = NULL;
}

static void step_create_cpu(struct target *t)
{
	static const unsigned long odd[] = {4, 15, 16, 255, 256, 511, 512, 1ul << 32, ~0ul};
	struct vm *vm = t->vm;
	unsigned n = below(NR_CPUS);
	unsigned long id = one_in(6) ? PICK(odd) : n;

	/* Hosts with a GICv2 have 8 at most. */
	create_cpu(vm, n, gic_v2 && id != n ? below(8) : id);
}

static void init_cpu(struct vm *vm, struct cpu *cpu, struct kvm_vcpu_init *init)
{
	say_cpu("ARM_VCPU_INIT", vm, cpu);
	say(" target %x features %x", init->target, init->features[0]);
	for (unsigned i = 1; i < 7; i++)
		if (init->features[i])
			say(" %u:%x", i, init->features[i]);
	say_answer(ioctl(cpu->fd, KVM_ARM_VCPU_INIT, argument(init)));
	end_line();
	cpu->strange = false;
	cpu->guest = -1;
}

/* AArch32, SVE and EL2 are left to what offers them. */
#define ASKABLE                                                                                   \
	(1u << KVM_ARM_VCPU_POWER_OFF | 1u << KVM_ARM_VCPU_PSCI_0_2 | 1u << KVM_ARM_VCPU_PMU_V3 | \
	 3u << KVM_ARM_VCPU_PTRAUTH_ADDRESS)

static unsigned draw_features(void)
{
	static const unsigned usual[] = {0x04, 0x04, 0x0c, 0x0c, 0x6c, 0x64, 0x00, 0x24};

	return one_in(8) ? draw() & ASKABLE : PICK(usual);
}

static void step_init(struct target *t)
{
	struct vm *vm = t->vm;
	struct cpu *cpu = t->cpu;
	struct kvm_vcpu_init init = {.target = KVM_ARM_TARGET_GENERIC_V8};

	init.features[0] = one_in(10) ? draw_features() : vm->features;
	init.features[0] |= one_in(4);
	if (one_in(16))
		init.target = one_in(2) ? below(8) : draw();
	if (one_in(16))
		init.features[0] |= 1u << (9 + below(23));
	if (one_in(24))
		init.features[1 + below(6)] = 1;
	init_cpu(vm, cpu, &init);
}

static void step_preferred_target(struct target *t)
{
	struct vm *vm = t->vm;
	struct kvm_vcpu_init init;
	int r;

	memset(&init, 0xa5, sizeof(init));
	say_vm("ARM_PREFERRED_TARGET", vm);
	r = ioctl(vm->fd, KVM_ARM_PREFERRED_TARGET, argument(&init));
	say_answer(r);
	say(" %x %llx", init.target,
	    (unsigned long long)hash_of(init.features, sizeof(init.features)));
	end_line();
}

static void step_finalize(struct target *t)
{
	struct vm *vm = t->vm;
	struct cpu *cpu = t->cpu;
	int what = below(10);

	say_cpu("ARM_VCPU_FINALIZE", vm, cpu);
	say(" %d", what);
	say_answer(ioctl(cpu->fd, KVM_ARM_VCPU_FINALIZE, argument(&what)));
	end_line();
}

/* --- registers ----------------------------------------------------------------------------------------------------------- */

static uint64_t draw_reg(void)
{
	uint64_t id = known.reg[below(known.n)];

	if (one_in(10))
		id ^= 1ull << below(24);
	if (one_in(40))
		id ^= 1ull << (52 + below(4));
	if (one_in(60))
		id = draw();
	return is_optional(id) ? KVM_REG_ARM_PSCI_VERSION : id;
}

static void get_reg(struct vm *vm, struct cpu *cpu, uint64_t id)
{
	uint64_t value[32] = {0};
	struct kvm_one_reg r = {.id = id};
	int ret;

	say_cpu("GET_ONE_REG", vm, cpu);
	say_hex("id", id);
	r.addr = (uintptr_t)argument(value);
	ret = ioctl(cpu->fd, KVM_GET_ONE_REG, argument(&r));
	say_answer(ret);
	if (!ret && !is_of_host(id)) {
		say(" %llx", (unsigned long long)(value[0] & ~bits_of_host(id)));
		if (KVM_REG_SIZE(id) > 8)
			say(" %llx", (unsigned long long)hash_of(value, sizeof(value)));
	}
	end_line();
}

static void step_get_reg(struct target *t)
{
	struct vm *vm = t->vm;
	struct cpu *cpu = t->cpu;

	get_reg(vm, cpu, draw_reg());
}

static uint64_t draw_value(uint64_t id)
{
	/* What firmware registers hold is small. */
	if ((id & KVM_REG_ARM_COPROC_MASK) == KVM_REG_ARM_FW ||
	    (id & KVM_REG_ARM_COPROC_MASK) == KVM_REG_ARM_FW_FEAT_BMAP) {
		static const uint64_t values[] = {
			0, 1, 2, 3, 4, 0x10, 0x12, 0x10000, 0x10001, 0x10002, 0x10003, 0x10004};

		return one_in(8) ? draw_word() : PICK(values);
	}
	/* Bits that the timers' control registers have not are kept until a real timer gets them. */
	if (id == KVM_REG_ARM_TIMER_CTL || id == KVM_REG_ARM_PTIMER_CTL)
		return below(4);
	return draw_word();
}

static void step_set_reg(struct target *t)
{
	struct vm *vm = t->vm;
	struct cpu *cpu = t->cpu;
	uint64_t id = draw_reg();
	uint64_t value[32] = {0};
	struct kvm_one_reg r = {.id = id, .addr = (uintptr_t)value};
	bool own = one_in(4) || is_of_host(id);

	for (unsigned i = 0; i < KVM_REG_SIZE(id) / 8 && i < 32; i++)
		value[i] = draw_value(id);
	if (KVM_REG_SIZE(id) < 8)
		value[0] = draw_value(id);
	if (own)
		ioctl(cpu->fd, KVM_GET_ONE_REG, &r);
	cpu->strange = true;
	say_cpu("SET_ONE_REG", vm, cpu);
	say_hex("id", id);
	if (own)
		say(" its own");
	else
		say_hex("value", value[0]);
	r.addr = (uintptr_t)argument(value);
	say_answer(ioctl(cpu->fd, KVM_SET_ONE_REG, argument(&r)));
	end_line();
	get_reg(vm, cpu, id);
}

static void step_reg_list(struct target *t)
{
	static struct reg_list list;
	struct vm *vm = t->vm;
	struct cpu *cpu = t->cpu;
	unsigned form = below(4), kept = 0;
	int r;

	list.n = 0;
	say_cpu("GET_REG_LIST", vm, cpu);
	say(" form %u", form);
	if (form)
		ioctl(cpu->fd, KVM_GET_REG_LIST, &list);
	list.n = form == 2 && list.n ? list.n - 1 : form == 3 ? MOST_REGS : list.n;
	r = ioctl(cpu->fd, KVM_GET_REG_LIST, argument(&list));
	say_answer(r);
	if (!r) {
		for (unsigned i = 0; i < list.n && i < MOST_REGS; i++)
			if (!is_optional(list.reg[i]))
				list.reg[kept++] = list.reg[i];
		say(" %u %llx", kept,
		    (unsigned long long)hash_of(list.reg, kept * sizeof(list.reg[0])));
	}
	end_line();
}

/* --- state --------------------------------------------------------------------------------------------------------------- */

static void step_mp_state(struct target *t)
{
	struct vm *vm = t->vm;
	struct cpu *cpu = t->cpu;
	struct kvm_mp_state s = {.mp_state = one_in(3) ? below(12) : 0};
	int r;

	if (one_in(2)) {
		say_cpu("SET_MP_STATE", vm, cpu);
		say(" %u", s.mp_state);
		say_answer(ioctl(cpu->fd, KVM_SET_MP_STATE, argument(&s)));
		end_line();
	}
	s.mp_state = 99;
	say_cpu("GET_MP_STATE", vm, cpu);
	r = ioctl(cpu->fd, KVM_GET_MP_STATE, argument(&s));
	say_answer(r);
	say(" %u", s.mp_state);
	end_line();
}

static void get_events(struct vm *vm, struct cpu *cpu)
{
	struct kvm_vcpu_events e;
	int r;

	memset(&e, 0xa5, sizeof(e));
	say_cpu("GET_VCPU_EVENTS", vm, cpu);
	r = ioctl(cpu->fd, KVM_GET_VCPU_EVENTS, argument(&e));
	say_answer(r);
	say(" serror %u esr %u %llx dabt %u", e.exception.serror_pending,
	    e.exception.serror_has_esr, (unsigned long long)e.exception.serror_esr,
	    e.exception.ext_dabt_pending);
	end_line();
}

static void step_events(struct target *t)
{
	struct vm *vm = t->vm;
	struct cpu *cpu = t->cpu;
	struct kvm_vcpu_events e = {0};
	unsigned at;

	if (one_in(3)) {
		get_events(vm, cpu);
		return;
	}
	e.exception.serror_pending = one_in(12) ? below(256) : one_in(2);
	e.exception.serror_has_esr = one_in(12) ? below(256) : one_in(2);
	e.exception.ext_dabt_pending = one_in(12) ? below(256) : one_in(4);
	e.exception.serror_esr = one_in(4) ? draw_word() : below(0x2000000);
	at = below(5);
	e.exception.pad[at] = one_in(24);
	at = below(12);
	e.reserved[at] = one_in(24);
	say_cpu("SET_VCPU_EVENTS", vm, cpu);
	say(" serror %u esr %u %llx dabt %u hash %llx", e.exception.serror_pending,
	    e.exception.serror_has_esr, (unsigned long long)e.exception.serror_esr,
	    e.exception.ext_dabt_pending, (unsigned long long)hash_of(&e, sizeof(e)));
	say_answer(ioctl(cpu->fd, KVM_SET_VCPU_EVENTS, argument(&e)));
	end_line();
	cpu->strange = vm->signalled = true;
	get_events(vm, cpu);
}

static void step_debug(struct target *t)
{
	static const unsigned controls[] = {0,	     1,	      1, 3, 0x10001, 0x10003, 0x20001,
					    0x20003, 0x30001, 2, 4, 0x40001, 0x20000};
	struct vm *vm = t->vm;
	struct cpu *cpu = t->cpu;
	struct kvm_guest_debug d = {0};

	d.control = one_in(8) ? draw_word() : PICK(controls);
	say_cpu("SET_GUEST_DEBUG", vm, cpu);
	say_hex("control", d.control);
	cpu->debugged = true;
	say_answer(ioctl(cpu->fd, KVM_SET_GUEST_DEBUG, argument(&d)));
	end_line();
}

/* Requests that are other architectures', and a wrong kind of descriptor. */
static void step_not_here(struct target *t)
{
	static const struct {
		const char *name;
		unsigned long request;
	} odd[] = {
		{"GET_REGS", KVM_GET_REGS},
		{"GET_SREGS", KVM_GET_SREGS},
		{"GET_FPU", KVM_GET_FPU},
		{"TRANSLATE", KVM_TRANSLATE},
		{"NMI", KVM_NMI},
		{"PRE_FAULT_MEMORY", KVM_PRE_FAULT_MEMORY},
		{"SET_REGS", KVM_SET_REGS},
		{"KVMCLOCK_CTRL", KVM_KVMCLOCK_CTRL},
		{"CREATE_VM", KVM_CREATE_VM},
		{"GET_API_VERSION", KVM_GET_API_VERSION},
		{"CHECK_EXTENSION", KVM_CHECK_EXTENSION},
		{"GET_MP_STATE", KVM_GET_MP_STATE},
		{"GET_REG_LIST", KVM_GET_REG_LIST},
		{"SMI", KVM_SMI},
		{"GET_VCPU_MMAP_SIZE", KVM_GET_VCPU_MMAP_SIZE},
		{"MTE_COPY_TAGS", KVM_ARM_MTE_COPY_TAGS},
		{"RUN", KVM_RUN},
	};
	static uint64_t room[600];
	unsigned n = below(sizeof(odd) / sizeof(odd[0])), on = below(5), value = below(2);
	struct vm *vm = t->vm;
	struct cpu *cpu = t->cpu;
	struct device *dev = t->dev;
	int fd = on == 0   ? kvm
		 : on == 1 ? vm->fd
		 : on == 2 ? dev->fd
		 : on == 3 ? cpu->fd
			   : vm->gmem[0];

	/* Those that would make something, or let a guest run. */
	if ((!on && odd[n].request == KVM_CREATE_VM) ||
	    (on == 3 && odd[n].request == KVM_RUN && !value))
		return;
	memset(room, 0, sizeof(room));
	say("%s on %u %s", odd[n].name, on, value ? "1" : "room");
	say_answer(ioctl(fd, odd[n].request,
			 value			     ? (void *)1
			 : odd[n].request == KVM_RUN ? NULL
						     : room) < 0
			   ? -1
			   : 0);
	end_line();
}

/* --- attributes ---------------------------------------------------------------------------------------------------------- */

/* For any attribute of 8 bytes at most: what is asked, with the value before or after. */
static void ask_attribute(int fd, unsigned what, unsigned group, uint64_t attr, uint64_t value)
{
	static const unsigned long requests[] = {KVM_HAS_DEVICE_ATTR, KVM_SET_DEVICE_ATTR,
						 KVM_GET_DEVICE_ATTR};
	static const char *names[] = {"has", "set", "get"};
	struct kvm_device_attr a = {.group = group, .attr = attr};
	int r;

	a.flags = one_in(40);
	if (what == 2)
		value = 0;
	say(" %s %u %llx", names[what], group, (unsigned long long)attr);
	if (what == 1)
		say_hex("value", value);
	if (a.flags)
		say(" flags");
	a.addr = (uintptr_t)argument(&value);
	r = ioctl(fd, requests[what], argument(&a));
	say_answer(r);
	if (!r && what == 2)
		say(" %llx", (unsigned long long)value);
	end_line();
}

static void step_cpu_attribute(struct target *t)
{
	struct vm *vm = t->vm;
	struct cpu *cpu = t->cpu;
	unsigned what = below(3);
	unsigned group = one_in(20) ? draw() : below(3);
	uint64_t attr = one_in(20) ? draw_word() : below(3);
	struct kvm_pmu_event_filter filter = {0};
	uint64_t value = 0;

	if (group == KVM_ARM_VCPU_PMU_V3_CTRL) {
		if (attr == KVM_ARM_VCPU_PMU_V3_IRQ) {
			value = one_in(4) ? below(1100) : 16 + below(20);
		} else if (attr == KVM_ARM_VCPU_PMU_V3_FILTER) {
			filter.base_event = one_in(4) ? draw() : below(64);
			filter.nevents = one_in(4) ? draw() : below(64);
			filter.action = one_in(8) ? draw() : below(2);
			memcpy(&value, &filter, sizeof(value));
		} else if (attr == KVM_ARM_VCPU_PMU_V3_SET_PMU) {
			value = 0x7fff0000 + below(100);
		} else {
			value = below(8);
		}
	} else if (group == KVM_ARM_VCPU_TIMER_CTRL) {
		value = one_in(4) ? draw_word() : 16 + below(20);
	} else {
		value = one_in(4) ? draw_word() : RAM + below(64) * 64ull;
	}
	say_cpu("attribute", vm, cpu);
	ask_attribute(cpu->fd, what, group, attr, value);
}

#endif
