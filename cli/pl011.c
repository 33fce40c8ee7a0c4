/* SPDX-License-Identifier: MIT */
#include "pl011.h"

enum {
	UART_DR = 0x00,
	UART_RSR = 0x04,
	UART_FR = 0x18,
	UART_ILPR = 0x20,
	UART_IBRD = 0x24,
	UART_FBRD = 0x28,
	UART_LCR = 0x2c,
	UART_CR = 0x30,
	UART_IFLS = 0x34,
	UART_IMSC = 0x38,
	UART_RIS = 0x3c,
	UART_MIS = 0x40,
	UART_ICR = 0x44,
	UART_DMACR = 0x48,
	UART_ID = 0xfe0,
};

#define FR_CTS	(1u << 0)
#define FR_DSR	(1u << 1)
#define FR_DCD	(1u << 2)
#define FR_RXFE (1u << 4)
#define FR_RXFF (1u << 6)
#define FR_TXFE (1u << 7)

#define LCR_FEN (1u << 4)

#define CR_UARTEN (1u << 0)
#define CR_LBE	  (1u << 7)
#define CR_TXE	  (1u << 8)
#define CR_RXE	  (1u << 9)

#define INT_RX (1u << 4)
#define INT_TX (1u << 5)
#define INT_RT (1u << 6)

static unsigned pl011_depth(const struct pl011 *uart)
{
	return uart->lcr & LCR_FEN ? PL011_FIFO : 1;
}

static unsigned pl011_trigger(const struct pl011 *uart)
{
	static const uint8_t eighths[8] = {1, 2, 4, 6, 7, 4, 4, 4};

	return uart->lcr & LCR_FEN ? PL011_FIFO * eighths[uart->ifls >> 3 & 7] / 8 : 1;
}

/*
 * The receive interrupts follow the FIFO: RX from the trigger level on, RT (the line has been idle
 * with something in the FIFO) as soon as anything is there, since a terminal's line is always idle
 * by the time the guest looks.
 */
static uint32_t pl011_raw_irqs(const struct pl011 *uart)
{
	return (uart->fifo_count >= pl011_trigger(uart) ? INT_RX : 0) |
	       (uart->fifo_count ? INT_RT : 0) | (uart->tx_irq ? INT_TX : 0);
}

static void pl011_update(struct pl011 *uart)
{
	irq_line_set(&uart->irq, pl011_raw_irqs(uart) & uart->imsc);
}

static void pl011_push(struct pl011 *uart, uint8_t byte)
{
	uart->fifo[(uart->fifo_head + uart->fifo_count++) % PL011_FIFO] = byte;
}

static uint32_t pl011_pop(struct pl011 *uart)
{
	uint8_t byte;

	if (!uart->fifo_count)
		return 0;
	byte = uart->fifo[uart->fifo_head];
	uart->fifo_head = (uart->fifo_head + 1) % PL011_FIFO;
	if (!--uart->fifo_count && uart->drained)
		uart->drained(uart->opaque);
	pl011_update(uart);
	return byte;
}

static uint64_t pl011_read(void *device, uint64_t offset, unsigned size)
{
	static const uint8_t id[] = {0x11, 0x10, 0x34, 0x00, 0x0d, 0xf0, 0x05, 0xb1};
	struct pl011 *uart = device;

	if (offset >= UART_ID)
		return id[(offset - UART_ID) / 4 & 7];
	switch (offset) {
	case UART_DR:
		return pl011_pop(uart);
	case UART_FR:
		return FR_CTS | FR_DSR | FR_DCD | FR_TXFE | (uart->fifo_count ? 0 : FR_RXFE) |
		       (uart->fifo_count >= pl011_depth(uart) ? FR_RXFF : 0);
	case UART_IBRD:
		return uart->ibrd;
	case UART_FBRD:
		return uart->fbrd;
	case UART_LCR:
		return uart->lcr;
	case UART_CR:
		return uart->cr;
	case UART_IFLS:
		return uart->ifls;
	case UART_IMSC:
		return uart->imsc;
	case UART_RIS:
		return pl011_raw_irqs(uart);
	case UART_MIS:
		return pl011_raw_irqs(uart) & uart->imsc;
	case UART_DMACR:
		return uart->dmacr;
	default:
		return 0;
	}
}

static void pl011_write_data(struct pl011 *uart, uint8_t byte)
{
	if (uart->cr & CR_LBE) {
		if (uart->fifo_count < pl011_depth(uart))
			pl011_push(uart, byte);
	} else if (uart->transmit) {
		uart->transmit(uart->opaque, &byte, 1);
	}
	uart->tx_irq = true; /* the FIFO has just run empty */
}

static void pl011_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct pl011 *uart = device;

	switch (offset) {
	case UART_DR:
		pl011_write_data(uart, value);
		break;
	case UART_IBRD:
		uart->ibrd = value & 0xffff;
		break;
	case UART_FBRD:
		uart->fbrd = value & 0x3f;
		break;
	case UART_LCR:
		if ((uart->lcr ^ value) & LCR_FEN)
			uart->fifo_count = 0;
		uart->lcr = value & 0xff;
		break;
	case UART_CR:
		uart->cr = value & 0xffff;
		break;
	case UART_IFLS:
		uart->ifls = value & 0x3f;
		break;
	case UART_IMSC:
		uart->imsc = value & 0x7ff;
		if ((uart->imsc & (INT_RX | INT_RT)) && !uart->fifo_count && uart->drained)
			uart->drained(uart->opaque);
		break;
	case UART_ICR:
		if (value & INT_TX)
			uart->tx_irq = false;
		break;
	case UART_DMACR:
		uart->dmacr = value & 7;
		break;
	}
	pl011_update(uart);
}

size_t pl011_receive(struct pl011 *uart, const uint8_t *data, size_t length)
{
	size_t taken = 0;

	pthread_mutex_lock(&uart->lock);
	if ((uart->cr & (CR_UARTEN | CR_RXE)) == (CR_UARTEN | CR_RXE) &&
	    (uart->imsc & (INT_RX | INT_RT))) {
		while (taken < length && uart->fifo_count < pl011_depth(uart))
			pl011_push(uart, data[taken++]);
		pl011_update(uart);
	}
	pthread_mutex_unlock(&uart->lock);
	return taken;
}

void pl011_init(struct pl011 *uart, struct bus *bus, uint64_t base, uint64_t size,
		struct irq_line irq)
{
	struct bus_region region = {
		.name = "uart",
		.base = base,
		.size = size,
		.lock = &uart->lock,
		.device = uart,
		.read = pl011_read,
		.write = pl011_write,
	};

	*uart = (struct pl011){
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.irq = irq,
		.cr = CR_TXE | CR_RXE,
		.ifls = 0x12,
	};
	bus_add(bus, &region);
}

void pl011_state(struct pl011 *uart, struct state *state)
{
	pthread_mutex_lock(&uart->lock);
	state_bytes(state, uart->fifo, sizeof(uart->fifo));
	state_value(state, uart->fifo_head);
	state_value(state, uart->fifo_count);
	state_value(state, uart->ibrd);
	state_value(state, uart->fbrd);
	state_value(state, uart->lcr);
	state_value(state, uart->cr);
	state_value(state, uart->ifls);
	state_value(state, uart->imsc);
	state_value(state, uart->dmacr);
	state_bool(state, &uart->tx_irq);
	irq_line_state(&uart->irq, state);
	if (uart->fifo_head >= PL011_FIFO || uart->fifo_count > PL011_FIFO) {
		uart->fifo_head = uart->fifo_count = 0;
		state_fail(state, "more input than fits");
	}
	pthread_mutex_unlock(&uart->lock);
}
