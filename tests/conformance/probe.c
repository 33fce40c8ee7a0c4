/* SPDX-License-Identifier: MIT */
/*
 * Asks a KVM/arm64 a fixed list of questions and prints an answer a line: capabilities, VM types, every request on every kind of
 * descriptor, device types and their attributes, features, registers with their values, writable masks. No guest runs. The same
 * program built for the real /dev/kvm (-DANYKVM_REAL) made reference-7.2.13.txt; compare.py holds the two against each other.
 *
 *	probe [FEATURE...]	bits for KVM_ARM_VCPU_INIT beside PSCI_0_2
 */
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
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define CAPS	  256
#define TYPES	  21 /* device types to try */
#define GROUPS	  13 /* attribute groups of a device, */
#define ATTRS	  9  /* and attributes of each */
#define FEATURES  12
#define REG_BYTES 256
#define MASKS \
	192 /* words that KVM_ARM_GET_REG_WRITABLE_MASKS fills: feature IDs of op0 3, op1 0, 1 and 3 */

#define REQUEST(x)    \
	{             \
#x, x \
	}

/* Asked with argument 0: EFAULT says that there is such a request. Without those that a 0 makes create something. */
static const struct {
	const char *name;
	unsigned long nr;
} requests[] = {
	REQUEST(KVM_GET_API_VERSION),
	REQUEST(KVM_GET_VCPU_MMAP_SIZE),
	REQUEST(KVM_SET_USER_MEMORY_REGION),
	REQUEST(KVM_SET_USER_MEMORY_REGION2),
	REQUEST(KVM_GET_DIRTY_LOG),
	REQUEST(KVM_CLEAR_DIRTY_LOG),
	REQUEST(KVM_IRQ_LINE),
	REQUEST(KVM_IRQ_LINE_STATUS),
	REQUEST(KVM_SET_GSI_ROUTING),
	REQUEST(KVM_IRQFD),
	REQUEST(KVM_IOEVENTFD),
	REQUEST(KVM_SIGNAL_MSI),
	REQUEST(KVM_REGISTER_COALESCED_MMIO),
	REQUEST(KVM_ENABLE_CAP),
	REQUEST(KVM_CREATE_DEVICE),
	REQUEST(KVM_SET_DEVICE_ATTR),
	REQUEST(KVM_GET_DEVICE_ATTR),
	REQUEST(KVM_HAS_DEVICE_ATTR),
	REQUEST(KVM_ARM_SET_DEVICE_ADDR),
	REQUEST(KVM_ARM_PREFERRED_TARGET),
	REQUEST(KVM_ARM_MTE_COPY_TAGS),
	REQUEST(KVM_ARM_SET_COUNTER_OFFSET),
	REQUEST(KVM_ARM_GET_REG_WRITABLE_MASKS),
	REQUEST(KVM_RESET_DIRTY_RINGS),
	REQUEST(KVM_CREATE_GUEST_MEMFD),
	REQUEST(KVM_SET_MEMORY_ATTRIBUTES),
	REQUEST(KVM_ARM_VCPU_FINALIZE),
	REQUEST(KVM_GET_ONE_REG),
	REQUEST(KVM_SET_ONE_REG),
	REQUEST(KVM_GET_REG_LIST),
	REQUEST(KVM_GET_MP_STATE),
	REQUEST(KVM_SET_MP_STATE),
	REQUEST(KVM_GET_VCPU_EVENTS),
	REQUEST(KVM_SET_VCPU_EVENTS),
	REQUEST(KVM_SET_GUEST_DEBUG),
	REQUEST(KVM_TRANSLATE),
	REQUEST(KVM_GET_REGS),
	REQUEST(KVM_GET_SREGS),
	REQUEST(KVM_GET_FPU),
	REQUEST(KVM_PRE_FAULT_MEMORY),
	REQUEST(KVM_SET_NR_MMU_PAGES),
	REQUEST(KVM_KVMCLOCK_CTRL),
	REQUEST(KVM_NMI),
};

static void die(const char *what)
{
	printf("probe: %s: %s\n", what, strerrorname_np(errno));
	exit(1);
}

static int need(int r, const char *what)
{
	if (r < 0)
		die(what);
	return r;
}

/* An answer that is a number, or else an error's name. */
static void say(const char *what, long which, int r)
{
	if (r < 0)
		printf("%s %ld: %s\n", what, which, strerrorname_np(errno));
	else
		printf("%s %ld: %d\n", what, which, r);
}

/* The same, of a call that gives a descriptor: its number is nobody's business. */
static void say_fd(const char *what, long which, int fd)
{
	say(what, which, fd < 0 ? fd : 0);
}

static void probe_requests(const char *object, int fd)
{
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		char what[96];

		snprintf(what, sizeof(what), "%s %s", object, requests[i].name);
		say(what, 0, ioctl(fd, requests[i].nr, 0));
	}
}

static void probe_attrs(const char *object, int fd)
{
	for (unsigned i = 0; i < GROUPS * ATTRS; i++) {
		struct kvm_device_attr a = {.group = i / ATTRS, .attr = i % ATTRS};

		if (!ioctl(fd, KVM_HAS_DEVICE_ATTR, &a))
			printf("%s attribute %u %u: yes\n", object, i / ATTRS, i % ATTRS);
	}
}

static void probe_caps(int kvm, int vm)
{
	for (int cap = 0; cap < CAPS; cap++) {
		int r = ioctl(kvm, KVM_CHECK_EXTENSION, cap);
		const char *error = r < 0 ? strerrorname_np(errno) : "";
		int of_vm = ioctl(vm, KVM_CHECK_EXTENSION, cap);

		if (r || of_vm)
			printf("cap %d: system %d%s vm %d\n", cap, r, error, of_vm);
	}
}

static void probe_vm_types(int kvm)
{
	static const unsigned types[] = {0,  1,	 31, 32,  36,  40,	 48,
					 52, 53, 64, 255, 256, 1u << 30, 1u << 31};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		int vm = ioctl(kvm, KVM_CREATE_VM, (unsigned long)types[i]);

		say_fd("vm type ", types[i], vm);
		if (vm >= 0)
			close(vm);
	}
}

static void probe_masks(int vm)
{
	static uint64_t masks[MASKS];
	struct reg_mask_range range = {.addr = (uintptr_t)masks};

	say("masks ", 0, ioctl(vm, KVM_ARM_GET_REG_WRITABLE_MASKS, &range));
	for (int i = 0; i < MASKS; i++)
		if (masks[i])
			printf("mask %d: %016llx\n", i, (unsigned long long)masks[i]);
}

/* Each feature alone, in a machine of its own. */
static void probe_features(int kvm, const struct kvm_vcpu_init *preferred)
{
	for (int bit = 0; bit < FEATURES; bit++) {
		struct kvm_vcpu_init init = *preferred;
		int vm = need(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
		int vcpu = need(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");

		init.features[0] = 1u << KVM_ARM_VCPU_PSCI_0_2 | 1u << bit;
		say("feature alone ", bit, ioctl(vcpu, KVM_ARM_VCPU_INIT, &init));
		close(vcpu);
		close(vm);
	}
}

/* Reads the register and writes the value back. */
static void probe_reg(int vcpu, uint64_t id)
{
	uint64_t value[REG_BYTES / 8] = {0};
	struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)value};

	printf("reg %016llx: ", (unsigned long long)id);
	if (ioctl(vcpu, KVM_GET_ONE_REG, &reg)) {
		printf("%s\n", strerrorname_np(errno));
		return;
	}
	printf("%llx set ", (unsigned long long)value[0]);
	printf("%s\n", ioctl(vcpu, KVM_SET_ONE_REG, &reg) ? strerrorname_np(errno) : "ok");
}

static void probe_regs(int vcpu)
{
	struct kvm_reg_list none = {0}, *list;

	say("reg list count", 0, ioctl(vcpu, KVM_GET_REG_LIST, &none));
	printf("registers %llu\n", (unsigned long long)none.n);
	list = calloc(1, sizeof(*list) + none.n * sizeof(list->reg[0]));
	if (!list)
		die("memory");
	list->n = none.n;
	need(ioctl(vcpu, KVM_GET_REG_LIST, list), "KVM_GET_REG_LIST");
	for (uint64_t i = 0; i < list->n; i++)
		probe_reg(vcpu, list->reg[i]);
	free(list);
}

/* Each device type, in a machine of its own with one vCPU. */
static void probe_devices(int kvm)
{
	for (unsigned type = 0; type < TYPES; type++) {
		int vm = need(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
		struct kvm_create_device d = {.type = type, .flags = KVM_CREATE_DEVICE_TEST};
		char object[32];
		int r, vcpu;

		say("device test ", type, ioctl(vm, KVM_CREATE_DEVICE, &d));
		vcpu = need(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
		d.flags = 0;
		r = ioctl(vm, KVM_CREATE_DEVICE, &d);
		say("device create ", type, r);
		if (!r) {
			snprintf(object, sizeof(object), "device %u", type);
			probe_attrs(object, d.fd);
			probe_requests(object, d.fd);
			close(d.fd);
		}
		close(vcpu);
		close(vm);
	}
}

static void probe_vcpu(int vcpu, const struct kvm_vcpu_init *init)
{
	say("init ", init->features[0], ioctl(vcpu, KVM_ARM_VCPU_INIT, init));
	if (init->features[0] & 1u << KVM_ARM_VCPU_SVE) {
		int what = KVM_ARM_VCPU_SVE;

		say("run before finalise ", 0, ioctl(vcpu, KVM_RUN, 0));
		say("finalise ", what, ioctl(vcpu, KVM_ARM_VCPU_FINALIZE, &what));
	}
	probe_attrs("vcpu", vcpu);
	probe_requests("vcpu", vcpu);
	probe_regs(vcpu);
}

int main(int argc, char **argv)
{
	int kvm = need(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
	int vm = need(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM"), vcpu;
	struct kvm_vcpu_init init = {0};

	printf("version %d mmap pages %ld\n", ioctl(kvm, KVM_GET_API_VERSION, 0),
	       ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0) / sysconf(_SC_PAGESIZE));
	probe_caps(kvm, vm);
	probe_vm_types(kvm);
	probe_requests("system", kvm);
	probe_requests("vm", vm);
	probe_attrs("vm", vm);
	probe_masks(vm);
	say("preferred target ", 0, ioctl(vm, KVM_ARM_PREFERRED_TARGET, &init));
	printf("target %u features %x\n", init.target, init.features[0]);
	vcpu = need(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
	say_fd("vcpu again ", 0, ioctl(vm, KVM_CREATE_VCPU, 0));
	say_fd("vcpu id ", 4096, ioctl(vm, KVM_CREATE_VCPU, 4096));
	probe_requests("vcpu before init", vcpu);
	say("run before init ", 0, ioctl(vcpu, KVM_RUN, 0));
	probe_features(kvm, &init);
	init.features[0] = 1u << KVM_ARM_VCPU_PSCI_0_2;
	for (int i = 1; i < argc; i++)
		init.features[0] |= 1u << atoi(argv[i]);
	probe_vcpu(vcpu, &init);
	probe_devices(kvm);
	return 0;
}
