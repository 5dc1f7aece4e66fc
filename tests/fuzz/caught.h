/* SPDX-License-Identifier: MIT */
/*
 * caught.h - for targets that end their program where they do not like the input: the end is caught, and freed is
 * what was allocated until then.
 *
 *	caught_begin();
 *	status = setjmp(caught_end);
 *	if (status == 0)
 *		... // exit() and errx() of what is included are caught_exit() and caught_errx()
 *	caught_free(); // status is 0, or 1 and the exit status
 */
#ifndef CAUGHT_H
#define CAUGHT_H

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <sanitizer/allocator_interface.h>

#include "fuzz.h"

enum { CAUGHT_BLOCKS = 1 << 14 };

static const volatile void *caught_blocks[CAUGHT_BLOCKS];
static size_t caught_n;
static _Thread_local bool caught_counts; /* libFuzzer has a thread of its own */
static jmp_buf caught_end;

static void caught_allocated(const volatile void *block, size_t size)
{
	(void)size;
	if (caught_counts && block && caught_n < CAUGHT_BLOCKS)
		caught_blocks[caught_n++] = block;
}

static void caught_freed(const volatile void *block)
{
	for (size_t i = caught_n; caught_counts && i-- > 0;)
		if (caught_blocks[i] == block) {
			caught_blocks[i] = caught_blocks[--caught_n];
			return;
		}
}

static inline void caught_begin(void)
{
	static bool begun;

	if (!begun)
		__sanitizer_install_malloc_and_free_hooks(caught_allocated, caught_freed);
	begun = caught_counts = true;
}

static inline void caught_free(void)
{
	caught_counts = false;
	while (caught_n > 0)
		free((void *)caught_blocks[--caught_n]);
}

static inline _Noreturn void caught_exit(int status)
{
	longjmp(caught_end, 1 + status);
}

/* Its message is one line. */
static inline _Noreturn __attribute__((format(printf, 2, 3))) void
caught_errx(int status, const char *format, ...)
{
	static char line[8192];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	for (const char *at = line; *at; at++)
		FUZZ_ASSERT((unsigned char)*at >= ' ' && *at != 127);
	longjmp(caught_end, 1 + status);
}

#endif
