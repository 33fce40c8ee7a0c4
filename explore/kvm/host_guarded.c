/* SPDX-License-Identifier: MIT */
/*
 * Guarded access to simulated memory. An access is one step: a read of the page's presence, or a write where what is stored
 * matters to others (SIM_CONTENT). Addresses elsewhere are arguments of calls, in a scenario's own memory: they are simply copied.
 *
 * An access from guest mode came through a translation, and translations of what was taken away must be gone. One from outside
 * of it comes by address, as a system call does: it may fail.
 */
#include <errno.h>
#include <string.h>

#include "base/context.h"
#include "explore/kvm/backend.h"
#include "explore/kvm/host_sim.h"
#include "host/guarded.h"
#include "host/guarded_action.h"

#define LOWEST 65536 /* nothing is below, so that NULL is refused */

/* Where the bytes are, or NULL: the host refuses. */
static char *reach(const void *hva, bool write)
{
	u64 addr = (uintptr_t)hva;
	struct sim_page *p = sim_page(addr);
	u16 need = SIM_MAPPED | (write ? SIM_W : SIM_R);
	bool guest = sync_self()->guests;

	if (!p)
		return addr < LOWEST ? NULL : (char *)(uintptr_t)addr;
	if (!guest) {
		if (sim_populate(addr, write))
			return NULL;
		if (!(p->flags & SIM_CONTENT))
			return sim_memory(p) + addr % SIM_PAGE;
	}
	if (write && (p->flags & SIM_CONTENT))
		sim_write(p, guest ? "guest store" : "store");
	else
		sim_read(p, guest ? "guest access" : "load");
	if (guest && ((p->flags & SIM_REVOKED) || (p->flags & need) != need))
		if (p->trace)
			sim_stale_access(addr, p, write);
	if ((p->flags & need) != need)
		return NULL;
	p->flags |= SIM_PRESENT;
	return sim_memory(p) + (uintptr_t)hva % SIM_PAGE;
}

bool guarded_sim_load(const void *hva, void *out, unsigned size)
{
	SIM_CALL();
	const char *p = reach(hva, false);

	if (p)
		memcpy(out, p, size);
	return p;
}

bool guarded_sim_store(void *hva, const void *in, unsigned size)
{
	SIM_CALL();
	char *p = reach(hva, true);

	if (p)
		memcpy(p, in, size);
	return p;
}

bool guarded_sim_exchange(void *hva, const void *value, void *old, unsigned size)
{
	SIM_CALL();
	char now[8], *p = reach(hva, true);

	if (!p)
		return false;
	memcpy(now, p, size);
	memcpy(p, value, size);
	memcpy(old, now, size);
	return true;
}

bool guarded_sim_fetch_add(void *hva, u64 value, void *old, unsigned size)
{
	SIM_CALL();
	char *p = reach(hva, true);
	u64 was = 0, sum;

	if (!p)
		return false;
	/* Little endian: the low bytes are those that count. */
	memcpy(&was, p, size);
	sum = was + value;
	memcpy(p, &sum, size);
	memcpy(old, &was, size);
	return true;
}

bool guarded_sim_cmpxchg(void *hva, void *expected, const void *desired, bool *swapped,
			 unsigned size)
{
	SIM_CALL();
	char now[16], *p = reach(hva, true);

	if (!p)
		return false;
	memcpy(now, p, size);
	*swapped = !memcmp(now, expected, size);
	if (*swapped)
		memcpy(p, desired, size);
	memcpy(expected, now, size);
	return true;
}

/* Up to the end of its page. */
static size_t part_of(const void *hva, size_t n)
{
	size_t room = SIM_PAGE - (uintptr_t)hva % SIM_PAGE;

	return sim_page((uintptr_t)hva) && n > room ? room : n;
}

size_t guarded_copy_left(void *dst, const void *src, size_t n)
{
	SIM_CALL();
	while (n) {
		size_t part = part_of(dst, part_of(src, n));
		const char *from = reach(src, false);
		char *to = from ? reach(dst, true) : NULL;

		if (!to)
			break;
		memcpy(to, from, part);
		dst = (char *)dst + part;
		src = (const char *)src + part;
		n -= part;
	}
	return n;
}

size_t guarded_zero_left(void *hva, size_t n)
{
	SIM_CALL();
	while (n) {
		size_t part = part_of(hva, n);
		char *to = reach(hva, true);

		if (!to)
			break;
		memset(to, 0, part);
		hva = (char *)hva + part;
		n -= part;
	}
	return n;
}

int guarded_copy_from_user(void *dst, const void *arg, size_t n)
{
	return guarded_copy_from(dst, arg, n) ? 0 : -EFAULT;
}

int guarded_copy_to_user(void *arg, const void *src, size_t n)
{
	return guarded_copy_to(arg, src, n) ? 0 : -EFAULT;
}

/* Nothing faults here. */
void guarded_install(void)
{
}

u64 guarded_nr_recovered(void)
{
	return 0;
}

/* A program's own fault handlers are not modelled. */
int guarded_action_change(int signo, const struct guarded_action *act, struct guarded_action *old,
			  bool shared)
{
	return -ENOSYS;
}

int guarded_action_raw(int signo, const struct guarded_action *act, struct guarded_action *old)
{
	return -ENOSYS;
}
