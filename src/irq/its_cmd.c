/* SPDX-License-Identifier: MIT */
/*
 * The commands of an ITS. A command that is wrong (an id out of range, nothing mapped there) has no effect and is stepped over, as
 * in KVM, which gives the guest no error either. SYNC has nothing to do: a command's effects are there when its successor starts.
 *
 * A handler that visits more than a slice of work allows answers false, and is called again. Until it is done the command counts as
 * not read; a translation that it ends may be there or not.
 */
#include <errno.h>

#include "irq/irq.h"
#include "irq/its.h"
#include "mem/mem.h"

enum {
	CMD_MOVI = 0x01,
	CMD_INT = 0x03,
	CMD_CLEAR = 0x04,
	CMD_SYNC = 0x05,
	CMD_MAPD = 0x08,
	CMD_MAPC = 0x09,
	CMD_MAPTI = 0x0a,
	CMD_MAPI = 0x0b,
	CMD_INV = 0x0c,
	CMD_INVALL = 0x0d,
	CMD_MOVALL = 0x0e,
	CMD_DISCARD = 0x0f,
};

static u32 cmd_device(const struct its_command *c)
{
	return (u32)bits_get(c->word[0], 32, 32);
}

static u32 cmd_event(const struct its_command *c)
{
	return (u32)bits_get(c->word[1], 0, 32);
}

static u32 cmd_collection(const struct its_command *c)
{
	return (u32)bits_get(c->word[2], 0, 16);
}

static bool cmd_valid(const struct its_command *c)
{
	return c->word[2] >> 63;
}

/* GITS_TYPER.PTA is 0: a redistributor is named by its number, the id of its vCPU. */
static u32 cmd_redist(const struct its_command *c, unsigned word)
{
	return (u32)bits_get(c->word[word], 16, 32);
}

static struct its_entry *cmd_entry(const struct its_command *c)
{
	return its_find_entry(c->its, cmd_device(c), cmd_event(c));
}

static struct irq_cpu *cmd_cpu(const struct its_command *c, unsigned word)
{
	struct vcpu *v = irq_vcpu_by_id(c->its->vi->group, cmd_redist(c, word));

	return v ? irq_cpu_of(v) : NULL;
}

static bool is_mapped(const struct its_collection *collection)
{
	return collection && collection->target != ITS_NO_TARGET;
}

/* An entry of a table in guest memory is over: so that a later restore does not find it. */
static void entry_zero(const struct its_command *c, u64 gpa) NO_THREAD_SAFETY_ANALYSIS
{
	u64 zero = 0;

	mem_write_guest(c->its->vi->group->mem, c->its->vi->table_writer, gpa, &zero, sizeof(zero));
}

static bool do_mapd(struct its_command *c)
{
	u32 id = cmd_device(c), event_bits = (u32)bits_get(c->word[1], 0, 5) + 1;
	struct its_device *d;
	u64 gpa;

	if (!its_entry_address(c->its, ITS_TABLE_DEVICE, id, &gpa) ||
	    (cmd_valid(c) && event_bits > ITS_EVENT_BITS))
		return true;
	/* A device that is mapped again starts anew. */
	d = its_find_device(c->its, id);
	if (d && !its_free_device(c->its, d))
		return false;
	if (cmd_valid(c))
		its_add_device(c->its, id, c->word[2] & GENMASK(51, 8), event_bits);
	else
		entry_zero(c, gpa);
	return true;
}

/* A collection has another vCPU: each of its translations comes to the front once, and goes to the end. */
static bool collection_route(struct its_command *c, struct its_collection *collection)
{
	struct irq_cpu *to = its_target(c->its, collection);

	for (; c->at < collection->nr_entries; c->at++) {
		struct its_entry *e = list_first(&collection->entries, struct its_entry, joined);

		if (its_slice_over(c->its))
			return false;
		its_entry_join(c->its, e, collection);
		lpi_route(e->lpi, NULL, to);
	}
	return true;
}

static bool do_mapc(struct its_command *c)
{
	struct its_collection *collection = its_find_collection(c->its, cmd_collection(c));
	u64 gpa;

	if (!cmd_valid(c))
		return !collection || its_free_collection(c->its, collection);
	if (!cmd_cpu(c, 2))
		return true;
	if (collection) {
		collection->target = cmd_redist(c, 2);
		return collection_route(c, collection);
	}
	if (its_entry_address(c->its, ITS_TABLE_COLLECTION, cmd_collection(c), &gpa))
		its_add_collection(c->its, cmd_collection(c), cmd_redist(c, 2));
	return true;
}

/* MAPTI, and MAPI, whose LPI has the number of the event. */
static bool map_event(const struct its_command *c, u32 intid)
{
	struct its_device *d = its_find_device(c->its, cmd_device(c));
	struct its_collection *collection, *new = NULL;
	u64 gpa;

	if (!d || !its_event_fits(c->its, d, cmd_event(c)) || intid < GIC_FIRST_LPI ||
	    intid >= lpi_id_limit(c->its->vi) || cmd_entry(c))
		return true;
	collection = its_find_collection(c->its, cmd_collection(c));
	if (!collection) {
		if (!its_entry_address(c->its, ITS_TABLE_COLLECTION, cmd_collection(c), &gpa))
			return true;
		collection = new = its_add_collection(c->its, cmd_collection(c), ITS_NO_TARGET);
		if (!new)
			return true;
	}
	if (its_add_entry(c->its, d, collection, cmd_event(c), intid) && new)
		its_free_collection(c->its, new); /* which is empty */
	return true;
}

static bool do_mapti(struct its_command *c)
{
	return map_event(c, (u32)bits_get(c->word[1], 32, 32));
}

static bool do_mapi(struct its_command *c)
{
	return map_event(c, cmd_event(c));
}

static bool do_movi(struct its_command *c)
{
	struct its_entry *e = cmd_entry(c);
	struct its_collection *to = its_find_collection(c->its, cmd_collection(c));

	if (!e || !is_mapped(e->collection) || !is_mapped(to))
		return true;
	its_entry_join(c->its, e, to);
	its_forget_cached(c->its);
	lpi_route(e->lpi, NULL, its_target(c->its, to));
	return true;
}

/* Of all LPIs, from where the command came to: a walk, and what is left of the slice. */
static struct lpi_walk walk_begin(const struct its_command *c)
{
	u32 done = c->its->work, limit = c->its->work_limit;

	return (struct lpi_walk){
		.next = c->begun ? c->at : GIC_FIRST_LPI,
		.left = done < limit ? limit - done : 1,
	};
}

static bool walk_end(struct its_command *c, const struct lpi_walk *begin, const struct lpi_walk *w,
		     bool done)
{
	c->its->work += begin->left - w->left;
	c->at = w->next;
	return done;
}

/* Of all ITSs: an LPI's home does not tell through which it came. */
static bool do_movall(struct its_command *c) NO_THREAD_SAFETY_ANALYSIS
{
	struct lpi_walk begin = walk_begin(c), w = begin;
	struct irq_cpu *from = cmd_cpu(c, 2), *to = cmd_cpu(c, 3);
	bool done;

	if (!from || !to || from == to)
		return true;
	done = lpi_route_all(c->its->vi, from, to, &w);
	its_forget_cached(c->its);
	return walk_end(c, &begin, &w, done);
}

static bool do_discard(struct its_command *c)
{
	struct its_entry *e = cmd_entry(c);
	u64 gpa;

	if (!e || !is_mapped(e->collection))
		return true;
	gpa = e->device->itt + (u64)e->event * ITS_ENTRY_SIZE;
	its_free_entry(c->its, e);
	entry_zero(c, gpa);
	return true;
}

static bool do_clear(struct its_command *c)
{
	struct its_entry *e = cmd_entry(c);

	if (e)
		lpi_set_pending(e->lpi, false);
	return true;
}

static bool do_inv(struct its_command *c) NO_THREAD_SAFETY_ANALYSIS
{
	struct its_entry *e = cmd_entry(c);

	if (e)
		lpi_configure(c->its->vi, e->lpi);
	return true;
}

static bool do_invall(struct its_command *c) NO_THREAD_SAFETY_ANALYSIS
{
	struct irq_cpu *cpu = its_target(c->its, its_find_collection(c->its, cmd_collection(c)));
	struct lpi_walk begin = walk_begin(c), w = begin;

	if (!cpu)
		return true;
	return walk_end(c, &begin, &w, lpi_configure_all(c->its->vi, cpu, &w));
}

static bool do_int(struct its_command *c)
{
	its_raise(c->its, cmd_device(c), cmd_event(c));
	return true;
}

static bool (*const handlers[])(struct its_command *c) = {
	[CMD_MOVI] = do_movi,	  [CMD_INT] = do_int,	      [CMD_CLEAR] = do_clear,
	[CMD_MAPD] = do_mapd,	  [CMD_MAPC] = do_mapc,	      [CMD_MAPTI] = do_mapti,
	[CMD_MAPI] = do_mapi,	  [CMD_INV] = do_inv,	      [CMD_INVALL] = do_invall,
	[CMD_MOVALL] = do_movall, [CMD_DISCARD] = do_discard,
};

/* What of budget the command took, 1 at least. *done: it is over. */
static u32 run_command(struct its_command *c, struct mem_vcpu *writer, u32 budget, bool *done)
{
	struct vm_irq *vi = c->its->vi;
	u8 number = (u8)c->word[0];
	u32 work;

	*done = true;
	if (number >= ARRAY_SIZE(handlers) || !handlers[number])
		return 1;
	mutex_lock(&vi->its_lock);
	its_slice_begin(c->its, budget);
	vi->table_writer = writer;
	*done = handlers[number](c);
	vi->table_writer = NULL;
	work = c->its->work;
	mutex_unlock(&vi->its_lock);
	return work + 1;
}

bool its_commands_left(const struct its *its)
{
	/* enabled is read without its_lock: it changes under cmd_lock too. */
	return its->enabled && its->creadr != its->cwriter;
}

void its_drop_command(struct its *its)
{
	its->command.begun = false;
}

/* False: it cannot be read, and is stepped over. */
static bool command_fetch(struct its *its)
{
	struct its_command *c = &its->command;
	u64 queue = its->cbaser & GENMASK(51, 12);

	if (c->begun)
		return true;
	c->its = its;
	c->at = 0;
	return !mem_read_guest(its->vi->group->mem, queue + its->creadr, c->word, sizeof(c->word));
}

void its_run_commands(struct its *its, struct mem_vcpu *writer)
{
	u64 size = ((its->cbaser & 0xff) + 1) * 4096;
	struct its_command *c = &its->command;
	u32 work = 0;

	/* Both offsets are below size and multiples of a command, so this ends. */
	while (work < ITS_SLICE && its_commands_left(its)) {
		bool done = true;

		work += command_fetch(its) ? run_command(c, writer, ITS_SLICE - work, &done) : 1;
		c->begun = !done;
		if (!done)
			break;
		its->creadr += ITS_COMMAND_SIZE;
		if (its->creadr == size)
			its->creadr = 0;
		/* Commands write guest memory: KVM_EXIT_DIRTY_RING_FULL comes first. */
		if (writer && writer->ring.full)
			break;
	}
	its->last_slice = work;
}

bool its_work(struct vm_irq *vi, struct vcpu *v)
{
	bool left = false;

	for (struct its *its = aptr_load_acquire(&vi->its); its; its = its->next) {
		mutex_lock(&its->cmd_lock);
		its_run_commands(its, &v->mem);
		left |= its_commands_left(its);
		mutex_unlock(&its->cmd_lock);
	}
	return left;
}
