/* SPDX-License-Identifier: MIT */
/* Operations of the simulated host, with the place in the code under test that asked for them. */
#include <string.h>

#include "explore/kvm/host_sim.h"

#include "engine/engine.h"

static uintptr_t caller[EXPLORE_MAX_FIBERS];

void sim_calls_begin(void)
{
	memset(caller, 0, sizeof(caller));
}

void sim_calls_keep(sim_keep_fn *keep)
{
	keep(caller, sizeof(caller));
}

bool sim_enter(void *from)
{
	uintptr_t *c = &caller[explore_self()];

	if (*c)
		return false;
	*c = (uintptr_t)from;
	return true;
}

void sim_leave(const bool *outermost)
{
	if (*outermost)
		caller[explore_self()] = 0;
}

uintptr_t sim_caller(void)
{
	return caller[explore_self()];
}

static void visible(enum op_kind kind, enum access access, const void *object, const char *name)
{
	struct op op = {.kind = kind,
			.access = access,
			.addr = (uintptr_t)object,
			.pc = caller[explore_self()],
			.name = name};

	engine_point(&op, NULL, NULL);
}

void sim_read(const void *object, const char *name)
{
	visible(OP_READ, ACCESS_READ, object, name);
}

void sim_write(const void *object, const char *name)
{
	visible(OP_WRITE, ACCESS_WRITE, object, name);
}
