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
#include <limits.h>

#include "observe.h"

void *next_function(void **known, const char *name)
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
#define WITH(ret, name, params, ours)				    void *next_##name;
#define WHERE(ret, name, params, args, condition, ours)		    WITH(ret, name, params, ours)
#define BY_FD(ret, name, params, args, fd, ours)		    WITH(ret, name, params, ours)
#define TRANSFER(name, params, args, fd, ours, before)		    WITH(ssize_t, name, params, ours)
#define BY_PATH(ret, name, params, args, dirfd, path, follow, ours) WITH(ret, name, params, ours)
#define OPENS(ret, name, params, args, dirfd, path, follow, ours, truncates) \
	WITH(ret, name, params, ours)
#include "calls.h"
#undef WITH

static __attribute__((constructor)) void look_up_all(void)
{
#define WITH(ret, name, params, ours) next_function(&next_##name, #name);
#include "calls.h"
}
#undef WITH
#undef ALWAYS
#undef WHERE
#undef BY_FD
#undef TRANSFER
#undef BY_PATH
#undef OPENS

/* --- wrappers --- */

/* A program may look for functions that its libc does not have. */
#define LIBCS(ret, name, params, args)                                                     \
	({                                                                                 \
		ret(*function) params = (ret(*) params)next_function(&next_##name, #name); \
		function ? function args : (ret)refuse(ENOSYS);                            \
	})

#define ALWAYS(ret, name, params, ours) \
	WRAPPER(ret, name, params)      \
	{                               \
		return ours;            \
	}
#define WITH ALWAYS
#define WHERE(ret, name, params, args, condition, ours)                     \
	WRAPPER(ret, name, params)                                          \
	{                                                                   \
		return (condition) ? ours : LIBCS(ret, name, params, args); \
	}
#define BY_FD(ret, name, params, args, fd, ours) WHERE(ret, name, params, args, is_ours(fd), ours)
#define TRANSFER(name, params, args, fd, ours, before)     \
	WRAPPER(ssize_t, name, params)                     \
	{                                                  \
		if (is_ours(fd))                           \
			return ours;                       \
		before;                                    \
		return LIBCS(ssize_t, name, params, args); \
	}
#define BY_PATH(ret, name, params, args, dirfd, path, follow, ours) \
	WHERE(ret, name, params, args, path_is_kvm(dirfd, path, follow), ours)
#define OPENS(ret, name, params, args, dirfd, path, follow, ours, truncates) \
	WRAPPER(ret, name, params)                                           \
	{                                                                    \
		ret r;                                                       \
                                                                             \
		if (path_is_kvm(dirfd, path, follow))                        \
			return ours;                                         \
		r = LIBCS(ret, name, params, args);                          \
		if (truncates)                                               \
			memory_truncated();                                  \
		return r;                                                    \
	}
#define WRAPPER(ret, name, params)                            \
	PRELOAD_API ret preload_##name params __asm__(#name); \
	ret preload_##name params
#include "calls.h"
