/* SPDX-License-Identifier: MIT */
/*
 * A machine for tests of irq/ and hvc/: their real code over a stand-in for the vCPU layer, whose
 * vCPUs have registers, pins and requests but no instructions. rig.c has the stand-ins.
 */
#ifndef ANYKVM_TESTS_RIG_H
#define ANYKVM_TESTS_RIG_H

#include <anykvm/kvm.h>

#include "irq/irq.h"
#include "vcpu/sysreg.h"

#define RIG_MAX_CPUS 8
#define RIG_DIST     0x08000000ull
#define RIG_REDIST   0x080a0000ull
#define RIG_RAM	     0x40000000ull
#define RIG_RAM_SIZE 0x200000u

struct rig {
	struct vm_mem mem;
	struct vcpu_group g;
	struct vm_irq vi;
	struct mutex vm_lock; /* stands for vm->lock */
	struct vcpu v[RIG_MAX_CPUS];
	struct kvm_run run[RIG_MAX_CPUS];
	u32 nr;
	u8 guest[RIG_RAM_SIZE]; /* guest memory at RIG_RAM for mem_read_guest and mem_write_guest */
	struct a32 nr_reads;	/* of it */
};

/* The clock that irq/ sees. */
void rig_clock_set(u64 ns);

/* A VM without controller. */
struct rig *rig_create(u32 nr_cpus);
/* With a GICv3, its frames at the addresses above, initialised; every vCPU ran once. */
struct rig *rig_create_gic(u32 nr_cpus, u32 nr_irqs);
void rig_destroy(struct rig *r);
int rig_add_cpu(struct rig *r);

int rig_set(struct rig *r, u32 group, u64 attr, void *user);
int rig_get(struct rig *r, u32 group, u64 attr, void *user);

u64 rig_mrs(struct rig *r, u32 cpu, u16 op);
void rig_msr(struct rig *r, u32 cpu, u16 op, u64 value);
const struct sysreg_row *rig_row(struct rig *r, u16 op);
u64 rig_read(struct rig *r, u64 addr, unsigned size);
void rig_write(struct rig *r, u64 addr, unsigned size, u64 value);
static inline u64 rig_redist(u32 cpu)
{
	return RIG_REDIST + cpu * 0x20000ull;
}
bool rig_pin(struct rig *r, u32 cpu, enum vcpu_pin pin);

#define PMR	SYSREG_OP(3, 0, 4, 6, 0)
#define IAR0	SYSREG_OP(3, 0, 12, 8, 0)
#define EOIR0	SYSREG_OP(3, 0, 12, 8, 1)
#define HPPIR0	SYSREG_OP(3, 0, 12, 8, 2)
#define BPR0	SYSREG_OP(3, 0, 12, 8, 3)
#define AP0R0	SYSREG_OP(3, 0, 12, 8, 4)
#define AP1R0	SYSREG_OP(3, 0, 12, 9, 0)
#define DIR	SYSREG_OP(3, 0, 12, 11, 1)
#define RPR	SYSREG_OP(3, 0, 12, 11, 3)
#define SGI1R	SYSREG_OP(3, 0, 12, 11, 5)
#define ASGI1R	SYSREG_OP(3, 0, 12, 11, 6)
#define SGI0R	SYSREG_OP(3, 0, 12, 11, 7)
#define IAR1	SYSREG_OP(3, 0, 12, 12, 0)
#define EOIR1	SYSREG_OP(3, 0, 12, 12, 1)
#define HPPIR1	SYSREG_OP(3, 0, 12, 12, 2)
#define BPR1	SYSREG_OP(3, 0, 12, 12, 3)
#define CTLR	SYSREG_OP(3, 0, 12, 12, 4)
#define SRE	SYSREG_OP(3, 0, 12, 12, 5)
#define IGRPEN0 SYSREG_OP(3, 0, 12, 12, 6)
#define IGRPEN1 SYSREG_OP(3, 0, 12, 12, 7)

#define CNTFRQ	  SYSREG_OP(3, 3, 14, 0, 0)
#define CNTPCT	  SYSREG_OP(3, 3, 14, 0, 1)
#define CNTVCT	  SYSREG_OP(3, 3, 14, 0, 2)
#define CNTP_TVAL SYSREG_OP(3, 3, 14, 2, 0)
#define CNTP_CTL  SYSREG_OP(3, 3, 14, 2, 1)
#define CNTP_CVAL SYSREG_OP(3, 3, 14, 2, 2)
#define CNTV_TVAL SYSREG_OP(3, 3, 14, 3, 0)
#define CNTV_CTL  SYSREG_OP(3, 3, 14, 3, 1)
#define CNTV_CVAL SYSREG_OP(3, 3, 14, 3, 2)

#define SPURIOUS 1023

/* What a guest does at boot: group 1 on, all priorities, distributor on. */
void rig_enable_all(struct rig *r);
/* Configures an SPI of CPU `cpu`: priority, trigger, enabled. */
void rig_setup_spi(struct rig *r, u32 intid, u32 cpu, u8 priority, bool edge);

#endif
