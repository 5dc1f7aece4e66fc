/* SPDX-License-Identifier: MIT */
#include "sentence.h"

#include <err.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "exp.h"
#include "text.h"

/* --- a value by its unit ------------------------------------------------- */

static bool ends_with(const char *name, const char *suffix)
{
	size_t length = strlen(name);
	size_t end = strlen(suffix);

	return length >= end && strcmp(name + length - end, suffix) == 0;
}

/* Three digits, and thousands separated: "1,234", "12.3", "1.23", "0.0123". */
static const char *plain(double value)
{
	double size = fabs(value);

	if (value == floor(value) && size < 1e15)
		return text_count((int64_t)value);
	if (size >= 999.5)
		return text_count(llround(value));
	if (size >= 99.95)
		return text_format("%.0f", value);
	if (size >= 9.995)
		return text_format("%.1f", value);
	return text_format(size < 0.0995 ? "%.2g" : "%.2f", value);
}

static const char *scaled(double value, double size, const char *const *units, size_t n)
{
	size_t unit = 0;

	while (fabs(value) >= 0.9995 * size && unit + 1 < n) {
		value /= size;
		unit++;
	}
	return text_format("%s %s", plain(value), units[unit]);
}

const char *sentence_value(const char *name, double value)
{
	static const char *const rates[] = {"B/s", "kB/s", "MB/s", "GB/s"};
	static const char *const bits[] = {"bit/s", "kbit/s", "Mbit/s", "Gbit/s"};
	static const struct {
		const char *suffix;
		double ns;
	} times[] = {{"_ns", 1}, {"_us", 1e3}, {"_ms", 1e6}};

	if (!isfinite(value))
		return "-";
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		if (ends_with(name, times[i].suffix))
			return text_time(value * times[i].ns);
	if (ends_with(name, "_bytes_per_s"))
		return scaled(value, 1000, rates, 4);
	if (ends_with(name, "_bits_per_s"))
		return scaled(value, 1000, bits, 4);
	if (ends_with(name, "_bytes"))
		return text_format("%s bytes", text_count(llround(value)));
	if (ends_with(name, "_share"))
		return text_share(value);
	if (ends_with(name, "_per_s"))
		return text_count(llround(value));
	return plain(value);
}

/* --- numbers in a sentence ----------------------------------------------- */

static const char *percent_range(double low, double high)
{
	return isfinite(low) ? text_format("%.0f to %.0f %%", low * 100, high * 100) : "-";
}

static const char *format_share(const struct share *share, const char *part)
{
	if (strcmp(part, "k") == 0)
		return text_count(share->k);
	if (strcmp(part, "n") == 0)
		return text_count(share->n);
	if (strcmp(part, "share") == 0)
		return share->n ? text_share((double)share->k / (double)share->n) : "-";
	if (strcmp(part, "range") == 0)
		return percent_range(share->low, share->high);
	return *part ? NULL : text_format("%s of %s", text_count(share->k), text_count(share->n));
}

static const char *format_interval(const char *name, const struct interval *interval,
				   const char *part)
{
	const char *mid = sentence_value(name, interval->mid);
	const char *range = isfinite(interval->low)
				    ? text_format("%s to %s", sentence_value(name, interval->low),
						  sentence_value(name, interval->high))
				    : "-";

	if (strcmp(part, "mid") == 0)
		return mid;
	if (strcmp(part, "range") == 0)
		return range;
	if (*part)
		return NULL;
	return isfinite(interval->low) ? text_format("%s (%s)", mid, range) : mid;
}

static const char *format_number(const struct number *number, const char *part)
{
	if (number->kind == NUMBER_SHARE)
		return format_share(&number->share, part);
	if (number->kind == NUMBER_INTERVAL)
		return format_interval(number->name, &number->interval, part);
	if (*part)
		return NULL;
	if (number->kind == NUMBER_TEXT)
		return number->text;
	return sentence_value(number->name,
			      number->kind == NUMBER_INT ? (double)number->num : number->real);
}

/* What stands for {name} or {name.part}; NULL for what is not there. */
static const char *find(const struct number *numbers, const char *braced, size_t length)
{
	const char *dot = memchr(braced, '.', length);
	size_t name = dot ? (size_t)(dot - braced) : length;
	char part[16] = "";

	if (dot)
		snprintf(part, sizeof(part), "%.*s", (int)(length - name - 1), dot + 1);
	for (const struct number *n = numbers; n->name; n++)
		if (strlen(n->name) == name && strncmp(n->name, braced, name) == 0)
			return format_number(n, part);
	return NULL;
}

char *sentence_format(const char *template, const struct number *numbers)
{
	char *text = NULL;
	size_t size;
	FILE *out = check_alloc(open_memstream(&text, &size));

	for (const char *c = template; *c; c++) {
		const char *end = strchr(c, '}');
		const char *value;

		if (*c != '{') {
			putc(*c, out);
			continue;
		}
		if (c[1] == '{') {
			putc(*c++, out);
			continue;
		}
		value = end ? find(numbers, c + 1, (size_t)(end - c - 1)) : NULL;
		if (!value)
			errx(EXIT_USAGE, "no number for '%.*s' in the sentence '%s'",
			     (int)(end ? end - c + 1 : 1), c, template);
		fputs(value, out);
		c = end;
	}
	fclose(out);
	return text;
}

/* --- as JSON ------------------------------------------------------------- */

static json_t *real(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

static json_t *number_json(const struct number *number)
{
	const struct share *share = &number->share;
	const struct interval *interval = &number->interval;

	switch (number->kind) {
	case NUMBER_TEXT:
		return json_string(number->text);
	case NUMBER_REAL:
		return real(number->real);
	case NUMBER_SHARE:
		return json_pack("{s:I,s:I,s:o,s:o}", "k", (json_int_t)share->k, "n",
				 (json_int_t)share->n, "low", real(share->low), "high",
				 real(share->high));
	case NUMBER_INTERVAL:
		return json_pack("{s:o,s:o,s:o,s:I}", "mid", real(interval->mid), "low",
				 real(interval->low), "high", real(interval->high), "n",
				 (json_int_t)interval->n);
	default:
		return json_integer(number->num);
	}
}

json_t *sentence_numbers(const struct number *numbers)
{
	json_t *object = json_object();

	for (const struct number *n = numbers; n->name; n++)
		json_object_set_new(object, n->name, number_json(n));
	return object;
}
