/* SPDX-License-Identifier: MIT */
/*
 * Where the frames are. The distributor has one base; redistributors live in regions that are
 * filled in the order of vCPU creation: one legacy region that grows with the vCPUs (count 0), or
 * numbered regions of a fixed count. All of it happens under vi->config; what MMIO reads is
 * published in dist_base, rd_base and rd_last.
 */
#include <errno.h>

#include "host/alloc.h"
#include "irq/irq.h"

static u64 region_size(const struct vm_irq *vi, const struct redist_region *r)
{
	return (r->count ? r->count : a32_load_acquire(&vi->group->nr)) * GIC_REDIST_SIZE;
}

struct redist_region *gic_region_find(struct vm_irq *vi, u32 index)
{
	struct redist_region *r;

	list_for_each(r, &vi->regions, link) if (r->index == index) return r;
	return NULL;
}

static bool regions_overlap(struct vm_irq *vi, u64 base, u64 size)
{
	struct redist_region *r;

	list_for_each(r, &vi->regions, link) if (base + size > r->base &&
						 base < r->base + region_size(vi, r)) return true;
	return false;
}

int gic_check_range(const struct vm_irq *vi, u64 present, u64 addr, u64 align, u64 size)
{
	u64 limit = BIT(vi->group->mem->ipa_bits);

	if (present != GIC_ADDR_UNDEF)
		return -EEXIST;
	if (!IS_ALIGNED(addr, align) || !IS_ALIGNED(size, align) || addr + size < addr)
		return -EINVAL;
	if (addr >= limit || addr + size > limit)
		return -E2BIG;
	return 0;
}

bool gic_check_bases(struct vm_irq *vi)
{
	u64 dist = a64_load_relaxed(&vi->dist_base);
	struct redist_region *r;

	if (dist != GIC_ADDR_UNDEF && dist + GIC_DIST_SIZE < dist)
		return false;
	list_for_each(r, &vi->regions,
		      link) if (gic_check_range(vi, GIC_ADDR_UNDEF, r->base, GIC_DIST_SIZE,
						region_size(vi, r))) return false;
	return dist == GIC_ADDR_UNDEF || !regions_overlap(vi, dist, GIC_DIST_SIZE);
}

/* GICR_TYPER.Last: the end of a run of contiguous redistributors. */
static bool is_last(struct vm_irq *vi, const struct irq_cpu *cpu)
{
	const struct redist_region *region = cpu->region;
	struct redist_region *r;

	if (!region || cpu->region_index + 1 < region->used)
		return false;
	if (!region->count || cpu->region_index + 1 < region->count)
		return true;
	list_for_each(r, &vi->regions,
		      link) if (r->base == region->base + region->count * GIC_REDIST_SIZE &&
				r->used) return false;
	return true;
}

static void update_last(struct vm_irq *vi)
{
	u32 nr = a32_load_acquire(&vi->group->nr);

	for (u32 i = 0; i < nr; i++) {
		struct irq_cpu *cpu = irq_cpu_of(vcpu_group_get(vi->group, i));

		a32_store_relaxed(&cpu->rd_last, is_last(vi, cpu));
	}
}

int gic_redist_place(struct vm_irq *vi, struct irq_cpu *cpu)
{
	struct redist_region *r, *free = NULL;

	if (a64_load_relaxed(&cpu->rd_base) != GIC_ADDR_UNDEF)
		return 0;
	list_for_each(r, &vi->regions, link)
	{
		if (!r->count || r->used < r->count) {
			free = r;
			break;
		}
	}
	/* No room yet: placed when a region is added. */
	if (!free)
		return 0;
	if (!gic_check_bases(vi))
		return -EINVAL;
	cpu->region = free;
	cpu->region_index = free->used++;
	a64_store_release(&cpu->rd_base, free->base + cpu->region_index * GIC_REDIST_SIZE);
	update_last(vi);
	/* It may not be in the group yet. */
	a32_store_relaxed(&cpu->rd_last, is_last(vi, cpu));
	return 0;
}

void gic_redist_withdraw(struct vm_irq *vi, struct irq_cpu *cpu)
{
	if (!cpu->region)
		return;
	cpu->region->used--;
	update_last(vi);
}

static int region_create(struct vm_irq *vi, u32 index, u64 base, u32 count,
			 struct redist_region **out)
{
	u64 size = (count ? count : a32_load_acquire(&vi->group->nr)) * GIC_REDIST_SIZE;
	u64 dist = a64_load_relaxed(&vi->dist_base);
	struct redist_region *r;
	int err;

	if (base + size < base)
		return -EINVAL;
	if (list_empty(&vi->regions)) {
		if (index != 0)
			return -EINVAL;
	} else {
		r = list_entry(vi->regions.prev, struct redist_region, link);
		/* One legacy region, or numbered ones: not both. */
		if (!count)
			return r->count ? -EINVAL : -EEXIST;
		if (index != r->index + 1)
			return -EINVAL;
	}
	if (!count && dist != GIC_ADDR_UNDEF && base + size > dist && base < dist + GIC_DIST_SIZE)
		return -EINVAL;
	if (regions_overlap(vi, base, size))
		return -EINVAL;
	err = gic_check_range(vi, GIC_ADDR_UNDEF, base, GIC_DIST_SIZE, size);
	if (err)
		return err;
	r = NEW(struct redist_region);
	if (!r)
		return -ENOMEM;
	r->index = index;
	r->base = base;
	r->count = count;
	list_add_tail(&vi->regions, &r->link);
	*out = r;
	return 0;
}

/* Adds a region and places the vCPUs that wait for one. vi->config held. */
int gic_region_add(struct vm_irq *vi, u32 index, u64 base, u32 count)
{
	u32 nr = a32_load_acquire(&vi->group->nr);
	struct redist_region *r;
	int err = region_create(vi, index, base, count, &r);

	if (err)
		return err;
	for (u32 i = 0; i < nr && !err; i++)
		err = gic_redist_place(vi, irq_cpu_of(vcpu_group_get(vi->group, i)));
	if (!err)
		return 0;
	for (u32 i = 0; i < nr; i++) {
		struct irq_cpu *cpu = irq_cpu_of(vcpu_group_get(vi->group, i));

		if (cpu->region == r) {
			cpu->region = NULL;
			a64_store(&cpu->rd_base, GIC_ADDR_UNDEF);
		}
	}
	list_del(&r->link);
	DELETE(r);
	update_last(vi);
	return err;
}

static int gic_v2_map(struct vm_irq *vi, struct irq_routing **old)
{
	u64 dist = a64_load_relaxed(&vi->dist_base), cpuif = a64_load_relaxed(&vi->cpuif_base);
	int err;

	if (dist == GIC_ADDR_UNDEF || cpuif == GIC_ADDR_UNDEF)
		return -ENXIO;
	if (dist + GIC_V2_DIST_SIZE > cpuif && cpuif + GIC_V2_CPUIF_SIZE > dist)
		return -EINVAL;
	/* A GICv2 need not be told that all vCPUs are there. */
	err = gic_init(vi, old);
	if (!err)
		a32_store_release(&vi->ready, 1);
	return err;
}

/* First KVM_RUN: the addresses must all be there and fit together. vi->config held. */
int gic_map(struct vm_irq *vi, struct irq_routing **old)
{
	u32 nr = a32_load_acquire(&vi->group->nr);

	if (a32_load_acquire(&vi->ready))
		return 0;
	if (gic_is_v2(vi))
		return gic_v2_map(vi, old);
	for (u32 i = 0; i < nr; i++) {
		struct irq_cpu *cpu = irq_cpu_of(vcpu_group_get(vi->group, i));

		if (a64_load_relaxed(&cpu->rd_base) == GIC_ADDR_UNDEF)
			return -ENXIO;
	}
	if (a64_load_relaxed(&vi->dist_base) == GIC_ADDR_UNDEF)
		return -ENXIO;
	if (!gic_check_bases(vi))
		return -EINVAL;
	if (!a32_load_acquire(&vi->initialized))
		return -EBUSY;
	a32_store_release(&vi->ready, 1);
	return 0;
}
