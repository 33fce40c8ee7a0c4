/* SPDX-License-Identifier: MIT */
/*
 * A VMM as small as can be, for tests of anykvm exec: one vCPU tells 0x2a to a device and turns the machine off. It knows nothing
 * of anykvm. With the argument "bad" it does what KVM does not mind and a reviewer would; with "more" it makes
 * calls of which a trace has more to tell, with "shapes" those with arguments of all shapes. A failed call ends it, named.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <anykvm/kvm.h>

#include "../api/a64.h"

#define RAM	 0x40000000ull
#define RAM_SIZE 0x10000ul
#define DEVICE	 0x10000000ull
#define PSCI_OFF 0x84000008ull

static int bad, more, kvm, vm, vcpu;
static struct kvm_run *run;
static long run_size;

static long check(long r, const char *call)
{
	if (r != -1)
		return r;
	printf("small_vmm: %s: %s\n", call, strerrorname_np(errno));
	fflush(stdout);
	_exit(3);
}
#define CHECK(call) check((long)(call), #call)

static void write_guest(void *ram)
{
	struct code c = {ram, RAM};

	li(&c, 1, 0x2a);
	li(&c, 2, DEVICE);
	if (more)
		ldr(&c, 8, 3, 2, 8);
	str(&c, 8, 1, 2, 0);
	li(&c, 0, PSCI_OFF);
	put(&c, 0xd4000002); /* hvc #0 */
	__builtin___clear_cache(ram, (char *)ram + RAM_SIZE);
}

/* Memory of two slots, taken away at once. */
static void unmap_two_slots(void)
{
	char *ram = (void *)CHECK(
		mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	struct kvm_userspace_memory_region r = {.memory_size = RAM_SIZE / 2};

	for (int i = 0; i < 2; i++) {
		r.slot = 7 + i;
		r.guest_phys_addr = 2 * RAM + i * RAM_SIZE;
		r.userspace_addr = (uintptr_t)ram + i * RAM_SIZE / 2;
		CHECK(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &r));
	}
	CHECK(munmap(ram, RAM_SIZE));
}

/* Each of them means something only where a capability says so. */
static void make_worse(void)
{
	struct kvm_enable_cap cap = {.cap = KVM_CAP_ARM_NISV_TO_USER};
	struct kvm_irqfd irqfd = {.fd = -1, .flags = KVM_IRQFD_FLAG_RESAMPLE};
	struct kvm_irq_level level = {.irq = 1u << KVM_ARM_IRQ_VCPU2_SHIFT};
	struct kvm_vcpu_events events = {.exception.ext_dabt_pending = 0,
					 .exception.serror_has_esr = 1};

	CHECK(close(CHECK(ioctl(kvm, KVM_CREATE_VM, 40))));
	CHECK(ioctl(vm, KVM_ENABLE_CAP, &cap));
	ioctl(vm, KVM_IRQFD, &irqfd);
	ioctl(vm, KVM_IRQ_LINE, &level);
	CHECK(ioctl(vcpu, KVM_SET_VCPU_EVENTS, &events));
	run->immediate_exit = 1;
	ioctl(vcpu, KVM_RUN, 0);
	run->immediate_exit = 0;
}

static void make(void)
{
	static const unsigned caps[] = {KVM_CAP_USER_MEMORY, KVM_CAP_ONE_REG, KVM_CAP_ARM_PSCI_0_2,
					KVM_CAP_IRQFD};
	void *ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct kvm_userspace_memory_region r = {
		.guest_phys_addr = RAM, .memory_size = RAM_SIZE, .userspace_addr = (uintptr_t)ram};
	struct kvm_vcpu_init init;
	uint64_t pc = RAM;
	struct kvm_one_reg reg = {.id = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE |
					KVM_REG_ARM_CORE_REG(regs.pc),
				  .addr = (uintptr_t)&pc};

	write_guest(ram);
	kvm = CHECK(open("/dev/kvm", O_RDWR | O_CLOEXEC));
	if (!bad)
		CHECK(ioctl(kvm, KVM_GET_API_VERSION, 0));
	for (unsigned i = 0; !bad && i < sizeof(caps) / sizeof(*caps); i++)
		CHECK(ioctl(kvm, KVM_CHECK_EXTENSION, caps[i]));
	vm = CHECK(ioctl(kvm, KVM_CREATE_VM, 0));
	CHECK(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &r));
	vcpu = CHECK(ioctl(vm, KVM_CREATE_VCPU, 0));
	CHECK(ioctl(vm, KVM_ARM_PREFERRED_TARGET, &init));
	init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2;
	CHECK(ioctl(vcpu, KVM_ARM_VCPU_INIT, &init));
	CHECK(ioctl(vcpu, KVM_SET_ONE_REG, &reg));
	run_size = bad ? 2 * getpagesize() : CHECK(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0));
	run = (void *)CHECK(mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0));
	if (bad) {
		struct kvm_ioeventfd bell = {.addr = DEVICE + 0x1000, .len = 4, .pad = {1}};
		struct kvm_guest_debug debug = {.control = 0, .pad = 1};
		pid_t child = fork();

		/* Its own copy: no misuse. */
		if (!child)
			_exit(munmap(ram, RAM_SIZE));
		CHECK(waitpid(child, NULL, 0));
		CHECK(ioctl(vcpu, KVM_SET_GUEST_DEBUG, &debug));

		make_worse();
		bell.fd = CHECK(eventfd(0, EFD_CLOEXEC));
		CHECK(ioctl(vm, KVM_IOEVENTFD, &bell));
		CHECK(munmap((char *)ram + RAM_SIZE / 2, RAM_SIZE / 4));
		CHECK(munmap((char *)ram + RAM_SIZE / 4 * 3, RAM_SIZE / 4));
		unmap_two_slots();
	}
}

static void *run_once(void *unused)
{
	CHECK(ioctl(vcpu, KVM_RUN, 0));
	return NULL;
}

/* Of other machines, of devices, of flags. */
static void make_more(void)
{
	static const uint64_t dist = 0x8000000, redist = 0x80a0000;
	struct kvm_create_device gic = {.type = KVM_DEV_TYPE_ARM_VGIC_V3,
					.flags = KVM_CREATE_DEVICE_TEST};
	struct kvm_device_attr attr = {.group = KVM_DEV_ARM_VGIC_GRP_ADDR,
				       .attr = KVM_VGIC_V3_ADDR_TYPE_DIST,
				       .addr = (uintptr_t)&dist};
	struct kvm_irq_level level = {.irq = KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | 33};
	struct kvm_mp_state state;
	unsigned char vector[16] = {[0] = 0x34, [1] = 0x12, [15] = 0x56};
	struct kvm_one_reg reg = {.id = KVM_REG_ARM64 | KVM_REG_SIZE_U128 | KVM_REG_ARM_CORE |
					KVM_REG_ARM_CORE_REG(fp_regs.vregs[7]),
				  .addr = (uintptr_t)vector};
	uint64_t mpidr;

	CHECK(ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_TSC_CONTROL));
	CHECK(ioctl(vm, KVM_CREATE_DEVICE, &gic));
	gic.flags = 0;
	CHECK(ioctl(vm, KVM_CREATE_DEVICE, &gic));
	CHECK(ioctl(gic.fd, KVM_SET_DEVICE_ATTR, &attr));
	attr.attr = KVM_VGIC_V3_ADDR_TYPE_REDIST;
	attr.addr = (uintptr_t)&redist;
	CHECK(ioctl(gic.fd, KVM_SET_DEVICE_ATTR, &attr));
	attr.group = KVM_DEV_ARM_VGIC_GRP_CTRL;
	attr.attr = KVM_DEV_ARM_VGIC_CTRL_INIT;
	CHECK(ioctl(gic.fd, KVM_SET_DEVICE_ATTR, &attr));
	CHECK(ioctl(vm, KVM_IRQ_LINE, &level));
	CHECK(ioctl(vcpu, KVM_SET_ONE_REG, &reg));
	reg = (struct kvm_one_reg){.id = ARM64_SYS_REG(3, 0, 0, 0, 5), .addr = (uintptr_t)&mpidr};
	CHECK(ioctl(vcpu, KVM_GET_ONE_REG, &reg));
	CHECK(ioctl(vcpu, KVM_GET_MP_STATE, &state));
	run_once(NULL);
	run->mmio.data[0] = 0x99;
}

/* Some of them fail, which a trace shows, too. */
static void make_shapes(void)
{
	struct kvm_smccc_filter filter = {
		.base = 0xc5000000, .nr_functions = 16, .action = KVM_SMCCC_FILTER_FWD_TO_USER};
	struct kvm_device_attr attr = {.group = KVM_ARM_VM_SMCCC_CTRL,
				       .attr = KVM_ARM_VM_SMCCC_FILTER,
				       .addr = (uintptr_t)&filter};
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entries[2];
	} routing = {.head.nr = 2,
		     .entries = {{.gsi = 3, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip.pin = 4},
				 {.gsi = 32,
				  .type = KVM_IRQ_ROUTING_MSI,
				  .flags = KVM_MSI_VALID_DEVID,
				  .u.msi = {.address_lo = 0x8020040, .data = 5, .devid = 8}}}};
	struct kvm_guest_debug debug = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW,
					.arch.dbg_bcr[1] = 0x1e5,
					.arch.dbg_bvr[1] = RAM + 0x100};
	struct kvm_reg_list list = {.n = 0};
	uint64_t value = 0;
	struct kvm_one_reg reg = {.id = ARM64_SYS_REG(3, 0, 0, 1, 0), .addr = (uintptr_t)&value};
	struct reg_mask_range masks = {.range = 7};
	int feature = KVM_ARM_VCPU_SVE;

	CHECK(ioctl(vm, KVM_SET_DEVICE_ATTR, &attr));
	CHECK(ioctl(vm, KVM_SET_GSI_ROUTING, &routing));
	CHECK(ioctl(vcpu, KVM_SET_GUEST_DEBUG, &debug));
	for (unsigned i = 0; i < KVM_ARM_MAX_DBG_REGS; i++) {
		debug.arch.dbg_bcr[i] = debug.arch.dbg_wcr[i] = 0x1ff5;
		debug.arch.dbg_bvr[i] = debug.arch.dbg_wvr[i] = 0xffff800012345678 & -8ull;
	}
	ioctl(vcpu, KVM_SET_GUEST_DEBUG, &debug);
	debug.arch = (struct kvm_guest_debug_arch){0};
	CHECK(ioctl(vcpu, KVM_SET_GUEST_DEBUG, &debug));
	CHECK(ioctl(vcpu, KVM_SET_SIGNAL_MASK, NULL));
	ioctl(vcpu, KVM_GET_REG_LIST, &list);
	CHECK(ioctl(vcpu, KVM_GET_ONE_REG, &reg));
	/* There is no such mode. */
	value = 0x1f;
	reg.id = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE |
		 KVM_REG_ARM_CORE_REG(regs.pstate);
	ioctl(vcpu, KVM_SET_ONE_REG, &reg);
	ioctl(vm, KVM_ARM_GET_REG_WRITABLE_MASKS, &masks);
	ioctl(vcpu, KVM_ARM_VCPU_FINALIZE, &feature);
	ioctl(vm, KVM_SET_TSS_ADDR, 0x1000);
	close(CHECK(fcntl(vm, F_DUPFD_CLOEXEC, 100)));
}

int main(int argc, char **argv)
{
	pthread_t thread;

	bad = argc > 1 && !strcmp(argv[1], "bad");
	more = argc > 1 && !strcmp(argv[1], "more");
	make();
	if (more)
		make_more();
	if (argc > 1 && !strcmp(argv[1], "shapes"))
		make_shapes();
	run_once(NULL);
	if (run->exit_reason != KVM_EXIT_MMIO || run->mmio.data[0] != 0x2a)
		return 4;
	if (bad) {
		CHECK(munmap(run, run_size));
		pthread_create(&thread, NULL, run_once, NULL);
		pthread_join(thread, NULL);
	} else {
		run_once(NULL);
		if (run->exit_reason != KVM_EXIT_SYSTEM_EVENT)
			return 5;
	}
	close(vcpu);
	close(vm);
	close(kvm);
	puts("small_vmm: done");
	return 0;
}
