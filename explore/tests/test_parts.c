/* SPDX-License-Identifier: MIT */
/*
 * A search in parts is the search in one: the same classes, whoever does which piece in whatever order, and the same bytes each time. And
 * a bounded search leaves out nothing of what its bound allows.
 */
#include "random.h"
#include "rig.h"
#include "search/classes.h"
#include "search/part.h"
#include "search/tree.h"
#include "tests/test.h"

#define MOST_ROUNDS 64
#define MOST_RUNS   4000 /* of a tree that is compared with another */

/* All rounds of a campaign, with the pieces dealt to workers who have their turns backwards. */
struct campaign {
	struct search_result r;
	unsigned rounds;
	size_t pieces;
	char *plan[MOST_ROUNDS];
};

static void add_text(char **text, const char *more)
{
	char *both = NULL;

	if (asprintf(&both, "%s%s", *text ? *text : "", more) < 0)
		abort();
	free(*text);
	*text = both;
}

static char *do_pieces(const struct explore_scenario *s, const struct search_options *o,
		       const char *plan, size_t pieces, unsigned workers)
{
	char *results = NULL;

	for (unsigned w = workers; w-- > 0;)
		for (size_t i = w; i < pieces; i += workers) {
			struct search_result r;
			char *text = part_run(s, o, plan, part_hash(plan), i, &r);

			if (!text)
				TEST_FAIL("piece %zu: %s", i, r.broken);
			else
				add_text(&results, text);
			free(text);
			search_result_free(&r);
		}
	return results;
}

static void run_campaign(struct campaign *c, const struct explore_scenario *s,
			 const struct search_options *o, unsigned workers)
{
	char *plan = part_plan(o);

	memset(c, 0, sizeof(*c));
	while (plan && !test_failed && c->rounds < MOST_ROUNDS) {
		size_t pieces = part_items(plan, NULL);
		char *results = do_pieces(s, o, plan, pieces, workers), *next = NULL, err[256];

		EXPECT_CMP(pieces, >, 0);
		c->plan[c->rounds++] = plan;
		c->pieces += pieces;
		search_result_free(&c->r);
		if (!results || !part_merge(plan, results, &next, &c->r, err, sizeof(err)))
			TEST_FAIL("round %u: %s", c->rounds - 1, results ? err : "no results");
		free(results);
		plan = next;
	}
	EXPECT(!plan);
}

static void free_campaign(struct campaign *c)
{
	for (unsigned i = 0; i < c->rounds; i++)
		free(c->plan[i]);
	search_result_free(&c->r);
}

static void expect_same_text(const struct explore_scenario *s, const struct search_options *o)
{
	static const unsigned workers[] = {1, 2, 7};
	struct campaign first, other;

	run_campaign(&first, s, o, workers[0]);
	for (unsigned i = 1; i < 3 && !test_failed; i++) {
		run_campaign(&other, s, o, workers[i]);
		EXPECT_EQ(other.rounds, first.rounds);
		for (unsigned k = 0; k < first.rounds && !test_failed; k++)
			EXPECT(!strcmp(other.plan[k], first.plan[k]));
		EXPECT_EQ(other.r.verdict, first.r.verdict);
		EXPECT_EQ(other.r.runs, first.r.runs);
		EXPECT_EQ(other.r.found_at, first.r.found_at);
		EXPECT_EQ(other.r.classes_hash, first.r.classes_hash);
		free_campaign(&other);
	}
	printf("# %s, mode %d: %u rounds, %zu pieces, %llu runs\n", s->name, o->mode, first.rounds,
	       first.pieces, (unsigned long long)first.r.runs);
	free_campaign(&first);
}

TEST(parts_give_the_same_bytes_for_any_number_of_workers)
{
	const struct search_options dpor = {.mode = SEARCH_DPOR},
				    all = {.mode = SEARCH_PORTFOLIO, .seed = 1},
				    bound = {.mode = SEARCH_PREEMPTIONS, .bound = 2};

	rig_init();
	expect_same_text(seed_b_grown[2], &dpor);
	expect_same_text(seed_b_grown[1], &bound);
	expect_same_text(&seed_b2, &all);
	expect_same_text(&seed_a0, &dpor);
}

static void expect_same_classes(const struct explore_scenario *s)
{
	const struct search_options o = {.mode = SEARCH_DPOR};
	struct search_result whole;
	struct campaign c;

	rig_search(s, SEARCH_DPOR, 0, 0, &whole);
	run_campaign(&c, s, &o, 2);
	EXPECT_EQ(whole.verdict, SEARCH_PROVED);
	EXPECT_EQ(c.r.verdict, SEARCH_PROVED);
	EXPECT_EQ(c.r.classes, whole.classes);
	EXPECT_EQ(c.r.classes_hash, whole.classes_hash);
	free_campaign(&c);
	search_result_free(&whole);
}

TEST(parts_have_the_classes_of_the_whole)
{
	expect_same_classes(seed_b_grown[1]);
	expect_same_classes(seed_b_grown[2]);
	if (test_soak_percent)
		expect_same_classes(seed_b_grown[3]);
}

/* What one worker did before must not be seen in the next piece that it does. */
TEST(lock_orders_are_forgotten_before_a_piece)
{
	const struct search_options o = {.mode = SEARCH_DPOR};
	char *plan = part_plan(&o), *result[2], order[2][4096];
	struct search_result r;

	rig_init();
	for (int i = 0; i < 2; i++) {
		engine_lock_order_forget();
		EXPECT_EQ(engine_lock_order_export(order[i], sizeof(order[i])), 0);
		result[i] = part_run(seed_b_grown[0], &o, plan, part_hash(plan), 0, &r);
		search_result_free(&r);
		EXPECT(engine_lock_order_export(order[i], sizeof(order[i])) > 0);
	}
	ASSERT(result[0] && result[1]);
	EXPECT(!strcmp(result[0], result[1]));
	EXPECT(!strcmp(order[0], order[1]));
	free(result[0]);
	free(result[1]);
	free(plan);
}

TEST(what_a_merge_lacks_is_named)
{
	const struct search_options o = {.mode = SEARCH_DPOR};
	char *plan = part_plan(&o), *next = NULL, *twice = NULL, *result, err[256] = "";
	struct search_result r;

	rig_init();
	EXPECT(!part_merge(plan, "", &next, &r, err, sizeof(err)));
	EXPECT(strstr(err, "missing"));
	EXPECT(!part_merge("nonsense", "", &next, &r, err, sizeof(err)));
	EXPECT_EQ(part_items("nonsense", NULL), 0);
	result = part_run(seed_b_grown[0], &o, plan, part_hash(plan), 0, &r);
	ASSERT(result);
	search_result_free(&r);
	add_text(&twice, result);
	add_text(&twice, result);
	EXPECT(!part_merge(plan, twice, &next, &r, err, sizeof(err)));
	EXPECT(strstr(err, "twice"));
	plan[strlen(plan) - 2] ^= 1;
	EXPECT(!part_merge(plan, result, &next, &r, err, sizeof(err)));
	EXPECT(!part_run(seed_b_grown[0], &o, plan, part_hash(plan), 1, &r));
	EXPECT(r.broken[0]);
	free(twice);
	free(result);
	free(plan);
}

/* ---- bounds ---- */

/* The classes of the executions of a tree with at most most preemptions. False: too many executions. */
static bool walk(const struct explore_scenario *s, enum tree_kind kind, unsigned most,
		 struct classes *c)
{
	static const struct engine_limits limits;
	uint64_t runs = 0;
	struct tree t;

	tree_init(&t, kind, most, NULL);
	t.strategy.wants_order = true;
	for (; !t.exhausted && runs < MOST_RUNS; runs++) {
		const struct execution *x;

		tree_begin(&t, s);
		x = engine_run(s, &t.strategy, &limits, false);
		if (x->outcome == RUN_CLEAN && x->switches <= most)
			classes_add(c, x->class_hash);
		EXPECT(x->outcome == RUN_CLEAN || x->outcome == RUN_ABANDONED);
		EXPECT(!t.diverged);
		EXPECT(kind != TREE_PREEMPTIONS || x->switches <= most);
		tree_learn(&t, x);
		tree_next(&t);
	}
	tree_free(&t);
	return runs < MOST_RUNS;
}

/* 1: compared. */
static int compare_bound(const struct explore_scenario *s, unsigned bound)
{
	struct classes bounded = {0}, all = {0};
	int compared =
		walk(s, TREE_NAIVE, bound, &all) && walk(s, TREE_PREEMPTIONS, bound, &bounded);

	if (compared) {
		EXPECT_EQ(bounded.nr, all.nr);
		EXPECT_EQ(bounded.hash, all.hash);
	}
	classes_free(&bounded);
	classes_free(&all);
	return compared;
}

TEST(a_bounded_search_leaves_out_nothing_that_its_bound_allows)
{
	unsigned long n = test_rounds(100, 5000), compared = 0;

	rig_init();
	for (unsigned long seed = 1; seed <= n && !test_failed; seed++) {
		random_make(seed, 5);
		for (unsigned bound = 0; bound < 3; bound++)
			compared += compare_bound(&random_scenario, bound);
		if (test_failed) {
			printf("# seed %lu\n", seed);
			random_print();
		}
	}
	printf("# %lu comparisons\n", compared);
	if (!test_failed)
		EXPECT_CMP(compared, >=, n / 2);
}
