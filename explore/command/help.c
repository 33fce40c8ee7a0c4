/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "command/command.h"

static const char text[] =
	"\n"
	"  list      the scenarios: name, threads, who races whom\n"
	"  run       search; SCENARIO may be a shell pattern: 'gmem-*'\n"
	"  replay    run one order again: SCHEDULE is what a report gave, FILE its JSON\n"
	"  plan      print commands that do a search in parts, one a line, for xargs,\n"
	"            make or Slurm\n"
	"  merge     unite their files: print the next round's commands, or the report,\n"
	"            which is the same for any number of parts\n"
	"\n"
	"What to search (default: serial orders, then every order if that is within\n"
	"reach, random ones, and all with 0, 1, 2... preemptions, for 60 seconds a\n"
	"scenario):\n"
	"      --exhaustive    every order, up to those that cannot differ (DPOR)\n"
	"      --bound N       all orders with at most N preemptions\n"
	"      --delays N      all orders with at most N delays of round-robin\n"
	"      --seed S        random orders from seed S\n"
	"      --pct D         random priorities with D - 1 changes, from --seed\n"
	"      --serial        one thread after the other, in every order\n"
	"      --naive         every order without reduction: to check the reduction\n"
	"      --runs N        at most N executions (with --seed and --pct: so many)\n"
	"      --seconds S     at most S seconds for a scenario\n"
	"      --steps N       at most N steps in one execution (default 20000)\n"
	"      --faults N      at most N failures (allocations, signals) in one\n"
	"                      execution, whatever the scenario says\n"
	"      --mutant NAME   with the fault NAME in the code; without SCENARIO those\n"
	"                      that should find it\n"
	"      --mutated NAME  this program was built with that fault: what --mutant adds\n"
	"\n"
	"  -j, --jobs N        worker processes (default: processors; 1 with --part); no\n"
	"                      report depends on it unless time runs out\n"
	"      --json FILE     write the report as JSON (- for standard output)\n"
	"      --html FILE     write it as a page with the interleaving as a picture; of\n"
	"                      further violations as FILE with -SCENARIO in its name\n"
	"      --stats         of run: executions, steps and seconds of each scenario, a\n"
	"                      line of JSON each on standard error\n"
	"      --long          of list: property, source and mutants of each\n"
	"  -q, --quiet         no progress, only violations and the last line\n"
	"  -h, --help          this text\n"
	"\n"
	"Campaigns on several processes or machines go in rounds; all have the folder:\n"
	"      --parts N       of plan and merge: at most N commands in a round\n"
	"      --folder DIR    of plan: where the files go (default explore-campaign)\n"
	"      --plan FILE --part K/N --result FILE   of run: what such a command does\n"
	"      --next FILE     of merge: the next round's commands go there; it is empty\n"
	"                      when the search is over\n"
	"      --stop          of merge: report what was covered, although it is not over\n"
	"\n"
	"    explore plan --parts 8 --exhaustive --all >todo\n"
	"    while [ -s todo ]; do xargs -P 8 -I{} sh -c {} <todo\n"
	"        explore merge --next todo explore-campaign; done\n"
	"\n"
	"Ctrl-C (SIGINT) and SIGTERM stop a search; what was covered is reported.\n"
	"Exit status: 0 nothing found; 1 a violation; 2 misuse; 3 of merge: there is\n"
	"another round; 130 or 143 stopped by a signal with nothing found until then.\n";

void help_print(const struct explore_suite *suite)
{
	const char *p = suite->program;

	printf("Usage: %s list [--long] [SCENARIO]...\n"
	       "       %s run SCENARIO...|--all [OPTION]...\n"
	       "       %s replay SCHEDULE|FILE [--json FILE] [--html FILE]\n"
	       "       %s plan --parts N SCENARIO...|--all [OPTION]...\n"
	       "       %s merge FOLDER|FILE... [--json FILE] [--html FILE]\n"
	       "Runs the threads of a scenario over the real code in one order after another.\n"
	       "Either an order breaks a rule: it is cut down to the fewest switches and shown,\n"
	       "with the text that replays it. Or what was covered is said: \"proved\" only if\n"
	       "every order was.\n",
	       p, p, p, p, p);
	fputs(text, stdout);
}
