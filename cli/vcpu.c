/* SPDX-License-Identifier: MIT */
/* A vCPU and its thread. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "machine.h"

#define KICK_SIGNAL SIGUSR1

static void on_kick(int signal)
{
	/* Nothing to do: that there is a handler is what ends KVM_RUN. */
}

void vcpu_install_kick_handler(void)
{
	struct sigaction action = {.sa_handler = on_kick};

	sigaction(KICK_SIGNAL, &action, NULL);
}

bool vcpu_get_register(const struct machine_vcpu *vcpu, uint64_t id, uint64_t *value)
{
	struct kvm_one_reg request = {.id = id, .addr = (uintptr_t)value};

	*value = 0;
	return vcpu->machine->accel->ioctl(vcpu->fd, KVM_GET_ONE_REG, &request) == 0;
}

bool vcpu_set_register(const struct machine_vcpu *vcpu, uint64_t id, uint64_t value)
{
	struct kvm_one_reg request = {.id = id, .addr = (uintptr_t)&value};

	return vcpu->machine->accel->ioctl(vcpu->fd, KVM_SET_ONE_REG, &request) == 0;
}

static bool vcpu_set_core(struct machine_vcpu *vcpu, uint64_t index, uint64_t value)
{
	return vcpu_set_register(vcpu, KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | index,
				 value);
}

int vcpu_create(struct machine *m, unsigned index)
{
	struct machine_vcpu *vcpu = &m->vcpus[index];
	struct kvm_vcpu_init init;

	vcpu->machine = m;
	vcpu->index = index;
	vcpu->fd = m->accel->ioctl(m->vm_fd, KVM_CREATE_VCPU, (unsigned long)index);
	if (vcpu->fd < 0) {
		cli_say_errno("creating vCPU %u", index);
		return -1;
	}
	vcpu->run =
		m->accel->mmap(NULL, m->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED) {
		cli_say_errno("mapping vCPU %u", index);
		m->accel->close(vcpu->fd);
		return -1;
	}
	if (m->accel->ioctl(m->vm_fd, KVM_ARM_PREFERRED_TARGET, &init) >= 0) {
		init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2;
		if (index)
			init.features[0] |= 1u << KVM_ARM_VCPU_POWER_OFF;
		if (m->pmu)
			init.features[0] |= 1u << KVM_ARM_VCPU_PMU_V3;
		if (m->accel->ioctl(vcpu->fd, KVM_ARM_VCPU_INIT, &init) >= 0 &&
		    vcpu_get_register(vcpu, ARM64_SYS_REG(3, 0, 0, 0, 5), &vcpu->mpidr))
			return 0;
	}
	cli_say_errno("initialising vCPU %u", index);
	vcpu_destroy(vcpu);
	return -1;
}

int vcpu_init_pmu(struct machine_vcpu *vcpu)
{
	int irq = 16 + MACHINE_PMU_PPI;
	struct kvm_device_attr set = {.group = KVM_ARM_VCPU_PMU_V3_CTRL,
				      .attr = KVM_ARM_VCPU_PMU_V3_IRQ,
				      .addr = (uintptr_t)&irq},
			       init = {.group = KVM_ARM_VCPU_PMU_V3_CTRL,
				       .attr = KVM_ARM_VCPU_PMU_V3_INIT};
	const struct accel *accel = vcpu->machine->accel;

	if (accel->ioctl(vcpu->fd, KVM_SET_DEVICE_ATTR, &set) >= 0 &&
	    accel->ioctl(vcpu->fd, KVM_SET_DEVICE_ATTR, &init) >= 0)
		return 0;
	cli_say_errno("setting up the performance counters of vCPU %u", vcpu->index);
	return -1;
}

/* What KVM_RUN failed with, in words. */
static void vcpu_report_error(struct machine_vcpu *vcpu, int error)
{
	errno = error;
	cli_say_errno("vCPU %u: the machine cannot go on", vcpu->index);
	if (error == EFAULT)
		cli_say("  the host took away, or could not supply, memory that the guest uses");
	else if (error == ENOSYS)
		cli_say("  the guest accessed a device with an instruction that does not tell what "
			"it reads or writes");
	else if (error == EIO)
		cli_say("  the machine has been shut down from below");
	report_vcpu(vcpu);
	machine_post_end(vcpu->machine, END_FAILED);
}

static void vcpu_system_event(struct machine_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	switch (run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		machine_post_end(vcpu->machine, END_POWER_OFF);
		return;
	case KVM_SYSTEM_EVENT_RESET:
		machine_post_end(vcpu->machine, END_RESET);
		return;
	case KVM_SYSTEM_EVENT_CRASH:
		cli_say("the guest reports that it crashed");
		break;
	default:
		cli_say("vCPU %u: unexpected system event %u", vcpu->index, run->system_event.type);
	}
	report_vcpu(vcpu);
	machine_post_end(vcpu->machine, END_FAILED);
}

static void vcpu_mmio(struct machine_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct bus *bus = &vcpu->machine->bus;
	unsigned size = run->mmio.len <= 8 ? run->mmio.len : 8;
	bool found;

	if (run->mmio.is_write)
		found = bus_store(bus, run->mmio.phys_addr, run->mmio.data, size);
	else
		found = bus_load(bus, run->mmio.phys_addr, run->mmio.data, size);
	if (!found && __atomic_load_n(&bus->nr_strays, __ATOMIC_RELAXED) <= 4 &&
	    !vcpu->machine->options->quiet)
		cli_say("vCPU %u: %s of %u bytes at 0x%llx, where nothing is", vcpu->index,
			run->mmio.is_write ? "store" : "load", size, run->mmio.phys_addr + 0ull);
}

/* Returns false if the thread is to end. */
static bool vcpu_handle_exit(struct machine_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	if (run->exit_reason < NR_EXIT_REASONS)
		vcpu->exits[run->exit_reason]++;
	switch (run->exit_reason) {
	case KVM_EXIT_MMIO:
		vcpu_mmio(vcpu);
		return true;
	case KVM_EXIT_INTR:
		return true;
	case KVM_EXIT_DIRTY_RING_FULL:
		dirty_ring_full(&vcpu->machine->dirty, &vcpu->machine->ram);
		return true;
	case KVM_EXIT_SYSTEM_EVENT:
		vcpu_system_event(vcpu);
		return false;
	case KVM_EXIT_INTERNAL_ERROR:
		cli_say("vCPU %u: internal error %u", vcpu->index, run->internal.suberror);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		cli_say("vCPU %u: cannot enter the guest on this CPU (reason 0x%llx)", vcpu->index,
			run->fail_entry.hardware_entry_failure_reason + 0ull);
		break;
	case KVM_EXIT_MEMORY_FAULT:
		cli_say("vCPU %u: no memory for guest addresses from 0x%llx, %llu bytes",
			vcpu->index, run->memory_fault.gpa + 0ull, run->memory_fault.size + 0ull);
		break;
	case KVM_EXIT_ARM_NISV:
		cli_say("vCPU %u: access at 0x%llx by an instruction that does not tell what it "
			"reads or writes",
			vcpu->index, run->arm_nisv.fault_ipa + 0ull);
		break;
	default:
		cli_say("vCPU %u: unexpected exit %u", vcpu->index, run->exit_reason);
	}
	report_vcpu(vcpu);
	machine_post_end(vcpu->machine, END_FAILED);
	return false;
}

static void *vcpu_thread(void *argument)
{
	struct machine_vcpu *vcpu = argument;
	struct machine *m = vcpu->machine;
	struct timespec used;

	vcpu_park(vcpu); /* a guest that has just arrived waits for its source's word */
	/* Pairs with machine_vcpu_kick(): stop is written first, then immediate_exit, so one of
	 * them is seen here. */
	while (!__atomic_load_n(&m->stop, __ATOMIC_SEQ_CST)) {
		if (m->accel->ioctl(vcpu->fd, KVM_RUN, 0) < 0) {
			if (errno == EINTR || errno == EAGAIN) {
				vcpu->interrupted++;
				if (errno == EINTR)
					vcpu_park(vcpu);
				continue;
			}
			vcpu_report_error(vcpu, errno);
			break;
		}
		if (!vcpu_handle_exit(vcpu))
			break;
	}
	if (!clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used))
		vcpu->cpu_seconds = used.tv_sec + used.tv_nsec / 1e9;
	vcpu_note_end(vcpu);
	return NULL;
}

int vcpu_start(struct machine_vcpu *vcpu)
{
	struct machine *m = vcpu->machine;
	sigset_t all, old;
	int error;

	if (!vcpu->index && !m->restored &&
	    (!vcpu_set_core(vcpu, KVM_REG_ARM_CORE_REG(regs.pc), m->entry) ||
	     !vcpu_set_core(vcpu, KVM_REG_ARM_CORE_REG(regs.regs[0]), m->dtb))) {
		cli_say_errno("setting where vCPU 0 begins");
		return -1;
	}
	/* Signals from outside are the main thread's; faults and the kick stay open. */
	sigfillset(&all);
	sigdelset(&all, KICK_SIGNAL);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGABRT);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	error = pthread_create(&vcpu->thread, NULL, vcpu_thread, vcpu);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (error) {
		errno = error;
		cli_say_errno("thread of vCPU %u", vcpu->index);
		return -1;
	}
	vcpu->started = true;
	return 0;
}

void machine_vcpu_kick(struct machine_vcpu *vcpu)
{
	if (!vcpu->started)
		return;
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	pthread_kill(vcpu->thread, KICK_SIGNAL);
}

bool vcpu_join(struct machine_vcpu *vcpu, double seconds)
{
	struct timespec end;
	long nanoseconds = (long)(seconds * 1e9);

	/* Not the monotonic clock: TSan of gcc 12 does not know pthread_clockjoin_np. A jump costs a kick, or a wait, at most. */
	clock_gettime(CLOCK_REALTIME, &end);
	nanoseconds += end.tv_nsec;
	end.tv_sec += nanoseconds / 1000000000;
	end.tv_nsec = nanoseconds % 1000000000;
	if (pthread_timedjoin_np(vcpu->thread, NULL, &end))
		return false;
	vcpu->started = false;
	return true;
}

void vcpu_destroy(struct machine_vcpu *vcpu)
{
	struct machine *m = vcpu->machine;

	m->accel->munmap(vcpu->run, m->run_size);
	m->accel->close(vcpu->fd);
}
