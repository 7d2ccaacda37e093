/* check: assertions about our own invariants. They stay on in every build.
 *
 * CHECK is for what only a fault of ours can make false. What a peer, a file or the kernel can cause is handled and counted
 * instead. CHECK_SLOW walks whole structures and is on in debug, simulation and fuzz builds.
 */
#ifndef PGRING_CORE_CHECK_H
#define PGRING_CORE_CHECK_H

#include <stddef.h>

#define must_check __attribute__((warn_unused_result))
#define printf_like(string, first) __attribute__((__format__(__printf__, string, first)))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define array_len(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Prints where and what to standard error and aborts. */
_Noreturn void check_failed(const char *what, const char *file, int line, const char *function);

#define CHECK(x) \
	do { \
		if (unlikely(!(x))) \
			check_failed(#x, __FILE__, __LINE__, __func__); \
	} while (0)

#define UNREACHABLE() check_failed("this line is not reached", __FILE__, __LINE__, __func__)

#ifdef PGRING_SLOW_CHECKS
#define CHECK_SLOW(x) CHECK(x)
#else
#define CHECK_SLOW(x) ((void)sizeof(x))
#endif

#endif
