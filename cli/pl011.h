/* SPDX-License-Identifier: MIT */
/* Arm PrimeCell PL011 UART (DDI 0183), without DMA and modem lines. Transmission takes no time. */
#ifndef CLI_PL011_H
#define CLI_PL011_H

#include "bus.h"
#include "irq.h"
#include "state.h"

#define PL011_FIFO 32 /* bytes, as in revision r1p5 */

struct pl011 {
	pthread_mutex_t lock;
	struct irq_line irq;
	uint8_t fifo[PL011_FIFO];
	unsigned fifo_head, fifo_count;
	uint32_t ibrd, fbrd, lcr, cr, ifls, imsc, dmacr;
	bool tx_irq;
	/* Where characters go, and whom to tell that there is room for more; both called with the
	 * lock held. */
	void (*transmit)(void *opaque, const void *data, size_t length);
	void (*drained)(void *opaque);
	void *opaque;
};

void pl011_init(struct pl011 *uart, struct bus *bus, uint64_t base, uint64_t size,
		struct irq_line irq);
/* Returns how many of the bytes the UART took: none while the guest's driver does not listen, so
 * that nothing typed early is lost. */
size_t pl011_receive(struct pl011 *uart, const uint8_t *data, size_t length);
void pl011_state(struct pl011 *uart, struct state *state);

#endif
