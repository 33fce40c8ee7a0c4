/* SPDX-License-Identifier: MIT */
/*
 * A guest queues the most expensive commands, with as many LPIs as there can be: its VMM gets its vCPU back all the same, sees how far
 * the ITS is, and the queue goes on when the vCPU runs again. What is counted is commands: on an idle machine all would take a minute.
 */
#include <signal.h>

#include "its.h"

#define POLL	  (RAM + 0x400)	   /* code of vCPU 1 */
#define BIG_ITT	  (RAM + 0x280000) /* 2^16 events of 8 bytes */
#define BIG_QUEUE (RAM + 0x300000)
#ifdef ANYKVM_REAL
#define COMMANDS 8u /* all are done before a signal is heard: nothing but the end is to be seen */
#else
#define COMMANDS 16384u /* 512 KiB */
#endif
#define NR_LPI (65536u - LPI)
#define OTHER  9u /* a device whose table entry tells that the queue was begun */

static void kicked(int sig)
{
	(void)sig;
}

static void redist_set64(struct its_machine *im, unsigned cpu, unsigned offset, uint64_t value)
{
	for (unsigned i = 0; i < 2; i++) {
		uint32_t half = (uint32_t)(value >> (32 * i));

		EXPECT_EQ(attr(im->gic, KVM_SET_DEVICE_ATTR, REDIST,
			       (uint64_t)cpu << 32 | (offset + 4 * i), &half),
			  0);
	}
}

/* Device 7 with an event for each LPI, all in collection 4, vCPU 0; restored from tables, which takes no commands. */
static void map_all(struct its_machine *im)
{
	struct machine *m = &im->m;
	uint32_t on = 1;

	memset(m->ram + (PROP - RAM), 0xa1, NR_LPI);
	for (unsigned i = 0; i < NR_LPI; i++)
		*ram64(m, BIG_ITT + 8 * i) =
			(i + 1 < NR_LPI ? 1ull << 48 : 0) | (uint64_t)(LPI + i) << 16 | 4;
	*ram64(m, DEVTAB + 8 * DEVICE_ID) = VALID | BIG_ITT >> 8 << 5 | 15;
	*ram64(m, COLTAB) = VALID | 4;
	redist_set64(im, 0, 0x70, PROP | 15);
	for (unsigned i = 0; i < 2; i++) {
		redist_set64(im, i, 0x78, PEND | 1ull << 62);
		EXPECT_EQ(attr(im->gic, KVM_SET_DEVICE_ATTR, REDIST, (uint64_t)i << 32, &on), 0);
	}
	EXPECT_EQ(set64(im->its, REGS, 0x80, VALID | BIG_QUEUE | (COMMANDS * 32 - 1) / 4096), 0);
	EXPECT_EQ(set64(im->its, REGS, 0x100, VALID | DEVTAB), 0);
	EXPECT_EQ(set64(im->its, REGS, 0x108, VALID | COLTAB), 0);
	EXPECT_EQ(set64(im->its, CONTROL, KVM_DEV_ARM_ITS_RESTORE_TABLES, 0), 0);
	EXPECT_EQ(set64(im->its, REGS, 0, 1), 0);
}

/* MAPD of a device that is not there, then MOVALL to and fro; the last place stays free. */
static void fill_queue(struct machine *m)
{
	*ram64(m, DEVTAB + 8 * OTHER) = 1;
	*ram64(m, BIG_QUEUE) = 0x08 | (uint64_t)OTHER << 32;
	for (unsigned i = 1; i < COMMANDS - 1; i++) {
		uint64_t *at = ram64(m, BIG_QUEUE + 32 * i);

		at[0] = 0x0e;
		at[1] = 0;
		at[2] = (uint64_t)(1 - i % 2) << 16;
		at[3] = (uint64_t)(i % 2) << 16;
	}
}

/* vCPU 1 reads CREADR. */
static void guest_polls(struct machine *m)
{
	struct code c = code_at(m, POLL);
	struct kvm_mp_state state = {.mp_state = KVM_MP_STATE_RUNNABLE};

	ldr(&c, 8, 2, 1, 0x90);
	report(&c, 2, 16);
	code_done(m);
	set_x(m->vcpu[1], 1, ITS);
	EXPECT_EQ(set_reg(m->vcpu[1], CORE_REG(regs.pc), POLL), 0);
	EXPECT_EQ(ioctl(m->vcpu[1], KVM_SET_MP_STATE, &state), 0);
}

#ifndef ANYKVM_REAL
/* Runs vCPU i until a signal that is sent once the ITS is at its commands. */
static void run_and_kick(struct machine *m, int i)
{
	volatile uint64_t *begun = ram64(m, DEVTAB + 8 * OTHER);
	struct runner r;

	runner_start(&r, m, i);
	while (*begun)
		sleep_ms(1);
	runner_interrupt(&r, SIGUSR1);
	EXPECT_EQ(r.result, -1);
	EXPECT_EQ(r.error, EINTR);
	EXPECT_EQ(m->run[i]->exit_reason, KVM_EXIT_INTR);
}

/* What user space sees of an ITS in the middle. Where the queue ends in the end: all of it would take too long. */
static uint64_t kick_and_cut(struct its_machine *im, uint64_t all)
{
	struct machine *m = &im->m;
	uint64_t first, end;

	run_and_kick(m, 0);
	first = get64(im->its, REGS, 0x90);
	EXPECT_EQ(get64(im->its, REGS, 0x88), all);
	EXPECT(first >= 32 && first < all);
	EXPECT_EQ(get64(im->its, REGS, 0), 1); /* not quiescent */
	/* At rest it stands still, and goes on from there. */
	EXPECT_EQ(set64(im->its, CONTROL, KVM_DEV_ARM_ITS_SAVE_TABLES, 0), 0);
	EXPECT_EQ(get64(im->its, REGS, 0x90), first);
	run_and_kick(m, 0);
	EXPECT(get64(im->its, REGS, 0x90) >= first);
	/* Another vCPU's look at it waits, and hears signals as well. */
	run_and_kick(m, 1);
	EXPECT_EQ(get_reg(m->vcpu[1], CORE_REG(regs.pc)), POLL);
	EXPECT(get64(im->its, REGS, 0x90) < all);
	EXPECT_EQ(set64(im->its, REGS, 0, 0), 0);
	end = get64(im->its, REGS, 0x90) + 32 * 20;
	EXPECT_EQ(set64(im->its, REGS, 0x88, end), 0);
	EXPECT_EQ(set64(im->its, REGS, 0, 1), 0);
	return end;
}
#endif

TEST(a_signal_ends_a_run_amid_a_long_queue)
{
	struct sigaction old, kick = {.sa_handler = kicked};
	struct its_machine im = its_machine_new(2);
	struct machine *m = &im.m;
	struct code c = code_at(m, RAM);
	uint64_t all = 32 * (COMMANDS - 1);

	sigaction(SIGUSR1, &kick, &old);
	map_all(&im);
	fill_queue(m);
	put_reg(&c, 8, ITS + 0x88, all);
	li(&c, 1, ITS);
	ldr(&c, 8, 2, 1, 0x90);
	report(&c, 2, 8); /* CREADR */
	put(&c, A64_WFI);
	guest_polls(m);

#ifndef ANYKVM_REAL
	all = kick_and_cut(&im, all);
#endif
	EXPECT_REPORT(m, 0, 8, all);
	EXPECT_REPORT(m, 1, 16, all);
	EXPECT_EQ(get64(im.its, REGS, 0), 1u << 31 | 1);
	sigaction(SIGUSR1, &old, NULL);
	its_machine_free(&im);
}
