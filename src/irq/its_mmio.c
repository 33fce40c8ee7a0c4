/* SPDX-License-Identifier: MIT */
/*
 * Registers of an ITS. The first 64 KiB of its frame are control registers; what lies beyond, the doorbell GITS_TRANSLATER among
 * them, ignores a vCPU's writes: a vCPU has no DeviceID. MSIs come from the VMM by address (its_send_msi).
 *
 * A vCPU's access to a register of the command queue comes after the commands that are queued, as KVM's do; what the vCPU that asks has
 * to do for that, it does in the run loop (its.h).
 */
#include <errno.h>

#include "irq/its.h"

enum its_reg_kind {
	REG_CTLR,
	REG_IIDR,
	REG_TYPER,
	REG_CBASER,
	REG_CWRITER,
	REG_CREADR,
	REG_BASER,
	REG_ID,
};

static const struct its_reg {
	u32 start, end;
	u8 kind;
	bool wide; /* 64 bits, whose halves can be accessed too; else 32 */
} regs[] = {
	{0x0000, 0x0004, REG_CTLR, false},   {0x0004, 0x0008, REG_IIDR, false},
	{0x0008, 0x0010, REG_TYPER, true},   {0x0080, 0x0088, REG_CBASER, true},
	{0x0088, 0x0090, REG_CWRITER, true}, {0x0090, 0x0098, REG_CREADR, true},
	{0x0100, 0x0140, REG_BASER, true},   {0xffd0, 0x10000, REG_ID, false},
};

#define CTLR_ENABLED   BIT(0)
#define CTLR_QUIESCENT BIT(31)
#define CBASER_VALID   BIT(63)
#define IIDR_VALUE     (0x4bu << 24 | 0x43b) /* product 'K', table format 0, implementer Arm */
#define IIDR_REV_SHIFT 12
#define COMMAND_OFFSET GENMASK(19, 5)
/* Physical LPIs, sizes of a translation entry, event and device numbers. */
#define TYPER_VALUE                                                            \
	(BIT(0) | (ITS_ENTRY_SIZE - 1) << 4 | (u64)(ITS_EVENT_BITS - 1) << 8 | \
	 (u64)(ITS_DEVICE_BITS - 1) << 13)
#define BASER_READ_ONLY (GENMASK(52, 48) | GENMASK(58, 56))

struct its_access {
	struct its *its;
	u32 offset;
	unsigned size;
	u8 kind;
	bool wide;
	struct vcpu *v; /* whose thread this is, NULL: user space's */
};

static const struct its_reg *reg_find(u64 offset)
{
	for (u32 i = 0; i < ARRAY_SIZE(regs); i++)
		if (offset >= regs[i].start && offset < regs[i].end)
			return &regs[i];
	return NULL;
}

static bool access_decode(struct its_access *a, u64 offset, unsigned size)
{
	const struct its_reg *r = reg_find(offset);

	if (!r || !IS_ALIGNED(offset, size) || !(size == 4 || (r->wide && size == 8)))
		return false;
	a->offset = (u32)offset;
	a->size = size;
	a->kind = r->kind;
	a->wide = r->wide;
	return true;
}

static u32 id_read(u32 offset)
{
	static const struct {
		u16 offset;
		u8 value;
	} ids[] = {
		{0xffd0, 0x40},					/* PIDR4: 64 KiB */
		{0xffe0, 0x92}, {0xffe4, 0xb4}, {0xffe8, 0x3b}, /* PIDR0 to 2: GICv3 */
		{0xfff0, 0x0d}, {0xfff4, 0xf0}, {0xfff8, 0x05}, {0xfffc, 0xb1}, /* CIDR */
	};

	for (u32 i = 0; i < ARRAY_SIZE(ids); i++)
		if (ids[i].offset == offset)
			return ids[i].value;
	return 0;
}

static int baser_index(const struct its_access *a)
{
	u32 index = (a->offset - 0x100) / 8;

	return index < NR_ITS_TABLES ? (int)index : -1;
}

static u64 baser_read(const struct its_access *a)
{
	int index = baser_index(a);
	u64 value;

	if (index < 0)
		return 0;
	mutex_lock(&a->its->vi->its_lock);
	value = a->its->baser[index];
	mutex_unlock(&a->its->vi->its_lock);
	return value;
}

static u64 queue_read(const struct its *its, enum its_reg_kind kind) REQUIRES(&its->cmd_lock)
{
	switch (kind) {
	case REG_CTLR:
		return (its->creadr == its->cwriter ? CTLR_QUIESCENT : 0) |
		       (its->enabled ? CTLR_ENABLED : 0);
	case REG_CBASER:
		return its->cbaser;
	case REG_CWRITER:
		return its->cwriter;
	default:
		return its->creadr;
	}
}

/* 0 or -EAGAIN */
static int access_read(const struct its_access *a, u64 *value)
{
	struct its *its = a->its;
	int r = 0;

	switch (a->kind) {
	case REG_IIDR:
		*value = IIDR_VALUE;
		return 0;
	case REG_ID:
		*value = id_read(a->offset);
		return 0;
	case REG_TYPER:
		*value = TYPER_VALUE;
		return 0;
	case REG_BASER:
		*value = baser_read(a);
		return 0;
	default:
		mutex_lock(&its->cmd_lock);
		if (a->v && its_commands_left(its))
			r = -EAGAIN;
		else
			*value = queue_read(its, a->kind);
		mutex_unlock(&its->cmd_lock);
		return r;
	}
}

/* What the old table meant is gone. False: more than a slice of work. */
static bool baser_end(struct its *its, int index)
{
	its_slice_begin(its, ITS_SLICE);
	return index == ITS_TABLE_DEVICE ? its_free_devices(its) : its_free_collections(its);
}

/* While the ITS is on, its tables stay where they are. 0 or -EAGAIN */
static int baser_write(const struct its_access *a, u64 value)
{
	int index = baser_index(a);
	struct its *its = a->its;
	int r = 0;
	u64 old;

	if (index < 0)
		return 0;
	mutex_lock(&its->vi->its_lock);
	old = its->baser[index];
	value = gic_half_set(old, a->offset, a->size, value) & ~BASER_READ_ONLY;
	if (index == ITS_TABLE_COLLECTION)
		value &= ~GITS_BASER_INDIRECT;
	value |= old & BASER_READ_ONLY;
	value = bits_set(gic_baser_sanitise(value, 59, 53), 8, 2, 2); /* pages of 64 KiB */
	if (!its->enabled && value != old) {
		bool done = baser_end(its, index);

		while (!a->v && !done)
			done = baser_end(its, index);
		if (done)
			its->baser[index] = value;
		else
			r = -EAGAIN;
	}
	mutex_unlock(&its->vi->its_lock);
	return r;
}

static void ctlr_write(struct its *its, bool on) REQUIRES(&its->cmd_lock)
{
	if (!on)
		its_drop_command(its);
	mutex_lock(&its->vi->its_lock);
	if (!on ||
	    ((its->baser[ITS_TABLE_DEVICE] & its->baser[ITS_TABLE_COLLECTION] & GITS_BASER_VALID) &&
	     its->cbaser & CBASER_VALID))
		its->enabled = on;
	if (!on)
		its_forget_cached(its);
	mutex_unlock(&its->vi->its_lock);
}

static int creadr_restore(struct its *its, u64 offset) REQUIRES(&its->cmd_lock)
{
	if (its->enabled)
		return -EBUSY;
	if (offset >= ((its->cbaser & 0xff) + 1) * 4096)
		return -EINVAL;
	its->creadr = offset;
	its_drop_command(its);
	return 0;
}

static int queue_write(struct its *its, const struct its_access *a, u64 value)
	REQUIRES(&its->cmd_lock)
{
	switch (a->kind) {
	case REG_CTLR:
		ctlr_write(its, value & CTLR_ENABLED);
		its_run_commands(its, a->v ? &a->v->mem : NULL);
		return 0;
	case REG_CBASER:
		if (its->enabled)
			return 0;
		value = gic_half_set(its->cbaser, a->offset, a->size, value);
		its->cbaser = gic_baser_sanitise(value, 59, 53) & ~GENMASK(15, 12);
		its->creadr = its->cwriter = 0;
		its_drop_command(its);
		return 0;
	case REG_CWRITER:
		value = gic_half_set(its->cwriter, a->offset, a->size, value) & COMMAND_OFFSET;
		if (value >= ((its->cbaser & 0xff) + 1) * 4096)
			return 0;
		its->cwriter = value;
		/* User space took back what was begun. */
		if (value == its->creadr)
			its_drop_command(its);
		its_run_commands(its, a->v ? &a->v->mem : NULL);
		return 0;
	default: /* CREADR, which the guest cannot write */
		return !a->v ? creadr_restore(its, value & COMMAND_OFFSET) : 0;
	}
}

/* Commands are left: to the vCPU whose access this is, or to the first that runs, if it is user space's. */
static void work_request(const struct its_access *a)
{
	struct vcpu_group *g = a->its->vi->group;
	u32 nr = a32_load_acquire(&g->nr);

	if (a->v) {
		vcpu_request(a->v, VCPU_REQ_WORK);
		return;
	}
	for (u32 i = 0; i < nr; i++)
		vcpu_request(vcpu_group_get(g, i), VCPU_REQ_WORK);
}

/* 0; -EAGAIN; -EBUSY and -EINVAL to user space. */
static int access_write(const struct its_access *a, u64 value)
{
	struct its *its = a->its;
	bool left;
	int r;

	switch (a->kind) {
	case REG_ID:
	case REG_TYPER:
		return 0;
	case REG_IIDR: /* the only table format is 0 */
		return !a->v && bits_get(value, IIDR_REV_SHIFT, 4) ? -EINVAL : 0;
	case REG_BASER:
		return baser_write(a, value);
	default:
		mutex_lock(&its->cmd_lock);
		r = a->v && its_commands_left(its) ? -EAGAIN : queue_write(its, a, value);
		left = its_commands_left(its);
		mutex_unlock(&its->cmd_lock);
		if (left)
			work_request(a);
		return r;
	}
}

int its_mmio_read(struct vm_irq *vi, struct vcpu *v, u64 ipa, unsigned size, u64 *value)
{
	struct its_access a = {.its = its_find(vi, ipa), .v = v};
	int r;

	if (!a.its)
		return -EOPNOTSUPP;
	*value = 0;
	if (!access_decode(&a, ipa - a64_load_relaxed(&a.its->base), size))
		return 0;
	r = access_read(&a, value);
	if (r)
		work_request(&a);
	else if (a.wide)
		*value = gic_half_get(*value, a.offset, size);
	return r;
}

int its_mmio_write(struct vm_irq *vi, struct vcpu *v, u64 ipa, unsigned size, u64 value)
{
	struct its_access a = {.its = its_find(vi, ipa), .v = v};

	if (!a.its)
		return -EOPNOTSUPP;
	if (!access_decode(&a, ipa - a64_load_relaxed(&a.its->base), size))
		return 0;
	return access_write(&a, value);
}

/* User space accesses a wide register as a whole. */
int its_user_has(u64 offset)
{
	u64 align = offset < 0x8 || offset >= 0xffd0 ? 4 : 8;

	if (!IS_ALIGNED(offset, align))
		return -EINVAL;
	return reg_find(offset) ? 0 : -ENXIO;
}

int its_user_read(struct its *its, u64 offset, u64 *value)
{
	struct its_access a = {.its = its};

	if (!access_decode(&a, offset, reg_find(offset)->wide ? 8 : 4))
		return -ENXIO;
	return access_read(&a, value);
}

int its_user_write(struct its *its, u64 offset, u64 value)
{
	struct its_access a = {.its = its};

	if (!access_decode(&a, offset, reg_find(offset)->wide ? 8 : 4))
		return -ENXIO;
	return access_write(&a, value);
}

void its_reset(struct its *its)
{
	mutex_lock(&its->cmd_lock);
	mutex_lock(&its->vi->its_lock);
	for (u32 i = 0; i < NR_ITS_TABLES; i++)
		its->baser[i] &= ~GITS_BASER_VALID;
	its->cbaser = its->creadr = its->cwriter = 0;
	its_drop_command(its);
	its->enabled = false;
	its_slice_begin(its, ~0u);
	its_free_devices(its);
	its_free_collections(its);
	its_forget_cached(its);
	mutex_unlock(&its->vi->its_lock);
	mutex_unlock(&its->cmd_lock);
}
