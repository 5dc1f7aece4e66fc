/* SPDX-License-Identifier: MIT */
/*
 * sentence.h - a sentence as a template with named numbers, so that what people read and what the
 * rows hold are the same figures, and the sentence can be written in another language.
 *
 *	"blocked for {blocked_ns}, {part_share} of the sleep; {wrong} trials"
 *
 * A number is formatted by its unit, the suffix of its name: _ns, _us, _ms and _s a time
 * ("3.21 us"), _bytes "65,536 bytes", _bytes_per_s "4.70 MB/s", _bits_per_s "4.70 Mbit/s", _per_s a
 * count, _share of 1 as percent; everything else as a count if it is whole ("1,234"), or with three
 * digits ("12.3", "0.98", "0.0123").  {x} of a share is "3 of 10"; {x.share} "30.0 %", {x.range}
 * "11 to 60 %" (its 95 % interval), {x.k} and {x.n}.  {x} of an interval is "1.50 (1.48 to 1.52)",
 * of one without bounds "1.50"; {x.mid} and {x.range} are its parts.  What is not a number is "-".
 * "{{" and "}}" are literal braces.
 *
 * scripts/sentence.py does the same from a row; tests/test_sentence.py compares the two.
 */
#ifndef SENTENCE_H
#define SENTENCE_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "evidence.h"

struct number {
	const char *name; /* NULL ends a list */
	enum number_kind {
		NUMBER_INT,
		NUMBER_REAL,
		NUMBER_TEXT,
		NUMBER_SHARE,
		NUMBER_INTERVAL
	} kind;
	int64_t num;
	double real;
	const char *text;
	const char *shown; /* a text for people; NULL: it is a message, or a name */
	struct share share;
	struct interval interval;
};

static inline struct number number_int(const char *name, int64_t value)
{
	return (struct number){.name = name, .kind = NUMBER_INT, .num = value};
}

static inline struct number number_real(const char *name, double value)
{
	return (struct number){.name = name, .kind = NUMBER_REAL, .real = value};
}

static inline struct number number_text(const char *name, const char *value)
{
	return (struct number){.name = name, .kind = NUMBER_TEXT, .text = value};
}

/* A text that was put together: in English, and in the reader's language. */
static inline struct number number_words(const char *name, const char *text, const char *shown)
{
	return (struct number){.name = name, .kind = NUMBER_TEXT, .text = text, .shown = shown};
}

static inline struct number number_share(const char *name, struct share value)
{
	return (struct number){.name = name, .kind = NUMBER_SHARE, .share = value};
}

static inline struct number number_interval(const char *name, struct interval value)
{
	return (struct number){.name = name, .kind = NUMBER_INTERVAL, .interval = value};
}

/*
 * The template with its numbers put in; to be freed.  Ends the process (status 2) for a {name} or
 * a part that is not there and for a brace without its partner: a mistake in the program.
 */
char *sentence_format(const char *template, const struct number *numbers);

/* The same for people, in their language (language.h); the other one is for rows. */
char *sentence_shown(const char *template, const struct number *numbers);

/*
 * A value formatted by the unit of its name ("elapsed_ns", "sent_bytes", "lost_share"), for people: what
 * sentences and tables share.  One of text.h's buffers.
 */
const char *sentence_value(const char *name, double value);

/*
 * The numbers as a JSON object: an int as it is, a real likewise (as an integer if it is whole, else
 * with the digits of a row; not finite: null), a text as a string, a share as {"k", "n", "low",
 * "high"}, an interval as {"mid", "low", "high", "n"}.
 */
json_t *sentence_numbers(const struct number *numbers);

#endif
