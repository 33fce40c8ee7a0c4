/* SPDX-License-Identifier: MIT */
/*
 * Requests in no order, with arguments out of no manual, by several threads at once, while descriptors are copied and closed and
 * the memory under the slots changes. Nothing may crash, hang or abort; when all is closed, nothing is left. The sequence of
 * each thread is given by its seed (FUZZ_SEED, default 1); how the threads meet is not.
 */
#include <stdlib.h>
#include <sys/eventfd.h>

#include "../../api/vmm.h"
#include "../../fds.h"
#include "../../gic3.h"
#include "api/api.h"
#include "host/alloc.h"
#include "sync/rcu.h"

#define ARENA_SIZE (4ull << 20)
#define THREADS	   3
#define NR_FDS	   24
#define NR_MAPS	   4

/* A number that may be used by many, or replaced by one. */
struct slot {
	pthread_rwlock_t lock;
	_Atomic int fd; /* -1: none; read without the lock for what it is as a number */
	unsigned kind;	/* enum api_kind, NR_API_KINDS: another file */
};

struct arena {
	struct slot slot[NR_FDS];
	unsigned char *memory; /* under the slots */
	_Atomic int done;
};

struct worker {
	struct arena *a;
	uint64_t seed;
	unsigned steps;
	unsigned char *buf; /* this thread's argument: ends where nothing can be read */
	void *map[NR_MAPS];
	unsigned long answered[2];
	pthread_t thread;
};

static uint64_t draw(struct worker *w)
{
	/* xorshift64* */
	w->seed ^= w->seed >> 12;
	w->seed ^= w->seed << 25;
	w->seed ^= w->seed >> 27;
	return w->seed * 0x2545f4914f6cdd1dull;
}

static unsigned below(struct worker *w, unsigned n)
{
	return (draw(w) >> 33) % n;
}

static uint64_t draw_page(struct worker *w)
{
	return (uintptr_t)w->a->memory + below(w, ARENA_SIZE / PAGE) * PAGE;
}

/* Numbers that mean something somewhere more often than chance. */
static uint64_t draw_word(struct worker *w)
{
	switch (below(w, 14)) {
	case 0:
		return 0;
	case 1:
		return 1ull << below(w, 38);
	case 2:
		return draw_page(w);
	case 3:
		return RAM + below(w, 64) * PAGE;
	case 4:
		return below(w, 64) * PAGE;
	case 5:
		return (uintptr_t)bad_pointer();
	case 6:
		return draw_page(w) + below(w, PAGE);
	case 7:
		return ~0ull << below(w, 64);
	case 8:
		return draw(w);
	case 9: /* two small halves */
		return (uint64_t)below(w, 8) << 32 | below(w, 32);
	case 10: /* a descriptor of the test's */
		return w->a->slot[below(w, NR_FDS)].fd;
	case 11: /* a register */
		return KVM_REG_ARM64 | KVM_REG_SIZE_U64 | (uint64_t)(0x10 + below(w, 7)) << 16 |
		       below(w, 0x10000);
	case 12:
		return (uint64_t)below(w, 4) << 32 | below(w, 1024);
	default:
		return below(w, 16);
	}
}

static int draw_fd(struct worker *w, struct slot **held)
{
	struct slot *s = &w->a->slot[below(w, NR_FDS)];

	pthread_rwlock_rdlock(&s->lock);
	*held = s;
	return s->fd;
}

/* fd goes in the place of another, which is closed. */
static void keep_fd(struct worker *w, int fd, unsigned kind)
{
	struct slot *s = &w->a->slot[below(w, NR_FDS)];

	if (fd < 0)
		return;
	if (!pthread_rwlock_trywrlock(&s->lock)) {
		int old = s->fd;

		s->fd = fd;
		s->kind = kind;
		fd = old;
		pthread_rwlock_unlock(&s->lock);
	}
	if (fd >= 0)
		close(fd);
}

/* What a granted request returns, NR_API_KINDS: no descriptor. */
static unsigned kind_made(uint32_t request)
{
	return request == (uint32_t)KVM_CREATE_VM	     ? API_VM
	       : request == (uint32_t)KVM_CREATE_VCPU	     ? API_VCPU
	       : request == (uint32_t)KVM_GET_STATS_FD	     ? API_STATS
	       : request == (uint32_t)KVM_CREATE_GUEST_MEMFD ? API_GMEM
							     : NR_API_KINDS;
}

static void step_ioctl(struct worker *w)
{
	struct slot *held;
	int fd = draw_fd(w, &held), r;
	/* mostly of the right kind */
	bool fits = held->kind <= API_DEVICE && below(w, 8);
	const struct ioctl_table *t = ioctl_tables[fits ? held->kind : below(w, API_DEVICE + 1)];
	uint32_t request = t->row[below(w, t->nr)].request;
	unsigned size = _IOC_SIZE(request), cut = below(w, 40) ? 0 : 1 + below(w, 16);
	unsigned char *arg = w->buf + PAGE - 8 * ((size + 7) / 8 + below(w, 8)) + cut;

	memset(w->buf, 0, PAGE);
	for (unsigned char *p = w->buf + PAGE - 1024; p < w->buf + PAGE; p += 8)
		*(uint64_t *)p = draw_word(w);
	if (below(w, 2))
		memset(arg - cut, 0, size / 2);
	if (request == (uint32_t)KVM_SET_USER_MEMORY_REGION) {
		struct kvm_userspace_memory_region m = {
			.slot = below(w, 6),
			.flags = below(w, 4) ? below(w, 4) : 0,
			.guest_phys_addr = RAM + below(w, 16) * (ARENA_SIZE / 8),
			.memory_size = below(w, 4) ? PAGE << below(w, 10) : 0,
			.userspace_addr = draw_page(w)};

		memcpy(arg - cut, &m, sizeof(m));
	} else if (request == (uint32_t)KVM_ARM_VCPU_INIT && below(w, 4)) {
		struct kvm_vcpu_init init = {.target = KVM_ARM_TARGET_GENERIC_V8,
					     .features = {below(w, 8)}};

		memcpy(arg - cut, &init, sizeof(init));
	} else if (request == (uint32_t)KVM_CREATE_DEVICE && below(w, 4)) {
		struct kvm_create_device cd = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};

		memcpy(arg - cut, &cd, sizeof(cd));
	}
	r = ioctl(fd, request,
		  size || request == (uint32_t)KVM_SET_SIGNAL_MASK ? (unsigned long)(uintptr_t)arg
		  : below(w, 3)					   ? 0
								   : below(w, 300));
	pthread_rwlock_unlock(&held->lock);
	w->answered[r >= 0]++;
	if (r >= 0 && kind_made(request) != NR_API_KINDS)
		keep_fd(w, r, kind_made(request));
	if (r >= 0 && request == (uint32_t)KVM_CREATE_DEVICE &&
	    !(((struct kvm_create_device *)arg)->flags & KVM_CREATE_DEVICE_TEST))
		keep_fd(w, ((struct kvm_create_device *)arg)->fd, API_DEVICE);
}

/* What comes of the right things in the right order: without it few requests would get far. */
static void step_machine(struct worker *w)
{
	struct kvm_vcpu_init init = {.target = KVM_ARM_TARGET_GENERIC_V8, .features = {4}};
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm = ioctl(kvm, KVM_CREATE_VM, 0);

	set_slot(vm, 0, below(w, 2), RAM, ARENA_SIZE, w->a->memory);
	for (unsigned i = below(w, 3); i < 3; i++) {
		int vcpu = ioctl(vm, KVM_CREATE_VCPU, i);

		ioctl(vcpu, KVM_ARM_VCPU_INIT, &init);
		if (vcpu >= 0)
			set_reg(vcpu, CORE_REG(regs.pc), RAM + below(w, 16) * 4);
		keep_fd(w, vcpu, API_VCPU);
	}
	if (below(w, 2))
		keep_fd(w, gic3_begin(vm, below(w, 4)), API_DEVICE);
	keep_fd(w, vm, API_VM);
	keep_fd(w, kvm, API_SYSTEM);
}

/* Files of a machine, slots over them, holes in them. */
static void step_gmem(struct worker *w)
{
	struct kvm_create_guest_memfd create = {.size = (1 + below(w, 16)) * PAGE,
						.flags = below(w, 4)};
	struct kvm_userspace_memory_region2 region = {.slot = below(w, 6),
						      .flags = KVM_MEM_GUEST_MEMFD,
						      .guest_phys_addr =
							      RAM + below(w, 16) * (ARENA_SIZE / 8),
						      .memory_size = below(w, 16) * PAGE,
						      .userspace_addr = draw_page(w),
						      .guest_memfd_offset = below(w, 4) * PAGE};
	struct slot *held;
	int fd = draw_fd(w, &held), made = -1;

	switch (below(w, 4)) {
	case 0:
		made = ioctl(fd, KVM_CREATE_GUEST_MEMFD, &create);
		break;
	case 1:
		fallocate(fd, FALLOC_FL_KEEP_SIZE | (below(w, 2) ? FALLOC_FL_PUNCH_HOLE : 0),
			  below(w, 20) * PAGE, below(w, 20) * PAGE);
		break;
	default: /* whatever descriptor happens to be there */
		region.guest_memfd = w->a->slot[below(w, NR_FDS)].fd;
		ioctl(fd, KVM_SET_USER_MEMORY_REGION2, &region);
		break;
	}
	pthread_rwlock_unlock(&held->lock);
	keep_fd(w, made, API_GMEM);
}

static void step_descriptor(struct worker *w)
{
	struct slot *held;
	int fd = draw_fd(w, &held), copy = -1;
	unsigned kind = held->kind;
	char buf[64];

	switch (below(w, 5)) {
	case 0:
		copy = dup(fd);
		break;
	case 1:
		copy = fcntl(fd, F_DUPFD_CLOEXEC, below(w, 300));
		break;
	case 2:
		/* raw: a sanitizer that saw it would miss the closing, which the library does itself */
		copy = syscall(SYS_eventfd2, 0, EFD_NONBLOCK);
		kind = NR_API_KINDS;
		break;
	case 3:
		pread(fd, buf, below(w, sizeof(buf)), below(w, 3000));
		break;
	default:
		break;
	}
	pthread_rwlock_unlock(&held->lock);
	keep_fd(w, copy, kind);
	/* close one */
	held = &w->a->slot[below(w, NR_FDS)];
	if (pthread_rwlock_trywrlock(&held->lock))
		return;
	if (held->fd >= 0)
		close(held->fd);
	held->fd = -1;
	pthread_rwlock_unlock(&held->lock);
}

static void step_map(struct worker *w)
{
	unsigned i = below(w, NR_MAPS), kind;
	struct slot *held;
	int fd;

	if (w->map[i]) {
		/* in one or in two: never what is no longer ours */
		if (below(w, 2)) {
			munmap(w->map[i], PAGE);
			munmap((char *)w->map[i] + PAGE, PAGE);
		} else {
			munmap(w->map[i], 2 * PAGE);
		}
		w->map[i] = NULL;
		return;
	}
	fd = draw_fd(w, &held);
	kind = held->kind;
	w->map[i] = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	pthread_rwlock_unlock(&held->lock);
	if (w->map[i] == MAP_FAILED) {
		w->map[i] = NULL;
		return;
	}
	/* guest_memfd may refuse each touch */
	if (kind == API_VCPU)
		((struct kvm_run *)w->map[i])->immediate_exit = below(w, 2);
}

static void step_memory(struct worker *w)
{
	unsigned char *p = (unsigned char *)draw_page(w);
	size_t n = (below(w, 64) + 1) * PAGE, left = w->a->memory + ARENA_SIZE - p;
	struct anykvm_invalidate inv;

	if (n > left)
		n = left;
	switch (below(w, 7)) {
	case 0:
		mmap(p, n, PROT_READ | PROT_WRITE,
		     MAP_FIXED | MAP_ANONYMOUS | (below(w, 2) ? MAP_SHARED : MAP_PRIVATE), -1, 0);
		break;
	case 1:
		mprotect(p, n, below(w, 4));
		break;
	case 2:
		madvise(p, n, MADV_DONTNEED);
		break;
	case 3:
		madvise(p, n, MADV_REMOVE);
		break;
	case 4:
		syscall(SYS_mprotect, p, n, below(w, 4));
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

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < w->steps; i++) {
		unsigned kind = below(w, 100);

		if (i % 200 == 0)
			step_machine(w);
		else if (kind < 80)
			step_ioctl(w);
		else if (kind < 85)
			step_gmem(w);
		else if (kind < 90)
			step_memory(w);
		else if (kind < 94)
			step_map(w);
		else
			step_descriptor(w);
	}
	for (unsigned i = 0; i < NR_MAPS; i++)
		if (w->map[i])
			munmap(w->map[i], 2 * PAGE);
	w->a->done++;
	return NULL;
}

static void on_signal(int sig)
{
}

static void fuzz_round(uint64_t seed, unsigned steps, unsigned long answered[2])
{
	struct arena a = {0};
	struct worker w[THREADS] = {0};

	a.memory =
		mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT(a.memory != MAP_FAILED);
	/* what guests run: anything */
	srandom(seed);
	for (unsigned i = 0; i < ARENA_SIZE / 64; i++)
		((uint32_t *)a.memory)[i] = (uint32_t)random() << 1 ^ (uint32_t)random();
	for (unsigned i = 0; i < NR_FDS; i++) {
		pthread_rwlock_init(&a.slot[i].lock, NULL);
		a.slot[i].fd = -1;
		a.slot[i].kind = NR_API_KINDS;
	}
	for (unsigned i = 0; i < THREADS; i++) {
		w[i] = (struct worker){.a = &a,
				       .seed = (seed * THREADS + i) * 0x9e3779b97f4a7c15ull,
				       .steps = steps};
		w[i].buf = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				-1, 0);
		mprotect(w[i].buf + PAGE, PAGE, PROT_NONE);
		ASSERT_EQ(pthread_create(&w[i].thread, NULL, worker_main, &w[i]), 0);
	}
	/* no guest runs for ever */
	while (a.done < THREADS) {
		for (unsigned i = 0; i < THREADS; i++)
			pthread_kill(w[i].thread, SIGUSR1);
		sleep_ms(1);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(w[i].thread, NULL);
		munmap(w[i].buf, 2 * PAGE);
		answered[0] += w[i].answered[0];
		answered[1] += w[i].answered[1];
	}
	for (unsigned i = 0; i < NR_FDS; i++) {
		if (a.slot[i].fd >= 0)
			close(a.slot[i].fd);
		pthread_rwlock_destroy(&a.slot[i].lock);
	}
	munmap(a.memory, ARENA_SIZE);
	rcu_barrier();
}

/* The library makes a descriptor for mappings that nobody may touch when the first is made, and keeps it. */
static void map_private_gmem(void)
{
	struct kvm_create_guest_memfd create = {.size = PAGE, .flags = GUEST_MEMFD_FLAG_MMAP};
	int kvm = open("/dev/kvm", O_RDWR), vm = ioctl(kvm, KVM_CREATE_VM, 0);
	int gmem = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &create);
	void *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, gmem, 0);

	ASSERT(p != MAP_FAILED);
	munmap(p, PAGE);
	close(gmem);
	close(vm);
	close(kvm);
}

TEST(requests_without_sense_do_no_harm_and_leave_nothing)
{
	struct sigaction sa = {.sa_handler = on_signal}, old;
	const char *from = getenv("FUZZ_SEED");
	uint64_t seed = from ? strtoull(from, NULL, 0) : 1, objects;
	unsigned long answered[2] = {0};
	unsigned rounds = test_rounds(8, 400);
	int fds;

	sigaction(SIGUSR1, &sa, &old);
	map_private_gmem();
	fuzz_round(seed, 300, answered);
	objects = host_alloc_objects();
	fds = count_fds();
	for (unsigned i = 1; i <= rounds; i++) {
		fuzz_round(seed + i, 2000, answered);
		if (host_alloc_objects() != objects || count_fds() != fds)
			TEST_FAIL("seed %llu: %lld objects and %d descriptors left behind",
				  (unsigned long long)(seed + i),
				  (long long)(host_alloc_objects() - objects), count_fds() - fds);
	}
	printf("# %lu requests refused, %lu granted\n", answered[0], answered[1]);
	EXPECT(answered[1] > 0);
	sigaction(SIGUSR1, &old, NULL);
}
