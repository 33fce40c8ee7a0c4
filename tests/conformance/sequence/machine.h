/* SPDX-License-Identifier: MIT */
/* What a sequence works on, the numbers it draws, and how a call and its answer become a line. */
#ifndef ANYKVM_TESTS_SEQUENCE_MACHINE_H
#define ANYKVM_TESTS_SEQUENCE_MACHINE_H

#ifdef ANYKVM_REAL
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <anykvm/kvm.h>
#else
#include <anykvm/redirect.h>
#endif
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/time.h>

#define PAGE	   4096ull
#define RAM	   0x40000000ull
#define RAM_SIZE   (2ull << 20)
#define DEVICE	   0x10000000ull /* nothing is there */
#define GIC_DIST   0x08000000ull
#define GIC_ITS	   0x08080000ull
#define GIC_REDIST 0x080a0000ull
#define ARENA_SIZE (8ull << 20)

#define NR_VMS	  2
#define NR_CPUS	  4
#define NR_DEVS	  3
#define NR_EVENTS 3
#define NR_GMEMS  2

struct cpu {
	int fd;
	struct kvm_run *run;
	int guest;     /* the program it is in; -1: none */
	bool debugged; /* it may stop at any instruction */
	bool strange;  /* what it would do when it runs depends on the CPU model */
};

struct device {
	int fd;
	unsigned type;
};

struct vm {
	int fd;
	unsigned features; /* what most of its vCPUs ask for */
	bool code_moved;   /* slot 0 was changed */
	bool signalled;	   /* an interrupt may be pending: WFI may go on */
	struct cpu cpu[NR_CPUS];
	struct device dev[NR_DEVS];
	int gmem[NR_GMEMS];
};

static int kvm;
static struct vm vms[NR_VMS];
static int events[NR_EVENTS];
static bool has_irqfd[NR_EVENTS]; /* who reads it first is not known */
static unsigned char *arena;	  /* host memory behind slots */
static void *nowhere;		  /* an address that cannot be read or written */
static bool gic_v2; /* which controller machines get, where the host has one of them alone */

/* --- numbers ----------------------------------------------------------------------------------------------------------- */

static uint64_t random_state;

/* Never twice in one expression, here and in what calls it: which would be the first, compilers decide. */
static uint64_t draw(void)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static unsigned below(unsigned n)
{
	return draw() % n;
}

static bool one_in(unsigned n)
{
	return !below(n);
}

#define PICK(table) (table)[below(sizeof(table) / sizeof((table)[0]))]

/* Any 64-bit number, near the ones that matter. */
static uint64_t draw_word(void)
{
	uint64_t word;

	switch (below(8)) {
	case 0:
		return draw();
	case 1:
		return 1ull << below(64);
	case 2:
		return ~0ull << below(64);
	case 3:
		word = draw();
		return word >> below(64);
	default:
		return below(32);
	}
}

/* --- lines --------------------------------------------------------------------------------------------------------------- */

static char line[4096];
static size_t line_at;

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	line_at += vsnprintf(line + line_at, sizeof(line) - line_at, format, args);
	va_end(args);
	if (line_at >= sizeof(line))
		line_at = sizeof(line) - 1;
}

static void say_hex(const char *name, uint64_t value)
{
	say(" %s %llx", name, (unsigned long long)value);
}

static uint64_t hash_of(const void *at, size_t n)
{
	uint64_t h = 14695981039346656037ull;

	for (size_t i = 0; i < n; i++)
		h = (h ^ ((const unsigned char *)at)[i]) * 1099511628211ull;
	return h;
}

static bool coded;	 /* a word a sequence instead of a line a call */
static size_t answer_at; /* in the line; 0: all of it is one */

/* Answers that are common have a letter; of others there are 16 bits of a hash. */
static void print_code(void)
{
	static const struct {
		const char *answer;
		char letter;
	} letters[] = {{"0", '.'},	 {"EINVAL", 'i'}, {"EFAULT", 'f'}, {"ENXIO", 'x'},
		       {"ENOENT", 'n'},	 {"EBUSY", 'b'},  {"EEXIST", 'e'}, {"ENODEV", 'd'},
		       {"ENOEXEC", 'c'}, {"EPERM", 'p'},  {"ENOSYS", 's'}, {"E2BIG", 'z'},
		       {"EAGAIN", 'a'},	 {"EIO", 'o'},	  {"EBADF", 'g'},  {"ENOTTY", 'y'},
		       {"ENOMEM", 'm'}};
	const char *answer = line + answer_at;

	for (size_t i = 0; i < sizeof(letters) / sizeof(letters[0]); i++) {
		if (!strcmp(answer, letters[i].answer)) {
			putchar(letters[i].letter);
			return;
		}
	}
	printf("#%04x", (unsigned)(hash_of(answer, strlen(answer)) >> 48));
}

static void end_line(void)
{
	if (coded)
		print_code();
	else
		puts(line);
	line_at = answer_at = 0;
	line[0] = 0;
}

static void say_answer(long r)
{
	int error = errno;

	say(" = ");
	if (!answer_at)
		answer_at = line_at;
	if (r < 0)
		say("%s", strerrorname_np(error) ?: "?");
	else
		say("%ld", r);
	errno = error;
}

/* Of what gives a descriptor: its number is nobody's business. */
static void say_fd(int fd)
{
	say_answer(fd < 0 ? fd : 0);
}

/* The argument, or now and then an address that cannot be read. */
static void *argument(void *good)
{
	if (!one_in(48))
		return good;
	say(" nowhere");
	return nowhere;
}

/* --- objects ------------------------------------------------------------------------------------------------------------- */

/* What a step is about: a machine that is there, and of it, where the step needs them, a vCPU and a device. */
struct target {
	struct vm *vm;
	struct cpu *cpu;
	struct device *dev;
};

static struct target draw_target(void)
{
	struct target t;

	t.vm = &vms[one_in(10)];
	if (t.vm->fd < 0)
		t.vm = &vms[0];
	t.cpu = &t.vm->cpu[one_in(3) ? below(NR_CPUS) : 0];
	if (t.cpu->fd < 0)
		t.cpu = &t.vm->cpu[0];
	t.dev = &t.vm->dev[below(NR_DEVS)];
	if (t.dev->fd < 0)
		t.dev = &t.vm->dev[0];
	return t;
}

static unsigned vm_number(const struct vm *vm)
{
	return vm - vms;
}

static unsigned cpu_number(const struct vm *vm, const struct cpu *cpu)
{
	return cpu - vm->cpu;
}

static void say_vm(const char *call, const struct vm *vm)
{
	say("%s vm%u", call, vm_number(vm));
}

static void say_cpu(const char *call, const struct vm *vm, const struct cpu *cpu)
{
	say("%s vm%u.%u", call, vm_number(vm), cpu_number(vm, cpu));
}

static long mmap_size(void)
{
	return 2 * sysconf(_SC_PAGESIZE);
}

static void close_cpu(struct cpu *cpu)
{
	if (cpu->run)
		munmap(cpu->run, mmap_size());
	if (cpu->fd >= 0)
		close(cpu->fd);
	*cpu = (struct cpu){.fd = -1, .guest = -1};
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

#endif
