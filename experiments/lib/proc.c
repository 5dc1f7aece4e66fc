/* SPDX-License-Identifier: MIT */
#include "proc.h"

#include <stdlib.h>
#include <string.h>

int64_t proc_number_in(FILE *file, const char *key, int64_t absent)
{
	size_t length = strlen(key);
	char line[256];
	int64_t number = absent;

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, key, length) == 0) {
			number = strtoll(line + length, NULL, 10);
			break;
		}
	if (file)
		fclose(file);
	return number;
}

int64_t proc_number(const char *path, const char *key, int64_t absent)
{
	return proc_number_in(fopen(path, "re"), key, absent);
}
