// SPDX-License-Identifier: MIT
/*
 * SErrors and external aborts: injection by user space (KVM_GET/SET_VCPU_EVENTS) and the RAS extension, which gives a virtual
 * SError its syndrome and lets ESB put it off. There are no error records: the registers that describe one read as zero, as in
 * KVM.
 */
#include <errno.h>

#include "vcpu/idregs.h"
#include "vcpu/internal.h"
#include "vcpu/onereg.h"
#include "vcpu/sysreg_hooks.h"
#include "vcpu/translate.h"

#define DISR_A	BIT(31)
#define ESR_ISS GENMASK(24, 0)
/* Syndrome of an SError that user space gave none: IMPLEMENTATION DEFINED, all else 0. */
#define ISS_IDS BIT(24)

static bool has_ras(const struct vcpu *v)
{
	return bits_get(v->group->idreg[ID_AA64PFR0], 28, 4);
}

bool ras_present(const struct vcpu *v, const struct sysreg_row *row)
{
	(void)row;
	return has_ras(v);
}

READ_HOOK(disr_read)
{
	if (!has_ras(v))
		return vcpu_undef(v);
	*value = v->arch.sys[row->index];
	return OP_NEXT;
}

WRITE_HOOK(disr_write)
{
	if (!has_ras(v))
		return vcpu_undef(v);
	v->arch.sys[row->index] = value & (DISR_A | ESR_ISS);
	return OP_NEXT;
}

enum op_result vcpu_esb(struct vcpu *v)
{
	/* Unmasked, it is taken at the next poll. */
	if (v->events.serror_pending && (v->arch.pstate & PSR_A)) {
		v->events.serror_pending = false;
		v->arch.sys[SR_DISR_EL1] = DISR_A | v->events.serror_esr;
	}
	return OP_NEXT;
}

void vcpu_get_events(struct vcpu *v, struct vcpu_events *ev)
{
	/*
	 * That a syndrome can be given is told even when nothing is pending. An external abort was delivered when it was
	 * set.
	 */
	*ev = (struct vcpu_events){
		.serror_pending = v->events.serror_pending,
		.serror_has_esr = true,
		.serror_esr = v->events.serror_pending ? v->events.serror_esr : 0,
	};
}

/* For the access that KVM_RUN came back from, if any: FAR is what that one had. */
static void inject_external_abort(struct vcpu *v)
{
	const struct mem_fault *f = &v->stop.fault;

	vcpu_data_abort(v, f->va, f->s1ptw ? FSC_EXTERNAL_TTW_L | v->stop.s1_level : FSC_EXTERNAL,
			true);
	v->mmio.pending = false;
}

static void inject_serror(struct vcpu *v, u64 iss)
{
	if (v->arch.pstate & PSR_A) {
		v->events.serror_pending = true;
		v->events.serror_esr = iss;
		return;
	}
	/* At once, as KVM does: an MMIO access in flight is made again after the handler. */
	vcpu_serror(v, (u32)iss);
	v->mmio.pending = false;
}

int vcpu_set_events(struct vcpu *v, const struct vcpu_events *ev)
{
	if (ev->ext_dabt_pending)
		inject_external_abort(v);
	if (!ev->serror_pending)
		return 0;
	if (ev->serror_has_esr && (ev->serror_esr & ~ESR_ISS))
		return -EINVAL;
	inject_serror(v, ev->serror_has_esr ? ev->serror_esr : ISS_IDS);
	return 0;
}
