/* SPDX-License-Identifier: MIT */
/*
 * options - any command line is parsed, or ends the program with status 2.
 *
 * Words are separated by 0.
 */
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "caught.h"
#include "fuzz.h"

#define exit caught_exit
#define errx caught_errx
#include "../../experiments/lib/opt.c"
#include "../../experiments/lib/options.c"
#undef exit
#undef errx

enum { WORDS = 16, BYTES = 512 };

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

/* Whether libc would print a text and end the program. */
static bool prints(const char *word)
{
	if (strncmp(word, "--", 2) == 0)
		return word[2] == 'h' || word[2] == 'u' || strncmp(word + 2, "ve", 2) == 0;
	return word[0] == '-' && strpbrk(word, "?V");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[BYTES + 1], *argv[WORDS + 2] = {(char *)"options"};
	struct common common = {0};
	int argc = 1;
	int status;

	if (size > BYTES)
		return 0;
	memcpy(text, data, size);
	text[size] = 0;
	for (char *word = text; argc <= WORDS && word <= text + size; word += strlen(word) + 1) {
		if (prints(word))
			return 0;
		argv[argc++] = word;
	}
	argv[argc] = NULL;
	caught_begin();
	status = setjmp(caught_end);
	if (status == 0)
		options_parse(&about, &common, argc, argv);
	caught_free();
	if (status == 0)
		FUZZ_ASSERT(threads >= 2 && threads <= 64 && pause_ms >= 0 && pause_ms <= 60000);
	else
		FUZZ_ASSERT(status == 1 + EXIT_USAGE);
	return 0;
}
