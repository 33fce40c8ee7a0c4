// SPDX-License-Identifier: MIT
#include "rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

static int rig_hypercall(struct vcpu *v, bool smc)
{
	struct rig *r = v->group->vm;

	r->imm[v->index] = v->stop.imm;
	r->smc[v->index] = smc;
	v->run->exit_reason = KVM_EXIT_HYPERCALL;
	return 0;
}

static int rig_mmio_read(struct vcpu *v, u64 ipa, unsigned size, u64 *value)
{
	struct rig *r = v->group->vm;

	if (!r->mmio_base || ipa < r->mmio_base || ipa >= r->mmio_base + 4096)
		return -EOPNOTSUPP;
	r->nr_mmio++;
	*value = r->mmio_value;
	return 0;
}

static int rig_mmio_write(struct vcpu *v, u64 ipa, unsigned size, u64 value)
{
	struct rig *r = v->group->vm;

	if (!r->mmio_base || ipa < r->mmio_base || ipa >= r->mmio_base + 4096)
		return -EOPNOTSUPP;
	r->nr_mmio++;
	r->mmio_value = value;
	return 0;
}

static const struct vcpu_vm_ops rig_ops = {
	.mmio_read = rig_mmio_read,
	.mmio_write = rig_mmio_write,
	.hypercall = rig_hypercall,
};

#define MUST(c)                                                                      \
	do {                                                                         \
		if (!(c)) {                                                          \
			fprintf(stderr, "rig: %s:%d: %s\n", __FILE__, __LINE__, #c); \
			abort();                                                     \
		}                                                                    \
	} while (0)

static void rig_add_vcpu(struct rig *r, unsigned n)
{
	static const u32 features[7] = {1u << 2};
	struct vcpu *v = &r->vcpu[n];

	MUST(!vcpu_init(v, &r->group, n, n, &interp_engine));
	v->run = calloc(1, 4096);
	MUST(v->run);
	tlb_client_attach(&r->mem.tlb, &v->tlb);
	aptr_store_relaxed(&r->group.vcpu[n], v);
	a32_store_release(&r->group.nr, n + 1);
	MUST(!rig_init_features(r, n, VCPU_TARGET_GENERIC_V8, features));
	v->arch.sys[SR_VBAR_EL1] = RAM + G_vectors;
	v->arch.sys[SR_MAIR_EL1] = RIG_MAIR;
	v->arch.sys[SR_CPACR_EL1] = 3u << 20;
	v->arch.sys[SR_TPIDRRO_EL0] = 0x5566;
	v->arch.x[REG_SP] = DATA - 4096;
}

struct rig *rig_create(unsigned nr_cpus)
{
	struct rig *r;
	struct mem_region region = {.slot = 0, .guest_phys_addr = RAM, .memory_size = RAM_SIZE};

	MUST(!posix_memalign((void **)&r, 64, sizeof(*r)));
	memset(r, 0, sizeof(*r));
	guarded_install();
	r->ram = mmap(NULL, RAM_SIZE + (2u << 20), PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	MUST(r->ram != MAP_FAILED);
	/* Congruent with the guest address, so that blocks are possible. */
	r->ram = (u8 *)ALIGN_UP((u64)(uintptr_t)r->ram, 2ull << 20);
	memcpy(r->ram, guest_code, sizeof(guest_code));
	MUST(!mem_init(&r->mem, 40));
	vcpu_group_init(&r->group, &r->mem, &rig_ops, r);
	region.userspace_addr = (u64)(uintptr_t)r->ram;
	MUST(!mem_set_region(&r->mem, &region));
	r->next_table = TABLES;
	r->nr = nr_cpus;
	for (unsigned n = 0; n < nr_cpus; n++)
		rig_add_vcpu(r, n);
	return r;
}

void rig_destroy(struct rig *r)
{
	mem_stop_notifier(&r->mem);
	for (unsigned n = 0; n < r->nr; n++) {
		free(r->vcpu[n].run);
		vcpu_fini(&r->vcpu[n]);
	}
	mem_fini(&r->mem);
	munmap(r->ram, RAM_SIZE);
	free(r);
}

#define LOCKED(type, name, params, call)      \
	type name params                      \
	{                                     \
		struct vcpu *v = &r->vcpu[n]; \
		type ret;                     \
                                              \
		mutex_lock(&v->mutex);        \
		ret = call;                   \
		mutex_unlock(&v->mutex);      \
		return ret;                   \
	}
LOCKED(int, rig_set_reg, (struct rig * r, unsigned n, u64 id, const void *value),
       vcpu_set_one_reg(v, id, value))
LOCKED(int, rig_get_reg, (struct rig * r, unsigned n, u64 id, void *value),
       vcpu_get_one_reg(v, id, value))
LOCKED(u32, rig_list, (struct rig * r, unsigned n, u64 *list), vcpu_reg_list(v, list))
LOCKED(int, rig_set_events, (struct rig * r, unsigned n, const struct vcpu_events *ev),
       vcpu_set_events(v, ev))
LOCKED(int, rig_set_mp_state, (struct rig * r, unsigned n, u32 state), vcpu_set_mp_state(v, state))
LOCKED(int, rig_set_debug, (struct rig * r, unsigned n, u32 control),
       vcpu_set_guest_debug(v, control, NULL))
LOCKED(int, rig_set_debug_regs,
       (struct rig * r, unsigned n, u32 control, const struct kvm_guest_debug_arch *regs),
       vcpu_set_guest_debug(v, control, regs))
LOCKED(int, rig_init_features, (struct rig * r, unsigned n, u32 target, const u32 features[7]),
       vcpu_arm_init(v, target, features))

void rig_get_events(struct rig *r, unsigned n, struct vcpu_events *ev)
{
	mutex_lock(&r->vcpu[n].mutex);
	vcpu_get_events(&r->vcpu[n], ev);
	mutex_unlock(&r->vcpu[n].mutex);
}

void rig_set_sigmask(struct rig *r, unsigned n, const u64 *mask)
{
	mutex_lock(&r->vcpu[n].mutex);
	vcpu_set_signal_mask(&r->vcpu[n], mask);
	mutex_unlock(&r->vcpu[n].mutex);
}

int rig_enter(struct rig *r, unsigned n)
{
	struct vcpu *v = &r->vcpu[n];
	int ret;

	mutex_lock(&v->mutex);
	ret = vcpu_run(v);
	mutex_unlock(&v->mutex);
	return ret;
}

int rig_continue(struct rig *r, unsigned n)
{
	int ret = rig_enter(r, n);

	if (ret)
		return ret;
	if (r->vcpu[n].run->exit_reason == KVM_EXIT_HYPERCALL)
		return (int)r->imm[n];
	return -1000 - (int)r->vcpu[n].run->exit_reason;
}

int rig_run(struct rig *r, unsigned n, u32 piece)
{
	r->vcpu[n].arch.pc = RAM + piece;
	return rig_continue(r, n);
}

u64 rig_read64(struct rig *r, u64 ipa)
{
	return *(volatile u64 *)rig_mem(r, ipa);
}

void rig_write64(struct rig *r, u64 ipa, u64 value)
{
	*(volatile u64 *)rig_mem(r, ipa) = value;
}

void rig_set_el(struct rig *r, unsigned n, unsigned el)
{
	u64 pstate = el ? 0x3c5 : 0x3c0;

	MUST(!rig_set_reg(r, n, 0x6030000000100042ull, &pstate));
}

/* --- page tables
 * ------------------------------------------------------------------------------------------------------
 */

static unsigned start_level(const struct tables *t)
{
	unsigned stride = t->granule - 3;

	return 4 - (t->bits - t->granule + stride - 1) / stride;
}

static unsigned level_shift(const struct tables *t, unsigned level)
{
	return (3 - level) * (t->granule - 3) + t->granule;
}

static u64 table_alloc(struct rig *r, unsigned granule)
{
	u64 at = ALIGN_UP(r->next_table, 1ull << granule);

	r->next_table = at + (1ull << granule);
	MUST(r->next_table <= DATA - 8192);
	memset(rig_mem(r, at), 0, 1ull << granule);
	return at;
}

struct tables tables_new(struct rig *r, unsigned granule, unsigned bits)
{
	return (struct tables){.root = table_alloc(r, granule), .granule = granule, .bits = bits};
}

static u64 walk(struct rig *r, const struct tables *t, u64 va, unsigned level, bool make)
{
	u64 table = t->root, at;

	for (unsigned l = start_level(t);; l++) {
		unsigned shift = level_shift(t, l);
		unsigned bits = l == start_level(t) ? t->bits - shift : t->granule - 3;
		u64 desc;

		at = table + bits_get(va, shift, bits) * 8;
		if (l == level)
			return at;
		desc = rig_read64(r, at);
		if (!(desc & 1)) {
			MUST(make);
			desc = table_alloc(r, t->granule) | D_TABLE;
			rig_write64(r, at, desc);
		}
		table = desc & GENMASK(47, t->granule);
	}
}

u64 tables_map(struct rig *r, const struct tables *t, u64 va, u64 ipa, unsigned level, u64 attrs)
{
	u64 at = walk(r, t, va, level, true);

	rig_write64(r, at, ipa | attrs | (level == 3 ? D_PAGE : D_BLOCK));
	return at;
}

u64 tables_entry(struct rig *r, const struct tables *t, u64 va, unsigned level)
{
	return walk(r, t, va, level, false);
}

u64 tables_tcr(const struct tables *low, const struct tables *high)
{
	u64 tcr = 5ull << 32 | TCR_AS; /* 48 bits out, 16-bit ASIDs */

	if (low)
		tcr |= (64 - low->bits) | (u64)(low->granule == 12   ? 0
						: low->granule == 14 ? 2
								     : 1)
						  << 14;
	else
		tcr |= TCR_EPD0;
	if (high)
		tcr |= (u64)(64 - high->bits) << 16 | (u64)(high->granule == 12	  ? 2
							    : high->granule == 14 ? 1
										  : 3)
							      << 30;
	else
		tcr |= TCR_EPD1;
	return tcr;
}

void rig_set_mmu(struct rig *r, unsigned n, u64 ttbr0, u64 ttbr1, u64 tcr)
{
	u64 *sys = r->vcpu[n].arch.sys;

	sys[SR_TTBR0_EL1] = ttbr0;
	sys[SR_TTBR1_EL1] = ttbr1;
	sys[SR_TCR_EL1] = tcr;
	sys[SR_SCTLR_EL1] |= SCTLR_M;
}

struct tables rig_mmu(struct rig *r)
{
	struct tables low = tables_new(r, 12, 48), high = tables_new(r, 12, 48);

	/* Code: read-only for both ELs, so that EL0 can run it and EL1 too. */
	tables_map(r, &low, RAM, RAM, 3, D_NORMAL | D_EL0 | D_RO);
	for (u64 at = 4096; at < sizeof(guest_code); at += 4096)
		tables_map(r, &low, RAM + at, RAM + at, 3, D_NORMAL | D_EL0 | D_RO);
	tables_map(r, &high, HIGH + RAM, RAM, 1, D_NORMAL | D_UXN);
	for (unsigned n = 0; n < r->nr; n++)
		rig_set_mmu(r, n, low.root, high.root, tables_tcr(&low, &high));
	return low;
}

/* --- threads
 * ----------------------------------------------------------------------------------------------------------
 */

static void *thread_run(void *arg)
{
	struct rig_thread *t = arg;

	t->result = rig_run(t->r, t->n, t->piece);
	a32_store(&t->finished, 1);
	return NULL;
}

static void *thread_enter(void *arg)
{
	struct rig_thread *t = arg;

	t->r->vcpu[t->n].arch.pc = RAM + t->piece;
	t->result = rig_enter(t->r, t->n);
	a32_store(&t->finished, 1);
	return NULL;
}

static void start(struct rig *r, unsigned n, u32 piece, struct rig_thread *t, void *(*fn)(void *))
{
	*t = (struct rig_thread){.r = r, .n = n, .piece = piece};
	MUST(!pthread_create(&t->thread, NULL, fn, t));
}

void rig_start(struct rig *r, unsigned n, u32 piece, struct rig_thread *t)
{
	start(r, n, piece, t, thread_run);
}

void rig_start_raw(struct rig *r, unsigned n, u32 piece, struct rig_thread *t)
{
	start(r, n, piece, t, thread_enter);
}

bool rig_finished(const struct rig_thread *t)
{
	return a32_load(&t->finished);
}

int rig_join(struct rig_thread *t)
{
	struct timespec limit;

	/* A guest that should have stopped and did not is stopped here, with a result nobody expects. */
	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += 20;
	if (pthread_timedjoin_np(t->thread, NULL, &limit)) {
		printf("# vCPU %u does not stop by itself\n", t->n);
		vcpu_request(&t->r->vcpu[t->n], VCPU_REQ_EXIT);
		MUST(!pthread_join(t->thread, NULL));
		return -ETIMEDOUT;
	}
	return t->result;
}

void rig_sleep_ms(unsigned ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	while (nanosleep(&ts, &ts))
		;
}
