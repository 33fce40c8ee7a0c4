/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "network.h"

#define BATCH	 64  /* frames that the guest sends before the backend looks at its sockets again */
#define BURST	 32  /* frames for the guest before it is told of them */
#define RETRY_MS 100 /* a port that could not be had back */
#define MAX_OPEN 65536

#ifdef ANYKVM_SLIRP
extern const struct network_backend net_slirp;
const struct network_backend *const network_builtin = &net_slirp;
#else
const struct network_backend *const network_builtin = NULL;
#endif

/* --- the thread --- */

static void network_wake(void *argument)
{
	struct network *net = argument;
	uint64_t one = 1;

	if (write(net->wake_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it wakes anyway */
}

void network_deliver(struct network *net, const uint8_t *frame, size_t length)
{
	bool room;

	pthread_mutex_lock(net->device_lock);
	room = virtio_net_give(&net->device, frame, length);
	/* Not at the round's end alone: a guest that knows of none makes no room for more than its queue holds. */
	if (++net->untold == BURST || !room) {
		virtio_net_signal(&net->device);
		net->untold = 0;
	}
	pthread_mutex_unlock(net->device_lock);
}

static bool take_frame(struct network *net)
{
	uint8_t frame[VIRTIO_NET_FRAME];
	size_t length;
	bool taken;

	pthread_mutex_lock(net->device_lock);
	taken = virtio_net_take(&net->device, frame, &length);
	pthread_mutex_unlock(net->device_lock);
	if (length)
		net->ops->take(net->backend, frame, length);
	return taken;
}

/* True if there is more. */
static bool carry_frames(struct network *net)
{
	bool done;

	pthread_mutex_lock(net->device_lock);
	virtio_net_begin_work(&net->device);
	pthread_mutex_unlock(net->device_lock);
	for (unsigned i = 0; i < BATCH; i++)
		if (!take_frame(net))
			break;
	pthread_mutex_lock(net->device_lock);
	done = virtio_net_end_work(&net->device);
	pthread_mutex_unlock(net->device_lock);
	return !done;
}

static void signal_guest(struct network *net)
{
	pthread_mutex_lock(net->device_lock);
	virtio_net_signal(&net->device);
	net->untold = 0;
	pthread_mutex_unlock(net->device_lock);
}

int network_open_forwards(struct network *net, const struct forward_option **failed)
{
	int first = 0;

	for (unsigned i = 0; i < net->options->nr_forwards; i++) {
		const struct forward_option *forward = &net->options->forwards[i];
		int status = net->open[i] ? 0 : net->ops->open_forward(net->backend, forward);

		net->open[i] = !status;
		if (status && !first) {
			first = status;
			*failed = forward;
		}
	}
	return first;
}

static void close_forwards(struct network *net)
{
	for (unsigned i = 0; i < net->options->nr_forwards; i++) {
		if (net->open[i])
			net->ops->close_forward(net->backend, &net->options->forwards[i]);
		net->open[i] = false;
	}
	net->next_try = 0;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

/* Milliseconds until another try, or -1: all ports are open. Who had one of them meanwhile may still be about to end. */
static int recover_forwards(struct network *net)
{
	const struct forward_option *failed;
	int64_t now = net->next_try ? now_ms() : 0;
	int status;

	/* There may be thousands of rounds until then. */
	if (now < net->next_try)
		return net->next_try - now;
	status = network_open_forwards(net, &failed);
	if (!status) {
		net->next_try = 0;
		net->lost_told = false;
		return -1;
	}
	net->next_try = now_ms() + RETRY_MS;
	if (!net->lost_told)
		cli_say("--forward %s: %s; it is tried again until it works", failed->text,
			strerror(-status));
	net->lost_told = true;
	return RETRY_MS;
}

/* False: this is the end. */
static bool network_may_run(struct network *net)
{
	bool stop;

	pthread_mutex_lock(&net->lock);
	while (net->pause && !net->stop) {
		if (!net->parked) {
			if (net->ran)
				close_forwards(net);
			net->parked = true;
			pthread_cond_broadcast(&net->changed);
		}
		pthread_cond_wait(&net->changed, &net->lock);
	}
	net->parked = false;
	stop = net->stop;
	pthread_mutex_unlock(&net->lock);
	return !stop;
}

int network_add_poll(struct network_polls *polls, int fd, int events)
{
	if (polls->nr == polls->room) {
		unsigned room = polls->room ? 2 * polls->room : 64;
		struct pollfd *larger = realloc(polls->fds, room * sizeof(*larger));

		if (!larger)
			return -1;
		polls->fds = larger;
		polls->room = room;
	}
	polls->fds[polls->nr] = (struct pollfd){.fd = fd, .events = events};
	return polls->nr++;
}

/* False: the backend cannot know what came. */
static bool network_wait(struct network *net, bool busy)
{
	struct network_polls *polls = &net->polls;
	int milliseconds = recover_forwards(net);
	uint64_t count;
	int status;

	if (busy)
		milliseconds = 0;
	polls->nr = 1;
	net->ops->prepare(net->backend, polls, &milliseconds);
	do
		status = poll(polls->fds, polls->nr, milliseconds);
	while (status < 0 && errno == EINTR);
	if (status > 0 && polls->fds[0].revents && read(net->wake_fd, &count, sizeof(count)) < 0 &&
	    errno != EAGAIN)
		cli_say_errno("eventfd");
	return status >= 0;
}

static void *network_thread(void *argument)
{
	struct network *net = argument;
	bool busy = true; /* there may be frames from before */

	while (network_may_run(net)) {
		bool known = network_wait(net, busy);

		/* Before the backend looks around: it sends then what waited for an answer of the guest. */
		busy = carry_frames(net);
		net->ops->dispatch(net->backend, &net->polls, !known);
		signal_guest(net);
	}
	return NULL;
}

/* --- from outside --- */

/* Each connection of the guest is a descriptor, and the usual 1024 are for programs that use select(2). */
static unsigned raise_descriptor_limit(void)
{
	struct rlimit limit;
	rlim_t wanted;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return MAX_OPEN;
	wanted = limit.rlim_max < MAX_OPEN ? limit.rlim_max : MAX_OPEN;
	if (limit.rlim_cur < wanted) {
		struct rlimit raised = {.rlim_cur = wanted, .rlim_max = limit.rlim_max};

		if (!setrlimit(RLIMIT_NOFILE, &raised))
			limit = raised;
	}
	return limit.rlim_cur < MAX_OPEN ? limit.rlim_cur : MAX_OPEN;
}

int network_create(struct network *net, const struct network_backend *ops,
		   const struct run_options *options, struct pci_host *host, unsigned slot,
		   const struct guest_memory *ram, struct irq_line irq)
{
	struct virtio_pci *virtio = &net->device.virtio;

	*net = (struct network){
		.ops = ops,
		.options = options,
		.device_lock = &host->lock,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
		.polls.max_open = raise_descriptor_limit(),
	};
	net->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (net->wake_fd < 0) {
		cli_say_errno("network: eventfd");
		return -1;
	}
	virtio->ram = ram;
	virtio->pci.irq = irq;
	virtio->notify = network_wake;
	virtio->device = net;
	virtio_net_attach(&net->device, host, slot);
	if (network_add_poll(&net->polls, net->wake_fd, POLLIN)) {
		cli_say_errno("network");
		return -1;
	}
	net->backend = ops->create(net);
	return net->backend ? 0 : -1;
}

int network_start(struct network *net, bool paused)
{
	sigset_t all, old;
	int error;

	/* A peer that is gone raises SIGPIPE in whoever sends to it. Signals of the process are for others; faults stay deadly. */
	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGABRT);
	net->pause = paused;
	net->ran = !paused;
	pthread_sigmask(SIG_BLOCK, &all, &old);
	error = pthread_create(&net->thread, NULL, network_thread, net);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (error) {
		cli_say("network: its thread: %s", strerror(error));
		return -1;
	}
	net->started = true;
	return 0;
}

void network_pause(struct network *net)
{
	if (!net->started)
		return;
	pthread_mutex_lock(&net->lock);
	net->pause = true;
	network_wake(net);
	while (!net->parked)
		pthread_cond_wait(&net->changed, &net->lock);
	pthread_mutex_unlock(&net->lock);
}

void network_resume(struct network *net)
{
	pthread_mutex_lock(&net->lock);
	/* Who parks it again before it has seen this waits until its ports are closed. */
	net->pause = net->parked = false;
	net->ran = true;
	pthread_cond_broadcast(&net->changed);
	pthread_mutex_unlock(&net->lock);
}

void network_stop(struct network *net)
{
	if (!net->started)
		return;
	pthread_mutex_lock(&net->lock);
	net->stop = true;
	pthread_cond_broadcast(&net->changed);
	pthread_mutex_unlock(&net->lock);
	network_wake(net);
	pthread_join(net->thread, NULL);
	net->started = false;
}

void network_destroy(struct network *net)
{
	network_stop(net);
	if (net->backend)
		net->ops->destroy(net->backend);
	if (net->wake_fd >= 0)
		close(net->wake_fd);
	free(net->polls.fds);
	net->polls = (struct network_polls){0};
	net->backend = NULL;
	net->wake_fd = -1;
}

void network_state(struct network *net, struct state *state)
{
	const struct forward_option *failed;
	int status;

	virtio_net_state(&net->device, state);
	if (!state->loading || !state_is_good(state))
		return;
	status = network_open_forwards(net, &failed);
	if (status)
		state_fail(state, "--forward %s: %s", failed->text, strerror(-status));
}
