/* SPDX-License-Identifier: MIT */
/* What a vCPU may ask of its machine while it runs. Mode OUTSIDE, v->mutex held. */
#include <errno.h>

#include "interp/interp.h"
#include "vm/vm.h"

static int vm_mmio_read(struct vcpu *v, u64 ipa, unsigned size, u64 *value)
{
	struct vm *vm = vm_of_vcpu(v);
	int r = irq_mmio_read(&vm->irq, v, ipa, size, value);

	return r == -EOPNOTSUPP ? io_bus_read(&vm->mmio, v, ipa, size, value) : r;
}

static int vm_mmio_write(struct vcpu *v, u64 ipa, unsigned size, u64 value)
{
	struct vm *vm = vm_of_vcpu(v);
	int r = irq_mmio_write(&vm->irq, v, ipa, size, value);

	return r == -EOPNOTSUPP ? io_bus_write(&vm->mmio, v, ipa, size, value) : r;
}

static int vm_hypercall(struct vcpu *v, bool smc)
{
	return hvc_handle(v, smc);
}

const struct vcpu_vm_ops vm_vcpu_ops = {
	.mmio_read = vm_mmio_read,
	.mmio_write = vm_mmio_write,
	.hypercall = vm_hypercall,
};

const struct engine_ops *const vm_engine = &interp_engine;
