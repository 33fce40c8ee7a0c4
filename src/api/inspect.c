/* SPDX-License-Identifier: MIT */
/* anykvm_inspect: a report of a running machine, written to the caller's buffer as it is made. */
#include <errno.h>

#include "api/api.h"
#include "mem/inspect.h"

_Static_assert(ANYKVM_INSPECT_SLOTS == INSPECT_SLOTS && ANYKVM_INSPECT_STAGE2 == INSPECT_STAGE2 &&
		       ANYKVM_INSPECT_NESTED == INSPECT_NESTED &&
		       ANYKVM_INSPECT_NOTIFIER == INSPECT_NOTIFIER &&
		       ANYKVM_INSPECT_CACHES == INSPECT_CACHES &&
		       ANYKVM_INSPECT_GMEM == INSPECT_GMEM,
	       "one set of numbers");

#define SECTIONS                                                                 \
	(ANYKVM_INSPECT_SLOTS | ANYKVM_INSPECT_STAGE2 | ANYKVM_INSPECT_NESTED |  \
	 ANYKVM_INSPECT_NOTIFIER | ANYKVM_INSPECT_CACHES | ANYKVM_INSPECT_GMEM | \
	 ANYKVM_INSPECT_STATS)

struct user_report {
	struct report report;
	u64 user;
	size_t size, length; /* length: of all that was written, whether it fits or not */
	int error;
};

static void write_to_user(struct report *r, const char *text, size_t n)
{
	struct user_report *u = container_of(r, struct user_report, report);

	/* One byte is the end's. */
	if (!u->error && u->length + 1 < u->size &&
	    user_copy_out(u->user + u->length, text, MIN(n, u->size - 1 - u->length)))
		u->error = -EFAULT;
	u->length += n;
}

static const struct mem_vcpu *nth_vcpu(void *ctx, u32 n, u32 *id)
{
	struct vm *vm = ctx;
	struct vcpu *v;

	/* Pairs with the release store when a vCPU is published. */
	if (n >= a32_load_acquire(&vm->group.nr))
		return NULL;
	v = aptr_load_relaxed(&vm->group.vcpu[n]);
	*id = v->id;
	return &v->mem;
}

static s64 inspect_vm(struct vm *vm, u32 flags, u64 user, size_t size)
{
	struct user_report u = {
		.report = {.write = write_to_user, .json = flags & ANYKVM_INSPECT_JSON},
		.user = user,
		.size = size};
	struct inspect_request request = {.sections =
						  flags & SECTIONS ? flags & SECTIONS : SECTIONS,
					  .vcpu = nth_vcpu,
					  .ctx = vm};
	int r;

	report_begin(&u.report);
	r = mem_inspect(&vm->mem, &request, &u.report);
	if (r)
		return r;
	if (request.sections & ANYKVM_INSPECT_STATS)
		stats_report(vm, &u.report);
	report_end(&u.report);
	if (!u.error && size && user_copy_out(user + MIN(u.length, size - 1), "", 1))
		u.error = -EFAULT;
	return u.error ? u.error : (s64)u.length;
}

static s64 inspect_fd(int fd, u32 flags, u64 user, size_t size)
{
	struct file *file = fd_get(fd, false);
	struct api_file *f;
	s64 r = -EINVAL;

	if (!file)
		return -EBADF;
	f = api_file_of(file);
	if (f->kind == API_ORPHAN)
		r = -EIO;
	else if ((f->kind == API_VM || f->kind == API_VCPU) &&
		 !(flags & ~(SECTIONS | ANYKVM_INSPECT_JSON)))
		r = inspect_vm(f->vm, flags, user, size);
	file_put(file);
	return r;
}

ssize_t anykvm_inspect(int fd, unsigned int flags, char *buf, size_t size)
{
	enum api_role role = api_role();
	s64 r;

	if (!fd_is_ours(fd) || role == API_NOBODY) {
		r = -EBADF;
	} else if (role == API_CHILD) {
		r = -EIO;
	} else {
		library_enter();
		r = inspect_fd(fd, flags, (uintptr_t)buf, size);
		library_exit();
	}
	return api_result(r);
}
