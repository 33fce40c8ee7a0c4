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
#define ITS_NO_TARGET	 (~0u)
/* Of one ITS. A guest may let all its translation tables lie on the same memory; ours would not. */
#define ITS_MAX_ENTRIES (1u << 20)

#define GITS_BASER_VALID    BIT(63)
#define GITS_BASER_INDIRECT BIT(62)

enum its_table { ITS_TABLE_DEVICE, ITS_TABLE_COLLECTION, NR_ITS_TABLES };

struct its_collection {
	struct list link; /* its.collections, in the order of their birth */
	u32 id;
	u32 target; /* id of a vCPU, or ITS_NO_TARGET */
};

struct its_device {
	struct list link; /* its.devices, by id */
	u32 id;
	u32 event_bits;
	u64 itt; /* guest address of its translation table */
	struct list entries;
};

struct its_entry {
	struct list link;			/* its_device.entries, by event */
	struct its_entry *hash_next, **hash_at; /* hash_at: what points here */
	struct its_device *device;
	u32 event;
	struct its_collection *collection; /* NULL: it was unmapped */
	struct gic_lpi *lpi;
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
	/* --- vi->its_lock; enabled is changed under both --- */
	bool enabled;
	u64 baser[NR_ITS_TABLES];
	struct list devices, collections;
	u32 nr_entries;
	struct its_entry *hash[ITS_HASH_BUCKETS];
	/* --- read without lock --- */
	struct a32 nr_cached; /* words of cache in use, or about to be */
	struct a64 cache[ITS_CACHE_SLOTS];
};

static inline bool its_exists(const struct vm_irq *vi)
{
	return aptr_load_acquire(&vi->its) != NULL;
}

/* --- its.c: life, translation, MSIs --- */

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
 */
struct its_device *its_find_device(struct its *its, u32 id);
struct its_collection *its_find_collection(struct its *its, u32 id);
struct its_entry *its_find_entry(struct its *its, u32 device, u32 event);
/* NULL: no memory. The id is free. */
struct its_device *its_add_device(struct its *its, u32 id, u64 itt, u32 event_bits);
struct its_collection *its_add_collection(struct its *its, u32 id, u32 target);
/* 0, -ENOMEM, -EFAULT. The event is free. */
int its_add_entry(struct its *its, struct its_device *device, struct its_collection *collection,
		  u32 event, u32 intid);
void its_free_entry(struct its *its, struct its_entry *entry);
void its_free_device(struct its *its, struct its_device *device);
void its_free_devices(struct its *its);
void its_free_collection(struct its *its, struct its_collection *collection);
void its_free_collections(struct its *its);
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

#define ITS_COMMAND_SIZE 32
/* Runs what is queued, if the ITS is on. */
void its_run_commands(struct its *its, struct mem_vcpu *writer) REQUIRES(&its->cmd_lock);

/* --- its_mmio.c --- */

/* 0, or -EOPNOTSUPP: no frame of an ITS is there. vCPU thread, outside guest mode. */
int its_mmio_read(struct vm_irq *vi, u64 ipa, unsigned size, u64 *value);
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
