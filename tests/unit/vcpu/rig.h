/* SPDX-License-Identifier: MIT */
/*
 * A machine for tests of the vCPU layer: guest memory by mem/, the real interpreter, pieces of
 * guest.S, and page tables that the test builds. No devices, no files.
 *
 * Intermediate-physical memory: RAM_SIZE bytes at RAM. Code at RAM, tables from TABLES on, the rest
 * is the test's.
 */
#ifndef ANYKVM_TESTS_VCPU_RIG_H
#define ANYKVM_TESTS_VCPU_RIG_H

#include <pthread.h>

#include <anykvm/kvm.h>

#include "guest.h"
#include "interp/interp.h"
#include "mem/mem.h"
#include "vcpu/onereg.h"
#include "vcpu/translate.h"
#include "vcpu/vcpu.h"

#define RAM	 0x40000000ull
#define RAM_SIZE (64ull << 20)
#define TABLES	 (RAM + (1ull << 20))
#define DATA	 (RAM + (16ull << 20))
#define RIG_CPUS 4

#define EXIT_VECTOR	  0x100 /* rig_run's result for an exception: + vector number */
#define VECTOR_SYNC_EL1	  4
#define VECTOR_IRQ_EL1	  5
#define VECTOR_SERROR_EL1 7
#define VECTOR_SYNC_EL0	  8

/* Descriptor bits for tests. */
#define D_PAGE	  3ull
#define D_BLOCK	  1ull
#define D_TABLE	  3ull
#define D_ATTR(n) ((u64)(n) << 2)
#define D_EL0	  BIT(6)
#define D_RO	  BIT(7)
#define D_AF	  BIT(10)
#define D_NG	  BIT(11)
#define D_DBM	  BIT(51)
#define D_CONT	  BIT(52)
#define D_PXN	  BIT(53)
#define D_UXN	  BIT(54)
/* MAIR of the rig: 0 Device-nGnRnE, 1 Normal write-back, 2 Normal non-cacheable, 3 Device-GRE. */
#define ATTR_DEVICE 0
#define ATTR_NORMAL 1
#define RIG_MAIR    0x0c44ff00ull
#define D_NORMAL    (D_ATTR(ATTR_NORMAL) | 3ull << 8 | D_AF)

struct rig {
	struct vm_mem mem;
	struct vcpu_group group;
	struct vcpu vcpu[RIG_CPUS];
	unsigned nr;
	u8 *ram; /* host address of RAM */
	u64 next_table;
	/* What the hypercall hook saw last, by vCPU. */
	u32 imm[RIG_CPUS];
	bool smc[RIG_CPUS];
	u64 mmio_value; /* what in-library reads below get */
	u64 mmio_base;	/* in-library MMIO page, 0: none */
	unsigned nr_mmio;
};

/*
 * The calls that want v->mutex, for tests that own the stopped vCPU. They take it.
 */
int rig_set_reg(struct rig *r, unsigned n, u64 id, const void *value);
int rig_get_reg(struct rig *r, unsigned n, u64 id, void *value);
u32 rig_list(struct rig *r, unsigned n, u64 *list);
int rig_set_events(struct rig *r, unsigned n, const struct vcpu_events *ev);
void rig_get_events(struct rig *r, unsigned n, struct vcpu_events *ev);
int rig_set_mp_state(struct rig *r, unsigned n, u32 state);
int rig_set_debug(struct rig *r, unsigned n, u32 control);
/* With breakpoints and watchpoints of the VMM. */
int rig_set_debug_regs(struct rig *r, unsigned n, u32 control,
		       const struct kvm_guest_debug_arch *regs);
void rig_set_sigmask(struct rig *r, unsigned n, const u64 *mask);
int rig_init_features(struct rig *r, unsigned n, u32 target, const u32 features[7]);

struct rig *rig_create(unsigned nr_cpus);
void rig_destroy(struct rig *r);
/* Runs vCPU n from a piece until it ends: the HVC's number, or EXIT_VECTOR + vector; -errno; -1000
 * - exit_reason otherwise. */
int rig_run(struct rig *r, unsigned n, u32 piece);
/* As rig_run, from where it is. */
int rig_continue(struct rig *r, unsigned n);
/* One call of vcpu_run; its result. */
int rig_enter(struct rig *r, unsigned n);

static inline struct vcpu_arch *rig_arch(struct rig *r, unsigned n)
{
	return &r->vcpu[n].arch;
}
static inline u64 *rig_x(struct rig *r, unsigned n)
{
	return r->vcpu[n].arch.x;
}
/* EC and ISS of ESR_EL1. */
static inline u32 rig_ec(struct rig *r, unsigned n)
{
	return (u32)(r->vcpu[n].arch.sys[SR_ESR_EL1] >> 26);
}
static inline u32 rig_iss(struct rig *r, unsigned n)
{
	return r->vcpu[n].arch.sys[SR_ESR_EL1] & 0x1ffffff;
}

/* Host address of guest memory. */
static inline void *rig_mem(struct rig *r, u64 ipa)
{
	return r->ram + (ipa - RAM);
}
u64 rig_read64(struct rig *r, u64 ipa);
void rig_write64(struct rig *r, u64 ipa, u64 value);

/* --- page tables
 * ------------------------------------------------------------------------------------------------------
 */

struct tables {
	u64 root;		/* IPA */
	unsigned granule, bits; /* log2; input bits */
};

/* A new empty tree. */
struct tables tables_new(struct rig *r, unsigned granule, unsigned bits);
/* Maps va to ipa with a descriptor at level (the size of the level): attrs without type bits. IPA
 * of the descriptor. */
u64 tables_map(struct rig *r, const struct tables *t, u64 va, u64 ipa, unsigned level, u64 attrs);
/* IPA of the descriptor of level on the way to va, which must exist. */
u64 tables_entry(struct rig *r, const struct tables *t, u64 va, unsigned level);
/* TCR_EL1 for TTBR0 and TTBR1 trees of these shapes, 48 output bits. NULL: EPD. */
u64 tables_tcr(const struct tables *low, const struct tables *high);
/*
 * The usual setting: code and RAM mapped 1:1 (EL1, no EL0) through TTBR1's half at HIGH, and
 * identity in the low half for code executable at both ELs. Turns the MMU on for every vCPU.
 */
#define HIGH 0xffff000000000000ull
struct tables rig_mmu(struct rig *r);
/* Loads the registers of one vCPU: MMU on. */
void rig_set_mmu(struct rig *r, unsigned n, u64 ttbr0, u64 ttbr1, u64 tcr);
/* PSTATE of vCPU n: M, DAIF set. */
void rig_set_el(struct rig *r, unsigned n, unsigned el);

/* Runs vCPU n in a thread of its own. */
struct rig_thread {
	pthread_t thread;
	struct rig *r;
	unsigned n;
	u32 piece;
	int result;
	struct a32 finished;
};
void rig_start(struct rig *r, unsigned n, u32 piece, struct rig_thread *t);
/* Like rig_start with a raw vcpu_run that returns its result. */
void rig_start_raw(struct rig *r, unsigned n, u32 piece, struct rig_thread *t);
int rig_join(struct rig_thread *t);
/* Whether the run has returned. */
bool rig_finished(const struct rig_thread *t);
void rig_sleep_ms(unsigned ms);

#endif
