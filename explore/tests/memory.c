/* SPDX-License-Identifier: MIT */
/*
 * Programs about memory: each way to reach memory that is gone or was never there, each way to order two threads' accesses, and
 * the ways that look like it. The compilers tell of these accesses in different ways: single ones, ranges, calls.
 */
#include <string.h>

#include "engine/engine.h"
#include "memory_cases.h"

#define PROGRAM(id, ...)                              \
	.scenario = {.name = "memory-" id,            \
		     .summary = "accesses to memory", \
		     .property = "none is wrong",     \
		     .source = "own",                 \
		     __VA_ARGS__}

struct thing {
	uint32_t users, flag;
	int value;
	char byte[12];
	uint64_t word;
	char name[40];
};
struct pair {
	char first, second[9];
} __attribute__((packed));

static struct thing *thing, copy;
static size_t forty = 40; /* so that the compiler does not know it */

static void make(void)
{
	thing = NEW_OF(struct thing);
	thing->users = 2;
}
static void drop(void)
{
	explore_free(thing);
}

/* --- alone ---------------------------------------------------------------------------------------------------------------- */

static void copy_of_freed(void)
{
	struct thing *t = NEW_OF(struct thing);

	explore_free(t);
	memcpy(thing->name, t->name, forty);
}
static void assignment_of_freed(void)
{
	struct thing *t = NEW_OF(struct thing);

	explore_free(t);
	copy = *t;
}
static void set_beyond(void)
{
	memset(thing->name, 1, forty + 1);
}
static void compare_beyond(void)
{
	if (memcmp(thing->name, copy.name, forty + 1) < 0)
		drop();
}
static void write_after_the_end(void)
{
	thing[1].value = 1;
}
static void unaligned_end(void)
{
	struct pair *p = (struct pair *)explore_alloc(8, 0, "struct pair", false);
	uint64_t v;

	memcpy(&v, p->second, sizeof(v));
	copy.word = v;
	explore_free(p);
}
static void free_the_inside(void)
{
	explore_free(thing->name);
}
static void lose_three(void)
{
	for (int i = 0; i < 3; i++)
		NEW_OF(struct pair);
}
static void memory_is_zero(void)
{
	unsigned char *large = explore_alloc(1 << 20, 4096, "large", false);
	uint64_t *small = explore_alloc(24, 0, "small", false);

	explore_check(!((uintptr_t)large & 4095));
	for (unsigned i = 0; i < 1 << 20; i += 4096)
		explore_check(!large[i] && !large[i + 4095]);
	explore_check(!small[0] && !small[1] && !small[2]);
	memset(large, 0xff, 1 << 20);
	memset(small, 0xff, 24);
	explore_free(large);
	explore_free(small);
}
static void choose_twice(void)
{
	/* So that there is more than one execution. */
	explore_pick(3, "a number");
}

/* --- together ------------------------------------------------------------------------------------------------------------- */

static void put_relaxed(void)
{
	thing->value++;
}
static void last_relaxed(void)
{
	if (__atomic_fetch_sub(&thing->users, 1, __ATOMIC_RELAXED) == 1)
		explore_free(thing);
}
static void last_ordered(void)
{
	if (__atomic_fetch_sub(&thing->users, 1, __ATOMIC_ACQ_REL) == 1)
		explore_free(thing);
}
static void count_up(void)
{
	ADD(&thing->users, 1);
}
static void free_it(void)
{
	explore_free(thing);
}
static void set_name(void)
{
	memset(thing->name, 1, forty);
}
static void set_a_byte(void)
{
	thing->name[17] = 2;
}
static void set_first_byte(void)
{
	thing->byte[0] = 1;
}
static void set_second_byte(void)
{
	thing->byte[1] = 1;
}
static void plain_flag(void)
{
	thing->flag = 1;
}
static void read_flag(void)
{
	copy.flag = RELAXED(&thing->flag);
}
static void publish(void)
{
	thing->value = 1;
	RELEASE(&thing->flag, 1);
}
static void overwrite(void)
{
	if (RELAXED(&thing->flag) == 1)
		SET_RELAXED(&thing->flag, 2);
}
static void modify(void)
{
	if (RELAXED(&thing->flag) == 1)
		__atomic_fetch_add(&thing->flag, 1, __ATOMIC_RELAXED);
}
static void look_for_two(void)
{
	if (ACQUIRE(&thing->flag) == 2)
		explore_check(thing->value == 1);
}
static void publish_by_fence(void)
{
	thing->value = 1;
	__atomic_thread_fence(__ATOMIC_RELEASE);
	SET_RELAXED(&thing->flag, 2);
}
static void look_by_fence(void)
{
	if (RELAXED(&thing->flag) != 2)
		return;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	explore_check(thing->value == 1);
}
static void look_before_fence(void)
{
	if (RELAXED(&thing->flag) != 2)
		return;
	explore_check(thing->value == 1);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
}
static void exchange_acquires(void)
{
	uint32_t none = 0;

	if (!__atomic_compare_exchange_n(&thing->flag, &none, 3, 0, __ATOMIC_ACQUIRE,
					 __ATOMIC_ACQUIRE))
		explore_check(thing->value == 1);
}
static void exchange_acquires_if_done(void)
{
	uint32_t none = 0;

	if (!__atomic_compare_exchange_n(&thing->flag, &none, 3, 0, __ATOMIC_ACQUIRE,
					 __ATOMIC_RELAXED))
		explore_check(thing->value == 1);
}
static void whole_word(void)
{
	STORE(&thing->word, 1);
}
static void half_word(void)
{
	STORE((uint32_t *)&thing->word + 1, 1);
}
static void make_quiet(void)
{
	make();
	explore_quiet(&thing->users, sizeof(thing->users));
}
static void take_address(void)
{
	struct thing *t = NEW_OF(struct thing);

	explore_check(t != thing);
	explore_free(t);
}
static void need_memory(void)
{
	void *p = explore_alloc(8, 0, "scarce", true);

	explore_check(p);
	explore_free(p);
}

#define ALONE(f)   .setup = make, .finish = drop, .thread = {{"one", f}}
#define BOTH(f, g) .setup = make, .finish = drop, .thread = {{"one", f}, {"two", g}}
#define THREE(f, g, h) \
	.setup = make, .finish = drop, .thread = {{"one", f}, {"two", g}, {"three", h}}

const struct memory_case memory_cases[] = {
	{PROGRAM("copy-of-freed", ALONE(copy_of_freed)), BAD_USE_AFTER_FREE,
	 "struct thing #T1.1 is used at +0x20 after it was freed"},
	{PROGRAM("assignment-of-freed", ALONE(assignment_of_freed)), BAD_USE_AFTER_FREE,
	 "after it was freed"},
	{PROGRAM("set-beyond", ALONE(set_beyond)), BAD_WILD_ACCESS,
	 "struct thing #1 has 72 bytes and is used beyond them"},
	{PROGRAM("compare-beyond", ALONE(compare_beyond)), BAD_WILD_ACCESS, "beyond"},
	{PROGRAM("after-the-end", ALONE(write_after_the_end)), BAD_WILD_ACCESS, "beyond"},
	{PROGRAM("unaligned-end", ALONE(unaligned_end)), BAD_WILD_ACCESS,
	 "struct pair #T1.1 has 8 bytes"},
	{PROGRAM("free-the-inside", ALONE(free_the_inside)), BAD_WILD_ACCESS,
	 "the inside of struct thing #1 is freed"},
	{PROGRAM("freed-in-finish", .setup = make, .thread = {{"one", free_it}},
		 .finish = set_name),
	 BAD_USE_AFTER_FREE, "struct thing #1 is used at +0x20 after it was freed"},
	{PROGRAM("freed-twice-in-finish", .setup = make, .thread = {{"one", free_it}},
		 .finish = drop),
	 BAD_DOUBLE_FREE, "struct thing #1 is freed twice"},
	{PROGRAM("lost", ALONE(lose_three)), BAD_LEAK, "never freed: 3 struct pair"},
	{PROGRAM("zero", .setup = memory_is_zero, .finish = memory_is_zero,
		 .thread = {{"one", choose_twice}, {"two", memory_is_zero}}),
	 -1},

	{PROGRAM("relaxed-last-put", .setup = make,
		 .thread = {{"one", last_relaxed}, {"two", last_relaxed}}),
	 BAD_USE_AFTER_FREE, "may be used after it is freed"},
	{PROGRAM("ordered-last-put", .setup = make,
		 .thread = {{"one", last_ordered}, {"two", last_ordered}}),
	 -1},
	{PROGRAM("atomic-use-and-free", .setup = make,
		 .thread = {{"one", count_up}, {"two", free_it}}),
	 BAD_USE_AFTER_FREE, ""},
	{PROGRAM("set-and-byte", BOTH(set_name, set_a_byte)), BAD_DATA_RACE,
	 "struct thing #1+0x31"},
	{PROGRAM("neighbours", BOTH(set_first_byte, set_second_byte)), -1, NULL, 1},
	{PROGRAM("plain-and-plain", BOTH(put_relaxed, put_relaxed)), BAD_DATA_RACE,
	 "struct thing #1+0x8"},
	{PROGRAM("plain-and-marked", BOTH(plain_flag, read_flag)), BAD_DATA_RACE,
	 "struct thing #1+0x4"},
	{PROGRAM("sequence-ended", THREE(publish, overwrite, look_for_two)), BAD_DATA_RACE,
	 "struct thing #1+0x8"},
	{PROGRAM("sequence-continued", THREE(publish, modify, look_for_two)), -1},
	{PROGRAM("fences", BOTH(publish_by_fence, look_by_fence)), -1},
	{PROGRAM("fence-too-late", BOTH(publish_by_fence, look_before_fence)), BAD_DATA_RACE,
	 "struct thing #1+0x8"},
	{PROGRAM("failed-exchange-acquires", BOTH(publish, exchange_acquires)), -1},
	{PROGRAM("failed-exchange-does-not", BOTH(publish, exchange_acquires_if_done)),
	 BAD_DATA_RACE, "struct thing #1+0x8"},
	{PROGRAM("two-sizes", BOTH(whole_word, half_word)), BAD_ASSERTION, "struct thing #1+0x18"},
	{PROGRAM("counters", .setup = make_quiet, .finish = drop,
		 .thread = {{"one", count_up}, {"two", count_up}}),
	 -1, NULL, 1},

	{PROGRAM("address-again", .setup = make,
		 .thread = {{"one", free_it}, {"two", take_address}}, .faults = 1,
		 .flags = EXPLORE_REUSE),
	 BAD_ASSERTION, "t != thing"},
	{PROGRAM("address-not-again", .setup = make,
		 .thread = {{"one", free_it}, {"two", take_address}}, .faults = 1),
	 -1},
	{PROGRAM("allocation-fails", .thread = {{"one", need_memory}}, .faults = 1), BAD_ASSERTION,
	 "expected p"},
	{PROGRAM("allocation-does-not-fail", .thread = {{"one", need_memory}}), -1, NULL, 1},
};
const size_t nr_memory_cases = sizeof(memory_cases) / sizeof(memory_cases[0]);
