/* SPDX-License-Identifier: MIT */
/* Threads that stand for vCPUs and devices, all at once; every interrupt sent must arrive, none
 * twice. Bounded by counts. */
#include <unistd.h>

#include "rig.h"
#include "sync/thread.h"

#include "../../test.h"

#define NR_CPUS	  4
#define ROUNDS	  ((u32)test_rounds(20000, 2000000))
#define FIRST_SPI 32

struct world {
	struct rig *r;
	struct a32 stop;
	struct a64 sgi_sent[NR_CPUS], sgi_taken[NR_CPUS];
	struct a64 spi_taken;
	struct a32 line_up; /* level SPI: the device's view */
	struct a32 errors;
};

struct worker {
	struct world *w;
	u32 index;
};

static void service(struct world *w, u32 cpu)
{
	u64 id = rig_mrs(w->r, cpu, IAR1);

	if (id == SPURIOUS)
		return;
	if (id < 16)
		a64_fetch_add(&w->sgi_taken[cpu], 1);
	else
		a64_fetch_add(&w->spi_taken, 1);
	if (id == FIRST_SPI + 1) {
		/* The handler quiets the device, then the line falls. */
		if (!a32_xchg(&w->line_up, 0))
			a32_fetch_add(&w->errors, 1);
		irq_line(&w->r->vi, 1u << 24 | (FIRST_SPI + 1), 0);
	}
	rig_msr(w->r, cpu, EOIR1, id);
}

/* One vCPU: sends SGIs to all, takes what comes, moves SPIs about. */
static void cpu_main(void *arg)
{
	struct worker *k = arg;
	struct world *w = k->w;
	struct rig *r = w->r;

	for (u32 i = 0; i < ROUNDS; i++) {
		u32 to = (k->index + i) % NR_CPUS;

		/* One SGI number per sender and target: pending is a bit, so wait until it was
		 * taken. */
		if (a64_load(&w->sgi_sent[to]) == a64_load(&w->sgi_taken[to]) &&
		    to == (i / 7) % NR_CPUS && k->index == (to + 1) % NR_CPUS) {
			a64_fetch_add(&w->sgi_sent[to], 1);
			rig_msr(r, k->index, SGI1R, (u64)k->index << 24 | 1u << to);
		}
		if (i % 64 == 0)
			rig_write(r, RIG_DIST + 0x6000 + (FIRST_SPI + i / 64 % 3) * 8, 8,
				  i / 64 % NR_CPUS);
		if (i % 97 == 0)
			rig_read(r, RIG_DIST + 0x204, 4);
		service(w, k->index);
	}
	while (!a32_load(&w->stop))
		service(w, k->index);
}

static void device_main(void *arg)
{
	struct worker *k = arg;
	struct world *w = k->w;

	for (u32 i = 0; i < ROUNDS; i++) {
		irq_line(&w->r->vi, 1u << 24 | FIRST_SPI, 1); /* edge */
		if (a32_cmpxchg(&w->line_up, 0, 1))
			irq_line(&w->r->vi, 1u << 24 | (FIRST_SPI + 1), 1);
		if (i % 128 == 0) {
			rig_write(w->r, RIG_DIST + 0x184, 4, 4);
			rig_write(w->r, RIG_DIST + 0x104, 4, 4);
		}
	}
}

static void sums(struct world *w, u64 *sent, u64 *taken)
{
	*sent = *taken = 0;
	for (u32 c = 0; c < NR_CPUS; c++) {
		*sent += a64_load(&w->sgi_sent[c]);
		*taken += a64_load(&w->sgi_taken[c]);
	}
}

TEST(nothing_is_lost_between_four_vcpus_and_a_device)
{
	struct world w = {.r = rig_create_gic(NR_CPUS, 64)};
	struct worker k[NR_CPUS + 1];
	struct thread *t[NR_CPUS + 1];
	u64 sent = 0, taken = 0;

	rig_enable_all(w.r);
	rig_setup_spi(w.r, FIRST_SPI, 0, 0xa0, true);
	rig_setup_spi(w.r, FIRST_SPI + 1, 1, 0xa0, false);
	rig_setup_spi(w.r, FIRST_SPI + 2, 2, 0xa0, true);
	for (u32 i = 0; i <= NR_CPUS; i++) {
		k[i] = (struct worker){&w, i};
		ASSERT(!thread_create(&t[i], "stress", i < NR_CPUS ? cpu_main : device_main,
				      &k[i]));
	}
	thread_join(t[NR_CPUS]);
	/* The vCPU threads drain what is left, for a minute at most. */
	for (u32 i = 0; i < 60000; i++) {
		sums(&w, &sent, &taken);
		if (sent == taken && i > 20)
			break;
		usleep(1000);
	}
	a32_store(&w.stop, 1);
	for (u32 i = 0; i < NR_CPUS; i++)
		thread_join(t[i]);
	for (u32 c = 0; c < NR_CPUS; c++)
		for (int i = 0; i < 4; i++)
			service(&w, c);
	sums(&w, &sent, &taken);
	EXPECT_EQ(sent, taken);
	EXPECT(sent > 0);
	EXPECT(a64_load(&w.spi_taken) > 0);
	EXPECT_EQ(a32_load(&w.errors), 0);
	/* Everything is quiet: no pin up, nothing active, nothing a candidate. */
	for (u32 c = 0; c < NR_CPUS; c++) {
		EXPECT(!rig_pin(w.r, c, PIN_IRQ));
		EXPECT_EQ(rig_mrs(w.r, c, RPR), 0xff);
		EXPECT_EQ(irq_cpu_of(&w.r->v[c])->candidate_private, 0);
		EXPECT_EQ(irq_cpu_of(&w.r->v[c])->candidate_words, 0);
	}
	EXPECT_EQ(rig_read(w.r, RIG_DIST + 0x304, 4), 0);
	rig_destroy(w.r);
}

/*
 * Several threads route the same few SPIs about as fast as they can, so that an interrupt leaves a
 * home and comes back while another thread waits for that home's lock. TSan sees it if the lock
 * alone were taken to publish the interrupt's state.
 */
static void mover_main(void *arg)
{
	struct worker *k = arg;
	struct rig *r = k->w->r;

	for (u32 i = 0; i < ROUNDS; i++) {
		u32 spi = FIRST_SPI + i % 2 * 2;

		rig_write(r, RIG_DIST + 0x6000 + spi * 8, 8, (i + k->index) % NR_CPUS);
		if (i % 4 == k->index)
			irq_line(&r->vi, 1u << 24 | spi, 1);
		service(k->w, k->index);
	}
}

TEST(interrupts_that_move_back_while_a_lock_is_awaited_keep_their_state)
{
	struct world w = {.r = rig_create_gic(NR_CPUS, 64)};
	struct worker k[NR_CPUS];
	struct thread *t[NR_CPUS];

	rig_enable_all(w.r);
	rig_setup_spi(w.r, FIRST_SPI, 0, 0xa0, true);
	rig_setup_spi(w.r, FIRST_SPI + 2, 1, 0xa0, true);
	for (u32 i = 0; i < NR_CPUS; i++) {
		k[i] = (struct worker){&w, i};
		ASSERT(!thread_create(&t[i], "mover", mover_main, &k[i]));
	}
	for (u32 i = 0; i < NR_CPUS; i++)
		thread_join(t[i]);
	EXPECT(a64_load(&w.spi_taken) > 0);
	for (u32 c = 0; c < NR_CPUS; c++)
		for (int i = 0; i < 4; i++)
			service(&w, c);
	for (u32 c = 0; c < NR_CPUS; c++) {
		EXPECT(!rig_pin(w.r, c, PIN_IRQ));
		EXPECT_EQ(irq_cpu_of(&w.r->v[c])->candidate_words, 0);
	}
	EXPECT_EQ(rig_read(w.r, RIG_DIST + 0x304, 4), 0);
	rig_destroy(w.r);
}
