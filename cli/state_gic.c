/* SPDX-License-Identifier: MIT */
/*
 * The interrupt controller, by the attributes of KVM's GICv3 device. One walk names the registers in the order in which they are
 * restored (QEMU's): the switch of the distributor, each redistributor, the distributor, each CPU interface. Within a frame: groups,
 * enables, edge or level, then the lines (what a level means depends on the configuration), what is pending and active beyond the
 * lines, priorities. Where a register sets bits only, its counterpart clears all before. LPIs are the business of state_its.c.
 */
#include <errno.h>
#include <string.h>

#include "machine.h"
#include "state.h"

/* Offsets in the distributor's frame; those of SGIs and PPIs are in the redistributor's second frame, at the same places. */
enum {
	GIC_CTLR = 0x0000,
	GIC_IIDR = 0x0008,
	GIC_IGROUPR = 0x0080,
	GIC_ISENABLER = 0x0100,
	GIC_ICENABLER = 0x0180,
	GIC_ISPENDR = 0x0200,
	GIC_ISACTIVER = 0x0300,
	GIC_ICACTIVER = 0x0380,
	GIC_IPRIORITYR = 0x0400,
	GIC_ICFGR = 0x0c00,
	GIC_IROUTER = 0x6000,
	GIC_SGI_FRAME = 0x10000,
};

#define ICC(crn, crm, op2) (ARM64_SYS_REG(3, 0, crn, crm, op2) & KVM_DEV_ARM_VGIC_SYSREG_INSTR_MASK)
#define ICC_SRE_EL1	   ICC(12, 12, 5)
#define ICC_CTLR_EL1	   ICC(12, 12, 4)
#define ICC_IGRPEN0_EL1	   ICC(12, 12, 6)
#define ICC_IGRPEN1_EL1	   ICC(12, 12, 7)
#define ICC_PMR_EL1	   ICC(4, 6, 0)
#define ICC_BPR0_EL1	   ICC(12, 8, 3)
#define ICC_BPR1_EL1	   ICC(12, 12, 3)
#define ICC_AP0R_EL1(n)	   ICC(12, 8, 4 | (n))
#define ICC_AP1R_EL1(n)	   ICC(12, 9, (n))
#define ICC_CTLR_PRIBITS   8

struct gic_walk {
	struct state *state;
	struct machine *m;
};

static int gic_access(const struct gic_walk *walk, bool set, uint32_t group, uint64_t attr,
		      void *value)
{
	struct kvm_device_attr request = {.group = group, .attr = attr, .addr = (uintptr_t)value};

	return walk->m->accel->ioctl(walk->m->gic_fd,
				     set ? KVM_SET_DEVICE_ATTR : KVM_GET_DEVICE_ATTR, &request);
}

/* One register of 64 bits (CPU interface) or 32. */
static void gic_register(const struct gic_walk *walk, uint32_t group, uint64_t attr)
{
	struct state *state = walk->state;
	bool wide = group == KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS;
	uint64_t value = 0;
	uint32_t narrow = 0;
	void *at = wide ? (void *)&value : &narrow;

	if (!state_is_good(state))
		return;
	if (!state->loading && gic_access(walk, false, group, attr, at) < 0)
		state_fail(state, "reading register 0x%llx of group %u: %s", attr + 0ull, group,
			   strerror(errno));
	state_bytes(state, at, wide ? 8 : 4);
	if (state_is_good(state) && state->loading && gic_access(walk, true, group, attr, at) < 0)
		state_fail(state, "setting register 0x%llx of group %u: %s", attr + 0ull, group,
			   strerror(errno));
}

static void gic_clear(const struct gic_walk *walk, uint32_t group, uint64_t attr)
{
	uint32_t all = ~0u;

	if (walk->state->loading && gic_access(walk, true, group, attr, &all) < 0)
		state_fail(walk->state, "clearing register 0x%llx of group %u: %s", attr + 0ull,
			   group, strerror(errno));
}

/* As KVM's device interface names a vCPU: Aff3.Aff2.Aff1.Aff0 in the upper half. */
static uint64_t gic_affinity(const struct machine_vcpu *vcpu)
{
	uint64_t mpidr = vcpu->mpidr;

	return ((mpidr >> 32 & 0xff) << 24 | (mpidr & 0xffffff)) << 32;
}

static uint64_t line_levels(uint32_t first)
{
	return (uint64_t)VGIC_LEVEL_INFO_LINE_LEVEL << KVM_DEV_ARM_VGIC_LINE_LEVEL_INFO_SHIFT |
	       first;
}

/* 32 interrupts: base is where the frame's registers are, first the first interrupt's number. */
static void gic_interrupts(const struct gic_walk *walk, uint32_t group, uint64_t base,
			   uint64_t affinity, uint32_t first)
{
	uint64_t bits = base + first / 8;

	gic_register(walk, group, bits + GIC_IGROUPR);
	gic_clear(walk, group, bits + GIC_ICENABLER);
	gic_register(walk, group, bits + GIC_ISENABLER);
	for (uint32_t i = 0; i < 8; i += 4)
		gic_register(walk, group, base + GIC_ICFGR + first / 4 + i);
	gic_register(walk, KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO, affinity | line_levels(first));
	gic_register(walk, group, bits + GIC_ISPENDR);
	gic_clear(walk, group, bits + GIC_ICACTIVER);
	gic_register(walk, group, bits + GIC_ISACTIVER);
	for (uint32_t i = 0; i < 32; i += 4)
		gic_register(walk, group, base + GIC_IPRIORITYR + first + i);
}

static void gic_distributor(const struct gic_walk *walk)
{
	for (uint32_t first = 32; first < MACHINE_NR_IRQS; first += 32) {
		gic_interrupts(walk, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0, 0, first);
		for (uint32_t i = first; i < first + 32; i++) {
			gic_register(walk, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, GIC_IROUTER + i * 8ull);
			gic_register(walk, KVM_DEV_ARM_VGIC_GRP_DIST_REGS,
				     GIC_IROUTER + i * 8ull + 4);
		}
	}
}

static void gic_cpu_interface(const struct gic_walk *walk, uint64_t affinity)
{
	static const uint16_t registers[] = {ICC_SRE_EL1,     ICC_CTLR_EL1, ICC_IGRPEN0_EL1,
					     ICC_IGRPEN1_EL1, ICC_PMR_EL1,  ICC_BPR0_EL1,
					     ICC_BPR1_EL1};
	const uint32_t group = KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS;
	uint64_t ctlr = 0;
	unsigned nr_active;

	for (unsigned i = 0; i < sizeof(registers) / sizeof(registers[0]); i++)
		gic_register(walk, group, affinity | registers[i]);
	if (gic_access(walk, false, group, affinity | ICC_CTLR_EL1, &ctlr) < 0)
		state_fail(walk->state, "ICC_CTLR_EL1: %s", strerror(errno));
	/* One register of active priorities for 5 bits of priority, two for 6, four for 7. */
	nr_active =
		1u << ((ctlr >> ICC_CTLR_PRIBITS & 7) > 4 ? (ctlr >> ICC_CTLR_PRIBITS & 7) - 4 : 0);
	for (unsigned i = 0; i < nr_active && i < 4; i++)
		gic_register(walk, group, affinity | ICC_AP0R_EL1(i));
	for (unsigned i = 0; i < nr_active && i < 4; i++)
		gic_register(walk, group, affinity | ICC_AP1R_EL1(i));
}

void state_gic(struct state *state, struct machine *m)
{
	const struct gic_walk walk = {.state = state, .m = m};

	/* What the registers mean depends on the revision that this one tells. */
	gic_register(&walk, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, GIC_IIDR);
	gic_register(&walk, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, GIC_CTLR);
	for (unsigned i = 0; i < m->nr_vcpus; i++) {
		uint64_t affinity = gic_affinity(&m->vcpus[i]);

		gic_interrupts(&walk, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, affinity | GIC_SGI_FRAME,
			       affinity, 0);
	}
	gic_distributor(&walk);
	for (unsigned i = 0; i < m->nr_vcpus; i++)
		gic_cpu_interface(&walk, gic_affinity(&m->vcpus[i]));
}
