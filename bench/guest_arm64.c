/* SPDX-License-Identifier: MIT */
/* The loop of guest.h for arm64, MMU off. */
#include <anykvm/kvm.h>

#include "guest.h"

#include <string.h>

#define REG_X(n) (0x6030000000100000ul + 2 * (n))
#define REG_PC	 REG_X(32)
#define NOWHERE	 (1ul << 38) /* no slot there: MMIO */

static const uint32_t code[] = {
	0xf9000003, /* 1: str x3, [x0] */
	0x8b020000, /* add x0, x0, x2 */
	0xf1000421, /* subs x1, x1, #1 */
	0x54ffffa1, /* b.ne 1b */
	0xb9000083, /* str w3, [x4] */
	0x17fffffb, /* b 1b */
};

static void set_reg(struct backend *b, int vcpu, uint64_t id, uint64_t value)
{
	struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)&value};

	must(b->ioctl(vcpu, KVM_SET_ONE_REG, &reg), "KVM_SET_ONE_REG");
}

static void prepare(unsigned char *system)
{
	memcpy(system + GUEST_CODE, code, sizeof(code));
}

static void init(struct backend *b, int vm, int vcpu)
{
	struct kvm_vcpu_init features;

	must(b->ioctl(vm, KVM_ARM_PREFERRED_TARGET, &features), "KVM_ARM_PREFERRED_TARGET");
	must(b->ioctl(vcpu, KVM_ARM_VCPU_INIT, &features), "KVM_ARM_VCPU_INIT");
	set_reg(b, vcpu, REG_PC, GUEST_CODE);
	set_reg(b, vcpu, REG_X(4), NOWHERE);
}

static void set(struct backend *b, int vcpu, unsigned long start, unsigned long count,
		unsigned long stride)
{
	set_reg(b, vcpu, REG_X(0), start);
	set_reg(b, vcpu, REG_X(1), count);
	set_reg(b, vcpu, REG_X(2), stride);
	set_reg(b, vcpu, REG_X(3), start | 1);
}

const struct guest_arch guest_arm64 = {.prepare = prepare, .init = init, .set = set};
