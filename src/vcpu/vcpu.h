/* SPDX-License-Identifier: MIT */
/* One vCPU: architectural state, pins, requests, and what ties it to its VM. No instruction loop,
 * no devices. */
#ifndef ANYKVM_VCPU_VCPU_H
#define ANYKVM_VCPU_VCPU_H

#include "base/types.h"
#include "host/kick.h"
#include "mem/fault.h"
#include "mem/mem.h"
#include "mem/tlb.h"
#include "sync/mutex.h"
#include "vcpu/debug.h"
#include "vcpu/engine.h"
#include "vcpu/state.h"
#include "vcpu/tally.h"
#include "vcpu/vtlb.h"

struct kvm_run;
struct vcpu_group;
struct vcpu_irq_ops;
struct sysreg_row;
struct onereg_group;

/* v->requests bits: set by anybody with vcpu_request(), consumed by the vCPU thread in run.c
 * outside guest mode. */
#define VCPU_REQ_EXIT	BIT(0) /* leave KVM_RUN with EINTR (immediate_exit, signal) */
#define VCPU_REQ_IRQ	BIT(1) /* a pin or the interrupt controller's state changed */
#define VCPU_REQ_DEAD	BIT(2) /* the VM's memory is gone: KVM_RUN returns EIO */
#define VCPU_REQ_RESET	BIT(3) /* PSCI CPU_ON: apply v->reset_state */
#define VCPU_REQ_SLEEP	BIT(4) /* power state changed */
#define VCPU_REQ_TIMER	BIT(5)
#define VCPU_REQ_WORK	BIT(6) /* irq_ops->work has something to do before the guest goes on */
#define VCPU_REQ_LEVELS BIT(7) /* a level that user space is shown changed: irq_ops->show_levels */

/* Input pins, driven by irq/ with vcpu_set_pin(). */
enum vcpu_pin { PIN_IRQ, PIN_FIQ, NR_PINS };

/* v->power_off. PSCI CPU_ON stores reset_state, requests VCPU_REQ_RESET, then RUNNABLE. */
enum vcpu_power { VCPU_RUNNABLE, VCPU_STOPPED, VCPU_SUSPENDED };

struct vcpu_stop {
	enum stop_kind kind;
	u32 imm;
	u32 esr;
	u64 far;
	struct mem_fault fault; /* STOP_S2_FAULT, STOP_HOST_FAULT */
	u64 store_value[2];	/* what a store that turned out to be MMIO wanted to write */
	u8 s1_level;		/* fault.s1ptw: level of the descriptor */
};

#define VCPU_HALT_HIST 32
struct vcpu_stats {
	u64 instructions;
	u64 exits; /* engine left guest mode */
	u64 mmio_exits, hvc_exits, wfi_exits, irq_exits, s2_faults, signal_exits;
	u64 wfe_exits, mmio_handled; /* mmio_handled: by devices inside the library */
	u64 halt_wakeups, halt_ns,
		halted; /* sleeps in WFI that something else than a signal ended; in all; now */
	u64 halt_hist
		[VCPU_HALT_HIST]; /* by the logarithm of their nanoseconds: 0, 1, 2 to 3, 4 to 7... */
};

/* What a VMM took from the CPU by lowering ID registers. Known from the first run on, when they stand; nothing before. */
struct vcpu_absent {
	u32 insns;   /* bits of enum a64_feature: UNDEFINED, hints do nothing */
	u32 pstate;  /* bits that stay 0 */
	u64 tcr;     /* bits of TCR_EL1 that are ignored */
	u8 pa_bits;  /* missing of the physical address */
	u8 granules; /* VCPU_GRANULE_*: tables of these sizes */
};

#define VCPU_GRANULE(log2) (1u << ((log2)-12) / 2) /* 12, 14 or 16 */

/* PSCI CPU_ON hands this to the target. */
struct vcpu_reset_state {
	u64 pc, x0;
	bool pending;
};

struct vcpu {
	struct vcpu_arch arch;
	struct vcpu_stop stop;
	struct tlb_client tlb; /* mode, requests of shootdowns: mem/tlb.h */
	struct vtlb vtlb;      /* VA to hva arrays */
	struct a32 requests;   /* VCPU_REQ_* */
	struct a32 pins;       /* bit per enum vcpu_pin */
	struct a32 wake; /* futex word: bumped by vcpu_kick, slept on by WFI and stopped vCPUs */
	struct a32 power_off; /* VCPU_RUNNABLE, VCPU_STOPPED, VCPU_SUSPENDED */
	const struct engine_ops *engine_ops;
	void *engine;

	struct mutex mutex; /* held for the whole of KVM_RUN and every vCPU ioctl */
	struct vcpu_group *group;
	struct mem_vcpu mem; /* page cache, SRCU hints: mem/mem.h */
	u32 id;		     /* as given to KVM_CREATE_VCPU */
	u32 index;	     /* position in the group */
	struct a64 mpidr;    /* MPIDR_EL1; others look vCPUs up by it at any time (vcpu_mpidr) */
	bool initialized;    /* KVM_ARM_VCPU_INIT done */
	bool has_run;
	u32 target;
	u64 features; /* KVM_ARM_VCPU_* bits */
	struct vcpu_absent absent;
	struct kvm_run *run; /* shared page; mutex: may be NULL before the first KVM_RUN */
	const struct vcpu_irq_ops *irq_ops;
	void *irq; /* irq/'s part (struct irq_cpu) */
	void *hvc; /* hvc/'s part (struct hvc_cpu) */
	struct vcpu_reset_state reset_state;
	/* MMIO in flight: completed by the next KVM_RUN (pc still at the access). */
	struct {
		bool pending, write, sign_extend, sf, is_simd;
		u8 size, rt;
	} mmio;
	struct {
		bool serror_pending;
		u64 serror_esr;
	} events;
	u8 step; /* software step of the guest or of the VMM is on (debug.c) */
	struct vcpu_debug debug;
	struct a32 event; /* event register: set by SEV, taken by WFE */
	struct host_sleeper sleeper;
	u64 last_look_ns;      /* when vcpu_tick last asked for pending signals */
	u64 effective_sigmask; /* of the KVM_RUN in progress */
	bool signal_seen;      /* KVM_RUN is to return EINTR at the next look */
	bool drop_code;	       /* forget all decoded code before the next entry */
	u32 last_thread;       /* thread_self() of the last KVM_RUN */
	struct a32 in_wfe;
	u32 wfe_turns;
	u64 last_wfe;
	/*
	 * Broadcast TLB and instruction cache maintenance since the last DSB: one record that
	 * neighbours are merged into, and whether any was posted already (tlbi.c).
	 */
	struct tlb_inval maintenance;
	bool maintenance_open, maintenance_posted;
	u32 sys_iss; /* ISS of the system instruction at hand, for traps */
#define NR_CCSIDR 14
	u32 ccsidr[NR_CCSIDR]; /* by CSSELR_EL1: made up at birth, writable by user space */
	u64 clidr;
#define SYSREG_CACHE 128
	const struct sysreg_row *sysreg_cache[SYSREG_CACHE];
	bool run_sigmask_set;
	u64 run_sigmask;
	struct vcpu_stats stats;
	/*
	 * How many instructions were executed, to the instruction: while counters run an engine says where the straight piece of
	 * code that it is in began, whose instructions are not in stats.instructions yet. Those that took an exception instead
	 * are in not_retired as well.
	 */
	u64 block;
	bool in_block;
	bool counting; /* performance counters run: irq_ops->count wants to know */
	u64 not_retired;
	u64 alarm; /* while counting: irq_ops->count is to be called when stats.instructions has come to this */
	u64 tally[NR_TALLIES];
	bool tallying;
	u32 stopped_insn; /* tallying: the load or store that a fault stopped, until its outcome is known; or 0 */
};

/* Instructions begun before the one at pc, for a handler (with v->in_block); or so far, elsewhere. */
static inline u64 vcpu_instructions(const struct vcpu *v)
{
	return v->stats.instructions + (v->in_block ? (u64)((s64)(v->arch.pc - v->block) >> 2) : 0);
}

/* While counting, for an engine at a poll point: instructions are to be executed one at a time, with a look at the alarm after each. */
static inline bool vcpu_one_by_one(const struct vcpu *v)
{
	/* An engine comes to its next poll point within 1024. */
	return v->tallying || (s64)(v->alarm - v->stats.instructions) <= 1024;
}

/* All vCPUs of one VM. The array only grows; entries live until VM destroy. */
#define VCPU_MAX 512
struct vcpu_group {
	struct vm_mem *mem;
	struct aptr vcpu[VCPU_MAX]; /* by index; published before nr rises */
	struct a32 nr;		    /* online vCPUs; release store pairs with acquire loads */
	const struct vcpu_vm_ops *ops;
	void *vm;  /* for ops */
	void *irq; /* irq/'s part (struct vm_irq), set before the first vCPU; counter offsets are
		      there */
	void *hvc; /* hvc/'s part (struct vm_hvc), set before the first vCPU */
	/* id registers of the VM, by sysreg index of ID_*: shared by all vCPUs, writable before the
	 * first run */
	u64 idreg[NR_IDREG];
	struct mutex config; /* RANK_CONFIG: writes to the registers of the VM, and the change of
				`ran` */
	struct a32 ran; /* some vCPU entered the guest: ID registers are frozen; vcpu_group_ran() */
	/* Tables of system registers: the base table, then what other layers add (vcpu/sysreg.h).
	 */
	struct {
		const struct sysreg_row *rows;
		u32 nr;
	} sysreg_table[6];
	u32 nr_sysreg_tables;
	/* Registers with one value for the VM that are no ID_* registers. */
	u64 midr, revidr, aidr, ctr;
	const struct onereg_group *onereg[4]; /* vcpu/onereg.h */
	u32 nr_onereg;
#define VCPU_GROUP_FEATURES_SET (1u << 31)
	struct a32 features; /* KVM_ARM_VCPU_* bits of the first vCPU that was initialised, and
				FEATURES_SET */
	bool has_gicv3; /* set by irq/ when the VM has one: else ID_AA64PFR0_EL1.GIC reads 0 from
			   the first run on */
	bool writable_imp_id;	 /* KVM_CAP_ARM_WRITABLE_IMP_ID_REGS */
	struct a32 nisv_to_user; /* KVM_CAP_ARM_NISV_TO_USER: may come while vCPUs run */
};

static inline bool vcpu_group_ran(const struct vcpu_group *g)
{
	return a32_load_acquire(&g->ran);
}

/* What the layers above give to vCPU code (run.c). Composed in vm/. */
struct vcpu_vm_ops {
	/* In-library MMIO: interrupt controller frames, ioeventfd, coalesced. 0 = handled,
	 * -EOPNOTSUPP = nobody's, -EAGAIN = run the instruction again. */
	int (*mmio_read)(struct vcpu *v, u64 ipa, unsigned size, u64 *value);
	int (*mmio_write)(struct vcpu *v, u64 ipa, unsigned size, u64 value);
	/* HVC (or SMC): 1 = handled, run on; 0 = exit to user space with v->run filled; -errno. */
	int (*hypercall)(struct vcpu *v, bool smc);
};

/* What irq/ gives to vCPU code. All may be NULL fields when the VM has no in-library interrupt
 * controller. */
struct vcpu_irq_ops {
	/* As KVM_RUN begins: user space may have written registers, which now take the values that hardware can hold. */
	void (*regs_changed)(struct vcpu *v);
	/* On the vCPU thread, mode OUTSIDE, before entering the guest: evaluate timers, fill pins.
	 */
	void (*before_run)(struct vcpu *v);
	/* On the vCPU thread after leaving. */
	void (*after_run)(struct vcpu *v);
	/* Something that should end WFI is pending (whatever PSTATE masks say). */
	bool (*wfi_pending)(struct vcpu *v);
	/* Brings the levels in kvm_run up to date; true if one had changed. Mode OUTSIDE. */
	bool (*show_levels)(struct vcpu *v);
	/* Next timer deadline, CLOCK_MONOTONIC ns, 0 if it has passed, ~0 if none: bounds WFI sleep and polls. */
	u64 (*next_deadline)(struct vcpu *v);
	/* A deadline passed (called from the poll while running; guest mode, must not block). */
	void (*timer_poll)(struct vcpu *v);
	void (*reset)(struct vcpu *v);
	/*
	 * v->counting: what was executed since the last call was executed at the present EL. current: so is the instruction whose
	 * handler this is. On the vCPU's thread, in guest mode or not; must not block.
	 */
	void (*count)(struct vcpu *v, bool current);
	/* VCPU_REQ_WORK: a piece, of some milliseconds at most. True: there is more. As before_run. */
	bool (*work)(struct vcpu *v);
};

/* --- run.c
 * ----------------------------------------------------------------------------------------------------------
 */

/* The body of KVM_RUN. 0 or -errno as KVM (EINTR, EFAULT, ENOMEM, EIO, ENOSYS, ENOEXEC). */
int vcpu_run(struct vcpu *v) REQUIRES(&v->mutex);
/* Sets request bits and kicks. Any thread, async-signal-safe. */
void vcpu_request(struct vcpu *v, u32 bits);
/* Makes the vCPU reach a poll point and run.c soon, or wake from sleep. Any thread,
 * async-signal-safe. */
void vcpu_kick(struct vcpu *v);
/* Sleeps as WFI does (PSCI CPU_SUSPEND). vCPU thread, mode OUTSIDE. */
void vcpu_wait_wfi(struct vcpu *v);
/* irq/: drive a pin. Any thread, any lock. */
void vcpu_set_pin(struct vcpu *v, enum vcpu_pin pin, bool level);

bool vcpu_poll_slow(struct vcpu *v);
/*
 * The poll point. False: go on, but everything derived from the TLBs or from decoded code must be
 * looked up again if v->tlb's generation changed (vcpu_poll_slow's true/false does not tell). True:
 * v->stop is set, leave the engine.
 */
static ALWAYS_INLINE bool vcpu_poll(struct vcpu *v)
{
	return unlikely(a32_load_relaxed(&v->tlb.attention)) && vcpu_poll_slow(v);
}

/*
 * Called by the engine every 16384 instructions or so (its own count) at a poll point: looks at the
 * clock, timers and pending signals. True as vcpu_poll.
 */
bool vcpu_tick(struct vcpu *v, u64 instructions);

/* --- init.c
 * -------------------------------------------------------------------------------------------------------
 */

int vcpu_init(struct vcpu *v, struct vcpu_group *group, u32 id, u32 index,
	      const struct engine_ops *ops);
void vcpu_fini(struct vcpu *v);
/* Zeroes nothing but what it sets; the group's memory comes zeroed. Base system registers, ID
 * register values. */
void vcpu_group_init(struct vcpu_group *g, struct vm_mem *mem, const struct vcpu_vm_ops *ops,
		     void *vm);
/*
 * KVM_ARM_VCPU_INIT, whole: checks target and features (-EINVAL, -ENOENT), then resets and marks v
 * initialized; POWER_OFF leaves it stopped. features: seven words as in struct kvm_vcpu_init.
 */
int vcpu_arm_init(struct vcpu *v, u32 target, const u32 features[7]) REQUIRES(&v->mutex);
/* The preferred target: KVM_ARM_TARGET_GENERIC_V8. */
#define VCPU_TARGET_GENERIC_V8 5
/* Architectural reset. */
void vcpu_reset(struct vcpu *v) REQUIRES(&v->mutex);

struct vcpu *vcpu_group_get(struct vcpu_group *g, u32 index);
/* By MPIDR affinity, NULL if none. */
struct vcpu *vcpu_group_by_mpidr(struct vcpu_group *g, u64 mpidr);
u64 vcpu_mpidr(const struct vcpu *v);

/* --- exception.c
 * ---------------------------------------------------------------------------------------------------
 * Each takes an exception (to EL1, with v->arch.pc as the preferred return address unless said) and
 * returns OP_BRANCH, so that a handler can `return vcpu_undef(v);`. Arm ARM D1.
 */
enum op_result vcpu_undef(struct vcpu *v); /* EC 0x00, unallocated or trapped without own EC */
enum op_result vcpu_raise(struct vcpu *v, u32 ec, u32 iss); /* synchronous, IL = 1 */
/* As vcpu_raise, where no instruction was tried that the exception replaces. */
enum op_result vcpu_raise_between(struct vcpu *v, u32 ec, u32 iss);
enum op_result vcpu_svc(struct vcpu *v, u16 imm); /* returns to pc + 4 */
enum op_result vcpu_hvc(struct vcpu *v, u16 imm); /* sets v->stop, returns OP_STOP; UNDEF at EL0 */
enum op_result vcpu_smc(struct vcpu *v, u16 imm);
enum op_result vcpu_brk(struct vcpu *v, u16 imm); /* debug.c */
enum op_result vcpu_eret(struct vcpu *v);
enum op_result vcpu_fp_access_trap(struct vcpu *v); /* EC 0x07 */
enum op_result vcpu_pc_alignment(struct vcpu *v);   /* EC 0x22 */
enum op_result vcpu_sp_alignment(struct vcpu *v);   /* EC 0x26 */
enum op_result vcpu_wfi(struct vcpu *v); /* honours SCTLR_EL1.nTWI; pc + 4 when it sleeps */
enum op_result vcpu_wfe(struct vcpu *v);
/* SEV (all vCPUs of the VM: sets their event registers, wakes those in WFE) or SEVL (this one).
 * Holds no lock. */
void vcpu_send_event(struct vcpu *v, bool all);
/* Arm ARM BranchAddr at the current EL: target of an indirect branch with the tag removed where
 * TCR_EL1.TBIn says so. */
u64 vcpu_branch_address(const struct vcpu *v, u64 target);
void vcpu_data_abort(struct vcpu *v, u64 va, u32 iss, bool ext); /* run.c and translate.c */
void vcpu_insn_abort(struct vcpu *v, u64 va, u32 iss);
void vcpu_serror(struct vcpu *v, u32 iss);
/* ESB: with a pending SError that is masked, moves it to DISR_EL1 (events.c). */
enum op_result vcpu_esb(struct vcpu *v);
/* Takes a pending and unmasked interrupt or SError; true if pc changed. */
bool vcpu_take_interrupt(struct vcpu *v);

/* --- sysreg.c: MRS, MSR, SYS, SYSL
 * ---------------------------------------------------------------------------------- op is the
 * 16-bit encoding op0:2 op1:3 CRn:4 CRm:4 op2:3. Both check EL and trap rules and raise what the
 * architecture says. OP_NEXT on success (pc + 4); a write that changes translation, EL state or
 * masks returns OP_BRANCH with pc already + 4.
 */
enum op_result vcpu_sysreg_read(struct vcpu *v, u16 op, unsigned rt);
enum op_result vcpu_sysreg_write(struct vcpu *v, u16 op, unsigned rt);
enum op_result vcpu_sys_insn(struct vcpu *v, u16 op,
			     unsigned rt); /* SYS: TLBI, AT, DC, IC; DC ZVA too */
enum op_result vcpu_msr_imm(struct vcpu *v, u32 op1, u32 op2, u32 crm);
/* DSB waits for posted TLB and instruction cache maintenance; ISB refetches. */
enum op_result vcpu_dsb(struct vcpu *v, u32 crm);
enum op_result vcpu_isb(struct vcpu *v);

#endif
