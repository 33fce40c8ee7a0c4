/* SPDX-License-Identifier: MIT */
#include "base/bug.h"
#include "base/hash.h"
#include "base/itree.h"
#include "base/list.h"
#include "base/log.h"
#include "base/types.h"
#include "../../test.h"
#include "../misuse.h"

static u64 rnd_state = 88172645463325252ull;

static u64 rnd(void)
{
	rnd_state ^= rnd_state << 13;
	rnd_state ^= rnd_state >> 7;
	rnd_state ^= rnd_state << 17;
	return rnd_state;
}

TEST(bit_helpers_take_and_put_fields)
{
	EXPECT_EQ(bits_get(0xabcd, 4, 8), 0xbc);
	EXPECT_EQ(bits_set(0xffff, 4, 8, 0), 0xf00f);
	EXPECT_EQ(bits_set(0, 0, 64, ~0ull), ~0ull);
	EXPECT_EQ(sign_extend(0x80, 8), -128);
	EXPECT_EQ(sign_extend(0x7f, 8), 127);
	EXPECT_EQ(GENMASK(63, 0), ~0ull);
	EXPECT_EQ(GENMASK(11, 4), 0xff0);
	EXPECT_EQ(ALIGN_UP(4097ull, 4096), 8192);
	EXPECT_EQ(ALIGN_DOWN(4097ull, 4096), 4096);
}

struct item {
	int value;
	struct list node;
};

TEST(a_list_keeps_order_and_survives_removal_while_walking)
{
	struct item items[10], *i, *tmp;
	struct list head, other;
	int n = 0;

	list_init(&head);
	list_init(&other);
	for (int k = 0; k < 10; k++) {
		items[k].value = k;
		list_add_tail(&head, &items[k].node);
	}
	list_for_each_safe(i, tmp, &head, node)
	{
		EXPECT_EQ(i->value, n++);
		if (i->value % 2)
			list_del(&i->node);
	}
	EXPECT_EQ(n, 10);
	EXPECT(list_empty(&items[1].node));
	list_add(&other, &items[1].node);
	list_splice_tail(&other, &head);
	EXPECT(list_empty(&head));
	n = 0;
	list_for_each(i, &other, node) n = n * 10 + i->value;
	EXPECT_EQ(n, 102468);
	EXPECT(list_first(&other, struct item, node) == &items[1]);
	EXPECT(!list_first(&head, struct item, node));
}

#define NR_NODES 400

static u64 height(const struct itree_node *n)
{
	u64 l, r;

	if (!n)
		return 0;
	l = height(n->left);
	r = height(n->right);
	return 1 + MAX(l, r);
}

static void check_tree(const struct itree *t)
{
	struct itree_node *n, *prev = NULL;
	u64 count = 0;

	itree_for_each(n, t)
	{
		u64 max = n->end;

		if (n->left)
			max = MAX(max, n->left->max_end);
		if (n->right)
			max = MAX(max, n->right->max_end);
		EXPECT_EQ(n->max_end, max);
		EXPECT(!prev || prev->start <= n->start);
		EXPECT(itree_prev(n) == prev);
		prev = n;
		count++;
	}
	EXPECT_EQ(count, t->nr);
	EXPECT(itree_last(t) == prev);
}

TEST(an_interval_tree_agrees_with_a_plain_array)
{
	static struct itree_node nodes[NR_NODES];
	static bool in[NR_NODES];
	struct itree t;
	struct itree_node *n;

	itree_init(&t);
	for (int round = 0; round < 6000; round++) {
		int k = rnd() % NR_NODES;
		u64 s = rnd() % 2000, e = s + 1 + rnd() % 100, expect = 0, found = 0, floor = 0;

		if (in[k]) {
			itree_remove(&t, &nodes[k]);
			in[k] = false;
		} else {
			itree_insert(&t, &nodes[k], s, e);
			in[k] = true;
		}
		if (round % 50 == 0)
			check_tree(&t);
		s = rnd() % 2000;
		e = s + 1 + rnd() % 50;
		for (int i = 0; i < NR_NODES; i++) {
			expect += in[i] && nodes[i].start < e && s < nodes[i].end;
			if (in[i] && nodes[i].start <= s)
				floor = MAX(floor, nodes[i].start);
		}
		u64 last = 0;
		itree_for_each_overlap(n, &t, s, e)
		{
			EXPECT(n->start < e && s < n->end);
			EXPECT(n->start >= last);
			last = n->start;
			found++;
		}
		EXPECT_EQ(found, expect);
		n = itree_floor(&t, s);
		EXPECT_EQ(n ? n->start : 0, floor);
	}
	EXPECT_EQ(itree_first_overlap(&t, 5, 5) == NULL, true);
}

TEST(an_interval_tree_of_disjoint_ranges_is_a_map_and_stays_shallow)
{
	enum { N = 32767 };
	struct itree_node *nodes = calloc(N, sizeof(*nodes));
	struct itree t;

	itree_init(&t);
	for (u64 i = 0; i < N; i++)
		itree_insert(&t, &nodes[i], i * 10, i * 10 + 5);
	EXPECT_CMP(height(t.root), <, 60);
	for (u64 i = 0; i < N; i++) {
		EXPECT(itree_find(&t, i * 10) == &nodes[i]);
		EXPECT(itree_find(&t, i * 10 + 4) == &nodes[i]);
		EXPECT(!itree_find(&t, i * 10 + 5));
	}
	for (u64 i = 0; i < N; i += 2)
		itree_remove(&t, &nodes[i]);
	for (u64 i = 0; i < N; i++)
		EXPECT_EQ(itree_find(&t, i * 10) == &nodes[i], i % 2);
	EXPECT_EQ(t.nr, N / 2);
	free(nodes);
}

TEST(ranges_up_to_the_last_address_work)
{
	struct itree_node a, b;
	struct itree t;

	itree_init(&t);
	itree_insert(&t, &a, ~0ull - 10, ~0ull);
	itree_insert(&t, &b, 0, 1);
	EXPECT(itree_first_overlap(&t, ~0ull - 1, ~0ull) == &a);
	EXPECT(itree_find(&t, 0) == &b);
	EXPECT(!itree_next(&a));
}

static void bug_on_true(void)
{
	int x = 1;

	BUG_ON(x == 1);
}

static void empty_range(void)
{
	struct itree_node a;
	struct itree t;

	itree_init(&t);
	itree_insert(&t, &a, 5, 5);
}

TEST(bug_on_names_file_and_condition_and_aborts)
{
	EXPECT_ABORT(bug_on_true, "anykvm: BUG:", "base.c", "x == 1");
	EXPECT_ABORT(empty_range, "start >= end");
}

static void warn_twice(void)
{
	for (int i = 0; i < 2; i++)
		if (!WARN_ON_ONCE(i >= 0))
			_exit(1);
	log_line("number %d", 7);
}

TEST(a_warning_is_printed_once_and_execution_goes_on)
{
	struct child_result r = child_run(warn_twice);
	char *first = strstr(r.output, "WARNING");

	EXPECT_EQ(r.status, 0);
	ASSERT(first);
	EXPECT(!strstr(first + 1, "WARNING"));
	EXPECT(strstr(r.output, "anykvm: number 7\n"));
}
