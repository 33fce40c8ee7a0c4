/* SPDX-License-Identifier: MIT */
/*
 * Generic timers: the EL1 virtual and physical timer of each vCPU and their counters.
 *
 * The system counter runs at COUNTER_HZ = 1 GHz and is CLOCK_MONOTONIC in nanoseconds: the
 * frequency that Armv8.6 prescribes, no rounding between deadlines and counter values, and the same
 * on every host. Virtual count = counter - voffset, physical count = counter - poffset; both
 * offsets belong to the VM. As in KVM each vCPU creation starts the virtual count at 0, unless user
 * space set the offset itself.
 *
 * A timer's registers belong to the holder of v->mutex, so there is no lock. Its output is a level:
 * ENABLE and not IMASK and count >= CVAL. It is compared with the line of its PPI whenever it could
 * differ: at writes of its registers, before the guest is entered, and when the engine's poll finds
 * that the deadline has passed.
 */
#include <errno.h>

#include <anykvm/kvm.h>

#include "host/clock.h"
#include "host/guarded.h"
#include "irq/irq.h"
#include "vcpu/sysreg.h"

/* CNTKCTL_EL1 */
#define EL0PCTEN BIT(0)
#define EL0VCTEN BIT(1)
#define EL0VTEN	 BIT(8)
#define EL0PTEN	 BIT(9)

u64 irq_counter_virtual(const struct vm_irq *vi)
{
	return host_clock_ns() - a64_load_relaxed(&vi->voffset);
}

u64 irq_counter_physical(const struct vm_irq *vi)
{
	return host_clock_ns() - a64_load_relaxed(&vi->poffset);
}

static u64 counter_offset(const struct vm_irq *vi, int id)
{
	return a64_load_relaxed(id == TIMER_VIRT ? &vi->voffset : &vi->poffset);
}

static u64 timer_count(const struct irq_cpu *cpu, enum irq_timer_id id)
{
	return host_clock_ns() - counter_offset(cpu->vi, id);
}

static bool timer_can_fire(const struct irq_timer *t)
{
	return (t->ctl & (TIMER_CTL_ENABLE | TIMER_CTL_IMASK)) == TIMER_CTL_ENABLE;
}

bool timer_level(const struct irq_cpu *cpu, enum irq_timer_id id)
{
	const struct irq_timer *t = &cpu->timer[id];

	return timer_can_fire(t) && timer_count(cpu, id) >= t->cval;
}

/* The output of one may have changed. */
static void update_one(struct irq_cpu *cpu, enum irq_timer_id id)
{
	const struct irq_timer *t = &cpu->timer[id];
	u32 ppi = cpu->vi->ppi[id];
	bool level;

	if (!a32_load_acquire(&cpu->vi->ready)) {
		user_irq_check(cpu);
		return;
	}
	level = timer_level(cpu, id);
	/*
	 * The line may be read without its lock: nobody else drives it (it has an owner), and user
	 * space restores it only while no vCPU runs.
	 */
	if (level != cpu->priv[ppi].line_level)
		gic_inject(cpu->vi, cpu, ppi, level, t);
}

void timer_update(struct irq_cpu *cpu)
{
	if (!a32_load_acquire(&cpu->vi->ready)) {
		user_irq_check(cpu);
		return;
	}
	update_one(cpu, TIMER_VIRT);
	update_one(cpu, TIMER_PHYS);
}

/* Its output is up, and known to be. */
static bool timer_heard(const struct irq_cpu *cpu, enum irq_timer_id id)
{
	if (irq_gic_exists(cpu->vi))
		return cpu->priv[cpu->vi->ppi[id]].line_level;
	return user_irq_timer_shown(cpu, id);
}

u64 timer_next_deadline(struct irq_cpu *cpu)
{
	u64 deadline = ~0ull;

	for (int id = 0; id < NR_TIMERS; id++) {
		const struct irq_timer *t = &cpu->timer[id];
		u64 now, offset, at;

		if (!timer_can_fire(t) || timer_heard(cpu, id))
			continue;
		offset = counter_offset(cpu->vi, id);
		now = host_clock_ns();
		/* Passed: 0, not the time just read, which is later than the caller's own "now". */
		if (t->cval <= now - offset)
			return 0;
		/* Not cval + offset: that may wrap when cval means "never". */
		if (__builtin_add_overflow(now, t->cval - (now - offset), &at))
			continue;
		deadline = MIN(deadline, at);
	}
	return deadline;
}

void timer_reset(struct irq_cpu *cpu)
{
	for (int id = 0; id < NR_TIMERS; id++) {
		struct gic_irq *irq = &cpu->priv[cpu->vi->ppi[id]];
		struct irq_cpu *home;

		cpu->timer[id] = (struct irq_timer){0};
		if (!a32_load_acquire(&cpu->vi->ready) || irq->owner != &cpu->timer[id])
			continue;
		home = gic_irq_lock(irq);
		irq->line_level = irq->pending_latch = irq->active = false;
		gic_irq_unlock(irq, home);
	}
}

/* Claims the PPIs. They must differ; from here on the numbers are fixed. */
int timer_first_run(struct irq_cpu *cpu)
{
	struct vm_irq *vi = cpu->vi;
	int err = 0;

	mutex_lock(&vi->config);
	/* The physical timer first: after a clash KVM's numbers stay claimed in this order. */
	for (int id = NR_TIMERS - 1; id >= 0 && !err; id--) {
		struct gic_irq *irq = &cpu->priv[vi->ppi[id]];
		struct irq_cpu *home = gic_irq_lock(irq);

		if (irq->owner && irq->owner != &cpu->timer[id])
			err = -EINVAL;
		else
			irq->owner = &cpu->timer[id];
		gic_irq_unlock_unchanged(home);
	}
	if (!err)
		vi->ppi_fixed = true;
	mutex_unlock(&vi->config);
	return err;
}

/* --- system registers --- */

/* Whether EL0 is kept out. */
static bool el0_denied(const struct vcpu *v, u64 bits)
{
	return v->arch.el == 0 && !(sysreg_get(v, SR_CNTKCTL_EL1) & bits);
}

static enum op_result cntfrq_read(struct vcpu *v, const struct sysreg_row *row, u64 *value)
{
	(void)row;
	if (el0_denied(v, EL0PCTEN | EL0VCTEN))
		return vcpu_sysreg_trap(v);
	*value = COUNTER_HZ;
	return OP_NEXT;
}

/*
 * The guest has seen the clock: a timer whose time has come is pending before anything the guest can do about it, as on
 * hardware. Otherwise the clock is looked at much more rarely than by a loop of the guest's that waits.
 */
static void clock_seen(struct irq_cpu *cpu, u64 now)
{
	for (int id = 0; id < NR_TIMERS; id++) {
		const struct irq_timer *t = &cpu->timer[id];

		if (unlikely(timer_can_fire(t) && now - counter_offset(cpu->vi, id) >= t->cval))
			update_one(cpu, id);
	}
}

static u64 count_read(struct irq_cpu *cpu, enum irq_timer_id id)
{
	u64 now = host_clock_ns();

	clock_seen(cpu, now);
	return now - counter_offset(cpu->vi, id);
}

static enum op_result cntvct_read(struct vcpu *v, const struct sysreg_row *row, u64 *value)
{
	(void)row;
	if (el0_denied(v, EL0VCTEN))
		return vcpu_sysreg_trap(v);
	*value = count_read(irq_cpu_of(v), TIMER_VIRT);
	return OP_NEXT;
}

static enum op_result cntpct_read(struct vcpu *v, const struct sysreg_row *row, u64 *value)
{
	(void)row;
	if (el0_denied(v, EL0PCTEN))
		return vcpu_sysreg_trap(v);
	*value = count_read(irq_cpu_of(v), TIMER_PHYS);
	return OP_NEXT;
}

void timer_regs_changed(struct irq_cpu *cpu)
{
	for (int id = 0; id < NR_TIMERS; id++)
		cpu->timer[id].ctl &= TIMER_CTL_ENABLE | TIMER_CTL_IMASK;
}

/* CRm 2: physical, CRm 3: virtual; op2 0 TVAL, 1 CTL, 2 CVAL. */
static enum irq_timer_id row_timer(const struct sysreg_row *row)
{
	return (row->op >> 3 & 15) == 3 ? TIMER_VIRT : TIMER_PHYS;
}

static u64 ctl_value(const struct irq_cpu *cpu, enum irq_timer_id id, u64 count)
{
	const struct irq_timer *t = &cpu->timer[id];

	return (t->ctl & (TIMER_CTL_ENABLE | TIMER_CTL_IMASK)) |
	       (t->ctl & TIMER_CTL_ENABLE && count >= t->cval ? TIMER_CTL_ISTATUS : 0);
}

static enum op_result timer_read(struct vcpu *v, const struct sysreg_row *row, u64 *value)
{
	struct irq_cpu *cpu = irq_cpu_of(v);
	enum irq_timer_id id = row_timer(row);
	u64 count;

	if (el0_denied(v, id == TIMER_VIRT ? EL0VTEN : EL0PTEN))
		return vcpu_sysreg_trap(v);
	count = count_read(cpu, id);
	switch (row->op & 7) {
	case 0:
		*value = (u32)(cpu->timer[id].cval - count);
		break;
	case 1:
		*value = ctl_value(cpu, id, count);
		break;
	default:
		*value = cpu->timer[id].cval;
	}
	return OP_NEXT;
}

static enum op_result timer_write(struct vcpu *v, const struct sysreg_row *row, u64 value)
{
	struct irq_cpu *cpu = irq_cpu_of(v);
	enum irq_timer_id id = row_timer(row);

	if (el0_denied(v, id == TIMER_VIRT ? EL0VTEN : EL0PTEN))
		return vcpu_sysreg_trap(v);
	switch (row->op & 7) {
	case 0:
		cpu->timer[id].cval = timer_count(cpu, id) + (u64)sign_extend(value, 32);
		break;
	case 1:
		cpu->timer[id].ctl = value & (TIMER_CTL_ENABLE | TIMER_CTL_IMASK);
		break;
	default:
		cpu->timer[id].cval = value;
	}
	update_one(cpu, id);
	return OP_NEXT;
}

/* --- ONE_REG, under v->mutex; the lines follow at the next entry --- */

static int timer_get(struct vcpu *v, const struct sysreg_row *row, u64 *value)
{
	struct irq_cpu *cpu = irq_cpu_of(v);
	enum irq_timer_id id = row_timer(row);

	*value = (row->op & 7) == 1 ? cpu->timer[id].ctl : cpu->timer[id].cval;
	return 0;
}

static int timer_set(struct vcpu *v, const struct sysreg_row *row, u64 value)
{
	struct irq_timer *t = &irq_cpu_of(v)->timer[row_timer(row)];

	if ((row->op & 7) == 1)
		t->ctl = value & ~TIMER_CTL_ISTATUS;
	else
		t->cval = value;
	return 0;
}

static int count_get(struct vcpu *v, const struct sysreg_row *row, u64 *value)
{
	const struct vm_irq *vi = irq_cpu_of(v)->vi;

	*value = (row->op & 7) == 2 ? irq_counter_virtual(vi) : irq_counter_physical(vi);
	return 0;
}

/* Restores a count for the whole VM; has no effect once user space chose the offset. */
static int count_set(struct vcpu *v, const struct sysreg_row *row, u64 value)
{
	struct vm_irq *vi = irq_cpu_of(v)->vi;

	if (!a32_load_acquire(&vi->offset_fixed))
		a64_store(((row->op & 7) == 2 ? &vi->voffset : &vi->poffset),
			  host_clock_ns() - value);
	return 0;
}

/* The registers are part of the timers: timer_reset (vcpu_irq_ops.reset) does it. */
static void no_reset(struct vcpu *v, const struct sysreg_row *row)
{
	(void)v;
	(void)row;
}

#define SYSREG_ID(o) (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM64_SYSREG | (o))
#define TIMER_RW(crm, op2, n, fl)                                                                \
	{                                                                                        \
		.op = SYSREG_OP(3, 3, 14, crm, op2), .index = SR_NONE, .access = SYSREG_RW0,     \
		.name = (n), .flags = (fl) | SYSREG_POLLS, .read = timer_read,                   \
		.write = timer_write, .get = timer_get, .set = timer_set, .reset_hook = no_reset \
	}

/* KVM swapped the ids of CNTV_CVAL and CNTVCT when the interface was made, and it stayed so. */
const struct sysreg_row timer_sysreg_rows[] = {
	{.op = SYSREG_OP(3, 3, 14, 0, 0),
	 .index = SR_NONE,
	 .access = SYSREG_RO0,
	 .name = "CNTFRQ_EL0",
	 .read = cntfrq_read,
	 .reset_hook = no_reset},
	{.op = SYSREG_OP(3, 3, 14, 0, 1),
	 .index = SR_NONE,
	 .access = SYSREG_RO0,
	 .flags = SYSREG_LISTED | SYSREG_POLLS,
	 .name = "CNTPCT_EL0",
	 .read = cntpct_read,
	 .get = count_get,
	 .set = count_set,
	 .reset_hook = no_reset},
	{.op = SYSREG_OP(3, 3, 14, 0, 2),
	 .index = SR_NONE,
	 .access = SYSREG_RO0,
	 .flags = SYSREG_LISTED | SYSREG_POLLS,
	 .name = "CNTVCT_EL0",
	 .read = cntvct_read,
	 .get = count_get,
	 .set = count_set,
	 .reset_hook = no_reset,
	 .one_reg_id = SYSREG_ID(SYSREG_OP(3, 3, 14, 3, 2))},
	TIMER_RW(2, 0, "CNTP_TVAL_EL0", 0),
	TIMER_RW(2, 1, "CNTP_CTL_EL0", SYSREG_LISTED),
	TIMER_RW(2, 2, "CNTP_CVAL_EL0", SYSREG_LISTED),
	TIMER_RW(3, 0, "CNTV_TVAL_EL0", 0),
	TIMER_RW(3, 1, "CNTV_CTL_EL0", SYSREG_LISTED),
	{.op = SYSREG_OP(3, 3, 14, 3, 2),
	 .index = SR_NONE,
	 .access = SYSREG_RW0,
	 .flags = SYSREG_LISTED | SYSREG_POLLS,
	 .name = "CNTV_CVAL_EL0",
	 .read = timer_read,
	 .write = timer_write,
	 .get = timer_get,
	 .set = timer_set,
	 .reset_hook = no_reset,
	 .one_reg_id = SYSREG_ID(SYSREG_OP(3, 3, 14, 0, 2))},
};
const u32 timer_nr_sysreg_rows = ARRAY_SIZE(timer_sysreg_rows);

/* --- ioctls --- */

int irq_set_counter_offset(struct vm_irq *vi,
			   const struct kvm_arm_counter_offset *o) NO_THREAD_SAFETY_ANALYSIS
{
	struct vcpu_group *g = vi->group;
	u32 nr = a32_load_acquire(&g->nr), held = 0;
	int err = 0;

	if (o->reserved)
		return -EINVAL;
	while (held < nr && mutex_trylock(&vcpu_group_get(g, held)->mutex))
		held++;
	if (held == nr) {
		a32_store_release(&vi->offset_fixed, 1);
		a64_store(&vi->voffset, o->counter_offset);
		a64_store(&vi->poffset, o->counter_offset);
	} else {
		err = -EBUSY;
	}
	while (held--)
		mutex_unlock(&vcpu_group_get(g, held)->mutex);
	return err;
}

int irq_timer_set_attr(struct vcpu *v, u64 attr, void *user)
{
	struct vm_irq *vi = irq_cpu_of(v)->vi;
	int err = 0;
	s32 irq;

	if (!a32_load_acquire(&vi->in_library))
		return -EINVAL;
	if (!guarded_copy_from(&irq, user, sizeof(irq)))
		return -EFAULT;
	if (irq < GIC_NR_SGI || irq >= GIC_NR_PRIVATE)
		return -EINVAL;
	mutex_lock(&vi->config);
	if (vi->ppi_fixed)
		err = -EBUSY;
	else if (irq_timer_has_attr(v, attr))
		err = -ENXIO;
	else
		vi->ppi[attr] = (u8)irq;
	mutex_unlock(&vi->config);
	return err;
}

int irq_timer_get_attr(struct vcpu *v, u64 attr, void *user)
{
	struct vm_irq *vi = irq_cpu_of(v)->vi;
	s32 irq;

	if (irq_timer_has_attr(v, attr))
		return -ENXIO;
	mutex_lock(&vi->config);
	irq = vi->ppi[attr];
	mutex_unlock(&vi->config);
	return guarded_copy_to(user, &irq, sizeof(irq)) ? 0 : -EFAULT;
}

int irq_timer_has_attr(struct vcpu *v, u64 attr)
{
	(void)v;
	return attr <= KVM_ARM_VCPU_TIMER_IRQ_HPTIMER ? 0 : -ENXIO;
}
