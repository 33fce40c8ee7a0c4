// SPDX-License-Identifier: MIT
/*
 * Accesses that no memory answers: devices inside the library, then an exit to user space. The access is completed by the next
 * KVM_RUN, with pc at it until then, so that a VMM may abort it instead.
 */
#include <errno.h>
#include <string.h>

#include <anykvm/kvm.h>

#include "vcpu/internal.h"
#include "vcpu/translate.h"

static void mmio_finish_read(struct vcpu *v, unsigned rt, unsigned size, bool sext, bool sf,
			     u64 value)
{
	if (size < 8) {
		value &= (1ull << (size * 8)) - 1;
		if (sext)
			value = (u64)sign_extend(value, size * 8);
	}
	if (!sf)
		value = (u32)value;
	reg_write(&v->arch, rt, value);
}

void mmio_complete(struct vcpu *v)
{
	u64 value = 0;

	/* As in KVM user space says by the exit reason that it has answered; else the access is
	 * made again. */
	if (!v->mmio.pending || v->run->exit_reason != KVM_EXIT_MMIO)
		return;
	v->mmio.pending = false;
	if (!v->mmio.write) {
		memcpy(&value, v->run->mmio.data, v->mmio.size);
		mmio_finish_read(v, v->mmio.rt, v->mmio.size, v->mmio.sign_extend, v->mmio.sf,
				 value);
	}
	v->arch.pc += 4;
	vcpu_step_finished(v, false);
}

static int mmio_no_syndrome(struct vcpu *v, const struct mem_fault *f)
{
	u32 fsc =
		(f->type == MEM_FAULT_PERMISSION ? FSC_PERMISSION_L : FSC_TRANSLATION_L) | f->level;

	if (!a32_load_relaxed(&v->group->nisv_to_user))
		return -ENOSYS;
	v->run->exit_reason = KVM_EXIT_ARM_NISV;
	v->run->arm_nisv.esr_iss = fsc | (f->write ? BIT(6) : 0) | (f->cache_op ? BIT(8) : 0);
	v->run->arm_nisv.fault_ipa = f->ipa;
	return 0;
}

int mmio_access(struct vcpu *v)
{
	const struct mem_fault *f = &v->stop.fault;
	const struct vcpu_vm_ops *ops = v->group->ops;
	struct kvm_run *run = v->run;
	u64 value = f->write ? v->arch.x[f->rt] : 0;
	int r = -EOPNOTSUPP;

	if (!f->isv)
		return mmio_no_syndrome(v, f);
	if (f->write && f->size < 8)
		value &= (1ull << (f->size * 8)) - 1;
	if (ops && (f->write ? !!ops->mmio_write : !!ops->mmio_read))
		r = f->write ? ops->mmio_write(v, f->ipa, f->size, value)
			     : ops->mmio_read(v, f->ipa, f->size, &value);
	if (!r) {
		if (!f->write)
			mmio_finish_read(v, f->rt, f->size, f->sign_extend, f->sf, value);
		v->arch.pc += 4;
		v->stats.mmio_handled++;
		return 1;
	}
	if (r != -EOPNOTSUPP)
		return r;
	run->mmio.phys_addr = f->ipa;
	run->mmio.len = f->size;
	run->mmio.is_write = f->write;
	if (f->write)
		memcpy(run->mmio.data, &value, f->size);
	run->exit_reason = KVM_EXIT_MMIO;
	v->mmio.pending = true;
	v->mmio.write = f->write;
	v->mmio.sign_extend = f->sign_extend;
	v->mmio.sf = f->sf;
	v->mmio.size = f->size;
	v->mmio.rt = f->rt;
	v->stats.mmio_exits++;
	return 0;
}
