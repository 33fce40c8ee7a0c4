// SPDX-License-Identifier: MIT
/* System registers: access rules, PSTATE fields, cache maintenance, ID registers, and the register
 * interface. */
#include "rig.h"
#include "test.h"
#include "vcpu/idregs.h"
#include "vcpu/sysreg.h"

#define EC_TRAP 0x18
#define ID_SYSREG(op0, op1, crn, crm, op2)                         \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM64_SYSREG | \
	 SYSREG_OP(op0, op1, crn, crm, op2))

TEST(base_table_is_sorted_without_duplicates)
{
	for (u32 i = 1; i < sysreg_nr_base_rows; i++)
		if (sysreg_base_rows[i - 1].op >= sysreg_base_rows[i].op)
			TEST_FAIL("%s is not after %s", sysreg_base_rows[i].name,
				  sysreg_base_rows[i - 1].name);
}

TEST(every_row_can_be_found_and_has_storage_or_hooks)
{
	struct rig *r = rig_create(1);

	for (u32 i = 0; i < sysreg_nr_base_rows; i++) {
		const struct sysreg_row *row = &sysreg_base_rows[i];

		EXPECT_EQ((s64)(uintptr_t)sysreg_find(&r->group, row->op), (s64)(uintptr_t)row);
		if (row->index == SR_NONE && !(row->flags & SYSREG_RAZ)) {
			EXPECT(!(row->access & (SYSREG_R1 | SYSREG_R0)) || row->read);
			EXPECT(!(row->access & (SYSREG_W1 | SYSREG_W0)) || row->write);
		}
	}
	rig_destroy(r);
}

/* The reset value of CSSELR_EL1 is KVM's pattern; nothing of it may stay when the guest selects a cache. */
TEST(cache_that_the_guest_selects_is_the_one_it_reads)
{
	struct rig *r = rig_create(1);

	for (u64 select = 0; select < 3; select++) {
		r->vcpu[0].ccsidr[select] = 0x700fe01a + (u32)select;
		rig_x(r, 0)[1] = select | BIT(40);
		EXPECT_EQ(rig_run(r, 0, G_select_cache), 1);
		EXPECT_EQ(rig_x(r, 0)[0], select);
		EXPECT_EQ(rig_x(r, 0)[2], 0x700fe01a + select);
	}
	rig_destroy(r);
}

static bool file_has(const char *path, const char *what)
{
	static char text[1 << 20];
	char name[512];
	size_t n;
	FILE *f;

	snprintf(name, sizeof(name), "%s/%s", SOURCE_ROOT, path);
	f = fopen(name, "r");
	if (!f)
		return false;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = 0;
	return strstr(text, what);
}

/*
 * "engine:FEATURE": lines of the decode table with that feature, each of which the comparison with
 * qemu-user executes. "unit/PROGRAM:TEST": a test in tests/unit/vcpu/test_*.c or tests/unit/irq.
 */
static bool test_exists(const char *test)
{
	const char *colon = strchr(test, ':');
	char path[256], what[256];

	if (!colon)
		return false;
	if (!strncmp(test, "engine:", 7)) {
		snprintf(what, sizeof(what), "| %s |", colon + 1);
		return file_has("src/arch/a64_base.tab", what) ||
		       file_has("src/arch/a64_simd.tab", what);
	}
	snprintf(what, sizeof(what), "TEST(%s)", colon + 1);
	if (!strncmp(test, "unit/vcpu_", 10))
		snprintf(path, sizeof(path), "tests/unit/vcpu/test_%.*s.c",
			 (int)(colon - test - 10), test + 10);
	else
		snprintf(path, sizeof(path), "tests/%.*s.c", (int)(colon - test), test);
	return file_has(path, what);
}

/* Every non-zero field has a row, and every row a test that exists. */
TEST(every_id_field_names_its_test)
{
	for (u32 i = 0; i < nr_idreg_fields; i++) {
		const struct idreg_field *f = &idreg_fields[i];

		if (!test_exists(f->test))
			TEST_FAIL("%s: no test %s", f->name, f->test);
		EXPECT(f->value != 0);
		EXPECT_EQ(bits_get(idreg_reset_value(f->slot, f->features), f->shift, 4), f->value);
		for (u32 k = 0; k < i; k++)
			EXPECT(idreg_fields[k].slot != f->slot ||
			       idreg_fields[k].shift != f->shift);
	}
	for (unsigned slot = 0; slot < NR_IDREG; slot++)
		for (unsigned shift = 0; shift < 64; shift += 4) {
			unsigned rows = 0;

			for (u32 i = 0; i < nr_idreg_fields; i++)
				rows += idreg_fields[i].slot == slot &&
					idreg_fields[i].shift == shift;
			EXPECT_EQ(rows, bits_get(idreg_reset_value(slot, ~0u), shift, 4) != 0);
		}
}

TEST(id_registers_have_their_values)
{
	struct rig *r = rig_create(2);
	u64 *x = rig_x(r, 1);

	EXPECT_EQ(rig_run(r, 1, G_read_ids), 1);
	EXPECT_EQ(x[0] >> 24, 0);
	EXPECT_EQ(x[1], BIT(31) | 1);
	/* No interrupt controller in this machine. */
	EXPECT_EQ(x[2], idreg_reset_value(ID_AA64PFR0, ~0u) & ~(0xfull << 24));
	EXPECT_EQ(x[3], idreg_reset_value(ID_AA64MMFR1, ~0u));
	EXPECT_EQ(x[4], 0x9444c004);
	EXPECT_EQ(x[5], 4);
	EXPECT_EQ(x[6], idreg_reset_value(ID_AA64ISAR0, ~0u));
	EXPECT_EQ(x[7], 0);
	rig_destroy(r);
}

TEST(pstate_fields_read_back)
{
	struct rig *r = rig_create(1);
	u64 *x = rig_x(r, 0);

	EXPECT_EQ(rig_run(r, 0, G_pstate_fields), 1);
	EXPECT_EQ(x[0], PSR_DIT);
	EXPECT_EQ(x[1], PSR_SSBS);
	EXPECT_EQ(x[2], PSR_PAN);
	EXPECT_EQ(x[3], PSR_UAO);
	EXPECT_EQ(x[4], 0x3c0);
	EXPECT_EQ(x[5], 4);
	EXPECT_EQ(x[6], 1);
	EXPECT_EQ(x[7], 0xa0000000);
	EXPECT_EQ(x[8], 0);
	rig_destroy(r);
}

TEST(stack_pointers_are_banked)
{
	struct rig *r = rig_create(1);
	u64 *x = rig_x(r, 0);

	x[REG_SP] = 0x1110;
	x[0] = 0x2220;
	x[2] = 0x3330;
	EXPECT_EQ(rig_run(r, 0, G_sp_banks), 1);
	EXPECT_EQ(x[9], 0x1110);
	EXPECT_EQ(x[1], 0x2220);
	EXPECT_EQ(x[3], 0x3330);
	EXPECT_EQ(x[4], 0x1110);
	/* With SPSel 0 the register is not accessible. */
	EXPECT_EQ(rig_run(r, 0, G_sp_el0_with_spsel_0), EXIT_VECTOR + 0);
	EXPECT_EQ(rig_ec(r, 0), 0);
	rig_destroy(r);
}

static void expect_el0(struct rig *r, u32 piece, u32 ec, u32 iss)
{
	rig_set_el(r, 0, 0);
	EXPECT_EQ(rig_run(r, 0, piece), EXIT_VECTOR + VECTOR_SYNC_EL0);
	EXPECT_EQ(rig_ec(r, 0), ec);
	if (ec == EC_TRAP)
		EXPECT_EQ(rig_iss(r, 0), iss);
	else if (ec == 0x15)
		EXPECT_EQ(rig_iss(r, 0), 0x77);
}

static u32 iss(unsigned op0, unsigned op1, unsigned crn, unsigned crm, unsigned op2, unsigned rt,
	       unsigned read)
{
	return op0 << 20 | op2 << 17 | op1 << 14 | crn << 10 | rt << 5 | crm << 1 | read;
}

TEST(el0_access_follows_the_controls)
{
	struct rig *r = rig_create(1);
	u64 *sctlr = &rig_arch(r, 0)->sys[SR_SCTLR_EL1];

	rig_mmu(r);
	/* FEAT_IDST */
	expect_el0(r, G_mrs_id_at_el0, EC_TRAP, iss(3, 0, 0, 0, 0, 0, 1));
	expect_el0(r, G_msr_tpidrro_at_el0, 0, 0);
	expect_el0(r, G_mrs_tpidr_at_el0, 0x15, 0);
	EXPECT_EQ(rig_x(r, 0)[1], 0x5566);
	expect_el0(r, G_mrs_ctr_at_el0, EC_TRAP, iss(3, 3, 0, 0, 1, 0, 1));
	*sctlr |= SCTLR_UCT;
	expect_el0(r, G_mrs_ctr_at_el0, 0x15, 0);
	expect_el0(r, G_mrs_daif_at_el0, EC_TRAP, iss(3, 3, 4, 2, 1, 0, 1));
	expect_el0(r, G_daifset_at_el0, EC_TRAP, iss(0, 3, 4, 2, 6, 31, 0));
	*sctlr |= SCTLR_UMA;
	expect_el0(r, G_mrs_daif_at_el0, 0x15, 0);
	expect_el0(r, G_daifset_at_el0, 0x15, 0);
	rig_x(r, 0)[1] = RAM;
	expect_el0(r, G_dc_civac_at_el0, EC_TRAP, iss(1, 3, 7, 14, 1, 1, 0));
	expect_el0(r, G_ic_ivau_at_el0, EC_TRAP, iss(1, 3, 7, 5, 1, 1, 0));
	*sctlr |= SCTLR_UCI;
	expect_el0(r, G_dc_civac_at_el0, 0x15, 0);
	expect_el0(r, G_ic_ivau_at_el0, 0x15, 0);
	expect_el0(r, G_dc_zva_at_el0, EC_TRAP, iss(1, 3, 7, 4, 1, 1, 0));
	*sctlr |= SCTLR_DZE;
	/* Allowed now: the page itself is read-only. */
	expect_el0(r, G_dc_zva_at_el0, 0x24, 0);
	EXPECT_EQ(rig_iss(r, 0), FSC_PERMISSION_L | 3 | 0x40);
	rig_destroy(r);
}

TEST(unknown_and_el2_registers_are_undefined)
{
	struct rig *r = rig_create(1);

	EXPECT_EQ(rig_run(r, 0, G_unknown_sysreg), EXIT_VECTOR + VECTOR_SYNC_EL1);
	EXPECT_EQ(rig_ec(r, 0), 0);
	EXPECT_EQ(rig_run(r, 0, G_el2_sysreg), EXIT_VECTOR + VECTOR_SYNC_EL1);
	EXPECT_EQ(rig_ec(r, 0), 0);
	rig_destroy(r);
}

TEST(cache_maintenance_checks_rights)
{
	struct rig *r = rig_create(1);
	struct tables t = rig_mmu(r);

	tables_map(r, &t, DATA, DATA, 3, D_NORMAL | D_RO);
	rig_x(r, 0)[1] = DATA;
	EXPECT_EQ(rig_run(r, 0, G_dc_cvau), 1);
	EXPECT_EQ(rig_run(r, 0, G_dc_cvap), 1);
	/* Invalidation needs the right to write. */
	EXPECT_EQ(rig_run(r, 0, G_dc_ivac), EXIT_VECTOR + VECTOR_SYNC_EL1);
	EXPECT_EQ(rig_iss(r, 0), FSC_PERMISSION_L | 3 | 0x140);
	rig_x(r, 0)[1] = DATA + 4096;
	EXPECT_EQ(rig_run(r, 0, G_dc_cvap), EXIT_VECTOR + VECTOR_SYNC_EL1);
	EXPECT_EQ(rig_iss(r, 0), FSC_TRANSLATION_L | 3 | 0x140);
	/* Outside memory it is stepped over. */
	tables_map(r, &t, DATA + 4096, 0x9000000, 3, D_NORMAL);
	EXPECT_EQ(rig_run(r, 0, G_dc_cvap), 1);
	rig_destroy(r);
}

TEST(dc_zva_zeroes_its_block)
{
	struct rig *r = rig_create(1);
	struct tables t = rig_mmu(r);

	tables_map(r, &t, DATA, DATA, 3, D_NORMAL);
	memset(rig_mem(r, DATA), 0xff, 256);
	rig_x(r, 0)[1] = DATA + 64 + 13;
	EXPECT_EQ(rig_run(r, 0, G_dc_zva), 1);
	EXPECT_EQ(rig_read64(r, DATA + 56), -1);
	for (unsigned i = 64; i < 128; i += 8)
		EXPECT_EQ(rig_read64(r, DATA + i), 0);
	EXPECT_EQ(rig_read64(r, DATA + 128), -1);
	/* Again by the cached entry. */
	rig_x(r, 0)[1] = DATA + 128;
	EXPECT_EQ(rig_run(r, 0, G_dc_zva), 1);
	EXPECT_EQ(rig_read64(r, DATA + 184), 0);
	EXPECT_EQ(rig_read64(r, DATA + 192), -1);
	rig_destroy(r);
}

TEST(debug_registers_are_storage)
{
	struct rig *r = rig_create(1);
	u64 *x = rig_x(r, 0);

	x[0] = 0x12345678;
	x[3] = 1;
	EXPECT_EQ(rig_run(r, 0, G_debug_registers), 1);
	EXPECT_EQ(x[1], 0x12345678);
	EXPECT_EQ(x[2], 0x12345678);
	EXPECT_EQ(x[4], BIT(3) | BIT(1));
	rig_destroy(r);
}

/* --- register interface
 * -----------------------------------------------------------------------------------------------
 */

static int get(struct rig *r, u64 id, u64 *value)
{
	*value = 0;
	return rig_get_reg(r, 0, id, value);
}

static int set(struct rig *r, u64 id, u64 value)
{
	return rig_set_reg(r, 0, id, &value);
}

TEST(register_list_is_ordered_and_every_entry_can_be_read_and_written_back)
{
	struct rig *r = rig_create(1);
	u64 list[512], buf[2];
	u32 n = rig_list(r, 0, NULL);

	ASSERT(n < 512);
	EXPECT_EQ(rig_list(r, 0, list), n);
	EXPECT_EQ(list[0], 0x6030000000100000);
	EXPECT_EQ(list[n - 1], 0x602000000011000d);
	for (u32 i = 0; i < n; i++) {
		if (rig_get_reg(r, 0, list[i], buf))
			TEST_FAIL("cannot read %llx", (unsigned long long)list[i]);
		if (rig_set_reg(r, 0, list[i], buf))
			TEST_FAIL("cannot write back %llx", (unsigned long long)list[i]);
		for (u32 k = 0; k < i; k++)
			EXPECT(list[k] != list[i]);
	}
	rig_destroy(r);
}

TEST(core_registers_reach_the_state)
{
	struct rig *r = rig_create(1);
	struct vcpu_arch *a = rig_arch(r, 0);
	u64 value;
	u32 word = 0x9f;

	for (unsigned i = 0; i < 31; i++) {
		EXPECT_EQ(set(r, 0x6030000000100000 + 2 * i, 0x1000 + i), 0);
		EXPECT_EQ(a->x[i], 0x1000 + i);
	}
	EXPECT_EQ(set(r, 0x603000000010003e, 0xabc0), 0);
	EXPECT_EQ(a->sp_el[0], 0xabc0);
	EXPECT_EQ(set(r, 0x6030000000100044, 0xdef0), 0);
	EXPECT_EQ(a->x[REG_SP], 0xdef0);
	EXPECT_EQ(set(r, 0x6030000000100042, 0x600003c4), 0);
	EXPECT_EQ(a->nzcv, 0x60000000);
	EXPECT_EQ(a->x[REG_SP], 0xabc0);
	EXPECT_EQ(get(r, 0x6030000000100044, &value), 0);
	EXPECT_EQ(value, 0xdef0);
	EXPECT_EQ(get(r, 0x6030000000100042, &value), 0);
	EXPECT_EQ(value, 0x600003c4);
	/* Modes that do not exist here. */
	EXPECT_EQ(set(r, 0x6030000000100042, 0x3c9), -EINVAL);
	EXPECT_EQ(set(r, 0x6030000000100042, 0x13), -EINVAL);
	EXPECT_EQ(rig_set_reg(r, 0, 0x60200000001000d4, &word), 0);
	EXPECT_EQ(a->fpsr, 0x9f);
	/* Wrong size, an offset between registers, beyond the end. */
	EXPECT_EQ(get(r, 0x6020000000100000, &value), -EINVAL);
	EXPECT_EQ(get(r, 0x6030000000100001, &value), -EINVAL);
	EXPECT_EQ(get(r, 0x6030000000100400, &value), -ENOENT);
	EXPECT_EQ(get(r, 0x6030000000120000, &value), -ENOENT);
	rig_destroy(r);
}

TEST(id_registers_may_be_lowered_before_the_first_run)
{
	struct rig *r = rig_create(1);
	u64 isar0 = ID_SYSREG(3, 0, 0, 6, 0), pfr0 = ID_SYSREG(3, 0, 0, 4, 0), v,
	    masks[NR_WRITABLE_MASKS];

	ASSERT_EQ(get(r, isar0, &v), 0);
	/* No RNDR here: cannot be raised. No AES: can be withdrawn. */
	EXPECT_EQ(set(r, isar0, v | BIT(60)), -EINVAL);
	EXPECT_EQ(set(r, isar0, v & ~0xf0ull), 0);
	EXPECT_EQ(set(r, isar0, v + 0x10), -EINVAL);
	EXPECT_EQ(set(r, isar0, v), 0);
	/* FP is signed: 0xf is none, below 0; but KVM does not let it be written. */
	ASSERT_EQ(get(r, pfr0, &v), 0);
	EXPECT_EQ(set(r, pfr0, v | 0xff0000), -EINVAL);
	EXPECT_EQ(set(r, ID_SYSREG(3, 0, 0, 0, 0), 0x410fd0c1), -EINVAL);
	r->group.writable_imp_id = true;
	EXPECT_EQ(set(r, ID_SYSREG(3, 0, 0, 0, 0), 0x410fd0c1), 0);
	EXPECT_EQ(rig_run(r, 0, G_read_ids), 1);
	EXPECT_EQ(rig_x(r, 0)[0], 0x410fd0c1);
	ASSERT_EQ(get(r, isar0, &v), 0);
	EXPECT_EQ(set(r, isar0, v & ~0xf0ull), -EBUSY);
	EXPECT_EQ(set(r, isar0, v), 0);
	vcpu_writable_masks(masks);
	EXPECT_EQ(masks[48], 0xfffffffff0fffff0);
	EXPECT_EQ(masks[129], 0x300fc00f);
	EXPECT_EQ(masks[8], 0);
	rig_destroy(r);
}

TEST(features_are_checked_as_kvm_checks_them)
{
	struct rig *r = rig_create(2);
	u32 f[7] = {1u << 2};
	struct vcpu *v = &r->vcpu[0];

	EXPECT_EQ(rig_init_features(r, 0, 4, f), -EINVAL);
	EXPECT_EQ(rig_init_features(r, 0, 5, f), 0);
	f[0] = 0;
	EXPECT_EQ(rig_init_features(r, 0, 5, f), -EINVAL);
	f[0] = 1u << 2 | 1u << 1;
	EXPECT_EQ(rig_init_features(r, 0, 5, f), -EINVAL);
	f[0] = 1u << 2 | 1u << 9;
	EXPECT_EQ(rig_init_features(r, 0, 5, f), -ENOENT);
	f[0] = 1u << 2;
	f[3] = 1;
	EXPECT_EQ(rig_init_features(r, 0, 5, f), -ENOENT);
	f[3] = 0;
	f[0] |= 1;
	EXPECT_EQ(rig_init_features(r, 0, 5, f), 0);
	EXPECT_EQ(a32_load(&v->power_off), VCPU_STOPPED);
	rig_destroy(r);
}
