/* SPDX-License-Identifier: MIT */
/*
 * LPIs: the objects, and the two tables of each in guest memory. Priority and enable come from the configuration table (one for
 * the VM, GICR_PROPBASER), read when an LPI is mapped and when the guest invalidates. The pending tables (GICR_PENDBASER, one a
 * vCPU) are read when an LPI is mapped or a vCPU turns LPIs on, and written by SAVE_PENDING_TABLES.
 *
 * its_lock keeps `mapped` and the tables still; the state of an LPI is guarded by its home (gic.h). An MSI that comes while a
 * vCPU turns its LPIs off is not left behind: lpi_inject looks at lpis_enabled under the home's lock, and lpi_enable changes it
 * under the same lock before it goes over the LPIs.
 */
#include <errno.h>

#include "host/alloc.h"
#include "irq/its.h"
#include "mem/mem.h"

#define TABLE_ADDRESS(baser) ((baser)&GENMASK(51, 12))
#define PROP_ENABLED	     BIT(0)

struct gic_lpi *lpi_find(struct vm_irq *vi, u32 intid)
{
	struct gic_lpi_page *page;

	if (intid < GIC_FIRST_LPI || intid >= GIC_FIRST_LPI + GIC_NR_LPI)
		return NULL;
	intid -= GIC_FIRST_LPI;
	page = aptr_load_acquire(&vi->lpi_pages[intid / GIC_LPI_PAGE]);
	return page ? aptr_load_acquire(&page->lpi[intid % GIC_LPI_PAGE]) : NULL;
}

static struct gic_lpi *lpi_make(struct vm_irq *vi, u32 intid) REQUIRES(&vi->its_lock)
{
	struct aptr *slot = &vi->lpi_pages[(intid - GIC_FIRST_LPI) / GIC_LPI_PAGE];
	struct gic_lpi_page *page = aptr_load_relaxed(slot);
	struct gic_lpi *lpi;

	if (!page) {
		page = NEW(struct gic_lpi_page);
		if (!page)
			return NULL;
		aptr_store_release(slot, page);
	}
	lpi = NEW(struct gic_lpi);
	if (!lpi)
		return NULL;
	lpi->irq.intid = (u16)intid;
	lpi->irq.edge = true;
	lpi->irq.group1 = true;
	aptr_store_relaxed(&lpi->irq.home, vi->nobody);
	list_init(&lpi->candidate);
	aptr_store_release(&page->lpi[(intid - GIC_FIRST_LPI) % GIC_LPI_PAGE], lpi);
	return lpi;
}

void lpi_fini(struct vm_irq *vi)
{
	for (u32 p = 0; p < GIC_LPI_PAGES; p++) {
		struct gic_lpi_page *page = aptr_load_relaxed(&vi->lpi_pages[p]);

		for (u32 i = 0; page && i < GIC_LPI_PAGE; i++) {
			struct gic_lpi *lpi = aptr_load_relaxed(&page->lpi[i]);

			if (lpi)
				DELETE(lpi);
		}
		if (page)
			DELETE(page);
	}
}

/* The next LPI that was ever mapped, from intid on; NULL at the end. */
static struct gic_lpi *lpi_next(struct vm_irq *vi, u32 intid)
{
	while (intid < GIC_FIRST_LPI + GIC_NR_LPI) {
		struct gic_lpi *lpi = lpi_find(vi, intid);

		if (lpi)
			return lpi;
		if (!aptr_load_acquire(&vi->lpi_pages[(intid - GIC_FIRST_LPI) / GIC_LPI_PAGE]))
			intid = ALIGN_DOWN(intid, GIC_LPI_PAGE) + GIC_LPI_PAGE;
		else
			intid++;
	}
	return NULL;
}

/* The next LPI of a walk; NULL: there is none (w->next is 0), or the walk is to rest. */
static struct gic_lpi *walk_next(struct vm_irq *vi, struct lpi_walk *w)
{
	struct gic_lpi *lpi;

	if (!w->left)
		return NULL;
	lpi = lpi_next(vi, w->next);
	w->next = lpi ? lpi->irq.intid + 1u : 0;
	w->left--;
	return lpi;
}

#define for_each_lpi(vi, lpi)                              \
	for ((lpi) = lpi_next((vi), GIC_FIRST_LPI); (lpi); \
	     (lpi) = lpi_next((vi), (lpi)->irq.intid + 1u))

/* --- the tables --- */

u32 lpi_id_limit(const struct vm_irq *vi)
{
	return 1u << MIN((u32)(a64_load_relaxed(&vi->propbaser) & 0x1f) + 1, GIC_LPI_ID_BITS);
}

/* Takes over the byte of its configuration: of any mapped LPI, or of those of one vCPU. */
static void lpi_apply(struct gic_lpi *lpi, const struct irq_cpu *of, u8 prop)
{
	struct irq_cpu *home = gic_irq_lock(&lpi->irq);

	if (of && (!lpi->mapped || lpi->irq.target != of)) {
		gic_irq_unlock_unchanged(home);
		return;
	}
	lpi->irq.priority = prop & GIC_PRI_MASK;
	lpi->irq.enabled = prop & PROP_ENABLED;
	gic_irq_unlock(&lpi->irq, home);
}

static u64 config_byte(const struct vm_irq *vi, u32 intid)
{
	return TABLE_ADDRESS(a64_load_relaxed(&vi->propbaser)) + intid - GIC_FIRST_LPI;
}

int lpi_configure(struct vm_irq *vi, struct gic_lpi *lpi)
{
	u8 prop;
	int err = mem_read_guest(vi->group->mem, config_byte(vi, lpi->irq.intid), &prop, 1);

	if (!err)
		lpi_apply(lpi, NULL, prop);
	return err;
}

/* The target of a mapped LPI, NULL: none or not mapped. Stable while its_lock is held. */
static struct irq_cpu *lpi_target(struct gic_lpi *lpi, bool *pending)
{
	struct irq_cpu *home = gic_irq_lock(&lpi->irq);
	struct irq_cpu *target = lpi->mapped ? lpi->irq.target : NULL;

	*pending = lpi->irq.pending_latch;
	gic_irq_unlock_unchanged(home);
	return target;
}

static u64 pending_byte(u64 pendbaser, const struct gic_lpi *lpi)
{
	return (pendbaser & GENMASK(51, 16)) + lpi->irq.intid / 8;
}

void lpi_set_pending(struct gic_lpi *lpi, bool pending)
{
	struct irq_cpu *home = gic_irq_lock(&lpi->irq);

	lpi->irq.pending_latch = pending;
	gic_irq_unlock(&lpi->irq, home);
}

/* A mapped LPI takes over what its target's table says; the bit is used up. */
static int lpi_fetch_pending(struct vm_irq *vi, struct gic_lpi *lpi) REQUIRES(&vi->its_lock)
{
	u8 byte, bit = (u8)(1u << lpi->irq.intid % 8);
	bool pending;
	struct irq_cpu *cpu = lpi_target(lpi, &pending);
	u64 gpa;
	int err;

	if (!cpu)
		return 0;
	gpa = pending_byte(a64_load_relaxed(&cpu->pendbaser), lpi);
	err = mem_read_guest(vi->group->mem, gpa, &byte, 1);
	if (err || !(byte & bit))
		return err;
	byte &= (u8)~bit;
	err = mem_write_guest(vi->group->mem, vi->table_writer, gpa, &byte, 1);
	if (!err)
		lpi_set_pending(lpi, true);
	return err;
}

/* --- use --- */

int lpi_map(struct vm_irq *vi, u32 intid, struct irq_cpu *target, struct gic_lpi **out)
{
	struct gic_lpi *lpi = lpi_find(vi, intid);
	struct irq_cpu *home;
	bool first;
	int err;

	if (!lpi)
		lpi = lpi_make(vi, intid);
	if (!lpi)
		return -ENOMEM;
	home = gic_irq_lock(&lpi->irq);
	first = !lpi->mapped++;
	if (first)
		lpi->irq.target = target;
	gic_irq_unlock(&lpi->irq, home);
	*out = lpi;
	if (!first)
		return 0;
	err = lpi_configure(vi, lpi);
	if (!err)
		err = lpi_fetch_pending(vi, lpi);
	if (err)
		lpi_unmap(lpi);
	return err;
}

void lpi_unmap(struct gic_lpi *lpi)
{
	struct irq_cpu *home = gic_irq_lock(&lpi->irq);

	if (!--lpi->mapped)
		lpi->irq.enabled = lpi->irq.pending_latch = false;
	gic_irq_unlock(&lpi->irq, home);
}

bool lpi_inject(struct gic_lpi *lpi, const struct a64 *at, u64 word)
{
	struct irq_cpu *home = gic_irq_lock(&lpi->irq);

	if (!lpi->mapped || !a32_load_relaxed(&home->lpis_enabled) ||
	    (at && a64_load_relaxed(at) != word)) {
		gic_irq_unlock_unchanged(home);
		return false;
	}
	lpi->irq.pending_latch = true;
	gic_irq_unlock(&lpi->irq, home);
	return true;
}

void lpi_route(struct gic_lpi *lpi, struct irq_cpu *from, struct irq_cpu *to)
{
	struct irq_cpu *home = gic_irq_lock(&lpi->irq);

	if (!lpi->mapped || (from && lpi->irq.target != from)) {
		gic_irq_unlock_unchanged(home);
		return;
	}
	lpi->irq.target = to;
	gic_irq_unlock(&lpi->irq, home);
}

bool lpi_route_all(struct vm_irq *vi, struct irq_cpu *from, struct irq_cpu *to, struct lpi_walk *w)
{
	struct gic_lpi *lpi;

	while ((lpi = walk_next(vi, w)))
		lpi_route(lpi, from, to);
	return !w->next;
}

/*
 * A table's part that belongs to a page of LPIs. It lies within a page of memory, so that it can be read as a whole if any byte of it can.
 */
struct table_part {
	u32 first; /* INTID, or 0: none yet */
	bool readable;
	u8 byte[GIC_LPI_PAGE];
};

/* False: it cannot be read. */
static bool part_read(struct vm_irq *vi, struct table_part *part, u32 intid, u64 gpa, u32 size)
{
	if (part->first == ALIGN_DOWN(intid, GIC_LPI_PAGE))
		return part->readable;
	part->first = ALIGN_DOWN(intid, GIC_LPI_PAGE);
	part->readable = !mem_read_guest(vi->group->mem, ALIGN_DOWN(gpa, size), part->byte, size);
	return part->readable;
}

bool lpi_configure_all(struct vm_irq *vi, struct irq_cpu *cpu, struct lpi_walk *w)
{
	struct table_part part = {0};
	struct gic_lpi *lpi;

	while ((lpi = walk_next(vi, w))) {
		u32 intid = lpi->irq.intid;

		if (part_read(vi, &part, intid, config_byte(vi, intid), GIC_LPI_PAGE))
			lpi_apply(lpi, cpu, part.byte[intid % GIC_LPI_PAGE]);
	}
	return !w->next;
}

/* --- registers of the redistributor --- */

/* LPIs are about to be on: what is pending is what the table says, up to where it cannot be read. Of all that are mapped, as in KVM. */
static void lpis_from_table(struct vm_irq *vi, struct irq_cpu *cpu, u64 pendbaser)
	REQUIRES(&vi->its_lock)
{
	struct table_part part = {0};
	struct gic_lpi *lpi;
	bool pending;

	for_each_lpi(vi, lpi)
	{
		struct irq_cpu *target = lpi_target(lpi, &pending);
		u32 intid = lpi->irq.intid;

		if (!target)
			continue;
		if (!part_read(vi, &part, intid, pending_byte(pendbaser, lpi), GIC_LPI_PAGE / 8))
			return;
		if (target == cpu)
			lpi_set_pending(lpi, part.byte[intid % GIC_LPI_PAGE / 8] >> intid % 8 & 1);
	}
}

/* LPIs are off: what the vCPU would have taken is lost. What is pending and not enabled stays so, as in KVM. */
static void lpis_drop(struct irq_cpu *cpu)
{
	struct list *head = cpu->candidate_lpis;

	for (u32 level = 0; level < GIC_LEVELS; level++) {
		struct gic_lpi *lpi;

		do {
			mutex_lock(&cpu->lock);
			lpi = list_first(&head[level], struct gic_lpi, candidate);
			if (lpi) {
				lpi->irq.pending_latch = false;
				gic_cpu_refresh(cpu, &lpi->irq);
			}
			mutex_unlock(&cpu->lock);
		} while (lpi);
	}
}

/*
 * The table is read while no MSI gets through, as none must be lost that came after LPIs were on. What is pending then may be candidates
 * when they are on.
 */
void lpi_enable(struct irq_cpu *cpu, bool on)
{
	struct vm_irq *vi = cpu->vi;
	u64 pendbaser = a64_load_relaxed(&cpu->pendbaser);
	struct gic_lpi *lpi;

	mutex_lock(&vi->its_lock);
	if (a32_load_relaxed(&cpu->lpis_enabled) == on)
		goto out;
	if (on && !(pendbaser & GICR_PENDBASER_PTZ))
		lpis_from_table(vi, cpu, pendbaser);
	/* An MSI that saw the switch on has made its LPI a candidate before it is off. */
	mutex_lock(&cpu->lock);
	a32_store(&cpu->lpis_enabled, on);
	mutex_unlock(&cpu->lock);
	if (on) {
		for_each_lpi(vi, lpi) lpi_route(lpi, cpu, cpu);
	} else {
		lpis_drop(cpu);
	}
out:
	mutex_unlock(&vi->its_lock);
}

void lpi_invalidate(struct irq_cpu *cpu, u32 intid)
{
	struct vm_irq *vi = cpu->vi;
	struct gic_lpi *lpi = lpi_find(vi, intid);
	bool pending;

	if (!lpi || !a32_load_acquire(&cpu->lpis_enabled))
		return;
	mutex_lock(&vi->its_lock);
	if (lpi_target(lpi, &pending))
		lpi_configure(vi, lpi);
	mutex_unlock(&vi->its_lock);
}

void lpi_invalidate_all(struct irq_cpu *cpu)
{
	struct lpi_walk w = {.next = GIC_FIRST_LPI, .left = ~0u};
	struct vm_irq *vi = cpu->vi;

	if (!a32_load_acquire(&cpu->lpis_enabled))
		return;
	mutex_lock(&vi->its_lock);
	lpi_configure_all(vi, cpu, &w);
	mutex_unlock(&vi->its_lock);
}

int lpi_save_pending(struct vm_irq *vi)
{
	struct gic_lpi *lpi;
	int err = 0;

	mutex_lock(&vi->its_lock);
	for_each_lpi(vi, lpi)
	{
		bool pending;
		struct irq_cpu *cpu = lpi_target(lpi, &pending);
		u8 byte, bit = (u8)(1u << lpi->irq.intid % 8);
		u64 gpa;

		if (!cpu)
			continue;
		gpa = pending_byte(a64_load_relaxed(&cpu->pendbaser), lpi);
		err = mem_read_guest(vi->group->mem, gpa, &byte, 1);
		if (!err && !!(byte & bit) != pending) {
			byte ^= bit;
			err = mem_write_guest(vi->group->mem, NULL, gpa, &byte, 1);
		}
		if (err)
			break;
	}
	mutex_unlock(&vi->its_lock);
	return err;
}
