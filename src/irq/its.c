/* SPDX-License-Identifier: MIT */
/* Life of an ITS, what its commands build, translation of MSIs and the cache of translations. its.h says who guards what. */
#include "irq/its.h"

#include <errno.h>

#include <anykvm/kvm.h>

#include "base/hash.h"
#include "host/alloc.h"
#include "host/random.h"
#include "irq/irq.h"
#include "mem/mem.h"

#define BASER_TYPE_SHIFT 56
#define BASER_SIZE_SHIFT 48
/* Inner shareable, read-allocate write-back, pages of 64 KiB. */
#define BASER_INITIAL \
	(3ull << 59 | 1ull << 10 | 2ull << 8 | (ITS_ENTRY_SIZE - 1ull) << BASER_SIZE_SHIFT)
#define TABLE_PAGE 0x10000u

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

/* Without a look at LPIs: their homes, the vCPUs, are gone. */
static void its_free_tables(struct its *its)
{
	struct its_collection *c, *tmp_c;
	struct its_device *d, *tmp_d;
	struct its_entry *e, *tmp_e;

	list_for_each_safe(d, tmp_d, &its->devices, link)
	{
		list_for_each_safe(e, tmp_e, &d->entries, link) DELETE(e);
		DELETE(d);
	}
	list_for_each_safe(c, tmp_c, &its->collections, link) DELETE(c);
}

void its_fini(struct vm_irq *vi)
{
	struct its *its = aptr_load_relaxed(&vi->its), *next;

	for (; its; its = next) {
		next = its->next;
		its_free_tables(its);
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

/* --- devices, collections, entries --- */

struct its_device *its_find_device(struct its *its, u32 id)
{
	struct list *at = its->devices.prev;

	/* They are sorted, and mostly asked for in ascending order. */
	while (at != &its->devices && list_entry(at, struct its_device, link)->id > id)
		at = at->prev;
	if (at == &its->devices || list_entry(at, struct its_device, link)->id != id)
		return NULL;
	return list_entry(at, struct its_device, link);
}

struct its_collection *its_find_collection(struct its *its, u32 id)
{
	struct its_collection *c;

	list_for_each(c, &its->collections, link) if (c->id == id) return c;
	return NULL;
}

static u32 entry_hash(const struct its *its, u32 device, u32 event)
{
	return hash_u64(hash_u64((u64)device << 32 | event) ^ its->hash_key) % ITS_HASH_BUCKETS;
}

struct its_entry *its_find_entry(struct its *its, u32 device, u32 event)
{
	struct its_entry *e = its->hash[entry_hash(its, device, event)];

	while (e && (e->event != event || e->device->id != device))
		e = e->hash_next;
	return e;
}

struct its_device *its_add_device(struct its *its, u32 id, u64 itt, u32 event_bits)
{
	struct its_device *d = NEW(struct its_device);
	struct list *at = its->devices.prev;

	if (!d)
		return NULL;
	d->id = id;
	d->itt = itt;
	d->event_bits = event_bits;
	list_init(&d->entries);
	/* Sorted, as the tables are; ids mostly ascend. */
	while (at != &its->devices && list_entry(at, struct its_device, link)->id > id)
		at = at->prev;
	list_add(at, &d->link);
	return d;
}

struct its_collection *its_add_collection(struct its *its, u32 id, u32 target)
{
	struct its_collection *c = NEW(struct its_collection);

	if (!c)
		return NULL;
	c->id = id;
	c->target = target;
	list_add_tail(&its->collections, &c->link);
	return c;
}

static void entry_insert(struct its *its, struct its_entry *e)
{
	struct its_entry **bucket = &its->hash[entry_hash(its, e->device->id, e->event)];
	struct list *head = &e->device->entries, *at = head->prev;

	while (at != head && list_entry(at, struct its_entry, link)->event > e->event)
		at = at->prev;
	list_add(at, &e->link);
	e->hash_at = bucket;
	e->hash_next = *bucket;
	if (e->hash_next)
		e->hash_next->hash_at = &e->hash_next;
	*bucket = e;
	its->nr_entries++;
}

int its_add_entry(struct its *its, struct its_device *device, struct its_collection *collection,
		  u32 event, u32 intid) NO_THREAD_SAFETY_ANALYSIS
{
	struct its_entry *e;
	int err;

	if (its->nr_entries == ITS_MAX_ENTRIES)
		return -ENOMEM;
	e = NEW(struct its_entry);
	if (!e)
		return -ENOMEM;
	err = lpi_map(its->vi, intid, its_target(its, collection), &e->lpi);
	if (err) {
		DELETE(e);
		return err;
	}
	e->device = device;
	e->event = event;
	e->collection = collection;
	entry_insert(its, e);
	return 0;
}

void its_free_entry(struct its *its, struct its_entry *entry)
{
	*entry->hash_at = entry->hash_next;
	if (entry->hash_next)
		entry->hash_next->hash_at = entry->hash_at;
	list_del(&entry->link);
	its->nr_entries--;
	its_forget_cached(its);
	lpi_unmap(entry->lpi);
	DELETE(entry);
}

void its_free_device(struct its *its, struct its_device *device)
{
	struct its_entry *e, *tmp;

	list_for_each_safe(e, tmp, &device->entries, link) its_free_entry(its, e);
	list_del(&device->link);
	DELETE(device);
}

void its_free_devices(struct its *its)
{
	struct its_device *d, *tmp;

	list_for_each_safe(d, tmp, &its->devices, link) its_free_device(its, d);
}

void its_free_collection(struct its *its, struct its_collection *collection)
{
	struct its_device *d;
	struct its_entry *e;

	list_for_each(d, &its->devices, link)
	{
		list_for_each(e, &d->entries, link) if (e->collection == collection) e->collection =
			NULL;
	}
	list_del(&collection->link);
	DELETE(collection);
	its_forget_cached(its);
}

void its_free_collections(struct its *its)
{
	struct its_collection *c, *tmp;
	struct its_device *d;
	struct its_entry *e;

	/* One pass over the entries, however many collections there are. */
	list_for_each(d, &its->devices, link)
	{
		list_for_each(e, &d->entries, link) e->collection = NULL;
	}
	list_for_each_safe(c, tmp, &its->collections, link)
	{
		list_del(&c->link);
		DELETE(c);
	}
	its_forget_cached(its);
}

struct irq_cpu *its_target(struct its *its, const struct its_collection *collection)
{
	struct vcpu *v;

	if (!collection || collection->target == ITS_NO_TARGET)
		return NULL;
	v = irq_vcpu_by_id(its->vi->group, collection->target);
	return v ? irq_cpu_of(v) : NULL;
}

/* --- room in the guest's tables --- */

bool its_entry_address(struct its *its, enum its_table table, u32 id, u64 *gpa)
{
	u64 baser = its->baser[table], base = (baser & GENMASK(47, 16)) | bits_get(baser, 12, 4)
										  << 48;
	u32 size = ((u32)(baser & 0xff) + 1) * TABLE_PAGE;
	u32 per_page = TABLE_PAGE / ITS_ENTRY_SIZE;

	if (id >= BIT(table == ITS_TABLE_DEVICE ? ITS_DEVICE_BITS : 16))
		return false;
	if (!(baser & GITS_BASER_INDIRECT)) {
		if (id >= size / ITS_ENTRY_SIZE)
			return false;
		*gpa = base + id * ITS_ENTRY_SIZE;
	} else {
		u64 page;

		if (id / per_page >= size / sizeof(page) ||
		    mem_read_guest(its->vi->group->mem, base + id / per_page * sizeof(page), &page,
				   sizeof(page)) ||
		    !(page & GITS_BASER_VALID))
			return false;
		*gpa = (page & GENMASK(51, 16)) + id % per_page * ITS_ENTRY_SIZE;
	}
	return mem_is_visible(its->vi->group->mem, *gpa);
}

bool its_event_fits(struct its *its, const struct its_device *device, u32 event)
{
	return event < BIT(device->event_bits) &&
	       mem_is_visible(its->vi->group->mem, device->itt + (u64)event * ITS_ENTRY_SIZE);
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
