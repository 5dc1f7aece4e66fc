/* SPDX-License-Identifier: MIT */
/*
 * root.h - tests on made-up files of /proc and /sys, in a folder of their own.
 */
#ifndef ROOT_H
#define ROOT_H

#include <errno.h>
#include <ftw.h>
#include <sys/stat.h>

#include "cgroup.h"
#include "folder.h"

/* Writes a file in the current folder, and the folders above it. */
static inline void write_file(const char *path, const char *text)
{
	char folders[256];
	FILE *file;

	snprintf(folders, sizeof(folders), "%s", path);
	for (char *slash = strchr(folders, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		assert_true(mkdir(folders, 0755) == 0 || errno == EEXIST);
		*slash = '/';
	}
	file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static inline int remove_one(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
	(void)stat;
	(void)type;
	return ftw->level == 0 ? 0 : remove(path);
}

static inline int enter_root(void **state)
{
	if (folder_enter(state) != 0)
		return -1;
	cgroup_root(folder);
	return 0;
}

static inline int leave_root(void **state)
{
	cgroup_root("");
	return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0 ? folder_leave(state) : -1;
}

/* A test that runs with such a folder, the current one, as root. */
#define in_root(test) cmocka_unit_test_setup_teardown(test, enter_root, leave_root)

#endif
