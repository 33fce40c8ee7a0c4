/* SPDX-License-Identifier: MIT */
/* arm64 program: runs each case of file argv[1] (in place) on the processor it finds itself on. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <ucontext.h>
#include <unistd.h>

#include "simd_case.h"

#define STR(x)	#x
#define XSTR(x) STR(x)

struct simd_case scratch;
uint64_t host_sp;
void run_scratch(void);
void leave_scratch(void);

/* x30 points to scratch on the way in and out; the slot at pc loads it again before it branches to
 * leave_scratch. */
__asm__(".text\n"
	".global run_scratch\n"
	"run_scratch:\n"
	"	stp x29, x30, [sp, #-160]!\n"
	"	stp x19, x20, [sp, #16]\n"
	"	stp x21, x22, [sp, #32]\n"
	"	stp x23, x24, [sp, #48]\n"
	"	stp x25, x26, [sp, #64]\n"
	"	stp x27, x28, [sp, #80]\n"
	"	stp d8, d9, [sp, #96]\n"
	"	stp d10, d11, [sp, #112]\n"
	"	stp d12, d13, [sp, #128]\n"
	"	stp d14, d15, [sp, #144]\n"
	"	adrp x1, host_sp\n"
	"	mov x2, sp\n"
	"	str x2, [x1, :lo12:host_sp]\n"
	"	adrp x30, scratch\n"
	"	add x30, x30, :lo12:scratch\n"
	"	ldr w1, [x30, #" XSTR(
		CASE_OFF_NZCV) "]\n"
			       "	msr nzcv, x1\n"
			       "	ldr w1, [x30, #" XSTR(CASE_OFF_FPCR) "]\n"
									     "	msr fpcr, x1\n"
									     "	ldr w1, [x30, "
									     "#" XSTR(CASE_OFF_FPSR) "]\n"
												     "	msr fpsr, x1\n"
												     "	ldr x1, [x30, "
												     "#" XSTR(CASE_OFF_SP) "]\n"
															   "	mov sp, x1\n"
															   "	add x1, x30, #" XSTR(
																   CASE_OFF_V) "\n"
																	       "	.irp n, 0,2,4,6,8,10,12,14,16,18,20,22,24,26,28,30\n"
																	       "	ldr q\\n, [x1, #16*\\n]\n"
																	       "	.endr\n"
																	       "	.irp n, 1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31\n"
																	       "	ldr q\\n, [x1, #16*\\n]\n"
																	       "	.endr\n"
																	       "	.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29\n"
																	       "	ldr x\\n, [x30, #8*\\n]\n"
																	       "	.endr\n"
																	       "	ldr x30, [x30, #" XSTR(CASE_OFF_PC) "]\n"
																							    "	br x30\n"
																							    ".global leave_scratch\n"
																							    "leave_scratch:\n"
																							    "	.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29\n"
																							    "	str x\\n, [x30, #8*\\n]\n"
																							    "	.endr\n"
																							    "	mov x0, sp\n"
																							    "	str x0, [x30, #" XSTR(CASE_OFF_SP) "]\n"
																												   "	mrs x0, nzcv\n"
																												   "	str w0, [x30, #" XSTR(
																													   CASE_OFF_NZCV) "]\n"
																															  "	mrs x0, fpcr\n"
																															  "	str w0, [x30, #" XSTR(
																																  CASE_OFF_FPCR) "]\n"
																																		 "	mrs x0, fpsr\n"
																																		 "	str w0, [x30, #" XSTR(
																																			 CASE_OFF_FPSR) "]\n"
																																					"	add x1, x30, #" XSTR(CASE_OFF_V) "\n"
																																										 "	.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
																																										 "	str q\\n, [x1, #16*\\n]\n"
																																										 "	.endr\n"
																																										 "	msr fpcr, xzr\n"
																																										 "	adrp x1, host_sp\n"
																																										 "	ldr x2, [x1, :lo12:host_sp]\n"
																																										 "	mov sp, x2\n"
																																										 "	ldp x19, x20, [sp, #16]\n"
																																										 "	ldp x21, x22, [sp, #32]\n"
																																										 "	ldp x23, x24, [sp, #48]\n"
																																										 "	ldp x25, x26, [sp, #64]\n"
																																										 "	ldp x27, x28, [sp, #80]\n"
																																										 "	ldp d8, d9, [sp, #96]\n"
																																										 "	ldp d10, d11, [sp, #112]\n"
																																										 "	ldp d12, d13, [sp, #128]\n"
																																										 "	ldp d14, d15, [sp, #144]\n"
																																										 "	ldp x29, x30, [sp], #160\n"
																																										 "	ret\n");

static void on_signal(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)info;
	scratch.signal = (uint32_t)sig;
	uc->uc_mcontext.regs[30] = (uint64_t)(uintptr_t)&scratch;
	uc->uc_mcontext.pc = (uint64_t)(uintptr_t)leave_scratch;
}

/* insn; ldr x30, .+12; b leave_scratch; nop; address of scratch */
static void write_slot(uint64_t pc, uint32_t insn)
{
	uint32_t *slot = (uint32_t *)(uintptr_t)pc;
	uint64_t address = (uint64_t)(uintptr_t)&scratch;

	slot[0] = insn;
	slot[1] = 0x58000000u | 3u << 5 | 30u;
	slot[2] = 0x14000000u |
		  (((uint32_t)((uint64_t)(uintptr_t)leave_scratch - (pc + 8)) >> 2) & 0x3ffffffu);
	slot[3] = 0xd503201fu;
	memcpy(slot + 4, &address, 8);
}

static void *fixed(uint64_t at, size_t size, int prot)
{
	void *p = mmap((void *)(uintptr_t)at, size, prot,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (p != (void *)(uintptr_t)at) {
		perror("mmap");
		exit(2);
	}
	return p;
}

int main(int argc, char **argv)
{
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	stack_t stack = {.ss_sp = malloc(1 << 16), .ss_size = 1 << 16};
	int fd = argc > 1 ? open(argv[1], O_RDWR) : -1;
	struct simd_case *cases;
	struct stat st;
	size_t n;

	if (fd < 0 || fstat(fd, &st)) {
		perror("cases");
		return 2;
	}
	cases = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (cases == MAP_FAILED)
		return 2;
	n = (size_t)st.st_size / sizeof(*cases);
	fixed(CASE_CODE, (size_t)CASE_SLOT * CASE_SLOTS, PROT_READ | PROT_WRITE | PROT_EXEC);
	fixed(CASE_DATA, 0x2000, PROT_READ | PROT_WRITE);
	sigaltstack(&stack, NULL);
	sigaction(SIGILL, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	for (size_t i = 0; i < n; i++)
		write_slot(cases[i].pc, cases[i].insn);
	__builtin___clear_cache((char *)CASE_CODE, (char *)CASE_DATA);
	for (size_t i = 0; i < n; i++) {
		scratch = cases[i];
		memcpy((void *)CASE_ARENA, scratch.mem, CASE_MEM);
		run_scratch();
		memcpy(scratch.mem, (void *)CASE_ARENA, CASE_MEM);
		cases[i] = scratch;
	}
	return 0;
}
