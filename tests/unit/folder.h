/* SPDX-License-Identifier: MIT */
/*
 * folder.h - each test in an empty folder of its own, which it must leave empty.
 */
#ifndef FOLDER_H
#define FOLDER_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static char folder[] = "/tmp/stallrace-XXXXXX"; /* also the current one during a test */

static inline int folder_enter(void **state)
{
	(void)state;
	memcpy(folder + sizeof(folder) - sizeof("XXXXXX"), "XXXXXX", sizeof("XXXXXX"));
	return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static inline int folder_leave(void **state)
{
	(void)state;
	if (chdir("/") == 0 && rmdir(folder) == 0)
		return 0;
	perror(folder); /* not empty: what the test did not expect stays for who looks into it */
	return -1;
}

static inline bool file_exists(const char *name)
{
	return access(name, F_OK) == 0;
}

/* The file's text, then removes the file; to be freed. */
static inline char *file_take(const char *name)
{
	FILE *file = fopen(name, "re");
	char *text = NULL;
	size_t size = 0;

	if (!file)
		fail_msg("%s/%s is not there", folder, name);
	if (getdelim(&text, &size, '\0', file) < 0)
		assert_non_null(text = calloc(1, 1));
	fclose(file);
	assert_int_equal(unlink(name), 0);
	return text;
}

/* A test that runs in such a folder. */
#define in_folder(test) cmocka_unit_test_setup_teardown(test, folder_enter, folder_leave)

#endif
