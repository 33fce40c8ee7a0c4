/* SPDX-License-Identifier: MIT */
/* A machine that has nothing but a network, and its guest's way to send and receive frames. */
#ifndef TESTS_CLI_NETWORK_RIG_H
#define TESTS_CLI_NETWORK_RIG_H

#include <sched.h>
#include <time.h>

#include "network.h"
#include "virtio_rig.h"
#include "../test.h"

#define ENTRIES 64u

static struct network network;
static struct run_options options;
static unsigned next_rx, next_tx;

static inline void create(const struct network_backend *backend)
{
	struct irq_line line = {.accel = &rig_accel, .spi = SPI};

	rig_memory();
	next_rx = next_tx = 0;
	if (network_create(&network, backend, &options, &pci, SLOT, &ram, line))
		abort();
	map_bar();
}

static inline void begin(const struct network_backend *backend)
{
	create(backend);
	if (network_start(&network, false))
		abort();
	drive(ENTRIES);
	for (unsigned i = 0; i < ENTRIES; i++)
		offer_buffer(RX, i, 1526);
}

static inline void end(void)
{
	network_destroy(&network);
	options = (struct run_options){.network = true};
}

static inline void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
}

#define PATIENCE 20000 /* naps: four seconds and more */

/* Sends when there is room for one more. */
static inline void send_frame(const void *data, size_t length)
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
static inline size_t receive_frame(uint8_t data[VIRTIO_NET_FRAME], unsigned naps)
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

#endif
