/* SPDX-License-Identifier: MIT */
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/bug.h"
#include "host/fd.h"
#include "host/identity.h"
#include "host/pages.h"
#include "host/process_host.h"
#include "base/raw.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

enum { WIPES_UNKNOWN, WIPES_YES, WIPES_NO };

u32 host_pid(void)
{
	return raw_syscall(SYS_getpid);
}

u32 host_tid(void)
{
	return raw_syscall(SYS_gettid);
}

/*
 * Whether a fork child sees the page as zero. qemu-user takes the advice and does nothing, so only a fork tells. The child has
 * no exit signal: a program's SIGCHLD handler and its wait() do not notice it.
 */
NO_TSAN static bool page_is_wiped(struct a64 *page)
{
	long pid;
	int status = 1;

	page->v = 1;
	pid = raw_syscall(SYS_clone, 0, 0, 0, 0, 0);
	if (pid == 0)
		raw_syscall(SYS_exit_group, page->v != 0);
	if (pid < 0)
		return false;
	while (raw_syscall(SYS_wait4, pid, &status, __WALL, NULL) == -EINTR)
		;
	page->v = 0;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static struct a64 *identity_init(void)
{
	struct host_process *p = host_process();
	u64 size = host_page_size();
	struct a64 *page;

	page = host_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	/* Without a page for its identity the library cannot start; this is before any VM exists. */
	BUG_ON(host_map_failed(page));
	if (a32_load_acquire(&p->identity_wipes) == WIPES_UNKNOWN) {
		bool wipes = host_madvise(page, size, MADV_WIPEONFORK) == 0 && page_is_wiped(page);

		a32_store_release(&p->identity_wipes, wipes ? WIPES_YES : WIPES_NO);
	} else {
		host_madvise(page, size, MADV_WIPEONFORK);
	}
	/* Several threads may get here: one page stays. The cmpxchg publishes it; pairs with the acquire in host_mm_id. */
	if (!aptr_cmpxchg(&p->identity_page, NULL, page))
		host_munmap(page, size);
	return aptr_load_acquire(&p->identity_page);
}

u64 host_mm_id(void)
{
	struct host_process *p = host_process();
	struct a64 *page = aptr_load_acquire(&p->identity_page);
	u64 id, pid;

	if (unlikely(!page))
		page = identity_init();
	id = a64_load_relaxed(page);
	if (a32_load_relaxed(&p->identity_wipes) == WIPES_YES) {
		if (likely(id))
			return id;
		/* identity_last is inherited: a child's id differs from all that its ancestors had. */
		a64_cmpxchg(page, 0, a64_fetch_add(&p->identity_last, 1) + 1);
		return a64_load(page);
	}
	pid = host_pid();
	if (likely((u32)id == pid))
		return id;
	a64_cmpxchg(page, id, (a64_fetch_add(&p->identity_last, 1) + 1) << 32 | pid);
	return a64_load(page);
}
