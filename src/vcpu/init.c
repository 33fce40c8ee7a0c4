// SPDX-License-Identifier: MIT
/* Birth, reset and end of a vCPU and of the group. */
#include <errno.h>
#include <string.h>

#include "vcpu/idregs.h"
#include "vcpu/internal.h"
#include "vcpu/sysreg_hooks.h"

/* KVM_ARM_VCPU_* feature bits: those with a meaning, and those offered here. */
#define FEATURE_POWER_OFF BIT(0)
#define FEATURE_PSCI_0_2  BIT(2)
#define FEATURE_PMU_V3	  BIT(3)
#define FEATURES_KNOWN	  GENMASK(8, 0)
#define FEATURES_PTRAUTH  (BIT(5) | BIT(6)) /* of addresses, generic: one never without the other */
#define FEATURES_OFFERED  (FEATURE_POWER_OFF | FEATURE_PSCI_0_2 | FEATURE_PMU_V3 | FEATURES_PTRAUTH)

/* KVM_ARM_VCPU_INIT: EL1h, everything masked. */
#define RESET_PSTATE ((u32)(PSR_D | PSR_A | PSR_I | PSR_F | PSR_SP) | 1u << PSR_EL_SHIFT)

/* mem/tlb.h: on the vCPU's own thread (or with it stopped). */
static void apply_record(struct tlb_client *c, const struct tlb_inval *rec)
{
	struct vcpu *v = container_of(c, struct vcpu, tlb);

	vtlb_apply(v, rec);
	if (rec->kind == TLB_INVAL_CODE)
		v->engine_ops->drop_code(v, rec->start, rec->end);
	else if (rec->code_end)
		v->engine_ops->drop_code(v, rec->code_start, rec->code_end);
}

static void torn_down(struct tlb_client *c)
{
	vcpu_request(container_of(c, struct vcpu, tlb), VCPU_REQ_DEAD);
}

void vcpu_group_init(struct vcpu_group *g, struct vm_mem *mem, const struct vcpu_vm_ops *ops,
		     void *vm)
{
	g->mem = mem;
	g->ops = ops;
	g->vm = vm;
	a32_store_relaxed(&g->nr, 0);
	mutex_init(&g->config, RANK_CONFIG, "vcpu group config");
	idregs_init(g);
}

int vcpu_init(struct vcpu *v, struct vcpu_group *group, u32 id, u32 index,
	      const struct engine_ops *ops)
{
	int r;

	v->group = group;
	v->id = id;
	v->index = index;
	v->engine_ops = ops;
	v->tlb.apply = apply_record;
	v->tlb.torn_down = torn_down;
	mutex_init(&v->mutex, RANK_VCPU, "vcpu");
	host_sleeper_init(&v->sleeper);
	v->arch.pstate = RESET_PSTATE;
	v->arch.el = 1;
	idregs_init_vcpu(v);
	vcpu_debug_init(v);
	r = mem_vcpu_init(group->mem, &v->mem, &v->tlb);
	if (r)
		goto fail;
	r = vtlb_init(v);
	if (r)
		goto fail_mem;
	return 0;

fail_mem:
	mem_vcpu_fini(&v->mem);
fail:
	host_sleeper_fini(&v->sleeper);
	mutex_fini(&v->mutex);
	return r;
}

/* What only a vCPU that runs needs: most of its memory. Called again after a failure. */
int vcpu_prepare(struct vcpu *v)
{
	int r = vtlb_prepare(v);

	if (r || v->engine)
		return r;
	return v->engine_ops->vcpu_init(v);
}

void vcpu_fini(struct vcpu *v)
{
	/* A vCPU whose creation failed late is not in the array, but may be known to the flush
	 * protocol. */
	if (aptr_load_relaxed(&v->group->vcpu[v->index]) != v)
		tlb_client_detach(&v->group->mem->tlb, &v->tlb);
	v->engine_ops->vcpu_fini(v);
	vtlb_fini(v);
	mem_vcpu_fini(&v->mem);
	host_sleeper_fini(&v->sleeper);
	mutex_fini(&v->mutex);
}

void vcpu_reset(struct vcpu *v)
{
	struct vcpu_arch *a = &v->arch;
	u64 sp_el1 = a->el == 1 && a->pstate & PSR_SP ? a->x[REG_SP] : a->sp_el[1];
	u64 elr = a->sys[SR_ELR_EL1], spsr = a->sys[SR_SPSR_EL1];

	memset(a, 0, sizeof(*a));
	a->pstate = RESET_PSTATE;
	a->el = 1;
	sysreg_reset_all(v);
	/* Unknown to the architecture after a reset; KVM leaves them alone. */
	a->x[REG_SP] = sp_el1;
	a->sys[SR_ELR_EL1] = elr;
	a->sys[SR_SPSR_EL1] = spsr;
	v->maintenance_open = v->maintenance_posted = false;
	v->drop_code = true;
	if (v->reset_state.pending) {
		v->reset_state.pending = false;
		a->pc = v->reset_state.pc;
		a->x[0] = v->reset_state.x0;
	}
	if (v->irq_ops && v->irq_ops->reset)
		v->irq_ops->reset(v);
	vcpu_update_traps(v);
	vtlb_regs_changed(v);
	vcpu_debug_reset(v);
}

/* All vCPUs of a VM have the features of the first one that was initialised; they decide what the ID registers say. */
static int join_features(struct vcpu_group *g, u32 wanted)
{
	int r = 0;

	wanted |= VCPU_GROUP_FEATURES_SET;
	mutex_lock(&g->config);
	if (!a32_load(&g->features)) {
		a32_store(&g->features, wanted);
		idregs_init(g);
	} else if (a32_load(&g->features) != wanted) {
		r = -EINVAL;
	}
	mutex_unlock(&g->config);
	return r;
}

int vcpu_arm_init(struct vcpu *v, u32 target, const u32 features[7])
{
	struct vcpu_group *g = v->group;
	u32 wanted = features[0] & ~(u32)FEATURE_POWER_OFF;
	bool power_off = features[0] & FEATURE_POWER_OFF;
	int r;

	if (target != VCPU_TARGET_GENERIC_V8)
		return -EINVAL;
	if (features[0] & ~(u32)FEATURES_KNOWN)
		return -ENOENT;
	for (unsigned i = 1; i < 7; i++)
		if (features[i])
			return -ENOENT;
	if (features[0] & ~(u32)FEATURES_OFFERED)
		return -EINVAL;
	if ((wanted & (u32)FEATURES_PTRAUTH) && (~wanted & (u32)FEATURES_PTRAUTH))
		return -EINVAL;
	r = join_features(g, wanted);
	if (r)
		return r;
	v->target = target;
	v->features = wanted;
	if (!v->initialized)
		mpidr_init(v);
	/*
	 * In KVM both the SError that waits and the access to a device that is not finished outlive the reset of a vCPU that
	 * ran: the next run goes on with them.
	 */
	if (!v->has_run)
		v->events.serror_pending = false;
	vcpu_reset(v);
	v->initialized = true;
	a32_store(&v->power_off, power_off ? VCPU_STOPPED : VCPU_RUNNABLE);
	return 0;
}

struct vcpu *vcpu_group_get(struct vcpu_group *g, u32 index)
{
	/* Pairs with the release store of nr: entries below it are there. */
	if (index >= a32_load_acquire(&g->nr))
		return NULL;
	return aptr_load_relaxed(&g->vcpu[index]);
}

u64 vcpu_mpidr(const struct vcpu *v)
{
	return a64_load_relaxed(&v->mpidr);
}

struct vcpu *vcpu_group_by_mpidr(struct vcpu_group *g, u64 mpidr)
{
	const u64 affinity = GENMASK(39, 32) | GENMASK(23, 0);
	u32 nr = a32_load_acquire(&g->nr);

	for (u32 i = 0; i < nr; i++) {
		struct vcpu *v = aptr_load_relaxed(&g->vcpu[i]);

		if (!((vcpu_mpidr(v) ^ mpidr) & affinity))
			return v;
	}
	return NULL;
}
