/* SPDX-License-Identifier: MIT */
/* The network's thread between the device and a backend that echoes. */
#include "network_rig.h"

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
	memset(&echo, 0, sizeof(echo));
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
