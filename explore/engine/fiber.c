/* SPDX-License-Identifier: MIT */
/*
 * Fibers: stacks and the switch between them. A fiber is switched away from only inside a call of the engine, so the registers
 * that the calling convention lets a function destroy need not be kept. The floating-point modes are those of the process:
 * code under test that changes them must change them back before its next operation.
 *
 * Fiber 0 has a stack of its own, too. The main stack only starts an execution and gets control back at its end, whichever stack
 * that happens on: what is left of the others is abandoned.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "engine/internal.h"

#define STACK_SIZE (256u * 1024)
#define GUARD_SIZE (64u * 1024) /* a page of any size */

/* Pushes the registers that a call preserves, stores the stack pointer in *save and continues at load. */
void engine_switch(void **save, void *load);
/* Where a fiber begins: calls fiber_main. */
void engine_start(void);

#if defined(__x86_64__)
__asm__(".pushsection .text\n"
	".globl engine_switch\n"
	".hidden engine_switch\n"
	".type engine_switch, @function\n"
	"engine_switch:\n"
	"	pushq %rbp\n"
	"	pushq %rbx\n"
	"	pushq %r12\n"
	"	pushq %r13\n"
	"	pushq %r14\n"
	"	pushq %r15\n"
	"	movq %rsp, (%rdi)\n"
	"	movq %rsi, %rsp\n"
	"	popq %r15\n"
	"	popq %r14\n"
	"	popq %r13\n"
	"	popq %r12\n"
	"	popq %rbx\n"
	"	popq %rbp\n"
	"	ret\n"
	".size engine_switch, . - engine_switch\n"
	".globl engine_start\n"
	".hidden engine_start\n"
	".type engine_start, @function\n"
	"engine_start:\n"
	"	xorl %ebp, %ebp\n"
	"	call engine_fiber_main\n"
	"	ud2\n"
	".size engine_start, . - engine_start\n"
	".popsection\n");
#define SAVED_WORDS 7 /* with the return address, which is the last */
#define PC_WORD	    6
#elif defined(__aarch64__)
__asm__(".pushsection .text\n"
	".globl engine_switch\n"
	".hidden engine_switch\n"
	".type engine_switch, %function\n"
	"engine_switch:\n"
	"	stp x29, x30, [sp, #-160]!\n"
	"	stp x19, x20, [sp, #16]\n"
	"	stp x21, x22, [sp, #32]\n"
	"	stp x23, x24, [sp, #48]\n"
	"	stp x25, x26, [sp, #64]\n"
	"	stp x27, x28, [sp, #80]\n"
	"	stp d8, d9, [sp, #96]\n"
	"	stp d10, d11, [sp, #112]\n"
	"	stp d12, d13, [sp, #128]\n"
	"	stp d14, d15, [sp, #144]\n"
	"	mov x9, sp\n"
	"	str x9, [x0]\n"
	"	mov sp, x1\n"
	"	ldp x19, x20, [sp, #16]\n"
	"	ldp x21, x22, [sp, #32]\n"
	"	ldp x23, x24, [sp, #48]\n"
	"	ldp x25, x26, [sp, #64]\n"
	"	ldp x27, x28, [sp, #80]\n"
	"	ldp d8, d9, [sp, #96]\n"
	"	ldp d10, d11, [sp, #112]\n"
	"	ldp d12, d13, [sp, #128]\n"
	"	ldp d14, d15, [sp, #144]\n"
	"	ldp x29, x30, [sp], #160\n"
	"	ret\n"
	".size engine_switch, . - engine_switch\n"
	".globl engine_start\n"
	".hidden engine_start\n"
	".type engine_start, %function\n"
	"engine_start:\n"
	"	mov x29, #0\n"
	"	mov x30, #0\n"
	"	bl engine_fiber_main\n"
	"	brk #1\n"
	".size engine_start, . - engine_start\n"
	".popsection\n");
#define SAVED_WORDS 20
#define PC_WORD	    1
#else
#error "no stack switch for this processor"
#endif

struct fiber *engine_current = &engine.fiber[0];
bool engine_concurrent;

static char *stacks; /* MAX_FIBERS times guard and stack */
static size_t local_size;
static char *main_local;

static size_t locals_size(const struct explore_suite *s)
{
	size_t size = 0;

	for (size_t i = 0; i < s->nr_locals; i++)
		size += s->local[i].size;
	return size;
}

/* Per-thread state of the process thread to and from a fiber's copy. */
static void locals_save(char *to)
{
	const struct explore_suite *s = engine.suite;

	for (size_t i = 0; i < s->nr_locals; i++) {
		memcpy(to, s->local[i].start, s->local[i].size);
		to += s->local[i].size;
	}
}

static void locals_load(const char *from)
{
	const struct explore_suite *s = engine.suite;

	for (size_t i = 0; i < s->nr_locals; i++) {
		memcpy(s->local[i].start, from, s->local[i].size);
		from += s->local[i].size;
	}
}

void fibers_init(void)
{
	size_t slot = GUARD_SIZE + STACK_SIZE;

	stacks = mmap(NULL, MAX_FIBERS * slot, PROT_NONE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	local_size = locals_size(engine.suite);
	main_local = calloc(1, local_size + 1);
	if (stacks == MAP_FAILED || !main_local) {
		fprintf(stderr, "explorer: no memory for stacks\n");
		exit(2);
	}
	for (int i = 0; i < MAX_FIBERS; i++) {
		struct fiber_private *p = &engine.priv[i];

		p->stack = stacks + i * slot + GUARD_SIZE;
		p->local = calloc(1, local_size + 1);
		if (!p->local || mprotect(p->stack, STACK_SIZE, PROT_READ | PROT_WRITE)) {
			fprintf(stderr, "explorer: no memory for stacks\n");
			exit(2);
		}
		engine.fiber[i].id = i;
		engine.fiber[i].p = p;
	}
}

/* As it is before it is born. */
static void fiber_forget(int id)
{
	engine.pending[id].kind = OP_NONE;
	engine.priv[id].ended = true;
	engine.x.fiber_name[id][0] = 0;
	/* Setup waits for callbacks, and so joins fibers that are yet to begin: with nothing of the execution before. */
	memset(&engine.fiber[id].sync, 0, sizeof(engine.fiber[id].sync));
	memset(&engine.fiber[id].order, 0, sizeof(engine.fiber[id].order));
}

void fibers_forget(int from, int to)
{
	for (int i = from; i < to; i++)
		fiber_forget(i);
}

void fibers_reset(void)
{
	engine.now.nr_fibers = 0;
	engine.now.always = engine.now.asked = 0;
	fibers_forget(0, MAX_FIBERS);
}

int fiber_reserve(void)
{
	if (engine.now.next_fiber == MAX_FIBERS)
		engine_violation_text(
			BAD_ASSERTION,
			"more than %d fibers: threads, created threads and domains with callbacks",
			MAX_FIBERS);
	return engine.now.next_fiber++;
}

struct fiber *fiber_new(int id, const char *name, void (*fn)(void *arg), void *arg, bool daemon)
{
	struct fiber *f = &engine.fiber[id];
	struct fiber_private *p = f->p;
	void **sp = (void **)(p->stack + STACK_SIZE) - 2;

	/* Two zeros end the chain of frames and keep the stack aligned. */
	sp[0] = sp[1] = NULL;
	sp -= SAVED_WORDS;
	memset(sp, 0, SAVED_WORDS * sizeof(*sp));
	sp[PC_WORD] = (void *)engine_start;
	p->sp = sp;
	p->fn = fn;
	p->arg = arg;
	p->daemon = daemon;
	p->ended = false;
	p->nr_held = p->atomic = p->nr_watch = p->choices = 0;
	p->watch_full = false;
	p->sleep = SLEEP_NONE;
	p->grace = NULL;
	p->barrier = NULL;
	p->callback_of = NULL;
	p->joins = NO_FIBER;
	p->record = NO_EVENT;
	p->plan[0] = 0;
	memset(p->local, 0, local_size);
	memset(&f->sync, 0, sizeof(f->sync));
	memset(&f->order, 0, sizeof(f->order));
	f->sync.t[id] = 1;
	f->nr_events = 0;
	f->depth = 0;
	f->in_runtime = id == 0; /* until the execution begins */
	f->name[sizeof(f->name) - 1] = 0;
	strncpy(f->name, name, sizeof(f->name) - 1);
	memcpy(engine.x.fiber_name[id], f->name, sizeof(f->name));
	if (id >= engine.now.nr_fibers)
		engine.now.nr_fibers = id + 1;
	return f;
}

void fiber_switch(struct fiber *to)
{
	struct fiber *from = engine_current;

	if (to == from)
		return;
	if (local_size) {
		locals_save(from->p->local);
		locals_load(to->p->local);
	}
	engine_current = to;
	engine_switch(&from->p->sp, to->p->sp);
}

void engine_fiber_main(void);
void engine_fiber_main(void)
{
	struct fiber_private *p = engine_current->p;

	p->fn(p->arg);
	point_end();
}

void fibers_enter(void)
{
	if (local_size) {
		locals_save(main_local);
		locals_load(engine_current->p->local);
	}
	for (;;) {
		engine_switch(&engine.main_sp, engine_current->p->sp);
		if (!engine.asks)
			break;
		engine.asks = engine.resumed = false;
		if (local_size)
			locals_save(engine_current->p->local);
		checkpoint_make();
	}
	engine_current = &engine.fiber[0];
	engine_current->in_runtime = 1;
	if (local_size)
		locals_load(main_local);
}

bool fibers_ask(void)
{
	engine.asks = true;
	engine_switch(&engine_current->p->sp, engine.main_sp);
	return engine.resumed;
}

/* All but what cannot be reached any more: of stacks the part in use; of who has ended or is not born yet, none. */
static void fiber_keep(struct fiber *f, void (*keep)(void *p, size_t size))
{
	uint32_t depth = f->depth < ARRAY_LENGTH(f->call) ? f->depth : ARRAY_LENGTH(f->call);
	struct fiber_private *p = f->p;
	char *sp = p->sp;

	if (p->ended && f != engine_current) {
		keep(f, offsetof(struct fiber, depth));
		keep(&p->ended, sizeof(p->ended));
		return;
	}
	keep(f, offsetof(struct fiber, call) + depth * sizeof(f->call[0]));
	heap_keep_fiber(f, keep);
	keep(p, offsetof(struct fiber_private, watch) + p->nr_watch * sizeof(p->watch[0]));
	if (p->nr_held)
		keep(p->held, p->nr_held * sizeof(p->held[0]));
	keep(sp, p->stack + STACK_SIZE - sp);
	if (local_size)
		keep(p->local, local_size);
}

void fibers_keep(void (*keep)(void *p, size_t size))
{
	size_t n = engine.now.next_fiber;

	for (size_t i = 0; i < n; i++)
		fiber_keep(&engine.fiber[i], keep);
	keep(engine.pending, n * sizeof(engine.pending[0]));
	keep(engine.check, n * sizeof(engine.check[0]));
	keep(engine.check_arg, n * sizeof(engine.check_arg[0]));
	keep(engine.about, n * sizeof(engine.about[0]));
}

void fibers_leave(enum outcome outcome)
{
	void *abandoned;

	engine.x.outcome = outcome;
	engine_concurrent = false;
	engine_switch(&abandoned, engine.main_sp);
	__builtin_unreachable();
}

int fiber_of_stack(uintptr_t addr, size_t *offset)
{
	size_t slot = GUARD_SIZE + STACK_SIZE, at = addr - (uintptr_t)stacks;

	if (!stacks || at >= MAX_FIBERS * slot)
		return NO_FIBER;
	*offset = slot - at % slot;
	return at / slot;
}
