/* SPDX-License-Identifier: MIT */
/* What a vCPU counts, by KVM's names: monitors (QEMU's query-stats, and libvirt by it) ask for these. */
#include "vmm.h"

#define SCALE_NS	-9
#define HIST		32
#define PENDING_BY_LINE (KVM_ARM_IRQ_TYPE_CPU << KVM_ARM_IRQ_TYPE_SHIFT | KVM_ARM_IRQ_CPU_IRQ)

static const struct {
	const char *name;
	uint32_t flags;
	int16_t exponent;
	uint16_t size;
} kvms[] = {
#define COUNT(name)                                                         \
	{                                                                   \
		name, KVM_STATS_TYPE_CUMULATIVE | KVM_STATS_UNIT_NONE, 0, 1 \
	}
#define NANOSECONDS(name, type, size)                               \
	{                                                           \
		name, type | KVM_STATS_UNIT_SECONDS, SCALE_NS, size \
	}
	COUNT("halt_successful_poll"),
	COUNT("halt_attempted_poll"),
	COUNT("halt_poll_invalid"),
	COUNT("halt_wakeup"),
	NANOSECONDS("halt_poll_success_ns", KVM_STATS_TYPE_CUMULATIVE, 1),
	NANOSECONDS("halt_poll_fail_ns", KVM_STATS_TYPE_CUMULATIVE, 1),
	NANOSECONDS("halt_wait_ns", KVM_STATS_TYPE_CUMULATIVE, 1),
	NANOSECONDS("halt_poll_success_hist", KVM_STATS_TYPE_LOG_HIST, HIST),
	NANOSECONDS("halt_poll_fail_hist", KVM_STATS_TYPE_LOG_HIST, HIST),
	NANOSECONDS("halt_wait_hist", KVM_STATS_TYPE_LOG_HIST, HIST),
	{"blocking", KVM_STATS_TYPE_INSTANT | KVM_STATS_UNIT_BOOLEAN, 0, 1},
	COUNT("hvc_exit_stat"),
	COUNT("wfe_exit_stat"),
	COUNT("wfi_exit_stat"),
	COUNT("mmio_exit_user"),
	COUNT("mmio_exit_kernel"),
	COUNT("signal_exits"),
	COUNT("exits"),
};

/* The descriptor of that name, and all values it is of. */
static bool stat_read(int fd, const char *name, struct kvm_stats_desc *desc, uint64_t values[HIST])
{
	struct kvm_stats_header h;
	char buf[sizeof(*desc) + 64];

	ASSERT_EQ(pread(fd, &h, sizeof(h), 0), sizeof(h));
	ASSERT(h.name_size <= 64);
	for (unsigned d = 0; d < h.num_desc; d++) {
		size_t size = sizeof(*desc) + h.name_size;

		ASSERT_EQ(pread(fd, buf, size, h.desc_offset + d * size), size);
		if (strcmp(buf + sizeof(*desc), name))
			continue;
		memcpy(desc, buf, sizeof(*desc));
		size = desc->size * sizeof(uint64_t);
		ASSERT(desc->size <= HIST);
		ASSERT_EQ(pread(fd, values, size, h.data_offset + desc->offset), size);
		return true;
	}
	return false;
}

static uint64_t stat_of(int fd, const char *name)
{
	struct kvm_stats_desc desc;
	uint64_t values[HIST], sum = 0;

	ASSERT(stat_read(fd, name, &desc, values));
	for (unsigned i = 0; i < desc.size; i++)
		sum += values[i];
	return sum;
}

TEST(a_vcpu_counts_by_kvms_names)
{
	struct machine m = machine_new(1);
	int fd = ioctl(m.vcpu[0], KVM_GET_STATS_FD, 0);

	for (unsigned i = 0; i < sizeof(kvms) / sizeof(kvms[0]); i++) {
		struct kvm_stats_desc desc;
		uint64_t values[HIST];

		if (!stat_read(fd, kvms[i].name, &desc, values)) {
			TEST_FAIL("no %s", kvms[i].name);
			continue;
		}
		EXPECT_EQ(desc.flags, kvms[i].flags | KVM_STATS_BASE_POW10);
		EXPECT_EQ(desc.exponent, kvms[i].exponent);
		EXPECT_EQ(desc.size, kvms[i].size);
		for (unsigned k = 0; k < desc.size; k++)
			EXPECT_EQ(values[k], 0);
	}
	close(fd);
	machine_free(&m);
}

TEST(a_vcpu_tells_that_it_sleeps_and_how_long_it_slept)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);
	struct kvm_irq_level line = {.irq = PENDING_BY_LINE, .level = 1};
	struct runner r;
	int fd = ioctl(m.vcpu[0], KVM_GET_STATS_FD, 0);

	daifset(&c, 2);
	put(&c, A64_WFI);
	report(&c, 0, 0);
	code_done(&m);
	runner_start(&r, &m, 0);
	while (!stat_of(fd, "blocking"))
		sleep_ms(1);
	EXPECT_EQ(stat_of(fd, "halt_wakeup"), 0);
	EXPECT_EQ(stat_of(fd, "wfi_exit_stat"), 1);
	EXPECT_EQ(stat_of(fd, "mmio_exit_user"), 0);
	EXPECT_EQ(ioctl(m.vm, KVM_IRQ_LINE, &line), 0);
	runner_join(&r);
	EXPECT_EQ(r.result, 0);
	EXPECT_EQ(stat_of(fd, "blocking"), 0);
	EXPECT_EQ(stat_of(fd, "halt_wakeup"), 1);
	EXPECT(stat_of(fd, "halt_wait_ns") > 0);
	EXPECT_EQ(stat_of(fd, "halt_wait_hist"), 1);
	EXPECT_EQ(stat_of(fd, "mmio_exit_user"), 1);
	close(fd);
	machine_free(&m);
}
