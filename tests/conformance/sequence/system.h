/* SPDX-License-Identifier: MIT */
/* Machines from their beginning to their end, and what is asked of the whole machine. */
#ifndef ANYKVM_TESTS_SEQUENCE_SYSTEM_H
#define ANYKVM_TESTS_SEQUENCE_SYSTEM_H

#include "irq.h"
#include "machine.h"
#include "vcpu.h"

/* --- the beginning ------------------------------------------------------------------------------------------------------- */

static void create_vm(unsigned n, unsigned long type)
{
	say("CREATE_VM as %u type %lx", n, type);
	int fd = ioctl(kvm, KVM_CREATE_VM, type);

	say_fd(fd);
	end_line();
	if (fd < 0)
		return;
	for (unsigned i = 0; i < NR_CPUS; i++)
		close_cpu(&vms[n].cpu[i]);
	for (unsigned i = 0; i < NR_DEVS; i++)
		close_fd(&vms[n].dev[i].fd);
	for (unsigned i = 0; i < NR_GMEMS; i++)
		close_fd(&vms[n].gmem[i]);
	close_fd(&vms[n].fd);
	vms[n].fd = fd;
	vms[n].code_moved = true;
	vms[n].signalled = false;
	vms[n].features = draw_features();
}

/* Sizes above 48 bits are left to what has them. */
static unsigned long draw_vm_type(void)
{
	static const unsigned long types[] = {0,  0,  0, 0,  40,    48,		36,
					      32, 31, 1, 64, 0x100, 0x80000000, 0xffffffffff};

	return PICK(types);
}

static void step_create_vm(struct target *t)
{
	unsigned n = !one_in(8);
	unsigned long type = draw_vm_type();

	create_vm(n, type);
}

static void give_memory(struct vm *vm)
{
	struct kvm_userspace_memory_region r = {.guest_phys_addr = RAM,
						.memory_size = RAM_SIZE,
						.userspace_addr = (uintptr_t)arena};

	r.flags = one_in(3);
	say_vm("SET_USER_MEMORY_REGION", vm);
	say(" for code, flags %x", r.flags);
	say_answer(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &r));
	end_line();
	vm->code_moved = false;
}

static void give_controller(struct vm *vm, bool with_its)
{
	const unsigned addr = KVM_DEV_ARM_VGIC_GRP_ADDR;

	create_device(vm, 0, gic_type(), 0);
	say("controller");
	ask_attribute(vm->dev[0].fd, 1, addr,
		      gic_v2 ? KVM_VGIC_V2_ADDR_TYPE_DIST : KVM_VGIC_V3_ADDR_TYPE_DIST, GIC_DIST);
	say("controller");
	ask_attribute(vm->dev[0].fd, 1, addr,
		      gic_v2 ? KVM_VGIC_V2_ADDR_TYPE_CPU : KVM_VGIC_V3_ADDR_TYPE_REDIST,
		      gic_v2 ? GIC_DIST + 0x10000 : GIC_REDIST);
	if (!with_its)
		return;
	create_device(vm, 1, KVM_DEV_TYPE_ARM_VGIC_ITS, 0);
	say("controller");
	ask_attribute(vm->dev[1].fd, 1, addr, KVM_VGIC_ITS_ADDR_TYPE, GIC_ITS);
}

static void start_controller(struct vm *vm)
{
	for (unsigned i = 0; i < 2; i++) {
		if (vm->dev[i].fd < 0)
			continue;
		say("controller");
		ask_attribute(vm->dev[i].fd, 1, KVM_DEV_ARM_VGIC_GRP_CTRL,
			      KVM_DEV_ARM_VGIC_CTRL_INIT, 0);
	}
}

static void give_counters(struct vm *vm, struct cpu *cpu)
{
	say_cpu("counters", vm, cpu);
	ask_attribute(cpu->fd, 1, KVM_ARM_VCPU_PMU_V3_CTRL, KVM_ARM_VCPU_PMU_V3_IRQ, 23);
	say_cpu("counters", vm, cpu);
	ask_attribute(cpu->fd, 1, KVM_ARM_VCPU_PMU_V3_CTRL, KVM_ARM_VCPU_PMU_V3_INIT, 0);
}

static void forget_objects(void)
{
	for (unsigned i = 0; i < NR_VMS; i++) {
		vms[i] = (struct vm){.fd = -1};
		for (unsigned n = 0; n < NR_CPUS; n++)
			vms[i].cpu[n] = (struct cpu){.fd = -1, .guest = -1};
		for (unsigned n = 0; n < NR_DEVS; n++)
			vms[i].dev[n].fd = -1;
		for (unsigned n = 0; n < NR_GMEMS; n++)
			vms[i].gmem[n] = -1;
	}
	for (unsigned i = 0; i < NR_EVENTS; i++) {
		events[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		has_irqfd[i] = false;
	}
}

/* A machine with most of what a VMM gives one: the random steps have something to work on. */
static void set_up(void)
{
	struct vm *vm = &vms[0];
	unsigned cpus = one_in(3) ? below(NR_CPUS) : 1;
	bool early = one_in(2), with_its = one_in(3) && !gic_v2, start_early = one_in(24),
	     start = !one_in(6);

	forget_objects();
	create_vm(0, one_in(8) ? 40 : 0);
	if (!one_in(8))
		give_memory(vm);
	if (early && !one_in(6))
		give_controller(vm, with_its);
	if (start_early)
		start_controller(vm);
	for (unsigned i = 0; i < cpus; i++)
		create_cpu(vm, i, i);
	if (!early && !one_in(3))
		give_controller(vm, with_its);
	if (start)
		start_controller(vm);
	for (unsigned i = 0; i < cpus; i++) {
		struct kvm_vcpu_init init = {.target = KVM_ARM_TARGET_GENERIC_V8,
					     .features = {vm->features | (i > 0)}};

		if (one_in(6))
			continue;
		init_cpu(vm, &vm->cpu[i], &init);
		if (vm->features & 1u << KVM_ARM_VCPU_PMU_V3)
			give_counters(vm, &vm->cpu[i]);
	}
}

/* --- the end ------------------------------------------------------------------------------------------------------------- */

static void close_one(struct vm *vm, unsigned what)
{
	if (what < NR_CPUS)
		close_cpu(&vm->cpu[what]);
	else if (what < NR_CPUS + NR_DEVS)
		close_fd(&vm->dev[what - NR_CPUS].fd);
	else if (what < NR_CPUS + NR_DEVS + NR_GMEMS)
		close_fd(&vm->gmem[what - NR_CPUS - NR_DEVS]);
	else
		close_fd(&vm->fd);
}

#define CLOSABLE (NR_CPUS + NR_DEVS + NR_GMEMS + 1)

static void step_close(struct target *t)
{
	struct vm *vm = t->vm;
	unsigned what = below(CLOSABLE);

	/* Without the VM there is not much to ask. */
	if (what == CLOSABLE - 1 && vm == &vms[0] && !one_in(4))
		return;
	say_vm("close", vm);
	say(" %u", what);
	end_line();
	close_one(vm, what);
}

static void tear_down(void)
{
	unsigned first = below(NR_VMS * CLOSABLE), stride = 1 + 2 * below(5);

	for (unsigned i = 0; i < NR_EVENTS && one_in(2); i++)
		close_fd(&events[i]);
	/* 20 is prime to 1, 3, 7 and 9. */
	for (unsigned i = 0; i < NR_VMS * CLOSABLE; i++) {
		unsigned at = (first + i * (stride == 5 ? 1 : stride)) % (NR_VMS * CLOSABLE);

		close_one(&vms[at / CLOSABLE], at % CLOSABLE);
	}
	for (unsigned i = 0; i < NR_EVENTS; i++)
		close_fd(&events[i]);
}

/* --- the machine as a whole ---------------------------------------------------------------------------------------------- */

/* What depends on the host's CPU or is offered by one side alone. */
static bool is_cap_of_host(unsigned cap)
{
	static const unsigned caps[] = {9, 93, 165, 170, 205, 240, 241, 243, 245};

	for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++)
		if (caps[i] == cap)
			return true;
	return false;
}

static void step_extension(struct target *t)
{
	unsigned long cap = below(256);
	struct vm *vm = t->vm;
	bool system = one_in(3);

	if (is_cap_of_host(cap))
		return;
	say("CHECK_EXTENSION %s %lu", system ? "system" : "vm", cap);
	say_answer(ioctl(system ? kvm : vm->fd, KVM_CHECK_EXTENSION, cap));
	end_line();
}

static void step_enable_cap(struct target *t)
{
	static const unsigned caps[] = {KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
					KVM_CAP_DIRTY_LOG_RING_ACQ_REL,
					KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP,
					KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE,
					KVM_CAP_HALT_POLL,
					KVM_CAP_ARM_NISV_TO_USER,
					KVM_CAP_ARM_SYSTEM_SUSPEND,
					KVM_CAP_ARM_WRITABLE_IMP_ID_REGS};
	struct vm *vm = t->vm;
	struct kvm_enable_cap c = {0};
	bool on_cpu = one_in(12);

	c.cap = one_in(8) ? below(256) : PICK(caps);
	if (is_cap_of_host(c.cap))
		return;
	c.flags = one_in(16);
	c.args[0] = one_in(3) ? PAGE << below(20) : one_in(6) ? draw_word() : below(4);
	c.args[1] = one_in(16);
	say_vm(on_cpu ? "ENABLE_CAP of a vCPU" : "ENABLE_CAP", vm);
	say(" %u flags %x", c.cap, c.flags);
	say_hex("args", c.args[0]);
	say_hex("", c.args[1]);
	say_answer(ioctl(on_cpu ? vm->cpu[0].fd : vm->fd, KVM_ENABLE_CAP, argument(&c)));
	end_line();
}

static void step_counter_offset(struct target *t)
{
	struct vm *vm = t->vm;
	struct kvm_arm_counter_offset o = {0};

	o.counter_offset = draw_word();
	o.reserved = one_in(8);
	say_vm("ARM_SET_COUNTER_OFFSET", vm);
	say_hex("offset", o.counter_offset);
	say_hex("reserved", o.reserved);
	say_answer(ioctl(vm->fd, KVM_ARM_SET_COUNTER_OFFSET, argument(&o)));
	end_line();
}

static void step_filter(struct target *t)
{
	static const unsigned bases[] = {0x84000000, 0xc4000000, 0x80000000, 0x80008000,
					 0x86000000, 0xc5000020, 0,	     0xffffffff};
	static const unsigned long requests[] = {KVM_HAS_DEVICE_ATTR, KVM_SET_DEVICE_ATTR,
						 KVM_GET_DEVICE_ATTR};
	struct vm *vm = t->vm;
	struct kvm_smccc_filter f = {0};
	struct kvm_device_attr a = {0};
	unsigned what = one_in(6) ? 0 : one_in(12) ? 2 : 1, at;

	f.base = PICK(bases);
	f.base += below(32);
	f.nr_functions = one_in(10) ? draw() : below(12);
	f.action = one_in(10) ? draw() : below(3);
	at = below(15);
	f.pad[at] = one_in(20);
	a.group = one_in(20) ? draw_word() : 0;
	a.attr = one_in(20) ? draw_word() : 0;
	a.flags = one_in(20);
	say_vm("attribute of VM", vm);
	say(" what %u group %x attr %llx base %x nr %x action %x hash %llx flags %x", what, a.group,
	    (unsigned long long)a.attr, f.base, f.nr_functions, f.action,
	    (unsigned long long)hash_of(&f, sizeof(f)), a.flags);
	a.addr = (uintptr_t)argument(&f);
	say_answer(ioctl(vm->fd, requests[what], argument(&a)));
	end_line();
}

static void step_masks(struct target *t)
{
	static uint64_t room[KVM_ARM_FEATURE_ID_RANGE_SIZE];
	struct vm *vm = t->vm;
	struct reg_mask_range m = {0};
	unsigned at;

	m.range = one_in(4);
	at = below(13);
	m.reserved[at] = one_in(6);
	say_vm("ARM_GET_REG_WRITABLE_MASKS", vm);
	say(" range %u hash %llx", m.range, (unsigned long long)hash_of(&m, sizeof(m)));
	m.addr = (uintptr_t)argument(room);
	say_answer(ioctl(vm->fd, KVM_ARM_GET_REG_WRITABLE_MASKS, argument(&m)));
	end_line();
}

/* A vCPU's descriptor mapped here and there. */
static void step_map(struct target *t)
{
	static const unsigned pages[] = {0, 0, 1, 2, 3, 63, 64, 65, 80};
	struct vm *vm = t->vm;
	struct cpu *cpu = t->cpu;
	unsigned page = PICK(pages);
	unsigned nr = 1 + below(3);
	unsigned prot = below(8);
	unsigned flags = one_in(4) ? MAP_PRIVATE : MAP_SHARED;
	void *p = mmap(NULL, nr * PAGE, prot, flags, cpu->fd, page * PAGE);

	say_cpu("mmap", vm, cpu);
	say(" page %u nr %u prot %x flags %x", page, nr, prot, flags);
	say_answer(p == MAP_FAILED ? -1 : 0);
	end_line();
	if (p != MAP_FAILED)
		munmap(p, nr * PAGE);
}

#endif
