/* SPDX-License-Identifier: MIT */
/*
 * The table of descriptors. A number of ours is a real descriptor of an inert memory file (so that numbers, close-on-exec and
 * /proc are real), plus an entry here that holds a reference to a counted file. Lookups take no lock: RCU covers the load and
 * the try-get (G-6).
 */
#include <errno.h>

#include "api/api.h"
#include "base/bug.h"
#include "host/alloc.h"
#include "host/fd.h"
#include "host/identity.h"
#include "host/signal.h"
#include "host/userfault.h"

void api_process_init(void)
{
	struct api_process *p = api_process();

	if (a32_load_acquire(&p->state) == 2)
		return;
	if (a32_cmpxchg(&p->state, 0, 1)) {
		p->pid = host_pid();
		/* So that fork's handlers are there before a child can be. */
		thread_self();
		a64_store_relaxed(&p->mm_id, host_mm_id());
		mutex_init(&p->map_lock, RANK_LEAF, "mappings");
		itree_init(&p->mappings);
		/* Pairs with the acquire loads here and in api_role. */
		a32_store_release(&p->state, 2);
		return;
	}
	while (a32_load_acquire(&p->state) != 2)
		cpu_relax();
}

enum api_role api_role(void)
{
	struct api_process *p = api_process();

	if (a32_load_acquire(&p->state) != 2)
		return API_NOBODY;
	/* Pairs with the release in child.c. */
	return a64_load_acquire(&p->mm_id) == host_mm_id() ? API_OWNER : API_CHILD;
}

enum api_role api_role_exact(void)
{
	enum api_role role = api_role();

	return role == API_OWNER && api_process()->pid != host_pid() ? API_NOBODY : role;
}

int api_process_own(void)
{
	int r;

	api_process_init();
	if (api_role_exact() == API_CHILD) {
		r = api_process_of_child();
		if (r)
			return r;
	}
	return api_role_exact() == API_OWNER ? 0 : -EIO;
}

static struct aptr *fd_entry(int fd)
{
	struct aptr *page;

	if (fd < 0 || fd >= (int)(FD_PAGES * FD_PAGE_SIZE))
		return NULL;
	/* Pairs with the release in fd_entry_make. */
	page = aptr_load_acquire(&api_process()->fd_page[fd >> FD_PAGE_BITS]);
	return page ? &page[fd & (FD_PAGE_SIZE - 1)] : NULL;
}

static int fd_entry_make(int fd, struct aptr **out)
{
	struct aptr *slot, *page;

	if (fd < 0 || fd >= (int)(FD_PAGES * FD_PAGE_SIZE))
		return -EMFILE;
	slot = &api_process()->fd_page[fd >> FD_PAGE_BITS];
	if (!aptr_load_acquire(slot)) {
		page = host_alloc(FD_PAGE_SIZE * sizeof(*page));
		if (!page)
			return -ENOMEM;
		/* The exchange releases; a page stays for the life of the process. */
		if (!aptr_cmpxchg(slot, NULL, page))
			host_free(page, FD_PAGE_SIZE * sizeof(*page));
	}
	*out = fd_entry(fd);
	return 0;
}

bool fd_is_ours(int fd)
{
	struct aptr *entry = fd_entry(fd);

	return entry && aptr_load_acquire(entry);
}

/* Whether the system's descriptor fd is still the placeholder of f. */
static bool fd_identity_holds(int fd, const struct api_file *f)
{
	u64 dev, inode;

	return !host_fd_identity(fd, &dev, &inode) && dev == f->dev && inode == f->inode;
}

/* Whether no request changes the file behind the number any more: so it matters little whose that is. */
static bool file_is_settled(const struct api_file *f)
{
	return f->kind != API_VCPU ||
	       aptr_load_acquire(&container_of(f->v, struct vm_vcpu, v)->run);
}

struct file *fd_get(int fd, bool trust)
{
	struct aptr *entry = fd_entry(fd);
	struct file *f;
	u64 sigmask;

	if (!entry || !aptr_load_acquire(entry))
		return NULL;
	/* A handler of the program may unmap or close, and wait for much that waits for this section. */
	sigmask = host_signals_block();
	rcu_read_lock();
	f = aptr_load_acquire(entry);
	if (f && !file_try_get(f))
		f = NULL;
	rcu_read_unlock();
	host_signals_restore(sigmask);
	if (!f || (trust && file_is_settled(api_file_of(f))) ||
	    fd_identity_holds(fd, api_file_of(f)))
		return f;
	/* The number was closed, and perhaps reused, by other means than ours. Whoever clears the entry puts its reference. */
	if (aptr_cmpxchg(entry, f, NULL))
		file_put(f);
	file_put(f);
	return NULL;
}

/* By a copy: the number may be closed and given out anew at any moment, and the file behind it is about to be changed. */
int vcpu_map_run(int fd, const struct api_file *f)
{
	struct vm_vcpu *vv = container_of(f->v, struct vm_vcpu, v);
	int copy, r;

	if (aptr_load_acquire(&vv->run))
		return 0;
	copy = host_fd_dup_high(fd);
	if (copy < 0)
		return copy;
	r = fd_identity_holds(copy, f) ? vm_vcpu_map_run(vv, copy) : -EBADF;
	host_close(copy);
	return r;
}

int fd_install(int fd, struct file *f)
{
	struct aptr *entry;
	struct file *old;
	int r = fd_entry_make(fd, &entry);

	if (r)
		return r;
	/* A leftover entry is one whose number was closed behind our back: the system just gave it out anew. */
	old = aptr_xchg(entry, f);
	if (old)
		file_put(old);
	return 0;
}

struct file *fd_unlink(int fd)
{
	struct aptr *entry = fd_entry(fd);

	return entry ? aptr_xchg(entry, NULL) : NULL;
}

void fd_mark_copy(int oldfd, int newfd)
{
	struct aptr *from = fd_entry(oldfd), *to = fd_entry(newfd);

	/* Without a page the number is beyond all that the parent had, and the copy is nobody's: ENOTTY where EIO is meant. */
	if (to)
		aptr_store_relaxed(to, from ? aptr_load_relaxed(from) : NULL);
}

bool fd_is_parents_gmem(int fd)
{
	struct aptr *entry = fd_entry(fd);
	struct file *f = entry ? aptr_load_acquire(entry) : NULL;
	bool is;

	if (!f)
		return false;
	/* The child's copy of the table, whose entries keep what they name. */
	if (api_role() == API_CHILD)
		return api_kind_of(f) == API_GMEM;
	f = fd_get(fd, true);
	is = f && api_file_of(f)->was == API_GMEM;
	if (f)
		file_put(f);
	return is;
}

enum api_kind fd_kind_in_child(int fd)
{
	return api_kind_of(aptr_load_relaxed(fd_entry(fd)));
}

/* LO-9: no lock held. */
static void api_file_release(struct file *file)
{
	struct api_file *f = api_file_of(file);

	if (f->kind == API_VM)
		vm_file_closed(f->vm);
	if (f->kind == API_GMEM)
		gmem_file_release(f->gmem);
	if (f->kind == API_USERFAULT)
		host_userfault_destroy(f->userfault);
	if (f->vm)
		vm_put(f->vm);
	DELETE(f);
}

static const struct file_ops api_file_ops = {.type = "anykvm", .release = api_file_release};

int fd_orphan(int fd)
{
	struct aptr *entry = fd_entry(fd);
	const struct file *old = aptr_load_relaxed(entry);
	const struct api_file *was = api_file_of(old);
	struct api_file *f = NEW(struct api_file);
	struct file *file;

	if (!f)
		return -ENOMEM;
	*f = (struct api_file){
		.kind = API_ORPHAN, .was = api_kind_of(old), .dev = was->dev, .inode = was->inode};
	file = file_create(&api_file_ops, f);
	if (!file) {
		DELETE(f);
		return -ENOMEM;
	}
	aptr_store_release(entry, file); /* pairs with the acquires of the lookups */
	return 0;
}

int fd_next(int fd)
{
	for (fd = MAX(fd, 0); fd < (int)(FD_PAGES * FD_PAGE_SIZE); fd++) {
		struct aptr *entry = fd_entry(fd);

		if (!entry)
			fd |= FD_PAGE_SIZE - 1; /* no page: on to the next */
		else if (aptr_load_acquire(entry))
			return fd;
	}
	return -1;
}

int fd_create(const struct api_file *what, const char *name, bool cloexec, int fd)
{
	bool own = fd < 0;
	struct api_file *f;
	struct file *file;
	int r;

	api_process_init();
	f = NEW(struct api_file);
	if (!f)
		return -ENOMEM;
	*f = *what;
	if (own) {
		fd = host_placeholder_create(name, f->gmem ? gmem_size(gmem_inode_of(f->gmem)) : 0,
					     cloexec);
		if (fd < 0) {
			r = fd;
			goto free;
		}
	}
	r = host_fd_identity(fd, &f->dev, &f->inode);
	if (r)
		goto close;
	file = file_create(&api_file_ops, f);
	if (!file) {
		r = -ENOMEM;
		goto close;
	}
	file->gmem = f->gmem;
	r = fd_install(fd, file);
	if (!r)
		return fd;
	/* The hook puts the VM and the guest_memfd, which on failure stay the caller's. */
	f->vm = NULL;
	f->kind = API_SYSTEM;
	if (own)
		host_close(fd);
	file_put(file);
	return r;
close:
	if (own)
		host_close(fd);
free:
	DELETE(f);
	return r;
}

void fd_destroy(int fd)
{
	struct file *f = fd_unlink(fd);

	host_close(fd);
	if (f)
		file_put(f);
}
