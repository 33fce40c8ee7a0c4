/* SPDX-License-Identifier: MIT */
/* The simulated address space, between host_pages.c and host_mm.c. */
#ifndef ANYKVM_EXPLORE_KVM_HOST_MM_H
#define ANYKVM_EXPLORE_KVM_HOST_MM_H

#include "explore/kvm/host_sim.h"

/* The first pages of a zone stay free, so that no host address is congruent with a guest's by chance. */
#define SIM_FIRST 5u

struct sim_mm {
	char space; /* what is mapped where, as an object. First, so that it is the whole to the explorer */
	bool mapped;
	u32 used[SIM_ZONES]; /* pages given out, of each zone */
	struct sim_page page[SIM_PAGES];
};
extern struct sim_mm sim_mm;

static inline u64 sim_address(const struct sim_page *p)
{
	return SIM_BASE + (p - sim_mm.page) * SIM_PAGE;
}

/* Announces it, then takes the page away if it is there. */
void sim_revoke(struct sim_page *p, const char *how);

#endif
