/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "virtio_net.h"

enum { QUEUE_RECEIVE, QUEUE_TRANSMIT, NR_QUEUES };

#define NET_DEVICE_ID 1
#define NET_CLASS     0x020000 /* Ethernet */
#define NET_F_MAC     (1ull << 5)

/* Before each frame, both ways; fields are of offloads, which are not offered. */
struct header {
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};

/* Locally administered: 02, then "anykv". */
static const uint8_t mac[6] = {0x02, 0x61, 0x6e, 0x79, 0x6b, 0x76};

/* The next chain of a queue, if there is one. */
static bool take_chain(struct virtio_net *net, unsigned index, struct virtqueue_chain *chain)
{
	struct virtqueue *queue = virtio_pci_queue(&net->virtio, index);
	const char *fault;
	int status = queue ? virtqueue_take(queue, net->virtio.ram, chain, &fault) : 0;

	if (status < 0)
		virtio_pci_break(&net->virtio, fault);
	return status > 0;
}

bool virtio_net_take(struct virtio_net *net, uint8_t frame[VIRTIO_NET_FRAME], size_t *length)
{
	struct virtqueue_chain chain;
	uint64_t bytes;

	*length = 0;
	if (!take_chain(net, QUEUE_TRANSMIT, &chain))
		return false;
	bytes = virtqueue_readable_bytes(&chain);
	if (bytes < sizeof(struct header)) {
		virtio_pci_break(&net->virtio, "a frame without its header");
		return false;
	}
	bytes -= sizeof(struct header);
	if (bytes && bytes <= VIRTIO_NET_FRAME) {
		*length = virtqueue_copy_out(&chain, sizeof(struct header), frame, bytes);
		net->sent++;
		net->sent_bytes += bytes;
	} else {
		net->dropped++;
	}
	virtqueue_put(&net->virtio.queues[QUEUE_TRANSMIT], net->virtio.ram, &chain, 0);
	return true;
}

bool virtio_net_give(struct virtio_net *net, const uint8_t *frame, size_t length)
{
	static const struct header header = {.num_buffers = 1};
	struct virtqueue *queue = &net->virtio.queues[QUEUE_RECEIVE];
	const struct guest_memory *ram = net->virtio.ram;
	struct virtqueue_chain chain;
	bool room = take_chain(net, QUEUE_RECEIVE, &chain);

	if (room && !chain.nr_writable) {
		virtio_pci_break(&net->virtio, "a receive buffer that cannot be written");
		room = false;
	}
	if (room && virtqueue_writable_bytes(&chain) < sizeof(header) + length) {
		virtqueue_untake(queue);
		room = false;
	}
	if (!room) {
		net->dropped++;
		return false;
	}
	virtqueue_copy_in(&chain, ram, 0, &header, sizeof(header));
	virtqueue_copy_in(&chain, ram, sizeof(header), frame, length);
	virtqueue_put(queue, ram, &chain, sizeof(header) + length);
	net->received++;
	net->received_bytes += length;
	return true;
}

void virtio_net_begin_work(struct virtio_net *net)
{
	struct virtqueue *queue = virtio_pci_queue(&net->virtio, QUEUE_TRANSMIT);

	if (queue)
		virtqueue_set_notify(queue, net->virtio.ram, false);
}

bool virtio_net_end_work(struct virtio_net *net)
{
	struct virtqueue *queue = virtio_pci_queue(&net->virtio, QUEUE_TRANSMIT);

	if (!queue)
		return true;
	virtqueue_set_notify(queue, net->virtio.ram, true);
	return virtqueue_is_empty(queue, net->virtio.ram);
}

void virtio_net_signal(struct virtio_net *net)
{
	for (unsigned i = 0; i < NR_QUEUES; i++)
		virtio_pci_signal(&net->virtio, i);
}

void virtio_net_attach(struct virtio_net *net, struct pci_host *host, unsigned slot)
{
	struct virtio_pci *virtio = &net->virtio;

	virtio->name = "network";
	virtio->device_id = NET_DEVICE_ID;
	virtio->class_code = NET_CLASS;
	virtio->offered = VIRTIO_F_VERSION_1 | NET_F_MAC;
	virtio->nr_queues = NR_QUEUES;
	virtio->config = mac;
	virtio->config_size = sizeof(mac);
	virtio_pci_attach(virtio, host, slot);
}

void virtio_net_state(struct virtio_net *net, struct state *state)
{
	virtio_pci_state(&net->virtio, state);
}
