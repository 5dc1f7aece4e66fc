/* SPDX-License-Identifier: MIT */
#include "catalogue.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The header: numbers of 32 bits, at these places. */
enum { MAGIC = 0, REVISION = 4, COUNT = 8, TEXTS = 12, TRANSLATIONS = 16, HEADER = 28 };

/* An entry of a table: a text's length without its final 0, and where it begins. */
enum { ENTRY = 8, OFFSET = 4 };

static const uint32_t magic = 0x950412de;

static uint32_t number_at(const struct catalogue *catalogue, size_t at)
{
	uint32_t number;

	memcpy(&number, catalogue->bytes + at, sizeof(number));
	return catalogue->swapped ? __builtin_bswap32(number) : number;
}

static const char *text_at(const struct catalogue *catalogue, uint32_t table, uint32_t i)
{
	return (const char *)catalogue->bytes +
	       number_at(catalogue, table + (size_t)ENTRY * i + OFFSET);
}

/* Each of its texts is in the file, and ends there. */
static bool is_whole(const struct catalogue *catalogue, uint32_t table)
{
	if ((uint64_t)table + (uint64_t)ENTRY * catalogue->n > catalogue->size)
		return false;
	for (uint32_t i = 0; i < catalogue->n; i++) {
		size_t at = table + (size_t)ENTRY * i;
		uint64_t end =
			(uint64_t)number_at(catalogue, at) + number_at(catalogue, at + OFFSET);

		if (end >= catalogue->size || catalogue->bytes[end])
			return false;
	}
	return true;
}

bool catalogue_read(struct catalogue *catalogue, const void *bytes, size_t size)
{
	struct catalogue read = {.bytes = bytes, .size = size};

	*catalogue = (struct catalogue){0};
	if (size < HEADER)
		return false;
	read.swapped = number_at(&read, MAGIC) != magic;
	read.n = number_at(&read, COUNT);
	read.texts = number_at(&read, TEXTS);
	read.translations = number_at(&read, TRANSLATIONS);
	if (number_at(&read, MAGIC) != magic || number_at(&read, REVISION) >> 16 > 1 ||
	    !is_whole(&read, read.texts) || !is_whole(&read, read.translations))
		return false;
	*catalogue = read;
	return true;
}

bool catalogue_open(struct catalogue *catalogue, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status = {0};
	void *bytes = MAP_FAILED;

	*catalogue = (struct catalogue){0};
	if (fd < 0)
		return false;
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0)
		bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (bytes == MAP_FAILED)
		return false;
	if (catalogue_read(catalogue, bytes, (size_t)status.st_size))
		return true;
	munmap(bytes, (size_t)status.st_size);
	return false;
}

const char *catalogue_find(const struct catalogue *catalogue, const char *text)
{
	uint32_t low = 0;
	uint32_t high = catalogue->n;

	while (low < high) { /* they are sorted */
		uint32_t middle = low + (high - low) / 2;
		int order = strcmp(text, text_at(catalogue, catalogue->texts, middle));

		if (order == 0)
			return text_at(catalogue, catalogue->translations, middle);
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}
