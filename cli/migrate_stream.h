/* SPDX-License-Identifier: MIT */
/*
 * What travels between two machines: records, each a header and a payload. All numbers are little-endian, as both hosts we run on
 * are.
 *
 *	source					destination
 *	HELLO (version, machine; disks as fds)
 *						ACCEPT, or FAILED (why)
 *	PAGES... ROUND PAGES... ROUND
 *	(vCPUs stop) PAGES... STATE... END
 *						READY, or FAILED
 *	COMMIT
 *						STARTED, or FAILED
 *
 * S1. A header says its number in the stream and the checksum of header and payload: nothing lost, repeated, swapped or changed is
 *     taken for good.
 * S2. Exactly one side runs. The source runs on unless it has sent COMMIT and received STARTED; the destination runs only after it
 *     has received COMMIT and sent STARTED. After COMMIT the source waits for STARTED or the connection's end, however long: an
 *     end without STARTED means that the destination never sent it, and so never runs. A destination whose STARTED cannot be sent
 *     runs, too: the source closes only when it dies, or when it has seen our end.
 * S3. A file is a stream without answers. Its COMMIT is written last, and the file gets its name after that.
 */
#ifndef CLI_MIGRATE_STREAM_H
#define CLI_MIGRATE_STREAM_H

#include "cli.h"

#define STREAM_MAGIC   0x474d6d766b796e61ull /* "anykvmMG" */
#define STREAM_VERSION 3u
#define STREAM_FDS     32 /* of disks, with HELLO */

/* Two reasons that are looked for. */
#define STREAM_CANCELLED "cancelled"
#define STREAM_GONE	 "the other side is gone"

enum stream_kind {
	STREAM_HELLO = 1,
	STREAM_PAGES,
	STREAM_ROUND,
	STREAM_STATE,
	STREAM_END,
	STREAM_COMMIT,
	STREAM_ACCEPT,
	STREAM_READY,
	STREAM_STARTED,
	STREAM_FAILED,
	STREAM_NR_KINDS,
};

struct stream_header {
	uint32_t kind, sequence;
	uint64_t length;   /* of the payload */
	uint64_t argument; /* what it means depends on the kind */
	uint64_t checksum; /* of the fields above and the payload */
};

/* The payload of PAGES: its argument is the number of runs; after the runs come the pages of those that are not zero. */
struct stream_run {
	uint64_t page; /* of the RAM, from 0 */
	uint32_t nr;
	uint32_t zero; /* 1: no data, they read as zero */
};

#define STREAM_MAX_RUNS	   512u
#define STREAM_MAX_PAYLOAD (MIB + STREAM_MAX_RUNS * sizeof(struct stream_run))

struct stream {
	int fd;
	bool is_file;
	int cancel_fd; /* becomes readable when whoever waits is to give up; -1: never */
	/* Seconds without any progress until the other side counts as dead; 0: for ever. */
	double patience;
	uint32_t sent, received; /* records */
	uint64_t bytes;		 /* sent */
	int fds[STREAM_FDS];	 /* that have come in, and nobody has taken */
	unsigned nr_fds;
	char why[256]; /* the first failure, for a human */
};

/* All of these return 0, or -1 with stream->why set. */
int stream_fail(struct stream *stream, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* fds travel with it; a file takes none. */
int stream_send(struct stream *stream, enum stream_kind kind, uint64_t argument,
		const void *payload, size_t length, const int *fds, unsigned nr_fds);
/* Into a buffer of STREAM_MAX_PAYLOAD. A FAILED of the other side is a failure here. */
int stream_receive(struct stream *stream, struct stream_header *header, void *payload);
/* One record of that kind. */
int stream_expect(struct stream *stream, enum stream_kind kind, struct stream_header *header,
		  void *payload);
/* After a failed send: the reason that the other side gave, if it did. */
void stream_hear_reason(struct stream *stream);
void stream_close(struct stream *stream);

/* "unix:PATH" or "file:PATH": the path, or null after a message. */
const char *stream_parse(const char *where, const char *what, bool *is_file);
/* Both return a descriptor, or -1 after a message (stream_listen) or with errno (stream_connect). */
int stream_listen(const char *path, const char *what);
int stream_connect(const char *path);

#endif
