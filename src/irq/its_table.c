/* SPDX-License-Identifier: MIT */
/*
 * The ITS tables in guest memory, in KVM's format 0: little-endian entries of eight bytes.
 *
 *   device       63 valid, 62:49 distance to the next device, 48:5 address >> 8 of its translation table, 4:0 event bits - 1
 *   translation  63:48 distance to the next event, 47:16 LPI (0: none), 15:0 collection
 *   collection   63 valid, 51:16 vCPU, 15:0 collection; a table in order of birth, ended by an entry that is not valid
 *
 * A distance is 0 at the last one, and no more than its field holds: who reads then goes on from there one by one.
 *
 * Tables are the guest's memory: restoring takes any contents for an answer, which is 0 or an error with everything undone.
 */
#include <errno.h>

#include "irq/irq.h"
#include "irq/its.h"
#include "mem/mem.h"

#define ENTRY_VALID	  BIT(63)
#define DEVICE_NEXT_SHIFT 49
#define DEVICE_NEXT_BITS  14
#define DEVICE_ITT_SHIFT  5
#define DEVICE_ITT_BITS	  44
#define EVENT_NEXT_SHIFT  48
#define EVENT_NEXT_BITS	  16
#define EVENT_LPI_SHIFT	  16
#define TARGET_SHIFT	  16
#define TABLE_PAGE	  0x10000u

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "entries are copied as they are");

static int entry_write(struct its *its, u64 gpa, u64 entry)
{
	return mem_write_guest(its->vi->group->mem, NULL, gpa, &entry, sizeof(entry));
}

static u64 table_base(const struct its *its, enum its_table table)
{
	return (its->baser[table] & GENMASK(47, 16)) | bits_get(its->baser[table], 12, 4) << 48;
}

static u64 table_bytes(const struct its *its, enum its_table table)
{
	return ((its->baser[table] & 0xff) + 1) * TABLE_PAGE;
}

static bool table_in_use(const struct its *its, enum its_table table)
{
	return its->baser[table] & GITS_BASER_VALID;
}

static u64 distance(u32 from, u32 to, unsigned bits)
{
	return MIN(to - from, (1u << bits) - 1);
}

/* --- save --- */

/*
 * Of a device that a command is just freeing: its table may still have what an earlier save wrote there for events that are gone. That
 * of a device that is gone as a whole is found by nobody.
 */
static int zero_cut(struct its *its, const struct its_device *d)
{
	int err = 0;

	for (u32 event = 0; event < d->cut && !err; event++)
		if (its_event_fits(its, d, event))
			err = entry_write(its, d->itt + (u64)event * ITS_ENTRY_SIZE, 0);
	return err;
}

static int save_events(struct its *its, const struct its_device *d)
{
	int err = zero_cut(its, d);
	struct its_entry *e;

	if (err)
		return err;
	list_for_each(e, &d->entries, link)
	{
		u64 gpa = d->itt + (u64)e->event * ITS_ENTRY_SIZE, entry = 0;

		/* Its collection is gone, and the number with it: nothing to restore. */
		if (e->collection) {
			struct its_entry *next = list_entry(e->link.next, struct its_entry, link);
			bool last = e->link.next == &d->entries;

			entry = (u64)e->lpi->irq.intid << EVENT_LPI_SHIFT | e->collection->id;
			if (!last)
				entry |= distance(e->event, next->event, EVENT_NEXT_BITS)
					 << EVENT_NEXT_SHIFT;
		}
		err = entry_write(its, gpa, entry);
		if (err)
			break;
	}
	return err;
}

/* The first from d on that the table has room for; the others cannot be saved. */
static struct its_device *next_device(struct its *its, struct list *from, u64 *gpa)
{
	for (; from != &its->devices; from = from->next) {
		struct its_device *d = list_entry(from, struct its_device, link);

		if (its_entry_address(its, ITS_TABLE_DEVICE, d->id, gpa))
			return d;
	}
	return NULL;
}

static int save_devices(struct its *its)
{
	struct its_device *d, *next;
	u64 gpa, next_gpa;
	int err = 0;

	if (!table_in_use(its, ITS_TABLE_DEVICE))
		return 0;
	for (d = next_device(its, its->devices.next, &gpa); d && !err; d = next, gpa = next_gpa) {
		u64 entry = ENTRY_VALID | (d->itt >> 8) << DEVICE_ITT_SHIFT | (d->event_bits - 1);

		next = next_device(its, d->link.next, &next_gpa);
		if (next)
			entry |= distance(d->id, next->id, DEVICE_NEXT_BITS) << DEVICE_NEXT_SHIFT;
		err = save_events(its, d);
		if (!err)
			err = entry_write(its, gpa, entry);
	}
	return err;
}

static int save_collections(struct its *its)
{
	u64 gpa = table_base(its, ITS_TABLE_COLLECTION);
	u64 end = gpa + table_bytes(its, ITS_TABLE_COLLECTION);
	struct its_collection *c;
	int err;

	if (!table_in_use(its, ITS_TABLE_COLLECTION))
		return 0;
	list_for_each(c, &its->collections, link)
	{
		err = entry_write(its, gpa, ENTRY_VALID | (u64)c->target << TARGET_SHIFT | c->id);
		if (err)
			return err;
		gpa += ITS_ENTRY_SIZE;
	}
	return gpa == end ? 0 : entry_write(its, gpa, 0);
}

int its_save_tables(struct its *its)
{
	int err = save_devices(its);

	return err ? err : save_collections(its);
}

/* --- restore --- */

/* What an entry says: the distance to the next, 0 if it was the last, 1 if it says nothing; or -errno. */
typedef int restore_entry(struct its *its, void *ctx, u32 id, u64 entry);

/* Entries that were read together: those in the same part of a page of memory, so that all can be read if one can. */
#define ENTRIES_AT_ONCE 64
struct entries {
	bool any;
	u64 gpa;
	u64 at[ENTRIES_AT_ONCE];
};

static int entries_read(struct its *its, struct entries *e, u64 gpa, u64 *entry)
{
	u64 first = ALIGN_DOWN(gpa, sizeof(e->at));
	int err = 0;

	if (!e->any || e->gpa != first) {
		err = mem_read_guest(its->vi->group->mem, first, e->at, sizeof(e->at));
		e->any = !err;
		e->gpa = first;
	}
	*entry = e->at[(gpa - first) / ITS_ENTRY_SIZE];
	return err;
}

/*
 * Over a table of nr entries, whose first has number id. 0: the last was found; 1: the end of the table was; or -errno. A guest may have
 * left 2^32 of them that say nothing.
 */
static int scan_table(struct its *its, u64 gpa, u64 nr, u32 id, restore_entry *fn, void *ctx)
{
	struct entries e = {0};

	for (u64 i = 0; i < nr;) {
		u64 entry;
		int step = entries_read(its, &e, gpa + i * ITS_ENTRY_SIZE, &entry);

		if (!step)
			step = fn(its, ctx, id + (u32)i, entry);
		if (step <= 0)
			return step;
		i += (u32)step;
	}
	return 1;
}

static int restore_event(struct its *its, void *ctx, u32 event, u64 entry)
{
	struct its_device *d = ctx;
	u32 intid = (u32)bits_get(entry, EVENT_LPI_SHIFT, 32);
	u32 next = (u32)bits_get(entry, EVENT_NEXT_SHIFT, EVENT_NEXT_BITS);
	struct its_collection *c;
	int err;

	if (!intid)
		return 1;
	if (intid < GIC_FIRST_LPI || intid >= GIC_FIRST_LPI + GIC_NR_LPI ||
	    event + next >= BIT(d->event_bits))
		return -EINVAL;
	c = its_find_collection(its, (u32)bits_get(entry, 0, 16));
	if (!c || !its_event_fits(its, d, event) || its_find_entry(its, d->id, event))
		return -EINVAL;
	err = its_add_entry(its, d, c, event, intid);
	return err ? err : (int)next;
}

static int restore_device(struct its *its, void *ctx, u32 id, u64 entry)
{
	u32 event_bits = (u32)bits_get(entry, 0, 5) + 1;
	struct its_device *d;
	u64 gpa;
	int err;

	(void)ctx;
	if (!(entry & ENTRY_VALID))
		return 1;
	if (event_bits > ITS_EVENT_BITS || !its_entry_address(its, ITS_TABLE_DEVICE, id, &gpa) ||
	    its_find_device(its, id))
		return -EINVAL;
	d = its_add_device(its, id, bits_get(entry, DEVICE_ITT_SHIFT, DEVICE_ITT_BITS) << 8,
			   event_bits);
	if (!d)
		return -ENOMEM;
	err = scan_table(its, d->itt, BIT(event_bits), 0, restore_event, d);
	if (err < 0)
		return err;
	return (int)bits_get(entry, DEVICE_NEXT_SHIFT, DEVICE_NEXT_BITS);
}

/* An entry of the first level names a page of device entries. */
static int restore_device_page(struct its *its, void *ctx, u32 index, u64 entry)
{
	u32 per_page = TABLE_PAGE / ITS_ENTRY_SIZE;

	(void)ctx;
	if (!(entry & ENTRY_VALID))
		return 1;
	return scan_table(its, entry & GENMASK(51, 16), per_page, index * per_page, restore_device,
			  NULL);
}

static int restore_devices(struct its *its)
{
	bool indirect = its->baser[ITS_TABLE_DEVICE] & GITS_BASER_INDIRECT;
	int r;

	if (!table_in_use(its, ITS_TABLE_DEVICE))
		return 0;
	r = scan_table(its, table_base(its, ITS_TABLE_DEVICE),
		       table_bytes(its, ITS_TABLE_DEVICE) / ITS_ENTRY_SIZE, 0,
		       indirect ? restore_device_page : restore_device, NULL);
	return MIN(r, 0);
}

static int restore_collection(struct its *its, void *ctx, u32 index, u64 entry)
{
	u32 target = (u32)(entry >> TARGET_SHIFT), id = (u32)bits_get(entry, 0, 16);
	u64 gpa;

	(void)ctx;
	(void)index;
	if (!(entry & ENTRY_VALID))
		return 0;
	if (target != ITS_NO_TARGET && !irq_vcpu_by_id(its->vi->group, target))
		return -EINVAL;
	if (its_find_collection(its, id))
		return -EEXIST;
	if (!its_entry_address(its, ITS_TABLE_COLLECTION, id, &gpa))
		return -EINVAL;
	return its_add_collection(its, id, target) ? 1 : -ENOMEM;
}

static int restore_collections(struct its *its)
{
	int r;

	if (!table_in_use(its, ITS_TABLE_COLLECTION))
		return 0;
	r = scan_table(its, table_base(its, ITS_TABLE_COLLECTION),
		       table_bytes(its, ITS_TABLE_COLLECTION) / ITS_ENTRY_SIZE, 0,
		       restore_collection, NULL);
	return MIN(r, 0);
}

int its_restore_tables(struct its *its)
{
	int err;

	its_slice_begin(its, ~0u);
	err = restore_collections(its);
	if (!err) {
		err = restore_devices(its);
		if (err)
			its_free_devices(its);
	}
	if (err)
		its_free_collections(its);
	return err;
}
