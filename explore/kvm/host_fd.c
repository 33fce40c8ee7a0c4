/* SPDX-License-Identifier: MIT */
/*
 * Descriptors and files of the simulated host. Each number is an object of its own: who looks it up reads it, who installs or closes
 * writes it. Which numbers are taken is another one, written before a number is used and after it was closed, as the lowest free
 * number depends on all of it. High numbers, the library's own, come from a range of each thread and are never given out again.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <string.h>

#include "base/context.h"
#include "explore/kvm/host_sim.h"
#include "host/fd.h"
#include "host/passthrough.h"

static struct {
	u16 entry[SIM_FDS]; /* file number + 1 */
	bool taken[SIM_FDS_HIGH];
	u32 high[EXPLORE_MAX_FIBERS]; /* given out to each fiber */
	bool cloexec[SIM_FDS];
	bool kept[SIM_FDS]; /* the library's own */
	struct sim_file file[SIM_FILES];
	u32 files[EXPLORE_MAX_FIBERS]; /* given out to each fiber */
} table;

#define STANDARD 3 /* input, output, errors */

void sim_fd_begin(void)
{
	memset(table.entry, 0, sizeof(table.entry));
	memset(table.taken, 0, sizeof(table.taken));
	memset(table.high, 0, sizeof(table.high));
	memset(table.cloexec, 0, sizeof(table.cloexec));
	memset(table.kept, 0, sizeof(table.kept));
	memset(table.files, 0, sizeof(table.files));
	explore_name(&table.taken, "free descriptor numbers");
}

struct sim_file *sim_file(unsigned number)
{
	return &table.file[number];
}

unsigned sim_file_number(const struct sim_file *f)
{
	return f - table.file;
}

struct sim_file *sim_file_new(enum sim_kind kind, const char *name)
{
	u32 fiber = explore_self(), nr = table.files[fiber];
	struct sim_file *f = &table.file[fiber * SIM_FILES_PER_FIBER + nr];

	if (nr == SIM_FILES_PER_FIBER)
		return NULL;
	table.files[fiber]++;
	*f = (struct sim_file){
		.kind = kind, .refs = 1, .name = name, .inode = 1 + (f - table.file)};
	explore_name(f, "file \"%s\"", name);
	return f;
}

void sim_file_put(struct sim_file *f)
{
	if (!--f->refs)
		f->kind = SIM_NONE;
}

static bool is_open(int fd)
{
	return fd >= 0 && fd < SIM_FDS && table.entry[fd];
}

struct sim_file *sim_fd(int fd)
{
	if (fd < 0 || fd >= SIM_FDS)
		return NULL;
	sim_read(&table.entry[fd], "look up");
	return is_open(fd) ? &table.file[table.entry[fd] - 1] : NULL;
}

static int number_take(int from)
{
	u32 fiber = explore_self();

	if (from < 0 || from >= SIM_FDS)
		return -EINVAL;
	if (from >= SIM_FDS_HIGH) {
		if (table.high[fiber] == SIM_FDS_PER_FIBER)
			return -EMFILE;
		return SIM_FDS_HIGH + fiber * SIM_FDS_PER_FIBER + table.high[fiber]++;
	}
	sim_write(&table.taken, "take lowest");
	for (int fd = MAX(from, STANDARD); fd < SIM_FDS_HIGH; fd++) {
		if (table.taken[fd])
			continue;
		table.taken[fd] = true;
		return fd;
	}
	return -EMFILE;
}

static void number_give(int fd)
{
	if (fd >= SIM_FDS_HIGH)
		return;
	sim_write(&table.taken, "give back");
	table.taken[fd] = false;
}

int sim_fd_install(struct sim_file *f, int from, bool cloexec)
{
	int fd = number_take(from);

	if (fd < 0) {
		sim_file_put(f);
		return fd;
	}
	explore_name(&table.entry[fd], "descriptor %d", fd);
	sim_write(&table.entry[fd], "install");
	table.entry[fd] = sim_file_number(f) + 1;
	table.cloexec[fd] = cloexec;
	table.kept[fd] = false;
	return fd;
}

const char *sim_fd_left(int *fd)
{
	for (*fd = STANDARD; *fd < SIM_FDS; ++*fd)
		if (table.entry[*fd])
			return table.file[table.entry[*fd] - 1].name;
	return NULL;
}

/* The number was announced. */
static void drop(int fd)
{
	struct sim_file *f = &table.file[table.entry[fd] - 1];

	table.entry[fd] = 0;
	sim_file_put(f);
}

static int close_number(int fd, const char *how)
{
	if (fd < 0 || fd >= SIM_FDS)
		return -EBADF;
	sim_write(&table.entry[fd], how);
	if (!is_open(fd))
		return -EBADF;
	drop(fd);
	number_give(fd);
	return 0;
}

int host_close(int fd)
{
	SIM_CALL();
	CONTEXT_MAY_BLOCK("close");
	return close_number(fd, "close");
}

static int close_range(u32 first, u32 last, u32 flags, bool spare_kept)
{
	sim_read(&table.taken, "close_range");
	for (u32 fd = first; fd <= last && fd < SIM_FDS; fd++) {
		if (!table.entry[fd] || (spare_kept && table.kept[fd]))
			continue;
		if (flags & CLOSE_RANGE_CLOEXEC)
			table.cloexec[fd] = true;
		else
			close_number(fd, "close_range");
	}
	return 0;
}

bool host_fd_is_kept(int fd)
{
	return fd >= 0 && fd < SIM_FDS && table.kept[fd];
}

int host_close_range(u32 first, u32 last, u32 flags)
{
	SIM_CALL();
	return close_range(first, last, flags, true);
}

int host_sys_close_range(unsigned first, unsigned last, unsigned flags)
{
	SIM_CALL();
	return close_range(first, last, flags, false);
}

static int fd_copy(int fd, int from, bool cloexec)
{
	struct sim_file *f = sim_fd(fd);

	if (!f)
		return -EBADF;
	f->refs++;
	return sim_fd_install(f, from, cloexec);
}

int host_fd_dup(int fd, int from)
{
	SIM_CALL();
	return fd_copy(fd, from, true);
}

int host_sys_dup(int fd)
{
	SIM_CALL();
	return fd_copy(fd, 0, false);
}

int host_sys_dup3(int oldfd, int newfd, int flags)
{
	SIM_CALL();
	struct sim_file *f = sim_fd(oldfd);

	if (oldfd == newfd || (flags & ~O_CLOEXEC))
		return -EINVAL;
	if (!f || newfd < 0 || newfd >= SIM_FDS)
		return -EBADF;
	f->refs++;
	if (newfd < SIM_FDS_HIGH) {
		sim_write(&table.taken, "take");
		table.taken[newfd] = true;
	}
	sim_write(&table.entry[newfd], "dup3");
	if (table.entry[newfd])
		drop(newfd);
	table.entry[newfd] = sim_file_number(f) + 1;
	table.cloexec[newfd] = flags & O_CLOEXEC;
	table.kept[newfd] = false;
	return newfd;
}

int host_sys_fcntl(int fd, int cmd, unsigned long arg)
{
	SIM_CALL();
	switch (cmd) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		return fd_copy(fd, arg, cmd == F_DUPFD_CLOEXEC);
	case F_GETFD:
		if (!sim_fd(fd))
			return -EBADF;
		return table.cloexec[fd] ? FD_CLOEXEC : 0;
	case F_SETFD:
		if (!sim_fd(fd))
			return -EBADF;
		table.cloexec[fd] = arg & FD_CLOEXEC;
		return 0;
	default:
		return sim_fd(fd) ? -EINVAL : -EBADF;
	}
}

/* No file here knows a request. */
int host_sys_ioctl(int fd, unsigned long request, unsigned long arg)
{
	SIM_CALL();
	return sim_fd(fd) ? -ENOTTY : -EBADF;
}

/* There are no paths. */
int host_openat(int dirfd, const char *path, int flags, unsigned mode)
{
	return -ENOENT;
}

bool host_readable8(const void *p)
{
	return p;
}

static int keep(int fd)
{
	if (fd >= 0)
		table.kept[fd] = true;
	return fd;
}

int host_fd_dup_high(int fd)
{
	SIM_CALL();
	return keep(fd_copy(fd, SIM_FDS_HIGH, true));
}

int host_fd_move_high(int fd)
{
	SIM_CALL();
	int high = fd < 0 ? fd : host_fd_dup_high(fd);

	if (fd < 0)
		return fd;
	if (high < 0)
		return keep(fd);
	host_close(fd);
	return high;
}

u64 host_fd_limit(void)
{
	return SIM_FDS;
}

int host_fd_identity(int fd, u64 *dev, u64 *inode)
{
	SIM_CALL();
	struct sim_file *f;

	CONTEXT_MAY_BLOCK("fstat");
	f = sim_fd(fd);
	if (!f)
		return -EBADF;
	*dev = 1;
	*inode = f->inode;
	return 0;
}

/* --- memory files ---------------------------------------------------------------------------------------------------------- */

static int memory_file(const char *name, u64 size, bool sealed, bool cloexec)
{
	struct sim_file *f = sim_file_new(SIM_MEMORY, name);

	if (!f)
		return -EMFILE;
	f->size = size;
	f->sealed = sealed;
	return sim_fd_install(f, 0, cloexec);
}

int host_memfd_create(const char *name, u64 size)
{
	SIM_CALL();
	return memory_file(name, size, false, true);
}

int host_memfd_create_unfixed(const char *name)
{
	SIM_CALL();
	return memory_file(name, 0, false, true);
}

int host_placeholder_create(const char *name, u64 size, bool cloexec)
{
	SIM_CALL();
	return memory_file(name, size, true, cloexec);
}

int host_ftruncate(int fd, u64 size)
{
	SIM_CALL();
	struct sim_file *f;
	u64 was;

	CONTEXT_MAY_BLOCK("ftruncate");
	f = sim_fd(fd);
	if (!f || f->kind != SIM_MEMORY)
		return f ? -EINVAL : -EBADF;
	sim_write(f, "ftruncate");
	if (f->sealed && size != f->size)
		return -EPERM;
	if (f->window && size > f->size)
		return -ENOMEM; /* its place in the arena does not grow */
	was = f->size;
	f->size = size;
	if (size < was)
		sim_revoke_file(sim_file_number(f), size / SIM_PAGE, was / SIM_PAGE, "ftruncate");
	return 0;
}

int host_memfd_fix(int fd, u64 size)
{
	SIM_CALL();
	int ret = host_ftruncate(fd, size);

	if (!ret)
		sim_fd(fd)->sealed = true;
	return ret;
}

int host_fallocate(int fd, int mode, u64 offset, u64 len)
{
	SIM_CALL();
	struct sim_file *f;

	CONTEXT_MAY_BLOCK("fallocate");
	f = sim_fd(fd);
	if (!f || f->kind != SIM_MEMORY)
		return f ? -ENODEV : -EBADF;
	if (!len || (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)))
		return len ? -EOPNOTSUPP : -EINVAL;
	sim_write(f, "fallocate");
	if (!(mode & FALLOC_FL_PUNCH_HOLE))
		return f->sealed && offset + len > f->size ? -EPERM : 0;
	sim_revoke_file(sim_file_number(f), offset / SIM_PAGE, (offset + len) / SIM_PAGE,
			"fallocate(PUNCH_HOLE)");
	if (f->window && offset < f->size)
		memset((char *)(uintptr_t)(SIM_BASE + f->window * SIM_PAGE + offset), 0,
		       MIN(len, f->size - offset));
	return 0;
}
