/* SPDX-License-Identifier: MIT */
/* Requests on a handle from anykvm_open("/dev/kvm"). */
#include <errno.h>

#include "api/api.h"
#include "host/pages.h"

static s64 get_api_version(struct api_call *c)
{
	return c->arg ? -EINVAL : KVM_API_VERSION;
}

static s64 create_vm(struct api_call *c)
{
	struct api_file what = {.kind = API_VM, .extensions = c->f->extensions};
	int r = vm_create(c->arg, c->f->extensions, &what.vm);

	if (r)
		return r;
	r = fd_create(&what, "anykvm-vm", true, -1);
	if (r < 0)
		vm_put(what.vm);
	return r;
}

static s64 check_extension(struct api_call *c)
{
	return caps_check(NULL, c->arg);
}

/* kvm_run and the coalesced MMIO ring, a host page each. */
static s64 get_vcpu_mmap_size(struct api_call *c)
{
	return c->arg ? -EINVAL : (s64)(2 * host_page_size());
}

static const struct ioctl_row rows[] = {
	{KVM_GET_API_VERSION, "KVM_GET_API_VERSION", 0, get_api_version},
	{KVM_CREATE_VM, "KVM_CREATE_VM", 0, create_vm},
	{KVM_CHECK_EXTENSION, "KVM_CHECK_EXTENSION", 0, check_extension},
	{KVM_GET_VCPU_MMAP_SIZE, "KVM_GET_VCPU_MMAP_SIZE", 0, get_vcpu_mmap_size},
};

const struct ioctl_table ioctl_system_table = {rows, ARRAY_SIZE(rows), -EINVAL};
