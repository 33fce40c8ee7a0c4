/* SPDX-License-Identifier: MIT */
/*
 * A guest out of bytes: instructions, registers, translation tables, an odd layout of slots, and between its runs changes of the
 * memory under them. The host may neither crash, hang nor abort, and no guest may reach memory that no slot names: all of it is
 * inaccessible here, and an access would be counted (host_faults) even where the library recovers from it.
 */
#include "machine.h"

#define NR_PAGES   96 /* of the arena: half of it under slots, in pieces */
#define CODE_PAGES 16 /* the first slot: code, then tables */
#define TABLE	   (RAM + 8 * PAGE)
#define MAX_EXITS  40
#define NR_SLOTS   5
#define RUN_NS	   300000
#define VECTORS	   0x1000

struct guest {
	struct bytes in;
	int kvm, vm, vcpu;
	struct kvm_run *run;
	uint64_t state; /* of the generator that stretches the bytes */
};

static unsigned char *arena;
static unsigned long guests, exits, interrupts, refused;
static unsigned long long instructions;

static uint64_t stretch(struct guest *g)
{
	return next_random(&g->state);
}

static void set_up(void)
{
	alarm_init();
	arena = mmap(NULL, NR_PAGES * PAGE, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	FUZZ_EXPECT(arena != MAP_FAILED);
}

static uint32_t instruction(struct guest *g)
{
	uint32_t r = (uint32_t)(any_left(&g->in) ? take(&g->in, 4) : stretch(g));

	return likely_instruction(r, (unsigned)stretch(g));
}

static uint64_t address(struct guest *g)
{
	switch (stretch(g) % 5) {
	case 0:
		return stretch(g);
	case 1:
		return DEVICE + stretch(g) % PAGE;
	case 2:
		return stretch(g) % 64;
	default:
		return RAM + stretch(g) % (2 * NR_PAGES * PAGE);
	}
}

/* Blocks of 1 GiB with any attributes, invalid entries, and tables that are data of the guest. */
static void fill_tables(struct guest *g)
{
	uint64_t *entry = (uint64_t *)(arena + 8 * PAGE);

	for (unsigned i = 0; i < 8 * PAGE / 8; i++) {
		uint64_t r = stretch(g), attributes = (r >> 8 & 0xffc) | (r >> 3 & 7ull << 52);

		switch (r % 8) {
		case 0:
			entry[i] = r;
			break;
		case 1:
			entry[i] = (TABLE + (r >> 20) % 8 * PAGE) | 3;
			break;
		case 2:
			entry[i] = 0;
			break;
		default: /* to itself, for the most part accessible */
			entry[i] = (uint64_t)(r & 64 ? i % 4 : 1) << 30 | attributes | 0x701;
			break;
		}
	}
}

static void fill_code(struct guest *g)
{
	uint32_t *code = (uint32_t *)arena;

	for (unsigned i = 0; i < 8 * PAGE / 4; i++)
		code[i] = instruction(g);
	if (stretch(g) % 4)
		put_vectors(code + VECTORS / 4, stretch(g) % 2);
}

/* Slot 0 is code and tables; the others cover some of the rest, and nothing else of the arena can be touched. */
static void make_slots(struct guest *g)
{
	FUZZ_EXPECT(mmap(arena, NR_PAGES * PAGE, PROT_NONE, MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS,
			 -1, 0) == arena);
	mprotect(arena, CODE_PAGES * PAGE, PROT_READ | PROT_WRITE);
	FUZZ_EXPECT(!set_slot(g->vm, 0, below(&g->in, 2), RAM, CODE_PAGES * PAGE, arena));
	for (unsigned i = 1, at = CODE_PAGES + 1; i < NR_SLOTS; i++) {
		unsigned n = 1 + stretch(g) % 12, gap = 1 + stretch(g) % 4;

		if (at + n + 1 >= NR_PAGES)
			break;
		mprotect(arena + at * PAGE, n * PAGE, PROT_READ | PROT_WRITE);
		if (set_slot(g->vm, i, stretch(g) % 4, RAM + (at + stretch(g) % 8) * PAGE, n * PAGE,
			     arena + at * PAGE))
			mprotect(arena + at * PAGE, n * PAGE, PROT_NONE);
		at += n + gap;
	}
}

static void set_sys(struct guest *g, unsigned crn, unsigned crm, unsigned op2, uint64_t value)
{
	refused += set_reg(g->vcpu, ARM64_SYS_REG(3, 0, crn, crm, op2), value) != 0;
}

static void make_vcpu(struct guest *g)
{
	struct kvm_vcpu_init init = {.target = KVM_ARM_TARGET_GENERIC_V8,
				     .features = {1u << KVM_ARM_VCPU_PSCI_0_2}};

	g->vcpu = ioctl(g->vm, KVM_CREATE_VCPU, 0);
	FUZZ_EXPECT(g->vcpu >= 0 && !ioctl(g->vcpu, KVM_ARM_VCPU_INIT, &init));
	g->run = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, g->vcpu, 0);
	FUZZ_EXPECT(g->run != MAP_FAILED);
	for (unsigned i = 0; i < 31; i++)
		set_reg(g->vcpu, CORE_REG(regs.regs[0]) + 2 * i, address(g));
	set_reg(g->vcpu, CORE_REG(regs.sp), address(g));
	set_reg(g->vcpu, CORE_REG(sp_el1), address(g));
	set_reg(g->vcpu, CORE_REG(regs.pstate), stretch(g) % 4 ? 0x3c5 : 0x3c0);
	set_reg(g->vcpu, CORE_REG(regs.pc), RAM + stretch(g) % (8 * PAGE / 4) * 4);
	set_sys(g, 12, 0, 0, RAM + (stretch(g) % 8 ? VECTORS : stretch(g) % 4 * 0x800));
	set_sys(g, 10, 2, 0, 0xff440c0400 ^ (stretch(g) & 0xff)); /* MAIR_EL1 */
	set_sys(g, 2, 0, 0, TABLE);				  /* TTBR0_EL1 */
	set_sys(g, 2, 0, 1, TABLE + PAGE);			  /* TTBR1_EL1 */
	/* TCR_EL1: 39 bits, 4 KiB granules; now and then anything */
	set_sys(g, 2, 0, 2, stretch(g) % 8 ? 0x580993519 : stretch(g));
	if (stretch(g) % 4) /* SCTLR_EL1 */
		set_sys(g, 1, 0, 0, 0x30d0198d ^ (stretch(g) % 4 ? 0 : 1ull << stretch(g) % 32));
}

static void change_memory(struct guest *g)
{
	unsigned char *p = arena + stretch(g) % CODE_PAGES * PAGE;

	switch (stretch(g) % 8) {
	case 0:
		madvise(p, PAGE, MADV_DONTNEED);
		break;
	case 1:
		mprotect(p, PAGE, PROT_READ);
		break;
	case 2:
		mprotect(p, PAGE, PROT_READ | PROT_WRITE);
		break;
	case 3:
		set_slot(g->vm, 1 + stretch(g) % (NR_SLOTS - 1), 0, 0, 0, NULL);
		break;
	default:
		break;
	}
}

/* One that goes round in a circle, elsewhere, perhaps without translation. */
static void restart(struct guest *g)
{
	set_reg(g->vcpu, CORE_REG(regs.pc), RAM + stretch(g) % (8 * PAGE / 4) * 4);
	set_reg(g->vcpu, CORE_REG(regs.pstate), 0x3c5);
	if (stretch(g) % 2)
		set_sys(g, 1, 0, 0, 0x30d0198c);
}

static void run_guest(struct guest *g)
{
	for (unsigned i = 0, interrupted = 0; i < MAX_EXITS && interrupted < 3; i++) {
		int r = run_bounded(g->vcpu, RUN_NS);

		exits++;
		if (r < 0 && errno != EINTR) /* nothing there that could be run or read */
			return;
		if (r < 0) {
			interrupted++;
			interrupts++;
			restart(g);
		}
		if (r == 0 && g->run->exit_reason == KVM_EXIT_MMIO && !g->run->mmio.is_write)
			memset(g->run->mmio.data, (int)stretch(g), 8);
		if (r == 0 && g->run->exit_reason == KVM_EXIT_SYSTEM_EVENT)
			set_reg(g->vcpu, CORE_REG(regs.pc), RAM + stretch(g) % PAGE);
		change_memory(g);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct guest g = {.in = {data, data + size, 0},
			  .kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC)};
	struct anykvm_stats stats = {0};

	if (!arena)
		set_up();
	g.state = take(&g.in, 8) | 1;
	g.vm = ioctl(g.kvm, KVM_CREATE_VM, 0);
	FUZZ_EXPECT(g.vm >= 0);
	make_slots(&g);
	fill_tables(&g);
	fill_code(&g);
	make_vcpu(&g);
	run_guest(&g);
	FUZZ_EXPECT(!anykvm_stats(g.vm, &stats, sizeof(stats)));
	FUZZ_EXPECT(stats.host_faults == 0);
	instructions += stats.instructions;
	guests++;
	munmap(g.run, 2 * PAGE);
	close(g.vcpu);
	close(g.vm);
	close(g.kvm);
	if (fuzz_instructions && instructions >= fuzz_instructions)
		fuzz_finish();
	return 0;
}

void fuzz_missed(char *text, size_t size)
{
	*text = 0;
}

void fuzz_summary(char *text, size_t size)
{
	double n = guests ? guests : 1;

	snprintf(text, size,
		 "%lu guests, %llu instructions, each with %.0f, %.1f exits, %.1f alarms, %.2f "
		 "registers refused",
		 guests, instructions, instructions / n, exits / n, interrupts / n, refused / n);
}
