/* SPDX-License-Identifier: MIT */
/*
 * options - any command line is parsed, or ends the program with status 2.
 *
 * Words are separated by 0.  The program's end is caught, and freed is what was allocated until then.
 */
#include <err.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <sanitizer/allocator_interface.h>

#include "fuzz.h"

static _Noreturn void caught_exit(int status);
static _Noreturn void caught_errx(int status, const char *format, ...);

#define exit caught_exit
#define errx caught_errx
#include "../../experiments/lib/opt.c"
#include "../../experiments/lib/options.c"
#undef exit
#undef errx

enum { WORDS = 16, BYTES = 512, BLOCKS = 4096 };

static int64_t threads = 2, size_bytes = 4096, rate, pause_ms = 100;
static bool loud;
static const char *place = "near", *peer;
static const char *const places[] = {"near", "far", NULL};

static const struct opt opts[] = {
	{'t', "threads", "how many", .num = &threads, .min = 2, .max = 64, .quick = 8},
	{'s', "size", "a size", .num = &size_bytes, .min = 1, .max = 1 << 20, .unit = OPT_BYTES},
	{0, "rate", "a rate", .num = &rate, .max = INT64_MAX, .unit = OPT_BYTES_PER_S},
	{0, "pause", "a time", .num = &pause_ms, .max = 60000, .unit = OPT_MS, .quick = 5},
	{0, "loud", "a flag", .flag = &loud},
	{0, "place", "a choice", .text = &place, .choices = places},
	{0, "peer", "a text", .text = &peer},
	{0}};

static const struct claim claims[] = {{"some-claim", "water is wet"}, {0}};
static const struct variant variants[] = {{"one", "the first"}, {"two", "the second"}, {0}};

static const struct experiment about = {.name = "options",
					.group = "test",
					.summary = "An experiment without a trial.",
					.claims = claims,
					.opts = opts,
					.variants = variants,
					.trials = 30,
					.quick_trials = 3};

/* --- what is allocated, and the end of the program ----------------------- */

static const volatile void *blocks[BLOCKS];
static size_t blocks_n;
static _Thread_local bool counts; /* libFuzzer has a thread of its own */
static jmp_buf ended;

static void allocated(const volatile void *block, size_t size)
{
	(void)size;
	if (counts && block && blocks_n < BLOCKS)
		blocks[blocks_n++] = block;
}

static void freed(const volatile void *block)
{
	for (size_t i = blocks_n; counts && i-- > 0;)
		if (blocks[i] == block) {
			blocks[i] = blocks[--blocks_n];
			return;
		}
}

static _Noreturn void caught_exit(int status)
{
	longjmp(ended, 1 + status);
}

static _Noreturn void caught_errx(int status, const char *format, ...)
{
	char line[2 * BYTES + 4096];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	FUZZ_ASSERT(strchr(line, '\n') == NULL);
	longjmp(ended, 1 + status);
}

/* Whether libc would print a text and end the program. */
static bool prints(const char *word)
{
	if (strncmp(word, "--", 2) == 0)
		return word[2] == 'h' || word[2] == 'u' || strncmp(word + 2, "ve", 2) == 0;
	return word[0] == '-' && strpbrk(word, "?V");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool begun;
	char text[BYTES + 1], *argv[WORDS + 2] = {(char *)"options"};
	struct common common = {0};
	int argc = 1;
	int status;

	if (size > BYTES)
		return 0;
	if (!begun)
		__sanitizer_install_malloc_and_free_hooks(allocated, freed);
	begun = true;
	memcpy(text, data, size);
	text[size] = 0;
	for (char *word = text; argc <= WORDS && word <= text + size; word += strlen(word) + 1) {
		if (prints(word))
			return 0;
		argv[argc++] = word;
	}
	argv[argc] = NULL;
	counts = true;
	status = setjmp(ended);
	if (status == 0)
		options_parse(&about, &common, argc, argv);
	else
		FUZZ_ASSERT(status == 1 + EXIT_USAGE);
	counts = false;
	while (blocks_n > 0)
		free((void *)blocks[--blocks_n]);
	if (status == 0)
		FUZZ_ASSERT(threads >= 2 && threads <= 64 && pause_ms >= 0 && pause_ms <= 60000);
	return 0;
}
