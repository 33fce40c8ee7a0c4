/* SPDX-License-Identifier: MIT */
/*
 * Binary statistics (KVM_GET_STATS_FD) and anykvm_stats. A statistics file is laid out as header, id string, descriptors, data;
 * all but the data is the same for ever, so it is put together at each read.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "mem/inspect.h"

#define STAT_NAME 48

/* A vCPU's counters are plain words of its thread, read here while they run: each is one aligned word. */
NO_TSAN static u64 relaxed(const u64 *p)
{
	return *(const volatile u64 *)p;
}

struct stat_row {
	const char *name;
	u32 flags;
	s16 exponent;
	u16 size;
	/* Value i of size. NULL: always 0. */
	u64 (*get)(struct vm *vm, struct vcpu *v, u32 i);
};

#define COUNT(name, get)                                                                         \
	{                                                                                        \
		name, KVM_STATS_TYPE_CUMULATIVE | KVM_STATS_UNIT_NONE | KVM_STATS_BASE_POW10, 0, \
			1, get                                                                   \
	}
#define INSTANT(name, unit, get)                                                        \
	{                                                                               \
		name, KVM_STATS_TYPE_INSTANT | (unit) | KVM_STATS_BASE_POW10, 0, 1, get \
	}
#define NANOSECONDS(name, type, size, get)                                                  \
	{                                                                                   \
		name, (type) | KVM_STATS_UNIT_SECONDS | KVM_STATS_BASE_POW10, -9, size, get \
	}

#define VM_STAT(fn, expr)                                   \
	static u64 fn(struct vm *vm, struct vcpu *v, u32 i) \
	{                                                   \
		return expr;                                \
	}
#define VCPU_STAT(fn, member) VM_STAT(fn, relaxed(&v->stats.member))

VM_STAT(vm_remote_flushes, a64_load_relaxed(&vm->mem.tlb.shootdowns))
VM_STAT(vm_shootdown_waits, a64_load_relaxed(&vm->mem.tlb.waits))
VM_STAT(vm_faults, a64_load_relaxed(&vm->mem.stats.faults))
VM_STAT(vm_retries, a64_load_relaxed(&vm->mem.stats.retries))
VM_STAT(vm_maps_4k, a64_load_relaxed(&vm->mem.stats.maps_4k))
VM_STAT(vm_maps_2m, a64_load_relaxed(&vm->mem.stats.maps_2m))
VM_STAT(vm_maps_1g, a64_load_relaxed(&vm->mem.stats.maps_1g))
VM_STAT(vm_unmaps, a64_load_relaxed(&vm->mem.stats.unmaps))
VM_STAT(vm_table_pages, mem_table_pages(&vm->mem))
VM_STAT(vm_relaxes, a64_load_relaxed(&vm->mem.stats.relaxes))
VM_STAT(vm_host_faults, a64_load_relaxed(&vm->mem.stats.host_faults))
VM_STAT(vm_inval_pairs, a64_load_relaxed(&vm->mem.stats.inval_pairs))
VM_STAT(vm_inval_pages, a64_load_relaxed(&vm->mem.stats.inval_pages))
VM_STAT(vm_slot_changes, a64_load_relaxed(&vm->mem.stats.slot_changes))
VM_STAT(vm_slot_swaps, a64_load_relaxed(&vm->mem.stats.slot_swaps))
VM_STAT(vm_slot_swap_waits, a64_load_relaxed(&vm->mem.stats.slot_swap_waits))
VM_STAT(vm_splits, a64_load_relaxed(&vm->mem.stats.splits))
VM_STAT(vm_dirty_pages, a64_load_relaxed(&vm->mem.stats.dirty_pages))
VM_STAT(vm_ring_full_exits, a64_load_relaxed(&vm->mem.stats.ring_full_exits))
VM_STAT(vm_nested_loads, a64_load_relaxed(&vm->mem.stats.nested_loads))
VM_STAT(vm_nested_recycles, a64_load_relaxed(&vm->mem.stats.nested_recycles))
VM_STAT(vm_nested_unmaps, a64_load_relaxed(&vm->mem.stats.nested_unmaps))
VM_STAT(vm_gmem_faults, a64_load_relaxed(&vm->mem.stats.gmem_faults))
VM_STAT(vm_gmem_allocations, a64_load_relaxed(&vm->mem.stats.gmem_allocations))
VM_STAT(vm_gmem_punches, a64_load_relaxed(&vm->mem.stats.gmem_punches))
VM_STAT(vm_guest_tlb_syncs, a64_load_relaxed(&vm->mem.tlb.drains))
VCPU_STAT(stat_hvc, hvc_exits)
VCPU_STAT(stat_wfi, wfi_exits)
VCPU_STAT(stat_mmio, mmio_exits)
VCPU_STAT(stat_signals, signal_exits)
VCPU_STAT(stat_exits, exits)
VCPU_STAT(stat_irqs, irq_exits)
VCPU_STAT(stat_faults, s2_faults)
VCPU_STAT(stat_instructions, instructions)
VCPU_STAT(stat_wfe, wfe_exits)
VCPU_STAT(stat_mmio_kernel, mmio_handled)
VCPU_STAT(stat_halt_wakeups, halt_wakeups)
VCPU_STAT(stat_halt_ns, halt_ns)
VCPU_STAT(stat_halt_hist, halt_hist[i])
VCPU_STAT(stat_halted, halted)

static const struct stat_row vm_rows[] = {
	COUNT("remote_tlb_flush", vm_remote_flushes),
	/* KVM/arm64 flushes at every request, too: the two never differ. */
	COUNT("remote_tlb_flush_requests", vm_remote_flushes),
	COUNT("stage2_faults", vm_faults),
	COUNT("stage2_fault_retries", vm_retries),
	COUNT("stage2_maps_4k", vm_maps_4k),
	COUNT("stage2_maps_2m", vm_maps_2m),
	COUNT("stage2_maps_1g", vm_maps_1g),
	COUNT("stage2_unmaps", vm_unmaps),
	INSTANT("stage2_table_pages", KVM_STATS_UNIT_NONE, vm_table_pages),
	COUNT("stage2_relaxes", vm_relaxes),
	COUNT("host_faults", vm_host_faults),
	COUNT("shootdown_waits", vm_shootdown_waits),
	COUNT("guest_tlb_syncs", vm_guest_tlb_syncs),
	COUNT("invalidations", vm_inval_pairs),
	COUNT("invalidated_pages", vm_inval_pages),
	COUNT("slot_changes", vm_slot_changes),
	COUNT("slot_swaps", vm_slot_swaps),
	COUNT("slot_swap_waits", vm_slot_swap_waits),
	COUNT("block_splits", vm_splits),
	COUNT("dirty_pages_logged", vm_dirty_pages),
	COUNT("dirty_ring_full_exits", vm_ring_full_exits),
	COUNT("nested_loads", vm_nested_loads),
	COUNT("nested_recycles", vm_nested_recycles),
	COUNT("nested_unmaps", vm_nested_unmaps),
	COUNT("gmem_faults", vm_gmem_faults),
	COUNT("gmem_allocations", vm_gmem_allocations),
	COUNT("gmem_punches", vm_gmem_punches),
};

/* KVM's by their names, then our own. Before it sleeps a vCPU here does not poll. */
static const struct stat_row vcpu_rows[] = {
	COUNT("halt_successful_poll", NULL),
	COUNT("halt_attempted_poll", NULL),
	COUNT("halt_poll_invalid", NULL),
	COUNT("halt_wakeup", stat_halt_wakeups),
	NANOSECONDS("halt_poll_success_ns", KVM_STATS_TYPE_CUMULATIVE, 1, NULL),
	NANOSECONDS("halt_poll_fail_ns", KVM_STATS_TYPE_CUMULATIVE, 1, NULL),
	NANOSECONDS("halt_wait_ns", KVM_STATS_TYPE_CUMULATIVE, 1, stat_halt_ns),
	NANOSECONDS("halt_poll_success_hist", KVM_STATS_TYPE_LOG_HIST, VCPU_HALT_HIST, NULL),
	NANOSECONDS("halt_poll_fail_hist", KVM_STATS_TYPE_LOG_HIST, VCPU_HALT_HIST, NULL),
	NANOSECONDS("halt_wait_hist", KVM_STATS_TYPE_LOG_HIST, VCPU_HALT_HIST, stat_halt_hist),
	INSTANT("blocking", KVM_STATS_UNIT_BOOLEAN, stat_halted),
	COUNT("hvc_exit_stat", stat_hvc),
	COUNT("wfe_exit_stat", stat_wfe),
	COUNT("wfi_exit_stat", stat_wfi),
	COUNT("mmio_exit_user", stat_mmio),
	COUNT("mmio_exit_kernel", stat_mmio_kernel),
	COUNT("signal_exits", stat_signals),
	COUNT("exits", stat_exits),
	COUNT("irq_exits", stat_irqs),
	COUNT("stage2_faults", stat_faults),
	COUNT("instructions", stat_instructions),
};

#define STAT_MAX_ROWS	48
#define STAT_MAX_VALUES (STAT_MAX_ROWS + 3 * VCPU_HALT_HIST)
_Static_assert(ARRAY_SIZE(vm_rows) <= STAT_MAX_ROWS && ARRAY_SIZE(vcpu_rows) <= STAT_MAX_ROWS,
	       "STAT_MAX_ROWS");

struct stat_file {
	struct kvm_stats_header header;
	char id[STAT_NAME];
	/* descriptors, then values */
	unsigned char rest[STAT_MAX_ROWS * (sizeof(struct kvm_stats_desc) + STAT_NAME) +
			   STAT_MAX_VALUES * sizeof(u64)];
};

s64 stats_create_fd(struct vm *vm, struct vcpu *v)
{
	struct api_file what = {.kind = API_STATS, .vm = vm, .v = v};
	int fd;

	vm_get(vm);
	fd = fd_create(&what, v ? "anykvm-vcpu-stats" : "anykvm-vm-stats", true, -1);
	/* Not the last reference: the caller's file holds one. */
	if (fd < 0)
		vm_put(vm);
	return fd;
}

/* Returns the length. */
static size_t stat_file_fill(struct stat_file *out, struct api_file *f)
{
	const struct stat_row *row = f->v ? vcpu_rows : vm_rows;
	u32 nr = f->v ? ARRAY_SIZE(vcpu_rows) : ARRAY_SIZE(vm_rows), values = 0;
	size_t desc_size = sizeof(struct kvm_stats_desc) + STAT_NAME;
	unsigned char *data = out->rest + nr * desc_size;

	memset(out, 0, sizeof(*out));
	out->header = (struct kvm_stats_header){
		.name_size = STAT_NAME,
		.num_desc = nr,
		.id_offset = offsetof(struct stat_file, id),
		.desc_offset = offsetof(struct stat_file, rest),
		.data_offset = offsetof(struct stat_file, rest) + nr * desc_size,
	};
	if (f->v)
		snprintf(out->id, sizeof(out->id), "kvm-%llu/vcpu-%u",
			 (unsigned long long)f->vm->number, f->v->id);
	else
		snprintf(out->id, sizeof(out->id), "kvm-%llu", (unsigned long long)f->vm->number);
	for (u32 i = 0; i < nr; i++) {
		struct kvm_stats_desc d = {.flags = row[i].flags,
					   .exponent = row[i].exponent,
					   .size = row[i].size,
					   .offset = values * sizeof(u64)};

		memcpy(out->rest + i * desc_size, &d, sizeof(d));
		snprintf((char *)out->rest + i * desc_size + sizeof(d), STAT_NAME, "%s",
			 row[i].name);
		for (u32 k = 0; k < row[i].size; k++, values++) {
			u64 value = row[i].get ? row[i].get(f->vm, f->v, k) : 0;

			memcpy(data + values * sizeof(u64), &value, sizeof(value));
		}
	}
	return (size_t)(data - (unsigned char *)out) + values * sizeof(u64);
}

s64 stats_read(struct api_file *f, u64 user, size_t n, u64 offset)
{
	struct stat_file file;
	size_t size = stat_file_fill(&file, f);

	if (offset >= size)
		return 0;
	n = MIN(n, size - offset);
	return user_copy_out(user, (char *)&file + offset, n) ? -EFAULT : (s64)n;
}

void stats_report(struct vm *vm, struct report *r)
{
	/* Names of the vCPU rows are long in a table, and some are for KVM's sake only. */
	static const struct report_column columns[] = {
		{"vcpu", REPORT_DEC, 5},	  {"hvc", REPORT_DEC, 8},
		{"wfi", REPORT_DEC, 8},		  {"mmio", REPORT_DEC, 8},
		{"signals", REPORT_DEC, 7},	  {"exits", REPORT_DEC, 10},
		{"irqs", REPORT_DEC, 8},	  {"faults", REPORT_DEC, 8},
		{"instructions", REPORT_DEC, 14},
	};
	static u64 (*const gets[])(struct vm *, struct vcpu *, u32) = {
		stat_hvc,   stat_wfi,  stat_mmio,   stat_signals,
		stat_exits, stat_irqs, stat_faults, stat_instructions,
	};
	_Static_assert(ARRAY_SIZE(columns) == ARRAY_SIZE(gets) + 1, "a value for each column");
	/* Pairs with the release store when a vCPU is published. */
	u32 nr = a32_load_acquire(&vm->group.nr);

	report_section_begin(r, "stats", "Statistics");
	for (u32 i = 0; i < ARRAY_SIZE(vm_rows); i++)
		report_value(r, vm_rows[i].name, vm_rows[i].get(vm, NULL, 0));
	report_table_begin(r, "vcpus");
	for (u32 i = 0; i < nr; i++) {
		struct vcpu *v = aptr_load_relaxed(&vm->group.vcpu[i]);
		struct report_cell cells[ARRAY_SIZE(columns)] = {{.value = v->id}};

		for (u32 k = 0; k < ARRAY_SIZE(gets); k++)
			cells[k + 1].value = gets[k](vm, v, 0);
		report_table_row(r, columns, ARRAY_SIZE(columns), cells);
	}
	report_table_end(r);
	report_section_end(r);
}

static void stats_of_vm(struct vm *vm, struct anykvm_stats *s)
{
	const struct mem_stats *m = &vm->mem.stats;
	/* Pairs with the release store when a vCPU is published. */
	u32 nr = a32_load_acquire(&vm->group.nr);

	s->faults = a64_load_relaxed(&m->faults);
	s->fault_retries = a64_load_relaxed(&m->retries);
	s->maps_4k = a64_load_relaxed(&m->maps_4k);
	s->maps_2m = a64_load_relaxed(&m->maps_2m);
	s->maps_1g = a64_load_relaxed(&m->maps_1g);
	s->permission_relaxes = a64_load_relaxed(&m->relaxes);
	s->unmaps = a64_load_relaxed(&m->unmaps);
	s->table_pages = mem_table_pages(&vm->mem);
	s->shootdowns = a64_load_relaxed(&vm->mem.tlb.shootdowns);
	s->shootdown_waits = a64_load_relaxed(&vm->mem.tlb.waits);
	s->vcpus = nr;
	s->host_faults = a64_load_relaxed(&m->host_faults);
	s->guest_tlb_syncs = a64_load_relaxed(&vm->mem.tlb.drains);
	s->invalidations = a64_load_relaxed(&m->inval_pairs);
	s->invalidated_pages = a64_load_relaxed(&m->inval_pages);
	s->slot_changes = a64_load_relaxed(&m->slot_changes);
	s->slot_swaps = a64_load_relaxed(&m->slot_swaps);
	s->slot_swap_waits = a64_load_relaxed(&m->slot_swap_waits);
	s->block_splits = a64_load_relaxed(&m->splits);
	s->dirty_pages_logged = a64_load_relaxed(&m->dirty_pages);
	s->dirty_ring_full_exits = a64_load_relaxed(&m->ring_full_exits);
	s->nested_loads = a64_load_relaxed(&m->nested_loads);
	s->nested_recycles = a64_load_relaxed(&m->nested_recycles);
	s->nested_unmaps = a64_load_relaxed(&m->nested_unmaps);
	s->gmem_faults = a64_load_relaxed(&m->gmem_faults);
	s->gmem_allocations = a64_load_relaxed(&m->gmem_allocations);
	s->gmem_punches = a64_load_relaxed(&m->gmem_punches);
	for (u32 i = 0; i < nr; i++) {
		const struct vcpu_stats *v =
			&((struct vcpu *)aptr_load_relaxed(&vm->group.vcpu[i]))->stats;

		s->instructions += relaxed(&v->instructions);
		s->exits += relaxed(&v->exits);
		s->mmio_exits += relaxed(&v->mmio_exits);
		s->hvc_exits += relaxed(&v->hvc_exits);
		s->wfi_exits += relaxed(&v->wfi_exits);
		s->irq_exits += relaxed(&v->irq_exits);
		s->signal_exits += relaxed(&v->signal_exits);
	}
}

int anykvm_stats(int fd, struct anykvm_stats *stats, size_t size)
{
	struct anykvm_stats s = {0};
	struct api_file *f;
	struct file *file;
	int r = 0;

	library_enter();
	file = api_role() == API_OWNER ? fd_get(fd, false) : NULL;
	if (!file) {
		library_exit();
		errno = EBADF;
		return -1;
	}
	f = api_file_of(file);
	if (f->vm)
		stats_of_vm(f->vm, &s);
	else
		r = -EINVAL;
	file_put(file);
	if (!r && user_copy_out((uintptr_t)stats, &s, MIN(size, sizeof(s))))
		r = -EFAULT;
	for (size_t i = sizeof(s); !r && i < size; i++)
		r = user_copy_out((uintptr_t)stats + i, "", 1);
	library_exit();
	return api_result(r);
}
