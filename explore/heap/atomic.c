/* SPDX-License-Identifier: MIT */
/*
 * Atomic operations of the code under test. Each is a point: another fiber may go on before it. The operation itself is then done
 * plainly, as nobody else runs, and what it orders is computed as the language says: an acquiring load of what a releasing store
 * wrote, release sequences by read-modify-writes, fences on either side of relaxed operations. A relaxed store ends a release
 * sequence, so what it publishes without a fence is reported as a race.
 *
 * Fences are no points: under sequential consistency they change nothing but this order.
 *
 * For the search, an operation is about the word of four bytes that it is in or begins with; so are sleeping and waking. Code
 * that uses the second half of a larger word by itself as well is refused. Clocks are kept for the exact address.
 */
#include <string.h>

#include "heap/heap.h"

#define PC ((uintptr_t)__builtin_return_address(0))

/* What fences of a fiber did to relaxed operations: those before an acquire fence, those after a release fence. */
static struct fences {
	uint32_t run; /* as of a cell */
	bool acquires, releases;
	struct clock acquired; /* by relaxed loads so far */
	struct clock released; /* at the last release fence */
} fences[MAX_FIBERS];

static struct fences *fences_of(const struct fiber *f)
{
	struct fences *s = &fences[f->id];

	if (s->run == undo.epoch)
		return s;
	undo_push(s, sizeof(*s));
	if (s->run < heap.run)
		memset(s, 0, sizeof(*s));
	s->run = undo.epoch;
	return s;
}

void atomics_forget(void)
{
	memset(fences, 0, sizeof(fences));
}

static bool acquires(int order)
{
	return order != __ATOMIC_RELAXED && order != __ATOMIC_RELEASE;
}

static bool releases(int order)
{
	return order == __ATOMIC_RELEASE || order == __ATOMIC_ACQ_REL || order == __ATOMIC_SEQ_CST;
}

/* The running fiber, if its atomic operations count. */
static struct fiber *explored_fiber(void)
{
	struct fiber *f = engine_current;

	return f && !f->in_runtime ? f : NULL;
}

/* A thread's own: no other fiber sees it, and the address is the same for all. */
static bool is_local(uintptr_t addr)
{
	return addr - heap.local_start < heap.local_end - heap.local_start;
}

/*
 * Waits until the operation is to be done. The object that has the clocks; NULL if the operation orders nothing: by setup, before
 * there is anybody else.
 */
static struct object *announce(struct fiber *f, uintptr_t addr, size_t size, enum op_kind kind,
			       uint8_t how, uintptr_t pc)
{
	uintptr_t word = size < WORD ? addr & ~3ul : addr;
	struct object *o;

	if (heap_in_setup(f) || is_local(addr) || shadow_is_quiet(addr)) {
		shadow_range(f, addr, size, how | HOW_ATOMIC, pc);
		return NULL;
	}
	/* In the end nobody else runs, and what was stored before is known: of a word without history nothing is learnt. */
	if (how == HOW_READ && heap_in_finish(f) && !engine_find_object((void *)word)) {
		shadow_range(f, addr, size, how | HOW_ATOMIC, pc);
		return NULL;
	}
	o = engine_object((void *)word);
	if (engine_concurrent) {
		struct op op = {.kind = kind,
				.access = how & HOW_WRITE ? ACCESS_WRITE : ACCESS_READ,
				.object = o->id,
				.addr = addr,
				.pc = pc};

		engine_point(&op, NULL, NULL);
	}
	shadow_range(f, addr, size, how | HOW_ATOMIC, pc);
	shadow_note_size(addr, size);
	/* Meanwhile the memory may have become another object's. */
	if (word == addr && !(heap.scenario->flags & EXPLORE_REUSE))
		return o;
	return engine_object((void *)addr);
}

/* What was found, for the record. Addresses outside the heap differ from process to process. */
static void tell(uint64_t value)
{
	const struct block *b;

	if (!engine_recording)
		return;
	if (value <= UINT32_MAX) {
		engine_outcome("= %u", (unsigned)value);
		return;
	}
	b = heap_block(value);
	if (b && b->fiber)
		engine_outcome("= %s #T%u.%u", b->type->name, b->fiber, b->number);
	else if (b)
		engine_outcome("= %s #%u", b->type->name, b->number);
}

static void load_clock(struct fiber *f, const struct object *o, int order)
{
	struct fences *s;

	if (acquires(order)) {
		clock_join(&f->sync, &o->sync);
		return;
	}
	s = fences_of(f);
	s->acquires = true;
	clock_join(&s->acquired, &o->sync);
}

/* modify: part of a read-modify-write, which goes on with the release sequence that it found. */
static void store_clock(struct fiber *f, struct object *o, int order, bool modify)
{
	struct fences *s = fences_of(f);

	if (!modify)
		memset(&o->sync, 0, sizeof(o->sync));
	if (releases(order)) {
		clock_join(&o->sync, &f->sync);
		f->sync.t[f->id]++;
	} else if (s->releases) {
		clock_join(&o->sync, &s->released);
	}
}

static void fence(struct fiber *f, int order)
{
	struct fences *s = fences_of(f);

	if (acquires(order) && s->acquires)
		clock_join(&f->sync, &s->acquired);
	if (releases(order)) {
		s->releases = true;
		s->released = f->sync;
		f->sync.t[f->id]++;
	}
}

HOOK void __tsan_atomic_thread_fence(int order);
HOOK void __tsan_atomic_signal_fence(int order);

void __tsan_atomic_thread_fence(int order)
{
	struct fiber *f = explored_fiber();

	if (f && !heap_in_setup(f))
		fence(f, order);
}

/* Between a thread and its own signal handlers: no other fiber sees it. */
void __tsan_atomic_signal_fence(int order)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* Each of these returns when the operation is to be done; true if it is one for the record. */
static bool begin_load(uintptr_t addr, size_t size, int order, uintptr_t pc)
{
	struct fiber *f = explored_fiber();
	struct object *o = f ? announce(f, addr, size, OP_LOAD, HOW_READ, pc) : NULL;

	if (o)
		load_clock(f, o, order);
	return o;
}

static void begin_store(uintptr_t addr, size_t size, int order, uintptr_t pc)
{
	struct fiber *f = explored_fiber();
	struct object *o = f ? announce(f, addr, size, OP_STORE, HOW_WRITE, pc) : NULL;

	if (o)
		store_clock(f, o, order, false);
	heap_will_store(addr, size);
}

static bool begin_modify(uintptr_t addr, size_t size, int order, uintptr_t pc)
{
	struct fiber *f = explored_fiber();
	struct object *o = f ? announce(f, addr, size, OP_RMW, HOW_WRITE, pc) : NULL;

	heap_will_store(addr, size);
	if (!o)
		return false;
	load_clock(f, o, order);
	store_clock(f, o, order, true);
	return true;
}

static struct object *begin_compare(uintptr_t addr, size_t size, uintptr_t pc)
{
	struct fiber *f = explored_fiber();
	struct object *o = f ? announce(f, addr, size, OP_RMW, HOW_WRITE, pc) : NULL;

	heap_will_store(addr, size);
	return o;
}

static void end_compare(struct object *o, bool equal, int order, int failure)
{
	struct fiber *f = engine_current;

	load_clock(f, o, equal ? order : failure);
	if (equal)
		store_clock(f, o, order, true);
	engine_outcome(equal ? "done" : "failed");
}

#define LOAD(bits, type)                                                         \
	HOOK type __tsan_atomic##bits##_load(const volatile type *p, int order); \
	type __tsan_atomic##bits##_load(const volatile type *p, int order)       \
	{                                                                        \
		bool explored = begin_load((uintptr_t)p, sizeof(*p), order, PC); \
		type v = *p;                                                     \
                                                                                 \
		if (explored)                                                    \
			tell(v);                                                 \
		return v;                                                        \
	}

#define STORE(bits, type)                                                           \
	HOOK void __tsan_atomic##bits##_store(volatile type *p, type v, int order); \
	void __tsan_atomic##bits##_store(volatile type *p, type v, int order)       \
	{                                                                           \
		begin_store((uintptr_t)p, sizeof(*p), order, PC);                   \
		*p = v;                                                             \
	}

/* next: of the old value and v. */
#define MODIFY(bits, type, name, next)                                               \
	HOOK type __tsan_atomic##bits##_##name(volatile type *p, type v, int order); \
	type __tsan_atomic##bits##_##name(volatile type *p, type v, int order)       \
	{                                                                            \
		bool explored = begin_modify((uintptr_t)p, sizeof(*p), order, PC);   \
		type old = *p;                                                       \
                                                                                     \
		*p = (type)(next);                                                   \
		if (explored)                                                        \
			tell(old);                                                   \
		return old;                                                          \
	}

#define COMPARE_CORE(bits, type)                                                                \
	static type exchange_if_equal##bits(volatile type *p, type expected, type v, int order, \
					    int failure, uintptr_t pc)                          \
	{                                                                                       \
		struct object *o = begin_compare((uintptr_t)p, sizeof(*p), pc);                 \
		type old = *p;                                                                  \
                                                                                                \
		if (old == expected)                                                            \
			*p = v;                                                                 \
		if (o)                                                                          \
			end_compare(o, old == expected, order, failure);                        \
		return old;                                                                     \
	}

#define COMPARE(bits, type, name)                                                                 \
	HOOK bool __tsan_atomic##bits##_compare_exchange_##name(volatile type *p, type *expected, \
								type v, int order, int failure);  \
	bool __tsan_atomic##bits##_compare_exchange_##name(volatile type *p, type *expected,      \
							   type v, int order, int failure)        \
	{                                                                                         \
		type old = exchange_if_equal##bits(p, *expected, v, order, failure, PC);          \
		bool done = old == *expected;                                                     \
                                                                                                  \
		heap_will_store((uintptr_t)expected, sizeof(*expected));                          \
		*expected = old;                                                                  \
		return done;                                                                      \
	}

#define COMPARE_VALUE(bits, type)                                                                \
	HOOK type __tsan_atomic##bits##_compare_exchange_val(volatile type *p, type expected,    \
							     type v, int order, int failure);    \
	type __tsan_atomic##bits##_compare_exchange_val(volatile type *p, type expected, type v, \
							int order, int failure)                  \
	{                                                                                        \
		return exchange_if_equal##bits(p, expected, v, order, failure, PC);              \
	}

#define ATOMICS(bits, type)                        \
	LOAD(bits, type)                           \
	STORE(bits, type)                          \
	MODIFY(bits, type, exchange, v)            \
	MODIFY(bits, type, fetch_add, old + v)     \
	MODIFY(bits, type, fetch_sub, old - v)     \
	MODIFY(bits, type, fetch_and, old &v)      \
	MODIFY(bits, type, fetch_or, old | v)      \
	MODIFY(bits, type, fetch_xor, old ^ v)     \
	MODIFY(bits, type, fetch_nand, ~(old & v)) \
	COMPARE_CORE(bits, type)                   \
	COMPARE(bits, type, strong)                \
	COMPARE(bits, type, weak)                  \
	COMPARE_VALUE(bits, type)

ATOMICS(8, uint8_t)
ATOMICS(16, uint16_t)
ATOMICS(32, uint32_t)
ATOMICS(64, uint64_t)
__extension__ typedef unsigned __int128 uint128;
ATOMICS(128, uint128)

/*
 * Accesses through volatile, where the compiler was asked to tell them apart (gcc: --param tsan-distinguish-volatile=1, clang:
 * -mllvm -tsan-distinguish-volatile): marked accesses, which are relaxed loads and stores. The access itself follows the hook.
 */
#define MARKED_LOAD(name, type)                                             \
	HOOK void name(const type *p);                                      \
	void name(const type *p)                                            \
	{                                                                   \
		begin_load((uintptr_t)p, sizeof(*p), __ATOMIC_RELAXED, PC); \
	}

#define MARKED_STORE(name, type)                                             \
	HOOK void name(const type *p);                                       \
	void name(const type *p)                                             \
	{                                                                    \
		begin_store((uintptr_t)p, sizeof(*p), __ATOMIC_RELAXED, PC); \
	}

#define MARKED_SIZE(size, type)                                 \
	MARKED_LOAD(__tsan_volatile_read##size, type)           \
	MARKED_LOAD(__tsan_unaligned_volatile_read##size, type) \
	MARKED_STORE(__tsan_volatile_write##size, type)         \
	MARKED_STORE(__tsan_unaligned_volatile_write##size, type)

MARKED_SIZE(1, uint8_t)
MARKED_SIZE(2, uint16_t)
MARKED_SIZE(4, uint32_t)
MARKED_SIZE(8, uint64_t)
MARKED_SIZE(16, uint128)
