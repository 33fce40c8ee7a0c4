/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "interp/interp.h"
#include "rig.h"
#include "vcpu/pauth.h"

static struct rig *rig_of(struct vcpu *v)
{
	return (struct rig *)v;
}

static enum op_result rig_stop(struct vcpu *v, enum rig_exit exit)
{
	rig_of(v)->exit = exit;
	v->stop.kind = STOP_DEBUG;
	return OP_STOP;
}

static void called(struct vcpu *v, enum rig_call call, u32 a, u32 b, u32 c)
{
	rig_of(v)->last.call = call;
	rig_of(v)->last.a = a;
	rig_of(v)->last.b = b;
	rig_of(v)->last.c = c;
}

/* --- the rig --- */

struct rig *rig_create(void)
{
	struct rig *r = aligned_alloc(64, ALIGN_UP(sizeof(*r), 64));
	struct vtlb_context *c = malloc(sizeof(*c));

	if (!r || !c)
		abort();
	memset(r, 0, sizeof(*r));
	r->v.vtlb.cur[0] = r->v.vtlb.cur[1] = c;
	rig_flush(r);
	guarded_install();
	r->v.engine_ops = &interp_engine;
	if (interp_engine.vcpu_init(&r->v))
		abort();
	return r;
}

void rig_destroy(struct rig *r)
{
	interp_engine.vcpu_fini(&r->v);
	free(r->v.vtlb.cur[0]);
	free(r);
}

void rig_allow(struct rig *r, u64 start, u64 size)
{
	r->range[r->nr_ranges].start = start;
	r->range[r->nr_ranges++].end = start + size;
}

bool rig_map(struct rig *r, u64 start, u64 size)
{
	void *p = mmap((void *)(uintptr_t)start, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (p != (void *)(uintptr_t)start)
		return false;
	rig_allow(r, start, size);
	return true;
}

void rig_flush(struct rig *r)
{
	struct vtlb_context *c = r->v.vtlb.cur[0];

	for (unsigned a = 0; a < NR_VTLB_ACCESS; a++)
		for (unsigned i = 0; i < VTLB_SIZE; i++)
			c->e[a][i].tag = VTLB_EMPTY;
	r->v.vtlb.generation++;
}

void rig_drop_code(struct rig *r, u64 start, u64 end)
{
	interp_engine.drop_code(&r->v, start, end);
}

enum rig_exit rig_run(struct rig *r)
{
	r->exit = RIG_NONE;
	r->v.stop.kind = STOP_NONE;
	interp_engine.run(&r->v);
	return r->exit;
}

static bool in_range(const struct rig *r, u64 va, u64 size)
{
	for (unsigned i = 0; i < r->nr_ranges; i++)
		if (va >= r->range[i].start && va < r->range[i].end && size <= r->range[i].end - va)
			return true;
	return false;
}

static bool check(struct vcpu *v, u64 va, u64 size, bool write)
{
	struct rig *r = rig_of(v);

	if (in_range(r, va, size))
		return true;
	r->far = va;
	r->write = write;
	rig_stop(v, RIG_FAULT);
	return false;
}

static void fill(struct vcpu *v, enum vtlb_access access, u64 va)
{
	struct vtlb_entry *e = &v->vtlb.cur[0]->e[access][va >> 12 & (VTLB_SIZE - 1)];

	if (in_range(rig_of(v), va & ~0xfffull, 4096)) {
		e->tag = vtlb_tag(va);
		e->addend = 0;
	}
}

/* --- vmem.h --- */

static bool misaligned(u64 va, unsigned size, u32 acc)
{
	return (acc & (ACC_ORDERED | ACC_ATOMIC | ACC_EXCL)) && (va & (size - 1));
}

bool vmem_load_slow(struct vcpu *v, u64 va, unsigned size, u32 acc, u64 *out)
{
	if (misaligned(va, size, acc)) {
		rig_of(v)->far = va;
		rig_stop(v, RIG_FAULT);
		return false;
	}
	if (!check(v, va, size, false))
		return false;
	*out = 0;
	memcpy(out, (void *)(uintptr_t)va, size);
	fill(v, VTLB_READ, va);
	return true;
}

bool vmem_store_slow(struct vcpu *v, u64 va, unsigned size, u32 acc, u64 value)
{
	if (misaligned(va, size, acc)) {
		rig_of(v)->far = va;
		rig_stop(v, RIG_FAULT);
		return false;
	}
	if (!check(v, va, size, true))
		return false;
	memcpy((void *)(uintptr_t)va, &value, size);
	fill(v, VTLB_WRITE, va);
	return true;
}

bool vmem_load128(struct vcpu *v, u64 va, u32 acc, u64 out[2])
{
	if (!check(v, va, 16, false))
		return false;
	memcpy(out, (void *)(uintptr_t)va, 16);
	return true;
}

bool vmem_store128(struct vcpu *v, u64 va, u32 acc, const u64 value[2])
{
	if (!check(v, va, 16, true))
		return false;
	memcpy((void *)(uintptr_t)va, value, 16);
	return true;
}

bool vmem_probe(struct vcpu *v, u64 va, unsigned len, bool write, u32 acc)
{
	return check(v, va, len, write);
}

void *vmem_atomic_ptr(struct vcpu *v, u64 va, unsigned size, bool write, u32 acc)
{
	if (va & (size - 1)) {
		rig_of(v)->far = va;
		rig_stop(v, RIG_FAULT);
		return NULL;
	}
	return check(v, va, size, write) ? (void *)(uintptr_t)va : NULL;
}

enum op_result vmem_host_fault(struct vcpu *v, u64 va, void *hva, bool write)
{
	rig_of(v)->far = va;
	rig_of(v)->write = write;
	return rig_stop(v, RIG_FAULT);
}

void *vmem_fetch_page(struct vcpu *v, u64 va)
{
	rig_of(v)->fetches++;
	va &= ~0xfffull;
	return check(v, va, 4096, false) ? (void *)(uintptr_t)va : NULL;
}

bool vmem_zero_block(struct vcpu *v, u64 va)
{
	va &= ~63ull;
	if (!check(v, va, 64, true))
		return false;
	memset((void *)(uintptr_t)va, 0, 64);
	return true;
}

/* --- vcpu.h --- */

bool vcpu_poll_slow(struct vcpu *v)
{
	return v->stop.kind != STOP_NONE;
}

bool vcpu_tick(struct vcpu *v, u64 instructions)
{
	struct rig *r = rig_of(v);

	if (r->limit && v->stats.instructions >= r->limit) {
		rig_stop(v, RIG_LIMIT);
		return true;
	}
	return false;
}

enum op_result vcpu_undef(struct vcpu *v)
{
	return rig_stop(v, RIG_UNDEF);
}

enum op_result vcpu_raise(struct vcpu *v, u32 ec, u32 iss)
{
	return rig_stop(v, RIG_UNDEF);
}

enum op_result vcpu_svc(struct vcpu *v, u16 imm)
{
	rig_of(v)->imm = imm;
	return rig_stop(v, RIG_SVC);
}

enum op_result vcpu_hvc(struct vcpu *v, u16 imm)
{
	rig_of(v)->imm = imm;
	return rig_stop(v, RIG_HVC);
}

enum op_result vcpu_smc(struct vcpu *v, u16 imm)
{
	rig_of(v)->imm = imm;
	return rig_stop(v, RIG_SMC);
}

enum op_result vcpu_brk(struct vcpu *v, u16 imm)
{
	rig_of(v)->imm = imm;
	return rig_stop(v, RIG_BRK);
}

bool vcpu_breakpoints_in_page(const struct vcpu *v, u64 va)
{
	return false;
}

enum op_result vcpu_breakpoint(struct vcpu *v)
{
	return OP_NEXT;
}

enum op_result vcpu_eret(struct vcpu *v)
{
	called(v, RIG_CALL_ERET, 0, 0, 0);
	return vcpu_undef(v);
}

/* A code is the modifier's low byte in the top byte; bit 8 of the key's number in a says that it was a check. */
u64 vcpu_pac(struct vcpu *v, u64 ptr, u64 modifier, enum pauth_key key)
{
	called(v, RIG_CALL_PAUTH, key, 0, 0);
	return ptr ^ modifier << 56;
}

bool vcpu_aut(struct vcpu *v, u64 *ptr, u64 modifier, enum pauth_key key)
{
	called(v, RIG_CALL_PAUTH, 0x100 | key, 0, 0);
	*ptr ^= modifier << 56;
	if (!(*ptr >> 56))
		return true;
	rig_stop(v, RIG_UNDEF);
	return false;
}

u64 vcpu_xpac(const struct vcpu *v, u64 ptr, bool data)
{
	return ptr & ~(0xffull << 56);
}

u64 vcpu_pacga(const struct vcpu *v, u64 value, u64 modifier)
{
	return (value ^ modifier) << 32;
}

enum op_result vcpu_eret_authenticated(struct vcpu *v, enum pauth_key key)
{
	called(v, RIG_CALL_ERET, key, 0, 0);
	return vcpu_undef(v);
}

enum op_result vcpu_esb(struct vcpu *v)
{
	called(v, RIG_CALL_ESB, 0, 0, 0);
	return OP_NEXT;
}

enum op_result vcpu_fp_access_trap(struct vcpu *v)
{
	return rig_stop(v, RIG_FP_TRAP);
}

enum op_result vcpu_pc_alignment(struct vcpu *v)
{
	return rig_stop(v, RIG_PC_ALIGNMENT);
}

enum op_result vcpu_sp_alignment(struct vcpu *v)
{
	return rig_stop(v, RIG_SP_ALIGNMENT);
}

enum op_result vcpu_wfi(struct vcpu *v)
{
	return rig_stop(v, RIG_WFI);
}

enum op_result vcpu_wfe(struct vcpu *v)
{
	return rig_stop(v, RIG_WFE);
}

void vcpu_send_event(struct vcpu *v, bool all)
{
	rig_of(v)->events += all ? 1 : 1000;
}

u64 vcpu_branch_address(const struct vcpu *v, u64 target)
{
	return target;
}

#define FPCR_WRITABLE 0x07c80000u /* AHP, DN, FZ, RMode, FZ16 */
#define FPSR_WRITABLE 0x0800009fu /* QC and the cumulative flags */

/* The registers of EL0 that instructions touch: NZCV, FPCR, FPSR, TPIDR_EL0. */
enum op_result vcpu_sysreg_read(struct vcpu *v, u16 op, unsigned rt)
{
	called(v, RIG_CALL_MRS, op, rt, 0);
	switch (op) {
	case 0xda10:
		xw(v, rt, v->arch.nzcv);
		return OP_NEXT;
	case 0xda20:
		xw(v, rt, v->arch.fpcr);
		return OP_NEXT;
	case 0xda21:
		xw(v, rt, v->arch.fpsr);
		return OP_NEXT;
	case 0xde82:
		xw(v, rt, rig_of(v)->tpidr);
		return OP_NEXT;
	default:
		return vcpu_undef(v);
	}
}

enum op_result vcpu_sysreg_write(struct vcpu *v, u16 op, unsigned rt)
{
	called(v, RIG_CALL_MSR, op, rt, 0);
	switch (op) {
	case 0xda10:
		v->arch.nzcv = wr(v, rt) & 0xf0000000;
		return OP_NEXT;
	case 0xda20:
		v->arch.fpcr = wr(v, rt) & FPCR_WRITABLE;
		return OP_NEXT;
	case 0xda21:
		v->arch.fpsr = wr(v, rt) & FPSR_WRITABLE;
		return OP_NEXT;
	case 0xde82:
		rig_of(v)->tpidr = xr(v, rt);
		return OP_NEXT;
	default:
		return vcpu_undef(v);
	}
}

/* DC ZVA; the other cache maintenance of EL0 does nothing to data. */
enum op_result vcpu_sys_insn(struct vcpu *v, u16 op, unsigned rt)
{
	called(v, RIG_CALL_SYS, op, rt, 0);
	if (op == 0x5ba1) /* op0 1, op1 3, C7, C4, 1 */
		return vmem_zero_block(v, xr(v, rt)) ? OP_NEXT : vmem_result(v);
	if ((op >> 11 & 7) == 3 && (op >> 7 & 15) == 7)
		return OP_NEXT;
	return vcpu_undef(v);
}

/* What EL0 may write. */
enum op_result vcpu_msr_imm(struct vcpu *v, u32 op1, u32 op2, u32 crm)
{
	called(v, RIG_CALL_MSR_IMM, op1, op2, crm);
	return op1 == 3 && (op2 == 1 || op2 == 2) ? OP_NEXT : vcpu_undef(v);
}

enum op_result vcpu_dsb(struct vcpu *v, u32 crm)
{
	called(v, RIG_CALL_DSB, crm, 0, 0);
	return OP_NEXT;
}

enum op_result vcpu_isb(struct vcpu *v)
{
	v->arch.pc += 4;
	return OP_BRANCH;
}
