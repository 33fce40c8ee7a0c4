/* SPDX-License-Identifier: MIT */
/*
 * userfaultfd: the host's, whose registrations are noted, and where there is none, one of our own (host/userfault.h). Its requests
 * are a table of their own kind of descriptor.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "api/api.h"
#include "host/environment.h"
#include "host/fd.h"
#include "host/guarded.h"
#include "host/pages.h"
#include "host/passthrough.h"
#include "host/signal.h"
#include "host/userfault.h"
#include "host/vma.h"
#include "mem/notifier.h"
#include "mem/userfault.h"

/* Requests of userfaultfd(2) by number, so that the headers of an old host do. */
#define UFFD_REGISTER	  0x00 /* struct: start, length, mode, ioctls */
#define UFFD_UNREGISTER	  0x01 /* start, length */
#define UFFD_WAKE	  0x02 /* start, length */
#define UFFD_COPY	  0x03 /* destination, source, length, mode, copied */
#define UFFD_ZEROPAGE	  0x04 /* start, length, mode, zeroed */
#define UFFD_MOVE	  0x05 /* destination, source, length, mode, moved */
#define UFFD_WRITEPROTECT 0x06 /* start, length, mode */
#define UFFD_CONTINUE	  0x07 /* start, length, mode, mapped */
#define UFFD_API_REQUEST  0x3f /* api, features, ioctls */
#define UFFD_API_VERSION  0xaa
#define UFFD_NEW	  _IO(USERFAULT_TYPE, 0) /* of /dev/userfaultfd */
#define UFFD_DONTWAKE	  1
#define UFFD_WP		  2 /* of COPY and CONTINUE: and protect it */
#define UFFD_USER_MODE	  1 /* a flag of the system call */

enum userfault_policy { POLICY_BEST, POLICY_HOST, POLICY_EMULATE };

/* --- making one --- */

static enum userfault_policy policy(void)
{
	if (host_environment_has("ANYKVM_USERFAULTFD", "emulate"))
		return POLICY_EMULATE;
	return host_environment_has("ANYKVM_USERFAULTFD", "host") ? POLICY_HOST : POLICY_BEST;
}

static int create_ours(int flags)
{
	struct api_file what = {.kind = API_USERFAULT};
	int fd, r;

	if (flags & ~(O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE))
		return -EINVAL;
	r = api_process_own();
	if (r)
		return r;
	library_enter();
	fd = host_userfault_create(flags, &what.userfault);
	if (fd >= 0) {
		r = fd_create(&what, "userfaultfd", false, fd);
		if (r < 0) {
			host_close(fd);
			host_userfault_destroy(what.userfault);
		}
		fd = r;
	}
	library_exit();
	return fd;
}

/* One that asked for more serves user mode alone: anykvm_fault_in has something to do, and registrations are to be noted. */
static void note_user_mode(void)
{
	api_process_own();
	a32_store(&api_process()->user_mode_pagers, 1);
}

/*
 * make: the host's way to one, with device as its argument. One that only serves user mode is better than ours: it differs in the same
 * point, and knows of no limit of mappings.
 */
static int create(int (*make)(int device, int flags), int device, int flags)
{
	enum userfault_policy p = policy();
	int r = -ENOSYS, ours;

	if (p != POLICY_EMULATE)
		r = make(device, flags);
	if (r == -EPERM && !(flags & UFFD_USER_MODE)) {
		r = make(device, flags | UFFD_USER_MODE);
		if (r == -EINVAL)
			r = -EPERM; /* a kernel that does not know the flag */
		if (r >= 0)
			note_user_mode();
	}
	if (p == POLICY_HOST || (r != -EPERM && r != -ENOSYS && r != -ENOTTY))
		return r;
	ours = create_ours(flags);
	if (ours >= 0 && !(flags & UFFD_USER_MODE))
		note_user_mode();
	/* Where ours cannot be either, the host's answer stands. */
	return ours == -ENOSYS || ours == -EIO ? r : ours;
}

static int make_by_call(int device, int flags)
{
	(void)device;
	return host_sys_userfaultfd(flags);
}

static int make_by_device(int device, int flags)
{
	return host_sys_ioctl(device, UFFD_NEW, flags);
}

int anykvm_userfaultfd(int flags)
{
	return api_result(create(make_by_call, -1, flags));
}

/* Page by page: what cannot be accessed is the system's to refuse. */
static void fault_in(u64 start, u64 len, bool write)
{
	u64 page = host_page_size(), end = start + len;

	if (end < start || !mem_userfault_overlaps(start, end))
		return;
	for (u64 at = ALIGN_DOWN(start, page); at < end; at += page)
		if (mem_userfault_overlaps(at, at + page) && host_populate(at, page, write))
			return;
}

void anykvm_fault_in(const struct iovec *iov, int n, int write)
{
	u64 piece[2], sigmask;

	if (likely(!a32_load(&api_process()->user_mode_pagers)) || n > IOV_MAX ||
	    api_role_exact() != API_OWNER)
		return;
	/* A handler of the program may change what is noted. */
	sigmask = host_signals_block();
	guarded_install();
	for (int i = 0; i < n; i++) {
		if (user_copy_in(piece, (uintptr_t)&iov[i], sizeof(piece)))
			break;
		fault_in(piece[0], piece[1], write);
	}
	host_signals_restore(sigmask);
}

/* --- requests of ours --- */

/* A range of the address space, as the kernel wants it. */
static bool range_is_valid(u64 start, u64 len)
{
	u64 page = host_page_size();

	return len && IS_ALIGNED(start, page) && IS_ALIGNED(len, page) && start + len > start &&
	       start + len <= BIT(47 + 9);
}

static s64 uffd_api(struct api_call *c)
{
	u64 *a = c->buf;

	if (a[0] == UFFD_API_VERSION && !(a[1] & ~USERFAULT_FEATURES) &&
	    !host_userfault_enable(c->f->userfault, a[1])) {
		a[1] = USERFAULT_FEATURES;
		a[2] = BIT(UFFD_REGISTER) | BIT(UFFD_UNREGISTER) | BIT(UFFD_API_REQUEST);
		return 0;
	}
	memset(a, 0, 24);
	return user_copy_out(c->arg, a, 24) ? -EFAULT : -EINVAL;
}

static s64 uffd_register(struct api_call *c)
{
	u64 *a = c->buf, start = a[0], end = a[0] + a[1], mode = a[2];
	struct mem_inval_token t;
	bool noted;
	int r;

	if (!mode || (mode & ~(USERFAULT_MISSING | USERFAULT_MINOR)) ||
	    !range_is_valid(start, a[1]))
		return -EINVAL;
	noted = mem_userfault_overlaps(start, end);
	/* Noted first: nothing may be mapped the other way once it is registered. */
	r = mem_userfault_add(start, end);
	if (r)
		return r;
	mem_invalidate_start(start, end, 0, &t);
	r = host_userfault_register(c->f->userfault, start, end, mode);
	mem_invalidate_end(&t);
	/* EBUSY: another one's, perhaps since a moment ago. */
	if (r && r != -EBUSY && !noted)
		mem_userfault_remove(start, end);
	a[3] = BIT(UFFD_WAKE) | BIT(UFFD_COPY) | BIT(UFFD_ZEROPAGE) |
	       (mode & USERFAULT_MINOR ? BIT(UFFD_CONTINUE) : 0);
	return r;
}

static s64 uffd_unregister(struct api_call *c)
{
	const u64 *a = c->buf;
	int r;

	if (!range_is_valid(a[0], a[1]))
		return -EINVAL;
	r = host_userfault_unregister(c->f->userfault, a[0], a[0] + a[1]);
	if (!r)
		mem_userfault_remove(a[0],
				     a[0] + a[1]); /* a range that stays noted is only slower */
	return r;
}

static s64 uffd_wake(struct api_call *c)
{
	const u64 *a = c->buf;

	if (!range_is_valid(a[0], a[1]))
		return -EINVAL;
	host_userfault_wake(c->f->userfault, a[0], a[0] + a[1]);
	return 0;
}

/* result: where in the argument the outcome is to be told, also of a failure. */
static s64 fill(struct api_call *c, enum userfault_fill how, u64 dst, u64 src, u64 len, u64 mode,
		u32 result)
{
	u64 modes = UFFD_DONTWAKE | (how == USERFAULT_ZERO ? 0 : UFFD_WP);
	s64 done;

	if (!range_is_valid(dst, len) || src + len < src || (mode & ~modes))
		return -EINVAL;
	done = host_userfault_fill(how, mode & UFFD_WP, dst, src, len);
	if (user_copy_out(c->arg + result, &done, 8))
		return -EFAULT;
	if (done < 0)
		return done;
	if (!(mode & UFFD_DONTWAKE))
		host_userfault_wake(c->f->userfault, dst, dst + done);
	return (u64)done == len ? 0 : -EAGAIN;
}

static s64 uffd_copy(struct api_call *c)
{
	const u64 *a = c->buf;

	return fill(c, USERFAULT_COPY, a[0], a[1], a[2], a[3], 32);
}

static s64 uffd_zeropage(struct api_call *c)
{
	const u64 *a = c->buf;

	return fill(c, USERFAULT_ZERO, a[0], 0, a[1], a[2], 24);
}

static s64 uffd_continue(struct api_call *c)
{
	const u64 *a = c->buf;

	return fill(c, USERFAULT_CONTINUE, a[0], 0, a[1], a[2], 24);
}

/* What must be asked first. */
#define ENABLED(name)                                                                           \
	static s64 enabled_##name(struct api_call *c)                                           \
	{                                                                                       \
		return host_userfault_enabled(c->f->userfault) ? uffd_##name(c) : (s64)-EINVAL; \
	}
ENABLED(register)
ENABLED(unregister)
ENABLED(wake)
ENABLED(copy)
ENABLED(zeropage)
ENABLED(continue)

#define ROW(name, dir, nr, words, flags, handler)                                         \
	{                                                                                 \
		_IOC(dir, USERFAULT_TYPE, nr, (words)*8), "UFFDIO_" #name, flags, handler \
	}
static const struct ioctl_row rows[] = {
	ROW(API, _IOC_READ | _IOC_WRITE, UFFD_API_REQUEST, 3, IOCTL_IN | IOCTL_OUT, uffd_api),
	ROW(REGISTER, _IOC_READ | _IOC_WRITE, UFFD_REGISTER, 4, IOCTL_IN | IOCTL_OUT,
	    enabled_register),
	ROW(UNREGISTER, _IOC_READ, UFFD_UNREGISTER, 2, IOCTL_IN, enabled_unregister),
	ROW(WAKE, _IOC_READ, UFFD_WAKE, 2, IOCTL_IN, enabled_wake),
	ROW(COPY, _IOC_READ | _IOC_WRITE, UFFD_COPY, 5, IOCTL_IN, enabled_copy),
	ROW(ZEROPAGE, _IOC_READ | _IOC_WRITE, UFFD_ZEROPAGE, 4, IOCTL_IN, enabled_zeropage),
	ROW(CONTINUE, _IOC_READ | _IOC_WRITE, UFFD_CONTINUE, 4, IOCTL_IN, enabled_continue),
};
const struct ioctl_table ioctl_userfault_table = {rows, ARRAY_SIZE(rows), -EINVAL};

/* --- the host's --- */

int anykvm_note_userfault(const void *addr, size_t length, int registered)
{
	u64 start = ALIGN_DOWN((uintptr_t)addr, host_page_size()),
	    end = ALIGN_UP((uintptr_t)addr + length, host_page_size());
	int r;

	if (!length || (uintptr_t)addr + length < (uintptr_t)addr || end <= start) {
		errno = EINVAL;
		return -1;
	}
	if (api_role() == API_CHILD)
		return 0;
	/* Also before the first machine: the memory may get a slot later. */
	library_enter();
	api_process_init();
	if (registered)
		r = mem_userfault_add(start, end);
	else
		r = host_userfault_forget((void *)(uintptr_t)start, end - start);
	if (!registered && !r)
		r = mem_userfault_remove(start, end);
	library_exit();
	return api_result(r);
}

/* A request that may change what guests see of [start, end), made of the host's. */
static int change(int fd, u32 request, u64 arg, u64 start, u64 end)
{
	struct mem_inval_token t;
	u32 nr = _IOC_NR(request);
	int r;

	if (nr == UFFD_UNREGISTER) {
		r = host_sys_ioctl(fd, request, arg);
		if (!r)
			mem_userfault_remove(start, end);
		return r;
	}
	/* Noted first: nothing may be mapped the other way once it is registered. */
	r = nr == UFFD_REGISTER ? mem_userfault_add(start, end) : 0;
	if (r)
		return r;
	mem_invalidate_start(start, end, nr == UFFD_REGISTER ? 0 : MEM_INVAL_KEEP_VMA, &t);
	r = host_sys_ioctl(fd, request, arg);
	mem_invalidate_end(&t);
	return r;
}

int userfault_ioctl(int fd, u32 request, u64 arg)
{
	u64 a[3] = {0}, start, end;
	u32 nr = _IOC_NR(request);
	bool known = nr == UFFD_REGISTER || nr == UFFD_UNREGISTER || nr == UFFD_MOVE ||
		     nr == UFFD_WRITEPROTECT;
	int r;

	if (request == UFFD_NEW && host_fd_is_userfaultfd_device(fd))
		return create(make_by_device, fd, arg);
	if (_IOC_TYPE(request) != USERFAULT_TYPE || !known || api_role() != API_OWNER ||
	    !host_fd_is_userfaultfd(fd) || user_copy_in(a, arg, nr == UFFD_UNREGISTER ? 16 : 24))
		return host_sys_ioctl(fd, request, arg);
	start = nr == UFFD_MOVE ? a[1] : a[0];
	end = start + (nr == UFFD_MOVE ? a[2] : a[1]);
	if (!range_is_valid(start, end - start))
		return host_sys_ioctl(fd, request, arg);
	library_enter();
	r = change(fd, request, arg, start, end);
	library_exit();
	return r;
}
