/* SPDX-License-Identifier: MIT */
/*
 * The state of a machine, section by section. One function a section says what it consists of, and either saves or loads it:
 * state_bytes() and its kin copy in the direction that the struct state says. What has been loaded is checked before it is used; a
 * stream may hold anything.
 */
#ifndef CLI_STATE_H
#define CLI_STATE_H

#include "cli.h"

struct machine;

#define STATE_MAX_BYTES MIB

struct state {
	bool loading;
	uint8_t *data;
	size_t used; /* saved so far, or loaded so far of size */
	size_t size;
	char why[200]; /* the first thing wrong, for a human; empty: none */
};

/* Short data reads as zeros, and counts as wrong. */
void state_bytes(struct state *state, void *data, size_t length);
void state_bool(struct state *state, bool *value);
#define state_value(state, value) state_bytes((state), &(value), sizeof(value))
void state_fail(struct state *state, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline bool state_is_good(const struct state *state)
{
	return !state->why[0];
}

/* Sections, in the order of the stream. The machine is paused, or has not begun. */
unsigned state_nr_sections(const struct machine *machine);
/* Saves into state->data, of STATE_MAX_BYTES, or loads from it. */
void state_section(struct state *state, struct machine *machine, unsigned section);
const char *state_section_name(const struct machine *machine, unsigned section, char name[32]);

/* state_vcpu.c */
void state_vcpu(struct state *state, struct machine *machine, unsigned index);
/*
 * The counters that guests tell time by (CNTVCT, CNTPCT). They stand still while the guest does: read when it stops, written when
 * it goes on, here or elsewhere.
 */
struct state_clock {
	uint64_t virtual_count, physical_count;
};
/* 0, or -errno. */
int clock_read(struct machine *machine, struct state_clock *clock);
int clock_write(struct machine *machine, const struct state_clock *clock);
/* state_gic.c */
void state_gic(struct state *state, struct machine *machine);
/* state_its.c */
void state_its(struct state *state, struct machine *machine);
/*
 * Writes what only KVM knows to tables in guest memory: after the guest was stopped, before the last of its memory is sent. 0, or
 * -errno.
 */
int state_its_to_memory(struct machine *machine);

#endif
