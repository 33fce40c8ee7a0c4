/* SPDX-License-Identifier: MIT */
/*
 * The SMCCC filter (KVM_ARM_VM_SMCCC_FILTER): ranges of function identifiers that user space denies
 * or takes over. With the first range come two that nobody may touch: the architecture calls, whose
 * answers must match the CPU.
 *
 * The filter can change only before the first run, so calls read it without a lock.
 *
 * struct hvc_filter: born with the first attribute; seen by filter_action; kept by vm_hvc.filter;
 * freed in hvc_vm_fini.
 */
#include <errno.h>
#include <string.h>

#include <anykvm/kvm.h>

#include "host/alloc.h"
#include "host/guarded.h"
#include "hvc/internal.h"

struct filter_range {
	struct filter_range *next;
	u32 first, last; /* both included: a range may end at the top */
	u32 action;
};

struct hvc_filter {
	struct filter_range *ranges;
};

static int range_add(struct hvc_filter *f, u32 first, u32 last, u32 action)
{
	struct filter_range *r;

	for (r = f->ranges; r; r = r->next)
		if (first <= r->last && r->first <= last)
			return -EEXIST;
	r = NEW(struct filter_range);
	if (!r)
		return -ENOMEM;
	*r = (struct filter_range){
		.next = f->ranges, .first = first, .last = last, .action = action};
	f->ranges = r;
	return 0;
}

static void filter_free(struct hvc_filter *f)
{
	while (f && f->ranges) {
		struct filter_range *r = f->ranges;

		f->ranges = r->next;
		DELETE(r);
	}
	if (f)
		DELETE(f);
}

void filter_fini(struct vm_hvc *h)
{
	filter_free(aptr_load_relaxed(&h->filter));
	aptr_store_relaxed(&h->filter, NULL);
}

u32 filter_action(const struct vm_hvc *h, u32 fn)
{
	const struct hvc_filter *f = aptr_load_acquire(&h->filter);

	for (const struct filter_range *r = f ? f->ranges : NULL; r; r = r->next)
		if (fn >= r->first && fn <= r->last)
			return r->action;
	return KVM_SMCCC_FILTER_HANDLE;
}

/* config held. */
static int filter_create(struct vm_hvc *h)
{
	struct hvc_filter *f = NEW(struct hvc_filter);
	int err;

	if (!f)
		return -ENOMEM;
	err = range_add(f, 0x80000000, 0x8000ffff, KVM_SMCCC_FILTER_HANDLE);
	if (!err)
		err = range_add(f, 0xc0000000, 0xc000ffff, KVM_SMCCC_FILTER_HANDLE);
	if (err) {
		filter_free(f);
		return err;
	}
	aptr_store_release(&h->filter, f);
	return 0;
}

static int filter_set(struct vm_hvc *h, const void *user)
{
	static const u8 zero[sizeof(((struct kvm_smccc_filter *)0)->pad)];
	struct kvm_smccc_filter arg;
	u32 last;
	int err = 0;

	if (!guarded_copy_from(&arg, user, sizeof(arg)))
		return -EFAULT;
	last = arg.base + arg.nr_functions - 1;
	if (memcmp(arg.pad, zero, sizeof(zero)) || !arg.nr_functions || last < arg.base ||
	    arg.action > KVM_SMCCC_FILTER_FWD_TO_USER)
		return -EINVAL;
	mutex_lock(&h->group->config);
	if (vcpu_group_ran(h->group))
		err = -EBUSY;
	if (!err && !aptr_load_relaxed(&h->filter))
		err = filter_create(h);
	if (!err)
		err = range_add(aptr_load_relaxed(&h->filter), arg.base, last, arg.action);
	mutex_unlock(&h->group->config);
	return err;
}

int hvc_vm_set_attr(struct vm_hvc *h, u64 attr, const void *user)
{
	return attr == KVM_ARM_VM_SMCCC_FILTER ? filter_set(h, user) : -ENXIO;
}

int hvc_vm_has_attr(struct vm_hvc *h, u64 attr)
{
	(void)h;
	return attr == KVM_ARM_VM_SMCCC_FILTER ? 0 : -ENXIO;
}
