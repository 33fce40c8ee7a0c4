/* SPDX-License-Identifier: MIT */
/* Life of an ITS, translation of MSIs and the cache of translations. its.h says who guards what. */
#include "irq/its.h"

#include <errno.h>

#include <anykvm/kvm.h>

#include "base/hash.h"
#include "host/alloc.h"
#include "host/random.h"
#include "irq/irq.h"

#define BASER_TYPE_SHIFT 56
#define BASER_SIZE_SHIFT 48
/* Inner shareable, read-allocate write-back, pages of 64 KiB. */
#define BASER_INITIAL \
	(3ull << 59 | 1ull << 10 | 2ull << 8 | (ITS_ENTRY_SIZE - 1ull) << BASER_SIZE_SHIFT)

/* --- life --- */

struct its *its_alloc(struct vm_irq *vi)
{
	struct its *its = NEW(struct its);

	if (!its)
		return NULL;
	its->vi = vi;
	its->hash_key = host_random_u64();
	a64_store_relaxed(&its->base, GIC_ADDR_UNDEF);
	mutex_init(&its->cmd_lock, RANK_ITS_CMD, "its commands");
	its->baser[ITS_TABLE_DEVICE] = BASER_INITIAL | 1ull << BASER_TYPE_SHIFT;
	its->baser[ITS_TABLE_COLLECTION] = BASER_INITIAL | 4ull << BASER_TYPE_SHIFT;
	list_init(&its->devices);
	list_init(&its->collections);
	return its;
}

void its_free(struct its *its)
{
	mutex_fini(&its->cmd_lock);
	DELETE(its);
}

void its_publish(struct its *its)
{
	struct vm_irq *vi = its->vi;
	struct aptr *at = &vi->its;

	mutex_lock(&vi->dist_lock);
	a64_store_relaxed(&vi->propbaser, 1u << 10 | 3u << 7);
	mutex_unlock(&vi->dist_lock);
	its->next = aptr_load_relaxed(at);
	aptr_store_release(at, its);
}

void its_fini(struct vm_irq *vi)
{
	struct its *its = aptr_load_relaxed(&vi->its), *next;

	for (; its; its = next) {
		next = its->next;
		its_objects_fini(its);
		its_free(its);
	}
	lpi_fini(vi);
	mutex_fini(&vi->its_lock);
}

struct its *its_find(struct vm_irq *vi, u64 addr)
{
	for (struct its *its = aptr_load_acquire(&vi->its); its; its = its->next) {
		u64 base = a64_load_acquire(&its->base);

		if (base != GIC_ADDR_UNDEF && addr - base < ITS_FRAME_SIZE)
			return its;
	}
	return NULL;
}

/* --- the cache: valid bit, device, event, LPI in one word --- */

#define CACHE_VALID BIT(63)

static u64 cache_word(u32 device, u32 event, u32 intid)
{
	return CACHE_VALID | (u64)device << 32 | (u64)event << 16 | intid;
}

static struct a64 *cache_slot(struct its *its, u32 device, u32 event)
{
	return &its->cache[hash_u64((u64)device << 16 | event) % ITS_CACHE_SLOTS];
}

static void cache_store(struct its *its, u32 device, u32 event, u32 intid)
{
	/* Counted first: who erases looks at the count. Both happen under its_lock. */
	a32_store_relaxed(&its->nr_cached, 1);
	a64_store_relaxed(cache_slot(its, device, event), cache_word(device, event, intid));
}

void its_forget_cached(struct its *its)
{
	if (!a32_xchg(&its->nr_cached, 0))
		return;
	for (u32 i = 0; i < ITS_CACHE_SLOTS; i++)
		a64_store_relaxed(&its->cache[i], 0);
}

/* False: not there, or not deliverable this way. */
static bool cache_raise(struct its *its, u32 device, u32 event)
{
	struct a64 *slot = cache_slot(its, device, event);
	struct gic_lpi *lpi;
	u64 word;

	if (device >= BIT(ITS_DEVICE_BITS) || event >= BIT(ITS_EVENT_BITS))
		return false;
	word = a64_load_relaxed(slot);
	if ((word ^ cache_word(device, event, 0)) & ~0xffffull)
		return false;
	/* The word holds a number, not a pointer: an LPI that is found has been published, with an acquire by lpi_find. */
	lpi = lpi_find(its->vi, (u32)(word & 0xffff));
	return lpi && lpi_inject(lpi, slot, word);
}

/* --- translation --- */

int its_raise(struct its *its, u32 device, u32 event)
{
	struct its_entry *e;
	struct irq_cpu *cpu;

	if (!its->enabled)
		return -EBUSY;
	e = its_find_entry(its, device, event);
	cpu = e ? its_target(its, e->collection) : NULL;
	if (!cpu)
		return 0;
	if (!a32_load_relaxed(&cpu->lpis_enabled))
		return -EBUSY;
	cache_store(its, device, event, e->lpi->irq.intid);
	/* Moved by MOVALL to a vCPU that takes none: nobody hears it, as in KVM. */
	lpi_inject(e->lpi, NULL, 0);
	return 1;
}

int its_send_msi(struct vm_irq *vi, const struct kvm_msi *msi)
{
	struct its *its;
	int r;

	if (!its_exists(vi) || gic_is_v2(vi))
		return -ENODEV;
	if (!(msi->flags & KVM_MSI_VALID_DEVID))
		return -EINVAL;
	its = its_find(vi, (u64)msi->address_hi << 32 | msi->address_lo);
	if (!its)
		return -EINVAL;
	if (cache_raise(its, msi->devid, msi->data))
		return 1;
	mutex_lock(&vi->its_lock);
	r = its_raise(its, msi->devid, msi->data);
	mutex_unlock(&vi->its_lock);
	return r;
}

bool irq_has_its(const struct vm_irq *vi)
{
	return its_exists(vi);
}
