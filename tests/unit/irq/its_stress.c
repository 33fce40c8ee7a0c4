/* SPDX-License-Identifier: MIT */
/*
 * Threads that raise MSIs while a guest's threads map, move, discard and take them. TSan sees what is not guarded; at the end every
 * event that nobody disturbs has been taken for each time it was raised last. Bounded by counts.
 */
#include <unistd.h>

#include "its_rig.h"
#include "sync/thread.h"

#include "../../test.h"

#define NR_CPUS	   3
#define NR_SENDERS 2
#define ROUNDS	   ((u32)test_rounds(6000, 600000))
#define LPI	   8192
#define STABLE	   8  /* events of device 0: only their CPU changes */
#define BUSY	   16 /* events of device 1: come and go */

struct world {
	struct rig *r;
	struct a32 stop;
	struct mutex queue; /* of commands, as a driver has */
	struct a64 taken[STABLE], taken_busy;
	struct a64 sent, refused;
	struct a32 errors;
};

struct worker {
	struct world *w;
	u32 index;
};

static void sender_main(void *arg)
{
	struct worker *k = arg;
	struct world *w = k->w;

	for (u32 i = 0; i < ROUNDS; i++) {
		u32 stable = i % STABLE;
		u64 before = a64_load(&w->taken[stable]);
		int r = rig_msi(w->r, 0, stable);

		if (r != 1)
			a32_fetch_add(&w->errors, 1);
		/* Each sender waits for its own events now and then: an MSI that was lost would hang it (bounded). */
		if (i % 64 == stable && k->index == 0) {
			for (u32 n = 0; n < 30000 && a64_load(&w->taken[stable]) == before; n++)
				usleep(100);
			if (a64_load(&w->taken[stable]) == before)
				a32_fetch_add(&w->errors, 1);
		}
		r = rig_msi(w->r, 1, i % BUSY);
		if (r < 0 || r > 1)
			a32_fetch_add(&w->errors, 1);
		a64_fetch_add(r == 1 ? &w->sent : &w->refused, 1);
	}
}

/* Commands about device 1, and about where collections are. */
static void driver_step(struct world *w, u32 i)
{
	struct rig *r = w->r;
	u32 event = i / 3 % BUSY;

	switch (i % 12) {
	case 0:
		rig_mapti(r, 1, event, LPI + 100 + event, event % NR_CPUS);
		break;
	case 3:
		rig_event_command(r, 0x0f, 1, (event + 5) % BUSY); /* DISCARD */
		break;
	case 5:
		rig_movi(r, 0, i % STABLE, i / 7 % NR_CPUS);
		break;
	case 7:
		rig_invall(r, i % NR_CPUS);
		break;
	case 8:
		if (i % 5 == 0)
			rig_mapd(r, 1, RIG_ITT(1), 5);
		break;
	case 9:
		rig_mapc(r, i % NR_CPUS, i / 5 % NR_CPUS);
		break;
	case 11:
		if (i % 7 == 0)
			rig_movall(r, i % NR_CPUS, (i + 1) % NR_CPUS);
		break;
	default:
		break;
	}
}

static void service(struct world *w, u32 cpu)
{
	u64 id = rig_mrs(w->r, cpu, IAR1);

	if (id == SPURIOUS)
		return;
	if (id >= LPI && id < LPI + STABLE)
		a64_fetch_add(&w->taken[id - LPI], 1);
	else if (id >= LPI + 100 && id < LPI + 100 + BUSY)
		a64_fetch_add(&w->taken_busy, 1);
	else
		a32_fetch_add(&w->errors, 1);
	rig_msr(w->r, cpu, EOIR1, id);
}

static void cpu_main(void *arg)
{
	struct worker *k = arg;
	struct world *w = k->w;

	for (u32 i = 0; !a32_load(&w->stop); i++) {
		service(w, k->index);
		if (i % 16 == k->index && mutex_trylock(&w->queue)) {
			driver_step(w, i / 16);
			mutex_unlock(&w->queue);
		}
		if (i % 1024 == 0) /* LPIs of one CPU are invalidated by that CPU */
			rig_write(w->r, rig_redist(k->index) + 0xb0, 8, 0);
	}
}

TEST(msis_arrive_while_translations_change)
{
	struct its *its;
	struct world w = {.r = rig_create_its(NR_CPUS, &its)};
	struct worker k[NR_CPUS + NR_SENDERS];
	struct thread *t[NR_CPUS + NR_SENDERS];

	mutex_init(&w.queue, RANK_VCPU, "command queue of a driver");
	rig_its_boot(w.r);
	for (u32 i = 0; i < NR_CPUS; i++)
		rig_mapc(w.r, i, i);
	rig_mapd(w.r, 0, RIG_ITT(0), 5);
	rig_mapd(w.r, 1, RIG_ITT(1), 5);
	for (u32 i = 0; i < STABLE; i++)
		rig_mapti(w.r, 0, i, LPI + i, i % NR_CPUS);
	for (u32 i = 0; i < NR_CPUS + NR_SENDERS; i++) {
		k[i] = (struct worker){&w, i < NR_CPUS ? i : i - NR_CPUS};
		ASSERT(!thread_create(&t[i], "its", i < NR_CPUS ? cpu_main : sender_main, &k[i]));
	}
	for (u32 i = NR_CPUS; i < NR_CPUS + NR_SENDERS; i++)
		thread_join(t[i]);
	a32_store(&w.stop, 1);
	for (u32 i = 0; i < NR_CPUS; i++)
		thread_join(t[i]);
	/* Nothing of device 1 is pending once it is gone, and nothing at all once it was taken. */
	rig_unmapd(w.r, 1);
	u64 busy = a64_load(&w.taken_busy);
	for (u32 c = 0; c < NR_CPUS; c++)
		for (u32 i = 0; i < STABLE + 1; i++)
			service(&w, c);
	EXPECT_EQ(a64_load(&w.taken_busy), busy);
	EXPECT_EQ(a32_load(&w.errors), 0);
	EXPECT(a64_load(&w.sent) > 0 && a64_load(&w.refused) > 0 && busy > 0);
	for (u32 c = 0; c < NR_CPUS; c++) {
		EXPECT(!rig_pin(w.r, c, PIN_IRQ));
		for (u32 i = 0; i < GIC_LEVELS; i++)
			EXPECT(list_empty(&irq_cpu_of(&w.r->v[c])->candidate_lpis[i]));
		EXPECT_EQ(rig_mrs(w.r, c, RPR), 0xff);
	}
	mutex_fini(&w.queue);
	rig_destroy(w.r);
}

/*
 * A CPU turns its LPIs off and on, and the ITS goes off and on, while MSIs come. What was raised while they were off, or before, is not
 * there when they are on again: the guest said that the table is all zeros.
 */
static void switch_sender(void *arg)
{
	struct world *w = ((struct worker *)arg)->w;

	for (u32 i = 0; !a32_load(&w->stop); i++) {
		int r = rig_msi(w->r, 0, i % STABLE);

		if (r != 1 && r != -16 /* EBUSY */)
			a32_fetch_add(&w->errors, 1);
	}
}

TEST(nothing_is_left_behind_when_lpis_are_turned_off)
{
	struct its *its;
	struct world w = {.r = rig_create_its(1, &its)};
	struct rig *r = w.r;
	struct worker k = {&w, 0};
	struct thread *t;

	rig_its_boot(r);
	rig_mapc(r, 0, 0);
	rig_mapd(r, 0, RIG_ITT(0), 5);
	for (u32 i = 0; i < STABLE; i++)
		rig_mapti(r, 0, i, LPI + i, 0);
	ASSERT(!thread_create(&t, "sender", switch_sender, &k));
	for (u32 i = 0; i < ROUNDS; i++) {
		rig_write(r, RIG_ITS + GITS_CTLR, 4, 0);
		rig_write(r, RIG_REDIST, 4, 0);
		if (rig_pin(r, 0, PIN_IRQ))
			a32_fetch_add(&w.errors, 1);
		rig_write(r, RIG_REDIST + 0x78, 8, RIG_PEND(0) | BIT(62));
		rig_write(r, RIG_REDIST, 4, 1);
		/* The ITS is still off: nobody can raise one. */
		if (rig_take(r, 0) != SPURIOUS)
			a32_fetch_add(&w.errors, 1);
		rig_write(r, RIG_ITS + GITS_CTLR, 4, 1);
		rig_take(r, 0);
	}
	a32_store(&w.stop, 1);
	thread_join(t);
	EXPECT_EQ(a32_load(&w.errors), 0);
	rig_destroy(r);
}
