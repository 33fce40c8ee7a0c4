/* SPDX-License-Identifier: MIT */
/*
 * The network at the other end of the guest's cable: one thread that carries frames between the virtio device and a backend, which
 * is libslirp (net_slirp.c) where this command was built with it.
 *
 * Who may touch what:
 * N1. The backend belongs to the thread; while that does not run, or is parked, to whoever has stopped or parked it. It has no lock.
 * N2. The device has the lock of the PCI host. The thread takes it for one frame at a time, and calls the backend without it, since
 *     that gives frames back from inside. A vCPU that holds it wakes the thread by an eventfd, and waits for nothing.
 * N3. `lock` guards what is wanted of the thread (pause, stop) and whether it is parked. Nothing else is taken under it.
 * N4. While the thread is parked no frame moves and nothing is written to guest memory: the device can be saved. Forwarded ports are
 *     closed meanwhile, so that the guest's next home can have them; who resumes the guest here gets them back, or is told. That
 *     next home, parked from its start, holds those that it opened for the state until the guest arrives.
 */
#ifndef CLI_NETWORK_H
#define CLI_NETWORK_H

#include <poll.h>
#include <pthread.h>

#include "options.h"
#include "virtio_net.h"

struct network;

/* Grows with the number of connections. */
struct network_polls {
	unsigned nr, room;
	unsigned max_open;  /* descriptors of the process */
	struct pollfd *fds; /* the first is the thread's own */
};

/* Its place in fds, or -1: out of memory. */
int network_add_poll(struct network_polls *polls, int fd, int events);

struct network_backend {
	/* Null after a message. Frames for the guest go to network_deliver(). */
	void *(*create)(struct network *network);
	void (*destroy)(void *backend);
	/* The guest has sent this. */
	void (*take)(void *backend, const uint8_t *frame, size_t length);
	/* What to wait for; *milliseconds may become less. */
	void (*prepare)(void *backend, struct network_polls *polls, int *milliseconds);
	/* After the wait: what came. */
	void (*dispatch)(void *backend, const struct network_polls *polls, bool failed);
	/* 0, or -errno. */
	int (*open_forward)(void *backend, const struct forward_option *forward);
	void (*close_forward)(void *backend, const struct forward_option *forward);
};

/* Null: this command was built without a library for it. */
extern const struct network_backend *const network_builtin;

struct network {
	struct virtio_net device;
	const struct network_backend *ops;
	void *backend;
	pthread_mutex_t *device_lock;
	const struct run_options *options;
	int wake_fd;
	pthread_t thread;
	bool started;
	/* The thread's, as the backend is. */
	bool open[MAX_FORWARDS], lost_told;
	int64_t next_try; /* of those that are not open: CLOCK_MONOTONIC in ms, or 0 */
	unsigned untold;  /* frames that were given to the guest, at most, since it was told */
	struct network_polls polls;
	/* Under lock. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool pause, stop, parked;
	bool ran; /* since it was started; until then it keeps the ports that it has */
};

/* The device on the bus, and the backend. 0, or -1 after a message. */
int network_create(struct network *network, const struct network_backend *ops,
		   const struct run_options *options, struct pci_host *host, unsigned slot,
		   const struct guest_memory *ram, struct irq_line irq);
/* Opens all forwarded ports; before the thread runs. 0, or -errno with *failed set. */
int network_open_forwards(struct network *network, const struct forward_option **failed);
/* Starts the thread, parked or not: 0, or -1 after a message. */
int network_start(struct network *network, bool paused);
void network_pause(struct network *network);
void network_resume(struct network *network);
/* Ends the thread; more than once does no harm. */
void network_stop(struct network *network);
void network_destroy(struct network *network);
/* The backend, inside take or dispatch: a frame for the guest. */
void network_deliver(struct network *network, const uint8_t *frame, size_t length);
/* The device's state; while loading, forwarded ports are opened, and must be free. */
void network_state(struct network *network, struct state *state);

#endif
