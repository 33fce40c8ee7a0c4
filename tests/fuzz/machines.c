/* SPDX-License-Identifier: MIT */
/* Machines that work: the right things in the right order, and what their guests run. Without them few requests would get far. */
#include "sequence.h"
#include "../gic3.h"

#define VECTORS 0x800

/*
 * A page, the same each time: guests start there. At the end of its code a store to DEVICE leaves KVM_RUN, and all begins anew.
 */
void make_guest_code(uint32_t *code)
{
	static const uint32_t end[] = {0xd2a20011 /* MOVZ X17, #0x1000, LSL #16 */,
				       0xb9000231 /* STR W17, [X17] */, 0x17fffe02 /* B start */};
	uint64_t state = 88172645463325252ull;

	for (unsigned i = 0; i < VECTORS / 4; i++) {
		uint64_t r = next_random(&state);

		code[i] = likely_instruction((uint32_t)(r >> 32), (unsigned)r);
	}
	memcpy(&code[VECTORS / 4 - 3], end, sizeof(end));
	put_vectors(&code[VECTORS / 4], true);
}

/* --- interrupt controllers ------------------------------------------------------------------------------------------------- */

static void set_device(int fd, uint32_t group, uint64_t attr, uint64_t value)
{
	struct kvm_device_attr a = {.group = group, .attr = attr, .addr = (uintptr_t)&value};

	ioctl(fd, KVM_SET_DEVICE_ATTR, &a);
}

/* With tables and a queue in the guest's memory, and on. */
static int make_its(int vm)
{
	const uint32_t regs = KVM_DEV_ARM_VGIC_GRP_ITS_REGS;
	struct kvm_create_device cd = {.type = KVM_DEV_TYPE_ARM_VGIC_ITS, .fd = -1};

	ioctl(vm, KVM_CREATE_DEVICE, &cd);
	set_device(cd.fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_ITS_ADDR_TYPE, GIC_ITS);
	set_device(cd.fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0);
	set_device(cd.fd, regs, 0x80, 1ull << 63 | ITS_QUEUE);
	set_device(cd.fd, regs, 0x100, 1ull << 63 | ITS_TABLES);
	set_device(cd.fd, regs, 0x108, 1ull << 63 | (ITS_TABLES + 16 * PAGE));
	set_device(cd.fd, regs, 0, 1);
	return cd.fd;
}

/* LPIs on, for what an ITS sends: two of a device, on a vCPU. */
static void enable_lpis(int gic)
{
	const uint32_t regs = KVM_DEV_ARM_VGIC_GRP_REDIST_REGS;

	set_device(gic, regs, 0x70, (LPI_TABLES & ~0xfffull) | 15);
	set_device(gic, regs, 0x78, LPI_TABLES + 64 * PAGE);
	set_device(gic, regs, 0, 1);
}

/* From creadr on, which cannot be set while an ITS is on: the place of command n. */
static uint64_t *its_command(uint64_t creadr, unsigned n)
{
	return (uint64_t *)(fuzz_arena + (ITS_QUEUE - RAM) + (creadr + 32 * n) % PAGE);
}

/* -1: not an ITS, or its registers cannot be read. */
static uint64_t get_creadr(int its)
{
	uint64_t creadr = 0;
	struct kvm_device_attr a = {
		.group = KVM_DEV_ARM_VGIC_GRP_ITS_REGS, .attr = 0x90, .addr = (uintptr_t)&creadr};

	/* Whatever became of the memory before. */
	if (ioctl(its, KVM_GET_DEVICE_ATTR, &a) ||
	    mprotect(fuzz_arena, ARENA_SIZE, PROT_READ | PROT_WRITE))
		return -1;
	return creadr % PAGE / 32 * 32;
}

static void map_lpis(int its)
{
	static const uint64_t commands[][4] = {
		{0x8, 3, 1ull << 63 | ITS_ITTS},    /* MAPD 0, 16 events */
		{0x9, 0, 1ull << 63},		    /* MAPC 0 to vCPU 0 */
		{0x9, 0, 1ull << 63 | 1 << 16 | 1}, /* MAPC 1 to vCPU 1 */
		{0xa, 8192ull << 32},
		{0xa, 8193ull << 32 | 1, 1}, /* MAPTI */
	};
	const unsigned nr = sizeof(commands) / sizeof(commands[0]);
	uint64_t creadr = get_creadr(its);

	if (creadr == -1ull)
		return;
	for (unsigned i = 0; i < nr; i++)
		memcpy(its_command(creadr, i), commands[i], sizeof(commands[i]));
	memset(fuzz_arena + (LPI_TABLES - RAM), 0xa1, 64); /* on, priority 0xa0 */
	set_device(its, KVM_DEV_ARM_VGIC_GRP_ITS_REGS, 0x88, (creadr + 32 * nr) % PAGE);
}

/* Commands that mean something. */
void step_its(struct sequence *s)
{
	static const uint8_t numbers[] = {0x1, 0x3, 0x4, 0x5, 0x8, 0x8, 0x9, 0x9,
					  0xa, 0xa, 0xb, 0xc, 0xd, 0xe, 0xf, 0x3};
	unsigned nr = 1 + below(&s->in, 8);
	int fd = take_fd(s, API_DEVICE);
	uint64_t creadr = get_creadr(fd);

	if (creadr == -1ull)
		return;
	for (unsigned i = 0; i < nr; i++) {
		uint64_t *command = its_command(creadr, i);
		uint8_t number = numbers[below(&s->in, 16)];
		uint64_t device = below(&s->in, 8) ? 0 : below(&s->in, 4), event = below(&s->in, 8);
		uint64_t target = (uint64_t)below(&s->in, 3) << 16 | below(&s->in, 3);

		command[0] = number | device << 32;
		command[1] = number == 0x8   ? below(&s->in, 17)
			     : number == 0xb ? 8192 + event
					     : event | (8192 + event) << 32;
		command[2] = target | (uint64_t) !!below(&s->in, 4) << 63 |
			     (number == 0x8 ? ITS_ITTS + device * 4 * PAGE : 0);
		command[3] = (uint64_t)below(&s->in, 3) << 16;
	}
	set_device(fd, KVM_DEV_ARM_VGIC_GRP_ITS_REGS, 0x88, (creadr + 32 * nr) % PAGE);
}

/* What a guest's registers hold: frames of devices, its memory, calls of the firmware. */
static uint64_t take_address(struct sequence *s)
{
	/* PSCI, random numbers, architecture, stolen time, vendor */
	static const uint32_t calls[] = {0x84000000, 0xc4000000, 0x84000000, 0xc4000000,
					 0x84000050, 0xc4000050, 0x80000000, 0x80003fff,
					 0xc5000020, 0x86000000, 0x8600ff01};

	switch (below(&s->in, 8)) {
	case 0:
		return GIC_DIST + below(&s->in, 256) * 4;
	case 1:
		return GIC_REDIST + below(&s->in, 2) * 0x10000 + below(&s->in, 256) * 4;
	case 2:
		return below(&s->in, 2) ? GIC_ITS + below(&s->in, 64) * 8
					: GIC_CPU + below(&s->in, 20) * 4;
	case 3:
		return DEVICE + below(&s->in, 32);
	case 4:
		return calls[below(&s->in, sizeof(calls) / sizeof(calls[0]))] + below(&s->in, 24);
	case 5:
		return 1ull << below(&s->in, 48);
	default:
		return RAM + below(&s->in, ARENA_SIZE / 64 * 2) * 64;
	}
}

#define NR_WORDS 6

/* Where a guest begins, with some words of its own. */
static uint64_t make_start(struct sequence *s)
{
	unsigned at = below(&s->in, VECTORS / 4 - NR_WORDS);

	if (!mprotect(fuzz_arena, PAGE, PROT_READ | PROT_WRITE))
		for (unsigned i = 0; i < NR_WORDS; i++)
			((uint32_t *)fuzz_arena)[at + i] =
				likely_instruction((uint32_t)take(&s->in, 4), below(&s->in, 16));
	return RAM + at * 4;
}

/* With an interrupt controller a PMU needs more than there is when vCPUs are made. */
static int make_vcpu(struct sequence *s, int vm, unsigned id, bool with_pmu)
{
	/* PSCI, PMU, pointer authentication */
	static const uint32_t features[] = {0x4, 0x4, 0xc, 0x6c};
	struct kvm_vcpu_init init = {.target = KVM_ARM_TARGET_GENERIC_V8,
				     .features = {features[below(&s->in, 4)] &
						  (with_pmu ? ~0u : ~(1u << KVM_ARM_VCPU_PMU_V3))}};
	int vcpu = ioctl(vm, KVM_CREATE_VCPU, id);

	if (vcpu < 0)
		return -1;
	ioctl(vcpu, KVM_ARM_VCPU_INIT, &init);
	if (init.features[0] & 1u << KVM_ARM_VCPU_PMU_V3)
		set_device(vcpu, KVM_ARM_VCPU_PMU_V3_CTRL, KVM_ARM_VCPU_PMU_V3_INIT, 0);
	set_reg(vcpu, CORE_REG(regs.pc), make_start(s));
	set_reg(vcpu, ARM64_SYS_REG(3, 0, 12, 0, 0), RAM + VECTORS); /* VBAR_EL1 */
	for (unsigned i = 0; i < 4; i++)
		set_reg(vcpu, CORE_REG(regs.regs[0]) + 2 * below(&s->in, 8), take_address(s));
	return vcpu;
}

static void enable_ring(int vm)
{
	struct kvm_enable_cap ring = {.cap = KVM_CAP_DIRTY_LOG_RING_ACQ_REL, .args = {PAGE}},
			      bitmap = {.cap = KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP};

	ioctl(vm, KVM_ENABLE_CAP, &ring);
	ioctl(vm, KVM_ENABLE_CAP, &bitmap);
}

static void make_gic2(int vm)
{
	struct kvm_arm_device_addr dist = {KVM_VGIC_V2_ADDR_TYPE_DIST, GIC_DIST},
				   cpu = {KVM_VGIC_V2_ADDR_TYPE_CPU, GIC_CPU};

	ioctl(vm, KVM_CREATE_IRQCHIP, 0);
	ioctl(vm, KVM_ARM_SET_DEVICE_ADDR, &dist);
	ioctl(vm, KVM_ARM_SET_DEVICE_ADDR, &cpu);
}

/* What comes after the vCPUs: none, a GICv3 with its first steps, all of it, with LPIs. */
static void make_gic3(struct sequence *s, int vm, unsigned gic)
{
	int fd = gic3_begin(vm, gic > 3 ? 3 : gic), its;

	if (gic > 6 && fd >= 0) {
		its = make_its(vm); /* its creation forgets what redistributors were told */
		enable_lpis(fd);
		map_lpis(its);
		keep(s, its, API_DEVICE);
	}
	keep(s, fd, API_DEVICE);
}

/* The right things in the right order: without it few requests would get far. */
void step_machine(struct sequence *s)
{
	unsigned nr = below(&s->in, 4), gic = below(&s->in, 16), slot = below(&s->in, 8);
	int kvm = take_fd(s, API_SYSTEM), vm;

	if (kvm < 0) {
		kvm = below(&s->in, 4) ? open("/dev/kvm", O_RDWR | O_CLOEXEC)
				       : anykvm_open_ext(ANYKVM_EXT_MEMORY_ATTRIBUTES);
		keep(s, kvm, API_SYSTEM);
	}
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (!below(&s->in, 4))
		enable_ring(vm);
	if (slot)
		set_slot(vm, 0, slot & 3, RAM, ARENA_SIZE, fuzz_arena);
	if (gic >= 14)
		make_gic2(vm);
	for (unsigned i = 0; i < nr; i++)
		keep(s, make_vcpu(s, vm, i, gic == 12 || gic == 13), API_VCPU);
	if (gic < 12)
		make_gic3(s, vm, gic);
	keep(s, vm, API_VM);
}
