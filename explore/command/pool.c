/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "command/command.h"
#include "command/pool.h"

#define TICK_MS	   200
#define LARGEST	   (1u << 28) /* of a message: more is a broken stream */
#define PATIENCE_S 5.0	      /* for a worker that was told to stop */

struct header {
	uint32_t type, size;
};

/* The last message of a piece, when the worker waits for another. */
#define MSG_IDLE UINT32_MAX

struct worker {
	pid_t pid;  /* 0: slot is free */
	int fd, to; /* from it; to it: jobs */
	bool idle;
	struct job job; /* when idle: the one before */
	char *buf;	/* what came and is no whole message yet */
	size_t used, room;
	double told; /* when it was told to stop, 0: not yet */
};

static volatile sig_atomic_t stopped, stops;
static struct worker *workers;
static unsigned nr_workers;

static void on_stop(int sig)
{
	stopped = sig;
	stops++;
}

void stop_watch(void)
{
	struct sigaction action = {.sa_handler = on_stop};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

int stop_signal(void)
{
	return stopped;
}

double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static void write_all(int fd, const void *data, size_t size)
{
	const char *p = data;

	while (size) {
		ssize_t n = write(fd, p, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			_exit(STATUS_MISUSE); /* the parent is gone: nobody left to tell */
		p += n;
		size -= n;
	}
}

void pool_send(int fd, uint32_t type, const void *data, size_t size)
{
	struct header h = {.type = type, .size = size};

	write_all(fd, &h, sizeof(h));
	write_all(fd, data, size);
}

/* The ends that the parent has of other workers' pipes: a worker waits for the end of its own. */
static void close_others(void)
{
	for (unsigned k = 0; k < nr_workers; k++) {
		if (workers[k].pid <= 0)
			continue;
		close(workers[k].fd);
		close(workers[k].to);
	}
}

/* In the worker: jobs until there are no more. */
__attribute__((noreturn)) static void worker_run(struct pool *p, struct job job, int from, int fd)
{
	while (p->work(p->arg, &job, fd) && job.family && !stopped) {
		pool_send(fd, MSG_IDLE, NULL, 0);
		if (read(from, &job, sizeof(job)) != sizeof(job))
			break;
	}
	_exit(0);
}

static bool worker_start(struct pool *p, struct worker *w, const struct job *job)
{
	pid_t parent = getpid();
	int fd[2], to[2];

	if (pipe(fd))
		return false;
	/* A socket, as writing to a worker that is gone must not be a signal. */
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, to)) {
		close(fd[0]);
		close(fd[1]);
		return false;
	}
	fflush(stdout);
	fflush(stderr);
	w->pid = fork();
	if (!w->pid) {
		/* Workers must not outlive a parent that was killed. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(STATUS_MISUSE);
		close(fd[0]);
		close(to[1]);
		close_others();
		worker_run(p, *job, to[0], fd[1]);
	}
	close(fd[1]);
	close(to[0]);
	if (w->pid < 0) {
		w->pid = 0;
		close(fd[0]);
		close(to[1]);
		return false;
	}
	w->fd = fd[0];
	w->to = to[1];
	w->idle = false;
	w->job = *job;
	w->used = 0;
	w->told = 0;
	return true;
}

/* Another piece for a worker that waits for one. */
static bool worker_go_on(struct worker *w, const struct job *job)
{
	if (!w->idle || !job->family || job->item != w->job.item || job->family != w->job.family ||
	    send(w->to, job, sizeof(*job), MSG_NOSIGNAL) != sizeof(*job))
		return false;
	w->idle = false;
	w->job = *job;
	return true;
}

/* Waits until the process is gone. One that is idle goes when it finds that nothing more will come. */
static int worker_reap(struct worker *w)
{
	int status = 0;

	close(w->fd);
	close(w->to);
	while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR)
		;
	w->pid = 0;
	free(w->buf);
	w->buf = NULL;
	w->used = w->room = 0;
	return status;
}

static void worker_end(struct pool *p, struct worker *w)
{
	bool idle = w->idle;
	int status = worker_reap(w);

	if (!idle)
		p->ended(p->arg, w->job.id, WIFSIGNALED(status) ? WTERMSIG(status) : 0,
			 WIFEXITED(status) ? WEXITSTATUS(status) : 0);
}

/* Hands on each whole message. */
static void worker_deliver(struct pool *p, struct worker *w)
{
	size_t at = 0;
	struct header h;

	while (w->used - at >= sizeof(h)) {
		memcpy(&h, w->buf + at, sizeof(h));
		if (h.size > LARGEST || w->used - at - sizeof(h) < h.size)
			break;
		if (h.type == MSG_IDLE)
			w->idle = true;
		else
			p->message(p->arg, w->job.id, h.type, w->buf + at + sizeof(h), h.size);
		at += sizeof(h) + h.size;
	}
	memmove(w->buf, w->buf + at, w->used - at);
	w->used -= at;
	if (w->idle)
		p->ended(p->arg, w->job.id, 0, 0);
}

static void worker_read(struct pool *p, struct worker *w)
{
	ssize_t n;

	if (w->room - w->used < 65536) {
		char *grown = realloc(w->buf, w->room + 262144);

		if (!grown) {
			kill(w->pid, SIGKILL);
			worker_end(p, w);
			return;
		}
		w->buf = grown;
		w->room += 262144;
	}
	n = read(w->fd, w->buf + w->used, w->room - w->used);
	if (n < 0 && errno == EINTR)
		return;
	if (n <= 0) {
		worker_end(p, w);
		return;
	}
	w->used += n;
	worker_deliver(p, w);
}

/* A worker that is told to stop and does not (its code loops between two steps) is killed. */
static void worker_hurry(struct worker *w)
{
	double now = seconds_now();

	if (!w->told) {
		w->told = now;
		kill(w->pid, stopped);
	}
	if (now > w->told + PATIENCE_S || stops > 1)
		kill(w->pid, SIGKILL);
}

void pool_kill(size_t id)
{
	for (unsigned k = 0; k < nr_workers; k++)
		if (workers[k].pid && !workers[k].idle && workers[k].job.id == id)
			kill(workers[k].pid, SIGKILL);
}

static void begin(struct pool *p, struct worker *w, const struct job *job)
{
	if (w->pid && worker_go_on(w, job))
		return;
	if (w->pid)
		worker_reap(w);
	if (worker_start(p, w, job))
		return;
	say("no worker process can be started: %s", strerror(errno));
	p->ended(p->arg, job->id, 0, STATUS_MISUSE);
}

static bool is_busy(const struct worker *w)
{
	return w->pid && !w->idle;
}

static unsigned start_more(struct pool *p, struct worker *w)
{
	unsigned running = 0;
	struct job job;

	for (unsigned k = 0; k < p->jobs && !stopped; k++) {
		if (is_busy(&w[k]))
			continue;
		if (!p->next(p->arg, &job))
			break;
		begin(p, &w[k], &job);
	}
	for (unsigned k = 0; k < p->jobs; k++)
		running += is_busy(&w[k]);
	return running;
}

static void wait_for_news(struct pool *p, struct worker *w)
{
	struct pollfd fd[MAX_JOBS];
	unsigned slot[MAX_JOBS], n = 0;

	for (unsigned k = 0; k < p->jobs; k++) {
		if (!w[k].pid)
			continue;
		fd[n] = (struct pollfd){.fd = w[k].fd, .events = POLLIN};
		slot[n++] = k;
	}
	if (poll(fd, n, TICK_MS) <= 0)
		return;
	for (unsigned i = 0; i < n; i++)
		if (fd[i].revents)
			worker_read(p, &w[slot[i]]);
}

void pool_run(struct pool *p)
{
	struct worker *w = calloc(p->jobs, sizeof(*w));

	if (!w) {
		say("out of memory");
		exit(STATUS_MISUSE);
	}
	workers = w;
	nr_workers = p->jobs;
	while (start_more(p, w)) {
		wait_for_news(p, w);
		for (unsigned k = 0; stopped && k < p->jobs; k++)
			if (is_busy(&w[k]))
				worker_hurry(&w[k]);
		p->tick(p->arg);
	}
	for (unsigned k = 0; k < p->jobs; k++)
		if (w[k].pid)
			worker_reap(&w[k]);
	workers = NULL;
	nr_workers = 0;
	free(w);
}
