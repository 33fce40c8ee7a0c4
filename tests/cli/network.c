/* SPDX-License-Identifier: MIT */
/* The network's thread between the device and a backend: one that echoes, and libslirp itself where it is there. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "network.h"
#include "virtio_rig.h"
#include "../test.h"

#define ENTRIES 64u

/* --- a backend that gives back what it takes --- */

static struct {
	struct network *network;
	unsigned taken;	 /* by the thread; read when it is parked or has ended */
	unsigned refuse; /* opening a port fails that often; all ones: always */
	bool open[MAX_FORWARDS];
	unsigned opened, closed, refused;
} echo;

static void *echo_create(struct network *network)
{
	echo.network = network;
	return &echo;
}

static void echo_destroy(void *backend)
{
}

static void echo_take(void *backend, const uint8_t *data, size_t length)
{
	__atomic_fetch_add(&echo.taken, 1, __ATOMIC_RELAXED);
	network_deliver(echo.network, data, length);
}

static void echo_prepare(void *backend, struct network_polls *polls, int *milliseconds)
{
}

static void echo_dispatch(void *backend, const struct network_polls *polls, bool failed)
{
}

static int echo_open(void *backend, const struct forward_option *forward)
{
	unsigned refuse = __atomic_load_n(&echo.refuse, __ATOMIC_RELAXED);

	if (refuse) {
		if (refuse != ~0u)
			__atomic_fetch_sub(&echo.refuse, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&echo.refused, 1, __ATOMIC_RELAXED);
		return -EADDRINUSE;
	}
	echo.open[forward->guest_port] = true;
	__atomic_fetch_add(&echo.opened, 1, __ATOMIC_RELAXED);
	return 0;
}

static void echo_close(void *backend, const struct forward_option *forward)
{
	echo.open[forward->guest_port] = false;
	__atomic_fetch_add(&echo.closed, 1, __ATOMIC_RELAXED);
}

static const struct network_backend echo_backend = {
	.create = echo_create,
	.destroy = echo_destroy,
	.take = echo_take,
	.prepare = echo_prepare,
	.dispatch = echo_dispatch,
	.open_forward = echo_open,
	.close_forward = echo_close,
};

/* --- the machine around it --- */

static struct network network;
static struct run_options options;
static unsigned next_rx, next_tx;

static void create(const struct network_backend *backend)
{
	struct irq_line line = {.accel = &rig_accel, .spi = SPI};

	rig_memory();
	memset(&echo, 0, sizeof(echo));
	next_rx = next_tx = 0;
	if (network_create(&network, backend, &options, &pci, SLOT, &ram, line))
		abort();
	map_bar();
}

static void begin(const struct network_backend *backend)
{
	create(backend);
	if (network_start(&network, false))
		abort();
	drive(ENTRIES);
	for (unsigned i = 0; i < ENTRIES; i++)
		offer_buffer(RX, i, 1526);
}

static void end(void)
{
	network_destroy(&network);
	options = (struct run_options){.network = true};
}

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
}

#define PATIENCE 20000 /* naps: four seconds and more */

/* Sends when there is room for one more. */
static void send_frame(const void *data, size_t length)
{
	uint32_t id, ignored;

	for (unsigned i = 0; next_tx >= ENTRIES && !used(TX, &id, &ignored); i++) {
		ASSERT(i < PATIENCE);
		nap();
	}
	offer_frame(next_tx++ % ENTRIES, data, length);
	if (wants_notify(TX))
		put(NOTIFY + 4, 2, TX);
}

/* The next frame that came, or 0 after so many naps. */
static size_t receive_frame(uint8_t data[VIRTIO_NET_FRAME], unsigned naps)
{
	uint32_t id, length;

	/* At once, at first: what is answered while the thread is about to sleep is the most interesting. */
	for (unsigned i = 0; !used(RX, &id, &length); i++) {
		if (i >= naps + 1000)
			return 0;
		if (i < 1000)
			sched_yield();
		else
			nap();
	}
	memory_read(&ram, BUFFERS(RX) + id * BUFFER + 12, data, length - 12);
	offer_buffer(RX, id, 1526);
	return length - 12;
}

static void add_forwards(unsigned nr)
{
	options = (struct run_options){.network = true, .nr_forwards = nr};
	for (unsigned i = 0; i < nr; i++)
		options.forwards[i] =
			(struct forward_option){.text = "tcp:1:1", .host_port = 1, .guest_port = i};
}

TEST(what_the_guest_sends_reaches_the_backend_and_comes_back_in_order)
{
	uint8_t data[VIRTIO_NET_FRAME];

	options = (struct run_options){.network = true};
	begin(&echo_backend);
	for (unsigned i = 0; i < 5000; i++) {
		send_frame(&i, sizeof(i));
		ASSERT_EQ(receive_frame(data, PATIENCE), sizeof(i));
		ASSERT(!memcmp(data, &i, sizeof(i)));
	}
	end();
	EXPECT_EQ(network.device.sent, 5000);
	EXPECT_EQ(network.device.received, 5000);
}

TEST(a_parked_network_moves_nothing)
{
	uint8_t data[VIRTIO_NET_FRAME];
	unsigned i, before;

	options = (struct run_options){.network = true};
	begin(&echo_backend);
	for (i = 0; i < 100; i++) {
		network_pause(&network);
		before = echo.taken;
		send_frame(&i, sizeof(i));
		if (!(i % 20)) {
			EXPECT_EQ(receive_frame(data, 20), 0);
			EXPECT_EQ(echo.taken, before);
		}
		network_resume(&network);
		ASSERT_EQ(receive_frame(data, PATIENCE), sizeof(i));
		ASSERT(!memcmp(data, &i, sizeof(i)));
	}
	/* Parked from the beginning, as a guest's next home is; and ended while it is parked. */
	end();
	create(&echo_backend);
	EXPECT_EQ(network_start(&network, true), 0);
	drive(ENTRIES);
	offer_buffer(RX, 0, 1526);
	send_frame("x", 1);
	EXPECT_EQ(receive_frame(data, 20), 0);
	network_resume(&network);
	EXPECT_EQ(receive_frame(data, PATIENCE), 1);
	network_pause(&network);
	network_stop(&network);
	network_stop(&network);
	end();
}

static bool stop_flood;

static void *flood(void *argument)
{
	/* Twice as many as there are: the ring is always full, of frames and of what is none. */
	while (!__atomic_load_n(&stop_flood, __ATOMIC_RELAXED)) {
		uint32_t id, length;

		while (next_tx < ENTRIES || used(TX, &id, &length)) {
			if (next_tx % 3)
				offer_frame(next_tx % ENTRIES, "flood", 5);
			else
				offer_buffer(TX, next_tx % ENTRIES, 12);
			next_tx++;
		}
		if (wants_notify(TX))
			put(NOTIFY + 4, 2, TX);
	}
	return NULL;
}

TEST(a_guest_that_sends_all_the_time_can_be_parked_and_ended)
{
	pthread_t thread;

	options = (struct run_options){.network = true};
	begin(&echo_backend);
	stop_flood = false;
	ASSERT_EQ(pthread_create(&thread, NULL, flood, NULL), 0);
	for (unsigned i = 0; !__atomic_load_n(&echo.taken, __ATOMIC_RELAXED); i++) {
		ASSERT(i < PATIENCE);
		nap();
	}
	for (unsigned i = 0; i < 50; i++) {
		unsigned before;

		nap();
		network_pause(&network);
		before = echo.taken;
		nap();
		EXPECT_EQ(echo.taken, before);
		network_resume(&network);
	}
	network_stop(&network);
	__atomic_store_n(&stop_flood, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	end();
}

TEST(forwarded_ports_close_while_the_guest_stands_still)
{
	const struct forward_option *failed;

	add_forwards(3);
	create(&echo_backend);
	EXPECT_EQ(network_open_forwards(&network, &failed), 0);
	EXPECT_EQ(echo.opened, 3);
	EXPECT_EQ(network_start(&network, false), 0);
	network_pause(&network);
	EXPECT_EQ(echo.closed, 3);
	EXPECT(!echo.open[0] && !echo.open[1] && !echo.open[2]);
	rig_messages = 0;
	__atomic_store_n(&echo.refuse, 5, __ATOMIC_RELAXED); /* who has them now is slow to go */
	network_resume(&network);
	for (unsigned i = 0; __atomic_load_n(&echo.opened, __ATOMIC_RELAXED) < 6; i++) {
		ASSERT(i < PATIENCE);
		nap();
	}
	network_stop(&network);
	EXPECT_EQ(rig_messages, 1);
	EXPECT(echo.open[0] && echo.open[1] && echo.open[2]);
	end();
}

static void load_with_forwards(bool leaves_at_once)
{
	static uint8_t saved[4096];
	struct state state = {.data = saved, .size = sizeof(saved)};
	size_t length;

	add_forwards(2);
	create(&echo_backend);
	network_state(&network, &state);
	EXPECT(state_is_good(&state));
	EXPECT_EQ(echo.opened, 0);
	length = state.used;
	state = (struct state){.loading = true, .data = saved, .size = length};
	echo.refuse = 1;
	network_state(&network, &state);
	EXPECT(strstr(state.why, "--forward tcp:1:1: "));
	state = (struct state){.loading = true, .data = saved, .size = length};
	network_state(&network, &state);
	EXPECT(state_is_good(&state));
	EXPECT(echo.open[0] && echo.open[1]);
	EXPECT_EQ(echo.opened, 2);
	/* It keeps them until the guest has arrived, and then as long as that runs. */
	EXPECT_EQ(network_start(&network, true), 0);
	network_pause(&network);
	EXPECT_EQ(echo.closed, 0);
	EXPECT(echo.open[0] && echo.open[1]);
	network_resume(&network);
	if (leaves_at_once) {
		network_pause(&network);
		EXPECT_EQ(echo.closed, 2);
		EXPECT(!echo.open[0] && !echo.open[1]);
	}
	network_stop(&network);
	EXPECT_EQ(echo.opened, 2);
	EXPECT_EQ(echo.closed, leaves_at_once ? 2 : 0);
	end();
}

TEST(ports_that_are_taken_refuse_a_guest_that_comes)
{
	load_with_forwards(false);
}

TEST(a_guest_that_goes_on_at_once_leaves_no_port_behind)
{
	for (unsigned i = 0; i < 100; i++)
		load_with_forwards(true);
}

static int64_t milliseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

TEST(a_lost_port_is_tried_now_and_then_and_told_of_each_time_it_is_lost)
{
	uint8_t data[VIRTIO_NET_FRAME];
	int64_t start;

	add_forwards(1);
	begin(&echo_backend);
	for (unsigned round = 1; round <= 3; round++) {
		unsigned opened, refused;

		network_pause(&network);
		opened = echo.opened;
		echo.refused = 0;
		rig_messages = 0;
		__atomic_store_n(&echo.refuse, ~0u, __ATOMIC_RELAXED);
		start = milliseconds();
		network_resume(&network);
		for (unsigned i = 0; i < 500; i++) {
			send_frame(&i, sizeof(i));
			ASSERT_EQ(receive_frame(data, PATIENCE), sizeof(i));
		}
		refused = __atomic_load_n(&echo.refused, __ATOMIC_RELAXED);
		EXPECT(refused && refused <= (milliseconds() - start) / 100 + 1);
		__atomic_store_n(&echo.refuse, 0, __ATOMIC_RELAXED);
		for (unsigned i = 0; __atomic_load_n(&echo.opened, __ATOMIC_RELAXED) == opened;
		     i++) {
			ASSERT(i < PATIENCE);
			nap();
		}
		network_pause(&network);
		EXPECT_EQ(rig_messages, 1);
		network_resume(&network);
	}
	end();
}

TEST(a_burst_of_frames_is_told_of_while_it_comes)
{
	uint32_t id, length;

	options = (struct run_options){.network = true};
	create(&echo_backend);
	drive(ENTRIES);
	for (unsigned i = 0; i < ENTRIES; i++)
		offer_buffer(RX, i, 1526);
	/* Inside of one round, as the backend does it. */
	for (unsigned i = 1; i <= ENTRIES; i++) {
		network_deliver(&network, (const uint8_t *)"x", 1);
		EXPECT_EQ(get(ISR, 1), i % 32 ? 0 : 1);
	}
	/* What did not fit is another reason. */
	while (used(RX, &id, &length))
		if (id < 3)
			offer_buffer(RX, id, 1526);
	for (unsigned i = 0; i < 3; i++) {
		network_deliver(&network, (const uint8_t *)"x", 1);
		EXPECT_EQ(get(ISR, 1), 0);
	}
	network_deliver(&network, (const uint8_t *)"x", 1);
	EXPECT_EQ(get(ISR, 1), 1);
	end();
}

/* --- libslirp --- */

static const uint8_t guest_mac[6] = {0x02, 0x61, 0x6e, 0x79, 0x6b, 0x76};

static uint16_t checksum(const uint8_t *data, size_t length)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < length; i += 2)
		sum += data[i] << 8 | data[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static void store16(uint8_t *p, unsigned value)
{
	p[0] = value >> 8;
	p[1] = value;
}

static void store32(uint8_t *p, uint32_t value)
{
	store16(p, value >> 16);
	store16(p + 2, value);
}

#define GUEST 0x0a00020fu /* 10.0.2.15 */
#define HOST  0x0a000202u

/* Ethernet, IPv4 and UDP around a payload; UDP without checksum. */
static void send_udp(uint32_t from, uint32_t to, unsigned from_port, unsigned to_port,
		     const void *payload, size_t length)
{
	uint8_t f[VIRTIO_NET_FRAME] = {0};

	memset(f, 0xff, 6);
	memcpy(f + 6, guest_mac, 6);
	store16(f + 12, 0x0800);
	store16(f + 14, 0x4500);
	store16(f + 16, 28 + length);
	store16(f + 22, 64 << 8 | 17);
	store32(f + 26, from);
	store32(f + 30, to);
	store16(f + 24, checksum(f + 14, 20));
	store16(f + 34, from_port);
	store16(f + 36, to_port);
	store16(f + 38, 8 + length);
	memcpy(f + 42, payload, length);
	send_frame(f, 42 + length);
}

/* Answers "who has GUEST"; returns the next UDP datagram's length. */
static size_t receive_udp(uint8_t payload[VIRTIO_NET_FRAME])
{
	uint8_t f[VIRTIO_NET_FRAME];
	size_t length;

	while ((length = receive_frame(f, PATIENCE))) {
		if (f[12] == 8 && f[13] == 6 && f[21] == 1) {
			uint8_t answer[42];

			memcpy(answer, f, sizeof(answer));
			memcpy(answer, f + 6, 6);
			memcpy(answer + 6, guest_mac, 6);
			answer[21] = 2;
			memcpy(answer + 22, guest_mac, 6);
			store32(answer + 28, GUEST);
			memcpy(answer + 32, f + 22, 10);
			send_frame(answer, sizeof(answer));
		} else if (f[12] == 8 && !f[13] && f[23] == 17) {
			memcpy(payload, f + 42, length - 42);
			return (f[38] << 8 | f[39]) - 8u;
		}
	}
	return 0;
}

static int host_socket(struct sockaddr_in *at)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct timeval patience = {.tv_sec = 20};
	socklen_t size = sizeof(*at);

	*at = (struct sockaddr_in){.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (bind(fd, (struct sockaddr *)at, size) || getsockname(fd, (struct sockaddr *)at, &size))
		abort();
	return fd;
}

static void need_slirp(void)
{
	if (!network_builtin)
		SKIP("built without libslirp");
	options = (struct run_options){.network = true};
}

TEST(slirp_offers_an_address)
{
	uint8_t request[300] = {1, 1, 6, 0, 1, 2, 3, 4}, answer[VIRTIO_NET_FRAME];

	need_slirp();
	begin(network_builtin);
	memcpy(request + 28, guest_mac, 6);
	store32(request + 236, 0x63825363);
	memcpy(request + 240, (uint8_t[]){53, 1, 1, 255}, 4);
	send_udp(0, ~0u, 68, 67, request, sizeof(request));
	ASSERT(receive_udp(answer) > 240);
	EXPECT_EQ(answer[0], 2);
	EXPECT(!memcmp(answer + 4, request + 4, 4));
	EXPECT(!memcmp(answer + 16, (uint8_t[]){10, 0, 2, 15}, 4));
	end();
}

TEST(slirp_carries_datagrams_out_and_their_answers_in)
{
	struct sockaddr_in at, peer;
	socklen_t size = sizeof(peer);
	char text[64];
	uint8_t answer[VIRTIO_NET_FRAME];
	int fd = host_socket(&at);

	need_slirp();
	begin(network_builtin);
	for (unsigned i = 0; i < 20; i++) {
		send_udp(GUEST, HOST, 1000, ntohs(at.sin_port), "to the host", 12);
		ASSERT_EQ(recvfrom(fd, text, sizeof(text), 0, (struct sockaddr *)&peer, &size), 12);
		EXPECT(!strcmp(text, "to the host"));
		ASSERT_EQ(sendto(fd, "to the guest", 13, 0, (struct sockaddr *)&peer, size), 13);
		ASSERT_EQ(receive_udp(answer), 13);
		EXPECT(!strcmp((char *)answer, "to the guest"));
	}
	end();
	close(fd);
}

TEST(slirp_leaves_descriptors_for_others)
{
	struct rlimit usual, low;
	struct sockaddr_in at;
	char text[64];
	int fd = host_socket(&at), others[40];

	need_slirp();
	ASSERT(!getrlimit(RLIMIT_NOFILE, &usual));
	low = usual;
	low.rlim_cur = 100;
	ASSERT(!setrlimit(RLIMIT_NOFILE, &low));
	create(network_builtin);
	ASSERT(!getrlimit(RLIMIT_NOFILE, &low));
	EXPECT_EQ(low.rlim_cur, usual.rlim_max < 65536 ? usual.rlim_max : 65536);
	EXPECT_EQ(network.polls.max_open, low.rlim_cur);
	/* More connections than there could be, a socket each. */
	network.polls.max_open = low.rlim_cur = 256;
	ASSERT(!setrlimit(RLIMIT_NOFILE, &low));
	EXPECT_EQ(network_start(&network, false), 0);
	drive(ENTRIES);
	for (unsigned i = 0; i < 600; i++)
		send_udp(GUEST, HOST, 1000 + i, ntohs(at.sin_port), "x", 1);
	network_pause(&network);
	ASSERT_EQ(recv(fd, text, sizeof(text), 0), 1);
	for (unsigned i = 0; i < 40; i++) {
		others[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (others[i] < 0)
			TEST_FAIL("no descriptor is left for the %uth of others", i);
	}
	for (unsigned i = 0; i < 40; i++)
		close(others[i]);
	end();
	close(fd);
	ASSERT(!setrlimit(RLIMIT_NOFILE, &usual));
}

TEST(slirp_forwards_a_port_which_nobody_has_while_the_guest_stands_still)
{
	const struct forward_option *failed;
	struct sockaddr_in at, own;
	uint8_t answer[VIRTIO_NET_FRAME];
	int fd = host_socket(&own), taken = host_socket(&at);

	need_slirp();
	options.nr_forwards = 1;
	options.forwards[0] = (struct forward_option){.text = "udp",
						      .udp = true,
						      .host = at.sin_addr,
						      .host_port = ntohs(at.sin_port),
						      .guest_port = 53};
	create(network_builtin);
	EXPECT_EQ(network_open_forwards(&network, &failed), -EADDRINUSE);
	EXPECT(failed == &options.forwards[0]);
	close(taken);
	EXPECT_EQ(network_open_forwards(&network, &failed), 0);
	EXPECT_EQ(network_start(&network, false), 0);
	drive(ENTRIES);
	for (unsigned i = 0; i < ENTRIES; i++)
		offer_buffer(RX, i, 1526);
	ASSERT_EQ(sendto(fd, "question", 9, 0, (struct sockaddr *)&at, sizeof(at)), 9);
	ASSERT_EQ(receive_udp(answer), 9);
	EXPECT(!strcmp((char *)answer, "question"));
	network_pause(&network);
	taken = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	EXPECT_EQ(bind(taken, (struct sockaddr *)&at, sizeof(at)), 0);
	close(taken);
	network_resume(&network);
	end();
	close(fd);
}
