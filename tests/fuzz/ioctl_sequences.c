/* SPDX-License-Identifier: MIT */
/*
 * A sequence of calls out of bytes: requests from the table that the API is made of, on descriptors of the right and of the wrong
 * kind, with arguments that are right, nearly so, or nonsense (arguments.c); between them guests run, descriptors are copied and
 * closed, and the memory under the slots changes. Nothing may crash, hang or abort, and when all is closed, nothing is left.
 * tests/unit/api/fuzz.c does the like from several threads.
 *
 * Each step has STEP bytes of its own: a change of one leaves the others what they were.
 */
#include <sys/syscall.h>

#include "sequence.h"
#include "../gic3.h"
#include "host/alloc.h"
#include "sync/rcu.h"

#define STEP	   16
#define MOST_STEPS 64
#define MOST_RUNS  8
#define RUN_NS	   300000
#define LEAK_CHECK 256 /* sequences: it waits for what is freed later */
#define VECTORS	   0x800

unsigned char *fuzz_arena, *fuzz_argument, *fuzz_scratch;
static unsigned long sequences, refused, granted, entered, interrupted;
static unsigned long row_granted[API_DEVICE + 1][64];

/* --- memory -------------------------------------------------------------------------------------------------------------- */

/* A page, the same each time: guests start there. Its vectors leave KVM_RUN and return: MOVZ X17, #0x1000, LSL #16; STR; ERET. */
static void make_code(uint32_t *code)
{
	static const uint32_t handler[] = {0xd2a20011, 0xb9000231, 0xd69f03e0};
	uint64_t state = 88172645463325252ull;

	for (unsigned i = 0; i < VECTORS / 4; i++) {
		uint64_t r = next_random(&state);

		code[i] = likely_instruction((uint32_t)(r >> 32), (unsigned)r);
	}
	for (unsigned i = 0; i < 16; i++)
		memcpy(&code[(VECTORS + i * 0x80) / 4], handler, sizeof(handler));
}

static void renew_arena(void)
{
	static uint32_t code[PAGE / 4];

	if (!code[0])
		make_code(code);
	FUZZ_EXPECT(mmap(fuzz_arena, ARENA_SIZE, PROT_READ | PROT_WRITE,
			 MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS, -1, 0) == fuzz_arena);
	memcpy(fuzz_arena, code, sizeof(code));
}

static unsigned char *reserve(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	FUZZ_EXPECT(p != MAP_FAILED);
	return p;
}

/* --- descriptors --------------------------------------------------------------------------------------------------------- */

static bool is_open(const struct entry *e)
{
	return e->fd >= 0;
}

/* One that holds a descriptor, if any does. */
static struct entry *take_open(struct sequence *s)
{
	unsigned at = below(&s->in, NR_FDS);

	for (unsigned i = 0; i < NR_FDS; i++)
		if (is_open(&s->entry[(at + i) % NR_FDS]))
			return &s->entry[(at + i) % NR_FDS];
	return &s->entry[at];
}

/* Into a free place, or one that the bytes say, whose descriptor is closed. */
static void keep(struct sequence *s, int fd, unsigned kind)
{
	struct entry *e = &s->entry[below(&s->in, NR_FDS)];

	if (fd < 0)
		return;
	for (unsigned i = 0; i < NR_FDS && is_open(e) && below(&s->in, 16); i++)
		e = &s->entry[i];
	if (is_open(e))
		close(e->fd);
	*e = (struct entry){fd, kind};
}

static unsigned kind_made(uint32_t request)
{
	return request == (uint32_t)KVM_CREATE_VM	     ? API_VM
	       : request == (uint32_t)KVM_CREATE_VCPU	     ? API_VCPU
	       : request == (uint32_t)KVM_GET_STATS_FD	     ? API_STATS
	       : request == (uint32_t)KVM_CREATE_GUEST_MEMFD ? API_GMEM
							     : KIND_NONE;
}

/* --- steps --------------------------------------------------------------------------------------------------------------- */

static void run_vcpu(struct sequence *s, int fd)
{
	int r;

	if (s->runs++ >= MOST_RUNS)
		return;
	r = run_bounded(fd, RUN_NS);
	entered += r >= 0 || errno == EINTR;
	interrupted += r < 0 && errno == EINTR;
	row_granted[API_VCPU][0] += r >= 0; /* KVM_RUN is the first row */
	*(r < 0 ? &refused : &granted) += 1;
}

static void step_request(struct sequence *s)
{
	struct entry *e = take_open(s);
	bool fits = e->kind <= API_DEVICE && below(&s->in, 32);
	unsigned kind = fits ? e->kind : below(&s->in, API_DEVICE + 1);
	const struct ioctl_table *t = ioctl_tables[kind];
	unsigned row = below(&s->in, t->nr);
	uint32_t request = t->row[row].request;
	unsigned long argument;
	int r;

	if (request == (uint32_t)KVM_RUN) {
		run_vcpu(s, e->fd);
		return;
	}
	argument = make_argument(s, kind, request);
	r = ioctl(e->fd, request, argument);
	*(r < 0 ? &refused : &granted) += 1;
	if (r < 0)
		return;
	row_granted[kind][row]++;
	if (kind_made(request) != KIND_NONE)
		keep(s, r, kind_made(request));
	if (request == (uint32_t)KVM_CREATE_DEVICE &&
	    !(((struct kvm_create_device *)argument)->flags & KVM_CREATE_DEVICE_TEST))
		keep(s, ((struct kvm_create_device *)argument)->fd, API_DEVICE);
}

static void step_run(struct sequence *s)
{
	int vcpu = take_fd(s, API_VCPU);

	if (vcpu >= 0)
		run_vcpu(s, vcpu);
}

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

/* LPIs on, for what an ITS sends. */
static void enable_lpis(int gic)
{
	const uint32_t regs = KVM_DEV_ARM_VGIC_GRP_REDIST_REGS;

	set_device(gic, regs, 0x70, (LPI_TABLES & ~0xfffull) | 15);
	set_device(gic, regs, 0x78, LPI_TABLES + 64 * PAGE);
	set_device(gic, regs, 0, 1);
}

/* Commands that mean something, from the queue's start on. */
static void step_its(struct sequence *s)
{
	static const uint8_t numbers[] = {0x1, 0x3, 0x4, 0x5, 0x8, 0x8, 0x9, 0x9,
					  0xa, 0xa, 0xb, 0xc, 0xd, 0xe, 0xf, 0x3};
	uint64_t *queue = (uint64_t *)(fuzz_arena + (ITS_QUEUE - RAM));
	unsigned nr = 1 + below(&s->in, 8);
	int fd = take_fd(s, API_DEVICE);

	if (fd < 0 || mprotect(queue, PAGE, PROT_READ | PROT_WRITE))
		return;
	for (unsigned i = 0; i < nr; i++) {
		uint8_t number = numbers[below(&s->in, 16)];
		uint64_t device = below(&s->in, 4), event = below(&s->in, 8);
		uint64_t target = (uint64_t)below(&s->in, 3) << 16 | below(&s->in, 3);

		queue[4 * i] = number | device << 32;
		queue[4 * i + 1] = number == 0x8   ? below(&s->in, 17)
				   : number == 0xb ? 8192 + event
						   : event | (8192 + event) << 32;
		queue[4 * i + 2] = target | (uint64_t) !!below(&s->in, 4) << 63 |
				   (number == 0x8 ? ITS_ITTS + device * 4 * PAGE : 0);
		queue[4 * i + 3] = (uint64_t)below(&s->in, 3) << 16;
	}
	set_device(fd, KVM_DEV_ARM_VGIC_GRP_ITS_REGS, 0x90, 0);
	set_device(fd, KVM_DEV_ARM_VGIC_GRP_ITS_REGS, 0x88, 32 * nr);
}

/* What a guest's registers hold: frames of devices, its memory, calls of the firmware. */
static uint64_t take_address(struct sequence *s)
{
	switch (below(&s->in, 8)) {
	case 0:
		return GIC_DIST + below(&s->in, 256) * 4;
	case 1:
		return GIC_REDIST + below(&s->in, 2) * 0x10000 + below(&s->in, 256) * 4;
	case 2:
		return GIC_ITS + below(&s->in, 64) * 8;
	case 3:
		return DEVICE + below(&s->in, 32);
	case 4:
		return 0x84000000 | (uint64_t)below(&s->in, 2) << 30 | below(&s->in, 32);
	case 5:
		return 1ull << below(&s->in, 48);
	default:
		return RAM + below(&s->in, ARENA_SIZE / 64) * 64;
	}
}

static int make_vcpu(struct sequence *s, int vm, unsigned id)
{
	struct kvm_vcpu_init init = {.target = KVM_ARM_TARGET_GENERIC_V8,
				     .features = {4 | (below(&s->in, 4) == 0) * 8}};
	int vcpu = ioctl(vm, KVM_CREATE_VCPU, id);

	if (vcpu < 0)
		return -1;
	ioctl(vcpu, KVM_ARM_VCPU_INIT, &init);
	set_reg(vcpu, CORE_REG(regs.pc), RAM + below(&s->in, VECTORS / 4) * 4);
	set_reg(vcpu, ARM64_SYS_REG(3, 0, 12, 0, 0), RAM + VECTORS); /* VBAR_EL1 */
	for (unsigned i = 0; i < 3; i++)
		set_reg(vcpu, CORE_REG(regs.regs[0]) + 2 * below(&s->in, 31), take_address(s));
	return vcpu;
}

static void enable_ring(int vm)
{
	struct kvm_enable_cap ring = {.cap = KVM_CAP_DIRTY_LOG_RING_ACQ_REL, .args = {PAGE}},
			      bitmap = {.cap = KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP};

	ioctl(vm, KVM_ENABLE_CAP, &ring);
	ioctl(vm, KVM_ENABLE_CAP, &bitmap);
}

/* The right things in the right order: without it few requests would get far. */
static void step_machine(struct sequence *s)
{
	unsigned nr = below(&s->in, 4), gic = below(&s->in, 8), slot = below(&s->in, 8);
	int kvm = take_fd(s, API_SYSTEM), vm, fd = -1;

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
	if (gic == 7)
		ioctl(vm, KVM_CREATE_IRQCHIP, 0);
	for (unsigned i = 0; i < nr; i++)
		keep(s, make_vcpu(s, vm, i), API_VCPU);
	if (gic < 6)
		keep(s, fd = gic3_begin(vm, gic > 3 ? 3 : gic), API_DEVICE);
	if (gic == 5 && fd >= 0) {
		enable_lpis(fd);
		keep(s, make_its(vm), API_DEVICE);
	}
	keep(s, vm, API_VM);
}

static void step_descriptor(struct sequence *s)
{
	struct entry *e = take_open(s);
	uint64_t one = 1;
	char buf[64];

	switch (below(&s->in, 8)) {
	case 0:
		keep(s, dup(e->fd), e->kind);
		break;
	case 1:
		keep(s, fcntl(e->fd, F_DUPFD_CLOEXEC, below(&s->in, 200)), e->kind);
		break;
	case 2:
		refused += pread(e->fd, buf, below(&s->in, sizeof(buf)), take(&s->in, 2)) < 0;
		break;
	case 3:
		fallocate(take_fd(s, API_GMEM), below(&s->in, 4), below(&s->in, 20) * PAGE,
			  below(&s->in, 20) * PAGE);
		break;
	case 4:
		keep(s, syscall(SYS_eventfd2, 0, O_NONBLOCK), KIND_EVENT);
		break;
	case 5:
		if (write(take_fd(s, KIND_EVENT), &one, sizeof(one)) < 0)
			refused++;
		break;
	default:
		if (is_open(e))
			close(e->fd);
		*e = (struct entry){-1, KIND_NONE};
		break;
	}
}

static void step_map(struct sequence *s)
{
	static const uint8_t pages[] = {0, 0, 0, 0, 1, 2, 64, 65};
	void **map = &s->map[below(&s->in, NR_MAPS)];
	unsigned page = pages[below(&s->in, 8)], kind = below(&s->in, 4) ? API_VCPU : API_GMEM;
	int fd = below(&s->in, 8) ? take_fd(s, kind) : take_open(s)->fd;

	if (*map) {
		munmap(*map, 2 * PAGE);
		*map = NULL;
		return;
	}
	*map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, page * PAGE);
	if (*map == MAP_FAILED)
		*map = NULL;
}

/* What the VMM writes to kvm_run; other mappings need not be there. */
static void step_kvm_run(struct sequence *s)
{
	int vcpu = take_fd(s, API_VCPU);
	unsigned char *run;

	if (vcpu < 0)
		return;
	run = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		return;
	if (below(&s->in, 4))
		((struct kvm_run *)run)->immediate_exit = below(&s->in, 2);
	else
		run[below(&s->in, 512)] = take(&s->in, 1);
	munmap(run, PAGE);
}

static void step_memory(struct sequence *s)
{
	unsigned char *p = (unsigned char *)take_page(s);
	size_t n = (below(&s->in, 64) + 1) * PAGE, left = fuzz_arena + ARENA_SIZE - p;

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

/* --- sequences ----------------------------------------------------------------------------------------------------------- */

static void (*const steps[32])(struct sequence *s) = {
	[0 ... 19] = step_request, [20 ... 22] = step_run, [23 ... 25] = step_descriptor,
	[26] = step_map,	   [27] = step_kvm_run,	   [28 ... 29] = step_memory,
	[30] = step_its,	   [31] = step_machine,
};

static void finish(struct sequence *s)
{
	for (unsigned i = 0; i < NR_MAPS; i++)
		if (s->map[i])
			munmap(s->map[i], 2 * PAGE);
	for (unsigned i = 0; i < NR_FDS; i++)
		if (is_open(&s->entry[i]))
			close(s->entry[i].fd);
}

static void run_sequence(const uint8_t *data, size_t size)
{
	struct bytes left = {data, data + size, 0};
	struct sequence s = {0};

	for (unsigned i = 0; i < NR_FDS; i++)
		s.entry[i] = (struct entry){-1, KIND_NONE};
	s.in = take_record(&left, STEP);
	step_machine(&s);
	for (unsigned i = 0; i < MOST_STEPS && any_left(&left); i++) {
		s.in = take_record(&left, STEP);
		steps[below(&s.in, 32)](&s);
	}
	finish(&s);
}

static void read_registers(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm = ioctl(kvm, KVM_CREATE_VM, 0);
	struct kvm_vcpu_init init = {.target = KVM_ARM_TARGET_GENERIC_V8, .features = {0x6c}};
	int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);

	FUZZ_EXPECT(!ioctl(vcpu, KVM_ARM_VCPU_INIT, &init));
	arguments_init(vcpu);
	close(vcpu);
	close(vm);
	close(kvm);
}

static void set_up(void)
{
	static const uint8_t map_once[16 * STEP];

	fuzz_arena = reserve(ARENA_SIZE);
	fuzz_scratch = reserve(65536);
	fuzz_argument = reserve(ARGUMENT + PAGE);
	FUZZ_EXPECT(!mprotect(fuzz_argument + ARGUMENT, PAGE, PROT_NONE));
	alarm_init();
	read_registers();
	renew_arena();
	run_sequence(map_once, sizeof(map_once));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint64_t objects;

	if (!fuzz_arena) {
		set_up();
		rcu_barrier();
		objects = host_alloc_objects();
	}
	renew_arena();
	run_sequence(data, size);
	sequences++;
	if (sequences % LEAK_CHECK)
		return 0;
	rcu_barrier();
	FUZZ_EXPECT(host_alloc_objects() <= objects);
	return 0;
}

/* --- what was done --------------------------------------------------------------------------------------------------------- */

void fuzz_summary(char *text, size_t size)
{
	double n = sequences ? sequences : 1;

	snprintf(text, size,
		 "%lu sequences, each with %.1f requests granted, %.1f refused, %.2f times in a "
		 "guest "
		 "(%.2f until the alarm)",
		 sequences, granted / n, refused / n, entered / n, interrupted / n);
}

/* Requests that KVM/arm64 has and that nobody is granted here. */
static bool is_never_granted(uint32_t request)
{
	return request == (uint32_t)KVM_TRANSLATE || request == (uint32_t)KVM_SET_REGS ||
	       request == (uint32_t)KVM_ARM_MTE_COPY_TAGS ||
	       request == (uint32_t)KVM_ARM_VCPU_FINALIZE;
}

void fuzz_missed(char *text, size_t size)
{
	size_t at = 0;

	*text = 0;
	for (unsigned kind = 0; kind <= API_DEVICE; kind++) {
		const struct ioctl_table *t = ioctl_tables[kind];

		for (unsigned i = 0; i < t->nr && at < size; i++)
			if (!row_granted[kind][i] && !is_never_granted(t->row[i].request))
				at += snprintf(text + at, size - at, "%s%s", at ? " " : "",
					       t->row[i].name);
	}
}
