/* SPDX-License-Identifier: MIT */
/*
 * The operations whose every failure is tried, and what a machine is like before each. To add one: write op_x, perhaps with_y, and
 * a row. What is done with them is in sweep_engine.h.
 */
#include <sys/eventfd.h>

#include "sweep_engine.h"
#include "sweep_memory.h"

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

static int op_forget_userfault(struct rig *r)
{
	return anykvm_note_userfault(r->slot + PAGE, PAGE, 0);
}
static int op_userfaultfd(struct rig *r)
{
	struct {
		uint64_t api, features, ioctls;
	} api = {0xaa, 0, 0};

	r->result_fd = anykvm_userfaultfd(O_CLOEXEC | O_NONBLOCK);
	return r->result_fd < 0 ? -1 : ioctl(r->result_fd, _IOC(3u, 0xaa, 0x3f, 24), &api);
}
static int op_userfault_register(struct rig *r)
{
	uint64_t range[4] = {(uintptr_t)r->anonymous, 8 * PAGE, 1, 0};

	return ioctl(r->result_fd, _IOC(3u, 0xaa, 0, 32), range);
}
static int op_userfault_unregister(struct rig *r)
{
	uint64_t range[2] = {(uintptr_t)r->anonymous + 2 * PAGE, 2 * PAGE};

	return ioctl(r->result_fd, _IOC(2u, 0xaa, 1, 16), range);
}
static int op_unmap_registered(struct rig *r)
{
	return munmap(r->anonymous + PAGE, PAGE);
}
static int op_slot_move_logging(struct rig *r)
{
	return set_slot(r->m.vm, 0, KVM_MEM_LOG_DIRTY_PAGES, RAM + RAM_SIZE, RAM_SIZE, r->m.ram);
}
static int op_slot_log_off(struct rig *r)
{
	return set_slot(r->m.vm, 0, 0, RAM, RAM_SIZE, r->m.ram);
}
static int op_munmap_slot(struct rig *r)
{
	return munmap(r->slot + PAGE, 2 * PAGE);
}
static int op_discard_slot(struct rig *r)
{
	return madvise(r->slot, SLOT_SIZE, MADV_DONTNEED);
}
static int op_guard_slot(struct rig *r)
{
	/* An old host refuses the advice, but not for want of memory. */
	return madvise(r->slot, PAGE, 102) && errno != EINVAL ? -1 : 0;
}
static int op_ftruncate(struct rig *r)
{
	return ftruncate(r->file, PAGE);
}
static int op_punch(struct rig *r)
{
	return fallocate(r->file, 3 /* PUNCH_HOLE | KEEP_SIZE */, 0, PAGE);
}
static int op_mremap_away(struct rig *r)
{
	void *p = mremap(r->slot + PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, r->spot);

	return p == MAP_FAILED ? -1 : 0;
}
static int op_explicit_pair(struct rig *r)
{
	struct anykvm_invalidate inv;

	if (anykvm_invalidate_start(r->slot, PAGE, &inv))
		return -1;
	anykvm_invalidate_end(&inv);
	return 0;
}
/* The last descriptor of the VM but the vCPU's. */
static int op_close(struct rig *r)
{
	int copy = r->m.vm;

	if (copy < 0)
		return 0;
	r->m.vm = -1;
	return close(copy);
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

static void with_userfault(struct rig *r)
{
	/* Its middle will be taken out: one range becomes two. */
	ASSERT_EQ(anykvm_note_userfault(r->slot, 3 * PAGE, 1), 0);
}
static void with_pager(struct rig *r)
{
	ASSERT_EQ(op_userfaultfd(r), 0);
}
static void with_pages_missing(struct rig *r)
{
	with_pager(r);
	ASSERT_EQ(op_userfault_register(r), 0);
}
static void with_dirty_pages(struct rig *r)
{
	with_log(r);
	with_guest_that_ran(r);
}
static void with_pages_taken(struct rig *r)
{
	with_dirty_pages(r);
	ASSERT_EQ(op_dirty_log(r), 0);
}
static void with_manual_log(struct rig *r)
{
	struct kvm_enable_cap cap = {.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = {1}};

	ASSERT_EQ(ioctl(r->m.vm, KVM_ENABLE_CAP, &cap), 0);
	with_dirty_pages(r);
}
/* The guest has its data in r->slot. */
static void with_guest_in_slot(struct rig *r)
{
	struct code c = code_at(&r->m, RAM);

	ASSERT_EQ(op_slot_create(r), 0);
	for (unsigned i = 0; i < 4; i++) {
		li(&c, 1, SLOT_GPA + i * PAGE);
		str(&c, 8, 2, 1, 0);
	}
	report(&c, 2, 0);
	code_done(&r->m);
	with_guest_that_ran(r);
}
static void with_file_slot(struct rig *r)
{
	ASSERT(mmap(r->slot, SLOT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, r->file,
		    0) == r->slot);
	with_guest_in_slot(r);
}

static const struct operation operations[] = {
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
	{"first run and its faults", op_run, NULL, RUNS_A_GUEST},
	{"a fault on a logging slot", op_run, with_log, RUNS_A_GUEST},
	{"ioeventfd", op_ioeventfd, NULL},
	{"irqfd", op_irqfd, with_gic_initialised},
	{"routing", op_routing, with_gic_initialised},
	{"coalesced zone", op_coalesced, NULL},
	{"remove a coalesced zone", op_uncoalesced, with_zone},
	/* its first change makes the ranges that it always has: they are the machine's then */
	{"hypercall filter", op_filter, NULL, KEEPS_MEMORY},
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
	{"remove a noted userfault range", op_forget_userfault, with_userfault},
	{"make a userfaultfd", op_userfaultfd, NULL},
	{"register memory with it", op_userfault_register, with_pager},
	/* what was split stays so */
	{"unregister some of it", op_userfault_unregister, with_pages_missing, KEEPS_MEMORY},
	{"unmap some of it", op_unmap_registered, with_pages_missing, KEEPS_MEMORY},
	{"move a logging slot", op_slot_move_logging, with_dirty_pages},
	{"turn logging off", op_slot_log_off, with_dirty_pages},
	{"delete a logging slot", op_slot_delete, with_dirty_pages},
	{"get the log of a guest that wrote", op_dirty_log, with_dirty_pages},
	{"clear the log under manual protection", op_clear_log, with_manual_log},
	{"a write to a page that the log took", op_run, with_pages_taken, RUNS_A_GUEST},
	{"unmap memory under a slot", op_munmap_slot, with_guest_in_slot},
	{"discard memory under a slot", op_discard_slot, with_guest_in_slot},
	{"install guards under a slot", op_guard_slot, with_guest_in_slot},
	{"truncate a file under a slot", op_ftruncate, with_file_slot},
	{"punch a hole into a file under a slot", op_punch, with_file_slot},
	{"move memory away from a slot", op_mremap_away, with_guest_in_slot},
	{"an explicit pair", op_explicit_pair, with_guest_in_slot},
	{"close a machine's descriptor", op_close, NULL},
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
	r.spot = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	r.slot = mmap(NULL, SLOT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	r.anonymous =
		mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	r.file = memfd_create("slot", 0);
	ASSERT_EQ(ftruncate(r.file, SLOT_SIZE), 0);
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
	close(r->file);
	munmap(r->spot, PAGE);
	munmap(r->anonymous, 8 * PAGE);
	anykvm_note_userfault(r->slot, SLOT_SIZE, 0);
	munmap(r->slot, SLOT_SIZE);
	munmap(r->m.run[0], 2 * PAGE);
	close(r->m.vcpu[0]);
	if (r->m.vm >= 0)
		close(r->m.vm);
	close(r->m.kvm);
	munmap(r->m.ram, RAM_SIZE);
	rcu_barrier();
}

/* --- the tests ---------------------------------------------------------------------------------------------------------------- */

#define NR_OPERATIONS (sizeof(operations) / sizeof(operations[0]))

TEST(I17_every_allocation_failing_in_turn_leaves_everything_as_it_was)
{
	anchor();
	for (size_t i = 0; i < NR_OPERATIONS; i++)
		fail_each_allocation(&operations[i]);
}

TEST(every_descriptor_failing_in_turn_leaves_everything_as_it_was)
{
	anchor();
	for (size_t i = 0; i < NR_OPERATIONS; i++)
		fail_each_descriptor(&operations[i]);
}

TEST(LO11_each_object_of_the_library_is_poisoned_once_it_is_freed)
{
	anchor();
	for (size_t i = 0; i < NR_OPERATIONS; i++)
		look_at_each_freed_object(&operations[i]);
}
