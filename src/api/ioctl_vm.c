/* SPDX-License-Identifier: MIT */
/* Requests on a VM. */
#include <errno.h>
#include <string.h>

#include "api/api.h"
#include "host/alloc.h"
#include "irq/its.h"
#include "mem/attrs.h"
#include "vcpu/onereg.h"

/* --- vCPUs and devices --------------------------------------------------------------------------------------------------- */

/* vm->lock and the vCPU's mutex are held: makes the descriptor that backs kvm_run one of ours. */
static int install_vcpu(void *ctx, struct vm_vcpu *vv)
{
	struct api_file what = {.kind = API_VCPU, .vm = ctx, .v = &vv->v};

	return fd_create(&what, NULL, true, vv->run_fd_at_birth);
}

static s64 create_vcpu(struct api_call *c)
{
	return vm_create_vcpu(c->vm, c->arg, install_vcpu, c->vm);
}

/* Publishes what has a descriptor by now. */
static int publish_device(struct vm *vm, u32 type, struct its *its)
{
	if (type != KVM_DEV_TYPE_ARM_VGIC_ITS)
		return irq_gic_create(&vm->irq, type);
	its_publish(its);
	return 0;
}

static s64 create_device(struct api_call *c)
{
	struct kvm_create_device *cd = c->buf;
	struct api_file what = {.kind = API_DEVICE, .vm = c->vm};
	int fd, r;

	if (cd->type != KVM_DEV_TYPE_ARM_VGIC_V2 && cd->type != KVM_DEV_TYPE_ARM_VGIC_V3 &&
	    cd->type != KVM_DEV_TYPE_ARM_VGIC_ITS)
		return -ENODEV;
	if (cd->flags & KVM_CREATE_DEVICE_TEST)
		return 0;
	if (cd->type == KVM_DEV_TYPE_ARM_VGIC_ITS) {
		what.its = its_alloc(&c->vm->irq);
		if (!what.its)
			return -ENOMEM;
	}
	/*
	 * Descriptor first: it can fail, and there is no way back from a created controller. Until vm->lock is dropped no attribute
	 * can be set through it.
	 */
	vm_get(c->vm);
	mutex_lock(&c->vm->lock);
	fd = fd_create(&what, "anykvm-device", true, -1);
	r = fd < 0 ? fd : publish_device(c->vm, cd->type, what.its);
	mutex_unlock(&c->vm->lock);
	if (!r) {
		cd->fd = fd;
		return 0;
	}
	if (what.its)
		its_free(what.its);
	/* Neither put is the last: the caller's file holds a reference. */
	if (fd < 0)
		vm_put(c->vm);
	else
		fd_destroy(fd);
	return r;
}

/* --- memory -------------------------------------------------------------------------------------------------------------- */

static s64 set_region(struct api_call *c)
{
	const struct kvm_userspace_memory_region *in = c->buf;
	struct mem_region r = {
		.slot = in->slot,
		.flags = in->flags,
		.guest_phys_addr = in->guest_phys_addr,
		.memory_size = in->memory_size,
		.userspace_addr = in->userspace_addr,
	};

	return mem_set_region(&c->vm->mem, &r);
}

static s64 set_region2(struct api_call *c)
{
	const struct kvm_userspace_memory_region2 *in = c->buf;
	struct mem_region r = {
		.slot = in->slot,
		.flags = in->flags,
		.guest_phys_addr = in->guest_phys_addr,
		.memory_size = in->memory_size,
		.userspace_addr = in->userspace_addr,
		.guest_memfd_offset = in->guest_memfd_offset,
		.v2 = true,
	};
	s64 ret;

	if (in->flags & KVM_MEM_GUEST_MEMFD)
		r.guest_memfd = gmem_fd_get(in->guest_memfd, &r.guest_memfd_error);
	ret = mem_set_region(&c->vm->mem, &r);
	if (r.guest_memfd)
		file_put(r.guest_memfd);
	return ret;
}

static s64 create_guest_memfd(struct api_call *c)
{
	const struct kvm_create_guest_memfd *in = c->buf;

	return gmem_create_fd(c->vm, in->size, in->flags);
}

/* Unknown to a VM without the extension, whatever the argument is. */
static s64 set_memory_attributes(struct api_call *c)
{
	struct kvm_memory_attributes a;

	if (!c->vm->mem.attributes_on)
		return -EINVAL;
	if (user_copy_in(&a, c->arg, sizeof(a)))
		return -EFAULT;
	return a.flags ? -EINVAL : mem_set_attributes(&c->vm->mem, a.address, a.size, a.attributes);
}

static s64 get_dirty_log(struct api_call *c)
{
	const struct kvm_dirty_log *log = c->buf;

	return mem_get_dirty_log(&c->vm->mem, log->slot, log->dirty_bitmap);
}

static s64 clear_dirty_log(struct api_call *c)
{
	const struct kvm_clear_dirty_log *log = c->buf;

	return mem_clear_dirty_log(&c->vm->mem, log->slot, log->num_pages, log->first_page,
				   log->dirty_bitmap);
}

static s64 reset_dirty_rings(struct api_call *c)
{
	return mem_reset_dirty_rings(&c->vm->mem);
}

/* --- interrupts and I/O -------------------------------------------------------------------------------------------------- */

/* A GICv2, without a descriptor. */
static s64 create_irqchip(struct api_call *c)
{
	s64 r;

	mutex_lock(&c->vm->lock);
	r = irq_gic_create(&c->vm->irq, KVM_DEV_TYPE_ARM_VGIC_V2);
	mutex_unlock(&c->vm->lock);
	return r;
}

static s64 irq_line_request(struct api_call *c)
{
	const struct kvm_irq_level *l = c->buf;

	return irq_line(&c->vm->irq, l->irq, l->level);
}

#define MAX_ROUTES 4096

static s64 set_gsi_routing(struct api_call *c)
{
	const struct kvm_irq_routing *head = c->buf;
	struct kvm_irq_routing_entry *entries = NULL;
	size_t size = head->nr * sizeof(*entries);
	s64 r;

	if (head->nr > MAX_ROUTES || head->flags)
		return -EINVAL;
	if (size) {
		entries = host_alloc(size);
		if (!entries)
			return -ENOMEM;
	}
	r = user_copy_in(entries, c->arg + sizeof(*head), size);
	if (!r)
		r = irq_set_routing(&c->vm->irq, entries, head->nr);
	host_free(entries, size);
	return r;
}

static s64 irqfd(struct api_call *c)
{
	return irq_irqfd(&c->vm->irq, c->buf);
}

static s64 ioeventfd(struct api_call *c)
{
	return ioeventfds_change(&c->vm->ioeventfds, c->buf);
}

static s64 signal_msi(struct api_call *c)
{
	return irq_signal_msi(&c->vm->irq, c->buf);
}

static s64 register_coalesced(struct api_call *c)
{
	const struct kvm_coalesced_mmio_zone *z = c->buf;

	return coalesced_register(&c->vm->coalesced, z->addr, z->size, z->pio);
}

static s64 unregister_coalesced(struct api_call *c)
{
	const struct kvm_coalesced_mmio_zone *z = c->buf;

	return coalesced_unregister(&c->vm->coalesced, z->addr, z->size, z->pio);
}

/* The frames of a GICv2. */
static s64 set_device_addr(struct api_call *c)
{
	const struct kvm_arm_device_addr *a = c->buf;

	return irq_set_legacy_addr(&c->vm->irq, a->id, a->addr);
}

static s64 set_counter_offset(struct api_call *c)
{
	s64 r;

	mutex_lock(&c->vm->lock);
	r = irq_set_counter_offset(&c->vm->irq, c->buf);
	mutex_unlock(&c->vm->lock);
	return r;
}

/* --- the rest ------------------------------------------------------------------------------------------------------------ */

static s64 enable_before_vcpus(struct vm *vm, bool *flag)
{
	s64 r = -EINVAL;

	mutex_lock(&vm->lock);
	if (!vm->created_vcpus) {
		*flag = true;
		r = 0;
	}
	mutex_unlock(&vm->lock);
	return r;
}

static s64 enable_dirty_ring(struct vm *vm, u32 bytes)
{
	s64 r;

	mutex_lock(&vm->lock);
	r = mem_enable_dirty_ring(&vm->mem, bytes, vm->created_vcpus);
	mutex_unlock(&vm->lock);
	return r;
}

static s64 enable_cap(struct api_call *c)
{
	const struct kvm_enable_cap *cap = c->buf;
	u64 allowed = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE;

	/* Of this one KVM does not look at the flags. */
	if (cap->flags && cap->cap != KVM_CAP_DIRTY_LOG_RING_ACQ_REL)
		return -EINVAL;
	switch (cap->cap) {
	case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
		if (cap->args[0] & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE)
			allowed |= KVM_DIRTY_LOG_INITIALLY_SET;
		if (cap->args[0] & ~allowed)
			return -EINVAL;
		return mem_set_manual_protect(&c->vm->mem, cap->args[0]);
	case KVM_CAP_DIRTY_LOG_RING_ACQ_REL:
		/* As KVM reads it, in 32 bits. */
		return enable_dirty_ring(c->vm, cap->args[0]);
	case KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP:
		return mem_enable_ring_bitmap(&c->vm->mem);
	case KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE:
		return mem_set_split_chunk(&c->vm->mem, cap->args[0]);
	case KVM_CAP_HALT_POLL:
		/* How long to spin before sleeping is a hint; this library never spins. */
		return cap->args[0] == (u32)cap->args[0] ? 0 : -EINVAL;
	case KVM_CAP_ARM_NISV_TO_USER:
		a32_store_relaxed(&c->vm->group.nisv_to_user, 1);
		return 0;
	case KVM_CAP_ARM_SYSTEM_SUSPEND:
		a32_store_release(&c->vm->hvc.system_suspend, 1);
		return 0;
	case KVM_CAP_ARM_WRITABLE_IMP_ID_REGS:
		return enable_before_vcpus(c->vm, &c->vm->group.writable_imp_id);
	default:
		return -EINVAL;
	}
}

static s64 check_extension(struct api_call *c)
{
	return caps_check(c->vm, c->arg);
}

static s64 preferred_target(struct api_call *c)
{
	struct kvm_vcpu_init *init = c->buf;

	init->target = VCPU_TARGET_GENERIC_V8;
	return 0;
}

static s64 get_reg_writable_masks(struct api_call *c)
{
	const struct reg_mask_range *range = c->buf;
	u64 *masks;
	s64 r;

	_Static_assert(NR_WRITABLE_MASKS == KVM_ARM_FEATURE_ID_RANGE_SIZE, "range 0");
	for (u32 i = 0; i < ARRAY_SIZE(range->reserved); i++)
		if (range->reserved[i])
			return -EINVAL;
	if (range->range != KVM_ARM_FEATURE_ID_RANGE)
		return -EINVAL;
	masks = host_alloc(NR_WRITABLE_MASKS * sizeof(*masks));
	if (!masks)
		return -ENOMEM;
	vcpu_writable_masks(masks);
	r = user_copy_out(range->addr, masks, NR_WRITABLE_MASKS * sizeof(*masks));
	host_free(masks, NR_WRITABLE_MASKS * sizeof(*masks));
	return r;
}

/* The capability is 0; KVM reads the argument first. */
static s64 mte_copy_tags(struct api_call *c)
{
	return -EINVAL;
}

static s64 set_device_attr(struct api_call *c)
{
	const struct kvm_device_attr *a = c->buf;

	if (a->group != KVM_ARM_VM_SMCCC_CTRL)
		return -ENXIO;
	return hvc_vm_set_attr(&c->vm->hvc, a->attr, (void *)(uintptr_t)a->addr);
}

static s64 has_device_attr(struct api_call *c)
{
	const struct kvm_device_attr *a = c->buf;

	return a->group == KVM_ARM_VM_SMCCC_CTRL ? hvc_vm_has_attr(&c->vm->hvc, a->attr) : -ENXIO;
}

static s64 get_stats_fd(struct api_call *c)
{
	return stats_create_fd(c->vm, NULL);
}

static const struct ioctl_row rows[] = {
	{KVM_IRQ_LINE, "KVM_IRQ_LINE", IOCTL_IN, irq_line_request},
	{KVM_IRQ_LINE_STATUS, "KVM_IRQ_LINE_STATUS", IOCTL_IN | IOCTL_OUT, irq_line_request},
	{KVM_SET_USER_MEMORY_REGION, "KVM_SET_USER_MEMORY_REGION", IOCTL_IN, set_region},
	{KVM_SET_USER_MEMORY_REGION2, "KVM_SET_USER_MEMORY_REGION2", IOCTL_IN, set_region2},
	{KVM_CREATE_GUEST_MEMFD, "KVM_CREATE_GUEST_MEMFD", IOCTL_IN, create_guest_memfd},
	{KVM_SET_MEMORY_ATTRIBUTES, "KVM_SET_MEMORY_ATTRIBUTES", 0, set_memory_attributes},
	{KVM_GET_DIRTY_LOG, "KVM_GET_DIRTY_LOG", IOCTL_IN, get_dirty_log},
	{KVM_CLEAR_DIRTY_LOG, "KVM_CLEAR_DIRTY_LOG", IOCTL_IN, clear_dirty_log},
	{KVM_RESET_DIRTY_RINGS, "KVM_RESET_DIRTY_RINGS", 0, reset_dirty_rings},
	{KVM_CREATE_VCPU, "KVM_CREATE_VCPU", 0, create_vcpu},
	{KVM_CREATE_DEVICE, "KVM_CREATE_DEVICE", IOCTL_IN | IOCTL_OUT, create_device},
	{KVM_CREATE_IRQCHIP, "KVM_CREATE_IRQCHIP", 0, create_irqchip},
	{KVM_SET_GSI_ROUTING, "KVM_SET_GSI_ROUTING", IOCTL_IN, set_gsi_routing},
	{KVM_IRQFD, "KVM_IRQFD", IOCTL_IN, irqfd},
	{KVM_IOEVENTFD, "KVM_IOEVENTFD", IOCTL_IN, ioeventfd},
	{KVM_SIGNAL_MSI, "KVM_SIGNAL_MSI", IOCTL_IN, signal_msi},
	{KVM_REGISTER_COALESCED_MMIO, "KVM_REGISTER_COALESCED_MMIO", IOCTL_IN, register_coalesced},
	{KVM_UNREGISTER_COALESCED_MMIO, "KVM_UNREGISTER_COALESCED_MMIO", IOCTL_IN,
	 unregister_coalesced},
	{KVM_ENABLE_CAP, "KVM_ENABLE_CAP", IOCTL_IN, enable_cap},
	{KVM_CHECK_EXTENSION, "KVM_CHECK_EXTENSION", 0, check_extension},
	{KVM_SET_DEVICE_ATTR, "KVM_SET_DEVICE_ATTR", IOCTL_IN, set_device_attr},
	{KVM_HAS_DEVICE_ATTR, "KVM_HAS_DEVICE_ATTR", IOCTL_IN, has_device_attr},
	{KVM_ARM_SET_DEVICE_ADDR, "KVM_ARM_SET_DEVICE_ADDR", IOCTL_IN, set_device_addr},
	{KVM_ARM_PREFERRED_TARGET, "KVM_ARM_PREFERRED_TARGET", IOCTL_OUT, preferred_target},
	{KVM_ARM_MTE_COPY_TAGS, "KVM_ARM_MTE_COPY_TAGS", IOCTL_IN, mte_copy_tags},
	{KVM_ARM_SET_COUNTER_OFFSET, "KVM_ARM_SET_COUNTER_OFFSET", IOCTL_IN, set_counter_offset},
	{KVM_ARM_GET_REG_WRITABLE_MASKS, "KVM_ARM_GET_REG_WRITABLE_MASKS", IOCTL_IN,
	 get_reg_writable_masks},
	{KVM_GET_STATS_FD, "KVM_GET_STATS_FD", 0, get_stats_fd},
};

const struct ioctl_table ioctl_vm_table = {rows, ARRAY_SIZE(rows), -EINVAL};
