/* SPDX-License-Identifier: MIT */
/* What the command line of `anykvm run` asks for. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <netinet/in.h>

#include "cli.h"
#include "dirty.h"
#include "memory.h"

#define MAX_DISKS    30 /* slots of the PCI bus, less the first and the network's */
#define MAX_FORWARDS 32

struct disk_option {
	const char *path;
	bool read_only;
};

/* A port of the host that leads to one of the guest. */
struct forward_option {
	const char *text;
	bool udp;
	struct in_addr host;
	uint16_t host_port, guest_port;
};

struct run_options {
	const char *kernel, *initrd, *params;
	uint64_t memory; /* bytes */
	unsigned cpus;
	struct disk_option disks[MAX_DISKS];
	unsigned nr_disks;
	bool network;
	struct forward_option forwards[MAX_FORWARDS];
	unsigned nr_forwards;
	const char *accel, *console_log, *dtb_dump, *control;
	const char *incoming; /* where a migrating guest comes from; null: one is booted */
	bool was_reset;	      /* not the user's: this is not the machine's first life */
	enum memory_kind memory_kind;
	enum dirty_mode dirty_mode;
	double timeout; /* seconds, 0: none */
	bool no_reboot, stats, inspect, quiet;
};

/* 0 to go on; 1 if all is said and done (--help); -1 after a message. */
int options_parse(struct run_options *options, int argc, char **argv);

#endif
