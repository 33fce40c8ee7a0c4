/* SPDX-License-Identifier: MIT */
/* Memory slots, their dirty logs, and guest_memfd files. */
#ifndef ANYKVM_TESTS_SEQUENCE_MEMORY_H
#define ANYKVM_TESTS_SEQUENCE_MEMORY_H

#include "machine.h"

#define BITMAP (128u << 10)

static uint64_t bitmap[BITMAP / 8];

static unsigned draw_slot(struct vm *vm)
{
	static const unsigned odd[] = {32766, 32767, 32768, 1 << 16 | 1, 65535, 1u << 31, 6};

	if (one_in(16)) {
		vm->code_moved = true;
		return 0;
	}
	return one_in(20) ? PICK(odd) : 1 + below(5);
}

static uint64_t draw_gpa(void)
{
	static const uint64_t odd[] = {
		0,	    1ull << 40,	 (1ull << 40) - PAGE, (1ull << 36) - 0x10000,
		1ull << 48, ~0ull << 12, 1ull << 63,	      1ull << 52};

	if (one_in(12))
		return PICK(odd);
	uint64_t gpa = RAM + below(8) * 0x80000ull;

	if (one_in(2))
		gpa += below(8) * PAGE;
	if (one_in(16))
		gpa += below(PAGE);
	return gpa;
}

static uint64_t draw_size(void)
{
	static const uint64_t odd[] = {
		1,	    PAGE - 1,	 1ull << 31, 1ull << 32, (1ull << 43) - PAGE,
		1ull << 43, ~0ull << 12, 1ull << 63};

	if (one_in(5))
		return 0;
	if (one_in(16))
		return PICK(odd);
	if (one_in(16))
		return draw() % RAM_SIZE;
	unsigned most = one_in(2) ? 512 : 8;

	return (1 + below(most)) * PAGE;
}

static uint64_t draw_hva(void)
{
	static const uint64_t odd[] = {0, ~0ull << 12, 1ull << 63, 1ull << 56, PAGE - 1};
	unsigned form = below(24);

	if (!form) {
		uint64_t hva = PICK(odd);

		say(" hva %llx", (unsigned long long)hva);
		return hva;
	}
	uint64_t offset = below(ARENA_SIZE / PAGE / 2) * PAGE;

	offset += form == 1 ? below(PAGE) : 0;
	say(" hva +%llx", (unsigned long long)offset);
	return (uintptr_t)arena + offset;
}

static unsigned draw_slot_flags(void)
{
	static const unsigned flags[] = {0, 0, 0, 1, 1, 1, 2, 3, 4, 5, 6, 8, 0x80000000};

	return PICK(flags);
}

static void step_slot(struct target *t)
{
	struct vm *vm = t->vm;
	struct kvm_userspace_memory_region r;

	say_vm("SET_USER_MEMORY_REGION", vm);
	r.slot = draw_slot(vm);
	r.flags = draw_slot_flags();
	r.guest_phys_addr = draw_gpa();
	r.memory_size = draw_size();
	say(" slot %x flags %x", r.slot, r.flags);
	say_hex("gpa", r.guest_phys_addr);
	say_hex("size", r.memory_size);
	r.userspace_addr = draw_hva();
	say_answer(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, argument(&r)));
	end_line();
}

static void step_slot2(struct target *t)
{
	struct vm *vm = t->vm;
	struct kvm_userspace_memory_region2 r = {0};
	unsigned gmem, other, at;

	gmem = below(NR_GMEMS);
	other = below(40);
	say_vm("SET_USER_MEMORY_REGION2", vm);
	r.slot = draw_slot(vm);
	r.flags = one_in(3) ? draw_slot_flags() : KVM_MEM_GUEST_MEMFD;
	r.guest_phys_addr = draw_gpa();
	r.memory_size = draw_size();
	r.guest_memfd_offset = one_in(12) ? draw_word() : below(8) * PAGE;
	r.guest_memfd = other == 0   ? -1
			: other == 1 ? kvm
			: other == 2 ? events[0]
				     : vm->gmem[gmem];
	say(" slot %x flags %x gmem %u/%u", r.slot, r.flags, gmem, other < 3 ? other : 3);
	say_hex("gpa", r.guest_phys_addr);
	say_hex("size", r.memory_size);
	say_hex("at", r.guest_memfd_offset);
	r.userspace_addr = draw_hva();
	r.pad1 = one_in(40);
	at = below(14);
	r.pad2[at] = one_in(40);
	say(" pad %u %d", r.pad1, !!memcmp(r.pad2, (uint64_t[14]){0}, sizeof(r.pad2)));
	say_answer(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION2, argument(&r)));
	end_line();
}

static void step_gmem(struct target *t)
{
	struct vm *vm = t->vm;
	unsigned n = below(NR_GMEMS);
	struct kvm_create_guest_memfd c = {0};
	int fd;

	c.size = one_in(6) ? draw_word() : (1 + below(64)) * PAGE;
	c.flags = one_in(8) ? draw_word() : below(4);

	say_vm("CREATE_GUEST_MEMFD", vm);
	say(" as %u", n);
	say_hex("size", c.size);
	say_hex("flags", c.flags);
	c.reserved[5] = one_in(40);
	say_hex("reserved", c.reserved[5]);
	fd = ioctl(vm->fd, KVM_CREATE_GUEST_MEMFD, argument(&c));
	say_fd(fd);
	end_line();
	if (fd < 0)
		return;
	close_fd(&vm->gmem[n]);
	vm->gmem[n] = fd;
}

/* What can be done to the file itself. */
static void step_gmem_file(struct target *t)
{
	static const int modes[] = {0, 1, 3, 3, 3, 2, 0x10};
	struct vm *vm = t->vm;
	unsigned n = below(NR_GMEMS);
	uint64_t offset = below(80) * PAGE;
	uint64_t size = below(40) * PAGE;
	unsigned what = below(3);
	unsigned prot = below(4);
	unsigned flags = one_in(4) ? MAP_PRIVATE : MAP_SHARED;
	int mode = PICK(modes);
	void *p;

	if (vm->gmem[n] < 0)
		return;
	if (one_in(10))
		size++;
	if (what == 0) {
		say("ftruncate vm%u.gmem%u %llx", vm_number(vm), n, (unsigned long long)size);
		say_answer(ftruncate(vm->gmem[n], size));
	} else if (what == 1) {
		say("fallocate vm%u.gmem%u %x", vm_number(vm), n, mode);
		say_hex("at", offset);
		say_hex("size", size);
		say_answer(fallocate(vm->gmem[n], mode, offset, size));
	} else {
		say("mmap vm%u.gmem%u prot %x flags %x", vm_number(vm), n, prot, flags);
		say_hex("at", offset);
		say_hex("size", size);
		p = mmap(NULL, size, prot, flags, vm->gmem[n], offset);
		say_answer(p == MAP_FAILED ? -1 : 0);
		if (p != MAP_FAILED)
			munmap(p, size);
	}
	end_line();
}

static void step_get_dirty_log(struct target *t)
{
	struct vm *vm = t->vm;
	struct kvm_dirty_log log = {.slot = one_in(16) ? draw_word() : below(6)};
	long r;

	memset(bitmap, 0, sizeof(bitmap));
	say_vm("GET_DIRTY_LOG", vm);
	say(" slot %x", log.slot);
	log.dirty_bitmap = argument(bitmap);
	r = ioctl(vm->fd, KVM_GET_DIRTY_LOG, argument(&log));
	say_answer(r);
	if (!r)
		say_hex("bits", hash_of(bitmap, sizeof(bitmap)));
	end_line();
}

static void step_clear_dirty_log(struct target *t)
{
	struct vm *vm = t->vm;
	struct kvm_clear_dirty_log log = {.slot = one_in(16) ? draw_word() : below(6)};

	log.first_page = one_in(8) ? draw_word() : below(4) * 64;
	log.num_pages = one_in(8) ? draw_word() : below(8) * 64;
	log.num_pages += one_in(2) ? below(64) : 0;
	say_vm("CLEAR_DIRTY_LOG", vm);
	say(" slot %x first %llx pages %x", log.slot, (unsigned long long)log.first_page,
	    log.num_pages);
	memset(bitmap, one_in(2) ? 0xff : 0x5a, sizeof(bitmap));
	log.dirty_bitmap = argument(bitmap);
	say_answer(ioctl(vm->fd, KVM_CLEAR_DIRTY_LOG, argument(&log)));
	end_line();
}

static void step_reset_rings(struct target *t)
{
	struct vm *vm = t->vm;

	say_vm("RESET_DIRTY_RINGS", vm);
	say_answer(ioctl(vm->fd, KVM_RESET_DIRTY_RINGS, 0));
	end_line();
}

/* Memory attributes and the like are not there on arm64. */
static void step_attributes(struct target *t)
{
	struct vm *vm = t->vm;
	struct kvm_memory_attributes a = {.address = RAM, .size = PAGE, .attributes = below(2) * 8};

	say_vm("SET_MEMORY_ATTRIBUTES", vm);
	say_answer(ioctl(vm->fd, KVM_SET_MEMORY_ATTRIBUTES, argument(&a)));
	end_line();
}

#endif
