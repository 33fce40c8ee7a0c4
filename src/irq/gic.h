/* SPDX-License-Identifier: MIT */
/*
 * Inside of irq/: the GICv3 model.
 *
 * Every interrupt has a home, the vCPU that would take it, and is guarded by its home's lock. SGIs
 * and PPIs never move. An SPI moves when its affinity changes, but not while it is active (as in
 * KVM, where an active interrupt stays on the list of the vCPU that acknowledged it). Whoever wants
 * an SPI locks its home and looks again whether it still is the home (gic_irq_lock). A move changes
 * `home` under the old home's lock and completes under the new one; in between the interrupt is
 * guarded by the new lock and may be changed by others, which is why the completion only
 * recomputes.
 *
 * So there is no global lock on any path of a running guest: an SGI takes the target's lock,
 * acknowledge and EOI the own one.
 *
 * Guarantees (tests cite them):
 *   G-GIC-A  An interrupt is a candidate of at most one vCPU at a time, and of its home only.
 *   G-GIC-B  After any change the pins of the vCPUs concerned show it when the call that made it
 * returns. G-GIC-C  State read through MMIO, attributes or system registers is exact: there are no
 * list registers to sync.
 *
 * LPIs are interrupts as SPIs are, with a home that moves; they have no active state. lpi.c makes
 * them, the ITS (its.h) says where they go.
 *
 * Locks: irq_cpu.lock (RANK_VGIC_CPU, leaf: nothing is taken inside but what vcpu_set_pin takes;
 * never two at once). vm_irq.config (RANK_CONFIG): addresses, sizes, init. vm_irq.dist_lock
 * (RANK_VGIC_DIST): distributor-wide registers; may take irq_cpu.lock inside. vm_irq.its_lock
 * (RANK_ITS): everything that reads or writes LPI and ITS tables in guest memory, hence not a leaf.
 */
#ifndef ANYKVM_IRQ_GIC_H
#define ANYKVM_IRQ_GIC_H

#include "base/list.h"
#include "irq/pmu.h"
#include "sync/atomic.h"
#include "sync/mutex.h"
#include "sync/srcu.h"
#include "sync/thread.h"
#include "vcpu/sysreg.h"
#include "vcpu/vcpu.h"

#define GIC_NR_SGI	   16
#define GIC_NR_PRIVATE	   32
#define GIC_MAX_IRQ	   1024
#define GIC_SPI_WORDS	   (GIC_MAX_IRQ / 64)
#define GIC_SPURIOUS	   1023
#define GIC_FIRST_LPI	   8192
#define GIC_LPI_ID_BITS	   16
#define GIC_NR_LPI	   ((1u << GIC_LPI_ID_BITS) - GIC_FIRST_LPI)
#define GIC_IDLE_PRIO	   0xff
#define GIC_PRI_BITS	   5
#define GIC_LEVELS	   (1 << GIC_PRI_BITS)
#define GIC_PRI_MASK	   0xf8
#define GIC_ID_BITS	   1 /* ICC_CTLR_EL1.IDbits: 24 */
#define GIC_ADDR_UNDEF	   (~0ull)
#define GICR_PENDBASER_PTZ BIT(62)
#define GIC_DIST_SIZE	   0x10000ull
#define GIC_REDIST_SIZE	   0x20000ull
#define GIC_DEFAULT_NR_IRQ 256

struct irq_cpu;
struct vm_irq;

struct gic_irq {
	struct aptr home; /* struct irq_cpu *, never NULL once initialised; see the top */
	/* --- guarded by home->lock --- */
	struct irq_cpu *target; /* where it is routed; NULL: nowhere */
	u32 mpidr;		/* IROUTER as written */
	u16 intid;
	u8 priority;
	bool enabled;
	bool pending_latch; /* edge, or made pending by software */
	bool line_level;
	bool active;
	bool group1;
	bool edge;
	u8 targets;	   /* GICv2: ITARGETSR */
	u8 source;	   /* GICv2, SGIs: the vCPUs whose are pending */
	const void *owner; /* a timer drives the line: others may not */
};

/*
 * An LPI. born: lpi_map, under its_lock. seen by: vm_irq.lpi_pages from then on, candidates, translation caches. freed: with the
 * VM, so that a number remembered anywhere always leads to memory that is an LPI; whether it is in use is `mapped`.
 */
struct gic_lpi {
	struct gic_irq irq;
	/* --- guarded by irq.home->lock --- */
	struct list candidate; /* home->candidate_lpis[level], or empty */
	u32 mapped; /* ITS translations that lead here; 0: nothing is pending nor enabled */
};

static inline bool gic_irq_is_lpi(const struct gic_irq *irq)
{
	return irq->intid >= GIC_FIRST_LPI;
}
static inline struct gic_lpi *gic_lpi_of(struct gic_irq *irq)
{
	return container_of(irq, struct gic_lpi, irq);
}

#define GIC_LPI_PAGE  512
#define GIC_LPI_PAGES (GIC_NR_LPI / GIC_LPI_PAGE)
struct gic_lpi_page {
	struct aptr lpi[GIC_LPI_PAGE]; /* struct gic_lpi * */
};

/* The EL1 timers, in the order of the KVM_ARM_VCPU_TIMER_IRQ_* attributes. */
enum irq_timer_id { TIMER_VIRT, TIMER_PHYS, NR_TIMERS };

/* Touched by the holder of v->mutex alone (the vCPU thread while it runs): no lock. */
struct irq_timer {
	u64 ctl; /* as written, without ISTATUS, which is computed; the guest's bits are ENABLE and IMASK */
	u64 cval;
};

#define TIMER_CTL_ENABLE  BIT(0)
#define TIMER_CTL_IMASK	  BIT(1)
#define TIMER_CTL_ISTATUS BIT(2)

/* One vCPU's redistributor and CPU interface. Born in irq_vcpu_init, freed in irq_vcpu_fini after
 * the last vCPU ran. */
struct irq_cpu {
	struct vcpu *v; /* NULL: vm_irq.nobody, home of SPIs that are routed nowhere */
	struct vm_irq *vi;
	_Alignas(64) struct mutex lock;
	/* --- lock --- */
	/* enabled, pending, not active, routed here; by INTID */
	u32 candidate_private WRITES_GUARDED_BY(lock);
	u32 candidate_words WRITES_GUARDED_BY(lock); /* non-zero words of candidate_spi */
	u64 candidate_spi[GIC_SPI_WORDS] WRITES_GUARDED_BY(lock);
	/* by priority: a guest may have all LPIs pending. A level's bit may be set though its list is empty, never the other way round */
	struct list candidate_lpis[GIC_LEVELS] WRITES_GUARDED_BY(lock);
	u32 candidate_lpi_levels WRITES_GUARDED_BY(lock);
	/* highest priority candidate of an enabled group */
	struct gic_irq *best WRITES_GUARDED_BY(lock);
	/* best passes the mask and the running priority: a pin is up */
	bool signalled WRITES_GUARDED_BY(lock);
	u32 pin_bits WRITES_GUARDED_BY(lock); /* as last given to vcpu_set_pin */
	/* as user space restored them; the guest sees them limited (gic_cpu_pmr...) */
	u8 pmr WRITES_GUARDED_BY(lock);
	u8 bpr0 WRITES_GUARDED_BY(lock);
	u8 bpr1 WRITES_GUARDED_BY(lock);
	bool cbpr WRITES_GUARDED_BY(lock);
	bool eoimode WRITES_GUARDED_BY(lock);
	bool fiqen
		WRITES_GUARDED_BY(lock); /* group 0 is signalled as FIQ; always, but on a GICv2 */
	bool ackctl WRITES_GUARDED_BY(lock); /* GICv2: GICC_IAR acknowledges group 1 too */
	bool grpen0 WRITES_GUARDED_BY(lock);
	bool grpen1 WRITES_GUARDED_BY(lock);
	u32 ap0r WRITES_GUARDED_BY(lock);
	u32 ap1r WRITES_GUARDED_BY(lock); /* active priorities, one bit per preemption level */
	u8 user_pri_bits WRITES_GUARDED_BY(lock);
	u8 user_id_bits WRITES_GUARDED_BY(lock); /* what user space restored into ICC_CTLR_EL1 */
	/* GICR_CTLR.EnableLPIs: changed under its_lock and lock (lpi.c) */
	struct a32 lpis_enabled;
	struct a64 pendbaser; /* written under dist_lock */
	struct gic_irq priv[GIC_NR_PRIVATE] WRITES_GUARDED_BY(lock);
	/* --- v->mutex --- */
	struct irq_timer timer[NR_TIMERS];
	struct irq_pmu pmu;
	/* --- vi->config --- */
	struct redist_region *region;
	u32 region_index;
	struct a64
		rd_base; /* GIC_ADDR_UNDEF until placed; read without lock by MMIO, as is rd_last */
	struct a32 rd_last; /* GICR_TYPER.Last */
};

struct redist_region {
	struct list link; /* vi->regions, by index */
	u32 index;
	u64 base;
	u32 count; /* 0: legacy, grows with the vCPUs */
	u32 used;
};

struct irq_routing; /* route.c */

struct vm_irq {
	struct vcpu_group *group;
	struct a32 in_library;	/* a controller was created */
	bool v2;		/* it is a GICv2; constant once in_library */
	struct a32 initialized; /* CTRL_INIT done: spi[] is there */
	struct a32 ready;	/* first KVM_RUN: the distributor answers */
	/* --- config (RANK_CONFIG) --- */
	struct mutex config;
	struct a64 dist_base;
	struct a64 cpuif_base; /* GICv2 */
	struct list regions WRITES_GUARDED_BY(config);
	u32 nr_spi WRITES_GUARDED_BY(config); /* constant once initialized */
	u32 mi_intid WRITES_GUARDED_BY(config);
	u8 ppi[4] WRITES_GUARDED_BY(config); /* of the four timers, by attribute number */
	bool ppi_fixed WRITES_GUARDED_BY(config);
	struct vm_pmu pmu WRITES_GUARDED_BY(config);
	/* --- dist_lock (RANK_VGIC_DIST) --- */
	struct mutex dist_lock;
	struct a32 enabled; /* GICD_CTLR.EnableGrp1; read without lock under the CPUs' locks, which
			       a change takes in turn */
	u32 revision WRITES_GUARDED_BY(dist_lock);
	bool v2_groups_writable; /* vcpu->mutex of all */
	struct a64 propbaser;	 /* written under dist_lock */
	/* --- its_lock (RANK_ITS): LPIs and all ITSs of the VM --- */
	struct mutex its_lock;
	/* the first of a list that only grows (its.h) */
	struct aptr its;
	struct aptr lpi_pages
		[GIC_LPI_PAGES]; /* struct gic_lpi_page *, NULL until needed; read without lock */
	/* of the vCPU whose thread writes tables now, NULL if it is none's */
	struct mem_vcpu *table_writer GUARDED_BY(its_lock);
	/* --- constant after init --- */
	struct gic_irq *spi;
	struct irq_cpu *nobody;
	/* --- counter offsets --- */
	struct a64 voffset, poffset;
	struct a32 offset_fixed; /* KVM_ARM_SET_COUNTER_OFFSET was used: counter registers are not
				    writable any more */
	/* --- routing and irqfds: route.c, irqfd.c --- */
	struct mutex irq_lock; /* RANK_IRQ: table replacement, list of irqfds */
	struct srcu irq_srcu;  /* readers of the routing table */
	struct aptr routing;   /* struct irq_routing * */
	struct list irqfds GUARDED_BY(irq_lock);
	struct irqfd_thread *irqfd_thread WRITES_GUARDED_BY(irq_lock);
	struct mutex resample_lock; /* RANK_LEAF: list of resampling irqfds */
	struct list resamplers GUARDED_BY(resample_lock);
	struct a32 nr_resamplers;
};

#define GIC_V2_DIST_SIZE  0x1000ull
#define GIC_V2_CPUIF_SIZE 0x2000ull
#define GIC_V2_MAX_CPUS	  8
static inline bool gic_is_v2(const struct vm_irq *vi)
{
	return a32_load_acquire(&vi->in_library) && vi->v2;
}

static inline struct irq_cpu *irq_cpu_of(const struct vcpu *v)
{
	return v->irq;
}

/* --- gic.c --- */

/* The interrupt as cpu sees it, NULL if there is none. */
struct gic_irq *gic_irq_get(struct irq_cpu *cpu, u32 intid);
/* Locks the home and returns it. */
struct irq_cpu *gic_irq_lock(struct gic_irq *irq);
/* After a change: recomputes candidates and pins, moves the interrupt if its routing changed,
 * unlocks. */
void gic_irq_unlock(struct gic_irq *irq, struct irq_cpu *home);
/* Without a change. */
void gic_irq_unlock_unchanged(struct irq_cpu *home);
static inline bool gic_irq_is_pending(const struct gic_irq *irq)
{
	return irq->pending_latch || (!irq->edge && irq->line_level);
}
/* The mask and binary points in force: limited to the bits that exist. */
static inline u32 gic_cpu_pmr(const struct irq_cpu *cpu)
{
	return cpu->pmr & GIC_PRI_MASK;
}
static inline u32 gic_cpu_bpr0(const struct irq_cpu *cpu)
{
	return MAX(cpu->bpr0, 8 - GIC_PRI_BITS - 1);
}
static inline u32 gic_cpu_bpr1(const struct irq_cpu *cpu)
{
	return MAX(cpu->bpr1, 8 - GIC_PRI_BITS);
}
/* 0xff when nothing is active. */
u32 gic_cpu_running_priority(const struct irq_cpu *cpu);
u32 gic_cpu_group_priority(const struct irq_cpu *cpu, u32 priority, bool group1);
/* Recomputes best and pins. cpu->lock held. */
void gic_cpu_update(struct irq_cpu *cpu);
/* As gic_cpu_update after one interrupt of this home changed. cpu->lock held. */
void gic_cpu_refresh(struct irq_cpu *cpu, struct gic_irq *irq);
void gic_update_all(struct vm_irq *vi);
int gic_init(struct vm_irq *vi, struct irq_routing **old);
void gic_cpu_setup_private(struct irq_cpu *cpu);
void gic_cpu_reset_interface(struct irq_cpu *cpu);
/*
 * A device changes a line (edge interrupts: level true triggers). cpu names the vCPU of a PPI.
 * -EINVAL for a number that does not fit; 0 also if the owner does not match or nothing changes.
 */
int gic_inject(struct vm_irq *vi, struct irq_cpu *cpu, u32 intid, bool level, const void *owner);
/* EOI or DIR of an interrupt: not active any more. home->lock held on entry, released. */
void gic_irq_deactivate_unlock(struct gic_irq *irq, struct irq_cpu *home);

/* --- gic_cpuif.c --- */
extern const struct sysreg_row gic_sysreg_rows[];
extern const u32 gic_nr_sysreg_rows;
/* CPU_SYSREGS attributes: sysreg is the 16-bit encoding. -ENOENT, -EINVAL. */
int gic_cpuif_get(struct irq_cpu *cpu, u16 op, u64 *value);
int gic_cpuif_set(struct irq_cpu *cpu, u16 op, u64 value);
bool gic_cpuif_has(u16 op);

/* What the memory mapped interface of a GICv2 does too. groups: bit 0 group 0, bit 1 group 1. */
u32 gic_cpu_acknowledge(struct irq_cpu *cpu, u32 groups);
void gic_cpu_end(struct irq_cpu *cpu, u32 intid, u32 groups);
void gic_cpu_deactivate(struct irq_cpu *cpu, u32 intid);

/* --- gic_v2.c --- */
/* 0, or -EOPNOTSUPP: not in a frame. */
int gic_v2_mmio_read(struct irq_cpu *cpu, u64 ipa, unsigned size, u64 *value);
int gic_v2_mmio_write(struct irq_cpu *cpu, u64 ipa, unsigned size, u64 value);
/* Of the vCPU whose registers these are; group is DIST_REGS or CPU_REGS. As gic_user_read and so on. */
int gic_v2_user_read(struct irq_cpu *cpu, u32 group, u32 offset, u32 *value);
int gic_v2_user_write(struct irq_cpu *cpu, u32 group, u32 offset, u32 value);
bool gic_v2_user_has(struct irq_cpu *cpu, u32 group, u32 offset);

/* --- gic_mmio.c --- */
enum gic_frame { GIC_FRAME_DIST, GIC_FRAME_REDIST };
/* 32-bit accesses by user space. Offsets that name nothing read as 0 and ignore writes. -EINVAL,
 * -EBUSY from some writes. */
int gic_user_read(struct irq_cpu *cpu, enum gic_frame frame, u32 offset, u32 *value);
int gic_user_write(struct irq_cpu *cpu, enum gic_frame frame, u32 offset, u32 value);
bool gic_user_has(struct irq_cpu *cpu, enum gic_frame frame, u32 offset);
u32 gic_line_levels_get(struct irq_cpu *cpu, u32 first);
void gic_line_levels_set(struct irq_cpu *cpu, u32 first, u32 levels);

/* The half of a 64-bit register that a 32-bit access at offset means, or all of it. */
static inline u64 gic_half_get(u64 value, u32 offset, unsigned size)
{
	return size == 8 ? value : bits_get(value, (offset & 4) * 8, 32);
}
static inline u64 gic_half_set(u64 old, u32 offset, unsigned size, u64 value)
{
	return size == 8 ? value : bits_set(old, (offset & 4) * 8, 32, value & GENMASK(31, 0));
}
/* Memory attributes that table walks of real hardware could use are narrowed as KVM does. */
u64 gic_baser_sanitise(u64 v, unsigned inner_shift, unsigned outer_shift);

/* --- lpi.c --- */
/* All REQUIRES(its_lock) unless said; none holds a device lock. */

/* NULL: that number was never mapped. Any context. */
struct gic_lpi *lpi_find(struct vm_irq *vi, u32 intid);
/*
 * One more translation leads to this LPI; the first sets it up from the tables, for target (NULL: nowhere yet). 0 and *out, or
 * -ENOMEM, -EFAULT.
 */
int lpi_map(struct vm_irq *vi, u32 intid, struct irq_cpu *target, struct gic_lpi **out)
	REQUIRES(&vi->its_lock);
void lpi_unmap(struct gic_lpi *lpi);
/*
 * False: it is not mapped, or its target takes no LPIs, or word, where the caller without its_lock learnt of it, is no longer what
 * is there (NULL for a caller with its_lock). Any context.
 */
bool lpi_inject(struct gic_lpi *lpi, const struct a64 *at, u64 word);
/* Mapped or not, whatever its target takes. */
void lpi_set_pending(struct gic_lpi *lpi, bool pending);
/* From a given target only, unless from is NULL. */
void lpi_route(struct gic_lpi *lpi, struct irq_cpu *from, struct irq_cpu *to);
/*
 * A walk over all LPIs that visits at most left of them. It answers false if it is to be called again for the rest, from next on; LPIs
 * that are mapped meanwhile may be missed.
 */
struct lpi_walk {
	u32 next, left;
};
/* Every mapped LPI of from. */
bool lpi_route_all(struct vm_irq *vi, struct irq_cpu *from, struct irq_cpu *to, struct lpi_walk *w)
	REQUIRES(&vi->its_lock);
/* Reads its byte of the configuration table. -EFAULT. */
int lpi_configure(struct vm_irq *vi, struct gic_lpi *lpi) REQUIRES(&vi->its_lock);
/* Those of one vCPU. */
bool lpi_configure_all(struct vm_irq *vi, struct irq_cpu *cpu, struct lpi_walk *w)
	REQUIRES(&vi->its_lock);
/* GICR_CTLR.EnableLPIs. Takes its_lock. */
void lpi_enable(struct irq_cpu *cpu, bool on);
/* GICR_INVLPIR, GICR_INVALLR. Take its_lock. */
void lpi_invalidate(struct irq_cpu *cpu, u32 intid);
void lpi_invalidate_all(struct irq_cpu *cpu);
/* KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES, all vCPUs at rest. -EFAULT. Takes its_lock. */
int lpi_save_pending(struct vm_irq *vi);
/* Interrupt identifiers that PROPBASER leaves room for. */
u32 lpi_id_limit(const struct vm_irq *vi);
void lpi_fini(struct vm_irq *vi);

/* --- gic_addr.c --- */
int gic_region_add(struct vm_irq *vi, u32 index, u64 base, u32 count);
/* Places the redistributor of one vCPU if a region has room. 0 or -EINVAL. vi->config held. */
int gic_redist_place(struct vm_irq *vi, struct irq_cpu *cpu);
/* Undoes it for the one that was placed last, which is not in the group. vi->config held. */
void gic_redist_withdraw(struct vm_irq *vi, struct irq_cpu *cpu);
int gic_check_range(const struct vm_irq *vi, u64 present, u64 addr, u64 align, u64 size);
bool gic_check_bases(struct vm_irq *vi);
struct redist_region *gic_region_find(struct vm_irq *vi, u32 index);
/* *old: as gic_init, which a GICv2 may still need. */
int gic_map(struct vm_irq *vi, struct irq_routing **old);

/* --- timer.c --- */
extern const struct sysreg_row timer_sysreg_rows[];
extern const u32 timer_nr_sysreg_rows;
/* Brings the timer lines in step with clock and registers. vCPU thread. */
void timer_update(struct irq_cpu *cpu);
u64 timer_next_deadline(struct irq_cpu *cpu);
void timer_reset(struct irq_cpu *cpu);
int timer_first_run(struct irq_cpu *cpu);
/* User space may have written the control registers. On the vCPU's thread, with its mutex held. */
void timer_regs_changed(struct irq_cpu *cpu);

/* --- gic_attr.c --- */
/* Takes the mutex of every vCPU, nr of them, if none runs. vm->lock held, which keeps their number. */
bool irq_vcpus_trylock(struct vcpu_group *g, u32 *nr);
/* Undoes it for the first nr. */
void irq_vcpus_unlock(struct vcpu_group *g, u32 nr);
/* -EFAULT. */
int irq_get_user64(const void *user, u64 *v);
int irq_put_user64(void *user, u64 v);

/* --- irq.c --- */
struct vcpu *irq_vcpu_by_id(struct vcpu_group *g, u32 id);

/* --- route.c, irqfd.c --- */
void route_init(struct vm_irq *vi);
int route_set_default(struct vm_irq *vi, struct irq_routing **old);
/* Frees a table that was replaced, NULL for none, when its readers are gone. May wait for SRCU. */
void route_drop(struct vm_irq *vi, struct irq_routing *old);
s32 route_pin_of_gsi(struct vm_irq *vi, u32 gsi);
void irqfd_routing_changed(struct vm_irq *vi);
/* Ends the helper thread and drops every irqfd. */
void irqfd_stop(struct vm_irq *vi);
void route_fini(struct vm_irq *vi);
/* A level SPI is about to be deactivated (by EOI or DIR) and there are resampling irqfds. No lock held; guest mode is allowed. */
void irqfd_notify_deactivated(struct vm_irq *vi, u32 spi);

#endif
