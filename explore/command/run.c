/* SPDX-License-Identifier: MIT */
/* explore run: all of a search, or the part of a campaign's round. */
#include <stdlib.h>

#include "command/campaign.h"
#include "command/pool.h"

/* Without names a broken form picks the scenarios that should find it. */
static void choose_by_mutant(struct options *o)
{
	o->scenario = calloc(o->suite->nr_scenarios + 1, sizeof(*o->scenario));
	for (size_t i = 0; o->scenario && i < o->suite->nr_scenarios; i++)
		if (list_has(o->suite->scenario[i]->mutants, o->mutated))
			o->scenario[o->nr_scenarios++] = o->suite->scenario[i];
}

bool scenarios_to_run(struct options *o)
{
	if (o->nr_words || o->all)
		return scenarios_choose(o);
	if (o->mutated)
		choose_by_mutant(o);
	if (o->nr_scenarios)
		return true;
	if (o->mutated)
		say("no scenario names %s as a fault that it finds; give SCENARIO or --all",
		    o->mutated);
	else
		say("what is to be run? Give scenarios or --all; %s list names them",
		    o->suite->program);
	return false;
}

static int run_part(struct options *o)
{
	struct campaign c;
	uint64_t hash;
	int status = STATUS_MISUSE;

	if (!o->plan || !o->result || !o->parts) {
		say("--plan, --part and --result belong together: plan prints the commands that "
		    "have them");
		return STATUS_MISUSE;
	}
	if (o->mode_given || o->nr_words || o->all) {
		say("--part: what to search is in the plan");
		return STATUS_MISUSE;
	}
	if (!o->jobs_given)
		o->jobs = 1;
	if (!plan_read(&c, o, o->plan, &hash))
		return STATUS_MISUSE;
	campaign_run_part(&c, o->part, o->parts);
	if (stop_signal())
		status = STATUS_STOPPED + stop_signal();
	else if (results_write(&c, o->result, hash, o->part, o->parts))
		status = STATUS_CLEAN;
	campaign_free(&c);
	return status;
}

int run_main(struct options *o)
{
	struct campaign c;
	int status;

	if (o->plan || o->parts || o->result)
		return run_part(o);
	if (!scenarios_to_run(o) || !campaign_init(&c, o))
		return STATUS_MISUSE;
	for (size_t i = 0; i < c.nr; i++)
		item_plan(&c.item[i]);
	campaign_run(&c);
	status = campaign_finish(&c);
	campaign_free(&c);
	return status;
}
