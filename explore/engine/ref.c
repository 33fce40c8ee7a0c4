/* SPDX-License-Identifier: MIT */
/*
 * Reference counts: one operation each, whatever loop stands behind it natively. Raising a count that is above 0 commutes with
 * raising it; lowering does not, as only one is the last.
 */
#include <stdio.h>

#include "engine/internal.h"

#define REF_MAX 0x7fffffffu

static volatile uint32_t *ref_word(const void *ref)
{
	return (volatile uint32_t *)ref;
}

__attribute__((noreturn)) static void ref_bad(const void *ref, const char *what, uintptr_t pc)
{
	char name[96];

	thing_describe(thing_of(ref), name, sizeof(name));
	violation_at(BAD_REFCOUNT, pc, "%s: %s", name, what);
}

static struct thing *ref_do(enum op_kind kind, enum access access, const void *ref, uintptr_t pc)
{
	struct thing *t = op_do(op_make(kind, access, ref, pc), NULL, NULL);

	heap_check_access((uintptr_t)ref, sizeof(uint32_t), false, pc);
	heap_will_store((uintptr_t)ref, sizeof(uint32_t));
	return t;
}

void explore_ref_init(void *ref, uint32_t count)
{
	heap_check_plain_write((uintptr_t)ref, sizeof(uint32_t), PC);
	heap_will_store((uintptr_t)ref, sizeof(uint32_t));
	*ref_word(ref) = count;
}

void explore_ref_get(void *ref)
{
	ref_do(OP_REF_GET, ACCESS_GET, ref, PC);
	if (!*ref_word(ref))
		ref_bad(ref, "a reference is taken from a count of 0", PC);
	if (*ref_word(ref) >= REF_MAX)
		ref_bad(ref, "overflow", PC);
	++*ref_word(ref);
	engine_outcome("= %u", *ref_word(ref));
}

bool explore_ref_try_get(void *ref)
{
	struct thing *t = ref_do(OP_REF_TRY_GET, ACCESS_GET, ref, PC);

	if (!*ref_word(ref)) {
		engine_outcome("= gone");
		return false;
	}
	if (*ref_word(ref) >= REF_MAX)
		ref_bad(ref, "overflow", PC);
	++*ref_word(ref);
	order_acquire(engine_current, &t->o.sync);
	engine_outcome("= %u", *ref_word(ref));
	return true;
}

bool explore_ref_put(void *ref)
{
	struct thing *t = ref_do(OP_REF_PUT, ACCESS_WRITE, ref, PC);

	if (!*ref_word(ref))
		ref_bad(ref, "a reference is put that nobody has (the count is 0)", PC);
	order_release(engine_current, &t->o.sync);
	--*ref_word(ref);
	engine_outcome("= %u", *ref_word(ref));
	if (*ref_word(ref))
		return false;
	order_acquire(engine_current, &t->o.sync);
	heap_own((uintptr_t)ref);
	return true;
}

uint32_t explore_ref_read(const void *ref)
{
	ref_do(OP_REF_READ, ACCESS_READ, ref, PC);
	engine_outcome("= %u", *ref_word(ref));
	return *ref_word(ref);
}
