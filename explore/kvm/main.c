/* SPDX-License-Identifier: MIT */
/* The program anykvm-explore: the library, the simulated host and the scenarios under the explorer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "explore/kvm/backend.h"
#include "explore/kvm/guards.h"
#include "explore/kvm/host_sim.h"
#include "explore/kvm/mutant.h"
#include "explore/kvm/scenarios/scenarios.h"
#include "host/alloc.h"
#include "host/fd.h"
#include "mem/process_mem.h"

/* Sections that the build gathers (gather.py): all that is mutable in the library and the scenarios, and what belongs to a thread. */
extern char state_start[] __asm__("__start_explore_state"), state_end[] __asm__(
								    "__stop_explore_state");
extern char local_start[] __asm__("__start_explore_tls"), local_end[] __asm__("__stop_explore_tls");

void sim_begin(void)
{
	sim_log_begin();
	sim_calls_begin();
	sim_memory_begin();
	sim_mm_begin();
	sim_fd_begin();
	sim_signals_begin();
}

/* Words of the process that reports meet often. */
static void name_process(void)
{
	struct api_process *api = api_process();
	struct mem_process *mem = mem_process();

	explore_name(&api->state, "api_process.state");
	explore_name(&api->fd_page[0], "api_process.fd_page");
	explore_name(&mem->ready, "mem_process.ready");
	explore_name(&mem->vm_list, "vm_list");
	explore_name(&mem->list_turn, "mem_process.list_turn");
	explore_name(&mem->next_mmu_id, "mem_process.next_mmu_id");
	explore_name(&mem->userfault_any, "mem_process.userfault_any");
	/* No scenario sets a hook of the tests. */
	explore_quiet(mem->hook, sizeof(mem->hook));
}

static void begin(void)
{
	sim_begin();
	backend_begin();
	name_process();
}

/* Beside what is registered. All that is not in use is 0. */
static void kept(void (*keep)(void *start, size_t size))
{
	sim_calls_keep(keep);
	sim_memory_keep(keep);
	sim_mm_keep(keep);
	sim_fd_keep(keep);
	sim_signals_keep(keep);
	sim_log_keep(keep);
	backend_keep(keep);
}

/* What the library keeps for the life of a process: its table of descriptors, which must be empty, and the empty file. */
static void end(void)
{
	struct api_process *p = api_process();
	const char *left;
	int fd;

	if (p->empty_file.v)
		host_close(p->empty_file.v - 1);
	for (u32 i = 0; i < FD_PAGES; i++) {
		if (!p->fd_page[i].v)
			continue;
		host_free(p->fd_page[i].v, FD_PAGE_SIZE * sizeof(struct aptr));
		explore_will_store(&p->fd_page[i], sizeof(p->fd_page[i]));
		p->fd_page[i].v = NULL;
	}
	left = sim_fd_left(&fd);
	if (left)
		explore_fail("descriptor %d (%s) is left open", fd, left);
}

int main(int argc, char **argv)
{
	const char *ranks;
	struct explore_region state = {state_start, state_end - state_start};
	struct explore_region local = {local_start, local_end - local_start};
	struct explore_region arena = {(void *)(uintptr_t)SIM_BASE, SIM_PAGES * SIM_PAGE};
	struct explore_suite suite = {
		.program = "anykvm explore",
		.scenario = kvm_scenarios,
		.nr_scenarios = nr_kvm_scenarios,
		.region = &state,
		.nr_regions = 1,
		.local = &local,
		.nr_locals = 1,
		.fixed = &arena,
		.nr_fixed = 1,
		.guard = explored_guards,
		.nr_guards = nr_explored_guards,
		.kept = kept,
		.begin = begin,
		.mutant = kvm_mutant,
		.end = end,
		.wrappers = "src/base/,src/sync/,src/host/,explore/kvm/backend_,explore/kvm/host_",
		.barrier_tests = "tests/unit/sync/litmus.c, tests/unit/mem/test_litmus.c",
	};

	/* For the explorer's own detectors on faults that the rank checker would see first. Workers inherit it. */
	ranks = getenv("ANYKVM_EXPLORE_RANKS");
	if (ranks && strcmp(ranks, "off") && strcmp(ranks, "on")) {
		fprintf(stderr, "ANYKVM_EXPLORE_RANKS is \"%s\": on or off is expected\n", ranks);
		return 2;
	}
	backend_ranks_default = !ranks || !strcmp(ranks, "on");
	return explore_main(argc, argv, &suite);
}
