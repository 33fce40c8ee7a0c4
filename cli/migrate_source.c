/* SPDX-License-Identifier: MIT */
/*
 * The side that a guest leaves: one thread a migration.
 *
 * Rounds copy pages while vCPUs run, until what is left can be sent within the downtime that the user allows; then vCPUs park, and
 * the last pages and the state follow. Until the destination has said STARTED (migrate_stream.h, S2) everything can be taken back:
 * the vCPUs only stand still, and nothing that the guest can see has changed. Its counters stand still with it.
 *
 * Disks are handed over as descriptors: the lock of a disk's file belongs to the open file, which both sides hold until one ends.
 * So no third one can take the disk in between.
 *
 * Life of struct migration. Born: command_migrate(). Seen by: its thread, and the run loop as machine->migration. Kept by: the run
 * loop, until the thread has been joined. Freed: migration_reap(), migration_end().
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "migrate.h"
#include "state.h"

#define PATIENCE       10.0
#define REPORT_SECONDS 0.25
#define STATE_SECONDS  0.002 /* what state and handshake take of the downtime */

struct migration {
	struct machine *machine;
	struct control_client *client;
	pthread_t thread;
	int cancel_fd;
	bool over; /* the thread is about to end */
	struct stream stream;
	struct migrate_copy copy;
	char *path, *partial; /* of a file: its name, and the one it has until it is whole */
	char destination[4096];
	double downtime; /* seconds allowed */
	unsigned max_rounds;
	bool keep; /* the source goes on, too */
	unsigned round;
	double start, round_start, rate; /* rate: bytes a second */
	double reported;		 /* when progress was told last */
	uint64_t round_bytes;		 /* stream->bytes at its start */
	double stopped;			 /* when vCPUs parked; 0: they run */
	double downtime_taken;
	struct state_clock clock;
	bool logging;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* --- progress --- */

static uint64_t left_bytes(const struct migration *mig, uint64_t pages)
{
	return pages << mig->machine->ram.page_shift;
}

static void measure(struct migration *mig)
{
	double seconds = now() - mig->round_start;
	uint64_t bytes = mig->stream.bytes - mig->round_bytes;

	/* A few pages tell nothing about speed. */
	if (seconds > 0 && (bytes > MIB || mig->rate <= 0))
		mig->rate = bytes / seconds;
}

static double estimate(const struct migration *mig, uint64_t pages)
{
	return STATE_SECONDS + (mig->rate > 0 ? left_bytes(mig, pages) / mig->rate : 0);
}

static void report(struct migration *mig, uint64_t pages_left)
{
	mig->reported = now();
	measure(mig);
	control_print(mig->client,
		      "{\"round\": %u, \"pages_left\": %llu, \"mib_per_second\": %.1f, "
		      "\"estimated_downtime_ms\": %.1f}\n",
		      mig->round, pages_left + 0ull, mig->rate / MIB,
		      estimate(mig, pages_left) * 1e3);
}

/* Within a round: often enough for a human. */
static void report_some(void *opaque, uint64_t pages_left)
{
	struct migration *mig = opaque;

	if (now() - mig->reported >= REPORT_SECONDS)
		report(mig, pages_left);
}

/* --- steps; 0, or -1 with stream.why set --- */

static int open_file(struct migration *mig)
{
	struct stream *stream = &mig->stream;
	struct stat there;

	/* It would be noticed, or replaced, only when all is copied. */
	if (!stat(mig->path, &there) && !S_ISREG(there.st_mode))
		return stream_fail(stream, "%s: there is something that is no regular file",
				   mig->path);
	if (asprintf(&mig->partial, "%s.partial-XXXXXX", mig->path) < 0) {
		mig->partial = NULL;
		return stream_fail(stream, "out of memory");
	}
	/* A new file, the owner's alone: in a folder of everybody's, another could have made one of that name. */
	stream->fd = mkostemp(mig->partial, O_CLOEXEC);
	if (stream->fd >= 0)
		return 0;
	free(mig->partial);
	mig->partial = NULL;
	return stream_fail(stream, "%s: %s", mig->path, strerror(errno));
}

static int open_destination(struct migration *mig)
{
	struct stream *stream = &mig->stream;
	bool absent;

	if (stream->is_file)
		return open_file(mig);
	stream->fd = stream_connect(mig->path);
	if (stream->fd >= 0)
		return 0;
	absent = errno == ENOENT || errno == ECONNREFUSED;
	return stream_fail(stream, "unix:%s: %s%s", mig->path, strerror(errno),
			   absent ? "; start the destination first, by anykvm run --incoming" : "");
}

static int greet(struct migration *mig)
{
	struct machine *m = mig->machine;
	struct migrate_hello hello;
	struct stream_header answer;
	int fds[MAX_DISKS];

	for (unsigned i = 0; i < m->options->nr_disks; i++)
		fds[i] = m->disks[i].fd;
	migrate_describe(&hello, m);
	if (stream_send(&mig->stream, STREAM_HELLO, 0, &hello, sizeof(hello), fds,
			m->options->nr_disks))
		return -1;
	return mig->stream.is_file
		       ? 0
		       : stream_expect(&mig->stream, STREAM_ACCEPT, &answer, mig->copy.payload);
}

static int collect(struct migration *mig)
{
	int status = dirty_collect(&mig->machine->dirty, &mig->machine->ram, mig->copy.pages);

	return status ? stream_fail(&mig->stream, "dirty log: %s", strerror(-status)) : 0;
}

static int run_rounds(struct migration *mig)
{
	struct machine *m = mig->machine;
	int status = dirty_start(&m->dirty, &m->ram);

	if (status)
		return stream_fail(&mig->stream, "dirty log: %s", strerror(-status));
	mig->logging = true;
	/* Not before: a page that is written for the first time in between would be missed. */
	migrate_copy_all(&mig->copy);
	for (mig->round = 1;; mig->round++) {
		uint64_t left;

		mig->round_start = now();
		mig->round_bytes = mig->stream.bytes;
		if (migrate_copy_pages(&mig->copy) ||
		    stream_send(&mig->stream, STREAM_ROUND, mig->round, NULL, 0, NULL, 0))
			return -1;
		measure(mig);
		mig->copy.first_round = false;
		if (collect(mig))
			return -1;
		left = migrate_count(&mig->copy);
		report(mig, left);
		if (estimate(mig, left) <= mig->downtime || mig->round >= mig->max_rounds)
			return 0;
	}
}

static int send_state(struct migration *mig)
{
	struct machine *m = mig->machine;
	struct stream *stream = &mig->stream;
	char name[32];

	for (unsigned i = 0; i < state_nr_sections(m); i++) {
		struct state state = {.data = mig->copy.payload, .size = STATE_MAX_BYTES};

		state_section(&state, m, i);
		if (!state_is_good(&state))
			return stream_fail(stream, "%s: %s", state_section_name(m, i, name),
					   state.why);
		if (stream_send(stream, STREAM_STATE, i, state.data, state.used, NULL, 0))
			return -1;
	}
	return stream_send(stream, STREAM_END, state_nr_sections(m), &mig->clock,
			   sizeof(mig->clock), NULL, 0);
}

static int stop_and_copy(struct migration *mig)
{
	struct machine *m = mig->machine;
	double begin = now();
	int status = machine_pause(m);

	if (status)
		return stream_fail(&mig->stream,
				   status == -ESHUTDOWN
					   ? "the machine has ended"
					   : "a vCPU does not stop: nobody reads the console");
	mig->stopped = begin;
	status = clock_read(m, &mig->clock);
	if (status)
		return stream_fail(&mig->stream, "counters: %s", strerror(-status));
	status = state_its_to_memory(m);
	if (status)
		return stream_fail(&mig->stream, "the tables of the ITS: %s", strerror(-status));
	mig->round++;
	mig->round_start = begin;
	mig->round_bytes = mig->stream.bytes;
	if (!mig->logging)
		migrate_copy_all(&mig->copy);
	if ((mig->logging && collect(mig)) || migrate_copy_pages(&mig->copy))
		return -1;
	return send_state(mig);
}

static int take_back(struct migration *mig)
{
	int status;

	if (mig->stopped) {
		mig->downtime_taken = now() - mig->stopped;
		mig->stopped = 0;
		status = clock_write(mig->machine, &mig->clock);
		if (status)
			cli_say("counters: %s", strerror(-status));
		machine_resume(mig->machine);
	}
	if (mig->logging)
		dirty_stop(&mig->machine->dirty, &mig->machine->ram);
	mig->logging = false;
	return 0;
}

/* The point of no return, in order: COMMIT, STARTED. */
static int commit_to_socket(struct migration *mig)
{
	struct stream *stream = &mig->stream;
	struct stream_header answer;

	if (stream_expect(stream, STREAM_READY, &answer, mig->copy.payload))
		return -1;
	stream->patience = 0;
	stream->cancel_fd = -1;
	return stream_send(stream, STREAM_COMMIT, 0, NULL, 0, NULL, 0) ||
			       stream_expect(stream, STREAM_STARTED, &answer, mig->copy.payload)
		       ? -1
		       : 0;
}

static int commit_to_file(struct migration *mig)
{
	struct stream *stream = &mig->stream;
	const struct machine *m = mig->machine;

	if (stream_send(stream, STREAM_COMMIT, 0, NULL, 0, NULL, 0))
		return -1;
	if (mig->keep)
		take_back(mig);
	for (unsigned i = 0; i < m->options->nr_disks; i++)
		if (!m->disks[i].read_only && fdatasync(m->disks[i].fd))
			return stream_fail(stream, "disk %u: %s", i + 1, strerror(errno));
	if (fsync(stream->fd) || rename(mig->partial, mig->path))
		return stream_fail(stream, "%s: %s", mig->path, strerror(errno));
	return 0;
}

static int migrate(struct migration *mig)
{
	struct machine *m = mig->machine;

	mig->copy.first_round = true;
	if (open_destination(mig) || greet(mig))
		return -1;
	if (dirty_can_log(&m->ram)) {
		if (run_rounds(mig))
			return -1;
	} else {
		control_print(mig->client, "{\"note\": \"KVM keeps no dirty log of guest_memfd: "
					   "the guest stands still while all of its memory is "
					   "copied\"}\n");
	}
	if (stop_and_copy(mig))
		return -1;
	return mig->stream.is_file ? commit_to_file(mig) : commit_to_socket(mig);
}

/* --- the thread --- */

static void migration_succeed(struct migration *mig)
{
	struct machine *m = mig->machine;

	if (mig->stopped)
		mig->downtime_taken = now() - mig->stopped;
	measure(mig);
	control_print(mig->client,
		      "{\"done\": true, \"rounds\": %u, \"pages\": %llu, \"mib\": %.1f, "
		      "\"seconds\": %.3f, \"downtime_ms\": %.2f}\n",
		      mig->round, mig->copy.nr_sent + 0ull, mig->stream.bytes / (double)MIB,
		      now() - mig->start, mig->downtime_taken * 1e3);
	if (!m->options->quiet)
		cli_say("the guest %s %s: %.1f MiB in %.2f seconds, stopped for %.1f ms",
			mig->keep ? "is also in" : "has moved to", mig->destination,
			mig->stream.bytes / (double)MIB, now() - mig->start,
			mig->downtime_taken * 1e3);
	if (!mig->keep)
		machine_post_end(m, END_MIGRATED);
}

static void *migration_thread(void *argument)
{
	struct migration *mig = argument;
	struct machine *m = mig->machine;

	if (!migrate(mig)) {
		migration_succeed(mig);
	} else {
		stream_hear_reason(&mig->stream);
		take_back(mig);
		if (mig->partial)
			unlink(mig->partial);
		if (!m->options->quiet)
			cli_say("the guest stays here: migration to %s: %s", mig->destination,
				mig->stream.why);
		control_fail(mig->client, "%s; the guest stays where it is", mig->stream.why);
	}
	/* Only now: an end of the stream without STARTED tells the destination that it is not to run. */
	stream_close(&mig->stream);
	/* Before the client's next request, which may be another migration. */
	__atomic_store_n(&mig->over, true, __ATOMIC_RELEASE);
	control_finish(mig->client);
	machine_wake(m);
	return NULL;
}

static void migration_free(struct migration *mig)
{
	close(mig->cancel_fd);
	free(mig->copy.pages);
	free(mig->copy.payload);
	free(mig->path);
	free(mig->partial);
	free(mig);
}

/* --- commands --- */

/* [downtime=MS] [max-rounds=N] [keep] DEST; the destination is the rest of the line. */
static const char *parse(struct migration *mig, char *arguments)
{
	mig->downtime = MIGRATE_DOWNTIME_MS / 1e3;
	mig->max_rounds = MIGRATE_MAX_ROUNDS;
	for (;;) {
		size_t length = strcspn(arguments, " ");
		char *end = arguments + length;

		if (!strncmp(arguments, "downtime=", 9)) {
			mig->downtime = strtod(arguments + 9, &end) / 1e3;
			if (end != arguments + length || !(mig->downtime >= 0))
				return "downtime: not a number of milliseconds";
		} else if (!strncmp(arguments, "max-rounds=", 11)) {
			mig->max_rounds = strtoul(arguments + 11, &end, 10);
			if (end != arguments + length || !mig->max_rounds)
				return "max-rounds: not a number above 0";
		} else if (length == 4 && !strncmp(arguments, "keep", 4)) {
			mig->keep = true;
		} else {
			break;
		}
		arguments = end + strspn(end, " ");
	}
	mig->stream.is_file = !strncmp(arguments, "file:", 5);
	if ((!mig->stream.is_file && strncmp(arguments, "unix:", 5)) || !arguments[5])
		return "the destination is unix:PATH or file:PATH";
	snprintf(mig->destination, sizeof(mig->destination), "%s", arguments);
	mig->path = strdup(arguments + 5);
	return NULL;
}

static const char *check(const struct migration *mig, const struct machine *m)
{
	if (m->migration)
		return "another migration is under way";
	if (incoming_is_open(m))
		return "the guest has not arrived here yet";
	if (mig->keep && !mig->stream.is_file)
		return "keep: only one side can run on; it is for files";
	for (unsigned i = 0; mig->keep && i < m->options->nr_disks; i++)
		if (!m->disks[i].read_only)
			return "keep: the guest would go on writing its disks, and the file would "
			       "not fit them any more";
	return NULL;
}

static struct migration *migration_create(struct control_client *client, struct machine *m)
{
	struct migration *mig = calloc(1, sizeof(*mig));

	if (!mig)
		return NULL;
	mig->machine = m;
	mig->client = client;
	mig->stream.fd = -1;
	mig->stream.patience = PATIENCE;
	mig->cancel_fd = mig->stream.cancel_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	mig->copy = (struct migrate_copy){
		.machine = m,
		.stream = &mig->stream,
		.pages = calloc(memory_bitmap_words(&m->ram), sizeof(uint64_t)),
		.payload = malloc(STREAM_MAX_PAYLOAD),
		.progress = report_some,
		.opaque = mig,
	};
	mig->start = now();
	return mig;
}

enum control_result command_migrate(struct control_client *client, struct machine *m,
				    char *arguments)
{
	struct migration *mig;
	const char *wrong;

	migration_reap(m);
	mig = migration_create(client, m);
	if (!mig) {
		control_fail(client, "out of memory");
		return CONTROL_FAILED;
	}
	wrong = parse(mig, arguments);
	if (!wrong)
		wrong = check(mig, m);
	if (!wrong && (!mig->copy.pages || !mig->copy.payload || !mig->path || mig->cancel_fd < 0 ||
		       pthread_create(&mig->thread, NULL, migration_thread, mig)))
		wrong = "out of memory or descriptors";
	if (!wrong) {
		m->migration = mig;
		return CONTROL_LATER;
	}
	control_fail(client, "%s", wrong);
	migration_free(mig);
	return CONTROL_FAILED;
}

void migration_cancel(struct machine *m, const struct control_client *client)
{
	uint64_t one = 1;

	if (m->migration && (!client || m->migration->client == client) &&
	    write(m->migration->cancel_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: cancelled long ago */
}

enum control_result command_cancel(struct control_client *client, struct machine *m,
				   char *arguments)
{
	if (!m->migration) {
		control_fail(client, "no migration is under way");
		return CONTROL_FAILED;
	}
	migration_cancel(m, NULL);
	return CONTROL_OK;
}

void migration_reap(struct machine *m)
{
	if (!m->migration || !__atomic_load_n(&m->migration->over, __ATOMIC_ACQUIRE))
		return;
	pthread_join(m->migration->thread, NULL);
	migration_free(m->migration);
	m->migration = NULL;
}

void migration_end(struct machine *m)
{
	if (!m->migration)
		return;
	migration_cancel(m, NULL);
	pthread_join(m->migration->thread, NULL);
	migration_free(m->migration);
	m->migration = NULL;
}
