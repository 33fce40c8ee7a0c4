/* SPDX-License-Identifier: MIT */
/*
 * The ITS: turns (DeviceID, EventID) into an LPI and a vCPU, as the guest told it to by commands. docs/interrupts.md says what a
 * VMM sees.
 *
 * The guest's commands build three kinds of objects, which are what translation reads; the tables in guest memory are written by
 * save and read by restore only (its_table.c), but for entries that a command ends, which are zeroed at once.
 *
 *   struct its             born: its_create. seen by: vm_irq.its, a list that only grows. freed: its_fini, with the VM.
 *   struct its_device      born: MAPD, restore. gone: MAPD, reset, a new device table. Owns its entries.
 *   struct its_entry       born: MAPTI, MAPI, restore. gone: DISCARD, or with its device. Counts as one `mapped` of its LPI.
 *   struct its_collection  born: MAPC, or MAPTI that names one nobody mapped. gone: MAPC, reset, a new collection table; entries
 *                          that named it have none afterwards.
 *
 * Locks, outermost first:
 *   its.cmd_lock (RANK_ITS_CMD)     command queue registers of one ITS; held while commands run, one after the other
 *   vm_irq.its_lock (RANK_ITS)      all objects above of all ITSs of the VM, LPIs' use, tables in guest memory
 *   irq_cpu.lock                    the state of one LPI (gic.h)
 * A guest's commands may be much work: up to 32767 are queued at once, and some look at each LPI. A vCPU does them in slices, in the
 * run loop, where it looks at signals between two: it goes on in the guest when none is left. Another vCPU's access to registers of
 * the queue waits for the same, as for KVM's lock, by taking part. So a guest sees what KVM shows, an ITS that has done what it was told
 * when the write of GITS_CWRITER is over; user space, which may stop a vCPU in the middle, sees GITS_CREADR where it is, saves and
 * restores it so, and the queue goes on there with the next KVM_RUN. A command that was begun is begun anew elsewhere: each may be done
 * twice.
 *
 * Both ITS locks may be held while guest memory is accessed, which can sleep: hence they come before SRCU and are never taken in
 * guest mode. They come after irq_lock, under which irqfds fire.
 *
 * An MSI normally takes neither: translations are remembered in its.cache, each in one 64-bit word, so that it is read in one
 * piece. A word is stored with its_lock held and so are all erased, before a translation ends. Who read a word looks at it again
 * under the home's lock when it raises the LPI (lpi_inject), and whoever ends a translation takes that lock after it erased: so
 * an MSI either is pending before the end, which the end undoes, or finds the word gone and translates anew.
 */
#ifndef ANYKVM_IRQ_ITS_H
#define ANYKVM_IRQ_ITS_H

#include "irq/gic.h"

struct kvm_msi;

#define ITS_FRAME_SIZE	 0x20000ull
#define ITS_ENTRY_SIZE	 8 /* of all three tables: ABI 0 */
#define ITS_EVENT_BITS	 16
#define ITS_DEVICE_BITS	 16
#define ITS_CACHE_SLOTS	 1024
#define ITS_HASH_BUCKETS 1024
#define ITS_MAP_PAGE	 256 /* squared: device and collection numbers */
#define ITS_NO_TARGET	 (~0u)
/* Of one ITS. A guest may let all its translation tables lie on the same memory; ours would not. */
#define ITS_MAX_ENTRIES (1u << 20)

#define GITS_BASER_VALID    BIT(63)
#define GITS_BASER_INDIRECT BIT(62)

/*
 * Work between two looks at signals, in units: commands, and translations and LPIs that one visits. Some milliseconds; a single command
 * may use it up several times, and one that looks along all events of a device may overrun it once.
 */
#define ITS_SLICE 8192

enum its_table { ITS_TABLE_DEVICE, ITS_TABLE_COLLECTION, NR_ITS_TABLES };

struct its_collection {
	struct list link; /* its.collections, in the order of their birth */
	u32 id;
	u32 target; /* id of a vCPU, or ITS_NO_TARGET */
	struct list entries;
	u32 nr_entries;
};

struct its_device {
	struct list link; /* its.devices, by id */
	u32 id;
	u32 event_bits;
	u64 itt; /* guest address of its translation table */
	u32 cut; /* events below are gone because it was begun to be freed */
	struct list entries;
};

struct its_entry {
	struct list link;			/* its_device.entries, by event */
	struct its_entry *hash_next, **hash_at; /* hash_at: what points here */
	struct its_device *device;
	u32 event;
	struct its_collection *collection; /* NULL: it was unmapped */
	struct list joined;		   /* its_collection.entries */
	struct gic_lpi *lpi;
};

/* By number; pages stay until the end. */
struct its_map {
	struct its_map_page {
		u32 nr; /* in use */
		void *at[ITS_MAP_PAGE];
	} * page[ITS_MAP_PAGE];
};

#define ITS_COMMAND_SIZE 32

/* The command that CREADR is at, while it is begun and not done: what the queue says may change meanwhile. */
struct its_command {
	struct its *its;
	u64 word[ITS_COMMAND_SIZE / 8];
	bool begun;
	u32 at; /* how far it is: the handler's own */
};

struct its {
	struct vm_irq *vi;
	struct its *next; /* constant once it is on the list */
	u64 hash_key; /* constant: a guest that knew it could put all its events into one bucket */
	struct a64 base; /* GIC_ADDR_UNDEF until set; written under vm_irq.config */
	/* --- cmd_lock --- */
	struct mutex cmd_lock;
	u64 cbaser GUARDED_BY(cmd_lock);
	u64 creadr GUARDED_BY(cmd_lock);
	u64 cwriter GUARDED_BY(cmd_lock);
	struct its_command command GUARDED_BY(cmd_lock);
	u32 last_slice GUARDED_BY(cmd_lock); /* work of the last its_run_commands */
	/* --- vi->its_lock; enabled is changed under both --- */
	bool enabled;
	u64 baser[NR_ITS_TABLES];
	struct list devices, collections;
	struct its_map device_map, collection_map;
	u32 nr_entries;
	u32 work, work_limit; /* done since its_slice_begin, and when to stop */
	struct its_entry *hash[ITS_HASH_BUCKETS];
	/* --- read without lock --- */
	struct a32 nr_cached; /* words of cache in use, or about to be */
	struct a64 cache[ITS_CACHE_SLOTS];
};

static inline bool its_exists(const struct vm_irq *vi)
{
	return aptr_load_acquire(&vi->its) != NULL;
}

/* --- its.c: life, translation, MSIs, the cache; its_objects.c: all that takes or gives objects --- */

/* Not visible yet. NULL: no memory. */
struct its *its_alloc(struct vm_irq *vi);
void its_free(struct its *its);
/* Visible from now on, for as long as the VM lives. Caller holds vm->lock. */
void its_publish(struct its *its);
void its_fini(struct vm_irq *vi);
/* The ITS whose frame covers addr, or NULL. */
struct its *its_find(struct vm_irq *vi, u64 addr);

/*
 * The caller holds its_lock in all that follow. A device that is freed takes its entries with it; translations that end are
 * forgotten by the caches before it returns.
 *
 * What may visit many objects answers false when the slice of work is used up, with what it did done: it is to be called again, with
 * a new slice, for the rest.
 */
static inline void its_slice_begin(struct its *its, u32 limit)
{
	its->work = 0;
	its->work_limit = limit;
}
static inline bool its_slice_over(const struct its *its)
{
	return its->work >= its->work_limit;
}
struct its_device *its_find_device(struct its *its, u32 id);
struct its_collection *its_find_collection(struct its *its, u32 id);
struct its_entry *its_find_entry(struct its *its, u32 device, u32 event);
/* NULL: no memory. The id is free. */
struct its_device *its_add_device(struct its *its, u32 id, u64 itt, u32 event_bits);
struct its_collection *its_add_collection(struct its *its, u32 id, u32 target);
/* 0, -ENOMEM, -EFAULT. The event is free. */
int its_add_entry(struct its *its, struct its_device *device, struct its_collection *collection,
		  u32 event, u32 intid);
/* Without a look at the LPI. to NULL: none. */
void its_entry_join(struct its *its, struct its_entry *entry, struct its_collection *to);
void its_free_entry(struct its *its, struct its_entry *entry);
bool its_free_device(struct its *its, struct its_device *device);
bool its_free_devices(struct its *its);
bool its_free_collection(struct its *its, struct its_collection *collection);
bool its_free_collections(struct its *its);
/* Without a look at LPIs: their homes, the vCPUs, are gone. */
void its_objects_fini(struct its *its);
void its_forget_cached(struct its *its);
/* NULL: unmapped, or no such vCPU. */
struct irq_cpu *its_target(struct its *its, const struct its_collection *collection);
/* Raises the LPI of an event: 1, 0 if the guest has it unmapped, -EBUSY if ITS or LPIs are off. */
int its_raise(struct its *its, u32 device, u32 event);

/* Where the entry of an id is in the device or collection table. False: the table has no room for it, or it is no memory. */
bool its_entry_address(struct its *its, enum its_table table, u32 id, u64 *gpa);
/* Whether the translation table of a device has room for the event. */
bool its_event_fits(struct its *its, const struct its_device *device, u32 event);

/* MSI by address: 1 raised, 0 unmapped; -EINVAL (no device id, no ITS there), -ENODEV (no ITS), -EBUSY. No device lock held. */
int its_send_msi(struct vm_irq *vi, const struct kvm_msi *msi);

/* --- its_cmd.c --- */

/* Commands are queued, and the ITS is on. */
bool its_commands_left(const struct its *its) REQUIRES(&its->cmd_lock);
/* A slice of what is queued, if the ITS is on. */
void its_run_commands(struct its *its, struct mem_vcpu *writer) REQUIRES(&its->cmd_lock);
/* The command that was begun will not go on: the queue, or what commands build, is another. */
void its_drop_command(struct its *its) REQUIRES(&its->cmd_lock);
/* For a vCPU about to enter the guest, on its thread: one slice of each ITS. True: there is more to do. */
bool its_work(struct vm_irq *vi, struct vcpu *v);

/* --- its_mmio.c --- */

/*
 * 0; -EOPNOTSUPP: no frame of an ITS is there; -EAGAIN: commands are left, or more than a slice of work was asked for: the vCPU does
 * some of it (its_work) and makes the access again. vCPU thread, outside guest mode.
 */
int its_mmio_read(struct vm_irq *vi, struct vcpu *v, u64 ipa, unsigned size, u64 *value);
int its_mmio_write(struct vm_irq *vi, struct vcpu *v, u64 ipa, unsigned size, u64 value);
/* ITS_REGS attributes: -EINVAL (alignment), -ENXIO (no such register), and what a write answers. */
int its_user_has(u64 offset);
int its_user_read(struct its *its, u64 offset, u64 *value);
int its_user_write(struct its *its, u64 offset, u64 value);
/* KVM_DEV_ARM_ITS_CTRL_RESET; all vCPUs at rest. */
void its_reset(struct its *its);

/* --- its_table.c: all vCPUs at rest, its_lock held. -EFAULT, -EINVAL, -ENOMEM, -EEXIST --- */
int its_save_tables(struct its *its);
int its_restore_tables(struct its *its);

#endif
