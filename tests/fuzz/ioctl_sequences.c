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
#include "host/alloc.h"
#include "sync/rcu.h"

#define STEP	   16
#define MOST_STEPS 64
#define MOST_RUNS  8
#define RUN_NS	   300000
#define LEAK_CHECK 256 /* sequences: it waits for what is freed later */

unsigned char *fuzz_arena, *fuzz_argument, *fuzz_scratch;
static unsigned long sequences, refused, granted, entered, interrupted;
static unsigned long row_granted[API_DEVICE + 1][64];

/* --- memory -------------------------------------------------------------------------------------------------------------- */

static void renew_arena(void)
{
	static uint32_t code[PAGE / 4];

	if (!code[0])
		make_guest_code(code);
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

struct entry *take_open(struct sequence *s)
{
	unsigned at = below(&s->in, NR_FDS);

	for (unsigned i = 0; i < NR_FDS; i++)
		if (is_open(&s->entry[(at + i) % NR_FDS]))
			return &s->entry[(at + i) % NR_FDS];
	return &s->entry[at];
}

void keep(struct sequence *s, int fd, unsigned kind)
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

/* Two places name one file; what the second held is closed. */
static void copy_over(struct sequence *s)
{
	struct entry *from = take_open(s), *to = take_open(s);
	int fd = below(&s->in, 2) ? dup2(from->fd, to->fd)
				  : dup3(from->fd, to->fd, below(&s->in, 2) ? O_CLOEXEC : 0);

	if (fd >= 0)
		to->kind = from->kind;
}

static void read_some(struct sequence *s)
{
	struct anykvm_stats stats;
	int fd = below(&s->in, 2) ? take_fd(s, API_STATS) : take_open(s)->fd;
	char buf[600];

	switch (below(&s->in, 4)) {
	case 0:
		refused += pread(fd, buf, below(&s->in, sizeof(buf)), take(&s->in, 2)) < 0;
		break;
	case 1: /* of an eventfd it would wait */
		refused += anykvm_fd_kind(fd) != ANYKVM_FD_FOREIGN &&
			   read(fd, buf, below(&s->in, sizeof(buf))) < 0;
		break;
	case 2:
		refused += anykvm_stats(take_fd(s, API_VM), &stats, sizeof(stats)) < 0;
		break;
	default:
		refused += anykvm_inspect(take_fd(s, API_VM), below(&s->in, 16), buf,
					  below(&s->in, sizeof(buf))) < 0;
		break;
	}
}

static void step_descriptor(struct sequence *s)
{
	struct entry *e = take_open(s);
	uint64_t one = 1;

	switch (below(&s->in, 10)) {
	case 0:
		keep(s, dup(e->fd), e->kind);
		break;
	case 1:
		keep(s, fcntl(e->fd, F_DUPFD_CLOEXEC, below(&s->in, 200)), e->kind);
		break;
	case 2:
	case 3:
		read_some(s);
		break;
	case 4:
		fallocate(take_fd(s, API_GMEM), below(&s->in, 4), below(&s->in, 20) * PAGE,
			  below(&s->in, 20) * PAGE);
		break;
	case 5:
		keep(s, syscall(SYS_eventfd2, 0, O_NONBLOCK), KIND_EVENT);
		break;
	case 6:
		refused += write(take_fd(s, KIND_EVENT), &one, sizeof(one)) < 0;
		break;
	case 7:
		copy_over(s);
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
	struct anykvm_invalidate inv;

	n = n > left ? left : n;
	switch (below(&s->in, 7)) {
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
	case 4:
		anykvm_note_userfault(p, n, below(&s->in, 2));
		break;
	case 5:
		if (!anykvm_invalidate_start(p, n, &inv))
			anykvm_invalidate_end(&inv);
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
	anykvm_note_userfault(fuzz_arena, ARENA_SIZE, 0);
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

/* Requests of the tables that nobody is granted. */
static bool is_never_granted(uint32_t request)
{
	static const uint32_t never[] = {KVM_TRANSLATE, KVM_SET_REGS, KVM_ARM_MTE_COPY_TAGS,
					 KVM_ARM_VCPU_FINALIZE};

	for (unsigned i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		if (never[i] == request)
			return true;
	return false;
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
