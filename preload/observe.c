/* SPDX-License-Identifier: MIT */
/* One place through which observed calls go: what is to happen before them and after them, in this order. */
#include "observe.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/raw.h"

#define STATES	   4096
#define LOG_FD_MIN 900 /* out of the way of what programs count on */

struct observe observe = {.fd = LOG_ENDED};

static struct vcpu_state states[STATES];

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* --- set up --- */

static bool asked(const char *variable)
{
	const char *value = getenv(variable);

	return value && *value;
}

int log_open(int flags)
{
	long fd = STDERR_FILENO, high = -1;

	if (observe.file) {
		do
			fd = raw_syscall(SYS_openat, AT_FDCWD, observe.file,
					 O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | flags, 0666);
		while (fd == -EINTR);
		if (fd < 0)
			return fd;
		/* To open is not to wait, to write is. */
		raw_syscall(SYS_fcntl, fd, F_SETFL, O_APPEND);
	}
	/* As high as the limit lets it be. */
	for (int min = LOG_FD_MIN; high < 0 && min > STDERR_FILENO; min /= 2)
		high = raw_syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, min);
	if (high < 0)
		return fd;
	if (observe.file)
		raw_syscall(SYS_close, fd);
	return high;
}

/* Not every program has something to tell: one that has not neither waits for a pipe's reader nor complains. */
static void open_log(void)
{
	const char *where = getenv("ANYKVM_TRACE_FILE");
	int fd;

	observe.file = where && *where ? where : NULL;
	fd = log_open(O_NONBLOCK);
	observe.fd = fd >= 0 ? fd : LOG_LATER;
}

static bool finished;

/* A child's counts and findings are its own: a program that goes to the background is a child. */
static void forked(void)
{
	observe.pid = raw_syscall(SYS_getpid);
	observe.used = finished = false;
	fail_forked();
	strict_forked();
	stats_forked();
}

static __attribute__((constructor)) void observe_setup(void)
{
	const char *seed = getenv("ANYKVM_SEED");

	observe.trace = asked("ANYKVM_TRACE");
	observe.fail = asked("ANYKVM_FAIL");
	observe.strict = asked("ANYKVM_STRICT");
	observe.stats = asked("ANYKVM_STATS");
	if (!observe.trace && !observe.fail && !observe.strict && !observe.stats)
		return;
	observe.pid = raw_syscall(SYS_getpid);
	observe.started_ns = now_ns();
	observe.seed = seed ? strtoull(seed, NULL, 0) : 0;
	if (observe.fail)
		fail_setup(getenv("ANYKVM_FAIL"));
	/* Not run for vfork, whose child shares our memory. */
	pthread_atfork(NULL, NULL, forked);
	open_log();
	observe.on = true;
}

static __attribute__((destructor)) void observe_end(void)
{
	observe_finish();
}

void observe_finish(void)
{
	if (!observe.on || !observe.used || observe.pid != raw_syscall(SYS_getpid) ||
	    __atomic_exchange_n(&finished, true, __ATOMIC_RELAXED))
		return;
	if (observe.strict)
		strict_finish();
	if (observe.stats)
		stats_finish();
}

bool observe_keeps(int fd)
{
	return observe.on && fd == observe.fd && fd > STDERR_FILENO;
}

/* --- vCPUs by number --- */

struct vcpu_state *vcpu_state(int fd)
{
	return fd >= 0 && fd < STATES ? &states[fd] : NULL;
}

/* Told once it is there, whichever function made it. */
static void trace_copy(int fd, int copy)
{
	struct observed o = {.function = "dup", .fd = fd, .kind = anykvm_fd_kind(copy)};
	int saved = errno;

	if (o.kind == ANYKVM_FD_FOREIGN || o.kind == ANYKVM_FD_INTERNAL)
		return;
	o.result = copy;
	o.start_ns = o.end_ns = now_ns();
	trace_call(&o);
	errno = saved;
}

int observe_copy(int fd, int copy)
{
	if (observe.trace && copy >= 0)
		trace_copy(fd, copy);
	/* Not by a child, whose numbers are its own: after vfork its memory is not. */
	if (observe.on && copy >= 0 && vcpu_state(fd) && vcpu_state(copy) &&
	    observe.pid == raw_syscall(SYS_getpid))
		states[copy] = states[fd];
	return copy;
}

/* --- calls --- */

/* False: the call is made to fail and not made at all. */
static bool call_begin(struct observed *o)
{
	int error = observe.fail ? fail_now(o->name) : 0;

	o->start_ns = now_ns();
	if (!error) {
		if (observe.strict)
			strict_before(o);
		return true;
	}
	o->result = -1;
	o->injected = true;
	errno = error;
	return false;
}

/* errno is the call's. */
static void call_end(struct observed *o)
{
	int saved = errno;

	/* To close what it inherited is no use of KVM. */
	if (strcmp(o->function, "close"))
		observe.used = true;
	o->end_ns = now_ns();
	o->error = o->result == -1 ? saved : 0;
	if (observe.strict && !o->injected)
		strict_after(o);
	if (observe.trace)
		trace_call(o);
	if (observe.stats)
		stats_count(o);
	errno = saved;
}

int observe_open(int flags)
{
	struct observed o = {.function = "open", .name = "open", .fd = -1, .arg = flags};

	if (!observe.on)
		return anykvm_open("/dev/kvm", flags, 0);
	if (call_begin(&o))
		o.result = anykvm_open("/dev/kvm", flags, 0);
	call_end(&o);
	return o.result;
}

int observe_close(int fd)
{
	struct observed o = {.function = "close", .name = "close", .fd = fd};
	int saved;

	if (!observe.on)
		return anykvm_close(fd);
	o.kind = anykvm_fd_kind(fd);
	/* Before its number can be another's. */
	if (observe.strict && o.kind == ANYKVM_FD_VM)
		strict_forget(fd);
	if (call_begin(&o)) {
		o.result = anykvm_close(fd);
	} else {
		/* The system gives up the number, whatever it answers. */
		saved = errno;
		anykvm_close(fd);
		errno = saved;
	}
	call_end(&o);
	return o.result;
}

static void name_request(struct observed *o)
{
	o->name = anykvm_request_name(o->kind, o->request);
	if (!o->name)
		o->name = request_name(o->request);
	if (o->name)
		return;
	snprintf(o->name_buffer, sizeof(o->name_buffer), "KVM request 0x%lx",
		 o->request & 0xffffffff);
	o->name = o->name_buffer;
}

static bool is_run(const struct observed *o)
{
	return o->kind == ANYKVM_FD_VCPU && o->request == KVM_RUN;
}

static void note_new_vcpu(const struct observed *o)
{
	struct vcpu_state *v = vcpu_state(o->result);

	if (o->kind == ANYKVM_FD_VM && o->request == KVM_CREATE_VCPU && v)
		*v = (struct vcpu_state){.id = o->arg};
}

static void note_new_device(const struct observed *o)
{
	struct kvm_create_device device;

	if (o->kind == ANYKVM_FD_VM && o->request == KVM_CREATE_DEVICE &&
	    peek(&device, (void *)o->arg, sizeof(device)) &&
	    !(device.flags & KVM_CREATE_DEVICE_TEST) && vcpu_state(device.fd))
		*vcpu_state(device.fd) = (struct vcpu_state){.device = device.type};
}

static void note_answer(struct observed *o)
{
	struct vcpu_state *v = vcpu_state(o->fd);
	struct kvm_run run;

	if (!observe.trace || !is_run(o) || !v || !peek(&run, v->run, sizeof(run)))
		return;
	o->answers_read = run.exit_reason == KVM_EXIT_MMIO && !run.mmio.is_write;
	o->read_data = mmio_data(&run);
}

static int observed_ioctl(int fd, int kind, unsigned long request, unsigned long arg)
{
	struct observed o = {
		.function = "ioctl", .fd = fd, .kind = kind, .request = request, .arg = arg};
	size_t size = _IOC_SIZE(request);

	name_request(&o);
	o.info = request_info_find(kind, request);
	o.has_before = o.info && o.info->nr_fields &&
		       peek(o.before, (void *)arg, size < COPY_MAX ? size : COPY_MAX);
	note_answer(&o);
	if (call_begin(&o))
		o.result = anykvm_ioctl(fd, request, arg);
	if (o.result >= 0) {
		note_new_vcpu(&o);
		note_new_device(&o);
	}
	call_end(&o);
	if (is_run(&o) && vcpu_state(fd))
		vcpu_state(fd)->runner = raw_syscall(SYS_gettid);
	return o.result;
}

int observe_ioctl(int fd, unsigned long request, unsigned long arg)
{
	int kind;

	if (!observe.on)
		return anykvm_ioctl(fd, request, arg);
	/* Also what is asked of a descriptor that is closed, or never was KVM's. */
	kind = anykvm_fd_kind(fd);
	if (kind == ANYKVM_FD_INTERNAL || _IOC_TYPE(request) != KVMIO)
		return anykvm_ioctl(fd, request, arg);
	return observed_ioctl(fd, kind, (uint32_t)request, arg);
}

void *observe_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	struct observed o = {
		.function = "mmap", .name = "mmap", .fd = fd, .length = length, .offset = offset};

	if (!observe.on || (flags & MAP_ANONYMOUS) || !is_ours(fd))
		return anykvm_mmap(addr, length, prot, flags, fd, offset);
	o.kind = anykvm_fd_kind(fd);
	if (call_begin(&o))
		o.result = (long)anykvm_mmap(addr, length, prot, flags, fd, offset);
	if (o.kind == ANYKVM_FD_VCPU && !offset && o.result != -1 && vcpu_state(fd)) {
		vcpu_state(fd)->run = (struct kvm_run *)o.result;
		vcpu_state(fd)->unmapped = false;
	}
	call_end(&o);
	return (void *)o.result;
}

/* A mapping of a vCPU's that goes, or NULL. */
static struct vcpu_state *state_in(uintptr_t start, size_t length)
{
	for (int fd = 0; fd < STATES; fd++)
		if (states[fd].run && (uintptr_t)states[fd].run - start < length)
			return &states[fd];
	return NULL;
}

int observe_munmap(void *addr, size_t length)
{
	struct observed o = {
		.function = "munmap", .name = "munmap", .addr = (uintptr_t)addr, .length = length};
	struct vcpu_state *v;

	if (!observe.on)
		return anykvm_munmap(addr, length);
	if (observe.strict)
		strict_munmap(addr, length);
	v = state_in(o.addr, length);
	if (!v)
		return anykvm_munmap(addr, length);
	if (call_begin(&o))
		o.result = anykvm_munmap(addr, length);
	call_end(&o);
	while (!o.result && (v = state_in(o.addr, length))) {
		v->run = NULL;
		v->unmapped = true;
	}
	return o.result;
}
