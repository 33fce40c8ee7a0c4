/* SPDX-License-Identifier: MIT */
#include "devices_rig.h"
#include "pl011.h"
#include "../test.h"

enum { DR = 0, FR = 0x18, LCR = 0x2c, CR = 0x30, IMSC = 0x38, RIS = 0x3c, MIS = 0x40, ICR = 0x44 };

static struct bus bus;
static struct pl011 uart;
static char sent[64];
static unsigned nr_sent, nr_drained;

static void transmit(void *opaque, const void *data, size_t length)
{
	memcpy(sent + nr_sent, data, length);
	nr_sent += length;
}

static void drained(void *opaque)
{
	nr_drained++;
}

static void rig(void)
{
	struct irq_line line = {.accel = &rig_accel, .spi = 1};

	memset(&bus, 0, sizeof(bus));
	memset(rig_level, 0, sizeof(rig_level));
	nr_sent = nr_drained = 0;
	pl011_init(&uart, &bus, 0x1000, 0x1000, line);
	uart.transmit = transmit;
	uart.drained = drained;
}

static uint32_t get(unsigned offset)
{
	return rig_load(&bus, 0x1000 + offset, 4);
}

static void put(unsigned offset, uint32_t value)
{
	rig_store(&bus, 0x1000 + offset, 4, value);
}

TEST(an_enabled_uart_interrupts_while_it_holds_characters)
{
	rig();
	put(CR, 0x301);
	put(LCR, 0x70);
	put(IMSC, 0x50);
	EXPECT_EQ(get(FR) & 0x10, 0x10);
	EXPECT_EQ(pl011_receive(&uart, (const uint8_t *)"ab", 2), 2);
	EXPECT_EQ(rig_level[1], true);
	EXPECT_EQ(get(MIS), 0x40); /* idle line with something there; the trigger level is 16 */
	EXPECT_EQ(get(FR) & 0x10, 0);
	EXPECT_EQ(get(DR), 'a');
	EXPECT_EQ(rig_level[1], true);
	EXPECT_EQ(get(DR), 'b');
	EXPECT_EQ(rig_level[1], false);
	EXPECT_EQ(get(DR), 0);
}

TEST(the_receive_fifo_takes_thirty_two_and_says_when_it_is_empty_again)
{
	uint8_t data[40];

	rig();
	put(CR, 0x301);
	put(LCR, 0x70);
	put(IMSC, 0x50);
	nr_drained = 0;
	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = i;
	EXPECT_EQ(pl011_receive(&uart, data, sizeof(data)), 32);
	EXPECT_EQ(pl011_receive(&uart, data, 1), 0);
	EXPECT_EQ(get(FR) & 0x40, 0x40);
	EXPECT_EQ(get(MIS), 0x50);
	for (unsigned i = 0; i < 32; i++)
		EXPECT_EQ(get(DR), i);
	EXPECT_EQ(nr_drained, 1);
	EXPECT_EQ(get(RIS), 0);
}

TEST(without_its_fifo_the_uart_holds_one_character)
{
	rig();
	put(CR, 0x301);
	put(IMSC, 0x10);
	EXPECT_EQ(pl011_receive(&uart, (const uint8_t *)"ab", 2), 1);
	EXPECT_EQ(get(MIS), 0x10);
}

TEST(nothing_is_taken_until_the_driver_listens)
{
	rig();
	put(CR, 0x301);
	EXPECT_EQ(pl011_receive(&uart, (const uint8_t *)"a", 1), 0);
	put(IMSC, 0x40);
	EXPECT_EQ(nr_drained, 1); /* asks for what waits */
	EXPECT_EQ(pl011_receive(&uart, (const uint8_t *)"a", 1), 1);
}

TEST(each_store_to_the_data_register_is_sent_and_raises_the_transmit_interrupt_until_cleared)
{
	rig();
	put(IMSC, 0x20);
	EXPECT_EQ(rig_level[1], false);
	put(DR, 'x');
	EXPECT_EQ(nr_sent, 1);
	EXPECT_EQ(sent[0], 'x');
	EXPECT_EQ(rig_level[1], true);
	put(ICR, 0x20);
	EXPECT_EQ(rig_level[1], false);
	EXPECT_EQ(get(FR) & 0x80, 0x80);
}

TEST(the_peripheral_id_is_that_of_a_pl011)
{
	rig();
	EXPECT_EQ(get(0xfe0) | get(0xfe4) << 8 | get(0xfe8) << 16 | get(0xfec) << 24, 0x00341011);
	EXPECT_EQ(get(0xff0) | get(0xff4) << 8 | get(0xff8) << 16 | get(0xffc) << 24, 0xb105f00d);
}
