/* SPDX-License-Identifier: MIT */
/*
 * A bootable arm64 Image that runs one loop and powers off by PSCI (HVC). Assemble with -DLOOP_<name>=1 and -DROUNDS=n:
 * ALU (xorshift in registers), TABLE (dependent table loads and stores), CALLS (recursive Fibonacci), EMPTY (nothing: the cost
 * of starting). EL1, MMU on: the low 4 GiB mapped by blocks of 1 GiB.
 */
	.text
	b start
	.long 0
	.quad 0 /* text_offset */
	.quad end - . + 16
	.quad 0xa /* little endian, 4K, anywhere */
	.quad 0, 0, 0
	.ascii "ARM\x64"
	.long 0

start:
	adr x9, stack_top
	mov sp, x9
	adr x0, tables
	mov x1, #0x701 /* block, AF, inner shareable, attribute 0 */
	mov x2, #4
	mov x3, #0x40000000
1:	str x1, [x0], #8
	add x1, x1, x3
	subs x2, x2, #1
	b.ne 1b
	adr x0, tables
	msr ttbr0_el1, x0
	mov x0, #0xff /* normal, write-back */
	msr mair_el1, x0
	ldr x0, =0x100803519 /* 39 bits, write-back walks, no TTBR1, 36-bit output */
	msr tcr_el1, x0
	isb
	tlbi vmalle1
	dsb sy
	mrs x0, sctlr_el1
	mov x1, #0x1005 /* I, C, M */
	orr x0, x0, x1
	msr sctlr_el1, x0
	isb
	ldr x19, =ROUNDS
#if defined(LOOP_ALU)
	ldr x1, =0x9e3779b97f4a7c15
1:	eor x1, x1, x1, lsl #13
	eor x1, x1, x1, lsr #7
	eor x1, x1, x1, lsl #17
	add x2, x2, x1
	and x3, x2, #0xffff
	madd x4, x3, x1, x4
	subs x19, x19, #1
	b.ne 1b
#elif defined(LOOP_TABLE)
	adr x5, table
	mov x1, #1
1:	and x2, x1, #0x1ff
	ldr x3, [x5, x2, lsl #3]
	add x1, x1, x3
	eor x1, x1, x1, lsr #3
	str x1, [x5, x2, lsl #3]
	add x1, x1, #7
	subs x19, x19, #1
	b.ne 1b
#elif defined(LOOP_CALLS)
1:	mov x0, #20
	bl fib
	subs x19, x19, #1
	b.ne 1b
#endif
	ldr w0, =0x84000008 /* PSCI SYSTEM_OFF */
	hvc #0
	b .

fib:	cmp x0, #2
	b.lo 2f
	stp x29, x30, [sp, #-32]!
	stp x20, x21, [sp, #16]
	mov x20, x0
	sub x0, x0, #1
	bl fib
	mov x21, x0
	sub x0, x20, #2
	bl fib
	add x0, x0, x21
	ldp x20, x21, [sp, #16]
	ldp x29, x30, [sp], #32
2:	ret

	.ltorg
	.balign 4096
tables:	.skip 4096
	.balign 16
table:	.skip 4096
	.skip 4096
stack_top:
end:
