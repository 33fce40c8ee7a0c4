/* SPDX-License-Identifier: MIT */
/* Live migration: the machine's description, the side that a guest leaves, and the side that it comes to. */
#ifndef CLI_MIGRATE_H
#define CLI_MIGRATE_H

#include "control.h"
#include "machine.h"
#include "migrate_stream.h"

#define MIGRATE_DOWNTIME_MS 30.0
#define MIGRATE_MAX_ROUNDS  30u

/* --- migrate_machine.c: what both sides must have in common --- */

struct migrate_disk {
	uint64_t size, device, inode;
	uint32_t read_only, reserved;
};

/* The payload of HELLO. */
struct migrate_hello {
	uint64_t magic;
	uint32_t version, page_shift;
	uint64_t memory;
	uint64_t layout[8]; /* where RAM, devices and the interrupt controller are */
	uint32_t cpus, nr_irqs, nr_sections, nr_disks, network, reserved;
	struct migrate_disk disks[MAX_DISKS];
};

void migrate_describe(struct migrate_hello *hello, const struct machine *machine);
/* 0, or -1 with stream->why set: what the source has, and what this machine. */
int migrate_compare(struct stream *stream, const struct migrate_hello *theirs,
		    const struct migrate_hello *ours);

/* --- migrate_source.c --- */

enum control_result command_migrate(struct control_client *client, struct machine *machine,
				    char *arguments);
enum control_result command_cancel(struct control_client *client, struct machine *machine,
				   char *arguments);
/* If the migration is this client's, or client is null: gives up, unless it is too late. */
void migration_cancel(struct machine *machine, const struct control_client *client);
/* The run loop: cleans up after one that is over. */
void migration_reap(struct machine *machine);
/* Gives up what is going on, and waits for its end. */
void migration_end(struct machine *machine);

/* --- migrate_precopy.c --- */

struct migrate_copy {
	struct machine *machine;
	struct stream *stream;
	uint64_t *pages; /* still to be sent */
	uint64_t nr_pages, nr_sent;
	uint8_t *payload; /* STREAM_MAX_PAYLOAD */
	bool first_round; /* zero pages need not be told */
	/* Called now and then, with pages left in this round. */
	void (*progress)(void *opaque, uint64_t pages_left);
	void *opaque;
};

/* Sends, and takes out, all that is set. 0, or -1 with stream->why set. */
int migrate_copy_pages(struct migrate_copy *copy);
/* Everything is to be sent, but for what a file behind the memory says is a hole. */
void migrate_copy_all(struct migrate_copy *copy);
/* A whole number of 64 bytes. */
bool migrate_is_zero(const uint8_t *page, size_t length);
/* Counts what is set. */
uint64_t migrate_count(const struct migrate_copy *copy);

/* --- migrate_dest.c --- */

/* Listens, or opens the file; the guest's arrival goes on in a thread. 0, or -1 after a message. */
int incoming_start(struct machine *machine, struct nvme_disk *disks);
/* The run loop, and at the end: true while the guest has not arrived. */
bool incoming_is_open(const struct machine *machine);
void incoming_end(struct machine *machine);

#endif
