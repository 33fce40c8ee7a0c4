/* SPDX-License-Identifier: MIT */
/*
 * The side that a guest comes to: one thread, from the socket or file to the vCPUs' start.
 *
 * The stream may hold anything: lengths, page numbers and state are checked before they are used, and whatever is wrong ends this
 * machine, never the source's. vCPU threads exist, parked, before the source is told READY, so that after STARTED nothing is left
 * that could fail.
 *
 * Life of struct incoming. Born: incoming_start(). Seen by: its thread, and the run loop as machine->incoming. Kept by: the run
 * loop. Freed: incoming_end(), after the thread has been joined.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "migrate.h"
#include "state.h"

#define PATIENCE 30.0

struct incoming {
	struct machine *machine;
	struct nvme_disk *disks;
	pthread_t thread;
	const char *path;
	int listen_fd, cancel_fd;
	bool arrived; /* vCPUs run */
	struct stream stream;
	uint8_t *payload;
	unsigned nr_sections;
	struct state_clock clock;
};

/* --- records; 0, or -1 with stream.why set --- */

/* The source's descriptors, with the lock on their files, take the place of ours. */
static int take_disks(struct incoming *in)
{
	struct stream *stream = &in->stream;
	unsigned nr = in->machine->options->nr_disks;

	if (stream->is_file)
		return 0;
	if (stream->nr_fds != nr)
		return stream_fail(stream, "%u descriptors for %u disks", stream->nr_fds, nr);
	for (unsigned i = 0; i < nr; i++) {
		struct stat theirs, ours;

		if (fstat(stream->fds[i], &theirs) || fstat(in->disks[i].fd, &ours) ||
		    theirs.st_dev != ours.st_dev || theirs.st_ino != ours.st_ino ||
		    (fcntl(stream->fds[i], F_GETFL) & O_ACCMODE) !=
			    (in->disks[i].read_only ? O_RDONLY : O_RDWR))
			return stream_fail(stream, "disk %u of the guest is another file", i + 1);
		if (dup3(stream->fds[i], in->disks[i].fd, O_CLOEXEC) < 0)
			return stream_fail(stream, "disk %u: %s", i + 1, strerror(errno));
	}
	while (stream->nr_fds)
		close(stream->fds[--stream->nr_fds]);
	return 0;
}

static int receive_hello(struct incoming *in)
{
	struct migrate_hello theirs, ours;
	struct stream_header header;

	if (stream_expect(&in->stream, STREAM_HELLO, &header, in->payload))
		return -1;
	if (header.length != sizeof(theirs))
		return stream_fail(&in->stream, "the guest comes from another version of anykvm");
	memcpy(&theirs, in->payload, sizeof(theirs));
	migrate_describe(&ours, in->machine);
	return migrate_compare(&in->stream, &theirs, &ours);
}

static int receive_pages(struct incoming *in, const struct stream_header *header)
{
	struct guest_memory *ram = &in->machine->ram;
	size_t size = 1ul << ram->page_shift;
	uint64_t pages = memory_pages(ram), left = header->length, nr_runs = header->argument;
	const uint8_t *data = in->payload + nr_runs * sizeof(struct stream_run);

	if (nr_runs > STREAM_MAX_RUNS || left < nr_runs * sizeof(struct stream_run))
		return stream_fail(&in->stream, "impossible pages");
	left -= nr_runs * sizeof(struct stream_run);
	for (uint64_t i = 0; i < nr_runs; i++) {
		struct stream_run run;

		memcpy(&run, in->payload + i * sizeof(run), sizeof(run));
		if (run.page > pages || run.nr > pages - run.page || run.zero > 1 ||
		    (!run.zero && run.nr * (uint64_t)size > left))
			return stream_fail(&in->stream, "impossible pages");
		for (uint64_t page = run.page; page < run.page + run.nr; page++) {
			uint8_t *to = ram->hva + (page << ram->page_shift);

			if (!run.zero) {
				memcpy(to, data, size);
				data += size;
				left -= size;
			} else if (!migrate_is_zero(to, size)) {
				memset(to, 0, size);
			}
		}
	}
	return left ? stream_fail(&in->stream, "impossible pages") : 0;
}

static int receive_state(struct incoming *in, const struct stream_header *header)
{
	struct machine *m = in->machine;
	struct state state = {.loading = true, .data = in->payload, .size = header->length};
	char name[32];

	if (header->argument != in->nr_sections || in->nr_sections >= state_nr_sections(m))
		return stream_fail(&in->stream, "state out of order");
	state_section(&state, m, in->nr_sections);
	if (!state_is_good(&state))
		return stream_fail(&in->stream, "%s: %s",
				   state_section_name(m, in->nr_sections, name), state.why);
	in->nr_sections++;
	return 0;
}

static int receive_end(struct incoming *in, const struct stream_header *header)
{
	if (in->nr_sections != state_nr_sections(in->machine) ||
	    header->argument != in->nr_sections || header->length != sizeof(in->clock))
		return stream_fail(&in->stream, "state is missing");
	memcpy(&in->clock, in->payload, sizeof(in->clock));
	return 0;
}

static int receive_guest(struct incoming *in)
{
	struct stream_header header;

	for (;;) {
		int status;

		if (stream_receive(&in->stream, &header, in->payload))
			return -1;
		if (header.kind == STREAM_END)
			return receive_end(in, &header);
		if (header.kind == STREAM_PAGES && !in->nr_sections)
			status = receive_pages(in, &header);
		else if (header.kind == STREAM_ROUND && !in->nr_sections)
			status = 0;
		else if (header.kind == STREAM_STATE)
			status = receive_state(in, &header);
		else
			status = stream_fail(&in->stream, "record %u is out of order",
					     in->stream.received - 1);
		if (status)
			return status;
	}
}

/* Makes vCPU threads, which park at once. */
static int make_ready(struct incoming *in)
{
	struct machine *m = in->machine;
	int status = clock_write(m, &in->clock);

	if (status)
		return stream_fail(&in->stream, "counters: %s", strerror(-status));
	m->restored = true;
	pthread_mutex_lock(&m->pause_lock);
	m->pause = true;
	pthread_mutex_unlock(&m->pause_lock);
	return machine_start(m) ? stream_fail(&in->stream, "vCPUs cannot be started") : 0;
}

static int receive_commit(struct incoming *in)
{
	struct stream *stream = &in->stream;
	struct stream_header header;

	if (!stream->is_file && stream_send(stream, STREAM_READY, 0, NULL, 0, NULL, 0))
		return -1;
	if (stream_expect(stream, STREAM_COMMIT, &header, in->payload))
		return -1;
	/* From here on nobody else may run the guest, whether STARTED arrives or not (migrate_stream.h, S2). */
	stream->patience = 0;
	stream->cancel_fd = -1;
	if (!stream->is_file)
		stream_send(stream, STREAM_STARTED, 0, NULL, 0, NULL, 0);
	return 0;
}

static void incoming_go(struct incoming *in)
{
	struct machine *m = in->machine;
	int status = clock_write(m, &in->clock);

	if (status)
		cli_say("counters: %s", strerror(-status));
	machine_resume(m);
	/* Only now may the run loop let it migrate again: that one's pause would end by our resuming. */
	__atomic_store_n(&in->arrived, true, __ATOMIC_RELEASE);
	if (!m->options->quiet)
		cli_say("the guest has arrived");
}

/* --- the thread --- */

/* A connection in stream.fd: 0, or -1 with stream.why set. */
static int incoming_connect(struct incoming *in)
{
	struct pollfd wait[2] = {{.fd = in->listen_fd, .events = POLLIN},
				 {.fd = in->cancel_fd, .events = POLLIN}};

	for (;;) {
		if (poll(wait, 2, -1) < 0 && errno != EINTR)
			return stream_fail(&in->stream, "poll: %s", strerror(errno));
		if (wait[1].revents)
			return stream_fail(&in->stream, STREAM_CANCELLED);
		in->stream.fd = accept4(in->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (in->stream.fd >= 0)
			return 0;
	}
}

/* The socket is for one guest: another may wait there for its own from now on, and a second source learns that nobody does. */
static void incoming_close_socket(struct incoming *in)
{
	if (in->listen_fd < 0)
		return;
	unlink(in->path);
	close(in->listen_fd);
	in->listen_fd = -1;
}

/* Waits for a source that says HELLO. Whoever says something else, or nothing, has changed nothing here: the next one may come. */
static int incoming_greet(struct incoming *in)
{
	struct stream *stream = &in->stream;

	while (!stream->is_file) {
		if (incoming_connect(in))
			return -1;
		stream->received = stream->sent = 0;
		if (!receive_hello(in))
			break;
		if (stream->received || !strcmp(stream->why, STREAM_CANCELLED))
			return -1;
		stream_close(stream);
		stream->why[0] = 0;
	}
	if (stream->is_file ? receive_hello(in) : take_disks(in))
		return -1;
	incoming_close_socket(in);
	return stream->is_file ? 0 : stream_send(stream, STREAM_ACCEPT, 0, NULL, 0, NULL, 0);
}

static void *incoming_thread(void *argument)
{
	struct incoming *in = argument;
	struct stream *stream = &in->stream;

	if (!incoming_greet(in) && !receive_guest(in) && !make_ready(in) && !receive_commit(in)) {
		incoming_go(in);
	} else {
		if (strcmp(stream->why, STREAM_CANCELLED))
			cli_say("--incoming %s: %s", in->machine->options->incoming, stream->why);
		if (stream->fd >= 0 && !stream->is_file)
			stream_send(stream, STREAM_FAILED, 0, stream->why, strlen(stream->why),
				    NULL, 0);
		machine_post_end(in->machine, END_FAILED);
	}
	stream_close(stream);
	return NULL;
}

bool incoming_is_open(const struct machine *m)
{
	return m->incoming && !__atomic_load_n(&m->incoming->arrived, __ATOMIC_ACQUIRE);
}

static void incoming_free(struct incoming *in)
{
	incoming_close_socket(in);
	if (in->cancel_fd >= 0)
		close(in->cancel_fd);
	stream_close(&in->stream);
	free(in->payload);
	free(in);
}

static int incoming_open(struct incoming *in)
{
	const char *where = in->machine->options->incoming;

	in->path = stream_parse(where, "--incoming", &in->stream.is_file);
	if (!in->path)
		return -1;
	if (!in->stream.is_file) {
		in->listen_fd = stream_listen(in->path, "--incoming");
		return in->listen_fd < 0 ? -1 : 0;
	}
	in->stream.fd = open(in->path, O_RDONLY | O_CLOEXEC);
	if (in->stream.fd >= 0)
		return 0;
	cli_say_errno("--incoming %s", where);
	return -1;
}

int incoming_start(struct machine *m, struct nvme_disk *disks)
{
	struct incoming *in = calloc(1, sizeof(*in));
	int error;

	if (!in) {
		cli_say_errno("--incoming");
		return -1;
	}
	in->machine = m;
	in->disks = disks;
	in->listen_fd = in->stream.fd = -1;
	in->stream.patience = PATIENCE;
	in->cancel_fd = in->stream.cancel_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	in->payload = malloc(STREAM_MAX_PAYLOAD);
	error = in->cancel_fd < 0 || !in->payload ? ENOMEM : 0;
	if (!incoming_open(in) && !error) {
		machine_hold_input(m);
		error = pthread_create(&in->thread, NULL, incoming_thread, in);
		if (!error) {
			m->incoming = in;
			return 0;
		}
	}
	if (error)
		cli_say("--incoming: %s", strerror(error));
	incoming_free(in);
	return -1;
}

void incoming_end(struct machine *m)
{
	uint64_t one = 1;

	if (!m->incoming)
		return;
	if (write(m->incoming->cancel_fd, &one, sizeof(one)) < 0)
		cli_say_errno("eventfd");
	pthread_join(m->incoming->thread, NULL);
	incoming_free(m->incoming);
	m->incoming = NULL;
}
