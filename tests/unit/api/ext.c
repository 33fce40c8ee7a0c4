/* SPDX-License-Identifier: MIT */
/* The extension that KVM/arm64 does not have: memory attributes and pre-faulting, and who is offered them. */
#include "../../api/vmm.h"

#define GPA	0x50000000ull
#define SIZE	(4ull << 20)
#define PRIVATE KVM_MEMORY_ATTRIBUTE_PRIVATE

static int set_attributes(int vm, uint64_t gpa, uint64_t size, uint64_t attributes, uint64_t flags)
{
	struct kvm_memory_attributes a = {
		.address = gpa, .size = size, .attributes = attributes, .flags = flags};

	return ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &a);
}

/* What machine_new makes, from another handle. */
static struct machine machine_of(int kvm)
{
	struct machine m = {.kvm = kvm};
	struct code c;

	ASSERT(kvm >= 0);
	m.vm = ioctl(m.kvm, KVM_CREATE_VM, 0);
	ASSERT(m.vm >= 0);
	m.ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT(m.ram != MAP_FAILED);
	ASSERT_EQ(set_slot(m.vm, 0, 0, RAM, RAM_SIZE, m.ram), 0);
	add_vcpu(&m);
	init_vcpu(&m, 0, 0);
	/* reports the doubleword at x1 */
	c = code_at(&m, RAM);
	ldr(&c, 8, 2, 1, 0);
	report(&c, 2, 0);
	b_to(&c, RAM);
	code_done(&m);
	return m;
}

static void load_from(struct machine *m, uint64_t addr)
{
	m->run[0]->immediate_exit = 1;
	EXPECT_ERRNO(run(m, 0), EINTR);
	m->run[0]->immediate_exit = 0;
	set_x(m->vcpu[0], 1, addr);
	ASSERT_EQ(set_reg(m->vcpu[0], CORE_REG(regs.pc), RAM), 0);
}

static void expect_memory_fault(struct machine *m, uint64_t addr, uint64_t flags)
{
	load_from(m, addr);
	EXPECT_ERRNO(run(m, 0), EFAULT);
	EXPECT_EQ(m->run[0]->exit_reason, KVM_EXIT_MEMORY_FAULT);
	EXPECT_EQ(m->run[0]->memory_fault.gpa, addr & ~(PAGE - 1));
	EXPECT_EQ(m->run[0]->memory_fault.size, PAGE);
	EXPECT_EQ(m->run[0]->memory_fault.flags, flags);
}

static bool is_offered(int fd)
{
	int attributes = ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_MEMORY_ATTRIBUTES),
	    pre_fault = ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_PRE_FAULT_MEMORY);

	EXPECT(attributes == 0 || attributes == PRIVATE);
	EXPECT_EQ(pre_fault, attributes == PRIVATE);
	return attributes;
}

TEST(without_the_extension_its_requests_are_unknown)
{
	struct machine m = machine_of(open_kvm());
	struct kvm_pre_fault_memory p = {.gpa = RAM, .size = PAGE};

	EXPECT(!is_offered(m.kvm));
	EXPECT(!is_offered(m.vm));
	EXPECT_ERRNO(set_attributes(m.vm, RAM, PAGE, PRIVATE, 0), EINVAL);
	EXPECT_ERRNO(ioctl(m.vm, KVM_SET_MEMORY_ATTRIBUTES, bad_pointer()), EINVAL);
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_PRE_FAULT_MEMORY, &p), EINVAL);
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_PRE_FAULT_MEMORY, bad_pointer()), EINVAL);
	machine_free(&m);
}

TEST(a_handle_asks_for_it_by_call_or_by_environment)
{
	static const struct {
		const char *words;
		bool offered;
	} cases[] = {
		{"memory-attributes", true},   {"another,memory-attributes", true},
		{"memory-attributes,", true},  {"memory-attribute", false},
		{"memory-attributes2", false}, {"", false},
	};
	struct machine m = machine_of(anykvm_open_ext(ANYKVM_EXT_MEMORY_ATTRIBUTES));

	EXPECT(is_offered(m.vm));
	/* the handle itself is as any other */
	EXPECT(!is_offered(m.kvm));
	machine_free(&m);
	EXPECT_ERRNO(anykvm_open_ext(2), EINVAL);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		setenv("ANYKVM_EXT", cases[i].words, 1);
		m = machine_of(open_kvm());
		EXPECT_EQ(is_offered(m.vm), cases[i].offered);
		machine_free(&m);
	}
	unsetenv("ANYKVM_EXT");
}

TEST(attributes_are_checked_as_kvm_checks_them)
{
	struct machine m = machine_of(anykvm_open_ext(ANYKVM_EXT_MEMORY_ATTRIBUTES));

	EXPECT_ERRNO(ioctl(m.vm, KVM_SET_MEMORY_ATTRIBUTES, bad_pointer()), EFAULT);
	EXPECT_ERRNO(set_attributes(m.vm, RAM, PAGE, PRIVATE, 1), EINVAL);
	EXPECT_ERRNO(set_attributes(m.vm, RAM, PAGE, 1, 0), EINVAL);
	EXPECT_ERRNO(set_attributes(m.vm, RAM, 0, PRIVATE, 0), EINVAL);
	EXPECT_ERRNO(set_attributes(m.vm, RAM + 1, PAGE, PRIVATE, 0), EINVAL);
	EXPECT_ERRNO(set_attributes(m.vm, -PAGE, 2 * PAGE, PRIVATE, 0), EINVAL);
	EXPECT_EQ(set_attributes(m.vm, RAM, PAGE, 0, 0), 0);
	EXPECT_EQ(set_attributes(m.vm, GPA, PAGE, PRIVATE, 0), 0);
	EXPECT_EQ(set_attributes(m.vm, GPA, PAGE, PRIVATE, 0), 0);
	machine_free(&m);
}

TEST(a_page_goes_from_host_memory_to_guest_memfd_and_back)
{
	struct machine m = machine_of(anykvm_open_ext(ANYKVM_EXT_MEMORY_ATTRIBUTES));
	/* neither flag: a host cannot look into it */
	struct kvm_create_guest_memfd g = {.size = SIZE};
	struct kvm_userspace_memory_region2 r = {.slot = 1,
						 .flags = KVM_MEM_GUEST_MEMFD,
						 .guest_phys_addr = GPA,
						 .memory_size = SIZE};
	uint64_t *host =
		mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	r.userspace_addr = (uintptr_t)host;
	r.guest_memfd = ioctl(m.vm, KVM_CREATE_GUEST_MEMFD, &g);
	ASSERT_EQ(ioctl(m.vm, KVM_SET_USER_MEMORY_REGION2, &r), 0);
	host[0] = 77;
	load_from(&m, GPA);
	EXPECT_REPORT(&m, 0, 0, 77);
	EXPECT_EQ(set_attributes(m.vm, GPA, SIZE, PRIVATE, 0), 0);
	load_from(&m, GPA);
	EXPECT_REPORT(&m, 0, 0, 0);
	EXPECT_EQ(set_attributes(m.vm, GPA, SIZE, 0, 0), 0);
	load_from(&m, GPA);
	EXPECT_REPORT(&m, 0, 0, 77);
	/* without the file: shared goes on, private is told */
	close(r.guest_memfd);
	load_from(&m, GPA);
	EXPECT_REPORT(&m, 0, 0, 77);
	EXPECT_EQ(set_attributes(m.vm, GPA + PAGE, PAGE, PRIVATE, 0), 0);
	expect_memory_fault(&m, GPA + PAGE + 16, KVM_MEMORY_EXIT_FLAG_PRIVATE);
	munmap(host, SIZE);
	expect_memory_fault(&m, GPA + 16, 0);
	machine_free(&m);
}

TEST(a_private_page_of_a_slot_without_guest_memfd_is_told_as_private)
{
	struct machine m = machine_of(anykvm_open_ext(ANYKVM_EXT_MEMORY_ATTRIBUTES));

	EXPECT_EQ(set_attributes(m.vm, RAM + 0x10000, PAGE, PRIVATE, 0), 0);
	load_from(&m, RAM + 0x11000);
	EXPECT_REPORT(&m, 0, 0, 0);
	expect_memory_fault(&m, RAM + 0x10008, KVM_MEMORY_EXIT_FLAG_PRIVATE);
	EXPECT_EQ(set_attributes(m.vm, RAM + 0x10000, PAGE, 0, 0), 0);
	EXPECT_REPORT(&m, 0, 0, 0);
	machine_free(&m);
}

TEST(pre_faulting_tells_how_far_it_came)
{
	struct machine m = machine_of(anykvm_open_ext(ANYKVM_EXT_MEMORY_ATTRIBUTES));
	struct kvm_pre_fault_memory p = {.gpa = RAM, .size = PAGE, .flags = 1};

	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_PRE_FAULT_MEMORY, bad_pointer()), EFAULT);
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_PRE_FAULT_MEMORY, &p), EINVAL);
	p = (struct kvm_pre_fault_memory){.gpa = RAM};
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_PRE_FAULT_MEMORY, &p), EINVAL);
	p = (struct kvm_pre_fault_memory){.gpa = RAM + 1, .size = PAGE};
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_PRE_FAULT_MEMORY, &p), EINVAL);
	p = (struct kvm_pre_fault_memory){.gpa = -PAGE, .size = PAGE};
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_PRE_FAULT_MEMORY, &p), EINVAL);
	p = (struct kvm_pre_fault_memory){.gpa = GPA, .size = PAGE};
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_PRE_FAULT_MEMORY, &p), ENOENT);
	EXPECT_EQ(p.size, PAGE);
	p = (struct kvm_pre_fault_memory){.gpa = RAM + RAM_SIZE - 2 * PAGE, .size = 4 * PAGE};
	EXPECT_EQ(ioctl(m.vcpu[0], KVM_PRE_FAULT_MEMORY, &p), 0);
	EXPECT_EQ(p.gpa, RAM + RAM_SIZE);
	EXPECT_EQ(p.size, 2 * PAGE);
	p = (struct kvm_pre_fault_memory){.gpa = RAM, .size = RAM_SIZE};
	EXPECT_EQ(ioctl(m.vcpu[0], KVM_PRE_FAULT_MEMORY, &p), 0);
	EXPECT_EQ(p.size, 0);
	load_from(&m, RAM + 0x10000);
	EXPECT_REPORT(&m, 0, 0, 0);
	machine_free(&m);
}
