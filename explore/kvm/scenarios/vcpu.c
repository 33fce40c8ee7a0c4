/* SPDX-License-Identifier: MIT */
/* Birth and death of machines, vCPUs and devices against those who come by their numbers. */
#include <errno.h>

#include "explore/kvm/kit.h"
#include "explore/kvm/scenarios/scenarios.h"

#define GPA 0x10000ull

static int vm, vcpu, made, next, ret;

static void setup_next(void)
{
	vm = kit_vm();
	/* The number that will be given out next. */
	next = kit_gmem(vm, 1);
	kit_close(next);
}

static void guess_and_close(void)
{
	explore_step("close(a number that is about to be)");
	kit_close(next);
}

/* --- 22: a vCPU that is half there ---------------------------------------------------------------------------------------- */

static void create_vcpu(void)
{
	explore_step("KVM_CREATE_VCPU");
	made = kit_call(vm, KVM_CREATE_VCPU, 0);
}

static void init_guessed(void)
{
	struct kvm_vcpu_init init = {.target = KVM_ARM_TARGET_GENERIC_V8};
	struct vcpu_group *g = &kit_vm_of(vm)->group;

	explore_step("KVM_ARM_VCPU_INIT of a number that is about to be");
	ret = kit_call(next, KVM_ARM_VCPU_INIT, (uintptr_t)&init);
	/* Who has got in finds the vCPU counted and within reach of shootdowns. */
	if (!ret)
		explore_check(a32_load(&g->nr) == 1 && a32_load(&g->mem->tlb.nr) == 1);
}

static void finish_half(void)
{
	explore_check(made == next);
	explore_check(ret == 0 || ret == -EBADF || ret == -ENOTTY);
	kit_close(made);
	kit_close(vm);
}

const struct explore_scenario scenario_vcpu_create_and_ioctl = {
	.name = "vcpu-create-and-ioctl",
	.summary = "creation of a vCPU against an ioctl on the number it will have",
	.property = "no ioctl runs on a vCPU before it is online",
	.source = "6e2b2358b3ef, afb2acb2e3a3",
	.mutants = "vm-vcpu-visible-before-it-is-online",
	.setup = setup_next,
	.thread = {{"create", create_vcpu}, {"guess", init_guessed}},
	.finish = finish_half,
};

static int made_too;

static void create_same(void)
{
	explore_step("KVM_CREATE_VCPU with the same id");
	made_too = kit_call(vm, KVM_CREATE_VCPU, 0);
}

static void setup_vm(void)
{
	vm = kit_vm();
}

static void finish_same(void)
{
	explore_check((made >= 0) != (made_too >= 0));
	explore_check(made >= 0 || made == -EEXIST);
	explore_check(made_too >= 0 || made_too == -EEXIST);
	explore_check(kit_vm_of(vm)->created_vcpus == 1);
	kit_close(made >= 0 ? made : made_too);
	kit_close(vm);
}

const struct explore_scenario scenario_vcpu_create_twice = {
	.name = "vcpu-create-twice",
	.summary = "two vCPUs are created with one id",
	.property = "one of them is made; what the other had is freed once, and is not counted",
	.source = "design: KVM looks for the id again under kvm->lock",
	.mutants = "vm-I17-failed-vcpu-is-counted,vm-id-looked-up-before-the-lock",
	.setup = setup_vm,
	.thread = {{"create", create_vcpu}, {"create too", create_same}},
	.finish = finish_same,
};

/* --- 23: the order of the end --------------------------------------------------------------------------------------------- */

static void *ram;

static void last_close(void)
{
	explore_step("close(vm)");
	kit_close(vm);
}

static void discard(void)
{
	explore_step("madvise(MADV_DONTNEED): shootdown of every vCPU");
	explore_check(!anykvm_madvise(ram, 4096, 4 /* MADV_DONTNEED */));
}

static void setup_end(void)
{
	vm = kit_vm();
	ram = kit_memory(1);
	explore_check(!kit_slot(vm, 0, GPA, 1, ram, 0));
	for (unsigned i = 0; i < 2; i++)
		kit_close(kit_vcpu(vm, i));
}

static void finish_end(void)
{
	kit_free(ram, 1);
}

const struct explore_scenario scenario_vcpu_destroy_order = {
	.name = "vcpu-destroy-order",
	.summary = "a machine with two vCPUs is destroyed while a pair flushes them",
	.property = "a broadcast never meets a vCPU that was freed",
	.source = "design: KVM destroys vCPUs after the notifier is unregistered",
	.mutants = "mem-I05-unregister-without-wait,vm-vcpus-freed-before-the-notifier-stops",
	.setup = setup_end,
	.thread = {{"close(vm)", last_close}, {"discard", discard}},
	.finish = finish_end,
};

/* --- 24: a vCPU that cannot be made --------------------------------------------------------------------------------------- */

#define GICD 0x08000000ull
#define GICR 0x080a0000ull

static int gic;

static int gic_set(uint32_t group, uint64_t attr, uint64_t value)
{
	struct kvm_device_attr a = {.group = group, .attr = attr, .addr = (uintptr_t)&value};

	return kit_call(gic, KVM_SET_DEVICE_ATTR, (uintptr_t)&a);
}

static void make_gic(void)
{
	struct kvm_create_device cd = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};

	explore_check(!kit_call(vm, KVM_CREATE_DEVICE, (uintptr_t)&cd));
	gic = cd.fd;
	explore_check(!gic_set(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, GICD));
	/* Room for two. */
	explore_check(!gic_set(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION,
			       GICR | 2ull << 52));
}

static void setup_failing(void)
{
	vm = kit_vm();
	make_gic();
	vcpu = kit_vcpu(vm, 0);
}

static void create_second(void)
{
	explore_step("KVM_CREATE_VCPU, perhaps without memory");
	made = kit_call(vm, KVM_CREATE_VCPU, 1);
}

/* What a guest's access to the second redistributor's frame does. */
static void touch_redistributor(void)
{
	struct vm *v = kit_vm_of(vm);
	u64 value;
	int r;

	explore_step("guest MMIO: GICR_TYPER of the second redistributor");
	r = irq_mmio_read(&v->irq, kit_vcpu_of(vcpu), GICR + 0x20000 + 8, 8, &value);
	explore_check(r == 0 || r == -EOPNOTSUPP);
}

/* A vCPU that could not be made left nothing behind: the next one gets the frame that it would have had. */
static void finish_failing(void)
{
	explore_check(made >= 0 || made == -ENOMEM);
	if (made < 0)
		made = kit_call(vm, KVM_CREATE_VCPU, 1);
	explore_check(made >= 0);
	explore_check(a64_load(&irq_cpu_of(kit_vcpu_of(made))->rd_base) == GICR + 0x20000);
	kit_close(made);
	kit_close(vcpu);
	kit_close(gic);
	kit_close(vm);
}

const struct explore_scenario scenario_vcpu_create_fails = {
	.name = "vcpu-create-fails",
	.summary = "creation of a vCPU, with each allocation failing, against guest MMIO to its "
		   "redistributor",
	.property = "no frame leads to a vCPU that was freed, and its place is free again",
	.source = "ae8f8b376102",
	.mutants = "irq-failed-vcpu-keeps-its-place,vm-vcpu-in-the-array-after-it-failed",
	.setup = setup_failing,
	.thread = {{"create", create_second}, {"guest", touch_redistributor}},
	.finish = finish_failing,
	.faults = 1,
};

/* --- 25: a device --------------------------------------------------------------------------------------------------------- */

static void create_device(void)
{
	struct kvm_create_device cd = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};

	explore_step("KVM_CREATE_DEVICE");
	ret = kit_call(vm, KVM_CREATE_DEVICE, (uintptr_t)&cd);
	made = ret ? -1 : (int)cd.fd;
}

static void close_vm_and_guess(void)
{
	explore_step("close(vm), close(a number that is about to be)");
	kit_close(vm);
	kit_close(next);
}

static void finish_device(void)
{
	explore_check(ret == 0 || ret == -EBADF || ret == -ENOTTY || ret == -ENOMEM);
	if (made >= 0)
		kit_close(made);
	kit_close(next);
}

const struct explore_scenario scenario_device_create_and_close = {
	.name = "device-create-and-close",
	.summary = "creation of a device against close of the VM and of the number that the device "
		   "will have",
	.property = "the VM is there until the creator is through; references balance, also when "
		    "memory is short",
	.source = "cfa39381173d (CVE-2019-6974)",
	.mutants = "api-device-without-a-reference",
	.setup = setup_next,
	.thread = {{"create", create_device}, {"close", close_vm_and_guess}},
	.finish = finish_device,
	.faults = 1,
};

/* --- 32: publish last ----------------------------------------------------------------------------------------------------- */

static int handle;

static void create_vm(void)
{
	explore_step("KVM_CREATE_VM");
	made = kit_call(handle, KVM_CREATE_VM, 0);
}

static void setup_publish(void)
{
	handle = kit_open();
	next = kit_call(handle, KVM_CREATE_VM, 0);
	explore_check(next >= 0);
	kit_close(next);
}

static void finish_publish(void)
{
	explore_check(made == next || made == -EBADF);
	kit_close(next);
	kit_close(handle);
}

const struct explore_scenario scenario_vm_create_and_close = {
	.name = "vm-create-and-close",
	.summary = "creation of a VM against a thread that closes the number it guesses",
	.property = "nothing is touched after the descriptor is there",
	.source = "design: kvm_dev_ioctl_create_vm() installs the descriptor last",
	.mutants = "api-vm-touched-after-its-descriptor",
	.setup = setup_publish,
	.thread = {{"create", create_vm}, {"guess", guess_and_close}},
	.finish = finish_publish,
};

/* --- a signal for a vCPU that sleeps -------------------------------------------------------------------------------------- */

static void setup_stopped(void)
{
	struct kvm_mp_state stopped = {.mp_state = KVM_MP_STATE_STOPPED};

	vm = kit_vm();
	vcpu = kit_vcpu(vm, 0);
	explore_check(!kit_call(vcpu, KVM_SET_MP_STATE, (uintptr_t)&stopped));
	kit_signals_expected();
}

static void run_stopped(void)
{
	explore_step("KVM_RUN of a vCPU that is stopped");
	ret = kit_call(vcpu, KVM_RUN, 0);
}

static void send_signal(void)
{
	explore_step("a signal for the vCPU's thread");
	kit_signal(1, 10 /* SIGUSR1 */);
}

static void finish_stopped(void)
{
	explore_check(ret == -EINTR);
	kit_close(vcpu);
	kit_close(vm);
}

const struct explore_scenario scenario_vcpu_sleep_and_signal = {
	.name = "vcpu-sleep-and-signal",
	.summary = "a signal for a thread whose vCPU looks for one and then sleeps",
	.property = "KVM_RUN ends with EINTR whenever the signal comes",
	.source = "design: KVM_RUN sleeps with the program's signals blocked and must see those "
		  "that its mask lets through",
	.mutants = "vcpu-sleeps-through-signals",
	.setup = setup_stopped,
	.thread = {{"vCPU", run_stopped}, {"signal", send_signal}},
	.finish = finish_stopped,
};
