/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "migrate_stream.h"
#include "network.h"
#include "options.h"

static const char run_help[] =
	"Usage: anykvm run -k KERNEL [OPTION]...\n"
	"       anykvm run --incoming FROM [OPTION]...\n"
	"Boots an arm64 Linux kernel. The terminal becomes the guest's serial console;\n"
	"Ctrl-A x ends the guest.\n"
	"\n"
	"  -k, --kernel FILE     kernel: an arm64 Image, plain or compressed by gzip\n"
	"  -i, --initrd FILE     initial RAM disk\n"
	"  -p, --params TEXT     kernel command line, after console=ttyAMA0\n"
	"  -m, --mem SIZE        memory in MiB, or with a suffix: 512M, 4G (default 256M)\n"
	"  -c, --cpus N          number of CPUs (default 1)\n"
	"  -d, --disk FILE[,ro]  NVMe disk kept in FILE, may be repeated; ,ro: read only\n"
	"  -n, --network         user networking: the guest reaches what this process can\n"
	"                        reach, the host at 10.0.2.2; addresses by DHCP\n"
	"      --forward PROTO:[ADDRESS:]PORT:GUEST_PORT\n"
	"                        with -n: a port of the host, at 127.0.0.1 if no address\n"
	"                        is given, leads to the guest (PROTO: tcp or udp); may\n"
	"                        be repeated\n"
	"      --no-reboot       end with status 3 when the guest resets itself\n"
	"      --timeout SECONDS end with status 124 if the guest still runs then\n"
	"      --stats           print counters of the machine at its end\n"
	"      --inspect         print the state of the machine's memory at its end\n"
	"      --console-log FILE  also write what the guest prints to FILE\n"
	"      --dtb-dump FILE   write the device tree to FILE\n"
	"      --accel NAME      anykvm (default), or kvm: the /dev/kvm of an arm64 host\n"
	"      --control PATH    listen at the unix socket PATH for commands; see help\n"
	"      --memory KIND     where the guest's memory comes from: anon (default),\n"
	"                        memfd, or gmem (KVM's guest_memfd)\n"
	"      --dirty-log MODE  how writes are seen during migration: bitmap (default),\n"
	"                        manual, ring\n"
	"      --incoming FROM   wait for a guest that anykvm migrate sends to unix:PATH,\n"
	"                        or read it from file:PATH; give the -m, -c, -d and -n\n"
	"                        it had\n"
	"      --quiet           no messages about start, reset and power-off\n"
	"  -h, --help            this text\n"
	"\n"
	"Exit status: 0 the guest powered off, moved elsewhere, or Ctrl-A x; 1 it could\n"
	"not go on; 2 bad command line; 3 it reset itself under --no-reboot; 124\n"
	"--timeout passed.\n";

#define LINUX_COMMAND_LINE 2047u /* of arm64 */

enum {
	OPT_NO_REBOOT = 256,
	OPT_FORWARD,
	OPT_TIMEOUT,
	OPT_STATS,
	OPT_INSPECT,
	OPT_CONSOLE_LOG,
	OPT_DTB_DUMP,
	OPT_ACCEL,
	OPT_CONTROL,
	OPT_MEMORY,
	OPT_DIRTY_LOG,
	OPT_INCOMING,
	OPT_QUIET
};

static const struct option long_options[] = {
	{"kernel", required_argument, NULL, 'k'},
	{"initrd", required_argument, NULL, 'i'},
	{"params", required_argument, NULL, 'p'},
	{"mem", required_argument, NULL, 'm'},
	{"cpus", required_argument, NULL, 'c'},
	{"disk", required_argument, NULL, 'd'},
	{"network", no_argument, NULL, 'n'},
	{"forward", required_argument, NULL, OPT_FORWARD},
	{"no-reboot", no_argument, NULL, OPT_NO_REBOOT},
	{"timeout", required_argument, NULL, OPT_TIMEOUT},
	{"stats", no_argument, NULL, OPT_STATS},
	{"inspect", no_argument, NULL, OPT_INSPECT},
	{"console-log", required_argument, NULL, OPT_CONSOLE_LOG},
	{"dtb-dump", required_argument, NULL, OPT_DTB_DUMP},
	{"accel", required_argument, NULL, OPT_ACCEL},
	{"control", required_argument, NULL, OPT_CONTROL},
	{"memory", required_argument, NULL, OPT_MEMORY},
	{"dirty-log", required_argument, NULL, OPT_DIRTY_LOG},
	{"incoming", required_argument, NULL, OPT_INCOMING},
	{"quiet", no_argument, NULL, OPT_QUIET},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static int parse_memory(const char *text, uint64_t *bytes)
{
	char *end;
	unsigned long long value;
	uint64_t unit = MIB;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (*end == 'G' || *end == 'g') {
		unit = GIB;
		end++;
	} else if (*end == 'M' || *end == 'm') {
		end++;
	}
	if (text[0] < '0' || text[0] > '9' || *end) {
		cli_say("-m %s: not a size; give MiB, or a suffix: 512, 512M, 4G", text);
		return -1;
	}
	if (errno || value > UINT64_MAX / unit) {
		cli_say("-m %s: no address space is that large", text);
		return -1;
	}
	*bytes = value * unit;
	if (*bytes < 64 * MIB) {
		cli_say("-m %s: too small; a kernel and its device tree need at least 64 MiB",
			text);
		return -1;
	}
	return 0;
}

static int parse_cpus(const char *text, unsigned *cpus)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno || !value || value > 1u << 20) {
		cli_say("-c %s: not a number of CPUs", text);
		return -1;
	}
	*cpus = value;
	return 0;
}

static int parse_timeout(const char *text, double *seconds)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !isfinite(value) || value <= 0 || value > 1e9) {
		cli_say("--timeout %s: not a number of seconds above 0", text);
		return -1;
	}
	*seconds = value;
	return 0;
}

static int parse_disk(struct run_options *options, char *text)
{
	char *comma = strrchr(text, ',');
	struct disk_option *disk = &options->disks[options->nr_disks];

	if (options->nr_disks == MAX_DISKS) {
		cli_say("-d %s: a machine has at most %d disks", text, MAX_DISKS);
		return -1;
	}
	disk->read_only = comma && !strcmp(comma, ",ro");
	if (disk->read_only)
		*comma = 0;
	if (!*text) {
		cli_say("-d: no file name");
		return -1;
	}
	disk->path = text;
	options->nr_disks++;
	return 0;
}

/* A port at the end of text, behind a colon, which is cut off: 0 if it is none. */
static uint16_t cut_port(char *text)
{
	char *colon = strrchr(text, ':'), *end;
	unsigned long port;

	if (!colon || colon[1] < '0' || colon[1] > '9')
		return 0;
	*colon = 0;
	port = strtoul(colon + 1, &end, 10);
	return *end || port > UINT16_MAX ? 0 : port;
}

static bool parse_protocol(const char *text, bool *udp)
{
	*udp = !strcmp(text, "udp");
	return *udp || !strcmp(text, "tcp");
}

/* PROTO:[ADDRESS:]PORT:GUEST_PORT; the numbers from behind, so that what is left is PROTO or PROTO:ADDRESS. */
static int parse_forward(struct run_options *options, const char *text)
{
	struct forward_option *forward = &options->forwards[options->nr_forwards];
	char rest[64], *colon;

	if (options->nr_forwards == MAX_FORWARDS) {
		cli_say("--forward %s: a machine has at most %d", text, MAX_FORWARDS);
		return -1;
	}
	snprintf(rest, sizeof(rest), "%s", text);
	*forward = (struct forward_option){.text = text, .host.s_addr = htonl(INADDR_LOOPBACK)};
	forward->guest_port = strlen(text) < sizeof(rest) ? cut_port(rest) : 0;
	forward->host_port = forward->guest_port ? cut_port(rest) : 0;
	colon = strchr(rest, ':');
	if (colon)
		*colon = 0;
	if (!forward->host_port || !parse_protocol(rest, &forward->udp) ||
	    (colon && inet_pton(AF_INET, colon + 1, &forward->host) != 1)) {
		cli_say("--forward %s: give PROTO:[ADDRESS:]PORT:GUEST_PORT, as in tcp:2222:22 or "
			"udp:192.0.2.1:53:53",
			text);
		return -1;
	}
	options->nr_forwards++;
	return 0;
}

static int parse_memory_kind(const char *text, enum memory_kind *kind)
{
	static const char *const names[] = {
		[MEMORY_ANON] = "anon", [MEMORY_MEMFD] = "memfd", [MEMORY_GMEM] = "gmem"};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		*kind = i;
		if (!strcmp(text, names[i]))
			return 0;
	}
	cli_say("--memory %s: there are anon, memfd and gmem", text);
	return -1;
}

static int parse_dirty_mode(const char *text, enum dirty_mode *mode)
{
	static const char *const names[] = {
		[DIRTY_BITMAP] = "bitmap", [DIRTY_MANUAL] = "manual", [DIRTY_RING] = "ring"};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		*mode = i;
		if (!strcmp(text, names[i]))
			return 0;
	}
	cli_say("--dirty-log %s: there are bitmap, manual and ring", text);
	return -1;
}

static int parse_option(struct run_options *options, int option, char *argument)
{
	bool is_file;

	switch (option) {
	case 'k':
		options->kernel = argument;
		return 0;
	case 'i':
		options->initrd = argument;
		return 0;
	case 'p':
		options->params = argument;
		if (strlen(argument) > LINUX_COMMAND_LINE - strlen("console=ttyAMA0 "))
			cli_say("-p: %zu bytes; Linux reads the first %u of a command line, "
				"console=ttyAMA0 included",
				strlen(argument), LINUX_COMMAND_LINE);
		return 0;
	case 'm':
		return parse_memory(argument, &options->memory);
	case 'c':
		return parse_cpus(argument, &options->cpus);
	case 'd':
		return parse_disk(options, argument);
	case 'n':
		options->network = true;
		if (network_builtin)
			return 0;
		cli_say("-n: this anykvm was built without libslirp (libslirp-dev), and has no "
			"network");
		return -1;
	case OPT_FORWARD:
		return parse_forward(options, argument);
	case OPT_NO_REBOOT:
		options->no_reboot = true;
		return 0;
	case OPT_TIMEOUT:
		return parse_timeout(argument, &options->timeout);
	case OPT_STATS:
		options->stats = true;
		return 0;
	case OPT_INSPECT:
		options->inspect = true;
		return 0;
	case OPT_CONSOLE_LOG:
		options->console_log = argument;
		return 0;
	case OPT_DTB_DUMP:
		options->dtb_dump = argument;
		return 0;
	case OPT_ACCEL:
		options->accel = argument;
		return 0;
	case OPT_CONTROL:
		options->control = argument;
		return 0;
	case OPT_INCOMING:
		options->incoming = argument;
		return stream_parse(argument, "--incoming", &is_file) ? 0 : -1;
	case OPT_MEMORY:
		return parse_memory_kind(argument, &options->memory_kind);
	case OPT_DIRTY_LOG:
		return parse_dirty_mode(argument, &options->dirty_mode);
	case OPT_QUIET:
		options->quiet = true;
		return 0;
	case 'h':
		fputs(run_help, stdout);
		return 1;
	default:
		return -1;
	}
}

int options_parse(struct run_options *options, int argc, char **argv)
{
	int option;

	*options = (struct run_options){
		.memory = 256 * MIB, .cpus = 1, .accel = "anykvm", .params = ""};
	opterr = 0;
	optind = 1;
	/* The leading colon tells a missing argument from an unknown option. */
	while ((option = getopt_long(argc, argv, ":k:i:p:m:c:d:nh", long_options, NULL)) != -1) {
		int status;

		if (option == ':') {
			cli_say("option %s needs an argument; see anykvm run --help",
				argv[optind - 1]);
			return -1;
		}
		if (option == '?') {
			if (optopt && optopt < 256 && argv[optind - 1][1] != '-')
				cli_say("unknown option -%c; see anykvm run --help", optopt);
			else
				cli_say("unknown option %s; see anykvm run --help",
					argv[optind - 1]);
			return -1;
		}
		status = parse_option(options, option, optarg);
		if (status)
			return status;
	}
	if (optind < argc) {
		cli_say("%s: unexpected; every file is given by an option, see anykvm run --help",
			argv[optind]);
		return -1;
	}
	if (options->nr_forwards && !options->network) {
		cli_say("--forward %s: there is no network; give -n, too",
			options->forwards[0].text);
		return -1;
	}
	if (!options->kernel && !options->incoming) {
		cli_say("no kernel: give one by -k FILE; see anykvm run --help");
		return -1;
	}
	return 0;
}
