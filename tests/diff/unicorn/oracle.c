// SPDX-License-Identifier: MIT
#include "oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_UNICORN
#include <unicorn/unicorn.h>

struct oracle {
	uc_engine *uc;
	uc_hook hook;
	uc_context *context, *home;
	size_t syndrome; /* where in a saved context QEMU's struct exception begins */
	int exception;
};

#define MUST(e)                                                                            \
	do {                                                                               \
		uc_err e_ = (e);                                                           \
		if (e_) {                                                                  \
			fprintf(stderr, "oracle: %s:%d: %s: %s\n", __FILE__, __LINE__, #e, \
				uc_strerror(e_));                                          \
			abort();                                                           \
		}                                                                          \
	} while (0)

static void on_exception(uc_engine *uc, uint32_t number, void *arg)
{
	struct oracle *o = arg;

	o->exception = (int)number;
	uc_emu_stop(uc);
}

/*
 * The syndrome has no name in the interface, but a saved context holds it: syndrome, fsr (32 bits each), vaddress (64). Two SVC
 * with different immediates show where.
 */
static bool find_syndrome(struct oracle *o)
{
	static const u32 want[2] = {0x56001234, 0x5600fedc}; /* EC 0x15, IL */
	u32 *page = aligned_alloc(4096, 4096);
	size_t size = uc_context_size(o->uc);
	u8 *first = malloc(size);
	bool found = false;

	memset(page, 0, 4096);
	page[0] = 0xd4000001 | 0x1234 << 5;
	page[1] = 0xd4000001 | 0xfedc << 5;
	oracle_map(o, 0, 4096, page);
	oracle_run(o, 0, 0);
	memcpy(first, o->context, size);
	oracle_run(o, 4, 0);
	for (size_t i = 0; i + 16 <= size && !found; i += 4) {
		if (memcmp(first + i, &want[0], 4) || memcmp((u8 *)o->context + i, &want[1], 4))
			continue;
		o->syndrome = i;
		found = true;
	}
	MUST(uc_mem_unmap(o->uc, 0, 4096));
	free(page);
	free(first);
	return found;
}

struct oracle *oracle_create(const char **reason)
{
	struct oracle *o = calloc(1, sizeof(*o));

	if (uc_open(UC_ARCH_ARM64, UC_MODE_ARM, &o->uc)) {
		*reason = "libunicorn has no arm64";
		free(o);
		return NULL;
	}
	MUST(uc_ctl_set_cpu_model(o->uc, UC_CPU_ARM64_MAX));
	MUST(uc_context_alloc(o->uc, &o->context));
	MUST(uc_context_alloc(o->uc, &o->home));
	MUST(uc_hook_add(o->uc, &o->hook, UC_HOOK_INTR, (void *)on_exception, o, 1, 0));
	if (!find_syndrome(o)) {
		*reason = "this libunicorn does not show syndromes";
		oracle_destroy(o);
		return NULL;
	}
	return o;
}

void oracle_destroy(struct oracle *o)
{
	MUST(uc_context_free(o->context));
	MUST(uc_context_free(o->home));
	MUST(uc_close(o->uc));
	free(o);
}

void oracle_map(struct oracle *o, u64 at, u64 size, void *p)
{
	MUST(uc_mem_map_ptr(o->uc, at, size, UC_PROT_ALL, p));
}

static uc_arm64_cp_reg cp_reg(u16 op, u64 value)
{
	return (uc_arm64_cp_reg){.op0 = op >> 14,
				 .op1 = op >> 11 & 7,
				 .crn = op >> 7 & 15,
				 .crm = op >> 3 & 15,
				 .op2 = op & 7,
				 .val = value};
}

bool oracle_set_sys(struct oracle *o, u16 op, u64 value)
{
	uc_arm64_cp_reg reg = cp_reg(op, value);

	return !uc_reg_write(o->uc, UC_ARM64_REG_CP_REG, &reg);
}

bool oracle_get_sys(struct oracle *o, u16 op, u64 *value)
{
	uc_arm64_cp_reg reg = cp_reg(op, 0);

	if (uc_reg_read(o->uc, UC_ARM64_REG_CP_REG, &reg))
		return false;
	*value = reg.val;
	return true;
}

#define NR_REGS (31 + 1 + 32 + 2)

/* x0..x30, sp, v0..v31, fpcr, fpsr: ids and places, for one batch. */
static void batch(struct diff_state *s, u32 *fpcr, u32 *fpsr, int ids[NR_REGS],
		  void *places[NR_REGS])
{
	unsigned n = 0;

	for (int i = 0; i < 31; i++) {
		ids[n] = i < 29 ? UC_ARM64_REG_X0 + i : UC_ARM64_REG_X29 + i - 29;
		places[n++] = &s->x[i];
	}
	ids[n] = UC_ARM64_REG_SP;
	places[n++] = &s->sp;
	for (int i = 0; i < 32; i++) {
		ids[n] = UC_ARM64_REG_Q0 + i;
		places[n++] = s->v[i];
	}
	ids[n] = UC_ARM64_REG_FPCR;
	places[n++] = fpcr;
	ids[n] = UC_ARM64_REG_FPSR;
	places[n++] = fpsr;
}

void oracle_set_state(struct oracle *o, const struct diff_state *s, u32 pstate)
{
	struct diff_state copy = *s;
	u32 fpcr = (u32)s->fpcr, fpsr = (u32)s->fpsr, all = pstate | (u32)s->nzcv;
	int ids[NR_REGS];
	void *places[NR_REGS];

	batch(&copy, &fpcr, &fpsr, ids, places);
	MUST(uc_reg_write_batch(o->uc, ids, places, NR_REGS));
	MUST(uc_reg_write(o->uc, UC_ARM64_REG_PSTATE, &all));
}

void oracle_get_state(struct oracle *o, struct diff_state *s, u32 *pstate)
{
	u32 fpcr = 0, fpsr = 0, all = 0;
	int ids[NR_REGS];
	void *places[NR_REGS];

	memset(s, 0, sizeof(*s));
	batch(s, &fpcr, &fpsr, ids, places);
	MUST(uc_reg_read_batch(o->uc, ids, places, NR_REGS));
	MUST(uc_reg_read(o->uc, UC_ARM64_REG_PSTATE, &all));
	s->fpcr = fpcr;
	s->fpsr = fpsr;
	s->nzcv = all & 0xf0000000u;
	*pstate = all & 0x0fffffffu;
}

void oracle_keep_home(struct oracle *o)
{
	MUST(uc_context_save(o->uc, o->home));
}

void oracle_go_home(struct oracle *o)
{
	MUST(uc_context_restore(o->uc, o->home));
}

void oracle_drop_code(struct oracle *o, u64 start, u64 end)
{
	MUST(uc_ctl_remove_cache(o->uc, start, end));
}

struct oracle_stop oracle_run(struct oracle *o, u64 pc, unsigned limit)
{
	struct oracle_stop s = {0};
	const u8 *e = (const u8 *)o->context + o->syndrome;

	o->exception = ORACLE_NONE;
	/* "Until" is an address nobody goes to, but it must be mapped: Unicorn translates it, and leaves a fault behind. */
	s.error = uc_emu_start(o->uc, pc, pc ^ 0x800, 0, limit);
	s.exception = o->exception;
	MUST(uc_reg_read(o->uc, UC_ARM64_REG_PC, &s.pc));
	MUST(uc_context_save(o->uc, o->context));
	memcpy(&s.syndrome, e, 4);
	memcpy(&s.far, e + 8, 8);
	return s;
}

#else

struct oracle *oracle_create(const char **reason)
{
	*reason = "built without libunicorn (libunicorn-dev)";
	return NULL;
}

void oracle_destroy(struct oracle *o)
{
}
void oracle_map(struct oracle *o, u64 at, u64 size, void *p)
{
}
bool oracle_set_sys(struct oracle *o, u16 op, u64 value)
{
	return false;
}
bool oracle_get_sys(struct oracle *o, u16 op, u64 *value)
{
	return false;
}
void oracle_set_state(struct oracle *o, const struct diff_state *s, u32 pstate)
{
}
void oracle_get_state(struct oracle *o, struct diff_state *s, u32 *pstate)
{
}
void oracle_keep_home(struct oracle *o)
{
}
void oracle_go_home(struct oracle *o)
{
}
void oracle_drop_code(struct oracle *o, u64 start, u64 end)
{
}
struct oracle_stop oracle_run(struct oracle *o, u64 pc, unsigned limit)
{
	return (struct oracle_stop){0};
}

#endif
