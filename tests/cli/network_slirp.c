/* SPDX-License-Identifier: MIT */
/* The network with libslirp behind it, where that is there. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "network_rig.h"

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
