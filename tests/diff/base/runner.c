/* SPDX-License-Identifier: MIT */
/* The arm64 side: runner BLOCKS RESULTS. Linked near DIFF_CODE so that a block can leave with one branch. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <ucontext.h>
#include <unistd.h>

#include "format.h"

/* x, sp, v, nzcv, fpcr, fpsr as in struct diff_state, then what the runner needs back. */
struct context {
	struct diff_state s;
	uint64_t host_sp, host_tls, host_x[12], host_d[8];
};

struct context context;
volatile uint32_t fault;
volatile uint64_t fault_pc;

void enter(struct context *c, uint64_t code);
void leave(void);

__asm__(".text\n.balign 16\n.globl enter\nenter:\n"
	"	mov x2, sp\n"
	"	mrs x3, tpidr_el0\n"
	"	add x4, x0, #792\n" /* host_sp */
	"	stp x2, x3, [x4]\n"
	"	stp x19, x20, [x4, #16]\n"
	"	stp x21, x22, [x4, #32]\n"
	"	stp x23, x24, [x4, #48]\n"
	"	stp x25, x26, [x4, #64]\n"
	"	stp x27, x28, [x4, #80]\n"
	"	stp x29, x30, [x4, #96]\n"
	"	stp d8, d9, [x4, #112]\n"
	"	stp d10, d11, [x4, #128]\n"
	"	stp d12, d13, [x4, #144]\n"
	"	stp d14, d15, [x4, #160]\n"
	"	mov x30, x1\n"
	"	add x1, x0, #256\n"
	"	ldp q0, q1, [x1], #32\n	ldp q2, q3, [x1], #32\n	ldp q4, q5, [x1], #32\n	ldp q6, "
	"q7, [x1], #32\n"
	"	ldp q8, q9, [x1], #32\n	ldp q10, q11, [x1], #32\n	ldp q12, q13, [x1], "
	"#32\n	ldp q14, q15, [x1], #32\n"
	"	ldp q16, q17, [x1], #32\n	ldp q18, q19, [x1], #32\n	ldp q20, q21, "
	"[x1], #32\n	ldp q22, q23, [x1], #32\n"
	"	ldp q24, q25, [x1], #32\n	ldp q26, q27, [x1], #32\n	ldp q28, q29, "
	"[x1], #32\n	ldp q30, q31, [x1], #32\n"
	"	ldp x2, x3, [x1], #16\n"
	"	ldr x4, [x1]\n"
	"	msr nzcv, x2\n"
	"	msr fpcr, x3\n"
	"	msr fpsr, x4\n"
	"	ldr x1, [x0, #248]\n"
	"	mov sp, x1\n"
	"	ldp x2, x3, [x0, #16]\n	ldp x4, x5, [x0, #32]\n	ldp x6, x7, [x0, #48]\n	ldp x8, "
	"x9, [x0, #64]\n"
	"	ldp x10, x11, [x0, #80]\n	ldp x12, x13, [x0, #96]\n	ldp x14, x15, [x0, "
	"#112]\n	ldp x16, x17, [x0, #128]\n"
	"	ldp x18, x19, [x0, #144]\n	ldp x20, x21, [x0, #160]\n	ldp x22, x23, [x0, "
	"#176]\n	ldp x24, x25, [x0, #192]\n"
	"	ldp x26, x27, [x0, #208]\n	ldp x28, x29, [x0, #224]\n"
	"	ldp x0, x1, [x0]\n"
	"	br x30\n"
	".globl leave\nleave:\n"
	/* The thread pointer is the one place to put a register without having one. */
	"	msr tpidr_el0, x0\n"
	"	ldr x0, =context\n"
	"	str x1, [x0, #8]\n"
	"	stp x2, x3, [x0, #16]\n	stp x4, x5, [x0, #32]\n	stp x6, x7, [x0, #48]\n	stp x8, "
	"x9, [x0, #64]\n"
	"	stp x10, x11, [x0, #80]\n	stp x12, x13, [x0, #96]\n	stp x14, x15, [x0, "
	"#112]\n	stp x16, x17, [x0, #128]\n"
	"	stp x18, x19, [x0, #144]\n	stp x20, x21, [x0, #160]\n	stp x22, x23, [x0, "
	"#176]\n	stp x24, x25, [x0, #192]\n"
	"	stp x26, x27, [x0, #208]\n	stp x28, x29, [x0, #224]\n"
	"	mov x1, sp\n"
	"	stp x30, x1, [x0, #240]\n"
	"	mrs x1, tpidr_el0\n"
	"	str x1, [x0]\n"
	"	mrs x2, nzcv\n"
	"	mrs x3, fpcr\n"
	"	mrs x4, fpsr\n"
	"	add x1, x0, #256\n"
	"	stp q0, q1, [x1], #32\n	stp q2, q3, [x1], #32\n	stp q4, q5, [x1], #32\n	stp q6, "
	"q7, [x1], #32\n"
	"	stp q8, q9, [x1], #32\n	stp q10, q11, [x1], #32\n	stp q12, q13, [x1], "
	"#32\n	stp q14, q15, [x1], #32\n"
	"	stp q16, q17, [x1], #32\n	stp q18, q19, [x1], #32\n	stp q20, q21, "
	"[x1], #32\n	stp q22, q23, [x1], #32\n"
	"	stp q24, q25, [x1], #32\n	stp q26, q27, [x1], #32\n	stp q28, q29, "
	"[x1], #32\n	stp q30, q31, [x1], #32\n"
	"	stp x2, x3, [x1], #16\n"
	"	str x4, [x1]\n"
	"	msr fpcr, xzr\n"
	"	add x4, x0, #792\n"
	"	ldp x2, x3, [x4]\n"
	"	mov sp, x2\n"
	"	msr tpidr_el0, x3\n"
	"	ldp x19, x20, [x4, #16]\n"
	"	ldp x21, x22, [x4, #32]\n"
	"	ldp x23, x24, [x4, #48]\n"
	"	ldp x25, x26, [x4, #64]\n"
	"	ldp x27, x28, [x4, #80]\n"
	"	ldp x29, x30, [x4, #96]\n"
	"	ldp d8, d9, [x4, #112]\n"
	"	ldp d10, d11, [x4, #128]\n"
	"	ldp d12, d13, [x4, #144]\n"
	"	ldp d14, d15, [x4, #160]\n"
	"	ret\n"
	".ltorg\n");

_Static_assert(sizeof(struct diff_state) == 792, "offsets above");

/* No libc in here: the thread pointer may be the block's. */
static void on_fault(int sig, siginfo_t *info, void *uc)
{
	ucontext_t *u = uc;

	fault = sig == SIGILL			  ? DIFF_FAULT_UNDEF
		: sig == SIGSEGV || sig == SIGBUS ? DIFF_FAULT_MEMORY
						  : DIFF_FAULT_OTHER;
	fault_pc = u->uc_mcontext.pc;
	u->uc_mcontext.pc = (uintptr_t)leave;
}

static void *map_at(uint64_t at, uint64_t size, int prot)
{
	void *p = mmap((void *)at, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
		       -1, 0);

	if (p != (void *)at) {
		perror("mmap");
		exit(1);
	}
	return p;
}

int main(int argc, char **argv)
{
	static char stack[65536];
	static const int signals[] = {SIGILL, SIGSEGV, SIGBUS, SIGTRAP, SIGFPE};
	stack_t ss = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction sa = {.sa_sigaction = on_fault,
			       .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
	int in = open(argv[1], O_RDONLY), out = open(argv[2], O_RDWR | O_CREAT | O_TRUNC, 0600);
	struct stat st;
	unsigned n;
	const struct diff_block *b;
	struct diff_result *r;
	uint32_t *code;
	uint64_t *arena;

	if (in < 0 || out < 0 || fstat(in, &st))
		return 1;
	n = st.st_size / sizeof(*b);
	if (n > DIFF_MAX_BLOCKS || ftruncate(out, n * sizeof(*r)))
		return 1;
	b = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, in, 0);
	r = mmap(NULL, n * sizeof(*r), PROT_READ | PROT_WRITE, MAP_SHARED, out, 0);
	if (b == MAP_FAILED || r == MAP_FAILED)
		return 1;
	code = map_at(DIFF_CODE, (uint64_t)DIFF_MAX_BLOCKS * DIFF_STRIDE,
		      PROT_READ | PROT_WRITE | PROT_EXEC);
	arena = map_at(DIFF_ARENA, DIFF_ARENA_SIZE, PROT_READ | PROT_WRITE);
	sigaltstack(&ss, NULL);
	for (unsigned i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		sigaction(signals[i], &sa, NULL);
	for (unsigned i = 0; i < n; i++) {
		uint32_t *c = code + i * DIFF_STRIDE / 4;

		memcpy(c, b[i].insn, b[i].nr_insn * 4);
		/* From the last instruction to the end word, from there out. */
		c[b[i].nr_insn] = 0x14000000 | (DIFF_END - b[i].nr_insn);
		c[DIFF_END] = 0x14000000 |
			      ((((uintptr_t)leave - (uintptr_t)&c[DIFF_END]) >> 2) & 0x3ffffff);
		memcpy(c + DIFF_POOL, b[i].pool, sizeof(b[i].pool));
	}
	__builtin___clear_cache((char *)code,
				(char *)code + (uint64_t)DIFF_MAX_BLOCKS * DIFF_STRIDE);
	for (unsigned i = 0; i < n; i++) {
		diff_arena_fill(arena, b[i].seed);
		context.s = b[i].in;
		fault = 0;
		fault_pc = 0;
		enter(&context, (uintptr_t)(code + i * DIFF_STRIDE / 4));
		r[i].out = context.s;
		r[i].pc = fault_pc;
		r[i].fault = fault;
		r[i].arena = diff_arena_hash(arena);
	}
	return 0;
}
