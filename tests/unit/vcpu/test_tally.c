// SPDX-License-Identifier: MIT
/* What vcpu_tally makes of every line of the decoder's tables, said a second time by name and class. */
#include <stdlib.h>
#include <string.h>

#include "arch/decode.h"
#include "vcpu/vcpu.h"

#include "test.h"

static struct vcpu v;
static u64 expected[NR_TALLIES];

static u32 random_word(void)
{
	static u64 state = 1;

	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(state >> 32);
}

static bool starts(const char *s, const char *with)
{
	return !strncmp(s, with, strlen(with));
}

static bool has_class(const struct a64_insn_info *i, const char *class)
{
	return !strcmp(i->class, class);
}

/* Registers of an instruction named like LDP64_POST, LD3_M, LD1X4_M, LDXP32, CASP64. */
static unsigned registers(const char *name)
{
	const char *p = name + 2;

	if (starts(name, "CAS"))
		return name[3] == 'P' ? 2 : 1;
	if (starts(p, "1X"))
		return (unsigned)(p[2] - '0');
	if (*p >= '1' && *p <= '4')
		return (unsigned)(*p - '0');
	if (starts(p, "NP") || starts(p, "XP") || starts(p, "AXP") || starts(p, "LXP"))
		return 2;
	return *p == 'P' ? 2 : 1;
}

static void expect_access(bool load, bool store, unsigned nr)
{
	expected[TALLY_LOAD] += load;
	expected[TALLY_STORE] += store;
	expected[TALLY_ACCESS] += (load + store) * nr;
}

static void expect(const struct a64_insn_info *i)
{
	bool exclusive = strstr(i->name, "XR") || strstr(i->name, "XP");

	if (starts(i->name, "PRFM"))
		return;
	if (has_class(i, "load") || has_class(i, "store"))
		expect_access(has_class(i, "load"), has_class(i, "store"), registers(i->name));
	else if (has_class(i, "atomic") && exclusive)
		expect_access(starts(i->name, "LD"), starts(i->name, "ST"), registers(i->name));
	else if (has_class(i, "atomic"))
		expect_access(true, true, starts(i->name, "CAS") ? registers(i->name) : 1);
	if (!has_class(i, "branch"))
		return;
	expected[TALLY_BRANCH]++;
	if (starts(i->name, "RET"))
		expected[TALLY_PROCEDURE_RETURN]++;
	else if (!starts(i->name, "BR") && !starts(i->name, "BLR"))
		expected[TALLY_BRANCH_IMMEDIATE]++;
}

TEST(every_line_of_the_tables)
{
	unsigned tried = 0;

	for (unsigned op = 0; op < NR_A64_OPS; op++) {
		const struct a64_insn_info *i = &a64_info[op];

		for (int n = 0; n < 64 && i->name; n++) {
			u32 word = (random_word() & ~i->mask) | i->value;
			bool differs;

			/* Writes of system registers: below. */
			if (a64_decode(word) != (enum a64_op)op || (word >> 20) == 0xd51)
				continue;
			memset(expected, 0, sizeof(expected));
			memset(v.tally, 0, sizeof(v.tally));
			expect(i);
			vcpu_tally(&v, word);
			differs = memcmp(expected, v.tally, sizeof(expected));
			if (differs)
				fprintf(stderr, "%s, %08x\n", i->name, word);
			ASSERT(!differs);
			tried++;
		}
	}
	EXPECT(tried > 20000);
}

TEST(writes_of_translation_and_context_registers)
{
	memset(v.tally, 0, sizeof(v.tally));
	vcpu_tally(&v, 0xd5182003); /* msr ttbr0_el1, x3 */
	vcpu_tally(&v, 0xd518203f); /* msr ttbr1_el1, xzr */
	vcpu_tally(&v, 0xd5182045); /* msr tcr_el1, x5 */
	vcpu_tally(&v, 0xd5382003); /* mrs x3, ttbr0_el1 */
	EXPECT_EQ(v.tally[TALLY_TABLE_WRITE], 2);
	vcpu_tally(&v, 0xd518d03f); /* msr contextidr_el1, xzr */
	vcpu_tally(&v, 0xd518d09f); /* msr tpidr_el1, xzr */
	vcpu_tally(&v, 0xd538d03f);
	EXPECT_EQ(v.tally[TALLY_CONTEXT_WRITE], 1);
	EXPECT_EQ(v.tally[TALLY_TABLE_WRITE], 2);
}
