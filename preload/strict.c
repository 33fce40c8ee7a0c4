/* SPDX-License-Identifier: MIT */
/*
 * Misuse that KVM accepts in silence, today or on this host. Each finding is told once for each place it may come from (a request,
 * a capability, a vCPU), since it is the program that is to be mended:
 *
 *	- a request, feature, flag or capability to enable that was not asked for, or was and is not there
 *	- reserved members that are not zero: a later kernel may read them
 *	- KVM_RUN on another thread than before; KVM_RUN with no mapping of kvm_run
 *	- munmap of memory that a slot still names
 */
#include <string.h>
#include <sys/syscall.h>

#include "base/raw.h"
#include "observe.h"

#define CAPS  1024
#define SLOTS 256

enum { CAP_UNASKED, CAP_ABSENT, CAP_THERE, CAP_TOLD };

static unsigned char caps[CAPS];
static bool asked_version, told_version, asked_size, told_size;
static uint64_t findings;
static uint32_t told_reserved[64]; /* requests whose reserved members were told of */

struct slot {
	int vm; /* descriptor + 1; 0: free */
	uint32_t id;
	uintptr_t start;
	size_t size;
	bool told; /* of a part that was unmapped */
};
static struct slot slots[SLOTS];
static int slots_lock;

static void tell(const struct line *what)
{
	struct line l = {.n = 0};

	__atomic_add_fetch(&findings, 1, __ATOMIC_RELAXED);
	line_add(&l, "anykvm strict: [%ld] %.*s", raw_syscall(SYS_gettid), (int)what->n,
		 what->text);
	line_write(&l);
}

#define TELL(...)                           \
	do {                                \
		struct line l_ = {.n = 0};  \
		line_add(&l_, __VA_ARGS__); \
		tell(&l_);                  \
	} while (0)

/* --- capabilities --- */

static void need_cap(const char *what, unsigned cap)
{
	const char *name = anykvm_cap_name(cap);
	unsigned char state;

	if (cap >= CAPS)
		return;
	state = __atomic_load_n(&caps[cap], __ATOMIC_RELAXED);
	if (state == CAP_THERE || state == CAP_TOLD ||
	    !__atomic_compare_exchange_n(&caps[cap], &state, CAP_TOLD, false, __ATOMIC_RELAXED,
					 __ATOMIC_RELAXED))
		return;
	if (name)
		TELL("%s: KVM_CAP_%s %s", what, name,
		     state == CAP_ABSENT ? "is not there, as KVM_CHECK_EXTENSION said"
					 : "was not checked");
	else
		TELL("%s: capability %u is not of arm64", what, cap);
}

static void note_cap(const struct observed *o)
{
	if (o->arg < CAPS && caps[o->arg] != CAP_TOLD)
		caps[o->arg] = o->result > 0 ? CAP_THERE : CAP_ABSENT;
}

static void check_vcpu_features(const struct observed *o)
{
	struct kvm_vcpu_init init;
	char what[48];

	memcpy(&init, o->before, sizeof(init));
	for (unsigned bit = 0; bit < 32; bit++) {
		snprintf(what, sizeof(what), "%s, feature %u", o->name, bit);
		if (init.features[0] >> bit & 1)
			need_cap(what, vcpu_feature_cap(bit));
	}
}

/* Members that mean something, if any of these bits is set, only where a capability says so. */
#define FLAG(kind, request, type, member, bits, cap)                                          \
	{                                                                                     \
		kind, cap, offsetof(struct type, member), sizeof(((struct type *)0)->member), \
			request, bits, #request ", " #member                                  \
	}
static const struct {
	uint16_t kind, cap, offset, size;
	uint32_t request;
	uint64_t bits;
	const char *what;
} flag_caps[] = {
	FLAG(ANYKVM_FD_VM, KVM_SET_USER_MEMORY_REGION, kvm_userspace_memory_region, flags,
	     KVM_MEM_READONLY, KVM_CAP_READONLY_MEM),
	FLAG(ANYKVM_FD_VM, KVM_SET_USER_MEMORY_REGION2, kvm_userspace_memory_region, flags,
	     KVM_MEM_READONLY, KVM_CAP_READONLY_MEM),
	FLAG(ANYKVM_FD_VM, KVM_CREATE_GUEST_MEMFD, kvm_create_guest_memfd, flags, ~0ull,
	     KVM_CAP_GUEST_MEMFD_FLAGS),
	FLAG(ANYKVM_FD_VM, KVM_IRQFD, kvm_irqfd, flags, KVM_IRQFD_FLAG_RESAMPLE,
	     KVM_CAP_IRQFD_RESAMPLE),
	FLAG(ANYKVM_FD_VM, KVM_SIGNAL_MSI, kvm_msi, flags, KVM_MSI_VALID_DEVID, KVM_CAP_MSI_DEVID),
	FLAG(ANYKVM_FD_VM, KVM_IRQ_LINE, kvm_irq_level, irq,
	     (uint64_t)KVM_ARM_IRQ_VCPU2_MASK << KVM_ARM_IRQ_VCPU2_SHIFT,
	     KVM_CAP_ARM_IRQ_LINE_LAYOUT_2),
	FLAG(ANYKVM_FD_VCPU, KVM_SET_VCPU_EVENTS, kvm_vcpu_events, exception.serror_has_esr, ~0ull,
	     KVM_CAP_ARM_INJECT_SERROR_ESR),
	FLAG(ANYKVM_FD_VCPU, KVM_SET_VCPU_EVENTS, kvm_vcpu_events, exception.ext_dabt_pending,
	     ~0ull, KVM_CAP_ARM_INJECT_EXT_DABT),
};

static void check_flags(const struct observed *o)
{
	for (size_t i = 0; i < sizeof(flag_caps) / sizeof(flag_caps[0]); i++) {
		uint64_t value = 0;

		if (flag_caps[i].kind != o->kind || flag_caps[i].request != o->request)
			continue;
		memcpy(&value, o->before + flag_caps[i].offset, flag_caps[i].size);
		if (value & flag_caps[i].bits)
			need_cap(flag_caps[i].what, flag_caps[i].cap);
	}
}

static void check_enabled_cap(const struct observed *o)
{
	struct kvm_enable_cap cap;

	memcpy(&cap, o->before, sizeof(cap));
	need_cap(o->name, cap.cap);
}

/* --- reserved members --- */

static bool tell_reserved_once(uint32_t request)
{
	for (unsigned i = 0; i < sizeof(told_reserved) / sizeof(told_reserved[0]); i++) {
		uint32_t known = __atomic_load_n(&told_reserved[i], __ATOMIC_RELAXED);

		if (known == request)
			return false;
		if (!known && __atomic_compare_exchange_n(&told_reserved[i], &known, request, false,
							  __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			return true;
	}
	return false;
}

static void check_reserved(const struct observed *o)
{
	for (unsigned i = 0; i < o->info->nr_fields; i++) {
		const struct field *f = &o->info->fields[i];
		bool zero = true;

		for (unsigned b = 0; b < f->size; b++)
			zero = zero && !o->before[f->offset + b];
		if (f->format == FIELD_ZERO && !zero && tell_reserved_once(o->request)) {
			TELL("%s: reserved %s is not zero", o->name, f->name);
			return;
		}
	}
}

/* --- KVM_RUN --- */

static void check_run(const struct observed *o)
{
	struct vcpu_state *v = vcpu_state(o->fd);
	int tid = raw_syscall(SYS_gettid);
	uint8_t now;

	if (!v)
		return;
	if (v->runner && v->runner != tid && !v->told_thread) {
		v->told_thread = true;
		TELL("KVM_RUN: vCPU %d runs on thread %d, before on %d", v->id, tid, v->runner);
	}
	if (v->run && peek(&now, &v->run->immediate_exit, sizeof(now)) && now)
		need_cap("KVM_RUN, immediate_exit", KVM_CAP_IMMEDIATE_EXIT);
	if (!v->run && !v->told_mapping) {
		v->told_mapping = true;
		TELL("KVM_RUN: kvm_run of vCPU %d is not mapped%s", v->id,
		     v->unmapped ? " any more" : "");
	}
}

/* --- memory slots --- */

static uint64_t lock_slots(void)
{
	uint64_t all = ~0ull, old = 0;

	raw_syscall(SYS_rt_sigprocmask, 0 /* SIG_BLOCK */, &all, &old, sizeof(all));
	while (__atomic_exchange_n(&slots_lock, 1, __ATOMIC_ACQUIRE))
		raw_syscall(SYS_sched_yield);
	return old;
}

static void unlock_slots(uint64_t mask)
{
	__atomic_store_n(&slots_lock, 0, __ATOMIC_RELEASE);
	raw_syscall(SYS_rt_sigprocmask, 2 /* SIG_SETMASK */, &mask, NULL, sizeof(mask));
}

/* The slot's record, or a free one. NULL: there are too many. */
static struct slot *slot_of(int vm, uint32_t id)
{
	struct slot *free = NULL;

	for (unsigned i = 0; i < SLOTS; i++) {
		if (slots[i].vm == vm + 1 && slots[i].id == id)
			return &slots[i];
		if (!slots[i].vm && !free)
			free = &slots[i];
	}
	return free;
}

static void note_region(const struct observed *o)
{
	struct kvm_userspace_memory_region r;
	struct slot *s;
	uint64_t mask;

	memcpy(&r, o->before, sizeof(r));
	mask = lock_slots();
	s = slot_of(o->fd, r.slot);
	if (s)
		*s = (struct slot){.vm = r.memory_size ? o->fd + 1 : 0,
				   .id = r.slot,
				   .start = r.userspace_addr,
				   .size = r.memory_size};
	unlock_slots(mask);
}

void strict_forget(int vm)
{
	uint64_t mask = lock_slots();

	for (unsigned i = 0; i < SLOTS; i++)
		if (slots[i].vm == vm + 1)
			slots[i].vm = 0;
	unlock_slots(mask);
}

/* A slot with memory there that was not told yet, and now is; .vm is 0 if there is none. */
static struct slot slot_taken_away(uintptr_t start, size_t length)
{
	struct slot found = {.vm = 0};
	uint64_t mask = lock_slots();

	for (unsigned i = 0; i < SLOTS && !found.vm; i++)
		if (slots[i].vm && !slots[i].told && slots[i].start < start + length &&
		    start < slots[i].start + slots[i].size) {
			found = slots[i];
			slots[i].told = true;
		}
	unlock_slots(mask);
	return found;
}

void strict_munmap(const void *addr, size_t length)
{
	uintptr_t start = (uintptr_t)addr;
	struct slot found;

	while ((found = slot_taken_away(start, length)).vm)
		TELL("munmap: 0x%lx, 0x%lx bytes, is memory of slot %u of VM %d",
		     (unsigned long)start, (unsigned long)length, found.id, found.vm - 1);
}

/* --- hooks --- */

static bool sets_region(const struct observed *o)
{
	return o->kind == ANYKVM_FD_VM && o->has_before &&
	       (o->request == KVM_SET_USER_MEMORY_REGION ||
		o->request == KVM_SET_USER_MEMORY_REGION2);
}

static void check_new_vm(const struct observed *o)
{
	if (!asked_version && !told_version) {
		told_version = true;
		TELL("KVM_CREATE_VM: KVM_GET_API_VERSION was not asked for");
	}
	if (o->arg)
		need_cap("KVM_CREATE_VM, type", KVM_CAP_ARM_VM_IPA_SIZE);
}

void strict_before(const struct observed *o)
{
	if (o->kind == ANYKVM_FD_SYSTEM && o->request == KVM_CREATE_VM)
		check_new_vm(o);
	if (o->kind == ANYKVM_FD_VCPU && !strcmp(o->function, "mmap") && !asked_size &&
	    !told_size) {
		told_size = true;
		TELL("mmap: KVM_GET_VCPU_MMAP_SIZE was not asked for");
	}
	if (!o->info)
		return;
	if (o->info->cap != NO_CAP)
		need_cap(o->name, o->info->cap);
	if (o->has_before && !o->info->out) {
		check_reserved(o);
		check_flags(o);
	}
	if (o->request == KVM_ENABLE_CAP && o->has_before)
		check_enabled_cap(o);
	if (o->kind == ANYKVM_FD_VCPU && o->request == KVM_ARM_VCPU_INIT && o->has_before)
		check_vcpu_features(o);
	if (o->kind == ANYKVM_FD_VCPU && o->request == KVM_RUN)
		check_run(o);
}

void strict_after(const struct observed *o)
{
	if (o->result < 0)
		return;
	if (o->request == KVM_GET_API_VERSION && o->kind == ANYKVM_FD_SYSTEM)
		asked_version = true;
	if (o->request == KVM_GET_VCPU_MMAP_SIZE && o->kind == ANYKVM_FD_SYSTEM)
		asked_size = true;
	if (o->request == KVM_CHECK_EXTENSION &&
	    (o->kind == ANYKVM_FD_SYSTEM || o->kind == ANYKVM_FD_VM))
		note_cap(o);
	if (sets_region(o))
		note_region(o);
	/* The number may be that of a machine that was closed by close_range or dup2. */
	if (o->kind == ANYKVM_FD_SYSTEM && o->request == KVM_CREATE_VM)
		strict_forget(o->result);
}

/* In a child after fork: who held the lock is not there, and the slots are its parent's. */
void strict_forked(void)
{
	memset(slots, 0, sizeof(slots));
	slots_lock = 0;
	findings = 0;
}

void strict_finish(void)
{
	struct line l = {.n = 0};

	line_add(&l, "anykvm strict: %llu findings in process %ld", (unsigned long long)findings,
		 raw_syscall(SYS_getpid));
	line_write(&l);
}
