/* SPDX-License-Identifier: MIT */
/*
 * Guest code of the vCPU tests: short pieces that a test starts at by name (rig_run) and that end in HVC #n. The vectors end
 * in HVC #(0x100 + number): sync, IRQ, FIQ, SError of current EL with SP_EL0 (0..3), with SP_ELx (4..7), lower EL (8..11).
 */
	.arch armv8.4-a+crypto+fp16+ssbs
	.text

	.macro PIECE name
	.balign 16
	.globl \name
\name:
	.endm

	.macro VECTOR number
	.balign 0x80
	hvc	#(0x100 + \number)
	eret
	.endm

	.balign 0x800
	.globl vectors
vectors:
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	VECTOR \n
	.endr
	.balign 0x800

/* Done: what EL0 code does instead of HVC is SVC, which vector 8 turns into an exit. */
PIECE done
	hvc	#1
PIECE el0_done
	svc	#0x77

PIECE load8
	ldrb	w0, [x1]
	hvc	#1
PIECE load64
	ldr	x0, [x1]
	hvc	#1
PIECE load64_twice
	ldr	x0, [x1]
	ldr	x2, [x3]
	hvc	#1
PIECE store64
	str	x0, [x1]
	hvc	#1
PIECE store_load
	str	x0, [x1]
	ldr	x2, [x3]
	hvc	#1
PIECE load_sx32
	ldrsw	x0, [x1]
	hvc	#1
PIECE load_w16
	ldrsh	w0, [x1]
	hvc	#1
PIECE load_pair
	ldp	x0, x2, [x1]
	hvc	#1
PIECE ldtr
	ldtr	x0, [x1]
	hvc	#1
PIECE sttr
	sttr	x0, [x1]
	hvc	#1
PIECE ldar
	ldar	x0, [x1]
	hvc	#1
PIECE ldxr
	ldxr	x0, [x1]
	hvc	#1
PIECE cas_pair
	mov	x2, x4
	mov	x3, x5
	mov	x6, x8
	mov	x7, x9
	casp	x2, x3, x6, x7, [x1]
	hvc	#1
PIECE ldadd
	ldadd	x2, x0, [x1]
	hvc	#1
PIECE invalidate_line
	dc	ivac, x1
	hvc	#1
PIECE mask_debug
	msr	daifset, #8
	nop
	hvc	#1
PIECE return
	eret
PIECE exclusive
	ldxr	x0, [x1]
	stxr	w2, x3, [x1]
	hvc	#1
/* The monitor is open after an exception return. */
PIECE exclusive_over_eret
	adr	x9, 1f
	msr	elr_el1, x9
	mov	x9, #0x3c5
	msr	spsr_el1, x9
	ldxr	x0, [x1]
	eret
1:	stxr	w2, x3, [x1]
	hvc	#1
PIECE load_simd
	ldr	q0, [x1]
	hvc	#1
PIECE load_simd_multiple
	ld1	{v0.2d-v3.2d}, [x1]
	hvc	#1
PIECE store_simd_multiple
	st1	{v0.2d-v3.2d}, [x1]
	hvc	#1
PIECE store_pair
	stp	x2, x3, [x1]
	hvc	#1
PIECE load_simd_pair
	ldp	q0, q1, [x1]
	hvc	#1
PIECE load_simd_halfwords
	ld1	{v0.8h}, [x1]
	hvc	#1
PIECE stxr			/* w0: status */
	stxr	w0, x2, [x1]
	hvc	#1
PIECE branch_x1
	br	x1
PIECE code_value		/* copied elsewhere by tests: mov w0, #0x1234 */
	mov	w0, #0x1234
	ret
PIECE call_x1
	blr	x1
	hvc	#1
PIECE call_forever
	blr	x1
	str	x0, [x2]
	b	call_forever
PIECE sync_icache
	dc	cvau, x1
	dsb	ish
	ic	ivau, x1
	dsb	ish
	isb
	hvc	#1

PIECE svc_imm
	svc	#0x1234
PIECE brk_imm
	brk	#0x4321
PIECE undefined
	.word	0x00000000
PIECE hvc_at_el0
	hvc	#1
PIECE hvc_7
	hvc	#7
PIECE smc_0
	smc	#0
	hvc	#1
PIECE smc_1
	smc	#1
	hvc	#1
PIECE sp_misaligned
	ldr	x0, [sp]
	hvc	#1
PIECE fp_insn
	fadd	d0, d0, d1
	hvc	#1
PIECE eret_insn
	eret
PIECE wfi_insn
	wfi
	hvc	#1
PIECE wfe_insn
	wfe
	hvc	#1
PIECE sevl_wfe
	sevl
	wfe
	hvc	#1
PIECE unmask_irq
	msr	daifclr, #2
	nop
	nop
	hvc	#1
PIECE unmask_serror
	msr	daifclr, #4
	nop
	hvc	#1
PIECE spin
1:	b	1b
PIECE count_up
	mov	x0, #0
1:	add	x0, x0, #1
	str	x0, [x1]
	b	1b
/* The same with nine hundred instructions between two branches: it looks for requests only there. */
PIECE count_up_straight
	mov	x0, #0
1:	.rept	450
	add	x0, x0, #1
	str	x0, [x1]
	.endr
	b	1b
/* x1: operand; x3: page that nobody may store to after the DSB: x5 and x6 are what it held then and a while later. */
PIECE tlbi_and_watch
	tlbi	vae1is, x1
	dsb	ish
	ldr	x5, [x3]
	mov	x6, #3000
1:	subs	x6, x6, #1
	b.ne	1b
	ldr	x6, [x3]
	hvc	#1
/* x1: address; x2: times; x3: what to add. Counts by LSE, by exclusives, by both sizes. */
PIECE add_lse
1:	ldadd	x3, x0, [x1]
	subs	x2, x2, #1
	b.ne	1b
	hvc	#1
PIECE add_exclusive
1:	ldaxr	x0, [x1]
	add	x0, x0, x3
	stlxr	w4, x0, [x1]
	cbnz	w4, 1b
	subs	x2, x2, #1
	b.ne	1b
	hvc	#1
PIECE add_pair
1:	ldxp	x4, x5, [x1]
	adds	x4, x4, x3
	adc	x5, x5, xzr
	stxp	w6, x4, x5, [x1]
	cbnz	w6, 1b
	subs	x2, x2, #1
	b.ne	1b
	hvc	#1
PIECE add_byte
1:	ldxrb	w0, [x1]
	add	w0, w0, w3
	stxrb	w4, w0, [x1]
	cbnz	w4, 1b
	subs	x2, x2, #1
	b.ne	1b
	hvc	#1
/* x1: flag, x3: data. Message passing with acquire and release; x0 = rounds that saw stale data. */
PIECE mp_write
	mov	x4, #1
1:	str	x4, [x3]
	stlr	x4, [x1]
	add	x4, x4, #1
	cmp	x4, x2
	b.ls	1b
	hvc	#1
PIECE mp_read
	mov	x0, #0
1:	ldar	x4, [x1]
	ldr	x5, [x3]
	cmp	x5, x4
	cinc	x0, x0, lo
	cmp	x4, x2
	b.lo	1b
	hvc	#1

	.macro TLBI_PIECE name, op:vararg
PIECE \name
	tlbi	\op
	dsb	ish
	isb
	hvc	#1
	.endm
TLBI_PIECE tlbi_vmalle1is, vmalle1is
TLBI_PIECE tlbi_vmalle1os, vmalle1os
TLBI_PIECE tlbi_vae1is, vae1is, x1
TLBI_PIECE tlbi_vae1os, vae1os, x1
TLBI_PIECE tlbi_vale1is, vale1is, x1
TLBI_PIECE tlbi_vaae1is, vaae1is, x1
TLBI_PIECE tlbi_aside1is, aside1is, x1
TLBI_PIECE tlbi_rvae1is, rvae1is, x1
TLBI_PIECE tlbi_rvae1os, rvae1os, x1
TLBI_PIECE tlbi_rvaale1, rvaale1, x1
TLBI_PIECE tlbi_vae1, vae1, x1
TLBI_PIECE tlbi_vmalle1, vmalle1

PIECE tlbi_four_pages
	mov	x2, #4
	and	x1, x1, #0xfffffffffff
1:	tlbi	vaae1is, x1
	add	x1, x1, #1
	subs	x2, x2, #1
	b.ne	1b
	dsb	ish
	isb
	hvc	#1

	.macro AT_PIECE name, op
PIECE \name
	at	\op, x1
	isb
	mrs	x0, par_el1
	hvc	#1
	.endm
AT_PIECE at_s1e1r, s1e1r
AT_PIECE at_s1e1w, s1e1w
AT_PIECE at_s1e0r, s1e0r
AT_PIECE at_s1e0w, s1e0w
AT_PIECE at_s1e1rp, s1e1rp
AT_PIECE at_s1e1wp, s1e1wp

PIECE pan_on
	msr	pan, #1
	hvc	#1
PIECE pan_off
	msr	pan, #0
	hvc	#1
PIECE uao_on
	msr	uao, #1
	hvc	#1
PIECE pstate_fields
	msr	dit, #1
	mrs	x0, dit
	msr	ssbs, #1
	mrs	x1, ssbs
	msr	pan, #1
	mrs	x2, pan
	msr	uao, #1
	mrs	x3, uao
	msr	daifset, #15
	mrs	x4, daif
	mrs	x5, currentel
	mrs	x6, spsel
	mov	x7, #0xa0000000
	msr	nzcv, x7
	mrs	x7, nzcv
	msr	dit, #0
	mrs	x8, dit
	hvc	#1
PIECE set_ttbr0
	msr	ttbr0_el1, x0
	isb
	ldr	x2, [x1]
	hvc	#1
/* x0, x2: two TTBR0 values; x1: address; x3, x4: what each sees */
PIECE switch_asid
	msr	ttbr0_el1, x0
	isb
	ldr	x3, [x1]
	msr	ttbr0_el1, x2
	isb
	ldr	x4, [x1]
	hvc	#1
PIECE read_ids
	mrs	x0, midr_el1
	mrs	x1, mpidr_el1
	mrs	x2, id_aa64pfr0_el1
	mrs	x3, id_aa64mmfr1_el1
	mrs	x4, ctr_el0
	mrs	x5, dczid_el0
	mrs	x6, id_aa64isar0_el1
	mrs	x7, s3_0_c0_c7_7
	hvc	#1
PIECE mrs_id_at_el0
	mrs	x0, midr_el1
	svc	#0x77
PIECE select_cache
	msr	csselr_el1, x1
	isb
	mrs	x0, csselr_el1
	mrs	x2, ccsidr_el1
	hvc	#1
PIECE mrs_ctr_at_el0
	mrs	x0, ctr_el0
	svc	#0x77
PIECE mrs_daif_at_el0
	mrs	x0, daif
	svc	#0x77
PIECE daifset_at_el0
	msr	daifset, #2
	svc	#0x77
PIECE mrs_tpidr_at_el0
	mrs	x0, tpidrro_el0
	msr	tpidr_el0, x0
	mrs	x1, tpidr_el0
	svc	#0x77
PIECE msr_tpidrro_at_el0
	msr	tpidrro_el0, x0
	svc	#0x77
PIECE wfi_at_el0
	wfi
	svc	#0x77
PIECE dc_zva_at_el0
	dc	zva, x1
	svc	#0x77
PIECE dc_zva
	dc	zva, x1
	hvc	#1
PIECE dc_cvau
	dc	cvau, x1
	hvc	#1
PIECE dc_ivac
	dc	ivac, x1
	hvc	#1
PIECE dc_cvap
	.inst	0xd50b7c21	/* dc cvap, x1 */
	hvc	#1
PIECE dc_civac_at_el0
	dc	civac, x1
	svc	#0x77
PIECE ic_ivau_at_el0
	ic	ivau, x1
	svc	#0x77
PIECE load64_at_el0
	ldr	x0, [x1]
	svc	#0x77
PIECE store64_at_el0
	str	x0, [x1]
	svc	#0x77
PIECE unknown_sysreg
	mrs	x0, s3_7_c15_c15_7
	hvc	#1
PIECE el2_sysreg
	mrs	x0, vbar_el2
	hvc	#1
PIECE sp_el0_with_spsel_0
	msr	spsel, #0
	mrs	x0, sp_el0
	hvc	#1
PIECE sp_banks
	mov	x9, sp
	msr	sp_el0, x0
	msr	spsel, #0
	mov	x1, sp
	mov	sp, x2
	msr	spsel, #1
	mrs	x3, sp_el0
	mov	x4, sp
	hvc	#1
PIECE debug_registers
	msr	dbgbvr0_el1, x0
	mrs	x1, dbgbvr0_el1
	msr	dbgwcr1_el1, x0
	mrs	x2, dbgwcr1_el1
	msr	oslar_el1, x3
	mrs	x4, oslsr_el1
	hvc	#1
/* Returns to EL0 at x0 with SPSR x1. */
PIECE enter_el0
	msr	elr_el1, x0
	msr	spsr_el1, x1
	eret
PIECE el0_three
	add	x10, x10, #1
	add	x10, x10, #1
	svc	#0x77
PIECE mmio_ops
	ldrb	w0, [x1]
	ldrsb	x2, [x1, #1]
	ldrh	w3, [x1, #2]
	ldrsw	x4, [x1, #4]
	ldr	x5, [x1, #8]
	strb	w6, [x1, #16]
	str	x7, [x1, #24]
	str	wzr, [x1, #32]
	hvc	#1
PIECE mmio_store_pair
	stp	x0, x2, [x1]
	hvc	#1
PIECE mmio_post
	ldr	x0, [x1], #8
	hvc	#1

	.balign 4096
