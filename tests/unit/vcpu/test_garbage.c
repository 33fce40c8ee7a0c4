// SPDX-License-Identifier: MIT
/*
 * Guests that make no sense: random words, weighted towards system instructions, loads and stores,
 * with random registers, page tables that are data, at both ELs. Nothing is expected of the guest;
 * the host side must neither abort nor hang, and the vCPU must work again after a reset.
 */
#include "rig.h"
#include "test.h"

static u64 seed;

static u64 random64(void)
{
	/* xorshift64* */
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return seed * 0x2545f4914f6cdd1dull;
}

static u32 random_insn(void)
{
	u32 r = (u32)random64();

	switch (random64() % 8) {
	case 0:
	case 1: /* MSR, MRS, SYS, hints, barriers */
		return 0xd5000000 | (r & 0x3fffff);
	case 2: /* known spaces: op0 3, op1 0 */
		return 0xd5180000 | (r & 0x27ffff);
	case 3: /* loads and stores */
		return (r & ~0x0e000000u) | 0x08000000;
	case 4: /* SVC, HVC, ERET ... */
		return random64() % 2 ? 0xd69f03e0 : 0xd4000001 | (r & 0xe);
	case 5: /* short branches */
		return 0x14000000 | (r & 0x1f);
	default:
		return r;
	}
}

static u64 random_value(void)
{
	switch (random64() % 5) {
	case 0:
		return RAM + random64() % RAM_SIZE;
	case 1:
		return HIGH + RAM + random64() % RAM_SIZE;
	case 2:
		return random64() % 64;
	case 3:
		return 0x9000000 + random64() % 4096;
	default:
		return random64();
	}
}

static void randomize(struct rig *r, unsigned n)
{
	struct vcpu_arch *a = rig_arch(r, n);
	u32 *code = rig_mem(r, DATA);

	for (unsigned i = 0; i < 1024; i++)
		code[i] = random_insn();
	for (unsigned i = 0; i < 31; i++)
		a->x[i] = random_value();
	a->x[REG_SP] = random_value();
	a->pc = random64() % 4 ? DATA : random_value();
	rig_set_el(r, n, random64() % 4 != 0);
}

static void *nag(void *arg)
{
	struct rig *r = arg;

	/* Ends guests that loop. */
	while (!a32_load(&r->vcpu[1].event)) {
		rig_sleep_ms(1);
		vcpu_request(&r->vcpu[0], VCPU_REQ_EXIT);
	}
	return NULL;
}

TEST(garbage_never_hurts_the_host)
{
	static const u32 features[7] = {1u << 2};
	struct rig *r = rig_create(2);
	unsigned exits = 0, eintr = 0;
	pthread_t thread;

	seed = 0x123456789abcdef;
	pthread_create(&thread, NULL, nag, r);
	for (unsigned round = 0; round < test_rounds(600, 60000); round++) {
		ASSERT_EQ(rig_init_features(r, 0, VCPU_TARGET_GENERIC_V8, features), 0);
		r->next_table = TABLES;
		if (round & 1)
			rig_mmu(r);
		rig_arch(r, 0)->sys[SR_VBAR_EL1] = round & 2 ? RAM + G_vectors : random_value();
		randomize(r, 0);
		for (unsigned i = 0; i < 60; i++) {
			int ret = rig_continue(r, 0);

			exits++;
			eintr += ret == -EINTR;
			if (ret == -EINTR || ret == -ENOSYS || ret == -EFAULT)
				break;
			/* After an exit it goes on somewhere else. */
			if (ret >= 0 && random64() % 2)
				rig_arch(r, 0)->pc = DATA + random64() % 4096;
		}
	}
	a32_store(&r->vcpu[1].event, 1);
	pthread_join(thread, NULL);
	printf("# %u exits, %u interrupted\n", exits, eintr);
	EXPECT(exits > 2000);
	a32_fetch_and(&r->vcpu[0].requests, ~(u32)VCPU_REQ_EXIT);
	ASSERT_EQ(rig_init_features(r, 0, VCPU_TARGET_GENERIC_V8, features), 0);
	memcpy(rig_mem(r, RAM), guest_code, sizeof(guest_code));
	EXPECT_EQ(rig_run(r, 0, G_hvc_7), 7);
	rig_destroy(r);
}
