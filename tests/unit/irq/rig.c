/* SPDX-License-Identifier: MIT */
#include "rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bug.h"
#include "host/guarded.h"
#include "vcpu/onereg.h"

/* --- the clock: host_clock_ns is wrapped by the linker --- */

u64 __wrap_host_clock_ns(void);
static struct a64 clock_now;

u64 __wrap_host_clock_ns(void)
{
	return a64_load_relaxed(&clock_now);
}

void rig_clock_set(u64 ns)
{
	a64_store(&clock_now, ns);
}

/* --- stand-ins for vcpu/ and mem/ --- */

void vcpu_kick(struct vcpu *v)
{
	a32_fetch_add(&v->wake, 1);
}

void vcpu_request(struct vcpu *v, u32 bits)
{
	a32_fetch_or(&v->requests, bits);
	vcpu_kick(v);
}

void vcpu_set_pin(struct vcpu *v, enum vcpu_pin pin, bool level)
{
	if (level)
		a32_fetch_or(&v->pins, 1u << pin);
	else
		a32_fetch_and(&v->pins, ~(1u << pin));
	vcpu_kick(v);
}

void vcpu_wait_wfi(struct vcpu *v)
{
	v->stats.wfi_exits++;
}

struct vcpu *vcpu_group_get(struct vcpu_group *g, u32 index)
{
	return aptr_load_acquire(&g->vcpu[index]);
}

u64 vcpu_mpidr(const struct vcpu *v)
{
	return BIT(31) | (v->id & 15) | (v->id >> 4 & 0xff) << 8;
}

struct vcpu *vcpu_group_by_mpidr(struct vcpu_group *g, u64 mpidr)
{
	u32 nr = a32_load_acquire(&g->nr);

	for (u32 i = 0; i < nr; i++)
		if ((vcpu_mpidr(vcpu_group_get(g, i)) & 0xff00ffffffull) ==
		    (mpidr & 0xff00ffffffull))
			return vcpu_group_get(g, i);
	return NULL;
}

int vcpu_group_add_rows(struct vcpu_group *g, const struct sysreg_row *rows, u32 nr)
{
	g->sysreg_table[g->nr_sysreg_tables].rows = rows;
	g->sysreg_table[g->nr_sysreg_tables++].nr = nr;
	return 0;
}

const struct sysreg_row *sysreg_find(const struct vcpu_group *g, u16 op)
{
	for (u32 t = 0; t < g->nr_sysreg_tables; t++)
		for (u32 i = 0; i < g->sysreg_table[t].nr; i++)
			if (g->sysreg_table[t].rows[i].op == op)
				return &g->sysreg_table[t].rows[i];
	return NULL;
}

int vcpu_group_add_onereg(struct vcpu_group *g, const struct onereg_group *grp)
{
	g->onereg[g->nr_onereg++] = grp;
	return 0;
}

enum op_result vcpu_context_changed(struct vcpu *v)
{
	return OP_BRANCH;
}

enum op_result vcpu_undef(struct vcpu *v)
{
	v->stop.esr = 0;
	return OP_BRANCH;
}

enum op_result vcpu_sysreg_trap(struct vcpu *v)
{
	v->stop.esr = 0x18u << 26;
	return OP_BRANCH;
}

static u8 *guest_ptr(struct vm_mem *m, u64 gpa, size_t len)
{
	struct rig *r = container_of(m, struct rig, mem);

	if (gpa < RIG_RAM || gpa + len > RIG_RAM + sizeof(r->guest))
		return NULL;
	return r->guest + (gpa - RIG_RAM);
}

bool mem_is_writable(struct vm_mem *m, u64 gpa)
{
	u8 byte;

	return !mem_read_guest(m, gpa, &byte, 1);
}

int mem_read_guest(struct vm_mem *m, u64 gpa, void *buf, size_t len)
{
	u8 *p = guest_ptr(m, gpa, len);

	a32_fetch_add(&container_of(m, struct rig, mem)->nr_reads, 1);
	if (!p)
		return -EFAULT;
	memcpy(buf, p, len);
	return 0;
}

int mem_write_guest(struct vm_mem *m, struct mem_vcpu *mv, u64 gpa, const void *buf, size_t len)
{
	u8 *p = guest_ptr(m, gpa, len);

	if (!p)
		return -EFAULT;
	memcpy(p, buf, len);
	return 0;
}

bool mem_is_visible(struct vm_mem *m, u64 gpa)
{
	return guest_ptr(m, gpa, 1);
}

/* --- the rig --- */

int rig_add_cpu(struct rig *r)
{
	struct vcpu *v = &r->v[r->nr];
	int err = irq_vcpu_precreate(&r->vi);

	if (err)
		return err;
	BUG_ON(r->nr == RIG_MAX_CPUS);
	v->id = v->index = r->nr;
	v->group = &r->g;
	v->run = &r->run[r->nr];
	v->arch.el = 1;
	v->features = BIT(KVM_ARM_VCPU_PSCI_0_2);
	mutex_init(&v->mutex, RANK_VCPU, "vcpu");
	err = irq_vcpu_init(&r->vi, v);
	if (err)
		return err;
	aptr_store_release(&r->g.vcpu[r->nr], v);
	a32_store_release(&r->g.nr, ++r->nr);
	return 0;
}

struct rig *rig_create(u32 nr_cpus)
{
	struct rig *r = calloc(1, sizeof(*r));

	BUG_ON(!r);
	guarded_install();
	mutex_init(&r->vm_lock, RANK_VM, "vm");
	r->mem.ipa_bits = 40;
	r->g.mem = &r->mem;
	BUG_ON(irq_vm_init(&r->vi, &r->g));
	for (u32 i = 0; i < nr_cpus; i++)
		BUG_ON(rig_add_cpu(r));
	return r;
}

int rig_set(struct rig *r, u32 group, u64 attr, void *user)
{
	int err;

	mutex_lock(&r->vm_lock);
	err = irq_gic_set_attr(&r->vi, group, attr, user);
	mutex_unlock(&r->vm_lock);
	return err;
}

int rig_get(struct rig *r, u32 group, u64 attr, void *user)
{
	int err;

	mutex_lock(&r->vm_lock);
	err = irq_gic_get_attr(&r->vi, group, attr, user);
	mutex_unlock(&r->vm_lock);
	return err;
}

struct rig *rig_create_gic(u32 nr_cpus, u32 nr_irqs)
{
	struct rig *r = rig_create(nr_cpus);
	u64 dist = RIG_DIST, redist = RIG_REDIST;

	mutex_lock(&r->vm_lock);
	BUG_ON(irq_gic_create(&r->vi, KVM_DEV_TYPE_ARM_VGIC_V3));
	mutex_unlock(&r->vm_lock);
	BUG_ON(rig_set(r, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &nr_irqs));
	BUG_ON(rig_set(r, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &dist));
	BUG_ON(rig_set(r, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, &redist));
	BUG_ON(rig_set(r, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL));
	/* As KVM_RUN begins. */
	for (u32 i = 0; i < nr_cpus; i++) {
		BUG_ON(irq_vcpu_first_run(&r->v[i]));
		r->v[i].irq_ops->regs_changed(&r->v[i]);
	}
	return r;
}

void rig_destroy(struct rig *r)
{
	irq_vm_stop(&r->vi);
	for (u32 i = 0; i < r->nr; i++) {
		irq_vcpu_fini(&r->v[i]);
		mutex_fini(&r->v[i].mutex);
	}
	irq_vm_fini(&r->vi);
	mutex_fini(&r->vm_lock);
	free(r);
}

const struct sysreg_row *rig_row(struct rig *r, u16 op)
{
	const struct sysreg_row *row = sysreg_find(&r->g, op);

	BUG_ON(!row);
	return row;
}

u64 rig_mrs(struct rig *r, u32 cpu, u16 op)
{
	const struct sysreg_row *row = rig_row(r, op);
	u64 value = 0;

	BUG_ON(row->read(&r->v[cpu], row, &value) != OP_NEXT);
	return value;
}

void rig_msr(struct rig *r, u32 cpu, u16 op, u64 value)
{
	const struct sysreg_row *row = rig_row(r, op);

	BUG_ON(row->write(&r->v[cpu], row, value) != OP_NEXT);
}

/* As the run loop does. */
static void work_off(struct vcpu *v)
{
	while (a32_fetch_and(&v->requests, ~(u32)VCPU_REQ_WORK) & VCPU_REQ_WORK)
		if (v->irq_ops->work(v))
			vcpu_request(v, VCPU_REQ_WORK);
}

u64 rig_read(struct rig *r, u64 addr, unsigned size)
{
	u64 value = ~0ull;
	int err;

	while ((err = irq_mmio_read(&r->vi, &r->v[0], addr, size, &value)) == -EAGAIN)
		work_off(&r->v[0]);
	BUG_ON(err);
	return value;
}

void rig_write(struct rig *r, u64 addr, unsigned size, u64 value)
{
	int err;

	while ((err = irq_mmio_write(&r->vi, &r->v[0], addr, size, value)) == -EAGAIN)
		work_off(&r->v[0]);
	BUG_ON(err);
	work_off(&r->v[0]);
}

bool rig_pin(struct rig *r, u32 cpu, enum vcpu_pin pin)
{
	return a32_load(&r->v[cpu].pins) >> pin & 1;
}

void rig_enable_all(struct rig *r)
{
	rig_write(r, RIG_DIST, 4, 2);
	for (u32 i = 0; i < r->nr; i++) {
		rig_msr(r, i, PMR, 0xff);
		rig_msr(r, i, IGRPEN1, 1);
	}
}

void rig_setup_spi(struct rig *r, u32 intid, u32 cpu, u8 priority, bool edge)
{
	u64 cfg = rig_read(r, RIG_DIST + 0xc00 + intid / 16 * 4, 4);

	cfg = bits_set(cfg, intid % 16 * 2, 2, edge ? 2 : 0);
	rig_write(r, RIG_DIST + 0xc00 + intid / 16 * 4, 4, cfg);
	rig_write(r, RIG_DIST + 0x400 + intid, 1, priority);
	rig_write(r, RIG_DIST + 0x6000 + intid * 8, 8, vcpu_mpidr(&r->v[cpu]) & 0xffffff);
	rig_write(r, RIG_DIST + 0x100 + intid / 32 * 4, 4, BIT(intid % 32));
}
