/* SPDX-License-Identifier: MIT */
/*
 * Pages of the simulated address space: what is present, what was taken away, and where that was done. A page is an object of the
 * explorer: whoever takes it away or makes it present writes, whoever uses it reads.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/context.h"
#include "explore/kvm/host_mm.h"

#include "engine/engine.h"

#define NR_TRACES 512

struct sim_mm sim_mm;

static struct {
	struct {
		struct site there, gone;
		const char *how;
	} trace[NR_TRACES];
	unsigned nr;
} traces;

void sim_mm_begin(void)
{
	if (!sim_mm.mapped) {
		void *p = mmap(
			(void *)(uintptr_t)SIM_BASE, SIM_PAGES * SIM_PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

		if (p != (void *)(uintptr_t)SIM_BASE)
			abort();
		sim_mm.mapped = true;
	}
	for (unsigned z = 0; z < SIM_ZONES; z++) {
		if (sim_mm.used[z] > SIM_FIRST)
			memset(&sim_mm.page[z * SIM_ZONE_PAGES], 0,
			       sim_mm.used[z] * sizeof(sim_mm.page[0]));
		sim_mm.used[z] = SIM_FIRST;
	}
	traces.nr = 0;
	explore_name(&sim_mm.space, "address space");
}

void sim_mm_keep(sim_keep_fn *keep)
{
	for (unsigned z = 0; z < SIM_ZONES; z++)
		if (sim_mm.used[z] > SIM_FIRST)
			keep(&sim_mm.page[z * SIM_ZONE_PAGES],
			     sim_mm.used[z] * sizeof(sim_mm.page[0]));
	keep(traces.trace, traces.nr * sizeof(traces.trace[0]));
	/* What says how much is in use comes last: it may be cleared. */
	keep(&traces.nr, sizeof(traces.nr));
	keep(&sim_mm.space, offsetof(struct sim_mm, page));
}

struct sim_page *sim_page(u64 addr)
{
	u64 i = (addr - SIM_BASE) / SIM_PAGE;

	return i < SIM_PAGES ? &sim_mm.page[i] : NULL;
}

char *sim_memory(const struct sim_page *p)
{
	return (char *)(uintptr_t)(SIM_BASE + p->home * SIM_PAGE);
}

void sim_trace(struct sim_page *p, const char *how)
{
	if (!p->trace) {
		if (traces.nr == NR_TRACES)
			return;
		p->trace = ++traces.nr;
		memset(&traces.trace[p->trace - 1], 0, sizeof(traces.trace[0]));
	}
	engine_site(engine_current, sim_caller(),
		    how ? &traces.trace[p->trace - 1].gone : &traces.trace[p->trace - 1].there);
	traces.trace[p->trace - 1].how = how;
}

void sim_stale_access(u64 addr, const struct sim_page *p, bool write)
{
	struct violation v = {.kind = BAD_STALE_TRANSLATION};
	const char *how = p->trace ? traces.trace[p->trace - 1].how : NULL;

	snprintf(v.message, sizeof(v.message),
		 "the guest %s a host page after %s had taken it away",
		 write ? "writes to" : "reads", how ? how : "a change of its protection");
	engine_describe((uintptr_t)p, v.object, sizeof(v.object));
	engine_site(engine_current, sim_caller(), &v.site);
	if (p->trace) {
		v.other[0] = traces.trace[p->trace - 1].gone;
		v.other_what[0] = "taken away by";
		v.other[1] = traces.trace[p->trace - 1].there;
		v.other_what[1] = "made present by";
		v.nr_others = 2;
	}
	engine_violation(&v);
}

void sim_revoke(struct sim_page *p, const char *how)
{
	sim_write(p, how);
	if (!(p->flags & SIM_PRESENT))
		return;
	p->flags = (p->flags & ~SIM_PRESENT) | SIM_REVOKED;
	sim_trace(p, how);
}

void sim_revoke_file(unsigned file, u64 first, u64 last, const char *how)
{
	for (unsigned z = 0; z < SIM_ZONES; z++) {
		for (u32 i = SIM_FIRST; i < sim_mm.used[z]; i++) {
			struct sim_page *p = &sim_mm.page[z * SIM_ZONE_PAGES + i];

			if (p->file != file + 1 || p->file_page < first || p->file_page >= last)
				continue;
			sim_revoke(p, how);
		}
	}
}

int sim_populate(u64 addr, bool write)
{
	struct sim_page *p = sim_page(addr);
	u16 need = write ? SIM_MAPPED | SIM_W : SIM_MAPPED | SIM_R;

	if (!p)
		return -EFAULT;
	sim_read(p, "look at host page");
	if ((p->flags & (need | SIM_PRESENT)) == (need | SIM_PRESENT))
		return 0;
	/* What it does to the page is a step of its own: others may use a page that is there meanwhile. */
	sim_write(p, "populate host page");
	if ((p->flags & need) != need)
		return -EFAULT;
	if (p->file && p->file_page >= (sim_file(p->file - 1)->size + SIM_PAGE - 1) / SIM_PAGE)
		return -EFAULT;
	p->flags = (p->flags | SIM_PRESENT) & ~SIM_REVOKED;
	sim_trace(p, NULL);
	return 0;
}

void sim_content(void *addr, unsigned pages)
{
	for (unsigned i = 0; i < pages; i++)
		sim_page((uintptr_t)addr + i * SIM_PAGE)->flags |= SIM_CONTENT;
}
