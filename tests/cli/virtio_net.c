/* SPDX-License-Identifier: MIT */
/* The virtio network device, driven as a guest drives it; and as no guest should. */
#include "virtio_rig.h"
#include "../test.h"

static struct virtio_net net;
static unsigned nr_notified;

static void on_notify(void *device)
{
	nr_notified++;
}

static void rig(void)
{
	rig_memory();
	memset(&net, 0, sizeof(net));
	net.virtio.ram = &ram;
	net.virtio.pci.irq = (struct irq_line){.accel = &rig_accel, .spi = SPI};
	net.virtio.notify = on_notify;
	virtio_net_attach(&net, &pci, SLOT);
	map_bar();
	nr_notified = 0;
}

static uint8_t frame[VIRTIO_NET_FRAME];

static bool take(size_t *length)
{
	return virtio_net_take(&net, frame, length);
}

static bool give(size_t length)
{
	uint8_t data[VIRTIO_NET_FRAME];

	for (size_t i = 0; i < length; i++)
		data[i] = i * 7 + length;
	return virtio_net_give(&net, data, length);
}

static bool broken(void)
{
	return get(STATUS, 1) & 64;
}

TEST(capabilities_say_where_everything_is)
{
	unsigned seen = 0, at;

	rig();
	EXPECT_EQ(rig_load(&bus, CONFIG, 4), 0x10411af4);
	EXPECT_EQ(rig_load(&bus, CONFIG + 8, 4), 0x02000001);
	EXPECT(rig_load(&bus, CONFIG + 6, 2) & 0x10);
	for (at = rig_load(&bus, CONFIG + 0x34, 1); at; at = rig_load(&bus, CONFIG + at + 1, 1)) {
		static const struct {
			uint32_t offset, length;
		} where[6] = {[1] = {0x0000, 0x40},
			      [2] = {0x2000, 8},
			      [3] = {0x0800, 1},
			      [4] = {0x1000, 6}};
		unsigned type = rig_load(&bus, CONFIG + at + 3, 1);

		if (rig_load(&bus, CONFIG + at, 1) == 0x11) {
			EXPECT_EQ(rig_load(&bus, CONFIG + at + 2, 2), 2);
			EXPECT_EQ(rig_load(&bus, CONFIG + at + 4, 4), 0x3000);
			seen |= 1;
			continue;
		}
		EXPECT_EQ(rig_load(&bus, CONFIG + at, 1), 9);
		ASSERT(type >= 1 && type <= 5);
		seen |= 1u << type;
		EXPECT_EQ(rig_load(&bus, CONFIG + at + 4, 1), 0);
		EXPECT_EQ(rig_load(&bus, CONFIG + at + 8, 4), where[type].offset);
		EXPECT_EQ(rig_load(&bus, CONFIG + at + 12, 4), where[type].length);
		if (type == 2)
			EXPECT_EQ(rig_load(&bus, CONFIG + at + 16, 4), 4);
	}
	EXPECT_EQ(seen, 0x3f);
	EXPECT_EQ(get(DEVICE_CONFIG, 4), 0x796e6102);
	EXPECT_EQ(get(DEVICE_CONFIG + 4, 2), 0x766b);
}

TEST(bar_0_can_be_reached_through_configuration_space)
{
	/* Outside of the BAR, of a length that no access has, misaligned, of another BAR. */
	static const uint32_t bad[][3] = {{0x4000, 4, 0},     {0xfffffffc, 4, 0}, {STATUS, 3, 0},
					  {STATUS + 1, 2, 0}, {STATUS, 0, 0},	  {STATUS, 1, 1}};
	uint64_t cap;

	rig();
	cap = CONFIG + rig_load(&bus, CONFIG + 0x34, 1);
	EXPECT_EQ(rig_load(&bus, cap + 3, 1), 5);
	rig_store(&bus, cap + 8, 4, NUM_QUEUES);
	rig_store(&bus, cap + 12, 4, 2);
	EXPECT_EQ(rig_load(&bus, cap + 16, 2), 2);
	rig_store(&bus, cap + 8, 4, STATUS);
	rig_store(&bus, cap + 12, 4, 1);
	rig_store(&bus, cap + 16, 1, 3);
	EXPECT_EQ(get(STATUS, 1), 3);
	rig_store(&bus, cap + 8, 4, VECTORS + 4); /* the MSI-X table is there, too */
	rig_store(&bus, cap + 12, 4, 4);
	rig_store(&bus, cap + 16, 4, 0x12345678);
	EXPECT_EQ(get(VECTORS + 4, 4), 0x12345678);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		rig_store(&bus, cap + 8, 4, bad[i][0]);
		rig_store(&bus, cap + 12, 4, bad[i][1]);
		rig_store(&bus, cap + 4, 1, bad[i][2]);
		rig_store(&bus, cap + 16, 4, 0);
		rig_load(&bus, cap + 16, 4);
		EXPECT_EQ(get(STATUS, 1), 3);
	}
}

TEST(features_are_agreed_on_or_refused)
{
	static const uint32_t wrong[][2] = {
		{0, 0}, {1 << 5, 0}, {1 << 5 | 1, 1}, {0, 3}, {~0u, ~0u}};

	rig();
	put(DEVICE_SELECT, 4, 0);
	EXPECT_EQ(get(DEVICE_FEATURE, 4), 1 << 5);
	put(DEVICE_SELECT, 4, 1);
	EXPECT_EQ(get(DEVICE_FEATURE, 4), 1);
	put(DEVICE_SELECT, 4, 2);
	EXPECT_EQ(get(DEVICE_FEATURE, 4), 0);
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		accept_features(wrong[i][0], wrong[i][1]);
		EXPECT_EQ(get(STATUS, 1), 3);
	}
	accept_features(0, 1);
	EXPECT_EQ(get(STATUS, 1), 11);
	put(DRIVER_FEATURE, 4, 0); /* too late */
	EXPECT_EQ(get(DRIVER_FEATURE, 4), 1);
	put(STATUS, 1, 3); /* bits go all together only */
	EXPECT_EQ(get(STATUS, 1), 11);
	put(STATUS, 1, 0);
	EXPECT_EQ(get(STATUS, 1), 0);
	EXPECT_EQ(get(DRIVER_FEATURE, 4), 0);
}

TEST(frames_go_out_whatever_pieces_they_are_in)
{
	uint32_t id, length;
	uint8_t data[100];
	size_t got;

	rig();
	drive(8);
	EXPECT_EQ(get(QUEUE_SIZE, 2), 8);
	memset(data, 0xab, sizeof(data));
	offer_frame(3, data, sizeof(data));
	nr_notified = 0;
	put(NOTIFY + 4, 2, 1);
	EXPECT_EQ(nr_notified, 1);
	ASSERT(take(&got));
	EXPECT_EQ(got, sizeof(data));
	EXPECT(!memcmp(frame, data, sizeof(data)));
	ASSERT(used(TX, &id, &length));
	EXPECT_EQ(id, 3);
	EXPECT_EQ(length, 0);
	EXPECT(!take(&got));
	/* 12 bytes of header and 100 of frame in seven pieces that do not respect the border. */
	for (unsigned cut = 1; cut < 20; cut++) {
		for (unsigned i = 0, at = 0; i < 7; i++) {
			unsigned part = i == 6 ? 112 - at : cut % 13 + i + 1;

			memset(memory_at(&ram, BUFFERS(TX) + at, part), 0, part);
			set_desc(TX, i,
				 (struct rig_descriptor){.address = BUFFERS(TX) + at,
							 .length = part,
							 .flags = i < 6 ? NEXT : 0,
							 .next = i + 1});
			at += part;
		}
		for (unsigned i = 0; i < 100; i++)
			memory_write(&ram, BUFFERS(TX) + 12 + i, &(uint8_t){i + cut}, 1);
		offer(TX, 0);
		ASSERT(take(&got));
		EXPECT_EQ(got, 100);
		for (unsigned i = 0; i < 100; i++)
			ASSERT_EQ(frame[i], i + cut);
		ASSERT(used(TX, &id, &length));
	}
	EXPECT(!broken());
}

TEST(frames_come_in_with_a_header_and_in_as_many_pieces_as_there_are)
{
	uint32_t id, length;
	uint8_t *at;

	rig();
	drive(8);
	EXPECT(!give(60)); /* no buffer */
	offer_buffer(RX, 5, 1526);
	EXPECT(give(1514));
	ASSERT(used(RX, &id, &length));
	EXPECT_EQ(id, 5);
	EXPECT_EQ(length, 1526);
	at = memory_at(&ram, BUFFERS(RX) + 5 * BUFFER, BUFFER);
	for (unsigned i = 0; i < 12; i++)
		ASSERT_EQ(at[i], i == 10); /* num_buffers is 1 */
	for (unsigned i = 0; i < 1514; i++)
		ASSERT_EQ(at[12 + i], (uint8_t)(i * 7 + 1514));
	set_desc(RX, 0, (struct rig_descriptor){BUFFERS(RX), 12, WRITE | NEXT, 1});
	set_desc(RX, 1, (struct rig_descriptor){BUFFERS(RX) + 100, 5, WRITE | NEXT, 2});
	set_desc(RX, 2, (struct rig_descriptor){BUFFERS(RX) + 200, 500, WRITE, 0});
	offer(RX, 0);
	EXPECT(!give(506)); /* a byte too long for it: the buffer waits for another */
	memset(ram.dirty, 0, memory_bitmap_words(&ram) * sizeof(*ram.dirty));
	EXPECT(give(505));
	ASSERT(used(RX, &id, &length));
	EXPECT_EQ(length, 517);
	at = memory_at(&ram, BUFFERS(RX), BUFFER);
	EXPECT_EQ(at[104], (uint8_t)(4 * 7 + 505));
	EXPECT_EQ(at[200], (uint8_t)(5 * 7 + 505));
	EXPECT_EQ(net.dropped, 2);
	/* All pages that were stored to are known to be dirty: the buffer's, the index's and the entry's. */
	EXPECT(is_dirty(BUFFERS(RX)));
	EXPECT(is_dirty(queues[RX].device));
	EXPECT(is_dirty(queues[RX].device + 4));
	EXPECT(!broken());
}

TEST(indices_go_round_many_times)
{
	uint32_t id, length;
	size_t got;

	rig();
	drive(4);
	for (unsigned i = 0; i < 70000; i++) {
		offer_frame(i % 4, &i, sizeof(i));
		offer_buffer(RX, i % 4, 1526);
		ASSERT(take(&got));
		ASSERT(!memcmp(frame, &i, sizeof(i)));
		ASSERT(used(TX, &id, &length) && id == i % 4);
		ASSERT(give(14 + i % 1500));
		ASSERT(used(RX, &id, &length) && id == i % 4 && length == 26 + i % 1500);
	}
}

TEST(interrupts_are_of_the_queue_and_as_the_driver_wants_them)
{
	size_t got;

	rig();
	drive(8);
	/* INTA: a level, until ISR status is read */
	offer_frame(0, "x", 1);
	take(&got);
	EXPECT_EQ(rig_level[SPI], false);
	virtio_net_signal(&net);
	EXPECT_EQ(rig_level[SPI], true);
	EXPECT_EQ(get(ISR, 1), 1);
	EXPECT_EQ(rig_level[SPI], false);
	virtio_net_signal(&net); /* told once */
	EXPECT_EQ(get(ISR, 1), 0);
	/* none is wanted */
	memory_write(&ram, queues[TX].driver, &(uint16_t){1}, 2);
	offer_frame(1, "x", 1);
	take(&got);
	virtio_net_signal(&net);
	EXPECT_EQ(rig_level[SPI], false);
	memory_write(&ram, queues[TX].driver, &(uint16_t){0}, 2);
	/* messages */
	for (unsigned i = 0; i < 3; i++) {
		rig_store(&bus, BAR + VECTORS + i * 16, 8, 0x0e010040);
		put(VECTORS + i * 16 + 8, 4, 0x40 + i);
		put(VECTORS + i * 16 + 12, 4, 0);
	}
	rig_store(&bus, CONFIG + 0x42, 2, 0x8000);
	for (unsigned i = 0; i < 2; i++) {
		put(QUEUE_SELECT, 2, i);
		put(QUEUE_VECTOR, 2, i + 1);
		EXPECT_EQ(get(QUEUE_VECTOR, 2), i + 1);
	}
	put(CONFIG_VECTOR, 2, 3); /* there are three */
	EXPECT_EQ(get(CONFIG_VECTOR, 2), 0xffff);
	put(CONFIG_VECTOR, 2, 0);
	offer_frame(2, "x", 1);
	take(&got);
	virtio_net_signal(&net);
	EXPECT_EQ(rig_nr_msis, 1);
	EXPECT_EQ(rig_msi.data, 0x42);
	EXPECT_EQ(rig_msi.devid, SLOT << 3);
	offer_buffer(RX, 0, 1526);
	give(60);
	virtio_net_signal(&net);
	EXPECT_EQ(rig_nr_msis, 2);
	EXPECT_EQ(rig_msi.data, 0x41);
	EXPECT_EQ(get(ISR, 1), 0);
	/* the configuration's own */
	offer(RX, 300);
	EXPECT(!give(60));
	EXPECT(broken());
	EXPECT_EQ(rig_nr_msis, 3);
	EXPECT_EQ(rig_msi.data, 0x40);
	EXPECT_EQ(rig_level[SPI], false);
}

TEST(notifications_are_asked_for_and_not)
{
	uint16_t flags;
	size_t got;

	rig();
	drive(8);
	virtio_net_begin_work(&net);
	memory_read(&ram, queues[TX].device, &flags, 2);
	EXPECT_EQ(flags, 1);
	EXPECT(virtio_net_end_work(&net));
	memory_read(&ram, queues[TX].device, &flags, 2);
	EXPECT_EQ(flags, 0);
	/* What came before the driver could see that is told by the queue itself. */
	virtio_net_begin_work(&net);
	offer_frame(0, "x", 1);
	EXPECT(!virtio_net_end_work(&net));
	EXPECT(take(&got));
	EXPECT(virtio_net_end_work(&net));
}

TEST(nothing_moves_before_the_driver_is_ready_nor_without_bus_mastering)
{
	size_t got;

	rig();
	EXPECT(!take(&got));
	EXPECT(!give(60));
	accept_features(1 << 5, 1);
	set_queue(RX, 8);
	set_queue(TX, 8);
	offer_frame(0, "x", 1);
	offer_buffer(RX, 0, 1526);
	EXPECT(!take(&got));
	EXPECT(!give(60));
	rig_store(&bus, CONFIG + 4, 2, 2);
	put(STATUS, 1, 15);
	EXPECT(!take(&got));
	EXPECT(!give(60));
	nr_notified = 0;
	rig_store(&bus, CONFIG + 4, 2, 6);
	EXPECT(nr_notified);
	EXPECT(take(&got));
	EXPECT(give(60));
	/* Off between two frames of a batch: the driver is not asked to tell, so nobody but this wakes the device. */
	virtio_net_begin_work(&net);
	rig_store(&bus, CONFIG + 4, 2, 2);
	EXPECT(virtio_net_end_work(&net));
	EXPECT(!wants_notify(TX));
	nr_notified = 0;
	rig_store(&bus, CONFIG + 4, 2, 6);
	EXPECT(nr_notified);
	put(STATUS, 1, 0);
	EXPECT(!take(&got));
	EXPECT(!give(60));
}

static const struct bad_chain {
	const char *name;
	struct rig_descriptor desc[3];
	uint16_t head;
	bool is_receive;
} bad_chains[] = {
	{.name = "a loop of one", .desc = {{BUFFERS(0), 64, NEXT, 0}}},
	{.name = "a loop of three",
	 .desc = {{BUFFERS(0), 64, NEXT, 1}, {BUFFERS(0), 64, NEXT, 2}, {BUFFERS(0), 64, NEXT, 0}}},
	{.name = "a head that is not there", .head = 8},
	{.name = "a head far away", .head = 0xffff},
	{.name = "a next that is not there", .desc = {{BUFFERS(0), 64, NEXT, 8}}},
	{.name = "empty", .desc = {{BUFFERS(0), 0, 0, 0}}},
	{.name = "empty in the middle",
	 .desc = {{BUFFERS(0), 64, NEXT, 1}, {BUFFERS(0), 0, NEXT, 2}, {BUFFERS(0), 64, 0, 0}}},
	{.name = "below memory", .desc = {{RIG_RAM - 1, 64, 0, 0}}},
	{.name = "at 0", .desc = {{0, 64, 0, 0}}},
	{.name = "over the end of memory", .desc = {{RIG_END - 63, 64, 0, 0}}},
	{.name = "behind memory", .desc = {{RIG_END, 1, 0, 0}}},
	{.name = "the last address", .desc = {{~0ull, 64, 0, 0}}},
	{.name = "around the end of addresses", .desc = {{~0ull - 31, 64, 0, 0}}},
	{.name = "huge", .desc = {{BUFFERS(0), ~0u, 0, 0}}},
	{.name = "indirect", .desc = {{BUFFERS(0), 64, INDIRECT, 0}}},
	{.name = "written before read",
	 .desc = {{BUFFERS(0), 64, NEXT | WRITE, 1}, {BUFFERS(0), 64, 0, 0}}},
	{.name = "no header", .desc = {{BUFFERS(0), 11, 0, 0}}},
	{.name = "nothing to read", .desc = {{BUFFERS(0), 64, WRITE, 0}}},
	{.name = "nothing to write", .desc = {{BUFFERS(0), 2000, 0, 0}}, .is_receive = true},
	{.name = "received around the end",
	 .desc = {{~0ull - 31, 2000, WRITE, 0}},
	 .is_receive = true},
	{.name = "received in a loop",
	 .desc = {{BUFFERS(0), 64, NEXT | WRITE, 0}},
	 .is_receive = true},
};

TEST(a_malformed_chain_breaks_the_device_until_it_is_reset)
{
	uint32_t id, length;
	size_t got;

	for (unsigned i = 0; i < sizeof(bad_chains) / sizeof(bad_chains[0]); i++) {
		const struct bad_chain *bad = &bad_chains[i];
		unsigned index = bad->is_receive ? RX : TX;

		rig();
		drive(8);
		/* Behind the table is what would do, and is none of it. */
		for (unsigned j = 0; j < 16; j++)
			set_desc(index, j,
				 j < 3 ? bad->desc[j]
				       : (struct rig_descriptor){BUFFERS(0), 64,
								 index == RX ? WRITE : 0, 0});
		offer(index, bad->head);
		EXPECT(!(bad->is_receive ? give(60) : take(&got)));
		if (!broken())
			TEST_FAIL("not refused: %s", bad->name);
		EXPECT(!used(index, &id, &length));
		/* The driver is told, the user once. */
		EXPECT_EQ(rig_level[SPI], true);
		EXPECT_EQ(get(ISR, 1), 2);
		EXPECT_EQ(rig_messages, 1);
		/* Nothing goes on, whatever is available; a reset heals. */
		offer_frame(7, "x", 1);
		EXPECT(!take(&got));
		EXPECT(!give(60));
		EXPECT_EQ(rig_messages, 1);
		drive(8);
		EXPECT(!broken());
		offer_frame(0, "x", 1);
		EXPECT(take(&got));
		/* Who does it again and again must not flood the terminal. */
		offer(TX, 0xffff);
		EXPECT(!take(&got));
		EXPECT(broken());
		EXPECT_EQ(rig_messages, 1);
	}
}

TEST(an_index_that_runs_away_breaks_the_device)
{
	size_t got;

	rig();
	drive(8);
	offer_frame(0, "x", 1);
	memory_write(&ram, queues[TX].driver + 2, &(uint16_t){9}, 2);
	EXPECT(!take(&got));
	EXPECT(broken());
	drive(8);
	offer_frame(0, "x", 1);
	memory_write(&ram, queues[TX].driver + 2, &(uint16_t){0xffff}, 2);
	EXPECT(!take(&got));
	EXPECT(broken());
	drive(8);
	for (unsigned i = 0; i < 8; i++)
		offer_frame(i, "x", 1);
	for (unsigned i = 0; i < 8; i++)
		EXPECT(take(&got));
	EXPECT(!broken());
}

TEST(a_chain_may_be_as_long_as_its_queue)
{
	uint32_t id, length;
	size_t got;

	rig();
	drive(256);
	for (unsigned i = 0; i < 256; i++)
		set_desc(TX, i,
			 (struct rig_descriptor){BUFFERS(TX) + i, 1, i < 255 ? NEXT : 0, i + 1});
	offer(TX, 0);
	EXPECT(take(&got));
	EXPECT_EQ(got, 244);
	EXPECT(used(TX, &id, &length));
	/* Nothing, and too much, for a frame: returned and dropped. */
	set_desc(TX, 0, (struct rig_descriptor){BUFFERS(TX), 12, 0, 0});
	offer(TX, 0);
	EXPECT(take(&got));
	EXPECT_EQ(got, 0);
	set_desc(TX, 0, (struct rig_descriptor){BUFFERS(TX), 12 + 1515, 0, 0});
	offer(TX, 0);
	EXPECT(take(&got));
	EXPECT_EQ(got, 0);
	set_desc(TX, 0, (struct rig_descriptor){RIG_RAM, 16 * MIB, 0, 0});
	offer(TX, 0);
	EXPECT(take(&got));
	EXPECT_EQ(got, 0);
	EXPECT_EQ(net.dropped, 3);
	EXPECT(!broken());
}

TEST(impossible_queues_are_refused_when_they_are_enabled)
{
	static const struct {
		uint64_t desc, driver, device;
	} bad[] = {
		{QUEUES(0) + 8, QUEUES(0) + 0x2000, QUEUES(0) + 0x4000},
		{QUEUES(0), QUEUES(0) + 0x2001, QUEUES(0) + 0x4000},
		{QUEUES(0), QUEUES(0) + 0x2000, QUEUES(0) + 0x4002},
		{0, QUEUES(0) + 0x2000, QUEUES(0) + 0x4000},
		{RIG_END - 4096 + 16, QUEUES(0) + 0x2000, QUEUES(0) + 0x4000},
		{QUEUES(0), RIG_END - 516, QUEUES(0) + 0x4000},
		{QUEUES(0), QUEUES(0) + 0x2000, RIG_END - 2052},
		{~0ull - 15, QUEUES(0) + 0x2000, QUEUES(0) + 0x4000},
	};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		rig();
		accept_features(1 << 5, 1);
		put(QUEUE_SELECT, 2, TX);
		set_address(QUEUE_DESC, bad[i].desc);
		set_address(QUEUE_DRIVER, bad[i].driver);
		set_address(QUEUE_DEVICE, bad[i].device);
		put(QUEUE_ENABLE, 2, 1);
		EXPECT(broken());
		EXPECT_EQ(get(QUEUE_ENABLE, 2), 0);
		put(STATUS, 1, 15);
		EXPECT(!give(60));
	}
	rig();
	drive(8);
	/* Sizes that cannot be are not taken, nor is anything of a queue in use, or of one that is not there. */
	put(QUEUE_SELECT, 2, TX);
	set_address(QUEUE_DESC, 0);
	put(QUEUE_SIZE, 2, 4);
	put(QUEUE_ENABLE, 2, 0);
	EXPECT_EQ(get(QUEUE_DESC, 4), (uint32_t)QUEUES(TX));
	EXPECT_EQ(get(QUEUE_SIZE, 2), 8);
	EXPECT_EQ(get(QUEUE_ENABLE, 2), 1);
	put(QUEUE_SELECT, 2, 2);
	EXPECT_EQ(get(QUEUE_SIZE, 2), 0);
	put(QUEUE_ENABLE, 2, 1);
	EXPECT_EQ(get(QUEUE_ENABLE, 2), 0);
	put(STATUS, 1, 0);
	put(QUEUE_SELECT, 2, TX);
	for (unsigned i = 0; i < 3; i++) {
		put(QUEUE_SIZE, 2, (unsigned[]){0, 3, 512}[i]);
		EXPECT_EQ(get(QUEUE_SIZE, 2), 256);
	}
}

static uint8_t saved[4096];

static size_t save(void)
{
	struct state state = {.data = saved, .size = sizeof(saved)};

	virtio_net_state(&net, &state);
	EXPECT(state_is_good(&state));
	return state.used;
}

static bool load(size_t length)
{
	struct state state = {.loading = true, .data = saved, .size = length};

	virtio_net_state(&net, &state);
	return state_is_good(&state) && state.used == length;
}

/* Another machine with the same memory. */
static void move(void)
{
	size_t length = save();

	memset(&net, 0, sizeof(net));
	net.virtio.ram = &ram;
	net.virtio.pci.irq = (struct irq_line){.accel = &rig_accel, .spi = SPI};
	net.virtio.notify = on_notify;
	pci_init(&pci, &(struct bus){0}, ECAM, WINDOW, 0x10000000);
	virtio_net_attach(&net, &pci, SLOT);
	EXPECT(load(length));
}

TEST(a_device_that_has_moved_goes_on)
{
	uint32_t id, length;
	size_t got;

	rig();
	drive(8);
	for (unsigned i = 0; i < 30; i++) {
		offer_frame(i % 8, &i, sizeof(i));
		offer_buffer(RX, i % 8, 1526);
		if (i % 3)
			move();
		ASSERT(take(&got));
		ASSERT(!memcmp(frame, &i, sizeof(i)));
		move(); /* with an interrupt that nobody has been told of */
		virtio_net_signal(&net);
		EXPECT_EQ(get(ISR, 1), 1);
		ASSERT(used(TX, &id, &length) && id == i % 8);
		ASSERT(give(60));
		ASSERT(used(RX, &id, &length) && id == i % 8);
	}
}

TEST(damaged_state_does_no_harm)
{
	uint64_t seed = 1;
	uint8_t good[sizeof(saved)];
	size_t length, got;

	rig();
	drive(8);
	length = save();
	memcpy(good, saved, length);
	for (size_t cut = 0; cut < length; cut += 7)
		EXPECT(!load(cut));
	for (unsigned r = 0; r < 20000; r++) {
		memcpy(saved, good, length);
		rig_damage(saved, length, r, &seed);
		/* Good or not: what is taken afterwards stays inside of memory. */
		load(length);
		take(&got);
		give(60);
		get(QUEUE_VECTOR, 2);
		virtio_net_end_work(&net);
		virtio_net_signal(&net);
	}
	memcpy(saved, good, length);
	EXPECT(load(length));
}

/* Whatever a guest stores, the device stays inside its own and the guest's memory (the sanitizers watch), and takes what is right
 * after a reset. */
TEST(random_stores_and_chains_do_no_harm)
{
	unsigned long rounds = test_rounds(40000, 4000000);
	uint64_t seed = 7;
	size_t got;

	rig();
	for (unsigned long i = 0; i < rounds; i++) {
		uint64_t r;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		r = seed >> 20;
		switch (r % 16) {
		case 0:
			rig_store(&bus, BAR + (r >> 8) % 0x3ff8, 1 << ((r >> 4) & 3), seed);
			break;
		case 1:
			rig_store(&bus, BAR + (r >> 8) % 0x40, 1 << ((r >> 4) & 3), seed >> 40);
			break;
		case 2:
			rig_store(&bus, CONFIG + (r >> 8) % 0x100, 1 << ((r >> 4) & 1), seed);
			rig_load(&bus, CONFIG + (r >> 16) % 0x100, 4);
			map_bar();
			break;
		case 3:
			rig_load(&bus, BAR + (r >> 8) % 0x3ff8, 1 << ((r >> 4) & 3));
			break;
		case 4:
			if (!(r & 0x300))
				drive(1 << (r >> 10) % 9);
			break;
		case 5:
			memory_write(&ram, QUEUES(r >> 8 & 1) + (r >> 9) % 0x5000, &seed, 4);
			break;
		case 6:
		case 7:
			give(14 + (r >> 8) % 1500);
			break;
		case 8:
			virtio_net_signal(&net);
			virtio_net_begin_work(&net);
			virtio_net_end_work(&net);
			break;
		case 9:
		case 10:
		case 11:
			for (unsigned j = 0; j < 8; j++)
				take(&got);
			break;
		default: {
			unsigned index = r >> 8 & 1, head = (r >> 9 & 15), last = r >> 13 & 3;

			if (broken() || !(get(STATUS, 1) & 4))
				drive(16);
			for (unsigned j = 0; j <= last; j++)
				set_desc(index, (head + j) % 16,
					 (struct rig_descriptor){
						 .address = r >> 17 & 31 ? BUFFERS(index) +
										   (seed >> 40) * 3
									 : seed * 5,
						 .length = r >> 22 & 31 ? 1 + (seed >> 30 & 0x7ff)
									: seed >> 8,
						 .flags = (j < last ? NEXT : 0) |
							  (index == RX ? WRITE : 0) |
							  (r >> 27 & 63 ? 0 : 1 << (r & 3)),
						 .next = r >> 33 & 31 ? (head + j + 1) % 16
								      : seed >> 44});
			offer(index, r >> 38 & 63 ? head : seed >> 24);
		}
		}
	}
	drive(8);
	offer_frame(0, "x", 1);
	EXPECT(take(&got));
	EXPECT_EQ(got, 1);
}
