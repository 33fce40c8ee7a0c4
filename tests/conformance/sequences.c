/* SPDX-License-Identifier: MIT */
/*
 * Sequences of KVM's requests, each out of a number: most of them right, some not, in an order that a VMM would use and in others.
 * Prints a line a call, with what came back. Built for the real /dev/kvm (-DANYKVM_REAL) as well, it gives the lines to hold ours
 * against. What the two cannot have in common is not asked or not told: features that only one of them has, identification
 * registers, counters, addresses.
 *
 *	sequences [-c] gic3|gic2|its|insn3 FIRST NUMBER
 *
 * -c prints a line a sequence instead: a letter or `#` and four digits for each answer, as the file of reference answers has them.
 *
 * Each step draws from numbers of its own, so that one answer that differs changes no later question.
 */
#include "sequence/machine.h"
#include "sequence/memory.h"
#include "sequence/vcpu.h"
#include "sequence/irq.h"
#include "sequence/guest.h"
#include "sequence/system.h"
#include "sequence/its.h"
#include "sequence/insn.h"

/* --- steps --------------------------------------------------------------------------------------------------------------- */

enum needs { NEEDS_VM, NEEDS_CPU, NEEDS_DEV };

struct step {
	void (*step)(struct target *t);
	unsigned weight;
	enum needs needs;
};

static const struct step all_steps[] = {
	{step_slot, 10, NEEDS_VM},
	{step_slot2, 4, NEEDS_VM},
	{step_gmem, 3, NEEDS_VM},
	{step_gmem_file, 3, NEEDS_VM},
	{step_get_dirty_log, 5, NEEDS_VM},
	{step_clear_dirty_log, 5, NEEDS_VM},
	{step_reset_rings, 1, NEEDS_VM},
	{step_attributes, 1, NEEDS_VM},
	{step_create_cpu, 3, NEEDS_VM},
	{step_init, 5, NEEDS_CPU},
	{step_preferred_target, 1, NEEDS_VM},
	{step_finalize, 1, NEEDS_CPU},
	{step_get_reg, 6, NEEDS_CPU},
	{step_set_reg, 16, NEEDS_CPU},
	{step_reg_list, 2, NEEDS_CPU},
	{step_mp_state, 4, NEEDS_CPU},
	{step_events, 5, NEEDS_CPU},
	{step_debug, 4, NEEDS_CPU},
	{step_not_here, 3, NEEDS_CPU},
	{step_cpu_attribute, 8, NEEDS_CPU},
	{step_create_device, 4, NEEDS_VM},
	{step_create_irqchip, 1, NEEDS_VM},
	{step_device_addr, 2, NEEDS_VM},
	{step_device_attribute, 24, NEEDS_DEV},
	{step_irq_line, 6, NEEDS_VM},
	{step_routing, 3, NEEDS_VM},
	{step_irqfd, 5, NEEDS_VM},
	{step_ioeventfd, 5, NEEDS_VM},
	{step_msi, 3, NEEDS_VM},
	{step_zone, 3, NEEDS_VM},
	{step_run, 24, NEEDS_CPU},
	{step_extension, 3, NEEDS_VM},
	{step_enable_cap, 5, NEEDS_VM},
	{step_counter_offset, 2, NEEDS_VM},
	{step_filter, 4, NEEDS_VM},
	{step_masks, 1, NEEDS_VM},
	{step_close, 2, NEEDS_VM},
	{step_create_vm, 1, NEEDS_VM},
	{step_map, 2, NEEDS_CPU},
};

/* Of a machine with an ITS. */
static const struct step its_steps[] = {
	{step_its_commands, 30, NEEDS_DEV},
	{step_its_msi, 10, NEEDS_DEV},
	{step_its_register, 5, NEEDS_DEV},
	{step_its_control, 3, NEEDS_DEV},
	{step_its_migrate, 4, NEEDS_DEV},
	{step_pending, 5, NEEDS_DEV},
	{step_lpis, 5, NEEDS_DEV},
	{step_properties, 4, NEEDS_DEV},
	{step_device_attribute, 2, NEEDS_DEV},
	{step_run, 1, NEEDS_CPU},
	{step_init, 1, NEEDS_CPU},
	{step_routing, 1, NEEDS_VM},
};

/* What a guest does itself. */
static const struct step insn_steps[] = {
	{step_sysreg, 30, NEEDS_CPU},		{step_frame, 30, NEEDS_CPU},
	{step_device_attribute, 10, NEEDS_DEV}, {step_irq_line, 4, NEEDS_VM},
	{step_set_reg, 4, NEEDS_CPU},
};

static size_t draw_step(const struct step *steps, size_t nr_steps)
{
	unsigned total = 0, at;
	size_t i;

	for (i = 0; i < nr_steps; i++)
		total += steps[i].weight;
	at = below(total);
	for (i = 0; at >= steps[i].weight; i++)
		at -= steps[i].weight;
	return i;
}

/* Nothing to ask of what is not there: then another step, some times. */
static void one_step(const struct step *steps, size_t nr_steps)
{
	for (unsigned tries = 0; tries < 6; tries++) {
		size_t i = draw_step(steps, nr_steps);
		struct target t = draw_target();

		if (t.vm->fd < 0 || (steps[i].needs == NEEDS_CPU && t.cpu->fd < 0) ||
		    (steps[i].needs == NEEDS_DEV && t.dev->fd < 0))
			continue;
		steps[i].step(&t);
		return;
	}
}

/* --- sequences ----------------------------------------------------------------------------------------------------------- */

static uint64_t seed;

static void begin_step(unsigned step)
{
	random_state = seed * 0x2545f4914f6cdd1dull + step * 0x632be59bd9b4e019ull;
	draw();
}

#define STEPS 40

static void set_up_its(void)
{
	struct vm *vm = &vms[0];

	forget_objects();
	create_vm(0, 0);
	vm->features = 1u << KVM_ARM_VCPU_PSCI_0_2;
	give_memory(vm);
	give_controller(vm, true);
	for (unsigned i = 0; i < 2; i++) {
		struct kvm_vcpu_init init = {.target = KVM_ARM_TARGET_GENERIC_V8,
					     .features = {vm->features}};

		create_cpu(vm, i, i);
		init_cpu(vm, &vm->cpu[i], &init);
	}
	start_controller(vm);
	start_its(vm);
}

#define STEPS_OF(table) (table), sizeof(table) / sizeof((table)[0])

static const struct kind {
	const char *name;
	bool gic_v2;
	void (*begin)(void);
	const struct step *steps;
	size_t nr_steps;
} kinds[] = {
	{"gic3", false, set_up, STEPS_OF(all_steps)},
	{"gic2", true, set_up, STEPS_OF(all_steps)},
	{"its", false, set_up_its, STEPS_OF(its_steps)},
	{"insn3", false, set_up, STEPS_OF(insn_steps)},
};
static const struct kind *kind;

static void run_sequence(void)
{
	unsigned step = 0;

	printf(coded ? "%s %llu " : "@seed %s %llu\n", kind->name, (unsigned long long)seed);
	put_guests();
	begin_step(step++);
	kind->begin();
	for (unsigned i = 0; i < STEPS; i++) {
		begin_step(step++);
		one_step(kind->steps, kind->nr_steps);
	}
	begin_step(step++);
	tear_down();
	if (coded)
		putchar('\n');
}

static void learn_registers(void)
{
	struct kvm_vcpu_init init = {.target = KVM_ARM_TARGET_GENERIC_V8, .features = {0x6c}};
	int vm = ioctl(kvm, KVM_CREATE_VM, 0), vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	unsigned kept = 0;

	known.n = MOST_REGS;
	if (ioctl(vcpu, KVM_ARM_VCPU_INIT, &init) || ioctl(vcpu, KVM_GET_REG_LIST, &known)) {
		perror("sequences: registers");
		exit(1);
	}
	for (unsigned i = 0; i < known.n; i++)
		if (!is_optional(known.reg[i]))
			known.reg[kept++] = known.reg[i];
	known.n = kept;
	close(vcpu);
	close(vm);
}

int main(int argc, char **argv)
{
	uint64_t first, number;

	coded = argc > 1 && !strcmp(argv[1], "-c");
	argv += coded;
	if (argc - coded != 4) {
		fprintf(stderr, "usage: sequences [-c] gic3|gic2|its|insn3 FIRST NUMBER\n");
		return 2;
	}
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kinds[i].name, argv[1]))
			kind = &kinds[i];
	if (!kind) {
		fprintf(stderr, "sequences: no such kind: %s\n", argv[1]);
		return 2;
	}
	gic_v2 = kind->gic_v2;
	first = strtoull(argv[2], NULL, 0);
	number = strtoull(argv[3], NULL, 0);
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	/* Low: whether a slot's end is still the user's must not depend on how much the user has. And where no sanitizer has its own. */
	arena = mmap((void *)0x40000000, ARENA_SIZE, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	nowhere = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (kvm < 0 || arena == MAP_FAILED || nowhere == MAP_FAILED) {
		perror("sequences");
		return 1;
	}
	learn_registers();
	for (seed = first; seed < first + number; seed++)
		run_sequence();
	return 0;
}
