/* SPDX-License-Identifier: MIT */
/* Requests on a vCPU. The dispatcher holds the vCPU's mutex, for KVM_RUN too. */
#include <errno.h>
#include <string.h>

#include "api/api.h"
#include "host/alloc.h"
#include "host/pages.h"
#include "mem/attrs.h"
#include "vcpu/onereg.h"

static s64 map_run(struct api_call *c)
{
	int r = vcpu_map_run(c->fd, c->f);

	if (!r)
		c->v->run = aptr_load_acquire(&container_of(c->v, struct vm_vcpu, v)->run);
	return r;
}

static s64 run(struct api_call *c) NO_THREAD_SAFETY_ANALYSIS
{
	s64 r = c->arg ? -EINVAL : 0;

	if (!r && unlikely(!c->v->run))
		r = map_run(c);
	return r ? r : vm_run_vcpu(c->vm, c->v);
}

static s64 vcpu_init_request(struct api_call *c) NO_THREAD_SAFETY_ANALYSIS
{
	const struct kvm_vcpu_init *init = c->buf;

	return vcpu_arm_init(c->v, init->target, init->features);
}

/* SVE is the only thing to finalise, and is not offered. */
static s64 vcpu_finalize(struct api_call *c)
{
	return -EINVAL;
}

/* --- registers ----------------------------------------------------------------------------------------------------------- */

#define ONE_REG_MAX 256

static s64 get_one_reg(struct api_call *c) NO_THREAD_SAFETY_ANALYSIS
{
	const struct kvm_one_reg *reg = c->buf;
	_Alignas(16) unsigned char value[ONE_REG_MAX] = {0};
	int r = vcpu_get_one_reg(c->v, reg->id, value);

	return r ? r : user_copy_out(reg->addr, value, onereg_size(reg->id));
}

/* Whether KVM looks a register up before it reads the value that is to be written. */
static bool named_before_read(u64 id)
{
	u64 coproc = id & KVM_REG_ARM_COPROC_MASK;

	return coproc == KVM_REG_ARM_CORE || coproc == KVM_REG_ARM_DEMUX ||
	       coproc == KVM_REG_ARM64_SVE;
}

static s64 set_one_reg(struct api_call *c) NO_THREAD_SAFETY_ANALYSIS
{
	const struct kvm_one_reg *reg = c->buf;
	_Alignas(16) unsigned char value[ONE_REG_MAX] = {0};
	unsigned size = onereg_size(reg->id);
	int r;

	if (size <= ONE_REG_MAX && !user_copy_in(value, reg->addr, size))
		return vcpu_set_one_reg(c->v, reg->id, value);
	/* Unreadable, or larger than any register: which error is told depends on the name. */
	r = vcpu_get_one_reg(c->v, reg->id, value);
	if (size > ONE_REG_MAX || r == -EINVAL || (r && named_before_read(reg->id)))
		return r;
	return -EFAULT;
}

static s64 get_reg_list(struct api_call *c) NO_THREAD_SAFETY_ANALYSIS
{
	u64 n, nr = vcpu_reg_list(c->v, NULL), *list;
	s64 r;

	if (user_copy_in(&n, c->arg, sizeof(n)) || user_copy_out(c->arg, &nr, sizeof(nr)))
		return -EFAULT;
	/* As KVM reads it, in 32 bits. */
	if ((u32)n < nr)
		return -E2BIG;
	list = host_alloc(nr * sizeof(*list));
	if (!list)
		return -ENOMEM;
	vcpu_reg_list(c->v, list);
	r = user_copy_out(c->arg + sizeof(struct kvm_reg_list), list, nr * sizeof(*list));
	host_free(list, nr * sizeof(*list));
	return r;
}

/* --- memory -------------------------------------------------------------------------------------------------------------- */

/* Unknown to a VM without the extension, whatever the argument is. What is left is told in any case. */
static s64 pre_fault_memory(struct api_call *c) NO_THREAD_SAFETY_ANALYSIS
{
	u64 align = MAX(4096ull, host_page_size());
	struct kvm_pre_fault_memory a;
	u64 gpa, size;
	s64 r;

	if (!c->vm->mem.attributes_on)
		return -EINVAL;
	if (user_copy_in(&a, c->arg, sizeof(a)))
		return -EFAULT;
	gpa = a.gpa;
	size = a.size;
	if (a.flags || !IS_ALIGNED(gpa, align) || !IS_ALIGNED(size, align) || gpa + size <= gpa)
		r = -EINVAL;
	else
		r = mem_pre_fault(&c->vm->mem, &c->v->mem, &gpa, &size);
	a.gpa = gpa;
	a.size = size;
	return user_copy_out(c->arg, &a, sizeof(a)) ? -EFAULT : r;
}

/* --- state --------------------------------------------------------------------------------------------------------------- */

static s64 get_mp_state(struct api_call *c) NO_THREAD_SAFETY_ANALYSIS
{
	struct kvm_mp_state *s = c->buf;

	return vcpu_get_mp_state(c->v, &s->mp_state);
}

static s64 set_mp_state(struct api_call *c) NO_THREAD_SAFETY_ANALYSIS
{
	const struct kvm_mp_state *s = c->buf;

	return vcpu_set_mp_state(c->v, s->mp_state);
}

static s64 get_vcpu_events(struct api_call *c) NO_THREAD_SAFETY_ANALYSIS
{
	struct kvm_vcpu_events *out = c->buf;
	struct vcpu_events ev = {0};

	vcpu_get_events(c->v, &ev);
	out->exception.serror_pending = ev.serror_pending;
	out->exception.serror_has_esr = ev.serror_has_esr;
	out->exception.ext_dabt_pending = ev.ext_dabt_pending;
	out->exception.serror_esr = ev.serror_esr;
	return 0;
}

static bool all_zero(const void *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (((const unsigned char *)p)[i])
			return false;
	return true;
}

static s64 set_vcpu_events(struct api_call *c) NO_THREAD_SAFETY_ANALYSIS
{
	const struct kvm_vcpu_events *in = c->buf;
	struct vcpu_events ev = {
		.serror_pending = in->exception.serror_pending,
		.serror_has_esr = in->exception.serror_has_esr,
		.ext_dabt_pending = in->exception.ext_dabt_pending,
		.serror_esr = in->exception.serror_esr,
	};

	if (!all_zero(in->reserved, sizeof(in->reserved)) ||
	    !all_zero(in->exception.pad, sizeof(in->exception.pad)))
		return -EINVAL;
	return vcpu_set_events(c->v, &ev);
}

static s64 set_guest_debug(struct api_call *c) NO_THREAD_SAFETY_ANALYSIS
{
	const struct kvm_guest_debug *dbg = c->buf;

	return vcpu_set_guest_debug(c->v, dbg->control, &dbg->arch);
}

static s64 set_signal_mask(struct api_call *c) NO_THREAD_SAFETY_ANALYSIS
{
	struct kvm_signal_mask head;
	u64 mask;

	if (!c->arg) {
		vcpu_set_signal_mask(c->v, NULL);
		return 0;
	}
	if (user_copy_in(&head, c->arg, sizeof(head)))
		return -EFAULT;
	if (head.len != sizeof(mask))
		return -EINVAL;
	if (user_copy_in(&mask, c->arg + sizeof(head), sizeof(mask)))
		return -EFAULT;
	vcpu_set_signal_mask(c->v, &mask);
	return 0;
}

/* --- attributes ---------------------------------------------------------------------------------------------------------- */

enum attr_op { ATTR_SET, ATTR_GET, ATTR_HAS };

static s64 device_attr(struct api_call *c, enum attr_op op) NO_THREAD_SAFETY_ANALYSIS
{
	const struct kvm_device_attr *a = c->buf;
	void *user = (void *)(uintptr_t)a->addr;

	switch (a->group) {
	case KVM_ARM_VCPU_PMU_V3_CTRL:
		return op == ATTR_SET	? irq_pmu_set_attr(c->v, a->attr, user)
		       : op == ATTR_GET ? irq_pmu_get_attr(c->v, a->attr, user)
					: irq_pmu_has_attr(c->v, a->attr);
	case KVM_ARM_VCPU_TIMER_CTRL:
		return op == ATTR_SET	? irq_timer_set_attr(c->v, a->attr, user)
		       : op == ATTR_GET ? irq_timer_get_attr(c->v, a->attr, user)
					: irq_timer_has_attr(c->v, a->attr);
	case KVM_ARM_VCPU_PVTIME_CTRL:
		return op == ATTR_SET	? hvc_pvtime_set_attr(c->v, a->attr, user)
		       : op == ATTR_GET ? hvc_pvtime_get_attr(c->v, a->attr, user)
					: hvc_pvtime_has_attr(c->v, a->attr);
	default:
		return -ENXIO;
	}
}

static s64 set_device_attr(struct api_call *c)
{
	return device_attr(c, ATTR_SET);
}

static s64 get_device_attr(struct api_call *c)
{
	return device_attr(c, ATTR_GET);
}

static s64 has_device_attr(struct api_call *c)
{
	return device_attr(c, ATTR_HAS);
}

static s64 get_stats_fd(struct api_call *c)
{
	return stats_create_fd(c->vm, c->v);
}

/* Register blocks and translation are other architectures' requests; their arguments are looked at nevertheless. */
static s64 not_here(struct api_call *c)
{
	return -EINVAL;
}

static const struct ioctl_row rows[] = {
	{KVM_RUN, "KVM_RUN", 0, run},
	{KVM_ARM_VCPU_INIT, "KVM_ARM_VCPU_INIT", IOCTL_IN, vcpu_init_request},
	{KVM_ARM_VCPU_FINALIZE, "KVM_ARM_VCPU_FINALIZE", IOCTL_IN | IOCTL_INIT, vcpu_finalize},
	{KVM_GET_ONE_REG, "KVM_GET_ONE_REG", IOCTL_IN | IOCTL_INIT, get_one_reg},
	{KVM_SET_ONE_REG, "KVM_SET_ONE_REG", IOCTL_IN | IOCTL_INIT, set_one_reg},
	{KVM_GET_REG_LIST, "KVM_GET_REG_LIST", IOCTL_INIT, get_reg_list},
	{KVM_GET_MP_STATE, "KVM_GET_MP_STATE", IOCTL_OUT, get_mp_state},
	{KVM_SET_MP_STATE, "KVM_SET_MP_STATE", IOCTL_IN, set_mp_state},
	{KVM_GET_VCPU_EVENTS, "KVM_GET_VCPU_EVENTS", IOCTL_OUT | IOCTL_INIT, get_vcpu_events},
	{KVM_SET_VCPU_EVENTS, "KVM_SET_VCPU_EVENTS", IOCTL_IN | IOCTL_INIT, set_vcpu_events},
	{KVM_SET_GUEST_DEBUG, "KVM_SET_GUEST_DEBUG", IOCTL_IN, set_guest_debug},
	{KVM_SET_SIGNAL_MASK, "KVM_SET_SIGNAL_MASK", 0, set_signal_mask},
	{KVM_SET_DEVICE_ATTR, "KVM_SET_DEVICE_ATTR", IOCTL_IN, set_device_attr},
	{KVM_GET_DEVICE_ATTR, "KVM_GET_DEVICE_ATTR", IOCTL_IN, get_device_attr},
	{KVM_HAS_DEVICE_ATTR, "KVM_HAS_DEVICE_ATTR", IOCTL_IN, has_device_attr},
	{KVM_GET_STATS_FD, "KVM_GET_STATS_FD", 0, get_stats_fd},
	{KVM_PRE_FAULT_MEMORY, "KVM_PRE_FAULT_MEMORY", 0, pre_fault_memory},
	{KVM_TRANSLATE, "KVM_TRANSLATE", IOCTL_IN, not_here},
	{KVM_SET_REGS, "KVM_SET_REGS", IOCTL_IN, not_here},
};

const struct ioctl_table ioctl_vcpu_table = {rows, ARRAY_SIZE(rows), -EINVAL};
