/* SPDX-License-Identifier: MIT */
/*
 * The loop of guest.h for the KVM of an x86 machine, in 64-bit user mode: 8 GiB mapped one to one by 2 MiB pages with accessed and
 * dirty bits set. User mode, because a KVM without hardware help (PVM) runs that by itself, but emulates a kernel that does not
 * know it; it would then measure its emulator. The structures differ from arm64's, so this file takes the system's <linux/kvm.h>
 * and not ours.
 */
#include <linux/kvm.h>

#include "guest.h"

#include <string.h>

#define PML4	0x1000
#define PDPT	0x2000
#define PD	0x3000 /* eight of them */
#define TABLE	0x67   /* present, writable, user, accessed, dirty */
#define BLOCK	(TABLE | 0x80)
#define NOWHERE (2 * GIB) /* no slot there: MMIO */

static const unsigned char code[] = {
	0x48, 0x89, 0x03, /* 1: mov %rax, (%rbx) */
	0x48, 0x01, 0xd3, /* add %rdx, %rbx */
	0x48, 0xff, 0xc9, /* dec %rcx */
	0x75, 0xf5,	  /* jnz 1b */
	0x89, 0x06,	  /* mov %eax, (%rsi) */
	0xeb, 0xf1,	  /* jmp 1b */
};

static void prepare(unsigned char *system)
{
	uint64_t *pml4 = (uint64_t *)(void *)(system + PML4),
		 *pdpt = (uint64_t *)(void *)(system + PDPT),
		 *pd = (uint64_t *)(void *)(system + PD);

	pml4[0] = PDPT | TABLE;
	for (unsigned i = 0; i < 8; i++)
		pdpt[i] = (PD + i * 4096) | TABLE;
	for (unsigned long i = 0; i < 8ul * 512; i++)
		pd[i] = i * (2 * MIB) | BLOCK;
	memcpy(system + GUEST_CODE, code, sizeof(code));
}

static void init(struct backend *b, int vm, int vcpu)
{
	struct kvm_segment segment = {.limit = 0xffffffff,
				      .present = 1,
				      .s = 1,
				      .g = 1,
				      .type = 3,
				      .dpl = 3,
				      .selector = 0x2b};
	struct kvm_regs regs = {.rip = GUEST_CODE, .rflags = 2};
	struct kvm_sregs sregs;

	(void)vm;
	must(b->ioctl(vcpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	sregs.ds = sregs.es = sregs.ss = segment;
	segment.type = 11;
	segment.l = 1;
	segment.selector = 0x33;
	sregs.cs = segment;
	sregs.cr0 = 0x80000033; /* PG, NE, ET, MP, PE */
	sregs.cr3 = PML4;
	sregs.cr4 = 0x20;   /* PAE */
	sregs.efer = 0x500; /* LMA, LME */
	must(b->ioctl(vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
	must(b->ioctl(vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

static void set(struct backend *b, int vcpu, unsigned long start, unsigned long count,
		unsigned long stride)
{
	struct kvm_regs regs;

	must(b->ioctl(vcpu, KVM_GET_REGS, &regs), "KVM_GET_REGS");
	regs.rax = start | 1;
	regs.rbx = start;
	regs.rcx = count;
	regs.rdx = stride;
	regs.rsi = NOWHERE;
	must(b->ioctl(vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

const struct guest_arch guest_x86 = {.prepare = prepare, .init = init, .set = set};
