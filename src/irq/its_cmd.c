/* SPDX-License-Identifier: MIT */
/*
 * The commands of an ITS. A command that is wrong (an id out of range, nothing mapped there) has no effect and is stepped over, as
 * in KVM, which gives the guest no error either. SYNC has nothing to do: a command's effects are there when its successor starts.
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

struct command {
	struct its *its;
	u64 word[ITS_COMMAND_SIZE / 8];
};

static u32 cmd_device(const struct command *c)
{
	return (u32)bits_get(c->word[0], 32, 32);
}

static u32 cmd_event(const struct command *c)
{
	return (u32)bits_get(c->word[1], 0, 32);
}

static u32 cmd_collection(const struct command *c)
{
	return (u32)bits_get(c->word[2], 0, 16);
}

static bool cmd_valid(const struct command *c)
{
	return c->word[2] >> 63;
}

/* GITS_TYPER.PTA is 0: a redistributor is named by its number, the id of its vCPU. */
static u32 cmd_redist(const struct command *c, unsigned word)
{
	return (u32)bits_get(c->word[word], 16, 32);
}

static struct its_entry *cmd_entry(const struct command *c)
{
	return its_find_entry(c->its, cmd_device(c), cmd_event(c));
}

static struct irq_cpu *cmd_cpu(const struct command *c, unsigned word)
{
	struct vcpu *v = irq_vcpu_by_id(c->its->vi->group, cmd_redist(c, word));

	return v ? irq_cpu_of(v) : NULL;
}

static bool is_mapped(const struct its_collection *collection)
{
	return collection && collection->target != ITS_NO_TARGET;
}

/* An entry of a table in guest memory is over: so that a later restore does not find it. */
static void entry_zero(const struct command *c, u64 gpa) NO_THREAD_SAFETY_ANALYSIS
{
	u64 zero = 0;

	mem_write_guest(c->its->vi->group->mem, c->its->vi->table_writer, gpa, &zero, sizeof(zero));
}

static void do_mapd(const struct command *c)
{
	u32 id = cmd_device(c), event_bits = (u32)bits_get(c->word[1], 0, 5) + 1;
	struct its_device *d;
	u64 gpa;

	if (!its_entry_address(c->its, ITS_TABLE_DEVICE, id, &gpa) ||
	    (cmd_valid(c) && event_bits > ITS_EVENT_BITS))
		return;
	/* A device that is mapped again starts anew. */
	d = its_find_device(c->its, id);
	if (d)
		its_free_device(c->its, d);
	if (cmd_valid(c))
		its_add_device(c->its, id, c->word[2] & GENMASK(51, 8), event_bits);
	else
		entry_zero(c, gpa);
}

static void collection_route(struct its *its, const struct its_collection *collection)
{
	struct irq_cpu *to = its_target(its, collection);
	struct its_device *d;
	struct its_entry *e;

	list_for_each(d, &its->devices, link)
	{
		list_for_each(e, &d->entries, link) if (e->collection == collection)
			lpi_route(e->lpi, NULL, to);
	}
}

static void do_mapc(const struct command *c)
{
	struct its_collection *collection = its_find_collection(c->its, cmd_collection(c));
	u64 gpa;

	if (!cmd_valid(c)) {
		if (collection)
			its_free_collection(c->its, collection);
		return;
	}
	if (!cmd_cpu(c, 2))
		return;
	if (collection) {
		collection->target = cmd_redist(c, 2);
		collection_route(c->its, collection);
	} else if (its_entry_address(c->its, ITS_TABLE_COLLECTION, cmd_collection(c), &gpa)) {
		its_add_collection(c->its, cmd_collection(c), cmd_redist(c, 2));
	}
}

/* MAPTI, and MAPI, whose LPI has the number of the event. */
static void map_event(const struct command *c, u32 intid)
{
	struct its_device *d = its_find_device(c->its, cmd_device(c));
	struct its_collection *collection, *new = NULL;
	u64 gpa;

	if (!d || !its_event_fits(c->its, d, cmd_event(c)) || intid < GIC_FIRST_LPI ||
	    intid >= lpi_id_limit(c->its->vi) || cmd_entry(c))
		return;
	collection = its_find_collection(c->its, cmd_collection(c));
	if (!collection) {
		if (!its_entry_address(c->its, ITS_TABLE_COLLECTION, cmd_collection(c), &gpa))
			return;
		collection = new = its_add_collection(c->its, cmd_collection(c), ITS_NO_TARGET);
		if (!new)
			return;
	}
	if (its_add_entry(c->its, d, collection, cmd_event(c), intid) && new)
		its_free_collection(c->its, new);
}

static void do_mapti(const struct command *c)
{
	map_event(c, (u32)bits_get(c->word[1], 32, 32));
}

static void do_mapi(const struct command *c)
{
	map_event(c, cmd_event(c));
}

static void do_movi(const struct command *c)
{
	struct its_entry *e = cmd_entry(c);
	struct its_collection *to = its_find_collection(c->its, cmd_collection(c));

	if (!e || !is_mapped(e->collection) || !is_mapped(to))
		return;
	e->collection = to;
	its_forget_cached(c->its);
	lpi_route(e->lpi, NULL, its_target(c->its, to));
}

/* Of all ITSs: an LPI's home does not tell through which it came. */
static void do_movall(const struct command *c) NO_THREAD_SAFETY_ANALYSIS
{
	struct irq_cpu *from = cmd_cpu(c, 2), *to = cmd_cpu(c, 3);

	if (!from || !to || from == to)
		return;
	lpi_route_all(c->its->vi, from, to);
	its_forget_cached(c->its);
}

static void do_discard(const struct command *c)
{
	struct its_entry *e = cmd_entry(c);
	u64 gpa;

	if (!e || !is_mapped(e->collection))
		return;
	gpa = e->device->itt + (u64)e->event * ITS_ENTRY_SIZE;
	its_free_entry(c->its, e);
	entry_zero(c, gpa);
}

static void do_clear(const struct command *c)
{
	struct its_entry *e = cmd_entry(c);

	if (e)
		lpi_clear(e->lpi);
}

static void do_inv(const struct command *c) NO_THREAD_SAFETY_ANALYSIS
{
	struct its_entry *e = cmd_entry(c);

	if (e)
		lpi_configure(c->its->vi, e->lpi);
}

static void do_invall(const struct command *c) NO_THREAD_SAFETY_ANALYSIS
{
	struct irq_cpu *cpu = its_target(c->its, its_find_collection(c->its, cmd_collection(c)));

	if (cpu)
		lpi_configure_all(c->its->vi, cpu);
}

static void do_int(const struct command *c)
{
	its_raise(c->its, cmd_device(c), cmd_event(c));
}

static void (*const handlers[])(const struct command *c) = {
	[CMD_MOVI] = do_movi,	  [CMD_INT] = do_int,	      [CMD_CLEAR] = do_clear,
	[CMD_MAPD] = do_mapd,	  [CMD_MAPC] = do_mapc,	      [CMD_MAPTI] = do_mapti,
	[CMD_MAPI] = do_mapi,	  [CMD_INV] = do_inv,	      [CMD_INVALL] = do_invall,
	[CMD_MOVALL] = do_movall, [CMD_DISCARD] = do_discard,
};

static void run_command(struct command *c, struct mem_vcpu *writer)
{
	struct vm_irq *vi = c->its->vi;
	u8 number = (u8)c->word[0];

	if (number >= ARRAY_SIZE(handlers) || !handlers[number])
		return;
	mutex_lock(&vi->its_lock);
	vi->table_writer = writer;
	handlers[number](c);
	vi->table_writer = NULL;
	mutex_unlock(&vi->its_lock);
}

void its_run_commands(struct its *its, struct mem_vcpu *writer)
{
	u64 queue = its->cbaser & GENMASK(51, 12), size = ((its->cbaser & 0xff) + 1) * 4096;
	struct command c = {.its = its};

	/* Read without its_lock: it changes under cmd_lock too. */
	if (!its->enabled)
		return;
	/* Both offsets are below size and multiples of a command, so this ends. */
	while (its->creadr != its->cwriter) {
		/* A command that cannot be read is stepped over. */
		if (!mem_read_guest(its->vi->group->mem, queue + its->creadr, c.word,
				    sizeof(c.word)))
			run_command(&c, writer);
		its->creadr += ITS_COMMAND_SIZE;
		if (its->creadr == size)
			its->creadr = 0;
	}
}
