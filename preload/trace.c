/* SPDX-License-Identifier: MIT */
/* A line for each call: who, when, what with which arguments, its result, how KVM_RUN ended, and how long it took. */
#include <string.h>
#include <sys/syscall.h>

#include "base/raw.h"
#include "names.h"

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
		break;
	case KVM_EXIT_HYPERCALL:
		line_add(l, " 0x%llx", (unsigned long long)run->hypercall.nr);
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

static void add_value(struct line *l, enum field_format format, uint64_t value)
{
	switch (format) {
	case FIELD_DECIMAL:
		line_add(l, "%llu", (unsigned long long)value);
		break;
	case FIELD_SIGNED:
	case FIELD_OUT:
		line_add(l, "%d", (int)value);
		break;
	case FIELD_CAP:
		name_cap(l, value);
		break;
	case FIELD_REGISTER:
		name_register(l, value);
		break;
	case FIELD_IRQ_LINE:
		name_irq_line(l, value);
		break;
	default:
		name_value(l, format, value);
	}
}

static void add_fields(struct line *l, const struct request_info *info, const unsigned char *bytes,
		       bool out)
{
	const char *comma = "";

	line_add(l, "{");
	for (unsigned i = 0; i < info->nr_fields; i++) {
		const struct field *f = &info->fields[i];
		uint64_t value = 0;

		if (f->format == FIELD_ZERO || (f->format == FIELD_OUT) != out)
			continue;
		memcpy(&value, bytes + f->offset, f->size <= 8 ? f->size : 8);
		line_add(l, "%s%s=", comma, f->name);
		add_value(l, f->format, value);
		comma = ", ";
	}
	line_add(l, "}");
}

/* What is at a pointer in the structure; the upper half of a vector register first. */
static void add_pointed_value(struct line *l, uint64_t addr, unsigned size)
{
	uint64_t value[2] = {0};

	if (!size || size > sizeof(value) || !peek(value, (const void *)(uintptr_t)addr, size))
		return;
	if (value[1])
		line_add(l, " value 0x%llx%016llx", (unsigned long long)value[1],
			 (unsigned long long)value[0]);
	else
		line_add(l, " value 0x%llx", (unsigned long long)value[0]);
}

static bool is_attribute(const struct observed *o)
{
	return o->info && (o->request == KVM_SET_DEVICE_ATTR || o->request == KVM_GET_DEVICE_ATTR ||
			   o->request == KVM_HAS_DEVICE_ATTR);
}

static unsigned device_type(int fd)
{
	struct vcpu_state *v = vcpu_state(fd);

	return v ? v->device : 0;
}

static bool has_out_fields(const struct request_info *info)
{
	for (unsigned i = 0; i < info->nr_fields; i++)
		if (info->fields[i].format == FIELD_OUT)
			return true;
	return false;
}

static void add_ioctl(struct line *l, const struct observed *o)
{
	line_add(l, ", %s", o->name);
	if (o->answers_read) {
		line_add(l, ", {mmio.data=0x%llx}", (unsigned long long)o->read_data);
	} else if (!o->info) {
		line_add(l, ", 0x%lx", o->arg);
	} else if (o->info->argument != FIELD_ZERO) {
		line_add(l, ", ");
		add_value(l, o->info->argument, o->arg);
	} else if (is_attribute(o) && o->has_before) {
		line_add(l, ", {");
		name_attribute(l, o->kind, device_type(o->fd), (const void *)o->before);
		line_add(l, "}");
	} else if (o->info->nr_fields && _IOC_DIR(o->request) == _IOC_READ) {
		line_add(l, ", 0x%lx", o->arg);
	} else if (o->info->nr_fields && o->has_before) {
		line_add(l, ", ");
		add_fields(l, o->info, o->before, false);
	} else if (o->info->nr_fields) {
		line_add(l, ", 0x%lx (cannot be read)", o->arg);
	}
}

/* False: there is none. */
static bool add_moved_value(struct line *l, const struct observed *o)
{
	struct kvm_device_attr attr;
	struct kvm_one_reg reg;

	if (o->kind == ANYKVM_FD_VCPU &&
	    (o->request == KVM_GET_ONE_REG || o->request == KVM_SET_ONE_REG)) {
		memcpy(&reg, o->before, sizeof(reg));
		add_pointed_value(l, reg.addr, KVM_REG_SIZE(reg.id));
		return true;
	}
	if (!is_attribute(o) || o->request == KVM_HAS_DEVICE_ATTR)
		return false;
	memcpy(&attr, o->before, sizeof(attr));
	add_pointed_value(l, attr.addr, attribute_size(o->kind, device_type(o->fd), &attr));
	return true;
}

/* What is known only now. */
static void add_outcome(struct line *l, const struct observed *o)
{
	unsigned char after[COPY_MAX];
	struct kvm_run run;
	size_t size = _IOC_SIZE(o->request);

	if (o->kind == ANYKVM_FD_VCPU && o->request == KVM_RUN) {
		struct vcpu_state *v = vcpu_state(o->fd);

		if (!o->result && v && peek(&run, v->run, sizeof(run))) {
			line_add(l, " ");
			trace_exit_reason(l, &run);
		}
		return;
	}
	if (!o->info || o->result < 0 || size > sizeof(after))
		return;
	if (o->has_before && add_moved_value(l, o))
		return;
	if (!(_IOC_DIR(o->request) & _IOC_READ) || !o->info->nr_fields ||
	    !peek(after, (void *)o->arg, size))
		return;
	if (_IOC_DIR(o->request) == _IOC_READ || has_out_fields(o->info)) {
		line_add(l, " ");
		add_fields(l, o->info, after, _IOC_DIR(o->request) != _IOC_READ);
	}
}

static const char *kind_name(int kind)
{
	static const char *const names[] = {
		[ANYKVM_FD_FOREIGN] = "",	 [ANYKVM_FD_SYSTEM] = "<kvm>",
		[ANYKVM_FD_VM] = "<vm>",	 [ANYKVM_FD_VCPU] = "<vcpu>",
		[ANYKVM_FD_DEVICE] = "<device>", [ANYKVM_FD_STATS] = "<stats>",
		[ANYKVM_FD_GMEM] = "<gmem>",	 [ANYKVM_FD_USERFAULT] = "<userfaultfd>",
	};

	return kind >= 0 && (size_t)kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "";
}

static void add_descriptor(struct line *l, const struct observed *o)
{
	struct vcpu_state *v = o->kind == ANYKVM_FD_VCPU ? vcpu_state(o->fd) : NULL;

	if (v)
		line_add(l, "%d<vcpu%d>", o->fd, v->id);
	else if (o->kind == ANYKVM_FD_DEVICE && device_name(device_type(o->fd)))
		line_add(l, "%d<%s>", o->fd, device_name(device_type(o->fd)));
	else
		line_add(l, "%d%s", o->fd, kind_name(o->kind));
}

void trace_call(const struct observed *o)
{
	uint64_t at = o->start_ns - observe.started_ns, took = o->end_ns - o->start_ns;
	struct line l = {.n = 0};

	line_add(&l, "[%ld] %llu.%06llu %s(", raw_syscall(SYS_gettid),
		 (unsigned long long)(at / 1000000000),
		 (unsigned long long)(at % 1000000000 / 1000), o->function);
	if (!strcmp(o->function, "open")) {
		line_add(&l, "\"/dev/kvm\"");
	} else if (!strcmp(o->function, "munmap")) {
		line_add(&l, "0x%lx, 0x%lx", o->addr, o->length);
	} else {
		add_descriptor(&l, o);
		if (!strcmp(o->function, "ioctl"))
			add_ioctl(&l, o);
		else if (!strcmp(o->function, "mmap"))
			line_add(&l, ", 0x%lx bytes from 0x%lx", o->length, o->offset);
	}
	line_add(&l, ") = ");
	if (o->error)
		line_add(&l, "-1 %s%s", strerrorname_np(o->error),
			 o->injected ? " (injected)" : "");
	else
		line_add(&l, o->result > 0xffffff ? "0x%lx" : "%ld", o->result);
	add_outcome(&l, o);
	line_add(&l, " <%llu.%06llu>", (unsigned long long)(took / 1000000000),
		 (unsigned long long)(took % 1000000000 / 1000));
	line_write(&l);
}
