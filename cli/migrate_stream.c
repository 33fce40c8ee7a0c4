/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "migrate_stream.h"

int stream_fail(struct stream *stream, const char *format, ...)
{
	va_list arguments;

	if (!stream->why[0]) {
		va_start(arguments, format);
		vsnprintf(stream->why, sizeof(stream->why), format, arguments);
		va_end(arguments);
	}
	return -1;
}

/* --- checksums: four lanes, so that the multiplications overlap --- */

#define PRIME 0x9e3779b97f4a7c15ull

struct checksum {
	uint64_t lane[4];
};

static uint64_t mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * PRIME;
	return hash << 29 | hash >> 35;
}

static void checksum_add(struct checksum *sum, const void *data, size_t length)
{
	const uint8_t *at = data;
	uint64_t word[4];

	for (; length >= 32; length -= 32, at += 32) {
		memcpy(word, at, 32);
		for (unsigned i = 0; i < 4; i++)
			sum->lane[i] = mix(sum->lane[i], word[i]);
	}
	memset(word, 0, sizeof(word));
	if (length) /* a record without payload has no address */
		memcpy(word, at, length);
	for (unsigned i = 0; i < 4; i++)
		sum->lane[i] = mix(sum->lane[i], word[i] + (i ? 0 : (uint64_t)length << 56));
}

static uint64_t checksum_end(const struct checksum *sum)
{
	uint64_t hash = PRIME;

	for (unsigned i = 0; i < 4; i++)
		hash = mix(hash ^ hash >> 31, sum->lane[i]);
	return hash ^ hash >> 32;
}

static uint64_t record_checksum(const struct stream_header *header, const void *payload)
{
	struct checksum sum = {{1, 2, 3, 4}};

	checksum_add(&sum, header, offsetof(struct stream_header, checksum));
	checksum_add(&sum, payload, header->length);
	return checksum_end(&sum);
}

/* --- waiting --- */

static int stream_wait(struct stream *stream, short events)
{
	struct pollfd wait[2] = {{.fd = stream->fd, .events = events},
				 {.fd = stream->cancel_fd, .events = POLLIN}};
	int timeout = stream->patience ? (int)(stream->patience * 1000) : -1;
	int nr;

	do {
		nr = poll(wait, 2, timeout);
	} while (nr < 0 && errno == EINTR);
	if (wait[1].revents)
		return stream_fail(stream, STREAM_CANCELLED);
	if (nr < 0)
		return stream_fail(stream, "poll: %s", strerror(errno));
	if (!nr)
		return stream_fail(stream, "the other side did nothing for %g seconds",
				   stream->patience);
	return 0;
}

/* --- sending --- */

static ssize_t send_some(struct stream *stream, struct iovec *iov, unsigned nr, const int *fds,
			 unsigned nr_fds)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int) * STREAM_FDS)];
	} control = {.room = {0}};
	struct msghdr message = {.msg_iov = iov, .msg_iovlen = nr};

	if (stream->is_file)
		return writev(stream->fd, iov, nr);
	if (nr_fds) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * nr_fds);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int) * nr_fds);
		memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * nr_fds);
	}
	return sendmsg(stream->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int stream_send(struct stream *stream, enum stream_kind kind, uint64_t argument,
		const void *payload, size_t length, const int *fds, unsigned nr_fds)
{
	struct stream_header header = {
		.kind = kind, .sequence = stream->sent++, .length = length, .argument = argument};
	struct iovec iov[2] = {{&header, sizeof(header)}, {(void *)payload, length}};
	unsigned first = 0;

	header.checksum = record_checksum(&header, payload);
	stream->bytes += sizeof(header) + length;
	while (first < 2) {
		ssize_t done;

		if (stream_wait(stream, POLLOUT))
			return -1;
		done = send_some(stream, iov + first, 2 - first, fds, nr_fds);
		if (done < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (done < 0)
			return stream_fail(stream, "%s",
					   errno == EPIPE || errno == ECONNRESET ? STREAM_GONE
										 : strerror(errno));
		nr_fds = 0;
		for (; first < 2 && (size_t)done >= iov[first].iov_len; first++)
			done -= iov[first].iov_len;
		if (first < 2) {
			iov[first].iov_base = (uint8_t *)iov[first].iov_base + done;
			iov[first].iov_len -= done;
		}
	}
	return 0;
}

/* --- receiving --- */

static void keep_fds(struct stream *stream, struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		size_t nr = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		int fd;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < nr; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (stream->nr_fds < STREAM_FDS)
				stream->fds[stream->nr_fds++] = fd;
			else
				close(fd);
		}
	}
}

static ssize_t receive_some(struct stream *stream, void *to, size_t length)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int) * STREAM_FDS)];
	} control;
	struct iovec iov = {to, length};
	struct msghdr message = {.msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	ssize_t got;

	if (stream->is_file)
		return read(stream->fd, to, length);
	got = recvmsg(stream->fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (got >= 0)
		keep_fds(stream, &message);
	return got;
}

static int receive_all(struct stream *stream, void *to, size_t length)
{
	uint8_t *at = to;

	while (length) {
		ssize_t got;

		if (stream_wait(stream, POLLIN))
			return -1;
		got = receive_some(stream, at, length);
		if (got < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (!got || (got < 0 && errno == ECONNRESET))
			return stream_fail(stream, stream->is_file ? "the file ends too early"
								   : STREAM_GONE);
		if (got < 0)
			return stream_fail(stream, "%s", strerror(errno));
		at += got;
		length -= got;
	}
	return 0;
}

/* What the other side says goes to a terminal: no control characters of its choice. */
static int stream_fail_theirs(struct stream *stream, const char *why, size_t length)
{
	char text[200];
	size_t nr = 0;

	for (; nr < length && nr < sizeof(text) - 1; nr++)
		text[nr] = (unsigned char)why[nr] < ' ' || why[nr] == 0x7f ? '?' : why[nr];
	text[nr] = 0;
	return stream_fail(stream, "%s", nr ? text : "it does not say why");
}

int stream_receive(struct stream *stream, struct stream_header *header, void *payload)
{
	if (receive_all(stream, header, sizeof(*header)))
		return -1;
	/* The length is used before the checksum can be known. */
	if (!header->kind || header->kind >= STREAM_NR_KINDS ||
	    header->sequence != stream->received || header->length > STREAM_MAX_PAYLOAD)
		return stream_fail(stream,
				   stream->received ? "damaged: record %u makes no sense"
						    : "no migrating machine of anykvm",
				   stream->received);
	if (receive_all(stream, payload, header->length))
		return -1;
	if (record_checksum(header, payload) != header->checksum)
		return stream_fail(stream, "damaged: the checksum of record %u is wrong",
				   stream->received);
	stream->received++;
	return header->kind == STREAM_FAILED ? stream_fail_theirs(stream, payload, header->length)
					     : 0;
}

int stream_expect(struct stream *stream, enum stream_kind kind, struct stream_header *header,
		  void *payload)
{
	if (stream_receive(stream, header, payload))
		return -1;
	return header->kind == kind
		       ? 0
		       : stream_fail(stream, "record %u is out of order", stream->received - 1);
}

void stream_hear_reason(struct stream *stream)
{
	static uint8_t payload[STREAM_MAX_PAYLOAD]; /* one migration at a time */
	struct stream_header header;
	struct stream heard = *stream;

	if (stream->is_file || strcmp(stream->why, STREAM_GONE))
		return;
	heard.why[0] = 0;
	heard.nr_fds = 0;
	heard.patience = 0.1;
	while (!stream_receive(&heard, &header, payload))
		; /* ACCEPT, if it has not been read yet */
	memcpy(stream->why, heard.why, sizeof(stream->why));
	heard.fd = -1;
	stream_close(&heard); /* descriptors that nobody asked for */
}

void stream_close(struct stream *stream)
{
	if (stream->fd >= 0)
		close(stream->fd);
	while (stream->nr_fds)
		close(stream->fds[--stream->nr_fds]);
	stream->fd = -1;
}

/* --- ends --- */

const char *stream_parse(const char *where, const char *what, bool *is_file)
{
	*is_file = !strncmp(where, "file:", 5);
	if ((!*is_file && strncmp(where, "unix:", 5)) || !where[5]) {
		cli_say("%s %s: give unix:PATH or file:PATH", what, where);
		return NULL;
	}
	return where + 5;
}

static bool unix_address(struct sockaddr_un *address, const char *path)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(address->sun_path)) {
		errno = ENAMETOOLONG;
		return false;
	}
	strcpy(address->sun_path, path);
	return true;
}

int stream_connect(const char *path)
{
	struct sockaddr_un address;
	int fd, error;

	if (!unix_address(&address, path))
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || !connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

/* True, after a message, if the path cannot be ours. */
static bool path_is_taken(const char *path, const char *what)
{
	struct stat there;
	int other;

	if (lstat(path, &there))
		return false;
	if (!S_ISSOCK(there.st_mode)) {
		cli_say("%s %s: there is something that is no socket", what, path);
		return true;
	}
	other = stream_connect(path);
	if (other < 0 && errno != EAGAIN)
		return false;
	cli_say("%s %s: another machine listens there", what, path);
	if (other >= 0)
		close(other);
	return true;
}

int stream_listen(const char *path, const char *what)
{
	static const char suffix[] = ".new";
	struct sockaddr_un address;
	char first_name[sizeof(address.sun_path)];
	mode_t mask;
	int fd;

	if (strlen(path) + sizeof(suffix) > sizeof(first_name)) {
		cli_say("%s %s: the path of a socket has at most %zu bytes here", what, path,
			sizeof(first_name) - sizeof(suffix));
		return -1;
	}
	if (path_is_taken(path, what))
		return -1;
	/* It gets its name when it listens already, so that who waits for the name can connect; this replaces a stale one, too. */
	snprintf(first_name, sizeof(first_name), "%s%s", path, suffix);
	unlink(first_name);
	unix_address(&address, first_name);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* The mode is right from the first moment on: chmod(2) after bind(2) would be too late. */
	mask = umask(0177);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 8) ||
	    rename(first_name, path)) {
		cli_say_errno("%s %s", what, path);
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	umask(mask);
	return fd;
}
