/* SPDX-License-Identifier: MIT */
/* Requests on a device descriptor: of the GICv3 or of an ITS, whose attributes are the interrupt layer's. */
#include <errno.h>

#include "api/api.h"

static s64 set_device_attr(struct api_call *c)
{
	const struct kvm_device_attr *a = c->buf;
	void *user = (void *)(uintptr_t)a->addr;
	s64 r;

	mutex_lock(&c->vm->lock);
	r = c->f->its ? irq_its_set_attr(c->f->its, a->group, a->attr, user)
		      : irq_gic_set_attr(&c->vm->irq, a->group, a->attr, user);
	mutex_unlock(&c->vm->lock);
	return r;
}

static s64 get_device_attr(struct api_call *c)
{
	const struct kvm_device_attr *a = c->buf;
	void *user = (void *)(uintptr_t)a->addr;
	s64 r;

	mutex_lock(&c->vm->lock);
	r = c->f->its ? irq_its_get_attr(c->f->its, a->group, a->attr, user)
		      : irq_gic_get_attr(&c->vm->irq, a->group, a->attr, user);
	mutex_unlock(&c->vm->lock);
	return r;
}

static s64 has_device_attr(struct api_call *c)
{
	const struct kvm_device_attr *a = c->buf;

	return c->f->its ? irq_its_has_attr(a->group, a->attr)
			 : irq_gic_has_attr(&c->vm->irq, a->group, a->attr);
}

static const struct ioctl_row rows[] = {
	{KVM_SET_DEVICE_ATTR, "KVM_SET_DEVICE_ATTR", IOCTL_IN, set_device_attr},
	{KVM_GET_DEVICE_ATTR, "KVM_GET_DEVICE_ATTR", IOCTL_IN, get_device_attr},
	{KVM_HAS_DEVICE_ATTR, "KVM_HAS_DEVICE_ATTR", IOCTL_IN, has_device_attr},
};

const struct ioctl_table ioctl_device_table = {rows, ARRAY_SIZE(rows), -ENOTTY};
