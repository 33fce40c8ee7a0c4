/* SPDX-License-Identifier: MIT */
/*
 * Fails every allocation of every operation in turn, then every descriptor: each failure must come back as an error that KVM has
 * for it, leave no object and no descriptor behind, and not hinder the same operation a moment later.
 */
#include <dirent.h>
#include <linux/falloc.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "../../api/vmm.h"
#include "host/alloc.h"
#include "sync/rcu.h"

#define SLOT_GPA  0x80000000ull
#define SLOT_SIZE 0x200000ull

struct rig {
	struct machine m;
	int gic, gmem, event, result_fd;
	unsigned char *slot;
	void *map;
	/* a second machine, with dirty rings */
	int ring_vm, ring_vcpu;
	void *ring;
};

static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* --- operations: -1 with errno, or success ---------------------------------------------------------------------------------- */

static int op_create_vm(struct rig *r)
{
	return r->result_fd = ioctl(r->m.kvm, KVM_CREATE_VM, 0);
}
static int op_open(struct rig *r)
{
	return r->result_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
}
static int op_create_vcpu(struct rig *r)
{
	return r->result_fd = ioctl(r->m.vm, KVM_CREATE_VCPU, 7);
}
static int op_dup(struct rig *r)
{
	return r->result_fd = dup(r->m.vm);
}
static int op_stats(struct rig *r)
{
	return r->result_fd = ioctl(r->m.vm, KVM_GET_STATS_FD, 0);
}
static int op_inspect(struct rig *r)
{
	char text[256];

	return anykvm_inspect(r->m.vm, 0, text, sizeof(text)) < 0 ? -1 : 0;
}
static int op_vcpu_stats(struct rig *r)
{
	return r->result_fd = ioctl(r->m.vcpu[0], KVM_GET_STATS_FD, 0);
}
static int op_device(struct rig *r)
{
	struct kvm_create_device cd = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};

	return ioctl(r->m.vm, KVM_CREATE_DEVICE, &cd) ? -1 : (r->result_fd = cd.fd);
}
static int op_slot_create(struct rig *r)
{
	return set_slot(r->m.vm, 1, 0, SLOT_GPA, SLOT_SIZE, r->slot);
}
static int op_slot_move(struct rig *r)
{
	return set_slot(r->m.vm, 0, 0, RAM + RAM_SIZE, RAM_SIZE, r->m.ram);
}
static int op_slot_log(struct rig *r)
{
	return set_slot(r->m.vm, 0, KVM_MEM_LOG_DIRTY_PAGES, RAM, RAM_SIZE, r->m.ram);
}
static int op_slot_delete(struct rig *r)
{
	return set_slot(r->m.vm, 0, 0, RAM, 0, NULL);
}
static int op_dirty_log(struct rig *r)
{
	unsigned char bits[RAM_SIZE / PAGE / 8];
	struct kvm_dirty_log log = {.slot = 0, .dirty_bitmap = bits};

	return ioctl(r->m.vm, KVM_GET_DIRTY_LOG, &log);
}
static int op_run(struct rig *r)
{
	return run(&r->m, 0);
}
static int op_vcpu_init(struct rig *r)
{
	struct kvm_vcpu_init init = {.target = KVM_ARM_TARGET_GENERIC_V8,
				     .features = {1u << KVM_ARM_VCPU_PSCI_0_2}};

	return ioctl(r->m.vcpu[0], KVM_ARM_VCPU_INIT, &init);
}
static int op_ioeventfd(struct rig *r)
{
	struct kvm_ioeventfd a = {.fd = r->event, .addr = DEVICE, .len = 4};

	return ioctl(r->m.vm, KVM_IOEVENTFD, &a);
}
static int op_irqfd(struct rig *r)
{
	struct kvm_irqfd a = {.fd = r->event, .gsi = 3};

	return ioctl(r->m.vm, KVM_IRQFD, &a);
}
static int op_coalesced(struct rig *r)
{
	struct kvm_coalesced_mmio_zone z = {.addr = DEVICE + 0x1000, .size = 64};

	return ioctl(r->m.vm, KVM_REGISTER_COALESCED_MMIO, &z);
}
static int op_uncoalesced(struct rig *r)
{
	struct kvm_coalesced_mmio_zone z = {.addr = DEVICE + 0x1000, .size = 64};

	return ioctl(r->m.vm, KVM_UNREGISTER_COALESCED_MMIO, &z);
}
static int op_routing(struct rig *r)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry e;
	} t = {.head.nr = 1, .e = {.gsi = 3, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip.pin = 3}};

	return ioctl(r->m.vm, KVM_SET_GSI_ROUTING, &t);
}
static int op_gic_init(struct rig *r)
{
	struct kvm_device_attr a = {.group = KVM_DEV_ARM_VGIC_GRP_CTRL,
				    .attr = KVM_DEV_ARM_VGIC_CTRL_INIT};

	return ioctl(r->gic, KVM_SET_DEVICE_ATTR, &a);
}
static int op_gic_redist(struct rig *r)
{
	uint64_t addr = 0x080a0000;
	struct kvm_device_attr a = {.group = KVM_DEV_ARM_VGIC_GRP_ADDR,
				    .attr = KVM_VGIC_V3_ADDR_TYPE_REDIST,
				    .addr = (uintptr_t)&addr};

	return ioctl(r->gic, KVM_SET_DEVICE_ATTR, &a);
}
static int op_filter(struct rig *r)
{
	struct kvm_smccc_filter f = {
		.base = 0x84000000u, .nr_functions = 1, .action = KVM_SMCCC_FILTER_DENY};
	struct kvm_device_attr a = {.group = KVM_ARM_VM_SMCCC_CTRL, .addr = (uintptr_t)&f};

	return ioctl(r->m.vm, KVM_SET_DEVICE_ATTR, &a);
}
static int op_reg_list(struct rig *r)
{
	static struct {
		struct kvm_reg_list head;
		uint64_t reg[600];
	} list;

	list.head.n = 600;
	return ioctl(r->m.vcpu[0], KVM_GET_REG_LIST, &list);
}
static int op_masks(struct rig *r)
{
	static uint64_t masks[KVM_ARM_FEATURE_ID_RANGE_SIZE];
	struct reg_mask_range range = {.addr = (uintptr_t)masks};

	return ioctl(r->m.vm, KVM_ARM_GET_REG_WRITABLE_MASKS, &range);
}
static int op_mmap(struct rig *r)
{
	r->map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, r->m.vcpu[0], 0);
	return r->map == MAP_FAILED ? -1 : 0;
}
static int op_munmap_half(struct rig *r)
{
	return munmap((char *)r->m.run[0] + PAGE, PAGE);
}
static int op_mmap_over(struct rig *r)
{
	return mmap(r->slot, PAGE, PROT_READ, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
			       r->slot
		       ? 0
		       : -1;
}

static int op_region2(struct rig *r)
{
	struct kvm_userspace_memory_region2 m = {.slot = 1,
						 .flags = KVM_MEM_LOG_DIRTY_PAGES,
						 .guest_phys_addr = SLOT_GPA,
						 .memory_size = SLOT_SIZE,
						 .userspace_addr = (uintptr_t)r->slot};

	return ioctl(r->m.vm, KVM_SET_USER_MEMORY_REGION2, &m);
}
static int op_clear_log(struct rig *r)
{
	unsigned char bits[RAM_SIZE / PAGE / 8];
	struct kvm_clear_dirty_log log = {.num_pages = RAM_SIZE / PAGE, .dirty_bitmap = bits};

	memset(bits, 0xff, sizeof(bits));
	return ioctl(r->m.vm, KVM_CLEAR_DIRTY_LOG, &log);
}
static int op_fdupfd(struct rig *r)
{
	return r->result_fd = fcntl(r->m.vm, F_DUPFD_CLOEXEC, 0);
}
static int op_dup_over(struct rig *r)
{
	/* the eventfd's number becomes the machine's */
	return dup2(r->m.vm, r->event) < 0 ? -1 : 0;
}
static int op_resample(struct rig *r)
{
	struct kvm_irqfd a = {
		.fd = r->event, .gsi = 3, .flags = KVM_IRQFD_FLAG_RESAMPLE, .resamplefd = r->event};

	return ioctl(r->m.vm, KVM_IRQFD, &a);
}
static int op_redist_region(struct rig *r)
{
	uint64_t region = 2ull << 52 | 0x080a0000;
	struct kvm_device_attr a = {.group = KVM_DEV_ARM_VGIC_GRP_ADDR,
				    .attr = KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION,
				    .addr = (uintptr_t)&region};

	return ioctl(r->gic, KVM_SET_DEVICE_ATTR, &a);
}
static int op_pvtime(struct rig *r)
{
	uint64_t ipa = RAM + 0x1000;
	struct kvm_device_attr a = {.group = KVM_ARM_VCPU_PVTIME_CTRL,
				    .attr = KVM_ARM_VCPU_PVTIME_IPA,
				    .addr = (uintptr_t)&ipa};

	return ioctl(r->m.vcpu[0], KVM_SET_DEVICE_ATTR, &a);
}
static int op_counter_offset(struct rig *r)
{
	struct kvm_arm_counter_offset o = {.counter_offset = 5};

	return ioctl(r->m.vm, KVM_ARM_SET_COUNTER_OFFSET, &o);
}
static int op_one_reg(struct rig *r)
{
	return set_reg(r->m.vcpu[0], CORE_REG(regs.pc), RAM);
}
static int op_map_again(struct rig *r)
{
	return mmap(r->m.run[0], 2 * PAGE, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_SHARED,
		    r->m.vcpu[0], 0) == MAP_FAILED
		       ? -1
		       : 0;
}
static int op_mremap(struct rig *r)
{
	return mremap(r->slot, SLOT_SIZE, SLOT_SIZE / 2, 0) == MAP_FAILED ? -1 : 0;
}
static int op_madvise(struct rig *r)
{
	return madvise(r->m.ram + RAM_SIZE / 2, RAM_SIZE / 2, MADV_DONTNEED);
}
static int op_mprotect(struct rig *r)
{
	return mprotect(r->m.ram + RAM_SIZE / 2, PAGE, PROT_READ);
}
static int op_note_userfault(struct rig *r)
{
	return anykvm_note_userfault(r->slot, PAGE, 1);
}

#define GMEM_SIZE 0x400000ull

static int op_gmem_create(struct rig *r)
{
	struct kvm_create_guest_memfd a = {.size = GMEM_SIZE, .flags = 3};

	return r->result_fd = ioctl(r->m.vm, KVM_CREATE_GUEST_MEMFD, &a);
}
static int op_gmem_slot(struct rig *r)
{
	struct kvm_userspace_memory_region2 m = {.slot = 1,
						 .flags = KVM_MEM_GUEST_MEMFD,
						 .guest_phys_addr = SLOT_GPA,
						 .memory_size = GMEM_SIZE,
						 .userspace_addr = (uintptr_t)r->slot,
						 .guest_memfd = r->gmem};

	return ioctl(r->m.vm, KVM_SET_USER_MEMORY_REGION2, &m);
}
static int op_gmem_slot_delete(struct rig *r)
{
	return set_slot(r->m.vm, 1, 0, SLOT_GPA, 0, NULL);
}
static int op_gmem_allocate(struct rig *r)
{
	return fallocate(r->gmem, FALLOC_FL_KEEP_SIZE, 0, GMEM_SIZE);
}
static int op_gmem_punch(struct rig *r)
{
	return fallocate(r->gmem, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, PAGE, GMEM_SIZE);
}
static int op_gmem_map(struct rig *r)
{
	r->map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, r->gmem, PAGE);
	return r->map == MAP_FAILED ? -1 : 0;
}
static int op_gmem_error(struct rig *r)
{
	return madvise(r->map, PAGE, MADV_HWPOISON);
}
static int op_gmem_close(struct rig *r)
{
	int fd = dup(r->gmem);

	/* the last reference to the file goes with the mapping, if there is one */
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static int op_enable_ring(struct rig *r)
{
	struct kvm_enable_cap cap = {.cap = KVM_CAP_DIRTY_LOG_RING_ACQ_REL, .args = {PAGE}};

	return ioctl(r->ring_vm, KVM_ENABLE_CAP, &cap);
}
static int op_ring_vcpu(struct rig *r)
{
	return r->ring_vcpu = ioctl(r->ring_vm, KVM_CREATE_VCPU, 0);
}
static int op_map_ring(struct rig *r)
{
	r->ring = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, r->ring_vcpu,
		       KVM_DIRTY_LOG_PAGE_OFFSET * PAGE);
	return r->ring == MAP_FAILED ? -1 : 0;
}
static int op_reset_rings(struct rig *r)
{
	return ioctl(r->ring_vm, KVM_RESET_DIRTY_RINGS, 0);
}
static int op_log_to_ring(struct rig *r)
{
	return set_slot(r->ring_vm, 0, KVM_MEM_LOG_DIRTY_PAGES, SLOT_GPA, SLOT_SIZE, r->slot);
}

/* --- starting points --------------------------------------------------------------------------------------------------------- */

static void with_gic(struct rig *r)
{
	struct kvm_create_device cd = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};

	ASSERT_EQ(ioctl(r->m.vm, KVM_CREATE_DEVICE, &cd), 0);
	r->gic = cd.fd;
}
static void with_gic_initialised(struct rig *r)
{
	with_gic(r);
	ASSERT_EQ(op_gic_init(r), 0);
}
static void with_log(struct rig *r)
{
	ASSERT_EQ(op_slot_log(r), 0);
}
static void with_guest_that_ran(struct rig *r)
{
	ASSERT_EQ(op_run(r), 0);
}
static void with_zone(struct rig *r)
{
	ASSERT_EQ(op_coalesced(r), 0);
}

static void with_gmem(struct rig *r)
{
	ASSERT(op_gmem_create(r) >= 0);
	r->gmem = r->result_fd;
	r->result_fd = -1;
}
static void with_gmem_slot(struct rig *r)
{
	with_gmem(r);
	ASSERT_EQ(op_gmem_slot(r), 0);
}
static void with_gmem_mapped(struct rig *r)
{
	with_gmem_slot(r);
	ASSERT_EQ(op_gmem_map(r), 0);
}
/* The file that stands for pages that a host may not touch is the process's, once it is needed. */
static void with_gmem_hit(struct rig *r)
{
	with_gmem_mapped(r);
	ASSERT_EQ(op_gmem_error(r), 0);
}
static void with_second_machine(struct rig *r)
{
	r->ring_vm = ioctl(r->m.kvm, KVM_CREATE_VM, 0);
	ASSERT(r->ring_vm >= 0);
}
static void with_rings(struct rig *r)
{
	with_second_machine(r);
	ASSERT_EQ(op_enable_ring(r), 0);
}
static void with_ring(struct rig *r)
{
	with_rings(r);
	ASSERT(op_ring_vcpu(r) >= 0);
}

static const struct operation {
	const char *name;
	int (*fn)(struct rig *r);
	void (*prepare)(struct rig *r);
} operations[] = {
	{"open", op_open, NULL},
	{"create a VM", op_create_vm, NULL},
	{"create a vCPU", op_create_vcpu, NULL},
	{"initialise a vCPU again", op_vcpu_init, with_guest_that_ran},
	{"dup", op_dup, NULL},
	{"VM statistics", op_stats, NULL},
	{"inspect", op_inspect, NULL},
	{"vCPU statistics", op_vcpu_stats, NULL},
	{"create a GIC", op_device, NULL},
	{"initialise the GIC", op_gic_init, with_gic},
	{"place redistributors", op_gic_redist, with_gic},
	{"create a slot", op_slot_create, NULL},
	{"move a slot", op_slot_move, with_guest_that_ran},
	{"turn logging on", op_slot_log, with_guest_that_ran},
	{"delete a slot", op_slot_delete, with_guest_that_ran},
	{"get the dirty log", op_dirty_log, with_log},
	{"first run and its faults", op_run, NULL},
	{"a fault on a logging slot", op_run, with_log},
	{"ioeventfd", op_ioeventfd, NULL},
	{"irqfd", op_irqfd, with_gic_initialised},
	{"routing", op_routing, with_gic_initialised},
	{"coalesced zone", op_coalesced, NULL},
	{"remove a coalesced zone", op_uncoalesced, with_zone},
	{"hypercall filter", op_filter, NULL},
	{"register list", op_reg_list, NULL},
	{"writable masks", op_masks, NULL},
	{"map a vCPU", op_mmap, NULL},
	{"unmap half a vCPU's pages", op_munmap_half, NULL},
	{"map over memory", op_mmap_over, NULL},
	{"create a logging slot", op_region2, NULL},
	{"clear the dirty log", op_clear_log, with_log},
	{"F_DUPFD", op_fdupfd, NULL},
	{"dup over another", op_dup_over, NULL},
	{"resampling irqfd", op_resample, with_gic_initialised},
	{"a region of redistributors", op_redist_region, with_gic},
	{"stolen time", op_pvtime, NULL},
	{"counter offset", op_counter_offset, NULL},
	{"write a register", op_one_reg, NULL},
	{"map a vCPU in the place of its mapping", op_map_again, NULL},
	{"shrink memory", op_mremap, with_guest_that_ran},
	{"discard memory", op_madvise, with_guest_that_ran},
	{"protect memory", op_mprotect, with_guest_that_ran},
	{"note a userfault range", op_note_userfault, NULL},
	{"create a guest_memfd", op_gmem_create, NULL},
	{"create a slot with guest_memfd", op_gmem_slot, with_gmem},
	{"delete a slot with guest_memfd", op_gmem_slot_delete, with_gmem_slot},
	{"allocate guest_memfd", op_gmem_allocate, with_gmem_slot},
	{"punch guest_memfd", op_gmem_punch, with_gmem_mapped},
	{"map guest_memfd", op_gmem_map, with_gmem},
	{"a memory error in guest_memfd", op_gmem_error, with_gmem_mapped},
	{"punch what had a memory error", op_gmem_punch, with_gmem_hit},
	{"copy and close a guest_memfd", op_gmem_close, with_gmem_mapped},
	{"enable dirty rings", op_enable_ring, with_second_machine},
	{"create a vCPU with a ring", op_ring_vcpu, with_rings},
	{"map a ring", op_map_ring, with_ring},
	{"reset the rings", op_reset_rings, with_ring},
	{"log to rings", op_log_to_ring, with_ring},
};

static struct rig rig_new(const struct operation *o)
{
	struct rig r = {.m = machine_new(1),
			.gic = -1,
			.gmem = -1,
			.result_fd = -1,
			.ring_vm = -1,
			.ring_vcpu = -1};
	struct code c = code_at(&r.m, RAM);

	/* a load, a store and a jump each in a page of its own; then out */
	li(&c, 1, RAM + 0x210000);
	ldr(&c, 8, 2, 1, 0);
	li(&c, 1, RAM + 0x3f0000);
	str(&c, 8, 2, 1, 0);
	report(&c, 2, 0);
	b_to(&c, RAM);
	code_done(&r.m);
	r.event = eventfd(0, 0);
	r.slot = mmap(NULL, SLOT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (o->prepare)
		o->prepare(&r);
	rcu_barrier();
	return r;
}

static void rig_free(struct rig *r)
{
	if (r->result_fd >= 0)
		close(r->result_fd);
	if (r->map && r->map != MAP_FAILED)
		munmap(r->map, 2 * PAGE);
	if (r->ring && r->ring != MAP_FAILED)
		munmap(r->ring, PAGE);
	if (r->ring_vcpu >= 0)
		close(r->ring_vcpu);
	if (r->ring_vm >= 0)
		close(r->ring_vm);
	if (r->gic >= 0)
		close(r->gic);
	if (r->gmem >= 0)
		close(r->gmem);
	close(r->event);
	munmap(r->slot, SLOT_SIZE);
	munmap(r->m.run[0], 2 * PAGE);
	close(r->m.vcpu[0]);
	close(r->m.vm);
	close(r->m.kvm);
	munmap(r->m.ram, RAM_SIZE);
	rcu_barrier();
}

/*
 * A fault may keep what it allocated before it failed (table pages in the vCPU's cache), and so may the first change of the
 * hypercall filter (the ranges that it always has): it is the machine's then, and goes with it. Everything else goes back to where
 * it was.
 */
static bool keeps_caches(const struct operation *o)
{
	return o->fn == op_run || o->fn == op_filter;
}

static void check_after_failure(const struct operation *o, unsigned long n, int error, int wanted,
				uint64_t objects, int fds)
{
	uint64_t after;

	rcu_barrier();
	after = host_alloc_objects();
	if (error != wanted && !(wanted == EMFILE && error == ENFILE))
		TEST_FAIL("%s, failure %lu: errno %d, expected %d", o->name, n, error, wanted);
	if (!keeps_caches(o) && after != objects)
		TEST_FAIL("%s, failure %lu: %lld objects left behind", o->name, n,
			  (long long)(after - objects));
	if (count_fds() != fds)
		TEST_FAIL("%s, failure %lu: %d descriptors left behind", o->name, n,
			  count_fds() - fds);
}

/* What the process keeps while it has machines (the notifier's list and its spare) is there before anything is counted. */
static void anchor(void)
{
	static int done;

	if (!done++)
		for (int i = 0; i < 2; i++)
			ASSERT(ioctl(open_kvm(), KVM_CREATE_VM, 0) >= 0);
}

TEST(every_allocation_failing_in_turn_leaves_everything_as_it_was)
{
	anchor();
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
		const struct operation *o = &operations[i];
		struct rig warm = rig_new(o);
		unsigned long n, failures = 0;
		uint64_t at_rest;

		EXPECT(o->fn(&warm) >= 0);
		rig_free(&warm);
		at_rest = host_alloc_objects();
		for (n = 1; n < 400; n++) {
			struct rig r = rig_new(o);
			uint64_t objects = host_alloc_objects(), left;
			int fds = count_fds(), result, error;

			host_alloc_fail_at(n);
			errno = 0;
			result = o->fn(&r);
			error = errno;
			left = host_alloc_fail_at(0);
			if (!left && result < 0) {
				failures++;
				check_after_failure(o, n, error, ENOMEM, objects, fds);
				/* once more, with memory */
				if (o->fn(&r) < 0)
					TEST_FAIL("%s does not work after failure %lu", o->name, n);
			} else if (result < 0) {
				TEST_FAIL("%s failed without a failing allocation (errno %d)",
					  o->name, error);
			}
			rig_free(&r);
			if (host_alloc_objects() != at_rest)
				TEST_FAIL("%s, failure %lu: %lld objects leaked by the machine",
					  o->name, n, (long long)(host_alloc_objects() - at_rest));
			if (left)
				break; /* fewer than n allocations: all have been tried */
		}
		EXPECT(n < 400);
		printf("# %-28s %lu allocations, %lu failures\n", o->name, n - 1, failures);
	}
}

TEST(every_descriptor_failing_in_turn_leaves_everything_as_it_was)
{
	struct rlimit before;
	int highest;

	anchor();
	getrlimit(RLIMIT_NOFILE, &before);
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
		const struct operation *o = &operations[i];

		for (int room = 0; room < 6; room++) {
			struct rig r = rig_new(o);
			uint64_t objects = host_alloc_objects();
			int fds = count_fds(), result, error;
			struct rlimit limit = before;

			/* numbers are handed out lowest first: only `room` are left */
			highest = dup(0);
			close(highest);
			limit.rlim_cur = highest + room;
			setrlimit(RLIMIT_NOFILE, &limit);
			errno = 0;
			result = o->fn(&r);
			error = errno;
			setrlimit(RLIMIT_NOFILE, &before);
			if (result < 0) {
				check_after_failure(o, room, error, EMFILE, objects, fds);
				if (o->fn(&r) < 0)
					TEST_FAIL("%s does not work after a full table", o->name);
			}
			rig_free(&r);
		}
	}
}
