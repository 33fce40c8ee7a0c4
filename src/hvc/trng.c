/* SPDX-License-Identifier: MIT */
/* True random numbers (Arm DEN 0098, version 1.0) from the host kernel's generator. */
#include "host/random.h"
#include "hvc/internal.h"

#define TRNG_VERSION_1_0       0x10000
#define TRNG_INVALID_PARAMETER ((u64)-2)

static void random_call(struct vcpu *v, bool wide)
{
	u32 nr = (u32)smccc_arg(v, 1);
	u64 word[3] = {0};

	if (nr > (wide ? 192 : 96)) {
		smccc_return(v, TRNG_INVALID_PARAMETER, 0, 0, 0);
		return;
	}
	host_random_fill(word, sizeof(word));
	for (u32 i = 0; i < 3; i++) {
		u32 left = nr > i * 64 ? MIN(nr - i * 64, 64u) : 0;

		word[i] = left ? word[i] & ~0ull >> (64 - left) : 0;
	}
	/* The lowest bits are in the last register. */
	if (wide)
		smccc_return(v, SMCCC_SUCCESS, word[2], word[1], word[0]);
	else
		smccc_return(v, SMCCC_SUCCESS, (u32)word[1], word[0] >> 32, (u32)word[0]);
}

int trng_call(struct vcpu *v)
{
	switch ((u32)smccc_arg(v, 0)) {
	case FN_TRNG_VERSION:
		smccc_return(v, TRNG_VERSION_1_0, 0, 0, 0);
		break;
	case FN_TRNG_FEATURES:
		switch ((u32)smccc_arg(v, 1)) {
		case FN_TRNG_VERSION:
		case FN_TRNG_FEATURES:
		case FN_TRNG_GET_UUID:
		case FN_TRNG_RND32:
		case FN_TRNG_RND64:
			smccc_return(v, SMCCC_SUCCESS, 0, 0, 0);
			break;
		default:
			smccc_return(v, SMCCC_NOT_SUPPORTED, 0, 0, 0);
		}
		break;
	case FN_TRNG_GET_UUID: /* 0d21e000-4384-11eb-8070-5244554e5a4c, KVM's back end */
		smccc_return(v, 0x00e0210d, 0xeb118443, 0x44527080, 0x4c5a4e55);
		break;
	case FN_TRNG_RND32:
		random_call(v, false);
		break;
	default:
		random_call(v, true);
	}
	return 1;
}
