/* SPDX-License-Identifier: MIT */
/* Names for places: paths relative to the project, functions without what compilers append, and a place in this program itself. */
#include "report/symbols.h"
#include "report/symtab.h"

#include "test.h"

static const char *shortened(const char *path, const char *exe_dir)
{
	static char buf[256];

	snprintf(buf, sizeof(buf), "%s", path);
	symbols_shorten_path(buf, exe_dir);
	return buf;
}

TEST(paths_are_relative_to_the_project)
{
	EXPECT(!strcmp(shortened("/home/a/project/build/../src/vm.c", "/elsewhere"), "src/vm.c"));
	EXPECT(!strcmp(shortened("/home/a/project/build/sub/../../src/vm.c", "/elsewhere"),
		       "src/vm.c"));
	EXPECT(!strcmp(shortened("/home/a/project/build/.././src/./vm.c", "/elsewhere"),
		       "src/vm.c"));
	EXPECT(!strcmp(shortened("/home/a/toy/sub/toy.c", "/home/a/toy"), "sub/toy.c"));
	EXPECT(!strcmp(shortened("/home/a/toys/toy.c", "/home/a/toy"), "toy.c"));
	EXPECT(!strcmp(shortened("toy.c", "/home/a/toy"), "toy.c"));
}

TEST(functions_lose_what_the_compiler_appended)
{
	char name[] = "vm_free.part.0", plain[] = "vm_free";

	symbols_shorten_function(name);
	symbols_shorten_function(plain);
	EXPECT(!strcmp(name, "vm_free"));
	EXPECT(!strcmp(plain, "vm_free"));
}

__attribute__((noinline)) static uintptr_t called_from(void)
{
	return (uintptr_t)__builtin_return_address(0);
}

__attribute__((noinline)) static struct site a_place_to_find(void)
{
	struct site site = {.pc = {called_from()}};

	return site;
}

TEST(a_place_of_this_program_has_a_name)
{
	struct site site = a_place_to_find();
	struct frame f[4];

	symbols_want_site(&site);
	symbols_resolve();
	ASSERT(symbols_stack(&site, f, 4) >= 1);
	EXPECT(!strcmp(f[0].function, "a_place_to_find"));
	/* Asked again it is known already. */
	symbols_want_site(&site);
	symbols_resolve();
	EXPECT(symbols_stack(&site, f, 4) >= 1);
}

TEST(a_place_is_named_by_who_called_the_wrappers)
{
	const struct frame f[] = {{"atomic_load", "src/sync/atomic.h", 80},
				  {"list_add", "src/base/list.c", 3},
				  {"bind", "src/mem/gmem.c", 12},
				  {"main", NULL, 0}};

	symbols_set_wrappers("src/sync/,src/base/");
	EXPECT_EQ(symbols_place(f, 4), 2);
	EXPECT_EQ(symbols_place(f, 2), 0);
	symbols_set_wrappers(NULL);
	EXPECT_EQ(symbols_place(f, 4), 1);
}

TEST(a_place_outside_of_any_program_has_none)
{
	struct site site = {.pc = {17}};
	struct frame f[4];

	symbols_want_site(&site);
	symbols_resolve();
	EXPECT_EQ(symbols_stack(&site, f, 4), 0);
}

TEST(the_symbol_table_is_read)
{
	struct symtab t = {0};
	char name[64];

	ASSERT(symtab_open(&t, "/proc/self/exe"));
	EXPECT(!symtab_find(&t, ~0ull, name, sizeof(name)));
	symtab_close(&t);
	EXPECT(!symtab_open(&t, "/dev/null"));
	EXPECT(!symtab_open(&t, "/nowhere/at/all"));
}
