/* SPDX-License-Identifier: MIT */
/*
 * A sequence of calls out of bytes: requests from the table that the API is made of, on descriptors of the right and of the wrong
 * kind, with arguments that are mostly nonsense; between them descriptors are copied and closed, and the memory under the slots
 * changes. Nothing may crash, hang or abort, and when all is closed, nothing is left. tests/unit/api/fuzz.c does the like from
 * several threads.
 */
#include "machine.h"
#include "../gic3.h"
#include "api/api.h"
#include "host/alloc.h"
#include "sync/rcu.h"

#define ARENA_SIZE (2ull << 20)
#define NR_FDS	   20
#define NR_MAPS	   4
#define MAX_STEPS  120
#define MAX_RUNS   6
#define LEAK_CHECK 32 /* sequences: it waits for what is freed later */
#define ARGUMENT   1024

struct entry {
	int fd; /* -1: none */
	unsigned kind;
};

struct sequence {
	struct bytes in;
	struct entry entry[NR_FDS];
	void *map[NR_MAPS];
	unsigned runs;
};

static unsigned char *arena,
	*argument; /* argument: the ARGUMENT bytes before a page that cannot be read */
static unsigned long sequences, refused, granted, entered;

/* A page, the same each time: guests start there. */
static void fill_arena(void)
{
	uint64_t x = 88172645463325252ull;

	for (unsigned i = 0; i < ARENA_SIZE / 4; i += 61) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		((uint32_t *)arena)[i] = x;
	}
}

static void renew_arena(void)
{
	FUZZ_EXPECT(mmap(arena, ARENA_SIZE, PROT_READ | PROT_WRITE,
			 MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS, -1, 0) == arena);
	fill_arena();
}

static void set_up(void)
{
	unsigned char *p;

	arena = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	FUZZ_EXPECT(arena != MAP_FAILED && p != MAP_FAILED && !mprotect(p + PAGE, PAGE, PROT_NONE));
	argument = p + PAGE - ARGUMENT;
}

static uint64_t take_page(struct sequence *s)
{
	return (uintptr_t)arena + below(&s->in, ARENA_SIZE / PAGE) * PAGE;
}

/* Numbers that mean something somewhere more often than chance. */
static uint64_t take_word(struct sequence *s)
{
	struct bytes *in = &s->in;

	switch (below(in, 12)) {
	case 0:
		return take(in, 8);
	case 1:
		return 1ull << below(in, 40);
	case 2:
		return take_page(s);
	case 3:
		return RAM + below(in, 64) * PAGE;
	case 4:
		return below(in, 64) * PAGE;
	case 5:
		return (uintptr_t)argument + ARGUMENT - below(in, 16);
	case 6:
		return ~0ull << below(in, 64);
	case 7: /* two small halves */
		return (uint64_t)below(in, 16) << 32 | below(in, 32);
	case 8: /* a descriptor of this program's */
		return s->entry[below(in, NR_FDS)].fd;
	case 9: /* a register */
		return KVM_REG_ARM64 | KVM_REG_SIZE_U64 | (uint64_t)(0x10 + below(in, 7)) << 16 |
		       take(in, 2);
	default:
		return below(in, 16);
	}
}

static struct entry *take_entry(struct sequence *s)
{
	return &s->entry[below(&s->in, NR_FDS)];
}

/* One that holds a descriptor, if any does. */
static struct entry *take_open(struct sequence *s)
{
	unsigned at = below(&s->in, NR_FDS);

	for (unsigned i = 0; i < NR_FDS; i++)
		if (s->entry[(at + i) % NR_FDS].fd >= 0)
			return &s->entry[(at + i) % NR_FDS];
	return &s->entry[at];
}

/* fd goes in the place of another, which is closed. */
static void keep(struct sequence *s, int fd, unsigned kind)
{
	struct entry *e = take_entry(s);

	if (fd < 0)
		return;
	if (e->fd >= 0)
		close(e->fd);
	*e = (struct entry){fd, kind};
}

static unsigned kind_made(uint32_t request)
{
	return request == (uint32_t)KVM_CREATE_VM	     ? API_VM
	       : request == (uint32_t)KVM_CREATE_VCPU	     ? API_VCPU
	       : request == (uint32_t)KVM_GET_STATS_FD	     ? API_STATS
	       : request == (uint32_t)KVM_CREATE_GUEST_MEMFD ? API_GMEM
							     : NR_API_KINDS;
}

/* What the argument has to be for a request to get anywhere; overwrites its first bytes. */
static void make_sensible(struct sequence *s, uint32_t request, unsigned char *at)
{
	struct kvm_userspace_memory_region2 region;
	struct kvm_vcpu_init init;
	struct kvm_create_device device;

	if (request == (uint32_t)KVM_SET_USER_MEMORY_REGION ||
	    request == (uint32_t)KVM_SET_USER_MEMORY_REGION2) {
		region = (struct kvm_userspace_memory_region2){
			.slot = below(&s->in, 6),
			.flags = below(&s->in, 8),
			.guest_phys_addr = RAM + below(&s->in, 16) * (ARENA_SIZE / 8),
			.memory_size = below(&s->in, 4) ? PAGE << below(&s->in, 10) : 0,
			.userspace_addr = take_page(s),
			.guest_memfd_offset = below(&s->in, 4) * PAGE,
			.guest_memfd = take_entry(s)->fd};
		memcpy(at, &region, _IOC_SIZE(request));
	} else if (request == (uint32_t)KVM_ARM_VCPU_INIT) {
		init = (struct kvm_vcpu_init){.target = KVM_ARM_TARGET_GENERIC_V8,
					      .features = {4 | take(&s->in, 1)}};
		memcpy(at, &init, sizeof(init));
	} else if (request == (uint32_t)KVM_CREATE_DEVICE) {
		device = (struct kvm_create_device){.type = 4 + below(&s->in, 5),
						    .flags = !below(&s->in, 8)};
		memcpy(at, &device, sizeof(device));
	} else if (request == (uint32_t)KVM_ENABLE_CAP) {
		struct kvm_enable_cap cap = {.cap = below(&s->in, 256),
					     .args = {below(&s->in, 16)}};

		memcpy(at, &cap, sizeof(cap));
	}
}

static void step_request(struct sequence *s)
{
	struct entry *e = take_open(s);
	bool fits = e->kind <= API_DEVICE && below(&s->in, 8);
	const struct ioctl_table *t = ioctl_tables[fits ? e->kind : below(&s->in, API_DEVICE + 1)];
	uint32_t request = t->row[below(&s->in, t->nr)].request;
	unsigned size = _IOC_SIZE(request), words = (size + 7) / 8, form = below(&s->in, 16);
	unsigned char *at = argument + ARGUMENT - 8 * words;
	int r;

	memset(argument, 0, ARGUMENT);
	for (unsigned i = form & 1 ? words / 2 : 0; i < words && i < 16; i++)
		((uint64_t *)at)[i] = take_word(s);
	if (form & 6)
		make_sensible(s, request, at);
	if (form == 15)
		at += 8; /* reaches into what cannot be read */
	if (request == (uint32_t)KVM_RUN && s->runs++ >= MAX_RUNS)
		return;
	r = ioctl(e->fd, request,
		  size	     ? (unsigned long)(uintptr_t)at
		  : form & 3 ? 0
			     : take(&s->in, 2));
	entered += request == (uint32_t)KVM_RUN && (r >= 0 || errno == EINTR);
	*(r < 0 ? &refused : &granted) += 1;
	if (r < 0)
		return;
	if (kind_made(request) != NR_API_KINDS)
		keep(s, r, kind_made(request));
	if (request == (uint32_t)KVM_CREATE_DEVICE &&
	    !(((struct kvm_create_device *)at)->flags & KVM_CREATE_DEVICE_TEST))
		keep(s, ((struct kvm_create_device *)at)->fd, API_DEVICE);
}

/* The right things in the right order: without it few requests would get far. */
static void step_machine(struct sequence *s)
{
	struct kvm_vcpu_init init = {.target = KVM_ARM_TARGET_GENERIC_V8, .features = {4}};
	unsigned nr = below(&s->in, 4), attributes = below(&s->in, 5);
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm = ioctl(kvm, KVM_CREATE_VM, 0);

	set_slot(vm, 0, below(&s->in, 4), RAM, ARENA_SIZE, arena);
	for (unsigned i = 0; i < nr; i++) {
		int vcpu = ioctl(vm, KVM_CREATE_VCPU, i);

		ioctl(vcpu, KVM_ARM_VCPU_INIT, &init);
		if (vcpu >= 0)
			set_reg(vcpu, CORE_REG(regs.pc), RAM + below(&s->in, 64) * 4);
		keep(s, vcpu, API_VCPU);
	}
	if (attributes)
		keep(s, gic3_begin(vm, attributes - 1), API_DEVICE);
	keep(s, vm, API_VM);
	keep(s, kvm, API_SYSTEM);
}

static void step_descriptor(struct sequence *s)
{
	struct entry *e = take_open(s);
	char buf[64];

	switch (below(&s->in, 6)) {
	case 0:
		keep(s, dup(e->fd), e->kind);
		break;
	case 1:
		keep(s, fcntl(e->fd, F_DUPFD_CLOEXEC, below(&s->in, 200)), e->kind);
		break;
	case 2:
		if (pread(e->fd, buf, below(&s->in, sizeof(buf)), take(&s->in, 2)) < 0)
			refused++;
		break;
	case 3:
		fallocate(e->fd, below(&s->in, 4), below(&s->in, 20) * PAGE,
			  below(&s->in, 20) * PAGE);
		break;
	default:
		if (e->fd >= 0)
			close(e->fd);
		*e = (struct entry){-1, NR_API_KINDS};
		break;
	}
}

static void step_map(struct sequence *s)
{
	void **map = &s->map[below(&s->in, NR_MAPS)];
	struct entry *e = take_open(s);
	unsigned page = below(&s->in, 4);

	if (*map) {
		munmap(*map, 2 * PAGE);
		*map = NULL;
		return;
	}
	*map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, e->fd, page * PAGE);
	if (*map == MAP_FAILED)
		*map = NULL;
	else if (e->kind == API_VCPU && page == 0) /* others need not be there */
		((struct kvm_run *)*map)->immediate_exit = below(&s->in, 2);
}

static void step_memory(struct sequence *s)
{
	unsigned char *p = (unsigned char *)take_page(s);
	size_t n = (below(&s->in, 64) + 1) * PAGE, left = arena + ARENA_SIZE - p;

	n = n > left ? left : n;
	switch (below(&s->in, 5)) {
	case 0:
		mmap(p, n, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
		break;
	case 1:
		mprotect(p, n, below(&s->in, 4));
		break;
	case 2:
		madvise(p, n, MADV_DONTNEED);
		break;
	case 3:
		madvise(p, n, MADV_REMOVE);
		break;
	default:
		mprotect(p, n, PROT_READ | PROT_WRITE);
		break;
	}
}

static void finish(struct sequence *s)
{
	for (unsigned i = 0; i < NR_MAPS; i++)
		if (s->map[i])
			munmap(s->map[i], 2 * PAGE);
	for (unsigned i = 0; i < NR_FDS; i++)
		if (s->entry[i].fd >= 0)
			close(s->entry[i].fd);
}

static void run_sequence(const uint8_t *data, size_t size)
{
	struct sequence s = {.in = {data, data + size}};

	for (unsigned i = 0; i < NR_FDS; i++)
		s.entry[i] = (struct entry){-1, NR_API_KINDS};
	step_machine(&s);
	for (unsigned i = 0; i < MAX_STEPS && any_left(&s.in); i++) {
		unsigned kind = below(&s.in, 32);

		if (kind < 22)
			step_request(&s);
		else if (kind < 26)
			step_descriptor(&s);
		else if (kind < 28)
			step_map(&s);
		else if (kind < 31)
			step_memory(&s);
		else
			step_machine(&s);
	}
	finish(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint64_t objects;

	if (!sequences) {
		static const uint8_t map_once[64];

		set_up();
		run_sequence(map_once, sizeof(map_once));
		rcu_barrier();
		objects = host_alloc_objects();
	}
	renew_arena();
	interrupt_guests(true);
	run_sequence(data, size);
	interrupt_guests(false);
	sequences++;
	if (sequences % LEAK_CHECK)
		return 0;
	rcu_barrier();
	FUZZ_EXPECT(host_alloc_objects() <= objects);
	return 0;
}

void fuzz_summary(char *line, size_t size)
{
	snprintf(line, size,
		 "%lu sequences: %lu requests refused, %lu granted, %lu times in a guest",
		 sequences, refused, granted, entered);
}
