/* SPDX-License-Identifier: MIT */
/*
 * text.h - numbers, bars and wrapped lines for people, 80 columns wide.
 *
 * Block characters where the locale is UTF-8, ASCII elsewhere.
 */
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "stats.h"

enum { TEXT_WIDTH = 80 };

/*
 * "1,234,567".  This and the next ones return one of 32 buffers in turn, so that one printf can
 * hold several; for one thread.
 */
const char *text_count(int64_t number);

/* "64 KiB", "4,608 B", "2 GiB": exact, with the largest unit that divides it. */
const char *text_bytes(int64_t bytes);

/* A share in [0, 1] as "46.0 %", and "<0.1 %" for what would round to nothing. */
const char *text_share(double share);

/* A time with three digits and the unit that fits it: "3.21 us", "45.1 ms", "2.00 s". */
const char *text_time(double ns);

/* An error number's name: "ECONNREFUSED"; "ok" for 0, "errno 4711" for one that libc has no name for. */
const char *text_errno(int error);

/* printf(3) into one of the 32 buffers. */
const char *text_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Whether one line, a comma-separated list, has the item. */
bool text_has_item(const char *list, const char *item);

/*
 * The length of the control character that the bytes begin with, 0 for any other: one of ASCII's; in
 * UTF-8 one of U+0080 to U+009F, a line or paragraph separator, or one that turns the direction of
 * writing (U+202A to U+202E, U+2066 to U+2069).  A terminal may obey them.
 */
size_t text_control(const char *bytes, size_t length);

/* True if the locale (setlocale) can show the block characters. */
bool text_unicode(void);

/* The unicode text where the locale can show it, else the ASCII one. */
const char *text_pick(const char *unicode, const char *ascii);

/* A bar of height level / 8 for level in 0 to 8 (clamped). */
const char *text_bar(int level);

/* A histogram of the values over [low, high] in `bins` bars; the highest bar is the fullest bin. */
void text_histogram(FILE *out, struct values values, double low, double high, int bins);

/*
 * A quantity over time as a row of bars, the highest at its peak: from at[i] (ns, ascending) on
 * it was value[i]. Each column of column_ns shows the most of its time.
 */
void text_timeline(FILE *out, const int64_t *at, const int64_t *value, size_t n, int64_t column_ns,
		   int columns);

/* How many columns of a terminal so many bytes take: Hangul and the like take two a character. */
int text_columns(const char *text, size_t length);

/* Prints text, and spaces until it has taken `width` columns; of a negative width spaces come first. */
void text_pad(FILE *out, const char *text, int width);

/* The values as text_count() shows them, or "0 in all 30" where they are alike; wrapped like
 * text_wrap(). */
void text_values(FILE *out, int column, int indent, struct values values);

/*
 * Prints text wrapped at TEXT_WIDTH columns.  The cursor stands in column `column`; the following
 * lines are indented by `indent`.  Ends with a newline.
 */
void text_wrap(FILE *out, int column, int indent, const char *text);

#endif
