/* SPDX-License-Identifier: MIT */
/*
 * Interrupts and timers of one VM, as vm/ and api/ see them: a GICv3 that shows what KVM's vGICv3
 * shows, generic timers, GSI routing and irqfds. docs/interrupts.md says how the model works; gic.h
 * has the structures.
 *
 * Order of calls: irq_vm_init before the first vCPU; irq_vcpu_init for each vCPU once its id and
 * index are known and before it is visible in the group; at the end irq_vm_stop (no more injections
 * from descriptors), irq_vcpu_fini for each, irq_vm_fini.
 */
#ifndef ANYKVM_IRQ_IRQ_H
#define ANYKVM_IRQ_IRQ_H

#include "irq/gic.h"

struct kvm_irqfd;
struct kvm_irq_routing_entry;
struct kvm_msi;
struct kvm_arm_counter_offset;

/* --- life --- */

/* 0, -ENOMEM, -ENOSPC (system register tables). Sets g->irq. */
int irq_vm_init(struct vm_irq *vi, struct vcpu_group *g);
/* Waits for the irqfd thread: no lock held. Idempotent. */
void irq_vm_stop(struct vm_irq *vi);
void irq_vm_fini(struct vm_irq *vi);

/* KVM_CAP_MAX_VCPUS: fewer with a GICv2. */
u32 irq_max_vcpus(const struct vm_irq *vi);
/* -EBUSY once the interrupt controller is initialised (KVM_CREATE_VCPU). */
int irq_vcpu_precreate(struct vm_irq *vi);
/*
 * Makes v->irq and sets v->irq_ops. 0, -ENOMEM, -EINVAL (its redistributor does not fit). nr_online
 * counts the vCPUs of the group without this one.
 */
int irq_vcpu_init(struct vm_irq *vi, struct vcpu *v);
/*
 * Undoes irq_vcpu_init of the vCPU that was made last and never came online: its redistributor's place is free again. Since
 * irq_vcpu_init vm->lock was held.
 */
void irq_vcpu_withdraw(struct vcpu *v);
/* NULL v->irq is allowed. */
void irq_vcpu_fini(struct vcpu *v);

/*
 * Part of the first KVM_RUN of each vCPU, v->mutex held, before v->has_run is set: maps the frames,
 * settles the timers' interrupt numbers. -ENXIO (an address is missing), -EINVAL (frames overlap,
 * timer PPIs clash), -EBUSY (controller not initialised). Errors of the frames kill the VM as in
 * KVM (later calls answer EIO).
 */
int irq_vcpu_first_run(struct vcpu *v);

/* --- the controller (KVM_CREATE_DEVICE type 5 or 7 and its attributes) --- */

/*
 * Caller holds vm->lock and no vcpu->mutex. -EEXIST, -EBUSY (a vCPU runs or has run), -E2BIG (more vCPUs than a GICv2 has).
 * Types other than GICv2 and GICv3 are not offered: -ENODEV.
 */
int irq_gic_create(struct vm_irq *vi, u32 type);
/* Caller holds vm->lock; user is a user pointer. Errors: docs/interrupts.md. */
int irq_gic_set_attr(struct vm_irq *vi, u32 group, u64 attr, void *user);
int irq_gic_get_attr(struct vm_irq *vi, u32 group, u64 attr, void *user);
int irq_gic_has_attr(struct vm_irq *vi, u32 group, u64 attr);

/* --- the ITS (KVM_CREATE_DEVICE type 8): made by its_alloc and its_publish (its.h) --- */

struct its;
/* KVM_CAP_MSI_DEVID: there is one. */
bool irq_has_its(const struct vm_irq *vi);
/* As those of the controller. */
int irq_its_set_attr(struct its *its, u32 group, u64 attr, void *user);
int irq_its_get_attr(struct its *its, u32 group, u64 attr, void *user);
int irq_its_has_attr(u32 group, u64 attr);

/* KVM_ARM_SET_DEVICE_ADDR: -ENODEV (another device, no GICv2), and what the attribute answers. */
int irq_set_legacy_addr(struct vm_irq *vi, u64 id, u64 addr);

static inline bool irq_gic_exists(const struct vm_irq *vi)
{
	return a32_load_acquire(&vi->in_library);
}
static inline bool irq_gic_initialized(const struct vm_irq *vi)
{
	return a32_load_acquire(&vi->initialized);
}

/*
 * MMIO of the frames. 0; -EOPNOTSUPP: the address is not ours; -EAGAIN: the access is to be made again when the vCPU was through its run
 * loop. The vCPU's thread, mode OUTSIDE: an ITS reads guest memory.
 */
int irq_mmio_read(struct vm_irq *vi, struct vcpu *v, u64 ipa, unsigned size, u64 *value);
int irq_mmio_write(struct vm_irq *vi, struct vcpu *v, u64 ipa, unsigned size, u64 value);

/* --- lines --- */

/* KVM_IRQ_LINE: -ENXIO (type does not fit), -EINVAL, -EBUSY (controller not initialised). */
int irq_line(struct vm_irq *vi, u32 irq, u32 level);
/* KVM_SET_GSI_ROUTING, entries already copied in: -EINVAL, -ENOMEM. Waits for SRCU: no device lock
 * held. */
int irq_set_routing(struct vm_irq *vi, const struct kvm_irq_routing_entry *entries, u32 nr);
/* KVM_IRQFD: -EINVAL, -EAGAIN (controller not initialised), -EBADF, -EBUSY, -ENOMEM. */
int irq_irqfd(struct vm_irq *vi, const struct kvm_irqfd *args);
/* KVM_SIGNAL_MSI: 1 raised, 0 unmapped; -EINVAL (no controller, flags, no ITS at the address), -ENODEV (no ITS), -EBUSY (off). */
int irq_signal_msi(struct vm_irq *vi, const struct kvm_msi *msi);
/* Drives a GSI through the routing table, as an irqfd does. */
int irq_set_gsi(struct vm_irq *vi, u32 gsi, bool level);

/* --- timers --- */

/* KVM_ARM_SET_COUNTER_OFFSET. Caller holds vm->lock. -EINVAL, -EBUSY (a vCPU runs). */
int irq_set_counter_offset(struct vm_irq *vi, const struct kvm_arm_counter_offset *o);
/* vCPU attributes of group KVM_ARM_VCPU_TIMER_CTRL. */
int irq_timer_set_attr(struct vcpu *v, u64 attr, void *user);
int irq_timer_get_attr(struct vcpu *v, u64 attr, void *user);
int irq_timer_has_attr(struct vcpu *v, u64 attr);

/* The output of one, now. */
bool timer_level(const struct irq_cpu *cpu, enum irq_timer_id id);

/* --- levels for user space: of a VM without a controller here, on the vCPU's thread. user_irq.c --- */

/* A level differs from what kvm_run says. */
bool user_irq_changed(struct irq_cpu *cpu);
/* Brings kvm_run up to date; whether it was not. */
bool user_irq_show(struct irq_cpu *cpu);
/* After a level may have changed: the engine is left if it did. */
void user_irq_check(struct irq_cpu *cpu);
bool user_irq_timer_shown(const struct irq_cpu *cpu, enum irq_timer_id id);

/* vCPU attributes of group KVM_ARM_VCPU_PMU_V3_CTRL. */
int irq_pmu_set_attr(struct vcpu *v, u64 attr, void *user);
int irq_pmu_get_attr(struct vcpu *v, u64 attr, void *user);
int irq_pmu_has_attr(struct vcpu *v, u64 attr);

/* The physical counter: COUNTER_HZ from CLOCK_MONOTONIC. Virtual = physical - offset. */
#define COUNTER_HZ 1000000000u
u64 irq_counter_virtual(const struct vm_irq *vi);
u64 irq_counter_physical(const struct vm_irq *vi);

#endif
