/* SPDX-License-Identifier: MIT */
/*
 * read, write and their like. There is nothing to read of KVM's descriptors but statistics, and nothing to write; to the system they
 * are memory files, so it is not asked.
 */
#include <errno.h>

#include "api/api.h"
#include "host/fd.h"
#include "host/passthrough.h"
#include "host/userfault.h"

static ssize_t read_at(int fd, void *buf, size_t count, u64 offset, bool at_offset)
{
	struct file *file;
	struct api_file *f;
	s64 r;

	if (!fd_is_ours(fd))
		goto system;
	if (api_role() == API_CHILD) {
		errno = EIO;
		return -1;
	}
	library_enter();
	file = fd_get(fd, false);
	if (!file) {
		library_exit();
		goto system;
	}
	f = api_file_of(file);
	if (f->kind == API_ORPHAN) {
		r = -EIO;
	} else if (f->kind == API_USERFAULT && !at_offset) {
		r = host_userfault_read(f->userfault, fd, buf, count);
	} else if (at_offset && f->kind != API_SYSTEM && f->kind != API_STATS) {
		r = -ESPIPE;
	} else if (f->kind != API_STATS || (s64)offset < 0) {
		r = -EINVAL;
	} else {
		r = stats_read(f, (uintptr_t)buf, count,
			       at_offset ? offset : a64_load_relaxed(&f->position));
		if (r > 0 && !at_offset)
			a64_fetch_add(&f->position, r);
	}
	file_put(file);
	library_exit();
	goto done;
system:
	r = at_offset ? host_sys_pread(fd, buf, count, offset) : host_read(fd, buf, count);
done:
	return api_result(r);
}

ssize_t anykvm_read(int fd, void *buf, size_t count)
{
	return read_at(fd, buf, count, 0, false);
}

ssize_t anykvm_pread(int fd, void *buf, size_t count, off_t offset)
{
	return read_at(fd, buf, count, offset, true);
}

/* The kind of a descriptor of ours, or -1. */
static int kind_of(int fd)
{
	struct file *file;
	int kind;

	if (!fd_is_ours(fd))
		return -1;
	if (api_role() == API_CHILD)
		return fd_kind_in_child(fd);
	library_enter();
	file = fd_get(fd, false);
	kind = file ? (int)api_kind_of(file) : -1;
	if (file)
		file_put(file);
	library_exit();
	return kind;
}

ssize_t anykvm_write(int fd, const void *buf, size_t count)
{
	int kind = kind_of(fd);
	s64 r;

	if (kind < 0)
		r = host_write(fd, buf, count);
	else
		r = api_kind_is_read_only(kind) ? -EBADF : -EINVAL;
	return api_result(r);
}

ssize_t anykvm_pwrite(int fd, const void *buf, size_t count, off_t offset)
{
	int kind = kind_of(fd);
	s64 r;

	if (kind < 0)
		r = host_sys_pwrite(fd, buf, count, offset);
	else
		r = offset < 0 || kind == API_SYSTEM ? -EINVAL : -ESPIPE;
	return api_result(r);
}
