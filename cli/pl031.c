/* SPDX-License-Identifier: MIT */
#include <time.h>

#include "pl031.h"

enum {
	RTC_DR = 0x00,
	RTC_MR = 0x04,
	RTC_LR = 0x08,
	RTC_CR = 0x0c,
	RTC_IMSC = 0x10,
	RTC_RIS = 0x14,
	RTC_MIS = 0x18,
	RTC_ID = 0xfe0
};

static uint64_t pl031_read(void *device, uint64_t offset, unsigned size)
{
	static const uint8_t id[] = {0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1};
	struct pl031 *rtc = device;

	if (offset >= RTC_ID)
		return id[(offset - RTC_ID) / 4 & 7];
	switch (offset) {
	case RTC_DR:
		return (uint32_t)(time(NULL) + rtc->offset);
	case RTC_MR:
		return rtc->match;
	case RTC_LR:
		return rtc->load;
	case RTC_CR:
		return 1;
	case RTC_IMSC:
		return rtc->mask;
	default:
		return 0;
	}
}

static void pl031_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct pl031 *rtc = device;

	switch (offset) {
	case RTC_MR:
		rtc->match = value;
		break;
	case RTC_LR:
		rtc->load = value;
		rtc->offset = (int64_t)(uint32_t)value - time(NULL);
		break;
	case RTC_IMSC:
		rtc->mask = value & 1;
		break;
	}
}

void pl031_init(struct pl031 *rtc, struct bus *bus, uint64_t base, uint64_t size)
{
	struct bus_region region = {
		.name = "rtc",
		.base = base,
		.size = size,
		.lock = &rtc->lock,
		.device = rtc,
		.read = pl031_read,
		.write = pl031_write,
	};

	*rtc = (struct pl031){.lock = PTHREAD_MUTEX_INITIALIZER};
	bus_add(bus, &region);
}

void pl031_state(struct pl031 *rtc, struct state *state)
{
	pthread_mutex_lock(&rtc->lock);
	state_value(state, rtc->offset);
	state_value(state, rtc->match);
	state_value(state, rtc->load);
	state_value(state, rtc->mask);
	pthread_mutex_unlock(&rtc->lock);
}
