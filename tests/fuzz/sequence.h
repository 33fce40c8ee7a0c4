/* SPDX-License-Identifier: MIT */
/* A sequence of calls: the descriptors it has, and the arguments that it makes of bytes. */
#ifndef ANYKVM_TESTS_FUZZ_SEQUENCE_H
#define ANYKVM_TESTS_FUZZ_SEQUENCE_H

#include "machine.h"
#include "api/api.h"

#define ARENA_SIZE (2ull << 20)
#define NR_FDS	   20
#define NR_MAPS	   4
#define ARGUMENT   8192
#define KIND_EVENT NR_API_KINDS /* an eventfd */
#define KIND_NONE  (NR_API_KINDS + 1)

/* Where things are in the guest's memory and around it. */
#define GIC_DIST   0x8000000ull
#define GIC_CPU	   0x8010000ull /* of a GICv2 */
#define GIC_REDIST 0x80a0000ull
#define GIC_ITS	   0x8080000ull
#define ITS_QUEUE  (RAM + 16 * PAGE) /* one page of commands */
#define ITS_TABLES (RAM + 32 * PAGE) /* devices, collections */
#define ITS_ITTS   (RAM + 64 * PAGE)
#define LPI_TABLES (RAM + 128 * PAGE)

struct entry {
	int fd; /* -1: none */
	unsigned kind;
};

struct sequence {
	struct bytes in; /* of this step */
	struct entry entry[NR_FDS];
	void *map[NR_MAPS];
	unsigned runs;
};

/* arena: under the slots. argument: ARGUMENT bytes before a page that cannot be read. scratch: 64 KiB that arguments point at. */
extern unsigned char *fuzz_arena, *fuzz_argument, *fuzz_scratch;

/* --- machines.c ------------------------------------------------------------------------------------------------------------ */

void make_guest_code(uint32_t *code);
/* A machine: vCPUs, perhaps an interrupt controller, an ITS. */
void step_machine(struct sequence *s);
/* Commands of an ITS that mean something. */
void step_its(struct sequence *s);

/* --- ioctl_sequences.c --------------------------------------------------------------------------------------------------- */

/* One that holds a descriptor, if any does. */
struct entry *take_open(struct sequence *s);
/* Into a free place, or one that the bytes say, whose descriptor is closed. */
void keep(struct sequence *s, int fd, unsigned kind);

/* --- arguments.c ----------------------------------------------------------------------------------------------------------- */

/* The ids of a vCPU's registers, for arguments. */
void arguments_init(int vcpu);
/*
 * The argument of a request: a pointer to memory of this program or a number. tail: bytes that the request has behind what its
 * number says. Half of them mean something to it, the others are what numbers come to mind.
 */
unsigned long make_argument(struct sequence *s, unsigned kind, uint32_t request);

uint64_t take_word(struct sequence *s);
uint64_t take_page(struct sequence *s);
/* The descriptor of a kind, of several the one that the bytes say; -1: there is none. */
int take_fd(struct sequence *s, unsigned kind);

#endif
