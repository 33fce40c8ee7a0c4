/* SPDX-License-Identifier: MIT */
/*
 * The wrappers. Each is a function with the name of libc's as its symbol, so that no prototype of libc's headers stands in the way;
 * what libc declares with "..." has the parameters it may have, which the calling conventions of both hosts pass alike.
 *
 * libc's own functions are looked up when the library is initialised, or at the first call before that (another library's
 * constructor). A lookup that succeeds allocates nothing.
 */
#include <dlfcn.h>
#include <errno.h>

#include "preload.h"

static void *next_function(void **known, const char *name)
{
	void *function = __atomic_load_n(known, __ATOMIC_RELAXED);

	if (!function) {
		function = dlsym(RTLD_NEXT, name);
		__atomic_store_n(known, function, __ATOMIC_RELAXED);
	}
	return function;
}

/* --- pointers to libc's functions --- */

#define ALWAYS(ret, name, params, ours)
#define WHERE(ret, name, params, args, condition, ours) static void *next_##name;
#define BY_FD(ret, name, params, args, fd, ours)	WHERE(ret, name, params, args, , ours)
#define BY_PATH(ret, name, params, args, dirfd, path, follow, ours) \
	WHERE(ret, name, params, args, , ours)
#include "calls.h"
#undef WHERE

static __attribute__((constructor)) void look_up_all(void)
{
#define WHERE(ret, name, params, args, condition, ours) next_function(&next_##name, #name);
#include "calls.h"
#undef WHERE
#undef ALWAYS
#undef BY_FD
#undef BY_PATH
}

/* --- wrappers --- */

#define DECLARE(ret, name, params)                            \
	PRELOAD_API ret preload_##name params __asm__(#name); \
	ret preload_##name params

#define ALWAYS(ret, name, params, ours) \
	DECLARE(ret, name, params)      \
	{                               \
		return ours;            \
	}
#define WHERE(ret, name, params, args, condition, ours)                             \
	DECLARE(ret, name, params)                                                  \
	{                                                                           \
		ret(*function) params;                                              \
                                                                                    \
		if (condition)                                                      \
			return ours;                                                \
		function = (ret(*) params)next_function(&next_##name, #name);       \
		/* A program may look for functions that its libc does not have. */ \
		return function ? function args : (ret)refuse(ENOSYS);              \
	}
#define BY_FD(ret, name, params, args, fd, ours) WHERE(ret, name, params, args, is_ours(fd), ours)
#define BY_PATH(ret, name, params, args, dirfd, path, follow, ours) \
	WHERE(ret, name, params, args, path_is_kvm(dirfd, path, follow), ours)
#include "calls.h"
