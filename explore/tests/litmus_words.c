/* SPDX-License-Identifier: MIT */
/* Correct programs over words: publication, mutual exclusion without locks, counters, lists by compare and exchange. */
#include "litmus.h"

static int data, flag, x, y, r[4];
static void *box;

static void zero(void)
{
	data = flag = x = y = 0;
	for (int i = 0; i < 4; i++)
		r[i] = 0;
	box = NULL;
}

/* --- message passing ---------------------------------------------------------------------------------------------------- */

static void mp_send(void)
{
	data = 1;
	RELEASE(&flag, 1);
}
static void mp_receive(void)
{
	if (ACQUIRE(&flag))
		explore_check(data == 1);
}
LITMUS(message_passing, "what was written before a release is there after the acquire", zero, NULL,
       {"sender", mp_send}, {"receiver", mp_receive});

static void mp_spin(void)
{
	while (!ACQUIRE(&flag))
		explore_spin();
	explore_check(data == 1);
}
LITMUS(message_passing_spin, "a reader spins until the message is there", zero, NULL,
       {"sender", mp_send}, {"receiver", mp_spin});

static void fence_send(void)
{
	data = 1;
	__atomic_thread_fence(__ATOMIC_RELEASE);
	SET_RELAXED(&flag, 1);
}
static void fence_receive(void)
{
	if (!RELAXED(&flag))
		return;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	explore_check(data == 1);
}
LITMUS(message_passing_fences, "fences order what relaxed accesses do not", zero, NULL,
       {"sender", fence_send}, {"receiver", fence_receive});

static void chain_forward(void)
{
	int old = 1;

	__atomic_compare_exchange_n(&flag, &old, 2, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}
static void chain_receive(void)
{
	if (ACQUIRE(&flag) == 2)
		explore_check(data == 1);
}
LITMUS(release_sequence, "a read-modify-write in between hands a release on", zero, NULL,
       {"sender", mp_send}, {"forwarder", chain_forward}, {"receiver", chain_receive});

static void transitive_middle(void)
{
	if (ACQUIRE(&flag))
		RELEASE(&x, 1);
}
static void transitive_last(void)
{
	if (ACQUIRE(&x))
		explore_check(data == 1);
}
LITMUS(message_passing_transitive,
       "two hand-overs in a row order the first write before the last read", zero, NULL,
       {"sender", mp_send}, {"middle", transitive_middle}, {"last", transitive_last});

static void mailbox_put(void)
{
	int *message = NEW_OF(int);

	*message = 7;
	STORE(&box, (void *)message);
}
static void mailbox_take(void)
{
	int *message = XCHG(&box, NULL);

	if (!message)
		return;
	explore_check(*message == 7);
	explore_free(message);
}
static void mailbox_empty(void)
{
	if (box)
		explore_free(box);
}
LITMUS(mailbox, "one of two takers gets the message and frees it", zero, mailbox_empty,
       {"sender", mailbox_put}, {"taker 1", mailbox_take}, {"taker 2", mailbox_take});

/* --- sequential consistency --------------------------------------------------------------------------------------------- */

static void sb_left(void)
{
	STORE(&x, 1);
	r[0] = LOAD(&y);
}
static void sb_right(void)
{
	STORE(&y, 1);
	r[1] = LOAD(&x);
}
static void sb_check(void)
{
	explore_check(r[0] || r[1]);
}
LITMUS(store_buffering, "one of two threads sees the other's store", zero, sb_check,
       {"left", sb_left}, {"right", sb_right});

static void lb_left(void)
{
	r[0] = LOAD(&x);
	STORE(&y, 1);
}
static void lb_right(void)
{
	r[1] = LOAD(&y);
	STORE(&x, 1);
}
static void lb_check(void)
{
	explore_check(!r[0] || !r[1]);
}
LITMUS(load_buffering, "no value comes out of nothing", zero, lb_check, {"left", lb_left},
       {"right", lb_right});

static void iriw_x(void)
{
	STORE(&x, 1);
}
static void iriw_y(void)
{
	STORE(&y, 1);
}
static void iriw_xy(void)
{
	r[0] = LOAD(&x);
	r[1] = LOAD(&y);
}
static void iriw_yx(void)
{
	r[2] = LOAD(&y);
	r[3] = LOAD(&x);
}
static void iriw_check(void)
{
	explore_check(!(r[0] && !r[1] && r[2] && !r[3]));
}
LITMUS(independent_reads, "two readers agree on the order of two writes", zero, iriw_check,
       {"write x", iriw_x}, {"write y", iriw_y}, {"read x, y", iriw_xy}, {"read y, x", iriw_yx});

static void corr_write(void)
{
	SET_RELAXED(&x, 1);
	SET_RELAXED(&x, 2);
}
static void corr_read(void)
{
	int first = RELAXED(&x), second = RELAXED(&x);

	explore_check(first <= second);
}
LITMUS(coherence, "a word does not go back", zero, NULL, {"writer", corr_write},
       {"reader 1", corr_read}, {"reader 2", corr_read});

/* --- mutual exclusion --------------------------------------------------------------------------------------------------- */

static void dekker_left(void)
{
	STORE(&x, 1);
	if (!LOAD(&y))
		data++;
}
static void dekker_right(void)
{
	STORE(&y, 1);
	if (!LOAD(&x))
		data++;
}
static void dekker_check(void)
{
	explore_check(data <= 1);
}
LITMUS(dekker, "who sees the other's flag stays out", zero, dekker_check, {"left", dekker_left},
       {"right", dekker_right});

static int want[2], turn;
static void peterson_zero(void)
{
	zero();
	want[0] = want[1] = turn = 0;
}
static void peterson(int me)
{
	STORE(&want[me], 1);
	STORE(&turn, !me);
	while (LOAD(&want[!me]) && LOAD(&turn) == !me)
		explore_spin();
	data++;
	STORE(&want[me], 0);
}
static void peterson_left(void)
{
	peterson(0);
}
static void peterson_right(void)
{
	peterson(1);
}
static void two_counted(void)
{
	explore_check(data == 2);
}
LITMUS(peterson_lock, "Peterson's lock keeps two threads apart", peterson_zero, two_counted,
       {"left", peterson_left}, {"right", peterson_right});

static void ticket_take(void)
{
	int mine = ADD(&x, 1);

	while (ACQUIRE(&y) != mine)
		explore_spin();
	data++;
	RELEASE(&y, mine + 1);
}
LITMUS(ticket_lock, "tickets are served in order", zero, two_counted, {"first", ticket_take},
       {"second", ticket_take});

static void tas_take(void)
{
	while (__atomic_exchange_n(&flag, 1, __ATOMIC_ACQUIRE))
		explore_spin();
	data++;
	RELEASE(&flag, 0);
}
LITMUS(test_and_set_lock, "a word that is exchanged is a lock", zero, two_counted,
       {"first", tas_take}, {"second", tas_take});

/* --- versions ----------------------------------------------------------------------------------------------------------- */

static void seq_write(void)
{
	STORE(&flag, 1);
	SET_RELAXED(&x, 5);
	SET_RELAXED(&y, 5);
	STORE(&flag, 2);
}
static void seq_read(void)
{
	for (;;) {
		int begun = LOAD(&flag), a, b;

		if (begun & 1) {
			explore_spin();
			continue;
		}
		a = RELAXED(&x);
		b = RELAXED(&y);
		if (LOAD(&flag) == begun) {
			explore_check(a == b);
			return;
		}
	}
}
LITMUS(sequence_lock, "a reader that was disturbed reads again", zero, NULL, {"writer", seq_write},
       {"reader", seq_read});

/* --- initialization once ------------------------------------------------------------------------------------------------ */

static int once_lock;
static void once_setup(void)
{
	zero();
	explore_lock_init(&once_lock, "once_lock", 0);
}
static void once_finish(void)
{
	explore_lock_fini(&once_lock);
	explore_check(x == 1);
}
static void once_checked_twice(void)
{
	if (!ACQUIRE(&flag)) {
		explore_mutex_lock(&once_lock);
		if (!RELAXED(&flag)) {
			data = 3;
			x++;
			RELEASE(&flag, 1);
		}
		explore_mutex_unlock(&once_lock);
	}
	explore_check(data == 3);
}
LITMUS(checked_twice, "initialization that is checked twice happens once", once_setup, once_finish,
       {"first", once_checked_twice}, {"second", once_checked_twice},
       {"third", once_checked_twice});

static void once_state_pass(void)
{
	if (CMPXCHG(&flag, 0, 1)) {
		data = 3;
		RELEASE(&flag, 2);
		explore_wake(&flag, ~0u);
	}
	while (ACQUIRE(&flag) != 2)
		explore_wait(&flag, 1, EXPLORE_FOREVER);
	explore_check(data == 3);
}
LITMUS(once_by_state, "the others wait for who initializes", zero, NULL, {"first", once_state_pass},
       {"second", once_state_pass});

static void lazy_page(void)
{
	int *page = ACQUIRE((int **)&box);

	if (!page) {
		int *mine = NEW_OF(int);

		*mine = 9;
		if (!CMPXCHG((int **)&box, NULL, mine))
			explore_free(mine);
		page = ACQUIRE((int **)&box);
	}
	explore_check(*page == 9);
}
static void lazy_finish(void)
{
	explore_free(box);
}
LITMUS(lazy_allocation, "of two allocations one is published and the other freed", zero,
       lazy_finish, {"first", lazy_page}, {"second", lazy_page});

/* --- counters and lists ------------------------------------------------------------------------------------------------- */

static void count_add(void)
{
	ADD(&x, 1);
}
static void count_three(void)
{
	explore_check(x == 3);
}
LITMUS(counter, "no increment is lost", zero, count_three, {"first", count_add},
       {"second", count_add}, {"third", count_add});

static void count_cas(void)
{
	int old;

	do
		old = RELAXED(&x);
	while (!CMPXCHG(&x, old, old + 1));
}
LITMUS(counter_by_exchange, "a loop of compare and exchange loses no increment", zero, count_three,
       {"first", count_cas}, {"second", count_cas}, {"third", count_cas});

static void last_frees(void)
{
	int *mine = box;

	mine[explore_self() - 1] = 1;
	if (ADD(&x, -1) != 1)
		return;
	explore_check(mine[0] && mine[1]);
	explore_free(mine);
}
static void last_frees_setup(void)
{
	zero();
	x = 2;
	box = explore_alloc(2 * sizeof(int), 0, "int[2]", false);
}
LITMUS(last_one_frees, "who counts down to nothing has the object to itself", last_frees_setup,
       NULL, {"first", last_frees}, {"second", last_frees});

struct node {
	struct node *next;
	int value;
};
static void stack_push(void)
{
	struct node *n = NEW_OF(struct node), *first;

	n->value = 4;
	do {
		first = RELAXED((struct node **)&box);
		n->next = first;
	} while (!CMPXCHG((struct node **)&box, first, n));
}
static void stack_take_all(void)
{
	struct node *n = XCHG((struct node **)&box, NULL), *next;

	for (; n; n = next) {
		next = n->next;
		explore_check(n->value == 4);
		explore_free(n);
	}
}
LITMUS(stack_taken_whole, "pushes one by one, a take of all at once", zero, stack_take_all,
       {"push 1", stack_push}, {"push 2", stack_push}, {"take", stack_take_all});

const struct explore_scenario *const litmus_words[] = {&message_passing,
						       &message_passing_spin,
						       &message_passing_fences,
						       &release_sequence,
						       &message_passing_transitive,
						       &mailbox,
						       &store_buffering,
						       &load_buffering,
						       &independent_reads,
						       &coherence,
						       &dekker,
						       &peterson_lock,
						       &ticket_lock,
						       &test_and_set_lock,
						       &sequence_lock,
						       &checked_twice,
						       &once_by_state,
						       &lazy_allocation,
						       &counter,
						       &counter_by_exchange,
						       &last_one_frees,
						       &stack_taken_whole,
						       NULL};
