/* SPDX-License-Identifier: MIT */
/* kit.h. Compiled as the library is: these calls are part of what is explored. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "api/api.h"
#include "explore/kvm/backend.h"
#include "explore/kvm/host_sim.h"
#include "explore/kvm/kit.h"
#include "host/fd.h"

#define PAGE	    4096u
#define KIT_SLOT_ID 15u
#define KIT_BITS    39
#define MAX_FD	    64

/* Only to make a message of what failed. */
#define NEED(value)                                                                 \
	({                                                                          \
		__typeof__(value) v_ = (value);                                     \
		if (v_ < 0)                                                         \
			explore_fail("setup: %s gave %lld", #value, (long long)v_); \
		v_;                                                                 \
	})

int kit_call(int fd, unsigned long request, uint64_t arg)
{
	int r = anykvm_ioctl(fd, request, arg);

	return r == -1 ? -errno : r;
}

void kit_close(int fd)
{
	anykvm_close(fd);
}

int kit_open(void)
{
	return NEED(anykvm_open("/dev/kvm", O_RDWR | O_CLOEXEC));
}

int kit_vm(void)
{
	int handle = kit_open();
	int vm = NEED(kit_call(handle, KVM_CREATE_VM, KIT_BITS));

	kit_close(handle);
	return vm;
}

int kit_vcpu(int vm, unsigned id)
{
	struct kvm_vcpu_init init = {.target = KVM_ARM_TARGET_GENERIC_V8};
	int vcpu = NEED(kit_call(vm, KVM_CREATE_VCPU, id));

	init.features[0] = 1u << KVM_ARM_VCPU_PSCI_0_2;
	NEED(kit_call(vcpu, KVM_ARM_VCPU_INIT, (uintptr_t)&init));
	return vcpu;
}

void *kit_memory(unsigned pages)
{
	void *p = anykvm_mmap(NULL, (size_t)pages * PAGE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		explore_fail("setup: no memory on the simulated host");
	return p;
}

void kit_content(void *p, unsigned pages)
{
	sim_content(p, pages);
}

void kit_free(void *p, unsigned pages)
{
	anykvm_munmap(p, (size_t)pages * PAGE);
}

int kit_slot(int vm, unsigned id, uint64_t gpa, unsigned pages, void *hva, unsigned flags)
{
	struct kvm_userspace_memory_region r = {.slot = id,
						.flags = flags,
						.guest_phys_addr = gpa,
						.memory_size = (uint64_t)pages * PAGE,
						.userspace_addr = (uintptr_t)hva};

	return kit_call(vm, KVM_SET_USER_MEMORY_REGION, (uintptr_t)&r);
}

int kit_gmem(int vm, unsigned pages)
{
	struct kvm_create_guest_memfd a = {.size = (uint64_t)pages * PAGE,
					   .flags = GUEST_MEMFD_FLAG_MMAP |
						    GUEST_MEMFD_FLAG_INIT_SHARED};

	return NEED(kit_call(vm, KVM_CREATE_GUEST_MEMFD, (uintptr_t)&a));
}

int kit_gmem_slot(int vm, unsigned id, uint64_t gpa, unsigned pages, int gmem)
{
	struct kvm_userspace_memory_region2 r = {.slot = id,
						 .flags = pages ? KVM_MEM_GUEST_MEMFD : 0,
						 .guest_phys_addr = gpa,
						 .memory_size = (uint64_t)pages * PAGE,
						 .guest_memfd = gmem};

	return kit_call(vm, KVM_SET_USER_MEMORY_REGION2, (uintptr_t)&r);
}

/* In setup nobody else can drop the file meanwhile; later the caller knows that nobody does. */
static const struct api_file *file_of(int fd, enum api_kind kind)
{
	const struct api_file *f;
	struct file *file;

	library_enter();
	file = fd_get(fd, false);
	if (!file || api_file_of(file)->kind != kind)
		explore_fail("descriptor %d is not of the kind that the scenario takes it for", fd);
	f = api_file_of(file);
	file_put(file);
	library_exit();
	return f;
}

struct vm *kit_vm_of(int vm)
{
	return file_of(vm, API_VM)->vm;
}

struct vcpu *kit_vcpu_of(int vcpu)
{
	return file_of(vcpu, API_VCPU)->v;
}

static void set_reg(int vcpu, uint64_t id, uint64_t value)
{
	struct kvm_one_reg r = {.id = id, .addr = (uintptr_t)&value};

	NEED(kit_call(vcpu, KVM_SET_ONE_REG, (uintptr_t)&r));
}

static void set_core(int vcpu, uint64_t offset, uint64_t value)
{
	set_reg(vcpu, KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | offset, value);
}

#define STR_X0_X3 0xf9000060u
#define STR_X1_X2 0xf9000041u
#define LDR_X4_X2 0xf9400044u
#define B_BACK_2  0x17fffffeu
#define MOV_X5_2  0xd2800045u
#define SUB_X5_1  0xd10004a5u
#define CBNZ_X5_2 0xb5ffffc5u /* back to the store: a poll point */
#define B_BACK_5  0x17fffffbu
#define BRK	  0xd4200000u
/* Each program has a place of its own in the page. */
#define STORE_AT 0x100u
#define TWICE_AT 0x200u
#define BREAK_AT 0x300u

static void write_code(uint32_t *code)
{
	code[0] = STR_X0_X3;
	code[1] = LDR_X4_X2;
	code[2] = B_BACK_2;
	code[STORE_AT / 4] = STR_X0_X3;
	code[STORE_AT / 4 + 1] = STR_X1_X2;
	code[STORE_AT / 4 + 2] = B_BACK_2;
	code[TWICE_AT / 4] = STR_X0_X3;
	code[TWICE_AT / 4 + 1] = MOV_X5_2;
	code[TWICE_AT / 4 + 2] = STR_X1_X2;
	code[TWICE_AT / 4 + 3] = SUB_X5_1;
	code[TWICE_AT / 4 + 4] = CBNZ_X5_2;
	code[TWICE_AT / 4 + 5] = B_BACK_5;
	code[BREAK_AT / 4] = BRK;
	code[BREAK_AT / 4 + 1] = STR_X1_X2;
	code[BREAK_AT / 4 + 2] = BRK;
}

/* The first gibibyte, as normal memory: 39 bits of addresses, so one table with one block. What is not normal has no TLB entries. */
#define TABLE_AT PAGE
#define BLOCK_ENTRY     \
	(1u | 3u << 8 | \
	 1u << 10) /* attributes 0, EL1 reads and writes, inner shareable, accessed */
#define TCR                            \
	(25u | 0x35u << 8 | 1u << 23 | \
	 2ull << 32) /* cacheable, inner shareable; no upper half; 40 bits out */
#define SCTLR (0x30d00800u | 1u << 12 | 1u << 2 | 1u)

static void write_table(uint64_t *table)
{
	table[0] = BLOCK_ENTRY;
}

static void use_table(int vcpu)
{
	set_reg(vcpu, ARM64_SYS_REG(3, 0, 10, 2, 0), 0xff); /* MAIR_EL1 */
	set_reg(vcpu, ARM64_SYS_REG(3, 0, 2, 0, 2), TCR);
	set_reg(vcpu, ARM64_SYS_REG(3, 0, 2, 0, 0), KIT_CODE + TABLE_AT); /* TTBR0_EL1 */
	set_reg(vcpu, ARM64_SYS_REG(3, 0, 1, 0, 0), SCTLR);
}

/* The run pages of what was told of, so that a run needs no look at the number but the request's own. */
static struct kvm_run *run_of[MAX_FD];

/* What the last exit left to do comes with the next KVM_RUN, and steps over its instruction. */
static void finish_exit(int vcpu)
{
	struct kvm_run *run =
		aptr_load_relaxed(&container_of(kit_vcpu_of(vcpu), struct vm_vcpu, v)->run);

	if (!run)
		return;
	run->immediate_exit = 1;
	if (kit_call(vcpu, KVM_RUN, 0) != -EINTR)
		explore_fail("setup: KVM_RUN did not leave at once");
	run->immediate_exit = 0;
}

static void guest_at(int vm, int vcpu, uint64_t gpa, uint64_t entry)
{
	struct vm_mem *m = &kit_vm_of(vm)->mem;
	const struct memslot *code;
	uint64_t mmio = KIT_MMIO;
	uint32_t *page;
	int cookie;

	cookie = srcu_read_lock(&m->srcu);
	code = memslot_find_gfn(memslot_active(m), KIT_CODE / PAGE);
	srcu_read_unlock(&m->srcu, cookie);
	if (!code) {
		page = kit_memory(2);
		write_code(page);
		write_table((void *)(page + TABLE_AT / sizeof(*page)));
		NEED(kit_slot(vm, KIT_SLOT_ID, KIT_CODE, 2, page, 0));
	}
	finish_exit(vcpu);
	set_core(vcpu, KVM_REG_ARM_CORE_REG(regs.pc), KIT_CODE + entry);
	set_core(vcpu, KVM_REG_ARM_CORE_REG(regs.regs[2]), gpa);
	set_core(vcpu, KVM_REG_ARM_CORE_REG(regs.regs[3]), mmio);
	NEED(kit_call(vcpu, KVM_RUN, 0));
	if (vcpu >= MAX_FD)
		explore_fail("setup: more descriptors than the kit knows");
	run_of[vcpu] = aptr_load_relaxed(&container_of(kit_vcpu_of(vcpu), struct vm_vcpu, v)->run);
}

void kit_guest(int vm, int vcpu, uint64_t gpa, bool write)
{
	guest_at(vm, vcpu, gpa, write ? STORE_AT : 0);
}

void kit_guest_twice(int vm, int vcpu, uint64_t gpa)
{
	use_table(vcpu);
	guest_at(vm, vcpu, gpa, TWICE_AT);
}

void kit_guest_once(int vm, int vcpu, uint64_t gpa)
{
	struct kvm_guest_debug debug = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP};

	NEED(kit_call(vcpu, KVM_SET_GUEST_DEBUG, (uintptr_t)&debug));
	guest_at(vm, vcpu, gpa, BREAK_AT);
	set_core(vcpu, KVM_REG_ARM_CORE_REG(regs.pc), KIT_CODE + BREAK_AT + 4);
}

int kit_run(int vcpu)
{
	const struct kvm_run *run = run_of[vcpu];
	int r = kit_call(vcpu, KVM_RUN, 0);

	if (r || run->exit_reason == KVM_EXIT_DEBUG)
		return r;
	if (run->exit_reason != KVM_EXIT_MMIO)
		explore_fail("KVM_RUN ended with exit reason %u", run->exit_reason);
	return run->mmio.phys_addr != KIT_MMIO;
}

int kit_eventfd(void)
{
	return NEED(host_eventfd_create(0, false));
}

void kit_eventfd_signal(int fd)
{
	host_eventfd_signal(fd, 1);
}

void kit_rank_checker(bool on)
{
	backend_ranks = on;
}

void kit_signals_expected(void)
{
	sim_signals_expected();
}

void kit_signal(unsigned thread, int signo)
{
	sim_signal(thread, signo);
}
