/* SPDX-License-Identifier: MIT */
/*
 * What gcc and clang call from code compiled with -fsanitize=thread before each plain access. Only the heap and the registered state of the process are watched; all else returns after a comparison or two.
 */
#include "heap/heap.h"

static inline bool is_watched(uintptr_t addr)
{
	return heap_contains(addr) ||
	       addr - heap.region_start < heap.region_end - heap.region_start;
}

static inline void use(const void *p, unsigned size, uint8_t how, uintptr_t pc)
{
	uintptr_t addr = (uintptr_t)p;
	unsigned from = addr & (WORD - 1);
	struct fiber *f;

	if (how & HOW_WRITE)
		heap_will_store(addr, size);
	if (!is_watched(addr))
		return;
	f = engine_current;
	if (UNLIKELY(!f) || f->in_runtime)
		return;
	if (LIKELY(from + size <= WORD)) {
		struct use a = {addr - from, (uint8_t)(((1u << size) - 1) << from), how, pc};

		shadow_access(f, &a);
	} else {
		shadow_range(f, addr, size, how, pc);
	}
}

#define PC ((uintptr_t)__builtin_return_address(0))

#define PLAIN(name, size, how)         \
	HOOK void name(void *p);       \
	HOOK void name(void *p)        \
	{                              \
		use(p, size, how, PC); \
	}

#define PLAIN_SIZE(size)                                     \
	PLAIN(__tsan_read##size, size, HOW_READ)             \
	PLAIN(__tsan_write##size, size, HOW_WRITE)           \
	PLAIN(__tsan_unaligned_read##size, size, HOW_READ)   \
	PLAIN(__tsan_unaligned_write##size, size, HOW_WRITE) \
	PLAIN(__tsan_read_write##size, size, HOW_WRITE)      \
	PLAIN(__tsan_unaligned_read_write##size, size, HOW_WRITE)

PLAIN_SIZE(1)
PLAIN_SIZE(2)
PLAIN_SIZE(4)
PLAIN_SIZE(8)
PLAIN_SIZE(16)

HOOK void __tsan_init(void);
HOOK void __tsan_read_range(void *p, unsigned long size);
HOOK void __tsan_write_range(void *p, unsigned long size);
HOOK void __tsan_vptr_read(void **p);
HOOK void __tsan_vptr_update(void **p, void *v);

/* Called by a constructor of each file: the explorer starts later, by engine_init. */
void __tsan_init(void)
{
}

static void use_range(uintptr_t addr, size_t size, uint8_t how, uintptr_t pc)
{
	struct fiber *f = engine_current;

	if (how & HOW_WRITE && size)
		heap_will_store(addr, size);
	if (f && !f->in_runtime && size && is_watched(addr))
		shadow_range(f, addr, size, how, pc);
}

void __tsan_read_range(void *p, unsigned long size)
{
	use_range((uintptr_t)p, size, HOW_READ, PC);
}

void __tsan_write_range(void *p, unsigned long size)
{
	use_range((uintptr_t)p, size, HOW_WRITE, PC);
}

void __tsan_vptr_read(void **p)
{
	use(p, sizeof(*p), HOW_READ, PC);
}

void __tsan_vptr_update(void **p, void *v)
{
	if (*p != v)
		use(p, sizeof(*p), HOW_WRITE, PC);
}

/* Memory functions: called by name, by clang also by a name of its own. */
void *__real_memcpy(void *to, const void *from, size_t size);
void *__real_memmove(void *to, const void *from, size_t size);
void *__real_memset(void *to, int byte, size_t size);
int __real_memcmp(const void *a, const void *b, size_t size);
HOOK void *__wrap_memcpy(void *to, const void *from, size_t size);
HOOK void *__wrap_memmove(void *to, const void *from, size_t size);
HOOK void *__wrap_memset(void *to, int byte, size_t size);
HOOK int __wrap_memcmp(const void *a, const void *b, size_t size);
HOOK int __wrap_bcmp(const void *a, const void *b, size_t size);
HOOK void *__tsan_memcpy(void *to, const void *from, size_t size);
HOOK void *__tsan_memmove(void *to, const void *from, size_t size);
HOOK void *__tsan_memset(void *to, int byte, size_t size);

#define COPY(name, real)                                        \
	void *name(void *to, const void *from, size_t size)     \
	{                                                       \
		use_range((uintptr_t)from, size, HOW_READ, PC); \
		use_range((uintptr_t)to, size, HOW_WRITE, PC);  \
		return real(to, from, size);                    \
	}

COPY(__wrap_memcpy, __real_memcpy)
COPY(__wrap_memmove, __real_memmove)
COPY(__tsan_memcpy, __real_memcpy)
COPY(__tsan_memmove, __real_memmove)

#define SET(name)                                              \
	void *name(void *to, int byte, size_t size)            \
	{                                                      \
		use_range((uintptr_t)to, size, HOW_WRITE, PC); \
		return __real_memset(to, byte, size);          \
	}

SET(__wrap_memset)
SET(__tsan_memset)

/* All of both is read, as the language has it. */
#define COMPARE(name)                                        \
	int name(const void *a, const void *b, size_t size)  \
	{                                                    \
		use_range((uintptr_t)a, size, HOW_READ, PC); \
		use_range((uintptr_t)b, size, HOW_READ, PC); \
		return __real_memcmp(a, b, size);            \
	}

COMPARE(__wrap_memcmp)
COMPARE(__wrap_bcmp)
