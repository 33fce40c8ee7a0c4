/* SPDX-License-Identifier: MIT */
/*
 * MSIs, which take no lock but their target's, against all that ends or moves what they were translated to. Guests' accesses are those
 * of the run loop (irq_mmio_write): which lock a request takes before it is here shows nothing.
 */
#include <errno.h>

#include "explore/kvm/kit.h"
#include "explore/kvm/scenarios/scenarios.h"
#include "irq/gic_frame.h"
#include "irq/irq.h"
#include "irq/its.h"

#define GICD 0x08000000ull
#define ITS  0x08080000ull
#define GICR 0x080a0000ull

/* Tables, each at the beginning of 64 KiB of which a page is there. */
#define PROP	 0x10000ull
#define PEND	 0x20000ull
#define DEVTAB	 0x30000ull
#define COLTAB	 0x40000ull
#define QUEUE	 0x50000ull
#define ITT	 (QUEUE + 0x800)
#define NR_PAGES 5

#define VALID  BIT(63)
#define DEVICE 1u
#define EVENT  1u
#define LPI    8192u

#define COMMAND_CLEAR	0x04
#define COMMAND_MAPD	0x08
#define COMMAND_MAPC	0x09
#define COMMAND_MAPTI	0x0a
#define COMMAND_DISCARD 0x0f

static int vm, vcpu[2], gic, its_fd;
static void *page[NR_PAGES];
static struct vm_irq *vi;
static struct vcpu *cpu[2];
static uint64_t end; /* of the queue */
static int raised;

static int set(int fd, uint32_t group, uint64_t attr, uint64_t value)
{
	struct kvm_device_attr a = {.group = group, .attr = attr, .addr = (uintptr_t)&value};

	return kit_call(fd, KVM_SET_DEVICE_ATTR, (uintptr_t)&a);
}

static int device(uint32_t type)
{
	struct kvm_create_device cd = {.type = type};

	explore_check(!kit_call(vm, KVM_CREATE_DEVICE, (uintptr_t)&cd));
	return cd.fd;
}

static void write_as(struct vcpu *v, uint64_t addr, unsigned size, uint64_t value)
{
	explore_check(!irq_mmio_write(vi, v, addr, size, value));
}

static void queue(uint64_t w0, uint64_t w1, uint64_t w2)
{
	uint64_t *at = (uint64_t *)((char *)page[4] + end);

	at[0] = w0;
	at[1] = w1;
	at[2] = w2;
	end += ITS_COMMAND_SIZE;
}

static void go(struct vcpu *v)
{
	write_as(v, ITS + 0x88, 8, end);
}

static void discard(uint32_t event)
{
	queue(COMMAND_DISCARD | (uint64_t)DEVICE << 32, event, 0);
}

static void mapti(uint32_t event, uint32_t lpi)
{
	queue(COMMAND_MAPTI | (uint64_t)DEVICE << 32, event | (uint64_t)lpi << 32, 0);
}

static int send(uint32_t event)
{
	struct kvm_msi k = {.address_lo = ITS + 0x10040,
			    .data = event,
			    .flags = KVM_MSI_VALID_DEVID,
			    .devid = DEVICE};

	return irq_signal_msi(vi, &k);
}

static void msi(void)
{
	explore_step("KVM_SIGNAL_MSI of event 1");
	raised = send(EVENT);
}

static struct gic_irq *lpi_irq(void)
{
	struct gic_lpi *lpi = lpi_find(vi, LPI);

	explore_check(lpi);
	return &lpi->irq;
}

/* Whether the LPI is pending, and as it should: a candidate of its home, and of nobody else. */
static bool pending(void)
{
	struct gic_irq *irq = lpi_irq();
	struct irq_cpu *home = aptr_load_relaxed(&irq->home);
	u32 candidates = 0;

	for (unsigned i = 0; i < 2; i++) {
		struct list *l = &irq_cpu_of(cpu[i])->candidate_lpis[0xa0 >> 3];
		struct gic_lpi *lpi;

		list_for_each(lpi, l, candidate)
		{
			explore_check(&lpi->irq == irq && home == irq_cpu_of(cpu[i]));
			candidates++;
		}
	}
	explore_check(candidates == (irq->pending_latch && irq->enabled));
	return irq->pending_latch;
}

/* Two vCPUs, collections 0 and 1; event 1 of device 1 is LPI 8192 at collection 0. */
static void machine_with_its(void)
{
	end = 0;
	vm = kit_vm();
	for (unsigned i = 0; i < 2; i++) {
		vcpu[i] = kit_vcpu(vm, i);
		cpu[i] = kit_vcpu_of(vcpu[i]);
	}
	vi = &kit_vm_of(vm)->irq;
	for (unsigned i = 0; i < NR_PAGES; i++) {
		page[i] = kit_memory(1);
		explore_check(!kit_slot(vm, i, PROP + i * 0x10000ull, 1, page[i], 0));
	}
	gic = device(KVM_DEV_TYPE_ARM_VGIC_V3);
	its_fd = device(KVM_DEV_TYPE_ARM_VGIC_ITS);
	explore_check(!set(gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, GICD));
	explore_check(!set(gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, GICR));
	explore_check(!set(gic, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0));
	explore_check(!set(its_fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_ITS_ADDR_TYPE, ITS));
	*(uint8_t *)page[0] = 0xa1;
	write_as(cpu[0], GICR + 0x70, 8, PROP | 15);
	for (unsigned i = 0; i < 2; i++) {
		write_as(cpu[i], GICR + i * GIC_REDIST_SIZE + 0x78, 8, PEND | GICR_PENDBASER_PTZ);
		write_as(cpu[i], GICR + i * GIC_REDIST_SIZE, 4, 1);
	}
	write_as(cpu[0], ITS + 0x100, 8, VALID | DEVTAB);
	write_as(cpu[0], ITS + 0x108, 8, VALID | COLTAB);
	write_as(cpu[0], ITS + 0x80, 8, VALID | QUEUE);
	write_as(cpu[0], ITS, 4, 1);
	queue(COMMAND_MAPC, 0, VALID | 0);
	queue(COMMAND_MAPC, 0, VALID | 1 << 16 | 1);
	queue(COMMAND_MAPD | (uint64_t)DEVICE << 32, 4, VALID | ITT);
	mapti(EVENT, LPI);
	go(cpu[0]);
}

/* So that the next MSI takes no lock but the target's. */
static void setup_cached(void)
{
	machine_with_its();
	msi();
	explore_check(raised == 1 && pending());
	queue(COMMAND_CLEAR | (uint64_t)DEVICE << 32, EVENT, 0);
	go(cpu[0]);
	explore_check(!pending());
}

static void close_machine(void)
{
	kit_close(its_fd);
	kit_close(gic);
	kit_close(vcpu[1]);
	kit_close(vcpu[0]);
	kit_close(vm);
	for (unsigned i = 0; i < NR_PAGES; i++)
		kit_free(page[i], 1);
}

/* --- the translation ends, and its LPI is another event's --- */

static void discard_and_map(void)
{
	explore_step("DISCARD of event 1, MAPTI of event 2 to its LPI");
	discard(EVENT);
	mapti(EVENT + 1, LPI);
	go(cpu[0]);
}

/* Event 1 was raised before its end, which undid it, or not at all; nor will it be. */
static void check_event_is_gone(void)
{
	explore_check(raised == 0 || raised == 1);
	explore_check(!pending());
	explore_check(!send(EVENT) && !pending());
}

static void finish_discard(void)
{
	check_event_is_gone();
	explore_check(send(EVENT + 1) == 1 && pending());
	close_machine();
}

const struct explore_scenario scenario_its_msi_and_discard = {
	.name = "its-msi-and-discard",
	.summary = "an MSI, translated by the cache, against the end of its translation; the LPI "
		   "goes to another event",
	.property = "what a translation raised is undone when it ends; nothing is raised through "
		    "one that ended",
	.source = "KVM: vgic-its: the translation cache's invalidation, 2019 and 2024",
	.mutants = "irq-lpi-raised-by-what-was-read,irq-its-cache-survives-discard",
	.setup = setup_cached,
	.thread = {{"MSI", msi}, {"guest", discard_and_map}},
	.finish = finish_discard,
};

/* --- the device goes while it is looked at --- */

static void unmap_device(void)
{
	explore_step("MAPD, not valid; MAPD, valid; MAPTI of event 2 to the LPI");
	queue(COMMAND_MAPD | (uint64_t)DEVICE << 32, 0, 0);
	queue(COMMAND_MAPD | (uint64_t)DEVICE << 32, 4, VALID | ITT);
	mapti(EVENT + 1, LPI);
	go(cpu[0]);
}

const struct explore_scenario scenario_its_msi_and_mapd = {
	.name = "its-msi-and-mapd",
	.summary = "the first MSI of an event, which the cache does not know, against the end of "
		   "its device",
	.property = "translations are freed when nobody looks at them; none is remembered after "
		    "its end",
	.source = "KVM: vgic-its: lifetimes of ITTs, 2016; its_lock against injection",
	.mutants = "irq-its-translates-without-its-lock,irq-its-remembers-late",
	.setup = machine_with_its,
	.thread = {{"MSI", msi}, {"guest", unmap_device}},
	.finish = finish_discard,
};

/* --- all of it goes --- */

static int reset;

static void reset_its(void)
{
	explore_step("KVM_DEV_ARM_ITS_CTRL_RESET");
	reset = set(its_fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_ITS_CTRL_RESET, 0);
}

static void finish_reset(void)
{
	explore_check(!reset);
	explore_check(raised == 1 || raised == -EBUSY);
	explore_check(!pending());
	explore_check(send(EVENT) == -EBUSY && !pending());
	close_machine();
}

const struct explore_scenario scenario_its_msi_and_reset = {
	.name = "its-msi-and-reset",
	.summary = "an MSI, translated by the cache, while user space resets the ITS",
	.property = "nothing is pending, and nothing raised, once an ITS was reset",
	.source = "KVM: vgic_its_reset() and the translation cache",
	.mutants = "irq-lpi-unmapped-stays-pending",
	.setup = setup_cached,
	.thread = {{"MSI", msi}, {"reset", reset_its}},
	.finish = finish_reset,
};

static void msi_request(void)
{
	struct kvm_msi k = {.address_lo = ITS + 0x10040,
			    .data = EVENT,
			    .flags = KVM_MSI_VALID_DEVID,
			    .devid = DEVICE};

	explore_step("KVM_SIGNAL_MSI of event 1");
	raised = kit_call(vm, KVM_SIGNAL_MSI, (uintptr_t)&k);
}

static void close_files(void)
{
	explore_step("close of all descriptors of the machine");
	kit_close(its_fd);
	kit_close(gic);
	kit_close(vcpu[1]);
	kit_close(vcpu[0]);
	kit_close(vm);
}

static void finish_close(void)
{
	explore_check(raised == 1 || raised == -EBADF || raised == -ENOTTY);
	for (unsigned i = 0; i < NR_PAGES; i++)
		kit_free(page[i], 1);
}

const struct explore_scenario scenario_its_msi_and_close = {
	.name = "its-msi-and-close",
	.summary = "an MSI while all descriptors of the machine are closed",
	.property = "an ITS lives as long as a request that may use it, and no longer",
	.source = "KVM: kvm_vgic_destroy() and vgic_its_destroy(): who frees the ITS, when",
	.mutants = "irq-its-freed-with-its-device",
	.setup = setup_cached,
	.thread = {{"MSI", msi_request}, {"close", close_files}},
	.finish = finish_close,
};

/* --- LPIs go off --- */

static void lpis_off(void)
{
	explore_step("LPIs of vCPU 0 off");
	write_as(cpu[0], GICR, 4, 0);
}

static void finish_lpis_off(void)
{
	explore_check(raised == 1 || raised == -EBUSY);
	explore_check(!pending());
	explore_check(send(EVENT) == -EBUSY && !pending());
	close_machine();
}

const struct explore_scenario scenario_its_msi_and_lpis_off = {
	.name = "its-msi-and-lpis-off",
	.summary = "an MSI, translated by the cache, while its vCPU turns LPIs off",
	.property = "what was pending when LPIs go off is dropped, and nothing comes after",
	.source = "KVM: vgic_flush_pending_lpis() and the translation cache",
	.mutants = "irq-lpis-cleared-before-they-are-off,irq-lpis-go-off-without-the-lock",
	.setup = setup_cached,
	.thread = {{"MSI", msi}, {"guest", lpis_off}},
	.finish = finish_lpis_off,
};

static void its_off_lpis_on(void)
{
	explore_step("ITS off; LPIs of vCPU 0 off, and on with an empty table");
	write_as(cpu[0], ITS, 4, 0);
	write_as(cpu[0], GICR, 4, 0);
	write_as(cpu[0], GICR, 4, 1);
}

const struct explore_scenario scenario_its_msi_and_lpis_on = {
	.name = "its-msi-and-lpis-on",
	.summary = "an MSI, translated by the cache, while the ITS goes off and its vCPU turns "
		   "LPIs off and on",
	.property = "an MSI that began while the ITS was on is over when LPIs go off: it is not "
		    "pending when they are on again",
	.source = "KVM: vgic_flush_pending_lpis() and the translation cache",
	.mutants = "irq-lpi-raised-by-what-was-read",
	.setup = setup_cached,
	.thread = {{"MSI", msi}, {"guest", its_off_lpis_on}},
	.finish = finish_lpis_off,
};

/* --- the LPI moves --- */

static u32 taken;

static void move(void)
{
	explore_step("MAPC: collection 0 is vCPU 1");
	queue(COMMAND_MAPC, 0, VALID | 1 << 16 | 0);
	go(cpu[1]);
}

static void take(void)
{
	explore_step("vCPU 0 reads ICC_IAR1_EL1");
	taken = gic_cpu_acknowledge(irq_cpu_of(cpu[0]), 2);
}

static void setup_move(void)
{
	setup_cached();
	gic_dist_enable(vi, true);
	for (unsigned i = 0; i < 2; i++) {
		irq_cpu_of(cpu[i])->pmr = 0xff;
		irq_cpu_of(cpu[i])->grpen1 = true;
	}
}

static void finish_move(void)
{
	struct irq_cpu *to = irq_cpu_of(cpu[1]);

	explore_check(raised == 1);
	explore_check(taken == LPI || taken == GIC_SPURIOUS);
	explore_check(aptr_load_relaxed(&lpi_irq()->home) == to);
	/* It was taken once, or will be: by its new vCPU, which is told. */
	explore_check(pending() == (taken == GIC_SPURIOUS));
	explore_check(to->signalled == (taken == GIC_SPURIOUS));
	close_machine();
}

const struct explore_scenario scenario_its_msi_and_move = {
	.name = "its-msi-and-move",
	.summary = "an MSI while its LPI moves to another vCPU and the old one takes what it finds",
	.property = "an MSI that was accepted is taken once, or signalled to the vCPU where its "
		    "LPI is",
	.source = "G-GIC-A, G-GIC-B; KVM: vgic_queue_irq_unlock() and its retries",
	.mutants = "irq-lock-does-not-look-again,irq-move-published-before-it-left",
	.setup = setup_move,
	.thread = {{"MSI", msi}, {"guest", move}, {"vCPU 0", take}},
	.finish = finish_move,
};

/* --- a queue in slices, and who polls it --- */

static uint64_t polled;

/* A full dirty ring ends each slice after a command. */
static void write_queue(void)
{
	explore_step("vCPU 0 writes GITS_CWRITER, and does the rest in its run loop");
	go(cpu[0]);
	while (its_work(vi, cpu[0]))
		;
}

static void poll_queue(void)
{
	explore_step("vCPU 1 reads GITS_CREADR");
	while (irq_mmio_read(vi, cpu[1], ITS + 0x90, 8, &polled) == -EAGAIN)
		its_work(vi, cpu[1]);
}

static void setup_queue(void)
{
	machine_with_its();
	polled = ~0ull;
	for (unsigned i = 0; i < 2; i++)
		cpu[i]->mem.ring.full = true;
	discard(EVENT);
	mapti(EVENT, LPI + 1);
	mapti(EVENT + 1, LPI);
}

static void finish_queue(void)
{
	struct its *its = aptr_load_relaxed(&vi->its);

	explore_check(polled == end || polled == end - 3 * ITS_COMMAND_SIZE);
	explore_check(its->creadr == end && its->nr_entries == 2);
	for (unsigned i = 0; i < 2; i++)
		cpu[i]->mem.ring.full = false;
	close_machine();
}

const struct explore_scenario scenario_its_queue_and_poll = {
	.name = "its-queue-and-poll",
	.summary = "a vCPU's commands, one at a time, while another reads how far the ITS is",
	.property = "who looks sees the queue before it was written, or done; each command is done "
		    "once",
	.source = "its.h: a guest sees an ITS that is done when it was told",
	.mutants = "irq-its-access-amid-the-queue",
	.setup = setup_queue,
	.thread = {{"vCPU 0", write_queue}, {"vCPU 1", poll_queue}},
	.finish = finish_queue,
};
