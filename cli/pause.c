/* SPDX-License-Identifier: MIT */
/*
 * Holding all vCPUs and the network still, and letting them go on.
 *
 * A vCPU parks where KVM_RUN has failed with EINTR, never after an exit: the exit's answer (what an MMIO load read) reaches the
 * registers at the next KVM_RUN, and with immediate_exit set that is all it does. So registers are complete while it is parked.
 *
 * immediate_exit is set by whoever pauses and cleared by the vCPU itself, both under pause_lock and only while no pause is wanted:
 * a second pause right after a first cannot be lost.
 */
#include <errno.h>
#include <time.h>

#include "machine.h"

#define PAUSE_SECONDS 2
#define KICK_MS	      10

void vcpu_park(struct machine_vcpu *vcpu)
{
	struct machine *m = vcpu->machine;

	pthread_mutex_lock(&m->pause_lock);
	if (m->pause) {
		m->nr_parked++;
		pthread_cond_broadcast(&m->pause_cond);
		while (m->pause && !__atomic_load_n(&m->stop, __ATOMIC_SEQ_CST))
			pthread_cond_wait(&m->pause_cond, &m->pause_lock);
		m->nr_parked--;
	}
	__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&m->pause_lock);
}

void vcpu_note_end(struct machine_vcpu *vcpu)
{
	struct machine *m = vcpu->machine;

	pthread_mutex_lock(&m->pause_lock);
	m->nr_ended++;
	pthread_cond_broadcast(&m->pause_cond);
	pthread_mutex_unlock(&m->pause_lock);
}

/* Parks all vCPUs; pause_lock is held. */
static int pause_vcpus(struct machine *m)
{
	struct timespec end;

	m->pause = true;
	/* A kick just before a thread blocks in a write to the console is lost: so again and again. */
	for (unsigned tries = 0; tries < PAUSE_SECONDS * 1000 / KICK_MS; tries++) {
		for (unsigned i = 0; i < m->nr_vcpus; i++)
			machine_vcpu_kick(&m->vcpus[i]);
		clock_gettime(CLOCK_REALTIME, &end);
		end.tv_nsec += KICK_MS * 1000000;
		end.tv_sec += end.tv_nsec / 1000000000;
		end.tv_nsec %= 1000000000;
		while (m->nr_parked + m->nr_ended < m->nr_vcpus)
			if (pthread_cond_timedwait(&m->pause_cond, &m->pause_lock, &end))
				break;
		if (m->nr_ended)
			return -ESHUTDOWN;
		if (m->nr_parked == m->nr_vcpus)
			return 0;
	}
	return -ETIMEDOUT;
}

int machine_pause(struct machine *m)
{
	int status;

	machine_hold_input(m);
	pthread_mutex_lock(&m->pause_lock);
	status = pause_vcpus(m);
	pthread_mutex_unlock(&m->pause_lock);
	if (m->network && !status)
		network_pause(m->network);
	if (status)
		machine_resume(m);
	return status;
}

void machine_resume(struct machine *m)
{
	pthread_mutex_lock(&m->pause_lock);
	m->pause = false;
	pthread_cond_broadcast(&m->pause_cond);
	pthread_mutex_unlock(&m->pause_lock);
	if (m->network)
		network_resume(m->network);
	machine_release_input(m);
}

void machine_hold_input(struct machine *m)
{
	pthread_mutex_lock(&m->input_lock);
	m->input_held = true;
	pthread_mutex_unlock(&m->input_lock);
}

void machine_release_input(struct machine *m)
{
	pthread_mutex_lock(&m->input_lock);
	m->input_held = false;
	pthread_mutex_unlock(&m->input_lock);
	machine_wake(m);
}
