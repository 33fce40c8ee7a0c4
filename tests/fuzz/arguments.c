/* SPDX-License-Identifier: MIT */
/*
 * Arguments of requests. What a request needs to get anywhere is a line of a table here; with nonsense alone few would be granted.
 * A line may still be refused: values are drawn from what is near, on both sides of what is right.
 */
#include "sequence.h"

#define MOST_REGS 2048

static uint64_t reg_id[MOST_REGS];
static unsigned nr_regs;

void arguments_init(int vcpu)
{
	struct kvm_reg_list *list = calloc(1, sizeof(*list) + sizeof(reg_id));

	list->n = MOST_REGS;
	FUZZ_EXPECT(!ioctl(vcpu, KVM_GET_REG_LIST, list));
	nr_regs = list->n;
	memcpy(reg_id, list->reg, nr_regs * sizeof(reg_id[0]));
	free(list);
}

uint64_t take_page(struct sequence *s)
{
	return (uintptr_t)fuzz_arena + below(&s->in, ARENA_SIZE / PAGE) * PAGE;
}

int take_fd(struct sequence *s, unsigned kind)
{
	unsigned at = below(&s->in, NR_FDS);

	for (unsigned i = 0; i < NR_FDS; i++)
		if (s->entry[(at + i) % NR_FDS].kind == kind)
			return s->entry[(at + i) % NR_FDS].fd;
	return -1;
}

uint64_t take_word(struct sequence *s)
{
	struct bytes *in = &s->in;

	switch (below(in, 13)) {
	case 0:
		return take(in, 8);
	case 1:
		return 1ull << below(in, 40);
	case 2:
		return take_page(s);
	case 3:
		return RAM + below(in, 64) * PAGE;
	case 4:
		return below(in, 64) * PAGE;
	case 5:
		return (uintptr_t)fuzz_argument + ARGUMENT - below(in, 16);
	case 6:
		return ~0ull << below(in, 64);
	case 7: /* two small halves */
		return (uint64_t)below(in, 16) << 32 | below(in, 32);
	case 8: /* a descriptor of this program's */
		return s->entry[below(in, NR_FDS)].fd;
	case 9: /* a register */
		return KVM_REG_ARM64 | KVM_REG_SIZE_U64 | (uint64_t)(0x10 + below(in, 7)) << 16 |
		       take(in, 2);
	case 10:
		return (uintptr_t)fuzz_scratch + below(in, 64) * 8;
	default:
		return below(in, 16);
	}
}

/* In the scratch memory: nr words. */
static uint64_t scratch_words(struct sequence *s, unsigned nr)
{
	uint64_t at = (uintptr_t)fuzz_scratch + below(&s->in, 64) * 64;

	for (unsigned i = 0; i < nr; i++) {
		uint64_t word = take_word(s);

		memcpy((void *)(at + 8 * i), &word, 8);
	}
	return at;
}

/* What an argument points at, if it is a good one: now and then it is not. */
static uint64_t pointer_to(struct sequence *s, uint64_t good)
{
	switch (below(&s->in, 32)) {
	case 0:
		return 0;
	case 1:
		return ~0ull << below(&s->in, 20);
	case 2:
		return (uintptr_t)fuzz_argument + ARGUMENT - below(&s->in, 16);
	case 3:
		return take_page(s);
	default:
		return good;
	}
}

/* At a number in the scratch memory. */
static uint64_t scratch_value(struct sequence *s, uint64_t value)
{
	uint64_t at = scratch_words(s, 0);

	memcpy((void *)at, &value, 8);
	return pointer_to(s, at);
}

#define PUT(at, type, ...) memcpy(at, &(type){__VA_ARGS__}, sizeof(type))

/* --- memory -------------------------------------------------------------------------------------------------------------- */

static void make_region(struct sequence *s, unsigned char *at)
{
	PUT(at, struct kvm_userspace_memory_region, .slot = below(&s->in, 6),
	    .flags = below(&s->in, 4), .guest_phys_addr = RAM + below(&s->in, 16) * ARENA_SIZE / 8,
	    .memory_size = below(&s->in, 4) ? PAGE << below(&s->in, 10) : 0,
	    .userspace_addr = take_page(s));
}

static void make_region2(struct sequence *s, unsigned char *at)
{
	PUT(at, struct kvm_userspace_memory_region2, .slot = below(&s->in, 6),
	    .flags = below(&s->in, 8) & below(&s->in, 8),
	    .guest_phys_addr = RAM + ARENA_SIZE + below(&s->in, 16) * ARENA_SIZE / 16,
	    .memory_size = below(&s->in, 4) ? PAGE << below(&s->in, 6) : 0,
	    .userspace_addr = take_page(s), .guest_memfd_offset = below(&s->in, 4) * PAGE,
	    .guest_memfd = take_fd(s, API_GMEM));
}

static void make_gmem(struct sequence *s, unsigned char *at)
{
	PUT(at, struct kvm_create_guest_memfd, .size = below(&s->in, 64) * PAGE,
	    .flags = below(&s->in, 4));
}

static void make_attributes(struct sequence *s, unsigned char *at)
{
	PUT(at, struct kvm_memory_attributes, .address = RAM + below(&s->in, 64) * PAGE,
	    .size = below(&s->in, 64) * PAGE, .attributes = below(&s->in, 2) * 8);
}

static void make_dirty_log(struct sequence *s, unsigned char *at)
{
	PUT(at, struct kvm_dirty_log, .slot = below(&s->in, 6),
	    .padding2 = pointer_to(s, scratch_words(s, 0)));
}

static void make_clear(struct sequence *s, unsigned char *at)
{
	PUT(at, struct kvm_clear_dirty_log, .slot = below(&s->in, 6),
	    .num_pages = below(&s->in, 9) * 64, .first_page = below(&s->in, 4) * 64,
	    .padding2 = pointer_to(s, scratch_words(s, 4)));
}

static void make_pre_fault(struct sequence *s, unsigned char *at)
{
	PUT(at, struct kvm_pre_fault_memory, .gpa = RAM + below(&s->in, 64) * PAGE,
	    .size = below(&s->in, 64) * PAGE);
}

/* --- interrupts and devices ------------------------------------------------------------------------------------------------ */

static void make_device(struct sequence *s, unsigned char *at)
{
	PUT(at, struct kvm_create_device, .type = 4 + below(&s->in, 5), .flags = !below(&s->in, 8));
}

static void make_irq_line(struct sequence *s, unsigned char *at)
{
	uint32_t type = below(&s->in, 4), vcpu = below(&s->in, 4), id = below(&s->in, 96);

	PUT(at, struct kvm_irq_level, .irq = type << 24 | vcpu << 16 | id,
	    .level = below(&s->in, 2));
}

#define MOST_ROUTES 6

static void make_routing(struct sequence *s, unsigned char *at)
{
	struct kvm_irq_routing_entry e;
	unsigned nr = below(&s->in, MOST_ROUTES + 1);

	PUT(at, struct kvm_irq_routing, .nr = nr);
	for (unsigned i = 0; i < nr; i++) {
		e = (struct kvm_irq_routing_entry){.gsi = below(&s->in, 64)};
		if (below(&s->in, 2)) {
			e.type = KVM_IRQ_ROUTING_IRQCHIP;
			e.u.irqchip.pin = below(&s->in, 64);
		} else {
			e.type = KVM_IRQ_ROUTING_MSI;
			e.flags = below(&s->in, 8) ? KVM_MSI_VALID_DEVID : 0;
			e.u.msi.address_lo = GIC_ITS + 0x10040;
			e.u.msi.data = below(&s->in, 8);
			e.u.msi.devid = below(&s->in, 4);
		}
		memcpy(at + sizeof(struct kvm_irq_routing) + i * sizeof(e), &e, sizeof(e));
	}
}

static void make_irqfd(struct sequence *s, unsigned char *at)
{
	PUT(at, struct kvm_irqfd, .fd = take_fd(s, KIND_EVENT), .gsi = below(&s->in, 64),
	    .flags = below(&s->in, 8) ? below(&s->in, 2) * 2 : below(&s->in, 4),
	    .resamplefd = take_fd(s, KIND_EVENT));
}

static void make_ioeventfd(struct sequence *s, unsigned char *at)
{
	unsigned len = below(&s->in, 5);

	PUT(at, struct kvm_ioeventfd, .addr = DEVICE + below(&s->in, 8) * 4,
	    .len = len ? 1u << (len - 1) : 0, .fd = take_fd(s, KIND_EVENT),
	    .datamatch = below(&s->in, 2),
	    .flags = below(&s->in, 3) ? below(&s->in, 4) : below(&s->in, 16));
}

static void make_msi(struct sequence *s, unsigned char *at)
{
	PUT(at, struct kvm_msi, .address_lo = GIC_ITS + 0x10040, .data = below(&s->in, 8),
	    .flags = below(&s->in, 8) ? KVM_MSI_VALID_DEVID : 0, .devid = below(&s->in, 4));
}

static void make_zone(struct sequence *s, unsigned char *at)
{
	PUT(at, struct kvm_coalesced_mmio_zone, .addr = DEVICE + below(&s->in, 4) * 8,
	    .size = below(&s->in, 32), .pio = !below(&s->in, 8));
}

static void make_device_addr(struct sequence *s, unsigned char *at)
{
	PUT(at, struct kvm_arm_device_addr, .id = below(&s->in, 3),
	    .addr = below(&s->in, 2) ? GIC_DIST : GIC_DIST + below(&s->in, 64) * 0x10000);
}

static void make_counter(struct sequence *s, unsigned char *at)
{
	PUT(at, struct kvm_arm_counter_offset, .counter_offset = take_word(s));
}

static const uint16_t caps[] = {KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
				KVM_CAP_DIRTY_LOG_RING_ACQ_REL,
				KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP,
				KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE,
				KVM_CAP_HALT_POLL,
				KVM_CAP_ARM_NISV_TO_USER,
				KVM_CAP_ARM_SYSTEM_SUSPEND,
				KVM_CAP_ARM_WRITABLE_IMP_ID_REGS};

static void make_cap(struct sequence *s, unsigned char *at)
{
	unsigned nr = sizeof(caps) / sizeof(caps[0]), n = below(&s->in, nr + 1);

	PUT(at, struct kvm_enable_cap, .cap = n < nr ? caps[n] : below(&s->in, 256),
	    .args = {below(&s->in, 2) ? below(&s->in, 4) : PAGE << below(&s->in, 18)});
}

/* --- attributes ---------------------------------------------------------------------------------------------------------- */

static void make_vm_attr(struct sequence *s, unsigned char *at)
{
	struct kvm_smccc_filter f = {.base = 0xc4000000 + below(&s->in, 64),
				     .nr_functions = below(&s->in, 64),
				     .action = below(&s->in, 4)};
	uint64_t to = scratch_words(s, 0);

	memcpy((void *)to, &f, sizeof(f));
	PUT(at, struct kvm_device_attr, .attr = !below(&s->in, 8), .addr = pointer_to(s, to));
}

static void make_vcpu_attr(struct sequence *s, unsigned char *at)
{
	unsigned group = below(&s->in, 4), form = below(&s->in, 4);
	uint64_t value = form == 0   ? below(&s->in, 48)
			 : form == 1 ? RAM + below(&s->in, 64) * 64
			 : form == 2 ? (uint64_t)below(&s->in, 2) << 32 | below(&s->in, 8) << 16 |
					       below(&s->in, 64)
				     : take_word(s);

	PUT(at, struct kvm_device_attr, .group = group, .attr = below(&s->in, 6),
	    .addr = scratch_value(s, value));
}

/* Offsets of registers by group, and what they may hold. */
static void make_gic_attr(struct sequence *s, unsigned char *at)
{
	static const uint16_t its[] = {0x0, 0x4, 0x8, 0x80, 0x88, 0x90, 0x100, 0x108};
	static const uint16_t dist[] = {0x0,   0x4,   0x8,   0x80,  0x100, 0x180,  0x200, 0x280,
					0x300, 0x380, 0x400, 0x800, 0xc00, 0x6000, 0xffe8};
	static const uint16_t cpu[] = {0xc230, 0xc662, 0xc663, 0xc664, 0xc665,
				       0xc667, 0xc640, 0xc643, 0xc648};
	unsigned group = below(&s->in, 10), attr = below(&s->in, 6);
	uint64_t cpu_bits = (uint64_t)below(&s->in, 4) << 32, offset = attr, value = take_word(s);

	switch (group) {
	case KVM_DEV_ARM_VGIC_GRP_ADDR:
		value = below(&s->in, 8) ? GIC_DIST + below(&s->in, 32) * 0x10000
					 : 1ull << 52 | GIC_REDIST | below(&s->in, 4);
		break;
	case KVM_DEV_ARM_VGIC_GRP_NR_IRQS:
		value = below(&s->in, 34) * 32;
		break;
	case KVM_DEV_ARM_VGIC_GRP_DIST_REGS:
	case KVM_DEV_ARM_VGIC_GRP_REDIST_REGS:
		offset = cpu_bits |
			 (dist[below(&s->in, sizeof(dist) / 2)] + 4 * attr +
			  (group == KVM_DEV_ARM_VGIC_GRP_REDIST_REGS && attr & 1) * 0x10000);
		break;
	case KVM_DEV_ARM_VGIC_GRP_CPU_REGS:
	case KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS:
		offset = cpu_bits | cpu[below(&s->in, sizeof(cpu) / 2)];
		break;
	case KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO:
		offset = cpu_bits | below(&s->in, 4) * 32;
		break;
	case KVM_DEV_ARM_VGIC_GRP_ITS_REGS:
		offset = its[below(&s->in, sizeof(its) / 2)];
		break;
	default:
		break;
	}
	PUT(at, struct kvm_device_attr, .group = group, .attr = offset,
	    .addr = scratch_value(s, value));
}

/* --- vCPUs ----------------------------------------------------------------------------------------------------------------- */

static void make_init(struct sequence *s, unsigned char *at)
{
	/* off at first, PSCI, PMU, pointer authentication */
	static const uint8_t offered[] = {0, 4, 4, 5, 0xc, 0x64, 0x6c};
	unsigned n = below(&s->in, sizeof(offered) + 1);

	PUT(at, struct kvm_vcpu_init, .target = KVM_ARM_TARGET_GENERIC_V8,
	    .features = {n < sizeof(offered) ? offered[n] : take(&s->in, 1)});
}

static void make_one_reg(struct sequence *s, unsigned char *at)
{
	uint64_t id =
		reg_id[below(&s->in, nr_regs)] ^ (below(&s->in, 8) ? 0 : 1ull << below(&s->in, 20));

	PUT(at, struct kvm_one_reg, .id = id, .addr = pointer_to(s, scratch_words(s, 2)));
}

static void make_reg_list(struct sequence *s, unsigned char *at)
{
	PUT(at, uint64_t, below(&s->in, 4) ? nr_regs : below(&s->in, 16));
}

static void make_mp_state(struct sequence *s, unsigned char *at)
{
	PUT(at, struct kvm_mp_state, .mp_state = below(&s->in, 11));
}

static void make_events(struct sequence *s, unsigned char *at)
{
	PUT(at, struct kvm_vcpu_events,
	    .exception = {.serror_pending = below(&s->in, 2),
			  .serror_has_esr = !below(&s->in, 4),
			  .ext_dabt_pending = !below(&s->in, 4),
			  .serror_esr = below(&s->in, 2) ? take(&s->in, 3) : take_word(s)});
}

static void make_debug(struct sequence *s, unsigned char *at)
{
	struct kvm_guest_debug dbg = {.control = below(&s->in, 4) | (below(&s->in, 4) << 16)};

	for (unsigned i = 0; i < 2; i++) {
		dbg.arch.dbg_bvr[i] = RAM + below(&s->in, 512) * 4;
		dbg.arch.dbg_bcr[i] = below(&s->in, 2) ? 0x1e5 : take(&s->in, 3);
		dbg.arch.dbg_wvr[i] = RAM + below(&s->in, 512) * 8;
		dbg.arch.dbg_wcr[i] = below(&s->in, 2) ? 0x1ffd : take(&s->in, 4);
	}
	memcpy(at, &dbg, sizeof(dbg));
}

/* Any, but for the signal without which a guest may run for ever. */
static void make_sigmask(struct sequence *s, unsigned char *at)
{
	uint64_t mask = take_word(s) & ~(1ull << (ALARM_SIGNAL - 1));

	PUT(at, struct kvm_signal_mask, .len = below(&s->in, 8) ? 8 : below(&s->in, 16));
	memcpy(at + sizeof(struct kvm_signal_mask), &mask, sizeof(mask));
}

static void make_masks(struct sequence *s, unsigned char *at)
{
	PUT(at, struct reg_mask_range, .addr = pointer_to(s, scratch_words(s, 0)),
	    .range = !below(&s->in, 8));
}

/* --- the table --------------------------------------------------------------------------------------------------------------- */

static const struct maker {
	uint8_t kind;
	bool always;   /* nonsense in its place would do harm to the program */
	uint16_t tail; /* what the argument has behind the size in its number */
	uint32_t request;
	void (*make)(struct sequence *s, unsigned char *at);
} makers[] = {
	{API_VM, false, 0, KVM_SET_USER_MEMORY_REGION, make_region},
	{API_VM, false, 0, KVM_SET_USER_MEMORY_REGION2, make_region2},
	{API_VM, false, 0, KVM_CREATE_GUEST_MEMFD, make_gmem},
	{API_VM, false, 0, KVM_SET_MEMORY_ATTRIBUTES, make_attributes},
	{API_VM, false, 0, KVM_GET_DIRTY_LOG, make_dirty_log},
	{API_VM, false, 0, KVM_CLEAR_DIRTY_LOG, make_clear},
	{API_VM, false, 0, KVM_CREATE_DEVICE, make_device},
	{API_VM, false, 0, KVM_IRQ_LINE, make_irq_line},
	{API_VM, false, 0, KVM_IRQ_LINE_STATUS, make_irq_line},
	{API_VM, false, MOST_ROUTES * sizeof(struct kvm_irq_routing_entry), KVM_SET_GSI_ROUTING,
	 make_routing},
	{API_VM, false, 0, KVM_IRQFD, make_irqfd},
	{API_VM, false, 0, KVM_IOEVENTFD, make_ioeventfd},
	{API_VM, false, 0, KVM_SIGNAL_MSI, make_msi},
	{API_VM, false, 0, KVM_REGISTER_COALESCED_MMIO, make_zone},
	{API_VM, false, 0, KVM_UNREGISTER_COALESCED_MMIO, make_zone},
	{API_VM, false, 0, KVM_ARM_SET_DEVICE_ADDR, make_device_addr},
	{API_VM, false, 0, KVM_ARM_SET_COUNTER_OFFSET, make_counter},
	{API_VM, false, 0, KVM_ENABLE_CAP, make_cap},
	{API_VM, false, 0, KVM_SET_DEVICE_ATTR, make_vm_attr},
	{API_VM, false, 0, KVM_HAS_DEVICE_ATTR, make_vm_attr},
	{API_VM, false, 0, KVM_ARM_GET_REG_WRITABLE_MASKS, make_masks},
	{API_VCPU, false, 0, KVM_PRE_FAULT_MEMORY, make_pre_fault},
	{API_VCPU, false, 0, KVM_ARM_VCPU_INIT, make_init},
	{API_VCPU, false, 0, KVM_GET_ONE_REG, make_one_reg},
	{API_VCPU, false, 0, KVM_SET_ONE_REG, make_one_reg},
	{API_VCPU, false, 8 * MOST_REGS / 4, KVM_GET_REG_LIST, make_reg_list},
	{API_VCPU, false, 0, KVM_SET_MP_STATE, make_mp_state},
	{API_VCPU, false, 0, KVM_SET_VCPU_EVENTS, make_events},
	{API_VCPU, false, 0, KVM_SET_GUEST_DEBUG, make_debug},
	{API_VCPU, true, 8, KVM_SET_SIGNAL_MASK, make_sigmask},
	{API_VCPU, false, 0, KVM_SET_DEVICE_ATTR, make_vcpu_attr},
	{API_VCPU, false, 0, KVM_GET_DEVICE_ATTR, make_vcpu_attr},
	{API_VCPU, false, 0, KVM_HAS_DEVICE_ATTR, make_vcpu_attr},
	{API_DEVICE, false, 0, KVM_SET_DEVICE_ATTR, make_gic_attr},
	{API_DEVICE, false, 0, KVM_GET_DEVICE_ATTR, make_gic_attr},
	{API_DEVICE, false, 0, KVM_HAS_DEVICE_ATTR, make_gic_attr},
};

static const struct maker *find_maker(unsigned kind, uint32_t request)
{
	for (unsigned i = 0; i < sizeof(makers) / sizeof(makers[0]); i++)
		if (makers[i].kind == kind && makers[i].request == request)
			return &makers[i];
	return NULL;
}

unsigned long make_argument(struct sequence *s, unsigned kind, uint32_t request)
{
	const struct maker *m = find_maker(kind, request);
	unsigned form = below(&s->in, 32),
		 size = (_IOC_SIZE(request) + (m ? m->tail : 0) + 7) / 8 * 8;
	unsigned char *at = fuzz_argument + ARGUMENT - size;

	if (form == 30)
		return 0;
	if (!size)
		return form & 7 ? 0 : form & 8 ? below(&s->in, 256) : take(&s->in, 2);
	memset(at, 0, size);
	if (m && (m->always || form >= 4)) {
		m->make(s, at);
	} else {
		for (unsigned i = form & 1 ? size / 16 : 0; i < size / 8 && i < 16; i++)
			((uint64_t *)at)[i] = take_word(s);
	}
	if (form == 31)
		at += 8; /* reaches into what cannot be read */
	return (uintptr_t)at;
}
