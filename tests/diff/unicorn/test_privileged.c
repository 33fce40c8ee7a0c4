// SPDX-License-Identifier: MIT
/* System registers, PSTATE, exception return and exceptions against Unicorn. */
#include "pair.h"
#include "vcpu/sysreg_hooks.h"

/* --- system registers
 * ---------------------------------------------------------------------------------------------------
 */

static u32 msr(u16 op, unsigned rt)
{
	return 0xd5100000u | (u32)(op & 0x7fff) << 5 | rt;
}

static u32 mrs(u16 op, unsigned rt)
{
	return 0xd5300000u | (u32)(op & 0x7fff) << 5 | rt;
}

/* Bits that settled.txt has for a register: REG NAME MASK reason. ~0: the encoding is not looked at. */
static u64 settled_bits(const char *name)
{
	FILE *f = fopen(SETTLED, "r");
	char line[256], first[64];
	unsigned long long mask;
	u64 found = 0;

	ASSERT(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "REG %63s %llx", first, &mask) == 2 && !strcmp(first, name))
			found |= mask;
	fclose(f);
	return found;
}

static const u64 sctlr_el0[] = {BIT(9), BIT(14), BIT(15), BIT(16), BIT(18), BIT(26)};

/* SCTLR_EL1 without translation, with random controls of EL0. */
static void random_controls(struct pair *p)
{
	u64 x = rnd(&p->seed), sctlr = 0x00c50800;

	sctlr &= ~(BIT(16) | BIT(18));
	for (unsigned i = 0; i < ARRAY_SIZE(sctlr_el0); i++)
		sctlr |= x >> i & 1 ? sctlr_el0[i] : 0;
	set_sys(p, SR_SCTLR_EL1, sctlr);
	set_sys(p, SR_CPACR_EL1, (x >> 8 & 3) << 20);
}

/* Written and read back, or read, at EL1 and at EL0. */
static void sysreg_case(struct pair *p, const struct sysreg_row *row, u64 ignore, bool el0)
{
	bool write = row->access & (el0 ? SYSREG_W0 : SYSREG_W1),
	     read = row->access & (el0 ? SYSREG_R0 : SYSREG_R1);
	struct privileged_case c;

	random_state(p, &c);
	random_controls(p);
	c.pstate = el0 ? 0x3c0 : 0x3c5;
	/* FP-TRAP; and bits that Unicorn keeps are seen in the state, too. */
	if (row->op >> 3 == SYSREG_OP(3, 3, 4, 4, 0) >> 3) {
		set_sys(p, SR_CPACR_EL1, 3u << 20);
		c.in.x[1] &= ~ignore;
	}
	/* SCTLR_EL1.M, A, SA, SA0, WXN, EE, E0E: the case goes on running. */
	if (row->index == SR_SCTLR_EL1)
		c.in.x[1] &= ~(BIT(0) | GENMASK(4, 1) | BIT(19) | BIT(24) | BIT(25));
	/* We use it. */
	if (row->index == SR_VBAR_EL1)
		c.in.x[1] = (RAM + G_vectors) | (c.in.x[1] & 0x7ff);
	/* FPEN; Unicorn dies of ZEN. */
	if (row->index == SR_CPACR_EL1)
		c.in.x[1] &= 3u << 20;
	if (write || !(read || below(&p->seed, 2)))
		c.insn[c.nr_insn++] = msr(row->op, 1);
	if (read || !write)
		c.insn[c.nr_insn++] = mrs(row->op, 2);
	/* What cannot be written has a value of its own. */
	c.in.x[3] = write ? ~ignore : 0;
	if (read)
		c.insn[c.nr_insn++] = 0x8a030042; /* and x2, x2, x3 */
	if (!run_case(p, &c))
		printf("#   %s at EL%u\n", row->name, !el0);
}

TEST(system_registers_agree)
{
	unsigned long rounds = test_rounds(10, 500);
	struct pair p = pair_create();

	for (u32 i = 0; i < sysreg_nr_base_rows; i++) {
		const struct sysreg_row *row = &sysreg_base_rows[i];
		/* Debug registers: settled.txt. */
		u64 ignore = row->op >> 14 == 2 ? ~0ull : settled_bits(row->name);

		/* FEATURES */
		if (row->present == pauth_present || row->present == ras_present ||
		    row->read == disr_read)
			continue;
		/* ID-SPACE */
		bool id = row->op >> 14 == 3 && (row->op >> 7 & 15) == 0 &&
			  !(row->access & SYSREG_R0) && (row->op >> 11 & 7) < 2;

		for (unsigned long k = 0; ~ignore && k < rounds; k++)
			sysreg_case(&p, row, ignore, !id && (k & 1));
	}
	pair_destroy(&p);
}

/* --- PSTATE, exception return, exceptions
 * -------------------------------------------------------------------------------
 */

static void emit(struct privileged_case *c, u32 insn)
{
	c->insn[c->nr_insn++] = insn;
}

/* Registers whose values both sides know, the writable ones first. */
#define NR_WRITABLE 9
static const u16 seen_regs[] = {
	SYSREG_OP(3, 3, 4, 2, 0),  /* NZCV */
	SYSREG_OP(3, 3, 4, 2, 1),  /* DAIF */
	SYSREG_OP(3, 0, 4, 2, 0),  /* SPSel */
	SYSREG_OP(3, 0, 4, 2, 3),  /* PAN */
	SYSREG_OP(3, 0, 4, 2, 4),  /* UAO */
	SYSREG_OP(3, 0, 4, 1, 0),  /* SP_EL0 */
	SYSREG_OP(3, 0, 4, 0, 1),  /* ELR_EL1 */
	SYSREG_OP(3, 3, 13, 0, 2), /* TPIDR_EL0, written before it is read: below */
	SYSREG_OP(3, 0, 7, 4, 0),  /* PAR_EL1 */
	SYSREG_OP(3, 0, 4, 2, 2),  /* CurrentEL */
	SYSREG_OP(3, 0, 2, 0, 0),  /* TTBR0_EL1 */
	SYSREG_OP(3, 3, 0, 0, 7),  /* DCZID_EL0 */
};

/* ERET to the next instruction, with a random state; x9 and x10 are lost. */
static void emit_eret(struct pair *p, struct privileged_case *c)
{
	static const u8 modes[] = {0x0, 0x4, 0x5, 0x5};
	u64 x = rnd(&p->seed);
	u32 spsr = (u32)x & (u32)(0xf0000000u | PSR_UAO | PSR_PAN | PSR_D | PSR_A | PSR_I | PSR_F);

	spsr |= modes[below(&p->seed, 4)];
	emit(c, 0xd2800000u | (spsr & 0xffff) << 5 | 10); /* movz x10, low */
	emit(c, 0xf2a00000u | spsr >> 16 << 5 | 10);	  /* movk x10, high, lsl #16 */
	emit(c, msr(SYSREG_OP(3, 0, 4, 0, 0), 10));
	emit(c, 0x10000009u | 3 << 5); /* adr x9, . + 12 */
	emit(c, msr(SYSREG_OP(3, 0, 4, 0, 1), 9));
	emit(c, 0xd69f03e0);
}

static void emit_random(struct pair *p, struct privileged_case *c)
{
	/* TLBI VMALLE1, VMALLE1IS, VAE1, ASIDE1, VAAE1; IC IALLU, IALLUIS; ISB, DSB, NOP, YIELD, SEV */
	static const u32 plain[] = {0xd508871f, 0xd508831f, 0xd5088721, 0xd5088741,
				    0xd5088761, 0xd508751f, 0xd508711f, 0xd5033fdf,
				    0xd5033f9f, 0xd503201f, 0xd503203f, 0xd503209f};
	u64 x = rnd(&p->seed);
	unsigned rt = 2 + below(&p->seed, 7), imm = (unsigned)(x >> 8) & 15;

	switch (x & 15) {
	case 0:
	case 1: /* MSR DAIFSet, DAIFClr */
		emit(c, 0xd50340df | imm << 8 | (u32)(x & 1) << 5);
		return;
	case 2:
		emit(c, 0xd500409f | (imm & 1) << 8); /* PAN */
		return;
	case 3:
		emit(c, 0xd500407f | (imm & 1) << 8); /* UAO */
		return;
	case 4:
		emit(c, 0xd50040bf | (imm & 1) << 8); /* SPSel */
		return;
	case 5:
	case 6:
		emit(c, msr(seen_regs[below(&p->seed, NR_WRITABLE)], rt));
		return;
	case 7:
	case 8:
	case 9:
		emit(c, mrs(seen_regs[below(&p->seed, ARRAY_SIZE(seen_regs))], rt));
		return;
	case 10:
	case 11:
		emit_eret(p, c);
		return;
	case 12:
		emit(c, x >> 12 & 1 ? 0x910003e0u | rt
				    : 0x9100001fu | rt << 5); /* mov xt, sp; mov sp, xt */
		return;
	default:
		emit(c, plain[below(&p->seed, ARRAY_SIZE(plain))]);
	}
}

/* The last instruction of a case: an exception of its own, or nothing. */
static void emit_last(struct pair *p, struct privileged_case *c)
{
	u64 x = rnd(&p->seed);
	u32 imm = (u32)(x >> 16 & 0xffff) << 5;

	switch (x & 7) {
	case 0:
		emit(c, 0xd4000001 | imm); /* svc */
		break;
	case 1:
		emit(c, 0xd4200000 | imm); /* brk */
		break;
	case 2:
		emit(c, (u32)(x >> 16 & 0xffff)); /* udf */
		break;
	case 3: /* From EL0: HVC, SMC, ERET, WFI, MRS CTR_EL0, DC CVAU, MSR DAIFSet, MRS CurrentEL */
		emit(c, 0xd2807809); /* mov x9, #0x3c0 */
		emit(c, msr(SYSREG_OP(3, 0, 4, 0, 0), 9));
		emit(c, 0x10000009u | 3 << 5); /* adr x9, . + 12 */
		emit(c, msr(SYSREG_OP(3, 0, 4, 0, 1), 9));
		emit(c, 0xd69f03e0);
		emit(c, (const u32[]){0xd4000002 | imm, 0xd4000003 | imm, 0xd69f03e0, 0xd503207f,
				      0xd53b003f, 0xd50b7b29, 0xd50342df, 0xd5384242}[x >> 8 & 7]);
		break;
	default:
		break;
	}
}

TEST(pstate_and_exceptions_agree)
{
	unsigned long rounds = test_rounds(10000, 1000000);
	struct pair p = pair_create();
	struct privileged_case c;

	while (rounds--) {
		u64 x = rnd(&p.seed);
		unsigned n = below(&p.seed, 5);

		random_state(&p, &c);
		random_controls(&p);
		/* DAIF-TRAP; and nobody ends a wait. */
		set_sys(&p, SR_SCTLR_EL1,
			(rig_arch(p.r, 0)->sys[SR_SCTLR_EL1] | BIT(9)) & ~(BIT(16) | BIT(18)));
		set_sys(&p, SR_TTBR0_EL1, x);
		set_sys(&p, SR_TPIDR_EL0, 0);
		c.pstate = x & 1 ? 0x3c0 : 0x3c4 | (x >> 1 & 1);
		c.pstate ^= (u32)x & (u32)(PSR_D | PSR_A | PSR_I | PSR_F);
		c.pstate |= (u32)x & (u32)(PSR_PAN | PSR_UAO);
		c.in.nzcv = x & 0xf0000000u;
		for (unsigned i = 0; i < n; i++)
			emit_random(&p, &c);
		emit_last(&p, &c);
		run_case(&p, &c);
	}
	pair_destroy(&p);
}
