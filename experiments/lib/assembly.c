/* SPDX-License-Identifier: MIT */
#include "assembly.h"

#include <string.h>

enum { LINES = 128 };

const char *const assembly_form_names[ASSEMBLY_FORMS] = {
	[ASSEMBLY_UNKNOWN] = "unknown", [ASSEMBLY_LOAD_STORE] = "load-store",
	[ASSEMBLY_ONE] = "one",         [ASSEMBLY_REGISTER] = "register",
	[ASSEMBLY_FOLDED] = "folded",   [ASSEMBLY_LOCKED] = "locked"};

/* What an instruction does to x. */
enum access { NOTHING, LOADS, STORES, ADDS, LOCKS };

struct line {
	char text[96]; /* ".L3:" or "addq $1, x(%rip)" */
	bool label;
	enum access access;
};

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* A memory operand that is not on the stack, at its ( or [; NULL if there is none. */
static const char *memory(const char *text, bool arm)
{
	const char *place = strchr(text, arm ? '[' : '(');

	if (!place || strstr(place, arm ? "[sp" : "(%rsp") || strstr(place, arm ? "[x29" : "(%rbp"))
		return NULL;
	return place;
}

static enum access access_arm(const char *text)
{
	static const char *const atomic[] = {
		"ldadd", "stadd", "ldxr", "ldaxr", "stxr", "stlxr", "bl __aarch64_ldadd"};

	for (size_t i = 0; i < sizeof(atomic) / sizeof(atomic[0]); i++)
		if (begins(text, atomic[i]))
			return LOCKS;
	if (!memory(text, true))
		return NOTHING;
	if (begins(text, "ldr") || begins(text, "ldur"))
		return LOADS;
	return begins(text, "str") || begins(text, "stur") ? STORES : NOTHING;
}

static enum access access_x86(const char *text)
{
	const char *place = memory(text, false);

	if (!place || begins(text, "lea") || begins(text, "nop"))
		return NOTHING;
	if (begins(text, "lock"))
		return LOCKS;
	place = strchr(place, ')');
	if (!place || strchr(place, ',')) /* another operand follows: the target */
		return LOADS;
	if (begins(text, "mov"))
		return STORES;
	return begins(text, "add") || begins(text, "inc") || begins(text, "sub") ? ADDS : LOADS;
}

/* Reads a label or an instruction; false if it is none. */
static bool parse(char *text, bool arm, struct line *line)
{
	char *comment = strstr(text, arm ? "//" : "#");
	char *rest = text;
	size_t length = 0;

	if (comment)
		*comment = '\0';
	line->text[0] = '\0';
	line->label = !strchr(" \t", text[0]);
	for (const char *word; (word = strsep(&rest, " \t\n"));)
		if (*word && length < sizeof(line->text))
			length += (size_t)snprintf(line->text + length, sizeof(line->text) - length,
						   "%s%s", length ? " " : "", word);
	line->access = arm ? access_arm(line->text) : access_x86(line->text);
	return length > 0 && (line->label || line->text[0] != '.');
}

/* Reads what a function was compiled to; returns how many lines. */
static size_t read_function(FILE *in, const char *function, bool arm, struct line lines[LINES])
{
	size_t length = strlen(function);
	char text[512];
	bool inside = false;
	size_t n = 0;

	while (n < LINES && fgets(text, sizeof(text), in)) {
		if (inside && strstr(text, ".size"))
			break;
		n += inside && parse(text, arm, &lines[n]);
		inside = inside || (begins(text, function) && text[length] == ':');
	}
	return n;
}

/* Where the loop begins that this line jumps back to; LINES if it does not. */
static size_t loop_start(const struct line *lines, size_t jump)
{
	const char *to = strrchr(lines[jump].text, ' ');

	for (size_t i = 0; to && i < jump; i++)
		if (lines[i].label && begins(lines[i].text, to + 1) &&
		    lines[i].text[strlen(to + 1)] == ':')
			return i;
	return LINES;
}

/* What lines first to last do with x: UNKNOWN if nothing that is known. */
static enum assembly_form form_of(const struct line *lines, size_t first, size_t last, int *between)
{
	bool loaded = false;
	int since = 0; /* instructions */

	*between = -1;
	for (size_t i = first; i <= last; i++) {
		switch (lines[i].access) {
		case LOCKS:
			return ASSEMBLY_LOCKED;
		case ADDS:
			*between = 0;
			return ASSEMBLY_ONE;
		case LOADS:
			loaded = true;
			since = 0;
			break;
		case STORES:
			if (!loaded)
				break;
			*between = since;
			return ASSEMBLY_LOAD_STORE;
		default:
			since += !lines[i].label;
		}
	}
	return ASSEMBLY_UNKNOWN;
}

static void keep_code(struct assembly *a, const struct line *lines, size_t first, size_t last)
{
	static const char *const marks[] = {"", "load", "store", "add", "locked"};
	size_t length = 0;

	for (size_t i = first; i <= last && length + 112 < sizeof(a->code); i++)
		length += (size_t)snprintf(a->code + length, sizeof(a->code) - length, "%-7s%s\n",
					   marks[lines[i].access], lines[i].text);
}

/* The first loop that does something with x; else what is outside of loops tells. */
struct assembly assembly_read(FILE *in, const char *function, bool arm)
{
	struct assembly a = {.between = -1};
	struct line lines[LINES];
	size_t n = read_function(in, function, arm, lines);
	bool loops = false;
	int ignored;

	for (size_t i = 0; i < n && a.form == ASSEMBLY_UNKNOWN; i++) {
		size_t first = loop_start(lines, i);

		if (first == LINES)
			continue;
		a.form = form_of(lines, first, i, &a.between);
		if (!loops || a.form != ASSEMBLY_UNKNOWN)
			keep_code(&a, lines, first, i);
		loops = true;
	}
	if (n == 0 || a.form != ASSEMBLY_UNKNOWN)
		return a;
	if (!loops)
		keep_code(&a, lines, 0, n - 1);
	if (form_of(lines, 0, n - 1, &ignored) != ASSEMBLY_UNKNOWN)
		a.form = loops ? ASSEMBLY_REGISTER : ASSEMBLY_FOLDED;
	return a;
}
