/* SPDX-License-Identifier: MIT */
/*
 * A virtio network device (Virtual I/O Device 1.2, section 5.1) with one pair of queues and no offloads: every frame is whole, its
 * checksums are in it. Who gives frames and takes them is the network's business (network.h), in its own thread, with the lock of
 * the PCI host held around each call.
 */
#ifndef CLI_VIRTIO_NET_H
#define CLI_VIRTIO_NET_H

#include "virtio_pci.h"

#define VIRTIO_NET_FRAME 1514u /* Ethernet, without VLAN */

struct virtio_net {
	struct virtio_pci virtio;
	uint64_t sent, sent_bytes, received, received_bytes, dropped;
};

/* virtio.ram and virtio.pci.irq, virtio.notify and virtio.device are set. */
void virtio_net_attach(struct virtio_net *net, struct pci_host *host, unsigned slot);
/* The next frame that the guest sends; false if there is none now. A length of 0: it was none, but there may be more. */
bool virtio_net_take(struct virtio_net *net, uint8_t frame[VIRTIO_NET_FRAME], size_t *length);
/* A frame for the guest, which has no room for it: false. */
bool virtio_net_give(struct virtio_net *net, const uint8_t *frame, size_t length);
/* The guest need not tell of frames that it wants to send: they are looked for. */
void virtio_net_begin_work(struct virtio_net *net);
/* It is to tell from now on. False: it already has some. */
bool virtio_net_end_work(struct virtio_net *net);
/* After a batch of frames: interrupts for what was taken and given. */
void virtio_net_signal(struct virtio_net *net);
void virtio_net_state(struct virtio_net *net, struct state *state);

#endif
