/* SPDX-License-Identifier: MIT */
/*
 * User networking by libslirp: a TCP/IP stack of its own that turns what the guest sends into ordinary sockets of this process, so
 * it needs no privilege and no interface of the host. The network is 10.0.2.0/24: the host at .2 (its loopback included), a name
 * server at .3 that asks the host's, addresses for the guest by DHCP from .15.
 *
 * libslirp has no locks: all of it runs in the network's thread (network.h, N1), callbacks included.
 */
#include <errno.h>
#include <fcntl.h>
#include <slirp/libslirp.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "network.h"

struct slirp_backend {
	Slirp *slirp;
	struct network *network;
	struct network_polls *polls; /* the network's, since the first round */
	bool complained;
	bool full;	/* until the next round no frame may open a socket */
	unsigned since; /* frames that may have opened one since the last look at the descriptors */
};

static struct in_addr address(uint8_t last)
{
	return (struct in_addr){.s_addr = htonl(10u << 24 | 2u << 8 | last)};
}

/* --- what libslirp calls --- */

static ssize_t on_packet(const void *data, size_t length, void *opaque)
{
	struct slirp_backend *s = opaque;

	network_deliver(s->network, data, length);
	return length;
}

static void on_guest_error(const char *message, void *opaque)
{
	struct slirp_backend *s = opaque;

	/* Once: a guest must not flood the terminal. */
	if (!s->complained)
		cli_say("network: the guest's traffic: %s", message);
	s->complained = true;
}

static int64_t on_clock(void *opaque)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* All descriptors are looked at in each round, and each round begins with what is to be waited for. */
static void on_descriptor(int fd, void *opaque)
{
}

static void on_notify(void *opaque)
{
}

static const struct {
	int slirp, poll;
} events[] = {
	{SLIRP_POLL_IN, POLLIN},   {SLIRP_POLL_OUT, POLLOUT}, {SLIRP_POLL_PRI, POLLPRI},
	{SLIRP_POLL_ERR, POLLERR}, {SLIRP_POLL_HUP, POLLHUP},
};

static int on_add_poll(int fd, int wanted, void *opaque)
{
	struct slirp_backend *s = opaque;
	int waits_for = 0;

	for (unsigned i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		if (wanted & events[i].slirp)
			waits_for |= events[i].poll;
	return network_add_poll(s->polls, fd, waits_for);
}

static int on_get_events(int index, void *opaque)
{
	struct slirp_backend *s = opaque;
	int came = 0;

	if (index < 0)
		return 0;
	for (unsigned i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		if (s->polls->fds[index].revents & events[i].poll)
			came |= events[i].slirp;
	return came;
}

/* Timers are for IPv6 alone, which is off. */
static const SlirpCb callbacks = {
	.send_packet = on_packet,
	.guest_error = on_guest_error,
	.clock_get_ns = on_clock,
	.register_poll_fd = on_descriptor,
	.unregister_poll_fd = on_descriptor,
	.notify = on_notify,
};

/* --- what the network calls --- */

static void *slirp_backend_create(struct network *network)
{
	struct slirp_backend *s = calloc(1, sizeof(*s));
	const SlirpConfig config = {
		.version = 1,
		.in_enabled = true,
		.vnetwork = address(0),
		.vnetmask = {.s_addr = htonl(0xffffff00)},
		.vhost = address(2),
		.vnameserver = address(3),
		.vdhcp_start = address(15),
	};

	if (s) {
		s->network = network;
		s->slirp = slirp_new(&config, &callbacks, s);
	}
	if (s && s->slirp)
		return s;
	cli_say("network: libslirp cannot be started");
	free(s);
	return NULL;
}

static void slirp_backend_destroy(void *backend)
{
	struct slirp_backend *s = backend;

	slirp_cleanup(s->slirp);
	free(s);
}

/*
 * Descriptors are the whole process's: some are kept for it, more than the frames between two looks and the connections that a round
 * accepts can take. libslirp does not wait for all of its sockets, so they are not counted: the kernel gives out the lowest number.
 */
#define RESERVE	   192u
#define LOOK_EVERY 16u

static bool descriptors_run_out(const struct network_polls *polls)
{
	unsigned reserve = polls->max_open / 4 < RESERVE ? polls->max_open / 4 : RESERVE;
	int fd = fcntl(polls->fds[0].fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return true;
	close(fd);
	return (unsigned)fd + reserve >= polls->max_open;
}

/* Anything but a segment of a TCP connection that there is. libslirp puts fragments together later: they may be anything. */
static bool may_open_socket(const uint8_t *frame, size_t length)
{
	const uint8_t *ip = frame + 14;
	size_t header;

	if (length < 14 + 20)
		return false; /* too short for IPv4, whatever it is */
	if (frame[12] != 8 || frame[13])
		return false;
	header = (ip[0] & 15) * 4;
	if (ip[9] != 6 || (ip[6] & 0x3f) || ip[7] || length < 14 + header + 20)
		return true;
	return (ip[header + 13] & 0x12) == 0x02; /* SYN without ACK */
}

static void look_at_descriptors(struct slirp_backend *s)
{
	s->since = 0;
	s->full = descriptors_run_out(s->polls);
}

static void slirp_backend_take(void *backend, const uint8_t *frame, size_t length)
{
	struct slirp_backend *s = backend;

	if (may_open_socket(frame, length)) {
		if (!s->full && s->polls && ++s->since == LOOK_EVERY)
			look_at_descriptors(s);
		if (s->full)
			return;
	}
	slirp_input(s->slirp, frame, length);
}

static void slirp_backend_prepare(void *backend, struct network_polls *polls, int *milliseconds)
{
	struct slirp_backend *s = backend;
	uint32_t timeout = *milliseconds < 0 ? UINT32_MAX : *milliseconds;

	s->polls = polls;
	look_at_descriptors(s);
	slirp_pollfds_fill(s->slirp, &timeout, on_add_poll, s);
	*milliseconds = timeout > INT32_MAX ? -1 : (int)timeout;
}

static void slirp_backend_dispatch(void *backend, const struct network_polls *polls, bool failed)
{
	struct slirp_backend *s = backend;

	slirp_pollfds_poll(s->slirp, failed, on_get_events, s);
}

static int slirp_backend_open(void *backend, const struct forward_option *forward)
{
	struct slirp_backend *s = backend;

	errno = 0;
	if (!slirp_add_hostfwd(s->slirp, forward->udp, forward->host, forward->host_port,
			       address(15), forward->guest_port))
		return 0;
	return errno ? -errno : -EADDRINUSE;
}

static void slirp_backend_close(void *backend, const struct forward_option *forward)
{
	struct slirp_backend *s = backend;

	slirp_remove_hostfwd(s->slirp, forward->udp, forward->host, forward->host_port);
}

extern const struct network_backend net_slirp;
const struct network_backend net_slirp = {
	.create = slirp_backend_create,
	.destroy = slirp_backend_destroy,
	.take = slirp_backend_take,
	.prepare = slirp_backend_prepare,
	.dispatch = slirp_backend_dispatch,
	.open_forward = slirp_backend_open,
	.close_forward = slirp_backend_close,
};
