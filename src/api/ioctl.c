/* SPDX-License-Identifier: MIT */
/*
 * From a descriptor and a request to its handler. The kind of descriptor is looked at first: request numbers collide between
 * kinds. What the VMM hands over is copied in before the handler runs and never looked at again.
 */
#include <errno.h>
#include <string.h>

#include "api/api.h"
#include "host/guarded.h"

const struct ioctl_table *const ioctl_tables[NR_API_KINDS] = {
	[API_SYSTEM] = &ioctl_system_table,	  [API_VM] = &ioctl_vm_table,
	[API_VCPU] = &ioctl_vcpu_table,		  [API_DEVICE] = &ioctl_device_table,
	[API_USERFAULT] = &ioctl_userfault_table,
};

int user_copy_in(void *dst, u64 user, size_t n)
{
	return guarded_copy_from(dst, (const void *)(uintptr_t)user, n) ? 0 : -EFAULT;
}

int user_copy_out(u64 user, const void *src, size_t n)
{
	return guarded_copy_to((void *)(uintptr_t)user, src, n) ? 0 : -EFAULT;
}

static const struct ioctl_row *find_row(const struct ioctl_table *t, u32 request)
{
	for (u32 i = 0; i < t->nr; i++)
		if (t->row[i].request == request)
			return &t->row[i];
	return NULL;
}

static s64 call_row(const struct ioctl_row *row, struct api_call *c)
{
	_Alignas(16) unsigned char buf[IOCTL_BUFFER];
	size_t size = _IOC_SIZE(row->request);
	s64 r;

	if ((row->flags & IOCTL_INIT) && !c->v->initialized)
		return -ENOEXEC;
	c->buf = buf;
	if (row->flags & IOCTL_IN) {
		r = user_copy_in(buf, c->arg, size);
		if (r)
			return r;
	} else if (row->flags & IOCTL_OUT) {
		memset(buf, 0, size);
	}
	r = row->handler(c);
	if (r >= 0 && (row->flags & IOCTL_OUT) && user_copy_out(c->arg, buf, size))
		r = -EFAULT;
	return r;
}

/* The vCPU's mutex covers everything; creation holds it until the vCPU is online. */
static s64 call_vcpu(const struct ioctl_row *row, struct api_call *c)
{
	s64 r;

	mutex_lock(&c->v->mutex);
	r = call_row(row, c);
	mutex_unlock(&c->v->mutex);
	return r;
}

s64 ioctl_dispatch(int fd, struct file *file, u32 request, u64 arg)
{
	struct api_file *f = api_file_of(file);
	struct api_call c = {.fd = fd, .file = file, .f = f, .vm = f->vm, .v = f->v, .arg = arg};
	const struct ioctl_table *t = ioctl_tables[f->kind];
	const struct ioctl_row *row;

	if (f->kind == API_ORPHAN)
		return -EIO;
	if (!t)
		return -ENOTTY;
	if (f->vm && !vm_admits(f->vm))
		return -EIO;
	row = find_row(t, request);
	if (!row)
		return t->unknown;
	return f->kind == API_VCPU ? call_vcpu(row, &c) : call_row(row, &c);
}
