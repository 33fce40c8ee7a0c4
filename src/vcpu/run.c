// SPDX-License-Identifier: MIT
/*
 * The body of KVM_RUN: admission, the loop around the engine, and what happens at each stop.
 *
 * A vCPU thread is IN_GUEST only inside engine->run (between tlb_enter and tlb_leave). Whoever
 * wants its attention changes some state first (requests, pins, power state, a TLB record), then
 * stores attention; the thread clears attention first, then looks at the state. So nothing is
 * missed, whether it is running, about to enter, or about to sleep.
 *
 * Signals: asynchronous ones are blocked while KVM_RUN runs and looked for by rt_sigpending against
 * the effective mask, at entry and then at least every TICK_LOOK_NS; they are delivered when the
 * mask is restored on return.
 */
#include <errno.h>
#include <string.h>

#include <anykvm/kvm.h>

#include "base/bug.h"
#include "host/clock.h"
#include "host/guarded.h"
#include "host/signal.h"
#include "mem/file.h"
#include "sync/thread.h"
#include "sync/wait.h"
#include "vcpu/idregs.h"
#include "vcpu/internal.h"
#include "vcpu/translate.h"

#define TICK_LOOK_NS 250000
#define WFE_SPINS    16
#define WFE_SLEEP_NS 50000

/* --- attention
 * --------------------------------------------------------------------------------------------------------
 */

void vcpu_kick(struct vcpu *v)
{
	a32_fetch_add(&v->wake, 1);
	a32_store(&v->tlb.attention, 1);
	host_sleeper_kick(&v->sleeper);
}

void vcpu_request(struct vcpu *v, u32 bits)
{
	a32_fetch_or(&v->requests, bits);
	vcpu_kick(v);
}

void vcpu_set_pin(struct vcpu *v, enum vcpu_pin pin, bool level)
{
	u32 bit = (u32)BIT(pin);

	if (!level)
		a32_fetch_and(&v->pins, ~bit);
	else if (!(a32_fetch_or(&v->pins, bit) & bit))
		vcpu_kick(v);
}

void vcpu_send_event(struct vcpu *v, bool all)
{
	u32 nr = all ? a32_load_acquire(&v->group->nr) : 0;

	a32_store_relaxed(&v->event, 1);
	for (u32 i = 0; i < nr; i++) {
		struct vcpu *o = aptr_load_acquire(&v->group->vcpu[i]);

		if (!o || o == v)
			continue;
		a32_store(&o->event, 1);
		if (a32_load(&o->in_wfe))
			vcpu_kick(o);
	}
}

/* Requests that the engine must be left for. */
#define REQ_LEAVE                                                                          \
	(VCPU_REQ_EXIT | VCPU_REQ_DEAD | VCPU_REQ_RESET | VCPU_REQ_SLEEP | VCPU_REQ_WORK | \
	 VCPU_REQ_LEVELS)

static bool must_leave(struct vcpu *v)
{
	return (a32_load(&v->requests) & REQ_LEAVE) || a32_load_relaxed(&v->power_off) || v->step;
}

bool vcpu_poll_slow(struct vcpu *v)
{
	tlb_poll(&v->tlb);
	if (unlikely(must_leave(v))) {
		v->stop.kind = STOP_REQUEST;
		return true;
	}
	vcpu_take_interrupt(v);
	return false;
}

static bool exit_wanted(struct vcpu *v)
{
	return __atomic_load_n(&v->run->immediate_exit, __ATOMIC_RELAXED) ||
	       host_signals_pending(v->effective_sigmask);
}

bool vcpu_tick(struct vcpu *v, u64 instructions)
{
	const struct vcpu_irq_ops *irq = v->irq_ops;
	u64 now = host_clock_ns();

	(void)instructions;
	if (now - v->last_look_ns >= TICK_LOOK_NS) {
		v->last_look_ns = now;
		if (exit_wanted(v)) {
			v->signal_seen = true;
			v->stop.kind = STOP_REQUEST;
			return true;
		}
	}
	if (irq && irq->next_deadline && now >= irq->next_deadline(v) && irq->timer_poll)
		irq->timer_poll(v);
	return vcpu_poll(v);
}

/* --- faults
 * -----------------------------------------------------------------------------------------------------------
 */

/* What the guest sees in FAR: of an access beyond the VM's physical addresses, as in KVM, the address that was too large. */
static u64 fault_far(const struct vcpu *v, const struct mem_fault *f)
{
	if (!(f->ipa >> v->group->mem->ipa_bits) || f->s1ptw)
		return f->va;
	return (f->ipa & ~0xfffull) | (f->va & 0xfff);
}

static void inject_abort(struct vcpu *v, const struct mem_fault *f, u32 fsc)
{
	if (f->exec)
		vcpu_insn_abort(v, fault_far(v, f), fsc);
	else
		vcpu_data_abort(v, fault_far(v, f), fsc, fsc == FSC_EXTERNAL);
}

static void inject_external(struct vcpu *v, const struct mem_fault *f)
{
	inject_abort(v, f, f->s1ptw ? FSC_EXTERNAL_TTW_L | v->stop.s1_level : FSC_EXTERNAL);
}

/* KVM_RUN fails all the same: user space learns which page it was. */
static void memory_fault_exit(struct vcpu *v)
{
	v->run->exit_reason = KVM_EXIT_MEMORY_FAULT;
	v->run->memory_fault.flags = v->mem.report.flags;
	v->run->memory_fault.gpa = v->mem.report.gpa;
	v->run->memory_fault.size = v->mem.report.size;
}

/* 1: done, run on; 0: exit to user space; -errno. *again: the instruction is to be run again. */
static int fault_outcome(struct vcpu *v, bool host, bool *again)
{
	const struct mem_fault *f = &v->stop.fault;
	enum mem_fault_action action;
	int r;

	v->stats.s2_faults++;
	r = host ? mem_host_fault(v->group->mem, &v->mem, f, &action)
		 : mem_fault_handle(v->group->mem, &v->mem, f, &action);
	if (r == -EINTR) {
		v->run->exit_reason = KVM_EXIT_INTR;
		v->stats.signal_exits++;
	}
	if (r && v->mem.report.valid)
		memory_fault_exit(v);
	if (r)
		return r;
	switch (action) {
	case MEM_FAULT_RETRY:
		*again = true;
		return 1;
	case MEM_FAULT_MMIO:
		r = mmio_access(v);
		*again = r == -EAGAIN;
		return *again ? 1 : r;
	case MEM_FAULT_INJECT_IABT:
	case MEM_FAULT_INJECT_DABT:
		inject_external(v, f);
		return 1;
	case MEM_FAULT_INJECT_SIZE:
		inject_abort(v, f, FSC_ADDRESS_SIZE_L);
		return 1;
	case MEM_FAULT_SKIP:
		v->arch.pc += 4;
		return 1;
	case MEM_FAULT_INJECT_NESTED:
		break; /* of vCPUs that loaded a shadow MMU */
	}
	return -EINVAL;
}

/*
 * Until its outcome is known the instruction has not been begun (enter_guest), so that no counter sees it: of one that is run again, an
 * overflow would come before it.
 */
static bool stopped_at_fault(const struct vcpu *v)
{
	return v->stop.kind == STOP_S2_FAULT || v->stop.kind == STOP_HOST_FAULT;
}

/* It is done, by the library or by the exit to come, or became an exception. */
static void count_stopped(struct vcpu *v, u32 insn, bool retired)
{
	v->stats.instructions++;
	if (unlikely(insn) && retired)
		vcpu_tally(v, insn);
	if (unlikely(v->counting))
		v->irq_ops->count(v, false);
}

static int handle_fault(struct vcpu *v, bool host)
{
	u64 not_retired = v->not_retired;
	u32 insn = v->stopped_insn;
	bool again = false;
	int r = fault_outcome(v, host, &again);

	v->stopped_insn = 0;
	if (again || r < 0)
		return r;
	count_stopped(v, insn, v->not_retired == not_retired);
	if (r == 1)
		vcpu_step_finished(v, false);
	return r;
}

/* --- sleep
 * ------------------------------------------------------------------------------------------------------------
 */

static bool irq_waiting(struct vcpu *v)
{
	return a32_load(&v->pins) || v->events.serror_pending ||
	       (v->irq_ops && v->irq_ops->wfi_pending && v->irq_ops->wfi_pending(v));
}

static u64 irq_deadline(struct vcpu *v)
{
	return v->irq_ops && v->irq_ops->next_deadline ? v->irq_ops->next_deadline(v)
						       : WAIT_FOREVER;
}

static void irq_before_run(struct vcpu *v)
{
	if (v->irq_ops && v->irq_ops->before_run)
		v->irq_ops->before_run(v);
}

/* One sleep: until something changed, the deadline, or a signal. wake was read before the caller
 * looked at what it waits for. */
static void sleep_once(struct vcpu *v, u32 wake, u64 deadline)
{
	if (host_sleeper_sleep(&v->sleeper, &v->wake, wake, deadline, v->effective_sigmask) ==
	    -EINTR)
		v->signal_seen = true;
}

static void halt_over(struct vcpu *v, u64 since)
{
	u64 ns = host_clock_ns() - since;
	unsigned log = ns ? 64 - (unsigned)__builtin_clzll(ns) : 0;

	v->stats.halted = 0;
	v->stats.halt_ns += ns;
	v->stats.halt_hist[MIN(log, VCPU_HALT_HIST - 1u)]++;
	v->stats.halt_wakeups += !v->signal_seen;
}

static void wait_for_interrupt(struct vcpu *v)
{
	u64 since = 0;

	v->stats.wfi_exits++;
	for (;;) {
		u32 wake = a32_load(&v->wake);

		irq_before_run(v);
		if (irq_waiting(v) || (a32_load(&v->requests) & REQ_LEAVE) ||
		    a32_load(&v->power_off) == VCPU_STOPPED || v->signal_seen)
			break;
		if (!v->stats.halted) {
			v->stats.halted = 1;
			since = host_clock_ns();
		}
		sleep_once(v, wake, irq_deadline(v));
	}
	if (v->stats.halted)
		halt_over(v, since);
}

void vcpu_wait_wfi(struct vcpu *v)
{
	wait_for_interrupt(v);
}

/*
 * A store to the monitored address would wake a real core; here nobody sees it. So WFE gives the
 * time slice away after some turns in quick succession, and lets the guest look again.
 */
static void wait_for_event(struct vcpu *v)
{
	u32 wake = a32_load(&v->wake);
	u64 now;

	if (v->stats.instructions - v->last_wfe > 256)
		v->wfe_turns = 0;
	v->last_wfe = v->stats.instructions;
	if (a32_xchg(&v->event, 0) || v->wfe_turns++ < WFE_SPINS || irq_waiting(v))
		return;
	now = host_clock_ns();
	a32_store(&v->in_wfe, 1);
	if (!a32_xchg(&v->event, 0))
		sleep_once(v, wake, MIN(now + WFE_SLEEP_NS, irq_deadline(v)));
	a32_store(&v->in_wfe, 0);
}

/* KVM_MP_STATE_SUSPENDED: like WFI, but waking up is user space's business. */
static int suspended(struct vcpu *v)
{
	wait_for_interrupt(v);
	irq_before_run(v);
	if (!irq_waiting(v))
		return 1;
	memset(&v->run->system_event, 0, sizeof(v->run->system_event));
	v->run->system_event.type = KVM_SYSTEM_EVENT_WAKEUP;
	v->run->exit_reason = KVM_EXIT_SYSTEM_EVENT;
	return 0;
}

/* --- stops
 * ------------------------------------------------------------------------------------------------------------
 */

static int handle_hypercall(struct vcpu *v, bool smc)
{
	const struct vcpu_vm_ops *ops = v->group->ops;

	v->stats.hvc_exits++;
	vcpu_step_finished(v, false);
	if (smc) {
		v->arch.pc += 4;
		if (v->stop.imm) {
			v->arch.x[0] = ~0ull;
			return 1;
		}
	}
	if (!ops || !ops->hypercall) {
		v->arch.x[0] = ~0ull;
		return 1;
	}
	return ops->hypercall(v, smc);
}

static int handle_stop(struct vcpu *v)
{
	switch (v->stop.kind) {
	case STOP_NONE:
	case STOP_REQUEST:
		return 1;
	case STOP_S2_FAULT:
		return handle_fault(v, false);
	case STOP_HOST_FAULT:
		return handle_fault(v, true);
	case STOP_HVC:
		return handle_hypercall(v, false);
	case STOP_SMC:
		return handle_hypercall(v, true);
	case STOP_WFI:
		vcpu_step_finished(v, true);
		wait_for_interrupt(v);
		return 1;
	case STOP_WFE:
		v->stats.wfe_exits++;
		vcpu_step_finished(v, true);
		wait_for_event(v);
		return 1;
	case STOP_DEBUG:
		return vcpu_debug_exit(v);
	}
	return -EINVAL;
}

static bool ring_full(struct vcpu *v)
{
	if (likely(!v->mem.ring.full) || !dirty_ring_still_full(&v->mem.ring))
		return false;
	v->run->exit_reason = KVM_EXIT_DIRTY_RING_FULL;
	a64_fetch_add(&v->group->mem->stats.ring_full_exits, 1);
	return true;
}

/* A piece of what the guest asked a device for, which may write guest memory: not without room in the ring. */
static int do_work(struct vcpu *v)
{
	if (ring_full(v))
		return 0;
	a32_fetch_and(&v->requests, ~(u32)VCPU_REQ_WORK);
	if (v->irq_ops->work(v))
		a32_fetch_or(&v->requests, VCPU_REQ_WORK);
	return 2;
}

static bool show_levels(struct vcpu *v)
{
	return v->irq_ops && v->irq_ops->show_levels && v->irq_ops->show_levels(v);
}

/* What is to be done outside guest mode before the next entry. 1: enter, 2: look again, 0: exit,
 * -errno. */
static int check_requests(struct vcpu *v) REQUIRES(&v->mutex)
{
	u32 req = a32_load(&v->requests);
	u32 power;

	if (req & VCPU_REQ_DEAD || a32_load_relaxed(&v->group->mem->dead))
		return -EIO;
	if (v->signal_seen || (req & VCPU_REQ_EXIT)) {
		v->signal_seen = false;
		a32_fetch_and(&v->requests, ~(u32)VCPU_REQ_EXIT);
		v->run->exit_reason = KVM_EXIT_INTR;
		v->stats.signal_exits++;
		return -EINTR;
	}
	power = a32_load(&v->power_off);
	if (power == VCPU_STOPPED) {
		u32 wake = a32_load(&v->wake);

		if (a32_load(&v->power_off) == VCPU_STOPPED &&
		    !(a32_load(&v->requests) & (VCPU_REQ_DEAD | VCPU_REQ_EXIT)))
			sleep_once(v, wake, WAIT_FOREVER);
		return 2;
	}
	a32_fetch_and(&v->requests,
		      ~(u32)(VCPU_REQ_IRQ | VCPU_REQ_TIMER | VCPU_REQ_SLEEP | VCPU_REQ_LEVELS));
	/* The acquire pairs with CPU_ON, which writes reset_state, then requests, then clears power_off. */
	if (req & VCPU_REQ_RESET) {
		a32_fetch_and(&v->requests, ~(u32)VCPU_REQ_RESET);
		vcpu_reset(v);
	}
	if (unlikely(req & VCPU_REQ_WORK))
		return do_work(v);
	if (power == VCPU_SUSPENDED)
		return suspended(v);
	if (ring_full(v))
		return 0;
	if (unlikely(req & VCPU_REQ_LEVELS) && show_levels(v)) {
		v->run->exit_reason = KVM_EXIT_INTR;
		return -EINTR;
	}
	return 1;
}

/* Exceptions that come instead of the next instruction. */
static void take_pending(struct vcpu *v)
{
	if (unlikely(v->arch.pstate & PSR_IL)) {
		vcpu_illegal_state(v);
		vcpu_step_finished(v, false);
	}
	if (vcpu_take_interrupt(v))
		vcpu_step_finished(v, false);
}

/* One stay in guest mode. */
static int enter_guest(struct vcpu *v)
{
	int r = 1;

	irq_before_run(v);
	if (unlikely(v->drop_code)) {
		v->drop_code = v->debug.control;
		v->engine_ops->drop_code(v, 0, ~0ull);
	}
	tlb_enter(&v->tlb);
	/* attention is 0 now; what was set before that is looked at here. */
	if (unlikely((a32_load(&v->requests) & REQ_LEAVE) || a32_load_relaxed(&v->power_off))) {
		tlb_leave(&v->tlb);
		return 1;
	}
	v->stop.kind = STOP_NONE;
	/* The step exception comes before all others. */
	if (unlikely(vcpu_step_pending(v))) {
		r = vcpu_take_step(v);
	} else {
		take_pending(v);
		if (likely(!v->step))
			v->engine_ops->run(v);
		else
			r = vcpu_run_step(v);
	}
	maintenance_post(v);
	tlb_leave(&v->tlb);
	v->stats.exits++;
	if (stopped_at_fault(v))
		v->stats.instructions--;
	if (v->irq_ops && v->irq_ops->after_run)
		v->irq_ops->after_run(v);
	return r ? handle_stop(v) : vcpu_debug_exit(v);
}

static int run_loop(struct vcpu *v) REQUIRES(&v->mutex)
{
	int r;

	for (;;) {
		u64 now = host_clock_ns();

		if (now - v->last_look_ns >= TICK_LOOK_NS) {
			v->last_look_ns = now;
			v->signal_seen |= exit_wanted(v);
		}
		/*
		 * A last reference dropped for the guest since the last turn: its hook runs when this thread leaves the
		 * library, so it leaves, as for a signal.
		 */
		v->signal_seen |= library_owes();
		r = check_requests(v);
		if (r == 1)
			r = enter_guest(v);
		if (r <= 0)
			return r;
	}
}

/* Freezes the registers of the VM. A vCPU that has passed here sees what they were frozen at. */
static void first_run(struct vcpu_group *g)
{
	mutex_lock(&g->config);
	if (!vcpu_group_ran(g))
		idregs_finalize(g);
	a32_store_release(&g->ran, 1);
	mutex_unlock(&g->config);
}

static int run_guest(struct vcpu *v) REQUIRES(&v->mutex)
{
	u64 mask;
	int r;

	v->run->exit_reason = KVM_EXIT_UNKNOWN;
	v->run->flags = 0;

	mask = host_signals_block();
	v->effective_sigmask = v->run_sigmask_set ? v->run_sigmask : mask;
	v->last_look_ns = 0; /* look at once */
	v->signal_seen = false;
	/* Registers may have been written since the last run. */
	vcpu_update_traps(v);
	vtlb_regs_changed(v);
	r = run_loop(v);
	show_levels(v);
	host_signals_restore(mask);
	return r;
}

int vcpu_run(struct vcpu *v)
{
	u32 self = thread_self();
	int r;

	if (!v->initialized)
		return -ENOEXEC;
	if (v->last_thread != self) {
		guarded_install();
		v->last_thread = self;
	}
	if (!v->has_run) {
		r = vcpu_prepare(v);
		if (r)
			return r;
		first_run(v->group);
		v->absent = idregs_absent(v->group);
		v->has_run = true;
	}
	if (v->irq_ops && v->irq_ops->regs_changed)
		v->irq_ops->regs_changed(v);
	vcpu_debug_enter(v);
	mmio_complete(v);
	r = __atomic_load_n(&v->run->immediate_exit, __ATOMIC_RELAXED) ? -EINTR : run_guest(v);
	vcpu_debug_leave(v);
	return r;
}
