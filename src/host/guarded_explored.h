/* SPDX-License-Identifier: MIT */
/*
 * Guarded access in explored builds: a call into the simulated host, which knows what is mapped. See guarded.h for the contract.
 * Accesses of one page are ordered by the explorer alone, so plain, ordered and atomic ones are the same here.
 */
#ifndef ANYKVM_HOST_GUARDED_EXPLORED_H
#define ANYKVM_HOST_GUARDED_EXPLORED_H

#ifndef ANYKVM_HOST_GUARDED_H
#error "include host/guarded.h"
#endif

/* size bytes in one step, within a page. False: the host refuses. */
bool guarded_sim_load(const void *hva, void *out, unsigned size);
bool guarded_sim_store(void *hva, const void *in, unsigned size);
/* old = *hva; *hva = value, or old + value. */
bool guarded_sim_exchange(void *hva, const void *value, void *old, unsigned size);
bool guarded_sim_fetch_add(void *hva, u64 value, void *old, unsigned size);
/* expected gets the old value. */
bool guarded_sim_cmpxchg(void *hva, void *expected, const void *desired, bool *swapped,
			 unsigned size);

#define GUARDED_DEFINE_SIM(bits)                                                                \
	static inline bool guarded_load##bits(const void *hva, u##bits *out)                    \
	{                                                                                       \
		return guarded_sim_load(hva, out, bits / 8);                                    \
	}                                                                                       \
	static inline bool guarded_store##bits(void *hva, u##bits value)                        \
	{                                                                                       \
		return guarded_sim_store(hva, &value, bits / 8);                                \
	}                                                                                       \
	static inline bool guarded_store_seqcst##bits(void *hva, u##bits value)                 \
	{                                                                                       \
		return guarded_sim_store(hva, &value, bits / 8);                                \
	}                                                                                       \
	static inline bool guarded_xchg##bits(void *hva, u##bits value, u##bits *old)           \
	{                                                                                       \
		return guarded_sim_exchange(hva, &value, old, bits / 8);                        \
	}                                                                                       \
	static inline bool guarded_fetch_add##bits(void *hva, u##bits value, u##bits *old)      \
	{                                                                                       \
		return guarded_sim_fetch_add(hva, value, old, bits / 8);                        \
	}                                                                                       \
	static inline bool guarded_cmpxchg##bits(void *hva, u##bits *expected, u##bits desired, \
						 bool *swapped)                                 \
	{                                                                                       \
		return guarded_sim_cmpxchg(hva, expected, &desired, swapped, bits / 8);         \
	}

GUARDED_DEFINE_SIM(8)
GUARDED_DEFINE_SIM(16)
GUARDED_DEFINE_SIM(32)
GUARDED_DEFINE_SIM(64)

static inline bool guarded_cmpxchg128(void *hva, u64 expected[2], const u64 desired[2],
				      bool *swapped)
{
	return guarded_sim_cmpxchg(hva, expected, desired, swapped, 16);
}

#endif
