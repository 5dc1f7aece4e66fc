/* SPDX-License-Identifier: MIT */
#include "text.h"

#include <err.h>
#include <errno.h>
#include <langinfo.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "language.h"

enum { BUFFERS = 32, BUFFER = 256, MAX_BINS = 64 };

static char *next_buffer(void)
{
	static char buffers[BUFFERS][BUFFER];
	static unsigned int turn;

	return buffers[turn++ % BUFFERS];
}

const char *text_errno(int error)
{
	const char *name = error ? strerrorname_np(error) : "ok";

	return name ? name : text_format("errno %d", error);
}

const char *text_format(const char *format, ...)
{
	char *buffer = next_buffer();
	va_list args;

	va_start(args, format);
	vsnprintf(buffer, BUFFER, format, args);
	va_end(args);
	return buffer;
}

const char *text_count(int64_t number)
{
	char *end = next_buffer() + BUFFER;
	uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
	int digits = 0;

	*--end = '\0';
	do {
		if (digits && digits % 3 == 0)
			*--end = ',';
		*--end = (char)('0' + rest % 10);
		digits++;
		rest /= 10;
	} while (rest);
	if (number < 0)
		*--end = '-';
	return end;
}

const char *text_bytes(int64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB"};
	size_t unit = 0;

	while (bytes && bytes % 1024 == 0 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		bytes /= 1024;
		unit++;
	}
	return text_format("%s %s", text_count(bytes), units[unit]);
}

const char *text_share(double share)
{
	if (share > 0 && share < 0.0005)
		return "<0.1 %";
	if (share < 1 && share >= 0.9995)
		return ">99.9 %";
	return text_format("%.1f %%", share * 100);
}

const char *text_time(double ns)
{
	static const char *const units[] = {"ns", "us", "ms", "s"};
	size_t unit = 0;

	while (fabs(ns) >= 999.5 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		ns /= 1000;
		unit++;
	}
	return text_format("%.*f %s",
			   ns == 0            ? 0
			   : fabs(ns) < 9.995 ? 2
			   : fabs(ns) < 99.95 ? 1
					      : 0,
			   ns, units[unit]);
}

bool text_has_item(const char *list, const char *item)
{
	size_t length = strlen(item);

	for (; list; list = strchr(list, ','), list += list != NULL)
		if (strncmp(list, item, length) == 0 && strcspn(list, ",\n") == length)
			return true;
	return false;
}

size_t text_control(const char *bytes, size_t length)
{
	uint8_t c[3] = {0};

	memcpy(c, bytes, length < sizeof(c) ? length : sizeof(c));
	if (length > 0 && (c[0] < 0x20 || c[0] == 0x7f))
		return 1;
	if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)
		return 2;
	if (c[0] == 0xe2 && ((c[1] == 0x80 && c[2] >= 0xa8 && c[2] <= 0xae) ||
			     (c[1] == 0x81 && c[2] >= 0xa6 && c[2] <= 0xa9)))
		return 3;
	return 0;
}

bool text_unicode(void)
{
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

const char *text_pick(const char *unicode, const char *ascii)
{
	return text_unicode() ? unicode : ascii;
}

const char *text_bar(int level)
{
	static const char *const blocks[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	static const char *const ascii[] = {" ", ".", ":", "-", "=", "+", "*", "%", "#"};
	int height = level < 0 ? 0 : level > 8 ? 8 : level;

	return text_pick(blocks[height], ascii[height]);
}

void text_histogram(FILE *out, struct values values, double low, double high, int bins)
{
	size_t count[MAX_BINS] = {0};
	size_t fullest = 0;

	if (bins > MAX_BINS)
		bins = MAX_BINS;
	for (size_t i = 0; i < values.n; i++) {
		double place = high > low ? ((double)values.at[i] - low) / (high - low) : 0.5;
		int bin = (int)(place * bins);

		if (place < 0 || place > 1)
			continue;
		if (bin == bins)
			bin--;
		if (++count[bin] > fullest)
			fullest = count[bin];
	}
	for (int bin = 0; bin < bins; bin++) { /* rounded up: one value is a bar, none is not */
		int level = fullest ? (int)((count[bin] * 8 + fullest - 1) / fullest) : 0;

		fputs(text_bar(level), out);
	}
}

int text_columns(const char *text, size_t length)
{
	mbstate_t state = {0};
	int columns = 0;

	while (length > 0) {
		wchar_t c;
		size_t bytes = mbrtowc(&c, text, length, &state);
		int width = bytes <= length ? wcwidth(c) : (*text & 0xc0) != 0x80;

		if (bytes == 0 ||
		    bytes > length) { /* none in this locale: one, but for its later bytes */
			state = (mbstate_t){0};
			bytes = 1;
		}
		columns += width > 0 ? width : 0;
		text += bytes;
		length -= bytes;
	}
	return columns;
}

void text_pad(FILE *out, const char *text, int width)
{
	int space = abs(width) - text_columns(text, strlen(text));

	space = space > 0 ? space : 0;
	fprintf(out, "%*s%s%*s", width < 0 ? space : 0, "", text, width < 0 ? 0 : space, "");
}

void text_wrap(FILE *out, int column, int indent, const char *text)
{
	bool first = true;

	while (*text) {
		size_t length = strcspn(text, " ");
		int width = text_columns(text, length);

		if (!first && column + 1 + width > TEXT_WIDTH) {
			fprintf(out, "\n%*s", indent, "");
			column = indent;
		} else if (!first) {
			putc(' ', out);
			column++;
		}
		fwrite(text, 1, length, out);
		column += width;
		text += length;
		text += strspn(text, " ");
		first = false;
	}
	putc('\n', out);
}

void text_timeline(FILE *out, const int64_t *at, const int64_t *value, size_t n, int64_t column_ns,
		   int columns)
{
	int64_t peak = 1;
	int64_t now = 0;
	size_t i = 0;

	for (size_t k = 0; k < n; k++)
		peak = value[k] > peak ? value[k] : peak;
	for (int column = 1; column <= columns; column++) {
		int64_t most = now;

		for (; i < n && at[i] < column * column_ns; i++) {
			now = value[i];
			most = now > most ? now : most;
		}
		fputs(text_bar((int)((most * 8 + peak - 1) / peak)), out);
	}
}

void text_values(FILE *out, int column, int indent, struct values values)
{
	bool alike = values.n > 1;
	char *line = NULL;
	size_t size;
	FILE *text = open_memstream(&line, &size);

	if (!text)
		err(2, "open_memstream");
	for (size_t i = 0; i < values.n; i++) {
		alike = alike && values.at[i] == values.at[0];
		fprintf(text, "%s ", text_count(values.at[i]));
	}
	fclose(text);
	text_wrap(
		out, column, indent,
		alike ? text_format(translated("%s in all %zu"), text_count(values.at[0]), values.n)
		      : line);
	free(line);
}
