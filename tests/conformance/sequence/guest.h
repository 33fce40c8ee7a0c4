/* SPDX-License-Identifier: MIT */
/* Small guests, a page each, and how they leave KVM_RUN. */
#ifndef ANYKVM_TESTS_SEQUENCE_GUEST_H
#define ANYKVM_TESTS_SEQUENCE_GUEST_H

#include "../../api/a64.h"
#include "machine.h"
#include "vcpu.h"

enum guest {
	GUEST_STORE,
	GUEST_LOAD,
	GUEST_CALL,
	GUEST_WFI,
	GUEST_DIRTY,
	GUEST_PAIR,
	GUEST_BREAK,
	GUEST_SMALL,
	NR_GUESTS
};

#define VECTORS (RAM + NR_GUESTS * PAGE)
#define DATA	(RAM + RAM_SIZE / 2) /* written by the guest */

static struct code guest_code(enum guest g)
{
	return (struct code){(uint32_t *)(arena + g * PAGE), RAM + g * PAGE};
}

/* Each exception is told by a store to the device; continued, the guest tells it again. */
static void put_vectors(void)
{
	for (unsigned i = 0; i < 16; i++) {
		struct code c = {(uint32_t *)(arena + NR_GUESTS * PAGE + i * 0x80),
				 VECTORS + i * 0x80};
		uint64_t again = c.pc;

		mrs(&c, 9, SYS_ESR_EL1);
		li(&c, 10, DEVICE + 0x800);
		str(&c, 8, 9, 10, 8 * i);
		b_to(&c, again);
	}
}

/* What takes an MMIO exit is told of it by X1 to X4; all loop. */
static void put_guests(void)
{
	memset(arena, 0, ARENA_SIZE);
	put_vectors();
	for (enum guest g = 0; g < NR_GUESTS; g++) {
		struct code c = guest_code(g);
		uint64_t start = c.pc;

		for (unsigned i = 0; i < 4; i++)
			put(&c, A64_NOP);
		switch (g) {
		case GUEST_STORE:
			str(&c, 8, 2, 1, 0);
			str(&c, 4, 3, 1, 0);
			break;
		case GUEST_LOAD:
			ldr(&c, 8, 5, 1, 0);
			ldrs(&c, 2, 6, 1, 0);
			ldr(&c, 1, 7, 1, 0);
			str(&c, 8, 5, 4, 0);
			break;
		case GUEST_CALL:
			hvc(&c, 0);
			str(&c, 8, 0, 4, 0);
			smc(&c, 0);
			str(&c, 8, 0, 4, 0);
			break;
		case GUEST_WFI:
			put(&c, A64_WFI);
			str(&c, 4, 2, 1, 0);
			break;
		case GUEST_DIRTY:
			for (unsigned i = 0; i < 6; i++) {
				str(&c, 4, 2, 3, 0);
				put(&c, 0x91400c63); /* add x3, x3, #3, lsl #12 */
			}
			str(&c, 4, 2, 4, 0);
			break;
		case GUEST_PAIR:
			ldp(&c, 5, 6, 1);
			str(&c, 8, 5, 4, 0);
			break;
		case GUEST_BREAK:
			put(&c, 0xd4200000u | 5 << 5); /* brk #5 */
			str(&c, 2, 2, 4, 0);
			break;
		default:
			str(&c, 1, 2, 1, 0);
			str(&c, 2, 2, 1, 0);
			str(&c, 4, 2, 1, 0);
			str(&c, 8, 2, 1, 8);
			str(&c, 8, 2, 4, 0);
			break;
		}
		b_to(&c, start);
	}
	__builtin___clear_cache((char *)arena, (char *)arena + (NR_GUESTS + 1) * PAGE);
}

static int put_reg(struct cpu *cpu, uint64_t id, uint64_t value)
{
	struct kvm_one_reg r = {.id = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | id,
				.addr = (uintptr_t)&value};

	return ioctl(cpu->fd, KVM_SET_ONE_REG, &r);
}

static uint64_t read_reg(struct cpu *cpu, uint64_t id)
{
	uint64_t value = ~0ull;
	struct kvm_one_reg r = {.id = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | id,
				.addr = (uintptr_t)&value};

	ioctl(cpu->fd, KVM_GET_ONE_REG, &r);
	return value;
}

#define CORE(name) (KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(name))

/* --- runs ---------------------------------------------------------------------------------------------------------------- */

static void woken(int sig)
{
	(void)sig;
}

/* A run that should not end by itself is ended soon; one that should, late. */
#ifdef ANYKVM_REAL
#define SOON_US 20000
#else
#define SOON_US 1000
#endif

static void set_alarm(bool soon)
{
	struct itimerval t = {{soon ? 0 : 5, soon ? SOON_US : 0},
			      {soon ? 0 : 20, soon ? SOON_US : 0}};
	struct sigaction a = {.sa_handler = woken};

	sigaction(SIGALRM, &a, NULL);
	setitimer(ITIMER_REAL, &t, NULL);
}

static void clear_alarm(void)
{
	struct itimerval t = {0};

	setitimer(ITIMER_REAL, &t, NULL);
}

static void say_exit(const struct kvm_run *run)
{
	say(" exit %u", run->exit_reason);
	switch (run->exit_reason) {
	case KVM_EXIT_MMIO:
		say(" %s %llx len %u", run->mmio.is_write ? "write" : "read",
		    (unsigned long long)run->mmio.phys_addr, run->mmio.len);
		for (unsigned i = 0; run->mmio.is_write && i < run->mmio.len && i < 8; i++)
			say("%s%02x", i ? "" : " ", run->mmio.data[i]);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		say(" type %u n %u", run->system_event.type, run->system_event.ndata);
		if (run->system_event.ndata)
			say_hex("data", run->system_event.data[0]);
		break;
	case KVM_EXIT_DEBUG:
		say_hex("hsr", run->debug.arch.hsr);
		say_hex("high", run->debug.arch.hsr_high);
		break;
	case KVM_EXIT_ARM_NISV:
		say_hex("iss", run->arm_nisv.esr_iss);
		say_hex("ipa", run->arm_nisv.fault_ipa);
		break;
	case KVM_EXIT_HYPERCALL:
		say_hex("nr", run->hypercall.nr);
		say_hex("flags", run->hypercall.flags);
		break;
	case KVM_EXIT_MEMORY_FAULT:
		say_hex("gpa", run->memory_fault.gpa);
		say_hex("size", run->memory_fault.size);
		say_hex("flags", run->memory_fault.flags);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		say(" suberror %u", run->internal.suberror);
		break;
	default:
		break;
	}
}

/* The coalesced ring, and the eventfds that were signalled. */
static void say_side_effects(struct cpu *cpu)
{
	struct kvm_coalesced_mmio_ring *ring = (void *)((char *)cpu->run + sysconf(_SC_PAGESIZE));
	uint64_t n;

	if (ring->first != ring->last) {
		const struct kvm_coalesced_mmio *e = &ring->coalesced_mmio[ring->first];

		say(" ring %u-%u %llx len %u pio %u %02x", ring->first, ring->last,
		    (unsigned long long)e->phys_addr, e->len, e->pio, e->data[0]);
		ring->first = ring->last;
	}
	for (unsigned i = 0; i < NR_EVENTS; i++)
		if (!has_irqfd[i] && read(events[i], &n, 8) == 8)
			say(" event%u %llu", i, (unsigned long long)n);
}

static void run_cpu(struct vm *vm, struct cpu *cpu, bool blocks)
{
	struct kvm_mp_state mp = {0};
	int r;

	ioctl(cpu->fd, KVM_GET_MP_STATE, &mp);
	blocks |= mp.mp_state != KVM_MP_STATE_RUNNABLE;
	say_cpu("RUN", vm, cpu);
	if (cpu->run->immediate_exit)
		say(" immediate");
	if (blocks)
		say(" blocks");
	set_alarm(blocks);
	r = ioctl(cpu->fd, KVM_RUN, 0);
	clear_alarm();
	say_answer(r);
	say_exit(cpu->run);
	say_side_effects(cpu);
	end_line();
	/* How far a guest came that was interrupted, nobody knows. */
	if (r && cpu->guest == GUEST_WFI)
		return;
	say_cpu("registers", vm, cpu);
	say_hex("pc", read_reg(cpu, CORE(regs.pc)));
	for (unsigned i = 0; i < 8; i++)
		say(" %llx", (unsigned long long)read_reg(cpu, CORE(regs.regs[0]) + 2 * i));
	end_line();
}

static uint64_t draw_device_address(void)
{
	return one_in(8) ? RAM + RAM_SIZE + below(64) * 0x8000 : DEVICE + below(6) * 8;
}

static uint32_t draw_function(void)
{
	static const uint32_t functions[] = {
		0x80000000, 0x80000001, 0x80008000, 0x80007fff, 0x80003fff, 0x84000000, 0x84000003,
		0x84000004, 0x84000005, 0x84000006, 0x84000008, 0x84000009, 0x8400000a, 0xc400000a,
		0xc4000003, 0xc4000004, 0xc4000012, 0x84000012, 0xc4000015, 0x84000015, 0x84000050,
		0x84000051, 0x84000052, 0xc5000020, 0xc5000021, 0x86000000, 0x8600ff01, 0x95c1ba60,
		0x84000007, 0x8400000b, 0x84000099, 0xc6000040, 0,	    0x01000000, 0xbf00ff01,
		0x95c1ba61, 0xc400000e};

	return PICK(functions);
}

/* The registers that a guest goes by; the last ones drawn decide. */
static void place(struct vm *vm, struct cpu *cpu, enum guest g)
{
	uint64_t x[8] = {0};

	for (unsigned i = 0; i < 8; i++)
		x[i] = one_in(4) ? draw_word() : below(8);
	if (g == GUEST_CALL) {
		x[0] = draw_function();
		x[1] = one_in(2) ? draw_function() : one_in(2) ? x[1] : below(4);
		x[2] = one_in(2) ? RAM : x[2];
	} else {
		x[1] = draw_device_address();
		x[3] = DATA + below(16) * PAGE;
	}
	x[4] = DEVICE + 0x100;
	cpu->guest = g;
	say_cpu("place", vm, cpu);
	say(" guest %u:", g);
	for (unsigned i = 0; i < 8; i++) {
		say(" %llx", (unsigned long long)x[i]);
		put_reg(cpu, CORE(regs.regs[0]) + 2 * i, x[i]);
	}
	put_reg(cpu, CORE(regs.pc), RAM + g * PAGE);
	say_answer(put_reg(cpu, KVM_REG_ARM64_SYSREG | 0xc600, VECTORS));
	end_line();
}

/* A step of a guest: from the start of a program, or on from where the last exit was. */
static void step_run(struct target *t)
{
	struct vm *vm = t->vm;
	struct cpu *cpu = t->cpu;
	enum guest g = below(NR_GUESTS);
	bool again = one_in(4), fill = one_in(2);
	uint64_t data = draw();

	/* WFI is over when the run was interrupted; how soon the next one comes, nobody knows. */
	again &= cpu->guest >= 0 && cpu->guest != GUEST_WFI;
	if (!cpu->run || cpu->fd < 0)
		return;
	cpu->run->immediate_exit = one_in(12);
	if (cpu->strange || vm->code_moved) {
		struct kvm_vcpu_init init = {.target = KVM_ARM_TARGET_GENERIC_V8,
					     .features = {vm->features}};

		again = false;
		if (vm->code_moved)
			cpu->run->immediate_exit = 1;
		init_cpu(vm, cpu, &init);
	}
	if (fill)
		memcpy(cpu->run->mmio.data, &data, 8);
	if (g == GUEST_WFI && (vm->signalled || cpu->debugged))
		g = GUEST_STORE;
	if (!again)
		place(vm, cpu, g);
	run_cpu(vm, cpu, cpu->guest == GUEST_WFI);
}

#endif
