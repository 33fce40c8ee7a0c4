/* SPDX-License-Identifier: MIT */
/*
 * What an ITS's commands build: devices, collections, and the translations that join them. its.h says who guards what.
 *
 * A guest decides how many there are, so nothing here walks all of them at once: devices and collections are found by number,
 * whatever visits translations counts them and stops at the end of a slice of work, with what it did done, to be called again.
 */
#include <errno.h>

#include "base/hash.h"
#include "host/alloc.h"
#include "irq/irq.h"
#include "irq/its.h"
#include "mem/mem.h"

#define TABLE_PAGE     0x10000u
#define STEPS_PER_WORK 16 /* looks at a map that are as much as a visit to a translation */

/* --- by number --- */

static void *map_get(const struct its_map *map, u32 id)
{
	const struct its_map_page *page;

	if (id >= ITS_MAP_PAGE * ITS_MAP_PAGE)
		return NULL;
	page = map->page[id / ITS_MAP_PAGE];
	return page ? page->at[id % ITS_MAP_PAGE] : NULL;
}

/* False: no memory. Never, if there was something by that number or its neighbours before. */
static bool map_set(struct its_map *map, u32 id, void *value)
{
	struct its_map_page **page = &map->page[id / ITS_MAP_PAGE];

	if (!*page)
		*page = NEW(struct its_map_page);
	if (!*page)
		return false;
	(*page)->nr += (u32) !!value - (u32) !!(*page)->at[id % ITS_MAP_PAGE];
	(*page)->at[id % ITS_MAP_PAGE] = value;
	return true;
}

/* What has the next lower number; NULL: none. At most some hundred short steps, as pages without anything are passed over. */
static void *map_before(struct its *its, const struct its_map *map, u32 id)
{
	for (u32 steps = 1; id--; steps++) {
		const struct its_map_page *page = map->page[id / ITS_MAP_PAGE];

		if (!page || !page->nr)
			id = ALIGN_DOWN(id, ITS_MAP_PAGE);
		else if (page->at[id % ITS_MAP_PAGE])
			return page->at[id % ITS_MAP_PAGE];
		if (steps % STEPS_PER_WORK == 0)
			its->work++;
	}
	return NULL;
}

static void map_fini(struct its_map *map)
{
	for (u32 i = 0; i < ITS_MAP_PAGE; i++)
		if (map->page[i])
			DELETE(map->page[i]);
}

struct its_device *its_find_device(struct its *its, u32 id)
{
	return map_get(&its->device_map, id);
}

struct its_collection *its_find_collection(struct its *its, u32 id)
{
	return map_get(&its->collection_map, id);
}

/* --- devices and collections --- */

struct its_device *its_add_device(struct its *its, u32 id, u64 itt, u32 event_bits)
{
	struct its_device *before = map_before(its, &its->device_map, id),
			  *d = NEW(struct its_device);

	if (!d)
		return NULL;
	if (!map_set(&its->device_map, id, d)) {
		DELETE(d);
		return NULL;
	}
	d->id = id;
	d->itt = itt;
	d->event_bits = event_bits;
	list_init(&d->entries);
	/* Sorted, as the tables are. */
	list_add(before ? &before->link : &its->devices, &d->link);
	return d;
}

bool its_free_device(struct its *its, struct its_device *device)
{
	while (!list_empty(&device->entries)) {
		struct its_entry *e = list_first(&device->entries, struct its_entry, link);

		if (its_slice_over(its)) {
			device->cut = MAX(device->cut, e->event);
			return false;
		}
		its_free_entry(its, e);
	}
	map_set(&its->device_map, device->id, NULL);
	list_del(&device->link);
	DELETE(device);
	its->work++;
	return true;
}

bool its_free_devices(struct its *its)
{
	while (!list_empty(&its->devices)) {
		if (its_slice_over(its) ||
		    !its_free_device(its, list_first(&its->devices, struct its_device, link)))
			return false;
	}
	return true;
}

struct its_collection *its_add_collection(struct its *its, u32 id, u32 target)
{
	struct its_collection *c = NEW(struct its_collection);

	if (!c)
		return NULL;
	if (!map_set(&its->collection_map, id, c)) {
		DELETE(c);
		return NULL;
	}
	c->id = id;
	c->target = target;
	list_init(&c->entries);
	list_add_tail(&its->collections, &c->link);
	return c;
}

bool its_free_collection(struct its *its, struct its_collection *collection)
{
	its_forget_cached(its);
	while (collection->nr_entries) {
		if (its_slice_over(its))
			return false;
		its_entry_join(its, list_first(&collection->entries, struct its_entry, joined),
			       NULL);
	}
	map_set(&its->collection_map, collection->id, NULL);
	list_del(&collection->link);
	DELETE(collection);
	its->work++;
	return true;
}

bool its_free_collections(struct its *its)
{
	while (!list_empty(&its->collections)) {
		if (its_slice_over(its) ||
		    !its_free_collection(
			    its, list_first(&its->collections, struct its_collection, link)))
			return false;
	}
	return true;
}

struct irq_cpu *its_target(struct its *its, const struct its_collection *collection)
{
	struct vcpu *v;

	if (!collection || collection->target == ITS_NO_TARGET)
		return NULL;
	v = irq_vcpu_by_id(its->vi->group, collection->target);
	return v ? irq_cpu_of(v) : NULL;
}

/* --- entries --- */

static u32 entry_hash(const struct its *its, u32 device, u32 event)
{
	return hash_u64(hash_u64((u64)device << 32 | event) ^ its->hash_key) % ITS_HASH_BUCKETS;
}

struct its_entry *its_find_entry(struct its *its, u32 device, u32 event)
{
	struct its_entry *e = its->hash[entry_hash(its, device, event)];

	for (; e && (e->event != event || e->device->id != device); e = e->hash_next)
		its->work++;
	return e;
}

void its_entry_join(struct its *its, struct its_entry *entry, struct its_collection *to)
{
	if (entry->collection)
		entry->collection->nr_entries--;
	list_del(&entry->joined);
	entry->collection = to;
	if (to) {
		to->nr_entries++;
		list_add_tail(&to->entries, &entry->joined);
	}
	its->work++;
}

static void entry_insert(struct its *its, struct its_entry *e)
{
	struct its_entry **bucket = &its->hash[entry_hash(its, e->device->id, e->event)];
	struct list *head = &e->device->entries, *at = head->prev;

	/* Sorted, as the tables are; events mostly ascend. */
	for (; at != head && list_entry(at, struct its_entry, link)->event > e->event;
	     at = at->prev)
		its->work++;
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
	list_init(&e->joined);
	its_entry_join(its, e, collection);
	entry_insert(its, e);
	return 0;
}

void its_free_entry(struct its *its, struct its_entry *entry)
{
	*entry->hash_at = entry->hash_next;
	if (entry->hash_next)
		entry->hash_next->hash_at = entry->hash_at;
	list_del(&entry->link);
	its_entry_join(its, entry, NULL);
	its->nr_entries--;
	its_forget_cached(its);
	lpi_unmap(entry->lpi);
	DELETE(entry);
}

void its_objects_fini(struct its *its)
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
	map_fini(&its->device_map);
	map_fini(&its->collection_map);
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
