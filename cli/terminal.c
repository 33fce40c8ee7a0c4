/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "terminal.h"

#define CTRL_A 1

/* What signal handlers need; written before raw is set, and not changed while it is. */
static struct termios saved_mode, raw_mode;
static volatile sig_atomic_t raw;
static void (*last_act)(void);

static void terminal_restore(void)
{
	if (raw) {
		raw = 0;
		tcsetattr(STDIN_FILENO, TCSANOW, &saved_mode);
	}
}

/*
 * A job in the background neither reads the terminal nor changes it. A terminal that does not control this session (`su -c`
 * starts a new one) has no foreground to ask for: it is ours.
 */
static bool in_background(void)
{
	pid_t foreground = tcgetpgrp(STDIN_FILENO);

	return foreground >= 0 && foreground != getpgrp();
}

static void on_fatal_signal(int signal)
{
	/* Not by SA_RESETHAND: a handler installed later may call this one. The signal takes its
	 * course when this returns. */
	struct sigaction action = {.sa_handler = SIG_DFL};

	terminal_restore();
	if (last_act)
		last_act();
	sigaction(signal, &action, NULL);
	raise(signal);
}

static void on_stop_signal(int signal)
{
	int error = errno;
	bool was_raw = raw;

	terminal_restore();
	raise(SIGSTOP);
	/* Continued, in the foreground or not: only there the mode is ours to set. */
	if (was_raw && !in_background()) {
		tcsetattr(STDIN_FILENO, TCSANOW, &raw_mode);
		raw = 1;
	}
	errno = error;
}

void terminal_set_last_act(void (*act)(void))
{
	last_act = act;
}

void terminal_install_handlers(void)
{
	static const int fatal[] = {SIGHUP, SIGINT,  SIGQUIT, SIGILL,  SIGTRAP, SIGABRT, SIGBUS,
				    SIGFPE, SIGSEGV, SIGPIPE, SIGTERM, SIGSYS,	SIGXCPU};
	struct sigaction action = {.sa_handler = on_fatal_signal};
	struct sigaction old;

#if defined(ANYKVM_TSAN)
	/*
	 * The runtime of gcc 12 keeps what signals wait in memory that a thread gets at its first call that may block: a signal
	 * that comes while it does is lost. So make that call before there is a handler.
	 */
	poll(NULL, 0, 0);
#endif
	for (unsigned i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++) {
		/* What our parent had ignored (nohup) stays so. */
		if (!sigaction(fatal[i], NULL, &old) && old.sa_handler == SIG_IGN)
			continue;
		sigaction(fatal[i], &action, NULL);
	}
	action = (struct sigaction){.sa_handler = on_stop_signal};
	sigaction(SIGTSTP, &action, NULL);
	/* Restoring the terminal from the background must not stop us. */
	action.sa_handler = SIG_IGN;
	sigaction(SIGTTOU, &action, NULL);
	atexit(terminal_restore);
}

int terminal_open(struct terminal *terminal, const char *log_path)
{
	*terminal = (struct terminal){.input_open = true, .log_fd = -1};
	if (log_path) {
		terminal->log_fd = open(log_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
		if (terminal->log_fd < 0) {
			int error = errno;

			cli_say_errno("console log %s", log_path);
			return -error;
		}
	}
	if (isatty(STDIN_FILENO)) {
		if (in_background() || tcgetattr(STDIN_FILENO, &saved_mode)) {
			terminal->input_open = false;
			return 0;
		}
		raw_mode = saved_mode;
		cfmakeraw(&raw_mode);
		raw_mode.c_cc[VMIN] = 1;
		raw_mode.c_cc[VTIME] = 0;
		terminal->is_terminal = true;
		raw = 1;
		tcsetattr(STDIN_FILENO, TCSANOW, &raw_mode);
	}
	return 0;
}

void terminal_close(struct terminal *terminal)
{
	terminal_restore();
	if (terminal->log_fd >= 0)
		close(terminal->log_fd);
	terminal->log_fd = -1;
}

/* A reader that does not read holds us up; stop, if given, is looked at after each signal then. */
static void write_all(int fd, const uint8_t *data, size_t length, const bool *stop)
{
	while (length) {
		ssize_t done = write(fd, data, length);
		struct pollfd room = {.fd = fd, .events = POLLOUT};

		/* Whoever else has this pipe or terminal may have made it non-blocking. */
		if (done < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			done = poll(&room, 1, -1) < 0 ? -1 : 0;
		else if (!done)
			return;
		if (done < 0 && errno == EINTR &&
		    !(stop && __atomic_load_n(stop, __ATOMIC_SEQ_CST)))
			continue;
		if (done < 0)
			return; /* nobody listens */
		data += done;
		length -= done;
	}
}

void terminal_write(struct terminal *terminal, const void *data, size_t length, const bool *stop)
{
	if (terminal->log_fd >= 0)
		write_all(terminal->log_fd, data, length, stop);
	write_all(STDOUT_FILENO, data, length, stop);
}

bool terminal_wants_input(const struct terminal *terminal)
{
	return terminal->input_open &&
	       (terminal->is_terminal || terminal->nr_pending < sizeof(terminal->pending));
}

static void terminal_queue(struct terminal *terminal, uint8_t byte)
{
	/* More than that typed at a guest that does not read is lost, as on a real line. */
	if (terminal->nr_pending < sizeof(terminal->pending))
		terminal->pending[terminal->nr_pending++] = byte;
}

static bool terminal_command(struct terminal *terminal, uint8_t byte)
{
	static const char help[] = "\r\nCtrl-A x  end the guest\r\nCtrl-A h  this help\r\nCtrl-A "
				   "Ctrl-A  send Ctrl-A\r\n";

	switch (byte) {
	case 'x':
	case 'X':
		return false;
	case 'h':
	case '?':
		write_all(STDOUT_FILENO, (const uint8_t *)help, sizeof(help) - 1, NULL);
		break;
	case CTRL_A:
		terminal_queue(terminal, CTRL_A);
		break;
	}
	return true;
}

bool terminal_read(struct terminal *terminal)
{
	uint8_t data[1024];
	size_t room = sizeof(terminal->pending) - terminal->nr_pending;
	ssize_t got;

	if (terminal->is_terminal || room > sizeof(data))
		room = sizeof(data);
	got = read(STDIN_FILENO, data, room);
	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (got <= 0) {
		terminal->input_open = false;
		/* A file or pipe has an end; a terminal was hung up, and nobody can end the guest any more. */
		return !terminal->is_terminal;
	}
	for (ssize_t i = 0; i < got; i++) {
		if (terminal->escaped) {
			terminal->escaped = false;
			if (!terminal_command(terminal, data[i]))
				return false;
		} else if (terminal->is_terminal && data[i] == CTRL_A) {
			terminal->escaped = true;
		} else {
			terminal_queue(terminal, data[i]);
		}
	}
	return true;
}

void terminal_take(struct terminal *terminal, size_t length)
{
	terminal->nr_pending -= length;
	memmove(terminal->pending, terminal->pending + length, terminal->nr_pending);
}
