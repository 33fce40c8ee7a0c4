/* SPDX-License-Identifier: MIT */
/* Firmware calls: what the guest reads back, what user space sees, and who is running afterwards.
 */
#include "host/alloc.h"
#include "hvc/hvc.h"
#include "rig.h"
#include "sync/thread.h"
#include "vcpu/onereg.h"

#include "../../test.h"

#define NOT_SUPPORTED  ((u64)-1)
#define INVALID_PARAMS ((u64)-2)
#define ALREADY_ON     ((u64)-4)

struct machine {
	struct rig *r;
	struct vm_hvc h;
};

static struct machine *machine_create(u32 nr)
{
	struct machine *m = calloc(1, sizeof(*m));

	m->r = rig_create(nr);
	EXPECT_EQ(hvc_vm_init(&m->h, &m->r->g), 0);
	for (u32 i = 0; i < nr; i++)
		EXPECT_EQ(hvc_vcpu_init(&m->h, &m->r->v[i]), 0);
	return m;
}

static void machine_destroy(struct machine *m)
{
	for (u32 i = 0; i < m->r->nr; i++)
		hvc_vcpu_fini(&m->r->v[i]);
	hvc_vm_fini(&m->h);
	rig_destroy(m->r);
	free(m);
}

/* Sets up and makes a call; the outcome of hvc_handle goes to *ret if that is not NULL. */
static u64 call_ret(struct machine *m, u32 cpu, int *ret, u64 fn, u64 a1, u64 a2, u64 a3)
{
	struct vcpu *v = &m->r->v[cpu];
	int r;

	v->arch.x[0] = fn;
	v->arch.x[1] = a1;
	v->arch.x[2] = a2;
	v->arch.x[3] = a3;
	v->stop.imm = 0;
	r = hvc_handle(v, false);
	if (ret)
		*ret = r;
	else
		EXPECT_EQ(r, 1);
	return v->arch.x[0];
}

static u64 call(struct machine *m, u64 fn, u64 a1, u64 a2, u64 a3)
{
	return call_ret(m, 0, NULL, fn, a1, a2, a3);
}

static int fw_set(struct machine *m, u64 id, u64 value)
{
	for (u32 i = 0; i < m->r->g.nr_onereg; i++)
		if (m->r->g.onereg[i]->coproc == (id >> 16 & 0xffff))
			return m->r->g.onereg[i]->set(&m->r->v[0], id, value);
	return -EDOM;
}

static u64 fw_get(struct machine *m, u64 id)
{
	u64 value = 0xdead;

	for (u32 i = 0; i < m->r->g.nr_onereg; i++) {
		if (m->r->g.onereg[i]->coproc == (id >> 16 & 0xffff)) {
			int err = m->r->g.onereg[i]->get(&m->r->v[0], id, &value);

			return err ? (u64)(s64)err : value;
		}
	}
	return value;
}

static u32 power(struct machine *m, u32 cpu)
{
	return a32_load(&m->r->v[cpu].power_off);
}

TEST(version_and_features_of_the_calling_convention)
{
	struct machine *m = machine_create(1);

	EXPECT_EQ(call(m, 0x80000000, 0, 0, 0), 0x10001);
	EXPECT_EQ(call(m, 0x80000001, 0x80008000, 0, 0), 1);
	EXPECT_EQ(call(m, 0x80000001, 0x80003fff, 0, 0), 1);
	EXPECT_EQ(call(m, 0x80000001, 0x80007fff, 0, 0), (u64)-2);
	m->r->g.idreg[25] = 2 << 4; /* SSBS: the guest's own switch */
	EXPECT_EQ(call(m, 0x80000001, 0x80007fff, 0, 0), NOT_SUPPORTED);
	EXPECT_EQ(call(m, 0x80000001, 0xc5000020, 0, 0), 0);
	EXPECT_EQ(call(m, 0x80000001, 0x80000000, 0, 0), NOT_SUPPORTED);
	EXPECT_EQ(call(m, 0x12345678, 0, 0, 0), NOT_SUPPORTED);
	EXPECT_EQ(call(m, 0x8600ff01, 0, 0, 0), 0xb66fb428);
	EXPECT_EQ(m->r->v[0].arch.x[3], 0x743a004d);
	EXPECT_EQ(call(m, 0x86000000, 0, 0, 0), 3);
	EXPECT_EQ(m->r->v[0].arch.x[2], 0);
	machine_destroy(m);
}

TEST(only_smc_minds_its_immediate)
{
	struct machine *m = machine_create(1);
	struct vcpu *v = &m->r->v[0];

	v->arch.x[0] = 0x80000000;
	v->stop.imm = 1;
	EXPECT_EQ(hvc_handle(v, false), 1);
	EXPECT_EQ(v->arch.x[0], 0x10001);
	v->arch.x[0] = 0x80000000;
	EXPECT_EQ(hvc_handle(v, true), 1);
	EXPECT_EQ(v->arch.x[0], NOT_SUPPORTED);
	v->arch.x[0] = 0x80000000;
	v->stop.imm = 0;
	EXPECT_EQ(hvc_handle(v, true), 1);
	EXPECT_EQ(v->arch.x[0], 0x10001);
	machine_destroy(m);
}

TEST(psci_version_follows_the_firmware_register)
{
	struct machine *m = machine_create(1);
	static const u32 versions[] = {0x00002, 0x10000, 0x10001, 0x10002, 0x10003};

	EXPECT_EQ(call(m, 0x84000000, 0, 0, 0), 0x10003);
	EXPECT_EQ(fw_get(m, KVM_REG_ARM_PSCI_VERSION), 0x10003);
	for (u32 i = 0; i < ARRAY_SIZE(versions); i++) {
		u32 minor = versions[i] & 0xffff;
		bool one = versions[i] >= 0x10000;

		EXPECT_EQ(fw_set(m, KVM_REG_ARM_PSCI_VERSION, versions[i]), 0);
		EXPECT_EQ(call(m, 0x84000000, 0, 0, 0), versions[i]);
		/* FEATURES came with 1.0, SYSTEM_RESET2 with 1.1, SYSTEM_OFF2 with 1.3. */
		EXPECT_EQ(call(m, 0x8400000a, 0xc4000003, 0, 0), one ? 0 : NOT_SUPPORTED);
		EXPECT_EQ(call(m, 0x8400000a, 0xc4000012, 0, 0),
			  one && minor >= 1 ? 0 : NOT_SUPPORTED);
		EXPECT_EQ(call(m, 0x8400000a, 0xc4000015, 0, 0),
			  one && minor >= 3 ? 1 : NOT_SUPPORTED);
		EXPECT_EQ(call(m, 0x8400000a, 0x84000005, 0, 0), NOT_SUPPORTED);
	}
	EXPECT_EQ(fw_set(m, KVM_REG_ARM_PSCI_VERSION, 0x10004), -EINVAL);
	EXPECT_EQ(fw_set(m, KVM_REG_ARM_PSCI_VERSION, 0x00001), -EINVAL);
	/* Without the feature bit there is 0.1 only, under other numbers. */
	m->r->v[0].features = 0;
	EXPECT_EQ(fw_get(m, KVM_REG_ARM_PSCI_VERSION), 1);
	EXPECT_EQ(fw_set(m, KVM_REG_ARM_PSCI_VERSION, 0x10000), -EINVAL);
	EXPECT_EQ(fw_set(m, KVM_REG_ARM_PSCI_VERSION, 1), 0);
	EXPECT_EQ(call(m, 0x84000000, 0, 0, 0), NOT_SUPPORTED);
	EXPECT_EQ(call(m, KVM_PSCI_FN_MIGRATE, 0, 0, 0), NOT_SUPPORTED);
	EXPECT_EQ(call(m, KVM_PSCI_FN_CPU_ON, 0, 0, 0), INVALID_PARAMS);
	machine_destroy(m);
}

TEST(cpu_on_error_table)
{
	struct machine *m = machine_create(2);

	/* 64-bit form: reserved affinity bits, no such CPU, itself, running. */
	EXPECT_EQ(call(m, 0xc4000003, BIT(31), 0, 0), INVALID_PARAMS);
	EXPECT_EQ(call(m, 0xc4000003, BIT(24), 0, 0), INVALID_PARAMS);
	EXPECT_EQ(call(m, 0xc4000003, BIT(63), 0, 0), INVALID_PARAMS);
	EXPECT_EQ(call(m, 0xc4000003, 7, 0, 0), INVALID_PARAMS);
	EXPECT_EQ(call(m, 0xc4000003, 0, 0, 0), ALREADY_ON);
	EXPECT_EQ(call(m, 0xc4000003, 1, 0, 0), ALREADY_ON);
	a32_store(&m->r->v[1].power_off, VCPU_SUSPENDED);
	EXPECT_EQ(call(m, 0xc4000003, 1, 0, 0), ALREADY_ON);
	a32_store(&m->r->v[1].power_off, VCPU_STOPPED);
	EXPECT_EQ(call(m, 0xc4000003, 1, 0xffff000012345678, 0x1122334455667788), 0);
	EXPECT_EQ(power(m, 1), VCPU_RUNNABLE);
	EXPECT_EQ(m->r->v[1].reset_state.pc, 0xffff000012345678);
	EXPECT_EQ(m->r->v[1].reset_state.x0, 0x1122334455667788);
	EXPECT(m->r->v[1].reset_state.pending);
	EXPECT(a32_load(&m->r->v[1].requests) & VCPU_REQ_RESET);
	EXPECT_EQ(call(m, 0xc4000003, 1, 0, 0), ALREADY_ON);
	/* 32-bit form: arguments are cut. */
	a32_store(&m->r->v[1].power_off, VCPU_STOPPED);
	EXPECT_EQ(call(m, 0x84000003, 0xabc00000001, 0xffff000012345678, 0x1122334455667788), 0);
	EXPECT_EQ(m->r->v[1].reset_state.pc, 0x12345678);
	EXPECT_EQ(m->r->v[1].reset_state.x0, 0x55667788);
	machine_destroy(m);
}

TEST(cpu_off_stops_the_caller_and_affinity_info_tells)
{
	struct machine *m = machine_create(3);

	EXPECT_EQ(call(m, 0xc4000004, 1, 0, 0), 0);
	call_ret(m, 1, NULL, 0x84000002, 0, 0, 0);
	EXPECT_EQ(power(m, 1), VCPU_STOPPED);
	EXPECT(a32_load(&m->r->v[1].requests) & VCPU_REQ_SLEEP);
	EXPECT_EQ(call(m, 0xc4000004, 1, 0, 0), 1);
	EXPECT_EQ(call(m, 0xc4000004, 0, 0, 0), 0);
	EXPECT_EQ(call(m, 0xc4000004, 9, 0, 0), INVALID_PARAMS);
	EXPECT_EQ(call(m, 0xc4000004, BIT(30), 0, 0), INVALID_PARAMS);
	EXPECT_EQ(call(m, 0xc4000004, 0, 4, 0), INVALID_PARAMS);
	EXPECT_EQ(call(m, 0xc4000004, 0, BIT(32), 0), INVALID_PARAMS);
	/* A level above: all CPUs of the cluster; one runs. */
	EXPECT_EQ(call(m, 0xc4000004, 1, 1, 0), 0);
	EXPECT_EQ(call(m, 0x84000004, 0x100, 1, 0), INVALID_PARAMS);
	call_ret(m, 0, NULL, 0x84000002, 0, 0, 0);
	call_ret(m, 2, NULL, 0x84000002, 0, 0, 0);
	EXPECT_EQ(call(m, 0xc4000004, 5, 3, 0), 1);
	EXPECT_EQ(call(m, 0x84000006, 0, 0, 0), 2);
	machine_destroy(m);
}

TEST(cpu_suspend_sleeps_as_wfi)
{
	struct machine *m = machine_create(1);

	m->r->v[0].arch.x[7] = 77;
	EXPECT_EQ(call(m, 0xc4000001, 0x10000, 0x1234, 0), 0);
	EXPECT_EQ(m->r->v[0].stats.wfi_exits, 1);
	EXPECT_EQ(m->r->v[0].arch.x[7], 77);
	machine_destroy(m);
}

TEST(system_events_stop_everybody_and_reach_user_space)
{
	static const struct {
		u64 fn, a1, a2;
		u32 type;
		u64 flags;
	} t[] = {
		{0x84000008, 0, 0, KVM_SYSTEM_EVENT_SHUTDOWN, 0},
		{0x84000009, 0, 0, KVM_SYSTEM_EVENT_RESET, 0},
		{0xc4000012, 0, 5, KVM_SYSTEM_EVENT_RESET, KVM_SYSTEM_EVENT_RESET_FLAG_PSCI_RESET2},
		{0x84000012, 0x80000001, 0, KVM_SYSTEM_EVENT_RESET,
		 KVM_SYSTEM_EVENT_RESET_FLAG_PSCI_RESET2},
		{0xc4000015, 0, 0, KVM_SYSTEM_EVENT_SHUTDOWN,
		 KVM_SYSTEM_EVENT_SHUTDOWN_FLAG_PSCI_OFF2},
		{0x84000015, 1, 0, KVM_SYSTEM_EVENT_SHUTDOWN,
		 KVM_SYSTEM_EVENT_SHUTDOWN_FLAG_PSCI_OFF2},
	};

	for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
		struct machine *m = machine_create(3);
		struct kvm_run *run = m->r->v[0].run;
		int ret = -1;

		EXPECT_EQ(call_ret(m, 0, &ret, t[i].fn, t[i].a1, t[i].a2, 9), (u64)-6);
		EXPECT_EQ(ret, 0);
		EXPECT_EQ(run->exit_reason, KVM_EXIT_SYSTEM_EVENT);
		EXPECT_EQ(run->system_event.type, t[i].type);
		EXPECT_EQ(run->system_event.ndata, 1);
		EXPECT_EQ(run->system_event.data[0], t[i].flags);
		for (u32 c = 0; c < 3; c++) {
			EXPECT_EQ(power(m, c), VCPU_STOPPED);
			EXPECT(a32_load(&m->r->v[c].requests) & VCPU_REQ_SLEEP);
		}
		machine_destroy(m);
	}
	struct machine *m = machine_create(1);

	EXPECT_EQ(call(m, 0xc4000012, 1, 0, 0), INVALID_PARAMS);
	EXPECT_EQ(call(m, 0xc4000012, 0x7fffffff, 0, 0), INVALID_PARAMS);
	EXPECT_EQ(call(m, 0xc4000015, 2, 0, 0), INVALID_PARAMS);
	EXPECT_EQ(call(m, 0xc4000015, 1, 1, 0), INVALID_PARAMS);
	EXPECT_EQ(power(m, 0), VCPU_RUNNABLE);
	machine_destroy(m);
}

TEST(system_suspend_is_there_when_enabled_and_keeps_the_registers)
{
	struct machine *m = machine_create(1);
	int ret = -1;

	EXPECT_EQ(call(m, 0x8400000a, 0xc400000e, 0, 0), NOT_SUPPORTED);
	EXPECT_EQ(call(m, 0xc400000e, 1, 2, 3), NOT_SUPPORTED);
	a32_store(&m->h.system_suspend, 1);
	EXPECT_EQ(call(m, 0x8400000a, 0xc400000e, 0, 0), 0);
	EXPECT_EQ(call_ret(m, 0, &ret, 0xc400000e, 0x8000, 3, 0), 0xc400000e);
	EXPECT_EQ(ret, 0);
	EXPECT_EQ(m->r->v[0].arch.x[1], 0x8000);
	EXPECT_EQ(m->r->run[0].system_event.type, KVM_SYSTEM_EVENT_SUSPEND);
	EXPECT_EQ(power(m, 0), VCPU_RUNNABLE);
	machine_destroy(m);
}

TEST(random_numbers_have_the_bits_asked_for)
{
	struct machine *m = machine_create(1);
	u64 *x = m->r->v[0].arch.x, seen = 0;

	EXPECT_EQ(call(m, 0x84000050, 0, 0, 0), 0x10000);
	EXPECT_EQ(call(m, 0x84000051, 0x84000053, 0, 0), 0);
	EXPECT_EQ(call(m, 0x84000051, 0x84000054, 0, 0), NOT_SUPPORTED);
	EXPECT_EQ(call(m, 0x84000052, 0, 0, 0), 0xe0210d);
	EXPECT_EQ(call(m, 0x84000053, 97, 0, 0), (u64)-2);
	EXPECT_EQ(call(m, 0xc4000053, 193, 0, 0), (u64)-2);
	for (u32 bits = 0; bits <= 192; bits++) {
		EXPECT_EQ(call(m, 0xc4000053, bits, 0, 0), 0);
		seen |= x[3];
		if (bits <= 128)
			EXPECT_EQ(x[1], 0);
		if (bits <= 64)
			EXPECT_EQ(x[2], 0);
		if (bits < 64)
			EXPECT_EQ(x[3] >> bits, 0);
		if (bits > 96)
			continue;
		EXPECT_EQ(call(m, 0x84000053, bits, 0, 0), 0);
		EXPECT_EQ((x[1] | x[2] | x[3]) >> 32, 0);
		if (bits <= 64)
			EXPECT_EQ(x[1], 0);
		if (bits <= 32)
			EXPECT_EQ(x[2], 0);
	}
	EXPECT_EQ(seen, ~0ull);
	machine_destroy(m);
}

TEST(time_for_the_guest_clock_matches_the_counter)
{
	struct machine *m = machine_create(1);
	u64 *x = m->r->v[0].arch.x;

	rig_clock_set(5000000000ull);
	EXPECT((s64)call(m, 0x86000001, 1, 0, 0) > 0);
	EXPECT_EQ(x[2] << 32 | x[3], 5000000000ull);
	EXPECT(((x[0] << 32 | x[1]) >> 60) < 4);
	EXPECT_EQ(call(m, 0x86000001, 2, 0, 0), NOT_SUPPORTED);
	machine_destroy(m);
}

TEST(feature_bitmaps_switch_services_until_the_first_run)
{
	static const struct {
		u64 id, all, fresh;
		u32 fn;
	} t[] = {
		{KVM_REG_ARM_STD_BMAP, 1, 1, 0x84000050},
		{KVM_REG_ARM_STD_HYP_BMAP, 1, 1, 0xc5000020},
		{KVM_REG_ARM_VENDOR_HYP_BMAP, 3, 3, 0x86000000},
		{KVM_REG_ARM_VENDOR_HYP_BMAP_2, 3, 0, 0},
	};
	struct machine *m = machine_create(1);

	for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
		EXPECT_EQ(fw_get(m, t[i].id), t[i].fresh);
		EXPECT_EQ(fw_set(m, t[i].id, t[i].all + 1), -EINVAL);
		EXPECT_EQ(fw_set(m, t[i].id, 0), 0);
		if (t[i].fn)
			EXPECT_EQ(call(m, t[i].fn, 0xc5000020, 0, 0), NOT_SUPPORTED);
		EXPECT_EQ(fw_set(m, t[i].id, t[i].all), 0);
		EXPECT_EQ(fw_get(m, t[i].id), t[i].all);
	}
	EXPECT_EQ(call(m, 0x86000000, 0, 0, 0), 3);
	EXPECT_EQ(m->r->v[0].arch.x[2], 3);
	a32_store(&m->r->g.ran, 1);
	EXPECT_EQ(fw_set(m, KVM_REG_ARM_STD_BMAP, 0), -EBUSY);
	EXPECT_EQ(fw_set(m, KVM_REG_ARM_STD_BMAP, 1), 0);
	EXPECT_EQ(fw_set(m, KVM_REG_ARM_STD_BMAP, 2), -EINVAL);
	EXPECT_EQ((s64)fw_get(m, KVM_REG_ARM_FW_FEAT_BMAP_REG(4)), -ENOENT);
	EXPECT_EQ(fw_set(m, KVM_REG_ARM_FW_FEAT_BMAP_REG(4), 0), -ENOENT);
	machine_destroy(m);
}

TEST(workaround_levels_accept_what_is_not_better)
{
	static const struct {
		u64 value;
		int w1, w2_ssbs, w2;
	} t[] = {{0, 0, 0, 0},
		 {1, 0, 0, 0},
		 {2, 0, -EINVAL, 0},
		 {3, -EINVAL, -EINVAL, 0},
		 {4, -EINVAL, -EINVAL, -EINVAL},
		 {0x10, -EINVAL, -EINVAL, -EINVAL},
		 {0x12, -EINVAL, -EINVAL, 0},
		 {0x13, -EINVAL, -EINVAL, -EINVAL},
		 {0x10001, -EINVAL, -EINVAL, -EINVAL}};
	struct machine *m = machine_create(1);

	for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
		m->r->g.idreg[25] = 0;
		EXPECT_EQ(fw_set(m, KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_1, t[i].value), t[i].w1);
		EXPECT_EQ(fw_set(m, KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_3, t[i].value), t[i].w1);
		EXPECT_EQ(fw_set(m, KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_2, t[i].value), t[i].w2);
		m->r->g.idreg[25] = 2 << 4;
		EXPECT_EQ(fw_set(m, KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_2, t[i].value), t[i].w2_ssbs);
	}
	EXPECT_EQ(fw_get(m, KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_1), 2);
	EXPECT_EQ(fw_get(m, KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_2), 0);
	EXPECT_EQ(fw_get(m, KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_3), 2);
	EXPECT_EQ((s64)fw_get(m, KVM_REG_ARM_FW_REG(4)), -ENOENT);
	machine_destroy(m);
}

static int filter(struct machine *m, u32 base, u32 nr, u8 action)
{
	struct kvm_smccc_filter f = {.base = base, .nr_functions = nr, .action = action};

	return hvc_vm_set_attr(&m->h, KVM_ARM_VM_SMCCC_FILTER, &f);
}

TEST(the_filter_denies_forwards_and_protects_the_architecture_calls)
{
	struct machine *m = machine_create(1);
	struct kvm_smccc_filter padded = {.base = 5, .nr_functions = 1, .pad = {[3] = 1}};
	struct kvm_run *run = m->r->v[0].run;
	int ret = -1;

	EXPECT_EQ(hvc_vm_has_attr(&m->h, 0), 0);
	EXPECT_EQ(hvc_vm_has_attr(&m->h, 1), -ENXIO);
	EXPECT_EQ(hvc_vm_set_attr(&m->h, 1, &padded), -ENXIO);
	EXPECT_EQ(hvc_vm_set_attr(&m->h, 0, &padded), -EINVAL);
	EXPECT_EQ(hvc_vm_set_attr(&m->h, 0, (void *)8), -EFAULT);
	EXPECT_EQ(filter(m, 0x80000000, 1, 1), -EEXIST);
	EXPECT_EQ(filter(m, 0xc000ffff, 1, 1), -EEXIST);
	EXPECT_EQ(filter(m, 0x7fffffff, 2, 1), -EEXIST);
	EXPECT_EQ(filter(m, 1, 0, 1), -EINVAL);
	EXPECT_EQ(filter(m, 1, 1, 3), -EINVAL);
	EXPECT_EQ(filter(m, 0xffffffff, 2, 1), -EINVAL);
	EXPECT_EQ(filter(m, 0x84000000, 0x20, KVM_SMCCC_FILTER_DENY), 0);
	EXPECT_EQ(filter(m, 0x84000010, 1, KVM_SMCCC_FILTER_FWD_TO_USER), -EEXIST);
	EXPECT_EQ(filter(m, 0xffffffff, 1, KVM_SMCCC_FILTER_FWD_TO_USER), 0);
	EXPECT_EQ(call(m, 0x84000000, 0, 0, 0), NOT_SUPPORTED);
	EXPECT_EQ(call(m, 0xc4000004, 0, 0, 0), 0);
	EXPECT_EQ(call(m, 0x80000000, 0, 0, 0), 0x10001);
	EXPECT_EQ(call_ret(m, 0, &ret, 0xffffffff, 1, 2, 3), 0xffffffff);
	EXPECT_EQ(ret, 0);
	EXPECT_EQ(run->exit_reason, KVM_EXIT_HYPERCALL);
	EXPECT_EQ(run->hypercall.nr, 0xffffffff);
	EXPECT_EQ(run->hypercall.flags, 0);
	m->r->v[0].stop.imm = 0;
	EXPECT_EQ(hvc_handle(&m->r->v[0], true), 0);
	EXPECT_EQ(run->hypercall.flags, KVM_HYPERCALL_EXIT_SMC);
	a32_store(&m->r->g.ran, 1);
	EXPECT_EQ(filter(m, 7, 1, 1), -EBUSY);
	machine_destroy(m);
}

/* --- the filter and the bitmaps against the first run, from another thread --- */

struct late {
	struct machine *m;
	struct a32 go;
	int filter_err, bmap_err;
};

static void late_main(void *arg)
{
	struct late *l = arg;

	a32_store(&l->go, 1);
	l->filter_err = filter(l->m, 0x84000000, 1, KVM_SMCCC_FILTER_DENY);
	l->bmap_err = fw_set(l->m, KVM_REG_ARM_STD_BMAP, 0);
}

/* What the first vCPU to run finds is what stays. TSan sees it where another lock orders the two. */
TEST(nothing_of_the_firmware_changes_after_the_first_run_began)
{
	for (int round = 0; round < 200; round++) {
		struct late l = {.m = machine_create(1)};
		struct vcpu_group *g = &l.m->r->g;
		struct thread *t;
		u64 version, trng;

		ASSERT(!thread_create(&t, "late", late_main, &l));
		while (!a32_load(&l.go))
			cpu_relax();
		for (int i = 0; i < round * 10; i++)
			cpu_relax();
		mutex_lock(&g->config); /* as first_run does */
		a32_store_release(&g->ran, 1);
		mutex_unlock(&g->config);
		version = call(l.m, 0x84000000, 0, 0, 0);
		trng = call(l.m, 0x84000050, 0, 0, 0);
		thread_join(t);
		EXPECT_EQ(l.filter_err, version == NOT_SUPPORTED ? 0 : -EBUSY);
		EXPECT_EQ(l.bmap_err, trng == NOT_SUPPORTED ? 0 : -EBUSY);
		machine_destroy(l.m);
	}
}

TEST(stolen_time_record_is_set_once_and_cleared_on_request)
{
	struct machine *m = machine_create(1);
	struct vcpu *v = &m->r->v[0];
	u64 ipa = RIG_RAM + 8;

	EXPECT_EQ(hvc_pvtime_has_attr(v, 0), 0);
	EXPECT_EQ(hvc_pvtime_has_attr(v, 1), -ENXIO);
	EXPECT_EQ(call(m, 0xc5000020, 0xc5000021, 0, 0), NOT_SUPPORTED);
	EXPECT_EQ(call(m, 0xc5000021, 0, 0, 0), NOT_SUPPORTED);
	EXPECT_EQ(hvc_pvtime_set_attr(v, 1, &ipa), -ENXIO);
	EXPECT_EQ(hvc_pvtime_set_attr(v, 0, (void *)8), -EFAULT);
	EXPECT_EQ(hvc_pvtime_set_attr(v, 0, &ipa), -EINVAL);
	ipa = 0x1000;
	EXPECT_EQ(hvc_pvtime_set_attr(v, 0, &ipa), -EINVAL);
	EXPECT_EQ(hvc_pvtime_get_attr(v, 0, &ipa), 0);
	EXPECT_EQ(ipa, ~0ull);
	ipa = RIG_RAM + 128;
	EXPECT_EQ(hvc_pvtime_set_attr(v, 0, &ipa), 0);
	EXPECT_EQ(hvc_pvtime_set_attr(v, 0, &ipa), -EEXIST);
	memset(m->r->guest, 0xee, sizeof(m->r->guest));
	EXPECT_EQ(call(m, 0xc5000020, 0xc5000021, 0, 0), 0);
	EXPECT_EQ(call(m, 0xc5000020, 1, 0, 0), NOT_SUPPORTED);
	EXPECT_EQ(call(m, 0xc5000021, 0, 0, 0), ipa);
	for (int i = 0; i < 64; i++)
		EXPECT_EQ(m->r->guest[128 + i], 0);
	EXPECT_EQ(m->r->guest[127], 0xee);
	EXPECT_EQ(m->r->guest[192], 0xee);
	rig_clock_set(10000000000ull);
	hvc_before_run(v);
	/* The other fields stay as they were. */
	for (int i = 0; i < 8; i++)
		EXPECT_EQ(m->r->guest[128 + i], 0);
	machine_destroy(m);
}

/* --- CPU_ON from several CPUs at once: one starts the target --- */

struct race {
	struct machine *m;
	struct a32 go, won, refused;
};

struct racer {
	struct race *race;
	u32 cpu;
};

static void racer_main(void *arg)
{
	struct racer *k = arg;

	while (!a32_load(&k->race->go))
		cpu_relax();
	if (call_ret(k->race->m, k->cpu, NULL, 0xc4000003, 3, k->cpu, 0) == 0)
		a32_fetch_add(&k->race->won, 1);
	else
		a32_fetch_add(&k->race->refused, 1);
}

TEST(of_three_callers_of_cpu_on_one_wins)
{
	for (int round = 0; round < 50; round++) {
		struct race race = {.m = machine_create(4)};
		struct racer k[3];
		struct thread *t[3];

		a32_store(&race.m->r->v[3].power_off, VCPU_STOPPED);
		for (u32 i = 0; i < 3; i++) {
			k[i] = (struct racer){&race, i};
			ASSERT(!thread_create(&t[i], "racer", racer_main, &k[i]));
		}
		a32_store(&race.go, 1);
		for (u32 i = 0; i < 3; i++)
			thread_join(t[i]);
		EXPECT_EQ(a32_load(&race.won), 1);
		EXPECT_EQ(a32_load(&race.refused), 2);
		machine_destroy(race.m);
	}
}

/* --- memory runs out at every step of creation --- */

static int build_everything(struct rig *r, struct vm_hvc *h)
{
	int err = irq_vm_init(&r->vi, &r->g);

	if (err)
		return err;
	err = hvc_vm_init(h, &r->g);
	for (u32 i = 0; i < 2 && !err; i++) {
		err = rig_add_cpu(r);
		if (!err)
			err = hvc_vcpu_init(h, &r->v[i]);
	}
	if (!err) {
		mutex_lock(&r->vm_lock);
		err = irq_gic_create(&r->vi, KVM_DEV_TYPE_ARM_VGIC_V3);
		mutex_unlock(&r->vm_lock);
	}
	u64 redist = RIG_REDIST;
	if (!err)
		err = rig_set(r, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, &redist);
	if (!err)
		err = rig_set(r, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);
	if (!err) {
		struct kvm_irq_routing_entry e = {.gsi = 3, .type = KVM_IRQ_ROUTING_IRQCHIP};

		err = irq_set_routing(&r->vi, &e, 1);
	}
	if (!err) {
		struct kvm_smccc_filter f = {.base = 1, .nr_functions = 1};

		err = hvc_vm_set_attr(h, 0, &f);
	}
	if (err) {
		/* A caller may try again and succeed with what is there. */
		EXPECT_EQ(err, -ENOMEM);
	}
	for (u32 i = 0; i < 2; i++) {
		hvc_vcpu_fini(&r->v[i]);
		irq_vcpu_fini(&r->v[i]);
	}
	hvc_vm_fini(h);
	irq_vm_stop(&r->vi);
	irq_vm_fini(&r->vi);
	return err;
}

TEST(every_failing_allocation_is_reported_and_nothing_leaks)
{
	u64 objects = host_alloc_objects();
	int err = -ENOMEM;
	u32 n;

	for (n = 1; err && n < 100; n++) {
		struct rig *r = calloc(1, sizeof(*r));
		struct vm_hvc h = {0};

		mutex_init(&r->vm_lock, RANK_VM, "vm");
		r->mem.ipa_bits = 40;
		r->g.mem = &r->mem;
		host_alloc_fail_at(n);
		err = build_everything(r, &h);
		host_alloc_fail_at(0);
		EXPECT_EQ(host_alloc_objects(), objects);
		mutex_fini(&r->vm_lock);
		free(r);
	}
	/* The last round met no failure; the ones before met one each. */
	EXPECT_EQ(err, 0);
	EXPECT(n > 10);
}
