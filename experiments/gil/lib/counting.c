/* SPDX-License-Identifier: MIT */
#include "counting.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "exp.h"

/* "UPDATES ELAPSED_NS CPU_NS WRONG"; false if that is not all there. */
static bool read_line(char *line, struct counted *counted)
{
	int64_t *const numbers[] = {&counted->updates, &counted->elapsed_ns, &counted->cpu_ns,
				    &counted->wrong};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		const char *word = strsep(&line, " ");

		if (!word)
			return false;
		*numbers[i] = strtoll(word, NULL, 10);
	}
	return true;
}

bool counting_run(const struct python *python, const char *const *arguments,
		  struct counted counted[], size_t n)
{
	const int64_t limit_ns = 120000000000; /* a machine under load */
	char text[512];
	char *rest = text;

	if (!python_run(python, python_script(COUNTING), arguments, text, sizeof(text), limit_ns))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!read_line(strsep(&rest, "\n"), &counted[i]))
			errx(EXIT_USAGE, "%s: %s printed something else", python->name, COUNTING);
	return true;
}
