/* SPDX-License-Identifier: MIT */
/* anykvm run: the main thread waits for input, for the clock, and for the machine's end. */
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "control.h"
#include "inspect.h"
#include "machine.h"

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

/* deadline: as now() counts, or 0 */
static void run_wait(struct machine *m, struct control *control, double deadline)
{
	struct terminal *terminal = m->terminal;

	while (machine_ended(m) == END_NONE) {
		struct pollfd wait[2 + CONTROL_POLLS] = {{.fd = m->wake_fd, .events = POLLIN},
							 {.fd = -1, .events = POLLIN}};
		unsigned nr_control = control_poll(control, wait + 2);
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
		if (terminal_wants_input(terminal))
			wait[1].fd = STDIN_FILENO;
		if (poll(wait, 2 + nr_control, timeout) < 0 && errno != EINTR) {
			cli_say_errno("poll");
			machine_post_end(m, END_FAILED);
			return;
		}
		if (wait[0].revents && read(m->wake_fd, &count, sizeof(count)) < 0 &&
		    errno != EAGAIN)
			cli_say_errno("eventfd");
		if (wait[1].revents && !terminal_read(terminal))
			machine_post_end(m, END_USER);
		control_serve(control, m, wait + 2, nr_control);
		if (terminal->nr_pending)
			terminal_take(terminal, pl011_receive(&m->uart, terminal->pending,
							      terminal->nr_pending));
	}
}

/* One life of the machine. */
static enum machine_end run_once(const struct run_options *options, const struct accel *accel,
				 struct terminal *terminal, const struct nvme_disk *disks,
				 struct control *control, double deadline)
{
	struct machine m;
	enum machine_end end = END_FAILED;
	double start = now();

	if (!machine_create(&m, options, accel, terminal, disks)) {
		if (machine_start(&m))
			machine_post_end(&m, END_FAILED);
		run_wait(&m, control, deadline);
		machine_stop(&m);
		end = machine_ended(&m);
		if (end == END_TIMEOUT) {
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

static enum cli_status run_machine(const struct run_options *options, const struct accel *accel,
				   struct terminal *terminal, const struct nvme_disk *disks,
				   struct control *control)
{
	double deadline = options->timeout ? now() + options->timeout : 0;

	for (;;) {
		switch (run_once(options, accel, terminal, disks, control, deadline)) {
		case END_POWER_OFF:
			if (!options->quiet)
				cli_say("the guest powered off");
			return CLI_OK;
		case END_RESET:
			if (!options->quiet)
				cli_say(options->no_reboot ? "the guest asked for a reset"
							   : "the guest resets itself");
			if (options->no_reboot)
				return CLI_RESET;
			continue;
		case END_USER:
			if (!options->quiet)
				cli_say(terminal->input_open ? "ended by Ctrl-A x"
							     : "the terminal is gone");
			return CLI_OK;
		case END_TIMEOUT:
			return CLI_TIMEOUT;
		default:
			return CLI_FAILED;
		}
	}
}

static enum cli_status run_on_terminal(const struct run_options *options, const struct accel *accel,
				       const struct nvme_disk *disks)
{
	struct control *control = NULL;
	struct terminal terminal;
	enum cli_status status = CLI_FAILED;

	if (options->control) {
		control = control_open(options->control);
		if (!control)
			return CLI_FAILED;
	}
	if (!terminal_open(&terminal, options->console_log)) {
		if (!options->quiet && terminal.is_terminal)
			cli_say("Ctrl-A x ends the guest, Ctrl-A h shows help");
		status = run_machine(options, accel, &terminal, disks, control);
		terminal_close(&terminal);
	}
	control_close(control);
	return status;
}

int run_main(int argc, char **argv)
{
	struct run_options options;
	struct nvme_disk disks[MAX_DISKS];
	const struct accel *accel;
	enum cli_status status = CLI_FAILED;
	unsigned opened = 0;
	int parsed = options_parse(&options, argc, argv);

	if (parsed)
		return parsed < 0 ? CLI_USAGE : CLI_OK;
	accel = accel_find(options.accel);
	if (!accel)
		return CLI_USAGE;
	terminal_install_handlers();
	vcpu_install_kick_handler();
	while (opened < options.nr_disks &&
	       !nvme_disk_open(&disks[opened], options.disks[opened].path,
			       options.disks[opened].read_only))
		opened++;
	if (opened == options.nr_disks)
		status = run_on_terminal(&options, accel, disks);
	while (opened--)
		nvme_disk_close(&disks[opened]);
	return status;
}
