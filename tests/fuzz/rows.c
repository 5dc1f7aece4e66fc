/* SPDX-License-Identifier: MIT */
/*
 * rows - any text and numbers in a row are one line of JSON that is read as what was written.
 */
#include <string.h>

#include "fuzz.h"
#include "rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[512];
	int64_t number = 0;
	double real = 0;
	json_t *row = json_object(), *again;
	char *line;

	if (size >= sizeof(text)) {
		json_decref(row);
		return 0;
	}
	memcpy(text, data, size);
	text[size] = 0;
	memcpy(&number, data, size < 8 ? size : 8);
	memcpy(&real, &number, sizeof(real));
	rows_add(row,
		 (struct field[]){
			 {"number", number}, {"text", .text = text}, {"real", .real = &real}, {0}});
	line = json_dumps(row, JSON_COMPACT | JSON_REAL_PRECISION(ROWS_DIGITS));
	FUZZ_ASSERT(line && !strchr(line, '\n'));
	again = json_loads(line, 0, NULL);
	FUZZ_ASSERT(again && json_integer_value(json_object_get(again, "number")) == number);
	FUZZ_ASSERT(json_equal(json_object_get(again, "text"), json_object_get(row, "text")));
	FUZZ_ASSERT(strlen(json_string_value(json_object_get(again, "text"))) <= strlen(text));
	json_decref(again);
	json_decref(row);
	free(line);
	return 0;
}
