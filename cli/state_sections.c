/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "machine.h"
#include "state.h"

/* What was typed and has not reached the UART; what is typed at the destination comes after it, as far as there is room. */
static void state_console(struct state *state, struct terminal *terminal)
{
	uint8_t typed[sizeof(terminal->pending)];
	size_t nr_typed = state->loading ? terminal->nr_pending : 0;
	uint32_t nr = terminal->nr_pending;

	state_value(state, nr);
	if (nr > sizeof(terminal->pending)) {
		state_fail(state, "too much input");
		return;
	}
	memcpy(typed, terminal->pending, nr_typed);
	state_bytes(state, terminal->pending, nr);
	if (nr_typed > sizeof(terminal->pending) - nr)
		nr_typed = sizeof(terminal->pending) - nr;
	memcpy(terminal->pending + nr, typed, nr_typed);
	terminal->nr_pending = nr + nr_typed;
}

enum { SECTION_GIC, SECTION_ITS, SECTION_UART, SECTION_RTC, SECTION_CONSOLE, SECTION_VCPUS };

unsigned state_nr_sections(const struct machine *m)
{
	return SECTION_VCPUS + m->nr_vcpus + m->options->nr_disks + !!m->network;
}

const char *state_section_name(const struct machine *m, unsigned section, char name[32])
{
	static const char *const names[] = {"interrupt controller", "ITS", "UART", "clock",
					    "console"};

	if (section < SECTION_VCPUS)
		return names[section];
	section -= SECTION_VCPUS;
	if (section < m->nr_vcpus)
		snprintf(name, 32, "vCPU %u", section);
	else if (section == m->nr_vcpus + m->options->nr_disks)
		return "network";
	else
		snprintf(name, 32, "disk %u", section - m->nr_vcpus + 1);
	return name;
}

void state_section(struct state *state, struct machine *m, unsigned section)
{
	switch (section) {
	case SECTION_GIC:
		state_gic(state, m);
		break;
	case SECTION_ITS:
		state_its(state, m);
		break;
	case SECTION_UART:
		pl011_state(&m->uart, state);
		break;
	case SECTION_RTC:
		pl031_state(&m->rtc, state);
		break;
	case SECTION_CONSOLE:
		/* Held, the run loop does not touch it, but it looks whether there is something. */
		pthread_mutex_lock(&m->input_lock);
		state_console(state, m->terminal);
		pthread_mutex_unlock(&m->input_lock);
		break;
	default:
		section -= SECTION_VCPUS;
		if (section < m->nr_vcpus)
			state_vcpu(state, m, section);
		else if (section == m->nr_vcpus + m->options->nr_disks)
			network_state(m->network, state);
		else
			nvme_state(&m->nvme[section - m->nr_vcpus], state);
	}
	if (state->loading && state->used != state->size)
		state_fail(state, "it is too long");
}
