/* SPDX-License-Identifier: MIT */
/* A guest for QEMU's virt machine that boots in no time: on each timer interrupt each of its two CPUs reads pages, compares them with
 * what it wrote there the last time, and writes them anew. Whatever a VMM does with the machine meanwhile (migrate it, save and load
 * it, take memory away), a page that came back old, or not at all, is noticed. It is told what to do by characters at the PL011, which
 * interrupts: c tells ticks and wrong words, d uses the memory that was plugged, e ejects it, f writes flash memory, o turns the machine
 * off, r resets it. The MMU is off: no tables, no caches. */
#include <stddef.h>
#include <stdint.h>

enum {
	CPUS = 2,
	PAGES = 1024, /* of a CPU */
	PAGE_WORDS = 512,
	PAGES_PER_TICK = 8,
	TICKS_PER_SECOND = 50,
	TIMER = 27,
	UART = 33,
	SPURIOUS = 1020,
	DIMM_SIZE = 32 << 20,
};

static const uint64_t memory = 0x42000000;
static const uint64_t flash = 0x04000000;
static const uint64_t uart = 0x09000000;
static const uint64_t distributor = 0x08000000;
static const uint64_t cpu_interface = 0x08010000;
static const uint64_t redistributors = 0x080a0000;
static const uint64_t dimm_control = 0x09070000;
static const uint64_t dimm = 0x80000000;

static struct cpu {
	uint64_t ticks;
	uint64_t wrong;
	uint64_t random;
	uint32_t generation[PAGES];
} cpus[CPUS];

#define READ_REGISTER(name)                                       \
	({                                                        \
		uint64_t value_;                                  \
		__asm__ volatile("mrs %0, " name : "=r"(value_)); \
		value_;                                           \
	})
#define WRITE_REGISTER(name, value) \
	__asm__ volatile("msr " name ", %0\n\tisb" ::"r"((uint64_t)(value)))

__asm__(".section .text.start, \"ax\"\n"
	".global start, start_second, vectors\n"
	"start:\n"
	"	ldr x0, =stacks + 0x4000\n"
	"	mov sp, x0\n"
	"	ldr x0, =__bss_start\n"
	"	ldr x1, =_end\n"
	"1:	cmp x0, x1\n"
	"	b.hs 2f\n"
	"	str xzr, [x0], #8\n"
	"	b 1b\n"
	"2:	mov x0, #0\n"
	"	b run\n"
	"start_second:\n"
	"	ldr x0, =stacks + 0x8000\n"
	"	mov sp, x0\n"
	"	mov x0, #1\n"
	"	b run\n"
	".balign 0x800\n"
	"vectors:\n"
	".rept 5\n"
	"	b fault\n" /* synchronous, and what is not for the kernel's own stack pointer */
	"	.balign 0x80\n"
	".endr\n"
	"	sub sp, sp, #0x100\n" /* IRQ */
	"	stp x0, x1, [sp]\n"
	"	stp x2, x3, [sp, #0x10]\n"
	"	stp x4, x5, [sp, #0x20]\n"
	"	stp x6, x7, [sp, #0x30]\n"
	"	stp x8, x9, [sp, #0x40]\n"
	"	stp x10, x11, [sp, #0x50]\n"
	"	stp x12, x13, [sp, #0x60]\n"
	"	stp x14, x15, [sp, #0x70]\n"
	"	stp x16, x17, [sp, #0x80]\n"
	"	stp x18, x30, [sp, #0x90]\n"
	"	bl interrupt\n"
	"	ldp x0, x1, [sp]\n"
	"	ldp x2, x3, [sp, #0x10]\n"
	"	ldp x4, x5, [sp, #0x20]\n"
	"	ldp x6, x7, [sp, #0x30]\n"
	"	ldp x8, x9, [sp, #0x40]\n"
	"	ldp x10, x11, [sp, #0x50]\n"
	"	ldp x12, x13, [sp, #0x60]\n"
	"	ldp x14, x15, [sp, #0x70]\n"
	"	ldp x16, x17, [sp, #0x80]\n"
	"	ldp x18, x30, [sp, #0x90]\n"
	"	add sp, sp, #0x100\n"
	"	eret\n"
	"	.balign 0x80\n"
	".rept 10\n"
	"	b fault\n"
	"	.balign 0x80\n"
	".endr\n");

extern void start_second(void);
extern char vectors[];
uint64_t stacks[0x8000 / sizeof(uint64_t)] __attribute__((aligned(16)));

static void put32(uint64_t at, uint32_t value)
{
	*(volatile uint32_t *)at = value;
}

static uint32_t get32(uint64_t at)
{
	return *(volatile uint32_t *)at;
}

static uint64_t call_firmware(uint64_t function, uint64_t a, uint64_t b, uint64_t c)
{
	register uint64_t x0 __asm__("x0") = function;
	register uint64_t x1 __asm__("x1") = a;
	register uint64_t x2 __asm__("x2") = b;
	register uint64_t x3 __asm__("x3") = c;
	__asm__ volatile("hvc #0"
			 : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)::"x4", "x5", "x6", "x7",
			   "memory");
	return x0;
}

static void say(const char *text)
{
	while (*text)
		put32(uart, *text++);
}

static void say_number(const char *name, uint64_t value)
{
	char digits[21];
	char *digit = digits + sizeof(digits) - 1;

	*digit = 0;
	do
		*--digit = '0' + value % 10;
	while (value /= 10);
	say(name);
	say(digit);
}

void fault(void)
{
	say_number("fault: ESR ", READ_REGISTER("esr_el1"));
	say_number(" at ", READ_REGISTER("elr_el1"));
	say("\n");
	for (;;)
		__asm__ volatile("wfi");
}

static int has_gicv3(void)
{
	return READ_REGISTER("id_aa64pfr0_el1") >> 24 & 15;
}

/* The word that a page of a generation is full of. */
static uint64_t fill(int cpu, unsigned page, uint32_t generation)
{
	return generation
		       ? (((uint64_t)generation << 32 | page << 1 | cpu) + 1) * 0x9e3779b97f4a7c15
		       : 0;
}

static void tick(int number)
{
	struct cpu *cpu = &cpus[number];

	for (int i = 0; i < PAGES_PER_TICK; i++) {
		cpu->random = cpu->random * 6364136223846793005 + 1442695040888963407;
		unsigned page = cpu->random >> 40 & (PAGES - 1);
		volatile uint64_t *words =
			(volatile uint64_t *)(memory +
					      ((uint64_t)number * PAGES + page) * PAGE_WORDS * 8);
		uint64_t old = fill(number, page, cpu->generation[page]);
		uint64_t new = fill(number, page, cpu->generation[page] + 1);

		for (unsigned word = 0; word < PAGE_WORDS; word++) {
			cpu->wrong +=
				cpu->generation[page] &&
				words[word] != old; /* before the first it is a reset's leftovers */
			words[word] = new;
		}
		cpu->generation[page]++;
	}
	cpu->ticks++;
}

static void rearm_timer(void)
{
	WRITE_REGISTER("cntv_tval_el0", READ_REGISTER("cntfrq_el0") / TICKS_PER_SECOND);
}

/* Flash memory is a read-only slot, and none while it answers commands. Two chips of 16 bits side by side; QRY is what a query finds. */
static void write_flash(void)
{
	uint64_t word = flash + 0x40000;
	uint32_t old = get32(word);

	put32(flash, 0x980098);
	uint32_t query = get32(flash + 0x10 * 4);
	put32(flash, 0xff00ff);
	put32(word, 0x400040);
	put32(word, old + 0x12345678);
	put32(flash, 0xff00ff);
	say(query == 0x510051 && get32(word) == old + 0x12345678 ? "@flash right\n"
								 : "@flash wrong\n");
}

/* Memory that was plugged is new: all zeros. */
static void use_dimm(void)
{
	uint64_t wrong_pages = 0;

	for (uint64_t at = dimm; at < dimm + DIMM_SIZE; at += PAGE_WORDS * 8) {
		wrong_pages += *(volatile uint64_t *)at != 0;
		*(volatile uint64_t *)at = at;
	}
	for (uint64_t at = dimm; at < dimm + DIMM_SIZE; at += PAGE_WORDS * 8)
		wrong_pages += *(volatile uint64_t *)at != at;
	say_number("@dimm ", wrong_pages);
	say("\n");
}

/* The first slot, by ACPI's registers. */
static void eject_dimm(void)
{
	put32(dimm_control, 0);
	*(volatile uint8_t *)(dimm_control + 0x14) = 8;
	say("@ejected\n");
}

static void obey(uint32_t command)
{
	if (command == 'd')
		use_dimm();
	if (command == 'e')
		eject_dimm();
	if (command == 'f')
		write_flash();
	if (command == 'o')
		call_firmware(0x84000008, 0, 0, 0);
	if (command == 'r')
		call_firmware(0x84000009, 0, 0, 0);
	if (command != 'c')
		return;
	say_number("@ticks ", cpus[0].ticks);
	say_number(" ", cpus[1].ticks);
	say_number(" wrong ", cpus[0].wrong + cpus[1].wrong);
	say("\n");
}

void interrupt(void)
{
	int number = READ_REGISTER("mpidr_el1") & 0xff;
	int v3 = has_gicv3();
	uint32_t acknowledged = v3 ? READ_REGISTER("S3_0_C12_C12_0") : get32(cpu_interface + 0xc);
	uint32_t id = acknowledged & 0x3ff;

	if (id >= SPURIOUS)
		return;
	if (id == TIMER) {
		tick(number);
		rearm_timer();
	}
	if (id == UART) {
		put32(uart + 0x44,
		      0x7ff); /* first: of what comes after the last look the UART tells again */
		while (!(get32(uart + 0x18) & 0x10))
			obey(get32(uart) & 0xff);
	}
	if (v3)
		WRITE_REGISTER("S3_0_C12_C12_1", acknowledged);
	else
		put32(cpu_interface + 0x10, acknowledged);
}

static void start_gicv3(int number)
{
	uint64_t redistributor = redistributors + 0x20000 * (uint64_t)number;

	WRITE_REGISTER("S3_0_C12_C12_5", 7);
	put32(redistributor + 0x14, 0);
	while (get32(redistributor + 0x14) & 4)
		;
	put32(redistributor + 0x10080, ~0U);
	put32(redistributor + 0x10100, 1U << TIMER);
	WRITE_REGISTER("S3_0_C4_C6_0", 0xff);
	WRITE_REGISTER("S3_0_C12_C12_7", 1);
}

static void start_gicv2(void)
{
	put32(distributor + 0x100, 1U << TIMER);
	put32(cpu_interface + 4, 0xff);
	put32(cpu_interface, 3);
}

/* Of the first CPU: the distributor, and the UART's line, which is for this CPU. */
static void start_devices(void)
{
	uint32_t word = UART / 32 * 4;

	put32(distributor, has_gicv3() ? 0x12 : 3);
	put32(distributor + 0xc00 + UART / 16 * 4, 0); /* level */
	if (has_gicv3())
		put32(distributor + 0x80 + word, ~0U);
	else
		*(volatile uint8_t *)(distributor + 0x800 + UART) = 1;
	put32(distributor + 0x100 + word, 1U << UART % 32);
	put32(uart + 0x30, 0x301);
	put32(uart + 0x38, 0x10);
}

void run(int number)
{
	WRITE_REGISTER("vbar_el1", (uintptr_t)vectors);
	if (number == 0)
		start_devices();
	if (has_gicv3())
		start_gicv3(number);
	else
		start_gicv2();
	cpus[number].random = number;
	if (number == 0) {
		say("@start\n");
		if (call_firmware(0xc4000003, 1, (uintptr_t)start_second, 0) != 0)
			say("no second CPU\n");
	}
	rearm_timer();
	WRITE_REGISTER("cntv_ctl_el0", 1);
	__asm__ volatile("msr daifclr, #2");
	for (;;)
		__asm__ volatile("wfi");
}
