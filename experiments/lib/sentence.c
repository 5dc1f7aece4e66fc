/* SPDX-License-Identifier: MIT */
#include "sentence.h"

#include <err.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "exp.h"
#include "language.h"
#include "rows.h"
#include "text.h"

#define EXACT 9007199254740992.0 /* 2^53: below it a double holds every whole number */

/* --- a value by its unit ------------------------------------------------- */

enum kind { PLAIN, COUNT, TIME, BYTES, SHARE, BYTE_RATE, BIT_RATE };

static const struct unit {
	const char *suffix;
	enum kind kind;
	double ns;
} units[] = {
	/* the first that fits counts, and the last fits every name */
	{"_bytes_per_s", BYTE_RATE, 0},
	{"_bits_per_s", BIT_RATE, 0},
	{"_per_s", COUNT, 0},
	{"_ns", TIME, 1},
	{"_us", TIME, 1e3},
	{"_ms", TIME, 1e6},
	{"_s", TIME, 1e9},
	{"_bytes", BYTES, 0},
	{"_share", SHARE, 0},
	{"", PLAIN, 0},
};

static bool ends_with(const char *name, const char *suffix)
{
	size_t length = strlen(name);
	size_t end = strlen(suffix);

	return length >= end && strcmp(name + length - end, suffix) == 0;
}

static const struct unit *unit_of(const char *name)
{
	const struct unit *unit = units;

	while (!ends_with(name, unit->suffix))
		unit++;
	return unit;
}

static bool is_whole(double value)
{
	return value == floor(value);
}

static const char *format_whole(double value)
{
	return fabs(value) < EXACT ? text_count(llround(value)) : text_format("%.3g", value);
}

/* Three digits, of which two decimals from 0.1 on: "1,234", "12.3", "1.23", "0.98", "0.0123". */
static const char *format_real(double value)
{
	double size = fabs(value);

	if (size >= 999.5)
		return format_whole(value);
	if (size >= 99.95)
		return text_format("%.0f", value);
	if (size >= 9.995)
		return text_format("%.1f", value);
	return text_format(size < 0.1 ? "%.3g" : "%.2f", value);
}

static const char *format_rate(double value, const char *unit)
{
	static const char *const prefixes[] = {"", "k", "M", "G"};
	size_t prefix = 0;

	if (is_whole(value) && fabs(value) < 999.5)
		return text_format("%s %s", format_whole(value), unit);
	while (fabs(value) >= 999.5 && prefix + 1 < sizeof(prefixes) / sizeof(prefixes[0])) {
		value /= 1000;
		prefix++;
	}
	return text_format("%s %s%s", format_real(value), prefixes[prefix], unit);
}

/* whole: without a unit, it is shown as a count. */
static const char *format_value(const char *name, double value, bool whole, bool shown)
{
	const struct unit *unit = unit_of(name);

	if (!isfinite(value))
		return "-";
	switch (unit->kind) {
	case TIME:
		return text_time(value * unit->ns);
	case BYTES:
		return text_format(value == 1 ? translated_if(shown, "%s byte")
					      : translated_if(shown, "%s bytes"),
				   format_whole(value));
	case SHARE:
		return text_share(value);
	case BYTE_RATE:
		return format_rate(value, "B/s");
	case BIT_RATE:
		return format_rate(value, "bit/s");
	case COUNT:
		return format_whole(value);
	default:
		return whole ? format_whole(value) : format_real(value);
	}
}

const char *sentence_value(const char *name, double value)
{
	return format_value(name, value, is_whole(value), true);
}

/* --- numbers in a sentence ----------------------------------------------- */

/*
 * A real as its row will hold it.  Sentences are made from that, or the row's own numbers could
 * round to another figure.  What is whole is written as an integer, with all its digits.
 */
static double as_written(double value)
{
	char text[32];

	if (value == 0 || !isfinite(value)) /* 0, not -0 */
		return value == 0 ? 0 : NAN;
	if (is_whole(value) && fabs(value) < EXACT)
		return value;
	snprintf(text, sizeof(text), "%.*g", ROWS_DIGITS, value);
	return strtod(text, NULL);
}

static const char *percent_range(double low, double high, bool shown)
{
	return isfinite(low) && isfinite(high) ? text_format(translated_if(shown, "%s to %s %%"),
							     text_format("%.0f", low * 100),
							     text_format("%.0f", high * 100))
					       : "-";
}

static const char *format_share(const struct share *share, const char *part, bool shown)
{
	if (strcmp(part, "k") == 0)
		return text_count(share->k);
	if (strcmp(part, "n") == 0)
		return text_count(share->n);
	if (strcmp(part, "share") == 0)
		return share->n ? text_share((double)share->k / (double)share->n) : "-";
	if (strcmp(part, "range") == 0)
		return percent_range(as_written(share->low), as_written(share->high), shown);
	return *part ? NULL
		     : text_format(translated_if(shown, "%s of %s"), text_count(share->k),
				   text_count(share->n));
}

static const char *format_interval(const char *name, const struct interval *interval,
				   const char *part, bool shown)
{
	double mid = as_written(interval->mid);
	double low = as_written(interval->low);
	double high = as_written(interval->high);
	bool bounded = isfinite(low) && isfinite(high);
	bool whole = is_whole(mid) && (!bounded || (is_whole(low) && is_whole(high)));
	const char *middle = format_value(name, mid, whole, shown);
	const char *range = "-";

	if (bounded)
		range = unit_of(name)->kind == SHARE
				? percent_range(low, high, shown)
				: text_format(translated_if(shown, "%s to %s"),
					      format_value(name, low, whole, shown),
					      format_value(name, high, whole, shown));
	if (strcmp(part, "mid") == 0)
		return middle;
	if (strcmp(part, "range") == 0)
		return range;
	if (*part)
		return NULL;
	return bounded ? text_format("%s (%s)", middle, range) : middle;
}

static const char *format_number(const struct number *number, const char *part, bool shown)
{
	double value;

	if (number->kind == NUMBER_SHARE)
		return format_share(&number->share, part, shown);
	if (number->kind == NUMBER_INTERVAL)
		return format_interval(number->name, &number->interval, part, shown);
	if (*part)
		return NULL;
	if (number->kind == NUMBER_TEXT)
		return shown && number->shown ? number->shown : translated_if(shown, number->text);
	if (number->kind == NUMBER_INT && unit_of(number->name)->kind == PLAIN)
		return text_count(number->num); /* more digits than a double has */
	value = number->kind == NUMBER_REAL ? as_written(number->real) : (double)number->num;
	return format_value(number->name, value, is_whole(value), shown);
}

/* What stands for "name" or "name.part" of this length; NULL for what is not there. */
static const char *text_of(const struct number *numbers, const char *braced, size_t length,
			   bool shown)
{
	const char *dot = memchr(braced, '.', length);
	size_t name = dot ? (size_t)(dot - braced) : length;
	char part[16] = ""; /* longer than every part, so that one that is cut is none */

	if (dot)
		snprintf(part, sizeof(part), "%.*s", (int)(length - name - 1), dot + 1);
	if (dot && !*part)
		return NULL;
	for (const struct number *n = numbers; n->name; n++)
		if (strlen(n->name) == name && strncmp(n->name, braced, name) == 0)
			return format_number(n, part, shown);
	return NULL;
}

/* Puts in the number whose braces open at `brace`; returns where they close. */
static const char *put_number(FILE *out, const char *brace, const char *template,
			      const struct number *numbers, bool shown)
{
	const char *end = *brace == '{' ? strchr(brace, '}') : NULL;
	const char *text;

	if (!end)
		errx(EXIT_USAGE, "a brace without its partner in the sentence '%s'", template);
	text = text_of(numbers, brace + 1, (size_t)(end - brace - 1), shown);
	if (!text)
		errx(EXIT_USAGE, "no number for '%.*s' in the sentence '%s'",
		     (int)(end - brace + 1), brace, template);
	fputs(text, out);
	return end;
}

static char *format(const char *template, const struct number *numbers, bool shown)
{
	char *text = NULL;
	size_t size;
	FILE *out = check_alloc(open_memstream(&text, &size));

	for (const char *c = template; *c; c++) {
		if (*c != '{' && *c != '}')
			putc(*c, out);
		else if (c[1] == *c)
			putc(*c++, out);
		else
			c = put_number(out, c, template, numbers, shown);
	}
	if (fclose(out) != 0)
		err(EXIT_USAGE, "a sentence");
	return text;
}

char *sentence_format(const char *template, const struct number *numbers)
{
	return format(template, numbers, false);
}

char *sentence_shown(const char *template, const struct number *numbers)
{
	return format(translated(template), numbers, true);
}

/* --- as JSON ------------------------------------------------------------- */

static json_t *real_json(double value)
{
	double written = as_written(value);

	if (!isfinite(written))
		return json_null();
	return is_whole(written) && fabs(written) < EXACT ? json_integer((json_int_t)written)
							  : json_real(written);
}

static json_t *number_json(const struct number *number)
{
	const struct share *share = &number->share;
	const struct interval *interval = &number->interval;

	switch (number->kind) {
	case NUMBER_TEXT:
		return rows_text(number->text);
	case NUMBER_REAL:
		return real_json(number->real);
	case NUMBER_SHARE:
		return json_pack("{s:I,s:I,s:o,s:o}", "k", (json_int_t)share->k, "n",
				 (json_int_t)share->n, "low", real_json(share->low), "high",
				 real_json(share->high));
	case NUMBER_INTERVAL:
		return json_pack("{s:o,s:o,s:o,s:I}", "mid", real_json(interval->mid), "low",
				 real_json(interval->low), "high", real_json(interval->high), "n",
				 (json_int_t)interval->n);
	default:
		return json_integer(number->num);
	}
}

json_t *sentence_numbers(const struct number *numbers)
{
	json_t *object = check_alloc(json_object());

	for (const struct number *n = numbers; n->name; n++)
		if (json_object_set_new(object, n->name, number_json(n)) != 0)
			errx(EXIT_USAGE, "the number '%s' cannot be written", n->name);
	return object;
}
