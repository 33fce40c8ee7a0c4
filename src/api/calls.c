/* SPDX-License-Identifier: MIT */
/* The calls of <anykvm.h> on descriptors. Each finds out whose the descriptor is; what is not ours goes to the system. */
#include <errno.h>
#include <linux/close_range.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

#include "api/api.h"
#include "host/environment.h"
#include "host/fd.h"
#include "host/passthrough.h"
#include "host/signal.h"

_Static_assert(ANYKVM_EXT_MEMORY_ATTRIBUTES == VM_EXT_MEMORY_ATTRIBUTES, "extensions");

static int open_handle(u64 extensions, bool cloexec)
{
	struct api_file what = {.kind = API_SYSTEM, .extensions = extensions};
	int r;

	r = api_process_own();
	if (r)
		return r;
	library_enter();
	r = fd_create(&what, "anykvm", cloexec, -1);
	library_exit();
	return r;
}

/* For a program that opens /dev/kvm by its path and knows of no extensions. */
static u64 extensions_of_environment(void)
{
	return host_environment_has("ANYKVM_EXT", "memory-attributes")
		       ? ANYKVM_EXT_MEMORY_ATTRIBUTES
		       : 0;
}

static int open_at(int dirfd, const char *path, int flags, unsigned mode)
{
	/* A path of fewer than nine readable bytes is not ours; an unreadable one is the system's to refuse. */
	if (!host_readable8(path) || !host_readable8(path + 1) || strcmp(path, "/dev/kvm"))
		return api_result(host_openat(dirfd, path, flags, mode));
	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return api_result(-EEXIST);
	if (flags & O_DIRECTORY)
		return api_result(-ENOTDIR);
	return api_result(open_handle(extensions_of_environment(), flags & O_CLOEXEC));
}

int anykvm_open(const char *path, int flags, ...)
{
	unsigned mode = 0;

	if (flags & (O_CREAT | __O_TMPFILE)) {
		va_list ap;

		va_start(ap, flags);
		mode = va_arg(ap, unsigned);
		va_end(ap);
	}
	return open_at(AT_FDCWD, path, flags, mode);
}

int anykvm_openat(int dirfd, const char *path, int flags, ...)
{
	unsigned mode = 0;

	if (flags & (O_CREAT | __O_TMPFILE)) {
		va_list ap;

		va_start(ap, flags);
		mode = va_arg(ap, unsigned);
		va_end(ap);
	}
	return open_at(dirfd, path, flags, mode);
}

int anykvm_open_ext(unsigned long extensions)
{
	if (extensions & ~ANYKVM_EXT_MEMORY_ATTRIBUTES)
		return api_result(-EINVAL);
	return api_result(open_handle(extensions, true));
}

int anykvm_close(int fd)
{
	enum api_role role;
	struct file *f;
	int r;

	if (!fd_is_ours(fd))
		return api_result(host_close(fd));
	role = api_role_exact();
	if (role != API_OWNER) {
		/* A fork child forgets the number in its copy of the table; a vfork child's table is its parent's. */
		if (role == API_CHILD)
			fd_unlink(fd);
		return api_result(host_close(fd));
	}
	library_enter();
	/* Entry first: once the number is free another thread may get it. */
	f = fd_unlink(fd);
	r = host_close(fd);
	if (f)
		file_put(f);
	library_exit();
	return api_result(r);
}

int anykvm_close_range(unsigned int first, unsigned int last, int flags)
{
	int r, fd, from = MIN(first, (unsigned)INT32_MAX);
	enum api_role role;

	if (first > last || (flags & ~(CLOSE_RANGE_CLOEXEC | CLOSE_RANGE_UNSHARE)))
		return api_result(-EINVAL);
	role = api_role_exact();
	if ((flags & CLOSE_RANGE_CLOEXEC) || role != API_OWNER) {
		/* the library's own are close-on-exec already */
		r = host_sys_close_range(first, last, flags);
		for (fd = from; !r && role == API_CHILD && !(flags & CLOSE_RANGE_CLOEXEC) &&
				(fd = fd_next(fd)) >= 0 && (unsigned)fd <= last;)
			fd_unlink(fd);
		return api_result(r);
	}
	library_enter();
	for (fd = fd_next(from); fd >= 0 && (unsigned)fd <= last; fd = fd_next(fd + 1)) {
		struct file *f = fd_unlink(fd);

		host_close(fd);
		if (f)
			file_put(f);
	}
	r = host_close_range(first, last, flags);
	library_exit();
	return api_result(r);
}

/* newfd is a fresh copy of oldfd's descriptor: make it a copy of our file too. Returns newfd, or -errno with newfd closed. */
static int adopt_copy(struct file *f, int newfd)
{
	int r = fd_install(newfd, f);

	if (!r)
		return newfd;
	host_close(newfd);
	file_put(f);
	return r;
}

/* r, a copy of oldfd's descriptor made by a process whose machines these are not: newfd >= 0 or -errno. */
static int copied_elsewhere(int oldfd, int r)
{
	if (r >= 0 && api_role_exact() == API_CHILD)
		fd_mark_copy(oldfd, r);
	return r;
}

int anykvm_dup(int fd)
{
	struct file *f = NULL;
	int r;

	if (!fd_is_ours(fd) || api_role_exact() != API_OWNER)
		return api_result(copied_elsewhere(fd, host_sys_dup(fd)));
	library_enter();
	f = fd_get(fd, false);
	r = host_sys_dup(fd);
	if (f && r >= 0)
		r = adopt_copy(f, r);
	else if (f)
		file_put(f);
	library_exit();
	return api_result(r);
}

static int dup_to(int oldfd, int newfd, int flags)
{
	struct file *f, *replaced = NULL;
	int r;

	if ((!fd_is_ours(oldfd) && !fd_is_ours(newfd)) || api_role_exact() != API_OWNER)
		return copied_elsewhere(oldfd, host_sys_dup3(oldfd, newfd, flags));
	library_enter();
	f = fd_get(oldfd, false);
	/* Until the entry follows, a lookup of newfd finds the wrong identity and drops a stale entry itself. */
	r = host_sys_dup3(oldfd, newfd, flags);
	if (r >= 0) {
		replaced = fd_unlink(newfd);
		if (f)
			r = adopt_copy(f, newfd);
	} else if (f) {
		file_put(f);
	}
	if (replaced)
		file_put(replaced);
	library_exit();
	return r;
}

int anykvm_dup2(int oldfd, int newfd)
{
	if (oldfd == newfd) {
		int r = host_sys_fcntl(oldfd, F_GETFD, 0);

		return api_result(r < 0 ? r : newfd);
	}
	return api_result(dup_to(oldfd, newfd, 0));
}

int anykvm_dup3(int oldfd, int newfd, int flags)
{
	return api_result(oldfd == newfd ? -EINVAL : dup_to(oldfd, newfd, flags));
}

/* Seals are of memory files, which ours are to the system only. 0: fd is not ours. */
static int seals_refused(int fd, int cmd)
{
	struct file *f;
	int r = 0;

	if (!fd_is_ours(fd) || api_role_exact() != API_OWNER)
		return 0;
	library_enter();
	f = fd_get(fd, false);
	if (f) {
		r = cmd == F_ADD_SEALS && api_kind_is_read_only(api_file_of(f)->kind) ? -EPERM
										      : -EINVAL;
		file_put(f);
	}
	library_exit();
	return r;
}

int anykvm_fcntl(int fd, int cmd, ...)
{
	struct file *f;
	unsigned long arg;
	va_list ap;
	int r;

	va_start(ap, cmd);
	arg = va_arg(ap, unsigned long);
	va_end(ap);
	r = cmd == F_ADD_SEALS || cmd == F_GET_SEALS ? seals_refused(fd, cmd) : 0;
	if (r)
		return api_result(r);
	if (cmd != F_DUPFD && cmd != F_DUPFD_CLOEXEC) {
		r = host_sys_fcntl(fd, cmd, arg);
		/* A socket to the system. */
		if (cmd == F_GETFL && r >= 0 && anykvm_fd_kind(fd) == ANYKVM_FD_USERFAULT)
			r &= ~O_ACCMODE;
		return api_result(r);
	}
	if (!fd_is_ours(fd) || api_role_exact() != API_OWNER)
		return api_result(copied_elsewhere(fd, host_sys_fcntl(fd, cmd, arg)));
	library_enter();
	f = fd_get(fd, false);
	r = host_sys_fcntl(fd, cmd, arg);
	if (f && r >= 0)
		r = adopt_copy(f, r);
	else if (f)
		file_put(f);
	library_exit();
	return api_result(r);
}

/* A request on a descriptor that is not ours. */
static s64 foreign_ioctl(int fd, u32 request, u64 arg)
{
	s64 r = userfault_ioctl(fd, request, arg);

	/* An emulator that does not know these requests (qemu-user) says so before it looks at the descriptor. */
	if ((r == -ENOSYS || r == -ENOTTY) &&
	    (_IOC_TYPE(request) == KVMIO || _IOC_TYPE(request) == USERFAULT_TYPE))
		r = host_sys_fcntl(fd, F_GETFD, 0) < 0 ? -EBADF : -ENOTTY;
	return r;
}

/* Requests that any file takes: the placeholder takes them for ours. */
static bool request_of_any_file(u32 request)
{
	return request == FIOCLEX || request == FIONCLEX || request == FIONBIO ||
	       request == FIOASYNC;
}

int anykvm_ioctl(int fd, unsigned long request, ...)
{
	enum api_role role;
	u64 arg, sigmask;
	struct file *f;
	va_list ap;
	s64 r;

	va_start(ap, request);
	arg = va_arg(ap, unsigned long);
	va_end(ap);
	if (!fd_is_ours(fd))
		return api_result(foreign_ioctl(fd, request, arg));
	if (request_of_any_file(request))
		return api_result(host_sys_ioctl(fd, request, arg));
	role = api_role();
	if (role == API_CHILD)
		return api_result(-EIO);
	if (unlikely(library_in_pair()))
		return api_result(-EDEADLK);
	library_enter();
	/* As in the kernel, a handler runs when the request is over; and blocking nests, so this is its only cost. */
	sigmask = host_signals_block();
	f = fd_get(fd, (u32)request == KVM_RUN);
	r = f ? ioctl_dispatch(fd, f, request, arg) : 0;
	if (f)
		file_put(f);
	host_signals_restore(sigmask);
	if (!f)
		r = foreign_ioctl(fd, request, arg);
	library_exit();
	return api_result(r);
}
