/* SPDX-License-Identifier: MIT */
/*
 * An access to a page that a pager serves: who asks, who waits, and who reads what was asked.
 *
 * A thread of the program waits inside the handler of SIGSEGV, at an instruction that will run again; a signal that it does not block
 * ends the wait, so that the program's handler runs, as in the kernel. A vCPU waits in the fault path and in copies, where signals are
 * blocked; so do pages for a system call. There a signal that has no handler but ends the process does so, as in the kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <ucontext.h>

#include "base/context.h"
#include "base/raw.h"
#include "host/alloc.h"
#include "host/guarded.h"
#include "host/identity.h"
#include "host/process_host.h"
#include "host/signal.h"
#include "host/userfault_private.h"

#define EVENT_PAGEFAULT 0x12
#define FLAG_WRITE	1ull
#define FLAG_MINOR	4ull
#define MESSAGE_SIZE	32
_Static_assert(offsetof(struct userfault_message, waiter) == MESSAGE_SIZE, "struct uffd_msg");

/* Between two looks at signals, and at a full socket. */
#define LOOK_NS 10000000

/* So many times a thread may be told to try again without waiting; then its access is wrong, whatever we believe. */
#define MAX_TRIES 1000

/* And so many times memory that is registered and not, in turn, may be missed. */
#define MAX_LOOKS 4

static THREAD_LOCAL struct {
	u64 addr;
	u32 nr;
} tries;

static bool try_again(u64 addr)
{
	if (tries.addr != addr)
		tries.nr = 0;
	tries.addr = addr;
	return ++tries.nr < MAX_TRIES;
}

/* Whether the access works by now. Where it is right, that may be so any number of times: another thread takes the page and fills it. */
static bool works(u64 addr, bool write)
{
	void *at = (void *)(uintptr_t)addr;
	u8 byte;

	return write ? guarded_fetch_add8(at, 0, &byte) : guarded_load8(at, &byte);
}

/* --- the process's part --- */

static struct userfault_state *state_of_any_process(void)
{
	return aptr_load_acquire(&host_process()->userfault);
}

struct userfault_state *userfault_state(void)
{
	struct userfault_state *s = state_of_any_process();

	return s && s->mm_id == host_mm_id() ? s : NULL;
}

/* The state if there is anything registered. */
static struct userfault_state *state_with_ranges(void)
{
	struct userfault_state *s = state_of_any_process();

	return likely(!s) || !a32_load_relaxed(&s->any) ? NULL : userfault_state();
}

/*
 * Whether /proc/self/mem and pagemap say and do what they should about a page of our own: /proc may be another process's (an
 * emulator's, with other addresses), the kernel may refuse to write where there are no rights. Nothing is written before a read has
 * shown whose memory it is.
 */
static bool memory_files_work(int mem, int pagemap)
{
	u64 size = host_page_size(), pattern[2], entry[2] = {0};
	u64 *page = host_mmap(NULL, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			      -1, 0);
	bool work = false;
	u64 at = (uintptr_t)page;

	if (host_map_failed(page))
		return false;
	page[0] = at ^ 0x5ca1ab1e0ddba11ull;
	page[1] = ~at;
	if (raw_syscall(SYS_pread64, mem, pattern, sizeof(pattern), at) == sizeof(pattern) &&
	    pattern[0] == page[0] && pattern[1] == page[1] &&
	    !host_mprotect(page, size, PROT_NONE)) {
		pattern[0] = ~pattern[0];
		work = raw_syscall(SYS_pwrite64, mem, pattern, sizeof(pattern), at) ==
			       sizeof(pattern) &&
		       raw_syscall(SYS_pread64, pagemap, entry, sizeof(entry), at / size * 8) ==
			       sizeof(entry) &&
		       entry[0] >> 63 && !(entry[1] >> 62) &&
		       !host_mprotect(page, size, PROT_READ) && page[0] == pattern[0];
	}
	host_munmap(page, 2 * size);
	return work;
}

struct userfault_state *userfault_state_make(int *error)
{
	struct userfault_state *s = userfault_state(), *old = state_of_any_process();

	if (s)
		return s;
	s = NEW(struct userfault_state);
	*error = -ENOMEM;
	if (!s)
		return NULL;
	s->mm_id = host_mm_id();
	s->mem = host_fd_move_high(
		raw_syscall(SYS_openat, AT_FDCWD, "/proc/self/mem", O_RDWR | O_CLOEXEC));
	s->pagemap = host_fd_move_high(
		raw_syscall(SYS_openat, AT_FDCWD, "/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
	*error = -ENOSYS;
	if (s->mem < 0 || s->pagemap < 0 || !memory_files_work(s->mem, s->pagemap))
		goto close;
	itree_init(&s->ranges);
	/* An inherited one is left alone. */
	if (aptr_cmpxchg(&host_process()->userfault, old, s))
		return s;
	*error = -EAGAIN;
close:
	if (s->mem >= 0)
		host_close(s->mem);
	if (s->pagemap >= 0)
		host_close(s->pagemap);
	DELETE(s);
	return userfault_state();
}

u64 userfault_lock(struct userfault_state *s)
{
	u64 sigmask = host_signals_block(), mask = host_block_every_signal();

	if (!a32_cmpxchg(&s->lock, 0, 1)) {
		while (a32_xchg(&s->lock, 2))
			raw_syscall(SYS_futex, &s->lock.v, 128 /* WAIT, private */, 2, NULL);
	}
	s->holder_mask = mask;
	return sigmask;
}

void userfault_unlock(struct userfault_state *s, u64 sigmask)
{
	u64 mask = s->holder_mask;

	if (a32_xchg(&s->lock, 0) == 2)
		raw_syscall(SYS_futex, &s->lock.v, 129 /* WAKE, private */, 1);
	host_restore_every_signal(mask);
	host_signals_restore(sigmask);
}

/* --- who waits --- */

/* What the pager is to be told; nothing, if the system fills the page by itself. */
static bool must_ask(const struct userfault_range *r, u64 page, u64 *flags)
{
	bool there;

	/* Beyond its end a file has no page, and nobody can bring one: the system says so. */
	if (r->file && r->offset + (page - r->node.start) >= userfault_file_size(r))
		return false;
	there = r->file && userfault_file_has_page(r, page);
	if (there)
		*flags |= FLAG_MINOR;
	return r->mode & (there ? USERFAULT_MINOR : USERFAULT_MISSING);
}

/* Under the lock. Nobody has the other end open: all is as if it was closed by our own call. */
static void abandoned(struct userfault_state *s, struct userfault_range *r)
{
	u64 start = r->node.start, end = r->node.end;

	userfault_range_open(r);
	memset(r->present, 0xff, ALIGN_UP(range_pages(r), 64) / 8);
	userfault_wake_range(s, r->u, start, end);
}

/* Under the lock. False: nobody will read it. */
static bool send_message(struct userfault_waiter *w)
{
	struct pollfd out = {.fd = w->u->out};
	u64 no_wait[2] = {0, 0};
	long n;

	if (!w->sent) {
		n = raw_syscall(SYS_sendto, w->u->out, &w->message, sizeof(w->message),
				MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
		if (n == -EPIPE || n == -ECONNRESET)
			return false;
		w->sent = n >= 0;
		return true;
	}
	/* Nobody may be there to read it any more. */
	return raw_syscall(SYS_ppoll, &out, 1, no_wait, NULL, 8) != 1 || !(out.revents & POLLHUP);
}

static void unlink_waiter(struct userfault_state *s, const struct userfault_waiter *w)
{
	struct userfault_waiter **at = &s->waiters;

	while (*at && *at != w)
		at = &(*at)->next;
	if (*at)
		*at = w->next;
}

/* sigmask: the thread's own. Not interruptible: but by what ends the process. */
static void wait_for_page(struct userfault_state *s, struct userfault_waiter *w, u64 sigmask,
			  bool interruptible)
{
	u64 look[2] = {0, LOOK_NS};

	while (!a32_load_acquire(&w->woken)) {
		struct userfault_range *r;
		bool gone, signal = false;
		u64 fatal = 0;

		raw_syscall(SYS_futex, &w->woken.v, 128 /* WAIT, private */, 0, look);
		if (interruptible)
			signal = host_signals_pending(sigmask);
		else
			fatal = host_signals_fatal(sigmask);
		if (a32_load_acquire(&w->woken))
			return;
		userfault_lock(s);
		gone = !a32_load_acquire(&w->woken) && !send_message(w);
		r = gone ? userfault_range_at(s, w->page) : NULL;
		if (r && r->u == w->u)
			abandoned(s, r);
		if (signal || gone || fatal)
			unlink_waiter(s, w);
		userfault_unlock(s, sigmask);
		/* This is the end, unless somebody gave the signal a handler a moment ago. */
		if (fatal)
			host_signals_unblock(fatal);
		if (signal || gone || fatal)
			return;
	}
}

/* Under the lock: whether there is something to wait for, with w on the list and its message sent. */
static enum userfault_outcome begin_wait(struct userfault_state *s, u64 addr, bool write,
					 struct userfault_waiter *w)
{
	u64 page = ALIGN_DOWN(addr, host_page_size()), flags = write ? FLAG_WRITE : 0;
	struct userfault_range *r = userfault_range_at(s, page);

	if (!r || !(r->prot & (write ? PROT_WRITE : PROT_READ)))
		return USERFAULT_NOT_OURS;
	if (page_is_present(r, range_page(r, page)))
		return USERFAULT_AGAIN;
	if (!must_ask(r, page, &flags)) {
		if (raw_syscall(SYS_mprotect, page, host_page_size(), r->prot))
			return USERFAULT_NOT_OURS;
		page_set(r, range_page(r, page), true);
		return USERFAULT_MAPPED;
	}
	*w = (struct userfault_waiter){.next = s->waiters, .u = r->u, .page = page};
	w->message = (struct userfault_message){
		.event = EVENT_PAGEFAULT,
		.flags = flags,
		.address = page,
		.thread = r->u->features & USERFAULT_THREAD_ID ? host_tid() : 0,
		.waiter = ++s->next_waiter,
	};
	if (!send_message(w)) {
		abandoned(s, r);
		return USERFAULT_AGAIN;
	}
	s->waiters = w;
	return USERFAULT_SERVED;
}

static enum userfault_outcome serve(struct userfault_state *s, u64 addr, bool write,
				    bool interruptible)
{
	enum userfault_outcome outcome;
	struct userfault_waiter w;
	u64 sigmask, mask;

	/* Blocked from here to the end: a handler that jumps out would leave w on the list. */
	sigmask = host_signals_block();
	mask = host_block_every_signal();
	userfault_lock(s);
	outcome = begin_wait(s, addr, write, &w);
	userfault_unlock(s, sigmask);
	if (outcome == USERFAULT_SERVED)
		wait_for_page(s, &w, sigmask, interruptible);
	host_restore_every_signal(mask);
	host_signals_restore(sigmask);
	return outcome;
}

enum userfault_outcome host_userfault_serve(u64 addr, bool write, bool interruptible)
{
	struct userfault_state *s = state_with_ranges();

	return s ? serve(s, addr, write, interruptible) : USERFAULT_NOT_OURS;
}

bool host_userfault_serve_copy(const void *dst, const void *src)
{
	enum userfault_outcome to, from = USERFAULT_NOT_OURS;
	struct userfault_state *s = state_with_ranges();

	if (likely(!s))
		return false;
	to = serve(s, (uintptr_t)dst, true, false);
	if (to < USERFAULT_MAPPED)
		from = serve(s, (uintptr_t)src, false, false);
	if (to >= USERFAULT_MAPPED || from >= USERFAULT_MAPPED) {
		tries.nr = 0;
		return true;
	}
	if (to != USERFAULT_AGAIN && from != USERFAULT_AGAIN)
		return false;
	/* Filled meanwhile, or the fault is elsewhere: then one more attempt shows no progress, and comes here again. */
	return (works((uintptr_t)dst, true) && works((uintptr_t)src, false)) ||
	       try_again((uintptr_t)dst);
}

/* --- the handler of SIGSEGV --- */

#if defined(__x86_64__)
#define IS_WRITE_KNOWS true

static bool is_write(const ucontext_t *uc)
{
	return uc->uc_mcontext.gregs[REG_ERR] & 2;
}

static bool is_fetch(const ucontext_t *uc, u64 addr)
{
	return uc->uc_mcontext.gregs[REG_ERR] & 16 || (u64)uc->uc_mcontext.gregs[REG_RIP] == addr;
}
#else
/* An instruction that is none of those below may write, whatever is said of it. */
#define IS_WRITE_KNOWS false

/* By the instruction, since emulators leave the syndrome out. */
static bool is_write(const ucontext_t *uc)
{
	u32 insn;

	if (!guarded_load32((const void *)uc->uc_mcontext.pc, &insn))
		return false;
	/* DC ZVA and the like */
	if ((insn & 0xfff80000) == 0xd5080000)
		return true;
	/* literals; LDAPR, whose encoding is one of those below */
	if ((insn & 0x3b000000) == 0x18000000 || (insn & 0x3ffffc00) == 0x38bfc000)
		return false;
	/* compare and swap (pair); atomic memory operations */
	if ((insn & 0x3fa07c00) == 0x08a07c00 || (insn & 0xbfa07c00) == 0x08207c00 ||
	    (insn & 0x3b200c00) == 0x38200000)
		return true;
	/* single registers of the general kind: opc 0 stores; elsewhere a bit says that it loads */
	if ((insn & 0x3c000000) == 0x38000000)
		return !(insn & 0x00c00000);
	return !(insn & BIT(22));
}

static bool is_fetch(const ucontext_t *uc, u64 addr)
{
	return uc->uc_mcontext.pc == addr;
}
#endif

/* In a fork child nobody serves a page: what was missing is the system's to fill. */
NO_TSAN static bool handle_in_child(struct userfault_state *s, u64 addr)
{
	struct userfault_range *r;

	/* A lock that a thread of the parent had says that the tree may be in any state. */
	if (a32_load_relaxed(&s->lock))
		return false;
	r = userfault_range_at(s, addr);
	return r && !userfault_range_open(r);
}

bool host_userfault_handle(const siginfo_t *info, void *context)
{
	struct userfault_state *s = state_of_any_process();
	u64 addr = (uintptr_t)info->si_addr;
	bool write;

	if (likely(!s) || info->si_code <= 0)
		return false;
	if (s->mm_id != host_mm_id())
		return handle_in_child(s, addr) && try_again(addr);
	write = is_write(context);
	for (u32 look = 0; look < MAX_LOOKS; look++) {
		switch (serve(s, addr, write, true)) {
		case USERFAULT_MAPPED:
		case USERFAULT_SERVED:
			tries.nr = 0;
			return true;
		case USERFAULT_AGAIN:
			return (!is_fetch(context, addr) &&
				works(addr, write || !IS_WRITE_KNOWS)) ||
			       try_again(addr);
		case USERFAULT_NOT_OURS:
			break;
		}
		/* Perhaps it was, until a moment ago; or is again by now, registered between the two looks. */
		if (works(addr, write))
			return try_again(addr);
	}
	return false;
}

/* --- the descriptor --- */

int host_userfault_create(int flags, struct host_userfault **out)
{
	struct host_userfault *u;
	int fd[2], ret;

	CONTEXT_MAY_BLOCK("userfaultfd");
	if (!userfault_state_make(&ret))
		return ret;
	/* Its faults of user mode come here by the handler. */
	guarded_install();
	u = NEW(struct host_userfault);
	if (!u)
		return -ENOMEM;
	ret = raw_syscall(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd);
	if (ret) {
		DELETE(u);
		return ret;
	}
	u->out = host_fd_move_high(fd[1]);
	if (flags & O_NONBLOCK)
		raw_syscall(SYS_fcntl, fd[0], F_SETFL, O_NONBLOCK);
	if (!(flags & O_CLOEXEC))
		raw_syscall(SYS_fcntl, fd[0], F_SETFD, 0);
	*out = u;
	return fd[0];
}

void host_userfault_destroy(struct host_userfault *u)
{
	struct userfault_state *s = userfault_state();
	u64 sigmask;

	if (s) {
		sigmask = userfault_lock(s);
		userfault_ranges_remove(s, u, 0, ~0ull, true);
		userfault_unlock(s, sigmask);
	}
	host_close(u->out);
	DELETE(u);
}

int host_userfault_enable(struct host_userfault *u, u64 features)
{
	if (!a32_cmpxchg(&u->enabled, 0, 1))
		return -EINVAL;
	u->features = features;
	return 0;
}

bool host_userfault_enabled(struct host_userfault *u)
{
	return a32_load(&u->enabled);
}

/* Whether the thread still waits; a message is read once. */
static bool still_wanted(const struct userfault_message *m)
{
	struct userfault_state *s = userfault_state();
	struct userfault_waiter *w;
	bool wanted;
	u64 sigmask;

	if (!s)
		return false;
	sigmask = userfault_lock(s);
	for (w = s->waiters; w && w->message.waiter != m->waiter; w = w->next)
		;
	wanted = w && !w->read;
	if (wanted)
		w->read = true;
	userfault_unlock(s, sigmask);
	return wanted;
}

s64 host_userfault_read(struct host_userfault *u, int fd, void *buf, size_t n)
{
	struct userfault_message m;
	u64 done = 0;
	long r;

	CONTEXT_MAY_SLEEP("userfaultfd");
	if (!host_userfault_enabled(u) || n < MESSAGE_SIZE)
		return -EINVAL;
	while (done + MESSAGE_SIZE <= n) {
		/* Blocking only for the first, as the program's flag says. */
		r = raw_syscall(SYS_recvfrom, fd, &m, sizeof(m), done ? MSG_DONTWAIT : 0, NULL,
				NULL);
		if (r < 0)
			return done ? (s64)done : r;
		if (!r)
			return done; /* our end is closed */
		if (r != sizeof(m) || !still_wanted(&m))
			continue;
		if (!guarded_copy_to((char *)buf + done, &m, MESSAGE_SIZE))
			return done ? (s64)done : -EFAULT;
		done += MESSAGE_SIZE;
	}
	return done;
}
