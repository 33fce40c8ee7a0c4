/* SPDX-License-Identifier: MIT */
/* How KVM_RUN ended. */
#include <errno.h>
#include <string.h>

#include "observe.h"

static const char *const exit_names[] = {
	[KVM_EXIT_UNKNOWN] = "UNKNOWN",
	[KVM_EXIT_HYPERCALL] = "HYPERCALL",
	[KVM_EXIT_DEBUG] = "DEBUG",
	[KVM_EXIT_HLT] = "HLT",
	[KVM_EXIT_MMIO] = "MMIO",
	[KVM_EXIT_SHUTDOWN] = "SHUTDOWN",
	[KVM_EXIT_FAIL_ENTRY] = "FAIL_ENTRY",
	[KVM_EXIT_INTR] = "INTR",
	[KVM_EXIT_INTERNAL_ERROR] = "INTERNAL_ERROR",
	[KVM_EXIT_SYSTEM_EVENT] = "SYSTEM_EVENT",
	[KVM_EXIT_ARM_NISV] = "ARM_NISV",
	[KVM_EXIT_DIRTY_RING_FULL] = "DIRTY_RING_FULL",
	[KVM_EXIT_MEMORY_FAULT] = "MEMORY_FAULT",
	[KVM_EXIT_ARM_SEA] = "ARM_SEA",
	[KVM_EXIT_ARM_LDST64B] = "ARM_LDST64B",
};

const char *exit_reason_name(unsigned reason)
{
	return reason < sizeof(exit_names) / sizeof(exit_names[0]) && exit_names[reason]
		       ? exit_names[reason]
		       : "?";
}

static const char *system_event_name(unsigned type)
{
	static const char *const names[] = {
		[KVM_SYSTEM_EVENT_SHUTDOWN] = "SHUTDOWN", [KVM_SYSTEM_EVENT_RESET] = "RESET",
		[KVM_SYSTEM_EVENT_CRASH] = "CRASH",	  [KVM_SYSTEM_EVENT_WAKEUP] = "WAKEUP",
		[KVM_SYSTEM_EVENT_SUSPEND] = "SUSPEND",
	};

	return type < sizeof(names) / sizeof(names[0]) && names[type] ? names[type] : "?";
}

uint64_t mmio_data(const struct kvm_run *run)
{
	uint64_t value = 0;

	memcpy(&value, run->mmio.data, run->mmio.len < sizeof(value) ? run->mmio.len : 8);
	return value;
}

bool run_ended(const struct observed *o, struct kvm_run *run)
{
	struct vcpu_state *v = vcpu_state(o->fd);

	if (o->injected || !v || !peek(run, v->run, sizeof(*run)))
		return false;
	/* The one reason that comes with an error. */
	if (o->error == EFAULT || o->error == EHWPOISON)
		return run->exit_reason == KVM_EXIT_MEMORY_FAULT;
	return !o->result;
}

void trace_exit_reason(struct line *l, const struct kvm_run *run)
{
	line_add(l, "KVM_EXIT_%s", exit_reason_name(run->exit_reason));
	switch (run->exit_reason) {
	case KVM_EXIT_MMIO:
		line_add(l, " %s %u at 0x%llx", run->mmio.is_write ? "write" : "read",
			 run->mmio.len, (unsigned long long)run->mmio.phys_addr);
		if (run->mmio.is_write)
			line_add(l, " value 0x%llx", (unsigned long long)mmio_data(run));
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		line_add(l, " %s", system_event_name(run->system_event.type));
		/* Which of two PSCI calls it was. */
		if (run->system_event.ndata && run->system_event.data[0])
			line_add(l, " flags 0x%llx", (unsigned long long)run->system_event.data[0]);
		break;
	case KVM_EXIT_HYPERCALL:
		line_add(l, " %s%s 0x%llx",
			 run->hypercall.flags & KVM_HYPERCALL_EXIT_SMC ? "smc" : "hvc",
			 run->hypercall.flags & KVM_HYPERCALL_EXIT_16BIT ? " of 16 bits" : "",
			 (unsigned long long)run->hypercall.nr);
		break;
	case KVM_EXIT_DEBUG:
		line_add(l, " esr 0x%x far 0x%llx", run->debug.arch.hsr,
			 (unsigned long long)run->debug.arch.far);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		line_add(l, " reason 0x%llx",
			 (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		line_add(l, " suberror %u", run->internal.suberror);
		break;
	case KVM_EXIT_ARM_NISV:
		line_add(l, " esr_iss 0x%llx at 0x%llx", (unsigned long long)run->arm_nisv.esr_iss,
			 (unsigned long long)run->arm_nisv.fault_ipa);
		break;
	case KVM_EXIT_MEMORY_FAULT:
		line_add(l, " flags 0x%llx at 0x%llx, 0x%llx bytes",
			 (unsigned long long)run->memory_fault.flags,
			 (unsigned long long)run->memory_fault.gpa,
			 (unsigned long long)run->memory_fault.size);
		break;
	}
}
