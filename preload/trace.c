/* SPDX-License-Identifier: MIT */
/* A line for each call: who, when, what with which arguments, its result, how KVM_RUN ended, and how long it took. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "base/raw.h"
#include "names.h"

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

/* Those that are known only after the call, or the others. */
static void add_fields(struct line *l, const struct field *fields, unsigned nr,
		       const unsigned char *bytes, bool known_after)
{
	const char *comma = "";

	line_add(l, "{");
	for (unsigned i = 0; i < nr; i++) {
		const struct field *f = &fields[i];
		uint64_t value = 0;

		if (f->format == FIELD_ZERO || (f->format == FIELD_OUT) != known_after)
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
	const struct request_info *info = o->info;

	line_add(l, ", %s", o->name);
	if (o->answers_read) {
		line_add(l, ", {mmio.data=0x%llx}", (unsigned long long)o->read_data);
	} else if (!info || (info->nr_fields && info->out)) {
		line_add(l, ", 0x%lx", o->arg);
	} else if (info->argument != FIELD_ZERO) {
		line_add(l, ", ");
		add_value(l, info->argument, o->arg);
	} else if (is_attribute(o) && o->has_before) {
		line_add(l, ", {");
		name_attribute(l, o->kind, device_type(o->fd), (const void *)o->before);
		line_add(l, "}");
	} else if (info->nr_fields && o->has_before) {
		line_add(l, ", ");
		add_fields(l, info->fields, info->nr_fields, o->before, false);
		trace_list(l, o);
	} else if (info->nr_fields) {
		line_add(l, o->arg ? ", 0x%lx (cannot be read)" : ", NULL", o->arg);
	}
}

static void add_attribute_value(struct line *l, const struct observed *o)
{
	const struct layout *layout;
	struct kvm_device_attr attr;
	unsigned char bytes[COPY_MAX];

	memcpy(&attr, o->before, sizeof(attr));
	layout = attribute_layout(o->kind, &attr);
	if (!layout) {
		add_pointed_value(l, attr.addr, attribute_size(o->kind, device_type(o->fd), &attr));
	} else if (peek(bytes, (const void *)(uintptr_t)attr.addr, layout->size)) {
		line_add(l, " ");
		add_fields(l, layout->fields, layout->nr_fields, bytes, false);
	}
}

/* What the structure points at: what was read, or was to be written. False: nothing. */
static bool add_moved_value(struct line *l, const struct observed *o)
{
	struct kvm_one_reg reg;

	if (o->result < 0 && o->request != KVM_SET_ONE_REG && o->request != KVM_SET_DEVICE_ATTR)
		return false;
	if (o->kind == ANYKVM_FD_VCPU &&
	    (o->request == KVM_GET_ONE_REG || o->request == KVM_SET_ONE_REG)) {
		memcpy(&reg, o->before, sizeof(reg));
		add_pointed_value(l, reg.addr, KVM_REG_SIZE(reg.id));
		return true;
	}
	if (!is_attribute(o) || o->request == KVM_HAS_DEVICE_ATTR)
		return false;
	add_attribute_value(l, o);
	return true;
}

/* What is known only now. */
static void add_outcome(struct line *l, const struct observed *o)
{
	unsigned char after[COPY_MAX];
	size_t size = _IOC_SIZE(o->request);
	struct kvm_run run;

	if (o->kind == ANYKVM_FD_VCPU && o->request == KVM_RUN && run_ended(o, &run)) {
		line_add(l, " ");
		trace_exit_reason(l, &run);
	}
	if (!o->info || !o->info->nr_fields || size > sizeof(after))
		return;
	/* The list does not fit: how long it is. */
	if (o->request == KVM_GET_REG_LIST && o->error == E2BIG && !o->injected &&
	    peek(after, (void *)o->arg, size)) {
		line_add(l, " ");
		add_fields(l, o->info->fields, o->info->nr_fields, after, false);
	}
	if ((o->has_before && add_moved_value(l, o)) || o->result < 0)
		return;
	if ((o->info->out || has_out_fields(o->info)) && peek(after, (void *)o->arg, size)) {
		line_add(l, " ");
		add_fields(l, o->info->fields, o->info->nr_fields, after, !o->info->out);
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

static void add_open_flags(struct line *l, int flags)
{
	static const struct {
		int flag;
		const char *name;
	} known[] = {{O_CREAT, "O_CREAT"},	 {O_EXCL, "O_EXCL"},
		     {O_TRUNC, "O_TRUNC"},	 {O_APPEND, "O_APPEND"},
		     {O_NONBLOCK, "O_NONBLOCK"}, {O_NOFOLLOW, "O_NOFOLLOW"},
		     {O_CLOEXEC, "O_CLOEXEC"}};
	static const char *const access[] = {"O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"};

	line_add(l, "\"/dev/kvm\", %s", access[flags & O_ACCMODE]);
	flags &= ~O_ACCMODE;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (flags & known[i].flag)
			line_add(l, "|%s", known[i].name);
		flags &= ~known[i].flag;
	}
	if (flags)
		line_add(l, "|0x%x", flags);
}

void trace_call(const struct observed *o)
{
	uint64_t at = o->start_ns - observe.started_ns, took = o->end_ns - o->start_ns;
	struct line l = {.n = 0};

	line_add(&l, "[%ld] %llu.%06llu %s(", raw_syscall(SYS_gettid),
		 (unsigned long long)(at / 1000000000),
		 (unsigned long long)(at % 1000000000 / 1000), o->function);
	if (!strcmp(o->function, "open")) {
		add_open_flags(&l, o->arg);
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
