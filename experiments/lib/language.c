/* SPDX-License-Identifier: MIT */
#include "language.h"

#include <err.h>
#include <libgen.h>
#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "catalogue.h"
#include "exp.h"
#include "text.h"

static struct catalogue messages;     /* none of plain English */
static const char utf8[] = "C.UTF-8"; /* glibc has it always */

/* What the environment asks for; NULL for nothing but plain English. */
static const char *locale_wanted(void)
{
	static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = getenv(names[i]); /* NOLINT(concurrency-mt-unsafe) */

		if (value && *value)
			return strcmp(value, "POSIX") == 0 || strcspn(value, ".") == strlen("C")
				       ? NULL
				       : value;
	}
	return NULL;
}

/* Characters as the environment has them, also if its locale is not installed. */
static void choose_characters(const char *wanted)
{
	const char *code = wanted ? strchr(wanted, '.') : NULL;

	if (!setlocale(LC_CTYPE, "") && code &&
	    (strcasecmp(code, ".UTF-8") == 0 || strcasecmp(code, ".UTF8") == 0))
		setlocale(LC_CTYPE, utf8);
}

/* Where the messages of a language are, in build/locale, beside the folder of the program's group. */
static bool open_messages(const char *code, int length)
{
	char exe[PATH_MAX], path[2 * PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	if (n < 0 || length == 0 || memchr(code, '/', (size_t)length))
		return false;
	exe[n] = '\0';
	snprintf(path, sizeof(path), "%s/locale/%.*s/LC_MESSAGES/stallrace.mo",
		 dirname(dirname(exe)), length, code);
	return catalogue_open(&messages, path);
}

/* Of the first of these, separated by colons, that has any: ko_KR.UTF-8 has those of ko_KR, or of ko. */
static void open_first(const char *list)
{
	for (size_t length; *list; list += length + (list[length] == ':')) {
		int territory, language;

		length = strcspn(list, ":");
		territory = (int)strcspn(list, ":.@");
		language = (int)strcspn(list, ":.@_");
		if (open_messages(list, (int)length) || open_messages(list, territory) ||
		    open_messages(list, language))
			return;
	}
}

void language_choose(const char *asked)
{
	const char *wanted = asked ? asked : locale_wanted();
	const char *list = getenv("LANGUAGE"); /* NOLINT(concurrency-mt-unsafe) */

	choose_characters(locale_wanted());
	if (asked)
		setlocale(LC_CTYPE, utf8);
	if (!wanted || !text_unicode())
		return;
	open_first(asked || !list || !*list ? wanted : list);
	if (asked && strcmp(asked, "en") != 0 && !messages.n)
		errx(EXIT_USAGE, "--lang: there are no messages in '%s'", asked);
}

const char *translated(const char *text)
{
	const char *found = *text ? catalogue_find(&messages, text) : NULL;

	return found && *found ? found
			       : text; /* of an empty one there is the catalogue's own header */
}

const char *translated_if(bool shown, const char *text)
{
	return shown ? translated(text) : text;
}
