/* SPDX-License-Identifier: MIT */
/* anykvm run: the main thread waits for input, for the clock, and for the machine's end. */
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control.h"
#include "inspect.h"
#include "machine.h"
#include "migrate.h"

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static enum machine_end machine_ended(struct machine *m)
{
	enum machine_end end;

	pthread_mutex_lock(&m->end_lock);
	end = m->end;
	pthread_mutex_unlock(&m->end_lock);
	return end;
}

/* While a migrating guest stands still, input waits where it is. */
static bool run_wants_input(struct machine *m)
{
	bool wants;

	pthread_mutex_lock(&m->input_lock);
	/* The guest's arrival must not hide Ctrl-A x. */
	wants = (!m->input_held || incoming_is_open(m)) && terminal_wants_input(m->terminal);
	pthread_mutex_unlock(&m->input_lock);
	return wants;
}

static void run_move_input(struct machine *m, bool readable)
{
	struct terminal *terminal = m->terminal;

	pthread_mutex_lock(&m->input_lock);
	if (readable && (!m->input_held || incoming_is_open(m)) && !terminal_read(terminal))
		machine_post_end(m, END_USER);
	if (terminal->nr_pending && !m->input_held)
		terminal_take(terminal,
			      pl011_receive(&m->uart, terminal->pending, terminal->nr_pending));
	pthread_mutex_unlock(&m->input_lock);
}

/* deadline: as now() counts, or 0 */
static void run_wait(struct machine *m, struct control *control, double deadline)
{
	while (machine_ended(m) == END_NONE) {
		struct pollfd wait[2 + CONTROL_POLLS] = {{.fd = m->wake_fd, .events = POLLIN},
							 {.fd = -1, .events = POLLIN}};
		unsigned nr_control;
		int timeout = -1;
		uint64_t count;

		if (deadline) {
			double left = deadline - now();

			if (left <= 0) {
				machine_post_end(m, END_TIMEOUT);
				return;
			}
			timeout = left > 1e6 ? 1000000000 : (int)ceil(left * 1000);
		}
		nr_control = control_poll(control, wait + 2, &timeout);
		if (run_wants_input(m))
			wait[1].fd = STDIN_FILENO;
		if (poll(wait, 2 + nr_control, timeout) < 0 && errno != EINTR) {
			cli_say_errno("poll");
			machine_post_end(m, END_FAILED);
			return;
		}
		if (wait[0].revents && read(m->wake_fd, &count, sizeof(count)) < 0 &&
		    errno != EAGAIN)
			cli_say_errno("eventfd");
		control_serve(control, m, wait + 2, nr_control);
		migration_reap(m);
		run_move_input(m, wait[1].revents);
	}
}

/* What lives longer than one machine. */
struct run {
	struct run_options options;
	const struct accel *accel;
	struct terminal terminal;
	struct nvme_disk disks[MAX_DISKS];
	struct control *control;
	double deadline; /* as now() counts, or 0 */
};

/* One life of the machine. */
static enum machine_end run_once(struct run *run)
{
	const struct run_options *options = &run->options;
	struct machine m;
	enum machine_end end = END_FAILED;
	double start = now();
	bool here;

	if (!machine_create(&m, options, run->accel, &run->terminal, run->disks)) {
		if (options->incoming ? incoming_start(&m, run->disks) : machine_start(&m))
			machine_post_end(&m, END_FAILED);
		run_wait(&m, run->control, run->deadline);
		here = !incoming_is_open(&m);
		migration_end(&m);
		incoming_end(&m);
		machine_stop(&m);
		end = machine_ended(&m);
		if (end == END_TIMEOUT && !here) {
			cli_say("no guest has arrived within %g seconds", options->timeout);
		} else if (end == END_TIMEOUT) {
			cli_say("the guest still ran after %g seconds", options->timeout);
			for (unsigned i = 0; i < m.nr_vcpus; i++)
				report_where(&m.vcpus[i]);
		}
		if (options->stats)
			stats_print(&m, now() - start);
		if (options->inspect)
			inspect_print(&m);
	}
	machine_destroy(&m);
	return end;
}

/* Returns false, after a message, if this is the end of it. */
static bool run_may_reset(struct run *run)
{
	struct run_options *options = &run->options;

	if (!options->quiet)
		cli_say(options->no_reboot ? "the guest asked for a reset"
					   : "the guest resets itself");
	if (!options->no_reboot && !options->kernel)
		cli_say("a guest that has come by --incoming needs -k to be reset");
	options->incoming = NULL;
	options->was_reset = true;
	return !options->no_reboot && options->kernel;
}

static enum cli_status run_machine(struct run *run)
{
	const struct run_options *options = &run->options;

	run->deadline = options->timeout ? now() + options->timeout : 0;
	for (;;) {
		switch (run_once(run)) {
		case END_POWER_OFF:
			if (!options->quiet)
				cli_say("the guest powered off");
			return CLI_OK;
		case END_RESET:
			if (!run_may_reset(run))
				return CLI_RESET;
			continue;
		case END_USER:
			if (!options->quiet)
				cli_say(run->terminal.input_open ? "ended by Ctrl-A x"
								 : "the terminal is gone");
			return CLI_OK;
		case END_MIGRATED:
			return CLI_OK;
		case END_TIMEOUT:
			return CLI_TIMEOUT;
		default:
			return CLI_FAILED;
		}
	}
}

static enum cli_status run_on_terminal(struct run *run)
{
	const struct run_options *options = &run->options;
	enum cli_status status = CLI_FAILED;

	if (options->control) {
		run->control = control_open(options->control);
		if (!run->control)
			return CLI_FAILED;
	}
	if (!terminal_open(&run->terminal, options->console_log)) {
		if (!options->quiet && run->terminal.is_terminal)
			cli_say("Ctrl-A x ends the guest, Ctrl-A h shows help");
		status = run_machine(run);
		terminal_close(&run->terminal);
	}
	control_close(run->control);
	return status;
}

/* The disks of a guest that comes over a socket are locked by the side that it comes from. */
static bool run_locks_disks(const struct run_options *options)
{
	return !options->incoming || !strncmp(options->incoming, "file:", 5);
}

int run_main(int argc, char **argv)
{
	struct run run = {.control = NULL};
	const struct run_options *options = &run.options;
	enum cli_status status = CLI_FAILED;
	unsigned opened = 0;
	int parsed = options_parse(&run.options, argc, argv);

	if (parsed)
		return parsed < 0 ? CLI_USAGE : CLI_OK;
	run.accel = accel_find(options->accel);
	if (!run.accel)
		return CLI_USAGE;
	terminal_install_handlers();
	vcpu_install_kick_handler();
	while (opened < options->nr_disks &&
	       !nvme_disk_open(&run.disks[opened], options->disks[opened].path,
			       options->disks[opened].read_only, run_locks_disks(options)))
		opened++;
	if (opened == options->nr_disks)
		status = run_on_terminal(&run);
	while (opened--)
		nvme_disk_close(&run.disks[opened]);
	return status;
}
