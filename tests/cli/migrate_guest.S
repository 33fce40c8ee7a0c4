/* SPDX-License-Identifier: MIT */
/*
 * A guest that notices if it is moved badly. Each CPU owns a region of memory and a running checksum of it in a register: it writes
 * random words at a given rate, and now and then adds up the whole region and compares. Registers of all kinds hold known values
 * meanwhile; a timer ticks 1000 times a second (its count must never go back), CPU 0 sends an SGI to the last CPU every 16 ticks,
 * and the UART's receive interrupt brings commands: `s` prints a line of counters, `q` prints one and powers off, `h` keeps that
 * interrupt off for HOLD ms after it, and says `u` when it is on again: what was typed meanwhile must be heard at once.
 *
 *	s CHECKS0 CHECKS1 TICKS0 TICKS1 SGIS WRITES0		all hexadecimal
 *	BAD code						and power off, whatever is wrong
 *
 * The four numbers at offset 64 are patched by the test. EL1, MMU on: 4 GiB mapped by blocks of 1 GiB.
 */
	.arch armv8-a
	.text
	b start
	.long 0
	.quad 0 /* text_offset */
	.quad 0x100000
	.quad 0xa /* little endian, 4K, anywhere */
	.quad 0, 0, 0
	.ascii "ARM\x64"
	.long 0
region_pages:	.quad 4096
writes_per_ms:	.quad 13
cpus:		.quad 1
check_mask:	.quad 31 /* milliseconds between checks, less one; a power of two less one */

	.set UART, 0x01000000
	.set GICD, 0x08000000
	.set GICR, 0x08010000
	.set REGIONS, 0x84000000
	.set D8_VALUE, 0x0123456789abcdef
	.set HOLD_MS, 1024
	.set HEARD_MS, 64
	.set TIMER_PRIORITY, 0xa0
	.set UART_PRIORITY, 0xb0
	.set BINARY_POINT, 5

/* Offsets in `shared`. */
	.set CHECKS, 0
	.set TICKS, 16
	.set SGIS, 32
	.set BAD, 40
	.set COMMAND, 48
	/* count at the last tick, by CPU */
	.set LAST, 56
	/* milliseconds until what was typed must have been heard; 0: nothing is held */
	.set HOLD, 72

start:
	mov x19, #0
cpu_start:
	adr x9, stacks
	add x10, x19, #1
	lsl x10, x10, #12
	add x9, x9, x10
	mov sp, x9
	cbnz x19, 2f
	adr x0, tables
	mov x1, #0x705 /* block, AF, inner shareable, attribute 1: device */
	mov x3, #0x40000000
	str x1, [x0], #8
	add x1, x1, x3
	str x1, [x0], #8
	add x1, x1, x3
	sub x1, x1, #4 /* attribute 0: memory */
	str x1, [x0], #8
	add x1, x1, x3
	str x1, [x0]
	dsb sy
2:	adr x0, tables
	msr ttbr0_el1, x0
	mov x0, #0xff
	msr mair_el1, x0
	ldr x0, =0x100803519 /* 39 bits, write-back walks, no TTBR1, 36-bit output */
	msr tcr_el1, x0
	mov x0, #(3 << 20) /* FP for EL1 */
	msr cpacr_el1, x0
	adr x0, vectors
	msr vbar_el1, x0
	isb
	tlbi vmalle1
	dsb sy
	mrs x0, sctlr_el1
	mov x1, #0x1005 /* I, C, M */
	orr x0, x0, x1
	msr sctlr_el1, x0
	isb

	/* The interrupt controller: this CPU's part */
	ldr x0, =GICR
	add x0, x0, x19, lsl #17
	str wzr, [x0, #0x14]
	add x0, x0, #0x10000
	mov w1, #-1
	str w1, [x0, #0x80] /* group 1 */
	ldr w1, =(1 << 27 | 1 << 1)
	str w1, [x0, #0x100]
	mov w1, #TIMER_PRIORITY
	strb w1, [x0, #(0x400 + 27)]
	mrs x0, s3_0_c12_c12_5 /* ICC_SRE_EL1 */
	orr x0, x0, #1
	msr s3_0_c12_c12_5, x0
	isb
	mov x0, #0xf0
	msr s3_0_c4_c6_0, x0 /* ICC_PMR_EL1 */
	mov x0, #BINARY_POINT
	msr s3_0_c12_c12_3, x0 /* ICC_BPR1_EL1 */
	mov x0, #1
	msr s3_0_c12_c12_7, x0 /* ICC_IGRPEN1_EL1 */
	isb
	cbnz x19, 3f

	/* ... the common part, and the UART */
	ldr x0, =GICD
	mov w1, #0x12
	str w1, [x0]
	mov w1, #-1
	str w1, [x0, #0x84]
	str wzr, [x0, #0xc08] /* levels */
	mov w1, #2
	str w1, [x0, #0x104] /* 33: the UART */
	mov w1, #UART_PRIORITY
	strb w1, [x0, #(0x400 + 33)]
	add x1, x0, #0x6000
	str xzr, [x1, #(33 * 8)]
	ldr x0, =UART
	mov w1, #0x301
	str w1, [x0, #0x30]
	mov w1, #0x50
	str w1, [x0, #0x38]

	/* The other CPU */
	ldr x0, cpus
	cmp x0, #2
	b.lo 3f
	ldr x0, =0xc4000003 /* CPU_ON */
	mov x1, #1
	adr x2, second
	mov x3, #1
	hvc #0
3:
	ldr x21, region_pages
	ldr x20, =REGIONS
	lsl x0, x21, #12
	madd x20, x0, x19, x20
	mov x22, #0
	ldr x23, =0x9e3779b97f4a7c15
	add x23, x23, x19
	mov x24, #0
	/* No page is zero: what has not been copied is missed. */
	mov x0, x20
	add x1, x20, x21, lsl #12
4:	eor x23, x23, x23, lsl #13
	eor x23, x23, x23, lsr #7
	eor x23, x23, x23, lsl #17
	str x23, [x0]
	add x22, x22, x23
	add x0, x0, #512
	cmp x0, x1
	b.lo 4b
	ldr x25, writes_per_ms
	mov x27, #0
	mrs x28, cntfrq_el0
	mov x0, #1000
	udiv x28, x28, x0
	ldr x0, =D8_VALUE
	add x0, x0, x19
	fmov d8, x0
	dup v9.2d, x0
	msr tpidr_el1, x0
	msr tpidr_el0, x0
	msr tpidrro_el0, x0
	mov x1, #0x400000 /* FPCR: round up */
	msr fpcr, x1
	msr elr_el1, x0
	mrs x26, cntvct_el0
	mov x29, x26 /* the last count seen */
	add x0, x26, x28
	msr cntv_cval_el0, x0
	mov x0, #1
	msr cntv_ctl_el0, x0
	isb
	msr daifclr, #2

	/* A millisecond's writes */
slice:	mov x9, x25
	cbz x9, 2f
1:	eor x23, x23, x23, lsl #13
	eor x23, x23, x23, lsr #7
	eor x23, x23, x23, lsl #17
	umulh x0, x23, x21
	and x1, x23, #7
	add x0, x20, x0, lsl #12
	add x0, x0, x1, lsl #9
	ldr x2, [x0]
	str x23, [x0]
	sub x22, x22, x2
	add x22, x22, x23
	add x24, x24, #1
	subs x9, x9, #1
	b.ne 1b
	/* Sleep until it is over; do not catch up if we are late. */
2:	add x26, x26, x28
	mrs x0, cntvct_el0
	add x1, x26, x28, lsl #2
	cmp x0, x1
	csel x26, x0, x26, hi
3:	mrs x0, cntvct_el0
	mov x11, #5
	cmp x0, x29
	b.lo fail
	mov x29, x0
	cmp x0, x26
	b.hs 4f
	/* With these wrong it might sleep for ever. */
	mov x11, #6
	mrs x0, s3_0_c4_c6_0
	cmp x0, #0xf0
	b.ne fail
	mrs x0, s3_0_c12_c12_3
	cmp x0, #BINARY_POINT
	b.ne fail
	wfi
	b 3b
4:	add x27, x27, #1
	adr x10, shared
	cbnz x19, 5f
	ldr x0, [x10, #BAD]
	cbnz x0, bad
	bl held
	ldr x0, [x10, #COMMAND]
	cbz x0, 5f
	str xzr, [x10, #COMMAND]
	cmp x0, #'h'
	b.ne 1f
	mov x1, #(HOLD_MS + HEARD_MS)
	str x1, [x10, #HOLD]
	ldr x1, =GICD
	mov w2, #2
	str w2, [x1, #0x184]
1:	bl status
	cmp x0, #'q'
	b.eq off
5:	ldr x0, check_mask
	tst x27, x0
	b.ne slice

	/* Does everything still add up? */
	mov x0, x20
	add x1, x20, x21, lsl #12
	mov x2, #0
6:	ldr x3, [x0]
	add x0, x0, #512
	add x2, x2, x3
	cmp x0, x1
	b.lo 6b
	mov x11, #1
	cmp x2, x22
	b.ne fail
	ldr x0, =D8_VALUE
	add x0, x0, x19
	mov x11, #2
	fmov x1, d8
	cmp x0, x1
	b.ne fail
	umov x1, v9.d[1]
	cmp x0, x1
	b.ne fail
	mov x11, #3
	mrs x1, tpidr_el1
	cmp x0, x1
	b.ne fail
	mrs x1, tpidr_el0
	cmp x0, x1
	b.ne fail
	mrs x1, tpidrro_el0
	cmp x0, x1
	b.ne fail
	mov x11, #4
	mrs x1, fpcr
	cmp x1, #0x400000
	b.ne fail
	mov x11, #7
	ldr x0, =(GICR + 0x10400 + 27)
	add x0, x0, x19, lsl #17
	ldrb w1, [x0]
	cmp w1, #TIMER_PRIORITY
	b.ne fail
	ldr x0, =(GICD + 0x400 + 33)
	ldrb w1, [x0]
	cmp w1, #UART_PRIORITY
	b.ne fail
	add x0, x10, #CHECKS
	ldr x1, [x0, x19, lsl #3]
	add x1, x1, #1
	str x1, [x0, x19, lsl #3]
	b slice

fail:	adr x10, shared
	str x11, [x10, #BAD]
	dsb sy
	cbz x19, bad
	b .

second:	mov x19, x0
	b cpu_start

bad:	msr daifset, #2
	adr x0, text_bad
	bl puts
	adr x10, shared
	ldr x0, [x10, #BAD]
	bl puthex
	mov w0, #'\n'
	bl putc
off:	ldr w0, =0x84000008 /* SYSTEM_OFF */
	hvc #0
	b .

/* A millisecond of `h` passes. */
held:	ldr x0, [x10, #HOLD]
	cbz x0, 1f
	sub x0, x0, #1
	str x0, [x10, #HOLD]
	cbz x0, 2f
	cmp x0, #HEARD_MS
	b.ne 1f
	mov x15, x30
	ldr x1, =GICD
	mov w2, #2
	str w2, [x1, #0x104]
	mov w0, #'u'
	bl putc
	mov w0, #'\n'
	bl putc
	mov x30, x15
1:	ret
2:	mov x11, #8
	ldr x1, =UART
	ldr w2, [x1, #0x18]
	tbz w2, #4, fail /* it still waits to be read */
	ret

/* x0 survives; x12 to x15 and x30 do not. */
status:	mov x15, x30
	mov x14, x0
	mov w0, #'s'
	bl putc
	adr x10, shared
	mov x13, #0
1:	mov w0, #' '
	bl putc
	ldr x0, [x10, x13, lsl #3]
	bl puthex
	add x13, x13, #1
	cmp x13, #5
	b.ne 1b
	mov w0, #' '
	bl putc
	mov x0, x24
	bl puthex
	mov w0, #'\n'
	bl putc
	mov x0, x14
	ret x15

puts:	mov x5, x30
	mov x4, x0
1:	ldrb w0, [x4], #1
	cbz w0, 2f
	bl putc
	b 1b
2:	ret x5

puthex:	mov x5, x30
	mov x6, x0
	mov x7, #60
1:	lsr x0, x6, x7
	and x0, x0, #15
	cmp x0, #10
	add x1, x0, #'0'
	add x2, x0, #('a' - 10)
	csel x0, x1, x2, lo
	bl putc
	subs x7, x7, #4
	b.pl 1b
	ret x5

putc:	ldr x3, =UART
	str w0, [x3]
	ret

irq:	stp x0, x1, [sp, #-64]!
	stp x2, x3, [sp, #16]
	stp x4, x5, [sp, #32]
	stp x6, x30, [sp, #48]
	mrs x0, elr_el1
	mrs x1, spsr_el1
	stp x0, x1, [sp, #-16]!
	adr x5, shared
	mrs x0, s3_0_c12_c12_0 /* ICC_IAR1_EL1 */
	cmp x0, #27
	b.eq tick
	cmp x0, #33
	b.eq input
	cmp x0, #1
	b.ne 1f
	ldr x1, [x5, #SGIS]
	add x1, x1, #1
	str x1, [x5, #SGIS]
1:	cmp x0, #1020
	b.hs 2f
	msr s3_0_c12_c12_1, x0 /* ICC_EOIR1_EL1 */
	isb
2:	ldp x0, x1, [sp], #16
	msr elr_el1, x0
	msr spsr_el1, x1
	ldp x6, x30, [sp, #48]
	ldp x4, x5, [sp, #32]
	ldp x2, x3, [sp, #16]
	ldp x0, x1, [sp], #64
	eret

tick:	add x4, x5, #TICKS
	ldr x1, [x4, x19, lsl #3]
	add x1, x1, #1
	str x1, [x4, x19, lsl #3]
	add x4, x5, #LAST
	mrs x2, cntvct_el0
	ldr x3, [x4, x19, lsl #3]
	str x2, [x4, x19, lsl #3]
	mov x6, #5
	cmp x2, x3
	b.lo 4f
	mrs x3, cntv_cval_el0
	add x3, x3, x28
	cmp x3, x2
	add x6, x2, x28
	csel x3, x3, x6, hi
	msr cntv_cval_el0, x3
	isb
	cbnz x19, 1b
	tst x1, #15
	b.ne 1b
	ldr x3, cpus
	sub x3, x3, #1
	mov x2, #1
	lsl x3, x2, x3
	orr x3, x3, #(1 << 24)
	msr s3_0_c12_c11_5, x3 /* ICC_SGI1R_EL1 */
	isb
	b 1b
4:	str x6, [x5, #BAD]
	b 1b

input:	ldr x4, =UART
3:	ldr w2, [x4, #0x18]
	tbnz w2, #4, 1b
	ldr w2, [x4]
	str x2, [x5, #COMMAND]
	b 3b

	.balign 0x800
vectors:
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	.balign 0x80
	.if \n == 5
	b irq
	.else
	mov x11, #(0x100 + \n)
	b fail
	.endif
	.endr
	.balign 0x80

text_bad: .asciz "BAD "
	.ltorg
	.balign 4096
tables:	.fill 4096
shared:	.fill 4096
stacks:	.fill 8192
end:
