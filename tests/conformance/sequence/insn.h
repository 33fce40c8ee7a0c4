/* SPDX-License-Identifier: MIT */
/* What a guest sees of the machine, an instruction at a time: system registers at EL1 and EL0, and the frames of devices. */
#ifndef ANYKVM_TESTS_SEQUENCE_INSN_H
#define ANYKVM_TESTS_SEQUENCE_INSN_H

#include "guest.h"
#include "irq.h"
#include "machine.h"
#include "vcpu.h"

#define INSN_PAGE (NR_GUESTS + 1)

/* The instruction, and its X5 told. */
static void put_insn(uint32_t insn)
{
	struct code c = {(uint32_t *)(arena + INSN_PAGE * PAGE), RAM + INSN_PAGE * PAGE};
	uint64_t start = c.pc;

	put(&c, A64_NOP);
	put(&c, insn);
	str(&c, 8, 5, 4, 0);
	b_to(&c, start);
	__builtin___clear_cache((char *)arena + INSN_PAGE * PAGE,
				(char *)arena + (INSN_PAGE + 1) * PAGE);
}

/* One run of it on a vCPU that was reset; told: the bits of X5 that are. */
static void run_insn(struct vm *vm, struct cpu *cpu, bool el0, uint64_t address, uint64_t value,
		     bool told)
{
	struct kvm_vcpu_init init = {.target = KVM_ARM_TARGET_GENERIC_V8,
				     .features = {vm->features & ~1u}};
	const struct kvm_run *run = cpu->run;
	uint64_t data = 0;
	int r;

	/* An access that is not finished would be, instead of the first instruction. */
	cpu->run->immediate_exit = 1;
	ioctl(cpu->fd, KVM_RUN, 0);
	cpu->run->immediate_exit = 0;
	ioctl(cpu->fd, KVM_ARM_VCPU_INIT, &init);
	cpu->guest = -1;
	put_reg(cpu, CORE(regs.pc), RAM + INSN_PAGE * PAGE);
	put_reg(cpu, CORE(regs.pstate), el0 ? 0x3c0 : 0x3c5);
	put_reg(cpu, KVM_REG_ARM64_SYSREG | 0xc600, VECTORS);
	put_reg(cpu, CORE(regs.regs[0]) + 2 * 1, address);
	put_reg(cpu, CORE(regs.regs[0]) + 2 * 2, value);
	put_reg(cpu, CORE(regs.regs[0]) + 2 * 4, DEVICE + 0x100);
	put_reg(cpu, CORE(regs.regs[0]) + 2 * 5, 0x5a5a);
	set_alarm(false);
	r = ioctl(cpu->fd, KVM_RUN, 0);
	clear_alarm();
	say_answer(r);
	if (!r && run->exit_reason == KVM_EXIT_MMIO && run->mmio.is_write) {
		memcpy(&data, run->mmio.data, run->mmio.len);
		say_hex("at", run->mmio.phys_addr);
		if (run->mmio.phys_addr == DEVICE + 0x100)
			data &= told;
		say_hex("value", data);
	} else {
		say_exit(run);
	}
	end_line();
}

/* --- system registers ---------------------------------------------------------------------------------------------------- */

/* Registers of the interrupt controller, of timers and counters, and others that are no KVM registers. */
static uint64_t draw_guest_reg(void)
{
	static const uint16_t own[] = {
		0xc230, 0xc640, 0xc641, 0xc642, 0xc643, 0xc644, 0xc648, 0xc649, 0xc659, 0xc65b,
		0xc65d, 0xc65e, 0xc65f, 0xc660, 0xc661, 0xc662, 0xc663, 0xc664, 0xc665, 0xc666,
		0xc667, 0xdf10, 0xdf11, 0xdf12, 0xdf18, 0xdf19, 0xdf1a, 0xdf00, 0xdf01, 0xdf02,
		0xdce0, 0xdce1, 0xdce2, 0xdce3, 0xdce4, 0xdce5, 0xdce8, 0xdce9, 0xdcea, 0xdcf0,
		0xdcf3, 0xc4f1, 0xc4f2, 0xc4f6, 0xdf7f, 0xdf40, 0xdf60, 0x8012, 0x8014, 0x9808,
		0x8084, 0x808c, 0x809c, 0x83c6, 0x83ce, 0x8004, 0x8005, 0x8006, 0x8007, 0x9828,
		0xc212, 0xda10, 0xda11, 0xda15, 0xda16, 0xde82, 0xde83, 0xc684, 0xc3a0, 0xc298,
		0xc609, 0xde00, 0xde01, 0xde90, 0xe08c, 0xe200, 0xe601, 0xe684, 0xe700, 0xe703,
		0xe740, 0xd801, 0xd807, 0xc4d0, 0xc4c8, 0xc100, 0xc108, 0xc208, 0xda20, 0xda21};
	uint64_t id;

	if (one_in(3))
		return SYSREG(2, 0, 0, 0, 0) - 0x8000 + PICK(own);
	if (one_in(5))
		return SYSREG(2, 0, 0, 0, 0) + below(0x8000);
	do
		id = known.reg[below(known.n)];
	while (!is_sysreg(id));
	return id;
}

/*
 * There on one CPU and not on another: LOR, CNTPCTSS and CNTVCTSS, SVCR, DBGAUTHSTATUS_EL1 (not in an emulator),
 * ICC_SRE_EL1 in a machine without a controller; and the error
 * records, of which there are none.
 */
static bool is_guest_reg_optional(uint64_t id)
{
	uint64_t reg = id & 0xffff;

	return is_optional(id) || (reg >= 0xc520 && reg < 0xc528) || reg == 0xdf05 ||
	       reg == 0xdf06 || reg == 0xda12 || reg == 0x83f6 || reg == 0xc665 ||
	       (reg > 0xc298 && reg < 0xc2b0);
}

/* Random, timed, or not the same on another CPU. */
static bool is_guest_reg_of_host(uint64_t id)
{
	uint64_t reg = id & 0xffff;

	return is_of_host(id) || reg == 0xd920 || reg == 0xd921 || reg == 0xdf10 || reg == 0xdf18 ||
	       reg == 0xdf1a || reg == 0xdf02 || reg == 0xc663 || reg == 0xc643;
}

static void step_sysreg(struct target *t)
{
	uint64_t id = draw_guest_reg(), value = draw_word();
	bool write = one_in(3), el0 = one_in(4);

	/* The MMU would go on, or the store that tells would be another's. */
	if (!t->cpu->run || t->vm->code_moved || is_guest_reg_optional(id) ||
	    (write && id == SYSREG(3, 0, 1, 0, 0)))
		return;
	put_insn((write ? 0xd5000000 : 0xd5200000) | (uint32_t)(id & 0xffff) << 5 |
		 (write ? 2 : 5));
	say(write ? "MSR %llx %llx" : "MRS %llx", (unsigned long long)(id & 0xffff),
	    (unsigned long long)value);
	say(" EL%d", !el0);
	run_insn(t->vm, t->cpu, el0, 0, value,
		 write || is_guest_reg_of_host(id) ? 0 : ~bits_of_host(id));
}

/* --- devices ------------------------------------------------------------------------------------------------------------- */

static uint64_t draw_frame(void)
{
	static const unsigned dist[] = {
		0x0,	0x4,	0x8,	0xc,	0x10,	0x40,  0x80,   0x84,   0x100,
		0x104,	0x180,	0x184,	0x200,	0x204,	0x280, 0x284,  0x300,  0x304,
		0x380,	0x384,	0x400,	0x404,	0x420,	0x424, 0x800,  0x820,  0xc00,
		0xc04,	0xc08,	0xd00,	0xe00,	0xf00,	0xf10, 0x6000, 0x6100, 0x6108,
		0xffd0, 0xffe0, 0xffe8, 0xfff0, 0x7000, 0x500, 0x480,  0xfe8};
	static const unsigned redist[] = {
		0x0,	 0x4,	  0x8,	   0xc,	    0x10,    0x14,    0x40,    0x70,
		0x74,	 0x78,	  0x7c,	   0xa0,    0xb0,    0xc0,    0xffe8,  0x10080,
		0x10100, 0x10180, 0x10200, 0x10280, 0x10300, 0x10380, 0x10400, 0x1041c,
		0x10c00, 0x10c04, 0x10d00, 0x10e00, 0x20000, 0x30100, 0x20008, 0x48};
	static const unsigned cpu[] = {0x0,  0x4,  0x8,	 0xc,  0x14, 0x18, 0x1c,
				       0x20, 0x24, 0x28, 0xd0, 0xe0, 0xfc, 0x1000};
	static const unsigned its[] = {0x0,  0x4,   0x8,   0xc,	  0x80,	  0x84,	 0x88,
				       0x90, 0x100, 0x108, 0x110, 0xffe8, 0xffd0};
	unsigned which = below(5);

	if (which < 2)
		return GIC_DIST + PICK(dist);
	if (which == 4 && !gic_v2)
		return GIC_ITS + PICK(its);
	return gic_v2 ? GIC_DIST + 0x10000 + PICK(cpu) : GIC_REDIST + PICK(redist);
}

static void step_frame(struct target *t)
{
	static const unsigned sizes[] = {4, 4, 4, 4, 8, 8, 2, 1};
	uint64_t address = draw_frame(), value = one_in(2) ? draw() : draw_word();
	unsigned size = PICK(sizes);
	bool write = one_in(2);
	struct code c = {(uint32_t[1]){0}, 0};
	uint32_t *insn = c.word;

	if (size < 4)
		address += below(4 / size) * size;
	/* Unaligned ones are a fault here and none in an emulator. */
	address &= ~(uint64_t)(size - 1);
	if (!t->cpu->run || t->vm->code_moved)
		return;
	if (write)
		str(&c, size, 2, 1, 0);
	else
		ldr(&c, size, 5, 1, 0);
	put_insn(*insn);
	t->vm->signalled = true;
	say(write ? "store %u %llx %llx" : "load %u %llx", size, (unsigned long long)address,
	    (unsigned long long)value);
	run_insn(t->vm, t->cpu, false, address, value, write - 1ull);
}

#endif
