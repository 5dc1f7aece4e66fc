/* SPDX-License-Identifier: MIT */
#include "language.h"

#include <err.h>
#include <libgen.h>
#include <libintl.h>
#include <limits.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exp.h"
#include "text.h"

static const char domain[] = "stallrace";
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

/* build/locale, beside the folder of the program's group. */
static void bind_messages(void)
{
	static const char locale[] = "/locale";
	char path[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - sizeof(locale));
	char *folder;

	if (length < 0)
		return;
	path[length] = '\0';
	folder = dirname(dirname(path));
	memcpy(folder + strlen(folder), locale, sizeof(locale));
	bindtextdomain(domain, folder);
	bind_textdomain_codeset(domain, "UTF-8");
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
	setlocale(LC_MESSAGES, utf8); /* of any locale but "C" gettext reads LANGUAGE */
	setenv("LANGUAGE", wanted,
	       asked || (list && !*list)); /* NOLINT(concurrency-mt-unsafe): no thread yet */
	bind_messages();
	textdomain(domain);
	if (asked && strcmp(asked, "en") != 0 && !*gettext(""))
		errx(EXIT_USAGE, "--lang: there are no messages in '%s'", asked);
}

const char *translated(const char *text)
{
	return *text ? gettext(text) : text; /* of an empty one it would be gettext's own header */
}

const char *translated_if(bool shown, const char *text)
{
	return shown ? translated(text) : text;
}
